"""A two-level laser between electron reservoirs: threshold, field and pulled frequency [W24-30]."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from powercal_reservoirs.constants import HBAR

__all__ = [
    "effective_energies",
    "emission_rate",
    "photon_number",
    "pulled_frequency",
    "threshold_inversion",
]

Array = NDArray[Any]


def effective_energies(
    energy_u: ArrayLike,
    energy_l: ArrayLike,
    omega_cav: ArrayLike,
    gamma_u: ArrayLike,
    gamma_l: ArrayLike,
    gamma_b: ArrayLike,
) -> tuple[Array, Array, Array]:
    """Energies exchanged with the three reservoirs of a level pair and its cavity [W21].

    Parameters
    ----------
    energy_u, energy_l : array_like
        Bare energies, J.
    omega_cav : array_like
        Frequency of the empty cavity, rad/s.
    gamma_u, gamma_l, gamma_b : array_like
        Rates of the two electron reservoirs and of the cavity's loss, 1/s.

    Returns
    -------
    tuple of ndarray
        E_u, E_l and E_ph = E_u - E_l, J. They do not depend on occupations: no iteration.

    Examples
    --------
    >>> u, l, ph = effective_energies(1.0, -1.0, 3.0 / HBAR, 1.0, 1.0, 2.0)
    >>> float(u), float(l), float(ph)
    (1.25, -1.25, 2.5)
    """
    excess = HBAR * np.asarray(omega_cav) - (np.asarray(energy_u) - np.asarray(energy_l))
    per_rate = excess / (np.asarray(gamma_u) + np.asarray(gamma_l) + np.asarray(gamma_b))
    return (
        np.asarray(energy_u + gamma_u * per_rate),
        np.asarray(energy_l - gamma_l * per_rate),
        np.asarray(HBAR * np.asarray(omega_cav) - gamma_b * per_rate),
    )


def pulled_frequency(
    omega_cav: ArrayLike,
    omega_ul: ArrayLike,
    gamma_u: ArrayLike,
    gamma_l: ArrayLike,
    gamma_b: ArrayLike,
) -> Array:
    """Frequency at which the laser runs, between cavity and transition [W30].

    Parameters
    ----------
    omega_cav, omega_ul : array_like
        Empty cavity and transition, rad/s.
    gamma_u, gamma_l, gamma_b : array_like
        Rates of the two electron reservoirs and of the cavity's loss, 1/s.

    Returns
    -------
    ndarray
        omega_cav - g_b (omega_cav - omega_ul)/(g_u + g_l + g_b) = E_ph/hbar of [W21], rad/s.

    Examples
    --------
    >>> float(pulled_frequency(10.0, 6.0, 1.0, 1.0, 2.0))
    8.0
    """
    loss = np.asarray(gamma_b)
    share = loss / (np.asarray(gamma_u) + np.asarray(gamma_l) + loss)
    # Pulled from the cavity, not averaged: the difference of two GHz keeps its digits.
    return np.asarray(omega_cav - share * (np.asarray(omega_cav) - omega_ul))


def threshold_inversion(
    coupling_squared: ArrayLike,
    cavity_detuning: ArrayLike,
    gamma_u: ArrayLike,
    gamma_l: ArrayLike,
    gamma_b: ArrayLike,
) -> Array:
    """Inversion f_u - f_l of the reservoirs above which a field stands, g_b G K/|g|^2.

    Parameters
    ----------
    coupling_squared : array_like
        |g|^2 of hbar g c_u^+ c_l a + h.c., (rad/s)^2.
    cavity_detuning : array_like
        D_cav = omega_cav - omega_ul, rad/s.
    gamma_u, gamma_l, gamma_b : array_like
        Rates of the two electron reservoirs and of the cavity's loss, 1/s.

    Returns
    -------
    ndarray
        Dimensionless; the laser cannot start where it is 1 or more.

    Notes
    -----
    The real part of [W29] at |a| = 0; supplement C8: G = g_u + g_l,
    K = 1/4 + (D_cav/(G + g_b))^2.

    Examples
    --------
    >>> float(threshold_inversion(1.0, 0.0, 1.0, 1.0, 1.0))
    0.5
    """
    width = np.asarray(gamma_u) + np.asarray(gamma_l)
    offset = np.asarray(cavity_detuning) / (width + gamma_b)
    return np.asarray(gamma_b * width * (0.25 + offset**2) / np.asarray(coupling_squared))


def emission_rate(
    inversion: ArrayLike,
    coupling_squared: ArrayLike,
    cavity_detuning: ArrayLike,
    gamma_u: ArrayLike,
    gamma_l: ArrayLike,
    gamma_b: ArrayLike,
) -> Array:
    """Photons that leave the cavity per second, R = g_b |a|^2; zero below threshold.

    Parameters
    ----------
    inversion : array_like
        f_u - f_l at the effective energies of [W21], dimensionless.
    coupling_squared : array_like
        |g|^2, (rad/s)^2.
    cavity_detuning : array_like
        D_cav = omega_cav - omega_ul, rad/s.
    gamma_u, gamma_l, gamma_b : array_like
        Rates of the two electron reservoirs and of the cavity's loss, 1/s.

    Returns
    -------
    ndarray
        (g_u g_l/G) (f_u - f_l - threshold), 1/s, the rate u -> l of the levels as well.

    Notes
    -----
    [W29], supplement C8. The field is classical: no spontaneous emission below threshold.
    """
    least = threshold_inversion(coupling_squared, cavity_detuning, gamma_u, gamma_l, gamma_b)
    upper, lower = np.asarray(gamma_u), np.asarray(gamma_l)
    series = upper * lower / (upper + lower)
    return np.asarray(series * np.maximum(np.asarray(inversion) - least, 0.0))


def photon_number(
    inversion: ArrayLike,
    coupling_squared: ArrayLike,
    cavity_detuning: ArrayLike,
    gamma_u: ArrayLike,
    gamma_l: ArrayLike,
    gamma_b: ArrayLike,
) -> Array:
    """Squared field in the cavity, |a|^2 = R/g_b, photons; arguments as in `emission_rate`.

    Parameters
    ----------
    inversion, coupling_squared, cavity_detuning, gamma_u, gamma_l, gamma_b : array_like
        As in :func:`emission_rate`.

    Returns
    -------
    ndarray
        (g_u g_l/G) [(f_u - f_l)/g_b - G K/|g|^2] above threshold, else 0.

    Examples
    --------
    >>> float(photon_number(0.75, 1.0, 0.0, 1.0, 1.0, 1.0))
    0.125
    """
    rate = emission_rate(inversion, coupling_squared, cavity_detuning, gamma_u, gamma_l, gamma_b)
    return np.asarray(rate / np.asarray(gamma_b))
