"""The problem of a measurement not yet made: supposed values, grid, noise, line."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from powercal.contracts import Model, Parameter
from powercal.errors import FitError
from powercal.fitting.build import Request, make_problem, make_table, options_from
from powercal.fitting.common_errors import CommonErrors, find_common_errors
from powercal.fitting.grid import choose_observables, make_grid
from powercal.fitting.problem import Problem
from powercal.line import LineCalibration, Tabulated, to_device_plane
from powercal.registry import get_model
from powercal.schema import WORDS, DeviceTraces, InstrumentTraces
from powercal.simulation import simulate
from powercal.sources import ErrorSource, with_errors

if TYPE_CHECKING:
    import xarray as xr

FloatArray = NDArray[np.float64]
_LEVELS = ("attenuation_db", "gain_db")


@dataclass(frozen=True)
class Supposed:
    """A supposed measurement.

    Attributes
    ----------
    problem, x : Problem, ndarray
        On the given grid and all candidates together; the solver's point at the truth.
    base : Problem
        On the given grid alone, same coordinates.
    measured : ndarray
        1 for points of the given grid, 0 for those that only may be measured.
    """

    traces: DeviceTraces
    problem: Problem
    x: FloatArray
    base: Problem
    common: CommonErrors
    measured: FloatArray
    rows: tuple[Parameter, ...]


def suppose(
    model: str | Model,
    values: Mapping[str, float],
    *,
    inputs: Mapping[str, ArrayLike],
    noise: Mapping[str, float | ArrayLike],
    line: LineCalibration | None,
    input_noise: Mapping[str, float],
    errors: Iterable[ErrorSource],
    wishes: Mapping[str, Any],
    candidates: Mapping[str, ArrayLike],
    attributes: Mapping[str, Any],
    options: Mapping[str, str],
) -> Supposed:
    """Build the problem that a fit of such a measurement would solve, at the supposed truth.

    Raises
    ------
    FitError
        Values outside bounds, noise that is missing, candidates that cannot be compared.
    """
    chosen = (get_model(model) if isinstance(model, str) else model).configure(**options)
    wider = _wider(chosen, inputs, noise, candidates)
    levels = _levels(values, line)
    request = _request(chosen, {**values, **levels}, wishes)
    truth = {**values, **request.fixed}

    def on(grid: Mapping[str, ArrayLike]) -> _Built:
        quiet = _quiet(chosen, truth, grid, tuple(noise), request, line, levels, attributes)
        noisy = _with_noise(quiet, chosen, noise, input_noise)
        data = with_errors(noisy, *errors)
        return _built(data, chosen, request, line, {**truth, **levels}, options)

    built = [on(grid) for grid in ((inputs, wider) if wider else (inputs,))]
    base, problem = built[0].problem, built[-1].problem
    x = _point(problem, {**truth, **levels})
    if wider and len(base.coordinates) != len(problem.coordinates):
        raise FitError(
            "parameters that differ between traces cannot be planned with candidates, which are "
            "traces of their own; leave candidates out"
        )
    base = dataclasses.replace(base, coordinates=problem.coordinates)
    common = built[-1].common
    return Supposed(
        traces=built[0].traces,
        problem=problem,
        x=x,
        base=dataclasses.replace(base, modes=built[0].common.modes(base, x)),
        common=common,
        measured=_measured(base, problem),
        rows=built[0].rows,
    )


@dataclass(frozen=True)
class _Built:
    traces: DeviceTraces
    problem: Problem
    common: CommonErrors
    rows: tuple[Parameter, ...]


def _request(model: Model, truth: Mapping[str, float], wishes: Mapping[str, Any]) -> Request:
    """Return the wishes of the fit; what it would hold, it holds at the supposed truth."""
    request = Request(
        free=tuple(wishes["free"]),
        fixed=dict(wishes["fixed"] or {}),
        priors=dict(wishes["priors"] or {}),
        observables=tuple(wishes["observables"]),
    )
    freed = {*request.free, *request.priors}
    held = {p.name for p in model.parameters if not p.vary} & set(truth) - freed
    return dataclasses.replace(request, fixed={n: truth[n] for n in held} | dict(request.fixed))


def _quiet(
    model: Model,
    truth: Mapping[str, float],
    inputs: Mapping[str, ArrayLike],
    noisy: tuple[str, ...],
    request: Request,
    line: LineCalibration | None,
    levels: Mapping[str, float],
    attributes: Mapping[str, Any],
) -> xr.Dataset:
    """Return the curve at the supposed truth as data without noise."""
    names = request.observables or model.observables
    silent = [n for n in names if n not in noisy]
    if silent and (request.observables or not noisy):
        raise FitError(f"the noise of {silent[0]} is not given; say noise={{'{silent[0]}': σ}}")
    own = {p.name for p in model.parameters}
    known = {**truth, **levels}
    # Some models carry the line in their own table; else it acts between device and instrument.
    return simulate(
        model,
        {k: v for k, v in known.items() if line is None or k in own or k not in _LEVELS},
        inputs=inputs,
        seed=0,
        observables=[n for n in names if n in noisy],
        attenuation_db=None if "attenuation_db" in own else levels.get("attenuation_db"),
        gain_db=None if "reference_gain" in own else levels.get("gain_db"),
        attributes={**({} if line is None else {"plane": "instrument"}), **attributes},
        state_noise=False,
    )


def _built(
    data: InstrumentTraces,
    model: Model,
    request: Request,
    line: LineCalibration | None,
    truth: Mapping[str, float],
    options: Mapping[str, str],
) -> _Built:
    """Build what a fit would, around the truth."""
    traces = DeviceTraces(data) if line is None else to_device_plane(data, line)
    traces, fitted = choose_observables(traces, model, request.observables)
    model = model.configure(**options_from(traces, model, options, fitted))
    problem = make_problem(traces, model, fitted, request, truth)
    common = find_common_errors(traces, problem, make_grid(traces, model, fitted))
    problem = dataclasses.replace(problem, uncertain_inputs=common.uncertain_inputs)
    return _Built(traces, problem, common, make_table(traces, model, fitted, request).rows)


def _with_noise(
    recorded: xr.Dataset,
    model: Model,
    noise: Mapping[str, float | ArrayLike],
    input_noise: Mapping[str, float],
) -> InstrumentTraces:
    """Write the standard deviations beside data without noise."""
    fields = {}
    for name in noise:
        if name in recorded:
            shape = recorded[name].shape
            sigma = np.array(np.broadcast_to(np.asarray(noise[name], dtype=float), shape))
            if not (sigma > 0).all():
                raise FitError(f"the noise of {name} must be positive everywhere")
            unit = {"units": WORDS[name].unit}
            fields[f"{name}_std"] = (recorded[name].dims, sigma, unit)
        elif name not in model.observables:
            raise FitError(
                f"model {model.name!r} has no observable {name} (noise); it predicts "
                f"{', '.join(model.observables)}"
            )
    for name, relative in input_noise.items():
        if name not in model.inputs or not relative > 0:
            raise FitError(
                f"input_noise of {name} is {relative!r}; give a positive share of one of "
                f"{', '.join(model.inputs)}"
            )
        sigma = relative * np.abs(recorded[name].values)
        fields[f"{name}_std"] = (recorded[name].dims, sigma, {"units": WORDS[name].unit})
    return InstrumentTraces(recorded.assign(fields))


def _levels(values: Mapping[str, float], line: LineCalibration | None) -> dict[str, float]:
    """Return the supposed levels of the line: those given, else those the line is known to have."""
    if line is None:
        return {}
    found = {}
    for name in _LEVELS:
        level = getattr(line, name)
        if isinstance(level, Tabulated):
            raise FitError(f"a plan takes one number for {name}, not a table; give its middle")
        found[name] = float(values.get(name, 0.0 if level is None else level[0]))
    return found


def _wider(
    model: Model,
    inputs: Mapping[str, ArrayLike],
    noise: Mapping[str, float | ArrayLike],
    candidates: Mapping[str, ArrayLike],
) -> dict[str, FloatArray]:
    """Return the given grid with the candidates put in between."""
    for name in candidates:
        if name not in model.inputs:
            raise FitError(
                f"candidates for {name}, which model {model.name!r} does not read; it reads "
                f"{', '.join(model.inputs)}"
            )
    if candidates and any(np.size(v) > 1 for v in noise.values()):
        raise FitError("with candidates the noise must be one number per observable; give one")
    if not candidates:
        return {}
    return {
        n: np.union1d(np.ravel(inputs[n]), np.ravel(candidates[n])) if n in candidates else v
        for n, v in ((n, np.asarray(v, dtype=float)) for n, v in inputs.items())
    }


def _measured(base: Problem, problem: Problem) -> FloatArray:
    """Mark the points of the given grid among all."""
    names = list(base.inputs)
    given = set(zip(*(base.inputs[n].tolist() for n in names), strict=True))
    every = zip(*(problem.inputs[n].tolist() for n in names), strict=True)
    return np.array([float(point in given) for point in every])


def _point(problem: Problem, truth: Mapping[str, float]) -> FloatArray:
    """Return the solver's point of the truth, which must lie inside the bounds."""
    for c in problem.coordinates:
        value = truth.get(c.name, truth.get(c.parameter))
        if value is not None and not c.low <= value <= c.high:
            raise FitError(
                f"{c.name} is supposed to be {value:g}, outside its bounds {c.low:g} … {c.high:g}"
            )
    examples = {p.name: p.example for p in problem.model.parameters}
    return problem.start_from(examples | dict(truth))
