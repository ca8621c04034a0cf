"""Gain between two subbands whose carriers also move in the plane: Bloch gain [W31].

Energies are measured from the bottom of the own subband, potentials too; D = omega - omega_ul is
the detuning from the transition between the bottoms, G = g_u + g_l the full width.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from powercal_reservoirs.constants import (
    BOLTZMANN,
    ELEMENTARY_CHARGE,
    HBAR,
    LIGHT_SPEED,
    VACUUM_PERMITTIVITY,
)
from powercal_reservoirs.occupations import inversion

__all__ = [
    "Subband",
    "density_slopes",
    "gain_factor",
    "gain_per_length",
    "inversion_density",
    "line_shape",
    "rate_per_state",
    "scaled_density",
    "scaled_potential",
    "state_density",
    "subband_density",
    "subband_potential",
]

Array = NDArray[Any]
GAIN_CONSTANT = ELEMENTARY_CHARGE**2 / (2 * HBAR * VACUUM_PERMITTIVITY * LIGHT_SPEED)  # 2 pi alpha
STATE_CONSTANT = BOLTZMANN / (np.pi * HBAR**2)  # states per mass and temperature, 1/(m^2 kg K)
Statistics = Literal["fermi", "boltzmann"]


class Subband(NamedTuple):
    """Width g (1/s), potential from the own bottom (J) and temperature (K) of one subband."""

    gamma: ArrayLike
    potential: ArrayLike
    temperature: ArrayLike


def line_shape(detuning: ArrayLike, width: ArrayLike) -> Array:
    """Lorentzian L = G/(D^2 + G^2/4) of [W31].

    Parameters
    ----------
    detuning, width : array_like
        D in rad/s and the full width at half maximum G in 1/s.

    Returns
    -------
    ndarray
        s.

    Examples
    --------
    >>> float(line_shape(0.0, 2.0))
    2.0
    """
    full = np.asarray(width)
    return np.asarray(full / (np.asarray(detuning) ** 2 + full**2 / 4))


def rate_per_state(
    energy: ArrayLike,
    detuning: ArrayLike,
    upper: Subband,
    lower: Subband,
    band_edge: bool = True,
) -> Array:
    """Net emission rate of one state k, over |eps|^2, [W31] with the band edge.

    Parameters
    ----------
    energy : array_like
        E_k >= 0, J.
    detuning : array_like
        D, rad/s.
    upper, lower : Subband
        The two subbands.
    band_edge : bool
        Whether the partner that carries the missing energy must exist (energy above the bottom);
        without, Fermi functions are continued below it.

    Returns
    -------
    ndarray
        R_k/|eps|^2, s, with hbar eps = e z_ul E_0/2.

    Notes
    -----
    Supplement C8: L(D) {(g_l/G)[f_u(E_k) - f_l(E_k - hbar D)] + (g_u/G)[f_u(E_k + hbar D) -
    f_l(E_k)]}, each bracket only where its shifted energy is positive. Against Green's functions
    the relative error is about (hbar G/kT)^2/100 within some widths of the line; far out in the
    tails, at fixed D, it falls with the first power of G only.
    """
    e, shift = np.asarray(energy), HBAR * np.asarray(detuning)
    width = np.asarray(upper.gamma) + np.asarray(lower.gamma)

    def bracket(energy_u: Array, energy_l: Array, partner: Array) -> Array:
        x_u = (energy_u - upper.potential) / (BOLTZMANN * np.asarray(upper.temperature))
        x_l = (energy_l - lower.potential) / (BOLTZMANN * np.asarray(lower.temperature))
        exists = np.where(partner >= 0, 1.0, 0.0) if band_edge else 1.0
        return inversion(x_u, x_l) * exists

    below = lower.gamma / width * bracket(e, e - shift, e - shift)
    above = upper.gamma / width * bracket(e + shift, e, e + shift)
    return np.asarray(line_shape(detuning, width) * (below + above))


def state_density(mass: ArrayLike, temperature: ArrayLike) -> Array:
    """Thermal density of a subband, N_T = m kT/(pi hbar^2), spin included.

    Parameters
    ----------
    mass : array_like
        Effective mass, kg.
    temperature : array_like
        K.

    Returns
    -------
    ndarray
        1/m^2.
    """
    return np.asarray(STATE_CONSTANT * np.asarray(mass) * np.asarray(temperature))


def scaled_density(ratio: ArrayLike) -> Array:
    """Carriers of a subband in units of N_T, ln(1 + e^r).

    Parameters
    ----------
    ratio : array_like
        r = (mu - x)/kT for carriers above the energy x, dimensionless.

    Returns
    -------
    ndarray
        Dimensionless, without overflow, accurate for dilute carriers too.

    Examples
    --------
    >>> round(float(scaled_density(0.0)), 6)
    0.693147
    """
    return np.asarray(np.maximum(ratio, 0.0) + np.log1p(np.exp(-np.abs(ratio))))


def scaled_potential(filling: ArrayLike) -> Array:
    """Potential over kT of a subband: the inverse of `scaled_density`, ln(e^v - 1).

    Parameters
    ----------
    filling : array_like
        v = n/N_T >= 0, dimensionless.

    Returns
    -------
    ndarray
        Dimensionless; -690 for an empty subband, which no double tells from -inf.

    Examples
    --------
    >>> float(scaled_potential(800.0))
    800.0
    """
    # v + ln(1 - e^-v) neither overflows nor cancels.
    return np.asarray(filling + np.log(np.maximum(-np.expm1(-np.asarray(filling)), 1e-300)))


def density_slopes(filling: ArrayLike, shift: ArrayLike) -> tuple[Array, Array]:
    """Derivatives of the carriers above an energy, n(x)/N_T, by the density and by the energy.

    Parameters
    ----------
    filling, shift : array_like
        v = n/N_T >= 0 and y = x/kT >= 0, dimensionless.

    Returns
    -------
    tuple of ndarray
        By v, e^{v-y}/(1 + (e^v - 1) e^-y), and by y, minus the occupation there; dimensionless.
    """
    v = np.asarray(filling, dtype=float)
    by_filling = 1.0 / (np.exp(np.minimum(shift - v, 700.0)) - np.expm1(-v))
    return np.asarray(by_filling), np.asarray(by_filling * np.expm1(-v))


def subband_density(
    potential: ArrayLike,
    mass: ArrayLike,
    temperature: ArrayLike,
    energy: ArrayLike = 0.0,
    statistics: Statistics = "fermi",
) -> Array:
    """Carriers of a subband above an energy, n(x) of supplement C8.

    Parameters
    ----------
    potential : array_like
        mu from the bottom of the subband, J.
    mass, temperature : array_like
        kg and K.
    energy : array_like
        x from the bottom, J; below the bottom the Fermi function is continued.
    statistics : {"fermi", "boltzmann"}
        Full occupation, or its dilute limit.

    Returns
    -------
    ndarray
        N_T ln(1 + e^{(mu - x)/kT}), or N_T e^{(mu - x)/kT}, 1/m^2.

    Raises
    ------
    ValueError
        If `statistics` is neither name.
    """
    if statistics not in ("fermi", "boltzmann"):
        raise ValueError(f"statistics={statistics!r}; wanted 'fermi' or 'boltzmann'")
    ratio = (np.asarray(potential) - energy) / (BOLTZMANN * np.asarray(temperature))
    filled = scaled_density(ratio) if statistics == "fermi" else np.exp(ratio)
    return np.asarray(state_density(mass, temperature) * filled)


def subband_potential(
    density: ArrayLike,
    mass: ArrayLike,
    temperature: ArrayLike,
    statistics: Statistics = "fermi",
) -> Array:
    """Potential that fills a subband with a density: the inverse of `subband_density`.

    Parameters
    ----------
    density : array_like
        Carriers per area > 0, 1/m^2.
    mass, temperature : array_like
        kg and K.
    statistics : {"fermi", "boltzmann"}
        As in :func:`subband_density`.

    Returns
    -------
    ndarray
        mu from the bottom of the subband, J.
    """
    filled = np.asarray(density) / state_density(mass, temperature)
    ratio = scaled_potential(filled) if statistics == "fermi" else np.log(filled)
    return np.asarray(BOLTZMANN * np.asarray(temperature) * ratio)


def inversion_density(
    detuning: ArrayLike,
    upper: Subband,
    lower: Subband,
    mass: ArrayLike,
    band_edge: bool = True,
    statistics: Statistics = "fermi",
) -> Array:
    """Carriers that emit less those that absorb, the bracket of the gain (supplement C8).

    Parameters
    ----------
    detuning : array_like
        D, rad/s.
    upper, lower : Subband
        The two subbands.
    mass : array_like
        Effective mass, kg, of both.
    band_edge : bool
        As in :func:`rate_per_state`, over which this is the integral with the density of states;
        with it the widths of the single subbands drop out.
    statistics : {"fermi", "boltzmann"}
        As in :func:`subband_density`.

    Returns
    -------
    ndarray
        n_u(hbar D+) - n_l(hbar D-), 1/m^2, D+ = max(D, 0), D- = max(-D, 0).
    """

    def density(band: Subband, energy: ArrayLike) -> Array:
        return subband_density(band.potential, mass, band.temperature, energy, statistics)

    shift = HBAR * np.asarray(detuning)
    if band_edge:
        return density(upper, np.maximum(shift, 0.0)) - density(lower, np.maximum(-shift, 0.0))
    share = np.asarray(lower.gamma) / (np.asarray(upper.gamma) + np.asarray(lower.gamma))
    below = density(upper, 0.0) - density(lower, -shift)
    above = density(upper, shift) - density(lower, 0.0)
    return np.asarray(share * below + (1.0 - share) * above)


def gain_factor(omega: ArrayLike, dipole: ArrayLike, index: ArrayLike, period: ArrayLike) -> Array:
    """Prefactor e^2 z^2 omega/(2 hbar eps_0 n c L_p) of the gain, m/s.

    Parameters
    ----------
    omega : array_like
        Frequency of the light, rad/s.
    dipole : array_like
        Matrix element z_ul, m.
    index : array_like
        Refractive index n.
    period : array_like
        Length L_p of one period of the layers, m.

    Returns
    -------
    ndarray
        m/s: times L in s and a density in 1/m^2 it is a gain in 1/m.
    """
    length = np.asarray(dipole) ** 2 / np.asarray(period)
    return np.asarray(GAIN_CONSTANT * length * np.asarray(omega) / np.asarray(index))


def gain_per_length(
    omega: ArrayLike,
    omega_ul: ArrayLike,
    upper: Subband,
    lower: Subband,
    *,
    mass: ArrayLike,
    dipole: ArrayLike,
    index: ArrayLike,
    period: ArrayLike,
    band_edge: bool = True,
    statistics: Statistics = "fermi",
) -> Array:
    """Relative growth of a light's power per length, g(omega) of supplement C8.

    Parameters
    ----------
    omega, omega_ul : array_like
        Frequencies of the light and of the transition between the bottoms, rad/s.
    upper, lower : Subband
        The two subbands.
    mass, dipole, index, period : array_like
        Effective mass in kg, z_ul in m, refractive index, length of one period in m.
    band_edge, statistics
        As in :func:`inversion_density`.

    Returns
    -------
    ndarray
        1/m; positive for gain.
    """
    detuning = np.asarray(omega) - np.asarray(omega_ul)
    width = np.asarray(upper.gamma) + np.asarray(lower.gamma)
    carriers = inversion_density(detuning, upper, lower, mass, band_edge, statistics)
    return np.asarray(
        gain_factor(omega, dipole, index, period) * line_shape(detuning, width) * carriers
    )
