"""powercal's own HDF5, its report files, and netCDF-4 that uses the schema's words."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from powercal.contracts import Loader
from powercal.errors import LoaderError, TraceSchemaError
from powercal.hookspecs import hookimpl
from powercal.loaders._guard import dataset as array_at
from powercal.loaders._guard import is_hdf5, member, open_hdf5, text
from powercal.schema import WORDS, InstrumentTraces

if TYPE_CHECKING:
    import xarray as xr

MARK = "powercal_traces"
REPORT_MARK = "powercal_schema"
_NO_VARIABLE = "This is a netCDF dimension but not a netCDF variable."
_HOUSEKEEPING = {
    "CLASS",
    "NAME",
    "REFERENCE_LIST",
    "DIMENSION_LIST",
    "DIMENSION_LABELS",
    "_Netcdf4Dimid",
    "_Netcdf4Coordinates",
    "_NCProperties",
    "_nc3_strict",
}


def dataset_to_group(group: Any, dataset: xr.Dataset) -> None:
    """Write a dataset as plain HDF5 that netCDF readers understand.

    Parameters
    ----------
    group : h5py.Group
        An empty group.
    dataset : xarray.Dataset
        Numbers, booleans and text; complex ones become ``<name>_real`` and ``<name>_imag``.

    Raises
    ------
    TraceSchemaError
        A name, type or attribute that cannot come back the same.
    """
    stored = _stored_variables(dataset)
    _write_attributes(group, dict(dataset.attrs), "the dataset")
    coordinates = [n for n, (v, c) in sorted(stored.items()) if c and v.dims != (n,)]
    if coordinates:
        group.attrs["coordinates"] = " ".join(coordinates)
    for dim in sorted(str(key) for key in dataset.sizes):
        if dim in stored:
            _write_array(group, dim, stored[dim][0]).make_scale(dim)
        else:
            # Dimensions without values are marked the way netCDF-4 marks them.
            scale = group.create_dataset(
                dim, shape=(dataset.sizes[dim],), dtype="f4", track_times=False
            )
            scale.make_scale(f"{_NO_VARIABLE}{dataset.sizes[dim]:10d}")
    for name, (variable, _) in sorted(stored.items()):
        if name in dataset.sizes:
            continue
        array = _write_array(group, name, variable)
        for axis, key in enumerate(variable.dims):
            array.dims[axis].attach_scale(group[str(key)])


def _stored_variables(dataset: xr.Dataset) -> dict[str, tuple[xr.Variable, bool]]:
    stored: dict[str, tuple[xr.Variable, bool]] = {}
    for key, variable in dataset.variables.items():
        name, coordinate = str(key), key in dataset.coords
        if name in dataset.sizes and variable.dims != (name,):
            raise TraceSchemaError(
                f"variable {name!r} has the name of a dimension along which it does not run; "
                f"rename it"
            )
        if variable.dtype.kind == "c":
            parts = {f"{name}_real": variable.real, f"{name}_imag": variable.imag}
        else:
            parts = {name: variable}
        for part, value in parts.items():
            if part in stored or (len(parts) == 2 and part in dataset.variables):
                raise TraceSchemaError(
                    f"complex variable {name!r} is stored as {name}_real and {name}_imag, but the "
                    f"dataset holds {part!r} already; rename one of them"
                )
            stored[part] = (value.copy(deep=False), coordinate)
            stored[part][0].attrs = dict(variable.attrs)
    for key in dataset.variables:
        _refuse_false_pair(str(key), dataset)
    return stored


def _refuse_false_pair(name: str, dataset: xr.Dataset) -> None:
    base = name.removesuffix("_real")
    if base != name and f"{base}_imag" in dataset.variables:
        raise TraceSchemaError(
            f"real variables {base}_real and {base}_imag would be read back as one complex "
            f"variable; store {base!r} as complex or rename them"
        )


def _write_array(group: Any, name: str, variable: xr.Variable) -> Any:
    import h5py

    if any(mark in name for mark in "/ ") or name in ("", "."):
        raise TraceSchemaError(f"variable {name!r} cannot be stored under that name; rename it")
    values, attrs = np.asarray(variable.values), dict(variable.attrs)
    # No clock in the file, which older versions of h5py would write: same input, same bytes.
    options: dict[str, Any] = {"track_order": True, "track_times": False}
    if values.dtype.kind in "UO":
        if not all(isinstance(item, str) for item in values.ravel()):
            raise TraceSchemaError(f"variable {name!r} holds objects that are not text; remove it")
        array = group.create_dataset(name, values.shape, h5py.string_dtype(), **options)
        array[...] = values.astype(object)
    else:
        if values.dtype.kind == "b":
            values = values.astype("int8")
            attrs["dtype"] = "bool"
        if values.dtype.kind not in "fiu":
            raise TraceSchemaError(
                f"variable {name!r} has type {values.dtype}, which cannot be stored; make it "
                f"numbers, booleans or text"
            )
        if values.ndim and values.size:
            options |= {"compression": "gzip", "compression_opts": 4}
            options |= {"shuffle": True, "fletcher32": True}
        array = group.create_dataset(name, data=values, **options)
    _write_attributes(array, attrs, f"variable {name!r}")
    return array


def _write_attributes(owner: Any, attrs: dict[Any, Any], whose: str) -> None:
    for key, value in sorted(attrs.items(), key=lambda item: str(item[0])):
        plain = value.item() if isinstance(value, np.generic) else value
        allowed = isinstance(plain, str | int | float) and not isinstance(plain, bool)
        if not allowed or key in _HOUSEKEEPING or key == "coordinates":
            raise TraceSchemaError(
                f"attribute {key!r} of {whose} ({type(value).__name__}) cannot be stored; "
                f"attributes are text, integers or floats under names that netCDF leaves free"
            )
        owner.attrs[str(key)] = plain


def dataset_from_group(group: Any) -> xr.Dataset:
    """Read back what :func:`dataset_to_group` wrote.

    Parameters
    ----------
    group : h5py.Group
        Datasets with dimension scales.

    Returns
    -------
    xarray.Dataset
        Identical to the one that was written.

    Raises
    ------
    LoaderError
        A dataset without dimension scales, or one that lies outside the file.
    """
    import h5py
    import xarray as xr

    variables: dict[str, Any] = {}
    for name in group:
        array = member(group, name)
        if isinstance(array, h5py.Dataset) and not _is_bare_dimension(array):
            variables[name] = _read_array(name, array)
    attrs = _read_attributes(group)
    coordinates = set(str(attrs.pop("coordinates", "")).split())
    coordinates |= {name for name, (dims, _, _) in variables.items() if dims == (name,)}
    plain = xr.Dataset(
        {n: v for n, v in variables.items() if n not in coordinates},
        {n: v for n, v in variables.items() if n in coordinates},
        attrs,
    )
    return join_complex(plain)


def _is_bare_dimension(array: Any) -> bool:
    name = text(array.attrs.get("NAME", ""))
    return bool(array.is_scale) and name.startswith(_NO_VARIABLE)


def _read_array(name: str, array: Any) -> tuple[tuple[str, ...], Any, dict[str, Any]]:
    import h5py

    values, attrs = array[()], _read_attributes(array)
    if h5py.check_string_dtype(array.dtype) is not None:
        shape = np.shape(values)
        words = [text(item) for item in np.ravel(values)]
        values = np.array(words, dtype=str).reshape(shape)
    if attrs.get("dtype") == "bool":
        del attrs["dtype"]
        values = np.asarray(values, dtype=bool)
    return _dimensions(name, array), values, attrs


def _dimensions(name: str, array: Any) -> tuple[str, ...]:
    if array.is_scale and array.ndim == 1:
        return (name,)
    if any(len(axis) == 0 for axis in array.dims):
        raise LoaderError(
            f"{Path(array.file.filename).name}: dataset {name!r} has axes without dimension "
            f"scales; attach scales, or write the file with powercal.loaders.hdf5.save_traces"
        )
    return tuple(axis[0].name.rsplit("/", 1)[-1] for axis in array.dims)


def _read_attributes(owner: Any) -> dict[str, Any]:
    kept = {}
    for key, value in owner.attrs.items():
        if key in _HOUSEKEEPING:
            continue
        if isinstance(value, bytes):
            value = text(value)
        kept[key] = value.item() if isinstance(value, np.generic) else value
    return kept


def join_complex(dataset: xr.Dataset) -> xr.Dataset:
    """Join every pair ``<name>_real``, ``<name>_imag`` into one complex variable."""
    joined = dataset
    for key in list(dataset.variables):
        base = str(key).removesuffix("_real")
        partner = f"{base}_imag"
        if base == key or partner not in dataset.variables:
            continue
        real, imaginary = dataset.variables[key], dataset.variables[partner]
        if real.dims != imaginary.dims:
            raise LoaderError(
                f"{key} has dimensions {real.dims}, {partner} has {imaginary.dims}; the two parts "
                f"of a complex variable must share theirs"
            )
        values = np.empty(real.shape, np.complex128)
        # Not real + 1j*imaginary: that would turn an infinite part into NaN in the other.
        values.real, values.imag = real.values, imaginary.values
        joined = joined.drop_vars([str(key), partner])
        place = joined.assign_coords if key in dataset.coords else joined.assign
        joined = place({base: (real.dims, values, dict(real.attrs))})
    return joined


def save_traces(path: str | os.PathLike[str], traces: xr.Dataset) -> None:
    """Write traces to a file of powercal's own; whole or not at all.

    Parameters
    ----------
    path : path
        The file; an old one of that name is replaced at the last moment.
    traces : xarray.Dataset
        Traces in the words of the schema.
    """
    import h5py

    target = Path(path)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    os.close(handle)
    try:
        with h5py.File(name, "w", libver=("v108", "v108"), track_order=True) as file:
            file.attrs[MARK] = 1
            dataset_to_group(file, traces)
        with open(name, "rb+") as file:
            os.fsync(file.fileno())
        os.chmod(name, 0o644)  # mkstemp makes it private; data are shared in a lab
        os.replace(name, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def _claims(path: Path) -> bool:
    if not is_hdf5(path):
        return False
    try:
        with open_hdf5(path) as file:
            if MARK in file.attrs or REPORT_MARK in file.attrs:
                return True
            return any(name.removesuffix("_real") in WORDS for name in file)
    except LoaderError:
        return False


def _load(path: Path) -> InstrumentTraces:
    with open_hdf5(path) as file:
        if REPORT_MARK in file.attrs:
            group = member(file, "traces")
            if group is None:
                raise LoaderError(
                    f"{path.name} is a powercal report without group 'traces'; choose a report "
                    f"that holds its data"
                )
            return InstrumentTraces(dataset_from_group(group))
        if MARK in file.attrs:
            traces = dataset_from_group(file)
            del traces.attrs[MARK]
            return InstrumentTraces(traces)
        for name in file:
            # Refuse what leads out of the file, or has no named axes, before xarray follows it.
            array = array_at(file, name)
            if array is not None and not _is_bare_dimension(array):
                _dimensions(name, array)
    return InstrumentTraces(join_complex(_open_netcdf(path)))


def _open_netcdf(path: Path) -> xr.Dataset:
    import xarray as xr

    try:
        with xr.open_dataset(path, engine="h5netcdf", decode_times=False) as opened:
            dataset = opened.load()
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise LoaderError(
            f"{path.name} cannot be read as netCDF-4 ({type(error).__name__}: {error}); attach "
            f"dimension scales, or write it with powercal.loaders.hdf5.save_traces"
        ) from error
    for variable in dataset.variables.values():
        variable.encoding = {}
    dataset.encoding = {}
    return dataset


@hookimpl
def powercal_loaders() -> Iterable[Loader]:
    """Offer the loader for powercal's own files and netCDF-4."""
    yield Loader(
        name="hdf5",
        summary="powercal's own HDF5, its report files, netCDF-4 with the schema's words",
        claims=_claims,
        load=_load,
    )
