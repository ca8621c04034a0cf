"""Beyond the rotating-wave approximation: the exact periodic state by harmonic balance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from powercal.physics._arrays import ComplexArray, FloatArray, real
from powercal.physics._harmonics import (
    IntArray,
    Points,
    blocks,
    converged,
    ladder_of,
    response_slopes,
    rungs_of,
    stimulated_rate,
)
from powercal.physics.constants import HBAR

__all__ = [
    "PeriodicSlopes",
    "PeriodicState",
    "bloch_siegert_shift",
    "harmonic_balance",
    "harmonic_balance_slopes",
]

MAX_HARMONICS = 4096  # Omega up to about a thousand omega_d


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
    harmonics : ndarray of int
        Even harmonics of sigma_z kept at each point; 0 where `maximum` of them did not meet the
        tolerance: the averages are NaN there.
    """

    mean_population: FloatArray
    cos_x: FloatArray
    sin_x: FloatArray
    total_power: FloatArray
    dephasing_power: FloatArray
    harmonics: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicSlopes:
    """Exact derivatives of two cycle averages, by the name of the argument.

    Attributes
    ----------
    state : PeriodicState
        The state itself.
    total_power, mean_population : dict of ndarray
        Derivatives by omega_q, omega_d, rabi (per rad/s), gamma_1_tot, gamma_2 (per 1/s) and p_eq;
        NaN where the state is.
    """

    state: PeriodicState
    total_power: dict[str, FloatArray]
    mean_population: dict[str, FloatArray]


def _flat(arguments: tuple[ArrayLike, ...]) -> tuple[tuple[int, ...], Points]:
    arrays = [real(argument) for argument in arguments]
    shape = np.broadcast(*arrays).shape
    columns = np.empty((len(arrays), *shape))
    for row, array in enumerate(arrays):
        columns[row, ...] = array
    return shape, Points(*columns.reshape(len(arrays), -1))


def _state(
    at: Points,
    response: ComplexArray,
    pole: ComplexArray,
    kept: IntArray,
    shape: tuple[int, ...],
) -> PeriodicState:
    """Turn h_2 into cycle averages: z_0, and x_1 = omega_q Omega z_0 h_2/(i omega_d + Gamma_2)."""
    stimulated = stimulated_rate(at, response)
    total = at.gamma_1_tot + 2.0 * stimulated
    polarised = 1.0 - 2.0 * at.p_eq
    mean_z = -polarised * at.gamma_1_tot / total
    x_1 = at.omega_q * at.rabi * mean_z * response / pole
    cos_x, sin_x = x_1.real.reshape(shape), -x_1.imag.reshape(shape)
    rabi = at.rabi.reshape(shape)
    gamma_phi = (at.gamma_2 - at.gamma_1_tot / 2.0).reshape(shape)
    return PeriodicState(
        # The excess over p_eq by itself: a difference of populations would lose a weak drive.
        mean_population=(at.p_eq + polarised * stimulated / total).reshape(shape),
        cos_x=cos_x,
        sin_x=sin_x,
        total_power=-HBAR * rabi * at.omega_d.reshape(shape) * sin_x,
        dephasing_power=HBAR * rabi * gamma_phi * cos_x,
        harmonics=kept.reshape(shape),
    )


def harmonic_balance(
    omega_q: ArrayLike,
    omega_d: ArrayLike,
    rabi: ArrayLike,
    gamma_1_tot: ArrayLike,
    gamma_2: ArrayLike,
    p_eq: ArrayLike,
    tolerance: float = 1e-12,
    maximum: int = MAX_HARMONICS,
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
        At each point harmonics are doubled until the mean of sigma_z changes by less than this.
    maximum : int
        Most even harmonics of sigma_z to keep; it takes about Omega/omega_d of them.

    Returns
    -------
    PeriodicState
        Cycle averages, dimensionless and W; NaN with ``harmonics`` 0 where `maximum` does not
        suffice.

    Notes
    -----
    Physics sheet section 6; supplement C6 (scalar recursion, all points at once). R_total is a
    product: it keeps its digits at any weakness of the drive.

    Examples
    --------
    >>> state = harmonic_balance(100.0, 105.0, 1.0, 1.0, 0.5, 0.0)
    >>> round(float(state.total_power) / HBAR, 8)
    1.01975806
    """
    shape, points = _flat((omega_q, omega_d, rabi, gamma_1_tot, gamma_2, p_eq))
    with np.errstate(invalid="ignore"):  # complex division warns where an input is NaN
        return _state(points, *converged(points, tolerance, maximum), shape)


def harmonic_balance_slopes(
    omega_q: ArrayLike,
    omega_d: ArrayLike,
    rabi: ArrayLike,
    gamma_1_tot: ArrayLike,
    gamma_2: ArrayLike,
    p_eq: ArrayLike,
    tolerance: float = 1e-12,
    maximum: int = MAX_HARMONICS,
) -> PeriodicSlopes:
    """Exact derivatives of total power and mean population by all six arguments.

    Parameters
    ----------
    omega_q, omega_d, rabi, gamma_1_tot, gamma_2, p_eq : array_like
        As of `harmonic_balance`.
    tolerance, maximum : float, int
        As of `harmonic_balance`; the derivatives are those of the recursion with as many harmonics.

    Returns
    -------
    PeriodicSlopes
        The state and its derivatives, each of the broadcast shape.

    Notes
    -----
    Supplement C6, differentiated by the chain rule along the recursion.

    Examples
    --------
    >>> slopes = harmonic_balance_slopes(100.0, 100.0, 1e-3, 1.0, 0.5, 0.0)
    >>> round(float(slopes.mean_population["rabi"] * 1e-3 / slopes.state.mean_population), 4)
    2.0
    """
    shape, points = _flat((omega_q, omega_d, rabi, gamma_1_tot, gamma_2, p_eq))
    by_response = np.full((5, points.omega_d.size), np.nan, dtype=np.complex128)
    with np.errstate(invalid="ignore"):
        response, pole, kept = converged(points, tolerance, maximum)
        for harmonics in map(int, np.unique(kept[kept > 0])):
            members = np.flatnonzero(kept == harmonics)
            for block in blocks(members.size, harmonics):
                at = points.take(members[block])
                ladder = ladder_of(rungs_of(at, harmonics), harmonics)
                by_response[:, members[block]] = response_slopes(at, ladder)
        power, population = _average_slopes(points, response, pole, by_response)
        state = _state(points, response, pole, kept, shape)
    names = Points._fields
    return PeriodicSlopes(
        state=state,
        total_power={n: v.reshape(shape) for n, v in zip(names, power, strict=True)},
        mean_population={n: v.reshape(shape) for n, v in zip(names, population, strict=True)},
    )


def _average_slopes(
    at: Points, response: ComplexArray, pole: ComplexArray, by_response: ComplexArray
) -> tuple[FloatArray, FloatArray]:
    """Chain dh_2 to total power and mean population; rows as in `Points`."""
    square, polarised = at.rabi**2, 1.0 - 2.0 * at.p_eq
    stimulated = stimulated_rate(at, response)
    total = at.gamma_1_tot + 2.0 * stimulated
    by_stimulated = square * by_response.real
    by_stimulated[2] += 2.0 * at.rabi * response.real
    relaxed = np.zeros_like(by_stimulated)
    relaxed[3] = 1.0
    # R_total = unit (1 - 2 p_eq) Omega^2 Im y, y = h_2/pole.
    unit = -HBAR * at.omega_q * at.omega_d * at.gamma_1_tot / total
    y = response / pole
    turned = np.zeros_like(by_response)
    turned[1], turned[4] = 1j, 1.0
    by_y = (by_response / pole - y / pole * turned).imag
    by_unit = -(relaxed + 2.0 * by_stimulated) / total
    by_unit[0] += 1.0 / at.omega_q
    by_unit[1] += 1.0 / at.omega_d
    by_unit[3] += 1.0 / at.gamma_1_tot
    power = unit * polarised * square * (by_y + by_unit * y.imag)
    power[2] += unit * polarised * 2.0 * at.rabi * y.imag
    by_share = (by_stimulated * at.gamma_1_tot - stimulated * relaxed) / total**2
    return (
        np.vstack([power, -2.0 * unit * square * y.imag]),
        np.vstack([polarised * by_share, at.gamma_1_tot / total]),
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
