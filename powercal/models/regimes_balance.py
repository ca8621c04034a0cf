"""Regimes of the models without a drive's axis: power against population, and free decay."""

from __future__ import annotations

from itertools import product

import numpy as np

from powercal.contracts import Regime
from powercal.models.driven import TWO_PI
from powercal.models.regimes_shared import GAIN_DB, LINE_ERRORS, OCCUPATIONS, QUBIT_FREQUENCY, cells
from powercal.physics.constants import HBAR

GAMMA_1 = 6e6
QUANTUM = HBAR * TWO_PI * QUBIT_FREQUENCY
# How far populations reach from equilibrium (0) to one half (1).
REACH = {"low": (0.0, 0.3), "middle": (0.0, 0.8), "high": (0.4, 0.95)}
_EXCITED = {"low": 0.2, "middle": 0.5, "high": 0.95}  # p₀ from equilibrium to one


def power_balance() -> tuple[Regime, ...]:
    """Populations are the axis here: it is they that are known to two per cent."""
    return tuple(
        Regime(
            name=cell.name.replace("power ±", "population ±"),
            values={"gamma_1": GAMMA_1, "n_th": cell.n_th},
            inputs={
                "excited_population": _populations(cell.n_th, cell.saturation),
                "frequency": QUBIT_FREQUENCY,
            },
            noise={"absorbed_power": 0.0015 * QUANTUM * GAMMA_1 / 2},
            line={"gain_db": (GAIN_DB, cell.line_error)} if cell.line_error else {},
            input_errors={"excited_population": cell.power_error} if cell.power_error else {},
        )
        for cell in cells()
    )


def _populations(n_th: float, saturation: str) -> np.ndarray:
    p_eq = n_th / (1 + 2 * n_th)
    return p_eq + (0.5 - p_eq) * np.linspace(*REACH[saturation], 40)


def free_decay() -> tuple[Regime, ...]:
    """A decaying population, and beside it the emitted power behind a line."""
    return tuple(
        _decay(n_th, excited, error)
        for n_th, excited, error in product(OCCUPATIONS, _EXCITED, LINE_ERRORS)
    )


def _decay(n_th: float, excited: str, error: float) -> Regime:
    gamma_1_tot = GAMMA_1 * (1 + 2 * n_th)
    p_eq = n_th / (1 + 2 * n_th)
    values = {"gamma_1_tot": gamma_1_tot, "p_eq": p_eq}
    values["p_0"] = p_eq + (1 - p_eq) * _EXCITED[excited]
    noise = {"excited_population": 0.01}
    if error:
        values |= {"qubit_frequency": QUBIT_FREQUENCY, "rest_power": 1e-19}
        noise["emitted_power"] = 0.01 * QUANTUM * gamma_1_tot
    return Regime(
        name=f"n_th {n_th:g}, {excited} excitation, line ±{error:g} dB",
        values=values,
        inputs={"time": np.linspace(0.0, 5 / gamma_1_tot, 100)},
        noise=noise,
        options={"readout": "power" if error else "population"},
        line={"gain_db": (GAIN_DB, error)} if error else {},
        attributes={"transition_frequency": QUBIT_FREQUENCY} if error else {},
    )
