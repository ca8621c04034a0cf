"""From a file to traces at the device plane: one description for command line and run files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from powercal.errors import ConfigError, TraceSchemaError, unknown_name
from powercal.line import AttenuatorChain, LineCalibration, to_device_plane
from powercal.loading.averaging import average
from powercal.loading.calibration import with_calibration_points
from powercal.loading.files import (
    ask_loader,
    check_options,
    choose_loader,
    existing_file,
    open_traces,
)
from powercal.loading.selection import select
from powercal.schema import DeviceTraces, InstrumentTraces, with_flag

Ranges = tuple[tuple[str, float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a file becomes traces at the device plane.

    Attributes
    ----------
    loader, options : str or None, mapping
        The loader's name and what it is asked.
    plane, channel : str or None
        Where powers are meant, when the file does not say; which of several recorded channels.
    merge : bool
        Sort axes and average points measured twice.
    selected, dropped, reference_selected : tuple of (name, low, high)
        Ranges in SI to keep, to leave out, to keep of the reference.
    average : tuple of str
        Dimensions of repeats.
    calibration_points : (ground, excited) or None
        Numbers of the points that were taken in the two states.
    reference : path or None
        The reference trace, read with the same loader.
    line : LineCalibration or None
        What is known of the line.
    declared : mapping
        Further attributes, in SI (``bath_temperature``).
    """

    loader: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    plane: str | None = None
    channel: str | None = None
    merge: bool = False
    selected: Ranges = ()
    dropped: Ranges = ()
    average: tuple[str, ...] = ()
    calibration_points: tuple[list[int], list[int]] | None = None
    reference: str | Path | None = None
    reference_selected: Ranges = ()
    line: LineCalibration | None = None
    declared: Mapping[str, float] = field(default_factory=dict)


def device_traces(source: str | Path, reading: Reading) -> DeviceTraces:
    """Open, cut, reduce, and say how the traces relate to the device.

    Parameters
    ----------
    source : path
        The file.
    reading : Reading
        How it is read.

    Returns
    -------
    DeviceTraces
        Ready for a fit.

    Raises
    ------
    DataError, UnknownNameError
        The file does not hold what the reading asks for.
    """
    traces = _cut(_opened(source, reading), "select", reading.selected)
    traces = _cut(traces, "drop", reading.dropped)
    for dim in reading.average:
        traces = average(traces, dim)
    if reading.calibration_points is not None:
        ground, excited = reading.calibration_points
        traces = with_calibration_points(traces, ground=ground, excited=excited)
    reference = None
    if reading.reference is not None:
        reference = _cut(_opened(reading.reference, reading), "select", reading.reference_selected)
    device = to_device_plane(traces, reading.line, reference)
    return DeviceTraces(device.assign_attrs(reading.declared))


def line_with(
    line: LineCalibration | None,
    levels: Mapping[str, tuple[float, float] | None],
    chain: AttenuatorChain | None,
) -> LineCalibration | None:
    """Join what is said of a line; None where nothing is.

    Raises
    ------
    ConfigError
        A level that the line has already.
    """
    joined = line or LineCalibration()
    for name, level in levels.items():
        if level is None:
            continue
        if getattr(joined, name) is not None:
            raise ConfigError(f"{name} is given twice, also in the line file; keep one")
        known: dict[str, Any] = {name: level}
        joined = replace(joined, **known)
    if chain is not None:
        joined = replace(joined, chain=chain)
    return None if joined == LineCalibration() else joined


def _opened(path: str | Path, reading: Reading) -> InstrumentTraces:
    if reading.plane is None:
        traces = open_traces(path, loader=reading.loader, merge=reading.merge, **reading.options)
    else:
        traces = open_traces(_with_plane(path, reading, reading.plane), merge=reading.merge)
    return traces if reading.channel is None else _one_channel(traces, reading.channel)


def _with_plane(path: str | Path, reading: Reading, plane: str) -> Any:
    """Read a file before the check of traces, which refuses those without a plane."""
    file = existing_file(path)
    loader, name = choose_loader(file, reading.loader)
    check_options(loader, reading.options)
    traces = ask_loader(loader, name, "load", file, reading.options)
    said = traces.attrs.get("plane")
    if said not in (None, plane):
        traces = with_flag(traces, f"plane was declared to be {plane!r}; the loader said {said!r}")
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    known = {"source": file.name, "source_sha256": digest, "loader": name}
    return traces.assign_attrs(plane=plane, **known)


def _one_channel(traces: InstrumentTraces, name: str) -> InstrumentTraces:
    if "channel" not in traces.coords:
        raise TraceSchemaError(
            f"{traces.attrs['source']} has no channels to choose from; leave out --channel {name!r}"
        )
    names = [str(value) for value in traces["channel"].values.ravel()]
    if name not in names:
        raise unknown_name(f"channel in {traces.attrs['source']}", name, names)
    one = traces.isel(channel=names.index(name), drop=True)
    return InstrumentTraces(with_flag(one, f"channel {name!r} of {', '.join(names)} was chosen"))


def _cut(traces: InstrumentTraces, verb: str, ranges: Ranges) -> InstrumentTraces:
    for name, low, high in ranges:
        traces = select(traces, **{verb: {name: (low, high)}})
    return traces
