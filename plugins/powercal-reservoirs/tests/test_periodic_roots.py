"""Self-consistent effective energies: roots, what is undefined, and the second law at each root."""

from __future__ import annotations

import numpy as np
import pytest
from powercal_reservoirs.constants import BOLTZMANN, HBAR
from powercal_reservoirs.occupations import fermi
from powercal_reservoirs.periodic import PeriodicSystem, Response, periodic_response
from powercal_reservoirs.periodic_roots import (
    flows_at,
    self_consistent_roots,
    two_reservoir_energies,
)

RATE = 1e9  # 1/s; with it hbar = k = 1
ENERGY, KELVIN = HBAR * RATE, HBAR * RATE / BOLTZMANN


def response(
    harmonics: np.ndarray, omega: float, levels: tuple[int, ...], gamma: np.ndarray
) -> Response:
    return periodic_response(
        PeriodicSystem(harmonics * ENERGY, omega * RATE, levels, np.asarray(gamma) * RATE)
    )


def two_levels(omega: float) -> Response:
    h = np.zeros((3, 2, 2))
    h[1], h[0], h[2] = np.diag([1, -1]), 0.1 * np.eye(2)[::-1], 0.1 * np.eye(2)[::-1]
    return response(h, omega, (0, 1), np.array([0.2, 0.1]))


def random_response(rng: np.random.Generator, levels: tuple[int, ...]) -> Response:
    """Three driven levels with a constant part and one harmonic."""
    h = rng.normal(size=(3, 3, 3, 2)) @ np.array([0.3, 0.3j])
    h[0] = h[2].conj().T
    h[1] = h[1] + h[1].conj().T + np.diag(rng.normal(size=3))
    return response(h, rng.uniform(0.8, 3), levels, rng.uniform(0.1, 1, len(levels)))


def test_check_values_of_two_reservoirs_are_reproduced() -> None:
    found = self_consistent_roots(
        two_levels(2.5), np.array([1.1, -1.1]) * ENERGY, np.array([1.0, 0.5]) * KELVIN
    )
    assert tuple(found.energies / ENERGY) == pytest.approx((1.28624025, -1.14312012), abs=5e-9)
    assert tuple(found.occupations) == pytest.approx((0.45357405, 0.52154671), abs=5e-9)
    assert found.flows.particles[0] / RATE == pytest.approx(-6.5938e-4, abs=1e-8)
    assert found.flows.power / (ENERGY * RATE) == pytest.approx(1.60187e-3, abs=1e-8)
    assert found.flows.entropy / (BOLTZMANN * RATE) == pytest.approx(1.79668e-4, abs=1e-9)
    assert (found.others, found.defined.all()) == (0, True)


def test_entropy_is_never_destroyed_at_any_root_and_every_root_is_one() -> None:
    rng, several = np.random.default_rng(1), 0
    for levels in ((0, 1, 2),) * 20 + ((0, 1, 1, 2),) * 4:
        each, count = random_response(rng, levels), len(levels)
        mu, t = rng.normal(size=count) * ENERGY, rng.uniform(0.3, 1.5, count) * KELVIN
        found = self_consistent_roots(each, mu, t)
        assert found.every.shape[0] == found.others + 1
        several += found.others > 0
        for root in found.every:
            flows = flows_at(each, fermi((root - mu) / (BOLTZMANN * t)), mu, t)
            gross = np.max(np.abs(flows.energies))
            assert np.allclose(flows.energies, root * flows.particles, rtol=0, atol=1e-9 * gross)
            assert flows.entropy > 0
            assert abs(flows.power + flows.energies.sum()) < 1e-11 * gross
    assert several > 12  # more often than not the solution is not unique


def test_the_root_nearest_the_bare_energies_is_reported() -> None:
    each = random_response(np.random.default_rng(2), (0, 1, 2))
    mu, t = np.array([0.5, 0.0, -0.5]) * ENERGY, np.array([1.0, 0.7, 0.4]) * KELVIN
    found = self_consistent_roots(each, mu, t)
    away = np.linalg.norm(found.every - each.bare, axis=1)
    assert np.array_equal(found.every[0], found.energies)
    assert np.all(np.diff(away) >= 0)
    more = self_consistent_roots(each, mu, t, starts=200, seed=5)
    assert np.allclose(more.energies, found.energies, rtol=1e-8, atol=0)


def test_a_weak_drive_leaves_the_bare_energies_of_isolated_levels() -> None:
    # Resonant with levels 0 and 1 alone: Ẽ_0 - Ẽ_1 = omega to the second order of the drive.
    h = np.zeros((3, 3, 3))
    h[1] = np.diag([1.0, -1.0, 3.0])
    h[0, 0, 1] = h[2, 1, 0] = 1e-3
    each = response(h, 2.0, (0, 1, 2), np.array([0.2, 0.1, 0.3]))
    mu, t = np.array([0.3, -0.2, 0.0]) * ENERGY, np.array([1.0, 0.5, 1.0]) * KELVIN
    found = self_consistent_roots(each, mu, t)
    assert np.allclose(found.energies[:2] / ENERGY, [1.0, -1.0], rtol=0, atol=1e-9)


def test_a_reservoir_without_particle_flow_has_no_effective_energy() -> None:
    # The third level is coupled to nothing but its own reservoir.
    h = np.zeros((3, 3, 3))
    h[1], h[0, 0, 1], h[2, 1, 0] = np.diag([1.0, -1.0, 3.0]), 0.2, 0.2
    each = response(h, 2.4, (0, 1, 2), np.array([0.2, 0.1, 0.3]))
    mu, t = np.array([0.3, -0.2, 0.0]) * ENERGY, np.array([1.0, 0.5, 1.0]) * KELVIN
    found = self_consistent_roots(each, mu, t)
    assert list(found.defined) == [True, True, False]
    assert np.array_equal(np.isnan(found.energies), [False, False, True])
    wanted = np.array([1 + 0.2 * 0.4 / 0.3, -1 - 0.1 * 0.4 / 0.3])  # [W14]
    assert np.allclose(found.energies[:2] / ENERGY, wanted, rtol=1e-10, atol=0)


def test_nothing_is_defined_where_nothing_flows() -> None:
    h = np.zeros((1, 2, 2))
    h[0] = np.diag([1.0, -1.0])
    each = response(h, 1.0, (0, 1), np.array([0.2, 0.1]))
    assert np.isnan(two_reservoir_energies(each)).all()
    found = self_consistent_roots(each, np.zeros(2), np.full(2, KELVIN))
    assert not found.defined.any()
    assert np.isnan(found.energies).all()
    assert found.every.shape == (0, 2)


def test_more_starts_are_tried_where_the_first_end_where_nothing_flows() -> None:
    # With this seed all 25 starts end at equally full reservoirs, which solve the equations too.
    rng = np.random.default_rng(23)
    each = random_response(rng, (0, 1, 2))
    mu, t = rng.normal(size=3) * ENERGY, rng.uniform(0.3, 1.5, 3) * KELVIN
    found = self_consistent_roots(each, mu, t)
    assert found.defined.all()
    assert found.others == 1


def test_two_reservoirs_need_two() -> None:
    each = random_response(np.random.default_rng(3), (0, 1, 2))
    with pytest.raises(ValueError, match="3 reservoirs"):
        two_reservoir_energies(each)


def test_fewer_than_twenty_starts_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 20"):
        self_consistent_roots(two_levels(2.5), np.zeros(2), np.full(2, KELVIN), starts=19)
