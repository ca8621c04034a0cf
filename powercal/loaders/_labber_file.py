"""What stands in a Labber log: channels, steps with their axes, columns and vector traces."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from powercal.errors import LoaderError
from powercal.loaders._guard import dataset, member, text
from powercal.loaders._labber_log import Array, Channel, Log, Step, Vector

MAX_POINTS = 2**24


def read_log(file: Any, name: str, group: Any) -> Log:
    """Read one measurement.

    Parameters
    ----------
    file : h5py.File
        The root, which holds the descriptions.
    name : str
        What errors call the file.
    group : h5py.Group
        The root, or ``Log_2`` and so on, which holds ``Data`` and ``Traces``.
    """
    channels = _read_channels(_either(group, file, "Channels"))
    data, rows = member(group, "Data"), _table(_either(group, file, "Step list"))
    if data is None or not rows:
        raise LoaderError(
            f"{name} has no {'Data' if data is None else 'Step list'}; this layout of a Labber log "
            f"is not supported: export it anew from the Log Browser"
        )
    attrs = dict(data.attrs)
    sizes = _step_sizes(name, attrs.get("Step dimensions", file.attrs.get("Step dimensions")), rows)
    still = (np.ravel(attrs.get(f"Fixed step {part}", [])) for part in ("index", "values"))
    fixed = {int(index): float(value) for index, value in zip(*still, strict=True)}
    raw = _raw_columns(name, data, sizes, attrs)
    steps = []
    notes: list[str] = []
    for index, (row, size) in enumerate(zip(rows, sizes, strict=True)):
        channel = channels.get(text(row["channel_name"])) or Channel(text(row["channel_name"]))
        where = _Where(name, channel, size, row, raw.get(channel.name), index, sizes)
        items = _table(_either(group, file, f"Step config/{channel.name}/Step items"))
        steps.append(_read_step(where, items, fixed.get(index), notes))
    log = Log(name, channels, tuple(steps), notes=notes, config=_config(file, channels))
    stepped = {step.name for step in steps}
    log.columns = {key: value for key, value in raw.items() if key not in stepped}
    log.vectors = _read_vectors(name, group, channels, sizes)
    _note_unfinished(log, data, attrs, sizes)
    return log


def _step_sizes(name: str, planned: Any, rows: list[Mapping[str, Any]]) -> list[int]:
    sizes = [int(size) for size in np.ravel([] if planned is None else planned)]
    if len(sizes) != len(rows) or min(sizes) < 1:
        raise LoaderError(
            f"{name} lists {len(rows)} steps but {len(sizes)} step dimensions; this layout of a "
            f"Labber log is not supported"
        )
    if math.prod(sizes) > MAX_POINTS:
        raise LoaderError(
            f"{name} plans {math.prod(sizes):.3g} points, more than the {MAX_POINTS:.3g} that are "
            f"read; split the log"
        )
    return sizes


def _either(group: Any, file: Any, name: str) -> Any:
    found = dataset(group, name)
    return dataset(file, name) if found is None else found


def _table(array: Any) -> list[Mapping[str, Any]]:
    if array is None or array.dtype.names is None:
        return []
    names = array.dtype.names
    return [dict(zip(names, row, strict=True)) for row in np.ravel(array[()]).tolist()]


def _read_channels(array: Any) -> dict[str, Channel]:
    channels = {}
    for row in _table(array):
        name = text(row["name"])
        scaling = tuple(float(row.get(k, d)) for k, d in (("gain", 1), ("offset", 0), ("amp", 1)))
        channels[name] = Channel(
            name,
            text(row.get("instrument", "")),
            text(row.get("quantity", "")),
            text(row.get("unitPhys", "")),
            (scaling[0], scaling[1], scaling[2]),
        )
    return channels


def _config(file: Any, channels: Mapping[str, Channel]) -> dict[tuple[str, str], float]:
    """Read the settings of instruments: attributes in some versions, scalars in others."""
    found = {}
    for channel in channels.values():
        key = (channel.instrument, channel.quantity)
        holder = member(file, f"Instrument config/{channel.instrument}")
        if holder is None or not channel.quantity:
            continue
        value = holder.attrs.get(channel.quantity)
        if value is None:
            scalar = dataset(holder, channel.quantity)
            value = scalar[()] if scalar is not None and scalar.shape == () else None
        if isinstance(value, int | float | np.integer | np.floating):
            found[key] = float(value)
    return found


# --- columns -------------------------------------------------------------------------------------


def _raw_columns(name: str, data: Any, sizes: list[int], attrs: Any) -> dict[str, Array]:
    table, names = dataset(data, "Data"), _table(dataset(data, "Channel names"))
    if table is None or table.ndim != 3 or table.shape[1] != len(names):
        raise LoaderError(
            f"{name} has no three-dimensional Data/Data with one column for each channel name; "
            f"this layout of a Labber log is not supported"
        )
    fast, outer = sizes[0], math.prod(sizes[1:])
    if table.shape[0] > fast or table.shape[2] > outer:
        raise LoaderError(
            f"{name} holds {table.shape[0]} × {table.shape[2]} points where its steps allow "
            f"{fast} × {outer}; this layout of a Labber log is not supported"
        )
    full = _padded(table[()], outer, fast, attrs)
    shape = (*reversed(sizes[1:]), fast)
    keep = tuple(size for size in shape if size > 1)
    columns: dict[str, Array] = {}
    for index, row in enumerate(names):
        key, part = text(row["name"]), text(row["info"])
        column = full[:, index, :].reshape(keep)
        if part == "Imaginary" and key in columns:
            columns[key] = columns[key] + 1j * column.astype(np.float64)
        else:
            columns[key] = column
    return columns


def _padded(values: Array, outer: int, fast: int, attrs: Any) -> Array:
    """Lay what was measured into the whole that was planned: (entry, column, fastest step)."""
    dtype = values.dtype if values.dtype.kind == "f" else np.dtype("f8")
    full = np.full((outer, values.shape[1], fast), np.nan, dtype)
    full[: values.shape[2], :, : values.shape[0]] = values.transpose(2, 1, 0)
    last = int(attrs.get("Entries, last trace", fast))
    if values.shape[2] and 0 < last < fast and not bool(attrs.get("Completed", True)):
        full[values.shape[2] - 1, :, last:] = np.nan
    return full


def _note_unfinished(log: Log, data: Any, attrs: Any, sizes: list[int]) -> None:
    if bool(attrs.get("Completed", True)):
        return
    done, planned = int(dataset(data, "Data").shape[2]), math.prod(sizes[1:])
    log.notes.append(
        f"the measurement was not completed: {done} of {planned} planned entries are in the file, "
        f"the rest is NaN"
    )


# --- axes ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Where:
    file: str
    channel: Channel
    size: int
    row: Mapping[str, Any]
    column: Array | None
    index: int
    sizes: list[int]

    @property
    def follows(self) -> bool:
        # A relation is an equation from the file, which is code: it is never evaluated.
        return bool(self.row.get("use_relations")) and text(self.row.get("equation", "x")) != "x"


def _read_step(where: _Where, items: Any, fixed: float | None, notes: list[str]) -> Step:
    channel, size = where.channel, where.size
    if size == 1:
        single = fixed
        if single is None and not where.follows and len(items) == 1:
            single = float(items[0]["single"])
        values = None if single is None else np.array([single])
        return Step(channel, 1, values, where.follows)
    recorded = _recorded(where)
    if where.follows:
        if recorded is None:
            raise LoaderError(
                f"{where.file}: step {channel.name!r} follows an equation, which is not evaluated, "
                f"and its values are not recorded; measure it with its channel in the log"
            )
        notes.append(f"axis {channel.name!r} is taken from the recorded column (a relation)")
        return Step(channel, size, recorded.astype(np.float64), True, len(items))
    planned = _planned(where, items)
    return Step(channel, size, _agree(where, planned, recorded), False, len(items))


def _recorded(where: _Where) -> Array | None:
    """Return the axis as its column holds it, refusing a column that is no axis."""
    if where.column is None:
        return None
    order = [i for i in (*reversed(range(1, len(where.sizes))), 0) if where.sizes[i] > 1]
    column = np.moveaxis(where.column, order.index(where.index), 0).reshape(where.size, -1)
    rows = [row[np.isfinite(row)] for row in column]
    if any(row.size == 0 for row in rows):
        return None
    if any((row != row[0]).any() for row in rows):
        raise LoaderError(
            f"{where.file}: step {where.channel.name!r} differs from sweep to sweep, so it is no "
            f"axis of a grid; export the log as a table and load that"
        )
    return np.array([row[0] for row in rows])


def _planned(where: _Where, items: Any) -> Array:
    if not items:
        raise LoaderError(
            f"{where.file}: step {where.channel.name!r} has no step items, so its axis is unknown; "
            f"this layout of a Labber log is not supported"
        )
    segments = [_segment(where, item, alone=len(items) == 1) for item in items]
    joined = segments[0]
    for segment in segments[1:]:
        shared = np.isclose(segment[0], joined[-1], rtol=1e-12, atol=0.0)
        joined = np.concatenate([joined, segment[1:] if shared else segment])
    if joined.size != where.size:
        joined = np.concatenate(segments)
    if joined.size != where.size:
        raise LoaderError(
            f"{where.file}: the {len(items)} segments of step {where.channel.name!r} give "
            f"{joined.size} points, but {where.size} were planned; this layout is not supported"
        )
    return joined


def _segment(where: _Where, item: Mapping[str, Any], alone: bool) -> Array:
    kind, count = int(item["range_type"]), int(item["n_pts"])
    if kind == 0:
        return np.array([float(item["single"])])
    start, stop = float(item["start"]), float(item["stop"])
    if kind == 2:
        half = float(item["span"]) / 2
        start, stop = float(item["center"]) - half, float(item["center"]) + half
    shape = int(item["interp"])
    if shape == 0 and 0 < count <= MAX_POINTS:
        return np.linspace(start, stop, count)
    if shape in (1, 2) and start > 0 and stop > 0:
        if shape == 2:  # here n_pts is per decade
            count = where.size if alone else round(count * abs(math.log10(stop / start))) + 1
        if 0 < count <= MAX_POINTS:
            return np.geomspace(start, stop, count)
    name = {1: "logarithmic", 2: "logarithmic (per decade)", 3: "Lorentzian"}.get(shape, str(shape))
    raise LoaderError(
        f"{where.file}: step {where.channel.name!r} has {name} spacing from {start:g} to "
        f"{stop:g} with {count} points, which cannot be rebuilt; sweep linearly, or export the log "
        f"as a table"
    )


def _agree(where: _Where, planned: Array, recorded: Array | None) -> Array:
    """Return the planned axis in physical units, after the recorded column has agreed."""
    if recorded is None:
        if where.channel.scaled and not int(where.row.get("step_unit", 0)):
            return where.channel.physical(planned)
        return planned
    scale = float(np.abs(recorded).max())
    tolerance = 2 * float(np.finfo(recorded.dtype).eps) * scale
    for candidate in (planned, where.channel.physical(planned)):
        if np.abs(candidate - recorded).max() <= tolerance:
            return candidate
    worst = float(np.abs(planned - recorded).max())
    raise LoaderError(
        f"{where.file}: the axis of step {where.channel.name!r} rebuilt from its segments differs "
        f"from the recorded values by up to {worst:.6g} {where.channel.unit}; export the log as a "
        f"table and load that"
    )


# --- vector channels -----------------------------------------------------------------------------


def _read_vectors(
    name: str, group: Any, channels: Mapping[str, Channel], sizes: list[int]
) -> dict[str, Vector]:
    if member(group, "Traces") is None:
        return {}
    found = {}
    for key, channel in channels.items():
        array = dataset(group, f"Traces/{key}")
        if array is not None:
            found[key] = _read_vector(name, group, channel, array, sizes)
    return found


def _read_vector(name: str, group: Any, channel: Channel, array: Any, sizes: list[int]) -> Vector:
    where = f"{name}: vector channel {channel.name!r}"
    parts = 2 if bool(array.attrs.get("complex", False)) else 1
    if array.ndim != 3 or array.shape[1] not in (parts, parts + 1):
        raise LoaderError(f"{where} has shape {array.shape}; this layout is not supported")
    points, entries = array.shape[0], array.shape[2]
    planned = math.prod(sizes)
    if entries > planned:
        raise LoaderError(f"{where} has {entries} entries, but {planned} were planned")
    raw = array[()].astype(np.float64).transpose(2, 1, 0)
    lengths = dataset(group, f"Traces/{channel.name}_N")
    for entry, length in enumerate([] if lengths is None else np.ravel(lengths[()])[:entries]):
        raw[entry, :, int(length) :] = np.nan
    values = raw[:, 0] + 1j * raw[:, 1] if parts == 2 else raw[:, 0]
    full = np.full((planned, points), np.nan, values.dtype)
    full[:entries] = values
    keep = tuple(size for size in reversed(sizes) if size > 1)
    own = raw[:, parts] if array.shape[1] > parts else None
    x = _vector_axis(where, group, channel, own, points)
    return Vector(channel, full.reshape(*keep, points), x, text(array.attrs.get("x, unit", "")))


def _vector_axis(where: str, group: Any, channel: Channel, x: Any, points: int) -> Array:
    if x is None:
        table = dataset(group, f"Traces/{channel.name}_t0dt")
        if table is None:
            raise LoaderError(f"{where} has no x axis (_t0dt); this layout is not supported")
        rows = np.atleast_2d(table[()].astype(np.float64))
        if rows.ndim != 2 or rows.shape[1] != 2 or not rows.size:
            raise LoaderError(f"{where} has an x axis of shape {rows.shape}; wanted pairs t0, dt")
        x = rows[:, :1] + rows[:, 1:] * np.arange(points)
    if not np.array_equal(x, np.broadcast_to(x[:1], x.shape), equal_nan=True):
        raise LoaderError(
            f"{where} has another x axis in every entry; export the log as a table and load that"
        )
    return np.asarray(x[0])
