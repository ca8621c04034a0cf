"""The double dot in a classical field against QuTiP, and the two laws with its energies."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from fermions import Fermions, fermions
from powercal_reservoirs import double_dot, laws
from powercal_reservoirs.constants import BOLTZMANN, ELEMENTARY_CHARGE, HBAR
from powercal_reservoirs.double_dot import Reservoir
from powercal_reservoirs.occupations import fermi

from powercal.physics import bloch

RATE = 1e9  # 1/s; with it hbar = k = 1
ENERGY = HBAR * RATE
KELVIN = ENERGY / BOLTZMANN
COUNT = 60


def reservoirs(gammas, potentials, temperatures):
    return tuple(
        Reservoir(g * RATE, mu * ENERGY, t * KELVIN)
        for g, mu, t in zip(gammas, potentials, temperatures, strict=True)
    )


@cache
def cases() -> tuple[tuple, ...]:
    rng = np.random.default_rng(8)
    found = []
    for _ in range(COUNT):
        energies = np.sort(rng.uniform(-3.0, 3.0, 2))[::-1]
        rates = 10.0 ** rng.uniform(-1.5, 0.5, 2)
        epsilon = 10.0 ** rng.uniform(-1.5, 0.5) * np.exp(2j * np.pi * rng.uniform())
        omega = energies[0] - energies[1] + rng.normal()
        filled = rng.uniform(0.0, 1.0, 2)
        case = (tuple(energies), omega, epsilon, tuple(rates), tuple(filled))
        found.append((*case, fermions(*case)))
    return tuple(found)


def close(found: float | complex, wanted: float | complex, scale: float) -> bool:
    return abs(found - wanted) <= 1e-9 * scale


def test_state_and_rate_are_those_of_the_master_equation() -> None:
    for (e_u, e_l), omega, epsilon, (g_u, g_l), (f_u, f_l), theirs in cases():
        ours = double_dot.steady_state(f_u, f_l, epsilon, omega - e_u + e_l, g_u, g_l)
        assert close(ours.sigma_uu, theirs.sigma_uu, 1.0)
        assert close(ours.sigma_ll, theirs.sigma_ll, 1.0)
        assert close(ours.sigma_ul, theirs.sigma_ul, 1.0)
        assert close(ours.rate, theirs.particle_u, abs(theirs.particle_u) + 1e-6)
        # [A4]: the rate is twice the imaginary part of eps* sigma_ul.
        assert close(ours.rate, 2 * (np.conj(epsilon) * ours.sigma_ul).imag, abs(ours.rate) + 1e-6)


def test_effective_energies_are_what_the_master_equation_moves_per_electron() -> None:
    for (e_u, e_l), omega, _, (g_u, g_l), _, theirs in cases():
        upper, lower = double_dot.effective_energies(
            e_u * ENERGY, e_l * ENERGY, omega * RATE, g_u * RATE, g_l * RATE
        )
        scale = 10 * abs(theirs.particle_u) + 1e-6
        assert close(upper / ENERGY * theirs.particle_u, theirs.energy_u, scale)
        assert close(lower / ENERGY * theirs.particle_l, theirs.energy_l, scale)
        assert close(upper - lower, HBAR * omega * RATE, 10 * ENERGY)


def test_flows_in_si_are_those_of_the_master_equation_with_thermal_reservoirs() -> None:
    rng = np.random.default_rng(9)
    for (e_u, e_l), omega, epsilon, rates, _, _ in cases()[:25]:
        potentials, temperatures = rng.normal(size=2), rng.uniform(0.5, 2.0, 2)
        upper, lower = reservoirs(rates, potentials, temperatures)
        ours = double_dot.flows(
            e_u * ENERGY, e_l * ENERGY, omega * RATE, epsilon * RATE, upper, lower
        )
        excess = (omega - e_u + e_l) / sum(rates)
        filled = (
            fermi((e_u + rates[0] * excess - potentials[0]) / temperatures[0]),
            fermi((e_l - rates[1] * excess - potentials[1]) / temperatures[1]),
        )
        theirs = fermions((e_u, e_l), omega, epsilon, rates, tuple(map(float, filled)))
        check_flows(ours, theirs, potentials, temperatures)


def check_flows(ours: double_dot.Flows, theirs: Fermions, potentials, temperatures) -> None:
    scale = 10 * abs(theirs.particle_u) + 1e-6
    assert close(ours.particle_u / RATE, theirs.particle_u, scale)
    assert close(ours.particle_l / RATE, theirs.particle_l, scale)
    assert close(ours.energy_u / (ENERGY * RATE), theirs.energy_u, scale)
    assert close(ours.energy_l / (ENERGY * RATE), theirs.energy_l, scale)
    assert close(ours.power / (ENERGY * RATE), theirs.power, scale)
    heats = np.array([theirs.energy_u, theirs.energy_l]) - potentials * np.array(
        [theirs.particle_u, theirs.particle_l]
    )
    entropy = -np.sum(heats / temperatures)
    assert close(ours.entropy / (BOLTZMANN * RATE), entropy, 10 * scale)


def random_dots(count: int):
    rng = np.random.default_rng(10)
    energy_u, energy_l = rng.uniform(-3.0, 3.0, (2, count)) * ENERGY
    omega = np.abs(energy_u - energy_l) / HBAR + rng.normal(0.0, 1.0, count) * RATE
    upper, lower = (
        Reservoir(
            10.0 ** rng.uniform(-2.0, 1.0, count) * RATE,
            rng.normal(0.0, 2.0, count) * ENERGY,
            10.0 ** rng.uniform(-1.0, 1.0, count) * KELVIN,
        )
        for _ in range(2)
    )
    coupling = 10.0 ** rng.uniform(-2.0, 1.0, count) * RATE
    return energy_u, energy_l, omega, coupling, upper, lower


def test_entropy_production_is_never_negative_with_effective_energies() -> None:
    found = double_dot.flows(*random_dots(10_000))
    # Rounding may not turn the sign: the rate is exact in its sign, the affinity in 1e-13.
    assert np.all(found.entropy >= -1e-13 * BOLTZMANN * np.abs(found.rate))


def test_entropy_production_can_be_negative_with_bare_energies() -> None:
    found = double_dot.flows(*random_dots(10_000), energies="bare")
    assert np.sum(found.entropy < -1e-6 * BOLTZMANN * np.abs(found.rate)) > 100


@pytest.mark.parametrize(
    ("energies", "rate", "entropy"),
    [("bare", 7.565909e-4, -1.891477e-4), ("effective", -7.565909e-4, 1.891477e-4)],
)
def test_light_out_of_one_heat_bath_is_a_fault_of_bare_energies(energies, rate, entropy) -> None:
    upper, lower = reservoirs((0.2, 0.2), (1.125, -1.125), (1.0, 1.0))
    found = double_dot.flows(
        ENERGY, -ENERGY, 2.5 * RATE, 0.1 * RATE, upper, lower, energies=energies
    )
    # Seven digits are stored.
    assert found.rate / RATE == pytest.approx(rate, abs=5e-11)
    assert found.entropy / (BOLTZMANN * RATE) == pytest.approx(entropy, abs=5e-11)


def test_stored_values_of_the_rotating_wave_approximation_are_reproduced() -> None:
    # Supplement, table A: the same dot in the full cosine is in test_periodic.
    upper, lower = double_dot.effective_energies(ENERGY, -ENERGY, 2.5 * RATE, 0.2, 0.1)
    assert (upper / ENERGY, lower / ENERGY) == pytest.approx((1.3333, -1.1667), abs=5e-5)
    alpha = double_dot.stimulated_rate(0.1, 0.5, 0.2, 0.1)
    per_inversion = alpha * double_dot.saturation_factor(alpha, 0.2, 0.1)
    assert per_inversion == pytest.approx(0.00944882, abs=5e-9)


def test_the_first_law_closes() -> None:
    found = double_dot.flows(*random_dots(1000))
    flows = np.stack([found.energy_u, found.energy_l], axis=-1)
    left = laws.energy_balance(flows, found.power)
    assert np.max(np.abs(left) / np.max(np.abs(flows), axis=-1)) < 1e-12


def test_stimulated_rate_is_that_of_a_qubit_with_twice_the_coupling() -> None:
    rng = np.random.default_rng(11)
    coupling, gamma_u, gamma_l = 10.0 ** rng.uniform(-1.0, 1.0, (3, 100))
    detuning = rng.normal(0.0, 3.0, 100)
    gamma_2, gamma_1 = (gamma_u + gamma_l) / 2, 0.7 * (gamma_u + gamma_l)
    photons = bloch.photon_rate(detuning, 2 * coupling, gamma_1, gamma_1, gamma_2)
    excited = bloch.excited_population(detuning, 2 * coupling, gamma_1, gamma_2, 0.0)
    ours = double_dot.stimulated_rate(coupling, detuning, gamma_u, gamma_l) * (1 - 2 * excited)
    assert np.max(np.abs(ours / photons - 1)) < 1e-11


def test_the_photocurrent_sells_the_absorbed_energy_at_the_bias() -> None:
    # One temperature: what the field gives is what the load gets and what heats the reservoirs.
    upper, lower = reservoirs((0.2, 0.3), (0.4, -0.4), (0.5, 0.5))
    found = double_dot.flows(ENERGY, -ENERGY, 2.1 * RATE, 0.2 * RATE, upper, lower)
    current = double_dot.photocurrent(found.rate)
    load = current * 0.8 * ENERGY / ELEMENTARY_CHARGE
    heat = 0.5 * KELVIN * found.entropy
    assert current > 0
    assert load + heat == pytest.approx(found.power, rel=1e-12, abs=0)


def test_energies_of_another_name_are_refused() -> None:
    upper, lower = reservoirs((1.0, 1.0), (0.0, 0.0), (1.0, 1.0))
    with pytest.raises(ValueError, match="wanted 'effective' or 'bare'"):
        double_dot.flows(1.0, 0.0, 1.0, 1.0, upper, lower, energies="naked")
