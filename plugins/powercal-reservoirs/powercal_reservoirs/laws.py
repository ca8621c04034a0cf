"""The first and second law for flows out of any reservoirs, and what they allow at best."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from powercal_reservoirs.occupations import inversion

__all__ = [
    "CoolingLed",
    "carnot_power",
    "cooling_led",
    "emission_sign",
    "energy_balance",
    "entropy_production",
    "largest_light_per_electric_power",
]

Array = NDArray[Any]


def energy_balance(energy_flows: ArrayLike, power: ArrayLike = 0.0) -> Array:
    """Energy that a steady state would gain, sum_a U_a + P: zero by the first law [W1].

    Parameters
    ----------
    energy_flows : array_like
        Energy flows from the reservoirs into the system, W, shape (..., reservoirs).
    power : array_like
        Work done on the system by fields, W, shape (...).

    Returns
    -------
    ndarray
        W, shape (...).

    Examples
    --------
    >>> float(energy_balance([3.0, -1.0], -2.0))
    0.0
    """
    return np.asarray(np.sum(energy_flows, axis=-1) + np.asarray(power))


def entropy_production(
    energy_flows: ArrayLike,
    particle_flows: ArrayLike,
    potentials: ArrayLike,
    temperatures: ArrayLike,
) -> Array:
    """Entropy that the reservoirs gain, -sum_a (U_a - mu_a N_a)/T_a [W2, W3, W15, W22].

    Parameters
    ----------
    energy_flows, particle_flows : array_like
        From each reservoir into the system, W and 1/s, shape (..., reservoirs). A bath of photons
        has no particle flow to count: give it mu = 0.
    potentials, temperatures : array_like
        Electrochemical potentials in J and temperatures in K, broadcast against the flows.

    Returns
    -------
    ndarray
        W/K, shape (...); never negative in the steady state of a consistent theory.

    Examples
    --------
    >>> float(entropy_production([2.0, -2.0], [0.0, 0.0], [0.0, 0.0], [2.0, 1.0]))
    1.0
    """
    heat = np.asarray(energy_flows) - np.asarray(potentials) * np.asarray(particle_flows)
    return np.asarray(-np.sum(heat / np.asarray(temperatures), axis=-1))


class CoolingLed(NamedTuple):
    """What an LED draws from its electrons' reservoirs, W, and its light per electric power, 1."""

    heat_drawn: Array
    light_per_electric_power: Array


def cooling_led(
    rate: ArrayLike, photon_energy: ArrayLike, potential_difference: ArrayLike
) -> CoolingLed:
    """Heat that light takes along when a photon carries more than the bias pays for.

    Parameters
    ----------
    rate : array_like
        Net rate R of photons sent into the cavity, 1/s.
    photon_energy : array_like
        Effective photon energy of [W21], J.
    potential_difference : array_like
        mu_u - mu_l, J; not zero.

    Returns
    -------
    CoolingLed
        R (E_ph - (mu_u - mu_l)), W, and E_ph/(mu_u - mu_l), dimensionless.

    Notes
    -----
    [W] after 23; supplement C8.

    Examples
    --------
    >>> led = cooling_led(2.0, 3.0, 1.0)
    >>> float(led.heat_drawn), float(led.light_per_electric_power)
    (4.0, 3.0)
    """
    energy, bias = np.asarray(photon_energy), np.asarray(potential_difference)
    return CoolingLed(np.asarray(rate) * (energy - bias), energy / bias)


def largest_light_per_electric_power(temperature: ArrayLike, bath_temperature: ArrayLike) -> Array:
    """Carnot's bound on the light per electric power of an LED, 1/(1 - T/T_b).

    Parameters
    ----------
    temperature : array_like
        Of both electron reservoirs, K.
    bath_temperature : array_like
        T_b of the photons' bath, K.

    Returns
    -------
    ndarray
        Dimensionless; infinite where T_b <= T: there light would come without any work.

    Notes
    -----
    Supplement C8, from [W22] at R > 0.

    Examples
    --------
    >>> float(largest_light_per_electric_power(1.0, 2.0))
    2.0
    """
    cold, hot = np.broadcast_arrays(
        np.asarray(temperature, dtype=float), np.asarray(bath_temperature, dtype=float)
    )
    lift = np.where(hot > cold, hot - cold, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.where(lift > 0, hot / lift, np.inf))


def carnot_power(
    heat_flow: ArrayLike, temperature: ArrayLike, bath_temperature: ArrayLike
) -> Array:
    """Carnot's bound on a solar cell, P_el <= U_b (T_b - T)/T_b ([W] end of section III B).

    Parameters
    ----------
    heat_flow : array_like
        Energy flow U_b from the photons' bath into the cavity, W.
    temperature, bath_temperature : array_like
        T of both electron reservoirs and T_b of the photons' bath, K.

    Returns
    -------
    ndarray
        Largest electric power -R (mu_u - mu_l), W.

    Examples
    --------
    >>> float(carnot_power(4.0, 1.0, 4.0))
    3.0
    """
    hot = np.asarray(bath_temperature, dtype=float)
    return np.asarray(np.asarray(heat_flow) * (hot - np.asarray(temperature)) / hot)


def emission_sign(x_u: ArrayLike, x_l: ArrayLike, x_ph: ArrayLike) -> Array:
    """Sign of the net rate u -> l into a quantised mode, [W23], as a number in (-1, 1).

    Parameters
    ----------
    x_u, x_l : array_like
        (E - mu)/kT of the upper and lower level at the effective energies of [W21].
    x_ph : array_like
        E_ph/kT_b of the photon > 0.

    Returns
    -------
    ndarray
        Of the sign of f_u/(1-f_u) - f_l/(1-f_l) n_b/(1+n_b) = e^{-x_u} - e^{-x_l-x_ph}: that of the
        rate, exactly (supplement C8; no Hartree-Fock argument is needed).

    Examples
    --------
    >>> bool(emission_sign(1.0, 0.0, 2.0) > 0), bool(emission_sign(1.0, 0.0, 0.5) > 0)
    (True, False)
    """
    return inversion(x_u, np.asarray(x_l) + np.asarray(x_ph))
