"""Traces that suit a model of which nothing is known but its tables: its curve at the examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Model
from powercal.schema import DIMENSIONS, WORDS, DeviceTraces, check_traces
from powercal.testing._call import curve_of

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[Any]

# The measurements that are one and the same: fitting both would count the data twice.
TWINS = (("reflection", "reflected_power"), ("absorbed_power", "reflected_power"))
_DIMENSION = {
    "incident_power": "power",
    "excited_population": "power",
    "frequency": "frequency",
    "frequency_offset": "frequency_offset",
    "time": "time",
    "temperature": "temperature",
}
_LAST = ("frequency", "frequency_offset", "time")  # a trace runs along one of these


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
    """
    import xarray as xr

    axes = {name: (_dimension(name), values) for name, values in _axes(model).items()}
    dims = sorted({dim for dim, _ in axes.values()}, key=lambda d: (d in _LAST, d))
    mesh = {
        name: values.reshape([-1 if d == dim else 1 for d in dims])
        for name, (dim, values) in axes.items()
    }
    curve = curve_of(model, mesh, examples(model))
    rng = np.random.default_rng(seed)
    variables: dict[str, Any] = {}
    for name in together(model.observables):
        exact = curve[model.observables.index(name)]
        exact = np.broadcast_to(exact, np.broadcast_shapes(*(v.shape for v in mesh.values())))
        sigma, noisy = _with_noise(exact, noise, rng)
        units = {"units": WORDS[name].unit}
        variables |= {name: (dims, noisy, units), f"{name}_std": (dims, sigma, units)}
    coords = {
        name: (dim, values, {"units": WORDS[name].unit if name in WORDS else "1"})
        for name, (dim, values) in axes.items()
    }
    attrs = {"plane": "device", "setup": "device"}
    if "detection" in model.chosen:
        attrs["detection"] = model.chosen["detection"]
    return DeviceTraces(check_traces(xr.Dataset(variables, coords, attrs)))


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


def _dimension(name: str) -> str:
    return name if name in DIMENSIONS else _DIMENSION.get(name, "trace")


def _with_noise(exact: Array, noise: float, rng: np.random.Generator) -> tuple[Array, Array]:
    size = np.abs(exact)
    largest = size.max(axis=-1, keepdims=True) if size.ndim else size
    largest = np.where(largest > 0, largest, size.max() or 1.0)
    sigma = np.broadcast_to(noise * largest, exact.shape)
    noisy = exact + sigma * rng.standard_normal(exact.shape)
    if np.iscomplexobj(exact):
        noisy = noisy + 1j * sigma * rng.standard_normal(exact.shape)
    return sigma, noisy


def _axes(model: Model) -> dict[str, Array]:
    axes = {name: _axis(name, model) for name in model.inputs if name != "incident_power"}
    if "incident_power" in model.inputs:
        bend = _bending_power(model, {n: v[v.size // 2] for n, v in axes.items()})
        axes["incident_power"] = np.geomspace(max(bend / 30, 1e-22), min(bend * 30, 1.0), 8)
    return axes


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
        return np.linspace(0.01, 0.3, 9)
    if name in WORDS and WORDS[name].kind == "power":
        return np.geomspace(1e-18, 1e-15, 9)
    if name in WORDS:
        values = np.linspace(0.02, 0.5, 9)
        return values.astype(complex) if WORDS[name].complex else values
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
