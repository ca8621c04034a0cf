"""Regimes of the models of a qubit in a line: complex reflection and transmission."""

from __future__ import annotations

from typing import Any

from powercal.contracts import Regime
from powercal.models.driven import TWO_PI
from powercal.models.regimes_shared import QUBIT_FREQUENCY, Cell, cells
from powercal.physics.constants import HBAR

GAMMA_R = 6e6
ATTENUATION_DB = 70.0
# Of each quadrature. Γφ is held: where the line is open, it and n_th act alike.
NOISE = 0.01


def _regime(cell: Cell, signal: str, drive: float, options: dict[str, str]) -> Regime:
    """At the device where powers are exact there; else behind a line, against a reference."""
    total = GAMMA_R * (1 + 2 * cell.n_th)
    gamma_2 = total / 2
    # Ω² = 4 R P/(ħω) of the rate R that drives, and s = Ω²/(Γ₁tot Γ₂) on resonance.
    knee = HBAR * TWO_PI * QUBIT_FREQUENCY * total * gamma_2 / (4 * drive)
    values: dict[str, Any] = {
        "qubit_frequency": QUBIT_FREQUENCY,
        "gamma_r": GAMMA_R,
        "n_th": cell.n_th,
        "gamma_phi": 0.0,
        "attenuation_db": 0.0,
    }
    if cell.line_error:
        values |= {"attenuation_db": ATTENUATION_DB, "reference_gain": 0.9, "reference_phase": 0.4}
        knee *= 10 ** (ATTENUATION_DB / 10)
    return Regime(
        name=cell.name,
        values=values,
        inputs={
            "incident_power": cell.powers(knee),
            "frequency": cell.frequencies(gamma_2 / TWO_PI),
        },
        noise={signal: NOISE},
        options={**options, "setup": "referenced" if cell.line_error else "device"},
        free=("n_th",),
        fixed={"gamma_phi": 0.0},
        line={"attenuation_db": (ATTENUATION_DB, cell.line_error)} if cell.line_error else {},
        input_errors=cell.input_errors,
    )


def reflection() -> tuple[Regime, ...]:
    """Reflection at the end of a line."""
    options = {"convention": "+i"}
    return tuple(_regime(cell, "reflection", GAMMA_R, options) for cell in cells())


def transmission() -> tuple[Regime, ...]:
    """Transmission past a qubit beside a matched line, which half of its radiation goes along."""
    options = {"convention": "+i", "geometry": "through_line"}
    return tuple(_regime(cell, "transmission", GAMMA_R / 2, options) for cell in cells())
