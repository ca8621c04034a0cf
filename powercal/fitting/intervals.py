"""Profile intervals: how far a quantity can move before χ² rises, all other numbers refitted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from math import inf, sqrt
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from powercal.fitting.ends import End, Profile, end_in_si, levels_beside
from powercal.fitting.levenberg import Minimum, minimise, search_held
from powercal.fitting.problem import Problem
from powercal.fitting.regions import LEVELS, NEAR

FloatArray = NDArray[np.float64]
Point = tuple[float, float, FloatArray]  # where, rise of χ², all coordinates
Along = Callable[[float, FloatArray], tuple[float, FloatArray]]
FAR = 9.0  # in logarithms: what may differ by a factor 8000 is called unbounded
FAR_DB = 60.0
FAR_STEPS = 1e10  # first steps of a linear coordinate: beyond, a sum of two is rounding
_STIFF = 1e5  # a derived quantity is held by a row this stiff: its Δχ² is 1e-10 of a unit
_FALSE_WALLS = 12  # how often a profile may get stuck and go on
_HIGH = 0.5  # Δχ² above which a step in a bent valley is tried from elsewhere too
_AFAR = (-5.0, -2.0, 2.0, 5.0)  # in logarithms, by which it is tried
_STEEP, _STEPS = 16.0, 6.0  # Δχ² that a real hole has, so many standard errors away
_NOTABLE = 0.02  # of its length, by which a region must be too short to be made longer


class Profiler:
    """Profiles of one problem about one minimum; remembers a better minimum if it meets one."""

    def __init__(self, problem: Problem, x: FloatArray, chi2: float) -> None:
        self.problem, self.x, self.chi2 = problem, x, chi2
        self.better: FloatArray | None = None
        # Δχ² counts in units of this: above 1 where σ is an estimate from few points.
        self.stretch = 1.0
        # Logarithms that the data hardly know: along these the valley of χ² bends.
        self.bent: tuple[int, ...] = ()
        self.visited: list[tuple[float, FloatArray]] = [(0.0, x)]

    def coordinate(
        self, index: int, step: float, slope: FloatArray | None = None, determined: bool = True
    ) -> Profile:
        """Profile a free coordinate; ``step`` (solver units) is a first guess of its error.

        ``slope`` is how the minimum moves along per unit of the coordinate, where that is known.
        Where the coordinate is ``determined``, beside a bound the levels are those of
        :mod:`powercal.fitting.regions`.
        """
        c = self.problem.coordinates[index]

        def at(target: float, start: FloatArray) -> tuple[float, FloatArray]:
            moved = start.copy()
            moved[index] = target
            held = np.arange(start.size) == index
            rise, x = self._value(self._minimum(moved, held))
            for other in self._elsewhere(moved, index) if rise > _HIGH else ():
                rise, x = min((rise, x), self._value(self._minimum(other, held)), key=itemgetter(0))
            return rise, x

        bounds = self._bounds(index)
        linear = FAR_DB / c.scale if c.name.endswith("_db") else FAR_STEPS * abs(step)
        reach = FAR if c.log else linear
        origin = (float(self.x[index]), 0.0, self.x)
        levels = (LEVELS, LEVELS)
        if determined:
            rooms = [self._room(at, index, step, bound, slope) for bound in bounds]
            levels = levels_beside(*rooms)
        low, high = (
            self._side(at, origin, sign * step, bounds, reach, slope, own)
            for sign, own in zip((-1.0, 1.0), levels, strict=True)
        )
        si = {
            k: {n: End(end_in_si(c, e.value, bounds), e.closed) for n, e in side.items()}
            for k, side in (("low", low), ("high", high))
        }
        return Profile(si["low"], si["high"], self.better, levels)

    def widened(self, index: int, profile: Profile) -> Profile:
        """Let a region hold every point that was seen below its Δχ², by whatever search."""
        c = self.problem.coordinates[index]
        sides = []
        for sign, ends, rises in zip(
            (-1, 1), (profile.low, profile.high), profile.rises, strict=True
        ):
            wider = dict(ends)
            for level, end in ends.items():
                inside = [x[index] for rise, x in self.visited if rise <= rises[level]]
                far = c.to_si(float(sign * max((sign * v for v in inside), default=-inf)))
                if sign * (far - end.value) > _NOTABLE * abs(far - c.to_si(float(self.x[index]))):
                    wall = c.low if sign < 0 else c.high
                    wider[level] = End(far, far != wall)
            sides.append(wider)
        return replace(profile, low=sides[0], high=sides[1])

    def is_steep(self, index: int, error: float, slope: FloatArray | None) -> bool:
        """Whether χ² rises by sixteen within six standard errors, or up to a bound, either way.

        Where a valley bends, noise feigns a narrow hole in a wide plain once in some hundred fits.
        """
        p, c = self.problem, self.problem.coordinates[index]
        held = np.arange(self.x.size) == index
        for sign in (-1.0, 1.0):
            target = float(np.clip(self.x[index] + sign * _STEPS * error, *self._bounds(index)))
            if c.to_si(target) in (c.low, c.high):
                continue
            moved = self.x + (target - self.x[index]) * (0.0 if slope is None else slope)
            moved[index] = target
            starts = (np.clip(moved, p.lower, p.upper), *self._elsewhere(moved, index))
            if min(self._value(self._minimum(s, held))[0] for s in starts) < _STEEP:
                return False
        return True

    def _bounds(self, index: int) -> tuple[float, float]:
        return float(self.problem.lower[index]), float(self.problem.upper[index])

    def _elsewhere(self, start: FloatArray, index: int) -> Iterator[FloatArray]:
        """Yield starts farther along where a valley bends: from its near end it is not found."""
        for i in (i for i in self.bent if i != index):
            for share in _AFAR:
                moved = start.copy()
                moved[i] += share
                yield np.clip(moved, self.problem.lower, self.problem.upper)

    def derived(
        self, name: str, step: float, logarithmic: bool, slope: FloatArray | None = None
    ) -> Profile:
        """Profile a derived quantity through a stiff row that holds it."""
        value = self.problem.quantity(name, self.x)
        to, back = (np.log, np.exp) if logarithmic else (float, float)

        def at(target: float, start: FloatArray) -> tuple[float, FloatArray]:
            def gap(x: FloatArray) -> float:
                found = self.problem.quantity(name, x)
                return (float(to(found)) if found > 0 or not logarithmic else -600.0) - target

            def steepness(x: FloatArray) -> FloatArray:
                gradient = self.problem.gradient(name, x)
                return gradient / self.problem.quantity(name, x) if logarithmic else gradient

            return self._constrained(gap, steepness, start, step)

        centre = float(to(value))

        def walk(sign: float) -> dict[int, End]:
            first = self._farthest(name, to, sign)
            reach = max(FAR - abs(first[0] - centre), 0.0) if logarithmic else inf
            near = first[0] == centre
            return self._side(at, first, sign * step, (-inf, inf), reach, slope if near else None)

        low, high = walk(-1.0), walk(1.0)
        sides = [
            {
                n: End(
                    float(back(e.value))
                    if abs(e.value) < 600 or not logarithmic
                    else (inf if e.value > 0 else 0.0),
                    e.closed,
                )
                for n, e in side.items()
            }
            for side in (low, high)
        ]
        return Profile(sides[0], sides[1], self.better)

    def _farthest(self, name: str, to: Callable[[float], float], sign: float) -> Point:
        """Return the point already seen inside Δχ² ≤ 1 where a derived quantity is most extreme.

        Valleys are long and bent: a walk that starts at their far end does not get stuck midway.
        """
        best = (float(to(self.problem.quantity(name, self.x))), 0.0, self.x)
        for rise, x in self.visited:
            value = self.problem.quantity(name, x)
            if rise <= LEVELS[68] and np.isfinite(value) and (value > 0 or to is float):
                here = float(to(value))
                if sign * here > sign * best[0]:
                    best = (here, rise, x)
        return best

    # ---- room beside a bound ----

    def _room(
        self, at: Along, index: int, error: float, bound: float, slope: FloatArray | None
    ) -> float:
        """Distance of the unbounded best value from a bound in standard deviations: √Δχ² there."""
        straight = self.straight_room(index, error, bound)
        if straight <= 0 or (straight > 2 * NEAR and not (self.bent and np.isfinite(bound))):
            return straight
        moved = self.x if slope is None else self.x + slope * (bound - self.x[index])
        rise, _ = at(bound, np.clip(moved, self.problem.lower, self.problem.upper))
        return sqrt(rise)

    def straight_room(self, index: int, error: float, bound: float) -> float:
        """Return the same by the covariance alone; exact where the value rests on the bound."""
        gap = abs(float(self.x[index]) - bound)
        return gap / abs(error) if gap > 0 else -self._pull(index)

    def _pull(self, index: int) -> float:
        """How far beyond its bound a coordinate wants to go, in its standard deviations.

        Beside the bound Δχ² = m² + 2bm for a distance of m standard deviations, b of them the
        pull: half the slope of χ² there. Others that rest on a bound stay there.
        """
        p = self.problem
        jacobian, residual = p.jacobian(self.x), p.residual(self.x)
        kept = (self.x > p.lower) & (self.x < p.upper)
        kept[index] = True
        normal = jacobian[:, kept].T @ jacobian[:, kept]
        mine = int(kept[:index].sum())
        variance = float(np.linalg.pinv(normal, hermitian=True)[mine, mine])
        slope = abs(float(jacobian[:, index] @ residual))
        return slope * sqrt(max(variance, 0.0) / self.stretch)

    # ---- one side ----

    def _side(
        self,
        at: Along,
        first: Point,
        step: float,
        bounds: tuple[float, float],
        most: float,
        slope: FloatArray | None = None,
        levels: Mapping[int, float] = LEVELS,
    ) -> dict[int, End]:
        """Walk outward until χ² has risen enough or a bound is met, past walls that were none.

        A level that is NaN ends at the bound, whatever χ² does on the way.
        """
        bound = bounds[0] if step < 0 else bounds[1]
        sought = {level: rise for level, rise in levels.items() if rise == rise}
        ends = {level: End(bound, False) for level in levels}
        known, reach = [first], step
        for _ in range(_FALSE_WALLS if sought else 0):
            self._walk(at, known, reach, bound, most, slope, max(sought.values()))
            ends |= {level: self._crossing(at, known, rise) for level, rise in sought.items()}
            reach = 1.5 * self._false_wall(at, known)
            if reach == 0:
                break
        return ends

    def _walk(
        self,
        at: Along,
        known: list[Point],
        reach: float,
        bound: float,
        most: float,
        slope: FloatArray | None,
        top: float,
    ) -> None:
        """Add points at doubling distances until χ² has risen by the larger level, or a bound."""
        origin = known[0][0]
        for _ in range(60):
            target = origin + reach
            stopped = (target <= bound) if reach < 0 else (target >= bound)
            target = bound if stopped else target
            rise, x = at(target, self._ahead(known, target, slope))
            known.append((target, rise, x))
            self.visited.append((rise, x))
            if stopped or rise > top:
                break
            if abs(reach) >= most and rise < LEVELS[68]:
                known.append((-inf if reach < 0 else inf, rise, x))
                break
            longer = reach * self._growth(rise, known, top)
            # As far as counts for unbounded, but there a look is taken first.
            reach = longer if abs(reach) >= most else float(np.clip(longer, -most, most))

    def _false_wall(self, at: Along, known: list[Point]) -> float:
        """Return how far to go on (0: not at all) where χ² jumped because a search got stuck.

        χ² is continuous along a profile: a jump is tried again from the near side, and taken out
        of the known points if χ² is low there after all.
        """
        wall = next((i for i, k in enumerate(known) if k[1] > LEVELS[68]), 0)
        if wall == 0 or known[wall - 1][1] > 0.5 * LEVELS[68]:
            return 0.0
        near, far = known[wall - 1], known[wall]
        rise, x = at(far[0], near[2])
        if rise > LEVELS[68]:
            return 0.0
        known[wall:] = [(far[0], rise, x)]
        return far[0] - known[0][0]

    def _ahead(
        self,
        known: list[Point],
        target: float,
        slope: FloatArray | None,
    ) -> FloatArray:
        """Extrapolate the last two minima: a long valley is followed, not found again each time."""
        last = known[-1]
        if len(known) < 2 or known[-1][0] == known[-2][0]:
            ahead = last[2] if slope is None else last[2] + slope * (target - last[0])
            return np.clip(ahead, self.problem.lower, self.problem.upper)
        before = known[-2]
        share = (target - last[0]) / (last[0] - before[0])
        ahead = last[2] + share * (last[2] - before[2])
        return np.clip(ahead, self.problem.lower, self.problem.upper)

    @staticmethod
    def _growth(rise: float, known: list[Point], top: float) -> float:
        if rise < 0.05:
            return 2.0 if len(known) < 8 else 4.0
        return float(min(2.0, max(1.15, 1.02 * np.sqrt(top / rise))))

    def _crossing(self, at: Along, known: list[Point], level: float) -> End:
        """Find where the rise passes a level between two known points (√Δχ² is nearly straight)."""
        above = next((i for i, k in enumerate(known) if k[1] > level), None)
        if above is None:
            return End(known[-1][0], False)
        near, far, probes = known[above - 1], known[above], []
        for count in range(40):
            a, b = np.sqrt(max(near[1], 0.0)), np.sqrt(far[1])
            share = (np.sqrt(level) - a) / (b - a)
            if count > 2 and count % 2:  # a kink where a bound sets in defeats the secant: halve
                share = 0.5
            share = float(np.clip(share, 0.02, 0.98))
            target = near[0] + share * (far[0] - near[0])
            rise, x = at(target, near[2] + share * (far[2] - near[2]))
            probes.append((target, rise, x))
            if abs(rise - level) < 0.01 * level or abs(far[0] - near[0]) < 1e-7 * abs(target):
                break
            if rise > level:
                far = (target, rise, x)
            else:
                near = (target, rise, x)
        else:
            target = 0.5 * (near[0] + far[0])
        outward = np.sign(known[above][0] - known[0][0])
        known[above:above] = probes
        known.sort(key=lambda k: outward * k[0])
        return End(target, True)

    # ---- minima ----

    def _minimum(self, start: FloatArray, held: NDArray[np.bool_]) -> Minimum:
        return search_held(self.problem, start, held)

    def _value(self, found: Minimum) -> tuple[float, FloatArray]:
        if found.chi2 < self.chi2 - 1e-3 and self.better is None:
            self.better = found.x
        return max(found.chi2 - self.chi2, 0.0) / self.stretch, found.x

    def _constrained(
        self,
        gap: Callable[[FloatArray], float],
        slope: Callable[[FloatArray], FloatArray],
        start: FloatArray,
        unit: float,
    ) -> tuple[float, FloatArray]:
        p, stiff = self.problem, _STIFF / abs(unit)
        found = minimise(
            lambda x: np.append(p.residual(x), stiff * gap(x)),
            lambda x: np.vstack([p.jacobian(x), stiff * slope(x)]),
            start,
            p.lower,
            p.upper,
            iterations=60,
            tolerance=1e-9,
            damping=1e-12,
        )
        miss = abs(gap(found.x)) / abs(unit)
        r = p.residual(found.x)
        chi2 = float(r @ r)
        # A target that no admissible point reaches counts as infinitely unlikely.
        return (inf if miss > 1e-2 else self._value(Minimum(found.x, chi2, True, 0))[0]), found.x
