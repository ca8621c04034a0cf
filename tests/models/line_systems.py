"""Qubits in a line for the tests of reflection and transmission: truths, sweeps, data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import powercal as pc
from powercal.models.line_response import GEOMETRIES, bath_rates
from powercal.physics.constants import HBAR
from powercal.schema import DeviceTraces

TWO_PI = 2 * np.pi
F0 = 5e9
RATES: dict[str, dict[str, float]] = {
    "end_of_line": {"gamma_r": 6e6},
    "through_line": {"gamma_r": 6e6},
    "notch": {"kappa": 3e6, "phi": 0.3, "drive_fraction": 0.5},
    "in_line": {"gamma_left": 2e6, "gamma_right": 4e6},
}


def full(values: Mapping[str, float], geometry: str, **more: float) -> dict[str, float]:
    """A truth with what it does not say filled in: no loss, cold, nothing around it."""
    neutral = {"qubit_frequency": F0, "gamma_i": 0.0, "gamma_phi": 0.0, "manifold_weight": 1.0}
    neutral |= {"attenuation_db": 0.0, **RATES[geometry]}
    found = {**neutral, **values, **more}
    return found if "n_line" in found else {"n_th": 0.0, **found}


def widths(values: Mapping[str, float], geometry: str) -> tuple[float, float, float]:
    """Γ₂ (1/s), the half width with slow noise (Hz) and P_s where incident_power is (W)."""
    ports = GEOMETRIES[geometry].ports(values)
    _, total = bath_rates(ports.line, values)
    gamma_2 = total / 2 + values["gamma_phi"]
    knee = HBAR * TWO_PI * values["qubit_frequency"] * total * gamma_2 / (4 * ports.drive)
    half = float(np.hypot(gamma_2 / TWO_PI, 1.2 * values.get("sigma_slow", 0.0)))
    return gamma_2, half, float(knee * 10 ** (values["attenuation_db"] / 10))


def sweep(
    values: Mapping[str, float], geometry: str, powers: int = 6, points: int = 31
) -> dict[str, Any]:
    """Powers a decade and more about saturation, frequencies five widths about the centre."""
    _, half, knee = widths(values, geometry)
    return {
        "incident_power": knee * np.geomspace(0.05, 20.0, powers),
        "frequency": values["qubit_frequency"] + half * np.linspace(-5.0, 5.0, points),
    }


def model_of(geometry: str, **options: str) -> pc.Model:
    """The configured model of a geometry."""
    options = {"convention": "-i", "setup": "device", **options}
    if geometry == "end_of_line":
        return pc.get_model("reflection").configure(**options)
    return pc.get_model("transmission").configure(geometry=geometry, **options)


def simulated(
    values: Mapping[str, float],
    geometry: str,
    *names: str,
    seed: int = 0,
    noise: float = 5e-3,
    inputs: Mapping[str, Any] | None = None,
    **options: str,
) -> DeviceTraces:
    """Traces with noise relative to the incident amplitude or power."""
    model = model_of(geometry, **options)
    swept = dict(inputs or sweep(values, geometry))
    power = np.asarray(swept["incident_power"])[:, None]
    sigma = {n: noise * (power if n.endswith("power") else 1.0) for n in names}
    known = {row.name for row in model.parameters}
    truth = {
        row.name: row.example for row in model.parameters if row.name.startswith("reflection_")
    }
    return DeviceTraces(
        pc.simulate(
            model,
            truth | {n: v for n, v in values.items() if n in known},
            inputs=swept,
            seed=seed,
            noise=sigma,
            observables=names,
            attributes={"setup": model.chosen["setup"], "plane": "device"},
            **dict(model.chosen),
        )
    )
