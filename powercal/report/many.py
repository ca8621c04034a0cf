"""Results of many fits as one HDF5 file, written block by block while they are made.

::

    /   value, stderr, status, interval68, interval95     (…, quantity[, side])
        covariance                                        (…, parameter, parameter_b)
        chi2, chi2_probability, ndata, rank, pivot, outcome, evaluations, rescued, point
        attributes: powercal_fits (schema), model, options, request, solver, derivatives, …

What runs along the repeated dimensions is written as it comes; all else once. No clock, host or
user: same input, same bytes. ``xarray.open_dataset(path, engine="h5netcdf")`` opens it unread.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from powercal.errors import ReportError
from powercal.writing import replacing

SCHEMA = 1
MARK = "powercal_fits"
_NO_VARIABLE = "This is a netCDF dimension but not a netCDF variable."


def write_fits(
    path: str | os.PathLike[str], blocks: Iterable[tuple[int, int, xr.Dataset]], total: int
) -> Path:
    """Write results as they come, whole or not at all.

    Parameters
    ----------
    path : path
        The file; an old one of that name is replaced when all is there.
    blocks : iterable of (start, stop, Dataset)
        Ranges along the first dimension, without gaps, with their results.
    total : int
        Length of that dimension.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ReportError
        It cannot be written.
    """
    target = Path(path)
    try:
        with (
            replacing(target) as part,
            h5py.File(part, "w", libver=("v108", "v108"), track_order=True) as file,
        ):
            _write(file, blocks, total)
    except OSError as error:
        raise ReportError(
            f"{target} cannot be written ({error}); choose another place, or make room"
        ) from error
    return target


def _write(file: Any, blocks: Iterable[tuple[int, int, xr.Dataset]], total: int) -> None:
    from powercal.fitting.batch.table import of_all

    attrs: list[Mapping[Any, Any]] = []
    dim = ""
    for start, stop, block in blocks:
        if not dim:
            dim = str(block["value"].dims[0])
            _prepare(file, block, dim, total)
        for name, variable in block.variables.items():
            if dim in variable.dims:
                axis = variable.dims.index(dim)
                place = (slice(None),) * axis + (slice(start, stop),)
                file[str(name)][place] = _plain(variable.values)
        attrs.append(block.attrs)
    file.attrs.update(of_all(attrs))


def _plain(values: Any) -> Any:
    return values.astype(object) if values.dtype.kind in "UO" else values


def _prepare(file: Any, block: xr.Dataset, dim: str, total: int) -> None:
    """Make every array in its final size, and write what does not run along the dimension."""
    file.attrs[MARK] = SCHEMA
    for key, value in sorted(block.attrs.items()):
        file.attrs[str(key)] = value
    coordinates = [str(n) for n in block.coords if block[n].dims != (n,)]
    file.attrs["coordinates"] = " ".join(sorted(coordinates))
    sizes = {str(k): (total if k == dim else n) for k, n in block.sizes.items()}
    for name in sizes:
        if name in block.variables:
            _make(file, name, block.variables[name], dim, total)
            file[name].make_scale(name)
        else:
            scale = file.create_dataset(name, (sizes[name],), "f4", track_times=False)
            scale.make_scale(
                f"This is a netCDF dimension but not a netCDF variable.{sizes[name]:10d}"
            )
    for key, variable in block.variables.items():
        name = str(key)
        if name not in sizes:
            array = _make(file, name, variable, dim, total)
            for axis, own in enumerate(variable.dims):
                array.dims[axis].attach_scale(file[str(own)])


def _make(file: Any, name: str, variable: xr.Variable, dim: str, total: int) -> Any:
    shape = tuple(
        total if d == dim else n for d, n in zip(variable.dims, variable.shape, strict=True)
    )
    text = variable.dtype.kind in "UO"
    dtype = h5py.string_dtype() if text else variable.dtype
    array = file.create_dataset(name, shape, dtype, track_times=False)
    for key, value in sorted(variable.attrs.items()):
        array.attrs[str(key)] = value
    if dim not in variable.dims:
        array[...] = _plain(np.asarray(variable.values))
    return array


def read_fits(path: str | os.PathLike[str]) -> xr.Dataset:
    """Open what :func:`write_fits` wrote; numbers are read when they are asked for.

    Raises
    ------
    ReportError
        The file is missing, is of another kind, or of a schema that is not known.
    """
    try:
        found = xr.open_dataset(path, engine="h5netcdf", decode_times=False)
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise ReportError(
            f"{Path(path).name} cannot be opened as results of many fits "
            f"({type(error).__name__}: {error}); choose a file that fit_many wrote"
        ) from error
    schema = found.attrs.get(MARK)
    if schema is None or int(schema) != SCHEMA:
        found.close()
        said = "has none" if schema is None else f"says {int(schema)}"
        raise ReportError(
            f"{Path(path).name}: this version reads schema {SCHEMA} of many fits, the file {said}; "
            f"choose a file that fit_many wrote, or another version of powercal"
        )
    return found
