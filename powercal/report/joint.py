"""The report of a joint fit: the joint numbers at the top, a full report for each part below.

::

    /                attributes as of a single report, and kind = "joint"
    /parameters, /derived, /covariance, /flags, …   of the joint fit, as in a single report
    /tension         how far parts are apart, one row per number and part; attributes for the whole
    /parts/<name>    for each part the layout of a single report: traces, fit, parameters, …
    /provenance      record_json: the joint numbers, bit for bit

Ties are functions and are not stored: their names are, and what they gave.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from powercal.errors import ReportError
from powercal.fitting.joint_result import Disagreement, JointResult, Tension
from powercal.loaders.hdf5 import dataset_from_group
from powercal.report.hdf5 import (
    _damaged,
    _group,
    _read,
    _record,
    _sha256,
    _store,
    _summary,
    _write,
)
from powercal.report.record import _decode, _encode, decode_result, encode_result, to_text
from powercal.report.tables import tables, words
from powercal.result import FitResult

KIND = "joint"


def write_joint(file: Any, result: JointResult) -> None:
    """Write a joint fit into an open file.

    Raises
    ------
    ReportError
        A value that a report cannot store.
    """
    _store(file, "/", _head(result, None))
    for name, table in _tables(result, None).items():
        _store(file, name, table)
    record = {
        "parts": list(result.parts),
        "result": encode_result(_as_single(result)),
        "tension": _encode(_plain_tension(result.tension), "tension"),
        "ties": list(result.ties),
    }
    text = to_text(record)
    provenance = file.create_group("provenance", track_order=True)
    data = provenance.create_dataset(
        "record_json", data=text, dtype=h5py.string_dtype(), track_times=False
    )
    data.attrs["sha256"] = _sha256(text)
    parts = file.create_group("parts", track_order=True)
    for name, part in result.parts.items():
        _write(parts.create_group(name, track_order=True), part)


def read_joint(file: Any, source: Path) -> JointResult:
    """Read a joint fit from an open file.

    Raises
    ------
    ReportError
        A damaged or altered file.
    """
    schema = int(file.attrs["powercal_schema"])
    record = _record(file, source)
    single = decode_result(record["result"], traces=xr.Dataset(), curve=xr.Dataset())
    result = JointResult(
        **_fields(single),
        ties=tuple(record["ties"]),
        tension=_tension_from(_decode(record["tension"])),
    )
    if not dataset_from_group(file).identical(_head(result, schema)):
        raise ReportError(_damaged(source, "the attributes of / disagree with the record"))
    for name, table in _tables(result, schema).items():
        if not dataset_from_group(_group(file, name, source)).identical(table):
            raise ReportError(_damaged(source, f"{name} disagrees with the record"))
    parts = {n: _read(_group(file, f"parts/{n}", source), source) for n in record["parts"]}
    return dataclasses.replace(result, parts=parts)


def _fields(result: FitResult) -> dict[str, Any]:
    return {f.name: getattr(result, f.name) for f in dataclasses.fields(FitResult)}


def _as_single(result: JointResult) -> FitResult:
    return FitResult(**_fields(result))


def _head(result: JointResult, schema: int | None) -> xr.Dataset:
    head = _summary(result) if schema is None else _summary(result, schema)
    return head.assign_attrs(kind=KIND, default="parts", ties=words("\n".join(result.ties)))


def _tables(result: JointResult, schema: int | None) -> dict[str, xr.Dataset]:
    found = tables(result) if schema is None else tables(result, schema)
    return {**found, "tension": _tension_table(result.tension)}


# ---- tension ----


def _tension_table(tension: Tension) -> xr.Dataset:
    rows = tension.disagreements

    def text(values: list[str]) -> Any:
        return np.array([words(v) for v in values], dtype=str)

    def numbers(values: list[float]) -> Any:
        return np.array(values, dtype=np.float64)

    return xr.Dataset(
        {
            "part": ("number", text([r.part for r in rows])),
            "against": ("number", text([r.against for r in rows])),
            "difference": ("number", numbers([r.difference for r in rows])),
            "stderr": ("number", numbers([r.stderr for r in rows])),
            "sigmas": ("number", numbers([r.sigmas for r in rows])),
        },
        {"number": text([r.name for r in rows])},
        {
            "chi2": float(tension.chi2),
            "constraints": int(tension.constraints),
            "probability": float(tension.probability),
        },
    )


def _plain_tension(tension: Tension) -> Mapping[str, Any]:
    return {
        **{n: getattr(tension, n) for n in ("chi2", "constraints", "probability")},
        "of_parts": dict(tension.of_parts),
        "disagreements": tuple(dataclasses.asdict(d) for d in tension.disagreements),
    }


def _tension_from(plain: Mapping[str, Any]) -> Tension:
    rows = tuple(Disagreement(**d) for d in plain["disagreements"])
    return Tension(**{**plain, "disagreements": rows})
