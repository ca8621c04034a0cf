"""The steady state: limits, identities, conservation, and the slow-noise line by quadrature."""

import numpy as np
import pytest
from hypothesis import given
from scipy.integrate import quad

from powercal.physics import bloch, detection

from .systems import Driven, driven, random_systems, steady


@steady
@given(driven())
def test_photon_rate_is_the_population_flow_of_any_number_of_baths(q: Driven) -> None:
    flow = q.gamma_1_tot * (q.population - q.p_eq)
    # p - p_eq cancels: the error of the flow is an ulp of Gamma_1tot.
    assert q.photon_rate == pytest.approx(float(flow), rel=1e-13, abs=1e-14 * q.gamma_1_tot)


@steady
@given(driven())
def test_coherence_squared_has_both_closed_forms(q: Driven) -> None:
    s = bloch.saturation_parameter(q.detuning, q.rabi, q.gamma_1_tot, q.gamma_2)
    square = np.abs(q.coherence) ** 2
    through_n = q.photon_rate * (1 - 2 * q.p_eq) / (2 * q.gamma_2 * (1 + s))
    # 1 - 2 p_eq is exact to an ulp of 1, and p_eq <= 5/11 here: a factor 11.
    assert square == pytest.approx(float(through_n), rel=1e-13)


@steady
@given(driven())
def test_the_drive_does_the_work_that_is_absorbed(q: Driven) -> None:
    # Optical Bloch equation of the population: N = -Omega Im<sigma_->.
    assert q.photon_rate == pytest.approx(float(-q.rabi * q.coherence.imag), rel=1e-13)


@steady
@given(driven())
def test_cos_quadrature_carries_the_detuned_energy(q: Driven) -> None:
    expected = q.detuning / q.gamma_2 * q.photon_rate
    assert q.rabi * q.coherence.real == pytest.approx(float(expected), rel=1e-13)


@steady
@given(driven())
def test_the_population_stays_between_equilibrium_and_one_half(q: Driven) -> None:
    assert q.p_eq * (1 - 1e-15) <= q.population <= 0.5


def test_a_saturating_drive_absorbs_the_same_at_any_temperature() -> None:
    n = np.linspace(0.0, 20.0, 50)
    gamma_1_tot = 3.0 * (1 + 2 * n)
    rate = bloch.photon_rate(0.7, 1e9, 3.0, gamma_1_tot, gamma_1_tot / 2 + 0.4)
    # 1/s is below 1e-14 here.
    np.testing.assert_allclose(rate, 1.5, rtol=1e-13)


def test_saturated_rate_is_half_the_sum_of_bare_rates_for_unequal_baths() -> None:
    q = random_systems(2, 200)
    rate = bloch.photon_rate(q.detuning, 1e9, q.gamma_1, q.gamma_1_tot, q.gamma_2)
    np.testing.assert_allclose(rate, q.gamma_1 / 2, rtol=1e-12)


def test_a_weak_drive_keeps_full_precision() -> None:
    # s = 4e-24 is far below the resolution of any population difference.
    assert bloch.photon_rate(0.0, 1e-12, 1.0, 1.0, 0.5) == pytest.approx(1e-24, rel=1e-15)


def test_one_bath_gives_the_textbook_equilibrium() -> None:
    n = np.array([0.0, 0.1, 3.0])
    p_eq = bloch.equilibrium_population(np.full((3, 1), 2.0), n[:, None])
    np.testing.assert_allclose(p_eq, n / (1 + 2 * n), rtol=1e-15)


def test_channels_broadcast_on_the_last_axis() -> None:
    assert bloch.total_relaxation_rate(np.ones(3), np.zeros((4, 5, 3))).shape == (4, 5)


def test_all_arguments_broadcast_and_none_is_changed() -> None:
    detuning, rabi = np.linspace(-1, 1, 7), np.ones((3, 1))
    before = detuning.copy(), rabi.copy()
    assert bloch.coherence(detuning, rabi, 1.0, 0.5, np.zeros((2, 1, 1))).shape == (2, 3, 7)
    np.testing.assert_array_equal(detuning, before[0])
    np.testing.assert_array_equal(rabi, before[1])


def test_integers_are_taken_as_real_numbers() -> None:
    assert bloch.dephased_rate(3, 1) == 2.5


def test_the_half_width_is_where_the_rate_falls_to_half() -> None:
    q = random_systems(3, 100)
    width = bloch.half_width(q.rabi, q.gamma_1_tot, q.gamma_2)
    at = bloch.photon_rate(width, q.rabi, q.gamma_1, q.gamma_1_tot, q.gamma_2)
    top = bloch.photon_rate(0.0, q.rabi, q.gamma_1, q.gamma_1_tot, q.gamma_2)
    np.testing.assert_allclose(at, top / 2, rtol=1e-13)


def test_the_full_width_is_in_hertz() -> None:
    assert bloch.full_width_hz(0.0, 2.0, np.pi) == pytest.approx(1.0, rel=1e-15)


def test_the_slowest_rate_is_that_of_the_bloch_matrix() -> None:
    q = random_systems(4, 100)
    for rabi, g1, g2 in zip(q.rabi, q.gamma_1_tot, q.gamma_2, strict=True):
        matrix = np.array([[-g2, -rabi], [rabi, -g1]])
        slowest = np.min(-np.linalg.eigvals(matrix).real)
        # Near the exceptional point an eigenvalue is good to the root of an ulp only.
        assert bloch.slowest_rate(rabi, g1, g2) == pytest.approx(slowest, rel=1e-7)


@steady
@given(driven())
def test_nothing_settles_more_slowly_than_half_the_relaxation_rate(q: Driven) -> None:
    rate = bloch.slowest_rate(q.rabi, q.gamma_1_tot, q.gamma_2)
    assert rate >= min(q.gamma_1_tot, q.gamma_2) * (1 - 1e-12) >= q.gamma_1_tot / 2 * (1 - 1e-11)


@pytest.mark.parametrize("sigma", [0.05, 0.7, 5.0])
@pytest.mark.parametrize("detuning", [0.0, 1.3, -6.0])
def test_slow_noise_line_is_the_gaussian_average(sigma: float, detuning: float) -> None:
    rabi, g1, g1t, g2, p_eq = 1.7, 1.1, 1.6, 1.2, 0.16

    def weight(x: float) -> float:
        return float(np.exp(-(x**2) / (2 * sigma**2)) / (sigma * np.sqrt(2 * np.pi)))

    def average(function: object) -> float:
        # Twelve standard deviations hold all but 1e-32; the break points keep the line in sight.
        points = sorted({float(np.clip(detuning, -11 * sigma, 11 * sigma)), 0.0})
        return quad(
            lambda x: weight(x) * function(x),  # type: ignore[operator]
            -12 * sigma, 12 * sigma, points=points, epsabs=1e-14, epsrel=1e-13, limit=400,
        )[0]  # fmt: skip

    rate = average(lambda x: float(bloch.photon_rate(detuning - x, rabi, g1, g1t, g2)))
    assert bloch.gaussian_photon_rate(detuning, rabi, g1, g1t, g2, sigma) == pytest.approx(
        rate, rel=1e-11
    )

    def amplitude(x: float) -> complex:
        return complex(
            detection.reflection_end_of_line(detuning - x, rabi, 0.9, g1t, g2, p_eq, 0.8)
        )

    r = average(lambda x: amplitude(x).real) + 1j * average(lambda x: amplitude(x).imag)
    closed = bloch.gaussian_reflection(detuning, rabi, 0.9, g1t, g2, p_eq, sigma, 0.8)
    assert complex(closed) == pytest.approx(r, rel=1e-11)


def test_slow_noise_of_no_width_is_the_white_line() -> None:
    q = random_systems(5, 20)
    np.testing.assert_allclose(
        bloch.gaussian_photon_rate(q.detuning, q.rabi, q.gamma_1, q.gamma_1_tot, q.gamma_2, 0.0),
        q.photon_rate,
        rtol=1e-13,
    )


def test_slow_noise_tends_to_the_white_line() -> None:
    q = random_systems(6, 20)
    sigma = 1e-6
    narrow = bloch.gaussian_photon_rate(
        q.detuning, q.rabi, q.gamma_1, q.gamma_1_tot, q.gamma_2, sigma
    )
    # Corrections are (sigma/W)^2 with W > 0.05.
    np.testing.assert_allclose(narrow, q.photon_rate, rtol=1e-8)


def test_slow_noise_keeps_the_area_of_the_line() -> None:
    detuning = np.linspace(-4000, 4000, 400_001)
    step = detuning[1] - detuning[0]
    areas = [
        np.sum(bloch.gaussian_photon_rate(detuning, 1.0, 1.0, 1.0, 0.5, sigma)) * step
        for sigma in (0.0, 2.0)
    ]
    # The Lorentzian tails outside the window differ by (sigma/4000)^2 relative to themselves.
    assert areas[0] == pytest.approx(areas[1], rel=1e-8)
