"""Starting values of the double dot: one over the current is a straight line in one over power."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.errors import FitError
from powercal_reservoirs.biased import LARGEST_ASYMMETRY, inversion_between
from powercal_reservoirs.constants import BOLTZMANN, ELEMENTARY_CHARGE, PLANCK, TWO_PI

Array = NDArray[Any]


def guess(traces: Any, fixed: Mapping[str, float]) -> dict[str, Array]:
    """Start from 1/|R|, which is linear in 1/P and quadratic in frequency [W A12].

    (f_u − f_l)/R = (G²/4 + D²)/(|ε|²G) + G/(γ_uγ_l), at the bias that drives most.

    Raises
    ------
    FitError
        Traces without an observable or an input, or without any response.
    """
    power, frequency, bias, rate = _fields(traces)
    # Where nothing is said of it, hf = 3kT: neither cold nor warm.
    kelvin = PLANCK * float(np.median(frequency)) / (3 * BOLTZMANN)
    temperature = fixed.get("temperature_u", min(max(kelvin, 1e-3), 1e3))
    assumed = {
        "temperature_u": temperature,
        "temperature_ratio": fixed.get("temperature_ratio", 1.0),
    }
    middle = fixed.get("level_offset", 0.0)
    half = 0.5 * frequency
    filled = np.abs(inversion_between(middle + half, middle - half, bias, assumed))
    line = _line(power, frequency, np.abs(rate), filled)
    start = _from_line(line, fixed) | assumed | {"level_offset": middle}
    return {name: np.asarray(float(value)) for name, value in start.items()}


def _fields(traces: Any) -> tuple[Array, Array, Array, Array]:
    """Return power, frequency, bias and electrons per second, one-dimensional, without gaps."""
    import xarray

    names = [n for n in ("photocurrent", "absorbed_power") if n in traces]
    inputs = ("incident_power", "frequency", "bias_voltage")
    missing = [n for n in inputs if n not in traces]
    if not names or missing:
        raise FitError(
            f"the traces lack {', '.join(missing) or 'photocurrent and absorbed_power'}; "
            f"double_dot needs {', '.join(inputs)} (a bias of 0 V if none is applied) and one of "
            f"photocurrent, absorbed_power"
        )
    together = xarray.broadcast(*(traces[n] for n in (*inputs, names[0])))
    power, frequency, bias, data = (field.values.ravel() for field in together)
    quantum = ELEMENTARY_CHARGE if names[0] == "photocurrent" else PLANCK * frequency
    keep = np.isfinite(data) & np.isfinite(power) & np.isfinite(frequency) & np.isfinite(bias)
    if not np.any(data[keep]):
        raise FitError(f"{names[0]} shows no response to the drive at any point; check its unit")
    rate = (data / quantum)[keep]
    return power[keep], frequency[keep], bias[keep], rate


def _line(power: Array, frequency: Array, rate: Array, filled: Array) -> Array:
    """Return c of filled/rate = (c₀ + c₁φ + c₂φ²)/P + c₃, with φ = f − f_m, and f_m last."""
    centre = float(np.sum(frequency * rate**2) / np.sum(rate**2))
    phi = frequency - centre
    span = float(np.ptp(frequency)) or 1.0
    scale = float(np.exp(np.mean(np.log(power))))
    columns = np.stack([np.ones_like(phi), phi / span, (phi / span) ** 2], axis=-1)
    columns = np.concatenate([columns * (scale / power)[:, None], np.ones((phi.size, 1))], axis=1)
    # The error of filled/rate is filled·σ/rate²: weighting by its inverse keeps noise in its place,
    # and points where the reservoirs hardly push (filled ≈ 0) out.
    weight = rate**2 * filled / (filled + 0.05)
    best, *_ = np.linalg.lstsq(columns * weight[:, None], weight * filled / rate, rcond=1e-10)
    units = np.array([scale, scale / span, scale / span**2, 1.0])
    return np.array([*(best * units), centre, span])


def _from_line(line: Array, fixed: Mapping[str, float]) -> dict[str, float]:
    """Read f_ul, G, the drive scale and the asymmetry off the line, within what can be."""
    c0, c1, c2, c3, centre, span = line
    vertex = -c1 / (2 * c2) if c2 > 0 else 0.0
    vertex = vertex if abs(vertex) < span else 0.0
    width = fixed.get("gamma_total")
    if width is None:
        square = c0 / c2 - vertex**2 if c2 > 0 else 0.0  # (G/4π)²
        width = 2 * TWO_PI * np.sqrt(square) if square > 0 else TWO_PI * span / 10
    width = min(max(float(width), 1e2), 1e14)
    # c₂ = 4(2π)²/(kG): curvature, or the height if there is no line to see.
    drive = 4 * TWO_PI**2 / (c2 * width) if c2 > 0 else width / max(c0, 1e-300)
    room = 4 / (c3 * width) if c3 > 0 else 1.0  # 1 − a²
    asymmetry = np.sqrt(min(max(1 - room, 0.01), LARGEST_ASYMMETRY**2))
    return {
        "transition_frequency": min(
            max(fixed.get("transition_frequency", centre + vertex), 1e3), 1e15
        ),
        "gamma_total": width,
        "asymmetry": fixed.get("asymmetry", min(float(asymmetry), 0.95)),
        "drive_scale": min(max(fixed.get("drive_scale", float(drive)), 1e11), 1e49),
    }
