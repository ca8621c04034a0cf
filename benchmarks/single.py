"""One trace of a scenario as plain functions of a vector: what every peer is built on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.scenarios import Scenario

FloatArray = NDArray[np.float64]
FAR = 1000.0  # comfortable numbers are of order one


@dataclass(frozen=True)
class Bound:
    """A Gaussian prior on one number of the vector."""

    place: int
    mean: float
    std: float


class Single:
    """One trace without its gaps, complex data as real parts and then imaginary ones.

    Peers see comfortable numbers u, value = origin + scale·u, and no more of the house than the
    model's curve and its derivatives.
    """

    def __init__(self, scenario: Scenario, index: int) -> None:
        problem = scenario.problem
        self.names = tuple(a.name for a in problem.axes)
        self.origin, self.scale = scenario.origin[index], scenario.scale[index]
        self.plain = not self.origin.any() and bool((self.scale == 1).all())
        self.start = (problem.start[index] - self.origin) / self.scale
        self.low = np.array([a.low for a in problem.axes])
        self.high = np.array([a.high for a in problem.axes])
        self.low, self.high = ((v - self.origin) / self.scale for v in (self.low, self.high))
        self.fixed = problem.fixed_of(index)
        self.inputs = tuple(
            v[index if v.shape[0] > 1 else 0]
            for v in (problem.inputs[n] for n in problem.model.inputs)
        )
        self.model, self.places = problem.model, [o.index for o in problem.observed]
        self.complex = np.iscomplexobj(problem.observed[0].data)
        data = self._flat([o.data[index] for o in problem.observed])
        sigma = self._flat([_own(o.sigma, index, problem.points) for o in problem.observed])
        # A complex gap may be NaN in one part alone.
        held = np.isfinite(np.concatenate([o.data[index] for o in problem.observed]))
        held = np.tile(held, 2) if self.complex else held
        self.keep = None if held.all() else np.flatnonzero(held)
        self.y, self.weight = self._kept(data), 1 / self._kept(sigma)
        self.priors = [
            Bound(k, (p.mean - self.origin[k]) / self.scale[k], p.std / self.scale[k])
            for p in problem.priors_of(index)
            for k in (self.names.index(p.name),)
        ]

    def _flat(self, rows: list[NDArray[Any]]) -> FloatArray:
        if self.complex:
            (row,) = rows
            return np.concatenate([row.real, row.imag if np.iscomplexobj(row) else row])
        return rows[0] if len(rows) == 1 else np.concatenate(rows)

    def _kept(self, row: FloatArray) -> FloatArray:
        return row if self.keep is None else row[self.keep]

    def values(self, vector: Any) -> dict[str, Any]:
        """Return the model's parameters by name."""
        values = vector if self.plain else self.origin + self.scale * np.asarray(vector)
        return {**self.fixed, **dict(zip(self.names, values, strict=True))}

    def table(self) -> list[tuple[str, float, float, float]]:
        """Return name, start, lower and upper bound for peers that know bounds.

        Bounds that are far off are left out: of two that are decades apart lmfit's and minuit's
        transforms keep no digits.
        """
        far = np.inf
        rows = zip(self.names, self.start.tolist(), self.low, self.high, strict=True)
        return [
            (name, start, low if low > -FAR else -far, high if high < FAR else far)
            for name, start, low, high in rows
        ]

    def pick(self, curve: Any) -> FloatArray:
        """Return what a curve gave at the points that hold data."""
        return self._kept(self._flat([curve[k] for k in self.places]))

    def predict(self, vector: Any) -> FloatArray:
        """Return the curve at the points that hold data."""
        return self.pick(self.model.curve(*self.inputs, **self.values(vector)))

    def slopes(self, vector: Any) -> FloatArray:
        """Return its derivatives, (parameters, points)."""
        assert self.model.jacobian is not None
        tables = self.model.jacobian(*self.inputs, **self.values(vector))
        shape = np.broadcast_shapes(*(np.shape(v) for v in self.inputs))
        rows = []
        for name, scale in zip(self.names, self.scale, strict=True):
            parts = [np.broadcast_to(tables[k].get(name, 0.0), shape) for k in self.places]
            rows.append(scale * self._kept(self._flat(parts)))
        return np.stack(rows)

    def residual(self, vector: Any) -> FloatArray:
        """Return curve less data over σ, and one row per prior behind."""
        rows = (self.predict(vector) - self.y) * self.weight
        if not self.priors:
            return rows
        return np.concatenate([rows, [(vector[p.place] - p.mean) / p.std for p in self.priors]])

    def jacobian(self, vector: Any) -> FloatArray:
        """Return the residual's derivatives, (parameters, rows)."""
        rows = self.slopes(vector) * self.weight
        if not self.priors:
            return rows
        of_priors = np.zeros((len(self.names), len(self.priors)))
        for k, p in enumerate(self.priors):
            of_priors[p.place, k] = 1 / p.std
        return np.concatenate([rows, of_priors], axis=1)


def _own(sigma: FloatArray, index: int, points: int) -> FloatArray:
    return np.broadcast_to(sigma[index if sigma.shape[0] > 1 else 0], points)
