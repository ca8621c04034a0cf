"""Heat and work at one instant: signs, limits, cycle averages and broadcasting."""

import numpy as np
import pytest

from powercal.physics import bloch, decay, dissipation, energy, floquet
from powercal.physics.constants import HBAR


def test_without_field_the_heat_is_the_quantum_times_the_net_jumps() -> None:
    slope = dissipation.population_slope(0.3, 2.0, 0.1)
    heat = dissipation.heat_current(7.0, 0.0, 0.3, 0.9, 2.0, 0.1)
    assert heat / HBAR == pytest.approx(-7.0 * float(slope), rel=1e-15)


def test_a_free_decay_follows_the_slope_of_the_population() -> None:
    times = np.linspace(0.0, 2.0, 5)
    p_eq, total = 0.1 / 1.2, 2.0 * 1.2
    population = decay.population_decay(times, total, p_eq, 0.8)
    expected = decay.power_decay(times, 7.0, total, p_eq, 0.8)
    heat = dissipation.heat_current(7.0, 0.0, population, 0.0, 2.0, 0.1)
    np.testing.assert_allclose(heat, expected, rtol=1e-12)


def test_cycle_averages_give_what_section_6_says() -> None:
    total, gamma_phi = 1.6, 0.4
    state = floquet.harmonic_balance(40.0, 43.0, 9.0, total, total / 2 + gamma_phi, 0.3 / total)
    heat = dissipation.heat_current(
        40.0, 9.0, state.mean_population, state.cos_x, 1.0, 0.3, gamma_phi
    )
    assert heat / HBAR == pytest.approx(float(state.total_power) / HBAR, rel=1e-12)


@pytest.mark.parametrize("detuning", [-4.0, 3.0])
def test_the_second_term_averages_to_the_share_of_the_detuning(detuning: float) -> None:
    # [G §3.5] lets it average to zero; at omega_q = 1e7 the rotating-wave limit is near.
    omega_q, rabi = 1e7, 3.0
    state = floquet.harmonic_balance(omega_q, omega_q + detuning, rabi, 1.0, 0.7, 0.0)
    second = dissipation.heat_current(0.0, rabi, state.mean_population, state.cos_x, 1.0)
    photons = bloch.photon_rate(detuning, rabi, 1.0, 1.0, 0.7)
    expected = energy.relaxation_power(0.0, detuning, photons, 1.0, 0.7)
    # What is left out is of the order Omega/omega_q and Delta/omega_q.
    assert second / HBAR == pytest.approx(float(expected) / HBAR, rel=1e-5)


def test_the_drive_works_where_the_dipole_lags() -> None:
    quarter = np.pi / 2 / 5.0
    assert dissipation.drive_power(2.0, 5.0, quarter, -0.5) / HBAR == pytest.approx(5.0, rel=1e-15)
    assert dissipation.drive_power(2.0, 5.0, 0.0, -0.5) == 0.0


def test_arguments_broadcast() -> None:
    heat = dissipation.heat_current(5.0, np.ones((4, 1)), np.ones(3) / 2, 0.1, 1.0)
    assert heat.shape == (4, 3)
    assert dissipation.qubit_energy(5.0, np.zeros(3), np.ones((2, 1)), 0.1).shape == (2, 3)
