"""From the options of the command line to traces at the device plane."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from powercal.cli.values import assignments, read_by
from powercal.spelling import (
    DECLARED,
    chain,
    plain_option,
    points,
    quantity,
    quantity_with_error,
)

if TYPE_CHECKING:
    from powercal.line import LineCalibration
    from powercal.schema import DeviceTraces

Command = TypeVar("Command", bound=Callable[..., Any])


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


def _line(given: Mapping[str, Any]) -> LineCalibration | None:
    """Join what the options say of the line; a level that is given twice is refused."""
    from powercal.errors import ConfigError
    from powercal.line import read_line
    from powercal.loading.device import line_with

    line = None if given["line"] is None else read_line(given["line"])
    levels = {name: given[name] for name in ("attenuation_db", "gain_db")}
    try:
        return line_with(line, levels, given["chain"])
    except ConfigError as error:
        raise click.UsageError(f"{error}.") from error


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
            f"--{name.replace('_', '-')}",
            metavar="QUANTITY",
            callback=read_by(partial(quantity, unit=unit)),
            help=f"The {meaning}, for the checks of assumptions, e.g. {example}.",
        )
        for name, (unit, meaning, example) in DECLARED.items()
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
            callback=read_by(chain),
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
            callback=read_by(points),
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
    asked: dict[str, Any] = {n: plain_option(v) for n, v in given["loader_options"].items()}
    return asked | ({"mapping": given["mapping"]} if given["mapping"] else {})


def device_traces(source: str, given: Mapping[str, Any]) -> DeviceTraces:
    """Open, cut, and say how the traces relate to the device."""
    from powercal import loading

    reading = loading.Reading(
        loader=given["loader"],
        options=loader_arguments(given),
        plane=given["plane"],
        channel=given["channel"],
        merge=given["merge"],
        selected=given["selected"],
        dropped=given["dropped"],
        average=given["average"],
        calibration_points=given["calibration_points"],
        reference=given["reference"],
        reference_selected=given["reference_selected"],
        line=_line(given),
        declared={name: given[name] for name in DECLARED if given[name] is not None},
    )
    return loading.device_traces(source, reading)
