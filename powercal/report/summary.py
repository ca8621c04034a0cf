"""The summary of many fits: one table with a ``sample`` dimension, as HDF5 and as CSV.

::

    summary.h5   estimate (sample, quantity, property)  value, stderr and ends of intervals, in SI
                 status (sample, quantity)    a number; ``flag_meanings`` names them, from 0
                 text (sample, field)         source, item, source_sha256, report, model, outcome,
                                              failure with kind and cause, verdicts, flags; chi2,
                                              ndata, nfree with all their digits
                 quantity                     its attribute ``unit_json`` lists the units
    summary.csv  a line per sample; value, stderr, status and 95 % interval of every quantity

A fit that failed is a row like any other. Same rows, same bytes. Few large variables instead of
many small ones, since readers take milliseconds for each; :func:`read_summary` names them all.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import h5py
import numpy as np
import xarray as xr

from powercal.errors import DataError, ReportError
from powercal.loaders.hdf5 import dataset_from_group, dataset_to_group
from powercal.result import Status
from powercal.writing import replacing

SCHEMA = 1

Row = Mapping[str, Any]

_TEXTS = ("source", "item", "source_sha256", "report", "model", "outcome")
_FAILURE = ("failure", "failure_kind", "failure_cause")
_NUMBERS = ("chi2", "ndata", "nfree")
_VERDICTS = ("converged", "adequate", "identifiable", "within_assumptions")
_INTERVALS = ("interval68", "interval95", "allowed")
_PROPERTIES = ("value", "stderr", *(f"{n}_{end}" for n in _INTERVALS for end in ("low", "high")))
_STATUSES = ("", *get_args(Status))
_FIELDS = (*_TEXTS, *_FAILURE, *_VERDICTS, "flags")  # and, as text, _NUMBERS
_BESIDE = ("stderr", "status", "interval95_low", "interval95_high")  # the value, in the CSV
_DAMAGE = (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, DataError)


def write_summary(folder: str | os.PathLike[str], rows: Iterable[Row]) -> tuple[Path, Path]:
    """Write ``summary.h5`` and ``summary.csv``, each whole or not at all.

    Parameters
    ----------
    folder : path
        Where; it must exist.
    rows : iterable of mapping
        One per sample, plain data: ``source``, ``item``, ``source_sha256``, ``report`` and
        ``outcome`` (``"ok"`` or ``"failed"``); of a fit also ``model``, ``chi2``, ``ndata``,
        ``nfree``, ``verdicts``, ``flags`` and ``estimates``; of a failure ``failure``,
        ``failure_kind`` and ``failure_cause``.

    Returns
    -------
    tuple of Path
        The two files.

    Raises
    ------
    ReportError
        They cannot be written.
    """
    table = summary_table(list(rows))
    paths = Path(folder) / "summary.h5", Path(folder) / "summary.csv"
    try:
        with (
            replacing(paths[0]) as part,
            h5py.File(part, "w", libver=("v108", "v108"), track_order=True) as file,
        ):
            dataset_to_group(file, _packed(table))
        with replacing(paths[1]) as part:
            part.write_text(_csv(table), encoding="utf-8", newline="")
    except OSError as error:
        raise ReportError(
            f"the summary in {folder} cannot be written ({error}); check permissions and free space"
        ) from error
    return paths


def read_summary(path: str | os.PathLike[str]) -> xr.Dataset:
    """Read the summary of a campaign.

    Parameters
    ----------
    path : path
        A ``summary.h5``, or the output folder of a campaign.

    Returns
    -------
    xarray.Dataset
        Over (sample, quantity) ``value``, ``stderr``, ``status`` and the ends of the intervals,
        in the units in ``unit``, NaN where the data determine nothing; over ``sample`` the rest.

    Raises
    ------
    ReportError
        No such file, or no summary.

    Examples
    --------
    >>> table = read_summary("results")  # doctest: +SKIP
    >>> table["value"].sel(quantity="gamma_1")  # doctest: +SKIP
    """
    source = Path(path)
    source = source / "summary.h5" if source.is_dir() else source
    if not source.is_file():
        raise ReportError(f"there is no file {source}; give the summary.h5 of a campaign")
    try:
        with h5py.File(source, "r", locking=False) as file:
            found = file.attrs.get("powercal_summary")
            table = _unpacked(dataset_from_group(file)) if found == SCHEMA else None
    except _DAMAGE as error:
        raise ReportError(
            f"summary {source} is damaged ({error}); run the campaign again, which writes it anew"
        ) from error
    if table is None:
        raise ReportError(
            f"{source} has the summary schema {found}, this powercal reads {SCHEMA}; give the "
            f"summary.h5 of a campaign"
        )
    return table


def summary_table(rows: Sequence[Row]) -> xr.Dataset:
    """Return the table of rows, which are as for :func:`write_summary`."""
    fields: dict[str, Any] = {n: _texts([r.get(n, "") for r in rows]) for n in _TEXTS}
    fields |= {n: _texts([r.get(n, "") for r in rows]) for n in _FAILURE}
    fields |= {n: _floats([r.get(n) for r in rows]) for n in _NUMBERS}
    fields |= {n: _texts([_verdict(r, n) for r in rows]) for n in _VERDICTS}
    fields["flags"] = _texts(["; ".join(r.get("flags", ())) for r in rows])
    names, units = _quantities(rows)
    samples = [f"{r['source']} [{r['item']}]" if r.get("item") else r["source"] for r in rows]
    return xr.Dataset(
        {
            **{name: ("sample", values) for name, values in fields.items()},
            **_estimates(rows, names),
        },
        {
            "sample": _texts(samples),
            "quantity": _texts(list(names.values())),
            "unit": ("quantity", _texts(units)),
        },
        {"powercal_summary": SCHEMA, "NX_class": "NXroot"},
    )


def _packed(table: xr.Dataset) -> xr.Dataset:
    """Return the same in few variables."""
    cells = ("sample", "quantity")
    codes = np.zeros(table["status"].shape, dtype=np.int8)
    for code, name in enumerate(_STATUSES):
        codes[table["status"].values == name] = code
    estimate = np.stack([table[name].values for name in _PROPERTIES], axis=-1)
    words = [table[name].values.astype(str) for name in _FIELDS]
    words += [np.array([repr(float(v)) for v in table[n].values], dtype=str) for n in _NUMBERS]
    units = {"unit_json": json.dumps(table["unit"].values.tolist())}
    return xr.Dataset(
        {
            "estimate": ((*cells, "property"), estimate),
            "status": (cells, codes, {"flag_meanings": " ".join(("none", *_STATUSES[1:]))}),
            "text": (("sample", "field"), np.stack(words, axis=-1)),
        },
        {
            "sample": table["sample"],
            "quantity": ("quantity", table["quantity"].values, units),
            "property": list(_PROPERTIES),
            "field": [*_FIELDS, *_NUMBERS],
        },
        table.attrs,
    )


def _unpacked(packed: xr.Dataset) -> xr.Dataset:
    """Return the table with a variable for everything that has a name."""
    cells = ("sample", "quantity")
    text = {name: packed["text"].sel(field=name).values.tolist() for name in packed["field"].values}
    fields: dict[str, Any] = {name: ("sample", _texts(text[name])) for name in _FIELDS}
    fields |= {name: ("sample", _floats([float(t) for t in text[name]])) for name in _NUMBERS}
    estimates = {
        name: (cells, packed["estimate"].sel(property=name).values) for name in _PROPERTIES
    }
    status = (cells, np.array(_STATUSES)[packed["status"].values])
    coordinates = {
        "sample": packed["sample"],
        "quantity": packed["quantity"].values,
        "unit": ("quantity", _texts(json.loads(packed["quantity"].attrs["unit_json"]))),
    }
    return xr.Dataset({**fields, **estimates, "status": status}, coordinates, packed.attrs)


def _quantities(rows: Sequence[Row]) -> tuple[dict[tuple[str, str], str], list[str]]:
    """Return a label for every (name, unit), in the order of the rows, and the units."""
    pairs = dict.fromkeys((e["name"], e["unit"]) for r in rows for e in r.get("estimates", ()))
    shared = [name for name, _ in pairs]
    labels = {
        (name, unit): f"{name} ({unit})" if shared.count(name) > 1 else name for name, unit in pairs
    }
    return labels, [unit for _, unit in pairs]


def _estimates(rows: Sequence[Row], labels: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    shape = len(rows), len(labels)
    column = {pair: i for i, pair in enumerate(labels)}
    found: dict[str, Any] = {name: np.full(shape, np.nan) for name in _PROPERTIES}
    status = np.full(shape, "", dtype=f"U{max(map(len, _STATUSES))}")
    for i, row in enumerate(rows):
        for estimate in row.get("estimates", ()):
            place = i, column[estimate["name"], estimate["unit"]]
            for name, value in _numbers_of(estimate):
                found[name][place] = value
            status[place] = estimate["status"]
    return {n: (("sample", "quantity"), v) for n, v in {**found, "status": status}.items()}


def _numbers_of(estimate: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    for name in ("value", "stderr"):
        if estimate[name] is not None:
            yield name, estimate[name]
    for name in _INTERVALS:
        if estimate[name] is not None:  # an end that is None is open
            low, high = estimate[name]
            yield f"{name}_low", -math.inf if low is None else low
            yield f"{name}_high", math.inf if high is None else high


def _verdict(row: Row, name: str) -> str:
    verdict = row.get("verdicts", {}).get(name)
    return "" if verdict is None else ("yes" if verdict else "no")


def _texts(values: Sequence[str]) -> Any:
    return np.array([_words(value) for value in values], dtype=str)


def _floats(values: Sequence[float | None]) -> Any:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _words(text: str) -> str:
    """Replace what neither HDF5 nor UTF-8 can hold."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _csv(table: xr.Dataset) -> str:
    """Write the table with a line per sample; what is missing is an empty cell."""
    plain = [*_TEXTS, *_FAILURE, *_NUMBERS, *_VERDICTS, "flags"]
    head, columns = list(plain), [table[name].values for name in plain]
    for i, name in enumerate(table["quantity"].values):
        unit = str(table["unit"].values[i])
        head.append(str(name) if name.endswith(f"({unit})") else f"{name} ({unit})")
        head += [f"{name}_{part}" for part in _BESIDE]
        columns += [table[part].values[:, i] for part in ("value", *_BESIDE)]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")  # RFC 4180, whatever the system
    writer.writerow(head)
    for cells in zip(*columns, strict=True):
        writer.writerow([_cell(cell) for cell in cells])
    return text.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, str):
        # A spreadsheet takes such texts for formulas and runs them.
        return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else str(value)
    number = float(value)
    if math.isnan(number):
        return ""
    return f"{number:.0f}" if abs(number) < 2**53 and number.is_integer() else repr(number)
