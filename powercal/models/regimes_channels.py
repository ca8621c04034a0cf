"""Regimes of the model of named channels: absorbed power, population and the heat into one bath."""

from __future__ import annotations

from powercal.contracts import Regime
from powercal.models.driven import TWO_PI
from powercal.models.regimes_shared import QUBIT_FREQUENCY, Cell, cells
from powercal.physics.constants import HBAR

LINE, INTERNAL, DRIVE_SCALE = 4e6, 2e6, 3e29  # rates of both channels, 1/s


def _regime(cell: Cell) -> Regime:
    """Two baths: the detected one is as warm as the cell says, the other half as warm."""
    warm, cool = cell.n_th, cell.n_th / 2
    total = LINE * (1 + 2 * warm) + INTERNAL * (1 + 2 * cool)
    gamma_phi = total / 2
    gamma_2 = total / 2 + gamma_phi
    quantum = HBAR * TWO_PI * QUBIT_FREQUENCY
    return Regime(
        name=cell.name,
        values={
            "qubit_frequency": QUBIT_FREQUENCY,
            "gamma_line": LINE,
            "gamma_internal": INTERNAL,
            "n_line": warm,
            "n_internal": cool,
            "gamma_phi": gamma_phi,
            "drive_scale": DRIVE_SCALE,
        },
        inputs={
            "incident_power": cell.powers(total * gamma_2 / DRIVE_SCALE),
            "frequency": cell.frequencies(gamma_2 / TWO_PI),
        },
        noise={
            "absorbed_power": 0.005 * quantum * (LINE + INTERNAL) / 2,
            "excited_population": 0.005,
            "emitted_power": 0.005 * quantum * LINE / 2,
        },
        options={"channels": "line,internal", "detection": "absorbed"},
        line=cell.line,
        input_errors=cell.input_errors,
    )


def regimes() -> tuple[Regime, ...]:
    """Return the regimes."""
    return tuple(_regime(cell) for cell in cells())
