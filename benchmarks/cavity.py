"""The steady state of two levels and a cavity, 401 points with 20 photons."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import qutip
from powercal_reservoirs.cavity import CavityState, cavity_slopes, cavity_steady_state

from benchmarks.table import Row, largest_deviation
from benchmarks.timing import median_time, scaled_time

PHOTONS = 20
GAMMA_U, GAMMA_L, GAMMA_B, F_L, N_B, COUPLING, DETUNING = 1.0, 1.2, 0.6, 0.1, 0.2, 1.0, 0.5
F_U = np.linspace(0.01, 0.99, 401)
ARGUMENTS = (GAMMA_U, GAMMA_L, GAMMA_B, F_U, F_L, N_B, COUPLING, DETUNING)
FEW = slice(0, None, 100)  # QuTiP is timed on these points and its time scaled to all


def peer() -> tuple[np.ndarray, float]:
    """Return QuTiP's rates u -> l at a few points, and its time for as many as ours."""
    one, sign, lower = qutip.qeye(2), qutip.sigmaz(), qutip.destroy(2)
    mode, photon = qutip.qeye(PHOTONS + 1), qutip.destroy(PHOTONS + 1)
    c_u, c_l = qutip.tensor(lower, one, mode), qutip.tensor(sign, lower, mode)
    a = qutip.tensor(one, one, photon)
    hop = COUPLING * c_u.dag() * c_l * a
    energy = DETUNING * a.dag() * a + hop + hop.dag()  # in the frame that turns with the transition

    def rate(f_u: float) -> float:
        fed = ((GAMMA_U, f_u, c_u), (GAMMA_L, F_L, c_l))
        jumps = [np.sqrt(g * f) * c.dag() for g, f, c in fed]
        jumps += [np.sqrt(g * (1 - f)) * c for g, f, c in fed]
        jumps += [np.sqrt(GAMMA_B * (1 + N_B)) * a, np.sqrt(GAMMA_B * N_B) * a.dag()]
        rho = qutip.steadystate(energy, jumps)
        return float(2 * (COUPLING * c_l.dag() * c_u * a.dag() * rho).tr().imag)

    found, seconds = scaled_time(rate, F_U[FEW].tolist(), F_U.size)
    return np.array(found), seconds


def rows() -> list[Row]:
    theirs, peer_seconds = peer()
    names = f"qutip.steadystate, {theirs.size} points scaled"
    levels, state = PHOTONS + 1, cavity_steady_state(*ARGUMENTS)
    timed: tuple[tuple[str, Callable[[], CavityState], float], ...] = (
        (
            f"cavity, 401 points, {PHOTONS} photons",
            lambda: cavity_steady_state(*ARGUMENTS, levels=levels),
            50e-3,
        ),
        (
            "cavity with its eight derivatives",
            lambda: cavity_slopes(*ARGUMENTS, levels=levels)[0],
            80e-3,
        ),
        (
            f"cavity, up to {state.levels.max() - 1} photons as needed",
            lambda: cavity_steady_state(*ARGUMENTS),
            80e-3,
        ),
    )
    return [
        Row(
            what,
            median_time(solve),
            limit,
            names,
            peer_seconds,
            largest_deviation(solve().rate[FEW], theirs),
        )
        for what, solve, limit in timed
    ]
