"""Free decay: population, power and energy after the drive is switched off."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from powercal.physics._arrays import FloatArray, real
from powercal.physics.constants import HBAR

__all__ = ["decay_energy", "population_decay", "power_decay"]


def population_decay(
    time: ArrayLike, gamma_1_tot: ArrayLike, p_eq: ArrayLike, p_0: ArrayLike
) -> FloatArray:
    """Population p(t) = p_eq + (p_0 - p_eq) exp(-Gamma_1tot t).

    Parameters
    ----------
    time : array_like
        Time since the drive stopped, s.
    gamma_1_tot : array_like
        Total relaxation rate, 1/s.
    p_eq, p_0 : array_like
        Population in equilibrium and at t = 0, dimensionless.

    Returns
    -------
    ndarray
        p(t), dimensionless.

    Notes
    -----
    Physics sheet section 5.
    """
    return real(p_eq) + (real(p_0) - real(p_eq)) * np.exp(-real(gamma_1_tot) * real(time))


def power_decay(
    time: ArrayLike,
    omega_q: ArrayLike,
    gamma_1_tot: ArrayLike,
    p_eq: ArrayLike,
    p_0: ArrayLike,
) -> FloatArray:
    """Power R(t) = hbar omega_q Gamma_1tot (p(t) - p_eq) into all channels together.

    Parameters
    ----------
    time : array_like
        Time since the drive stopped, s.
    omega_q : array_like
        Transition, rad/s.
    gamma_1_tot : array_like
        Total relaxation rate, 1/s.
    p_eq, p_0 : array_like
        Population in equilibrium and at t = 0, dimensionless.

    Returns
    -------
    ndarray
        R(t), W. A detected line receives the share eta = Gamma_r (1 + 2 n_r)/Gamma_1tot of it.

    Notes
    -----
    Physics sheet section 5; supplement C5; [G23].
    """
    rate = real(gamma_1_tot)
    excess = (real(p_0) - real(p_eq)) * np.exp(-rate * real(time))
    return HBAR * real(omega_q) * rate * excess


def decay_energy(
    omega_q: ArrayLike, p_eq: ArrayLike, p_0: ArrayLike, eta: ArrayLike = 1.0
) -> FloatArray:
    """Energy released in the whole decay, eta hbar omega_q (p_0 - p_eq), whatever Gamma_1 is.

    Parameters
    ----------
    omega_q : array_like
        Transition, rad/s.
    p_eq, p_0 : array_like
        Population in equilibrium and at t = 0, dimensionless.
    eta : array_like
        Share of the detected channel (`detection.emission_share`); 1: all channels.

    Returns
    -------
    ndarray
        Energy, J.

    Notes
    -----
    Physics sheet section 5; supplement C5: an absolute check of gain times eta.
    """
    return real(eta) * HBAR * real(omega_q) * (real(p_0) - real(p_eq))
