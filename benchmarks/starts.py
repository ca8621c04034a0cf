"""Starting values of scenarios A to D from the data alone, all traces at once, for all engines."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.scenario_models import CARRIER
from powercal.models.batch_start import weighted_line
from powercal.models.lorentzian_start import lorentzians

FloatArray = NDArray[np.float64]
Start = dict[str, FloatArray]
PIECES = 50


def _line(detuning: FloatArray, power: FloatArray) -> tuple[FloatArray, ...]:
    """Return height·width², width² and centre of absorbed power: a Lorentzian over the carrier."""
    with np.errstate(all="ignore"):  # a flat parabola is set right behind it
        found = lorentzians(detuning, power / (1 + detuning / CARRIER), PIECES)
    width2 = found.half_width**2
    return found.height * width2, width2, found.centre


def one_power(detuning: FloatArray, power: FloatArray, drive: FloatArray, n_th: Any) -> Start:
    """Invert one line where the drive is known: area gives Γ₂, the broadening then Γ₁."""
    area, width2, centre = _line(detuning, power)
    cold = drive / (1 + 2 * n_th)
    # Between s = 0.05 and s = 60 on resonance, whatever noise says.
    gamma_2 = np.clip(2 * area / cold, np.sqrt(width2 / 61), np.sqrt(width2 / 1.05))
    gamma_1 = cold * gamma_2 / (width2 - gamma_2**2)
    return {"gamma_1": gamma_1, "gamma_2": gamma_2, "drive": drive, "centre": centre}


def many_powers(detuning: FloatArray, power: FloatArray, levels: FloatArray, n_th: Any) -> Start:
    """Invert the lines of (traces, levels, points): their widths² are linear in the drive power."""
    rows, count, points = power.shape
    high = slice(count // 2, count)  # weak drives show little
    strong = levels[high]
    wide = np.broadcast_to(detuning[:, None], (rows, strong.size, points)).reshape(-1, points)
    found = _line(wide, np.ascontiguousarray(power[:, high]).reshape(-1, points))
    area, width2, centre = (v.reshape(rows, strong.size) for v in found)
    slope, bare = weighted_line(np.broadcast_to(strong, width2.shape), width2, 1 / width2**2)
    bare = np.maximum(bare, 0.02 * width2[:, 0])
    slope = np.maximum(slope, 0.01 * width2[:, -1] / strong[-1])
    per_power = np.median(area / strong, axis=1)
    gamma_2 = np.sqrt(bare)
    return {
        "gamma_1": 2 * per_power / slope,
        "gamma_2": gamma_2,
        "drive": 2 * per_power * (1 + 2 * n_th) / gamma_2,
        "centre": np.median(centre, axis=1),
    }


def with_population(detuning: FloatArray, power: FloatArray, population: FloatArray) -> Start:
    """Invert both lines: the population's foot is p_eq, its height the saturation."""
    area, width2, centre = _line(detuning, power)
    line = width2[:, None] / (width2[:, None] + (detuning - centre[:, None]) ** 2)
    seen = np.isfinite(population)
    height, foot = weighted_line(line, np.where(seen, population, 0.0), seen.astype(float))
    p_eq = np.clip(foot, 1e-3, 0.45)
    n_th = p_eq / (1 - 2 * p_eq)
    broadening = np.clip(2 * height / (1 - 2 * p_eq), 0.02, 0.99) * width2
    gamma_1, gamma_2 = 2 * area / broadening, np.sqrt(width2 - broadening)
    return {
        "gamma_1": gamma_1,
        "gamma_2": gamma_2,
        "drive": broadening * gamma_1 * (1 + 2 * n_th) / gamma_2,
        "centre": centre,
        "n_th": n_th,
    }
