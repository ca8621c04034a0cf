"""Stacks of traces for starting values: one row per trace, gaps as NaN, a tile of rows at a time.

``traces.attrs["batch_dims"]``, a JSON list of dimensions, says which dimensions count traces; all
others are points of one trace. Without it the stack has one row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.schema import DeviceTraces

Array = NDArray[Any]
FloatArray = NDArray[np.float64]
Rows = slice | NDArray[np.intp]

BATCH_DIMS = "batch_dims"
TILE = 512  # rows at a time: what is computed for them stays in the cache


def batch_dims(traces: DeviceTraces) -> tuple[str, ...]:
    """Return the dimensions that count traces."""
    return tuple(json.loads(traces.attrs.get(BATCH_DIMS, "[]")))


class Stack:
    """Variables of traces as rows of points, and the parameters that are held.

    Parameters
    ----------
    traces : DeviceTraces
        Data at the device.
    names : sequence of str
        The variables, all broadcast against each other.
    fixed : mapping
        Values that are held: numbers, or arrays over the batch dimensions.
    last : sequence of str
        Point dimensions that come last in a row; otherwise they keep the order in which the
        variables bring them.

    Attributes
    ----------
    shape : tuple of int
        Sizes of the batch dimensions; ``()`` for a single trace.
    points : tuple of int
        Sizes of the point dimensions.
    """

    def __init__(
        self,
        traces: DeviceTraces,
        names: tuple[str, ...],
        fixed: Mapping[str, Any],
        last: tuple[str, ...] = (),
    ) -> None:
        rows = batch_dims(traces)
        every = dict.fromkeys(str(d) for n in names for d in traces[n].dims)
        along = sorted((d for d in every if d not in rows), key=lambda d: d in last)
        self.shape = tuple(int(traces.sizes[d]) for d in rows)
        self.points = tuple(int(traces.sizes[d]) for d in along)
        self.size, self.single = prod(self.shape), not rows
        self.names, self.fixed = names, dict(fixed)
        self._fields = {n: self._open(traces[n], (*rows, *along)) for n in names}

    def _open(self, variable: Any, dims: tuple[str, ...]) -> Array:
        """Return a variable with one axis of rows, of length 1 if it has no batch dimension."""
        held = [d for d in dims if d in variable.dims]
        sizes, count = [variable.sizes.get(d, 1) for d in dims], len(self.shape)
        values, points = variable.transpose(*held).values.reshape(sizes), sizes[count:]
        if prod(sizes[:count]) == 1:
            return np.asarray(values.reshape(1, *points))
        return np.broadcast_to(values, (*self.shape, *points)).reshape(self.size, *points)

    def field(self, name: str, rows: Rows) -> Array:
        """Return rows of one variable, of shape (rows or 1, *points or 1 each)."""
        values = self._fields[name]
        return values[rows] if len(values) > 1 else values

    def flat(self, name: str, rows: Rows) -> Array:
        """Return rows of one variable, of shape (rows or 1, points)."""
        values = self.field(name, rows)
        return np.broadcast_to(values, (values.shape[0], *self.points)).reshape(len(values), -1)

    def shares(self, name: str) -> bool:
        """Whether all rows have the same values of a variable."""
        return len(self._fields[name]) == 1

    def held(self, name: str, rows: Rows) -> Array | None:
        """Return the value that a parameter is held at, of shape (rows,); None if it is not."""
        if name not in self.fixed:
            return None
        value = np.broadcast_to(np.asarray(self.fixed[name], dtype=float), self.shape)
        return value.reshape(-1)[rows]

    def tiles(self) -> Iterator[slice]:
        """Cut the rows into tiles."""
        for first in range(0, self.size, TILE):
            yield slice(first, min(first + TILE, self.size))

    def gather(self, start: Callable[[slice], Mapping[str, Any]]) -> dict[str, Array]:
        """Return what ``start`` finds tile by tile, over the batch dimensions."""
        return self.collect((rows, start(rows)) for rows in self.tiles())

    def collect(self, found: Iterable[tuple[Rows, Mapping[str, Any]]]) -> dict[str, Array]:
        """Return what was found for some rows after the other, over the batch dimensions.

        A row with anything that is not finite had nothing to start from: all of it is NaN.
        """
        starts: dict[str, FloatArray] = {}
        with np.errstate(all="ignore"):
            for rows, values in found:
                for name, value in values.items():
                    starts.setdefault(name, np.full(self.size, np.nan))[rows] = value
        lost = ~np.isfinite(sum(starts.values(), np.zeros(self.size)))
        for value in starts.values():
            value[lost] = np.nan
        return {name: value.reshape(self.shape) for name, value in starts.items()}


def row_percentile(values: Array, percent: float) -> FloatArray:
    """Return the percentile of every row without its gaps, of shape (rows,); NaN without any."""
    ordered = np.sort(values, axis=1)  # NaN last
    count = np.isfinite(ordered).sum(axis=1)
    place = np.maximum(count - 1, 0) * (percent / 100)
    below = place.astype(int)
    above = np.minimum(below + 1, np.maximum(count - 1, 0))
    rows = np.arange(len(values))
    low, high = ordered[rows, below], ordered[rows, above]
    return np.asarray(low + (high - low) * (place - below))


def in_blocks(values: Array, size: int) -> tuple[FloatArray, FloatArray | None]:
    """Return means over so many neighbours along the last axis, and where the means stand.

    Gaps are left out; of gaps alone the mean is NaN. What is over at the end is left out. The
    place, in points from the middle of the block, is None where there are no gaps.
    """
    if size == 1:
        return np.asarray(values, dtype=float), None
    count = values.shape[-1] // size
    shape = (*values.shape[:-1], count)
    kept = np.ascontiguousarray(values[..., : size * count], dtype=float).reshape(-1, size)
    mean = kept @ np.full(size, 1 / size)
    if np.isfinite(mean).all():
        return mean.reshape(shape), None
    if np.isinf(mean).any():
        kept = np.where(np.isinf(kept), np.nan, kept)
    held = kept == kept  # only NaN differs from itself; faster than isnan
    # Of NaN and 0 these take the 0; where() on scattered gaps costs four times as much.
    total = (np.fmax(kept, 0.0) + np.fmin(kept, 0.0)) @ np.ones(size)
    ramp = np.arange(size) - (size - 1) / 2
    number, place = (held.astype(float) @ np.stack([np.ones(size), ramp], axis=1)).T
    number = np.where(number > 0, number, np.nan)
    return (total / number).reshape(shape), (place / number).reshape(shape)


def weighted_line(x: Array, y: Array, weight: Array) -> tuple[FloatArray, FloatArray]:
    """Return slope and intercept of the best straight line through every row.

    Where all ``x`` of a row are equal the slope is NaN. Gaps have weight 0 and finite values.
    """
    total = weight.sum(axis=1)
    x_mean, y_mean = (weight * x).sum(axis=1) / total, (weight * y).sum(axis=1) / total
    off = x - x_mean[:, None]
    spread = (weight * off**2).sum(axis=1)
    spread = np.where(spread > 1e-28 * total * x_mean**2, spread, np.nan)  # more than rounding
    slope = (weight * off * (y - y_mean[:, None])).sum(axis=1) / spread
    return slope, y_mean - slope * x_mean


def parabola(x: Array, y: Array, weight: Array) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the coefficients (1, x, x²) of the best parabola through every column.

    All of shape (points, rows): sums along the first axis are the fast ones. ``x`` should be of
    order one and about centred. Gaps have weight 0 and finite values.
    """
    s0, t0 = weight.sum(axis=0), (weight * y).sum(axis=0)
    w = weight * x
    s1, t1 = w.sum(axis=0), (w * y).sum(axis=0)
    w = w * x
    s2, t2 = w.sum(axis=0), (w * y).sum(axis=0)
    w = w * x
    s3, s4 = w.sum(axis=0), (w * x).sum(axis=0)
    c11, c12, c13 = s2 * s4 - s3 * s3, s2 * s3 - s1 * s4, s1 * s3 - s2 * s2
    c22, c23, c33 = s0 * s4 - s2 * s2, s1 * s2 - s0 * s3, s0 * s2 - s1 * s1
    det = s0 * c11 + s1 * c12 + s2 * c13
    return (
        (c11 * t0 + c12 * t1 + c13 * t2) / det,
        (c12 * t0 + c22 * t1 + c23 * t2) / det,
        (c13 * t0 + c23 * t1 + c33 * t2) / det,
    )


def least_squares(columns: Array, y: Array, weight: Array) -> FloatArray:
    """Return the coefficients (rows, k) of the best sum of columns (rows, k, points).

    What the data do not tell apart is shared out evenly. Gaps have weight 0 and finite values.
    """
    weighted = columns * weight[:, None]
    normal = weighted @ columns.swapaxes(1, 2)
    right = (weighted @ y[..., None])[..., 0]
    scale = np.sqrt(np.diagonal(normal, axis1=1, axis2=2))
    scale = np.where(scale > 0, scale, 1.0)
    normal = normal / (scale[:, :, None] * scale[:, None])
    normal = np.where(np.isfinite(normal), normal, 0.0) + 1e-10 * np.eye(scale.shape[1])
    found = np.linalg.solve(normal, (right / scale)[..., None])[..., 0]
    return np.asarray(found / scale)
