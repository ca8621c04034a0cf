"""The commands that show and change nothing: show, inspect, models, loaders, plugins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from powercal.cli.fitting import dump
from powercal.cli.reading import loader_arguments, loader_options
from powercal.spelling import variants

if TYPE_CHECKING:
    from powercal.contracts import Model, Option, Parameter


@click.command()
@click.argument("report", metavar="REPORT.h5")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on stdout.")
def show(report: str, as_json: bool) -> None:
    """Print the result that a report holds."""
    from powercal.report import read_report
    from powercal.text import to_json

    result = read_report(report)
    click.echo(dump(to_json(result)) if as_json else str(result))


@click.command()
@click.argument("file")
@loader_options()
def inspect(file: str, **given: Any) -> None:
    """Say what a loader understands of FILE, before any fit."""
    from powercal.loading import inspect_source

    asked = loader_arguments(given)
    click.echo(inspect_source(file, loader=given["loader"], **asked))


@click.command()
@click.argument("name", required=False)
def models(name: str | None) -> None:
    """List the models, or explain the model NAME: parameters, options, observables."""
    from powercal import registry

    if name is None:
        rows = [(key, model.summary) for key, model in registry.models().items()]
        _echo_table(("name", "summary"), rows)
    else:
        click.echo("\n".join(_explain(name)))


@click.command()
def loaders() -> None:
    """List the loaders and their options."""
    from powercal import registry

    rows = [(key, ", ".join(x.options) or "-", x.summary) for key, x in registry.loaders().items()]
    _echo_table(("name", "options", "summary"), rows)


@click.command()
def plugins() -> None:
    """List the plugins, the house's own first, and what became of each."""
    from powercal import registry

    rows = [
        (info.name, info.distribution, info.version, info.status, info.cause)
        for info in registry.plugins()
    ]
    _echo_table(("name", "distribution", "version", "status", "cause"), rows)


def _echo_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    for line in _table([head, *rows]):
        click.echo(line)


def _table(rows: Sequence[Sequence[str]], indent: str = "") -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield f"{indent}{'  '.join(cells)}".rstrip()


def _explain(name: str) -> Iterator[str]:
    from powercal.registry import get_model, origin

    model = get_model(name)
    distribution, version = origin("model", name)
    yield f"{model.name} (version {model.version}, {distribution} {version}): {model.summary}"
    yield f"inputs: {', '.join(model.inputs)}"
    yield f"observables: {', '.join(model.observables)}"
    yield "parameters"
    yield from _table([_parameter_row(row) for row in model.parameters], "  ")
    for label, row in _further_parameters(name, model):
        yield f"  with {label} also {' '.join(' '.join(_parameter_row(row)).split())}"
    if model.options:
        yield "options"
        yield from _table([_option_row(option) for option in model.options], "  ")
    if model.derived:
        yield "derived"
        yield from _table([(d.name, d.unit, d.meaning) for d in model.derived], "  ")


def _parameter_row(row: Parameter) -> tuple[str, ...]:
    state = "free" if row.vary else f"assumed {row.example:g}"
    return row.name, row.unit, f"{row.min:g} … {row.max:g}", state, row.meaning


def _option_row(option: Option) -> tuple[str, ...]:
    choices = [f"{c} (default)" if c == option.default else c for c in option.choices]
    declared = "" if option.default else "; taken from the data or declared"
    return option.name, " | ".join(choices), f"{option.meaning}{declared}"


def _further_parameters(name: str, model: Model) -> Iterator[tuple[str, Parameter]]:
    """Yield the parameters that exist only under certain choices, with these choices."""
    found: dict[str, tuple[Parameter, list[tuple[str, ...]]]] = {}
    every = variants(name)
    for chosen, variant in every.items():
        for row in variant.parameters:
            found.setdefault(row.name, (row, []))[1].append(chosen)
    known = {row.name for row in model.parameters}
    for row, choices in found.values():
        if row.name not in known:
            yield _deciding(model, list(every), choices), row


def _deciding(model: Model, every: list[tuple[str, ...]], having: list[tuple[str, ...]]) -> str:
    """Name the options that decide, and no others that merely never meet with them."""
    allowed = [set(values) for values in zip(*having, strict=True)]
    kept = [i for i, o in enumerate(model.options) if allowed[i] != set(o.choices)]
    for i in list(kept):
        fewer = [j for j in kept if j != i]
        if sorted(c for c in every if all(c[j] in allowed[j] for j in fewer)) == sorted(having):
            kept = fewer
    named = [(model.options[i], allowed[i]) for i in kept]
    return ", ".join(f"{o.name}={'|'.join(c for c in o.choices if c in some)}" for o, some in named)
