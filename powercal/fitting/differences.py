"""Central differences of fourth order, for curves that come without exact derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Arrays


def stencil(shifted: Callable[[float], Arrays], step: Any) -> list[NDArray[Any]]:
    """Return the derivatives of a curve of which ``shifted(k)`` is the value k steps away."""
    low2, low1, high1, high2 = (shifted(k) for k in (-2.0, -1.0, 1.0, 2.0))
    return [
        _four_points(a, b, c, d) / (12 * step)
        for a, b, c, d in zip(low2, low1, high1, high2, strict=True)
    ]


def _four_points(a: Any, b: Any, c: Any, d: Any) -> NDArray[Any]:
    """Return a − 8b + 8c − d, and nothing where that is rounding: noise is not an effect."""
    rise = np.asarray(a - 8 * b + 8 * c - d)
    return np.where(np.abs(rise) <= 1e-14 * (np.abs(b) + np.abs(c)), 0.0, rise)
