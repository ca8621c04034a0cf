"""A bounded Levenberg–Marquardt for one small problem: exact at bounds, at ease in flat valleys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from powercal.fitting.problem import Problem

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

    Each step minimises the damped quadratic model *inside* the bounds by an active set: where its
    path meets a bound it goes on along the bound (clipping each component instead makes false
    minima, stopping at the first bound makes zigzags).

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
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        # Far from any minimum a curve may overflow; such a trial is no candidate.
        return _search(
            residual, jacobian, start, lower, upper, held, iterations, tolerance, damping
        )


def search_held(problem: Problem, start: FloatArray, held: NDArray[np.bool_]) -> Minimum:
    """Minimise beside coordinates that are held, from nearly the right place, as profiles do."""
    return minimise(
        problem.residual,
        problem.jacobian,
        start,
        problem.lower,
        problem.upper,
        held,
        iterations=40,
        tolerance=1e-7,
        damping=1e-6,
    )


def _search(
    residual: Callable[[FloatArray], FloatArray],
    jacobian: Callable[[FloatArray], FloatArray],
    start: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    held: NDArray[np.bool_] | None,
    iterations: int,
    tolerance: float,
    damping: float,
) -> Minimum:
    x = np.clip(start, lower, upper)
    still = np.zeros(x.size, dtype=bool) if held is None else held
    r = residual(x)
    chi2, evaluations, converged = float(r @ r), 1, False
    for _ in range(iterations):
        j = jacobian(x)
        gradient, normal = j.T @ r, j.T @ j
        moving = ~still & (np.diag(normal) > 0)
        if not moving.any():
            converged = True
            break
        accepted = False
        for _ in range(30):
            trial = _trial(normal, gradient, moving, damping, x, lower, upper)
            step = trial - x
            promise = -float(2 * gradient @ step + step @ normal @ step)
            if promise <= tolerance * (1 + chi2) and damping <= 1.0:
                converged = True
                break
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


def _trial(
    normal: FloatArray,
    gradient: FloatArray,
    moving: NDArray[np.bool_],
    damping: float,
    x: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
) -> FloatArray:
    """Return the point inside the bounds where the damped quadratic about x is least."""
    index = np.flatnonzero(moving)
    scale = np.sqrt(np.diag(normal)[index])
    matrix = normal[np.ix_(index, index)] / np.outer(scale, scale)
    # 1e-14 keeps an exactly flat direction from blowing up; it does not slow the others.
    matrix = matrix + (damping + 1e-14) * np.eye(index.size)
    low, high = (lower - x)[index] * scale, (upper - x)[index] * scale
    step = _least_in_box(matrix, gradient[index] / scale, low, high)
    trial = x.copy()
    trial[index] = np.clip(x[index] + step / scale, lower[index], upper[index])
    # On a bound means exactly on it.
    trial[index] = np.where(step <= low, lower[index], trial[index])
    trial[index] = np.where(step >= high, upper[index], trial[index])
    return trial


def _least_in_box(
    matrix: FloatArray, gradient: FloatArray, low: FloatArray, high: FloatArray
) -> FloatArray:
    """Minimise gᵀs + ½ sᵀMs for low ≤ s ≤ high (low ≤ 0 ≤ high) by a primal active set.

    One bound is taken up or given back at a time, and given back only where the rest is at its
    least: releasing several at once goes round in circles where coordinates are correlated.
    """
    step, active = np.zeros(gradient.size), (low >= 0) | (high <= 0)
    for _ in range(10 + 4 * step.size):
        path, free = np.zeros(step.size), ~active
        slope = gradient + matrix @ step
        path[free] = -np.linalg.solve(matrix[np.ix_(free, free)], slope[free])
        room = np.full(step.size, np.inf)
        room[path > 0] = ((high - step)[path > 0]) / path[path > 0]
        room[path < 0] = ((low - step)[path < 0]) / path[path < 0]
        first = int(np.argmin(room))
        step = step + min(float(room[first]), 1.0) * path
        if room[first] < 1.0:
            step[first] = low[first] if path[first] < 0 else high[first]
            active[first] = True
            continue
        slope = gradient + matrix @ step
        inward = np.where(step <= low, -slope, np.where(step >= high, slope, 0.0))
        inward = np.where(active & (low < high), inward, 0.0)
        release = int(np.argmax(inward))
        if inward[release] <= 0:
            break
        active[release] = False
    return step
