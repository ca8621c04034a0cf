"""The command ``simulate``: traces of known truth, to try a fit before the measurement."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from powercal.cli.fitting import choice_options
from powercal.cli.values import Quantities, assignments, model_options, of_words
from powercal.errors import UnitError, unknown_name
from powercal.spelling import quantity

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RANGE = re.compile(r"^(?P<low>.+?)\.\.(?P<high>.+):(?P<count>\d+)$")


@click.command()
@click.option("--model", required=True, metavar="NAME", help="See: powercal models.")
@click.option(
    "--set",
    "values",
    multiple=True,
    metavar="NAME=VALUE",
    callback=assignments("qubit_frequency=5GHz"),
    help="True value of a parameter, with a unit or in SI; repeatable.",
)
@click.option("--power", metavar="RANGE", help="Incident power, e.g. -140dBm..-110dBm:11.")
@click.option("--frequency", metavar="RANGE", help="Drive frequency, e.g. 4.99GHz..5.01GHz:101.")
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="WORD=RANGE",
    callback=assignments("excited_population=0.1..0.4:7"),
    help="Any other input of the model; repeatable.",
)
@click.option(
    "--noise",
    multiple=True,
    metavar="WORD=STD",
    callback=assignments("reflection=0.01"),
    help="Standard deviation of an observable, of each quadrature if complex; repeatable.",
)
@click.option(
    "--observable", "observables", multiple=True, metavar="WORD", help="Which ones; repeatable."
)
@click.option("--attenuation-db", type=float, help="True loss between instrument and device.")
@click.option("--gain-db", type=float, help="True gain between device and instrument.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the noise.")
@choice_options()
@click.option("-o", "--output", required=True, metavar="FILE.h5", help="Where the traces go.")
def simulate(model: str, output: str, seed: int, **given: Any) -> None:
    """Write traces of known truth, with noise, for any model.

    A range is LOW..HIGH:COUNT or a single value, with units; powers are spaced evenly in dB, all
    else evenly. Powers are given at the device; with a line (--attenuation-db, --gain-db) the file
    holds them as the instrument sees them, before and behind it.
    """
    options: dict[str, Any] = dict(model_options(given, model, complete=True))
    values = Quantities(model, options).read(given["values"], "--set", quantity)
    noise = of_words(given["noise"], "--noise")
    inputs = _inputs(given)
    from powercal.loaders.hdf5 import save_traces
    from powercal.simulation import simulate

    traces = simulate(
        model,
        values,
        inputs=inputs,
        seed=seed,
        noise=noise,
        observables=given["observables"],
        attenuation_db=given["attenuation_db"],
        gain_db=given["gain_db"],
        **options,
    )
    save_traces(output, traces)
    sizes = " × ".join(f"{size} {dim}" for dim, size in traces.sizes.items()) or "one point"
    click.echo(f"{output}: {', '.join(map(str, traces.data_vars))} ({sizes}; seed {seed})")


def _inputs(given: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Read the axes, each named by a schema word."""
    from powercal.schema import WORDS

    texts = {"incident_power": given["power"], "frequency": given["frequency"]}
    asked = {name: text for name, text in texts.items() if text is not None}
    for name, text in given["inputs"].items():
        if name not in WORDS:
            raise unknown_name("schema word (--input)", name, WORDS)
        if name in asked:
            raise click.UsageError(f"{name} is given twice, also with --input; keep one.")
        asked[name] = text
    hints = {"incident_power": "--power", "frequency": "--frequency"}
    found = {}
    for name, text in asked.items():
        try:
            found[name] = axis(text, WORDS[name].kind)
        except UnitError as error:
            hint = hints.get(name, "--input")
            raise click.BadParameter(f"{name}: {error}.", param_hint=hint) from error
    return found


def axis(text: str, kind: str) -> NDArray[Any]:
    """Read ``LOW..HIGH:COUNT`` or one value as SI numbers, powers evenly spaced in dB.

    Raises
    ------
    UnitError
        Another form, a missing or wrong unit, or a count below two.
    """
    import numpy as np

    from powercal.units import parse_quantity

    if ".." not in text:
        return np.asarray(parse_quantity(text, kind))
    match = _RANGE.match(text)
    if match is None or int(match["count"]) < 2:
        raise UnitError(
            f"{text!r} is not LOW..HIGH:COUNT with two points or more; write for example "
            f"4.99GHz..5.01GHz:101"
        )
    low, high = (parse_quantity(match[end], kind) for end in ("low", "high"))
    if kind == "power" and min(low, high) <= 0:
        raise UnitError(f"{text!r} reaches a power that is not positive; choose another range")
    spaced = np.geomspace if kind == "power" else np.linspace
    return spaced(low, high, int(match["count"]))
