"""docs/equations.md is complete, and every function and test that it names exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TABLE = (ROOT / "docs" / "equations.md").read_text(encoding="utf-8")

GUO = [*(f"G{n}" for n in range(1, 24)), "G §4.4", "G appendix"]
WACKER = [f"W{n}" for n in range(1, 32)]
WACKER += [f"W {letter}{n}" for letter, last in (("A", 12), ("B", 16), ("C", 4))
           for n in range(1, last + 1)]  # fmt: skip


def rows_of(text: str) -> list[list[str]]:
    """Return the cells of every row whose first cell is an equation."""
    lines = [line for line in text.splitlines() if re.match(r"\| [GW][ \d]", line)]
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]


@cache
def definitions(path: Path) -> frozenset[str]:
    """Return the functions and classes of a file, and what classes hold as ``Class::name``."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            inner = [n for n in node.body if isinstance(n, ast.FunctionDef)]
            found |= {f"{node.name}::{n.name}" for n in inner}
    return frozenset(found)


def function_exists(dotted: str) -> bool:
    """Look the function up in the source: plugins need not be installed."""
    *module, name = dotted.split(".")
    folders = (ROOT, *sorted((ROOT / "plugins").iterdir()))
    files = [folder.joinpath(*module).with_suffix(".py") for folder in folders]
    return any(file.is_file() and name in definitions(file) for file in files)


def has_test(named: str) -> bool:
    path, _, name = named.partition("::")
    file = ROOT / path
    return file.is_file() and name.startswith("test_") and name in definitions(file)


def faults(text: str) -> list[str]:
    """Return one sentence for everything that is wrong with the table."""
    rows, found = rows_of(text), []
    numbers = [cells[0] for cells in rows]
    found += [f"{n} has no row" for n in (*GUO, *WACKER) if n not in numbers]
    found += [f"{n} has {numbers.count(n)} rows" for n in set(numbers) if numbers.count(n) > 1]
    for number, *cells in rows:
        if len(cells) != 4:
            found.append(f"{number} has {len(cells) + 1} cells instead of 5")
            continue
        says, functions, tests, remark = cells
        named = re.findall(r"`([^`]+)`", functions), re.findall(r"`([^`]+)`", tests)
        found += [f"{number}: no function {f}" for f in named[0] if not function_exists(f)]
        found += [f"{number}: no test {t}" for t in named[1] if not has_test(t)]
        if not says:
            found.append(f"{number} does not say what it says")
        if named[0] and not named[1]:
            found.append(f"{number} names a function and no test")
        if not named[0] and len(remark.split()) < 4:
            found.append(f"{number} has no function and does not say why")
    return found


def test_every_equation_has_its_function_and_test_or_says_why_not() -> None:
    assert faults(TABLE) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("| G7 |", "| see 7 |", "G7 has no row"),
        ("| G7 |", "| G8 |", "G8 has 2 rows"),
        ("energy.channel_rate`", "energy.chanel_rate`", "no function powercal.physics.energy.ch"),
        ("double_dot.flows`", "double_dots.flows`", "no function powercal_reservoirs.double_dots"),
        ("::test_the_trace_is_cyclic", "::test_no_trace_is_cyclic", "no test tests/oracle/test_op"),
        ("`tests/oracle/test_operator", "`tests/oracle/test_operators", "no test tests/oracle/te"),
    ],
)
def test_a_wrong_table_is_found_out(old: str, new: str, fault: str) -> None:
    assert old in TABLE
    assert any(fault in sentence for sentence in faults(TABLE.replace(old, new)))


def test_a_row_without_function_must_say_why() -> None:
    row = next(line for line in TABLE.splitlines() if line.startswith("| G3 |"))
    silent = row.rsplit(" | ", 1)[0] + " | — |"
    assert "G3 has no function and does not say why" in faults(TABLE.replace(row, silent))
