"""Labber logs: which step is the frequency, which channel the power, and what was recorded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from powercal.contracts import Loader
from powercal.errors import LoaderError, UnitError, unknown_name
from powercal.hookspecs import hookimpl
from powercal.loaders._guard import is_hdf5, member, open_hdf5
from powercal.loaders._labber_file import read_log
from powercal.loaders._labber_log import Channel, Log, Step, Vector
from powercal.schema import WORDS, InstrumentTraces, with_flag
from powercal.units import UNITS, canonical

if TYPE_CHECKING:
    import xarray as xr

MAPPABLE = ("frequency", "power", "time", "received", "reflection", "transmission")
_ORDER = ("power", "frequency", "frequency_offset", "time")


@dataclass(slots=True)
class _Choice:
    """Which channel stands for which word, and why others do not."""

    axes: dict[str, str] = field(default_factory=dict)  # step name -> dimension
    frequency: Channel | None = None
    power: Channel | None = None
    lines: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def _kind(unit: str) -> str:
    try:
        return UNITS[canonical(unit)].kind
    except UnitError:
        return ""


def _slug(name: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "channel"
    return f"labber_{slug}" if slug in WORDS or slug in ("power", "channel", "trace") else slug


# --- choosing ------------------------------------------------------------------------------------


def _choose(log: Log, mapping: Mapping[str, str]) -> _Choice:
    _check_mapping(log, mapping)
    choice = _Choice()
    vector = _vector_axis(log)
    step = None if vector else _choose_step(log, mapping, "frequency", choice)
    time = _choose_step(log, mapping, "time", choice)
    for found, word in ((step, "frequency"), (time, "time")):
        if found is not None and found.values is not None:
            offset = word == "frequency" and "frequency" not in mapping and found.values.min() <= 0
            choice.axes[found.name] = "frequency_offset" if offset else word
            choice.lines.append(
                f"{choice.axes[found.name]}: {found.name!r} ({found.channel.unit}, {found.size} "
                f"points in {found.segments} segments)"
            )
    choice.frequency = vector.channel if vector else step.channel if step else None
    if vector:
        choice.lines.append(f"frequency: the x axis of {vector.channel.name!r}")
    choice.power = _choose_power(log, mapping, choice)
    for axis in log.axes:
        if choice.power is not None and axis.name == choice.power.name:
            choice.axes[axis.name] = "power"
        elif axis.name not in choice.axes:
            choice.axes[axis.name] = _slug(axis.name)
            choice.lines.append(f"{choice.axes[axis.name]}: {axis.name!r} (another swept step)")
    return choice


def _check_mapping(log: Log, mapping: Mapping[str, str]) -> None:
    for word, name in mapping.items():
        if word not in MAPPABLE:
            raise unknown_name("word that can be mapped", word, MAPPABLE)
        if name not in log.channels:
            raise LoaderError(f"{log.file}: {unknown_name('channel', name, log.channels)}")


def _vector_axis(log: Log) -> Vector | None:
    """Return a vector channel that runs over frequency; all of them share its axis."""
    for vector in log.vectors.values():
        if _kind(vector.x_unit) == "frequency":
            return vector
    return None


def _choose_step(log: Log, mapping: Mapping[str, str], word: str, choice: _Choice) -> Step | None:
    if word in mapping:
        for step in log.axes:
            if step.name == mapping[word]:
                return step
        swept = ", ".join(repr(step.name) for step in log.axes) or "none"
        raise LoaderError(
            f"{log.file}: {word} is mapped to {mapping[word]!r}, which is not swept; the swept "
            f"steps are {swept}"
        )
    kind = WORDS[word].kind
    candidates = []
    for step in log.steps:
        if _kind(step.channel.unit) != kind or not (step.swept or step.dependent):
            continue
        if step.dependent:
            choice.lines.append(f"not {word}: {step.name!r} follows other channels by a relation")
        else:
            candidates.append(step)
    _refuse_several(log, word, [step.name for step in candidates])
    return candidates[0] if candidates else None


def _refuse_several(log: Log, word: str, names: list[str]) -> None:
    if len(names) > 1:
        raise LoaderError(
            f"{log.file} has {len(names)} candidates for {word}: {', '.join(map(repr, names))}; "
            f"say which, for example mapping={{{word!r}: {names[0]!r}}} (command line: --map "
            f"{f'{word}={names[0]}'!r})"
        )


def _choose_power(log: Log, mapping: Mapping[str, str], choice: _Choice) -> Channel | None:
    levels = [c for c in log.channels.values() if _kind(c.unit) == "power"]
    swept = [step.channel for step in log.axes if _kind(step.channel.unit) == "power"]
    if "power" in mapping:
        chosen = log.channels[mapping["power"]]
        reason = "as mapped"
    else:
        instrument = choice.frequency.instrument if choice.frequency else None
        same = [c for c in levels if instrument and c.instrument == instrument]
        near = [c for c in same if c in swept] or same
        reason = "on the instrument of the frequency" if near else "the swept power"
        found = near or swept
        _refuse_several(log, "power", [c.name for c in found])
        if not found:
            if choice.frequency is not None:
                choice.notes.append("the log names no power of its drive; it stays unknown")
            return None
        chosen = found[0]
    choice.lines.append(f"power: {chosen.name!r} ({chosen.unit}, {reason})")
    for other in levels:
        if other != chosen:
            why = "was not swept" if other not in swept else "was swept, but is not the drive"
            if reason.startswith("on the instrument") and other.instrument != chosen.instrument:
                why = "belongs to another instrument"
            choice.lines.append(f"not power: {other.name!r} {why}")
    return chosen


# --- the dataset ---------------------------------------------------------------------------------


def _fixed_value(log: Log, channel: Channel) -> float | None:
    """Return the value of a channel that stood still, where the log holds it beyond doubt."""
    for step in log.steps:
        if step.name == channel.name:
            value = None if step.values is None or step.swept else float(step.values[0])
            return None if channel.scaled else value
    value = log.config.get((channel.instrument, channel.quantity))
    return None if channel.scaled else value


def _coordinates(log: Log, choice: _Choice) -> dict[str, Any]:
    coordinates: dict[str, Any] = {}
    for step in log.axes:
        dim = choice.axes[step.name]
        name = "incident_power" if dim == "power" else dim
        coordinates[name] = (dim, step.values, _unit_attributes(step.channel, choice))
    power = choice.power
    if power is not None and "incident_power" not in coordinates:
        level = _fixed_value(log, power)
        if level is None:
            choice.notes.append(f"the value of {power.name!r} is not in the log beyond doubt")
        else:
            coordinates["incident_power"] = ((), level, {"units": power.unit})
            choice.lines.append(f"incident_power: fixed at {level:g} {power.unit}")
    vector = _vector_axis(log)
    if vector is not None:
        coordinates["frequency"] = ("frequency", vector.x, {"units": canonical(vector.x_unit)})
    elif power is not None and choice.frequency is None:
        coordinates |= _carrier(log, power, choice)
    return coordinates


def _carrier(log: Log, power: Channel, choice: _Choice) -> dict[str, Any]:
    """Return the fixed frequency of the generator whose power was swept, if it has just one."""
    tones = [
        (channel, _fixed_value(log, channel))
        for channel in log.channels.values()
        if channel.instrument == power.instrument and _kind(channel.unit) == "frequency"
    ]
    known = [(channel, value) for channel, value in tones if value is not None]
    if len(known) != 1:
        return {}
    channel, value = known[0]
    choice.lines.append(f"frequency: fixed at {value:g} {channel.unit} by {channel.name!r}")
    return {"frequency": ((), value, {"units": channel.unit})}


def _unit_attributes(channel: Channel, choice: _Choice) -> dict[str, str]:
    attrs = {"long_name": channel.name}
    if channel.unit and not _kind(channel.unit):
        note = f"unit {channel.unit!r} of {channel.name!r} is not known; kept as a number"
        choice.notes.append(note)
        return attrs | {"units": "1", "labber_unit": channel.unit}
    return attrs | {"units": canonical(channel.unit) if channel.unit else "1"}


def _variables(log: Log, choice: _Choice, mapping: Mapping[str, str]) -> dict[str, Any]:
    dims = tuple(choice.axes[step.name] for step in log.axes)
    variables: dict[str, Any] = {}
    received: dict[str, Any] = {}
    for name, values in log.columns.items():
        channel = log.channels.get(name) or Channel(name)
        word = _word_for(name, mapping) if np.iscomplexobj(values) else None
        if word is None and np.iscomplexobj(values) and _kind(channel.unit) == "voltage":
            if mapping.get("received", name) == name:
                received[name] = values
        else:
            _add(variables, log, word or _slug(name), (dims, values), channel, choice)
    if len(received) == 1:
        (name, values), unit = next(iter(received.items())), _received_unit(log, received)
        variables["received"] = (dims, values, {"units": unit, "long_name": name})
    elif received:
        stacked, unit = np.stack(list(received.values())), _received_unit(log, received)
        variables["received"] = (("channel", *dims), stacked, {"units": unit})
        variables["channel"] = ("channel", list(received))
    _add_vectors(variables, log, dims, choice, mapping)
    return variables


def _received_unit(log: Log, received: Mapping[str, Any]) -> str:
    units = {canonical(log.channels[name].unit) for name in received}
    if len(units) > 1:
        names = ", ".join(map(repr, received))
        raise LoaderError(
            f"{log.file}: the channels {names} have different units; choose one, for example "
            f"mapping={{'received': {next(iter(received))!r}}}"
        )
    return units.pop()


def _word_for(name: str, mapping: Mapping[str, str]) -> str | None:
    for word in ("reflection", "transmission"):
        if mapping.get(word) == name:
            return word
    match = re.search(r"\bS(\d)(\d)$", name)
    if match is None:
        return None
    word = "reflection" if match[1] == match[2] else "transmission"
    return None if word in mapping else word


def _add(
    variables: dict[str, Any],
    log: Log,
    name: str,
    content: tuple[tuple[str, ...], Any],
    channel: Channel,
    choice: _Choice,
) -> None:
    if name in variables:
        others = [*log.columns, *log.vectors]
        alike = [other for other in others if _word_for(other, {}) == name or _slug(other) == name]
        _refuse_several(log, name, alike)
    attrs = _unit_attributes(channel, choice)
    variables[name] = (*content, attrs | ({"units": "1"} if name in WORDS else {}))


def _add_vectors(
    variables: dict[str, Any],
    log: Log,
    dims: tuple[str, ...],
    choice: _Choice,
    mapping: Mapping[str, str],
) -> None:
    axis = _vector_axis(log)
    for name, vector in log.vectors.items():
        word = _word_for(name, mapping)
        if axis is None or word is None or not np.array_equal(vector.x, axis.x):
            choice.notes.append(f"vector channel {name!r} is no S-parameter of frequency; left out")
            continue
        _add(variables, log, word, ((*dims, "frequency"), vector.values), vector.channel, choice)


def _build(log: Log, mapping: Mapping[str, str]) -> tuple[xr.Dataset, _Choice]:
    import xarray as xr

    choice = _choose(log, mapping)
    coordinates = _coordinates(log, choice)
    variables = _variables(log, choice, mapping)
    if not variables:
        raise LoaderError(f"{log.file} records no channel; choose a log with measured values")
    if "channel" in variables:
        coordinates["channel"] = variables.pop("channel")
    traces = xr.Dataset(variables, coordinates, {"plane": "instrument"})
    if {"received", "reflection", "transmission"} & set(variables):
        # A record with a phase can come from nothing else.
        traces.attrs["detection"] = "coherent"
    order = [dim for dim in traces.dims if dim not in _ORDER]
    traces = traces.transpose(*order, *(dim for dim in _ORDER if dim in traces.dims))
    for note in (*log.notes, *choice.notes):
        traces = with_flag(traces, note)
    return traces, choice


# --- the loader ----------------------------------------------------------------------------------


def _claims(path: Path) -> bool:
    if not is_hdf5(path):
        return False
    try:
        with open_hdf5(path) as file:
            return all(name in file for name in ("Data", "Step list", "Channels"))
    except LoaderError:
        return False


def _load(path: Path, mapping: Mapping[str, str] | None = None) -> InstrumentTraces:
    chosen = dict(mapping or {})
    with open_hdf5(path) as file:
        traces, _ = _build(read_log(file, path.name, file), chosen)
        appended = [name for name in file if re.fullmatch(r"Log_\d+", name)]
        appended.sort(key=lambda name: int(name[4:]))
        others = []
        for name in appended:
            log = read_log(file, f"{path.name}/{name}", member(file, name))
            others.append((name, _build(log, chosen)[0]))
    return InstrumentTraces(_join(traces, others))


def _join(first: xr.Dataset, others: list[tuple[str, xr.Dataset]]) -> xr.Dataset:
    """Put appended logs beside the first along ``trace`` where all have its axes."""
    import xarray as xr

    if not others:
        return first
    odd = [name for name, other in others if not _alike(first, other)]
    if odd:
        return with_flag(
            first, f"appended logs {', '.join(odd)} have other axes than the first; left out"
        )
    joined = xr.concat(
        [first, *(other for _, other in others)],
        dim="trace",
        data_vars="all",
        coords="minimal",
        compat="equals",
        join="exact",
        combine_attrs="override",
    )
    return with_flag(joined, f"{len(others)} appended logs stand beside the first along 'trace'")


def _alike(first: xr.Dataset, other: xr.Dataset) -> bool:
    same = set(first.variables) == set(other.variables) and first.sizes == other.sizes
    return same and all(first[name].equals(other[name]) for name in first.coords)


def _describe(path: Path, mapping: Mapping[str, str] | None = None) -> tuple[str, ...]:
    with open_hdf5(path) as file:
        log = read_log(file, path.name, file)
        _, choice = _build(log, dict(mapping or {}))
    return tuple(choice.lines)


@hookimpl
def powercal_loaders() -> Iterable[Loader]:
    """Offer the loader for Labber logs."""
    yield Loader(
        name="labber",
        summary="Labber logs: axes rebuilt in full precision, complex columns as received",
        claims=_claims,
        load=_load,
        options=("mapping",),
        describe=_describe,
    )
