"""Scenarios E and F: built-in models in SI with their own tables, bounds and starting values."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

import powercal as pc
from benchmarks.scenarios import Block, Recipe, grid, log_uniform, make_gaps, measured
from powercal.physics.constants import HBAR
from powercal.schema import DeviceTraces

CARRIER = 5e9  # Hz
DRIVE_SCALE = 1e30
FloatArray = NDArray[np.float64]
HELD = {  # by default of the model
    "gamma_i": np.zeros(1),
    "gamma_phi": np.zeros(1),
    "n_th": np.zeros(1),
    "manifold_weight": np.ones(1),
}
# What peers are given: MHz from the carrier, 1/µs, ns.
ORIGIN = {"qubit_frequency": CARRIER}
SCALE = {
    "qubit_frequency": 1e6,
    "gamma_1": 1e6,
    "gamma_phi": 1e6,
    "gamma_r": 1e6,
    "drive_scale": DRIVE_SCALE,
    "delay": 1e-9,
}


def thermal_model() -> pc.Model:
    return pc.get_model("powercal:finite_temperature").configure(detection="absorbed")


def reflection_model() -> pc.Model:
    return pc.get_model("powercal:reflection").configure(setup="raw", convention="+i")


def _start(
    model: pc.Model, detection: str, fixed: dict[str, float], **variables: Any
) -> dict[str, FloatArray]:
    """Return the model's own starting values of all traces."""
    attrs = {"plane": "device", "detection": detection, "batch_dims": json.dumps(["trace"])}
    return model.guess(DeviceTraces(xr.Dataset(variables, attrs=attrs)), fixed)


def _block(
    rows: int,
    inputs: dict[str, FloatArray],
    data: list[NDArray[Any]],
    sigma: list[FloatArray],
    values: tuple[dict[str, FloatArray], dict[str, FloatArray]],
) -> Block:
    truth, start = values
    origin = {n: np.full(rows, v) for n, v in ORIGIN.items()}
    scale = {n: np.full(rows, v) for n, v in SCALE.items()}
    return Block(inputs, tuple(data), tuple(sigma), truth, start, {}, origin, scale)


def thermal(recipe: Recipe, rng: np.random.Generator, rows: int) -> Block:
    """Absorbed power and population against frequency, one power per trace."""
    truth, power, axis = _qubits(recipe, rng, rows)
    model, noise = thermal_model(), log_uniform(rng, recipe.noise, rows)
    named = {n: v[:, None] for n, v in truth.items()}
    curves = dict(zip(model.observables, model.curve(power[:, None], axis, **named), strict=True))
    data, sigma = measured(rng, recipe, noise, (curves[n] for n in recipe.observables))
    seen = {n: (("trace", "point"), y) for n, y in zip(recipe.observables, data, strict=True)}
    plane = {"incident_power": (("trace",), power), "frequency": (("trace", "point"), axis)}
    start = _start(model, "absorbed", {}, **seen, **plane)
    inputs = {"incident_power": power[:, None], "frequency": axis}
    return _block(rows, inputs, data, sigma, (truth, start))


def _qubits(
    recipe: Recipe, rng: np.random.Generator, rows: int
) -> tuple[dict[str, FloatArray], FloatArray, FloatArray]:
    """Return parameters, power at the device and frequencies of qubits."""
    n_th = log_uniform(rng, recipe.occupation, rows)
    gamma_1 = 2 * np.pi * log_uniform(rng, (5e3, 5e6), rows)
    total = gamma_1 * (1 + 2 * n_th)
    # One in four has none: on its bound.
    gamma_phi = np.where(rng.random(rows) < 0.25, 0.0, total * rng.uniform(0.05, 2.5, rows))
    s, gamma_2 = log_uniform(rng, recipe.saturation, rows), total / 2 + gamma_phi
    width = gamma_2 * np.sqrt(1 + s) / (2 * np.pi)
    truth = {
        "qubit_frequency": CARRIER + width * rng.uniform(-0.5, 0.5, rows),
        "gamma_1": gamma_1,
        "gamma_phi": gamma_phi,
        "n_th": n_th,
        "drive_scale": np.full(rows, DRIVE_SCALE),
    }
    half = width * log_uniform(rng, recipe.half_span, rows)
    axis = CARRIER + half[:, None] * np.linspace(-1, 1, recipe.points)
    return truth, s * total * gamma_2 / DRIVE_SCALE, axis


def reflected(recipe: Recipe, rng: np.random.Generator, rows: int) -> Block:
    """Complex reflection on a grid of frequencies and powers behind an unknown line."""
    truth = _lines(rng, rows)
    width = truth["gamma_r"] / (2 * np.pi)
    # About where the drive saturates, at the generator.
    knee = HBAR * 2 * np.pi * CARRIER * 6e6 / 8 * 10**7
    levels = knee * np.array(recipe.levels)
    half = width * log_uniform(rng, recipe.half_span, rows)
    axis = CARRIER + half[:, None] * np.linspace(-1, 1, recipe.points)
    model = reflection_model()
    named = {n: v[:, None, None] for n, v in (truth | HELD).items()}
    curve = model.curve(levels[None, :, None], axis[:, None], **named)[0]
    sigma = log_uniform(rng, recipe.noise, rows) * truth["reference_gain"]
    noise = rng.standard_normal((*curve.shape, 2)) @ np.array([1, 1j])
    noisy = curve + noise * sigma[:, None, None]
    y = noisy.reshape(rows, -1)  # the same memory: gaps are in both
    make_gaps(rng, y, recipe.gaps, recipe.any_gaps)
    seen = {
        "reflection": (("trace", "level", "point"), noisy),
        "incident_power": (("level",), levels),
        "frequency": (("trace", "point"), axis),
    }
    held = {n: float(v[0]) for n, v in HELD.items()}
    start = _start(model, "coherent", held, **seen)
    everywhere = {n: np.repeat(v, rows) for n, v in HELD.items()}
    return _block(rows, grid(levels, axis), [y], [sigma], (truth | everywhere, start))


def _lines(rng: np.random.Generator, rows: int) -> dict[str, FloatArray]:
    """Return parameters of qubits at the ends of lines."""
    gamma_r = log_uniform(rng, (2e6, 2e7), rows)
    return {
        "qubit_frequency": CARRIER + gamma_r / (4 * np.pi) * rng.uniform(-1, 1, rows),
        "gamma_r": gamma_r,
        "attenuation_db": rng.uniform(68, 72, rows),
        "reference_gain": log_uniform(rng, (0.1, 1.0), rows),
        "reference_phase": rng.uniform(-1, 1, rows),
        "delay": rng.uniform(0, 5e-8, rows),
        "mismatch": rng.uniform(-0.2, 0.2, rows),
    }


RECIPES = {
    "E": Recipe(
        name="E",
        what="finite_temperature in SI, with the population",
        model=thermal_model,
        observables=("absorbed_power", "excited_population"),
        free=("qubit_frequency", "gamma_1", "gamma_phi", "n_th", "drive_scale"),
        block=thermal,
        saturation=(0.2, 20.0),
        occupation=(0.01, 0.5),
    ),
    "F": Recipe(
        name="F",
        what="complex reflection in SI",
        model=reflection_model,
        observables=("reflection",),
        free=(
            "qubit_frequency",
            "gamma_r",
            "attenuation_db",
            "reference_gain",
            "reference_phase",
            "delay",
            "mismatch",
        ),
        block=reflected,
        points=161,
        levels=tuple(np.logspace(-1.5, 1.5, 7)),
    ),
}
