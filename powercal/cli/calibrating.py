"""The command ``calibrate-line``: a qubit whose T1 is known says what the line does."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from powercal.cli.fitting import check_output, choice_options, dump, wish_options, wishes_of
from powercal.cli.reading import device_traces, trace_options
from powercal.cli.values import read_by
from powercal.spelling import quantity, quantity_with_error

if TYPE_CHECKING:
    from powercal.fitting import CalibratedLine

LEVELS = {"attenuation_db": "loss from generator to device", "gain_db": "gain to the receiver"}
_level = read_by(partial(quantity, unit="dB"))


@click.command("calibrate-line")
@click.argument("source")
@click.option("--model", required=True, metavar="NAME", help="See: powercal models.")
@click.option(
    "--t1",
    metavar="TIME±STD",
    callback=read_by(partial(quantity_with_error, unit="s")),
    help="Relaxation time from elsewhere, e.g. 10±0.2us.",
)
@click.option("--decay", metavar="REPORT.h5", help="A report that gives T1 (model free_decay).")
@click.option(
    "--expected-attenuation-db", metavar="DB", callback=_level, help="Only compared, never used."
)
@click.option(
    "--expected-gain-db", metavar="DB", callback=_level, help="Only compared, never used."
)
@trace_options()
@choice_options()
@wish_options()
@click.option("-o", "--output", metavar="LINE.json", help="Write the line, for: fit --line.")
@click.option("--report", metavar="REPORT.h5", help="Write the report of the fit behind it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on stdout.")
def calibrate_line(source: str, model: str, **given: Any) -> None:
    """Let a qubit calibrate the line to and from it.

    Fits a model to the powers in SOURCE and says what they tell of the line's attenuation and
    gain. Absorbed power and a known T1 give the gain; population or a known drive scale the rest.
    Levels given with --attenuation-db or --gain-db count as known; what nothing pins is said to be
    undetermined.
    """
    from powercal.fitting import calibrate_line
    from powercal.line import write_line
    from powercal.report import write_report

    line, report = (None if given[n] is None else Path(given[n]) for n in ("output", "report"))
    for target in (line, report):
        check_output(target, source, given["reference"], given["decay"])
    wishes = wishes_of(model, given)
    traces = device_traces(source, given)
    found = calibrate_line(traces, model, t1=_known(given), **wishes)
    click.echo(dump(_plain(found, given)) if given["as_json"] else _page(found, given))
    if line is not None:
        write_line(line, found.line, found.origin())
        click.echo(f"line: {line}", err=given["as_json"])
    if report is not None:
        write_report(report, found.result)
        click.echo(f"report: {report}", err=given["as_json"])


def _known(given: Mapping[str, Any]) -> Any:
    if given["t1"] is not None and given["decay"] is not None:
        raise click.UsageError("T1 is given by --t1 and by --decay; keep one.")
    if given["decay"] is None:
        return given["t1"]
    from powercal.report import read_report

    return read_report(given["decay"])


def _page(found: CalibratedLine, given: Mapping[str, Any]) -> str:
    from powercal.text import shorthand

    lines = ["Line"]
    for name, meaning in LEVELS.items():
        level = getattr(found.line, name)
        said = found.reasons[name] if level is None else f"{shorthand(*level)} dB"
        lines.append(f"  {name:15s} {said}   ({meaning})")
        lines += _comparison(found, name, given[f"expected_{name}"])
    if found.line.correlation:
        lines.append(f"  correlation     {found.line.correlation:.4f}")
    return "\n".join([*lines, "", str(found.result)])


def _comparison(found: CalibratedLine, name: str, expected: float | None) -> list[str]:
    from powercal.text import shorthand

    if expected is None:
        return []
    off = found.against(name, expected)
    if off is None:
        return [f"  {'':15s} expected {expected:g} dB: the data neither confirm nor deny it"]
    word = "more" if off[0] > 0 else "less"
    return [
        f"  {'':15s} expected {expected:g} dB: {shorthand(abs(off[0]), off[1])} dB {word}, "
        f"{abs(off[0]) / off[1]:.1f} standard errors"
    ]


def _plain(found: CalibratedLine, given: Mapping[str, Any]) -> dict[str, Any]:
    from powercal.text import to_json

    compared = {}
    for name in LEVELS:
        expected = given[f"expected_{name}"]
        off = None if expected is None else found.against(name, expected)
        compared[name] = None if off is None else {"difference": off[0], "stderr": off[1]}
    return {
        "line": found.line.plain(),
        "not_determined": dict(found.reasons),
        "against_expected": compared,
        "fit": to_json(found.result),
    }
