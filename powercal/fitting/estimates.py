"""From a minimum to estimates: what is determined, with which error, and what is only confined."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite, sqrt

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Derived, Parameter
from powercal.fitting.identifiability import Identifiability, analyse
from powercal.fitting.intervals import Profile, Profiler
from powercal.fitting.problem import Coordinate, Problem
from powercal.result import Estimate, Interval

FloatArray = NDArray[np.float64]
BOUNDS_NOT_DATA = "set by bounds, not by data"


@dataclass(frozen=True)
class Judged:
    """All estimates of one fit, with what was learnt on the way."""

    parameters: tuple[Estimate, ...]
    derived: tuple[Estimate, ...]
    found: Identifiability
    better: FloatArray | None


def judge(
    problem: Problem,
    x: FloatArray,
    chi2: float,
    rows: tuple[Parameter, ...],
    freedom: int,
    profiles: bool,
) -> Judged:
    """Estimate every parameter and derived quantity.

    Parameters
    ----------
    problem, x, chi2 : Problem, ndarray, float
        The minimum.
    rows : tuple of Parameter
        The parameter table, nuisances included.
    freedom : int
        Degrees of freedom; without any there are no errors.
    profiles : bool
        Profile χ² for intervals (else: covariance).
    """
    found = analyse(problem.jacobian(x))
    judge_one = _Judge(problem, x, chi2, found, freedom, profiles)
    table = {r.name: r for r in rows}
    parameters = [judge_one.free(i, table[c.parameter]) for i, c in enumerate(problem.coordinates)]
    free = {c.name for c in problem.coordinates} | {c.parameter for c in problem.coordinates}
    for row in rows:
        if row.name not in free:
            parameters.append(_held(row, problem.fixed[row.name]))
    order = {r.name: i for i, r in enumerate(rows)}
    parameters.sort(key=lambda e: order[e.name.split("[")[0]])
    derived = [
        judge_one.derived(d, parameters)
        for d in problem.model.derived
        if not any(a in problem.members for a in d.arguments)
    ]
    return Judged(tuple(parameters), tuple(derived), found, judge_one.profiler.better)


def _held(row: Parameter, value: float) -> Estimate:
    return Estimate(
        name=row.name,
        unit=row.unit,
        meaning=row.meaning,
        status="fixed",
        value=float(value),
        reason="assumed" if not row.vary else "fixed by request",
    )


class _Judge:
    def __init__(
        self,
        problem: Problem,
        x: FloatArray,
        chi2: float,
        found: Identifiability,
        freedom: int,
        profiles: bool,
    ) -> None:
        self.problem, self.x, self.found = problem, x, found
        self.freedom, self.profiles = freedom, profiles
        self.profiler = Profiler(problem, x, chi2)
        self.without_priors = _data_only(problem, x) if problem.priors else found

    # ---- parameters ----

    def free(self, index: int, row: Parameter) -> Estimate:
        c = self.problem.coordinates[index]
        unit = np.eye(len(self.x))[index]
        prior = next(((p.mean, p.std) for p in self.problem.priors if p.name == c.name), None)
        base = {"name": c.name, "unit": row.unit, "meaning": row.meaning, "prior": prior}
        if self.freedom <= 0:
            return Estimate(
                **base,
                status="no_error",
                value=c.to_si(float(self.x[index])),
                reason="no more data than parameters: nothing tells the noise",
            )
        determined = self.found.determines(unit)
        error = self._error(unit) if determined else self._reach(c, index)
        if not self.profiles:
            return self._gaussian(base, c, index, determined, error)
        profile = self.profiler.coordinate(index, error)
        value = c.to_si(float(self.x[index]))
        stderr = error * c.slope(float(self.x[index]))
        estimate = _verdict(base, determined, value, stderr, profile, (c.low, c.high))
        return self._note_prior(estimate, unit)

    def _note_prior(self, estimate: Estimate, gradient: FloatArray) -> Estimate:
        if estimate.status == "ok" and not self.without_priors.determines(gradient):
            return _with(estimate, reason="rests on a prior: the data alone do not determine it")
        return estimate

    def _error(self, gradient: FloatArray) -> float:
        return sqrt(max(float(gradient @ self.found.covariance @ gradient), 0.0)) or 1e-12

    def _reach(self, c: Coordinate, index: int) -> float:
        """A first step along a flat direction: a tenth of a factor e, or of the value."""
        if c.log:
            return 0.1
        size = max(abs(c.to_si(float(self.x[index]))), 1e-3 * self.problem._size(c))
        return 0.1 * size / c.scale

    def _gaussian(
        self, base: dict[str, object], c: Coordinate, index: int, determined: bool, error: float
    ) -> Estimate:
        xi = float(self.x[index])
        if not determined:
            return Estimate(
                **base,
                status="undetermined",
                allowed=None,  # type: ignore[arg-type]
                reason="lies in a flat direction; ranges were not asked for",
            )
        ends = {k: (c.to_si(xi - k * error), c.to_si(xi + k * error)) for k in (1.0, 1.96)}
        low, high = ends[1.96]
        status = "upper_limit" if low <= c.low else "at_bound" if high >= c.high else "ok"
        return Estimate(
            **base,
            status=status,
            value=c.to_si(xi),  # type: ignore[arg-type]
            stderr=error * c.slope(xi) if status == "ok" else None,
            interval68=ends[1.0],
            interval95=ends[1.96],
            reason="from the covariance",
        )

    # ---- derived quantities ----

    def derived(self, d: Derived, parameters: list[Estimate]) -> Estimate:
        problem, x = self.problem, self.x
        base = {
            "name": d.name,
            "unit": d.unit,
            "meaning": d.meaning,
            "prior": next(((p.mean, p.std) for p in problem.priors if p.name == d.name), None),
        }
        known = {e.name: e for e in parameters}
        value = problem.quantity(d.name, x)
        gradient = problem.gradient(d.name, x)
        inside = [known[a] for a in d.arguments if a in known]
        if all(e.status == "fixed" for e in inside) or not gradient.any():
            return Estimate(**base, status="fixed", value=value, reason="follows from assumptions")
        if self.freedom <= 0:
            return Estimate(
                **base,
                status="no_error",
                value=value,
                reason="no more data than parameters: nothing tells the noise",
            )
        follows = self._single_argument(d, gradient, known)
        if follows is not None:
            return follows(base, value)
        if not np.isfinite(gradient).all() or not isfinite(value):
            return Estimate(
                **base,
                status="no_error",
                value=value if isfinite(value) else None,
                reason="not differentiable at the best fit",
            )
        determined = self.found.determines(gradient)
        estimate = self._derived_interval(d, base, value, gradient, determined)
        return self._note_prior(estimate, gradient)

    def _derived_interval(
        self,
        d: Derived,
        base: dict[str, object],
        value: float,
        gradient: FloatArray,
        determined: bool,
    ) -> Estimate:
        stderr = self._error(gradient)
        logarithmic = d.scale == "log" and value > 0
        unit = stderr / value if logarithmic else stderr
        if not determined:
            unit = 0.1 if logarithmic else 0.1 * max(abs(value), 1e-3)
        if not self.profiles:
            ends = {k: (value - k * stderr, value + k * stderr) for k in (1.0, 1.96)}
            if not determined:
                return Estimate(
                    **base,
                    status="undetermined",  # type: ignore[arg-type]
                    reason="lies in a flat direction; ranges were not asked for",
                )
            return Estimate(
                **base,
                status="ok",
                value=value,
                stderr=stderr,  # type: ignore[arg-type]
                interval68=ends[1.0],
                interval95=ends[1.96],
            )
        profile = self.profiler.derived(d.name, unit, logarithmic)
        floor = 0.0 if logarithmic else -inf
        return _verdict(base, determined, value, stderr, profile, (floor, inf))

    def _single_argument(self, d: Derived, gradient: FloatArray, known: dict[str, Estimate]):  # type: ignore[no-untyped-def]
        """A quantity that rides on one parameter inherits its intervals through the function."""
        problem, x = self.problem, self.x
        weight = np.abs(gradient) / self.found.scale
        weight = np.where(np.isfinite(weight), weight, np.inf)
        leading = int(np.argmax(weight))
        rest = np.delete(weight, leading)
        c = problem.coordinates[leading]
        if c.name not in known or c.name not in d.arguments or rest.sum() > 1e-3 * weight[leading]:
            return None
        carrier = known[c.name]

        def through(v: float) -> float:
            values = problem.values(x) | {c.name: v}
            with np.errstate(all="ignore"):
                return float(d.function(**{a: values[a] for a in d.arguments}))

        def mapped(interval: Interval | None) -> Interval | None:
            if interval is None:
                return None
            low, high = sorted(through(v) for v in interval)
            return low, high

        def estimate(base: dict[str, object], value: float) -> Estimate:
            ends = {n: mapped(getattr(carrier, n)) for n in ("interval68", "interval95", "allowed")}
            ok = carrier.status == "ok"
            stderr = self._error(gradient) if ok and np.isfinite(gradient).all() else None
            kept = None if carrier.value is None or not isfinite(value) else value
            return Estimate(
                **base,
                **ends,
                status=carrier.status,
                value=kept,  # type: ignore[arg-type]
                stderr=stderr,
                reason=carrier.reason,
            )

        return estimate


def _data_only(problem: Problem, x: FloatArray) -> Identifiability:
    return analyse(problem.jacobian(x)[: -len(problem.priors)])


def _with(estimate: Estimate, **changes: object) -> Estimate:
    import dataclasses

    return dataclasses.replace(estimate, **changes)  # type: ignore[arg-type]


def _verdict(
    base: dict[str, object],
    determined: bool,
    value: float,
    stderr: float,
    profile: Profile,
    bounds: Interval,
) -> Estimate:
    """Turn a profile into a status (design §5.8): ok only if the 95 % profile closes inside."""
    low, high = profile.low[95], profile.high[95]
    both = {"interval68": profile.interval(68), "interval95": profile.interval(95)}
    if determined and low.closed and high.closed:
        return Estimate(**base, **both, status="ok", value=value, stderr=stderr)  # type: ignore[arg-type]
    if determined and high.closed and isfinite(low.value) and low.value <= max(bounds[0], -inf) + 0:
        return Estimate(
            **base,
            **both,
            status="upper_limit",
            value=value,  # type: ignore[arg-type]
            reason="compatible with its lower bound",
        )
    if determined and low.closed and isfinite(high.value) and isfinite(bounds[1]):
        return Estimate(
            **base,
            **both,
            status="at_bound",
            value=value,  # type: ignore[arg-type]
            reason="compatible with its upper bound",
        )
    return Estimate(
        **base,
        status="undetermined",
        allowed=_allowed(profile, bounds),  # type: ignore[arg-type]
        reason=_why(profile, determined),
    )


def _allowed(profile: Profile, bounds: Interval) -> Interval:
    low, high = profile.low[68], profile.high[68]
    nought = low.value == 0.0 and bounds[0] >= 0.0
    return (
        low.value if low.closed or low.value == bounds[0] or nought else -inf,
        high.value if high.closed or high.value == bounds[1] else inf,
    )


def _why(profile: Profile, determined: bool) -> str:
    if determined:
        return "the data confine it on one side at best; the range is where χ² rises by at most 1"
    if profile.low[68].closed or profile.high[68].closed:
        return BOUNDS_NOT_DATA
    return "unbounded: nothing in the data confines it"
