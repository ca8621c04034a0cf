"""From swept and measured columns of a file to traces: which is which word, and on which grid."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from powercal.errors import LoaderError, UnitError, unknown_name
from powercal.schema import DIMENSIONS, WORDS, with_flag
from powercal.units import UNITS, canonical, to_si

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[Any]

AXES = {"time": "time", "frequency": "frequency", "power": "incident_power"}
SIGNALS = (
    "received_real",
    "received_imag",
    "magnitude",
    "phase",
    "quadrature",
    "excited_population",
)
MAPPABLE = (*AXES, *SIGNALS)
CALIBRATION = "calibration"
CALIBRATION_POINT = "calibration_point"
_ORDER = ("power", "frequency", "frequency_offset", "time")
_PAIRS = (("received_real", "received_imag"), ("magnitude", "phase"))


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a file: its name there, its unit as written, its values (n,)."""

    name: str
    unit: str
    values: Array

    @property
    def kind(self) -> str:
        """The kind of quantity that the unit measures; empty where the unit is not known."""
        try:
            return UNITS[canonical(self.unit)].kind
        except UnitError:
            return ""

    def si(self) -> Array:
        """Return the values in SI."""
        return to_si(self.values, self.unit)


@dataclass(slots=True)
class Table:
    """What a file holds: swept columns, measured columns, and how many rows calibrate."""

    file: str
    axes: tuple[Column, ...]
    values: tuple[Column, ...]
    calibration: int = 0
    notes: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


def to_traces(table: Table, mapping: Mapping[str, str]) -> xr.Dataset:
    """Name the columns by the words of the schema and lay them on their grid.

    Parameters
    ----------
    table : Table
        The columns; ``notes`` (flags of the traces) and ``lines`` (for ``inspect``) grow.
    mapping : mapping of str to str
        Word to column name, where the units do not tell.

    Returns
    -------
    xarray.Dataset
        At the instrument; the last ``table.calibration`` rows stand in ``calibration`` along
        ``calibration_point``.

    Raises
    ------
    LoaderError
        A column is missing, or several could be the same word.
    UnknownNameError
        A word that cannot be mapped.
    """
    import xarray as xr

    _check_mapping(table, mapping)
    words = _name_axes(table, mapping)
    signals, channels = _signals(table, mapping, words)
    count = table.axes[0].values.size - table.calibration
    grid = _Grid.of(table, words, count)
    variables = {name: grid.lay(values, unit) for name, (values, unit) in signals.items()}
    main = next((n for n in ("received", "quadrature", "excited_population") if n in signals), None)
    if table.calibration and main is not None:
        values, unit = signals[main]
        dims = ("channel", CALIBRATION_POINT)[-values.ndim :]
        variables[CALIBRATION] = (dims, values[..., count:], {"units": unit})
    traces = xr.Dataset(variables, grid.coordinates, {"plane": "instrument"})
    if channels:
        traces = traces.assign_coords(channel=list(channels))
    if "received" in traces:
        traces.attrs["detection"] = "coherent"  # a record with a phase can come from nothing else
    order = [dim for dim in traces.dims if dim not in _ORDER]
    traces = traces.transpose(*order, *(dim for dim in _ORDER if dim in traces.dims))
    for note in table.notes:
        traces = with_flag(traces, note)
    return traces


# ---- axes ----


def _check_mapping(table: Table, mapping: Mapping[str, str]) -> None:
    for word, name in mapping.items():
        if word not in MAPPABLE:
            raise unknown_name("word that can be mapped", word, MAPPABLE)
        offered = [c.name for c in (table.axes if word in AXES else table.values)]
        if name not in offered:
            kind = "swept column" if word in AXES else "measured column"
            raise LoaderError(f"{table.file}: {unknown_name(kind, name, offered)}")
    for pair in _PAIRS:
        if len({*pair} & {*mapping}) == 1:
            here, missing = sorted(pair, key=lambda word: word not in mapping)
            raise LoaderError(
                f"{table.file}: {here} is mapped, but {missing} is not; a complex signal needs both"
            )


def _name_axes(table: Table, mapping: Mapping[str, str]) -> tuple[str, ...]:
    """Return the word (or a name of its own) of every axis."""
    given = {mapping[word]: AXES[word] for word in AXES if word in mapping}
    kinds = {WORDS[word].kind: word for word in AXES.values() if word not in given.values()}
    names: list[str] = []
    for column in table.axes:
        word = given.get(column.name) or kinds.get(column.kind)
        alike = [c.name for c in table.axes if c.kind == column.kind]
        if column.name not in given and word is not None and len(alike) > 1:
            key = next(key for key, value in AXES.items() if value == word)
            raise LoaderError(
                f"{table.file} has {len(alike)} swept columns that could be {key}: "
                f"{', '.join(map(repr, alike))}; say which, for example "
                f"mapping={{{key!r}: {alike[0]!r}}} (command line: --map {f'{key}={alike[0]}'!r})"
            )
        if word == "frequency" and column.name not in given and np.nanmin(column.values) <= 0:
            word = "frequency_offset"
        names.append(word or _slug(column.name, names))
        table.lines.append(f"{names[-1]}: {column.name!r} ({column.unit or 'no unit'})")
    return tuple(names)


def _slug(name: str, taken: Iterable[str]) -> str:
    slug = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "column"
    slug = f"file_{slug}" if slug in {*WORDS, *DIMENSIONS, CALIBRATION} else slug
    while slug in taken:
        slug += "_2"
    return slug


# ---- signals ----


def _signals(
    table: Table, mapping: Mapping[str, str], taken: tuple[str, ...]
) -> tuple[dict[str, tuple[Array, str]], tuple[str, ...]]:
    """Return values and SI unit by name, and the names of channels where there are several."""
    columns = {column.name: column for column in table.values}
    chosen = {word: columns[name] for word, name in mapping.items() if word in SIGNALS}
    found, channels = _recognised(table) if not chosen else (_mapped(table, chosen), ())
    used = {c.name for c in chosen.values()} if chosen else _used(table)
    for column in table.values:
        if column.name not in used:
            name = _slug(column.name, {*found, *taken})
            found[name] = _plain(table, column)
            table.lines.append(f"{name}: {column.name!r} ({column.unit or 'no unit'})")
    if not {"received", "quadrature", "excited_population"} & set(found):
        table.notes.append(
            f"none of the columns {', '.join(map(repr, columns))} is known to be a signal; say "
            f"which, for example mapping={{'quadrature': {next(iter(columns))!r}}}"
        )
    return found, channels


def _mapped(table: Table, chosen: Mapping[str, Column]) -> dict[str, tuple[Array, str]]:
    found: dict[str, tuple[Array, str]] = {}
    if "received_real" in chosen:
        found["received"] = _cartesian(table, chosen["received_real"], chosen["received_imag"])
    elif "magnitude" in chosen:
        found["received"] = _polar(table, chosen["magnitude"], chosen["phase"])
    if "quadrature" in chosen:
        column = chosen["quadrature"]
        if column.kind != "voltage":
            table.notes.append(
                f"{column.name!r} has the unit {column.unit or 'none'}; as a quadrature its "
                f"numbers stand for volts"
            )
        values = column.si() if column.kind == "voltage" else column.values
        found["quadrature"] = (np.asarray(values, float), "V")
        table.lines.append(f"quadrature: {column.name!r} (as mapped)")
    if "excited_population" in chosen:
        column = chosen["excited_population"]
        if column.kind not in ("number", ""):
            raise LoaderError(
                f"{table.file}: {column.name!r} is in {column.unit}, but a population is a number"
            )
        found["excited_population"] = (np.asarray(column.values, float), "1")
        table.lines.append(f"excited_population: {column.name!r} (as mapped)")
    return found


def _groups(table: Table) -> tuple[list[Column], list[Column], list[Column]]:
    """Return complex voltages, real voltages and angles."""
    voltages = [c for c in table.values if c.kind == "voltage"]
    turned = [c for c in voltages if np.iscomplexobj(c.values)]
    real = [c for c in voltages if not np.iscomplexobj(c.values)]
    return turned, real, [c for c in table.values if c.kind == "angle"]


def _used(table: Table) -> set[str]:
    turned, real, angles = _groups(table)
    paired = angles if not turned and len(real) == len(angles) == 1 else []
    return {c.name for c in (turned or real) + paired}


def _recognised(table: Table) -> tuple[dict[str, tuple[Array, str]], tuple[str, ...]]:
    """Tell the signal by the units of the columns."""
    turned, real, angles = _groups(table)
    if not turned and len(real) == len(angles) == 1:
        return {"received": _polar(table, real[0], angles[0])}, ()
    if not turned and len(real) == 2 and not angles:
        return {"received": _cartesian(table, *real)}, ()
    columns, name = (turned, "received") if turned else (real, "quadrature")
    for column in columns:
        table.lines.append(f"{name}: {column.name!r} ({column.unit})")
    if not columns:
        return {}, ()
    if len(columns) == 1:
        return {name: (columns[0].si(), "V")}, ()
    return {name: (np.stack([c.si() for c in columns]), "V")}, tuple(c.name for c in columns)


def _polar(table: Table, magnitude: Column, phase: Column) -> tuple[Array, str]:
    _expect(table, magnitude, "voltage")
    _expect(table, phase, "angle")
    return _complex(
        table,
        np.asarray(magnitude.si() * np.exp(1j * phase.si())),
        f"the magnitude {magnitude.name!r} with the phase {phase.name!r} ({phase.unit})",
        magnitude.name,
    )


def _cartesian(table: Table, real: Column, imaginary: Column) -> tuple[Array, str]:
    for column in (real, imaginary):
        _expect(table, column, "voltage")
    return _complex(
        table,
        np.asarray(real.si() + 1j * imaginary.si()),
        f"{real.name!r} as its real and {imaginary.name!r} as its imaginary part",
        real.name,
    )


def _expect(table: Table, column: Column, kind: str) -> None:
    if column.kind != kind:
        raise LoaderError(
            f"{table.file}: {column.name!r} is in {column.unit or 'no unit'}, which measures "
            f"{column.kind or 'nothing known'}; {kind} is wanted there"
        )


def _complex(table: Table, values: Array, how: str, first: str) -> tuple[Array, str]:
    table.notes.append(
        f"received is {how}; for one column by itself say mapping={{'quadrature': {first!r}}}"
    )
    table.lines.append(f"received: {how}")
    return values, "V"


def _plain(table: Table, column: Column) -> tuple[Array, str]:
    if column.unit and not column.kind:
        table.notes.append(f"unit {column.unit!r} of {column.name!r} is not known; kept as numbers")
    return column.values, canonical(column.unit) if column.kind else "1"


# ---- grid ----


@dataclass(frozen=True, slots=True)
class _Grid:
    """Where every row goes: dimensions, their lengths, the flat place of each row, coordinates."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    place: Array
    coordinates: dict[str, Any]

    @staticmethod
    def of(table: Table, words: tuple[str, ...], count: int) -> _Grid:
        axes = [column.values[:count] for column in table.axes]
        units = [_axis_unit(table, column) for column in table.axes]
        dims = tuple("power" if word == "incident_power" else word for word in words)
        if len(axes) > 1:
            ticks, index = zip(*(np.unique(a, return_inverse=True) for a in axes), strict=True)
            shape = tuple(t.size for t in ticks)
            place = np.ravel_multi_index(tuple(i.ravel() for i in index), shape)
            # A grid has each of its places at most once, and most of them taken.
            if np.unique(place).size == count and count > 0.5 * np.prod(shape, dtype=float):
                _note_gaps(table, count, shape)
                return _Grid(dims, shape, place, _along(words, dims, ticks, units))
            table.notes.append(f"{' and '.join(words)} form no grid; the points stand in a row")
            dims = ("trace",) * len(axes)
        return _Grid(dims[:1], (count,), np.arange(count), _along(words, dims, axes, units))

    def lay(self, values: Array, unit: str) -> tuple[tuple[str, ...], Array, dict[str, str]]:
        """Put rows (..., n) in their places; places without a row hold NaN."""
        rows = values[..., : self.place.size]
        empty = complex("nan") if np.iscomplexobj(rows) else np.nan
        laid = np.full((*rows.shape[:-1], int(np.prod(self.shape))), empty)
        laid[..., self.place] = rows
        dims = (*("channel",) * (rows.ndim - 1), *self.dims)
        return dims, laid.reshape(*rows.shape[:-1], *self.shape), {"units": unit}


def _axis_unit(table: Table, column: Column) -> dict[str, str]:
    return {"units": _plain(table, column)[1], "long_name": column.name}


def _along(words: Any, dims: Any, values: Any, attrs: Any) -> dict[str, Any]:
    return {w: (d, v, a) for w, d, v, a in zip(words, dims, values, attrs, strict=True)}


def _note_gaps(table: Table, count: int, shape: tuple[int, ...]) -> None:
    size = int(np.prod(shape))
    if count < size:
        table.notes.append(
            f"the measurement was not completed: {count} of {size} points are recorded"
        )
