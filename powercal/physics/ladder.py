"""What a third level does to a weakly anharmonic qubit: closed forms."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from powercal.physics._arrays import FloatArray, real
from powercal.physics.bloch import excited_population, photon_rate

__all__ = [
    "leakage",
    "stark_shift",
    "thermal_photon_rate",
    "thermal_weight",
    "two_photon_detuning",
]


def leakage(rabi: ArrayLike, anharmonicity: ArrayLike, dephasing_ratio: ArrayLike) -> FloatArray:
    """Population of the third level over that of the second, resonant drive, T = 0.

    Parameters
    ----------
    rabi : array_like
        Rabi rate Omega of the lowest transition, rad/s, small against the anharmonicity.
    anharmonicity : array_like
        alpha, rad/s, of either sign.
    dephasing_ratio : array_like
        Gamma_phi12/Gamma_21: white dephasing of the upper transition over its relaxation rate.

    Returns
    -------
    ndarray
        p_2/p_1 = (Omega^2/(2 alpha^2))(1 + 2 Gamma_phi12/Gamma_21), dimensionless.

    Notes
    -----
    Supplement C7, C11. For Gamma_21 = 2 Gamma_10, Gamma_1 from R/(hbar omega_d p_1) is high by
    twice this, from R/(hbar omega_d (p_1 + p_2)) by this.

    Examples
    --------
    >>> round(float(leakage(2.0, -100.0, 0.5)), 9)
    0.0004
    """
    return real(rabi) ** 2 / (2.0 * real(anharmonicity) ** 2) * (1.0 + 2.0 * real(dephasing_ratio))


def stark_shift(rabi: ArrayLike, anharmonicity: ArrayLike) -> FloatArray:
    """Bound on the shift of the driven line by the third level, Omega^2/(2 |alpha|).

    Parameters
    ----------
    rabi, anharmonicity : array_like
        Rabi rate and alpha, rad/s.

    Returns
    -------
    ndarray
        rad/s. With secular dissipators the line moves by this (upwards for alpha < 0); with a
        collective one it stays at T = 0.

    Notes
    -----
    Supplement C7, C11.

    Examples
    --------
    >>> float(stark_shift(2.0, -100.0))
    0.02
    """
    # A modulus through which derivatives by complex steps work.
    return real(rabi) ** 2 / (2.0 * np.sqrt(real(anharmonicity) ** 2))


def two_photon_detuning(anharmonicity: ArrayLike) -> FloatArray:
    """Detuning at which two drive photons lift |0> to |2>, alpha/2.

    Parameters
    ----------
    anharmonicity : array_like
        alpha, rad/s.

    Returns
    -------
    ndarray
        omega_d - omega_q of the two-photon line, rad/s, for a weak drive.

    Notes
    -----
    Supplement C7.
    """
    return 0.5 * real(anharmonicity)


def thermal_weight(inner_population: ArrayLike, n_21: ArrayLike) -> FloatArray:
    """Weight of the two lowest levels when a bath fills the third one.

    Parameters
    ----------
    inner_population : array_like
        p' of the two lowest levels by themselves (they sum to one), dimensionless.
    n_21 : array_like
        Occupation of the bath at the upper transition, dimensionless.

    Returns
    -------
    ndarray
        w = 1/(1 + p' n_21/(1 + n_21)), dimensionless; it falls with drive.

    Notes
    -----
    Supplement C7: |alpha| far above Omega and all rates, drive on the upper transition negligible.

    Examples
    --------
    >>> float(thermal_weight(0.5, 1.0))
    0.8
    """
    n = real(n_21)
    return 1.0 / (1.0 + real(inner_population) * n / (1.0 + n))


def thermal_photon_rate(
    detuning: ArrayLike,
    rabi: ArrayLike,
    gamma_1: ArrayLike,
    n_10: ArrayLike,
    gamma_phi: ArrayLike,
    gamma_21: ArrayLike,
    n_21: ArrayLike,
) -> FloatArray:
    """Photons absorbed per second by a qubit whose third level a bath fills.

    Parameters
    ----------
    detuning, rabi : array_like
        Delta and Omega, rad/s.
    gamma_1, n_10 : array_like
        Bare rate, 1/s, and occupation of the lowest transition.
    gamma_phi : array_like
        Pure dephasing rate of the lowest transition, 1/s.
    gamma_21, n_21 : array_like
        Bare rate, 1/s, and occupation of the upper transition.

    Returns
    -------
    ndarray
        N = w Gamma_1tot (p' - p_eq), 1/s, with w of :func:`thermal_weight` and p' of section 2 at
        Gamma_2 + Gamma_21 n_21/2 in place of Gamma_2.

    Notes
    -----
    Supplement C7; secular dissipators, |alpha| far above Omega and all rates.
    """
    n = real(n_10)
    total = real(gamma_1) * (1.0 + 2.0 * n)
    gamma_2 = 0.5 * total + real(gamma_phi) + 0.5 * real(gamma_21) * real(n_21)
    excited = excited_population(detuning, rabi, total, gamma_2, n / (1.0 + 2.0 * n))
    inner = photon_rate(detuning, rabi, gamma_1, total, gamma_2)
    return thermal_weight(excited, n_21) * inner
