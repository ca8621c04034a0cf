"""Derivatives by differences of seven points, kept inside bounds, with their own error."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# The best step lies where truncation meets rounding; a change this small is far beyond both.
_STEPS = (0.1, 0.03, 0.01, 0.003, 0.001)
_ENOUGH = 1e-9


def stencil(value: float, step: float, low: float, high: float) -> NDArray[np.float64] | None:
    """Return seven offsets (in steps) that stay inside the bounds; None if there is no room."""
    for first in (-3, 0, -6):
        offsets = np.arange(first, first + 7.0)
        if value + offsets[0] * step >= low and value + offsets[-1] * step <= high:
            return offsets
    return None


def difference_weights(offsets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights of the first derivative at zero, exact for polynomials."""
    powers = np.vander(offsets, increasing=True).T
    target = np.zeros(offsets.size)
    target[1] = 1.0
    return np.asarray(np.linalg.solve(powers, target))


def differences(
    curve: Callable[[Any], list[Array]], value: Any, size: Any, low: float, high: float
) -> list[tuple[Array, float]]:
    """Differentiate every observable of a curve by one number.

    Parameters
    ----------
    curve : callable
        Takes the number (or the array that all points depend on elementwise).
    value, size : float or ndarray
        Where, and how far the curve stays smooth.
    low, high : float
        Bounds, not to be crossed.

    Returns
    -------
    list of (ndarray, float)
        Per observable the derivative and how much it still changes with the step (its error).
    """
    ladder: list[list[Array]] = []
    for factor in _STEPS:
        step = factor * size
        offsets = stencil(float(np.min(value)), float(np.max(step)), low, high)
        if offsets is None:
            continue
        weights = difference_weights(offsets)
        curves = [curve(value + offset * step) for offset in offsets]
        ladder.append(
            [sum(map(np.multiply, weights, stack)) / step for stack in zip(*curves, strict=True)]
        )
        if len(ladder) > 1 and all(map(_agree, *ladder[-2:])):
            break
    return [_settled(list(steps)) for steps in zip(*ladder, strict=True)]


def _agree(before: Array, after: Array) -> bool:
    scale = np.max(np.abs(after), initial=0.0)
    return bool(np.max(np.abs(after - before), initial=0.0) <= _ENOUGH * scale)


def _settled(steps: list[Array]) -> tuple[Array, float]:
    """Choose the step at which the derivative changes least from the one before."""
    changes = [
        float(np.max(np.abs(after - before), initial=0.0))
        for before, after in itertools.pairwise(steps)
    ]
    best = int(np.argmin(np.where(np.isfinite(changes), changes, np.inf)))
    return steps[best + 1], changes[best]
