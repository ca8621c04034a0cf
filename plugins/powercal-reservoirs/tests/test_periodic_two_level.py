"""The continued fraction of two driven levels: against the general balance, and its limits."""

from __future__ import annotations

import numpy as np
import pytest
from powercal_reservoirs import double_dot
from powercal_reservoirs.constants import HBAR
from powercal_reservoirs.periodic import PeriodicSystem, periodic_response
from powercal_reservoirs.periodic_roots import two_reservoir_energies
from powercal_reservoirs.periodic_two_level import ARGUMENTS, two_level_response

from powercal.physics import floquet


def random_arguments(count: int, seed: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    omega_ul, omega = rng.uniform(0.5, 3, (2, count))
    gamma = rng.uniform(0.05, 1, (2, count))
    return (omega_ul, omega, rng.uniform(0.05, 3, count) ** 2, *gamma)


def test_it_is_the_general_balance_of_two_levels() -> None:
    omega_ul, omega, square, gamma_u, gamma_l = arguments = random_arguments(40, 1)
    h = np.zeros((40, 3, 2, 2))
    h[:, 1, 0, 0], h[:, 1, 1, 1] = omega_ul / 2, -omega_ul / 2
    h[:, 0] = h[:, 2] = np.sqrt(square)[:, None, None] / 2 * np.eye(2)[::-1]
    gamma = np.stack([gamma_u, gamma_l], axis=-1)
    general = periodic_response(PeriodicSystem(h * HBAR, omega, (0, 1), gamma))
    ours = two_level_response(*arguments)
    assert np.allclose(ours.passage, general.particles[:, 0, 0], rtol=1e-11, atol=0)
    energies = np.stack(
        [omega_ul / 2 - gamma_u * ours.pull, -omega_ul / 2 + gamma_l * ours.pull], axis=-1
    )
    assert np.allclose(energies, two_reservoir_energies(general) / HBAR, rtol=1e-9, atol=1e-11)


def test_with_equal_reservoirs_it_is_the_driven_qubit_of_the_lab_frame() -> None:
    # gamma_u = gamma_l = gamma: a qubit with Gamma_1tot = Gamma_2 = gamma, z_eq = f_u - f_l.
    state = floquet.harmonic_balance(100.0, 105.0, 10.0, 2.0, 2.0, 0.2)
    ours = two_level_response(100.0, 105.0, 100.0, 2.0, 2.0)
    difference = 2 * 0.2 - 1
    assert float(state.mean_population) == pytest.approx(
        0.2 - float(ours.passage) * difference / 2.0, rel=1e-12
    )
    apart = 100.0 - 4.0 * ours.pull
    absorbed = -HBAR * apart * ours.passage * difference
    assert float(state.total_power) == pytest.approx(float(absorbed), rel=1e-11, abs=0)


def test_near_resonance_it_becomes_the_rotating_wave_approximation() -> None:
    # What is left out is of relative order (width, detuning, field)/frequency.
    errors = []
    for scale in (1e3, 1e4):
        detuning, gamma_u, gamma_l, epsilon = 0.8, 0.5, 0.9, 0.3
        ours = two_level_response(scale, scale + detuning, 4 * epsilon**2, gamma_u, gamma_l)
        alpha = double_dot.stimulated_rate(epsilon, detuning, gamma_u, gamma_l)
        rate = alpha * double_dot.saturation_factor(alpha, gamma_u, gamma_l)
        assert float(ours.pull) == pytest.approx(-detuning / (gamma_u + gamma_l), rel=5 / scale)
        errors.append(abs(float(ours.passage / rate) - 1))
    assert errors[0] < 2e-3
    assert errors[1] == pytest.approx(errors[0] / 10, rel=0.05)


def test_a_strong_field_shifts_the_line_by_bloch_and_siegert() -> None:
    # The line is symmetric about its shifted centre up to the next order in the field.
    rabi, width = 4.0, 0.5
    centre = 100.0 + float(floquet.bloch_siegert_shift(rabi, 100.0))
    offsets = np.array([-1.0, 1.0]) * 3.0
    low, high = two_level_response(100.0, centre + offsets, rabi**2, width, width).passage
    unshifted = two_level_response(100.0, 100.0 + offsets, rabi**2, width, width).passage
    assert abs(high / low - 1) < 0.1 * abs(unshifted[1] / unshifted[0] - 1)


def test_weak_fields_have_a_limit() -> None:
    none = two_level_response(2.0, 2.5, 0.0, 0.2, 0.1)
    weak = two_level_response(2.0, 2.5, 1e-10, 0.2, 0.1)
    assert float(none.passage) == 0
    assert float(none.pull) == pytest.approx(float(weak.pull), rel=1e-8)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_derivatives_are_those_of_the_numbers(name: str) -> None:
    arguments, which = list(random_arguments(20, 3)), ARGUMENTS.index(name)
    found = two_level_response(*arguments, slopes=True)
    step = 1e-3 * arguments[which]

    def moved(steps: float) -> tuple[np.ndarray, np.ndarray]:
        changed = [a + steps * step if i == which else a for i, a in enumerate(arguments)]
        return two_level_response(*changed)[:2]

    # Central differences of sixth order.
    weights = {1: 0.75, 2: -0.15, 3: 1 / 60}
    pairs = {k: (moved(k), moved(-k)) for k in weights}
    for i, slopes in enumerate((found.passage_slopes, found.pull_slopes)):
        wanted = sum(w * (pairs[k][0][i] - pairs[k][1][i]) for k, w in weights.items()) / step
        size = np.abs(found[i]) / arguments[which]
        assert np.all(np.abs(slopes[which] - wanted) < 1e-7 * size + 1e-9)


def test_derivatives_are_not_followed_unless_asked_for() -> None:
    found = two_level_response(*random_arguments(3, 4))
    assert found.passage_slopes.shape == (0, 3)


def test_a_drive_far_beyond_its_own_frequency_is_refused() -> None:
    with pytest.raises(ArithmeticError, match="up to 64 harmonics change the rate"):
        two_level_response(1.0, 0.01, 100.0, 0.1, 0.1, most=64)


def test_a_point_without_number_spoils_no_other() -> None:
    found = two_level_response([1.0, np.nan], 1.1, 0.1, 0.1, 0.1)
    assert found.passage[0] == two_level_response(1.0, 1.1, 0.1, 0.1, 0.1).passage
    assert np.isnan(found.passage[1])
