"""Steady state of a driven qubit in the rotating-wave approximation, at any bath temperatures."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from powercal.physics._arrays import ComplexArray, FloatArray, real
from powercal.physics.voigt import complex_voigt

__all__ = [
    "coherence",
    "dephased_rate",
    "equilibrium_population",
    "excited_population",
    "full_width_hz",
    "gaussian_photon_rate",
    "gaussian_reflection",
    "half_width",
    "photon_rate",
    "saturation_parameter",
    "slowest_rate",
    "total_relaxation_rate",
]


def total_relaxation_rate(gamma_k: ArrayLike, n_k: ArrayLike) -> FloatArray:
    """Relaxation rate a T1 experiment sees, Gamma_1tot = sum_k Gamma_k (1 + 2 n_k).

    Parameters
    ----------
    gamma_k : array_like
        Bare rates of the channels, 1/s, shape (..., K): the last axis counts the channels.
    n_k : array_like
        Thermal occupations of the channels, dimensionless, broadcast against `gamma_k`.

    Returns
    -------
    ndarray
        Gamma_1tot, 1/s, shape (...).

    Notes
    -----
    Physics sheet section 1; [G22] for one bath.

    Examples
    --------
    >>> float(total_relaxation_rate([1.0, 3.0], [0.5, 0.0]))
    5.0
    """
    rate: FloatArray = np.sum(real(gamma_k) * (1.0 + 2.0 * real(n_k)), axis=-1)
    return rate


def equilibrium_population(gamma_k: ArrayLike, n_k: ArrayLike) -> FloatArray:
    """Excited population without drive, p_eq = sum_k Gamma_k n_k / Gamma_1tot.

    Parameters
    ----------
    gamma_k : array_like
        Bare rates of the channels, 1/s, shape (..., K): the last axis counts the channels.
    n_k : array_like
        Thermal occupations of the channels, dimensionless, broadcast against `gamma_k`.

    Returns
    -------
    ndarray
        p_eq, dimensionless, shape (...); n/(1 + 2n) for one bath.

    Notes
    -----
    Physics sheet section 1; [G22] for one bath.

    Examples
    --------
    >>> float(equilibrium_population([2.0], [0.5]))
    0.25
    """
    flow_up: FloatArray = np.sum(real(gamma_k) * real(n_k), axis=-1)
    return flow_up / total_relaxation_rate(gamma_k, n_k)


def dephased_rate(gamma_1_tot: ArrayLike, gamma_phi: ArrayLike) -> FloatArray:
    """Decoherence rate Gamma_2 = Gamma_1tot/2 + Gamma_phi.

    Parameters
    ----------
    gamma_1_tot : array_like
        Total relaxation rate, 1/s, any shape.
    gamma_phi : array_like
        Pure dephasing rate of the dissipator (Gamma_phi/2) D[sigma_z], 1/s.

    Returns
    -------
    ndarray
        Gamma_2, 1/s.

    Notes
    -----
    Physics sheet section 1. [G] writes Gamma_phi D[sigma_z], which dephases twice as fast.
    """
    return real(gamma_1_tot) / 2.0 + real(gamma_phi)


def saturation_parameter(
    detuning: ArrayLike, rabi: ArrayLike, gamma_1_tot: ArrayLike, gamma_2: ArrayLike
) -> FloatArray:
    """Saturation parameter s = Omega^2 Gamma_2 / (Gamma_1tot (Gamma_2^2 + Delta^2)).

    Parameters
    ----------
    detuning : array_like
        Delta = omega_d - omega_q, rad/s; positive: drive above the transition.
    rabi : array_like
        Rabi rate Omega of H = hbar Omega cos(omega_d t) sigma_x, rad/s.
    gamma_1_tot, gamma_2 : array_like
        Total relaxation and decoherence rate, 1/s.

    Returns
    -------
    ndarray
        s, dimensionless, of the broadcast shape.

    Notes
    -----
    Physics sheet section 2.

    Examples
    --------
    >>> float(saturation_parameter(0.0, 2.0, 1.0, 0.5))
    8.0
    """
    width = real(gamma_2)
    return real(rabi) ** 2 * width / (real(gamma_1_tot) * (width**2 + real(detuning) ** 2))


def photon_rate(
    detuning: ArrayLike,
    rabi: ArrayLike,
    gamma_1: ArrayLike,
    gamma_1_tot: ArrayLike,
    gamma_2: ArrayLike,
) -> FloatArray:
    """Drive photons absorbed per second, N = (Gamma_1/2) s/(1 + s), for any number of baths.

    Parameters
    ----------
    detuning : array_like
        Delta = omega_d - omega_q, rad/s.
    rabi : array_like
        Rabi rate, rad/s.
    gamma_1 : array_like
        Bare relaxation rate, the sum over all channels, 1/s.
    gamma_1_tot, gamma_2 : array_like
        Total relaxation and decoherence rate, 1/s.

    Returns
    -------
    ndarray
        N, 1/s, of the broadcast shape. Its saturated value Gamma_1/2 knows no temperature.

    Notes
    -----
    Physics sheet section 2; supplement C2. Equal to Gamma_1tot (p - p_eq), a difference that would
    lose 1/s in precision.

    Examples
    --------
    >>> float(photon_rate(0.0, 2.0, 1.0, 1.0, 0.5))
    0.4444444444444444
    """
    s = saturation_parameter(detuning, rabi, gamma_1_tot, gamma_2)
    return 0.5 * real(gamma_1) * s / (1.0 + s)


def excited_population(
    detuning: ArrayLike,
    rabi: ArrayLike,
    gamma_1_tot: ArrayLike,
    gamma_2: ArrayLike,
    p_eq: ArrayLike,
) -> FloatArray:
    """Steady excited population p = (p_eq + s/2)/(1 + s).

    Parameters
    ----------
    detuning, rabi : array_like
        Delta and Omega, rad/s.
    gamma_1_tot, gamma_2 : array_like
        Total relaxation and decoherence rate, 1/s.
    p_eq : array_like
        Population without drive, dimensionless.

    Returns
    -------
    ndarray
        p, dimensionless, of the broadcast shape.

    Notes
    -----
    Physics sheet section 2.

    Examples
    --------
    >>> float(excited_population(0.0, 2.0, 1.0, 0.5, 0.0))
    0.4444444444444444
    """
    s = saturation_parameter(detuning, rabi, gamma_1_tot, gamma_2)
    return (real(p_eq) + s / 2.0) / (1.0 + s)


def coherence(
    detuning: ArrayLike,
    rabi: ArrayLike,
    gamma_1_tot: ArrayLike,
    gamma_2: ArrayLike,
    p_eq: ArrayLike,
) -> ComplexArray:
    """Amplitude <sigma_-> = -i (Omega/2)(1 - 2p)/(Gamma_2 - i Delta) in the frame of the drive.

    Parameters
    ----------
    detuning, rabi : array_like
        Delta and Omega, rad/s.
    gamma_1_tot, gamma_2 : array_like
        Total relaxation and decoherence rate, 1/s.
    p_eq : array_like
        Population without drive, dimensionless.

    Returns
    -------
    ndarray
        Complex amplitude, dimensionless; sigma_-(t) = <sigma_-> exp(-i omega_d t).

    Notes
    -----
    Physics sheet section 2; supplement C2.

    Examples
    --------
    >>> complex(coherence(0.0, 1.0, 1.0, 0.5, 0.0))
    -0.3333333333333333j
    """
    s = saturation_parameter(detuning, rabi, gamma_1_tot, gamma_2)
    inversion = (1.0 - 2.0 * real(p_eq)) / (1.0 + s)
    # Factors ordered so that the real part is exactly zero on resonance.
    return -1j * (0.5 * real(rabi) * inversion / (real(gamma_2) - 1j * real(detuning)))


def half_width(rabi: ArrayLike, gamma_1_tot: ArrayLike, gamma_2: ArrayLike) -> FloatArray:
    """Power-broadened half width at half maximum, W = Gamma_2 sqrt(1 + s_0).

    Parameters
    ----------
    rabi : array_like
        Rabi rate, rad/s.
    gamma_1_tot, gamma_2 : array_like
        Total relaxation and decoherence rate, 1/s.

    Returns
    -------
    ndarray
        W, rad/s, with s_0 = Omega^2/(Gamma_1tot Gamma_2).

    Notes
    -----
    Physics sheet section 2; supplement C2.

    Examples
    --------
    >>> float(half_width(2.0, 1.0, 0.5))
    1.5
    """
    return real(gamma_2) * np.sqrt(1.0 + saturation_parameter(0.0, rabi, gamma_1_tot, gamma_2))


def full_width_hz(rabi: ArrayLike, gamma_1_tot: ArrayLike, gamma_2: ArrayLike) -> FloatArray:
    """Full width at half maximum of the line as a spectrum shows it, W/pi.

    Parameters
    ----------
    rabi : array_like
        Rabi rate, rad/s.
    gamma_1_tot, gamma_2 : array_like
        Total relaxation and decoherence rate, 1/s.

    Returns
    -------
    ndarray
        Full width, Hz (supplement C2).
    """
    return half_width(rabi, gamma_1_tot, gamma_2) / np.pi


def slowest_rate(rabi: ArrayLike, gamma_1_tot: ArrayLike, gamma_2: ArrayLike) -> FloatArray:
    """Slowest rate at which the population settles when driven on resonance.

    Parameters
    ----------
    rabi : array_like
        Rabi rate, rad/s.
    gamma_1_tot, gamma_2 : array_like
        Total relaxation and decoherence rate, 1/s.

    Returns
    -------
    ndarray
        (Gamma_1tot + Gamma_2)/2 - Re sqrt((Gamma_1tot - Gamma_2)^2/4 - Omega^2), 1/s. At any
        detuning every rate is at least min(Gamma_1tot, Gamma_2) >= Gamma_1tot/2.

    Notes
    -----
    Supplement C2. The in-phase quadrature, which a resonant drive does not excite, decays with
    Gamma_2.
    """
    fast, slow = real(gamma_1_tot), real(gamma_2)
    split = np.maximum((fast - slow) ** 2 / 4.0 - real(rabi) ** 2, 0.0)
    return (fast + slow) / 2.0 - np.sqrt(split)


def gaussian_photon_rate(
    detuning: ArrayLike,
    rabi: ArrayLike,
    gamma_1: ArrayLike,
    gamma_1_tot: ArrayLike,
    gamma_2: ArrayLike,
    sigma: ArrayLike,
) -> FloatArray:
    """Photon rate averaged over slow Gaussian noise of the transition frequency.

    Parameters
    ----------
    detuning, rabi : array_like
        Mean detuning and Rabi rate, rad/s.
    gamma_1, gamma_1_tot, gamma_2 : array_like
        Bare and total relaxation rate, white decoherence rate, 1/s.
    sigma : array_like
        Standard deviation of the frequency noise, rad/s; 0 gives `photon_rate`.

    Returns
    -------
    ndarray
        (Gamma_1/2)(s_0 Gamma_2^2/W) sqrt(pi/2)/sigma Re w(z), 1/s, z = (Delta + iW)/(sqrt2 sigma).

    Notes
    -----
    Supplement C2; w is the Faddeeva function. Noise slower than the dwell is not Gamma_phi.
    """
    width = half_width(rabi, gamma_1_tot, gamma_2)
    area = saturation_parameter(0.0, rabi, gamma_1_tot, gamma_2) * real(gamma_2) ** 2 / width
    return 0.5 * real(gamma_1) * area * complex_voigt(detuning, width, sigma).real


def gaussian_reflection(
    detuning: ArrayLike,
    rabi: ArrayLike,
    gamma_r: ArrayLike,
    gamma_1_tot: ArrayLike,
    gamma_2: ArrayLike,
    p_eq: ArrayLike,
    sigma: ArrayLike,
    weight: ArrayLike = 1.0,
) -> ComplexArray:
    """Reflection at the end of a line, averaged over slow Gaussian noise of the frequency.

    Parameters
    ----------
    detuning, rabi : array_like
        Mean detuning and Rabi rate, rad/s.
    gamma_r, gamma_1_tot, gamma_2 : array_like
        Radiative, total relaxation and white decoherence rate, 1/s.
    p_eq : array_like
        Population without drive, dimensionless.
    sigma : array_like
        Standard deviation of the frequency noise, rad/s; 0 gives the white line.
    weight : array_like
        Share of the time the qubit spends in its two-level manifold, dimensionless.

    Returns
    -------
    ndarray
        Complex r, e^{-i omega t} convention, averaged as an amplitude (supplement C2).
    """
    width = half_width(rabi, gamma_1_tot, gamma_2)
    line = complex_voigt(detuning, width, sigma)
    amplitude: ComplexArray = real(gamma_2) / width * line.real + 1j * line.imag
    return 1.0 - real(weight) * real(gamma_r) * (1.0 - 2.0 * real(p_eq)) * amplitude
