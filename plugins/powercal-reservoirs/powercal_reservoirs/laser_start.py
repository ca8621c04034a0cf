"""Starting values of the laser: the power is a straight line in the inversion above threshold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.errors import FitError
from powercal_reservoirs.biased import inversion_between, level_rates
from powercal_reservoirs.constants import BOLTZMANN, ELEMENTARY_CHARGE, PLANCK, TWO_PI
from powercal_reservoirs.laser import threshold_inversion

Array = NDArray[Any]
_LOSS = 1e7  # 1/s, where nothing is said
_FREQUENCY = 6.7e9  # Hz, where nothing is measured
_THRESHOLDS = np.linspace(0.02, 0.98, 33)


def guess(traces: Any, fixed: Mapping[str, float]) -> dict[str, Array]:
    """Try thresholds (and temperatures, if none is given); the slope above them gives γ_s.

    Raises
    ------
    FitError
        Traces without bias, or without any emission.
    """
    if "bias_voltage" not in traces:
        raise FitError("the traces lack bias_voltage; the laser needs the bias that pumps it")
    known = {"cavity_detuning": 0.0, "asymmetry": 0.0, "gamma_b": _LOSS}
    known |= {"temperature_ratio": 1.0, "level_offset": 0.0, **fixed}
    frequency = _emission_frequency(traces)
    start = dict(known)
    if "emitted_power" in traces:
        start |= _from_power(*_sweep(traces), frequency, known)
    pulled = known["gamma_b"] / (start.get("gamma_total", np.inf) + known["gamma_b"])
    start.setdefault("cavity_frequency", frequency + pulled * known["cavity_detuning"])
    return {name: np.asarray(float(value)) for name, value in start.items()}


def _emission_frequency(traces: Any) -> float:
    if "emission_frequency" not in traces:
        return _FREQUENCY
    values = traces["emission_frequency"].values
    if not np.isfinite(values).any():
        raise FitError("emission_frequency holds no finite number")
    return float(np.nanmedian(values))


def _sweep(traces: Any) -> tuple[Array, Array]:
    """Return bias and power, one-dimensional, without gaps."""
    import xarray

    together = xarray.broadcast(traces["bias_voltage"], traces["emitted_power"])
    bias, power = (field.values.ravel() for field in together)
    keep = np.isfinite(bias) & np.isfinite(power)
    if not np.any(power[keep] > 0):
        raise FitError("emitted_power is nowhere positive; a laser below threshold says nothing")
    return bias[keep], power[keep]


def _from_power(
    bias: Array, power: Array, frequency: float, known: Mapping[str, float]
) -> dict[str, float]:
    if "temperature_u" in known:
        temperatures = [known["temperature_u"]]
    else:
        kelvin = ELEMENTARY_CHARGE * (np.ptp(bias) or 1e-4) / BOLTZMANN
        temperatures = list(np.clip(kelvin * np.geomspace(0.01, 1.0, 13), 1e-3, 1e3))
    best: tuple[float, float, float, float] = (np.inf, 1.0, 0.5, temperatures[0])
    for temperature in temperatures:
        filled = inversion_between(
            known["level_offset"] + 0.5 * frequency,
            known["level_offset"] - 0.5 * frequency,
            bias,
            {**known, "temperature_u": temperature},
        )
        # One column per threshold; the height of each follows from least squares.
        shape = np.maximum(filled[:, None] - _THRESHOLDS, 0.0)
        norms = np.sum(shape**2, axis=0)
        height = power @ shape / np.where(norms > 0, norms, np.inf)
        misfit = np.sum((power[:, None] - height * shape) ** 2, axis=0)
        misfit = np.where(height > 0, misfit, np.inf)
        i = int(np.argmin(misfit))
        best = min(best, (float(misfit[i]), float(height[i]), float(_THRESHOLDS[i]), temperature))
    _, slope, threshold, temperature = best
    return _rates(slope / (PLANCK * frequency), threshold, known) | {"temperature_u": temperature}


def _rates(series: float, threshold: float, known: Mapping[str, float]) -> dict[str, float]:
    """Return G from γ_s, and |g|² from the threshold γ_bGK/|g|²."""
    width = known.get("gamma_total", 4 * series / (1 - known["asymmetry"] ** 2))
    width = min(max(width, 10.0), 1e14)
    rates = (*level_rates(width, known["asymmetry"]), known["gamma_b"])
    least = threshold_inversion(1.0, TWO_PI * known["cavity_detuning"], *rates)
    coupling = float(least) / threshold
    return {
        "gamma_total": width,
        "coupling": min(max(known.get("coupling", coupling), 10.0), 1e31),
    }
