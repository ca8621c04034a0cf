"""Complex amplitudes that leave a driven qubit: at the end of a line and in any two-port."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike

from powercal.physics._arrays import ComplexArray, FloatArray, real
from powercal.physics.bloch import saturation_parameter
from powercal.physics.constants import HBAR

__all__ = [
    "Convention",
    "TwoPort",
    "drive_fractions",
    "general_two_port",
    "in_line",
    "notch_transmission",
    "radiative_rate_from_kappa",
    "reflection_end_of_line",
    "through_line",
    "two_port_drive_scale",
    "with_convention",
]

Convention = Literal["-i", "+i"]


class TwoPort(NamedTuple):
    """Amplitudes of a two-port driven at one port, complex, e^{-i omega t} convention."""

    transmission: ComplexArray
    reflection: ComplexArray


def with_convention(value: ArrayLike, convention: Convention) -> ComplexArray:
    """Amplitude in a named sign convention; the formulas here are written in "-i".

    Parameters
    ----------
    value : array_like
        Complex amplitude in the physicists' convention e^{-i omega t}.
    convention : {"-i", "+i"}
        "-i": as is; "+i": conjugate, e^{+i omega t} as network analysers have it.

    Returns
    -------
    ndarray
        Complex amplitude.

    Raises
    ------
    ValueError
        If `convention` is neither name.

    Notes
    -----
    Supplement C1. The function is its own inverse.
    """
    if convention not in get_args(Convention):
        raise ValueError(f"convention={convention!r}; wanted '-i' or '+i'")
    amplitude = np.asarray(value)
    return amplitude if convention == "-i" else np.conjugate(amplitude)


def _line_response(
    detuning: ArrayLike,
    rabi: ArrayLike,
    gamma_1_tot: ArrayLike,
    gamma_2: ArrayLike,
    p_eq: ArrayLike,
    weight: ArrayLike,
) -> ComplexArray:
    """Return w (1 - 2p)/(Gamma_2 - i Delta), s: what every scattering amplitude has in common."""
    s = saturation_parameter(detuning, rabi, gamma_1_tot, gamma_2)
    inversion = (1.0 - 2.0 * real(p_eq)) / (1.0 + s)
    return np.asarray(real(weight) * inversion / (real(gamma_2) - 1j * real(detuning)))


def reflection_end_of_line(
    detuning: ArrayLike,
    rabi: ArrayLike,
    gamma_r: ArrayLike,
    gamma_1_tot: ArrayLike,
    gamma_2: ArrayLike,
    p_eq: ArrayLike,
    weight: ArrayLike = 1.0,
) -> ComplexArray:
    """Reflection of a qubit at the end of a line, r = 1 - w Gamma_r (1 - 2p)/(Gamma_2 - i Delta).

    Parameters
    ----------
    detuning, rabi : array_like
        Delta = omega_d - omega_q and Rabi rate, rad/s.
    gamma_r, gamma_1_tot, gamma_2 : array_like
        Radiative, total relaxation and decoherence rate, 1/s.
    p_eq : array_like
        Population without drive, dimensionless.
    weight : array_like
        Share w of the time the qubit spends in its two-level manifold, dimensionless.

    Returns
    -------
    ndarray
        Complex r, dimensionless, e^{-i omega t}; `with_convention` gives the other sign.

    Notes
    -----
    Physics sheet section 5; supplement C5. Any temperatures of line and inside.

    Examples
    --------
    >>> complex(reflection_end_of_line(0.0, 0.0, 1.0, 1.0, 0.5, 0.0))
    (-1+0j)
    """
    response = _line_response(detuning, rabi, gamma_1_tot, gamma_2, p_eq, weight)
    return 1.0 - real(gamma_r) * response


def through_line(
    detuning: ArrayLike,
    rabi: ArrayLike,
    gamma_r: ArrayLike,
    gamma_1_tot: ArrayLike,
    gamma_2: ArrayLike,
    p_eq: ArrayLike,
    weight: ArrayLike = 1.0,
) -> TwoPort:
    """Transmission and reflection of a qubit beside a symmetric, matched line.

    Parameters
    ----------
    detuning, rabi : array_like
        Delta = omega_d - omega_q and Rabi rate, rad/s.
    gamma_r, gamma_1_tot, gamma_2 : array_like
        Radiative rate into both directions together, total relaxation and decoherence rate, 1/s.
    p_eq, weight : array_like
        Population without drive, manifold weight, dimensionless.

    Returns
    -------
    TwoPort
        t = 1 - (Gamma_r/2) w (1 - 2p)/(Gamma_2 - i Delta) and r = t - 1, complex, e^{-i omega t}.

    Notes
    -----
    Physics sheet section 5; supplement C5.
    """
    response = _line_response(detuning, rabi, gamma_1_tot, gamma_2, p_eq, weight)
    reflection = -0.5 * real(gamma_r) * response
    return TwoPort(1.0 + reflection, reflection)


def in_line(
    detuning: ArrayLike,
    rabi: ArrayLike,
    gamma_in: ArrayLike,
    gamma_out: ArrayLike,
    gamma_1_tot: ArrayLike,
    gamma_2: ArrayLike,
    p_eq: ArrayLike,
    weight: ArrayLike = 1.0,
) -> TwoPort:
    """Transmission and reflection of a qubit between two ports without a direct path.

    Parameters
    ----------
    detuning, rabi : array_like
        Delta = omega_d - omega_q and Rabi rate, rad/s.
    gamma_in, gamma_out : array_like
        Radiative rates into the driven and into the other port, 1/s.
    gamma_1_tot, gamma_2 : array_like
        Total relaxation and decoherence rate, 1/s.
    p_eq, weight : array_like
        Population without drive, manifold weight, dimensionless.

    Returns
    -------
    TwoPort
        S_21 and S_11, complex, e^{-i omega t}.

    Notes
    -----
    Supplement C5, table of geometries.
    """
    response = _line_response(detuning, rabi, gamma_1_tot, gamma_2, p_eq, weight)
    enter, leave = real(gamma_in), real(gamma_out)
    return TwoPort(-np.sqrt(enter * leave) * response, 1.0 - enter * response)


def general_two_port(
    C: ArrayLike,
    d: ArrayLike,
    detuning: ArrayLike,
    rabi: ArrayLike,
    gamma_1_tot: ArrayLike,
    gamma_2: ArrayLike,
    p_eq: ArrayLike,
    weight: ArrayLike = 1.0,
) -> ComplexArray:
    """Scattering matrix S_ij = C_ij - d_i d_j w (1 - 2p)/(Gamma_2 - i Delta) of any two-port.

    Parameters
    ----------
    C : array_like
        Background of the lossless reciprocal two-port, symmetric and unitary, shape (..., 2, 2).
    d : array_like
        Complex emission amplitudes with C d* = d and |d_j|^2 the rate into port j, sqrt(1/s),
        shape (..., 2).
    detuning, rabi : array_like
        Delta = omega_d - omega_q and Rabi rate, rad/s, shape S.
    gamma_1_tot, gamma_2 : array_like
        Total relaxation and decoherence rate, 1/s.
    p_eq, weight : array_like
        Population without drive, manifold weight, dimensionless.

    Returns
    -------
    ndarray
        Complex S matrix, shape S + (2, 2), e^{-i omega t}.

    Notes
    -----
    Supplement C5.
    """
    response = _line_response(detuning, rabi, gamma_1_tot, gamma_2, p_eq, weight)
    amplitude = np.asarray(d)
    outer = amplitude[..., :, None] * amplitude[..., None, :]
    return np.asarray(np.asarray(C) - outer * np.asarray(response)[..., None, None])


def two_port_drive_scale(d: ArrayLike, omega_d: ArrayLike, port: int = 0) -> FloatArray:
    """Drive scale Omega^2/P = 4 |d_port|^2/(hbar omega_d) of a two-port driven at one port.

    Parameters
    ----------
    d : array_like
        Complex emission amplitudes, sqrt(1/s), shape (..., 2).
    omega_d : array_like
        Drive frequency, rad/s.
    port : int
        Index of the driven port.

    Returns
    -------
    ndarray
        Omega^2/P, (rad/s)^2/W.

    Notes
    -----
    Supplement C5.
    """
    return 4.0 * real(np.abs(np.asarray(d)[..., port])) ** 2 / (HBAR * real(omega_d))


def notch_transmission(
    detuning: ArrayLike,
    rabi: ArrayLike,
    kappa: ArrayLike,
    gamma_1_tot: ArrayLike,
    gamma_2: ArrayLike,
    p_eq: ArrayLike,
    weight: ArrayLike = 1.0,
) -> ComplexArray:
    """Transmission past a qubit on a mismatched line, over that without qubit, S_21/C_21.

    Parameters
    ----------
    detuning, rabi : array_like
        Delta = omega_d - omega_q and Rabi rate, rad/s.
    kappa : array_like
        Complex coupling kappa = d_1 d_2/C_21, 1/s; Gamma_r/2 on a matched line.
    gamma_1_tot, gamma_2 : array_like
        Total relaxation and decoherence rate, 1/s.
    p_eq, weight : array_like
        Population without drive, manifold weight, dimensionless.

    Returns
    -------
    ndarray
        1 - kappa w (1 - 2p)/(Gamma_2 - i Delta), complex, e^{-i omega t}.

    Notes
    -----
    Supplement C5.
    """
    response = _line_response(detuning, rabi, gamma_1_tot, gamma_2, p_eq, weight)
    return np.asarray(1.0 - np.asarray(kappa) * response)


def radiative_rate_from_kappa(kappa: ArrayLike) -> FloatArray:
    """Radiative rate of a notch, Gamma_r = 2 Re kappa = 2 |kappa| cos(phi), exactly.

    Parameters
    ----------
    kappa : array_like
        Complex coupling |kappa| e^{i phi}, 1/s, either sign convention.

    Returns
    -------
    ndarray
        Gamma_r into both ports together, 1/s.

    Notes
    -----
    Supplement C5: the diameter correction.
    """
    return 2.0 * real(np.asarray(kappa).real)


def drive_fractions(c_21: ArrayLike, phi: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Both possible shares x = |d_1|^2/Gamma_r of the driven port in the emission of a notch.

    Parameters
    ----------
    c_21 : array_like
        Background transmission C_21, dimensionless; only its modulus counts.
    phi : array_like
        Phase of kappa, rad.

    Returns
    -------
    tuple of ndarray
        x_-, x_+ = (1 -+ sqrt(1 - (|C_21|/cos phi)^2))/2, so Omega^2 = 4 x Gamma_r P/(hbar omega_d);
        NaN where |C_21| > cos(phi), which no lossless two-port has.

    Notes
    -----
    Supplement C5. phi alone does not tell the drive scale.

    Examples
    --------
    >>> [round(float(x), 12) for x in drive_fractions(0.8, 0.0)]
    [0.2, 0.8]
    """
    square = 1.0 - (np.abs(np.asarray(c_21)) / np.cos(real(phi))) ** 2
    # The symmetric line has exactly zero here, which rounding may turn into -1e-16.
    rounded = np.where(np.abs(square) < 1e-14, 0.0, square)
    root = np.sqrt(np.where(rounded < 0.0, np.nan, rounded))
    return 0.5 * (1.0 - root), 0.5 * (1.0 + root)
