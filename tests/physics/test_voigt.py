"""The complex Voigt line against quadrature, and its derivatives on both sides of the seam."""

from __future__ import annotations

import numpy as np
import pytest

from powercal.physics.voigt import complex_voigt, complex_voigt_slopes

# 200 nodes integrate 1/(W - i(Delta + x)) to 1e-13 while sigma < W/3: poles lie 3 sigma off.
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(200)
WEIGHTS = WEIGHTS / WEIGHTS.sum()
RNG = np.random.default_rng(0)
WIDTH = 10 ** RNG.uniform(-1, 1, 100)
DETUNING = 3 * WIDTH * RNG.normal(size=100)
SIGMA = WIDTH * 10 ** RNG.uniform(-6, -0.5, 100)
POLES = WIDTH[:, None] - 1j * (DETUNING[:, None] + SIGMA[:, None] * NODES)


def test_the_line_is_the_gaussian_average_of_a_pole() -> None:
    np.testing.assert_allclose(complex_voigt(DETUNING, WIDTH, SIGMA), (1 / POLES) @ WEIGHTS, 1e-12)


def test_without_noise_the_line_is_the_pole() -> None:
    line = complex_voigt(DETUNING, WIDTH, 0.0)
    np.testing.assert_allclose(line, 1 / (WIDTH - 1j * DETUNING), rtol=1e-14)


def test_noise_much_wider_than_the_line_gives_a_gaussian() -> None:
    x = np.linspace(-3.0, 3.0, 13)
    wanted = np.sqrt(np.pi / 2) * np.exp(-(x**2) / 2)
    np.testing.assert_allclose(complex_voigt(x, 1e-9, 1.0).real, wanted, atol=1e-8)


def test_slopes_are_the_averages_of_those_of_a_pole() -> None:
    line, by_pole, by_sigma = complex_voigt_slopes(DETUNING, WIDTH, SIGMA)
    np.testing.assert_allclose(line, complex_voigt(DETUNING, WIDTH, SIGMA), rtol=1e-15)
    np.testing.assert_allclose(by_pole, (-1 / POLES**2) @ WEIGHTS, rtol=1e-11)
    # Where quadrature and closed form both subtract, nine digits are left.
    np.testing.assert_allclose(by_sigma, (1j * NODES / POLES**2) @ WEIGHTS, rtol=1e-8)


@pytest.mark.parametrize("detuning", [0.0, 0.3, 4.0])
def test_slopes_do_not_jump_where_the_series_takes_over(detuning: float) -> None:
    seam = 0.05 * abs(1 - 1j * detuning)
    below, above = (
        complex_voigt_slopes(detuning, 1.0, seam * (1 + side)) for side in (-1e-9, 1e-9)
    )
    np.testing.assert_allclose(below, above, rtol=1e-8)


def test_a_line_without_noise_does_not_move_with_its_size_to_first_order() -> None:
    _, by_pole, by_sigma = complex_voigt_slopes(DETUNING, WIDTH, 0.0)
    np.testing.assert_array_equal(by_sigma, np.zeros(100))
    np.testing.assert_allclose(by_pole, -1 / (WIDTH - 1j * DETUNING) ** 2, rtol=1e-14)
