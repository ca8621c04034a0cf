"""The models' curves in SI units against QuTiP, at a few points, from Hamiltonian and jumps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import qutip
from powercal_transmon import absorbed, reflection

from powercal.physics.constants import HBAR

TWO_PI = 2 * np.pi
LEVELS = 4
CENTRE, ALPHA = 5e9, -5e7  # a strong drive shows all levels
RATE, NOISE, N_TH = 2e6, 3e5, 0.1
SCALE = 1e30
POINTS = [(1e-18, 5e9), (1e-15, 4.9991e9), (4e-15, 5.002e9), (3e-15, 4.975e9)]


def lowering(j: int) -> Any:
    return np.sqrt(j) * qutip.basis(LEVELS, j - 1) * qutip.basis(LEVELS, j).dag()


def steady(rabi: float, frequency: float, choice: str) -> tuple[Any, Any, Any]:
    """Density matrix, b and rungs; rates in 1/µs."""
    unit = 1e-6
    b = sum(lowering(j) for j in range(1, LEVELS))
    rungs = sum(j * qutip.basis(LEVELS, j).proj() for j in range(LEVELS))
    bend = sum(j * (j - 1) / 2 * qutip.basis(LEVELS, j).proj() for j in range(LEVELS))
    drive = unit * rabi / 2 * (b + b.dag())
    generator = unit * TWO_PI * ((CENTRE - frequency) * rungs + ALPHA * bend) + drive
    parts = [b] if choice == "collective" else [lowering(j) for j in range(1, LEVELS)]
    jumps = [np.sqrt(2 * NOISE * unit) * rungs]
    for part in parts:
        jumps += [
            np.sqrt(RATE * unit * (1 + N_TH)) * part,
            np.sqrt(RATE * unit * N_TH) * part.dag(),
        ]
    matrix = qutip.liouvillian(generator, jumps).full()
    # One row follows from the others; the trace takes its place.
    matrix[0] = np.eye(LEVELS).ravel()
    right = np.zeros(LEVELS**2, dtype=complex)
    right[0] = 1
    rho = np.linalg.solve(matrix, right).reshape(LEVELS, LEVELS, order="F")
    return rho, b.full(), rungs.full()


@pytest.mark.parametrize("choice", ["secular", "collective"])
@pytest.mark.parametrize(("power", "frequency"), POINTS)
def test_absorbed_power_and_population_are_qutips(
    power: float, frequency: float, choice: str
) -> None:
    model = absorbed.powercal_models()[0].configure(detection="absorbed", dissipators=choice)
    found, _, excited = model.curve(
        np.asarray(power),
        np.asarray(frequency),
        qubit_frequency=CENTRE,
        anharmonicity=ALPHA,
        gamma_1=RATE,
        gamma_phi=NOISE,
        n_th=N_TH,
        drive_scale=SCALE,
    )
    rabi = np.sqrt(SCALE * power)
    rho, b, rungs = steady(rabi, frequency, choice)
    v = rabi / 2 * (b + b.conj().T)
    photons = np.trace(1j * (v @ rungs - rungs @ v) @ rho).real
    # The dense solution is good to about 1e-12 of one.
    assert excited == pytest.approx(rho[1, 1].real, rel=1e-10)
    assert found / (HBAR * TWO_PI * frequency) == pytest.approx(photons, rel=1e-9)


@pytest.mark.parametrize(("power", "frequency"), POINTS)
def test_reflection_is_qutips(power: float, frequency: float) -> None:
    model = reflection.powercal_models()[0].configure(setup="device", convention="-i")
    values = {row.name: row.example for row in model.parameters} | {
        "qubit_frequency": CENTRE,
        "anharmonicity": ALPHA,
        "gamma_r": 0.75 * RATE,
        "gamma_i": 0.25 * RATE,
        "gamma_phi": NOISE,
        "n_th": N_TH,
    }
    found, _ = model.curve(np.asarray(power), np.asarray(frequency), **values)
    rabi = np.sqrt(4 * 0.75 * RATE * power / (HBAR * TWO_PI * frequency))
    rho, b, _ = steady(rabi, frequency, "collective")
    # b_out = b_in + sqrt(Gamma_r) b, and -i sqrt(Gamma_r)(b_in b^dag - h.c.) is the drive.
    incident = 0.5j * rabi / np.sqrt(0.75 * RATE)
    outgoing = incident + np.sqrt(0.75 * RATE) * np.trace(b @ rho)
    assert found == pytest.approx(outgoing / incident, rel=1e-9)
