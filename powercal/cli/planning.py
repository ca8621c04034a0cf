"""The command ``plan``: what a measurement will tell before it is made."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from powercal.cli.fitting import choice_options, dump
from powercal.cli.house import SOME_FAILED
from powercal.cli.reading import Command, together
from powercal.cli.simulating import _inputs
from powercal.cli.values import Quantities, assignments, model_options, of_words, read_by
from powercal.spelling import OBSERVABLES, error_source, quantity, quantity_with_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from powercal.line import LineCalibration


def _named(
    option: str, example: str, meaning: str, metavar: str = "NAME=VALUE"
) -> Callable[[Command], Command]:
    return click.option(
        option,
        multiple=True,
        metavar=metavar,
        callback=assignments(example),
        help=f"{meaning}, e.g. {example}; repeatable.",
    )


def _grid_options() -> Callable[[Command], Command]:
    """Return the options that say where is measured, and how well."""
    return together(
        click.option("--power", metavar="RANGE", help="Incident power, e.g. -140dBm..-110dBm:11."),
        click.option(
            "--frequency", metavar="RANGE", help="Drive frequency, e.g. 4.99GHz..5.01GHz:101."
        ),
        click.option(
            "--input",
            "inputs",
            multiple=True,
            metavar="WORD=RANGE",
            callback=assignments("excited_population=0.1..0.4:7"),
            help="Any other input of the model; repeatable.",
        ),
        _named("--candidates", "frequency=4.98GHz..5.02GHz:201", "More a better grid may use"),
        _named("--noise", "reflection=0.01", "Standard deviation of one reading", "WORD=STD"),
        click.option(
            "--averages", type=int, default=1, show_default=True, help="Readings a point."
        ),
        click.option(
            "--error",
            "errors",
            multiple=True,
            metavar="'NAME: WORD SIZE'",
            callback=read_by(error_source),
            help="A named error, e.g. 'power meter: incident_power 2%'; repeatable.",
        ),
    )


def _line_options() -> Callable[[Command], Command]:
    level = read_by(partial(quantity_with_error, unit="dB"))
    return together(
        click.option(
            "--attenuation-db", metavar="DB±STD", callback=level, help="Known loss, e.g. 61.4±0.5."
        ),
        click.option(
            "--gain-db", metavar="DB±STD", callback=level, help="Known gain, e.g. 39.8±0.3."
        ),
        click.option(
            "--unknown-line", is_flag=True, help="There is a line; what is not given is not known."
        ),
    )


@click.command()
@click.argument("model")
@_named("--value", "gamma_1=6e6", "Supposed value of a parameter")
@_named("--target", "gamma_1=2%", "Wanted standard uncertainty, as a share or a value", "NAME=STD")
@_grid_options()
@_line_options()
@_named("--fix", "gamma_phi=0", "Hold a parameter")
@click.option("--free", multiple=True, metavar="NAME", help="Free a parameter; repeatable.")
@_named("--prior", "T1=10±1us", "Prior knowledge", "NAME=MEAN±STD")
@click.option(
    "--observable", "observables", multiple=True, metavar="WORD", help="Which ones; repeatable."
)
@choice_options()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on stdout.")
@click.pass_context
def plan(ctx: click.Context, /, model: str, **given: Any) -> None:
    """Say what a measurement would tell of MODEL, from the Fisher information.

    The grid and the supposed values are those of powercal simulate; powers are at the device, the
    noise is at the instrument (behind the gain, if one is given).

    Leaves with 1 where a target cannot be reached by any number of averages.
    """
    options: dict[str, Any] = dict(model_options(given, model, complete=True))
    quantities = Quantities(model, options)
    values = quantities.read(given["value"], "--value", quantity)
    inputs = _inputs(given)
    candidates = _inputs({"power": None, "frequency": None, "inputs": given["candidates"]})
    from powercal.fitting.planning import plan as plan_measurement

    found = plan_measurement(
        model,
        values,
        inputs=inputs,
        noise=of_words(given["noise"], "--noise"),
        target=given["target"],
        averages=given["averages"],
        line=_line(given),
        errors=given["errors"],
        free=given["free"],
        fixed=quantities.read(given["fix"], "--fix", quantity),
        priors=quantities.read(given["prior"], "--prior", quantity_with_error),
        observables=tuple(OBSERVABLES.get(name, name) for name in given["observables"]),
        candidates=candidates,
        **options,
    )
    click.echo(dump(found.to_json()) if given["as_json"] else str(found))
    if not found.reachable:
        ctx.exit(SOME_FAILED)


def _line(given: Mapping[str, Any]) -> LineCalibration | None:
    from powercal.line import LineCalibration

    levels = {name: given[name] for name in ("attenuation_db", "gain_db")}
    known = any(level is not None for level in levels.values())
    return LineCalibration(**levels) if known or given["unknown_line"] else None
