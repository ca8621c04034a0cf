"""What is said of chains is true of chains whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from powercal.fitting.diagnostics import (
    autocorrelation_time,
    densest_interval,
    quantile_interval,
    split_r_hat,
)
from tests.fitting.polynomials import Array

ONE_SIGMA = 0.6826894921370859


def wandering(steps: int, walkers: int, memory: float, seed: int = 0) -> Array:
    """First-order autoregressive chains: autocorrelation memoryᵏ, time (1 + m)/(1 − m)."""
    generator = np.random.default_rng(seed)
    out = np.zeros((steps, walkers))
    out[0] = generator.standard_normal(walkers)
    for i in range(1, steps):
        kick = np.sqrt(1 - memory**2) * generator.standard_normal(walkers)
        out[i] = memory * out[i - 1] + kick
    return out


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9])
def test_the_autocorrelation_time_is_that_of_a_known_chain(memory: float) -> None:
    found = autocorrelation_time(wandering(4000, 16, memory))
    # Sokal's relative error √(2(2M+1)/N) with M = 5τ, N = 64000: 6 % at τ = 19.
    assert found == pytest.approx((1 + memory) / (1 - memory), rel=0.12)


def test_a_chain_that_stands_still_has_no_autocorrelation_time() -> None:
    assert autocorrelation_time(np.ones((100, 4))) == float("inf")


def test_r_hat_is_one_where_walkers_agree_and_larger_where_they_drift() -> None:
    steady = wandering(2000, 8, 0.5)
    assert split_r_hat(steady) == pytest.approx(1.0, abs=0.005)
    assert split_r_hat(steady + np.linspace(0, 2, 2000)[:, None]) > 1.05
    left_behind = steady + np.array([0, 0, 0, 0, 0, 0, 3, 3])
    assert split_r_hat(left_behind) > 1.05


def test_the_densest_interval_of_a_slope_begins_at_its_top() -> None:
    falling = np.random.default_rng(0).exponential(size=40000)
    low, high = densest_interval(falling, ONE_SIGMA)
    assert low < 0.01
    assert high == pytest.approx(-np.log(1 - ONE_SIGMA), rel=0.03)
    assert quantile_interval(falling, ONE_SIGMA)[0] == pytest.approx(0.1728, rel=0.05)
