"""The bounded Levenberg–Marquardt: known minima, exact bounds, flat valleys, scipy's verdict."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import least_squares

from powercal.fitting.levenberg import minimise

Array = NDArray[np.float64]
OPEN = np.full(2, np.inf)


def linear(a: Array, b: Array) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    return (lambda x: a @ x - b), (lambda x: a)


def rosenbrock(x: Array) -> Array:
    return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])


def rosenbrock_slopes(x: Array) -> Array:
    return np.array([[-20 * x[0], 10.0], [-1.0, 0.0]])


def test_a_straight_line_is_solved_to_rounding() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((12, 4)), rng.standard_normal(12)
    found = minimise(*linear(a, b), np.zeros(4), np.full(4, -np.inf), np.full(4, np.inf))
    assert found.converged
    # Steps stop when they promise less than 1e-13 of χ²: √1e-13 = 3e-7 of an error in x.
    np.testing.assert_allclose(found.x, np.linalg.lstsq(a, b, rcond=None)[0], atol=1e-6)


def test_the_bent_valley_of_rosenbrock_is_followed_to_its_end() -> None:
    found = minimise(rosenbrock, rosenbrock_slopes, np.array([-1.2, 1.0]), -OPEN, OPEN)
    assert found.converged
    np.testing.assert_allclose(found.x, [1.0, 1.0], atol=1e-6)


def test_the_decay_of_an_exponential_is_found() -> None:
    t = np.linspace(0, 3, 20)
    truth = np.array([1.5, -0.7])

    def residual(x: Array) -> Array:
        return x[0] * np.exp(x[1] * t) - truth[0] * np.exp(truth[1] * t)

    def slopes(x: Array) -> Array:
        return np.stack([np.exp(x[1] * t), x[0] * t * np.exp(x[1] * t)], axis=1)

    found = minimise(residual, slopes, np.array([0.5, 0.3]), -OPEN, OPEN)
    np.testing.assert_allclose(found.x, truth, atol=1e-6)


def test_a_minimum_beyond_a_bound_lands_exactly_on_the_bound() -> None:
    a, b = np.eye(2), np.array([-3.0, 0.5])
    found = minimise(*linear(a, b), np.array([2.0, 2.0]), np.array([0.1, 0.1]), np.full(2, 10.0))
    assert found.converged
    assert found.x[0] == 0.1  # to the last bit: the bound itself, not a number near it
    assert found.x[1] == pytest.approx(0.5, abs=1e-6)


def test_a_coordinate_on_its_bound_is_released_when_the_minimum_lies_inside() -> None:
    a, b = np.array([[1.0, 0.9], [0.0, 1.0]]), np.array([2.0, 1.0])
    low = np.array([0.0, 0.0])
    found = minimise(*linear(a, b), low.copy(), low, np.full(2, 10.0))
    np.testing.assert_allclose(found.x, np.linalg.solve(a, b), atol=1e-6)


def test_a_coordinate_that_hits_its_bound_on_the_way_leaves_it_again() -> None:
    # From (3, −1) the first step of Rosenbrock crosses x₁ ≤ 3.05; the end (1, 1) is inside.
    low, high = np.array([-2.0, -1.5]), np.array([3.05, 4.0])
    found = minimise(rosenbrock, rosenbrock_slopes, np.array([3.0, -1.0]), low, high)
    np.testing.assert_allclose(found.x, [1.0, 1.0], atol=1e-6)


def test_a_skew_valley_ends_at_the_bounded_minimum_where_clipping_would_stop_short() -> None:
    """A skew valley, its open minimum beyond x₀ ≥ 0: clipping the open solution keeps x₁ of it."""
    a = np.array([[1.0, 1.0], [0.0, 0.05]])
    b = np.array([0.0, 0.5])  # open minimum (−10, 10); on x₀ = 0 the best is x₁ = 0.025/1.0025
    residual, slopes = linear(a, b)
    low, high = np.array([0.0, -20.0]), np.array([20.0, 20.0])
    found = minimise(residual, slopes, np.array([5.0, 5.0]), low, high)
    best = 0.05 * 0.5 / (1 + 0.05**2)
    clipped = np.clip(np.linalg.solve(a, b), low, high)
    assert found.chi2 < 0.01 * float(residual(clipped) @ residual(clipped))
    np.testing.assert_allclose(found.x, [0.0, best], atol=1e-6)


def test_a_coordinate_held_does_not_move() -> None:
    a, b = np.array([[1.0, 0.5], [0.2, 1.0], [0.3, 0.3]]), np.array([1.0, 2.0, 3.0])
    held = np.array([True, False])
    found = minimise(*linear(a, b), np.array([0.25, 0.0]), -OPEN, OPEN, held)
    assert found.x[0] == 0.25
    rest = np.linalg.lstsq(a[:, 1:], b - 0.25 * a[:, 0], rcond=None)[0]
    assert found.x[1] == pytest.approx(rest[0], abs=1e-6)


def test_an_exactly_flat_direction_does_not_blow_up() -> None:
    def residual(x: Array) -> Array:
        return np.array([x[0] + x[1] - 1.0, 2 * (x[0] + x[1]) - 2.5])

    slopes = np.array([[1.0, 1.0], [2.0, 2.0]])
    found = minimise(residual, lambda x: slopes, np.array([4.0, -1.0]), -OPEN, OPEN)
    assert found.converged
    assert found.x.sum() == pytest.approx(1.2, abs=1e-6)
    assert np.abs(found.x).max() < 10  # stays near the start in the direction nobody knows


def test_a_coordinate_without_effect_stays_where_it_was() -> None:
    def residual(x: Array) -> Array:
        return np.array([x[0] - 1.0, 0.5 * x[0]])

    slopes = np.array([[1.0, 0.0], [0.5, 0.0]])
    found = minimise(residual, lambda x: slopes, np.array([3.0, 7.0]), -OPEN, OPEN)
    assert found.converged
    assert found.x[1] == 7.0


def test_a_start_outside_the_bounds_is_moved_inside() -> None:
    found = minimise(*linear(np.eye(2), np.ones(2)), np.array([9.0, -9.0]), -0.5 * np.ones(2), OPEN)
    np.testing.assert_allclose(found.x, 1.0, atol=1e-6)


def test_a_step_to_where_the_curve_is_not_finite_is_refused() -> None:
    def residual(x: Array) -> Array:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.array([np.log(x[0]) + 3.0, x[1]])

    def slopes(x: Array) -> Array:
        return np.array([[1 / x[0], 0.0], [0.0, 1.0]])

    found = minimise(residual, slopes, np.array([5.0, 1.0]), -OPEN, OPEN)
    assert found.x[0] == pytest.approx(np.exp(-3.0), rel=1e-6)


@pytest.mark.parametrize("seed", range(30))
def test_it_agrees_with_scipy_on_a_random_bounded_problem(seed: int) -> None:
    """Sums of saturation curves with bounds that cut off about half of the minima."""
    rng = np.random.default_rng([20, seed])
    p, n = int(rng.integers(2, 6)), 25
    mix, truth = rng.standard_normal((n, p)), rng.uniform(-1, 1, p)
    data = np.tanh(mix @ truth) + 0.2 * rng.standard_normal(n)
    low, high = truth - rng.uniform(0.01, 0.6, p), truth + rng.uniform(0.01, 0.6, p)

    def residual(x: Array) -> Array:
        return np.tanh(mix @ x) + 0.1 * (mix @ x) - data

    def slopes(x: Array) -> Array:
        return (1 - np.tanh(mix @ x)[:, None] ** 2 + 0.1) * mix

    start = 0.5 * (low + high)
    found = minimise(residual, slopes, start, low, high, iterations=300)
    other = least_squares(
        residual,
        start,
        slopes,
        bounds=(low, high),
        method="trf",
        ftol=1e-15,
        xtol=1e-15,
        gtol=1e-15,
        max_nfev=5000,
    )
    assert found.converged
    # trf stays a hair inside the bounds, so its χ² may only be larger; never smaller than ours.
    assert found.chi2 <= 2 * other.cost * (1 + 1e-9)
    np.testing.assert_allclose(found.x, other.x, atol=2e-5)
