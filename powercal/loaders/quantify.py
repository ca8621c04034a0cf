"""Quantify datasets (dataset.hdf5): flat columns x0, x1, … and y0, y1, … with an identifier."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from powercal.contracts import Loader
from powercal.errors import LoaderError
from powercal.hookspecs import hookimpl
from powercal.loaders._columns import Column, Table, to_traces
from powercal.loaders._guard import dataset, is_hdf5, open_hdf5, text
from powercal.schema import InstrumentTraces

IDENTIFIER = re.compile(r"\d{8}-\d{6}-\d{3}-[0-9a-f]{6}")


def _identifier(file: Any) -> str:
    found = text(file.attrs.get("tuid", ""))
    return found if IDENTIFIER.fullmatch(found) else ""


def _claims(path: Path) -> bool:
    if not is_hdf5(path):
        return False
    try:
        with open_hdf5(path) as file:
            return bool(_identifier(file))
    except LoaderError:
        return False


def _read(path: Path) -> tuple[Table, str]:
    with open_hdf5(path) as file:
        identifier = _identifier(file)
        axes, values = _columns(file, "x"), _columns(file, "y")
        if not axes or not values:
            raise LoaderError(
                f"{path.name} holds no flat columns x0 … and y0 …; it is a quantify dataset of "
                f"another version ({text(file.attrs.get('quantify_dataset_version', 'unnamed'))}): "
                f"convert it to version 1"
            )
    sizes = {c.values.size for c in (*axes, *values)}
    if len(sizes) > 1:
        raise LoaderError(
            f"{path.name} has columns of {' and '.join(map(str, sorted(sizes)))} points; they "
            f"must be of one length"
        )
    table = Table(path.name, axes, values)
    empty = int((~np.isfinite([c.values for c in values])).any(axis=0).sum())
    if empty:
        table.notes.append(
            f"{empty} of {sizes.pop()} points hold no number; the measurement was interrupted"
        )
    return table, identifier


def _columns(file: Any, letter: str) -> tuple[Column, ...]:
    names = [name for name in file if re.fullmatch(rf"{letter}\d+", name)]
    found = []
    for name in sorted(names, key=lambda name: int(name[1:])):
        array = dataset(file, name)
        if array is None or array.ndim != 1 or array.dtype.kind not in "fciu":
            raise LoaderError(f"{_file(file)}: {name!r} is no column of numbers")
        label = text(array.attrs.get("name", name)) or name
        found.append(Column(label, text(array.attrs.get("units", "")), array[()]))
    return tuple(found)


def _file(file: Any) -> str:
    return Path(file.filename).name


def _load(path: Path, mapping: Mapping[str, str] | None = None) -> InstrumentTraces:
    table, identifier = _read(path)
    return InstrumentTraces(to_traces(table, mapping or {}).assign_attrs(tuid=identifier))


def _describe(path: Path, mapping: Mapping[str, str] | None = None) -> tuple[str, ...]:
    table, identifier = _read(path)
    to_traces(table, mapping or {})
    return (f"quantify dataset {identifier}", *table.lines)


@hookimpl
def powercal_loaders() -> Iterable[Loader]:
    """Offer the loader for quantify datasets."""
    yield Loader(
        name="quantify",
        summary="quantify datasets: gridded sweeps, magnitude and phase as received",
        claims=_claims,
        load=_load,
        options=("mapping",),
        describe=_describe,
    )
