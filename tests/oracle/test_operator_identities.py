"""The operator identities of [G] as matrices, beside the functions of physics.dissipation."""

from __future__ import annotations

import numpy as np
import pytest
import qutip

from powercal.physics import bloch, dissipation, thermal
from powercal.physics.constants import BOLTZMANN, HBAR

Array = np.ndarray

ONE, Z, X = np.eye(2), qutip.sigmaz().full(), qutip.sigmax().full()
UP, DOWN = qutip.sigmap().full(), qutip.sigmam().full()
EXCITED = np.diag([1.0, 0.0])  # |e><e|
OMEGA_Q, OMEGA_D, RABI, GAMMA_1, GAMMA_PHI, N_TH = 5.0, 5.7, 0.8, 0.3, 0.2, 0.4


def commutator(a: Array, b: Array) -> Array:
    return a @ b - b @ a


def dissipator(c: Array, rho: Array) -> Array:
    square = c.conj().T @ c
    return np.asarray(c @ rho @ c.conj().T - 0.5 * (square @ rho + rho @ square))


def adjoint(c: Array, operator: Array) -> Array:
    square = c.conj().T @ c
    return np.asarray(c.conj().T @ operator @ c - 0.5 * (square @ operator + operator @ square))


def mean(operator: Array, rho: Array) -> float:
    return float(np.trace(operator @ rho).real)


def hamiltonian(t: float) -> Array:
    return OMEGA_Q / 2 * Z + RABI * np.cos(OMEGA_D * t) * X


def random_matrix(seed: int) -> Array:
    rng = np.random.default_rng(seed)
    return np.asarray(rng.normal(size=(2, 2)) + 1j * rng.normal(size=(2, 2)))


@pytest.fixture(params=range(5))
def rho(request: pytest.FixtureRequest) -> Array:
    """Return a random density matrix."""
    matrix = random_matrix(request.param)
    square = matrix @ matrix.conj().T
    return np.asarray(square / np.trace(square))


def same(a: Array, b: Array) -> None:
    # Products of a few numbers of order one: nothing but rounding may separate them.
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-14)


# ---- [G] section 2: the qubit alone ----


def test_the_population_operator_is_half_of_one_plus_sigma_z() -> None:
    same(UP @ DOWN, (ONE + Z) / 2)
    same(UP @ DOWN, EXCITED)


def test_the_other_order_is_half_of_one_minus_sigma_z() -> None:
    same(DOWN @ UP, (ONE - Z) / 2)


def test_the_commutators_are_those_of_a_spin() -> None:
    same(commutator(UP, DOWN), Z)
    same(commutator(Z, UP), 2 * UP)
    same(commutator(Z, DOWN), -2 * DOWN)


def test_the_products_of_the_proof_hold() -> None:
    same(Z @ DOWN, -DOWN)
    same(UP @ Z, -UP)
    same(UP @ UP, 0 * ONE)
    same(UP @ Z @ DOWN, -UP @ DOWN)
    same(UP @ DOWN @ Z, UP @ DOWN)
    same(Z @ UP @ DOWN, UP @ DOWN)


def test_the_population_follows_from_sigma_z(rho: Array) -> None:
    found = dissipation.excited_population_from_z(mean(Z, rho))
    assert found == pytest.approx(mean(EXCITED, rho), rel=1e-14)


def test_expectations_change_as_the_adjoint_equation_says(rho: Array) -> None:
    operator, h0 = random_matrix(11), OMEGA_Q / 2 * Z
    change = -1j * commutator(h0, rho) + GAMMA_1 * dissipator(DOWN, rho)
    heisenberg = 1j * commutator(h0, operator) + GAMMA_1 * adjoint(DOWN, operator)
    same(np.trace(operator @ change), np.trace(heisenberg @ rho))


def test_sigma_z_falls_at_twice_the_rate_times_the_population() -> None:
    same(adjoint(DOWN, Z), -2 * UP @ DOWN)


def test_the_population_operator_decays_at_its_rate() -> None:
    same(adjoint(DOWN, UP @ DOWN), -UP @ DOWN)


def test_absorption_from_the_bath_raises_sigma_z() -> None:
    same(adjoint(UP, Z), 2 * DOWN @ UP)


def test_pure_dephasing_leaves_sigma_z_alone() -> None:
    same(adjoint(Z, Z), 0 * ONE)


def test_pure_dephasing_damps_sigma_x_at_gamma_phi() -> None:
    same(GAMMA_PHI / 2 * adjoint(Z, X), -GAMMA_PHI * X)


def test_the_energy_of_the_qubit_is_that_of_its_hamiltonian(rho: Array) -> None:
    t = 0.37
    field = RABI * np.cos(OMEGA_D * t)
    found = dissipation.qubit_energy(OMEGA_Q, mean(Z, rho), field, mean(X, rho))
    assert found / HBAR == pytest.approx(mean(hamiltonian(t), rho), rel=1e-13)
    undriven = dissipation.qubit_energy(OMEGA_Q, mean(Z, rho))
    assert undriven / HBAR == pytest.approx(mean(OMEGA_Q / 2 * Z, rho), rel=1e-13)


def test_an_undriven_cold_qubit_loses_a_quantum_per_decay(rho: Array) -> None:
    change = -1j * commutator(OMEGA_Q / 2 * Z, rho) + GAMMA_1 * dissipator(DOWN, rho)
    lost = -mean(OMEGA_Q / 2 * Z, change)
    found = dissipation.heat_current(OMEGA_Q, 0.0, mean(EXCITED, rho), 0.0, GAMMA_1)
    assert found / HBAR == pytest.approx(lost, rel=1e-13)


# ---- the appendix of [G]: the Heisenberg form ----


def test_the_anticommutator_with_the_hamiltonian_is_the_population_times_the_quantum() -> None:
    h0 = OMEGA_Q / 2 * Z
    same(UP @ DOWN @ h0 + h0 @ UP @ DOWN, OMEGA_Q * UP @ DOWN)


def test_the_jump_term_of_the_hamiltonian_is_half_of_it() -> None:
    same(UP @ (OMEGA_Q / 2 * Z) @ DOWN, -OMEGA_Q / 2 * UP @ DOWN)


def test_the_hamiltonian_decays_as_an_operator() -> None:
    h0 = OMEGA_Q / 2 * Z
    slope = 1j * commutator(h0, h0) + GAMMA_1 * adjoint(DOWN, h0)
    same(slope, -OMEGA_Q * GAMMA_1 * UP @ DOWN)


# ---- [G] section 3: the driven qubit in the lab frame ----


def test_the_trace_is_cyclic_where_the_proof_needs_it(rho: Array) -> None:
    same(np.trace(Z @ DOWN @ rho @ UP), np.trace(UP @ Z @ DOWN @ rho))
    same(np.trace(Z @ rho @ UP @ DOWN), np.trace(UP @ DOWN @ Z @ rho))


def test_the_unitary_part_does_no_work_on_its_own_hamiltonian(rho: Array) -> None:
    h = hamiltonian(0.37)
    same(np.trace(h @ commutator(h, rho)), np.zeros(()))


def test_relaxation_halves_into_sigma_x() -> None:
    same(adjoint(DOWN, X), -X / 2)


def slope_of(rho: Array, t: float) -> Array:
    h = hamiltonian(t)
    return -1j * commutator(h, rho) + GAMMA_1 * dissipator(DOWN, rho)


def test_the_energy_changes_by_dissipation_and_by_the_drive(rho: Array) -> None:
    t = 0.37
    turning = -RABI * OMEGA_D * np.sin(OMEGA_D * t) * X
    change = mean(hamiltonian(t), slope_of(rho, t)) + mean(turning, rho)
    dissipated = GAMMA_1 * mean(hamiltonian(t), dissipator(DOWN, rho))
    work = dissipation.drive_power(RABI, OMEGA_D, t, mean(X, rho)) / HBAR
    assert change == pytest.approx(dissipated + float(work), rel=1e-12)


def test_the_heat_current_is_exact_in_the_lab_frame(rho: Array) -> None:
    t = 0.37
    work = dissipation.drive_power(RABI, OMEGA_D, t, mean(X, rho)) / HBAR
    turning = -RABI * OMEGA_D * np.sin(OMEGA_D * t) * X
    change = mean(hamiltonian(t), slope_of(rho, t)) + mean(turning, rho)
    found = dissipation.heat_current(
        OMEGA_Q, RABI * np.cos(OMEGA_D * t), mean(EXCITED, rho), mean(X, rho), GAMMA_1
    )
    # [G15]: the heat is what the drive gives less what the energy rises.
    assert found / HBAR == pytest.approx(float(work) - change, rel=1e-12)


def test_a_warm_bath_and_dephasing_take_theirs_in_the_lab_frame(rho: Array) -> None:
    t = 0.37
    change = (
        GAMMA_1 * (1 + N_TH) * dissipator(DOWN, rho)
        + GAMMA_1 * N_TH * dissipator(UP, rho)
        + GAMMA_PHI / 2 * dissipator(Z, rho)
    )
    found = dissipation.heat_current(
        OMEGA_Q, RABI * np.cos(OMEGA_D * t), mean(EXCITED, rho), mean(X, rho),
        GAMMA_1, N_TH, GAMMA_PHI,
    )  # fmt: skip
    assert found / HBAR == pytest.approx(-mean(hamiltonian(t), change), rel=1e-12)


# ---- [G] section 4: warm baths, more levels ----


def thermal_change(rho: Array) -> Array:
    down, up = GAMMA_1 * (1 + N_TH), GAMMA_1 * N_TH
    return down * dissipator(DOWN, rho) + up * dissipator(UP, rho)


def test_a_warm_bath_moves_the_population_towards_equilibrium(rho: Array) -> None:
    slope = dissipation.population_slope(mean(EXCITED, rho), GAMMA_1, N_TH)
    assert slope == pytest.approx(mean(EXCITED, thermal_change(rho)), rel=1e-12)
    assert 2 * slope == pytest.approx(mean(Z, thermal_change(rho)), rel=1e-12)


def test_an_undriven_warm_qubit_loses_what_the_formula_says(rho: Array) -> None:
    lost = -mean(OMEGA_Q / 2 * Z, thermal_change(rho))
    found = dissipation.heat_current(OMEGA_Q, 0.0, mean(EXCITED, rho), 0.0, GAMMA_1, N_TH)
    assert found / HBAR == pytest.approx(lost, rel=1e-12)


def test_the_gibbs_state_of_the_qubit_has_the_equilibrium_population() -> None:
    temperature = 0.08
    omega = 2 * np.pi * 5e9
    h0 = HBAR * omega / 2 * qutip.sigmaz()
    gibbs = (-h0 / (BOLTZMANN * temperature)).expm().unit()
    n = thermal.bose_occupation(omega, temperature)
    p_eq = bloch.equilibrium_population([1.0], [n])
    assert p_eq == pytest.approx(gibbs.full()[0, 0].real, rel=1e-12)


def test_nothing_flows_in_equilibrium() -> None:
    p_eq = float(bloch.equilibrium_population([GAMMA_1], [N_TH]))
    equilibrium = np.diag([p_eq, 1 - p_eq])
    same(thermal_change(equilibrium), 0 * ONE)
    # The flows that cancel are of order one.
    assert abs(dissipation.heat_current(OMEGA_Q, 0.0, p_eq, 0.0, GAMMA_1, N_TH)) < 1e-14 * HBAR


def test_an_undriven_ladder_gives_every_transition_its_heat() -> None:
    rng = np.random.default_rng(5)
    energies, square = np.array([0.0, 5.0, 9.7, 14.1]), rng.normal(size=(4, 4))
    state = square @ square.T / np.trace(square @ square.T)
    pairs = [(i, j) for i in range(4) for j in range(i)]
    rates = rng.uniform(0.1, 1.0, len(pairs))
    change = np.zeros((4, 4), dtype=complex)
    for rate, (i, j) in zip(rates, pairs, strict=True):
        jump = (qutip.basis(4, j) * qutip.basis(4, i).dag()).full()
        change = change + rate * dissipator(jump, state)
    flows = [
        rate * (energies[i] - energies[j]) * state[i, i]
        for rate, (i, j) in zip(rates, pairs, strict=True)
    ]
    assert sum(flows) == pytest.approx(-mean(np.diag(energies), change), rel=1e-12)
