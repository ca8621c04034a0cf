"""The verb contour: where two quantities may lie together, all other numbers refitted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import log

import numpy as np
from numpy.typing import NDArray

from powercal.errors import FitError
from powercal.fitting.again import rebuild
from powercal.fitting.pair import Pair, Walked, near_to, walk
from powercal.result import Estimate, FitResult

FloatArray = NDArray[np.float64]
_BENT = 0.8  # of √Δχ²: a longer chord cuts off a bend of the valley
_MISSED = 0.15  # likewise: rays that leave out more of the range have not seen the whole valley


@dataclass(frozen=True, slots=True, kw_only=True)
class ContourCurve:
    """One closed line of points at a level.

    Attributes
    ----------
    level, rise : float
        Probability, and the Δχ² of two degrees of freedom that belongs to it.
    points : ndarray, shape (n, 2)
        In SI, in order around the region; the last joins the first.
    status : tuple of str
        Per point: ``closed`` (χ² has risen to the level there), ``bound`` (a bound stopped it
        before) or ``unbounded`` (neither; the point is only as far as was looked).
    """

    level: float
    rise: float
    points: FloatArray
    status: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """Say where the region ends."""
        if "unbounded" in self.status:
            return f"unbounded in {self.status.count('unbounded')} of {len(self.status)} directions"
        if "bound" in self.status:
            return "closed by χ² except where it ends at a bound"
        return "closed by χ² all around"

    def extent(self, axis: int) -> tuple[float, float]:
        """Return the lowest and highest value of one of the two quantities."""
        return float(self.points[:, axis].min()), float(self.points[:, axis].max())


@dataclass(frozen=True, slots=True, kw_only=True)
class Contour:
    """Joint regions of two quantities.

    Attributes
    ----------
    names, units : tuple of str
        The two quantities.
    best : tuple of float
        Their values at the minimum, SI.
    correlation : float
        From the curvature at the minimum.
    logarithmic : tuple of bool
        Whether lines between points are straight in the logarithm.
    curves : tuple of ContourCurve
        One per level, in the order asked for.
    """

    model: str
    names: tuple[str, str]
    units: tuple[str, str]
    best: tuple[float, float]
    correlation: float
    logarithmic: tuple[bool, bool]
    curves: tuple[ContourCurve, ...]

    def __getitem__(self, level: float) -> ContourCurve:
        """Return the curve of a level."""
        for curve in self.curves:
            if curve.level == level:
                return curve
        known = ", ".join(f"{c.level:g}" for c in self.curves)
        raise FitError(f"there is no contour at the level {level}; computed were {known}")

    def contains(self, level: float, first: float, second: float) -> bool:
        """Whether the region of a level holds a pair of values (SI), its edge included."""
        curve = self[level]
        point = self._straight(np.array([[first, second]]))[0]
        return bool(_inside(self._straight(curve.points), point))

    def _straight(self, points: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.logarithmic, np.log(points), points)

    def __str__(self) -> str:
        """Return the contour as a page of text."""
        from powercal.text.samples import describe_contour

        return describe_contour(self)


def contour(
    result: FitResult,
    first: str,
    second: str,
    *,
    levels: Iterable[float] = (0.68, 0.95),
    points: int = 32,
) -> Contour:
    """Find where two quantities may lie together: Δχ² contours, all else refitted.

    Parameters
    ----------
    result : FitResult
        From :func:`powercal.fit` or :func:`powercal.read_report`.
    first, second : str
        Free parameters or derived quantities.
    levels : iterable of float
        Joint probabilities; Δχ² = −2 ln(1 − level) for two degrees of freedom, 2.28 and 5.99.
    points : int
        Points per level; bent valleys get up to twice as many.

    Returns
    -------
    Contour
        Polygons in SI, with a status per point.

    Raises
    ------
    FitError
        A quantity that is undetermined or held, two that say the same, or levels and points that
        make no sense.
    UnknownNameError
        A quantity that the result does not have.
    """
    wanted = tuple(float(v) for v in levels)
    _check(result, first, second, wanted, points)
    problem, x = rebuild(result)
    pair = Pair(problem, x, (first, second))
    curves = tuple(_curve(pair, level, points) for level in wanted)
    if pair.better is not None:
        start = {n: float(v) for n, v in problem.values(pair.better).items() if n in result.names}
        raise FitError(
            f"the contour met a deeper minimum than that of the fit; fit again from there: "
            f"start={start}"
        )
    return Contour(
        model=result.model,
        names=(first, second),
        units=(result[first].unit, result[second].unit),
        best=(problem.quantity(first, x), problem.quantity(second, x)),
        correlation=pair.correlation,
        logarithmic=pair.logarithmic,
        curves=curves,
    )


def _check(
    result: FitResult, first: str, second: str, levels: tuple[float, ...], points: int
) -> None:
    if not isinstance(result, FitResult):
        raise FitError(
            f"contour takes the result of one fit, not {type(result).__name__}; fit the one trace "
            f"with powercal.fit"
        )
    if first == second:
        raise FitError(f"a contour needs two quantities; {first} was given twice")
    if not levels or not all(0 < level < 1 for level in levels):
        raise FitError(f"levels are {levels}; they must be probabilities between 0 and 1")
    if points < 8:
        raise FitError(f"points is {points}; a contour needs 8 or more")
    for estimate in (result[first], result[second]):
        _check_estimate(estimate, result.nfree)


def _check_estimate(e: Estimate, freedom: int) -> None:
    if e.status == "fixed":
        raise FitError(f"{e.name} is held in this fit; free it, or choose another quantity")
    if e.status == "undetermined":
        low, high = e.allowed or (-np.inf, np.inf)
        raise FitError(
            f"{e.name} is not determined by these data (allowed: {low:.6g} … {high:.6g} "
            f"{e.unit}), so it has no contour; choose quantities that are determined"
        )
    if freedom <= 0 or e.value is None:
        raise FitError(f"{e.name} has no error in this fit ({e.reason}), so it has no contour")


# ---- one curve ----


def _curve(pair: Pair, level: float, points: int) -> ContourCurve:
    """Send out rays; where they miss the ends of a bent valley, cut it into slices instead."""
    rise = -2 * log(1 - level)
    ring = _by_rays(pair, rise, points)
    if not any(w.status == "unbounded" for w in ring):
        ends = [_ends(pair, k, rise) for k in (0, 1)]
        if any(_misses(pair, ring, k, ends[k], rise) for k in (0, 1)):
            sliced = [_by_slices(pair, rise, points, k, ends[k]) for k in (0, 1)]
            # Where a slice meets the valley twice, one branch and its area are lost.
            ring = max(sliced, key=lambda r: _area(pair, r))
    return ContourCurve(
        level=level,
        rise=rise,
        points=np.array([pair.to_si(w.q) for w in ring]),
        status=tuple(w.status for w in ring),
    )


def _by_rays(pair: Pair, rise: float, points: int) -> list[Walked]:
    """Walk from the best value in directions even in the covariance ellipse; divide long chords."""
    count = max(2 * points // 3, 8)
    ring: list[Walked] = []
    for angle in 2 * np.pi * (np.arange(count) + 0.25) / count:
        direction = pair.root @ np.array([np.cos(angle), np.sin(angle)])
        found = walk(pair, pair.best, direction, np.sqrt(rise), rise)
        if not ring or not np.allclose(pair.flat(found.q - ring[-1].q), 0.0, atol=1e-9):
            ring.append(found)
    ring = _with_corners(pair, ring, rise)
    _divide(pair, ring, rise, points)
    return ring


# ---- bent valleys ----


def _ends(pair: Pair, axis: int, rise: float) -> tuple[Walked, Walked]:
    """Walk along the floor of the valley to the lowest and highest value of one quantity."""
    unit, step = np.eye(2)[axis], float(np.sqrt(rise) * pair.sigma[axis])
    low, high = (walk(pair, pair.best, s * unit, step, rise, hold=(axis,)) for s in (-1.0, 1.0))
    return low, high


def _misses(
    pair: Pair, ring: list[Walked], axis: int, ends: tuple[Walked, Walked], rise: float
) -> bool:
    seen = [w.q[axis] for w in ring]
    missed = max(min(seen) - ends[0].q[axis], ends[1].q[axis] - max(seen))
    return bool(missed > _MISSED * np.sqrt(rise) * pair.sigma[axis])


def _by_slices(
    pair: Pair, rise: float, points: int, axis: int, ends: tuple[Walked, Walked]
) -> list[Walked]:
    """Cut the region across one quantity: on each slice walk from the floor to both walls."""
    across = np.eye(2)[1 - axis]
    upper, lower, known = [], [], list(ends)
    for angle in np.pi * np.arange(points // 2 + 1)[::-1] / (points // 2):
        towards = ends[1] if np.cos(angle) > 0 else ends[0]
        at = pair.best.q + abs(np.cos(angle)) * (towards.q - pair.best.q)
        near = min((pair.best, *known), key=lambda w: abs(w.q[axis] - at[axis]))
        floor = towards if abs(np.cos(angle)) == 1 else pair.at(at, near, hold=(axis,))
        known.append(floor)
        if floor.rise > rise or (floor is towards and towards.status == "closed"):
            walls = [floor]
        else:
            step = 0.5 * float(pair.sigma[1 - axis])
            walls = [walk(pair, floor, s * across, step, rise) for s in (-1.0, 1.0)]
        if floor is towards:
            walls = [replace(w, status=towards.status, axis=towards.axis) for w in walls]
        lower.append(walls[0])
        upper += walls[1:]
    ring = [*lower, *upper[::-1]]
    return _with_corners(pair, ring if axis == 0 else ring[::-1], rise)


def _area(pair: Pair, ring: list[Walked]) -> float:
    x, y = np.array([pair.flat(w.q) for w in ring]).T
    return 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))


# ---- bounds and long chords ----


def _with_corners(pair: Pair, ring: list[Walked], rise: float) -> list[Walked]:
    """Put in the points where the contour meets a bound: walk along the bound to find them."""
    out: list[Walked] = []
    for here, there in zip(ring, [*ring[1:], ring[0]], strict=True):
        out.append(here)
        if here.axis == there.axis:
            continue
        corner: Walked | None = None
        ends = ((here, there), (there, here)) if here.axis is None else ((here, there),)
        for on, other in ends:
            if on.axis is None:
                continue
            along = np.zeros(2)
            free = 1 - on.axis
            along[free] = np.sign(other.q[free] - on.q[free]) or 1.0
            step = max(abs(float(other.q[free] - on.q[free])), 1e-3 * float(pair.sigma[free]))
            corner = walk(pair, on, along, step, rise)
        if corner is not None:
            out.append(corner)
    return out


def _divide(pair: Pair, ring: list[Walked], rise: float, points: int) -> None:
    """Add points on the longest chords, along their normals: this follows a bent valley."""
    given_up: set[tuple[bytes, bytes]] = set()
    while len(ring) < 2 * points:
        chords = [
            (_length(pair, a, b), i)
            for i, (a, b) in enumerate(zip(ring, [*ring[1:], ring[0]], strict=True))
            if (a.q.tobytes(), b.q.tobytes()) not in given_up
        ]
        longest, i = max(chords, default=(0.0, 0))
        if longest == 0 or (len(ring) >= points and longest < _BENT * np.sqrt(rise)):
            return
        here, there = ring[i], ring[(i + 1) % len(ring)]
        found = _between(pair, here, there, longest, rise)
        if found is None:
            given_up.add((here.q.tobytes(), there.q.tobytes()))
        else:
            ring.insert(i + 1, found)


def _length(pair: Pair, a: Walked, b: Walked) -> float:
    """Length of a chord in standard deviations; 0 where it lies on a bound or leads nowhere."""
    if (a.axis is not None and a.axis == b.axis) or "unbounded" in (a.status, b.status):
        return 0.0
    return float(np.linalg.norm(pair.flat(b.q - a.q)))


def _between(pair: Pair, a: Walked, b: Walked, length: float, rise: float) -> Walked | None:
    """Return the point of the contour beyond the middle of a chord, outward or inward."""
    chord = pair.flat(b.q - a.q)
    normal = pair.root @ (np.array([chord[1], -chord[0]]) / length)  # rays go round to the left
    middle = near_to(pair, 0.5 * (a.q + b.q), (a, b))
    if middle.rise <= rise:
        found = walk(pair, middle, normal, 0.25 * length, rise)
        apart = min(_length(pair, found, a), _length(pair, found, b))
        return found if apart > 0.05 * length else None
    for share in (0.1, 0.25, 0.5, 1.0):  # the valley is bent inward here
        inner = near_to(pair, middle.q - share * length * normal, (a, b))
        if inner.rise < rise:
            return walk(pair, inner, normal, share * length, rise)
    return None


def _inside(polygon: FloatArray, point: FloatArray) -> bool:
    """Even-odd rule, in the polygon's own scale; the edge belongs to the inside."""
    scale = np.ptp(polygon, axis=0)
    a = (polygon - point) / np.where(scale > 0, scale, 1.0)
    b = np.roll(a, -1, axis=0)
    step = b - a
    share = np.clip(-np.sum(a * step, axis=1) / np.maximum(np.sum(step**2, axis=1), 1e-300), 0, 1)
    if np.min(np.linalg.norm(a + share[:, None] * step, axis=1)) < 1e-9:
        return True
    crosses = (a[:, 1] > 0) != (b[:, 1] > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        at = a[:, 0] - a[:, 1] * step[:, 0] / step[:, 1]
    return bool(np.sum(crosses & (at > 0)) % 2)
