"""Comparisons in tests have the tolerances that are written, and none that is hidden."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
FILES = [*ROOT.glob("tests/**/*.py"), *ROOT.glob("plugins/*/tests/**/*.py")]
CLOSE = ("allclose", "isclose")


@pytest.mark.parametrize("shape", [float, lambda x: [x, x], lambda x: np.full(2, x)])
def test_attowatts_that_differ_are_told_apart(shape: Callable[[float], Any]) -> None:
    assert shape(1.1e-18) != pytest.approx(shape(1e-18))
    assert shape(1.1e-18) != pytest.approx(shape(1e-18), rel=1e-2)
    assert shape(1.1e-18) == pytest.approx(shape(1e-18), rel=0.11)


def test_an_absolute_tolerance_counts_where_it_is_written() -> None:
    assert pytest.approx(0.0, abs=1e-15) == 1e-15
    assert pytest.approx(1e-18, rel=1e-6, abs=1e-18) == 2e-18
    assert pytest.approx(0.0) != 1e-15


def test_numpy_is_told_how_close_is_close() -> None:
    """Else its 1e-8 lets every power pass for any other."""
    untold = []
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if any(word in text for word in CLOSE) else ():
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in CLOSE:
                said = {keyword.arg for keyword in node.keywords}
                untold += [] if said & {"atol", "abs_tol"} else [f"{path}:{node.lineno}"]
    assert len(FILES) > 100
    assert not untold
