"""The clauses of the contract about a model's tables, curve and exact derivatives."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from powercal import registry
from powercal.contracts import Model
from powercal.errors import ContractError
from powercal.testing._call import (
    Array,
    call,
    curve_of,
    expect_finite,
    expect_shapes,
    fault,
    frozen,
    jacobian_of,
    shown,
)
from powercal.testing.differences import differences
from powercal.testing.points import random_points, size_of
from powercal.testing.simulated import examples, open_mesh

if TYPE_CHECKING:
    import xarray as xr

# Differences of the curve are good to about nine digits; a wrong term shows in the first few.
SLOPE_TOLERANCE = 1e-6
# Vectorised functions may differ from scalar ones in the last bits.
ROUNDING = 1e-9


def check_table(model: Model) -> None:
    """The tables do not contradict themselves and use the words of the schema."""
    registry.check_model(model)


def check_summary(model: Model) -> None:
    """The summary is one line, and every row of the tables has a meaning."""
    if not model.summary.strip() or "\n" in model.summary:
        raise fault(model, "the summary must be one line that says what it is, with the source")
    meanings = {row.name: row.meaning for row in model.parameters}
    meanings |= {row.name: row.meaning for row in model.derived}
    meanings |= {option.name: option.meaning for option in model.options}
    for name in (name for name, meaning in meanings.items() if not meaning.strip()):
        raise fault(model, f"{name!r} has no meaning; say in a few words what it is")


def configurations(model: Model) -> tuple[Model, ...]:
    """Return the model for every combination of its options that it does not refuse.

    Raises
    ------
    ContractError
        A combination that raises anything but a ContractError, or all are refused.
    """
    if not model.options:
        return (model,)
    found, refusal = [], ""
    for choices in itertools.product(*(option.choices for option in model.options)):
        named = dict(zip((option.name for option in model.options), choices, strict=True))
        try:
            found.append(call(model, f"configure(**{named})", model.configure, **named))
        except ContractError as error:
            if error.__cause__ is not None:  # it escaped as something else
                raise
            refusal = str(error)
    if not found:
        raise fault(model, f"every combination of options is refused, the last one so: {refusal}")
    for configured in found:
        registry.check_model(configured)
    return tuple(found)


def representatives(model: Model) -> tuple[Model, ...]:
    """Return configurations among which every pair of choices occurs that occurs at all.

    Faults sit in one choice or in how two of them meet; trying all products of many options would
    cost hours and find the same. The first one is the first of :func:`configurations`.
    """
    candidates = [(m, _pairs(m)) for m in configurations(model)]
    missing = {pair for _, pairs in candidates for pair in pairs}
    chosen: list[Model] = []
    while missing:
        best, pairs = max(candidates, key=lambda c: len(c[1] & missing))
        best, pairs = candidates[0] if not chosen else (best, pairs)
        chosen.append(best)
        missing -= pairs
    return tuple(chosen) or (model,)


def _pairs(model: Model) -> set[tuple[tuple[str, str], ...]]:
    choices = sorted(model.chosen.items())
    size = min(2, len(choices))
    return set(itertools.combinations(choices, size)) if size else set()


def check_shapes(model: Model, traces: xr.Dataset) -> None:
    """The curve gives one array per observable, of the shape to which the inputs broadcast."""
    mesh = open_mesh(model, traces)
    shape = np.broadcast_shapes(*(v.shape for v in mesh.values()))
    flat = {n: np.broadcast_to(v, shape).ravel() for n, v in mesh.items()}
    scalar = {n: v[v.size // 2] for n, v in flat.items()}
    arrays = {n: np.asarray(v) for n, v in scalar.items()}
    full = {n: np.broadcast_to(v, shape).copy() for n, v in mesh.items()}
    for inputs in (scalar, arrays, flat, mesh, full):
        wanted = np.broadcast_shapes(*(np.shape(v) for v in inputs.values()))
        expect_shapes(model, _named(model, curve_of(model, inputs, examples(model))), wanted)
    whole = curve_of(model, mesh, examples(model))
    _expect_same(model, whole, curve_of(model, full, examples(model)), "a full and an open grid")


def _named(model: Model, arrays: list[Array]) -> dict[str, Array]:
    return dict(zip(model.observables, arrays, strict=True))


def _expect_same(model: Model, one: list[Array], other: list[Array], what: str) -> None:
    for name, first, second in zip(model.observables, one, other, strict=True):
        scale = float(np.max(np.abs(first), initial=0.0))
        if not np.allclose(first, second, rtol=ROUNDING, atol=ROUNDING * scale, equal_nan=True):
            raise fault(model, f"{name} differs between {what}; it must not depend on the layout")


def check_batches(model: Model, traces: xr.Dataset) -> None:
    """Parameters may be arrays in front of the inputs: a batch gives what its members give."""
    mesh = open_mesh(model, traces)
    inputs = np.broadcast_shapes(*(v.shape for v in mesh.values()))
    points = random_points(model, traces)
    batch = {
        row.name: np.reshape([p[row.name] for p in points], (-1, *(1,) * len(inputs)))
        for row in model.parameters
    }
    found = curve_of(model, mesh, batch)
    expect_shapes(model, _named(model, found), (len(points), *inputs))
    for i, point in enumerate(points):
        alone = curve_of(model, mesh, point)
        _expect_same(model, [a[i] for a in found], alone, "a batch of parameters and one member")


def check_finite(model: Model, traces: xr.Dataset) -> None:
    """The curve is finite at the examples and about them."""
    mesh = open_mesh(model, traces)
    for point in random_points(model, traces):
        expect_finite(model, _named(model, curve_of(model, mesh, point)), point)


def check_pure(model: Model, traces: xr.Dataset) -> None:
    """The curve and its derivatives write into nothing that they are handed."""
    parts: dict[str, Any] = {"curve": model.curve, "jacobian": model.jacobian}
    for part, function in ((p, f) for p, f in parts.items() if f is not None):
        inputs = {n: frozen(v) for n, v in open_mesh(model, traces).items()}
        values = {n: frozen(v) for n, v in examples(model).items()}
        before = {n: v.copy() for n, v in {**inputs, **values}.items()}
        try:
            call(model, part, function, *(inputs[n] for n in model.inputs), **values)
        except ContractError as error:
            if "read-only" not in str(error):
                raise
            raise fault(
                model, f"the {part} writes into what it is handed ({error.__cause__}); copy first"
            ) from error
        for name, array in {**inputs, **values}.items():
            if not np.array_equal(array, before[name], equal_nan=True):
                raise fault(model, f"the {part} changes {name!r} in place; copy first")


def check_memory(model: Model, traces: xr.Dataset) -> None:
    """The same call gives the same bits, whatever was called between."""
    mesh = open_mesh(model, traces)
    first = curve_of(model, mesh, examples(model))
    kept = [array.copy() for array in first]
    for point in random_points(model, traces)[1:]:
        curve_of(model, {n: v[::-1] if v.ndim else v for n, v in mesh.items()}, point)
    again = curve_of(model, mesh, examples(model))
    for name, *arrays in zip(model.observables, kept, first, again, strict=True):
        if not all(np.array_equal(arrays[0], other, equal_nan=True) for other in arrays[1:]):
            raise fault(model, f"{name} changes from call to call; a model has no memory")


def check_derivatives(model: Model, traces: xr.Dataset) -> None:
    """Exact derivatives agree with differences of the curve; a missing parameter has slope zero."""
    if model.jacobian is None:
        return
    mesh = open_mesh(model, traces)
    for point in random_points(model, traces):
        tables = jacobian_of(model, mesh, point)
        for row in model.parameters:

            def moved(value: Any, name: str = row.name, at: Mapping[str, Any] = point) -> Any:
                return curve_of(model, mesh, {**at, name: value})

            value, size = point[row.name], size_of(row, model, traces)
            size = value / 2 if row.scale == "log" else size
            slopes = differences(moved, value, size, row.min, row.max)
            _compare(model, tables, row.name, slopes, point, missing_is_zero=True)
        _check_input_slopes(model, mesh, tables, point)


def _check_input_slopes(
    model: Model,
    mesh: Mapping[str, Array],
    tables: list[dict[str, Array]],
    point: Mapping[str, float],
) -> None:
    for name in model.inputs:
        if not any(name in table for table in tables):
            continue

        def moved(value: Any, name: str = name) -> Any:
            return curve_of(model, {**mesh, name: value}, point)

        values = mesh[name]
        span = float(np.ptp(values)) / 10 or float(np.max(np.abs(values))) / 10
        size = np.abs(values) / 3 if name == "incident_power" else span
        slopes = differences(moved, values, size, -np.inf, np.inf)
        _compare(model, tables, name, slopes, point, missing_is_zero=False)


def _compare(
    model: Model,
    tables: list[dict[str, Array]],
    name: str,
    slopes: list[tuple[Array, float]],
    point: Mapping[str, float],
    *,
    missing_is_zero: bool,
) -> None:
    for observable, table, (slope, error) in zip(model.observables, tables, slopes, strict=True):
        if name not in table and not missing_is_zero:
            continue
        given = table.get(name, np.zeros(()))
        try:
            given = np.broadcast_to(given, slope.shape)
        except ValueError:
            raise fault(
                model,
                f"the derivative of {observable} by {name} has shape {given.shape}, which does not "
                f"broadcast to {slope.shape}",
            ) from None
        scale = float(np.max(np.abs(slope), initial=0.0))
        off = float(np.max(np.abs(given - slope), initial=0.0))
        if not off <= SLOPE_TOLERANCE * scale + 3 * error:
            what = "is missing, which means zero, but" if name not in table else "disagrees:"
            raise fault(
                model,
                f"the derivative of {observable} by {name} {what} differences of the curve "
                f"differ from it by {off:.3g} where the largest is {scale:.3g}, at {shown(point)}",
            )
