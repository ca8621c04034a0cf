"""Three broken plugins as source distributions; ``python broken_plugins.py FOLDER`` writes them."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

# Distribution: (code, what powercal must say of it).
BROKEN = {
    "broken-import": (
        "import a_module_that_is_not_there\n",
        "ModuleNotFoundError: No module named 'a_module_that_is_not_there'",
    ),
    "broken-hook": (
        """
        import powercal as pc

        @pc.hookimpl
        def powercal_modles():
            return []
        """,
        "powercal_modles is not a hook; the hooks are powercal_loaders and powercal_models",
    ),
    "doubled-name": (
        """
        import dataclasses
        import powercal as pc

        @pc.hookimpl
        def powercal_models():
            return [dataclasses.replace(pc.get_model("power_balance"), name="finite_temperature")]
        """,
        "model 'finite_temperature' is offered as",
    ),
}


def module_of(distribution: str) -> str:
    """Return the module of a distribution."""
    return distribution.replace("-", "_")


def code_of(distribution: str) -> str:
    """Return the module's text."""
    return textwrap.dedent(BROKEN[distribution][0])


def write(folder: Path) -> None:
    """Write a folder that pip can install for each of them."""
    for distribution in BROKEN:
        home, module = folder / distribution, module_of(distribution)
        home.mkdir(parents=True)
        (home / f"{module}.py").write_text(code_of(distribution))
        (home / "pyproject.toml").write_text(
            textwrap.dedent(
                f"""
                [build-system]
                requires = ["hatchling>=1.24"]
                build-backend = "hatchling.build"
                [project]
                name = "{distribution}"
                version = "1.2"
                [project.entry-points.powercal]
                {module} = "{module}"
                [tool.hatch.build.targets.wheel]
                include = ["{module}.py"]
                """
            )
        )


if __name__ == "__main__":
    write(Path(sys.argv[1]))
