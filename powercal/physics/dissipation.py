"""Heat and work of a qubit at one instant, from expectation values: the identities of [G]."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from powercal.physics._arrays import FloatArray, real
from powercal.physics.constants import HBAR

__all__ = [
    "drive_power",
    "excited_population_from_z",
    "heat_current",
    "population_slope",
    "qubit_energy",
]


def excited_population_from_z(sigma_z: ArrayLike) -> FloatArray:
    """Excited population <sigma_+ sigma_-> = (1 + <sigma_z>)/2.

    Parameters
    ----------
    sigma_z : array_like
        <sigma_z>, dimensionless, +1 in the excited state.

    Returns
    -------
    ndarray
        p, dimensionless.

    Notes
    -----
    [G7, G8].

    Examples
    --------
    >>> float(excited_population_from_z(-0.5))
    0.25
    """
    return (1.0 + real(sigma_z)) / 2.0


def qubit_energy(
    omega_q: ArrayLike, sigma_z: ArrayLike, field: ArrayLike = 0.0, sigma_x: ArrayLike = 0.0
) -> FloatArray:
    """Energy <H> = hbar omega_q <sigma_z>/2 + hbar Omega cos(omega_d t) <sigma_x>.

    Parameters
    ----------
    omega_q : array_like
        Transition, rad/s.
    sigma_z, sigma_x : array_like
        Expectation values, dimensionless.
    field : array_like
        Omega cos(omega_d t) at that instant, rad/s; 0 without drive.

    Returns
    -------
    ndarray
        Energy, J.

    Notes
    -----
    [G5] without, [G13] with a drive.
    """
    return HBAR * (real(omega_q) * real(sigma_z) / 2.0 + real(field) * real(sigma_x))


def population_slope(
    excited_population: ArrayLike, gamma_k: ArrayLike, n_k: ArrayLike
) -> FloatArray:
    """Change of the population by one bath, dp/dt = -Gamma_k [(1 + 2 n_k) p - n_k].

    Parameters
    ----------
    excited_population : array_like
        p, dimensionless.
    gamma_k, n_k : array_like
        Bare rate, 1/s, and occupation of the bath.

    Returns
    -------
    ndarray
        dp/dt, 1/s; d<sigma_z>/dt is twice that. Pure dephasing adds nothing to it.

    Notes
    -----
    [G10, G11] at n = 0; [G §4.3].

    Examples
    --------
    >>> float(population_slope(1.0, 3.0, 0.0))
    -3.0
    """
    occupation = real(n_k)
    net_jumps = (1.0 + 2.0 * occupation) * real(excited_population) - occupation
    return -real(gamma_k) * net_jumps


def heat_current(
    omega_q: ArrayLike,
    field: ArrayLike,
    excited_population: ArrayLike,
    sigma_x: ArrayLike,
    gamma_k: ArrayLike,
    n_k: ArrayLike = 0.0,
    gamma_phi: ArrayLike = 0.0,
) -> FloatArray:
    """Power that the qubit gives to one bath (and to pure dephasing), exact in the lab frame.

    Parameters
    ----------
    omega_q : array_like
        Transition, rad/s.
    field : array_like
        Omega cos(omega_d t) at that instant, rad/s. For cycle averages of a periodic state give
        Omega, and <cos(omega_d t) sigma_x> for `sigma_x`.
    excited_population, sigma_x : array_like
        p and <sigma_x> at that instant, dimensionless.
    gamma_k, n_k : array_like
        Bare rate, 1/s, and occupation of the bath.
    gamma_phi : array_like
        Pure dephasing of the dissipator (Gamma_phi/2) D[sigma_z], 1/s; 0 for the bath alone.

    Returns
    -------
    ndarray
        R = hbar omega_q Gamma_k [(1 + 2 n_k) p - n_k]
        + (hbar Omega cos(omega_d t)/2) (Gamma_k (1 + 2 n_k) + 2 Gamma_phi) <sigma_x>, W.

    Notes
    -----
    [G1, G2, G12, G23] with `field` 0, [G20] at n_k = 0; physics sheet section 6. The second term
    does not average to zero off resonance (section 9).

    Examples
    --------
    >>> float(heat_current(2.0, 1.0, 0.5, -0.5, 1.0)) / HBAR
    0.75
    """
    total = real(gamma_k) * (1.0 + 2.0 * real(n_k))
    coherent = real(field) * (total / 2.0 + real(gamma_phi)) * real(sigma_x)
    jumps = population_slope(excited_population, gamma_k, n_k)
    return HBAR * (coherent - real(omega_q) * jumps)


def drive_power(
    rabi: ArrayLike, omega_d: ArrayLike, time: ArrayLike, sigma_x: ArrayLike
) -> FloatArray:
    """Power that the drive puts in, <dH/dt> = -hbar Omega omega_d sin(omega_d t) <sigma_x>.

    Parameters
    ----------
    rabi, omega_d : array_like
        Rabi rate and drive frequency of H = hbar Omega cos(omega_d t) sigma_x, rad/s.
    time : array_like
        t, s.
    sigma_x : array_like
        <sigma_x> at that instant, dimensionless.

    Returns
    -------
    ndarray
        Power, W.

    Notes
    -----
    [G15] and the lines after it; its cycle average is R_total.
    """
    turn = real(omega_d)
    return -HBAR * real(rabi) * turn * np.sin(turn * real(time)) * real(sigma_x)
