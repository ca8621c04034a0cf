"""Traces from arrays in memory: the shape of an observable says along which axes it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from powercal.errors import TraceSchemaError, unknown_name
from powercal.schema import WORDS, InstrumentTraces, check_traces, word_of

_AXES = {
    "incident_power": "power",
    "frequency": "frequency",
    "frequency_offset": "frequency_offset",
    "time": "time",
    "temperature": "temperature",
}


def traces(
    *,
    units: Mapping[str, str],
    plane: str | None = None,
    detection: str | None = None,
    transition_frequency: float | None = None,
    bath_temperature: float | None = None,
    **arrays: ArrayLike,
) -> InstrumentTraces:
    """Build traces from arrays.

    The axes are ``incident_power``, ``frequency``, ``frequency_offset``, ``time`` and
    ``temperature``, in this order: an observable of shape (n_power, n_frequency) runs over both.
    Where every axis has the length N of one-dimensional observables, they are taken point by point
    along ``trace``.

    Parameters
    ----------
    units : mapping of str to str
        The unit of every array; ``<name>_std`` has the unit of ``<name>``.
    plane : {"instrument", "device"}
        Where the powers are meant.
    detection : {"absorbed", "coherent", "total"}, optional
        What the detector sees; must be declared before a fit that depends on it.
    transition_frequency : float, optional
        In hertz.
    bath_temperature : float, optional
        In kelvin.
    **arrays
        Schema words and their values.

    Returns
    -------
    InstrumentTraces
        In SI.

    Raises
    ------
    TraceSchemaError
        Shapes that fit no axes, or fit them in several ways.

    Examples
    --------
    >>> import powercal as pc
    >>> taken = pc.traces(frequency=[5.0, 5.1], incident_power=-100.0,
    ...     excited_population=[0.1, 0.2], plane="device",
    ...     units={"frequency": "GHz", "incident_power": "dBm", "excited_population": "1"})
    >>> taken.sizes["frequency"]
    2
    """
    import xarray as xr

    values = {name: np.asarray(array) for name, array in arrays.items()}
    _check_words(values, units)
    axes = {name: value for name, value in values.items() if name in _AXES}
    observables = {name: value for name, value in values.items() if name not in _AXES}
    dims = _dimensions(axes, observables)
    attrs: dict[str, Any] = {"plane": plane}
    for key, value in (
        ("detection", detection),
        ("transition_frequency", transition_frequency),
        ("bath_temperature", bath_temperature),
    ):
        if value is not None:
            attrs[key] = value
    variables = {
        name: (dims[name], value, {"units": units[name.removesuffix("_std")]})
        for name, value in values.items()
    }
    return check_traces(
        xr.Dataset(
            {name: variables[name] for name in observables},
            {name: variables[name] for name in axes},
            attrs,
        )
    )


def _check_words(values: Mapping[str, Any], units: Mapping[str, str]) -> None:
    for name in values:
        if word_of(name) is None:
            raise unknown_name("schema word", name, WORDS)
        if name.removesuffix("_std") not in units:
            raise TraceSchemaError(
                f"{name!r} has no unit; add it, for example units={{{name.removesuffix('_std')!r}: "
                f"{WORDS[name.removesuffix('_std')].unit!r}}}"
            )
    for name in units:
        if name not in values:
            raise TraceSchemaError(
                f"units names {name!r}, but there is no such array; pass it or leave the unit out"
            )


def _dimensions(
    axes: Mapping[str, Any], observables: Mapping[str, Any]
) -> dict[str, tuple[str, ...]]:
    for name, value in axes.items():
        if value.ndim > 1:
            raise _no_shape(f"{name} has shape {value.shape}, but an axis has one dimension")
    lengths = {_AXES[n]: axes[n].size for n in _AXES if n in axes and axes[n].ndim == 1}
    shapes = {value.shape for value in observables.values() if value.ndim}
    if len(lengths) > 1 and len(set(lengths.values())) == 1:
        count = next(iter(lengths.values()))
        if shapes == {(count,)}:
            # Every axis as long as every observable: a list of points, not a grid.
            return {n: ("trace",) * v.ndim for n, v in {**axes, **observables}.items()}
    dims: dict[str, tuple[str, ...]] = {n: (_AXES[n],) * v.ndim for n, v in axes.items()}
    for name, value in observables.items():
        dims[name] = _observable_dimensions(name, value.shape, lengths)
    return dims


def _observable_dimensions(
    name: str, shape: tuple[int, ...], lengths: Mapping[str, int]
) -> tuple[str, ...]:
    full = tuple(lengths)
    if shape == tuple(lengths.values()):
        return full
    fits = [] if len(shape) != 1 else [dim for dim, size in lengths.items() if (size,) == shape]
    if len(fits) == 1:
        return (fits[0],)
    if shape == ():
        return ()
    grid = ", ".join(f"{dim} {size}" for dim, size in lengths.items()) or "no axis"
    if fits:
        raise _no_shape(f"{name} of shape {shape} could run over {' or '.join(fits)} ({grid})")
    raise _no_shape(f"{name} has shape {shape}, which does not fit the axes ({grid})")


def _no_shape(found: str) -> TraceSchemaError:
    return TraceSchemaError(
        f"{found}; order axes as power, frequency, time, or pass an xarray.Dataset with named "
        f"dimensions to powercal.open_traces"
    )
