"""Fisher information of a measurement not yet made: per reading, with priors and line counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil, inf, sqrt

import numpy as np
from numpy.typing import NDArray

from powercal.fitting.common_errors import CommonErrors
from powercal.fitting.identifiability import FLAT
from powercal.fitting.problem import Problem

FloatArray = NDArray[np.float64]
MOST_AVERAGES = 1e9
_LINE = ("attenuation_db", "gain_db")


@dataclass(frozen=True)
class Readings:
    """What one reading at each point tells, and what is known without any.

    Attributes
    ----------
    rows : ndarray, shape (rows, coordinates)
        Derivatives over σ; the last coordinates are the amplitudes of common errors.
    point : ndarray of int, shape (rows,)
        The point of the grid each row belongs to (two rows where data are complex).
    known : ndarray, shape (priors, coordinates)
        Rows of what is known beforehand: priors, line, sizes of common errors.
    sources : tuple of str
        What each row of ``known`` comes from.
    free : int
        How many of the coordinates are parameters.
    """

    rows: FloatArray
    point: NDArray[np.intp]
    known: FloatArray
    sources: tuple[str, ...]
    free: int

    def informed(self, effort: FloatArray) -> Information:
        """Return the information of so many readings at every point."""
        return Information(self, effort)

    def extended(self, gradient: FloatArray) -> FloatArray:
        """Return a gradient by parameters with zeros for the amplitudes of common errors."""
        return np.append(gradient, np.zeros(self.rows.shape[1] - self.free))


def readings_of(problem: Problem, x: FloatArray, common: CommonErrors) -> Readings:
    """Take the rows of a problem apart into readings and knowledge."""
    slopes = problem.row_derivatives(x) / problem.sigma[:, None]
    modes = common.modes(problem, x)
    extra = np.zeros((slopes.shape[0], 0)) if modes is None else modes / problem.sigma[:, None]
    free, shared = slopes.shape[1], extra.shape[1]
    priors = replace(problem, modes=None).jacobian(x)[slopes.shape[0] :]
    known = np.zeros((len(priors) + shared, free + shared))
    known[: len(priors), :free] = priors
    known[len(priors) :, free:] = np.eye(shared)
    names = [f"line ({p.name})" if p.name in _LINE else f"prior ({p.name})" for p in problem.priors]
    for group in common.groups:
        names += [group.name] * (group.columns.stop - group.columns.start)
    point = [np.concatenate([b.points] * (2 if b.complex else 1)) for b in problem.blocks]
    return Readings(
        rows=np.hstack([slopes, extra]),
        point=np.concatenate(point),
        known=known,
        sources=tuple(names),
        free=free,
    )


class Information:
    """The information of an effort: readings per point, N-fold repeated.

    ``K(N) = A·diag(1/(N + τ))·Aᵀ + B·Bᵀ``: along A readings tell something, and what is known
    beforehand is worth τ of them; along B they tell nothing, however many. Both are found apart, so
    that ever so precise readings do not drown what only a prior tells.
    """

    def __init__(self, readings: Readings, effort: FloatArray) -> None:
        self.readings = readings
        self.weighted = readings.rows * np.sqrt(effort[readings.point])[:, None]
        told, size, silent = _range_and_null(self.weighted)
        known = readings.known @ silent
        held, strength, open_ = _range_and_null(known)
        self.null, flat = _unit(silent @ open_), silent @ held / strength
        # Along A the part that lies in B is free to follow.
        told = told / size
        told = told - flat @ ((readings.known @ flat).T @ (readings.known @ told))
        rest = readings.known @ told
        worth, turn = np.linalg.eigh(rest.T @ rest)
        self.along, self.worth = told @ turn, np.maximum(worth, 0.0)
        self.beyond = flat
        norms = np.linalg.norm(np.vstack([self.weighted, readings.known]), axis=0)
        self.scale = np.where(norms > 0, norms, 1.0)

    def determines(self, gradient: FloatArray) -> bool:
        """Whether a quantity with this gradient has no part in a flat direction."""
        if self.null.shape[1] == 0:
            return True
        # Each coordinate in the size of its own flat direction: units must not matter.
        size = np.abs(self.null) * np.abs(gradient)[:, None]
        moved = np.abs(self.null.T @ gradient)
        total = np.linalg.norm(gradient / self.scale) * np.linalg.norm(
            self.null * self.scale[:, None], axis=0
        )
        return bool(np.all(moved <= 1e-5 * np.maximum(total, size.max(axis=0))))

    def basis(self) -> tuple[FloatArray, int]:
        """Return coordinates that make the information the unit matrix, those with data first.

        The number is that of the coordinates of which readings tell anything.
        """
        told = self.along / np.sqrt(1 + self.worth)
        return np.hstack([told, self.beyond]), told.shape[1]

    def sigma(self, gradient: FloatArray, averages: float = 1.0) -> float:
        """Return the standard uncertainty; inf where the quantity is not determined."""
        if not self.determines(gradient):
            return inf
        rest = float(np.sum((self.beyond.T @ gradient) ** 2))
        noisy = float(np.sum((self.along.T @ gradient) ** 2 / (averages + self.worth)))
        total = noisy + rest
        return sqrt(total if averages < inf else self._not_rounding(gradient, rest))

    def _not_rounding(self, gradient: FloatArray, rest: float) -> float:
        return rest if rest > 1e-12 * self.sigma(gradient) ** 2 else 0.0

    def by_source(self, gradient: FloatArray, averages: float = 1.0) -> dict[str, float]:
        """Return what noise and each source contribute; they add in quadrature to the sigma."""
        weight = 1 / (averages + self.worth)
        moved = self.along @ (weight * (self.along.T @ gradient))
        moved = moved + self.beyond @ (self.beyond.T @ gradient)
        found: dict[str, float] = {}
        for name, part in zip(self.readings.sources, self.readings.known @ moved, strict=True):
            found[name] = found.get(name, 0.0) + float(part) ** 2
        noise = 0.0
        if averages < inf:
            noise = averages * float(np.sum((weight * (self.along.T @ gradient)) ** 2))
        return {n: sqrt(v) for n, v in ({"noise": noise} | found).items()}

    def averages_for(self, gradient: FloatArray, target: float) -> float:
        """Return how many averages reach a standard uncertainty; inf where none does."""
        if not self.sigma(gradient, MOST_AVERAGES) <= target:
            return inf
        low, high = -12.0, np.log10(MOST_AVERAGES)
        for _ in range(60):
            middle = 0.5 * (low + high)
            enough = self.sigma(gradient, 10**middle) <= target
            low, high = (low, middle) if enough else (middle, high)
        return float(10**high)


def _range_and_null(rows: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return directions that rows see, how strongly, and directions that they do not see.

    Directions are columns; unit steps along them have the strength as effect.
    """
    count = rows.shape[1]
    norms = np.linalg.norm(rows, axis=0)
    scale = np.where(norms > 0, norms, 1.0)
    padded = np.zeros((max(rows.shape[0], count), count))
    padded[: rows.shape[0]] = rows / scale
    _, s, vt = np.linalg.svd(padded, full_matrices=False)
    keep = s > FLAT * max(float(s.max(initial=0.0)), 1e-300)
    return vt[keep].T / scale[:, None], s[keep], vt[~keep].T / scale[:, None]


def _unit(directions: FloatArray) -> FloatArray:
    norms = np.linalg.norm(directions, axis=0)
    return np.asarray(directions / np.where(norms > 0, norms, 1.0))


def whole(averages: float) -> int | None:
    """Round averages up; None where no number is enough."""
    return None if averages == inf else max(ceil(averages - 1e-6), 1)


def largest_but_noise(sources: Mapping[str, float]) -> tuple[str, float]:
    """Return the largest source that is not noise."""
    known = {n: v for n, v in sources.items() if n != "noise"} or {"nothing": 0.0}
    name = max(known, key=lambda n: known[n])
    return name, known[name]
