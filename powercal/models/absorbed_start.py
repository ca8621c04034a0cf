"""Starting values for absorbed power, reflected power and population, from straight lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.errors import FitError
from powercal.models.driven import TWO_PI
from powercal.physics.constants import HBAR
from powercal.schema import DeviceTraces

Array = NDArray[Any]
OBSERVABLES = ("absorbed_power", "reflected_power", "excited_population")


def drive_guess(
    traces: DeviceTraces, fixed: Mapping[str, float], *, names: tuple[str, ...]
) -> dict[str, Array]:
    """Start from straight lines: 1/R is linear in 1/P and quadratic in frequency."""
    power, frequency, absorbed = _absorbed(traces)
    start = _lorentzian_start(power, frequency, absorbed)
    start["n_th"] = _thermal_start(traces, start)
    n_th = fixed.get("n_th", start["n_th"])
    start["drive_scale"] = start["drive_scale"] * (1 + 2 * n_th)
    start["gamma_phi"] = np.maximum(
        start.pop("gamma_2") - start["gamma_1"] * (1 + 2 * n_th) / 2, 0.05 * start["gamma_1"]
    )
    start["gamma_r"] = 0.3 * start["gamma_1"]
    start["sigma_slow"] = start["gamma_1"] / 20  # a small part of the width, in Hz
    return {name: value for name, value in start.items() if name in names}


def _absorbed(traces: DeviceTraces) -> tuple[Array, Array, Array]:
    import xarray

    names = [n for n in ("absorbed_power", "reflected_power", "excited_population") if n in traces]
    if not names or "incident_power" not in traces or "frequency" not in traces:
        raise FitError(
            f"the traces hold {', '.join(map(str, traces.variables))}; this model needs "
            f"incident_power, frequency and one of {', '.join(OBSERVABLES)}"
        )
    data = traces[names[0]]
    power, frequency, data = xarray.broadcast(traces["incident_power"], traces["frequency"], data)
    values = data.values
    if names[0] == "reflected_power":
        ratio = values / power.values
        values = power.values * (1 - ratio / np.nanpercentile(ratio, 95))
    elif names[0] == "excited_population":
        # Only the line shape is used; the scale of Γ₁ cannot come from populations.
        values = (values - np.nanmin(values)) * HBAR * TWO_PI * frequency.values * 1e6
    if not np.nanmax(values, initial=-np.inf) > 0:
        raise FitError(
            f"{names[0]} shows no response to the drive at any point; check its sign, its unit and "
            f"the reference"
        )
    return power.values.ravel(), frequency.values.ravel(), values.ravel()


def _lorentzian_start(power: Array, frequency: Array, absorbed: Array) -> dict[str, Array]:
    keep = np.isfinite(absorbed) & (absorbed > 0.02 * np.nanmax(absorbed))
    power, frequency, absorbed = power[keep], frequency[keep], absorbed[keep]
    centre, span = np.average(frequency, weights=absorbed), max(float(np.ptp(frequency)), 1.0)
    x, scale = (frequency - centre) / span, float(np.exp(np.mean(np.log(power))))
    height = float(np.max(absorbed))
    # R·(a P + b + c x + d x²) = P, weighted so that the residual is that of R itself.
    weight = (absorbed / height) ** 2 / (power / scale)
    columns = np.stack([power / scale, np.ones_like(x), x, x**2])
    a, b, c, d = np.linalg.lstsq(
        (columns * weight).T, weight * (power / scale) * height / absorbed, rcond=1e-6
    )[0]
    middle = -c / (2 * d) if d > 0 else 0.0
    width2 = b / d - middle**2 if d > 0 else 0.0
    half = TWO_PI * span * np.sqrt(width2 if width2 > 1e-6 else 0.01)
    quantum = HBAR * TWO_PI * centre
    gamma_1 = 2 * height / quantum / (a if a > 0.05 else 0.5)
    depth = max(a, 0.05) / max(b if b > 0 else 0.5, 1e-6) / scale  # 1/s = 1/(depth·P) on resonance
    return {
        "qubit_frequency": np.asarray(centre + span * np.clip(middle, -1, 1)),
        "gamma_1": np.asarray(gamma_1),
        "gamma_2": np.asarray(max(half, 0.5 * gamma_1)),
        "drive_scale": np.asarray(depth * gamma_1 * max(half, 0.5 * gamma_1)),
    }


def _thermal_start(traces: DeviceTraces, start: Mapping[str, Array]) -> Array:
    if "excited_population" not in traces:
        return np.asarray(0.05)
    lowest = float(np.nanpercentile(traces["excited_population"].values, 5))
    p_eq = min(max(lowest, 1e-3), 0.4)
    return np.asarray(p_eq / (1 - 2 * p_eq))
