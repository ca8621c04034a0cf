"""A driven ladder of four levels at 401 detunings: power, population, reflection, derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import qutip

from benchmarks.table import Row, largest_deviation
from benchmarks.timing import median_time, scaled_time
from powercal.physics.ladder_energy import absorbed_power, reflection
from powercal.physics.ladder_slopes import (
    photon_rate_slopes,
    population_slopes,
    response_slopes,
)
from powercal.physics.ladder_steady_state import ladder_steady_state
from powercal.physics.ladder_system import Dissipators, Ladder, flat_bath

LEVELS = 4
OMEGA_Q, ALPHA, RABI = 2 * np.pi * 5000.0, -2 * np.pi * 200.0, 30.0
GAMMA_1, GAMMA_PHI, N_TH = 1.0, 0.2, 0.1
DETUNING = np.linspace(-60.0, 60.0, 401)
FEW = slice(0, None, 20)  # QuTiP is timed on these points and its time scaled to all


def ladder(choice: Dissipators) -> Ladder:
    bath = flat_bath(LEVELS, GAMMA_1, N_TH, choice)
    return Ladder(DETUNING, RABI, ALPHA, [bath], GAMMA_PHI)


def curve(choice: Dissipators) -> tuple[Any, ...]:
    """Return all that a model's curve is made of."""
    state = ladder_steady_state(ladder(choice))
    return absorbed_power(state, OMEGA_Q), state.populations, reflection(state, GAMMA_1)


def derivatives(choice: Dissipators) -> tuple[Any, ...]:
    """Return the curve's derivatives by all numbers of the ladder, the curve on the way."""
    state = ladder_steady_state(ladder(choice))
    response = response_slopes(state)
    excited = population_slopes(state, [0.0, 1.0, 0.0, 0.0])
    return response, photon_rate_slopes(state, response), excited


def peer(choice: Dissipators) -> tuple[np.ndarray, float]:
    """Return QuTiP's populations at a few points, and its time for as many as ours."""
    lower = [
        np.sqrt(j) * qutip.basis(LEVELS, j - 1) * qutip.basis(LEVELS, j).dag()
        for j in range(1, LEVELS)
    ]
    b = sum(lower)
    rungs = b.dag() * b
    jumps = [np.sqrt(2 * GAMMA_PHI) * rungs]
    for part in [b] if choice == "collective" else lower:
        jumps += [np.sqrt(GAMMA_1 * (1 + N_TH)) * part, np.sqrt(GAMMA_1 * N_TH) * part.dag()]
    still = ALPHA / 2 * rungs * (rungs - 1) + RABI / 2 * (b + b.dag())

    def populations(detuning: float) -> np.ndarray:
        # The quickest of its methods for so small a matrix, by a factor of a hundred.
        rho = qutip.steadystate(still - detuning * rungs, jumps, method="svd")
        return np.asarray(rho.diag().real)

    found, seconds = scaled_time(populations, DETUNING[FEW], DETUNING.size)
    return np.array(found), seconds


def rows() -> list[Row]:
    found = []
    choices: tuple[Dissipators, ...] = ("secular", "collective")
    for choice in choices:
        theirs, peer_seconds = peer(choice)
        deviation = largest_deviation(curve(choice)[1][:, FEW], theirs.T)
        names = f"qutip.steadystate (svd), {len(theirs)} points scaled"
        for what, function, limit in (
            ("curve", curve, 3e-3),
            ("derivatives", derivatives, 30e-3),
        ):
            seconds = median_time(lambda f=function, c=choice: f(c))
            row = f"transmon N = 4, {choice}, {what}"
            found.append(Row(row, seconds, limit, names, peer_seconds, deviation))
    return found
