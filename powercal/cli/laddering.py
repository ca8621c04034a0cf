"""The command ``ladder``: one file, models of growing content, and which of them is wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from powercal.cli.fitting import choice_options, dump, wish_options
from powercal.cli.house import tell
from powercal.cli.reading import device_traces, trace_options
from powercal.cli.values import of_words
from powercal.errors import PowercalError, UnitError
from powercal.spelling import OBSERVABLES, quantity, quantity_with_error, read_quantities, units_of

if TYPE_CHECKING:
    from powercal.fitting.ladder_rungs import Rung


@click.command()
@click.argument("source")
@click.option(
    "--rung",
    "rungs",
    multiple=True,
    metavar="LABEL=MODEL[,+NAME][,NAME=VALUE]",
    help="One model of the ladder, from the poorest to the richest: +NAME frees a parameter, "
    "NAME=VALUE holds it, e.g. 'cold=finite_temperature,n_th=0'; repeatable. Left out: the ladder "
    "that the kind of data suggests.",
)
@click.option(
    "--target", metavar="NAME", default="gamma_1", show_default=True, help="What is watched."
)
@trace_options()
@choice_options()
@wish_options()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on stdout.")
def ladder(source: str, **given: Any) -> None:
    """Fit SOURCE by models of growing content and say which content its data want.

    All rungs use the same weights. Where one model is another with something held, the gain in χ²
    has a probability; elsewhere AICc and BIC compare. Degrees of freedom are what the data
    determine. A rung that cannot be fitted is listed with its reason. The other options act on
    every rung.
    """
    from powercal.fitting.ladder import ladder as climb
    from powercal.fitting.ladder_rungs import default_rungs
    from powercal.text.ladder import ladder_to_json

    observables = tuple(OBSERVABLES.get(name, name) for name in given["observables"])
    rungs: list[Rung] | None = [_rung(text) for text in given["rungs"]] or None
    traces = device_traces(source, given)
    units = _units(rungs or default_rungs(traces, observables))
    wishes = _wishes(given, units)
    found = climb(traces, rungs, target=given["target"], observables=observables, **wishes)
    click.echo(dump(ladder_to_json(found)) if given["as_json"] else str(found))
    if given["as_json"]:
        tell(found.verdict)


def _rung(text: str) -> Rung:
    """Read LABEL=MODEL[,+NAME][,NAME=VALUE]."""
    from powercal.fitting.ladder_rungs import Rung

    label, _, rest = text.partition("=")
    model, *wishes = (part.strip() for part in rest.split(","))
    if not (label.strip() and model):
        raise click.UsageError(
            f"--rung {text!r} is not of the form of 'cold=finite_temperature,n_th=0'; write it so."
        )
    held = dict(w.split("=", 1) for w in wishes if "=" in w)
    free = [w[1:] for w in wishes if w.startswith("+") and "=" not in w]
    wrong = [w for w in wishes if "=" not in w and not w.startswith("+")]
    if wrong:
        raise click.UsageError(
            f"--rung {text!r}: {wrong[0]!r} neither frees (+NAME) nor holds (NAME=VALUE) a "
            f"parameter; write one of the two."
        )
    fixed = _read(held, units_of(model, {}), "--rung", quantity)
    return Rung(label=label.strip(), model=model, wishes={"free": tuple(free), "fixed": fixed})


def _units(rungs: list[Rung]) -> dict[str, str]:
    """Return the units of all that the models of the ladder know; those not installed know none."""
    units: dict[str, str] = {}
    for name in {r.model for r in rungs if isinstance(r.model, str)}:
        try:
            units |= units_of(name, {})
        except PowercalError:
            continue
    return units


def _read(
    given: Mapping[str, str], units: Mapping[str, str], option: str, read: Callable[[str, str], Any]
) -> dict[str, Any]:
    try:
        return read_quantities(given, units, f"the ladder ({option})", read)
    except UnitError as error:
        raise click.BadParameter(f"{error}.", param_hint=option) from error


def _wishes(given: Mapping[str, Any], units: Mapping[str, str]) -> dict[str, Any]:
    """Turn the command line into arguments that act on every rung."""
    start = _read(given["start"], units, "--start", quantity)
    if given["qubit_frequency"] is not None:
        start["qubit_frequency"] = given["qubit_frequency"]
    choices = {n: given[n] for n in ("energy", "detection", "convention") if given.get(n)}
    return {
        "free": given["free"],
        "fixed": _read(given["fix"], units, "--fix", quantity),
        "priors": _read(given["prior"], units, "--prior", quantity_with_error),
        "start": start,
        "sigma": of_words(given["sigma"], "--sigma"),
        "per": given["per"],
        "intervals": given["intervals"],
        "robust": given["robust"],
        "drop_spikes": given["drop_spikes"],
        **choices,
        **given["options"],
    }
