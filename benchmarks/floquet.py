"""A periodic state beyond the rotating-wave approximation, 401 points with 8 harmonics."""

from __future__ import annotations

import numpy as np
import qutip

from benchmarks.table import Row, largest_deviation
from benchmarks.timing import median_time, scaled_time
from powercal.physics.floquet import harmonic_balance, harmonic_balance_slopes

OMEGA_Q, RABI, GAMMA_1, GAMMA_PHI, N_TH = 100.0, 60.0, 1.0, 0.2, 0.1
OMEGA_D = np.linspace(85.0, 115.0, 401)
TOTAL = GAMMA_1 * (1 + 2 * N_TH)
ARGUMENTS = (OMEGA_Q, OMEGA_D, RABI, TOTAL, TOTAL / 2 + GAMMA_PHI, GAMMA_1 * N_TH / TOTAL)
FEW = slice(0, None, 50)  # QuTiP is timed on these points and its time scaled to all


def peer() -> tuple[np.ndarray, float]:
    """Return QuTiP's mean populations at a few points, and its time for as many as ours."""
    down = qutip.sigmam()
    jumps = [
        np.sqrt(GAMMA_1 * (1 + N_TH)) * down,
        np.sqrt(GAMMA_1 * N_TH) * down.dag(),
        np.sqrt(GAMMA_PHI / 2) * qutip.sigmaz(),
    ]
    still, field = OMEGA_Q / 2 * qutip.sigmaz(), RABI * qutip.sigmax()
    excited = down.dag() * down

    def mean_population(omega_d: float) -> float:
        # As many harmonics as ours: 8 even ones of sigma_z reach to the order 16.
        rho = qutip.steadystate_floquet(still, jumps, field, w_d=omega_d, n_it=16)
        return float(qutip.expect(excited, rho))

    found, seconds = scaled_time(mean_population, OMEGA_D[FEW], OMEGA_D.size)
    return np.array(found), seconds


def rows() -> list[Row]:
    state = harmonic_balance(*ARGUMENTS)
    if np.unique(state.harmonics).tolist() != [8]:
        raise SystemExit("these points do not take 8 harmonics each; the timing would mean nothing")
    theirs, peer_seconds = peer()
    deviation = largest_deviation(state.mean_population[FEW], theirs)
    names = f"qutip.steadystate_floquet, {theirs.size} points scaled"
    timed = (
        ("floquet, 401 points, 8 harmonics", harmonic_balance, 1e-3),
        ("floquet with its six derivatives", harmonic_balance_slopes, 5e-3),
    )
    return [
        Row(what, median_time(lambda f=f: f(*ARGUMENTS)), limit, names, peer_seconds, deviation)
        for what, f, limit in timed
    ]
