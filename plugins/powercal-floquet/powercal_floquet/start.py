"""Where a fit of the model ``floquet`` starts: at the answer of the rotating-wave approximation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

import powercal as pc
from powercal.physics.constants import HBAR
from powercal_floquet.drive import TWO_PI

Array = NDArray[Any]


def guess(
    traces: Any, fixed: Mapping[str, float], *, rows: tuple[pc.Parameter, ...]
) -> dict[str, Array]:
    """Start as ``finite_temperature`` does; what is driven strongly is its line all the same."""
    names = {row.name for row in rows}
    model = pc.get_model("finite_temperature").configure(detection="absorbed")
    known = {name: value for name, value in fixed.items() if name == "n_th"}
    start = {name: float(value) for name, value in model.guess(traces, known).items()}
    if "gamma_r" in names:
        start |= _radiative(start, fixed)
    return within(start, fixed, rows)


def within(
    start: Mapping[str, Any], fixed: Mapping[str, float], rows: tuple[pc.Parameter, ...]
) -> dict[str, Array]:
    """Return the starts of these parameters, the fixed ones as they are, inside the bounds."""
    return {
        row.name: np.asarray(
            min(max(float(fixed.get(row.name, start[row.name])), row.min), row.max)
        )
        for row in rows
        if row.name in start
    }


def _radiative(start: Mapping[str, float], fixed: Mapping[str, float]) -> dict[str, float]:
    """Split Γ₁ so that the radiative part drives as strongly as was seen."""
    loss = 10 ** (fixed.get("attenuation_db", 0.0) / 10)
    quantum = HBAR * TWO_PI * start["qubit_frequency"]
    gamma_r = min(start["drive_scale"] * loss * quantum / 4, 0.9 * start["gamma_1"])
    return {"gamma_r": gamma_r, "gamma_i": start["gamma_1"] - gamma_r}
