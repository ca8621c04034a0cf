"""The clauses of the contract about a model's guess, its derived quantities and a whole fit."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from powercal.contracts import Model
from powercal.errors import FitError
from powercal.result import FitResult
from powercal.schema import DeviceTraces
from powercal.testing._call import Array, call, fault, frozen
from powercal.testing.points import random_points
from powercal.testing.results import check_result
from powercal.testing.simulated import examples

if TYPE_CHECKING:
    import xarray as xr

STACKED = "stack_of_traces"  # the dimension that the kit counts its traces by
# A stack and its traces follow one algorithm; sums of other lengths round differently.
SAME = 1e-6
# Gaussian noise of fixed seed: one parameter in 500 million is off by six standard errors.
SIGMAS = 6.0


def check_guess(model: Model, traces: xr.Dataset) -> None:
    """The guess gives finite starts inside the bounds, and writes into nothing.

    It is asked with all that the traces hold, with gaps (NaN), with one observable at a time (a
    FitError may refuse), with every parameter in turn fixed, and with a stack of traces if it
    takes stacks.
    """
    ask_guess(model, traces, {})
    ask_guess(model, _with_gaps(model, traces), {})
    for row in model.parameters:
        ask_guess(model, traces, {row.name: float(row.example)})
    held = [name for name in model.observables if name in traces]
    for name in held if len(held) > 1 else ():
        others = [n for other in held for n in (other, f"{other}_std") if other != name]
        try:
            ask_guess(model, traces.drop_vars(others, errors="ignore"), {})
        except FitError:
            continue  # a clear refusal is an answer
    check_stacks(model, traces)


def ask_guess(model: Model, traces: xr.Dataset, fixed: Mapping[str, float]) -> dict[str, Array]:
    """Ask a model for starting values and refuse what a solver could not start from."""
    handed = _read_only(traces)
    found = call(model, "guess", model.guess, DeviceTraces(handed), MappingProxyType(dict(fixed)))
    if not handed.identical(traces):
        raise fault(model, "the guess changes the traces that it is handed; copy first")
    if not isinstance(found, Mapping):
        raise fault(
            model, f"the guess gives {type(found).__name__}; it must be a mapping name: start"
        )
    table = {row.name: row for row in model.parameters}
    for name, start in found.items():
        if name not in table:
            raise fault(model, f"the guess gives {name!r}, which is no parameter of the model")
        row, values = table[name], np.asarray(start)
        if values.size != 1 or values.dtype.kind not in "fiu":
            raise fault(model, f"the guess of {name} must be one real number, not {start!r}")
        if not np.isfinite(values).all() or (values < row.min).any() or (values > row.max).any():
            raise fault(
                model,
                f"the guess of {name} is {float(values.ravel()[0]):.6g}, outside its bounds "
                f"{row.min:g} and {row.max:g}",
            )
    return dict(found)


def check_stacks(model: Model, traces: xr.Dataset) -> None:
    """A guess that takes stacks gives for each of many traces what it gives for that one alone.

    A trace without data is NaN and does not disturb the others. The inputs are shared by all
    traces first, then given for each. A guess that leaves ``attrs["batch_dims"]`` alone passes.
    """
    from powercal.fitting.starting_many import guess_many, takes_stacks

    empty = traces.copy()
    for name in model.observables:
        if name in empty:
            empty[name] = empty[name] * np.nan
    members = [traces, _with_gaps(model, traces), empty]
    alone = [ask_guess(model, one, {}) for one in members[:-1]]
    for stack in (_stacked(model, members, False), _stacked(model, members, True)):
        handed = DeviceTraces(stack)
        if not takes_stacks(model, handed, {}, (STACKED,)):
            return
        found = call(model, "guess", guess_many, model, handed, {}, (STACKED,))
        _expect_each(model, found, alone)


def _expect_each(model: Model, found: Mapping[str, Array], alone: list[dict[str, Array]]) -> None:
    for name in alone[0]:
        if name not in found:
            raise fault(model, f"the guess gives {name} for one trace, but not for a stack of them")
    for name, values in found.items():
        if not np.isnan(values[-1]):
            raise fault(
                model,
                f"the guess of {name} is {values[-1]:.6g} for a trace without data among others; "
                f"it must be NaN",
            )
        for i, single in enumerate(alone):
            wanted = float(np.asarray(single.get(name, np.nan)))
            size = max(abs(wanted), SAME * abs(model.parameter(name).example))
            if not abs(values[i] - wanted) <= SAME * size:
                raise fault(
                    model,
                    f"the guess of {name} is {values[i]:.9g} for trace {i} of a stack and "
                    f"{wanted:.9g} for that trace alone; batch_dims must not change it",
                )


def _stacked(model: Model, members: list[xr.Dataset], inputs: bool) -> xr.Dataset:
    """Put traces over the same points on top of each other, with or without their inputs."""
    first = members[0]
    points = {d: f"points_of_{d}" for d in first.dims if d in first.coords}
    plain = [one.drop_indexes(list(points)).rename_dims(points) for one in members]
    stack = plain[0].copy()
    changing = [n for n in model.observables if n in first] + list(model.inputs) * inputs
    for name in changing:
        values = np.stack([one[name].values for one in plain])
        stack[name] = ((STACKED, *plain[0][name].dims), values)
    return stack


def _read_only(traces: xr.Dataset) -> xr.Dataset:
    copy = traces.copy(deep=True)
    for name in copy.variables:
        if name not in copy.indexes:  # an index keeps its values to itself
            copy[name] = copy[name].copy(data=frozen(copy[name].values))
    return copy


def _with_gaps(model: Model, traces: xr.Dataset) -> xr.Dataset:
    """Lose one point in ten, as data on different grids joined would have lost them."""
    rng = np.random.default_rng(1)
    lost = traces.copy(deep=True)
    for name in model.observables:
        if name in lost:
            gaps = rng.random(lost[name].shape) < 0.1
            lost[name] = lost[name].copy(data=np.where(gaps, np.nan, lost[name].values))
    return lost


def check_derived(model: Model, traces: xr.Dataset) -> None:
    """Derived quantities rest on parameters, are finite at the examples and work elementwise."""
    names = {row.name for row in model.parameters}
    points = random_points(model, traces)
    for quantity in model.derived:
        for argument in quantity.arguments:
            if argument not in names:
                raise fault(model, f"{quantity.name!r} needs {argument!r}, which is no parameter")

        def value(values: Mapping[str, Any], quantity: Any = quantity) -> Array:
            handed = {a: frozen(values[a]) for a in quantity.arguments}
            return np.asarray(call(model, quantity.name, quantity.function, **handed))

        single = [value(point) for point in points]
        if single[0].shape != () or not np.isfinite(single[0]):
            raise fault(model, f"{quantity.name} is {single[0]} at the examples; it must be finite")
        together = value({a: [point[a] for point in points] for a in quantity.arguments})
        if together.shape != (len(points),) or not np.allclose(together, single, rtol=1e-9, atol=0):
            raise fault(model, f"{quantity.name} does not work elementwise on arrays of parameters")


def check_fit(model: Model, traces: xr.Dataset, *, truth: bool = True) -> tuple[str, ...]:
    """A fit finds the examples again, and its derived errors go through the covariance.

    Parameters
    ----------
    model, traces : Model, Dataset
        Traces made by :func:`powercal.testing.make_traces` if ``truth``.
    truth : bool
        Whether the traces are the model's curve at its examples.

    Returns
    -------
    tuple of str
        The derived quantities whose errors were verified.

    Raises
    ------
    ContractError
        What was not found again, or is not propagated.
    """
    result = determined_fit(model, DeviceTraces(traces))
    expected = examples(model)
    for estimate in result.parameters if truth else ():
        if estimate.stderr is None or estimate.value is None or estimate.name not in expected:
            continue
        off = abs(estimate.value - expected[estimate.name]) / estimate.stderr
        if off > SIGMAS:
            raise fault(
                model,
                f"a fit to its own curve gives {estimate.name} = {estimate.value:.6g} ± "
                f"{estimate.stderr:.2g} where {expected[estimate.name]:.6g} is true ({off:.0f} σ); "
                f"the guess leads astray, or the curve and its derivatives disagree",
            )
    return check_result(result, model)


def determined_fit(
    model: Model, traces: DeviceTraces, fixed: Mapping[str, float] | None = None
) -> FitResult:
    """Fit, holding at its example one parameter after the other that the data leave open."""
    from powercal.fitting import fit

    held: dict[str, float] = dict(fixed or {})
    options: dict[str, Any] = dict(model.chosen)
    while True:
        result = fit(traces, model, fixed=held, intervals="covariance", **options)
        if not result.undetermined:
            return result
        name = result.undetermined[0]
        held[name] = float(model.parameter(name).example)
