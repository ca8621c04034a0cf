"""What a ladder does to somebody who believes in two levels: leakage, Γ₁, the line's place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from powercal.physics._arrays import FloatArray, real
from powercal.physics.bloch import photon_rate
from powercal.physics.ladder_slopes import photon_rate_slopes, response_slopes
from powercal.physics.ladder_steady_state import ladder_steady_state
from powercal.physics.ladder_system import Dissipators, Ladder, LadderBath, gather

__all__ = ["LadderLeakage", "ladder_leakage", "line_centre"]

Array = NDArray[Any]
_LEVELS = 4
_GRID = 33  # detunings at which the line is looked for
_STEPS = 30  # of the search for a zero of the slope


class LadderLeakage(NamedTuple):
    """What higher levels do to a driven qubit, and to Gamma_1 judged by two-level formulas.

    Attributes
    ----------
    populations : ndarray
        p_j of four levels, (4, *shape).
    leakage : ndarray
        p_2/p_1.
    excess_first, excess_above : ndarray
        Relative error of Gamma_1 = N/((1 + 2 n)(p - p_dark)) with p = p_1 and with p = 1 - p_0;
        p_dark is what is there without drive.
    excess_power : ndarray
        Relative error of Gamma_1 from absorbed power alone: N over that of section 2, minus one.
    """

    populations: FloatArray
    leakage: FloatArray
    excess_first: FloatArray
    excess_above: FloatArray
    excess_power: FloatArray


def ladder_leakage(
    rabi: ArrayLike,
    anharmonicity: ArrayLike,
    gamma_1: ArrayLike,
    gamma_phi: ArrayLike,
    n_th: ArrayLike,
    *,
    omega_q: ArrayLike = np.inf,
    dissipators: Dissipators = "collective",
) -> LadderLeakage:
    """Leakage of a transmon driven on resonance, and its effect on Gamma_1, from four levels.

    Parameters
    ----------
    rabi, anharmonicity : array_like
        Omega > 0 and alpha, rad/s; NaN gives NaN.
    gamma_1, gamma_phi : array_like
        Bare relaxation rate, Gamma_{j,j-1} = j gamma_1, and white dephasing of the qubit, 1/s.
    n_th : array_like
        Occupation of the bath at omega_q, dimensionless.
    omega_q : array_like
        Qubit frequency, rad/s: the upper transitions see the same temperature at
        omega_q + (j-1) alpha. By default they have n_th too (a bath flat over alpha).
    dissipators : {"secular", "collective"}
        See :class:`LadderBath`.

    Returns
    -------
    LadderLeakage
        Of the broadcast shape.

    Notes
    -----
    Supplement C7, C11: for |alpha| >> Omega, Gamma at T = 0 on resonance the leakage is that of
    :func:`powercal.physics.ladder.leakage`; Gamma_1 is high by twice it (p_1) or once (1 - p_0).

    Examples
    --------
    >>> found = ladder_leakage(2.0, -100.0, 1.0, 0.0, 0.0)
    >>> round(float(found.leakage), 6), round(float(found.excess_first), 6)
    (0.0002, 0.0004)
    """
    rate, n = real(gamma_1), real(n_th)
    gammas = [j * rate for j in range(1, _LEVELS)]
    numbers = _same_temperature(n, real(anharmonicity) / real(omega_q))
    bath = LadderBath(gammas, numbers, dissipators)
    with np.errstate(invalid="ignore"):  # an unknown anharmonicity
        state = ladder_steady_state(Ladder(0.0, rabi, anharmonicity, [bath], gamma_phi))
    total = rate * (1.0 + 2.0 * n)
    two_levels = photon_rate(0.0, rabi, rate, total, 0.5 * total + real(gamma_phi))
    moved = state.deviation
    with np.errstate(divide="ignore", invalid="ignore"):
        return LadderLeakage(
            state.populations,
            np.asarray(state.populations[2] / state.populations[1]),
            state.photon_rate / (total * moved[1]) - 1.0,
            state.photon_rate / (total * -moved[0]) - 1.0,
            state.photon_rate / two_levels - 1.0,
        )


def line_centre(ladder: Ladder) -> FloatArray:
    """Detuning at which a ladder absorbs most photons, within its line.

    Parameters
    ----------
    ladder : Ladder
        Driven (Omega > 0); its detuning is not looked at.

    Returns
    -------
    ndarray
        rad/s, of the ladder's shape; NaN where no maximum lies within the half width and twice the
        bound of the Stark shift, nor within |alpha|/4 (the line of two photons is at alpha/2).

    Notes
    -----
    Supplement C7: +Omega^2/(2|alpha|) for alpha < 0 with secular dissipators, near 0 with
    collective ones. Found as the zero of the exact slope.
    """
    ladder = replace(ladder, detuning=0.0)
    shape = ladder.shape
    window = np.broadcast_to(_window(ladder), shape)
    offsets = np.linspace(-1.0, 1.0, _GRID).reshape(-1, *(1,) * len(shape))
    rates = ladder_steady_state(replace(ladder, detuning=offsets * window)).photon_rate
    top = np.argmax(rates, axis=0)
    inside = (top > 0) & (top < _GRID - 1)
    step = 2.0 / (_GRID - 1)
    low = (offsets.ravel()[np.clip(top, 1, _GRID - 2)] - step) * window
    found = _zero_slope(ladder, low, low + 2.0 * step * window)
    return np.where(inside, found, np.nan)


def _same_temperature(n: Array, ratio: Array) -> list[Array]:
    """Return the occupations at omega_q + (j-1) alpha, from n/(1+n) = exp(-hbar omega/kT)."""
    boltzmann = n / (1.0 + n)
    found = []
    for j in range(_LEVELS - 1):
        exponent = 1.0 + j * ratio
        # A transition of no or negative energy has no thermal occupation.
        weight = boltzmann ** np.where(exponent > 0, exponent, np.nan)
        found.append(weight / (1.0 - weight))
    return found


def _window(ladder: Ladder) -> Array:
    """Return how far to look: half width and twice the Stark shift, short of two photons' line."""
    rates, strength = gather(ladder), real(ladder.rabi) ** 2
    total = rates.between[1, 0] + rates.between[0, 1]
    gamma_2 = 0.5 * (rates.out[0] + rates.out[1]) + real(ladder.gamma_phi)
    if ladder.weights:
        gamma_2 = gamma_2 + 0.5 * (real(ladder.weights[1]) - real(ladder.weights[0])) ** 2
    half = gamma_2 * np.sqrt(1.0 + strength / (total * gamma_2))
    spacing = np.abs(real(ladder.anharmonicity))
    return np.minimum(half + strength / spacing, np.maximum(spacing / 4, gamma_2))


def _zero_slope(ladder: Ladder, low: Array, high: Array) -> Array:
    """Find where dN/dDelta falls through zero, by regula falsi with halved ends (Illinois)."""

    def slope(detuning: Array) -> Array:
        state = ladder_steady_state(replace(ladder, detuning=detuning))
        return photon_rate_slopes(state, response_slopes(state)).detuning

    below, above = slope(low), slope(high)
    middle = 0.5 * (low + high)
    for _ in range(_STEPS):
        apart = above - below
        share = np.where(apart != 0, below / np.where(apart != 0, -apart, 1.0), 0.5)
        middle = low + np.clip(share, 0.0, 1.0) * (high - low)
        here = slope(middle)
        left = here > 0
        above = np.where(left, above / 2, here)
        below = np.where(left, here, below / 2)
        low, high = np.where(left, middle, low), np.where(left, high, middle)
    return middle
