"""The posterior of one fit: log-probabilities of many points at once, the prior measure stated."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from powercal.fitting.identifiability import analyse
from powercal.fitting.pieces import Coordinate, Prior
from powercal.fitting.problem import DECIBEL, Problem

FloatArray = NDArray[np.float64]
Measure = Literal["coordinate", "value"]
_AGREEMENT = 1e-6  # of a log-probability, between all walkers at once and one after the other


def to_si(c: Coordinate, x: FloatArray) -> FloatArray:
    """Return SI values of many solver coordinates, inside the bounds."""
    value = c.scale * np.exp(np.minimum(x, 600.0)) if c.log else c.origin + c.scale * x
    return np.clip(value, c.low, c.high)


def table_of(problem: Problem, points: FloatArray) -> dict[str, Any]:
    """Return all parameters in SI, (points,) each where they are free, like ``Problem.values``."""
    found: dict[str, Any] = dict(problem.fixed)
    groups: dict[str, list[FloatArray]] = {}
    for c, column in zip(problem.coordinates, points.T, strict=True):
        found[c.name] = to_si(c, column)
        if c.member is not None:
            groups.setdefault(c.parameter, []).append(found[c.name])
    return found | {name: np.mean(group, axis=0) for name, group in groups.items()}


def quantity_of(problem: Problem, points: FloatArray, name: str) -> FloatArray:
    """Return a parameter or derived quantity in SI at many points."""
    derived = problem.derived(name)
    table = table_of(problem, points)
    if derived is None:
        return np.broadcast_to(np.asarray(table[name], dtype=float), len(points)).copy()
    with np.errstate(all="ignore"):
        try:
            found = np.asarray(derived.function(**{a: table[a] for a in derived.arguments}))
            several = np.broadcast_to(found, len(points)).astype(float)
            sure = problem.quantity(name, points[0])
            if np.isclose(several[0], sure, rtol=1e-9, atol=0.0, equal_nan=True):
                return several
        except (TypeError, ValueError):
            pass  # a function of single numbers
        return np.array([problem.quantity(name, x) for x in points])


@dataclass(frozen=True)
class Posterior:
    """Log-probability of points in solver coordinates, shape (points, coordinates).

    Attributes
    ----------
    problem : Problem
        As fitted: its σ, its common errors, its priors.
    measure : {"coordinate", "value"}
        In what the prior is flat inside the bounds: in the solver's coordinate (the logarithm for
        rates) or in the SI value.
    """

    problem: Problem
    measure: Measure = "coordinate"

    def __call__(self, points: FloatArray) -> FloatArray:
        """Return ln of the posterior up to a constant; −inf outside the bounds."""
        p = self.problem
        inside = np.all((points >= p.lower) & (points <= p.upper), axis=1)
        out = np.full(len(points), -np.inf)
        if inside.any():
            with np.errstate(all="ignore"):
                found = self.log_likelihood(points[inside]) + self.log_measure(points[inside])
            out[inside] = np.where(np.isfinite(found), found, -np.inf)
        return out

    def log_measure(self, points: FloatArray) -> FloatArray:
        """Return ln of the prior density per solver coordinate."""
        if self.measure == "coordinate":
            return np.zeros(len(points))
        return np.asarray(points[:, self.in_logarithm].sum(axis=1))

    @cached_property
    def in_logarithm(self) -> NDArray[np.bool_]:
        """Which coordinates are logarithms: there the measure matters."""
        return np.array([c.log for c in self.problem.coordinates])

    def log_likelihood(self, points: FloatArray) -> FloatArray:
        """Return −χ²/2; of traces whose σ is not given, −(n/2)·ln χ² (σ integrated over)."""
        rows = self._rows(points)
        if not self.marginal:
            return np.asarray(-0.5 * np.sum(rows**2, axis=1))
        data, rest = rows[:, : self.groups.size], rows[:, self.groups.size :]
        known = np.sum(data[:, self.groups < 0] ** 2, axis=1) + np.sum(rest**2, axis=1)
        out = -0.5 * known
        for group in range(int(self.groups.max()) + 1):
            mine = self.groups == group
            out = out - 0.5 * mine.sum() * np.log(np.sum(data[:, mine] ** 2, axis=1))
        return np.asarray(out)

    # ---- noise ----

    @cached_property
    def marginal(self) -> bool:
        """Whether σ of some traces is integrated over; not beside errors that rows share."""
        return not all(b.given_sigma for b in self.problem.blocks) and self.problem.modes is None

    @cached_property
    def groups(self) -> NDArray[np.intp]:
        """The σ that each data row belongs to; −1 where σ is given."""
        parts, count = [], 0
        for b in self.problem.blocks:
            if b.given_sigma:
                parts.append(np.full(b.size, -1, dtype=np.intp))
                continue
            members, index = np.unique(b.trace, return_inverse=True)
            parts.append(np.concatenate([index + count] * (2 if b.complex else 1)))
            count += members.size
        return np.concatenate(parts)

    def noise_in_words(self) -> str:
        """Say what becomes of σ."""
        if all(b.given_sigma for b in self.problem.blocks):
            return "σ as given"
        if self.marginal:
            return "σ of every trace integrated over (prior ∝ 1/σ)"
        return "σ held at the estimate of the fit (errors are shared between rows)"

    # ---- rows ----

    def _rows(self, points: FloatArray) -> FloatArray:
        return self._together(points) if self.vectorised else self._one_by_one(points)

    def _one_by_one(self, points: FloatArray) -> FloatArray:
        return np.array([self.problem.residual(x) for x in points])

    @cached_property
    def vectorised(self) -> bool:
        """Whether the model takes all walkers at once, tried at two points near the middle."""
        p = self.problem
        middle = p.start_from({c.name: c.to_si(0.0) for c in p.coordinates})
        points = np.stack([middle, np.clip(middle + 0.01, p.lower, p.upper)])
        sure = np.sum(self._one_by_one(points) ** 2, axis=1)
        try:
            found = np.sum(self._together(points) ** 2, axis=1)
        except (TypeError, ValueError, IndexError):  # a curve of one trace only: walkers queue
            return False
        return bool(np.all(np.abs(found - sure) <= _AGREEMENT * (1 + np.abs(sure))))

    def _together(self, points: FloatArray) -> FloatArray:
        """Return the whitened rows of all points from one call of the curve."""
        p, table = self.problem, table_of(self.problem, points)
        loss = np.exp(-DECIBEL * _column(table["attenuation_db"])) if p.attenuation else 1.0
        gain = np.exp(DECIBEL * _column(table["gain_db"])) if p.gain else 1.0
        gain = 1 / loss if p.referenced else gain
        size = next(iter(p.inputs.values())).size
        inputs = [
            np.broadcast_to(p.inputs[n] * (loss if n == "incident_power" else 1.0), shape)
            for n, shape in ((n, (len(points), size)) for n in p.model.inputs)
        ]
        curves = p.model.curve(*inputs, **self._arguments(table, points))
        rows = []
        for b in p.blocks:
            curve = np.broadcast_to(curves[b.index], (len(points), size))[:, b.points]
            curve = curve * (gain if p.power_observables[b.index] else 1.0)
            rows.append(np.hstack([curve.real, curve.imag]) if b.complex else curve.real)
        whitened = p.whiten((np.hstack(rows) - p.data).T).T
        return np.hstack([whitened, self._prior_rows(points)])

    def _arguments(self, table: dict[str, Any], points: FloatArray) -> dict[str, Any]:
        p, out = self.problem, {}
        for row in p.model.parameters:
            if row.name in p.members:
                index = p.members[row.name]
                members = [table[f"{row.name}[{i}]"] for i in range(int(index.max()) + 1)]
                spread = [np.broadcast_to(m, len(points)) for m in members]
                out[row.name] = np.stack(spread, axis=1)[:, index]
            else:
                out[row.name] = _column(table[row.name])
        return out

    def _prior_rows(self, points: FloatArray) -> FloatArray:
        def off(prior: Prior) -> FloatArray:
            return (quantity_of(self.problem, points, prior.name) - prior.mean) / prior.std

        columns = [np.asarray(q.whitened(off)) for q in self.problem.priors]
        return np.stack(columns, axis=1) if columns else np.zeros((len(points), 0))


def _column(value: Any) -> Any:
    """Lay one number per point out against the inputs."""
    return value[:, None] if isinstance(value, np.ndarray) and value.ndim == 1 else value


def starting_points(
    problem: Problem, x: FloatArray, count: int, generator: np.random.Generator
) -> FloatArray:
    """Draw points about the best fit, from the covariance and along flat directions, in bounds.

    Outside a bound a draw is mirrored, so that walkers do not start stacked on it.
    """
    found = analyse(problem.jacobian(x))
    values, vectors = np.linalg.eigh(found.covariance * np.outer(found.scale, found.scale))
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    steps = generator.standard_normal((count, x.size)) @ root.T
    if found.null.size:
        span = np.max(np.abs(found.null) / found.scale[:, None], axis=0)
        along = found.null * (0.3 / np.where(span > 0, span, 1.0))
        steps = steps + generator.standard_normal((count, along.shape[1])) @ along.T
    points = x + steps / found.scale
    for bound, sign in ((problem.lower, 1.0), (problem.upper, -1.0)):
        beyond = np.where(np.isfinite(bound), np.maximum(sign * (bound - points), 0.0), 0.0)
        points = points + sign * 2 * beyond
    return np.asarray(np.clip(points, problem.lower, problem.upper))


def said_measure(problem: Problem, measure: Measure) -> str:
    """Say in what the prior is flat."""
    logs = [c.name for c in problem.coordinates if c.log]
    rest = [c.name for c in problem.coordinates if not c.log]
    inside = "inside the bounds"
    if measure == "value" or not logs:
        return f"flat in the value of {', '.join([*logs, *rest])} {inside}"
    first = f"flat in the logarithm of {', '.join(logs)}"
    return f"{first}{' and in the value of ' + ', '.join(rest) if rest else ''} {inside}"


def other_weights(problem: Problem, points: FloatArray, measure: Measure) -> FloatArray:
    """Return weights (sum 1) that turn a sample of one measure into one of the other."""
    logs = np.array([c.log for c in problem.coordinates])
    total = points[:, logs].sum(axis=1) * (1.0 if measure == "coordinate" else -1.0)
    weights = np.exp(total - total.max(initial=-np.inf)) if logs.any() else np.ones(len(points))
    return np.asarray(weights / weights.sum())
