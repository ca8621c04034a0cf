"""The three laws of the house's imports, read from the source itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "powercal"
FILES = sorted(PACKAGE.rglob("*.py"))

# Floors from the ground up; a file may import only from floors below its own, or its own room.
FLOORS = [
    {"errors", "units", "writing", "physics", "tracing", "processes", "lazy"},
    {"schema", "result"},
    {"contracts", "line", "text", "sources"},
    {"hookspecs", "built_ins"},
    {"registry", "loaders", "models"},
    {"simulation", "report", "fitting", "loading", "spelling"},
    {"testing", "plot", "campaign"},
    {"cli"},
]
# Named as strings or imported inside a function, because a value must not import upward:
# result.__str__ asks text to describe it; contracts names FitResult for the type checker only.
HEAVY = {
    "lmfit": {"fitting/lmfit_solver.py"},
    "pluggy": {"hookspecs.py", "registry.py"},
}


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def floor(name: str) -> int:
    return next(i for i, names in enumerate(FLOORS) if name in names)


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path, *, typing_too: bool = True) -> Iterator[str]:
    """All absolute module names a file imports, at any depth."""
    tree = tree_of(path)
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree) if not typing_too else ():
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            skipped.update(ast.walk(node))
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{name_of(path)} imports relatively"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_imported(path: Path) -> set[str]:
    found = set()
    for name in imports(path, typing_too=False):
        parts = name.split(".")
        if parts[0] == "powercal" and len(parts) > 1:
            found.add(parts[1])
    known = {n for names in FLOORS for n in names}
    return {n for n in found if n in known}


@pytest.mark.parametrize("path", [p for p in FILES if name_of(p) != "__init__.py"], ids=name_of)
def test_imports_point_down(path: Path) -> None:
    own = room(path)
    upward = {n for n in rooms_imported(path) if n != own and floor(n) > floor(own)}
    if name_of(path) == "result.py":
        upward -= {"text"}  # print(result); imported when asked for
    assert not upward


@pytest.mark.parametrize(
    "path", [p for p in FILES if room(p) in {"loaders", "models"}], ids=name_of
)
def test_loaders_and_models_see_only_what_a_stranger_may_see(path: Path) -> None:
    allowed = {"contracts", "hookspecs", "schema", "units", "errors", "physics", "result"}
    assert rooms_imported(path) <= allowed | {room(path)}


@pytest.mark.parametrize("path", [p for p in FILES if room(p) == "physics"], ids=name_of)
def test_physics_imports_numpy_and_scipy_only(path: Path) -> None:
    outside = {n.split(".")[0] for n in imports(path)}
    standard = {"__future__", "collections", "dataclasses", "functools", "itertools", "typing"}
    standard |= {"math", "fractions", "types"}
    assert outside <= {"numpy", "scipy", "powercal"} | standard
    assert rooms_imported(path) <= {"physics"}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_heavy_libraries_have_one_room_each(path: Path) -> None:
    for name in imports(path):
        library = name.split(".")[0]
        if library == "h5py":
            assert room(path) in {"loaders", "report"}
        if library in HEAVY:
            assert name_of(path) in HEAVY[library]


def test_there_is_no_circle_among_the_files() -> None:
    graph = {}
    for path in FILES:
        own = ".".join(("powercal", *path.relative_to(PACKAGE).with_suffix("").parts))
        own = own.removesuffix(".__init__")
        graph[own] = set(module_level_imports(path))
    for start in graph:
        seen: set[str] = set()
        waiting = [n for n in graph[start] if n in graph and n != "powercal"]
        while waiting:
            name = waiting.pop()
            assert name != start, f"{start} imports itself in a circle"
            if name not in seen:
                seen.add(name)
                waiting += [n for n in graph[name] if n in graph and n != "powercal"]


def module_level_imports(path: Path) -> Iterator[str]:
    tree = tree_of(path)
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            inner = [n for n in names if is_file(n)]
            # "from powercal.fitting import lmfit_solver" asks for the file, not for the room.
            yield from inner if len(inner) == len(names) else [node.module, *inner]


def is_file(name: str) -> bool:
    return (PACKAGE.parent / Path(*name.split("."))).with_suffix(".py").is_file()


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_file_is_longer_than_four_hundred_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_file_says_in_one_sentence_what_it_is_for(path: Path) -> None:
    words = ast.get_docstring(tree_of(path)) or ""
    assert words.split("\n\n")[0].rstrip().endswith((".", "::"))
