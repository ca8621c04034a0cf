"""Data larger than memory: opened without being read, and read, checked and joined in blocks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from powercal.errors import LoaderError
from powercal.loading.files import existing_file
from powercal.schema import DeviceTraces, InstrumentTraces, check_traces

if TYPE_CHECKING:
    import xarray as xr

UNCHECKED = "opened_unread"  # holds the path, and goes when a block is read


def open_large(source: str | os.PathLike[str]) -> InstrumentTraces:
    """Open a file of powercal's own (or netCDF-4 in the schema's words) without reading it.

    Its numbers are read, checked against the schema and brought to SI block by block, by
    :func:`powercal.fit_many`.

    Parameters
    ----------
    source : path
        HDF5 with dimension scales.

    Returns
    -------
    InstrumentTraces
        Lazy arrays.

    Raises
    ------
    LoaderError
        The file is missing, or is not of this kind.
    """
    import xarray

    path = existing_file(source)
    try:
        data = xarray.open_dataset(path, engine="h5netcdf", decode_times=False, cache=False)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise LoaderError(
            f"{path.name} cannot be opened without reading it ({type(error).__name__}: {error}); "
            f"write it with powercal.loaders.hdf5.save_traces, or read it whole with open_traces"
        ) from error
    attrs = {k: v for k, v in data.attrs.items() if k != "powercal_traces"}
    # A file may say where its own data came from; now they come from it.
    here = {UNCHECKED: str(path.resolve()), "source": path.name, "loader": "hdf5"}
    data = data.drop_attrs(deep=False).assign_attrs(attrs | here)
    return InstrumentTraces(_paired(data))


def _paired(data: xr.Dataset) -> xr.Dataset:
    """Let every complex variable have its name (and dimensions) before its parts are joined."""
    for name in list(data.variables):
        base = str(name).removesuffix("_real")
        if base != name and f"{base}_imag" in data.variables:
            data = data.assign({base: data[name]})
    return data


def _joined(part: xr.Dataset) -> xr.Dataset:
    from powercal.loaders.hdf5 import join_complex

    doubled = [n for n in part.variables if f"{n}_real" in part.variables]
    return join_complex(part.drop_vars(doubled))


def file_of(traces: xr.Dataset) -> str | None:
    """Return the file of traces that :func:`open_large` opened; None for others."""
    return traces.attrs.get(UNCHECKED)


def read_block(traces: DeviceTraces, dim: str, first: int, last: int) -> DeviceTraces:
    """Return one range along a dimension, in memory and checked.

    Raises
    ------
    TraceSchemaError, UnitError
        The block does not hold what the schema asks for.
    """
    part: xr.Dataset = traces.isel({dim: slice(first, last)}).compute()
    if UNCHECKED in part.attrs:
        part.attrs = {k: v for k, v in part.attrs.items() if k != UNCHECKED}
        part = check_traces(_joined(part))
    return DeviceTraces(part)
