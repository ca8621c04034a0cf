"""The quantised cavity against QuTiP's full Fock space, and its limits, cut-off and derivatives."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
import qutip
from fermions import steady_state
from powercal_reservoirs import laser
from powercal_reservoirs.cavity import ARGUMENTS, cavity_slopes, cavity_steady_state
from powercal_reservoirs.cavity_balance import cavity_flows
from powercal_reservoirs.cavity_closed_forms import hartree_fock_rate, optical_rate
from powercal_reservoirs.constants import BOLTZMANN, HBAR
from powercal_reservoirs.double_dot import Reservoir

RATE = 1e9  # 1/s; with it hbar = k = 1
ENERGY, KELVIN = HBAR * RATE, HBAR * RATE / BOLTZMANN

COUNT = 12
OMEGA_UL = 7.3  # hbar = 1; the oracle works in the lab, where this matters to nothing but energies


class Case(NamedTuple):
    """Arguments of the steady state (g complex), and the Fock states both sides keep."""

    gamma_u: float
    gamma_l: float
    gamma_b: float
    f_u: float
    f_l: float
    n_b: float
    coupling: complex
    cavity_detuning: float
    levels: int

    @property
    def ours(self):
        return (*self[:6], abs(self.coupling), self.cavity_detuning)


class Oracle(NamedTuple):
    """Expectations, Y of [W B4] and (energy, particle) flows out of the three reservoirs."""

    numbers: tuple[float, float, float, float]
    coherence: complex
    flows: tuple[tuple[float, float], ...]
    energies: tuple[float, float, float]


def solve(case: Case) -> Oracle:
    """Solve [W18] in the whole Fock space, two Jordan-Wigner fermions and one mode."""
    one, sign, lower = qutip.qeye(2), qutip.sigmaz(), qutip.destroy(2)
    mode = qutip.qeye(case.levels)
    c_u, c_l = qutip.tensor(lower, one, mode), qutip.tensor(sign, lower, mode)
    a = qutip.tensor(one, one, qutip.destroy(case.levels))
    n_u, n_l, photons = c_u.dag() * c_u, c_l.dag() * c_l, a.dag() * a
    energies = (OMEGA_UL - 1.1, -1.1, OMEGA_UL + case.cavity_detuning)
    coupled = case.coupling * c_u.dag() * c_l * a
    energy = energies[0] * n_u + energies[1] * n_l + energies[2] * photons
    energy = energy + coupled + coupled.dag()
    baths = [
        [
            np.sqrt(case.gamma_u * case.f_u) * c_u.dag(),
            np.sqrt(case.gamma_u * (1 - case.f_u)) * c_u,
        ],
        [
            np.sqrt(case.gamma_l * case.f_l) * c_l.dag(),
            np.sqrt(case.gamma_l * (1 - case.f_l)) * c_l,
        ],
        [
            np.sqrt(case.gamma_b * (1 + case.n_b)) * a,
            np.sqrt(case.gamma_b * case.n_b) * a.dag(),
        ],
    ]
    rho = qutip.Qobj(steady_state(energy, [c for bath in baths for c in bath]), dims=energy.dims)
    hop = np.conj(case.coupling) * (c_l.dag() * c_u * a.dag() * rho).tr()
    flows = []
    for bath in baths:
        change = 0 * rho
        for c in bath:
            square = c.dag() * c
            change = change + c * rho * c.dag() - (square * rho + rho * square) / 2
        flows.append((float((energy * change).tr().real), float(((n_u + n_l) * change).tr().real)))
    numbers = tuple(float((n * rho).tr().real) for n in (photons, n_u, n_l, n_u * n_l))
    return Oracle(numbers, complex(hop), tuple(flows), energies)


@cache
def cases() -> tuple[tuple[Case, Oracle], ...]:
    """Random sets; among them light that comes out of the bath, extreme and far detuned ones."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(COUNT):
        rates, filled = 10.0 ** rng.uniform(-1, 0.5, 3), rng.uniform(0, 1, 2)
        coupling = 10.0 ** rng.uniform(-1, 0.5) * np.exp(2j * np.pi * rng.uniform())
        found.append(Case(*rates, *filled, rng.uniform(0, 1), coupling, 3 * rng.normal(), 5))
    found.append(Case(1.0, 0.5, 2.0, 1.0, 0.0, 0.0, 1.0, 0.5, 6))
    found.append(Case(1e-3, 2e-3, 1e-3, 0.9, 0.1, 0.3, 1.0, 30.0, 5))
    found.append(Case(1.0, 1.0, 0.1, 0.01, 0.99, 1.0, 1e-4, 0.3, 5))
    return tuple((case, solve(case)) for case in found)


def test_all_moments_are_those_of_the_full_fock_space_with_the_same_cut_off() -> None:
    for case, theirs in cases():
        ours = cavity_steady_state(*case.ours, levels=case.levels)
        found = (ours.mean_photons, ours.occupation_u, ours.occupation_l, ours.occupation_both)
        assert np.allclose(found, theirs.numbers, rtol=0, atol=1e-11)
        assert ours.coherence == pytest.approx(theirs.coherence, rel=1e-9, abs=0)
        assert ours.rate == pytest.approx(2 * theirs.coherence.imag, rel=1e-9, abs=0)


def test_the_rate_flows_from_the_upper_reservoir_to_the_lower_one_and_into_the_bath() -> None:
    for case, theirs in cases():
        ours = cavity_steady_state(*case.ours, levels=case.levels)
        (_, particle_u), (_, particle_l), _ = theirs.flows
        # A difference of populations: good to 1e-12 of the rates, not of the flow.
        scale = 1e-12 * max(case.gamma_u, case.gamma_l)
        assert float(ours.rate) == pytest.approx(particle_u, rel=1e-9, abs=scale)
        assert float(-ours.rate) == pytest.approx(particle_l, rel=1e-9, abs=scale)
        lost = case.gamma_b * (ours.mean_photons - case.n_b)
        assert case.n_b > 0 or float(ours.rate) == pytest.approx(float(lost), rel=1e-9)


@cache
def nearly_empty_cases() -> tuple[tuple[Case, Oracle], ...]:
    """Sets of which eight Fock states hold all but 1e-8."""
    rng, found = np.random.default_rng(5), []
    for _ in range(2):
        rates, filled = rng.uniform(0.5, 1.5, 3) * (1, 1, 6), rng.uniform(0, 1, 2)
        case = Case(*rates, *filled, 1e-4, rng.uniform(0.3, 1.0) + 0.2j, rng.normal(), 8)
        found.append((case, solve(case)))
    return tuple(found)


def test_energy_flows_are_the_effective_energies_times_the_rate_once_the_tail_is_gone() -> None:
    # The photons' commutator is cut with the Fock space: what is left is of the size of the tail.
    for case, theirs in nearly_empty_cases():
        ours = cavity_steady_state(*case.ours, levels=8)
        e_u, e_l, omega = theirs.energies
        effective = laser.effective_energies(
            *(HBAR * e for e in (e_u, e_l)), omega, *case[:3]
        )  # hbar = 1 in the oracle
        for (energy, _), each, sense in zip(theirs.flows, effective, (1, -1, -1), strict=True):
            wanted = sense * each / HBAR * ours.rate
            assert ours.tail < 1e-8
            assert energy == pytest.approx(float(wanted), rel=1e-9, abs=10 * float(ours.tail))


def test_flows_in_si_are_those_of_the_whole_fock_space_with_thermal_reservoirs() -> None:
    for case, theirs in nearly_empty_cases():
        e_u, e_l, omega = theirs.energies
        per_rate = (omega - e_u + e_l) / sum(case[:3])
        # Temperatures and potentials that fill levels and bath as the oracle's are filled.
        t = np.array([0.7, 1.3, (omega - case.gamma_b * per_rate) / np.log1p(1 / case.n_b)])
        energies = e_u + case.gamma_u * per_rate, e_l - case.gamma_l * per_rate
        odds = [np.log(1 / f - 1) for f in (case.f_u, case.f_l)]
        mu = np.array([*(energies - t[:2] * odds), 0.0])
        upper, lower = (
            Reservoir(g * RATE, m * ENERGY, k * KELVIN)
            for g, m, k in zip((case.gamma_u, case.gamma_l), mu, t, strict=False)
        )
        levels, mode = (e_u * ENERGY, e_l * ENERGY), (omega * RATE, case.coupling * RATE)
        ours = cavity_flows(*levels, *mode, upper, lower, case.gamma_b * RATE, t[2] * KELVIN)
        energy, particles = np.array(theirs.flows).T
        entropy = -np.sum((energy - mu * particles) / t)
        found = np.array([ours.energy_u, ours.energy_l, ours.energy_b]) / (ENERGY * RATE)
        numbers = np.array([ours.particle_u, ours.particle_l]) / RATE
        # The bath's temperature comes back from a logarithm of 1e4: some digits of it are lost.
        left = 1e-10 * np.max(np.abs(energy))
        assert np.allclose(found, energy, rtol=0, atol=left)
        assert np.allclose(numbers, particles[:2], rtol=0, atol=left)
        assert float(ours.entropy) / (BOLTZMANN * RATE) == pytest.approx(entropy, abs=left)
        gained = -particles[0] * (mu[0] - mu[1])
        assert float(ours.electric_power) / (ENERGY * RATE) == pytest.approx(gained, abs=left)
        assert float(ours.mean_photons) == pytest.approx(theirs.numbers[0], rel=1e-9)


def random_arguments(count: int, seed: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    rates = 10.0 ** rng.uniform(-1, 0.5, (3, count)) * np.array([[1.0], [1.0], [2.0]])
    filled, n_b = rng.uniform(0, 1, (2, count)), 10.0 ** rng.uniform(-4, 0, count)
    return (*rates, *filled, n_b, 10.0 ** rng.uniform(-1, 0.5, count), 3 * rng.normal(size=count))


def test_balances_of_particles_and_photons_close_without_the_tail() -> None:
    arguments = random_arguments(200, 6)
    gamma_u, gamma_l, gamma_b, f_u, f_l, n_b, coupling, detuning = arguments
    state = cavity_steady_state(*arguments)
    width = gamma_u + gamma_l + gamma_b
    assert np.allclose(gamma_u * (f_u - state.occupation_u), state.rate, rtol=1e-9, atol=1e-12)
    assert np.allclose(gamma_l * (state.occupation_l - f_l), state.rate, rtol=1e-9, atol=1e-12)
    assert np.allclose(gamma_b * (state.mean_photons - n_b), state.rate, rtol=1e-9, atol=1e-9)
    assert np.allclose(state.coherence.real, -detuning * state.rate / width, rtol=1e-7, atol=1e-9)
    alpha = optical_rate(coupling, detuning, gamma_u, gamma_l, gamma_b)
    assert np.allclose(state.rate, alpha * state.source, rtol=1e-7, atol=1e-9)


def test_the_rate_has_the_sign_of_w23_exactly() -> None:
    gamma_u, gamma_l, gamma_b, f_u, f_l, n_b, coupling, detuning = random_arguments(400, 7)
    # Half of the sets are within a thousandth of balance, where approximations could flip a sign.
    ratio = f_l / (1 - f_l) * n_b / (1 + n_b) * (1 + 1e-3 * (f_u - 0.5))
    f_u = np.where(np.arange(400) % 2, f_u, ratio / (1 + ratio))
    arguments = (gamma_u, gamma_l, gamma_b, f_u, f_l, n_b, coupling, detuning)
    sign = np.sign(f_u / (1 - f_u) - f_l / (1 - f_l) * n_b / (1 + n_b))
    assert np.array_equal(np.sign(cavity_steady_state(*arguments).rate), sign)
    assert np.array_equal(np.sign(hartree_fock_rate(*arguments)), sign)


def test_nothing_flows_in_equilibrium() -> None:
    # f_u/(1-f_u) = f_l/(1-f_l) n_b/(1+n_b) with f_l = 1/2, n_b = 1: f_u = 1/3.
    state = cavity_steady_state(1.0, 0.3, 0.7, 1 / 3, 0.5, 1.0, 2.0, 0.4)
    assert abs(state.rate) < 1e-14
    assert float(state.mean_photons) == pytest.approx(1.0, rel=1e-10)


def test_without_coupling_every_reservoir_has_its_own() -> None:
    state = cavity_steady_state(1.0, 2.0, 0.5, 0.3, 0.8, 3.0, 0.0, 1.0)
    found = (state.rate, state.mean_photons, state.occupation_u, state.occupation_l)
    assert np.allclose(found, (0.0, 3.0, 0.3, 0.8), rtol=0, atol=1e-9)
    assert float(state.occupation_both) == pytest.approx(0.24, rel=1e-12)


def test_a_lossy_cavity_is_one_more_jump_from_the_upper_level_to_the_lower() -> None:
    # A photon leaves before it can return: four populations, and u -> l at the rate alpha_Q. What
    # is left out is of order (gamma_u + gamma_l)/gamma_b.
    gamma_u, gamma_l, f_u, f_l, loss = 1.0, 0.6, 0.9, 0.2, 1e4
    coupling = 0.3 * np.sqrt(loss)
    jump = float(optical_rate(coupling, 0.0, gamma_u, gamma_l, loss))
    into_u, out_u = gamma_u * f_u, gamma_u * (1 - f_u)
    into_l, out_l = gamma_l * f_l, gamma_l * (1 - f_l)
    rates = np.zeros((4, 4))  # to, from: empty, u, l, both
    rates[1, 0], rates[0, 1], rates[2, 0], rates[0, 2] = into_u, out_u, into_l, out_l
    rates[3, 1], rates[1, 3], rates[3, 2], rates[2, 3] = into_l, out_l, into_u, out_u
    rates[2, 1] += jump
    generator = rates - np.diag(rates.sum(axis=0))
    generator[0] = 1.0
    populations = np.linalg.solve(generator, [1.0, 0.0, 0.0, 0.0])
    exact = cavity_steady_state(gamma_u, gamma_l, loss, f_u, f_l, 0.0, coupling, 0.0).rate
    assert float(exact) == pytest.approx(jump * populations[1], rel=3e-4)


def test_the_hartree_fock_rate_solves_its_own_equation_within_what_reservoirs_can_feed() -> None:
    arguments = random_arguments(300, 8)
    gamma_u, gamma_l, gamma_b, f_u, f_l, n_b, coupling, detuning = arguments
    rate = hartree_fock_rate(*arguments)
    upper, lower, photons = f_u - rate / gamma_u, f_l + rate / gamma_l, n_b + rate / gamma_b
    source = upper * (1 - lower) + (upper - lower) * photons
    alpha = optical_rate(coupling, detuning, gamma_u, gamma_l, gamma_b)
    assert np.allclose(rate, alpha * source, rtol=1e-9, atol=1e-12)
    assert np.all((upper >= 0) & (upper <= 1) & (lower >= 0) & (lower <= 1) & (photons >= 0))


def test_far_above_threshold_the_photons_are_those_of_the_classical_laser() -> None:
    # Spontaneous emission and photon statistics change the number by about one photon of many.
    coupling, detuning, rates = 1.0, 0.5, (5.0, 4.0, 0.05)
    state = cavity_steady_state(*rates, 1.0, 0.0, 0.0, coupling, detuning)
    classical = laser.photon_number(1.0, coupling**2, detuning, *rates)
    assert float(classical) > 30
    assert float(state.mean_photons) == pytest.approx(float(classical), abs=3.0)


def test_far_below_threshold_the_cavity_stays_empty_where_the_laser_is_off() -> None:
    inversion, rates = 0.02, (5.0, 4.0, 2.0)
    assert laser.photon_number(inversion, 1.0, 0.0, *rates) == 0
    state = cavity_steady_state(*rates, 0.02, 0.0, 0.0, 1.0, 0.0)
    assert 0 < float(state.mean_photons) < 0.01


def test_the_fock_cut_off_is_raised_until_it_changes_nothing() -> None:
    arguments = (5.0, 5.0, np.array([5.0, 0.5, 0.1]), 1.0, 0.0, 0.0, 1.0, 0.3)
    state = cavity_steady_state(*arguments)
    assert np.all(state.tail <= 1e-12)
    assert list(state.levels) == sorted(set(state.levels))
    more = cavity_steady_state(*arguments, levels=2 * int(state.levels.max()))
    assert np.allclose(state.rate, more.rate, rtol=1e-11, atol=0)
    assert np.allclose(state.mean_photons, more.mean_photons, rtol=1e-10, atol=0)


def test_hot_baths_are_followed_to_hundreds_of_photons() -> None:
    balanced = 20.0 / 41.0  # f/(1-f) = n_b/(1+n_b) against a half filled lower level
    state = cavity_steady_state(1.0, 1.0, 1.0, balanced, 0.5, 20.0, 0.1, 0.0)
    assert float(state.mean_photons) == pytest.approx(20.0, rel=1e-9)
    assert int(state.levels) > 500


def test_too_few_states_confess_their_tail() -> None:
    state = cavity_steady_state(5.0, 5.0, 0.1, 1.0, 0.0, 0.0, 1.0, 0.0, levels=6)
    assert float(state.tail) > 0.1


def test_more_photons_than_allowed_are_refused_in_words_or_by_nan() -> None:
    arguments = (5.0, 5.0, np.array([5.0, 0.01]), 1.0, 0.0, 0.0, 1.0, 0.3)
    with pytest.raises(ArithmeticError, match=r"up to 100 Fock states leave .* at 1 points"):
        cavity_steady_state(*arguments, most=100)
    rate = cavity_steady_state(*arguments, most=100, beyond="nan").rate
    assert np.array_equal(np.isnan(rate), [False, True])


def test_more_than_floating_point_can_weigh_is_refused() -> None:
    with pytest.raises(ArithmeticError, match="the laser's classical field holds"):
        cavity_steady_state(5.0, 5.0, 1e-3, 1.0, 0.0, 0.0, 1.0, 0.0, most=2000)


def test_a_single_fock_state_is_no_cavity() -> None:
    with pytest.raises(ValueError, match="at least two"):
        cavity_steady_state(1.0, 1.0, 1.0, 0.5, 0.5, 0.0, 1.0, 0.0, levels=1)


def test_a_point_without_number_spoils_no_other() -> None:
    found = cavity_steady_state([1.0, np.nan], 1.0, 1.0, 0.9, 0.1, 0.0, 1.0, 0.0)
    alone = cavity_steady_state(1.0, 1.0, 1.0, 0.9, 0.1, 0.0, 1.0, 0.0)
    assert found.rate[0] == alone.rate
    assert np.isnan(found.rate[1])


def test_points_may_have_any_shape_and_none_at_all() -> None:
    filled = np.linspace(0, 1, 3)
    grid = cavity_steady_state(1.0, 1.0, 1.0, filled[:, None], filled, 0.1, 1.0, 0.2)
    assert grid.rate.shape == (3, 3)
    assert cavity_steady_state(np.zeros((0, 2)), 1.0, 1.0, 0.5, 0.5, 0.0, 1.0, 0.0).rate.size == 0


@pytest.mark.parametrize("name", ARGUMENTS)
def test_derivatives_of_the_rate_are_those_of_the_curve(name: str) -> None:
    arguments = dict(zip(ARGUMENTS, random_arguments(20, 9), strict=True))
    arguments["f_u"], arguments["f_l"] = (
        arguments["f_u"] * 0.9 + 0.05,
        arguments["f_l"] * 0.9 + 0.05,
    )
    _, slopes = cavity_slopes(**arguments)
    step = 1e-3 * np.maximum(np.abs(arguments[name]), 1e-2)

    def rate(steps: float) -> np.ndarray:
        return cavity_steady_state(**{**arguments, name: arguments[name] + steps * step}).rate

    # Central differences of sixth order: 1e-3 steps leave 1e-15 of truncation, 1e-11 of rounding.
    weights = {1: 0.75, 2: -0.15, 3: 1 / 60}
    found = sum(w * (rate(k) - rate(-k)) for k, w in weights.items()) / step
    assert np.allclose(slopes[name], found, rtol=1e-7, atol=1e-8)
