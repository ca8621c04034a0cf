"""Traces of known truth, for any model: with noise, errors of inputs, line and detection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from powercal.contracts import Model
from powercal.errors import TraceSchemaError, unknown_name
from powercal.registry import get_model
from powercal.schema import WORDS, InstrumentTraces, check_traces

if TYPE_CHECKING:
    import xarray as xr

DIMENSION_OF = {
    "incident_power": "power",
    "frequency": "frequency",
    "time": "time",
    "temperature": "temperature",
    "excited_population": "power",
    "bias_voltage": "bias",
}


def simulate(
    model: str | Model,
    values: Mapping[str, float],
    *,
    inputs: Mapping[str, ArrayLike],
    seed: int,
    noise: Mapping[str, float | ArrayLike] | None = None,
    input_noise: Mapping[str, float] | None = None,
    observables: Iterable[str] = (),
    attenuation_db: float | None = None,
    gain_db: float | None = None,
    state_noise: bool = True,
    attributes: Mapping[str, Any] | None = None,
    **options: str,
) -> InstrumentTraces:
    """Return traces that a model with these values would give.

    Parameters
    ----------
    model : str or Model
        A name that some plugin offers, or a model.
    values : mapping
        Parameters in SI; those left out take the model's fixed value.
    inputs : mapping of array_like
        What the curve reads, SI, at the device: a number, or 1-D along its own dimension
        (incident_power along ``power``, frequency along ``frequency``).
    seed : int
        Of the noise.
    noise : mapping, optional
        Standard deviation per observable (SI, at the plane of the data; of each quadrature for
        complex ones); broadcast against the observable.
    input_noise : mapping, optional
        Relative standard deviation of the *recorded* inputs about the true ones.
    observables : iterable of str
        Which to return; all that the model predicts if left out.
    attenuation_db, gain_db : float, optional
        True line: the recorded incident power is larger by the attenuation, recorded powers from
        the device are larger by the gain, and the plane is the instrument.
    state_noise : bool
        Whether ``<name>_std`` goes into the traces.
    attributes : mapping, optional
        More attributes (``bath_temperature``, ``transition_frequency``).
    **options : str
        Options of the model.

    Returns
    -------
    InstrumentTraces
        Checked traces; ``plane="device"`` without a line.

    Raises
    ------
    UnknownNameError
        An unknown model, parameter or observable.
    TraceSchemaError
        A missing input or parameter.

    Examples
    --------
    >>> traces = simulate("power_balance", {"gamma_1": 1e6, "n_th": 0.05}, seed=0,
    ...     inputs={"excited_population": [0.1, 0.3], "frequency": 5e9})
    >>> traces.sizes["power"]
    2
    """
    chosen = (get_model(model) if isinstance(model, str) else model).configure(**options)
    generator = np.random.default_rng(seed)
    fields = _fields(chosen, inputs)
    arguments = _arguments(chosen, values)
    _check_noise(chosen, noise or {}, input_noise or {})
    broadcast = _broadcast(fields)
    curves = chosen.curve(*(broadcast[n].values for n in chosen.inputs), **arguments)
    data: dict[str, Any] = {}
    wanted = tuple(observables) or chosen.observables
    for name in wanted:
        if name not in chosen.observables:
            raise unknown_name(f"observable of model {chosen.name!r}", name, chosen.observables)
        data[name] = _observable(
            chosen, curves, name, broadcast, gain_db, noise or {}, generator, state_noise, data
        )
    fields = _recorded(fields, attenuation_db, input_noise or {}, generator, data)
    return _dataset(chosen, fields, data, attenuation_db, gain_db, attributes or {})


def _fields(model: Model, inputs: Mapping[str, ArrayLike]) -> dict[str, xr.DataArray]:
    import xarray

    missing = [n for n in model.inputs if n not in inputs]
    if missing:
        raise TraceSchemaError(f"model {model.name!r} needs the input {missing[0]}; give it")
    fields = {}
    for name in model.inputs:
        values = np.asarray(inputs[name], dtype=float)
        dims = (DIMENSION_OF.get(name, name),) if values.ndim else ()
        fields[name] = xarray.DataArray(values, dims=dims)
    return fields


def _arguments(model: Model, values: Mapping[str, float]) -> dict[str, float]:
    table = {p.name: p for p in model.parameters}
    for name in values:
        if name not in table:
            raise unknown_name(f"parameter of model {model.name!r}", name, table)
    missing = [p.name for p in model.parameters if p.vary and p.name not in values]
    neutral = {"attenuation_db": 0.0, "reference_gain": 1.0, "reference_phase": 0.0}
    neutral |= {"delay": 0.0, "mismatch": 0.0, "reflection_gain": 1.0}
    neutral |= {"reflection_phase": 0.0, "reflection_delay": 0.0}
    missing = [n for n in missing if n not in neutral]
    if missing:
        raise TraceSchemaError(
            f"no value for {', '.join(missing)} of model {model.name!r}; give it"
        )
    return {p.name: values.get(p.name, neutral.get(p.name, p.example)) for p in model.parameters}


def _check_noise(model: Model, noise: Iterable[str], input_noise: Iterable[str]) -> None:
    """A misspelt name must not give data without noise."""
    for kind, names, offered in (
        ("observable", noise, model.observables),
        ("input", input_noise, model.inputs),
    ):
        for name in names:
            if name not in offered:
                raise unknown_name(f"{kind} of model {model.name!r} (noise)", name, offered)


def _broadcast(fields: Mapping[str, xr.DataArray]) -> dict[str, xr.DataArray]:
    import xarray

    together = xarray.broadcast(*fields.values())
    return dict(zip(fields, together, strict=True))


def _observable(
    model: Model,
    curves: tuple[NDArray[Any], ...],
    name: str,
    broadcast: Mapping[str, xr.DataArray],
    gain_db: float | None,
    noise: Mapping[str, float | ArrayLike],
    generator: np.random.Generator,
    state_noise: bool,
    data: dict[str, Any],
) -> Any:
    shape = next(iter(broadcast.values()))
    curve = np.broadcast_to(curves[model.observables.index(name)], shape.shape)
    if gain_db is not None and name in WORDS and WORDS[name].kind == "power":
        curve = curve * 10 ** (gain_db / 10)
    sigma = np.broadcast_to(np.asarray(noise.get(name, 0.0), dtype=float), shape.shape)
    jitter: NDArray[Any] = generator.standard_normal(shape.shape)
    if np.iscomplexobj(curve):
        jitter = jitter + 1j * generator.standard_normal(shape.shape)
    if state_noise and (sigma > 0).all():
        data[f"{name}_std"] = (shape.dims, np.array(sigma), {"units": WORDS[name].unit})
    return shape.dims, curve + sigma * jitter, {"units": WORDS[name].unit}


def _recorded(
    fields: Mapping[str, xr.DataArray],
    attenuation_db: float | None,
    input_noise: Mapping[str, float],
    generator: np.random.Generator,
    data: dict[str, Any],
) -> dict[str, xr.DataArray]:
    recorded = dict(fields)
    if attenuation_db is not None and "incident_power" in recorded:
        recorded["incident_power"] = recorded["incident_power"] * 10 ** (attenuation_db / 10)
    for name, relative in input_noise.items():
        true = recorded[name]
        sigma = relative * abs(true)
        recorded[name] = true + sigma * generator.standard_normal(true.shape)
        data[f"{name}_std"] = (true.dims, sigma.values, {"units": WORDS[name].unit})
    return recorded


def _dataset(
    model: Model,
    fields: Mapping[str, xr.DataArray],
    data: Mapping[str, Any],
    attenuation_db: float | None,
    gain_db: float | None,
    attributes: Mapping[str, Any],
) -> InstrumentTraces:
    import xarray

    at_device = attenuation_db is None and gain_db is None
    attrs = {"plane": "device" if at_device else "instrument", "source": "simulated"}
    if "detection" in model.chosen:
        attrs["detection"] = model.chosen["detection"]
    coords = {
        n: (f.dims, f.values, {"units": WORDS[n].unit}) for n, f in fields.items() if n not in data
    }
    traces = check_traces(xarray.Dataset(dict(data), coords, attrs))
    return InstrumentTraces(traces.assign_attrs(dict(attributes)))
