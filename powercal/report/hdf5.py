"""The report file: its layout, its writer and its reader.

::

    /                attributes: powercal_schema, NX_class, default, model, chi2, ndata, nfree, …
    /traces          the device-plane traces that were fitted
    /fit             NXdata: the best-fit curve (signal, axes), <name>_errors beside it
    /parameters      one array per property over the scale ``parameter``
    /derived         the same over ``derived``
    /covariance      over ``parameter_a`` and ``parameter_b``
    /checks, /flags, /systematics
    /budget, /minima one row per source of error, one per minimum of χ² (schema 2)
    /provenance      record_json: all that is needed to rebuild the result, bit for bit

The record is what counts; the arrays are for people, h5web and xarray. The reader builds the
arrays anew from the record and refuses a file in which they differ.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from powercal.errors import DataError, ReportError
from powercal.fitting.joint_result import JointResult
from powercal.loaders._guard import member
from powercal.loaders.hdf5 import dataset_from_group, dataset_to_group
from powercal.report.record import decode_result, encode_result, from_text, to_text
from powercal.report.tables import tables, words
from powercal.result import FitResult
from powercal.writing import replacing

SCHEMA = 2
_READABLE = (1, 2)

_NEXUS = ("NX_class", "signal", "axes")
_CANONICAL = {"b": "|b1", "i": "<i8", "u": "<u8", "f": "<f8", "c": "<c16"}
# h5py and our own decoding report damage inside a file with any of these.
_DAMAGE = (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError)
_REFUSED = (ValueError, TypeError, OverflowError)


def write_report(path: str | os.PathLike[str], result: FitResult) -> Path:
    """Write a fit result to one HDF5 file, whole or not at all.

    Parameters
    ----------
    path : path
        The file; an old one of that name is replaced at the last moment. Its folder must exist.
    result : FitResult
        The result of one fit.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ReportError
        If the file cannot be written or the result holds what a report cannot store.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise ReportError(
            f"report {target} cannot be written: folder {target.parent} does not exist; create it "
            f"or choose another"
        )
    try:
        with (
            replacing(target) as part,
            h5py.File(part, "w", libver=("v108", "v108"), track_order=True) as file,
        ):
            _write(file, result)
    except OSError as error:
        raise ReportError(
            f"report {target} cannot be written ({error}); check permissions and free space, or "
            f"choose another folder"
        ) from error
    return target


def read_report(path: str | os.PathLike[str]) -> FitResult:
    """Read a fit result; equal, bit for bit, to the one that was written.

    Parameters
    ----------
    path : path
        A file made by :func:`write_report`.

    Returns
    -------
    FitResult
        With its traces and curve in memory.

    Raises
    ------
    ReportError
        No such file, not a report, a schema that this powercal does not know, a damaged or
        altered file.
    """
    source = Path(path)
    if not source.is_file():
        raise ReportError(f"there is no file {source}; give the path of a report")
    if not h5py.is_hdf5(source):
        raise ReportError(
            f"{source} is not an HDF5 file; give one that write_report (or powercal fit) made"
        )
    try:
        with h5py.File(source, "r", locking=False) as file:
            return _read(file, source)
    except DataError as error:
        raise ReportError(_damaged(source, str(error))) from error
    except _DAMAGE as error:
        raise ReportError(_damaged(source, f"{type(error).__name__}: {error}")) from error


def _damaged(source: Path, what: str) -> str:
    return f"report {source} is damaged or was altered: {what}; restore it from a copy or fit again"


def _write(file: Any, result: FitResult) -> None:
    if isinstance(result, JointResult):
        from powercal.report.joint import write_joint

        return write_joint(file, result)
    curve = result.curve.rename(_error_names(result.curve))
    record = {
        "curve_errors": sorted(_error_names(result.curve).values()),
        "result": encode_result(result),
        "sha256": {"curve": _digest(result.curve), "traces": _digest(result.traces)},
    }
    _store(file, "/", _summary(result))
    _store(file, "traces", result.traces)
    _store(file, "fit", curve)
    _mark_for_plotting(file["fit"], result)
    for name, table in tables(result).items():
        _store(file, name, table)
    text = to_text(record)
    provenance = file.create_group("provenance", track_order=True)
    data = provenance.create_dataset(
        "record_json", data=text, dtype=h5py.string_dtype(), track_times=False
    )
    data.attrs["sha256"] = _sha256(text)


def _store(file: Any, name: str, dataset: xr.Dataset) -> None:
    group = file if name == "/" else file.create_group(name, track_order=True)
    try:
        dataset_to_group(group, dataset)
    except (DataError, *_REFUSED) as error:
        raise ReportError(
            f"{name} of the result cannot be stored in a report: {error}; rename or remove it"
        ) from error


def _error_names(curve: xr.Dataset) -> dict[str, str]:
    """Map ``<name>_sigma`` to the name under which NeXus readers draw error bars."""
    pairs = {str(n): f"{str(n).removesuffix('_sigma')}_errors" for n in curve.data_vars}
    return {
        name: new
        for name, new in pairs.items()
        if name.endswith("_sigma") and new not in curve.variables and new not in curve.sizes
    }


def _mark_for_plotting(group: Any, result: FitResult) -> None:
    """Say in the words of NeXus what h5web shall draw when the file is opened."""
    if any(name in group.attrs for name in _NEXUS):
        raise ReportError(
            f"the best-fit curve has one of the attributes {', '.join(_NEXUS)}, which NeXus needs "
            f"for itself; rename it"
        )
    group.attrs["NX_class"] = "NXdata"
    drawn = [name for name in result.observables if name in result.curve]
    if not drawn:
        return
    group.attrs["signal"] = drawn[0] if drawn[0] in group else f"{drawn[0]}_real"
    dims = [str(dim) for dim in result.curve[drawn[0]].dims]
    if dims:
        # "." is an axis without values: NeXus then counts points.
        group.attrs["axes"] = [dim if dim in result.curve.variables else "." for dim in dims]


def _read(file: Any, source: Path) -> FitResult:
    found = file.attrs.get("powercal_schema")
    if found is None:
        raise ReportError(
            f"{source} is HDF5 but not a powercal report (it has no powercal_schema); give one "
            f"that write_report (or powercal fit) made"
        )
    if found not in _READABLE:
        raise ReportError(
            f"report {source} has schema {found}, but this powercal reads schema {SCHEMA}; read "
            f"it with the powercal that wrote it, or upgrade"
        )
    if file.attrs.get("kind") == "joint":
        from powercal.report.joint import read_joint

        return read_joint(file, source)
    record = _record(file, source)
    traces = dataset_from_group(_group(file, "traces", source))
    curve = dataset_from_group(_group(file, "fit", source))
    curve.attrs = {key: value for key, value in curve.attrs.items() if key not in _NEXUS}
    back = {name: f"{name.removesuffix('_errors')}_sigma" for name in record["curve_errors"]}
    result = decode_result(record["result"], traces=traces, curve=curve.rename(back))
    _compare(file, source, result, record["sha256"], int(found))
    return result


def _group(file: Any, name: str, source: Path) -> Any:
    found = member(file, name)
    if not isinstance(found, h5py.Group):
        raise ReportError(_damaged(source, f"it has no group {name!r}"))
    return found


def _record(file: Any, source: Path) -> Any:
    data = member(file, "provenance/record_json")
    if not isinstance(data, h5py.Dataset):
        raise ReportError(_damaged(source, "it has no dataset 'provenance/record_json'"))
    text = data.asstr()[()]
    if _sha256(text) != data.attrs.get("sha256"):
        raise ReportError(_damaged(source, "the checksum of provenance/record_json is wrong"))
    return from_text(text)


def _compare(
    file: Any, source: Path, result: FitResult, digests: dict[str, str], schema: int
) -> None:
    """Refuse a file whose readable arrays are not those that follow from the record."""
    for name, dataset in (("traces", result.traces), ("curve", result.curve)):
        if _digest(dataset) != digests[name]:
            raise ReportError(_damaged(source, f"{name} does not agree with its checksum"))
    if not dataset_from_group(file).identical(_summary(result, schema)):
        raise ReportError(_damaged(source, "the attributes of / disagree with the record"))
    for name, table in tables(result, schema).items():
        if not dataset_from_group(_group(file, name, source)).identical(table):
            raise ReportError(_damaged(source, f"{name} disagrees with the record"))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _digest(dataset: xr.Dataset) -> str:
    """Return a checksum of all that ``identical`` compares, whatever the byte order or the file."""
    checksum = hashlib.sha256(_attribute_text(dataset.attrs).encode("utf-8", "surrogatepass"))
    for name, variable in sorted(dataset.variables.items(), key=lambda item: str(item[0])):
        values = np.asarray(variable.values)
        head = [str(name), name in dataset.coords, list(map(str, variable.dims)), values.shape]
        checksum.update(f"{json.dumps(head)}{_attribute_text(variable.attrs)}".encode())
        if values.dtype.kind in _CANONICAL:
            checksum.update(values.astype(_CANONICAL[values.dtype.kind]).tobytes())
        else:
            checksum.update(json.dumps([str(item) for item in values.ravel()]).encode())
    return checksum.hexdigest()


def _attribute_text(attrs: Any) -> str:
    plain = {str(k): v.item() if isinstance(v, np.generic) else v for k, v in attrs.items()}
    return repr(sorted((key, repr(value)) for key, value in plain.items()))


def _summary(result: FitResult, schema: int = SCHEMA) -> xr.Dataset:
    attrs = {
        "powercal_schema": schema,
        "NX_class": "NXroot",
        "default": "fit",
        "powercal_version": words(result.version),
        "model": words(result.model),
        "model_version": words(result.model_version),
        "distribution": words(result.distribution),
        "weights": words(result.weights),
        "chi2": float(result.chi2),
        "chi2_spread": float(result.chi2_spread),
        "ndata": int(result.ndata),
        "nfree": int(result.nfree),
    }
    return xr.Dataset(attrs=attrs)
