"""Beyond the rotating-wave approximation: the exact periodic state by harmonic balance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from powercal.physics._arrays import ComplexArray, FloatArray, real
from powercal.physics.constants import HBAR

__all__ = ["PeriodicState", "bloch_siegert_shift", "harmonic_balance"]

_MAX_HARMONICS = 2**14


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicState:
    """Cycle averages of the periodic state, each of the broadcast shape.

    Attributes
    ----------
    mean_population : ndarray
        Excited population averaged over a cycle, dimensionless.
    cos_x, sin_x : ndarray
        <cos(omega_d t) sigma_x> and <sin(omega_d t) sigma_x>, dimensionless.
    total_power : ndarray
        R_total, W. Negative for one bath: outside the master equation.
    dephasing_power : ndarray
        The part hbar Omega Gamma_phi <cos(omega_d t) sigma_x> of it, W.
    harmonics : int
        Even harmonics of sigma_z kept.
    """

    mean_population: FloatArray
    cos_x: FloatArray
    sin_x: FloatArray
    total_power: FloatArray
    dephasing_power: FloatArray
    harmonics: int


def _response(
    order: int, omega_q: FloatArray, omega_d: FloatArray, gamma_2: FloatArray
) -> ComplexArray:
    """Return chi_n = (i n omega_d + Gamma_2)/((i n omega_d + Gamma_2)^2 + omega_q^2)."""
    rate = 1j * order * omega_d + gamma_2
    return np.asarray(rate / (rate**2 + omega_q**2))


def _second_harmonic_ratio(
    harmonics: int,
    omega_q: FloatArray,
    omega_d: FloatArray,
    rabi: FloatArray,
    gamma_1_tot: FloatArray,
    gamma_2: FloatArray,
) -> ComplexArray:
    """Return q_2 = z_2/z_0 by the continued fraction, cut behind `harmonics` even orders."""
    square = rabi**2
    ratio: ComplexArray = np.zeros(np.broadcast(omega_q, omega_d, rabi).shape, dtype=np.complex128)
    above = _response(2 * harmonics + 1, omega_q, omega_d, gamma_2)
    with np.errstate(invalid="ignore"):  # complex division warns where an input is NaN
        for m in range(2 * harmonics, 0, -2):
            below = _response(m - 1, omega_q, omega_d, gamma_2)
            resistance = 1j * m * omega_d + gamma_1_tot + square * (below + above * (1.0 + ratio))
            ratio = -square * below / resistance
            above = below
    return ratio


def harmonic_balance(
    omega_q: ArrayLike,
    omega_d: ArrayLike,
    rabi: ArrayLike,
    gamma_1_tot: ArrayLike,
    gamma_2: ArrayLike,
    p_eq: ArrayLike,
    tolerance: float = 1e-12,
) -> PeriodicState:
    """Exact periodic state of the Bloch equations in the lab frame.

    Parameters
    ----------
    omega_q, omega_d, rabi : array_like
        Transition, drive and Rabi rate of H = hbar Omega cos(omega_d t) sigma_x, rad/s.
    gamma_1_tot, gamma_2 : array_like
        Total relaxation and decoherence rate, 1/s.
    p_eq : array_like
        Population without drive, dimensionless.
    tolerance : float
        Harmonics are doubled until the mean of sigma_z changes by less than this.

    Returns
    -------
    PeriodicState
        Cycle averages, dimensionless and W.

    Raises
    ------
    ArithmeticError
        If 2^14 harmonics do not suffice (the drive is then far beyond Omega = omega_d).

    Notes
    -----
    Physics sheet section 6; supplement C6 (scalar recursion, all points at once).

    Examples
    --------
    >>> state = harmonic_balance(100.0, 105.0, 1.0, 1.0, 0.5, 0.0)
    >>> round(float(state.total_power) / HBAR, 8)
    1.01975806
    """
    start = (real(omega_q), real(omega_d), real(rabi), real(gamma_1_tot), real(gamma_2))
    transition, drive, omega, relaxation, width = start
    pull = 2.0 * omega**2 * _response(1, transition, drive, width)
    z_eq = 2.0 * real(p_eq) - 1.0
    harmonics, previous = 4, np.asarray(np.inf)
    while harmonics <= _MAX_HARMONICS:
        gain = 1.0 + _second_harmonic_ratio(harmonics, *start)
        mean_z = relaxation * z_eq / (relaxation + (pull * gain).real)
        # Written so that a NaN among the inputs stays a NaN and does not stop the rest.
        if not np.any(np.abs(mean_z - previous) >= tolerance):
            x_1 = transition * omega * mean_z * gain / ((1j * drive + width) ** 2 + transition**2)
            return _averages(mean_z, x_1, drive, omega, width - relaxation / 2.0, harmonics)
        harmonics, previous = 2 * harmonics, mean_z
    raise ArithmeticError(f"harmonic balance: {_MAX_HARMONICS} harmonics change <z> by > tolerance")


def _averages(
    mean_z: FloatArray,
    x_1: ComplexArray,
    omega_d: FloatArray,
    rabi: FloatArray,
    gamma_phi: FloatArray,
    harmonics: int,
) -> PeriodicState:
    """Turn the harmonics into cycle averages."""
    return PeriodicState(
        mean_population=(1.0 + mean_z) / 2.0,
        cos_x=real(x_1.real),
        sin_x=-real(x_1.imag),
        total_power=HBAR * rabi * omega_d * x_1.imag,
        dephasing_power=HBAR * rabi * gamma_phi * x_1.real,
        harmonics=harmonics,
    )


def bloch_siegert_shift(rabi: ArrayLike, omega_q: ArrayLike) -> FloatArray:
    """Shift of the line by the counter-rotating drive, Omega^2/(4 omega_q), to second order.

    Parameters
    ----------
    rabi, omega_q : array_like
        Rabi rate and transition, rad/s.

    Returns
    -------
    ndarray
        Shift upwards of the resonance, rad/s.

    Notes
    -----
    Physics sheet sections 6 and 11.

    Examples
    --------
    >>> float(bloch_siegert_shift(2.0, 100.0))
    0.01
    """
    return real(rabi) ** 2 / (4.0 * real(omega_q))
