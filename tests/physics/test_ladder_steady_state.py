"""Steady states of ladders: check values, the limits of section 2, digits at weak drive."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from powercal.physics import bloch, detection
from powercal.physics.constants import HBAR
from powercal.physics.ladder_energy import (
    absorbed_power,
    bare_power,
    heats,
    reflection,
    transition_flows,
)
from powercal.physics.ladder_steady_state import ladder_steady_state
from powercal.physics.ladder_system import Ladder, LadderBath, flat_bath

from .systems import random_systems

Array = NDArray[Any]
CHOICES = ["secular", "collective"]

# Supplement C7, omega_q = 1000, alpha = -30, Gamma_j,j-1 = j: (N, Delta, Omega, n, d_1), then
# populations, heats (R_10, R_21, ..., R_phi), R_total and the bare sum over hbar.
TABLE = [
    (
        (3, 2.0, 5.0, 0.1, 0.0),
        (0.5514299, 0.4068739, 0.0416962),
        (393.1127747, 10.4679847, 0.0),
        403.5807594,
        402.4645006,
    ),
    (
        (4, 2.0, 5.0, 0.1, 0.5),
        (0.5422091, 0.4103418, 0.0432042, 0.0042448),
        (397.7733093, 13.0304243, 1.0667479, 0.1345468),
        412.0050283,
        410.7304369,
    ),
    (
        (3, 0.0, 10.0, 0.0, 0.0),
        (0.5209730, 0.4510504, 0.0279767),
        (451.2125212, 55.7911858, 0.0),
        507.0037070,
        505.3251075,
    ),
]


@pytest.mark.parametrize(("case", "populations", "parts", "total", "bare"), TABLE)
def test_the_check_values_of_the_sheet_are_met(
    case: Any, populations: Any, parts: Any, total: float, bare: float
) -> None:
    levels, detuning, rabi, n, d = case
    bath = flat_bath(levels, 1.0, n, "secular")
    weights = [d * j for j in range(levels)]
    state = ladder_steady_state(Ladder(detuning, rabi, -30.0, [bath], 0.0, weights))
    found = heats(state, 1000.0)
    # Half a unit of the last digit that is printed.
    np.testing.assert_allclose(state.populations, populations, rtol=0, atol=0.5e-7)
    powers = [*found.transitions[0], found.dephasing, absorbed_power(state, 1000.0)]
    expected = [*parts, total]
    np.testing.assert_allclose(np.array(powers) / HBAR, expected, rtol=0, atol=0.51e-7)
    assert bare_power(state, 1000.0) / HBAR == pytest.approx(bare, abs=0.51e-7)


def test_white_noise_of_the_frequency_is_a_set_of_weights() -> None:
    bath = flat_bath(4, 1.0, 0.1, "secular")
    weights = [j * np.sqrt(2 * 0.3) for j in range(4)]
    by_rate = ladder_steady_state(Ladder(2.0, 5.0, -30.0, [bath], 0.3))
    by_weight = ladder_steady_state(Ladder(2.0, 5.0, -30.0, [bath], 0.0, weights))
    np.testing.assert_allclose(by_rate.populations, by_weight.populations, rtol=1e-13)
    np.testing.assert_allclose(
        heats(by_rate, 1000.0).dephasing, heats(by_weight, 1000.0).dephasing, rtol=1e-12
    )


@pytest.mark.parametrize("choice", CHOICES)
def test_two_levels_are_the_driven_qubit_with_any_number_of_baths(choice: Any) -> None:
    q = random_systems(3, 200)
    baths = [
        LadderBath([q.gamma_k[:, k]], [q.n_k[:, k]], choice) for k in range(q.gamma_k.shape[1])
    ]
    state = ladder_steady_state(Ladder(q.detuning, q.rabi, -50.0, baths, q.gamma_phi))
    np.testing.assert_allclose(state.photon_rate, q.photon_rate, rtol=1e-12)
    np.testing.assert_allclose(state.populations[1], q.population, rtol=1e-12)
    # <b> is <sigma_-> of the sheet.
    np.testing.assert_allclose(state.response * q.rabi, q.coherence, rtol=1e-11)


@pytest.mark.parametrize("choice", CHOICES)
def test_two_levels_share_their_energy_as_section_3_says(choice: Any) -> None:
    q = random_systems(4, 100)
    baths = [
        LadderBath([q.gamma_k[:, k]], [q.n_k[:, k]], choice) for k in range(q.gamma_k.shape[1])
    ]
    state = ladder_steady_state(Ladder(q.detuning, q.rabi, -50.0, baths, q.gamma_phi))
    relaxation = HBAR * (q.omega_q + q.detuning * q.gamma_1_tot / (2 * q.gamma_2)) * q.photon_rate
    dephasing = HBAR * q.detuning * q.gamma_phi / q.gamma_2 * q.photon_rate
    found = heats(state, q.omega_q)
    # The channels' heats are differences of flows of some omega_q Gamma.
    gross = HBAR * q.omega_q * q.gamma_1_tot
    assert np.all(np.abs(sum(found.baths) - relaxation) < 1e-12 * gross)
    np.testing.assert_allclose(found.dephasing, dephasing, rtol=1e-10, atol=1e-300)


def two_levels(detuning: Array, rabi: float, gamma_phi: float) -> Array:
    return bloch.photon_rate(detuning, rabi, 1.0, 1.0, 0.5 + gamma_phi)


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("levels", [3, 4, 5])
def test_far_levels_leave_the_driven_qubit(levels: int, choice: Any) -> None:
    detuning = np.linspace(-5.0, 5.0, 41)
    system = Ladder(detuning, 2.0, -1e9, [flat_bath(levels, 1.0, 0.0, choice)], 0.3)
    state = ladder_steady_state(system)
    # Omega^2/|alpha| is 4e-9.
    np.testing.assert_allclose(state.photon_rate, two_levels(detuning, 2.0, 0.3), rtol=1e-8)


def test_separate_baths_leave_it_as_the_square_of_the_drive_over_the_anharmonicity() -> None:
    detuning = np.linspace(-5.0, 5.0, 41)
    off = []
    for rabi, alpha in ((1.0, -1e5), (1.0, -2e5)):
        bath = flat_bath(3, 1.0, 0.0, "secular")
        state = ladder_steady_state(Ladder(detuning, rabi, alpha, [bath], 0.3))
        off.append(np.max(np.abs(state.photon_rate / two_levels(detuning, rabi, 0.3) - 1)))
    assert off[1] == pytest.approx(off[0] / 2, rel=1e-3)
    # The line moves by Omega^2/(2 |alpha|); ln N is steepest at the half width W, slope 1/W.
    half = bloch.half_width(1.0, 1.0, 0.8)
    assert off[0] == pytest.approx(1.0 / 2e5 / half, rel=0.01)


@pytest.mark.parametrize("choice", CHOICES)
def test_no_digits_are_lost_at_weak_drive(choice: Any) -> None:
    rabi = 10.0 ** -np.arange(4.0, 9.0)
    bath = flat_bath(4, 1.0, 0.2, choice)
    state = ladder_steady_state(Ladder(0.7, rabi, -40.0, [bath], 0.1))
    per_power = state.photon_rate / rabi**2
    bare = bare_power(state, 1000.0) / rabi**2
    # From Omega = 1e-4 down the response is linear to Omega^2; s goes down to 1e-16.
    for each in (per_power, bare):
        np.testing.assert_allclose(each, each[-1], rtol=1e-7)
        np.testing.assert_allclose(each[2:], each[-1], rtol=1e-11)
    np.testing.assert_allclose(-state.response.imag, per_power, rtol=1e-11)


def test_without_drive_the_levels_are_boltzmanns_and_nothing_is_absorbed() -> None:
    n = np.array([0.05, 1.0])
    state = ladder_steady_state(Ladder(0.0, 0.0, -40.0, [flat_bath(5, 2.0, n)], 0.1))
    ratio = n / (1 + n)
    expected = ratio ** np.arange(5.0)[:, None]
    np.testing.assert_allclose(state.populations, expected / expected.sum(axis=0), rtol=1e-13)
    assert np.all(state.photon_rate == 0)
    assert np.all(np.isfinite(state.response))


def test_numbers_of_any_shape_broadcast() -> None:
    detuning, rabi = np.linspace(-3, 3, 5), np.array([[0.5], [2.0]])
    n = np.array([0.0, 0.1, 0.2])[:, None, None]
    whole = ladder_steady_state(Ladder(detuning, rabi, -40.0, [flat_bath(4, 1.0, n)], 0.1))
    assert whole.populations.shape == (4, 3, 2, 5)
    one = Ladder(detuning[3], rabi[1, 0], -40.0, [flat_bath(4, 1.0, 0.2)], 0.1)
    alone = ladder_steady_state(one)
    np.testing.assert_allclose(whole.populations[:, 2, 1, 3], alone.populations, rtol=1e-13)
    np.testing.assert_allclose(whole.response[2, 1, 3], alone.response, rtol=1e-13)


@pytest.mark.parametrize("choice", CHOICES)
def test_one_bath_of_one_temperature_only_takes(choice: Any) -> None:
    rng = np.random.default_rng(8)
    count, omega_q = 20_000, 1000.0
    alpha = rng.uniform(-200.0, -5.0, count)
    temperature = omega_q / rng.uniform(0.3, 8.0, count)
    rates = list(rng.uniform(0.1, 3.0, (3, count)))
    numbers = [1 / np.expm1((omega_q + j * alpha) / temperature) for j in range(3)]
    bath = LadderBath(rates, numbers, choice)
    rabi = 10.0 ** rng.uniform(-1, 2, count)
    detuning = rng.normal(0.0, 1.0, count) * (3 + rabi)
    state = ladder_steady_state(Ladder(detuning, rabi, alpha, [bath], 0.0))
    # One bath and no noise: the second law.
    assert np.all(state.photon_rate > 0)


def test_the_bare_sum_errs_by_the_anharmonicity_over_the_frequency_on_resonance() -> None:
    state = ladder_steady_state(Ladder(0.0, 6.0, -30.0, [flat_bath(3, 1.0, 0.1, "secular")], 0.2))
    error = bare_power(state, 1000.0) / absorbed_power(state, 1000.0) - 1
    upper = transition_flows(state)[0][1]
    assert error == pytest.approx(-30.0 / 1000.0 * upper / state.photon_rate, rel=1e-10)


def test_reflected_and_missing_power_are_the_incident_power() -> None:
    detuning, rabi, gamma_r = np.linspace(-4, 4, 9), np.array([[0.3], [5.0]]), 0.6
    state = ladder_steady_state(Ladder(detuning, rabi, -30.0, [flat_bath(4, 1.0, 0.1)], 0.2))
    incident = HBAR * (1000.0 + detuning) * rabi**2 / (4 * gamma_r)
    missing = incident * (1 - np.abs(reflection(state, gamma_r)) ** 2)
    lowered = rabi * state.response
    found = detection.coherent_power_difference(
        1000.0 + detuning, state.photon_rate, gamma_r, lowered
    )
    np.testing.assert_allclose(found, missing, rtol=1e-11)


def test_a_strong_drive_fills_the_third_level_at_the_two_photon_line() -> None:
    detuning = np.linspace(-30.0, -10.0, 401)
    state = ladder_steady_state(Ladder(detuning, 2.0, -40.0, [flat_bath(3, 0.2, 0.0)], 0.0))
    seen = detuning[np.argmax(state.populations[2])]
    # Omega^2/|alpha| = 0.1 of shift, on a grid of 0.05.
    assert seen == pytest.approx(-20.0, abs=0.15)


@pytest.mark.parametrize(
    ("baths", "weights", "words"),
    [
        ([flat_bath(3, 1.0, 0.0), flat_bath(4, 1.0, 0.0)], (), r"ladders of \[3, 4\] levels"),
        ([LadderBath([1.0, 2.0], [0.1])], (), "2 rates and 1 occupations"),
        ([flat_bath(3, 1.0, 0.0)], (0.0, 1.0), "2 dephasing weights for 3 levels"),
        ([], (), r"ladders of \[\] levels"),
    ],
)
def test_baths_that_fit_no_ladder_are_refused(baths: Any, weights: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Ladder(0.0, 1.0, -40.0, baths, 0.0, weights)
