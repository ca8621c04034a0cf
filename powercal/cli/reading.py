"""From the options of the command line to traces at the device plane."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from powercal.cli.values import assignments, quantity, quantity_with_error, read_by

if TYPE_CHECKING:
    from powercal.line import LineCalibration
    from powercal.schema import DeviceTraces, InstrumentTraces

Command = TypeVar("Command", bound=Callable[..., Any])

# Facts that no file of traces tells and that checks of assumptions need: option, unit, attribute.
DECLARED = (
    ("--bath-temperature", "20mK", "K", "temperature of the bath"),
    ("--anharmonicity", "-200MHz", "Hz", "anharmonicity"),
    ("--dwell-time", "10us", "s", "time spent at each point"),
)


def together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return one decorator that adds several options, in this order."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _selection(text: str) -> tuple[str, float, float]:
    from powercal.loading import parse_selection

    return parse_selection(text)


def _chain(text: str) -> Any:
    """Read a source temperature and the attenuators behind it, in the order of the signal."""
    from powercal.line import AttenuatorChain

    source, *stages = text.split(",")
    pairs = [stage.partition("@") for stage in stages]
    return AttenuatorChain(
        quantity(source, "K"), tuple((quantity(a, "dB"), quantity(t, "K")) for a, _, t in pairs)
    )


def _points(text: str) -> tuple[list[int], list[int]]:
    """Read the numbers of the calibration points in the ground and in the excited state."""
    from powercal.errors import UnitError

    try:
        ground, excited = ([int(i) for i in part.split(",")] for part in text.split(":"))
    except ValueError as reason:
        raise UnitError(f"{text!r} is not of the form of 0,1:2,3; write it so") from reason
    return ground, excited


def _line(given: Mapping[str, Any]) -> LineCalibration | None:
    """Join what the options say of the line; a level that is given twice is refused."""
    from dataclasses import replace

    from powercal.line import LineCalibration, read_line

    line = LineCalibration() if given["line"] is None else read_line(given["line"])
    for name in ("attenuation_db", "gain_db"):
        if given[name] is None:
            continue
        if getattr(line, name) is not None:
            raise click.UsageError(f"{name} is given twice, also with --line; keep one.")
        line = replace(line, **{name: given[name]})
    if given["chain"] is not None:
        line = replace(line, chain=given["chain"])
    return None if line == LineCalibration() else line


def _range(option: str, target: str, meaning: str) -> Callable[[Command], Command]:
    return click.option(
        option,
        target,
        multiple=True,
        metavar="NAME=LOW..HIGH",
        callback=read_by(_selection),
        help=f"{meaning}; repeatable.",
    )


def loader_options() -> Callable[[Command], Command]:
    """Return the options that say how a file is read."""
    return together(
        click.option("--loader", metavar="NAME", help="Loader, where none or several claim it."),
        click.option(
            "--map",
            "mapping",
            multiple=True,
            metavar="WORD=CHANNEL",
            callback=assignments("'power=Readout - Power'"),
            help="Which channel of the file stands for which word; repeatable.",
        ),
        click.option(
            "--loader-option",
            "loader_options",
            multiple=True,
            metavar="NAME=VALUE",
            callback=assignments("incident_power_dbm=-30"),
            help="Any other option of the loader; repeatable.",
        ),
    )


def trace_options() -> Callable[[Command], Command]:
    """Return the options that lead from files to traces at the device plane."""
    level = read_by(partial(quantity_with_error, unit="dB"))
    declared = [
        click.option(
            name,
            metavar="QUANTITY",
            callback=read_by(partial(quantity, unit=unit)),
            help=f"The {meaning}, for the checks of assumptions, e.g. {example}.",
        )
        for name, example, unit, meaning in DECLARED
    ]
    return together(
        click.option(
            "--reference", metavar="FILE", help="Background or off-resonance trace to divide by."
        ),
        click.option(
            "--attenuation-db", metavar="DB±STD", callback=level, help="Known loss, e.g. 61.4±0.5."
        ),
        click.option(
            "--gain-db", metavar="DB±STD", callback=level, help="Known gain, e.g. 39.8±0.3."
        ),
        click.option("--line", metavar="LINE.json", help="A line from: powercal calibrate-line."),
        click.option(
            "--chain",
            metavar="SOURCE,LOSS@T,...",
            callback=read_by(_chain),
            help="Attenuators before the device, for n_line, e.g. 300K,20dB@4K,20dB@10mK.",
        ),
        _range("--select", "selected", "Keep this range, e.g. frequency=6.54GHz..6.55GHz"),
        _range("--drop", "dropped", "Leave this range out"),
        _range("--reference-select", "reference_selected", "Keep this range of the reference"),
        click.option(
            "--average", multiple=True, metavar="DIMENSION", help="Average repeats; repeatable."
        ),
        click.option(
            "--calibration-points",
            metavar="GROUND:EXCITED",
            callback=read_by(_points),
            help="Which points were taken in the two states, e.g. 0,1:2,3; of a sweep without its "
            "own calibration points -4,-3:-2,-1.",
        ),
        click.option("--channel", metavar="NAME", help="Which of several recorded channels."),
        click.option(
            "--plane",
            type=click.Choice(["instrument", "device"]),
            help="Where powers are meant, when the file does not say.",
        ),
        loader_options(),
        click.option("--merge", is_flag=True, help="Sort axes and average repeated points."),
        *declared,
    )


def loader_arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the loader is asked, numbers as numbers."""
    asked: dict[str, Any] = {n: _plain(v) for n, v in given["loader_options"].items()}
    return asked | ({"mapping": given["mapping"]} if given["mapping"] else {})


def _plain(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def device_traces(source: str, given: Mapping[str, Any]) -> DeviceTraces:
    """Open, cut, and say how the traces relate to the device."""
    from powercal.line import to_device_plane
    from powercal.schema import DeviceTraces

    traces = _cut(_opened(source, given), "select", given["selected"])
    traces = _cut(traces, "drop", given["dropped"])
    traces = _reduced(traces, given)
    reference = None
    if given["reference"] is not None:
        reference = _opened(given["reference"], given)
        reference = _cut(reference, "select", given["reference_selected"])
    device = to_device_plane(traces, _line(given), reference)
    names = [option.removeprefix("--").replace("-", "_") for option, *_ in DECLARED]
    declared = {name: given[name] for name in names if given[name] is not None}
    return DeviceTraces(device.assign_attrs(declared))


def _reduced(traces: InstrumentTraces, given: Mapping[str, Any]) -> InstrumentTraces:
    """Average repeats and turn a raw signal into a population, where that is asked for."""
    from powercal.loading import average, with_calibration_points

    for dim in given["average"]:
        traces = average(traces, dim)
    if given["calibration_points"] is None:
        return traces
    ground, excited = given["calibration_points"]
    return with_calibration_points(traces, ground=ground, excited=excited)


def _opened(path: str, given: Mapping[str, Any]) -> InstrumentTraces:
    from powercal.loading import open_traces

    asked = loader_arguments(given)
    if given["plane"] is None:
        traces = open_traces(path, loader=given["loader"], merge=given["merge"], **asked)
    else:
        declared = _with_plane(path, given["loader"], asked, given["plane"])
        traces = open_traces(declared, merge=given["merge"])
    return traces if given["channel"] is None else _one_channel(traces, given["channel"])


def _with_plane(path: str, wanted: str | None, asked: Mapping[str, Any], plane: str) -> Any:
    """Read a file before the check of traces, which refuses those without a plane."""
    import hashlib

    from powercal.loading.files import ask_loader, check_options, choose_loader, existing_file
    from powercal.schema import with_flag

    file = existing_file(path)
    loader, name = choose_loader(file, wanted)
    check_options(loader, asked)
    traces = ask_loader(loader, name, "load", file, asked)
    said = traces.attrs.get("plane")
    if said not in (None, plane):
        traces = with_flag(traces, f"plane was declared to be {plane!r}; the loader said {said!r}")
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    known = {"source": file.name, "source_sha256": digest, "loader": name}
    return traces.assign_attrs(plane=plane, **known)


def _one_channel(traces: InstrumentTraces, name: str) -> InstrumentTraces:
    from powercal.errors import TraceSchemaError, unknown_name
    from powercal.schema import InstrumentTraces, with_flag

    if "channel" not in traces.coords:
        raise TraceSchemaError(
            f"{traces.attrs['source']} has no channels to choose from; leave out --channel {name!r}"
        )
    names = [str(value) for value in traces["channel"].values.ravel()]
    if name not in names:
        raise unknown_name(f"channel in {traces.attrs['source']}", name, names)
    one = traces.isel(channel=names.index(name), drop=True)
    return InstrumentTraces(with_flag(one, f"channel {name!r} of {', '.join(names)} was chosen"))


def _cut(
    traces: InstrumentTraces, verb: str, ranges: tuple[tuple[str, float, float], ...]
) -> InstrumentTraces:
    from powercal.loading import select

    for name, low, high in ranges:
        traces = select(traces, **{verb: {name: (low, high)}})
    return traces
