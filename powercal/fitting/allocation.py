"""Where to spend readings: shares over candidate points that make chosen errors smallest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from powercal.fitting.information import Readings

FloatArray = NDArray[np.float64]
_ROUNDS = 400
_REST = 1e-2  # what all that is not aimed at counts: designs that leave it undetermined are useless
_LEAST = 5e-3  # a smaller share of the readings is left out
_WORTH = 3e-2  # of the criterion: what few points may cost against many


@dataclass(frozen=True)
class _Task:
    """The design problem in coordinates in which even readings give the unit matrix."""

    rows: FloatArray
    point: NDArray[np.intp]
    prior: FloatArray
    aims: FloatArray
    total: float

    def criterion(self, shares: FloatArray) -> tuple[float, FloatArray]:
        """Return the criterion, and how much a reading at each point lowers it."""
        effort = self.total * shares[self.point]
        normal = (self.rows * effort[:, None]).T @ self.rows + self.prior
        values, vectors = np.linalg.eigh(normal)
        if not values[0] > 1e-12 * values[-1]:
            return np.inf, np.ones(shares.size)
        moved = (vectors / values) @ (vectors.T @ self.aims)
        seen = np.sum((self.rows @ moved) ** 2, axis=1)
        slope = np.bincount(self.point, weights=seen, minlength=shares.size)
        return float(np.sum(moved * self.aims)), np.asarray(slope, dtype=float)


def allocate(
    readings: Readings, targets: FloatArray, others: FloatArray, start: FloatArray, total: float
) -> FloatArray:
    """Share a number of readings among points.

    The criterion is Σ var(target), each in units of what is wanted of it, plus the same for all
    else, which even readings would make a hundredth of the sum. It is convex, and the step
    w ← w·(slope along w)^½ lowers it (Silvey, Titterington and Torsney, Commun. Statist. A7,
    1379, 1978).

    Parameters
    ----------
    readings : Readings
        What a reading at each point tells.
    targets, others : ndarray, shape (quantities, coordinates)
        Gradients over the uncertainty that is wanted.
    start : ndarray, shape (points,)
        Shares to begin with, and to beat; sum 1.
    total : float
        Number of readings.

    Returns
    -------
    ndarray, shape (points,)
        Shares, sum 1; ``start`` where nothing better was found.
    """
    even = np.full(start.size, 1.0 / start.size)
    turn, told = readings.informed(total * even).basis()
    rows, known = readings.rows @ turn, readings.known @ turn
    rows[:, told:] = 0.0  # what readings do not tell, not even by rounding
    aims, rest = turn.T @ targets.T, turn.T @ others.T
    # In these coordinates the square of a gradient is the variance that even readings give.
    weight = _REST * np.sum(aims**2) / max(float(np.sum(rest**2)), 1e-300)
    aims = np.hstack([aims, np.sqrt(weight) * rest])
    task = _Task(rows, readings.point, known.T @ known, aims, total)
    shares = _descend(task, 0.5 * start + 0.5 * even)
    few = shares
    one = max(0.2 * _LEAST, 1 / total)  # less than one reading is none
    for least in (_LEAST, one):  # what the first cut leaves moves together, or fades
        kept = np.where(few >= least, few, 0.0)
        few = _descend(task, kept / kept.sum()) if kept.any() else start
    few = np.where(few >= one, few, 0.0) if few is not start else start
    few = np.asarray(few / few.sum())
    best, fewest, given = (task.criterion(s)[0] for s in (shares, few, start))
    if fewest < given and fewest <= best * (1 + _WORTH):
        return few
    return shares if best < given else start


def _descend(task: _Task, shares: FloatArray) -> FloatArray:
    """Repeat the multiplicative step; a full one first, a half one where that overshoots."""
    value, slope = task.criterion(shares)
    for _ in range(_ROUNDS):
        for power in (1.0, 0.5):
            trial = shares * (slope / max(float(slope.max()), 1e-300)) ** power
            trial = trial / trial.sum()
            found, steeper = task.criterion(trial)
            if found < value:
                break
        if not found < value * (1 - 1e-7):
            break
        shares, value, slope = trial, found, steeper
    return shares
