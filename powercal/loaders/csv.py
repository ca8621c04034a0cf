"""Text tables whose header names schema words with their units; parsed strictly."""

from __future__ import annotations

import csv
import difflib
import io
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Loader
from powercal.errors import LoaderError, TraceSchemaError, UnitError, UnknownNameError, unknown_name
from powercal.hookspecs import hookimpl
from powercal.schema import WORDS, InstrumentTraces, with_flag
from powercal.units import SI_UNITS, UNITS, canonical, parse_quantity

if TYPE_CHECKING:
    import xarray as xr

AXES = {
    "incident_power": "power",
    "temperature": "temperature",
    "frequency": "frequency",
    "frequency_offset": "frequency_offset",
    "time": "time",
}
KEYS = ("plane", "detection", "transition_frequency", "bath_temperature", *AXES)
_ALIASES = {"s11": "reflection", "s21": "transmission", "freq": "frequency"}
_PARTS = {
    "re": "re",
    "real": "re",
    "im": "im",
    "imag": "im",
    "db": "db",
    "mag": "abs",
    "abs": "abs",
    "deg": "deg",
    "rad": "rad",
}
_PAIRS = (("re", "im"), ("db", "deg"), ("db", "rad"), ("abs", "deg"), ("abs", "rad"))
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?nan", re.IGNORECASE)
_BRACKETS = re.compile(r"(.+?)\s*[(\[]\s*([^()\[\]]*?)\s*[)\]]")
_HEAD = 2**16
# Half of a grid measured is a grid with holes; less is a list of points.
_GRID_FILL = 0.5

Column = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Name:
    """What one header cell says."""

    cell: str
    word: str
    unit: str = ""
    part: str = ""

    @property
    def base(self) -> str:
        return self.word.removesuffix("_std")


@dataclass(slots=True)
class _Table:
    names: list[_Name]
    columns: list[Column]
    comments: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


# --- the header ----------------------------------------------------------------------------------


def _read_name(cell: str) -> _Name:
    """Take suffixes off (unit, part, ``std``) until a schema word is left."""
    match = _BRACKETS.fullmatch(cell.strip())
    rest, unit = (match[1], match[2]) if match else (cell.strip(), "")
    part = ""
    if unit.lower() in _PARTS and unit.lower() != "rad":
        part, unit = _PARTS[unit.lower()], ""
    ending = ""
    while True:
        word = _ALIASES.get(rest.lower(), rest.lower())
        if word in WORDS:
            return _Name(cell, word + ending, unit, part)
        rest, _, suffix = rest.rpartition("_")
        if not rest:
            raise unknown_name("schema word for column", cell, WORDS)
        if suffix == "std" and not ending:
            ending = "_std"
        elif suffix.lower() in _PARTS and not part:
            part = _PARTS[suffix.lower()]
        elif not unit:
            unit = suffix
        else:
            raise unknown_name("schema word for column", cell, WORDS)


def _checked_name(name: _Name, where: str) -> _Name:
    word = WORDS[name.base]
    if name.part and (not word.complex or name.word != name.base):
        raise TraceSchemaError(
            f"{where}: column {name.cell!r} names a part ({name.part}), but {name.word} is real; "
            f"rename it"
        )
    if not name.unit:
        if word.kind == "number" or name.part in ("db", "deg", "rad"):
            return _Name(name.cell, name.word, "1", name.part)
        wanted = ", ".join(key for key, value in UNITS.items() if value.kind == word.kind)
        raise TraceSchemaError(
            f"{where}: column {name.cell!r} has no unit; append one of {wanted}, for example "
            f"{name.word}_{'GHz' if word.kind == 'frequency' else SI_UNITS[word.kind]}"
        )
    try:
        return _Name(name.cell, name.word, canonical(name.unit), name.part)
    except UnitError as error:
        raise UnitError(f"{where}: column {name.cell!r}: {error}") from error


def _delimiter(line: str) -> str:
    """Choose TAB before semicolon before comma: the first that the header holds."""
    return next((mark for mark in "\t;," if mark in line), ",")


# --- the text ------------------------------------------------------------------------------------


def _decode(raw: bytes) -> tuple[str, list[str]]:
    try:
        return raw.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        return raw.decode("latin-1"), ["the file is not UTF-8; it was read as Latin-1"]


def _read_table(path: Path) -> _Table:
    text, notes = _decode(path.read_bytes())
    lines = text.splitlines()
    comments = _read_comments(path.name, lines)
    start = next((i for i, line in enumerate(lines) if _is_content(line)), None)
    if start is None:
        raise LoaderError(f"{path.name} holds no table; the first line names columns with units")
    mark = _delimiter(lines[start])
    header = next(csv.reader([lines[start]], delimiter=mark))
    if all(_NUMBER.fullmatch(cell.strip()) for cell in header):
        raise LoaderError(
            f"{path.name} line {start + 1} is numbers where a header should be; put one above, for "
            f"example frequency_GHz,s11_re,s11_im"
        )
    try:
        names = [_checked_name(_read_name(cell), path.name) for cell in header]
    except UnknownNameError as error:
        raise TraceSchemaError(f"{path.name}: {error}; rename or remove the column") from error
    for name in names:
        if [(n.word, n.part) for n in names].count((name.word, name.part)) > 1:
            raise TraceSchemaError(f"{path.name}: column {name.cell!r} comes twice; keep one")
    rows = _read_rows(path.name, lines, start, mark, header)
    return _Table(names, list(np.array(rows).reshape(-1, len(names)).T), comments, notes)


def _is_content(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _read_rows(
    file: str, lines: list[str], start: int, mark: str, header: list[str]
) -> list[list[float]]:
    rows = []
    for number, line in enumerate(lines[start + 1 :], start + 2):
        if not _is_content(line):
            continue
        try:
            cells = next(csv.reader(io.StringIO(line), delimiter=mark, strict=True))
        except csv.Error as error:
            raise LoaderError(f"{file} line {number} cannot be split ({error}); mend it") from error
        if len(cells) != len(header):
            raise LoaderError(
                f"{file} line {number} has {len(cells)} cells, but the header has {len(header)}; "
                f"look for a missing value, a trailing delimiter or decimal commas"
            )
        rows.append([_number(file, number, *pair) for pair in zip(header, cells, strict=True)])
    if not rows:
        raise LoaderError(f"{file} has a header but no rows; choose a file with data")
    return rows


def _number(file: str, line: int, column: str, cell: str) -> float:
    if _NUMBER.fullmatch(cell.strip()) is None:
        comma = "write a decimal point instead of the comma" if "," in cell else "write nan"
        raise LoaderError(
            f"{file} line {line}, column {column.strip()!r}: {cell!r} is not a number; mend it, or "
            f"{comma}{'' if ',' in cell else ' where a value is missing'}"
        )
    return float(cell)


def _read_comments(file: str, lines: list[str]) -> dict[str, str]:
    found = {}
    for number, line in enumerate(lines, 1):
        match = re.fullmatch(r"\s*#\s*([A-Za-z_]+)\s*:\s*(.+?)\s*", line)
        if match is None:
            continue
        key = match[1].lower()
        if key in KEYS:
            found[key] = match[2]
        elif near := difflib.get_close_matches(key, KEYS, n=1, cutoff=0.8):
            raise LoaderError(
                f"{file} line {number}: {match[1]!r} is not known; did you mean {near[0]!r}?"
            )
    return found


# --- the dataset ---------------------------------------------------------------------------------


def _variables(file: str, table: _Table) -> dict[str, tuple[Any, str]]:
    """Join the parts of complex columns."""
    variables: dict[str, tuple[Any, str]] = {}
    parts: dict[str, dict[str, tuple[Column, _Name]]] = {}
    for name, column in zip(table.names, table.columns, strict=True):
        if name.part or (WORDS[name.base].complex and name.word == name.base):
            parts.setdefault(name.word, {})[name.part or "re"] = (column, name)
        else:
            variables[name.word] = (column, name.unit)
    for word, found in parts.items():
        variables[word] = _join(file, word, found)
    return variables


def _join(file: str, word: str, found: dict[str, tuple[Column, _Name]]) -> tuple[Any, str]:
    if tuple(sorted(found)) not in [tuple(sorted(pair)) for pair in _PAIRS]:
        cells = ", ".join(repr(name.cell) for _, name in found.values())
        raise TraceSchemaError(
            f"{file}: {word} is complex and needs two columns (re and im, or dB or abs with deg or "
            f"rad), but there is {cells}"
        )
    values = {part: column for part, (column, _) in found.items()}
    units = {name.unit for part, (_, name) in found.items() if part not in ("db", "deg", "rad")}
    if len(units) > 1:
        raise TraceSchemaError(f"{file}: the two columns of {word} have different units; use one")
    if "re" in values:
        return values["re"] + 1j * values["im"], units.pop()
    size = values["abs"] if "abs" in values else 10.0 ** (values["db"] / 20)
    angle = values["rad"] if "rad" in values else np.deg2rad(values["deg"])
    return size * np.exp(1j * angle), (units or {"1"}).pop()


def _build(file: str, table: _Table) -> xr.Dataset:
    import xarray as xr

    variables = _variables(file, table)
    axes = {name: variables.pop(name)[0] for name in AXES if name in variables}
    units = {n.word: n.unit for n in table.names if n.word in AXES}
    for name, values in axes.items():
        if np.isnan(values).any():
            raise LoaderError(f"{file}: column of {name} holds nan; remove those rows")
    if not variables:
        raise LoaderError(f"{file} holds no measured column beside its axes; add one")
    coordinates, data, note = _arrange(axes, {n: v for n, (v, _) in variables.items()})
    traces = xr.Dataset(
        {name: (*data[name], {"units": variables[name][1]}) for name in variables},
        {name: (*coordinates[name], {"units": units[name]}) for name in axes},
        {"plane": "instrument"},
    )
    for sentence in (*table.notes, *([note] if note else [])):
        traces = with_flag(traces, sentence)
    return _with_comments(file, traces, table.comments)


Placed = dict[str, tuple[tuple[str, ...], Any]]


def _arrange(axes: dict[str, Column], data: dict[str, Any]) -> tuple[Placed, Placed, str]:
    """Lay rows on the grid of their axes, or leave them a list of points."""
    if len(axes) < 2:
        dims = tuple(AXES[name] for name in axes) or ("trace",)
        return _along(dims, axes), _along(dims, data), ""
    levels = {name: np.unique(values, return_inverse=True) for name, values in axes.items()}
    shape = tuple(values.size for values, _ in levels.values())
    count = next(iter(axes.values())).size
    index = np.ravel_multi_index(tuple(i for _, i in levels.values()), shape)
    if np.unique(index).size < count or count < _GRID_FILL * math.prod(shape):
        note = f"the {count} rows are no grid of {' × '.join(axes)}; kept point by point"
        return _along(("trace",), axes), _along(("trace",), data), note
    dims = tuple(AXES[name] for name in axes)
    gridded: Placed = {}
    for name, values in data.items():
        full = np.full(math.prod(shape), np.nan, values.dtype)
        full[index] = values
        gridded[name] = (dims, full.reshape(shape))
    missing = math.prod(shape) - count
    note = f"{missing} of {math.prod(shape)} grid points are not in the file; they are NaN"
    placed: Placed = {name: ((AXES[name],), values) for name, (values, _) in levels.items()}
    return placed, gridded, note if missing else ""


def _along(dims: tuple[str, ...], values: dict[str, Any]) -> Placed:
    return {name: (dims, column) for name, column in values.items()}


def _with_comments(file: str, traces: xr.Dataset, comments: dict[str, str]) -> xr.Dataset:
    kinds = {"transition_frequency": "frequency", "bath_temperature": "temperature"}
    for key, value in comments.items():
        if key in AXES:
            if key in traces.variables:
                raise LoaderError(f"{file} gives {key} as a comment and as a column; keep one")
            number = parse_quantity(value, WORDS[key].kind)
            traces = traces.assign_coords({key: ((), number, {"units": WORDS[key].unit})})
        else:
            kind = kinds.get(key)
            traces = traces.assign_attrs({key: parse_quantity(value, kind) if kind else value})
    return traces


# --- the loader ----------------------------------------------------------------------------------


def _claims(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    if b"\0" in head:
        return False
    line = next(filter(_is_content, _decode(head)[0].splitlines()), "")
    for cell in next(csv.reader([line], delimiter=_delimiter(line)), []):
        try:
            _read_name(cell)
        except UnknownNameError:
            continue
        return True
    return False


def _load(path: Path) -> InstrumentTraces:
    return InstrumentTraces(_build(path.name, _read_table(path)))


@hookimpl
def powercal_loaders() -> Iterable[Loader]:
    """Offer the loader for text tables."""
    yield Loader(
        name="csv",
        summary="text tables (comma, semicolon, TAB) with schema words and units in the header",
        claims=_claims,
        load=_load,
    )
