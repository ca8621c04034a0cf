"""Traces that suit a model of which nothing is known but its tables: its curve at the examples."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Arrays, Model
from powercal.schema import TWINS, WORDS, DeviceTraces
from powercal.simulation import DIMENSION_OF, simulate
from powercal.testing._call import curve_of, expect_finite, expect_shapes

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[Any]

_ALONG = ("frequency", "frequency_offset", "time")  # a trace runs along one of these
_POINTS = 8  # of every axis that is no trace; axes along the same dimension must agree


def make_traces(model: Model, *, noise: float = 0.01, seed: int = 0) -> DeviceTraces:
    """Simulate traces at the device: the model's curve at its examples, with Gaussian noise.

    The inputs are laid where the curve does something: frequencies some linewidths about the
    transition, powers about the one at which the curve bends.

    Parameters
    ----------
    model : Model
        Configured, if it has options.
    noise : float
        Standard deviation over the largest absolute value of each trace.
    seed : int
        Of the random numbers.

    Returns
    -------
    DeviceTraces
        All observables that can be fitted together, each with ``<name>_std``.

    Raises
    ------
    ContractError
        A curve that cannot be called, or gives other shapes than its inputs have.
    """
    axes = _axes(model)
    dims = list(dict.fromkeys(DIMENSION_OF.get(name, name) for name in axes))
    mesh = {
        name: values.reshape([-1 if d == DIMENSION_OF.get(name, name) else 1 for d in dims])
        for name, values in axes.items()
    }
    along = next((i for i, d in enumerate(dims) if d in _ALONG), -1)
    names = together(model.observables)
    curve = dict(zip(model.observables, curve_of(model, mesh, examples(model)), strict=True))
    expect_shapes(model, curve, np.broadcast_shapes(*(v.shape for v in mesh.values())))
    expect_finite(model, curve, examples(model))
    traces = simulate(
        _guarded(model),
        examples(model),
        inputs=axes,
        seed=seed,
        noise={name: _sigma(curve[name], noise, along) for name in names},
        observables=names,
        attributes={"setup": "device"},
    )
    return DeviceTraces(traces)


def _guarded(model: Model) -> Model:
    """Return the model, configured for good, with a curve that cannot harm its caller."""

    def curve(*inputs: Array, **values: Any) -> Arrays:
        return tuple(curve_of(model, dict(zip(model.inputs, inputs, strict=True)), values))

    return dataclasses.replace(model, curve=curve, options=(), factory=None)


def examples(model: Model) -> dict[str, float]:
    """Return the examples of the parameter table."""
    return {row.name: float(row.example) for row in model.parameters}


def together(observables: tuple[str, ...]) -> tuple[str, ...]:
    """Return the observables that can be fitted at once, earlier ones preferred."""
    kept: list[str] = []
    for name in observables:
        if not any(name in pair and set(pair) & set(kept) for pair in TWINS):
            kept.append(name)
    return tuple(kept)


def open_mesh(model: Model, traces: xr.Dataset) -> dict[str, Array]:
    """Return the inputs as float arrays that broadcast to the grid of the traces."""
    dims = [d for d in traces.dims if any(d in traces[n].dims for n in model.inputs)]
    mesh = {}
    for name in model.inputs:
        absent = [d for d in dims if d not in traces[name].dims]
        mesh[name] = traces[name].expand_dims(absent).transpose(*dims).values
    return mesh


def _sigma(exact: Array, noise: float, along: int) -> Array:
    largest = np.abs(exact).max(axis=along, keepdims=True)
    return np.asarray(noise * np.where(largest > 0, largest, largest.max() or 1.0))


def _axes(model: Model) -> dict[str, Array]:
    axes = {name: _axis(name, model) for name in model.inputs if name != "incident_power"}
    if "incident_power" in model.inputs:
        bend = _bending_power(model, {n: v[v.size // 2] for n, v in axes.items()})
        low, high = max(bend / 30, 1e-22), min(bend * 30, 1.0)
        axes["incident_power"] = np.geomspace(low, high, _POINTS)
    return {name: axes[name] for name in model.inputs}


def _axis(name: str, model: Model) -> Array:
    rates = [row.example for row in model.parameters if row.unit == "s-1" and row.example > 0]
    if name in ("frequency", "frequency_offset"):
        centre = _transition(model)
        half = 4 * sum(rates) / (2 * np.pi) or 1e-4 * centre
        offsets = np.linspace(-half, half, 25)
        return offsets if name == "frequency_offset" else centre + offsets
    if name == "time":
        times = [row.example for row in model.parameters if row.unit == "s" and row.example > 0]
        longest = max(times, default=1 / np.exp(np.mean(np.log(rates))) if rates else 1e-5)
        return np.linspace(0.0, 5 * longest, 41)
    if name == "temperature":
        return np.linspace(0.01, 0.3, _POINTS)
    if name in WORDS and WORDS[name].kind == "power":
        return np.geomspace(1e-18, 1e-15, _POINTS)
    if name in WORDS:
        return np.linspace(0.02, 0.5, _POINTS)
    return np.arange(3.0)


def _transition(model: Model) -> float:
    found = [row for row in model.parameters if row.unit == "Hz" and 1e6 < row.example < 1e12]
    named = [row for row in found if row.name == "qubit_frequency"]
    return float((named or found)[0].example) if found else 5e9


def _bending_power(model: Model, rest: Mapping[str, Any]) -> float:
    """Return the power at which what the curve says per watt (or at all) is half way changed."""
    powers, responses = 10.0 ** np.arange(-22, 1), [_response(model, rest, 1e-22)]
    for power in powers[1:]:
        responses.append(_response(model, rest, float(power)))
        change = np.abs(np.array(responses) - responses[0])
        step, size = change[-1] - change[-2], np.abs(responses).max(axis=0)
        # Settled: this decade adds little. Going on could reach powers the theory cannot bear.
        if np.any((change[-1] > 1e-2 * size) & (np.abs(step) < 0.1 * change[-1])):
            break
    change = np.abs(np.array(responses) - responses[0])
    relative = change / np.where(size > 0, size, 1.0)
    column = relative[:, int(np.argmax(relative[-1]))]
    if column[-1] < 1e-6:
        return 1e-15
    return float(powers[int(np.argmax(column >= 0.5 * column[-1]))])


def _response(model: Model, rest: Mapping[str, Any], power: float) -> Array:
    inputs = {**rest, "incident_power": power}
    inputs = {name: np.asarray([value]) for name, value in inputs.items()}
    with np.errstate(all="ignore"):
        curve = curve_of(model, inputs, examples(model))
    powers = [WORDS[n].kind == "power" for n in model.observables]
    return np.array(
        [c.ravel()[0] / (power if p else 1.0) for c, p in zip(curve, powers, strict=True)]
    )
