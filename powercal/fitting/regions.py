"""Confidence regions beside a bound that cover whatever they turn out to be: limit or interval.

Choosing between an upper limit and an interval after looking at the data under-covers. Feldman and
Cousins (Phys. Rev. D 57, 3873, 1998) decide by likelihood ratio instead: a value μ belongs to the
region if Δχ²(μ), counted from the best *allowed* value, does not exceed what it exceeds with
probability 1 − CL where μ is true. Far from a bound that is 1 (68 %) and 3.84 (95 %); near one it
is less, and the region's end is found at this other level of the same profile of χ².

All lengths here are in standard deviations: ``room`` is the distance of the unbounded best value
from a bound, negative where the best value lies beyond it, infinite where there is none. On a
profile of χ² that is no parabola, √Δχ² takes the place of the distance.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

LEVELS = {68: 1.0, 95: 3.841458820694124}  # Δχ² far from any bound
# Φ(1) − Φ(−1) and 0.95: what these levels mean.
CONTENT = {68: 0.6826894921370859, 95: 0.95}
NEAR = 4.5  # farther from a bound than this it changes no region: 2√3.84 = 3.92
_HALVINGS = 28  # of lengths up to 4.5: to 2e-8
_TOGETHER = 2000


class Region(NamedTuple):
    """Levels of Δχ² at both ends of a region; NaN where the end is the bound itself."""

    low: FloatArray
    high: FloatArray


def region(below: ArrayLike, above: ArrayLike, level: int) -> Region:
    """Return at which Δχ² the region ends on either side.

    Parameters
    ----------
    below, above : array_like
        Room between the unbounded best value and the lower and the upper bound, in standard
        deviations; negative where the value lies beyond the bound.
    level : int
        68 or 95.

    Returns
    -------
    Region
        Δχ² (from the best allowed value) of the lower and the upper end.
    """
    below, above = np.broadcast_arrays(
        np.asarray(below, dtype=float), np.asarray(above, dtype=float)
    )
    low, high = np.full(below.shape, LEVELS[level]), np.full(below.shape, LEVELS[level])
    one = (below < NEAR) & ~(above < NEAR)
    if one.any():
        toward, away = _beside_one(below[one], level)
        low[one], high[one] = toward, away
    other = (above < NEAR) & ~(below < NEAR)
    if other.any():
        toward, away = _beside_one(above[other], level)
        high[other], low[other] = toward, away
    both = (below < NEAR) & (above < NEAR)
    if both.any():
        low[both], high[both] = _between(below[both], above[both], level)
    return Region(low, high)


def ends(below: ArrayLike, above: ArrayLike, level: int) -> Region:
    """Return how far the region reaches from the best allowed value where χ² is a parabola.

    Parameters
    ----------
    below, above, level
        As for :func:`region`.

    Returns
    -------
    Region
        Distances in standard deviations; NaN where the end is the bound itself.
    """
    found = region(below, above, level)
    # Beyond a bound Δχ² = m² + 2bm, where b is how far the unbounded best value lies beyond it.
    beyond_low = np.maximum(-np.asarray(below, dtype=float), 0.0)
    beyond_high = np.maximum(-np.asarray(above, dtype=float), 0.0)
    return Region(
        np.sqrt(beyond_high**2 + found.low) - beyond_high,
        np.sqrt(beyond_low**2 + found.high) - beyond_low,
    )


def critical(below: ArrayLike, above: ArrayLike, level: int) -> FloatArray:
    """Return the Δχ² that a true value exceeds with probability 1 − CL.

    Parameters
    ----------
    below, above : array_like
        Distance of the true value from the lower and the upper bound (≥ 0, may be infinite).
    level : int
        68 or 95.
    """
    from scipy.special import ndtr

    d, e = np.broadcast_arrays(np.asarray(below, dtype=float), np.asarray(above, dtype=float))
    least, most = np.zeros(d.shape), np.full(d.shape, LEVELS[level])
    wide = (d * d >= most) & (e * e >= most)
    for _ in range(_HALVINGS):
        middle = 0.5 * (least + most)
        inside = ndtr(_reach(middle, e)) - ndtr(-_reach(middle, d))
        enough = inside >= CONTENT[level]
        most, least = np.where(enough, middle, most), np.where(enough, least, middle)
    return np.where(wide, LEVELS[level], most)


def _reach(q: FloatArray, room: FloatArray) -> FloatArray:
    """How far from the true value a measured one may lie before Δχ² exceeds q.

    Beyond the bound Δχ² grows only linearly, for the best allowed value stays where it is.
    """
    with np.errstate(divide="ignore", over="ignore"):
        beyond = 0.5 * (room + np.where(q > 0, q, 0.0) / room)
    return np.where(np.sqrt(q) <= room, np.sqrt(q), beyond)


def _rise(measured: FloatArray, distance: FloatArray) -> FloatArray:
    """Δχ² at a distance above the lower bound, for a value measured at ``measured`` above it."""
    inside = (distance - measured) ** 2
    return np.where(measured >= 0, inside, distance * (distance - 2 * measured))


def _ends(
    measured: FloatArray, width: FloatArray | float, span: FloatArray | float, limits: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Δχ² at both ends, for allowed values from 0 to ``width``; NaN where an end is the bound.

    ``limits`` holds critical Δχ² at equal steps of the distance from 0 to ``span``, one row for all
    or one each.
    """
    best = np.clip(measured, 0.0, width)
    over = measured > width

    def rise(distance: FloatArray) -> FloatArray:
        mirrored = _rise(np.where(over, width - measured, 0.0), np.where(over, width - distance, 0))
        return np.where(over, mirrored, _rise(measured, distance))

    def accepted(distance: FloatArray) -> NDArray[np.bool_]:
        return np.asarray(rise(distance) <= _between_steps(distance / span, limits))

    def end(wall: FloatArray) -> FloatArray:
        inside, outside = best.copy(), wall.copy()
        at_wall = accepted(wall)
        for _ in range(_HALVINGS):
            middle = 0.5 * (inside + outside)
            good = accepted(middle)
            inside, outside = np.where(good, middle, inside), np.where(good, outside, middle)
        return np.where(at_wall, np.nan, rise(inside))

    # Where the upper bound is far this is no bound, and never accepted.
    return end(np.zeros_like(best)), end(np.minimum(width, best + NEAR))


def _between_steps(share: FloatArray, rows: FloatArray) -> FloatArray:
    """Interpolate each row at its share of the whole length."""
    last = rows.shape[1] - 1
    at = np.clip(np.nan_to_num(share), 0.0, 1.0) * last
    left = np.minimum(at.astype(np.intp), last - 1)
    row = np.arange(share.size) if rows.shape[0] > 1 else np.zeros(share.size, dtype=np.intp)
    near, far = rows[row, left], rows[row, left + 1]
    return np.asarray(near + (at - left) * (far - near))


def _between(below: FloatArray, above: FloatArray, level: int) -> tuple[FloatArray, FloatArray]:
    """Return the levels where both bounds are near, a few thousand fits at a time."""
    low, high = np.empty(below.size), np.empty(below.size)
    for first in range(0, below.size, _TOGETHER):
        part = slice(first, first + _TOGETHER)
        width = np.maximum(below[part] + above[part], 1e-12)
        distance = np.linspace(0.0, 1.0, 201) * width[:, None]
        limits = critical(distance, width[:, None] - distance, level)
        low[part], high[part] = _ends(below[part], width, width, limits)
    return low, high


@cache
def _table(level: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Levels beside one bound against (the asinh of) the room there, to 1e-5."""
    limits = critical(np.linspace(0.0, NEAR, 4001), np.inf, level)[None, :]
    step = np.arange(np.arcsinh(-2e4), np.arcsinh(NEAR) + 0.004, 0.004)
    return step, *_ends(np.sinh(step), np.inf, NEAR, limits)


def _beside_one(room: FloatArray, level: int) -> tuple[FloatArray, FloatArray]:
    """Levels toward the one near bound, and away from it."""
    step, toward, away = _table(level)
    at = np.arcsinh(np.maximum(room, -1e4))
    # Below this room the end toward the bound *is* the bound: the one-sided quantile.
    limit = _one_sided(level)
    known = np.where(np.isnan(toward), limit**2, toward)
    near = np.where(room <= limit, np.nan, np.interp(at, step, known))
    return near, np.interp(at, step, away)


@cache
def _one_sided(level: int) -> float:
    from scipy.special import ndtri

    return float(ndtri(CONTENT[level]))
