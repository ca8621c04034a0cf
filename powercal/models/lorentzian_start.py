"""Centre, half width and height of many Lorentzian lines at once, in closed form."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from powercal.models.batch_start import Array, in_blocks, parabola

FloatArray = NDArray[np.float64]


class Lorentzian(NamedTuple):
    """height/(1 + ((frequency − centre)/half_width)²), of shape (rows,); NaN where there is none.

    ``halves`` is the number of pieces above half of the height.
    """

    centre: FloatArray
    half_width: FloatArray
    height: FloatArray
    halves: FloatArray


def lorentzians(frequency: Array, values: Array, pieces: int) -> Lorentzian:
    """Look at every row in about so many pieces; at points where a line is too narrow for that.

    Parameters
    ----------
    frequency, values : ndarray
        Hz, of shape (rows or 1, ..., points), in order along the last axis, and the signal
        (rows, ..., points); gaps are NaN in the signal.
    pieces : int
        Wanted along the last axis.
    """
    size = max(1, values.shape[-1] // pieces)
    found = _in_pieces(frequency, values, size)
    narrow = np.flatnonzero(found.halves < 5) if size > 1 else np.zeros(0, dtype=int)
    if narrow.size == 0:
        return found
    rows = frequency if len(frequency) == 1 else frequency[narrow]
    again = _in_pieces(rows, values[narrow], max(1, size // 4))
    for old, new in zip(found, again, strict=True):
        old[narrow] = new
    return found


def _in_pieces(frequency: Array, values: Array, size: int) -> Lorentzian:
    """Take the pieces above half of the height, then the parabola 1/values about them."""
    x, z, space = _pieces(frequency, values, size)
    peak = z.max(axis=0)
    peak = np.where(peak > 0, peak, np.nan)
    z *= 1 / peak
    above = (z > 0.5).astype(float)
    top = z * above
    halves = above.sum(axis=0)
    middle = (top * x).sum(axis=0) / top.sum(axis=0)
    half = 0.5 * (above * space).sum(axis=0)
    half = np.where(half > 0, half, 0.1)
    x -= middle
    x *= 1 / half
    weight = z * z
    weight *= weight  # the variance of 1/z goes as 1/z⁴
    weight *= (z > 0.25) & (np.abs(x) < 3)
    a, b, c = parabola(x, 1 / np.maximum(z, 0.25), weight)
    off = -b / (2 * c)
    width2 = a / c - off**2
    good = (c > 0) & (width2 > 0.04) & (width2 < 100) & (np.abs(off) < 3) & (halves > 2)
    off, width2 = np.where(good, off, 0.0), np.where(good, width2, 1.0)
    height = np.where(good, 1 / (c * width2), 0.9) * peak
    origin = frequency.reshape(len(frequency), -1)[:, 0]
    return Lorentzian(origin + middle + off * half, half * np.sqrt(width2), height, halves)


def _pieces(
    frequency: Array, values: Array, size: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return frequency less the row's first, mean, and the room of every piece: (pieces, rows).

    A piece without data is a zero.
    """
    z, place = in_blocks(values, size)
    count = z.shape[-1]
    origin = frequency.reshape(len(frequency), -1)[:, 0]
    ends = frequency[..., : size * count : size], frequency[..., size - 1 : size * count : size]
    middle = ends[0] if size == 1 or frequency.shape[-1] == 1 else 0.5 * (ends[0] + ends[1])
    middle = middle - origin.reshape(-1, *(1,) * (frequency.ndim - 1))
    space = np.zeros_like(middle)
    if middle.shape[-1] > 1:
        space[..., 1:-1] = 0.5 * np.abs(middle[..., 2:] - middle[..., :-2])
        space[..., 0] = np.abs(middle[..., 1] - middle[..., 0])
        space[..., -1] = np.abs(middle[..., -1] - middle[..., -2])
    if place is not None:
        middle = middle + place * (space / size)
    gaps = ~(np.isfinite(z) & np.isfinite(middle))
    if gaps.any():
        z, middle = np.where(gaps, 0.0, z), np.where(gaps, 0.0, middle)
        space = np.where(gaps, 0.0, space)

    def columns(a: Array) -> FloatArray:
        full = np.broadcast_to(a, z.shape)
        return full.reshape(len(z), -1).T.copy()

    return columns(middle), columns(z), columns(space / (z[0].size // count))
