"""The command ``coverage``: whether intervals hold the truth as often as they say, in tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from powercal.cli.fitting import dump
from powercal.cli.house import SOME_FAILED, tell

if TYPE_CHECKING:
    from powercal.testing.coverage import Coverage
    from powercal.testing.coverage_counts import Counts

_MOST_TOLD = 20  # objections on stderr; the JSON has them all
_HEAD = (
    "| | sets | judged | 68 % | 95 % | bias (σ) | width | all printed: 68 % | 95 % | not ok |\n"
    "|---|--:|--:|--:|--:|--:|--:|--:|--:|---|"
)

_INTRODUCTION = """\
# Coverage: do intervals hold the truth as often as they say?

Made by `powercal coverage MODEL -o TABLE.md` for one model after the other, with 1,000 data sets
per regime (200 for models of plugins, whose curves are slower); do not edit.

Every model declares regimes: kinds of measurement with known truth (`Model.regimes`). For each
regime data sets are simulated with fixed seeds, fitted with profile intervals, and it is counted
how often an interval holds the truth. What is known with an error (the line, a prior, recorded
powers) is drawn about its stated value anew for every data set, as if it had been measured anew.

- **68 %, 95 %**: share of the intervals that hold the truth where the status is `ok` or
  `upper_limit`, with its binomial standard deviation. Nominal are 68.27 (Δχ² = 1) and 95.00
  (1.96²).
- **bias, width**: mean and standard deviation of (estimate − truth)/standard error where the
  status is `ok`, in the logarithm for what is fitted in it. Near a bound `ok` alone is a
  selection, and a bias of it no fault; the coverage counts.
- **all printed**: the same shares over everything that prints a limit or an interval.
- **not ok**: share of all other statuses; `upper_limit` is judged, the rest is not.

A model passes if over all regimes and parameters 66.8 to 69.8 % and 94.7 to 96.1 % hold the
truth, no parameter in any regime is further than four binomial standard deviations from nominal
(and nothing derived that far below), and no result lacks a number (or has an error of zero)
without a status that says why. `powercal coverage MODEL --json` has every parameter of every
regime.

"""


@click.command()
@click.argument("model", required=False)
@click.option("--all", "every", is_flag=True, help="Every model that is installed.")
@click.option(
    "--sets",
    type=click.IntRange(min=2),
    default=1000,
    show_default=True,
    metavar="N",
    help="Data sets per regime.",
)
@click.option(
    "--regime", "regimes", multiple=True, metavar="TEXT", help="Only regimes named so; repeatable."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of all.")
@click.option(
    "--workers", type=click.IntRange(min=0), default=0, metavar="N", help="Worker processes."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on stdout.")
@click.option("-o", "--output", metavar="TABLE.md", help="Write the tables as Markdown.")
@click.pass_context
def coverage(ctx: click.Context, /, model: str | None, every: bool, **given: Any) -> None:
    """Simulate data over the regimes of MODEL, fit them, and count how often intervals are true.

    Counted where the status is ok or upper_limit; the share of the others is printed. The exit
    code is 1 where a coverage lies outside: over all regimes 66.8 to 69.8 % and 94.7 to 96.1 %, in
    a single regime four binomial standard deviations from 68.27 and 95 %.
    """
    if every == (model is not None):
        raise click.UsageError("Name one model, or say --all.")
    from powercal.testing.coverage import measure_coverage

    found = [
        measure_coverage(
            name,
            sets=given["sets"],
            regimes=given["regimes"],
            seed=given["seed"],
            workers=given["workers"],
        )
        for name in _names(model)
    ]
    if given["output"] is not None:
        head = _INTRODUCTION if every else ""
        Path(given["output"]).write_text(head + document(found), encoding="utf-8")
    plain = {one.model: one.plain() for one in found}
    click.echo(dump(plain) if given["as_json"] else document(found), nl=given["as_json"])
    for one in found:
        _tell(one)
    if any(one.objections for one in found):
        ctx.exit(SOME_FAILED)


def _names(model: str | None) -> list[str]:
    from powercal import registry

    return [model] if model is not None else list(registry.models())


def _tell(found: Coverage) -> None:
    for objection in found.objections[:_MOST_TOLD]:
        tell(f"{found.model}: {objection}")
    if len(found.objections) > _MOST_TOLD:
        tell(f"{found.model}: and {len(found.objections) - _MOST_TOLD} more; --json has them all")


# ---- tables ----


def document(found: list[Coverage]) -> str:
    """Write the tables of several models as Markdown."""
    return "\n\n".join(_section(one) for one in found) + "\n"


def _section(found: Coverage) -> str:
    parts = [f"## {found.model}", _summary(found), _HEAD]
    parts[2] += "".join(f"\n{row(f'`{n}`', c)}" for n, c in found.parameters.items())
    parts[2] += f"\n{row('**all parameters**', found.all)}"
    if found.derived:
        parts += ["What follows from the parameters:", _HEAD]
        parts[-1] += "".join(f"\n{row(f'`{n}`', c)}" for n, c in found.derived.items())
    parts += ["Regime by regime, all parameters together:", _HEAD]
    parts[-1] += "".join(f"\n{row(r.name, r.all)}" for r in found.regimes)
    return "\n\n".join(parts)


def _summary(found: Coverage) -> str:
    shares = [
        f"{100 * t.coverage:.2f}({100 * t.error:.2f}) % of the {level} % intervals"
        for level, t in found.together.items()
    ]
    verdict = "passed" if found.passed else "**" + "; ".join(found.objections[:3]) + "**"
    count = len(found.regimes)
    return (
        f"{found.sets} data sets in each of {count} regime{'' if count == 1 else 's'}, seed "
        f"{found.seed}: {' and '.join(shares)} hold the truth; {verdict}."
    )


def row(name: str, counts: Counts) -> str:
    """Write one row of a table."""
    cells = [str(counts.sets), str(counts.judged)]
    cells += [_percent(counts.coverage(level), counts.sigma(level)) for level in (68, 95)]
    cells += [f"{counts.bias:+.3f} ± {counts.bias_error:.3f}", f"{counts.width:.3f}"]
    cells += [f"{100 * counts.printed_coverage(level):.1f}" for level in (68, 95)]
    cells.append(_others(counts.statuses))
    shown = [name, *(cell.replace("nan", "–") for cell in cells)]
    return "| " + " | ".join(shown) + " |"


def _percent(value: float, sigma: float) -> str:
    return f"{100 * value:.1f} ± {100 * sigma:.1f}"


def _others(statuses: Mapping[str, int]) -> str:
    """Name the results that are no plain interval: limits, which are judged too, and all others."""
    total = sum(statuses.values())
    parts = [
        f"{name} {100 * number / total:.2g} %"
        for name, number in statuses.items()
        if name != "ok" and number
    ]
    return ", ".join(parts) or "none"
