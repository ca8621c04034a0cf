"""Two levels, each with its own electron reservoir, in a classical field: [W8-16, A1-A12]."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from powercal_reservoirs.constants import BOLTZMANN, ELEMENTARY_CHARGE, HBAR
from powercal_reservoirs.laws import entropy_production
from powercal_reservoirs.occupations import inversion

__all__ = [
    "Flows",
    "Reservoir",
    "State",
    "effective_energies",
    "flows",
    "photocurrent",
    "saturation_factor",
    "steady_state",
    "stimulated_rate",
]

Array = NDArray[Any]


class Reservoir(NamedTuple):
    """One electron reservoir: coupling rate 1/s, electrochemical potential J, temperature K."""

    gamma: ArrayLike
    potential: ArrayLike
    temperature: ArrayLike


class State(NamedTuple):
    """Populations, the coherence <c_l^+ c_u> of the rotating frame, and the rate u -> l (1/s)."""

    sigma_uu: Array
    sigma_ll: Array
    sigma_ul: Array
    rate: Array


class Flows(NamedTuple):
    """A steady state's flows.

    ``rate`` R of u -> l (1/s); ``particle_u``, ``particle_l`` (1/s) and ``energy_u``, ``energy_l``
    (W) from the reservoirs into the dot; ``power`` (W) from the field into the dot; ``entropy``
    production (W/K).
    """

    rate: Array
    particle_u: Array
    particle_l: Array
    energy_u: Array
    energy_l: Array
    power: Array
    entropy: Array


def effective_energies(
    energy_u: ArrayLike,
    energy_l: ArrayLike,
    omega: ArrayLike,
    gamma_u: ArrayLike,
    gamma_l: ArrayLike,
) -> tuple[Array, Array]:
    """Energies at which the two reservoirs exchange electrons; they differ by hbar omega [W14].

    Parameters
    ----------
    energy_u, energy_l : array_like
        Bare energies, J.
    omega : array_like
        Frequency of the field, rad/s.
    gamma_u, gamma_l : array_like
        Rates of the two reservoirs, 1/s.

    Returns
    -------
    tuple of ndarray
        E_u + g_u hbar D/(g_u + g_l) and E_l - g_l hbar D/(g_u + g_l) with
        hbar D = hbar omega - (E_u - E_l), J.

    Examples
    --------
    >>> upper, lower = effective_energies(1.0, -1.0, 2.0 / HBAR, 1.0, 3.0)
    >>> float(upper), float(lower)
    (1.0, -1.0)
    """
    excess = HBAR * np.asarray(omega) - (np.asarray(energy_u) - np.asarray(energy_l))
    share = np.asarray(gamma_u) / (np.asarray(gamma_u) + np.asarray(gamma_l))
    return (
        np.asarray(energy_u + share * excess),
        np.asarray(energy_l - (1.0 - share) * excess),
    )


def stimulated_rate(
    coupling: ArrayLike, detuning: ArrayLike, gamma_u: ArrayLike, gamma_l: ArrayLike
) -> Array:
    """Rate of stimulated transitions, alpha = |eps|^2 G/(G^2/4 + D^2), G = g_u + g_l ([W] A10-12).

    Parameters
    ----------
    coupling : array_like
        |eps|, rad/s; half a Rabi frequency, Omega = 2 |eps|. May be complex.
    detuning : array_like
        D = omega - (E_u - E_l)/hbar, rad/s.
    gamma_u, gamma_l : array_like
        Rates of the two reservoirs, 1/s.

    Returns
    -------
    ndarray
        alpha, 1/s.

    Examples
    --------
    >>> float(stimulated_rate(1.0, 0.0, 2.0, 2.0))
    1.0
    """
    width = np.asarray(gamma_u) + np.asarray(gamma_l)
    return np.asarray(np.abs(coupling) ** 2 * width / (width**2 / 4 + np.asarray(detuning) ** 2))


def saturation_factor(alpha: ArrayLike, gamma_u: ArrayLike, gamma_l: ArrayLike) -> Array:
    """Share H of the reservoirs' inversion that the field leaves to the dot [A11].

    Parameters
    ----------
    alpha : array_like
        Stimulated rate, 1/s.
    gamma_u, gamma_l : array_like
        Rates of the two reservoirs, 1/s.

    Returns
    -------
    ndarray
        H = g_u g_l/(g_u g_l + alpha (g_u + g_l)), in (0, 1].

    Examples
    --------
    >>> float(saturation_factor(1.0, 2.0, 2.0))
    0.5
    """
    product = np.asarray(gamma_u) * np.asarray(gamma_l)
    width = np.asarray(gamma_u) + np.asarray(gamma_l)
    return np.asarray(product / (product + np.asarray(alpha) * width))


def steady_state(
    f_u: ArrayLike,
    f_l: ArrayLike,
    coupling: ArrayLike,
    detuning: ArrayLike,
    gamma_u: ArrayLike,
    gamma_l: ArrayLike,
) -> State:
    """Steady state for given occupations of the reservoirs [A8, A10-A12].

    Parameters
    ----------
    f_u, f_l : array_like
        Occupations that the reservoirs impose, dimensionless.
    coupling : array_like
        eps of H = hbar eps c_u^+ c_l e^{-i omega t} + h.c., complex, rad/s.
    detuning : array_like
        D = omega - (E_u - E_l)/hbar, rad/s.
    gamma_u, gamma_l : array_like
        Rates of the two reservoirs, 1/s.

    Returns
    -------
    State
        Populations, coherence, and R = alpha H (f_u - f_l).
    """
    difference = np.asarray(f_u) - np.asarray(f_l)
    alpha = stimulated_rate(coupling, detuning, gamma_u, gamma_l)
    left = saturation_factor(alpha, gamma_u, gamma_l) * difference
    rate = alpha * left
    width = np.asarray(gamma_u) + np.asarray(gamma_l)
    return State(
        np.asarray(f_u - rate / gamma_u),
        np.asarray(f_l + rate / gamma_l),
        np.asarray(-np.asarray(coupling) * left / (np.asarray(detuning) + 0.5j * width)),
        rate,
    )


def flows(
    energy_u: ArrayLike,
    energy_l: ArrayLike,
    omega: ArrayLike,
    coupling: ArrayLike,
    upper: Reservoir,
    lower: Reservoir,
    energies: Literal["effective", "bare"] = "effective",
) -> Flows:
    """Rate, particle and energy flows, power and entropy production [W11-W16].

    Parameters
    ----------
    energy_u, energy_l : array_like
        Bare energies, J.
    omega : array_like
        Frequency of the field, rad/s.
    coupling : array_like
        |eps|, rad/s.
    upper, lower : Reservoir
        What fills and empties either level.
    energies : {"effective", "bare"}
        At which energies the occupations are taken: those of [W14], or those of the isolated
        levels [W9], with which the entropy production can be negative.

    Returns
    -------
    Flows
        N_u = R = -N_l; U_u = E_u R, U_l = -E_l R with the effective energies, whatever the
        occupations; P = -hbar omega R. All arrays broadcast to one shape.

    Raises
    ------
    ValueError
        If `energies` is neither name.

    Notes
    -----
    R takes f_u - f_l from :func:`powercal_reservoirs.occupations.inversion`, exact in its sign.
    """
    if energies not in ("effective", "bare"):
        raise ValueError(f"energies={energies!r}; wanted 'effective' or 'bare'")
    effective = effective_energies(energy_u, energy_l, omega, upper.gamma, lower.gamma)
    taken = effective if energies == "effective" else (energy_u, energy_l)
    x_u, x_l = (
        (np.asarray(e) - np.asarray(r.potential)) / (BOLTZMANN * np.asarray(r.temperature))
        for e, r in zip(taken, (upper, lower), strict=True)
    )
    detuning = np.asarray(omega) - (np.asarray(energy_u) - np.asarray(energy_l)) / HBAR
    alpha = stimulated_rate(coupling, detuning, upper.gamma, lower.gamma)
    rate = alpha * saturation_factor(alpha, upper.gamma, lower.gamma) * inversion(x_u, x_l)
    energy = (effective[0] * rate, -effective[1] * rate)
    parts = (rate, rate, -rate, *energy, -HBAR * np.asarray(omega) * rate)
    entropy = _entropy(parts, upper, lower)
    return Flows(*np.broadcast_arrays(*parts, entropy))


def _entropy(parts: tuple[Array, ...], upper: Reservoir, lower: Reservoir) -> Array:
    _, *stacked = np.broadcast_arrays(
        *parts[:5], upper.potential, lower.potential, upper.temperature, lower.temperature
    )
    pairs = [np.stack(stacked[i : i + 2], axis=-1) for i in (2, 0, 4, 6)]
    return entropy_production(*pairs)


def photocurrent(rate: ArrayLike) -> Array:
    """Current that the field drives, -e R: positive where light is absorbed.

    Parameters
    ----------
    rate : array_like
        Net rate R of u -> l, 1/s.

    Returns
    -------
    ndarray
        A; times the bias (mu_u - mu_l)/e it is the electric power gained.

    Examples
    --------
    >>> float(photocurrent(-1.0))
    1.602176634e-19
    """
    return np.asarray(-ELEMENTARY_CHARGE * np.asarray(rate))
