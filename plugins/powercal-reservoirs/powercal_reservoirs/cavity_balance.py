"""What a quantised cavity exchanges with its three reservoirs: both laws, [W19-22]."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from powercal_reservoirs import laser
from powercal_reservoirs.cavity import cavity_steady_state
from powercal_reservoirs.constants import BOLTZMANN, HBAR
from powercal_reservoirs.double_dot import Reservoir
from powercal_reservoirs.laws import entropy_production
from powercal_reservoirs.occupations import bose, fermi

__all__ = ["CavityFlows", "cavity_flows"]

Array = NDArray[Any]


class CavityFlows(NamedTuple):
    """Flows out of the reservoirs at the effective energies of [W21].

    ``rate`` R (1/s); ``particle_u``, ``particle_l`` (1/s), ``energy_u``, ``energy_l``,
    ``energy_b`` (W) from the reservoirs into the system; ``electric_power`` P_el = -R (mu_u - mu_l)
    that a circuit gains (W); ``entropy`` production (W/K); ``mean_photons`` and ``tail``.
    """

    rate: Array
    particle_u: Array
    particle_l: Array
    energy_u: Array
    energy_l: Array
    energy_b: Array
    electric_power: Array
    entropy: Array
    mean_photons: Array
    tail: Array


def cavity_flows(
    energy_u: ArrayLike,
    energy_l: ArrayLike,
    omega_cav: ArrayLike,
    coupling: ArrayLike,
    upper: Reservoir,
    lower: Reservoir,
    gamma_b: ArrayLike,
    bath_temperature: ArrayLike,
) -> CavityFlows:
    """Steady flows with reservoirs in equilibrium at the effective energies [W19-22].

    Parameters
    ----------
    energy_u, energy_l : array_like
        Bare energies, J.
    omega_cav, coupling : array_like
        Frequency of the empty cavity and |g|, rad/s.
    upper, lower : Reservoir
        Rate (1/s), electrochemical potential (J) and temperature (K) of the two reservoirs.
    gamma_b, bath_temperature : array_like
        Loss rate (1/s) and temperature (K) of the mode's bath.

    Returns
    -------
    CavityFlows
        Of the broadcast shape; energy flows are E R exactly, and entropy is never produced
        negatively (supplement C8, by Spohn's inequality). NaN where the effective energy of the
        photon is not positive: such a mode has no thermal state.

    Raises
    ------
    ArithmeticError
        As in :func:`powercal_reservoirs.cavity.cavity_steady_state`.
    """
    e_u, e_l, e_ph = laser.effective_energies(
        energy_u, energy_l, omega_cav, upper.gamma, lower.gamma, gamma_b
    )
    exists = e_ph > 0
    warm = np.where(exists, e_ph, np.inf) / (BOLTZMANN * np.asarray(bath_temperature))
    state = cavity_steady_state(
        upper.gamma,
        lower.gamma,
        gamma_b,
        fermi((e_u - upper.potential) / (BOLTZMANN * np.asarray(upper.temperature))),
        fermi((e_l - lower.potential) / (BOLTZMANN * np.asarray(lower.temperature))),
        np.where(exists, bose(warm), np.nan),
        np.abs(coupling),
        omega_cav - (np.asarray(energy_u) - np.asarray(energy_l)) / HBAR,
    )
    flows = np.broadcast_arrays(
        state.rate, -state.rate, 0.0, e_u * state.rate, -e_l * state.rate, -e_ph * state.rate
    )
    potentials = np.broadcast_arrays(upper.potential, lower.potential, 0.0)
    temperatures = np.broadcast_arrays(upper.temperature, lower.temperature, bath_temperature)
    particles, energies = np.stack(flows[:3], axis=-1), np.stack(flows[3:], axis=-1)
    entropy = entropy_production(
        energies, particles, np.stack(potentials, axis=-1), np.stack(temperatures, axis=-1)
    )
    gained = -state.rate * (np.asarray(upper.potential) - np.asarray(lower.potential))
    return CavityFlows(
        *(state.rate, flows[0], flows[1], flows[3], flows[4], flows[5]),
        *(gained, entropy, state.mean_photons, state.tail),
    )
