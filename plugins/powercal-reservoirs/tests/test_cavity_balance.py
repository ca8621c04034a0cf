"""Both laws for the quantised cavity with reservoirs at its effective energies [W19-23]."""

from __future__ import annotations

import numpy as np
import pytest
from powercal_reservoirs import laws
from powercal_reservoirs.cavity import cavity_steady_state
from powercal_reservoirs.cavity_balance import CavityFlows, cavity_flows
from powercal_reservoirs.constants import BOLTZMANN, HBAR
from powercal_reservoirs.double_dot import Reservoir
from powercal_reservoirs.occupations import bose, fermi

RATE = 1e9  # 1/s; with it hbar = k = 1
ENERGY, KELVIN = HBAR * RATE, HBAR * RATE / BOLTZMANN
COUNT = 600


def random_flows(seed: int, one_temperature: bool = False) -> tuple[CavityFlows, dict]:
    """Random systems, a third of them close to where nothing flows."""
    rng = np.random.default_rng(seed)
    e_u, e_l = rng.uniform(1.0, 3.0, COUNT), rng.uniform(-3.0, 0.0, COUNT)
    omega = (e_u - e_l) * rng.uniform(0.5, 1.5, COUNT)
    rates = 10.0 ** rng.uniform(-1, 0.3, (3, COUNT))
    t_u, t_l, t_b = rng.uniform(0.3, 2.5, (3, COUNT))
    t_l = t_u if one_temperature else t_l
    e_ph = omega - rates[2] * (omega - e_u + e_l) / rates.sum(axis=0)
    mu_l = rng.normal(size=COUNT)
    effective_l = e_l - rates[1] * (omega - e_u + e_l) / rates.sum(axis=0)
    balance = effective_l + e_ph - t_u * ((effective_l - mu_l) / t_l + e_ph / t_b)
    away = np.where(np.arange(COUNT) % 3, 1.0, 1e-4)
    mu_u = balance + away * rng.normal(size=COUNT)
    flows = cavity_flows(
        e_u * ENERGY,
        e_l * ENERGY,
        omega * RATE,
        10.0 ** rng.uniform(-1, 0.3, COUNT) * RATE,
        Reservoir(rates[0] * RATE, mu_u * ENERGY, t_u * KELVIN),
        Reservoir(rates[1] * RATE, mu_l * ENERGY, t_l * KELVIN),
        rates[2] * RATE,
        t_b * KELVIN,
    )
    return flows, {"bias": mu_u - mu_l, "t": t_u, "t_b": t_b, "e_ph": e_ph}


def test_energy_is_conserved() -> None:
    flows, _ = random_flows(1)
    gained = laws.energy_balance(np.stack([flows.energy_u, flows.energy_l, flows.energy_b], -1))
    size = np.abs(flows.energy_u) + np.abs(flows.energy_l) + np.abs(flows.energy_b)
    assert np.all(np.abs(gained) <= 1e-14 * size)


def test_entropy_is_never_destroyed() -> None:
    flows, _ = random_flows(2)
    assert np.all(flows.entropy > 0)
    assert np.sum(flows.rate < 0) > COUNT / 4  # light is absorbed in many, emitted in many
    assert np.sum(flows.rate > 0) > COUNT / 4


def test_bare_energies_would_destroy_entropy() -> None:
    # One temperature everywhere and electrons that climb from mu = 0 to mu = 0.2: with occupations
    # at E = +-1 and a photon of 2.6 the cavity would charge a battery from heat alone.
    energies, omega, rates, mu = (1.0, -1.0), 2.6, (1.0, 1.0, 1.0), (0.0, 0.2)
    bare = cavity_steady_state(
        *rates, fermi(energies[0] - mu[0]), fermi(energies[1] - mu[1]), bose(omega), 0.5, 0.6
    )
    flows = cavity_flows(
        *(e * ENERGY for e in energies),
        omega * RATE,
        0.5 * RATE,
        *(Reservoir(RATE, m * ENERGY, KELVIN) for m in mu),
        RATE,
        KELVIN,
    )
    # All energies cancel at one temperature [W22]: entropy is R (mu_u - mu_l)/T.
    assert float(bare.rate) * (mu[0] - mu[1]) < -5e-4
    assert float(flows.entropy) > 0


def test_solar_cells_and_leds_keep_below_carnot() -> None:
    flows, p = random_flows(4, one_temperature=True)
    hot, emitting = p["t_b"] > p["t"], flows.rate > 0
    limit = laws.carnot_power(flows.energy_b, p["t"] * KELVIN, p["t_b"] * KELVIN)
    cells = hot & ~emitting
    assert cells.sum() > 50
    assert np.all(flows.electric_power[cells] <= limit[cells] * (1 + 1e-12))
    leds = hot & emitting & (p["bias"] > 0)
    light = p["e_ph"][leds] / p["bias"][leds]
    assert leds.sum() > 50
    assert np.all(light <= laws.largest_light_per_electric_power(p["t"], p["t_b"])[leds] + 1e-12)


def test_an_led_cools_its_reservoirs_when_a_photon_carries_more_than_the_bias() -> None:
    # kT = 1 everywhere but in the cold bath: light at a bias below the photon's energy.
    flows = cavity_flows(
        1.0 * ENERGY,
        -1.0 * ENERGY,
        2.0 * RATE,
        0.3 * RATE,
        Reservoir(RATE, 0.75 * ENERGY, KELVIN),
        Reservoir(RATE, -0.75 * ENERGY, KELVIN),
        RATE,
        0.2 * KELVIN,
    )
    drawn = laws.cooling_led(flows.rate, 2.0 * ENERGY, 1.5 * ENERGY).heat_drawn
    heat = flows.energy_u + flows.energy_l - 0.75 * ENERGY * (flows.particle_u - flows.particle_l)
    assert flows.rate > 0
    assert drawn > 0
    assert float(heat) == pytest.approx(float(drawn), rel=1e-12, abs=0)


def test_a_mode_pulled_below_zero_has_no_thermal_state() -> None:
    levels = (Reservoir(RATE, 0.0, KELVIN), Reservoir(RATE, 0.0, KELVIN))
    flows = cavity_flows(-2 * ENERGY, 0.0, 0.1 * RATE, RATE, *levels, 9 * RATE, KELVIN)
    assert np.isnan(flows.rate)


@pytest.mark.statistics
def test_entropy_is_never_destroyed_in_ten_thousand_systems() -> None:
    for seed in range(100, 117):
        flows, _ = random_flows(seed)
        assert np.all(flows.entropy > 0)
