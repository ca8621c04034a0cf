"""The harmonic balance of driven fermions against their Fock space, check values and limits."""

from __future__ import annotations

import numpy as np
import pytest
from fock_space import periodic_averages
from powercal_reservoirs import double_dot
from powercal_reservoirs.constants import HBAR
from powercal_reservoirs.periodic import PeriodicSystem, Response, periodic_response
from powercal_reservoirs.periodic_roots import two_reservoir_energies

RATE = 1e9  # 1/s; with it hbar = 1
ENERGY = HBAR * RATE


def system(
    harmonics: np.ndarray, omega: float, levels: tuple[int, ...], gamma: list[float]
) -> PeriodicSystem:
    return PeriodicSystem(
        np.asarray(harmonics) * ENERGY, omega * RATE, levels, np.array(gamma) * RATE
    )


def in_units(response: Response) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (
        response.particles / RATE,
        response.energies / (ENERGY * RATE),
        response.power / (ENERGY * RATE),
    )


def random_harmonics(size: int, orders: int, rng: np.random.Generator) -> np.ndarray:
    h = rng.normal(size=(2 * orders + 1, size, size, 2)) @ np.array([0.3, 0.3j])
    for m in range(1, orders + 1):
        h[orders - m] = h[orders + m].conj().T
    h[orders] = h[orders] + h[orders].conj().T + np.diag(rng.normal(size=size))
    return h


def two_levels(epsilon: float, energies: tuple[float, float]) -> np.ndarray:
    h = np.zeros((3, 2, 2))
    h[1], h[0], h[2] = np.diag(energies), epsilon * np.eye(2)[::-1], epsilon * np.eye(2)[::-1]
    return h


@pytest.mark.parametrize(
    ("size", "levels", "orders"),
    [(2, (0, 1), 1), (2, (0, 1), 2), (2, (0, 1, 1), 2), (3, (0, 1, 2), 2), (3, (0, 2), 1)],
)
def test_flows_and_power_are_those_of_the_whole_fock_space(
    size: int, levels: tuple[int, ...], orders: int
) -> None:
    rng = np.random.default_rng(size + 10 * orders + 100 * len(levels))
    harmonics, omega = random_harmonics(size, orders, rng), rng.uniform(0.8, 2.5)
    gamma, f = list(rng.uniform(0.2, 1.0, len(levels))), list(rng.uniform(0, 1, len(levels)))
    a, b, power = in_units(periodic_response(system(harmonics, omega, levels, gamma)))
    theirs = periodic_averages(harmonics, omega, levels, gamma, f)
    assert np.allclose(a @ f, theirs.particles, rtol=0, atol=1e-10)
    assert np.allclose(b @ f, theirs.energies, rtol=0, atol=1e-10)
    assert float(power @ f) == pytest.approx(theirs.power, rel=1e-9, abs=1e-10)


def test_check_values_of_a_full_cosine_are_reproduced() -> None:
    response = periodic_response(system(two_levels(0.1, (1, -1)), 2.5, (0, 1), [0.2, 0.1]))
    upper, lower = two_reservoir_energies(response) / ENERGY
    assert (upper, lower) == pytest.approx((1.28624025, -1.14312012), abs=5e-9)
    assert (upper - lower) / 2.5 == pytest.approx(0.9717, abs=5e-5)  # not one photon
    assert response.particles[0, 0] / RATE == pytest.approx(0.00970065, abs=5e-9)
    a, _, power = in_units(response)
    f = np.array([0.45357405, 0.52154671])
    assert (a @ f)[0] == pytest.approx(-6.5938e-4, abs=1e-8)
    assert power @ f == pytest.approx(1.60187e-3, abs=1e-8)
    slower = periodic_response(system(two_levels(0.1, (1, -1)), 2.0, (0, 1), [0.2, 0.1]))
    found = tuple(two_reservoir_energies(slower) / ENERGY)
    assert found == pytest.approx((0.99293502, -0.99646751), abs=5e-9)


def test_a_field_that_turns_one_way_gives_the_effective_energies_of_w14() -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        e_u, e_l = rng.uniform(0.5, 3), rng.uniform(-3, 0)
        omega, epsilon, gamma = rng.uniform(0.3, 5), rng.uniform(0.01, 2), rng.uniform(0.05, 1, 2)
        h = np.zeros((3, 2, 2))
        h[1], h[0, 0, 1], h[2, 1, 0] = np.diag([e_u, e_l]), epsilon, epsilon
        response = periodic_response(system(h, omega, (0, 1), list(gamma)))
        wanted = double_dot.effective_energies(
            e_u * ENERGY, e_l * ENERGY, omega * RATE, *(gamma * RATE)
        )
        assert np.allclose(two_reservoir_energies(response), wanted, rtol=1e-11, atol=0)
        alpha = double_dot.stimulated_rate(epsilon, omega - e_u + e_l, *gamma)
        rate = alpha * double_dot.saturation_factor(alpha, *gamma)
        assert response.particles[0, 0] / RATE == pytest.approx(float(rate), rel=1e-11)


def test_particles_and_energy_are_conserved_whatever_the_occupations() -> None:
    rng = np.random.default_rng(6)
    for size, orders, count in ((2, 1, 2), (3, 2, 4), (4, 3, 5)):
        levels = tuple(int(j) for j in (np.arange(count) % size))
        case = system(
            random_harmonics(size, orders, rng), 1.3, levels, list(rng.uniform(0.1, 1, count))
        )
        a, b, power = in_units(periodic_response(case))
        assert np.allclose(a.sum(axis=0), 0, atol=1e-13)
        assert np.allclose(b.sum(axis=0) + power, 0, atol=1e-12)
        # Nothing flows between reservoirs that are equally full, and work vanishes.
        assert np.allclose(a.sum(axis=1), 0, atol=1e-13)
        assert np.allclose(b.sum(axis=1), 0, atol=1e-13)
        assert abs(power.sum()) < 1e-12


def test_without_a_drive_no_work_is_done() -> None:
    h = np.array([[[0.5, 0.3], [0.3, -0.2]]])
    response = periodic_response(system(h, 1.0, (0, 1), [0.4, 0.7]))
    assert np.all(response.power == 0)
    assert float(np.sum(response.energies[:, 0])) == pytest.approx(0, abs=1e-14 * ENERGY * RATE)
    # omega = 0 of the classical field [W after 16]: both energies are one and the same.
    upper, lower = two_reservoir_energies(response) / ENERGY
    assert upper == pytest.approx(0.5 - 0.4 * 0.7 / 1.1, rel=1e-12)
    assert upper == pytest.approx(lower, rel=1e-12)


def test_a_batch_gives_what_its_members_give() -> None:
    omegas, gammas = np.array([1.1, 1.9, 2.7]), np.array([[0.2, 0.1], [0.3, 0.3]])
    h = two_levels(0.4, (1, -1))
    batch = periodic_response(
        PeriodicSystem(h * ENERGY, omegas * RATE, (0, 1), gammas[:, None] * RATE)
    )
    assert batch.particles.shape == (2, 3, 2, 2)
    for i, gamma in enumerate(gammas):
        for k, omega in enumerate(omegas):
            alone = periodic_response(system(h, omega, (0, 1), list(gamma)))
            assert np.allclose(batch.particles[i, k], alone.particles, rtol=1e-10, atol=0)
            assert np.allclose(batch.energies[i, k], alone.energies, rtol=1e-10, atol=0)


def test_harmonics_are_added_until_they_change_nothing() -> None:
    strong = system(two_levels(6.0, (1, -1)), 0.5, (0, 1), [0.2, 0.1])
    found = periodic_response(strong)
    assert found.harmonics >= 64
    coarse = periodic_response(strong, tolerance=1e-3)
    assert coarse.harmonics < found.harmonics
    assert np.allclose(coarse.particles, found.particles, rtol=1e-2, atol=0)


def test_a_drive_far_beyond_its_own_frequency_is_refused() -> None:
    case = system(two_levels(30.0, (1, -1)), 0.1, (0, 1), [0.2, 0.1])
    with pytest.raises(ArithmeticError, match="up to 16 harmonics change the flows"):
        periodic_response(case, most=16)


def test_a_level_that_nothing_damps_has_no_unique_state() -> None:
    h = np.zeros((1, 2, 2))
    with pytest.raises(ArithmeticError, match="periodic state is not unique"):
        periodic_response(system(h, 1.0, (0,), [0.5]))


def test_an_energy_that_is_not_real_is_refused() -> None:
    h = two_levels(0.1, (1, -1)) * np.array([1, 1, 2])[:, None, None]
    with pytest.raises(ValueError, match="h_-m = h_m"):
        periodic_response(system(h, 1.0, (0, 1), [0.5, 0.5]))


def test_a_reservoir_on_no_level_is_refused() -> None:
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        periodic_response(system(two_levels(0.1, (1, -1)), 1.0, (0, 2), [0.5, 0.5]))


def test_a_point_without_number_spoils_no_other() -> None:
    h = two_levels(0.1, (1, -1))
    found = periodic_response(
        PeriodicSystem(h * ENERGY, np.array([2.0, np.nan]) * RATE, (0, 1), [RATE, RATE])
    )
    assert np.isfinite(found.particles[0]).all()
    assert np.isnan(found.particles[1]).all()
