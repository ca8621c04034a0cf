"""A bounded Levenberg–Marquardt for one small problem: exact at bounds, at ease in flat valleys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Minimum:
    """Where the search ended: the point, χ² there, and whether it had converged."""

    x: FloatArray
    chi2: float
    converged: bool
    evaluations: int


def minimise(
    residual: Callable[[FloatArray], FloatArray],
    jacobian: Callable[[FloatArray], FloatArray],
    start: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    held: NDArray[np.bool_] | None = None,
    iterations: int = 100,
    tolerance: float = 1e-13,
    damping: float = 1e-3,
) -> Minimum:
    """Find the least sum of squares inside bounds.

    A step that crosses a bound is shortened along its ray and the coordinate is put onto the
    bound; it is released when the gradient points inside (clipping each component instead makes
    false minima).

    Parameters
    ----------
    residual, jacobian : callable
        Rows and their derivatives in dimensionless coordinates.
    start, lower, upper : ndarray
        Start and bounds, same coordinates.
    held : ndarray of bool, optional
        Coordinates that do not move.
    iterations : int
        Most Jacobians to compute.
    tolerance : float
        Converged when a full step promises less than this times (1 + χ²).
    damping : float
        First damping, relative to the scaled normal matrix; small where the start is nearly
        right, and very small with a stiff row, beside which all else is soft.

    Returns
    -------
    Minimum
        The best point found.
    """
    x = np.clip(start, lower, upper)
    still = np.zeros(x.size, dtype=bool) if held is None else held
    r = residual(x)
    chi2, evaluations, converged = float(r @ r), 1, False
    for _ in range(iterations):
        j = jacobian(x)
        gradient, normal = j.T @ r, j.T @ j
        blocked = ((x <= lower) & (gradient > 0)) | ((x >= upper) & (gradient < 0)) | still
        moving = ~blocked & (np.diag(normal) > 0)
        if not moving.any():
            converged = True
            break
        accepted = False
        for _ in range(30):
            step = _inward_step(normal, gradient, moving, damping, x, lower, upper)
            step, hit = _shorten(x, step, lower, upper)
            promise = -float(2 * gradient @ step + step @ normal @ step)
            if promise <= tolerance * (1 + chi2) and damping <= 1.0 and hit < 0:
                converged = True
                break
            trial = np.clip(x + step, lower, upper)
            if hit >= 0:
                trial[hit] = lower[hit] if step[hit] < 0 else upper[hit]
            r_trial = residual(trial)
            evaluations += 1
            found = float(r_trial @ r_trial)
            if np.isfinite(found) and found <= chi2:
                gained = (chi2 - found) / promise if promise > 0 else 1.0
                damping = max(damping * (0.1 if gained > 0.5 else 1.0), 1e-13)
                x, r, chi2, accepted = trial, r_trial, found, True
                break
            damping = damping * 10
        if converged or not accepted:
            converged = converged or damping > 1e10
            break
    return Minimum(x, chi2, converged, evaluations)


def _inward_step(
    normal: FloatArray,
    gradient: FloatArray,
    moving: NDArray[np.bool_],
    damping: float,
    x: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
) -> FloatArray:
    """Solve for a step; a coordinate on its bound that would be pushed out stays there."""
    moving = moving.copy()
    while True:
        step = _step(normal, gradient, moving, damping)
        outward = ((x <= lower) & (step < 0)) | ((x >= upper) & (step > 0))
        if not (outward & moving).any():
            return step
        moving &= ~outward


def _step(
    normal: FloatArray, gradient: FloatArray, moving: NDArray[np.bool_], damping: float
) -> FloatArray:
    index = np.flatnonzero(moving)
    if index.size == 0:
        return np.zeros(gradient.size)
    scale = np.sqrt(np.diag(normal)[index])
    matrix = normal[np.ix_(index, index)] / np.outer(scale, scale)
    # 1e-14 keeps an exactly flat direction from blowing up; it does not slow the others.
    matrix = matrix + (damping + 1e-14) * np.eye(index.size)
    step = np.zeros(gradient.size)
    try:
        step[index] = -np.linalg.solve(matrix, gradient[index] / scale) / scale
    except np.linalg.LinAlgError:
        step[index] = -gradient[index] / scale**2
    return step


def _shorten(
    x: FloatArray, step: FloatArray, lower: FloatArray, upper: FloatArray
) -> tuple[FloatArray, int]:
    """Cut a step at the first bound on its way; say which coordinate hit (−1: none)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(
            step > 0, (upper - x) / step, np.where(step < 0, (lower - x) / step, np.inf)
        )
    first = int(np.argmin(room))
    if room[first] >= 1:
        return step, -1
    return step * max(float(room[first]), 0.0), first
