"""How far the best values of many fits are from their bounds, in standard deviations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from powercal.fitting.batch.problem import BatchProblem
from powercal.fitting.batch.solver import Plan, Solved, full_matrix

FloatArray = NDArray[np.float64]


def pulls(problem: BatchProblem, solved: Solved, plan: Plan) -> FloatArray:
    """Return how far beyond their bounds coordinates want to go, in standard deviations.

    As for a single fit (:class:`powercal.fitting.intervals.Profiler`): beside its bound Δχ² is
    m² + 2bm, b half the slope of χ² there per standard deviation. In units of the data's own σ.

    Returns
    -------
    ndarray
        (fits, parameters); zero for what rests on no bound.
    """
    x, p = solved.found.x, len(problem.axes)
    low, high = problem.bounds()
    resting = ((x <= low) | (x >= high)) & np.isfinite(x)
    out = np.zeros(x.shape)
    who = np.flatnonzero(resting.any(axis=1) & np.isfinite(x).all(axis=1))
    if not who.size:
        return out
    part = problem.take(who)
    evaluator = plan.evaluator(part)(who.size)
    evaluator.load(np.arange(who.size), slice(0, who.size))
    packed, slope = np.empty((p * (p + 1) // 2, who.size)), np.empty((p, who.size))
    evaluator.normal(x[who].T.copy(), packed, slope)
    matrix, held = full_matrix(packed, p), resting[who]
    for k in range(p):
        mine = held[:, k]
        if mine.any():
            out[who[mine], k] = np.abs(slope[k, mine]) * _error(matrix[mine], held[mine], k)
    return out


def _error(matrix: FloatArray, held: NDArray[np.bool_], k: int) -> FloatArray:
    """Return the standard deviation of a coordinate while others stay on their bounds."""
    size = np.sqrt(np.maximum(np.einsum("nii->ni", matrix), 1e-300))
    scaled = matrix / (size[:, :, None] * size[:, None, :])
    others = held.copy()
    others[:, k] = False
    gone = others[:, :, None] | others[:, None, :]
    scaled = np.where(gone, np.eye(matrix.shape[1]), scaled)
    variance = np.linalg.pinv(scaled, hermitian=True)[:, k, k]
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)) / size[:, k])


def straight_rooms(
    problem: BatchProblem, x: FloatArray, error: FloatArray, pull: FloatArray, k: int
) -> tuple[FloatArray, FloatArray]:
    """Return the room of one coordinate below and above, by the covariance; negative on a bound."""
    low, high = (bound[k] for bound in problem.bounds())
    with np.errstate(divide="ignore", invalid="ignore"):
        below = np.where(x > low, (x - low) / error, -pull[:, k])
        above = np.where(x < high, (high - x) / error, -pull[:, k])
    # Without an error there is no region to be found.
    return np.nan_to_num(below, nan=np.inf), np.nan_to_num(above, nan=np.inf)
