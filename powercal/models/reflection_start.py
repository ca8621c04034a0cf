"""Starting values for reflection: a grid of shapes, each with its best gain, phase and depth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.errors import FitError
from powercal.models.driven import TWO_PI
from powercal.physics.constants import HBAR
from powercal.physics.scattering import Convention, with_convention
from powercal.schema import DeviceTraces

Array = NDArray[Any]
_MOST = 500  # points that the grid looks at
_TURNS = np.linspace(-1.5, 1.5, 13)  # of the delay's phase across the sweep, about the mean slope


def guess(
    traces: DeviceTraces, fixed: Mapping[str, float], *, convention: Convention, setup: str
) -> dict[str, Array]:
    """Start from the best of a grid of centres, widths and saturation powers (and delays).

    Gain, phase and depth enter linearly: every point of the grid gets its best ones.
    """
    power, frequency, values, is_complex = _measured(traces)
    centre = _centre(frequency, np.abs(values) ** 2 if is_complex else values)
    if is_complex:
        values = with_convention(values, convention)
        delays = _delays(frequency, values, fixed, setup)
    if power.size > _MOST:  # at random: a stride could see the same few frequencies at all powers
        some = np.sort(np.random.default_rng(0).permutation(power.size)[:_MOST])
        power, frequency, values = power[some], frequency[some], values[some]
    if is_complex:
        found = _best_circle(power, frequency, values, centre, delays)
        found["reference_phase"] *= -1.0 if convention == "+i" else 1.0
    else:
        turns = [-0.3, 0.0, 0.3]
        if "mismatch" in fixed or setup != "raw":
            turns = [fixed.get("mismatch", 0.0)]
        gain = fixed.get("reference_gain")
        found = _best_power(power, frequency, values, centre, turns, gain)
    centre, gamma_2, rho, knee = (found.pop(n) for n in ("centre", "gamma_2", "rho", "knee"))
    setup_values = {name: np.asarray(value) for name, value in found.items()}
    return setup_values | _physical(centre, gamma_2, rho, knee, fixed)


def _centre(frequency: Array, level: Array) -> float:
    """Return where the level strays most from its usual value, at whatever power."""
    away = np.abs(level / np.nanmedian(level) - 1)
    deep = away > 0.3 * np.nanpercentile(away, 99)
    return float(np.average(frequency[deep], weights=away[deep] ** 2))


def _delays(
    frequency: Array, values: Array, fixed: Mapping[str, float], setup: str
) -> NDArray[np.float64]:
    """Delays to try: about the mean turn per step, which the qubit's own turns falsify."""
    if "delay" in fixed or setup != "raw":
        return np.array([fixed.get("delay", 0.0)])
    grid = np.unique(frequency)
    if grid.size < 3:
        return np.zeros(1)
    step = float(np.median(np.diff(grid)))
    near = np.abs(np.diff(frequency) - step) < 0.01 * step
    turn = np.sum((values[1:] * np.conj(values[:-1]))[near])
    mean = float(np.angle(turn)) / (TWO_PI * step)
    return np.asarray(mean + _TURNS / float(np.ptp(grid)))


def _shapes(power: Array, frequency: Array, centre: float) -> tuple[Array, Array, Array]:
    """Return (centre, Γ₂, P_s) of every point of the grid, then δ and 1+δ²+P/P_s, (grid, data)."""
    spread = max(float(np.ptp(frequency)), 1.0)
    centres = np.append(centre, np.linspace(frequency.min(), frequency.max(), 13)[1:-1])
    widths = TWO_PI * spread * np.geomspace(0.005, 0.5, 12)
    knees = np.geomspace(power.min() / 3, power.max() * 3, 9)
    grid = np.array(np.meshgrid(centres, widths, knees, indexing="ij")).reshape(3, -1)
    delta = TWO_PI * (frequency - grid[0][:, None]) / grid[1][:, None]
    return grid, delta, 1 + delta**2 + power / grid[2][:, None]


def _best_circle(
    power: Array, frequency: Array, values: Array, centre: float, delays: NDArray[np.float64]
) -> dict[str, float]:
    """Fit y = A e^{iωτ}(1 − κ(1+iδ)/(1+δ²+q)), linear in A and Aκ, everywhere on the grid."""
    grid, delta, below = _shapes(power, frequency, centre)
    shape = (1 + 1j * delta) / below
    mean = shape.mean(axis=1, keepdims=True)
    apart = np.conj(shape - mean)
    middle = 0.5 * (frequency.min() + frequency.max())
    flat = values * np.exp(-1j * TWO_PI * np.outer(delays, frequency - middle))
    overlap, norm = apart @ flat.T, np.sum(np.abs(apart) ** 2, axis=1)[:, None]
    level = flat.mean(axis=1)
    slope = overlap / norm
    background = level - slope * mean
    with np.errstate(divide="ignore", invalid="ignore"):
        kappa = -slope / background
    explained = np.abs(level) ** 2 * values.size + np.abs(overlap) ** 2 / norm
    possible = (kappa.real > 0) & (np.abs(kappa) < 2.3)
    score = np.where(possible, explained, -np.inf) if possible.any() else explained
    i, j = np.unravel_index(int(np.argmax(score)), score.shape)
    phase = TWO_PI * (grid[0][i] - middle) * delays[j]
    return {
        "centre": float(grid[0][i]),
        "gamma_2": float(grid[1][i]),
        "knee": float(grid[2][i]),
        "rho": float(np.clip(np.abs(kappa[i, j]), 0.02, 1.98)),
        "mismatch": float(np.clip(np.angle(kappa[i, j]), -1.5, 1.5)),
        "reference_gain": float(np.clip(np.abs(background[i, j]), 1e-9, 1e9)),
        "reference_phase": float(np.angle(background[i, j] * np.exp(1j * phase))),
        "delay": float(delays[j]),
    }


def _best_power(
    power: Array,
    frequency: Array,
    ratio: Array,
    centre: float,
    turns: list[float],
    gain: float | None,
) -> dict[str, float]:
    """Search |1 − e^{iψ}ρ(1+iδ)/(1+δ²+q)|², with its best gain unless that is known."""
    grid, delta, below = _shapes(power, frequency, centre)
    shape = (1 + 1j * delta) / below
    best: tuple[float, dict[str, float]] = (np.inf, {})
    for turn in turns:
        for rho in (0.05, 0.15, 0.3, 0.5, 0.7, 0.9, 1.1, 1.3, 1.5, 1.7, 1.9, 2.0):
            level = np.abs(1 - rho * np.exp(1j * turn) * shape) ** 2
            norm = np.sum(level**2, axis=1)
            scale = level @ ratio / norm if gain is None else np.full(norm.size, gain**2)
            misfit = np.sum(ratio**2) - 2 * scale * (level @ ratio) + scale**2 * norm
            i = int(np.argmin(np.where(scale > 0, misfit, np.inf)))
            if misfit[i] < best[0]:
                best = (
                    float(misfit[i]),
                    {
                        "centre": float(grid[0][i]),
                        "gamma_2": float(grid[1][i]),
                        "knee": float(grid[2][i]),
                        "rho": min(rho, 1.98),
                        "mismatch": turn,
                        "reference_gain": float(np.sqrt(np.clip(scale[i], 1e-18, 1e18))),
                        "reference_phase": 0.0,
                        "delay": 0.0,
                    },
                )
    return best[1]


def _measured(traces: DeviceTraces) -> tuple[Array, Array, Array, bool]:
    import xarray

    name = next((n for n in ("reflection", "reflected_power") if n in traces), None)
    if name is None or "incident_power" not in traces or "frequency" not in traces:
        raise FitError(
            f"the traces hold {', '.join(map(str, traces.variables))}; reflection needs "
            f"incident_power, frequency and reflection or reflected_power (a received voltage "
            f"needs a reference trace first)"
        )
    fields = xarray.broadcast(traces["incident_power"], traces["frequency"], traces[name])
    power, frequency, values = (a.values.ravel() for a in fields)
    keep = np.isfinite(values)
    power, frequency, values = power[keep], frequency[keep], values[keep]
    if name == "reflection":
        return power, frequency, values, True
    return power, frequency, values / power, False


def _physical(
    centre: float, gamma_2: float, rho: float, knee: float, fixed: Mapping[str, float]
) -> dict[str, Array]:
    """Share the depth ρ = wΓ_r/((1+2n)Γ₂) out among what is free, evenly enough to start."""
    room = rho / 2
    n_th = float(fixed.get("n_th", 0.02))
    gamma_i_fixed = "gamma_i" in fixed
    gamma_phi = float(fixed.get("gamma_phi", 0.1 * (1 - room) * gamma_2))
    gamma_1 = 2 * max(gamma_2 - gamma_phi, 0.1 * gamma_2) / (1 + 2 * n_th)
    gamma_i = float(fixed.get("gamma_i", 0.3 * (1 - room) * gamma_1))
    gamma_r = max(gamma_1 - gamma_i, 0.1 * gamma_1)
    weight = float(fixed.get("manifold_weight", np.clip(rho * gamma_2 / gamma_r, 0.05, 0.95)))
    if "manifold_weight" in fixed and not gamma_i_fixed:
        gamma_r = min(gamma_r, max(rho * gamma_2 / max(weight, 0.05), 0.05 * gamma_1))
        gamma_i = gamma_1 - gamma_r
    at_device = HBAR * TWO_PI * centre * gamma_1 * (1 + 2 * n_th) * gamma_2 / (4 * gamma_r)
    values = {
        "qubit_frequency": centre,
        "gamma_r": gamma_r,
        "gamma_i": gamma_i,
        "gamma_phi": gamma_phi,
        "n_th": n_th,
        "manifold_weight": weight,
        "attenuation_db": 10 * np.log10(knee / at_device),
    }
    return {name: np.asarray(value) for name, value in values.items()}
