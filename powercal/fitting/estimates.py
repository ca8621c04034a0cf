"""From a minimum to estimates: what is determined, with which error, and what is only confined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite, sqrt

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Derived, Parameter
from powercal.fitting.ends import Profile
from powercal.fitting.identifiability import Identifiability, analyse
from powercal.fitting.intervals import Profiler
from powercal.fitting.pieces import Coordinate
from powercal.fitting.problem import Problem
from powercal.fitting.regions import LEVELS, ends
from powercal.fitting.weights import with_noise_uncertainty
from powercal.result import Estimate, Interval

FloatArray = NDArray[np.float64]
BY_BOUNDS = "set by bounds, not by data"
BY_PRIOR = "rests on a prior"
NO_NOISE_KNOWN = "no more data than parameters: nothing tells the noise"
NOT_A_PARABOLA = (
    "the 68 % interval is {:.2g} times as wide as the curvature of χ² says: take the intervals"
)
CONSTANT = 1e-12  # of a quantity: what moves no more than this does not move
FAR_FROM_PARABOLA = 4.0  # an error bar that is a quarter of the truth is worse than none
# A rate four standard errors from none: noise alone feigns that once in 30,000 data sets.
HARDLY, NOT_AT_ALL, FACTOR = 0.25, 0.5, 10.0
NO_BAR = "hardly told from none (its logarithm is known to {:.2g}): take the intervals"
NO_SIZE = "not even its size is determined: its logarithm is known to {:.2g} by the data alone"
PLAIN = "a narrow hole in a wide plain of χ², as noise may feign it: take the intervals"
BENT = "a rate beside it is hardly known, and the valley of χ² bends: profile it"
NO_RANGES = "lies in a flat direction; ranges were not asked for"


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

    Returns
    -------
    Judged
        Estimates in the order of the table.
    """
    judging = _Judge(problem, x, chi2, freedom, profiles)
    table = {r.name: r for r in rows}
    parameters = judging.all_free([table[c.parameter] for c in problem.coordinates])
    free = {c.parameter for c in problem.coordinates}
    parameters += [_held(r, problem.fixed[r.name]) for r in rows if r.name not in free]
    order = {r.name: i for i, r in enumerate(rows)}
    parameters.sort(key=lambda e: order[e.name.split("[")[0]])
    derived = [
        judging.derived(d, {e.name: e for e in parameters})
        for d in problem.model.derived
        if not any(a in problem.members for a in d.arguments)
    ]
    return Judged(tuple(parameters), tuple(derived), judging.found, judging.profiler.better)


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
    """One minimum and all that is asked of it."""

    def __init__(
        self, problem: Problem, x: FloatArray, chi2: float, freedom: int, profiles: bool
    ) -> None:
        self.problem, self.x = problem, x
        jacobian = problem.jacobian(x)
        found = analyse(jacobian)
        self.known_noise = found.covariance
        wider = with_noise_uncertainty(problem, x, found.covariance)
        self.found = replace(found, covariance=wider)
        data_rows = jacobian.shape[0] - len(problem.priors)
        self.from_data = analyse(jacobian[:data_rows]) if problem.priors else self.found
        self.freedom, self.profiles = freedom, profiles
        self.profiler = Profiler(problem, x, chi2)
        logarithms = np.array([c.log for c in problem.coordinates], dtype=bool)
        errors = np.sqrt(np.maximum(np.diag(self.found.covariance), 0.0))
        self.profiler.bent = tuple(int(i) for i in np.flatnonzero(logarithms & (errors > HARDLY)))

    def _blank(self, name: str, unit: str, meaning: str) -> Estimate:
        priors = (p for p in self.problem.priors if p.name == name)
        prior = next(((p.mean, p.std) for p in priors), None)
        return Estimate(name=name, unit=unit, meaning=meaning, status="no_error", prior=prior)

    # ---- parameters ----

    def all_free(self, rows: Sequence[Parameter]) -> list[Estimate]:
        """Estimate the free coordinates, logarithms first: their walks show where valleys bend."""
        coordinates = self.problem.coordinates
        profiles: dict[int, Profile] = {}
        if self.profiles and self.freedom > 0:
            for i in sorted(range(len(rows)), key=lambda i: not coordinates[i].log):
                profiles[i] = self._profile(i)
            if self.profiler.bent:
                profiles = {i: self.profiler.widened(i, p) for i, p in profiles.items()}
        return [self.free(i, row, profiles.get(i)) for i, row in enumerate(rows)]

    def _profile(self, index: int) -> Profile:
        unit = np.eye(len(self.x))[index]
        determined = self.found.determines(unit)
        c = self.problem.coordinates[index]
        error = self._error(unit) if determined else self._reach(c, index)
        along = self._along(unit) if determined else None
        self.profiler.stretch = self._stretch(unit) if determined else 1.0
        return self.profiler.coordinate(index, error, along, determined)

    def free(self, index: int, row: Parameter, profile: Profile | None) -> Estimate:
        """Estimate a free coordinate."""
        c, xi = self.problem.coordinates[index], float(self.x[index])
        blank, value = self._blank(c.name, row.unit, row.meaning), c.to_si(xi)
        if self.freedom <= 0:
            return replace(blank, value=value, reason=NO_NOISE_KNOWN)
        unit = np.eye(len(self.x))[index]
        determined = self.found.determines(unit)
        error = self._error(unit)
        if profile is None:
            return self._from_covariance(blank, index, determined, error)
        stderr, share = error * c.slope(xi), error if c.log else None
        estimate = _verdict(blank, determined, value, stderr, profile, (c.low, c.high), share)
        doubtful = estimate.status == "ok" and self.profiler.bent and not c.log
        if doubtful and not self.profiler.is_steep(index, error, self._along(unit)):
            return replace(estimate, status="no_error", stderr=None, reason=PLAIN)
        return self._note_prior(estimate, unit)

    def _note_prior(self, estimate: Estimate, gradient: FloatArray) -> Estimate:
        if estimate.status == "ok" and not self.from_data.determines(gradient):
            return replace(estimate, reason=BY_PRIOR)
        return estimate

    def _error(self, gradient: FloatArray) -> float:
        return sqrt(max(float(gradient @ self.found.covariance @ gradient), 0.0)) or 1e-12

    def _along(self, gradient: FloatArray) -> FloatArray | None:
        """How the minimum moves per unit of a quantity that is held: C·g/(gᵀ·C·g)."""
        moved = self.known_noise @ gradient
        size = float(gradient @ moved)
        return np.asarray(moved / size) if size > 0 else None

    def _stretch(self, gradient: FloatArray) -> float:
        """How much larger a variance is because σ was estimated; Δχ² is measured in it."""
        plain = float(gradient @ self.known_noise @ gradient)
        return max(self._error(gradient) ** 2 / plain, 1.0) if plain > 0 else 1.0

    def _reach(self, c: Coordinate, index: int) -> float:
        """A first step along a flat direction: a tenth of a factor e, or of the value."""
        if c.log:
            return 0.1
        size = max(abs(c.to_si(float(self.x[index]))), 1e-3 * self.problem.size_of(c))
        return 0.1 * size / c.scale

    def _from_covariance(
        self, blank: Estimate, index: int, determined: bool, error: float
    ) -> Estimate:
        if not determined:
            return replace(blank, status="undetermined", reason=NO_RANGES)
        c, value = self.problem.coordinates[index], float(self.x[index])
        one, two = (self._straight_region(index, error, level) for level in LEVELS)
        estimate = replace(
            blank,
            value=c.to_si(value),
            interval68=one[:2],
            interval95=two[:2],
            reason="from the covariance",
        )
        at_low, at_high = two[2:]
        if at_low and at_high:
            return replace(blank, status="undetermined", allowed=(c.low, c.high), reason=BY_BOUNDS)
        if at_low or at_high:
            return replace(estimate, status="upper_limit" if at_low else "at_bound")
        if c.log and error > HARDLY:
            return _hardly(estimate, blank, error, one[:2])
        if self.profiler.bent and c.low == 0.0:
            return replace(estimate, status="no_error", reason=BENT)
        return replace(estimate, status="ok", stderr=error * c.slope(value))

    def _straight_region(
        self, index: int, error: float, level: int
    ) -> tuple[float, float, bool, bool]:
        """Return both ends (SI) where χ² is a parabola, and whether each is the bound itself."""
        c, value = self.problem.coordinates[index], float(self.x[index])
        bounds = (float(b[index]) for b in (self.problem.lower, self.problem.upper))
        below, above = (self.profiler.straight_room(index, error, b) for b in bounds)
        reach = ends(below, above, level)
        at_low, at_high = bool(np.isnan(reach.low)), bool(np.isnan(reach.high))
        low = c.low if at_low else c.to_si(value - float(reach.low) * error)
        high = c.high if at_high else c.to_si(value + float(reach.high) * error)
        return low, high, at_low, at_high

    # ---- derived quantities ----

    def derived(self, d: Derived, known: dict[str, Estimate]) -> Estimate:
        """Estimate a derived quantity through the covariance, or its own profile."""
        blank = self._blank(d.name, d.unit, d.meaning)
        value = self.problem.quantity(d.name, self.x)
        gradient = self.problem.gradient(d.name, self.x)
        inside = [known[a] for a in d.arguments if a in known]
        # What cancels out of a quantity leaves rounding behind, not an error bar.
        constant = float(np.max(np.abs(gradient), initial=0.0)) <= CONSTANT * abs(value)
        if all(e.status == "fixed" for e in inside) or constant:
            return replace(blank, status="fixed", value=value, reason="follows from assumptions")
        if self.freedom <= 0:
            return replace(blank, value=value, reason=NO_NOISE_KNOWN)
        carrier = self._single_carrier(d, gradient, known)
        if carrier is not None:
            return self._carried(blank, d, value, gradient, carrier, known[carrier.name])
        if not np.isfinite(gradient).all() or not isfinite(value):
            kept = value if isfinite(value) else None
            return replace(blank, value=kept, reason="not differentiable at the best fit")
        estimate = self._derived_interval(d, blank, value, gradient)
        return self._note_prior(estimate, gradient)

    def _derived_interval(
        self, d: Derived, blank: Estimate, value: float, gradient: FloatArray
    ) -> Estimate:
        determined, stderr = self.found.determines(gradient), self._error(gradient)
        logarithmic = d.scale == "log" and value > 0
        if not self.profiles:
            if not determined:
                return replace(blank, status="undetermined", reason=NO_RANGES)
            one, two = ((value - k * stderr, value + k * stderr) for k in (1.0, 1.96))
            estimate = replace(blank, value=value, interval68=one, interval95=two)
            if self.profiler.bent and logarithmic and stderr / value > HARDLY:
                return _hardly(estimate, blank, stderr / value, one)
            return replace(estimate, status="ok", stderr=stderr)
        step = stderr / value if logarithmic else stderr
        if not determined:
            step = 0.1 if logarithmic else self._first_step(value, gradient)
        along = self._along(gradient / value if logarithmic else gradient) if determined else None
        self.profiler.stretch = self._stretch(gradient) if determined else 1.0
        profile = self.profiler.derived(d.name, step, logarithmic, along)
        floor = 0.0 if logarithmic else -inf
        share = stderr / value if logarithmic and self.profiler.bent else None
        return _verdict(blank, determined, value, stderr, profile, (floor, inf), share)

    def _first_step(self, value: float, gradient: FloatArray) -> float:
        """A first step of a quantity along flat directions, in its own unit, however small."""
        reach = [self._reach(c, i) for i, c in enumerate(self.problem.coordinates)]
        return max(0.1 * abs(value), float(np.max(np.abs(gradient * reach))))

    def _single_carrier(
        self, d: Derived, gradient: FloatArray, known: dict[str, Estimate]
    ) -> Coordinate | None:
        """Return the one coordinate a quantity rides on, where all others hardly move it."""
        weight = np.abs(gradient) / self.found.scale
        weight = np.where(np.isfinite(weight), weight, np.inf)
        leading = int(np.argmax(weight))
        c = self.problem.coordinates[leading]
        others = float(np.delete(weight, leading).sum())
        rides = c.name in known and c.name in d.arguments
        return c if rides and others <= 1e-3 * weight[leading] else None

    def _carried(
        self,
        blank: Estimate,
        d: Derived,
        value: float,
        gradient: FloatArray,
        c: Coordinate,
        carrier: Estimate,
    ) -> Estimate:
        """Map the carrier's intervals through the function: profiles do not mind a new scale."""
        mapped = self._mapping(d, c)
        ok = carrier.status == "ok" and bool(np.isfinite(gradient).all())
        return replace(
            blank,
            status=carrier.status,
            value=None if carrier.value is None or not isfinite(value) else value,
            stderr=self._error(gradient) if ok else None,
            interval68=mapped(carrier.interval68),
            interval95=mapped(carrier.interval95),
            allowed=mapped(carrier.allowed),
            reason=carrier.reason,
        )

    def _mapping(self, d: Derived, c: Coordinate) -> Callable[[Interval | None], Interval | None]:
        values = self.problem.values(self.x)

        def through(v: float) -> float:
            with np.errstate(all="ignore"):
                return float(d.function(**{a: (values | {c.name: v})[a] for a in d.arguments}))

        def mapped(interval: Interval | None) -> Interval | None:
            if interval is None:
                return None
            low, high = sorted(through(v) for v in interval)
            return low, high

        return mapped


def _verdict(
    blank: Estimate,
    determined: bool,
    value: float,
    stderr: float,
    profile: Profile,
    bounds: Interval,
    share: float | None,
) -> Estimate:
    """Turn a profile into a status: ok only if the 95 % profile closes inside the bounds.

    ``share`` is the standard error of a logarithm: what is that uncertain has no error bar.
    """
    low, high = profile.low[95], profile.high[95]
    full = replace(
        blank, value=value, interval68=profile.interval(68), interval95=profile.interval(95)
    )
    if determined and low.closed and high.closed:
        wide = (full.interval68[1] - full.interval68[0]) / (2 * stderr) if full.interval68 else 1.0
        if wide > FAR_FROM_PARABOLA:
            return replace(full, status="no_error", reason=NOT_A_PARABOLA.format(wide))
        if share is not None and share > HARDLY:
            return _hardly(full, blank, share, _allowed(profile, bounds))
        return replace(full, status="ok", stderr=stderr)
    if determined and high.closed and isfinite(low.value) and low.value <= bounds[0]:
        return replace(full, status="upper_limit", reason="compatible with its lower bound")
    if determined and low.closed and isfinite(high.value) and isfinite(bounds[1]):
        return replace(full, status="at_bound", reason="compatible with its upper bound")
    return replace(
        blank,
        status="undetermined",
        allowed=_allowed(profile, bounds),
        reason=_why(profile, determined),
    )


def _hardly(full: Estimate, blank: Estimate, share: float, allowed: Interval) -> Estimate:
    """A rate that is hardly told from none has intervals, or no number at all."""
    low, high = full.interval95 or (0.0, inf)
    if share > NOT_AT_ALL or high > FACTOR * low:
        return replace(blank, status="undetermined", allowed=allowed, reason=NO_SIZE.format(share))
    return replace(full, status="no_error", reason=NO_BAR.format(share))


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
        return BY_BOUNDS
    return "unbounded: nothing in the data confines it"
