"""The straight line of power against population, there and back."""

import numpy as np
import pytest
from hypothesis import given

from powercal.physics import power_balance
from powercal.physics.constants import HBAR

from .systems import Driven, driven, random_systems, steady


@steady
@given(driven())
def test_slope_and_intercept_give_the_rates_back(q: Driven) -> None:
    n = float(q.n_k[0])
    ends = power_balance.balance_line([0.0, 1.0], q.gamma_1, n, q.omega_q)
    rates = power_balance.rates_from_line(ends[1] - ends[0], ends[0], q.omega_q)
    # slope + 2 intercept loses at most a factor 1 + 2n = 11.
    assert rates.gamma_1 == pytest.approx(float(q.gamma_1), rel=1e-13)
    assert rates.n_th == pytest.approx(n, rel=1e-13, abs=1e-15)
    assert rates.p_eq == pytest.approx(n / (1 + 2 * n), rel=1e-13, abs=1e-15)


def test_a_driven_qubit_with_many_baths_lies_on_the_line_of_its_mean_occupation() -> None:
    q = random_systems(31, 100)
    mean = np.sum(q.gamma_k * q.n_k, axis=-1) / q.gamma_1
    line = power_balance.balance_line(q.population, q.gamma_1, mean, q.omega_d)
    scale = HBAR * q.omega_d * q.gamma_1_tot
    np.testing.assert_allclose(line / scale, q.photon_rate / q.gamma_1_tot, atol=1e-15)


def test_a_power_gain_scales_the_rate_and_leaves_the_occupation() -> None:
    once = power_balance.rates_from_line(3e-24, -1e-24, 3e10)
    twice = power_balance.rates_from_line(6e-24, -2e-24, 3e10)
    assert twice.gamma_1 == pytest.approx(2 * once.gamma_1, rel=1e-15)
    assert twice.n_th == once.n_th


def test_the_saturated_point_lies_at_one_half_for_any_temperature() -> None:
    power = power_balance.balance_line(0.5, 2.0, np.linspace(0, 5, 9), 1.0)
    np.testing.assert_allclose(power, HBAR, rtol=1e-14)
