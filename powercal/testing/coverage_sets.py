"""Many data sets of one regime at once, each with its own truth, and their fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Model, Regime
from powercal.errors import FitError
from powercal.line import LineCalibration
from powercal.schema import WORDS, DeviceTraces, check_traces
from powercal.simulation import DIMENSION_OF
from powercal.testing._call import curve_of, expect_finite, fault

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[Any]
FloatArray = NDArray[np.float64]
EACH = "data_set"  # the dimension that counts them


@dataclass(frozen=True)
class DataSets:
    """Simulated data sets and what is true in each of them.

    Attributes
    ----------
    traces : Dataset
        As a laboratory would hand them to a fit, along the dimension ``data_set``.
    truth : mapping of ndarray
        (sets,) per parameter of the model and level of the line, SI.
    """

    traces: DeviceTraces
    truth: dict[str, FloatArray]


def simulate_sets(model: Model, regime: Regime, sets: int, seeds: tuple[int, ...]) -> DataSets:
    """Simulate data sets of a regime.

    Parameters
    ----------
    model, regime : Model, Regime
        The model configured for the regime.
    sets : int
        How many.
    seeds : tuple of int
        Data set i is drawn from the SeedSequence (*seeds, i): more sets begin as fewer do.

    Raises
    ------
    ContractError
        A regime that names what the model does not have.
    """
    axes = _axes(model, regime)
    draws = [np.random.default_rng(np.random.SeedSequence((*seeds, i))) for i in range(sets)]
    truth = _truth(model, regime, draws)
    shape = np.broadcast_shapes(*(a.shape for a in axes.values()))
    true = {n: _true_input(model, regime, n, a, truth) for n, a in axes.items()}
    noise = _axis_noise(regime, draws)
    rank = len(shape)
    values = {p.name: truth[p.name].reshape(-1, *(1,) * rank) for p in model.parameters}
    curves = dict(zip(model.observables, curve_of(model, true, values), strict=True))
    expect_finite(model, {n: curves[n] for n in regime.noise}, regime.values)
    data: dict[str, tuple[Array, Array]] = {}
    for name, std in regime.noise.items():
        gain, level = _gain(model, regime, name, truth)
        exact = np.broadcast_to(curves[name], (sets, *shape)) * gain.reshape(-1, *(1,) * rank)
        sigma = np.broadcast_to(np.asarray(std, dtype=float) * level, shape)
        data[name] = exact + sigma * _noise(draws, shape, np.iscomplexobj(exact)), sigma
    return DataSets(_recorded(model, regime, data, noise), truth)


# ---- truth ----


def _axes(model: Model, regime: Regime) -> dict[str, FloatArray]:
    """Return the inputs as arrays that broadcast to the grid of the data."""
    missing = [n for n in model.inputs if n not in regime.inputs]
    unknown = [n for n in regime.inputs if n not in model.inputs]
    unknown += [n for n in regime.noise if n not in model.observables]
    unknown += [n for n in (*regime.values, *regime.priors) if n not in names_of(model)]
    unknown += [n for n in regime.input_errors if n not in model.inputs]
    if missing or unknown or not regime.noise:
        what = f"needs the input {missing[0]}" if missing else "measures nothing"
        what = f"names {unknown[0]!r}, which the model does not have" if unknown else what
        raise fault(model, f"the regime {regime.name!r} {what}; mend its declaration")
    values = {n: np.asarray(regime.inputs[n], dtype=float) for n in model.inputs}
    dims = _dims(values)
    return {
        n: v.reshape([v.size if d == _dim(n) else 1 for d in dims]) if v.ndim else v
        for n, v in values.items()
    }


def names_of(model: Model) -> set[str]:
    """Return the names of a model's parameters."""
    return {p.name for p in model.parameters}


def _dim(name: str) -> str:
    return DIMENSION_OF.get(name, name)


def _dims(values: Mapping[str, FloatArray]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_dim(n) for n, v in values.items() if v.ndim))


def _truth(model: Model, regime: Regime, draws: list[np.random.Generator]) -> dict[str, FloatArray]:
    """Draw what is stated with an error about its stated value, for each data set."""
    sets = len(draws)
    stated = {p.name: float(p.example) for p in model.parameters} | dict(regime.values)
    errors = {n: float(std) for n, std in regime.priors.items()}
    for name, (value, error) in regime.line.items():
        stated[name], errors[name] = value, error
    truth = {n: np.full(sets, float(v)) for n, v in stated.items()}
    for name, error in errors.items():
        truth[name] = truth[name] + error * np.array([g.standard_normal() for g in draws])
        row = next((p for p in model.parameters if p.name == name), None)
        if row is not None and not ((truth[name] >= row.min) & (truth[name] <= row.max)).all():
            raise fault(
                model,
                f"the regime {regime.name!r} draws {name} outside its bounds {row.min:g} and "
                f"{row.max:g}; state a smaller error",
            )
    return truth


def _true_input(
    model: Model,
    regime: Regime,
    name: str,
    axis: FloatArray,
    truth: Mapping[str, FloatArray],
) -> FloatArray:
    """Return what the device really saw, (sets or 1, …)."""
    true = axis[None]
    if name == "incident_power" and _outside(model, regime, "attenuation_db"):
        more = truth["attenuation_db"] - regime.line["attenuation_db"][0]
        true = true * 10 ** (-more.reshape(-1, *(1,) * axis.ndim) / 10)
    return true


def _axis_noise(regime: Regime, draws: list[np.random.Generator]) -> dict[str, FloatArray]:
    """Draw the errors of recorded inputs, in their standard deviations.

    The truth stays where it is and the records scatter about it: about records that stay, a fit
    with errors on both axes would be biased, as it undoes the flattening that scatter makes.
    """
    shapes = {n: np.shape(regime.inputs[n]) for n in regime.input_errors}
    return {n: np.stack([g.standard_normal(s) for g in draws]) for n, s in shapes.items()}


def _outside(model: Model, regime: Regime, level: str) -> bool:
    """Whether a level of the line acts between the instrument and what the model describes."""
    return level in regime.line and level not in names_of(model)


def _gain(
    model: Model, regime: Regime, name: str, truth: Mapping[str, FloatArray]
) -> tuple[FloatArray, float]:
    """Return the true gain of every data set as a factor, and the stated one."""
    power = name in WORDS and WORDS[name].kind == "power"
    if not power or not _outside(model, regime, "gain_db"):
        return np.ones(1), 1.0
    return 10 ** (truth["gain_db"] / 10), 10 ** (regime.line["gain_db"][0] / 10)


def _noise(draws: list[np.random.Generator], shape: tuple[int, ...], complex_: bool) -> Array:
    parts = (2, *shape) if complex_ else shape
    drawn = np.stack([g.standard_normal(parts) for g in draws])
    return drawn[:, 0] + 1j * drawn[:, 1] if complex_ else drawn


# ---- what the laboratory hands over ----


def _recorded(
    model: Model,
    regime: Regime,
    data: Mapping[str, tuple[Array, Array]],
    noise: Mapping[str, FloatArray],
) -> DeviceTraces:
    import xarray

    flat = {n: np.asarray(regime.inputs[n], dtype=float) for n in model.inputs}
    dims = _dims(flat)
    if _outside(model, regime, "attenuation_db"):
        loss = 10 ** (regime.line["attenuation_db"][0] / 10)
        flat["incident_power"] = flat["incident_power"] * loss
    coords: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    for name, values in flat.items():
        own: tuple[str, ...] = (_dim(name),) if values.ndim else ()
        unit = {"units": WORDS[name].unit}
        coords[name] = (own, values, unit)
        if name in noise:
            sigma = regime.input_errors[name] * np.abs(values)
            coords[name] = ((EACH, *own), values + sigma * noise[name], unit)
            fields[f"{name}_std"] = (own, sigma, unit)
    for name, (values, sigma) in data.items():
        unit = {"units": WORDS[name].unit}
        fields[name] = ((EACH, *dims), values, unit)
        if regime.state_noise:
            fields[f"{name}_std"] = (dims, np.array(sigma), unit)
    attrs = {"source": "simulated", "plane": "instrument" if regime.line else "device"}
    attrs |= {n: v for n, v in regime.options.items() if n in ("detection", "setup")}
    attrs.setdefault("setup", "raw" if regime.line else "device")
    traces = check_traces(xarray.Dataset(fields, coords, attrs))
    if regime.line:
        levels = [regime.line.get(n) for n in ("attenuation_db", "gain_db")]
        line = LineCalibration(attenuation_db=levels[0], gain_db=levels[1])
        traces = traces.assign_attrs(line=line.to_json())
    return DeviceTraces(traces.assign_attrs(dict(regime.attributes)))


# ---- fits ----


@dataclass(frozen=True)
class Fits:
    """The fits of all data sets.

    Attributes
    ----------
    results : Dataset
        As of :func:`powercal.fit_many`.
    how : str
        ``together``, or why they had to be fitted one by one.
    """

    results: xr.Dataset
    how: str


def fit_sets(model: Model, regime: Regime, sets: DataSets) -> Fits:
    """Fit all data sets with profile intervals: together, or one by one where that is refused."""
    from powercal.fitting import fit_many

    stated = {n: (regime.values.get(n, model.parameter(n).example), s)
              for n, s in regime.priors.items()}  # fmt: skip
    wishes: dict[str, Any] = {
        "free": regime.free,
        "fixed": dict(regime.fixed),
        "priors": {n: (float(v), float(s)) for n, (v, s) in stated.items()},
        "observables": tuple(regime.noise),
        "intervals": "profile",
        **regime.options,
    }
    try:
        return Fits(fit_many(sets.traces, model, over=(EACH,), **wishes), "together")
    except FitError as refused:
        return Fits(_one_by_one(model, sets.traces, wishes), f"one by one: {refused}")


def _one_by_one(model: Model, traces: DeviceTraces, wishes: Mapping[str, Any]) -> xr.Dataset:
    import xarray

    from powercal.fitting import fit
    from powercal.fitting.batch.verdicts import CODE

    each = [
        fit(DeviceTraces(traces.isel({EACH: i})), model, **wishes)
        for i in range(traces.sizes[EACH])
    ]
    names = [e.name for e in (*each[0].parameters, *each[0].derived) if e.status != "fixed"]

    def number(value: float | None) -> float:
        return np.nan if value is None else float(value)

    def table(read: Callable[[Any], Any]) -> Array:
        return np.array([[read(result[name]) for name in names] for result in each])

    nothing = (np.nan, np.nan)
    return xarray.Dataset(
        {
            "value": ((EACH, "quantity"), table(lambda e: number(e.value))),
            "stderr": ((EACH, "quantity"), table(lambda e: number(e.stderr))),
            "status": ((EACH, "quantity"), table(lambda e: CODE[e.status])),
            "interval68": ((EACH, "quantity", "side"), table(lambda e: e.interval68 or nothing)),
            "interval95": ((EACH, "quantity", "side"), table(lambda e: e.interval95 or nothing)),
        },
        {"quantity": names},
    )
