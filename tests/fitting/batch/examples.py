"""Batches of known truth: driven qubits in SI, many at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

import powercal as pc
from powercal.schema import DeviceTraces

Truth = dict[str, NDArray[np.float64]]
POWER = 1e-16


def driven(
    fits: int, *, seed: int = 1, points: int = 101, noise: float = 0.01, std: bool = True,
    n_max: float = 0.3, gaps: float = 0.0,
) -> tuple[DeviceTraces, Truth]:  # fmt: skip
    """Absorbed power and population of many qubits, each on its own frequencies."""
    rng = np.random.default_rng(seed)
    gamma_1 = 2 * np.pi * 10 ** rng.uniform(4.5, 6.5, fits)
    truth: Truth = {
        "gamma_1": gamma_1,
        "n_th": rng.uniform(0.0, n_max, fits),
        "gamma_phi": gamma_1 * rng.uniform(0.1, 1.0, fits),
        "qubit_frequency": 5e9 + rng.uniform(-1e6, 1e6, fits),
    }
    total = gamma_1 * (1 + 2 * truth["n_th"])
    gamma_2 = total / 2 + truth["gamma_phi"]
    saturation = np.exp(rng.uniform(np.log(0.3), np.log(10), fits))
    truth["drive_scale"] = saturation * total * gamma_2 / POWER
    width = gamma_2 * np.sqrt(1 + saturation) / (2 * np.pi)
    frequency = truth["qubit_frequency"][:, None] + np.linspace(-6, 6, points) * width[:, None]
    model = pc.get_model("finite_temperature").configure(
        detection="absorbed", energy="effective", broadening="white"
    )
    columns = {k: v[:, None] for k, v in truth.items()}
    power, _, population = model.curve(POWER, frequency, **columns)
    sigma = noise * power.max(axis=1)
    power = power + sigma[:, None] * rng.standard_normal(power.shape)
    population = population + noise / 2 * rng.standard_normal(power.shape)
    power[rng.random(power.shape) < gaps] = np.nan
    fields: dict[str, Any] = {
        "absorbed_power": (("trace", "point"), power, {"units": "W"}),
        "excited_population": (("trace", "point"), population, {"units": "1"}),
        "frequency": (("trace", "point"), frequency, {"units": "Hz"}),
        "incident_power": ((), POWER, {"units": "W"}),
    }
    if std:
        fields["absorbed_power_std"] = ("trace", sigma, {"units": "W"})
        fields["excited_population_std"] = ((), noise / 2, {"units": "1"})
    data = xr.Dataset(fields, attrs={"plane": "device", "detection": "absorbed"})
    return pc.to_device_plane(pc.open_traces(data)), truth


def single(traces: DeviceTraces, index: int) -> DeviceTraces:
    """One fit of them."""
    return DeviceTraces(traces.isel(trace=index))
