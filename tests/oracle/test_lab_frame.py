"""Harmonic balance against the integrated lab-frame Bloch equations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from powercal.physics import floquet
from powercal.physics.constants import HBAR


def integrated(
    omega_q: float, omega_d: float, rabi: float, g1: float, g2: float, p_eq: float
) -> np.ndarray:
    """Return the cycle averages of z, cos x, sin x of the periodic solution.

    The equations are affine: one period maps r to M r + m, whose fixed point is the periodic
    state. Three more components integrate the averages.
    """
    period = 2 * np.pi / omega_d

    def slope(t: float, flat: np.ndarray) -> np.ndarray:
        state = flat.reshape(6, 4)
        x, y, z = state[:3]
        constant = np.array([0.0, 0.0, 0.0, 1.0])
        field = 2 * rabi * np.cos(omega_d * t)
        rows = [
            -omega_q * y - g2 * x,
            omega_q * x - field * z - g2 * y,
            field * y - g1 * (z + (1 - 2 * p_eq) * constant),
            z / period, np.cos(omega_d * t) * x / period, np.sin(omega_d * t) * x / period,
        ]  # fmt: skip
        return np.concatenate(rows)

    start = np.vstack([np.eye(3, 4), np.zeros((3, 4))]).ravel()
    end = solve_ivp(slope, (0, period), start, method="DOP853", rtol=1e-13, atol=1e-14).y[:, -1]
    matrix, offset = end.reshape(6, 4)[:, :3], end.reshape(6, 4)[:, 3]
    fixed = np.linalg.solve(np.eye(3) - matrix[:3], offset[:3])
    return np.asarray(matrix[3:] @ fixed + offset[3:])


@pytest.mark.parametrize("seed", range(12))
def test_cycle_averages_are_those_of_the_integrated_equations(seed: int) -> None:
    rng = np.random.default_rng(200 + seed)
    omega_q, n = rng.uniform(5.0, 50.0), rng.uniform(0.0, 1.0)
    omega_d, rabi = omega_q * rng.uniform(0.3, 2.0), omega_q * rng.uniform(0.0, 1.6)
    total = 1 + 2 * n
    parameters = (omega_q, omega_d, rabi, total, total / 2 + rng.uniform(0, 3), n / total)
    z, cos_x, sin_x = integrated(*parameters)
    state = floquet.harmonic_balance(*parameters)
    # The integrator's 1e-13 per step, divided by 1 - exp(-Gamma period) > 0.05.
    found = [2 * state.mean_population - 1, state.cos_x, state.sin_x]
    np.testing.assert_allclose(found, [z, cos_x, sin_x], rtol=0, atol=2e-11)
    assert state.total_power / HBAR == pytest.approx(-rabi * omega_d * sin_x, abs=1e-8)
