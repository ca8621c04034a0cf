"""What people type after an option, read once: name=value, numbers with units, ranges.

Nothing here imports numpy before a value is there to be read: ``--help`` stays quick.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import click

from powercal.errors import PowercalError, UnitError
from powercal.spelling import read_quantities, read_spreads, units_of

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
        return units_of(self.model, self.chosen)

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
        if not given:
            return {}
        whose = f"model {self.model!r} ({option})"
        try:
            return read_quantities(given, self.units, whose, read)
        except UnitError as error:
            raise click.BadParameter(f"{error}.", param_hint=option) from error


def of_words(given: Mapping[str, str], option: str) -> dict[str, float]:
    """Read standard deviations of observables, named by schema words.

    Raises
    ------
    click.BadParameter
        A value that cannot be read.
    UnknownNameError
        No such word.
    """
    try:
        return read_spreads(given, option)
    except UnitError as error:
        raise click.BadParameter(f"{error}.", param_hint=option) from error


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
