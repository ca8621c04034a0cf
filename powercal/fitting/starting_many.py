"""Starting values of many traces, from models that take stacks and from those that do not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Model
from powercal.errors import FitError, PowercalError
from powercal.models.batch_start import BATCH_DIMS
from powercal.schema import DeviceTraces

FloatArray = NDArray[np.float64]

_PROBED = 2  # traces of the stack with which a model is asked whether it takes stacks


def guess_many(
    model: Model,
    traces: DeviceTraces,
    fixed: Mapping[str, Any],
    batch_dims: tuple[str, ...],
) -> dict[str, FloatArray]:
    """Ask a model for the starting values of a stack of traces.

    A model that takes stacks is asked once for all; any other is asked trace by trace. Which it
    is, is seen by asking it for a small piece: who takes stacks answers with arrays of its shape.

    Parameters
    ----------
    model : Model
        Configured, if it has options.
    traces : DeviceTraces
        Data at the device, with ``batch_dims`` beside the dimensions of one trace.
    fixed : mapping
        Values that are held (or known): numbers, or arrays that broadcast to the batch dimensions.
    batch_dims : tuple of str
        The dimensions that count traces.

    Returns
    -------
    dict of ndarray
        By parameter, one value for every trace, the batch dimensions flattened (the last runs
        fastest); NaN where the model finds no start.

    Raises
    ------
    FitError
        The traces lack a batch dimension, or no single trace has a start.
    """
    absent = [dim for dim in batch_dims if dim not in traces.sizes]
    if absent:
        raise FitError(
            f"the traces have no dimension {absent[0]!r} to count them by; they have "
            f"{', '.join(map(str, traces.sizes))}"
        )
    shape = tuple(int(traces.sizes[dim]) for dim in batch_dims)
    if prod(shape) > 1 and takes_stacks(model, traces, fixed, batch_dims):
        return _flat(_asked(model, traces, fixed, batch_dims), shape)
    return _one_by_one(model, traces, fixed, batch_dims, shape)


def takes_stacks(
    model: Model,
    traces: DeviceTraces,
    fixed: Mapping[str, Any],
    batch_dims: tuple[str, ...],
) -> bool:
    """Whether the model's guess understands ``batch_dims``, asked with a small piece."""
    if not batch_dims:
        return False
    piece = {dim: slice(0, _PROBED) for dim in batch_dims}
    some = DeviceTraces(traces.isel(piece))
    shape = tuple(int(some.sizes[dim]) for dim in batch_dims)
    whole = tuple(int(traces.sizes[dim]) for dim in batch_dims)
    held = {name: _piece(value, whole, tuple(piece.values())) for name, value in fixed.items()}
    try:
        found = _asked(model, some, held, batch_dims)
    # A guess that knows nothing of stacks may fall over one in any of these ways.
    except (PowercalError, TypeError, ValueError, LookupError, ArithmeticError):
        return False
    shapes = [np.shape(start) for start in found.values()]
    return shape in shapes and all(s in (shape, ()) for s in shapes)


def _asked(
    model: Model, traces: DeviceTraces, fixed: Mapping[str, Any], batch_dims: tuple[str, ...]
) -> Mapping[str, Any]:
    stack = traces.assign_attrs({BATCH_DIMS: json.dumps(list(batch_dims))})
    return model.guess(DeviceTraces(stack), fixed)


def _piece(value: Any, shape: tuple[int, ...], index: tuple[Any, ...]) -> Any:
    """Return a held value for some of the traces."""
    if np.ndim(value) == 0:
        return value
    return np.broadcast_to(np.asarray(value, dtype=float), shape)[index]


def _flat(found: Mapping[str, Any], shape: tuple[int, ...]) -> dict[str, FloatArray]:
    return {
        name: np.broadcast_to(np.asarray(start, dtype=float), shape).reshape(-1).copy()
        for name, start in found.items()
    }


def _one_by_one(
    model: Model,
    traces: DeviceTraces,
    fixed: Mapping[str, Any],
    batch_dims: tuple[str, ...],
    shape: tuple[int, ...],
) -> dict[str, FloatArray]:
    found: dict[str, FloatArray] = {}
    refusal: FitError | None = None
    for place, index in enumerate(np.ndindex(*shape)):
        one = DeviceTraces(traces.isel(dict(zip(batch_dims, index, strict=True))))
        held = {name: float(_piece(value, shape, index)) for name, value in fixed.items()}
        try:
            start = _asked(model, one, held, ())
        except FitError as reason:
            refusal = reason
            continue
        for name, value in start.items():
            values = found.setdefault(name, np.full(prod(shape), np.nan))
            values[place] = float(np.asarray(value).ravel()[0])
    if not found and refusal is not None:
        raise refusal
    return found
