"""Ladders of two to five levels against QuTiP, operators built from the Hamiltonian alone."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
import qutip
from numpy.typing import NDArray

from powercal.physics import ladder
from powercal.physics.constants import HBAR
from powercal.physics.ladder_energy import (
    absorbed_power,
    bare_power,
    heats,
    reflection,
    transition_flows,
)
from powercal.physics.ladder_steady_state import LadderState, ladder_steady_state
from powercal.physics.ladder_system import Ladder, LadderBath, flat_bath

from .liouvillian import Lindblad

OMEGA_Q = 1000.0
COUNT = 25
SIZES = [2, 3, 4, 5]

Array = NDArray[Any]


def destroy(levels: int) -> Any:
    return sum(
        np.sqrt(j) * qutip.basis(levels, j - 1) * qutip.basis(levels, j).dag()
        for j in range(1, levels)
    )


def at(value: Any, point: int) -> float:
    """One point of a number that may be the same at all of them."""
    array = np.asarray(value)
    return float(array[point]) if array.ndim else float(array)


def jumps_of(bath: LadderBath, levels: int, point: int) -> Iterator[list[Any]]:
    """The jump operators of a bath, apart for each transition unless they are one."""
    together: list[Any] = [0, 0]
    for t, (gamma, n) in enumerate(zip(bath.gamma, bath.occupation, strict=True)):
        fall = qutip.basis(levels, t) * qutip.basis(levels, t + bath.step).dag()
        rate, number = at(gamma, point), at(n, point)
        pair = [np.sqrt(rate * (1 + number)) * fall, np.sqrt(rate * number) * fall.dag()]
        if bath.dissipators == "secular":
            yield pair
        together = [total + one for total, one in zip(together, pair, strict=True)]
    if bath.dissipators == "collective":
        yield together


def in_qutip(system: Ladder, point: int) -> Lindblad:
    """Build one point of a ladder; baths are named "bath.transition", noise "dephasing"."""
    levels = system.levels
    b = destroy(levels)
    rungs = sum(j * qutip.basis(levels, j).proj() for j in range(levels))
    pairs = sum(j * (j - 1) / 2 * qutip.basis(levels, j).proj() for j in range(levels))
    bare = OMEGA_Q * rungs + at(system.anharmonicity, point) * pairs
    baths = {
        f"{k}.{t}": operators
        for k, bath in enumerate(system.baths)
        for t, operators in enumerate(jumps_of(bath, levels, point))
    }
    baths["dephasing"] = [np.sqrt(2 * at(system.gamma_phi, point)) * rungs]
    if system.weights:
        weights = [at(d, point) for d in system.weights]
        baths["dephasing"].append(
            sum(d * qutip.basis(levels, j).proj() for j, d in enumerate(weights))
        )
    drive = at(system.rabi, point) / 2 * (b + b.dag())
    return Lindblad(bare, drive, rungs, OMEGA_Q + at(system.detuning, point), baths)


def random_bath(rng: np.random.Generator, levels: int, choice: Any, step: int = 1) -> LadderBath:
    size = levels - step
    rates = rng.uniform(0.1, 2.0, (size, COUNT)) / step**2
    return LadderBath(list(rates), list(rng.exponential(0.3, (size, COUNT))), choice, step)


@cache
def solved(levels: int) -> tuple[Ladder, LadderState]:
    """Random ladders: two baths of neighbours, one of next-nearest levels, both choices."""
    rng = np.random.default_rng(levels)
    baths = [random_bath(rng, levels, "secular"), random_bath(rng, levels, "collective")]
    if levels > 2:
        baths += [random_bath(rng, levels, choice, 2) for choice in ("secular", "collective")]
    system = Ladder(
        rng.normal(0.0, 5.0, COUNT),
        rng.uniform(0.3, 20.0, COUNT),
        rng.uniform(-60.0, -10.0, COUNT),
        baths,
        rng.exponential(0.3, COUNT),
        list(rng.normal(0.0, 0.5, (levels, COUNT))),
    )
    return system, ladder_steady_state(system)


@cache
def oracle(levels: int) -> list[tuple[Lindblad, Array]]:
    systems = [in_qutip(solved(levels)[0], point) for point in range(COUNT)]
    return [(system, system.steady_state()) for system in systems]


@pytest.mark.parametrize("levels", SIZES)
def test_the_density_matrix_is_qutips(levels: int) -> None:
    _, state = solved(levels)
    theirs = np.stack([rho for _, rho in oracle(levels)], axis=-1)
    # A dense solution of the Liouvillian by itself is good to about 1e-13.
    np.testing.assert_allclose(state.density_matrix(), theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("levels", SIZES)
def test_photons_are_the_commutator_of_drive_and_rungs(levels: int) -> None:
    _, state = solved(levels)
    theirs = [system.photon_rate(rho) for system, rho in oracle(levels)]
    np.testing.assert_allclose(state.photon_rate, theirs, rtol=1e-10)


@pytest.mark.parametrize("levels", SIZES)
def test_the_response_is_the_mean_of_b(levels: int) -> None:
    system, state = solved(levels)
    b = destroy(levels).full()
    theirs = np.array([np.trace(b @ rho) for _, rho in oracle(levels)])
    np.testing.assert_allclose(state.response * system.rabi, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("levels", SIZES)
def test_every_bath_takes_the_heat_that_its_dissipator_says(levels: int) -> None:
    ladder_of, state = solved(levels)
    found = heats(state, OMEGA_Q)
    for point, (system, rho) in enumerate(oracle(levels)):
        # The heat is a difference of flows up and down, each of some omega_q Gamma.
        scale = OMEGA_Q
        noise = system.heat("dephasing", rho)
        assert abs(found.dephasing[point] / HBAR - noise) < 1e-12 * scale
        for k, bath in enumerate(ladder_of.baths):
            parts = [n for n in system.dissipators if n.startswith(f"{k}.")]
            theirs = [system.heat(name, rho) for name in parts]
            assert abs(found.baths[k][point] / HBAR - sum(theirs)) < 1e-11 * scale
            if bath.dissipators == "secular":
                ours = [heat[point] / HBAR for heat in found.transitions[k]]
                np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-11 * scale)


@pytest.mark.parametrize("levels", SIZES)
def test_what_the_drive_gives_is_what_baths_and_noise_take(levels: int) -> None:
    _, state = solved(levels)
    found = heats(state, OMEGA_Q)
    taken = sum(found.baths) + found.dephasing
    np.testing.assert_allclose(taken, absorbed_power(state, OMEGA_Q), rtol=1e-11)


@pytest.mark.parametrize("levels", SIZES)
def test_the_bare_sum_is_the_energy_of_the_undriven_ladder(levels: int) -> None:
    _, state = solved(levels)
    theirs = [
        sum(
            Lindblad(s.bare, 0 * s.drive, s.number, 0.0, s.dissipators).heat(name, rho)
            for name in s.dissipators
        )
        for s, rho in oracle(levels)
    ]
    np.testing.assert_allclose(bare_power(state, OMEGA_Q) / HBAR, theirs, rtol=1e-10)


def test_the_flows_are_those_of_the_populations() -> None:
    system, state = solved(3)
    (low, high), *_ = transition_flows(state)
    _, rho = oracle(3)[0]
    bath, p = system.baths[0], np.diag(rho).real
    expected = [
        at(bath.gamma[t], 0) * ((1 + at(n, 0)) * p[t + 1] - at(n, 0) * p[t])
        for t, n in enumerate(bath.occupation)
    ]
    np.testing.assert_allclose([low[0], high[0]], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("choice", ["secular", "collective"])
@pytest.mark.parametrize("dephasing", [0.0, 1.5])
def test_leakage_is_that_of_three_levels(choice: Any, dephasing: float) -> None:
    rabi, alpha = 4.0, -200.0  # |alpha|/50
    # d |2><2| dephases the upper transition at d^2/2 and leaves the lower one alone.
    weights = [0.0, 0.0, np.sqrt(2 * dephasing)]
    system = Ladder(0.0, rabi, alpha, [flat_bath(3, 1.0, 0.0, choice)], 0.0, weights)
    rho = in_qutip(system, 0).steady_state()
    seen = (rho[2, 2] / rho[1, 1]).real
    # The next order is (Omega/alpha)^2 = 4e-4, times a number.
    assert ladder.leakage(rabi, alpha, dephasing / 2) == pytest.approx(seen, rel=3e-3)


def test_a_line_gets_back_what_it_reflects_and_what_the_ladder_scatters() -> None:
    # One cold bath is the line: of the incident photons Omega^2/(4 Gamma) those that are missing
    # in |r|^2 come back incoherently, Gamma (<b^dag b> - |<b>|^2); r is not in the oracle.
    rabi = 4.0
    system = Ladder(1.5, rabi, -30.0, [flat_bath(4, 1.0, 0.0)])
    rho = in_qutip(system, 0).steady_state()
    b = destroy(4).full()
    scattered = np.trace(b.conj().T @ b @ rho) - abs(np.trace(b @ rho)) ** 2
    r = reflection(ladder_steady_state(system), 1.0)
    assert rabi**2 / 4 * (1 - abs(r) ** 2) == pytest.approx(scattered.real, rel=1e-10)
