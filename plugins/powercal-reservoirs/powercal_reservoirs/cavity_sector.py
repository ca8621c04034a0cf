"""The few unknowns per photon number that a two-level cavity has, as a banded system of equations.

With a_n the weight of n photons, b_n = <n_u>, c_n = <n_l>, d_n = <n_u n_l> within it, and
x_n + i w_n the coherence between |u, n> and |l, n+1> (times g*/|g|), nothing else is fed in the
steady state: 6 real unknowns per photon number. Rows and columns are ordered (a, b, c, d, x, w) for
n = 0, 1, ..., so that no row reaches further than 6 columns.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["RATES", "UNKNOWNS", "Sector", "contract", "solve_sector", "solve_transposed"]

Array = NDArray[np.float64]

RATES = ("gamma_u", "gamma_l", "in_u", "in_l", "down", "up", "coupling", "detuning")
"""The equations are linear in these: in = gamma f, down = gamma_b (n_b + 1), up = gamma_b n_b."""

UNKNOWNS = 6
WEIGHT, UPPER, LOWER, BOTH, REAL, IMAGINARY = range(UNKNOWNS)
WIDTH = 3 * UNKNOWNS + 1
"""Numbers per column of the band, with room for row exchanges."""


class _Entry(NamedTuple):
    """A rate's share in the equations: at row (n, row), column (n + step, column), weights by n."""

    rate: int
    row: int
    column: int
    step: int
    weights: Array


class _Pattern(NamedTuple):
    """Where M has elements, their weights by rate (8, elements), and so as LAPACK's band.

    Element (i, j) is the (12 + i - j)-th of the column j of the band, (8, 6 levels, 19) as a whole.
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    weights: Array
    band: Array


class Sector(NamedTuple):
    """Normalised solutions, (points, levels, 6), and what LAPACK made of the equations."""

    state: Array
    factors: list[tuple[Array, NDArray[np.int32]]]


@lru_cache(maxsize=12)
def _pattern(levels: int) -> _Pattern:
    """Put all entries of M v = (1, 0, 0, ...) together, but a_0 = 1."""
    size, n = UNKNOWNS * levels, np.arange(levels)
    entries = _entries(levels)
    places = [(UNKNOWNS * n + e.row) * size + UNKNOWNS * (n + e.step) + e.column for e in entries]
    kept = [e.weights != 0 for e in entries]
    flat, where = np.unique(
        np.concatenate([p[k] for p, k in zip(places, kept, strict=True)]), return_inverse=True
    )
    weights = np.zeros((len(RATES), flat.size))
    rate = np.concatenate(
        [np.full(int(k.sum()), e.rate) for e, k in zip(entries, kept, strict=True)]
    )
    values = np.concatenate([e.weights[k] for e, k in zip(entries, kept, strict=True)])
    np.add.at(weights, (rate, where), values)
    rows, columns = np.divmod(flat, size)
    band = np.zeros((len(RATES), size * WIDTH))
    band[:, columns * WIDTH + 2 * UNKNOWNS + rows - columns] = weights
    return _Pattern(rows, columns, weights, band)


def _entries(levels: int) -> list[_Entry]:
    """List what every rate puts into the matrix M of M v = (1, 0, 0, ...).

    Row a_0 is a_0 = 1. Row a_n says that no net probability goes from n-1 to n photons; so the sum
    of all populations never appears as a difference of large numbers.
    """
    n = np.arange(levels, dtype=float)
    kept = np.where(n < levels - 1, 1.0, 0.0)  # a level above exists
    root, above = np.sqrt(n), np.sqrt(n + 1) * kept
    down, up, _, coupling = (RATES.index(name) for name in ("down", "up", "in_u", "coupling"))
    found = [
        _Entry(down, WEIGHT, WEIGHT, 0, n),
        _Entry(up, WEIGHT, WEIGHT, -1, -n),
        _Entry(coupling, WEIGHT, IMAGINARY, -1, -2 * root),
        _Entry(coupling, UPPER, IMAGINARY, 0, 2 * above),
        _Entry(coupling, LOWER, IMAGINARY, -1, -2 * root),
        _Entry(coupling, IMAGINARY, UPPER, 0, -above),
        _Entry(coupling, IMAGINARY, BOTH, 0, above),
        _Entry(coupling, IMAGINARY, LOWER, 1, above),
        _Entry(coupling, IMAGINARY, BOTH, 1, -above),
    ]
    found += _electron_entries(np.ones(levels))
    for row in (UPPER, LOWER, BOTH):
        gain = (n + 1) * kept
        found += [_Entry(down, row, row, 0, n), _Entry(up, row, row, 0, gain)]
        found += [_Entry(down, row, row, 1, -gain), _Entry(up, row, row, -1, -n)]
    return found + _coherence_entries(levels)


def _electron_entries(one: Array) -> list[_Entry]:
    """Return what the reservoirs do: <n> relaxes to f, and so does <n_u n_l>, level by level."""
    upper, lower, in_u, in_l = range(4)
    found = [
        _Entry(upper, UPPER, UPPER, 0, one),
        _Entry(in_u, UPPER, WEIGHT, 0, -one),
        _Entry(lower, LOWER, LOWER, 0, one),
        _Entry(in_l, LOWER, WEIGHT, 0, -one),
        _Entry(upper, BOTH, BOTH, 0, one),
        _Entry(lower, BOTH, BOTH, 0, one),
        _Entry(in_u, BOTH, LOWER, 0, -one),
        _Entry(in_l, BOTH, UPPER, 0, -one),
    ]
    for row in (REAL, IMAGINARY):
        found += [_Entry(upper, row, row, 0, one / 2), _Entry(lower, row, row, 0, one / 2)]
    return found


def _coherence_entries(levels: int) -> list[_Entry]:
    """Return what photons and detuning do to the coherence between |u, n> and |l, n+1>."""
    n = np.arange(levels, dtype=float)
    down, up, detuning = (RATES.index(name) for name in ("down", "up", "detuning"))
    inner = np.where(n < levels - 2, 1.0, 0.0)  # n+1 photons may still become n+2
    lost = (n + 1 + (n + 2) * inner) / 2
    ladder = np.sqrt((n + 1) * (n + 2)) * inner
    below = np.sqrt(n * (n + 1)) * np.where(n < levels - 1, 1.0, 0.0)
    found = []
    for row in (REAL, IMAGINARY):
        found += [_Entry(down, row, row, 0, n + 0.5), _Entry(up, row, row, 0, lost)]
        found += [_Entry(down, row, row, 1, -ladder), _Entry(up, row, row, -1, -below)]
    one = np.ones(levels)
    found.append(_Entry(detuning, REAL, IMAGINARY, 0, one))
    found.append(_Entry(detuning, IMAGINARY, REAL, 0, -one))
    return found


def solve_sector(rates: Array, levels: int) -> Sector:
    """Steady state within the sector, Fock states 0 ... levels-1.

    Parameters
    ----------
    rates : ndarray
        The eight `RATES` in 1/s (rad/s), shape (8, points).
    levels : int
        Fock states kept, at least 2.

    Returns
    -------
    Sector
        a_n, b_n, c_n, d_n, x_n, w_n with sum a_n = 1, and factors for `solve_transposed`.

    Notes
    -----
    [W18] projected on the sector; [W B1-B5] are its sums over n.
    """
    from scipy.linalg.lapack import dgbtrf, dgbtrs

    size = UNKNOWNS * levels
    band = (rates.T @ _pattern(levels).band).reshape(-1, size, WIDTH)
    band[:, 0, 2 * UNKNOWNS] = 1.0
    found = np.zeros((rates.shape[1], size))
    found[:, 0] = 1.0
    factors = []
    for point, solution in zip(band, found, strict=True):
        factor, pivots, _ = dgbtrf(point.T, UNKNOWNS, UNKNOWNS, overwrite_ab=1)
        solution[:] = dgbtrs(factor, UNKNOWNS, UNKNOWNS, solution, pivots)[0]
        factors.append((factor, pivots))
    state = found.reshape(-1, levels, UNKNOWNS)
    return Sector(state / state[:, :, WEIGHT].sum(axis=1)[:, None, None], factors)


def solve_transposed(sector: Sector, functional: Array) -> Array:
    """Solve the transposed equations M' y = functional.

    Parameters
    ----------
    sector : Sector
        From :func:`solve_sector`.
    functional : ndarray
        Shape (points, levels, 6).

    Returns
    -------
    ndarray
        y, of the same shape.
    """
    from scipy.linalg.lapack import dgbtrs

    found = np.empty((len(sector.factors), functional[0].size))
    for (factor, pivots), right, y in zip(sector.factors, functional, found, strict=True):
        y[:] = dgbtrs(factor, UNKNOWNS, UNKNOWNS, right.ravel(), pivots, trans=1)[0]
    return found.reshape(functional.shape)


def contract(left: Array, right: Array) -> Array:
    """Return left . (dM/drate) . right for each of the eight rates, shape (8, points)."""
    points, levels, _ = left.shape
    pattern = _pattern(levels)
    flat = left.reshape(points, -1)[:, pattern.rows] * right.reshape(points, -1)[:, pattern.columns]
    return pattern.weights @ flat.T
