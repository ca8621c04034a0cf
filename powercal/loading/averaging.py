"""Average repeated traces; the scatter among the repeats tells the error of their mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from powercal.errors import TraceSchemaError, unknown_name
from powercal.schema import WORDS, DeviceTraces, InstrumentTraces, with_flag
from powercal.sources import refuse_averaging

if TYPE_CHECKING:
    import xarray as xr

Traces = TypeVar("Traces", InstrumentTraces, DeviceTraces)
Array = NDArray[Any]

# From fewer repeats a standard deviation per point is too rough for a weight: its own relative
# error is 1/√(2(n−1)), and 1/s² is too large by (n−1)/(n−3) on average.
FEW = 100
_AXES = ("time", "frequency", "frequency_offset", "incident_power", "temperature")


def average(traces: Traces, dim: str) -> Traces:
    """Average over a dimension; entries that are not there (NaN) do not count.

    Parameters
    ----------
    traces : InstrumentTraces or DeviceTraces
        The traces.
    dim : str
        The dimension of the repeats, for example ``"repetition"``.

    Returns
    -------
    InstrumentTraces or DeviceTraces
        Without the dimension. Every word of the schema that ran along it has ``<name>_std``, the
        standard error of the mean from the scatter (of each quadrature for complex ones), pooled
        over the trace where a point has fewer than 100 repeats. The flags say so.

    Raises
    ------
    TraceSchemaError
        There is no such dimension, or what was swept or a named error differs along it.
    """
    if dim not in traces.dims:
        raise TraceSchemaError(f"{unknown_name('dimension', dim, map(str, traces.dims))}")
    swept = [n for n in _AXES if n in traces.variables and dim in traces[n].dims]
    if swept:
        raise TraceSchemaError(
            f"{swept[0]} differs along {dim!r}, which cannot be averaged then; choose another "
            f"dimension"
        )
    refuse_averaging(traces, dim)
    spread = [str(n) for n, v in traces.data_vars.items() if dim in v.dims]
    averaged: Any = traces.drop_vars([n for n, v in traces.variables.items() if dim in v.dims])
    for name in spread:
        if not name.endswith("_std") and traces[name].dtype.kind in "fciu":
            averaged = _with_mean(averaged, traces[name], dim)
    found: Traces = averaged  # both kinds are datasets; only their names differ
    return found


def _with_mean(averaged: xr.Dataset, variable: xr.DataArray, dim: str) -> xr.Dataset:
    name, rest = str(variable.name), [d for d in variable.dims if d != dim]
    values = variable.transpose(dim, ...).values
    there = np.isfinite(values)
    count = there.sum(axis=0)
    mean = np.where(there, values, 0).sum(axis=0) / np.where(count > 0, count, np.nan)
    averaged = averaged.assign({name: (rest, mean, dict(variable.attrs))})
    if name not in WORDS:
        return averaged
    error, told = _error(values, there, mean, count, _along(averaged, rest))
    if error is not None:
        attrs = {"units": variable.attrs.get("units", "1")}
        averaged = averaged.assign({f"{name}_std": (rest, error, attrs)})
    numbers = f"{count.min()} to {count.max()}" if count.min() < count.max() else f"{count.max()}"
    return with_flag(averaged, f"{name} is the mean of {numbers} entries along {dim!r}; {told}")


def _along(averaged: xr.Dataset, dims: list[Any]) -> int:
    """Return the axis that a trace runs along: that of what was swept, else the last."""
    swept = [
        d for n in _AXES if n in averaged.variables for d in averaged[n].dims[-1:] if d in dims
    ]
    return dims.index(swept[0]) if swept else -1


def _error(
    values: Array, there: Array, mean: Array, count: Array, axis: int
) -> tuple[Array | None, str]:
    """Return the standard error of every mean (NaN where nothing is), and how it was found."""
    squares = np.where(there, np.abs(values - mean) ** 2, 0.0)
    squares = squares.sum(axis=0) / (2 if np.iscomplexobj(values) else 1)
    freedom = np.maximum(count - 1, 0)
    root = np.sqrt(np.where(count > 0, count, np.nan))
    if count.max() >= FEW and count[count > 0].min() >= FEW:
        deviation = np.sqrt(squares / np.maximum(freedom, 1))
        return deviation / root, "its error is that of their scatter, point by point"
    pooled = freedom.sum(axis=axis, keepdims=True)
    if (pooled[(count > 0).any(axis=axis, keepdims=True)] == 0).any():
        return None, "single entries have no scatter, so that its error is not known"
    variance = squares.sum(axis=axis, keepdims=True) / np.where(pooled > 0, pooled, np.nan)
    return np.sqrt(variance) / root, "its error is that of their scatter, pooled over each trace"
