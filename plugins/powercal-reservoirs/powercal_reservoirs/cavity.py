"""Two electron levels and one quantised cavity mode between three reservoirs: [W17-23, B1-B16].

Two fermionic levels u and l, each with its own reservoir, exchange photons with a mode that has a
bath of its own: H/hbar = omega_u n_u + omega_l n_l + omega_cav a^+ a + (g c_u^+ c_l a + h.c.).
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from powercal_reservoirs.cavity_closed_forms import hartree_fock_rate
from powercal_reservoirs.cavity_sector import (
    BOTH,
    IMAGINARY,
    LOWER,
    REAL,
    UNKNOWNS,
    UPPER,
    WEIGHT,
    WIDTH,
    contract,
    solve_sector,
    solve_transposed,
)

__all__ = [
    "CavityState",
    "cavity_slopes",
    "cavity_steady_state",
]

Array = NDArray[Any]

ARGUMENTS = ("gamma_u", "gamma_l", "gamma_b", "f_u", "f_l", "n_b", "coupling", "cavity_detuning")
_FEWEST = 8  # Fock states to start with
_CHUNK = 4_000_000  # numbers of the banded matrix held at once


class CavityState(NamedTuple):
    """Steady state of levels and mode.

    ``rate`` R of u -> l (1/s, photons emitted into the mode); ``mean_photons``; ``occupation_u``,
    ``occupation_l`` and ``occupation_both`` = <n_u>, <n_l>, <n_u n_l>; ``coherence`` Y of [W B4]
    (1/s); ``source`` F of [W B5]; ``tail`` a bound on the population beyond the Fock states kept;
    ``levels`` how many were kept.
    """

    rate: Array
    mean_photons: Array
    occupation_u: Array
    occupation_l: Array
    occupation_both: Array
    coherence: Array
    source: Array
    tail: Array
    levels: NDArray[np.int64]


class _Cut(NamedTuple):
    """How many Fock states to keep, see `cavity_steady_state`."""

    levels: int | None
    tolerance: float
    most: int
    beyond: str


def _rungs(most: int) -> list[int]:
    """Return the numbers of Fock states to try, each half as large again as the one before."""
    rungs = [min(_FEWEST, most)]
    while rungs[-1] < most:
        rungs.append(min(rungs[-1] * 3 // 2, most))
    return rungs


def _moments(rates: Array, n_b: Array, levels: int, slopes: bool) -> Array:
    """Return the nine moments of `CavityState`, then dR/drate for the rates of the sector."""
    sector = solve_sector(rates, levels)
    v, n, coupling = sector.state, np.arange(levels), rates[6]
    root = np.sqrt(n + 1.0)
    hop = v[:, :, REAL] @ root, v[:, :, IMAGINARY] @ root
    populations = [v[:, :, WEIGHT] @ n, *v[:, :, [UPPER, LOWER, BOTH]].sum(axis=1).T]
    source = populations[1] - populations[3] + (v[:, :, UPPER] - v[:, :, LOWER]) @ n
    rate, tail = 2 * coupling * hop[1], (1 + n_b) * np.abs(v[:, -1, WEIGHT])
    moments = np.array([rate, *populations, coupling * hop[0], coupling * hop[1], source, tail])
    if not slopes:
        return np.concatenate([moments, np.full((8, n_b.size), np.nan)])
    functional = np.zeros_like(v)
    functional[:, :, IMAGINARY] = 2 * coupling[:, None] * root
    functional[:, :, WEIGHT] = -rate[:, None]  # R is per unit of total population
    gradient = -contract(solve_transposed(sector, functional), v)
    gradient[6] += 2 * hop[1]
    return np.concatenate([moments, gradient])


def _in_chunks(rates: Array, n_b: Array, levels: int, slopes: bool) -> Array:
    """Solve as many points at once as fit into the memory allowed."""
    step = max(1, _CHUNK // (WIDTH * UNKNOWNS * levels))
    parts = [
        _moments(rates[:, i : i + step], n_b[i : i + step], levels, slopes)
        for i in range(0, n_b.size, step)
    ]
    return np.concatenate(parts, axis=1)


def _solve(
    arguments: tuple[ArrayLike, ...], cut: _Cut, slopes: bool
) -> tuple[CavityState, Array, tuple[Array, ...]]:
    """Return the state, dR/drate for the rates of the sector, and the arguments broadcast."""
    if min(cut.most, cut.levels or cut.most) < 2:
        raise ValueError("a cavity needs at least two Fock states, with no photon and with one")
    fields = np.broadcast_arrays(*(np.asarray(a, dtype=float) for a in arguments))
    gamma_u, gamma_l, gamma_b, f_u, f_l, n_b, coupling, detuning = (f.ravel() for f in fields)
    down, up = gamma_b * (n_b + 1), gamma_b * n_b
    rates = np.array([gamma_u, gamma_l, gamma_u * f_u, gamma_l * f_l, down, up, coupling, detuning])
    known = np.flatnonzero(np.isfinite(rates).all(axis=0))
    found = np.full((17, n_b.size), np.nan)
    kept = np.zeros(n_b.size, dtype=np.int64)
    expected = n_b + hartree_fock_rate(*(f.ravel() for f in fields)) / gamma_b
    hints = n_b[known], expected[known]
    found[:, known], kept[known] = _climb(rates[:, known], hints, cut, slopes)
    shape = fields[0].shape
    rate, photons, u, low, both, real, imaginary, source, tail = found[:9].reshape(9, *shape)
    coherence = real + 1j * imaginary
    state = CavityState(rate, photons, u, low, both, coherence, source, tail, kept.reshape(shape))
    return state, found[9:].reshape(8, *shape), tuple(fields)


def _climb(
    rates: Array, hints: tuple[Array, Array], cut: _Cut, slopes: bool
) -> tuple[Array, NDArray[np.int64]]:
    """Raise the number of Fock states, point by point, until the tail is below the tolerance.

    The hints are n_b and about how many photons to expect: they say which numbers are too small.
    """
    rungs = _rungs(cut.most) if cut.levels is None else [cut.levels]
    tolerance = cut.tolerance if cut.levels is None else np.inf
    first = _first_rungs(np.array(rungs), *hints, tolerance)
    found = np.full((17, first.size), np.nan)
    kept, waiting = np.zeros(first.size, dtype=np.int64), np.ones(first.size, dtype=bool)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for index, rung in enumerate(rungs):
            tried = np.flatnonzero(waiting & (first <= index))
            if tried.size == 0:
                continue
            result = _in_chunks(rates[:, tried], hints[0][tried], rung, slopes)
            # More than e^700 between the weights of the fullest and the emptiest state overflows.
            weighed = np.isfinite(result[8])
            found[:, tried[weighed]], kept[tried[weighed]] = result[:, weighed], rung
            waiting[tried] = ~(result[8] <= tolerance)
            if not waiting.any():
                break
    if waiting.any() and cut.beyond == "raise":
        worst = np.max(np.nan_to_num(found[8, waiting], nan=1.0))
        raise ArithmeticError(
            f"cavity: up to {rungs[-1]} Fock states leave {worst:.2g} of the population beyond "
            f"them at {waiting.sum()} points; the limit is {tolerance:.2g}. "
            f"With that many photons the laser's classical field holds"
        )
    found[:, waiting] = np.nan
    return found, kept


def _first_rungs(
    rungs: NDArray[np.int64], n_b: Array, expected: Array, tolerance: float
) -> NDArray[np.intp]:
    """Return which number of Fock states is the first worth trying, for each point.

    The bath alone fills the last of m+1 with (n_b/(1+n_b))^m, and a coherent field of so many
    photons with e^-n n^m/m! (by Stirling's formula).
    """
    top = rungs[:, None] - 1
    mean = np.maximum(np.where(np.isfinite(expected), expected, 0.0), 1e-300)
    coherent = top - mean + top * np.log(mean / top)
    thermal = (n_b / (1 + n_b)) ** top <= tolerance
    worth = thermal & (mean < top) & (coherent <= np.log(tolerance))
    worth[-1] = True
    chosen: NDArray[np.intp] = np.argmax(worth, axis=0)
    return chosen


def cavity_steady_state(
    gamma_u: ArrayLike,
    gamma_l: ArrayLike,
    gamma_b: ArrayLike,
    f_u: ArrayLike,
    f_l: ArrayLike,
    n_b: ArrayLike,
    coupling: ArrayLike,
    cavity_detuning: ArrayLike,
    levels: int | None = None,
    tolerance: float = 1e-12,
    most: int = 4096,
    beyond: Literal["raise", "nan"] = "raise",
) -> CavityState:
    """Steady state of two levels and a cavity mode for given occupations of the reservoirs.

    Parameters
    ----------
    gamma_u, gamma_l, gamma_b : array_like
        Rates of the two electron reservoirs and of the mode's bath, all > 0, 1/s.
    f_u, f_l, n_b : array_like
        Occupations that the three reservoirs impose, dimensionless.
    coupling : array_like
        abs(g), rad/s (the phase of g changes nothing).
    cavity_detuning : array_like
        D_cav = omega_cav - (E_u - E_l)/hbar, rad/s. All arguments broadcast together.
    levels : int, optional
        Fock states to keep, whatever the tail; by default as many as the tolerance needs.
    tolerance : float
        Largest population allowed beyond the states kept: that of the last one times 1 + n_b,
        as beyond saturation populations fall by n_b/(1 + n_b) from state to state.
    most : int
        Fock states at which to give up.
    beyond : {"raise", "nan"}
        What to do then: refuse, or return NaN at those points.

    Returns
    -------
    CavityState
        Of the broadcast shape. Points with NaN among their arguments are NaN.

    Raises
    ------
    ValueError
        For fewer than two Fock states.
    ArithmeticError
        If `most` states leave more than `tolerance` beyond them, unless ``beyond="nan"``.

    Notes
    -----
    [W17, W18, B1-B6], solved in the sector that the conserved number of excitations leaves.

    Examples
    --------
    >>> state = cavity_steady_state(1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0)
    >>> bool(abs(state.rate - (1 - state.occupation_u)) < 1e-12)
    True
    """
    arguments = (gamma_u, gamma_l, gamma_b, f_u, f_l, n_b, coupling, cavity_detuning)
    return _solve(arguments, _Cut(levels, tolerance, most, beyond), slopes=False)[0]


def cavity_slopes(
    gamma_u: ArrayLike,
    gamma_l: ArrayLike,
    gamma_b: ArrayLike,
    f_u: ArrayLike,
    f_l: ArrayLike,
    n_b: ArrayLike,
    coupling: ArrayLike,
    cavity_detuning: ArrayLike,
    levels: int | None = None,
    tolerance: float = 1e-12,
    most: int = 4096,
    beyond: Literal["raise", "nan"] = "raise",
) -> tuple[CavityState, dict[str, Array]]:
    """Steady state, and the exact derivatives of R by the eight arguments.

    Parameters
    ----------
    gamma_u, gamma_l, gamma_b, f_u, f_l, n_b, coupling, cavity_detuning : array_like
        As in :func:`cavity_steady_state`.
    levels, tolerance, most, beyond
        As in :func:`cavity_steady_state`.

    Returns
    -------
    state, slopes : CavityState, dict
        dR/dargument under the name of each argument. Those of the occupations and of the photons
        follow: <n_u> = f_u - R/gamma_u, <n_l> = f_l + R/gamma_l, <a^+ a> = n_b + R/gamma_b [B11].

    Raises
    ------
    ArithmeticError
        As in :func:`cavity_steady_state`.
    """
    arguments = (gamma_u, gamma_l, gamma_b, f_u, f_l, n_b, coupling, cavity_detuning)
    state, by_rate, fields = _solve(arguments, _Cut(levels, tolerance, most, beyond), slopes=True)
    upper, lower, bath, at_u, at_l, photons, _, _ = fields
    slopes = (
        by_rate[0] + at_u * by_rate[2],
        by_rate[1] + at_l * by_rate[3],
        (photons + 1) * by_rate[4] + photons * by_rate[5],
        upper * by_rate[2],
        lower * by_rate[3],
        bath * (by_rate[4] + by_rate[5]),
        by_rate[6],
        by_rate[7],
    )
    return state, dict(zip(ARGUMENTS, slopes, strict=True))
