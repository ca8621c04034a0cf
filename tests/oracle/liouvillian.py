"""A driven ladder from its Hamiltonian and jump operators, with no formula of powercal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import qutip
from numpy.typing import NDArray

Matrix = NDArray[np.complex128]


def lowering(levels: int, upper: int) -> qutip.Qobj:
    """Return |upper - 1><upper|."""
    return qutip.basis(levels, upper - 1) * qutip.basis(levels, upper).dag()


@dataclass(frozen=True)
class Lindblad:
    """A steady state in the frame of the drive; hbar = 1.

    `bare` is H_0 (lab energies) and `drive` is V in the rotating frame, so that energies are those
    of H_0 + V and never of the rotating-frame generator; `number` counts rungs; `dissipators`
    groups jump operators by bath.
    """

    bare: qutip.Qobj
    drive: qutip.Qobj
    number: qutip.Qobj
    omega_d: float
    dissipators: dict[str, list[qutip.Qobj]]

    def steady_state(self) -> Matrix:
        """Solve L rho = 0 with trace one, densely and to rounding."""
        generator = self.bare - self.omega_d * self.number + self.drive
        jumps = [jump for bath in self.dissipators.values() for jump in bath]
        matrix = qutip.liouvillian(generator, jumps).full()
        size = self.bare.shape[0]
        # One diagonal row follows from the others (the trace is conserved).
        matrix[0] = np.eye(size).ravel()
        right = np.zeros(size**2, dtype=complex)
        right[0] = 1.0
        vector = np.linalg.solve(matrix, right)
        # One step of refinement removes the growth of the elimination.
        vector = vector + np.linalg.solve(matrix, right - matrix @ vector)
        return vector.reshape(size, size, order="F")

    def photon_rate(self, rho: Matrix) -> float:
        """Return i<[V, n]>: rungs climbed per second by the drive."""
        v, n = self.drive.full(), self.number.full()
        return float(np.trace(1j * (v @ n - n @ v) @ rho).real)

    def heat(self, bath: str, rho: Matrix) -> float:
        """Return -Tr{(H_0 + V) L_k[rho]}: power into one bath."""
        energy = (self.bare + self.drive).full()
        change = np.zeros_like(rho)
        for jump in self.dissipators[bath]:
            c = jump.full()
            square = c.conj().T @ c
            change = change + c @ rho @ c.conj().T - 0.5 * (square @ rho + rho @ square)
        return float(-np.trace(energy @ change).real)


def qubit(
    omega_q: float,
    detuning: float,
    rabi: float,
    gamma_k: NDArray[np.float64],
    n_k: NDArray[np.float64],
    gamma_phi: float,
) -> Lindblad:
    """Build a driven qubit with thermal channels and dissipator (Gamma_phi/2) D[sigma_z]."""
    down = lowering(2, 1)
    number = down.dag() * down
    baths = {
        str(k): [np.sqrt(rate * (1 + n)) * down, np.sqrt(rate * n) * down.dag()]
        for k, (rate, n) in enumerate(zip(gamma_k, n_k, strict=True))
    }
    baths["dephasing"] = [np.sqrt(gamma_phi / 2) * (2 * number - qutip.qeye(2))]
    drive = rabi / 2 * (down + down.dag())
    return Lindblad(omega_q * number, drive, number, omega_q + detuning, baths)
