"""Two fermion levels in a field by QuTiP: Jordan-Wigner operators, Hamiltonian, jump operators."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import qutip
from numpy.typing import NDArray

Matrix = NDArray[np.complex128]

_ONE, _SIGN, _LOWER = qutip.qeye(2), qutip.sigmaz(), qutip.destroy(2)
# {c_u, c_l} = {c_u, c_l^+} = 0 by the string of signs.
UPPER = qutip.tensor(_LOWER, _ONE)
LOWER = qutip.tensor(_SIGN, _LOWER)


class Fermions(NamedTuple):
    """What QuTiP finds, hbar = 1: expectations in the frame of the field."""

    sigma_uu: float
    sigma_ll: float
    sigma_ul: complex
    particle_u: float
    particle_l: float
    energy_u: float
    energy_l: float
    power: float


def steady_state(generator: qutip.Qobj, jumps: list[qutip.Qobj]) -> Matrix:
    """Solve L rho = 0 with trace one, densely."""
    matrix = qutip.liouvillian(generator, jumps).full()
    size = generator.shape[0]
    matrix[0] = np.eye(size).ravel()  # one diagonal row follows from the others
    right = np.zeros(size**2, dtype=complex)
    right[0] = 1.0
    return np.linalg.solve(matrix, right).reshape(size, size, order="F")


def fermions(
    energies: tuple[float, float],
    omega: float,
    epsilon: complex,
    rates: tuple[float, float],
    filled: tuple[float, float],
) -> Fermions:
    """Solve H = E_u n_u + E_l n_l + (eps c_u^+ c_l e^{-i omega t} + h.c.) with [W8]'s baths."""
    number = [c.dag() * c for c in (UPPER, LOWER)]
    hop = epsilon * UPPER.dag() * LOWER
    energy = energies[0] * number[0] + energies[1] * number[1] + hop + hop.dag()
    baths = [
        [np.sqrt(g * f) * c.dag(), np.sqrt(g * (1 - f)) * c]
        for c, g, f in zip((UPPER, LOWER), rates, filled, strict=True)
    ]
    # The frame that turns c_u with omega more than c_l makes the generator constant.
    rho = qutip.Qobj(
        steady_state(energy - omega * number[0], [*baths[0], *baths[1]]), dims=energy.dims
    )

    def flow(observable: qutip.Qobj, bath: list[qutip.Qobj]) -> float:
        change = 0 * rho
        for c in bath:
            square = c.dag() * c
            change = change + c * rho * c.dag() - (square * rho + rho * square) / 2
        return float((observable * change).tr().real)

    total = number[0] + number[1]
    work = -1j * omega * (hop - hop.dag())  # dH/dt, seen from the frame
    return Fermions(
        *(float((n * rho).tr().real) for n in number),
        complex((LOWER.dag() * UPPER * rho).tr()),
        *(flow(total, bath) for bath in baths),
        *(flow(energy, bath) for bath in baths),
        float((work * rho).tr().real),
    )
