"""Section 5 against a collision model: the qubit meets one time bin of the line after another.

No input-output theory is used: a bin is a mode in D(beta sqrt(dt)) rho_th D^+, it meets the qubit
in U = exp(-sqrt(Gamma_r dt)(sigma_+ b - sigma_- b^+)) and leaves; its mean field and photon number
after the meeting are what the instrument sees. Richardson's extrapolation removes the finite dt.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from scipy.linalg import expm

from powercal.physics import bloch, detection
from powercal.physics.constants import HBAR

LOWER = np.array([[0.0, 1.0], [0.0, 0.0]])  # |0><1|
STEPS = 2e-3 / 2.0 ** np.arange(4)


class Line(NamedTuple):
    gamma_r: float
    n_r: float
    gamma_i: float
    n_i: float
    gamma_phi: float
    detuning: float
    beta: float  # sqrt of the incident photon rate


def dissipator(jump: np.ndarray) -> np.ndarray:
    """Return D[jump] acting on row-stacked density matrices."""
    square, one = jump.conj().T @ jump, np.eye(2)
    return np.kron(jump, jump.conj()) - 0.5 * (np.kron(square, one) + np.kron(one, square.T))


def rest(line: Line, dt: float) -> np.ndarray:
    """Return exp(L dt/2) of all but the line: detuning, internal channel, pure dephasing."""
    hamiltonian, one = np.diag([0.0, -line.detuning]), np.eye(2)
    generator = -1j * (np.kron(hamiltonian, one) - np.kron(one, hamiltonian.T))
    generator = generator + line.gamma_i * (1 + line.n_i) * dissipator(LOWER)
    generator = generator + line.gamma_i * line.n_i * dissipator(LOWER.T)
    generator = generator + line.gamma_phi / 2 * dissipator(np.diag([-1.0, 1.0]))
    return np.asarray(expm(generator * dt / 2))


def stationary(step: np.ndarray) -> np.ndarray:
    """Return the fixed point, with trace one, of a map on row-stacked matrices."""
    matrix = step - np.eye(4)
    matrix[0] = [1, 0, 0, 1]
    return np.linalg.solve(matrix, np.array([1, 0, 0, 0], dtype=complex)).reshape(2, 2)


def bin_state(line: Line, dt: float, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the annihilator and the displaced thermal state of one bin."""
    b = np.diag(np.sqrt(np.arange(1.0, levels)), 1)
    weights = (line.n_r / (1 + line.n_r)) ** np.arange(levels)
    move = expm(line.beta * np.sqrt(dt) * (b.T - b))
    return b, move @ np.diag(weights / weights.sum()) @ move.T


def collide(line: Line, dt: float) -> tuple[complex, float]:
    """Return <b>_out/<b>_in and the photons lost by the line per second, at a finite step."""
    # (n/(1+n))^levels < 1e-14 for n <= 0.5, plus room for the displacement of 0.1.
    levels = 8 if line.n_r == 0 else 34
    b, chi = bin_state(line, dt, levels)
    raise_and_take = np.kron(LOWER.T, b)
    u = expm(-np.sqrt(line.gamma_r * dt) * (raise_and_take - raise_and_take.T))
    quarter = u.reshape(2, levels, 2, levels)
    # The qubit's map: rho_jn -> sum over the bin of U_ia,jk chi_kl rho_jn conj(U_ma,nl).
    through = np.einsum("iajk,kl->iajl", quarter, chi)
    meet = np.einsum("iajl,manl->imjn", through, quarter.conj())
    half = rest(line, dt)
    rho = stationary(half @ meet.reshape(4, 4) @ half)
    before = (half @ rho.ravel()).reshape(2, 2)
    after = u @ np.kron(before, chi) @ u.conj().T
    mean_in, mean_out = np.trace(b @ chi), np.trace(np.kron(np.eye(2), b) @ after)
    count = b.T @ b
    lost = np.trace(count @ chi) - np.trace(np.kron(np.eye(2), count) @ after)
    return complex(mean_out / mean_in) if line.beta else 1.0, float(lost.real / dt)


def extrapolate(values: list[complex]) -> complex:
    """Remove the errors of order dt, dt^2, dt^3 of results at dt, dt/2, dt/4, dt/8."""
    row = list(values)
    for order in range(1, len(values)):
        factor = 2.0**order
        row = [(factor * b - a) / (factor - 1) for a, b in pairwise(row)]
    return row[0]


def observe(line: Line) -> tuple[complex, float]:
    seen = [collide(line, float(dt)) for dt in STEPS]
    return extrapolate([r for r, _ in seen]), float(np.real(extrapolate([n for _, n in seen])))


def random_line(seed: int) -> Line:
    rng = np.random.default_rng(300 + seed)
    cold = seed % 4 == 0
    return Line(
        gamma_r=rng.uniform(0.3, 1.5),
        n_r=0.0 if cold else rng.uniform(0.02, 0.5),
        gamma_i=rng.uniform(0.1, 1.0),
        n_i=rng.uniform(0.0, 1.0),
        gamma_phi=rng.uniform(0.0, 0.7),
        detuning=rng.normal(0.0, 1.5),
        beta=rng.uniform(0.2, 1.5),
    )


@pytest.mark.parametrize("seed", range(8))
def test_reflection_drive_scale_and_total_detection_are_those_of_the_collisions(seed: int) -> None:
    line = random_line(seed)
    gamma_k, n_k = [line.gamma_r, line.gamma_i], [line.n_r, line.n_i]
    total, p_eq = (
        bloch.total_relaxation_rate(gamma_k, n_k),
        bloch.equilibrium_population(gamma_k, n_k),
    )
    width = bloch.dephased_rate(total, line.gamma_phi)
    # The incident power is beta^2 photons per second.
    omega_d = 3e10
    scale = detection.drive_scale(line.gamma_r, omega_d, "end_of_line")
    rabi = np.sqrt(scale * HBAR * omega_d * line.beta**2)
    r, lost = observe(line)
    closed = detection.reflection_end_of_line(line.detuning, rabi, line.gamma_r, total, width, p_eq)
    # What the extrapolation leaves: dt^4 = 2e-11 times a power of the rates, and rounding/dt.
    assert complex(closed) == pytest.approx(r, abs=1e-8)
    rate = bloch.photon_rate(line.detuning, rabi, line.gamma_r + line.gamma_i, total, width)
    seen = detection.total_power_difference(omega_d, rate, line.gamma_r, line.n_r, total)
    _, idle = observe(line._replace(beta=0.0))
    assert seen / (HBAR * omega_d) == pytest.approx(lost - idle, abs=1e-8)


def two_port_outputs(
    c: np.ndarray, d: np.ndarray, detuning: float, gamma_phi: float, beta: float, dt: float
) -> np.ndarray:
    """Return mean fields out of both ports over the field into port 1: two cold bins per step."""
    levels, couple = 5, d.conj()  # C^+ d = d*
    a = np.diag(np.sqrt(np.arange(1.0, levels)), 1)
    one = np.eye(levels)
    modes = [np.kron(a, one), np.kron(one, a)]
    taken = sum(np.conj(x) * mode for x, mode in zip(couple, modes, strict=True))
    swap = np.kron(LOWER.T, taken)
    u = expm(-np.sqrt(dt) * (swap - swap.conj().T))
    field = expm(beta * np.sqrt(dt) * (modes[0].T - modes[0]))[:, 0]
    kraus = (u.reshape(2, levels**2, 2, levels**2) @ field).transpose(1, 0, 2)
    meet = np.einsum("aij,amn->imjn", kraus, kraus.conj()).reshape(4, 4)
    half = rest(Line(0.0, 0.0, 0.2, 0.4, gamma_phi, detuning, 0.0), dt)
    before = (half @ stationary(half @ meet @ half).ravel()).reshape(2, 2)
    after = u @ np.kron(before, np.outer(field, field.conj())) @ u.conj().T
    means = [np.trace(np.kron(np.eye(2), mode) @ after) for mode in modes]
    return np.asarray(c @ np.array(means)) / (beta * np.sqrt(dt))


@pytest.mark.parametrize("seed", range(4))
def test_any_two_port_scatters_and_drives_as_the_collisions_do(seed: int) -> None:
    rng = np.random.default_rng(400 + seed)
    v = np.linalg.qr(rng.normal(size=(2, 2)) + 1j * rng.normal(size=(2, 2)))[0]
    c, d = v @ v.T, v @ rng.normal(0.0, 0.8, 2)
    detuning, gamma_phi, beta = rng.normal(), rng.uniform(0, 0.5), rng.uniform(0.2, 1.0)
    gamma_k, n_k = [np.sum(np.abs(d) ** 2), 0.2], [0.0, 0.4]
    total, p_eq = (
        bloch.total_relaxation_rate(gamma_k, n_k),
        bloch.equilibrium_population(gamma_k, n_k),
    )
    width, omega_d = bloch.dephased_rate(total, gamma_phi), 3e10
    rabi = np.sqrt(detection.two_port_drive_scale(d, omega_d) * HBAR * omega_d * beta**2)
    closed = detection.general_two_port(c, d, detuning, rabi, total, width, p_eq)[:, 0]
    steps = [two_port_outputs(c, d, detuning, gamma_phi, beta, float(dt)) for dt in STEPS]
    seen = [extrapolate([step[port] for step in steps]) for port in (0, 1)]
    np.testing.assert_allclose(closed, seen, rtol=0, atol=1e-8)


def test_the_model_itself_is_in_equilibrium_with_equal_baths() -> None:
    line = Line(1.0, 0.3, 0.5, 0.3, 0.2, 0.4, 0.0)
    _, lost = observe(line)
    assert abs(lost) < 1e-9
