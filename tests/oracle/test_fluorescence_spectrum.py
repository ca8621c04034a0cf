"""Section 3 against the fluorescence: its mean energy is what the relaxation carries."""

from __future__ import annotations

import numpy as np
import pytest
import qutip

from powercal.physics import bloch, energy
from powercal.physics.constants import HBAR

from .liouvillian import qubit


def windowed_moment(
    omega_q: float, detuning: float, rabi: float, gamma_1: float, gamma_phi: float, window: float
) -> float:
    """Return the energy a cold qubit emits per second at frequencies within a window of the drive.

    It is Gamma_1 times the integral of omega S(omega). The elastic part sits at omega_d; the rest
    is a sum of complex Lorentzians, one per eigenvalue of the Liouvillian, integrated exactly.
    """
    model = qubit(omega_q, detuning, rabi, np.array([gamma_1]), np.zeros(1), gamma_phi)
    jumps = [jump for bath in model.dissipators.values() for jump in bath]
    generator = model.bare - model.omega_d * model.number + model.drive
    values, vectors = np.linalg.eig(qutip.liouvillian(generator, jumps).full())
    rho = model.steady_state()
    lower = np.array([[0, 1], [0, 0]], dtype=complex)
    # <sigma_+(t + tau) sigma_-(t)> = Tr sigma_+ exp(L tau)[sigma_- rho], column stacking.
    start = (lower @ rho).ravel(order="F")
    weights = (lower.T.conj().T.ravel(order="F") @ vectors) * np.linalg.solve(vectors, start)
    steady = np.argmin(np.abs(values))
    count, first = abs(rho[1, 0]) ** 2, 0.0
    for j in range(4):
        if j == steady:
            continue
        # S(nu) = Re w/(pi (-lambda + i nu)), nu = omega - omega_d.
        nu = np.array([-window, window])
        logs = np.log(-values[j] + 1j * nu)
        plain = (logs[1] - logs[0]) / 1j
        weighted = (nu[1] - nu[0]) / 1j - (-values[j]) * plain / 1j
        count += float((weights[j] * plain).real / np.pi)
        first += float((weights[j] * weighted).real / np.pi)
    return gamma_1 * (model.omega_d * count + first)


@pytest.mark.parametrize(
    ("detuning", "rabi", "gamma_phi"), [(1.5, 0.8, 0.4), (-2.0, 3.0, 0.0), (3.0, 0.3, 1.0)]
)
def test_mean_energy_of_the_emitted_light_is_the_relaxation_power(
    detuning: float, rabi: float, gamma_phi: float
) -> None:
    width = bloch.dephased_rate(1.0, gamma_phi)
    rate = bloch.photon_rate(detuning, rabi, 1.0, 1.0, width)
    # A low transition makes the detuned part a large share of the energy.
    closed = float(energy.relaxation_power(10.0, detuning, rate, 1.0, width)) / HBAR
    errors = [
        windowed_moment(10.0, detuning, rabi, 1.0, gamma_phi, window) - closed
        for window in (1e4, 1e5, 1e6)
    ]
    # The error falls as 1/window: two extrapolations remove it.
    assert abs(errors[-1]) < 1e-4 * closed
    assert abs(errors[2] * 10 - errors[1]) < 1e-6 * closed
