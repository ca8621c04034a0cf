"""The command ``fit``: one file, or one after the other where the data hold several."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from powercal.cli.house import SOME_FAILED, tell
from powercal.cli.reading import Command, device_traces, together, trace_options
from powercal.cli.values import (
    Quantities,
    assignments,
    model_options,
    of_words,
    read_by,
)
from powercal.errors import PowercalError, ReportError
from powercal.spelling import OBSERVABLES, error_source, quantity, quantity_with_error

if TYPE_CHECKING:
    from powercal.result import FitResult

Items = list[tuple[str, "FitResult | PowercalError"]]


def choice_options() -> Callable[[Command], Command]:
    """Return the options of models that have a name of their own on the command line."""
    return together(
        click.option(
            "--detection",
            type=click.Choice(["absorbed", "coherent", "total"]),
            help="What the detector sees: the absorbed power, the coherent wave or all power.",
        ),
        click.option(
            "--energy",
            type=click.Choice(["effective", "transition", "floquet"]),
            help="Energy per absorbed photon.",
        ),
        click.option(
            "--convention",
            type=click.Choice(["+i", "-i", "find"]),
            help="Sign of the time factor of the file.",
        ),
        click.option(
            "--option",
            "options",
            multiple=True,
            metavar="NAME=VALUE",
            callback=assignments("setup=raw"),
            help="Any other option of the model; repeatable.",
        ),
    )


def _named(option: str, example: str, meaning: str, metavar: str = "NAME=VALUE") -> Any:
    return click.option(
        option,
        multiple=True,
        metavar=metavar,
        callback=assignments(example),
        help=f"{meaning}, e.g. {example}; repeatable.",
    )


def wish_options() -> Callable[[Command], Command]:
    """Return the options that say what is free, fixed, known and fitted."""
    return together(
        click.option(
            "--observable",
            "observables",
            multiple=True,
            metavar="WORD",
            help="What is fitted: complex, power or a word of the schema; repeatable.",
        ),
        _named("--fix", "qubit_frequency=6.5449GHz", "Hold a parameter"),
        click.option(
            "--free",
            multiple=True,
            metavar="NAME",
            help="Free a parameter that the model fixes; repeatable.",
        ),
        _named("--prior", "T1=10±1us", "Prior knowledge", "NAME=MEAN±STD"),
        _named("--start", "gamma_phi=1e5", "Starting value"),
        click.option(
            "--qubit-frequency",
            metavar="QUANTITY",
            callback=read_by(partial(quantity, unit="Hz")),
            help="Starting value of qubit_frequency, e.g. 6.5449GHz.",
        ),
        _named("--sigma", "reflection=0.01", "Noise (standard deviation) of an observable"),
        _named(
            "--per", "reference_phase=power", "Let a parameter differ along it", "NAME=DIMENSION"
        ),
        click.option(
            "--intervals",
            type=click.Choice(["profile", "covariance"]),
            default="profile",
            show_default=True,
            help="Intervals from the profile of χ², or quickly from the covariance.",
        ),
        click.option(
            "--robust",
            type=click.Choice(["none", "soft_l1", "huber", "cauchy"]),
            default="none",
            show_default=True,
            help="A loss to fit with as well; how estimates would move is told beside the result.",
        ),
        click.option(
            "--drop-spikes",
            is_flag=True,
            help="Fit without isolated points far from the curve, and say which.",
        ),
    )


@click.command()
@click.argument("source")
@click.option("--model", required=True, metavar="NAME", help="See: powercal models.")
@trace_options()
@choice_options()
@wish_options()
@click.option(
    "--error",
    "errors",
    multiple=True,
    metavar="'NAME: WORD SIZE'",
    callback=read_by(error_source),
    help="A named error, e.g. 'power meter: incident_power 2%', 'drift: reflection 1% per power' "
    "(one draw each), 'counter: frequency 10kHz per point'; repeatable.",
)
@click.option("-o", "--output", metavar="REPORT.h5", help="Write a report.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on stdout.")
@click.pass_context
def fit(ctx: click.Context, /, source: str, model: str, **given: Any) -> None:
    """Fit a model to the traces in SOURCE and say what they determine.

    Values take an optional unit of the right kind (6.5449GHz, 10us, -30dBm); without one they are
    SI. Rates (gamma_1, ...) are angular, in 1/s. The reference file is read with the same
    --loader, --map and --channel as SOURCE.

    Where the data have a dimension that the model does not use (repeats, channels), every index is
    fitted by itself, and each gets a report named REPORT.LABEL.h5.
    """
    output = None if given["output"] is None else Path(given["output"])
    check_output(output, source, given["reference"])
    wishes = wishes_of(model, given)
    traces = device_traces(source, given)
    if given["errors"]:
        from powercal.sources import with_errors

        traces = with_errors(traces, *given["errors"])
    from powercal.fitting import batch_dimensions, fit, fit_each

    if batch_dimensions(traces, model):
        items = fit_each(traces, model, **wishes)
        _finish_several(ctx, items, output, given["as_json"])
    else:
        result = fit(traces, model, **wishes)
        _print(result, given["as_json"])
        _write(result, output, given["as_json"])


def check_output(output: Path | None, *inputs: str | None) -> None:
    """Refuse before the fit what would be refused after it, and never write over data."""
    if output is None:
        return
    for name in inputs:
        if name is not None and output.exists() and Path(name).exists() and output.samefile(name):
            raise click.UsageError(
                f"The report {str(output)!r} would replace the data; choose another name."
            )
    if output.is_dir() or not output.parent.is_dir():
        what = "it is a folder" if output.is_dir() else f"there is no folder {output.parent}"
        raise ReportError(
            f"report {output} cannot be written: {what}; choose another name or make the folder"
        )


def wishes_of(model: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the command line into arguments of :func:`powercal.fit`."""
    chosen = model_options(given, model)
    quantities = Quantities(model, chosen)
    start = quantities.read(given["start"], "--start", quantity)
    if given["qubit_frequency"] is not None:
        if "qubit_frequency" in start:
            raise click.UsageError("qubit_frequency is also given with --start; keep one.")
        start["qubit_frequency"] = given["qubit_frequency"]
    return {
        "free": given["free"],
        "fixed": quantities.read(given["fix"], "--fix", quantity),
        "priors": quantities.read(given["prior"], "--prior", quantity_with_error),
        "start": start,
        "sigma": of_words(given["sigma"], "--sigma"),
        "per": given["per"],
        "observables": tuple(OBSERVABLES.get(name, name) for name in given["observables"]),
        "intervals": given["intervals"],
        "robust": given["robust"],
        "drop_spikes": given["drop_spikes"],
        **chosen,
    }


def _finish_several(ctx: click.Context, items: Items, output: Path | None, as_json: bool) -> None:
    """Print and write all; the failed ones are listed at the end."""
    failed = [(label, item) for label, item in items if isinstance(item, PowercalError)]
    if len(failed) == len(items) and len({str(error) for _, error in failed}) == 1:
        raise failed[0][1]  # the wish is wrong, not one of the items
    if as_json:
        click.echo(dump({"items": [_plain_item(label, item) for label, item in items]}))
    for label, item in items:
        if isinstance(item, PowercalError):
            continue
        if as_json:
            _tell_flags(item, f"{label}: ")
        else:
            click.echo(f"===== {label} =====\n{item}\n")
        named = output and output.with_name(f"{output.stem}.{label}{output.suffix}")
        _write(item, named, as_json)
    for label, error in failed:
        tell(f"{label} failed: {error}")
    if failed:
        tell(f"{len(failed)} of {len(items)} failed")
        ctx.exit(SOME_FAILED)


def _plain_item(label: str, item: FitResult | PowercalError) -> dict[str, Any]:
    from powercal.text import to_json

    if isinstance(item, PowercalError):
        return {"label": label, "error": str(item), "result": None}
    return {"label": label, "error": None, "result": to_json(item)}


def _print(result: FitResult, as_json: bool) -> None:
    from powercal.text import to_json

    click.echo(dump(to_json(result)) if as_json else str(result))
    if as_json:
        _tell_flags(result)


def _tell_flags(result: FitResult, label: str = "") -> None:
    """Say the flags on stderr: who pipes the numbers on shall see the caveats all the same."""
    for flag in result.flags:
        tell(f"{label}{flag.name}: {flag.sentence}")


def dump(data: Mapping[str, Any]) -> str:
    """Write plain data as JSON in ASCII, which every terminal and pipe carries."""
    return json.dumps(data, indent=2, allow_nan=False)


def _write(result: FitResult, output: Path | None, as_json: bool) -> None:
    from powercal.report import write_report

    if output is not None:
        write_report(output, result)
        click.echo(f"report: {output}", err=as_json)
