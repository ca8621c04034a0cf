"""Regimes of the models of absorbed power: what a driven qubit takes, beside its population."""

from __future__ import annotations

import dataclasses
from functools import partial

from powercal.contracts import Regime
from powercal.models.driven import TWO_PI
from powercal.models.regimes_shared import QUBIT_FREQUENCY, Cell, cells
from powercal.physics.constants import HBAR

GAMMA_1, DRIVE_SCALE = 6e6, 3e29
# Of the absorbed power of a saturated qubit, and of a population.
NOISE_POWER, NOISE_POPULATION = 0.01, 0.01


def _regime(cell: Cell) -> Regime:
    """Absorbed power and population of a qubit with one bath."""
    total = GAMMA_1 * (1 + 2 * cell.n_th)
    # Dephasing far from its bound also where the line leaves Γ₁ open by an eighth.
    gamma_phi = total / 2
    gamma_2 = total / 2 + gamma_phi
    largest = HBAR * TWO_PI * QUBIT_FREQUENCY * GAMMA_1 / 2
    return Regime(
        name=cell.name,
        values={
            "qubit_frequency": QUBIT_FREQUENCY,
            "gamma_1": GAMMA_1,
            "gamma_phi": gamma_phi,
            "drive_scale": DRIVE_SCALE,
            "n_th": cell.n_th,
        },
        inputs={
            "incident_power": cell.powers(total * gamma_2 / DRIVE_SCALE),
            "frequency": cell.frequencies(gamma_2 / TWO_PI),
        },
        noise={"absorbed_power": NOISE_POWER * largest, "excited_population": NOISE_POPULATION},
        options={"detection": "absorbed"},
        line=cell.line,
        input_errors=cell.input_errors,
    )


def _cold(regime: Regime) -> Regime:
    """Absorbed power alone, at T = 0."""
    values = {n: v for n, v in regime.values.items() if n != "n_th"}
    noise = {"absorbed_power": regime.noise["absorbed_power"]}
    name = regime.name.split(", ", 1)[1]
    return dataclasses.replace(regime, name=name, values=values, noise=noise)


def _shared(regime: Regime) -> Regime:
    """Another experiment knows the share of one channel to seven per cent."""
    values = {**regime.values, "f": 0.3}
    return dataclasses.replace(regime, values=values, priors={"f": 0.02})


def regimes(kind: str) -> tuple[Regime, ...]:
    """Return the regimes of ``single_channel``, ``finite_temperature`` or ``multi_channel``."""
    if kind == "single_channel":
        return tuple(_cold(_regime(cell)) for cell in cells(occupations=(0.0,)))
    warm = tuple(_regime(cell) for cell in cells())
    return tuple(_shared(r) for r in warm) if kind == "multi_channel" else warm


regimes_of = {
    kind: partial(regimes, kind)
    for kind in ("single_channel", "finite_temperature", "multi_channel")
}
