"""What a ladder does to two-level formulas: leakage, errors of Γ₁, the line's place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from powercal.physics import ladder
from powercal.physics.ladder_checks import ladder_leakage, line_centre
from powercal.physics.ladder_steady_state import ladder_steady_state
from powercal.physics.ladder_system import Ladder, LadderBath, flat_bath

CHOICES = ["secular", "collective"]
RABI = np.array([1.0, 2.0, 4.0])
ALPHA = -200.0


@pytest.mark.parametrize("choice", CHOICES)
def test_leakage_of_four_levels_is_the_closed_form(choice: Any) -> None:
    found = ladder_leakage(RABI, ALPHA, 1.0, 0.5, 0.0, dissipators=choice)
    expected = ladder.leakage(RABI, ALPHA, 0.5 / 2)
    # The next orders are (Omega/alpha)^2 and (Gamma/alpha)^2, times a number.
    np.testing.assert_allclose(found.leakage, expected, rtol=2e-3)


@pytest.mark.parametrize("choice", CHOICES)
def test_gamma_1_is_high_by_twice_or_once_the_leakage(choice: Any) -> None:
    found = ladder_leakage(RABI, ALPHA, 1.0, 0.5, 0.0, dissipators=choice)
    np.testing.assert_allclose(found.excess_first, 2 * found.leakage, rtol=2e-3)
    np.testing.assert_allclose(found.excess_above, found.leakage, rtol=2e-3)


@pytest.mark.parametrize("choice", CHOICES)
def test_without_dephasing_more_power_is_absorbed_by_at_most_the_square_of_the_drive(
    choice: Any,
) -> None:
    found = ladder_leakage(RABI, ALPHA, 0.1, 0.0, 0.0, dissipators=choice)
    assert np.all(found.excess_power > 0)
    # Half (Gamma/alpha)^2 comes on top: half a percent of it at Omega = 10 Gamma.
    assert np.all(found.excess_power < (RABI / ALPHA) ** 2 * 1.01)


def test_a_warm_third_level_takes_its_weight_from_the_power() -> None:
    n, omega_q, rabi = 0.05, 5000.0, 3.0
    found = ladder_leakage(rabi, ALPHA, 1.0, 0.0, n, omega_q=omega_q, dissipators="secular")
    upper = (n / (1 + n)) ** (1 + ALPHA / omega_q)
    n_21 = upper / (1 - upper)
    expected = ladder.thermal_photon_rate(0.0, rabi, 1.0, n, 0.0, 2.0, n_21)
    alone = ladder.thermal_photon_rate(0.0, rabi, 1.0, n, 0.0, 2.0, 0.0)
    # The fourth level (n^2 = 2.5e-3) and the drive's leakage are not in the closed form.
    assert found.excess_power == pytest.approx(expected / alone - 1, abs=4e-3)
    assert found.excess_power < -0.03


def test_an_unknown_anharmonicity_gives_no_number() -> None:
    found = ladder_leakage(2.0, np.nan, 1.0, 0.1, 0.05, omega_q=5000.0)
    assert np.isnan(found.leakage)
    assert np.isnan(found.excess_first)


def test_transitions_below_zero_energy_give_no_number() -> None:
    assert np.isnan(ladder_leakage(2.0, -4000.0, 1.0, 0.1, 0.05, omega_q=5000.0).leakage)


def test_the_photon_rate_of_a_warm_third_level_is_the_weighted_one() -> None:
    detuning, n_10, n_21 = np.linspace(-3, 3, 13), 0.2, 0.3
    bath = LadderBath([1.0, 1.7], [n_10, n_21])
    # Only the lowest transition is dephased.
    weights = [0.0, np.sqrt(0.2), np.sqrt(0.2)]
    for alpha, close in ((-1e5, 2e-5), (-1e6, 2e-6)):
        state = ladder_steady_state(Ladder(detuning, 2.0, alpha, [bath], 0.0, weights))
        expected = ladder.thermal_photon_rate(detuning, 2.0, 1.0, n_10, 0.1, 1.7, n_21)
        np.testing.assert_allclose(state.photon_rate, expected, rtol=close)
        first = state.populations[1] / (state.populations[0] + state.populations[1])
        weight = ladder.thermal_weight(first, n_21)
        np.testing.assert_allclose(1 - state.populations[2], weight, rtol=close)


@pytest.mark.parametrize("gamma_phi", [0.0, 0.5])
def test_separate_baths_let_the_line_move_by_the_full_stark_shift(gamma_phi: float) -> None:
    system = Ladder(0.0, RABI, ALPHA, [flat_bath(4, 1.0, 0.0, "secular")], gamma_phi)
    # The next order is (Omega/alpha)^2 = 4e-4, times a number.
    np.testing.assert_allclose(line_centre(system), ladder.stark_shift(RABI, ALPHA), rtol=3e-3)


@pytest.mark.parametrize("gamma_phi", [0.0, 0.5])
def test_one_collective_bath_keeps_the_line_in_place(gamma_phi: float) -> None:
    system = Ladder(0.0, RABI, ALPHA, [flat_bath(4, 1.0, 0.0)], gamma_phi)
    # Supplement C7: less than 0.007 of the shift with separate baths.
    assert np.all(np.abs(line_centre(system)) < 0.007 * ladder.stark_shift(RABI, ALPHA))


def test_a_warm_collective_bath_moves_the_line_down() -> None:
    system = Ladder(0.0, RABI, ALPHA, [flat_bath(3, 1.0, 0.1)])
    bound = ladder.stark_shift(RABI, ALPHA)
    # Supplement C7, "about" -4 n Gamma^2/|alpha| - 0.15 of the bound.
    expected = -4 * 0.1 / abs(ALPHA) - 0.15 * bound
    np.testing.assert_allclose(line_centre(system), expected, rtol=0.1, atol=2e-4)


def test_a_line_that_has_no_maximum_near_the_transition_has_no_centre() -> None:
    # Drives above a third of the anharmonicity blend it with the lines of more photons.
    centres = line_centre(Ladder(0.0, [20.0, 40.0], -10.0, [flat_bath(4, 1.0, 0.0)]))
    assert np.all(np.isnan(centres))


def test_a_harmonic_ladder_has_its_line_at_the_transition() -> None:
    assert abs(line_centre(Ladder(0.0, 0.5, -1e-9, [flat_bath(4, 1.0, 0.0)]))) < 1e-8


def test_the_two_photon_line_lies_half_way_down() -> None:
    assert ladder.two_photon_detuning(-300.0) == -150.0
