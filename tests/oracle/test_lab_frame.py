"""The periodic state in the lab frame against integrated equations and QuTiP's Liouvillians."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
import qutip
from scipy.integrate import solve_ivp

from powercal.physics import dissipation, floquet
from powercal.physics.constants import HBAR

from .liouvillian import Matrix

# ---- integrated Bloch equations ----


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


@pytest.mark.parametrize("seed", range(6))
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


# ---- the master equation of QuTiP, harmonic by harmonic ----


class Driven(NamedTuple):
    """A qubit with two baths and dephasing under H = omega_q sigma_z/2 + Omega cos(.) sigma_x."""

    omega_q: float
    omega_d: float
    rabi: float
    gamma_k: np.ndarray
    n_k: np.ndarray
    gamma_phi: float

    @property
    def hamiltonian(self) -> qutip.Qobj:
        return self.omega_q / 2 * qutip.sigmaz()

    @property
    def baths(self) -> list[list[qutip.Qobj]]:
        down = qutip.sigmam()
        return [
            [np.sqrt(g * (1 + n)) * down, np.sqrt(g * n) * down.dag()]
            for g, n in zip(self.gamma_k, self.n_k, strict=True)
        ]

    @property
    def jumps(self) -> list[qutip.Qobj]:
        dephasing = np.sqrt(self.gamma_phi / 2) * qutip.sigmaz()
        return [*(jump for bath in self.baths for jump in bath), dephasing]

    def harmonics(self, most: int = 24) -> dict[int, Matrix]:
        """Solve (i n omega_d - L_0) rho_n = L_1 (rho_{n-1} + rho_{n+1}) with trace one."""
        still = qutip.liouvillian(self.hamiltonian, self.jumps).full()
        shaking = qutip.liouvillian(self.rabi / 2 * qutip.sigmax()).full()
        orders = range(-most, most + 1)
        shift = np.eye(len(orders), k=1) + np.eye(len(orders), k=-1)
        matrix = (
            np.kron(np.diag(1j * self.omega_d * np.array(orders)), np.eye(4))
            - np.kron(np.eye(len(orders)), still)
            - np.kron(shift, shaking)
        )
        # One diagonal row of rho_0 follows from the others (the trace is conserved).
        matrix[4 * most] = 0
        matrix[4 * most, 4 * most + np.array([0, 3])] = 1
        right = np.zeros(len(matrix), dtype=complex)
        right[4 * most] = 1
        blocks = np.linalg.solve(matrix, right).reshape(-1, 2, 2).transpose(0, 2, 1)
        return dict(zip(orders, blocks, strict=True))

    def heat(self, bath: int, rho: dict[int, Matrix]) -> float:
        """Return the cycle average of -Tr{H(t) L_k[rho(t)]}."""
        dissipator = sum(qutip.lindblad_dissipator(jump) for jump in self.baths[bath]).full()

        def lost(operator: qutip.Qobj, state: Matrix) -> float:
            change = (dissipator @ state.ravel(order="F")).reshape(2, 2, order="F")
            return float(-np.trace(operator.full() @ change).real)

        return lost(self.hamiltonian, rho[0]) + lost(
            self.rabi / 2 * qutip.sigmax(), rho[1] + rho[-1]
        )

    def balance(self) -> floquet.PeriodicState:
        rates = self.gamma_k * (1 + 2 * self.n_k)
        total, up = float(rates.sum()), float((self.gamma_k * self.n_k).sum())
        return floquet.harmonic_balance(
            self.omega_q, self.omega_d, self.rabi, total, total / 2 + self.gamma_phi, up / total
        )


@cache
def cases() -> tuple[tuple[Driven, dict[int, Matrix]], ...]:
    rng = np.random.default_rng(77)
    found = []
    for i in range(40):
        omega_q = rng.uniform(20.0, 200.0)
        detuned = rng.normal() if i % 2 else omega_q * rng.uniform(-0.7, 1.0)
        model = Driven(
            omega_q,
            omega_q + detuned,
            omega_q * 10.0 ** rng.uniform(-3.0, 0.2),
            rng.uniform(0.1, 1.0, 2),
            rng.exponential(0.5, 2) * rng.integers(0, 2, 2),
            rng.exponential(1.0) * rng.integers(0, 2),
        )
        found.append((model, model.harmonics()))
    return tuple(found)


def expectation(operator: qutip.Qobj, rho: Matrix) -> complex:
    return complex(np.trace(operator.full() @ rho))


# The dense solution of 196 equations is good to about 1e-12 of the populations.


def test_the_mean_population_is_that_of_the_master_equation() -> None:
    for model, rho in cases():
        assert model.balance().mean_population == pytest.approx(rho[0][0, 0].real, rel=1e-9)


def test_the_absorbed_power_is_the_mean_of_the_changing_hamiltonian() -> None:
    for model, rho in cases():
        # dH/dt = -Omega omega_d sin(omega_d t) sigma_x picks the first harmonics of sigma_x.
        x_1 = expectation(qutip.sigmax(), rho[1])
        power = model.rabi * model.omega_d * x_1.imag
        rounding = 1e-12 * model.rabi * model.omega_d
        found = model.balance().total_power / HBAR
        assert found == pytest.approx(power, rel=1e-9, abs=rounding)


def test_the_quadrature_in_phase_is_that_of_the_master_equation() -> None:
    for model, rho in cases():
        in_phase = expectation(qutip.sigmax(), rho[1]).real
        assert model.balance().cos_x == pytest.approx(in_phase, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("bath", [0, 1])
def test_every_bath_gets_its_heat(bath: int) -> None:
    for model, rho in cases():
        state = model.balance()
        rate, n = model.gamma_k[bath], model.n_k[bath]
        closed = dissipation.heat_current(
            model.omega_q, model.rabi, state.mean_population, state.cos_x, rate, n
        )
        gross = model.omega_q * rate * (1 + 2 * n)
        expected = model.heat(bath, rho)
        assert closed / HBAR == pytest.approx(expected, rel=1e-9, abs=1e-11 * gross)


def test_the_baths_and_dephasing_get_what_the_drive_gives() -> None:
    for model, rho in cases():
        state = model.balance()
        heats = sum(model.heat(bath, rho) for bath in (0, 1))
        received = heats + state.dephasing_power / HBAR
        gross = model.omega_q * float(np.sum(model.gamma_k * (1 + 2 * model.n_k)))
        assert state.total_power / HBAR == pytest.approx(received, rel=1e-9, abs=1e-11 * gross)


def test_a_population_integrated_by_qutip_ends_in_the_periodic_state() -> None:
    model = Driven(12.0, 13.0, 5.0, np.array([0.7, 0.5]), np.array([0.2, 0.0]), 0.3)
    period = 2 * np.pi / model.omega_d
    # After 40 relaxation times what remembers the start is exp(-40 * 0.74) or less.
    start = period * np.ceil(40 / period)
    times = np.concatenate([[0.0], start + np.linspace(0, period, 65)])
    result = qutip.mesolve(
        [model.hamiltonian, [model.rabi * qutip.sigmax(), lambda t: np.cos(model.omega_d * t)]],
        qutip.basis(2, 1),
        times,
        c_ops=model.jumps,
        e_ops=[qutip.sigmap() * qutip.sigmam()],
        options={"atol": 1e-10, "rtol": 1e-9, "nsteps": 10**6},
    )
    # Equidistant points of a period average trigonometric polynomials exactly.
    mean = float(np.mean(result.expect[0][1:-1]))
    assert model.balance().mean_population == pytest.approx(mean, rel=1e-6)
