"""Harmonic balance: the stored values, the closed energy balance, the Bloch-Siegert shift."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from powercal.physics import bloch, energy, floquet
from powercal.physics.constants import HBAR

# Delta, Omega, n, Gamma_phi, R_total/hbar, mean population, dephasing share/hbar, RWA
TABLE = [
    (0.0, 1.0, 0.0, 0.0, 33.33187503, None, 0.0, 100 / 3),
    (5.0, 1.0, 0.0, 0.0, 1.019758060, None, 0.0, 1.019417476),
    (5.0, 10.0, 0.0, 0.0, 35.92928904, None, 0.0, 34.88372093),
    (0.0, 1.0, 0.5, 0.0, 16.66562505, 0.3333343749, 0.0, 16.66666667),
    (5.0, 10.0, 0.5, 0.3, 38.09744373, 0.4320752829, 0.3882431902, 37.21779911),
    (-5.0, 10.0, 0.5, 0.3, 32.62635152, 0.4224175985, -0.4285772707, 33.67324681),
    (20.0, 30.0, 0.2, 1.0, 44.89894969, 0.4192626903, 3.648337087, 43.83857852),
]


@pytest.mark.parametrize("row", TABLE)
def test_the_stored_values_are_met(row: tuple[float, ...]) -> None:
    detuning, rabi, n, phi, power, population, dephasing, _ = row
    total = 1 + 2 * n
    state = floquet.harmonic_balance(100.0, 100 + detuning, rabi, total, total / 2 + phi, n / total)
    # The table is written to ten digits.
    assert state.total_power / HBAR == pytest.approx(power, rel=5e-10)
    assert state.dephasing_power / HBAR == pytest.approx(dephasing, rel=5e-10, abs=1e-12)
    if population is not None:
        assert state.mean_population == pytest.approx(population, rel=5e-10)


@pytest.mark.parametrize("row", TABLE)
def test_the_rotating_wave_column_is_met(row: tuple[float, ...]) -> None:
    detuning, rabi, n, phi, *_, rwa = row
    total = 1 + 2 * n
    power = energy.absorbed_power(
        "effective", 100.0, detuning, rabi, 1.0, total, total / 2 + phi, n / total
    )
    assert power / HBAR == pytest.approx(rwa, rel=5e-10)


def test_the_bare_energy_misses_the_stored_value() -> None:
    population = bloch.excited_population(5.0, 1.0, 1.0, 0.5, 0.0)
    # The value is written to six digits; it is that of the transition bookkeeping.
    assert 100 * population == pytest.approx(0.970874, rel=1e-6)
    state = floquet.harmonic_balance(100.0, 105.0, 1.0, 1.0, 0.5, 0.0)
    assert 100 * state.mean_population == pytest.approx(0.972389, rel=1e-6)


def random_drives(count: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(21)
    omega_q, n = rng.uniform(20.0, 200.0, count), rng.uniform(0.0, 1.0, count)
    omega_d, rabi = omega_q * rng.uniform(0.3, 2.0, count), omega_q * rng.uniform(0.0, 1.6, count)
    total = 1 + 2 * n
    return omega_q, omega_d, rabi, total, total / 2 + rng.uniform(0.0, 3.0, count), n / total


def test_the_energy_balance_closes_to_rounding() -> None:
    omega_q, omega_d, rabi, total, gamma_2, p_eq = random_drives(2000)
    state = floquet.harmonic_balance(omega_q, omega_d, rabi, total, gamma_2, p_eq)
    relaxed = omega_q * total * (state.mean_population - p_eq)
    exchanged = rabi * gamma_2 * state.cos_x
    scale = omega_q * total
    assert np.max(np.abs(state.total_power / HBAR - relaxed - exchanged) / scale) < 1e-12


def test_the_power_is_the_work_of_the_drive() -> None:
    omega_q, omega_d, rabi, total, gamma_2, p_eq = random_drives(50)
    state = floquet.harmonic_balance(omega_q, omega_d, rabi, total, gamma_2, p_eq)
    np.testing.assert_allclose(state.total_power, -HBAR * rabi * omega_d * state.sin_x, rtol=1e-15)


def test_more_harmonics_change_nothing() -> None:
    drives = random_drives(200)
    coarse = floquet.harmonic_balance(*drives)
    fine = floquet.harmonic_balance(*drives, tolerance=1e-15)
    np.testing.assert_allclose(coarse.mean_population, fine.mean_population, rtol=0, atol=1e-12)


@pytest.mark.parametrize("rabi", [1.0, 2.0, 4.0])
def test_the_line_shifts_by_bloch_and_siegert(rabi: float) -> None:
    shift = float(floquet.bloch_siegert_shift(rabi, 100.0))

    def height(detuning: float) -> float:
        state = floquet.harmonic_balance(100.0, 100.0 + detuning, rabi, 0.01, 0.005, 0.0)
        return -float(state.mean_population) + 0.5

    bounds = (0.5 * shift, 2.0 * shift)
    # The saturated top is flat; scaled, the search sees it.
    floor = height(shift)
    found = minimize_scalar(
        lambda x: height(x) / floor - 1, bounds=bounds, method="bounded", options={"xatol": 1e-10}
    ).x
    # The next order of the shift is Omega^4/(64 omega^3).
    assert found == pytest.approx(shift + rabi**4 / (64 * 100.0**3), rel=1e-4)


def test_the_quadrature_left_on_resonance_is_counter_rotating() -> None:
    state = floquet.harmonic_balance(100.0, 100.0, 1.0, 1.0, 0.5, 0.0)
    inverted = 1 - 2 * float(state.mean_population)
    expected = -inverted * (1 / 400 + 1 / (800 * 0.25))
    # Corrections are of the order Gamma/omega_q, 1e-4 of it.
    assert state.cos_x == pytest.approx(expected, rel=1e-3)
    assert state.cos_x == pytest.approx(-2.5e-3, rel=1e-3)


def test_one_bad_point_spoils_no_other() -> None:
    rabi = np.array([1.0, np.nan, 30.0])
    state = floquet.harmonic_balance(100.0, 105.0, rabi, 1.0, 0.5, 0.0)
    np.testing.assert_array_equal(np.isnan(state.total_power), [False, True, False])


def test_no_drive_leaves_the_equilibrium() -> None:
    state = floquet.harmonic_balance(100.0, 105.0, 0.0, 2.0, 1.0, 0.25)
    assert state.mean_population == 0.25
    assert state.total_power == 0.0


def test_a_tolerance_that_cannot_be_met_is_refused() -> None:
    with pytest.raises(ArithmeticError, match="harmonics"):
        floquet.harmonic_balance(1.0, 1.0, 1.0, 1.0, 1.0, 0.0, tolerance=0.0)


def test_arguments_broadcast() -> None:
    state = floquet.harmonic_balance(100.0, np.ones((5, 1)) * 105, np.ones(3), 1.0, 0.5, 0.0)
    assert state.total_power.shape == (5, 3)
