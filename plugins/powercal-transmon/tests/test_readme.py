"""The README is true: its example and what it prints, its entry points."""

from __future__ import annotations

import contextlib
import io
import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import powercal as pc

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.usefixtures("installed")
def test_the_example_prints_what_the_readme_says() -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block("python"), "README", "exec"), {})
    assert printed.getvalue().strip() == block("text").strip()


@pytest.mark.usefixtures("installed")
def test_powercal_finds_both_models_by_name() -> None:
    for name in ("transmon", "transmon_reflection"):
        assert pc.get_model(name).name == name


def test_every_entry_point_has_a_hook() -> None:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for module in table["project"]["entry-points"]["powercal"].values():
        assert callable(import_module(module).powercal_models)


def test_every_option_is_explained() -> None:
    from powercal_transmon import absorbed, reflection

    for model in (*absorbed.powercal_models(), *reflection.powercal_models()):
        for option in model.options:
            assert f"`{option.name}`" in README
