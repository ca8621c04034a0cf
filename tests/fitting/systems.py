"""Simulated sweeps for the tests of fitting: one place for truths, grids and noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

import powercal as pc
from powercal.fitting.build import Request, make_problem, options_from
from powercal.fitting.grid import choose_observables
from powercal.fitting.problem import Problem
from powercal.physics.constants import HBAR
from powercal.registry import get_model
from powercal.schema import DeviceTraces

Array = NDArray[np.float64]

F0 = 5e9
DRIVEN = {
    "qubit_frequency": F0,
    "gamma_1": 6e6,
    "gamma_phi": 1e6,
    "n_th": 0.06,
    "drive_scale": 3e29,
}
REFLECTED = {
    "qubit_frequency": F0,
    "gamma_r": 6e6,
    "gamma_i": 1e6,
    "gamma_phi": 8e5,
    "n_th": 0.05,
    "manifold_weight": 1.0,
    "attenuation_db": 70.0,
}


def gamma_2(v: Mapping[str, float]) -> float:
    """Γ₂ of a truth."""
    gamma_1 = v["gamma_1"] if "gamma_1" in v else v["gamma_r"] + v["gamma_i"]
    return gamma_1 * (1 + 2 * v["n_th"]) / 2 + v["gamma_phi"]


def saturation_power(v: Mapping[str, float]) -> float:
    """P at which s = 1 on resonance, at the plane of incident_power."""
    if "gamma_1" in v:
        return v["gamma_1"] * (1 + 2 * v["n_th"]) * gamma_2(v) / v["drive_scale"]
    total = (v["gamma_r"] + v["gamma_i"]) * (1 + 2 * v["n_th"])
    at_device = HBAR * 2 * np.pi * v["qubit_frequency"] * total * gamma_2(v) / (4 * v["gamma_r"])
    return float(at_device * 10 ** (v["attenuation_db"] / 10))


def sweep(v: Mapping[str, float], powers: int = 8, points: int = 25) -> dict[str, Array]:
    """Powers a decade around saturation, frequencies four line widths about the centre."""
    width = gamma_2(v) / (2 * np.pi)
    return {
        "incident_power": saturation_power(v) * np.geomspace(0.05, 20.0, powers),
        "frequency": v["qubit_frequency"] + width * np.linspace(-4.0, 4.0, points),
    }


def driven(
    v: Mapping[str, float],
    *observables: str,
    seed: int = 0,
    noise: float = 1e-2,
    inputs: Mapping[str, Any] | None = None,
    model: str = "finite_temperature",
    **more: Any,
) -> DeviceTraces:
    """Absorbed power and (or) population, with noise relative to the saturated power and to ½."""
    quantum = HBAR * 2 * np.pi * v["qubit_frequency"] * v["gamma_1"] / 2
    gain = 10 ** ((more.get("gain_db") or 0.0) / 10)
    size = {"absorbed_power": quantum * gain, "excited_population": 0.5}
    wanted = observables or ("absorbed_power",)
    traces = pc.simulate(
        model,
        v,
        inputs=dict(inputs or sweep(v)),
        seed=seed,
        noise={n: noise * size[n] for n in wanted},
        observables=wanted,
        detection="absorbed",
        **more,
    )
    return DeviceTraces(traces)


def reflected(
    v: Mapping[str, float],
    observable: str = "reflection",
    seed: int = 0,
    noise: float = 2e-3,
    inputs: Mapping[str, Any] | None = None,
    **more: Any,
) -> DeviceTraces:
    """Reflection at the end of a line, or its power, without a set-up around it."""
    sweeps = dict(inputs or sweep(v))
    sigma: Any = noise
    if observable == "reflected_power":
        power = np.atleast_1d(sweeps["incident_power"])
        sigma = noise * (power[:, None] if np.ndim(sweeps["frequency"]) else power)
    traces = pc.simulate(
        "reflection",
        v,
        inputs=sweeps,
        seed=seed,
        noise={observable: sigma},
        observables=(observable,),
        convention="+i",
        setup="device",
        **more,
    )
    return DeviceTraces(traces)


def problem_of(
    traces: DeviceTraces, model: str, truth: Mapping[str, float], **wishes: Any
) -> tuple[Problem, Array]:
    """The problem that a fit would solve, and the solver's point at the truth."""
    options = {n: wishes.pop(n) for n in ("setup", "convention", "energy") if n in wishes}
    chosen = get_model(model)
    traces, names = choose_observables(traces, chosen, tuple(wishes.get("observables", ())))
    chosen = chosen.configure(**options_from(traces, chosen, options, names))
    request = Request(**{k: tuple(v) if k == "free" else v for k, v in wishes.items()})
    problem = make_problem(traces, chosen, names, request, truth)
    return problem, problem.start_from(truth)
