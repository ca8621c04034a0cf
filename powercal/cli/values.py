"""What people type after an option, read once: name=value, numbers with units, ranges.

Nothing here imports numpy before a value is there to be read: ``--help`` stays quick.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cached_property
from itertools import islice, product
from math import pi
from typing import TYPE_CHECKING, Any

import click

from powercal.errors import PowercalError, UnitError, unknown_name

if TYPE_CHECKING:
    from powercal.contracts import Model

_NUMBER = re.compile(r"^\s*[-+−]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+−]?\d+)?\s*")
_PLUS_MINUS = re.compile(r"±|\+/-|\+-")
_MOST_VARIANTS = 512  # of a model's options; enough for every model that a person can choose from
_NUISANCES = {"attenuation_db": "dB", "gain_db": "dB"}

Callback = Callable[[click.Context, click.Parameter, Any], Any]


def read_by(read: Callable[[str], Any]) -> Callback:
    """Return a click callback that reads every value and turns errors into usage errors."""

    def callback(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        try:
            if isinstance(value, tuple):
                return tuple(read(text) for text in value)
            return None if value is None else read(value)
        except PowercalError as error:
            raise click.BadParameter(f"{error}.", ctx, param) from error

    return callback


def assignments(example: str) -> Callback:
    """Return a click callback that reads repeated ``name=value`` into one mapping."""

    def callback(
        ctx: click.Context, param: click.Parameter, value: tuple[str, ...]
    ) -> dict[str, str]:
        found: dict[str, str] = {}
        for item in value:
            name, _, text = (part.strip() for part in item.partition("="))
            if not (name and text):
                raise click.BadParameter(
                    f"{item!r} is not of the form of {example}; write it so.", ctx, param
                )
            if name in found:
                raise click.BadParameter(f"{name} is given twice; keep one.", ctx, param)
            found[name] = text
        return found

    return callback


def quantity(text: str, unit: str) -> float:
    """Read a number; with a unit it must be of the kind of ``unit``, without one it is SI.

    Parameters
    ----------
    text : str
        For example ``"6.5449GHz"`` or ``"0.02"``.
    unit : str
        The SI unit in which the house holds the quantity.

    Returns
    -------
    float
        In that unit.

    Raises
    ------
    UnitError
        No number, an unknown unit or one of another kind.
    """
    from powercal.units import UNITS, parse_quantity

    number = _NUMBER.match(text)
    spelled = text[number.end() :].strip() if number else ""
    if number is None or not spelled or spelled == unit:
        return parse_quantity(number[0] if number else text, "number")
    if unit not in UNITS or UNITS[unit].kind == "number":
        wanted = "a plain number" if unit in UNITS else f"the number in {unit}"
        raise UnitError(f"{text!r} has a unit, but {wanted} is wanted; leave the unit out")
    if unit == "s-1" and spelled in ("Hz", "kHz", "MHz", "GHz"):  # never 2π too little unsaid
        angular = 2 * pi * parse_quantity(text, "frequency")
        raise UnitError(
            f"{text!r} is a frequency, but a rate in s-1 is wanted; if it is the rate over 2π, "
            f"write {angular:.10g}"
        )
    return parse_quantity(text, UNITS[unit].kind)


def quantity_with_error(text: str, unit: str) -> tuple[float, float]:
    """Read ``"10±1us"`` as value and standard uncertainty; a unit at the end belongs to both.

    Raises
    ------
    UnitError
        Another form, a level such as dBm, or an uncertainty that is not positive.
    """
    parts = [part.strip() for part in _PLUS_MINUS.split(text)]
    if len(parts) != 2 or not all(map(_NUMBER.match, parts)):
        raise UnitError(
            f"{text!r} is not a value with its standard uncertainty; write for example 61.4±0.5"
        )
    value, error = parts
    spelled = _NUMBER.sub("", error)
    _refuse_level(text, spelled)
    pair = (
        quantity(value if _NUMBER.sub("", value) else value + spelled, unit),
        quantity(error, unit),
    )
    if not pair[1] > 0:
        raise UnitError(f"the uncertainty in {text!r} must be positive; give its true size")
    return pair


def spread(text: str, unit: str) -> float:
    """Read a standard deviation, which cannot be a level such as dBm.

    Raises
    ------
    UnitError
        A level, no number, an unknown unit or a number that is not positive.
    """
    _refuse_level(text, _NUMBER.sub("", text))
    value = quantity(text, unit)
    if not value > 0:
        raise UnitError(f"the standard deviation {text!r} must be positive; give its true size")
    return value


def _refuse_level(text: str, spelled: str) -> None:
    from powercal.units import unit

    if spelled and unit(spelled).level:
        raise UnitError(
            f"{text!r} is an uncertainty in {spelled}, which depends on the level; give it in a "
            f"linear unit such as W"
        )


class Quantities:
    """The quantities of one model, by which ``--fix``, ``--prior``, … are read.

    Parameters
    ----------
    model : str
        Its name.
    chosen : mapping
        The options that were chosen; units are those under whatever others.
    """

    def __init__(self, model: str, chosen: Mapping[str, str]) -> None:
        self.model, self.chosen = model, chosen

    @cached_property
    def units(self) -> dict[str, str]:
        """The unit of every parameter and derived quantity; looked up when first asked for."""
        units = dict(_NUISANCES)
        for variant in variants(self.model, self.chosen).values():
            units |= {derived.name: derived.unit for derived in variant.derived}
            units |= {row.name: row.unit for row in variant.parameters}
        return units

    def read(
        self, given: Mapping[str, str], option: str, read: Callable[[str, str], Any]
    ) -> dict[str, Any]:
        """Read the values that follow an option, each in the unit of its quantity.

        Raises
        ------
        click.BadParameter
            A value that cannot be read.
        UnknownNameError
            A name that the model does not have under any of its options.
        """
        values = {}
        for name, text in given.items():
            bare = name.split("[")[0]
            if bare not in self.units:
                raise unknown_name(f"quantity of model {self.model!r} ({option})", name, self.units)
            values[name] = _read(read, text, self.units[bare], option, name)
        return values


def of_words(given: Mapping[str, str], option: str) -> dict[str, float]:
    """Read standard deviations of observables, named by schema words.

    Raises
    ------
    click.BadParameter
        A value that cannot be read.
    UnknownNameError
        No such word.
    """
    from powercal.schema import WORDS

    for name in given:
        if name not in WORDS:
            raise unknown_name(f"schema word ({option})", name, WORDS)
    return {n: _read(spread, text, WORDS[n].unit, option, n) for n, text in given.items()}


def _read(read: Callable[[str, str], Any], text: str, unit: str, option: str, name: str) -> Any:
    try:
        return read(text, unit)
    except UnitError as error:
        raise click.BadParameter(f"{name}: {error}.", param_hint=option) from error


def variants(name: str, chosen: Mapping[str, str] | None = None) -> dict[tuple[str, ...], Model]:
    """Return the model under every combination of its options, by the choices made.

    Of an open option the value that was chosen stands for all that it may have.
    """
    from powercal.registry import get_model

    model = get_model(name)
    found: dict[tuple[str, ...], Model] = {}
    asked = chosen or {}
    choices = product(
        *((asked[o.name],) if o.open and o.name in asked else o.choices for o in model.options)
    )
    for combination in islice(choices, _MOST_VARIANTS):
        named = dict(zip((option.name for option in model.options), combination, strict=True))
        try:
            found[combination] = model.configure(**named)
        except PowercalError:  # options that exclude each other
            continue
    return found or {(): model}


def model_options(
    given: Mapping[str, Any], model: str, *, complete: bool = False
) -> dict[str, str]:
    """Collect the model's options from the command line and refuse what they do not allow.

    Parameters
    ----------
    given : mapping
        The values of ``energy``, ``detection``, ``convention`` and of ``--option``.
    model : str
        The model's name.
    complete : bool
        Whether the options without default must be there, as no data declare them.

    Raises
    ------
    click.UsageError
        An option that is given twice, is missing or has a value that does not exist.
    """
    from powercal.registry import get_model

    chosen = {n: given[n] for n in ("energy", "detection", "convention") if given.get(n)}
    for name, value in given["options"].items():
        if name in chosen:
            raise click.UsageError(f"{name} is given twice, also with --option; keep one.")
        chosen[name] = value
    for option in get_model(model).options:
        value = chosen.get(option.name, option.default if complete else option.choices[0])
        if not option.allows(value):
            found = "is not given" if value is None else f"is {value!r}"
            raise click.UsageError(
                f"Option {option.name!r} of model {model!r} {found}; write --option "
                f"{option.name}={'|'.join(option.choices)} ({option.meaning})."
            )
    return chosen
