"""Harmonic balance: stored values, energy balance, limits, derivatives, the Bloch-Siegert shift."""

from itertools import pairwise

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


def test_one_bath_gives_out_power_where_the_master_equation_ends() -> None:
    omega_q, n = 29.8, 0.184
    total = 1 + 2 * n
    state = floquet.harmonic_balance(
        omega_q, 0.0375 * omega_q, 0.443 * omega_q, total, total / 2, n / total
    )
    # The example is given to two digits.
    assert state.total_power / (HBAR * omega_q * total) == pytest.approx(-2.8e-4, rel=0.02)


# ---- section 3 as the limit ----


def rwa(omega_q: float, detuning: float, rabi: float, n: float, phi: float) -> float:
    total = 1 + 2 * n
    rates = (1.0, total, total / 2 + phi, n / total)
    return float(energy.absorbed_power("effective", omega_q, detuning, rabi, *rates))


def lab(omega_q: float, detuning: float, rabi: float, n: float, phi: float) -> float:
    total = 1 + 2 * n
    state = floquet.harmonic_balance(
        omega_q, omega_q + detuning, rabi, total, total / 2 + phi, n / total
    )
    return float(state.total_power)


@pytest.mark.parametrize("detuning", [0.0, 3.0, -2.0])
def test_a_fast_qubit_absorbs_what_section_3_says(detuning: float) -> None:
    off = [
        abs(lab(omega_q, detuning, 4.0, 0.3, 0.2) / rwa(omega_q, detuning, 4.0, 0.3, 0.2) - 1)
        for omega_q in (1e3, 1e4, 1e5, 1e6)
    ]
    # What the rotating-wave approximation leaves out falls at least as 1/omega_q.
    assert all(finer < 0.11 * coarser for coarser, finer in pairwise(off))
    assert off[-1] < 2e-6


@pytest.mark.parametrize("rabi", [1e-3, 1e-6, 1e-9, 1e-12])
def test_a_weak_drive_costs_no_digits(rabi: float) -> None:
    # R/Omega^2 differs from its limit by s, the saturation parameter, which the rotating-wave
    # approximation knows to Delta/omega_q, a twentieth.
    s = rabi**2 * 0.9 / (1.6 * (0.9**2 + 5**2))
    limit = lab(100.0, 5.0, 1e-14, 0.3, 0.1) / 1e-28
    np.testing.assert_allclose(
        lab(100.0, 5.0, rabi, 0.3, 0.1) / rabi**2, limit / (1 + s), rtol=0.05 * s + 1e-14
    )


# ---- harmonics ----


def test_a_stronger_drive_takes_more_harmonics() -> None:
    rabi = np.array([0.1, 10.0, 100.0, 1000.0])
    state = floquet.harmonic_balance(100.0, 101.0, rabi, 1.0, 0.5, 0.0)
    assert list(state.harmonics) == sorted(set(state.harmonics))


def test_a_looser_tolerance_takes_fewer_harmonics_and_is_kept() -> None:
    drives = random_drives(200)
    fine = floquet.harmonic_balance(*drives)
    loose = floquet.harmonic_balance(*drives, tolerance=1e-6)
    assert loose.harmonics.sum() < 0.8 * fine.harmonics.sum()
    # The tolerance is that of <sigma_z>, twice the population.
    off = np.abs(loose.mean_population - fine.mean_population)
    assert 1e-12 < np.max(off) < 0.5e-6


def test_a_point_does_not_depend_on_its_neighbours() -> None:
    drives = random_drives(50)
    together = floquet.harmonic_balance(*drives)
    alone = [floquet.harmonic_balance(*point) for point in np.transpose(drives)]
    np.testing.assert_array_equal(together.total_power, [float(a.total_power) for a in alone])


def test_where_the_harmonics_do_not_suffice_there_is_no_number_but_a_reason() -> None:
    rabi = np.array([1.0, 500.0])
    state = floquet.harmonic_balance(100.0, 105.0, rabi, 1.0, 0.5, 0.0, maximum=8)
    np.testing.assert_array_equal(state.harmonics == 0, [False, True])
    for average in (state.total_power, state.mean_population, state.cos_x, state.sin_x):
        np.testing.assert_array_equal(np.isnan(average), [False, True])


# ---- derivatives ----

ARGUMENTS = ("omega_q", "omega_d", "rabi", "gamma_1_tot", "gamma_2", "p_eq")


def recursion(point: list[np.longdouble], harmonics: int) -> np.ndarray:
    """Supplement C6 as it is written, in the widest floating point there is: R_total/hbar, p."""
    omega_q, omega_d, rabi, total, gamma_2, p_eq = point

    def chi(n: int) -> np.clongdouble:
        rate = np.clongdouble(1j) * n * omega_d + gamma_2
        return rate / (rate**2 + omega_q**2)

    q = np.clongdouble(0)
    for m in range(2 * harmonics, 0, -2):
        inner = rabi**2 * (chi(m - 1) + chi(m + 1) + chi(m + 1) * q)
        q = -(rabi**2) * chi(m - 1) / (np.clongdouble(1j) * m * omega_d + total + inner)
    z_0 = total * (2 * p_eq - 1) / (total + 2 * rabi**2 * (chi(1) * (1 + q)).real)
    rate = np.clongdouble(1j) * omega_d + gamma_2
    x_1 = omega_q * rabi * z_0 * (1 + q) / (rate**2 + omega_q**2)
    return np.array([rabi * omega_d * x_1.imag, (1 + z_0) / 2])


def difference(point: np.ndarray, index: int, harmonics: int) -> np.ndarray:
    """Differentiate the recursion with errors of sixth order in the step."""
    start = [np.longdouble(value) for value in point]
    step = np.longdouble(1e-3 if index < 2 else 1e-3 * start[index])
    total = np.zeros(2, dtype=np.longdouble)
    for weight, k in ((45, 1), (-9, 2), (1, 3)):
        for sign in (1, -1):
            moved = [v + sign * k * step * (i == index) for i, v in enumerate(start)]
            total = total + sign * weight * recursion(moved, harmonics)
    return total / (60 * step)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_derivatives_are_those_of_the_recursion(name: str) -> None:
    drives = np.array(random_drives(60))
    drives[1, ::2] = drives[0, ::2] + np.linspace(-2, 2, 30)  # near resonance as well
    drives[2, ::3] *= 1e-3
    index = ARGUMENTS.index(name)
    slopes = floquet.harmonic_balance_slopes(*drives)
    for i, point in enumerate(drives.T):
        expected = difference(point, index, int(slopes.state.harmonics[i]))
        found = slopes.total_power[name][i] / HBAR, slopes.mean_population[name][i]
        sizes = recursion([np.longdouble(v) for v in point], int(slopes.state.harmonics[i]))
        # Truncation is 1e-3 to the sixth; rounding where a derivative nearly vanishes is that of
        # the quantity over its argument. Plain doubles in place of wide ones would reach 1e-8.
        floor = 1e-10 * np.abs(sizes.astype(float)) / point[index]
        np.testing.assert_array_less(
            np.abs(found - expected.astype(float)),
            3e-8 * np.abs(expected.astype(float)) + floor,
        )


def test_derivatives_come_with_the_state_itself() -> None:
    drives = random_drives(40)
    state = floquet.harmonic_balance(*drives)
    slopes = floquet.harmonic_balance_slopes(*drives)
    np.testing.assert_array_equal(slopes.state.total_power, state.total_power)
    np.testing.assert_array_equal(slopes.state.mean_population, state.mean_population)


def test_derivatives_are_missing_where_the_state_is() -> None:
    rabi = np.array([[1.0], [500.0]])
    slopes = floquet.harmonic_balance_slopes(100.0, [105.0, 106.0], rabi, 1.0, 0.5, 0.0, maximum=8)
    for name in ARGUMENTS:
        missing = np.isnan(slopes.total_power[name])
        np.testing.assert_array_equal(missing, [[False, False], [True, True]])


def test_arguments_broadcast() -> None:
    state = floquet.harmonic_balance(100.0, np.ones((5, 1)) * 105, np.ones(3), 1.0, 0.5, 0.0)
    assert state.total_power.shape == (5, 3)
