"""PycQED measurements: the columns of Experimental Data/Data, calibration points kept apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Loader
from powercal.errors import LoaderError
from powercal.hookspecs import hookimpl
from powercal.loaders._columns import CALIBRATION, Column, Table, to_traces
from powercal.loaders._guard import dataset, is_hdf5, member, open_hdf5, text
from powercal.schema import InstrumentTraces

GROUP, DATA = "Experimental Data", "Experimental Data/Data"
_CUSTOM = 4  # points that PycQED's own analysis takes off the end
_MOST = 8


def _claims(path: Path) -> bool:
    if not is_hdf5(path):
        return False
    try:
        with open_hdf5(path) as file:
            array = dataset(file, DATA)
            return array is not None and "value_names" in member(file, GROUP).attrs
    except LoaderError:
        return False


def _read(path: Path, calibration_points: float | None) -> Table:
    with open_hdf5(path) as file:
        group, array = member(file, GROUP), dataset(file, DATA)
        if array is None or array.ndim != 2 or array.dtype.kind not in "fiu":
            raise LoaderError(f"{path.name} holds no table of numbers in {DATA!r}")
        rows = np.asarray(array[()], dtype=np.float64)
        swept = _pairs(path, group, "sweep_parameter")
        measured = _pairs(path, group, "value")
        analysed = _analysed_with_calibration(file)
    if rows.shape[1] != len(swept) + len(measured):
        raise LoaderError(
            f"{path.name} names {len(swept) + len(measured)} columns, but its table has "
            f"{rows.shape[1]}"
        )
    columns = [Column(n, u, rows[:, i]) for i, (n, u) in enumerate([*swept, *measured])]
    table = Table(path.name, tuple(columns[: len(swept)]), tuple(columns[len(swept) :]))
    table.calibration = _calibration(table, calibration_points, analysed)
    return table


def _pairs(path: Path, group: Any, what: str) -> list[tuple[str, str]]:
    """Return names and units from the attributes of the group."""
    lists = []
    for part in ("names", "units"):
        given = group.attrs.get(f"{what}_{part}")
        if given is None:
            raise LoaderError(f"{path.name}: {GROUP!r} has no attribute {what}_{part!s}")
        lists.append([text(item) for item in np.ravel(given)])
    names, units = lists
    if len(names) != len(units) or not names:
        raise LoaderError(
            f"{path.name} gives {len(names)} names and {len(units)} units of its {what} columns"
        )
    return list(zip(names, units, strict=True))


def _analysed_with_calibration(file: Any) -> bool:
    """Whether PycQED's own analysis, stored in the file, used calibration points."""
    analysis = member(file, "Analysis")
    said = "" if analysis is None else analysis.attrs.get("corrected data based on", "")
    return "calibration points" in text(said)


def _calibration(table: Table, wanted: float | None, analysed: bool) -> int:
    """Return how many rows at the end calibrate; the flags say why."""
    axis = table.axes[0].values
    count, why = _found(axis, analysed) if wanted is None else (wanted, "as declared")
    if count != int(count) or not 0 <= count < axis.size:
        raise LoaderError(
            f"{table.file}: calibration_points is {count:g}; it must be a whole number below the "
            f"{axis.size} points of the sweep"
        )
    if count and len(table.axes) > 1:
        raise LoaderError(
            f"{table.file} sweeps {len(table.axes)} parameters; calibration points at the end of "
            f"such a sweep are not understood: say calibration_points=0"
        )
    if not count:
        table.lines.append("calibration points: none; say calibration_points=4 if there are four")
        return 0
    table.lines.append(f"calibration points: the last {int(count)} of {axis.size} ({why})")
    table.notes.append(
        f"the last {int(count)} of {axis.size} points are calibration points ({why}), not part of "
        f"the sweep; they stand in {CALIBRATION!r} (by PycQED's custom the first half in the "
        f"ground, the second half in the excited state) and with_calibration_points uses them"
    )
    return int(count)


def _found(axis: NDArray[np.float64], analysed: bool) -> tuple[int, str]:
    """Tell calibration points by an axis that stands still where they begin."""
    repeats = np.flatnonzero(np.diff(axis) == 0) + 1
    if repeats.size == 1 and 0 < axis.size - repeats[0] <= _MOST:
        return int(axis.size - repeats[0]), "the axis repeats a value where they begin"
    if analysed and axis.size > _CUSTOM:
        return _CUSTOM, "the analysis stored in the file used them"
    return 0, ""


def _load(
    path: Path,
    mapping: Mapping[str, str] | None = None,
    calibration_points: float | None = None,
) -> InstrumentTraces:
    return InstrumentTraces(to_traces(_read(path, calibration_points), mapping or {}))


def _describe(
    path: Path,
    mapping: Mapping[str, str] | None = None,
    calibration_points: float | None = None,
) -> tuple[str, ...]:
    table = _read(path, calibration_points)
    to_traces(table, mapping or {})
    return tuple(table.lines)


@hookimpl
def powercal_loaders() -> Iterable[Loader]:
    """Offer the loader for PycQED measurements."""
    yield Loader(
        name="pycqed",
        summary="PycQED measurements: sweeps with calibration points kept apart",
        claims=_claims,
        load=_load,
        options=("mapping", "calibration_points"),
        describe=_describe,
    )
