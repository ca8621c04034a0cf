"""A curve of 401 points of the closed forms between electron reservoirs."""

from __future__ import annotations

import numpy as np
import qutip
from powercal_reservoirs import bloch_gain_model, double_dot_model, laser_model
from powercal_reservoirs.constants import BOLTZMANN, ELEMENTARY_CHARGE, PLANCK

import powercal as pc
from benchmarks.table import Row, largest_deviation
from benchmarks.timing import median_time, scaled_time

LIMIT = 25e-6
POINTS = 401
BIAS, POWER = 20e-6, 1e-17  # V, W
FEW = slice(0, None, 50)  # QuTiP is timed on these points and its time scaled to all


def examples(model: pc.Model) -> dict[str, float]:
    return {row.name: row.example for row in model.parameters}


def photocurrent(frequency: float, p: dict[str, float]) -> float:
    """Return −e times the particles that QuTiP sees leave the upper reservoir."""
    gamma_u, gamma_l = (0.5 * p["gamma_total"] * (1 + s * p["asymmetry"]) for s in (1, -1))
    offset = frequency - p["transition_frequency"]
    upper = 0.5 * p["transition_frequency"] + gamma_u / p["gamma_total"] * offset
    lower = -0.5 * p["transition_frequency"] - gamma_l / p["gamma_total"] * offset
    kelvin = BOLTZMANN * p["temperature_u"]
    filled = [
        1 / (1 + np.exp((PLANCK * e - s * ELEMENTARY_CHARGE * BIAS / 2) / kelvin))
        for e, s in ((upper, 1), (lower, -1))
    ]
    c_u = qutip.tensor(qutip.destroy(2), qutip.qeye(2))
    c_l = qutip.tensor(qutip.sigmaz(), qutip.destroy(2))
    hop = 0.5 * np.sqrt(p["drive_scale"] * POWER) * c_u.dag() * c_l
    generator = -2 * np.pi * offset * c_u.dag() * c_u + hop + hop.dag()
    jumps = []
    for c, gamma, f in zip((c_u, c_l), (gamma_u, gamma_l), filled, strict=True):
        jumps += [np.sqrt(gamma * f) * c.dag(), np.sqrt(gamma * (1 - f)) * c]
    rho = qutip.steadystate(generator, jumps, method="svd")
    inside = float((c_u.dag() * c_u * rho).tr().real)
    return -ELEMENTARY_CHARGE * gamma_u * (filled[0] - inside)


def double_dot() -> Row:
    model = double_dot_model.MODEL.configure(wider="upper")
    p = examples(model)
    frequency = p["transition_frequency"] + np.linspace(-1e9, 1e9, POINTS)
    inputs = (np.asarray(POWER), frequency, np.asarray(BIAS))
    ours = model.curve(*inputs, **p)[0]
    theirs, seconds = scaled_time(lambda f: photocurrent(f, p), frequency[FEW].tolist(), POINTS)
    return Row(
        "double_dot, 401 points",
        median_time(lambda: model.curve(*inputs, **p), repeats=301),
        LIMIT,
        f"qutip.steadystate, {len(theirs)} points scaled",
        seconds,
        largest_deviation(ours[FEW], theirs),
    )


def alone(name: str, model: pc.Model, *inputs: np.ndarray) -> Row:
    """Time a model that QuTiP has nothing for: mean field, or a continuum of states."""
    p = examples(model)
    taken = median_time(lambda: model.curve(*inputs, **p), repeats=301)
    return Row(f"{name}, 401 points", taken, LIMIT, "none", float("nan"), float("nan"))


def rows() -> list[Row]:
    gain, laser = bloch_gain_model.MODEL, laser_model.MODEL
    frequency = examples(gain)["transition_frequency"] * np.linspace(0.5, 1.5, POINTS)
    volts = PLANCK / ELEMENTARY_CHARGE * examples(laser)["cavity_frequency"]
    return [
        double_dot(),
        alone("laser", laser, volts * np.linspace(0.5, 3.0, POINTS)),
        alone("bloch_gain", gain, frequency),
    ]
