"""The physics stands on numpy and scipy alone, and is quick to import."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import powercal.physics

FILES = sorted(Path(powercal.physics.__file__).parent.rglob("*.py"))


def imported(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "absolute imports only"
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_physics_imports_numpy_scipy_and_itself_only(file: Path) -> None:
    names = imported(ast.parse(file.read_text(encoding="utf-8")))
    foreign = {
        name
        for name in names
        if name.split(".")[0] not in {*sys.stdlib_module_names, "numpy", "scipy"}
        and not name.startswith("powercal.physics")
    }
    assert foreign == set()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_module_opens_with_one_sentence(file: Path) -> None:
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    assert docstring is not None
    assert docstring.endswith(".")
    assert "\n\n" not in docstring


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_files_stay_below_400_lines_and_bodies_short(file: Path) -> None:
    source = file.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 400
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            first = node.body[1] if ast.get_docstring(node) and node.body[1:] else node.body[0]
            assert (node.end_lineno or 0) - first.lineno < 30, node.name


def test_importing_the_physics_does_not_import_scipy() -> None:
    modules = [f"powercal.physics.{file.stem}" for file in FILES if file.stem != "__init__"]
    code = f"import sys, {', '.join(modules)}; print('scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
