"""The tables of a run file as settings: plain data in SI, the same for the same meaning."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from powercal import registry
from powercal.campaign.tables import Table
from powercal.errors import unknown_name
from powercal.schema import PLANES, WORDS
from powercal.spelling import (
    DECLARED,
    OBSERVABLES,
    chain,
    plain_option,
    points,
    quantity,
    quantity_with_error,
    read_quantities,
    read_spreads,
    units_of,
)

Settings = dict[str, Any]

LEVELS = ("attenuation_db", "gain_db")
_KEYS: dict[str, tuple[str, ...]] = {
    "loader": ("name", "map", "options"),
    "traces": (
        "plane",
        "channel",
        "merge",
        "select",
        "drop",
        "average",
        "calibration_points",
        *DECLARED,
    ),
    "reference": ("file", "select"),
    "line": ("file", *LEVELS, "chain"),
    "model": (
        "name",
        "options",
        "observables",
        "free",
        "fixed",
        "priors",
        "per",
        "start",
        "sigma",
        "intervals",
        "over",
    ),
}
TABLES = tuple(_KEYS)


def settings_from(file: str, content: Mapping[str, Any]) -> Settings:
    """Read the tables that say how a source is opened and fitted.

    Parameters
    ----------
    file : str
        The run file, for messages.
    content : mapping
        The tables ``loader``, ``traces``, ``reference``, ``line`` and ``model``.

    Returns
    -------
    dict
        JSON-able, quantities in SI, names sorted: equal for run files that mean the same.

    Raises
    ------
    ConfigError
        Naming file, table, key and what would be right.
    """
    tables = {n: Table(file, n, content.get(n, {}), known) for n, known in _KEYS.items()}
    return {
        "loader": _loader(tables["loader"]),
        "traces": _traces(tables["traces"]),
        "reference": _reference(tables["reference"]),
        "line": _line(tables["line"]),
        "model": _model(tables["model"]),
    }


def _loader(table: Table) -> Settings:
    from powercal.loading.files import check_options

    name = table.text("name")
    asked: dict[str, Any] = {}
    for key, value in sorted(table.mapping("options").items()):
        asked[key] = plain_option(table.spelling(f"options.{key}", value))
    channels = table.mapping("map")
    for word, channel in channels.items():
        if not isinstance(channel, str):
            raise table.error(f"map.{word}", "it is no text; write the name of a channel")
    if channels:
        asked["mapping"] = dict(sorted(channels.items()))
    if name is not None:
        loader = table.read("name", lambda: registry.get_loader(name))
        table.read("options", lambda: check_options(loader, asked))
    return {"name": name, "options": asked}


def _traces(table: Table) -> Settings:
    declared: dict[str, float] = {}
    for name, (unit, _, _) in DECLARED.items():
        value = table.spelled(name, partial(quantity, unit=unit))
        if value is not None:
            declared[name] = value
    numbers = table.text("calibration_points")
    return {
        "plane": table.text("plane", PLANES),
        "channel": table.text("channel"),
        "merge": table.flag("merge"),
        "select": _ranges(table, "select"),
        "drop": _ranges(table, "drop"),
        "average": list(table.texts("average")),
        "calibration_points": None
        if numbers is None
        else table.read("calibration_points", lambda: [list(p) for p in points(numbers)]),
        "declared": declared,
    }


def _ranges(table: Table, key: str) -> list[list[Any]]:
    """Read ranges by coordinate, each one text or several; an open end is None."""
    from powercal.loading import parse_selection

    found: list[list[Any]] = []
    for name, given in table.mapping(key).items():
        for text in given if isinstance(given, list) else [given]:
            if not isinstance(text, str):
                raise table.error(
                    f"{key}.{name}", "it is no text; write for example '6.54GHz..6.55GHz'"
                )
            read = partial(parse_selection, f"{name}={text}")
            _, low, high = table.read(f"{key}.{name}", read)
            found.append([name, *(end if math.isfinite(end) else None for end in (low, high))])
    return found


def _reference(table: Table) -> Settings | None:
    file = table.text("file")
    if file is None:
        if table.content:
            raise table.error("file", "it is missing; name the file of the reference trace")
        return None
    return {"file": file, "select": _ranges(table, "select")}


def _line(table: Table) -> Settings:
    read = partial(quantity_with_error, unit="dB")
    levels = {name: table.spelled(name, read) for name in LEVELS}
    attenuators = table.spelled("chain", chain)
    return {
        "file": table.text("file"),
        **{name: None if level is None else list(level) for name, level in levels.items()},
        "chain": None
        if attenuators is None
        else [attenuators.source_temperature, *map(list, attenuators.stages)],
    }


def _model(table: Table) -> Settings:
    name = table.text("name")
    if name is None:
        raise table.error("name", "it is missing; name a model (see: powercal models)")
    model = table.read("name", lambda: registry.get_model(name))
    chosen = _options(table, model)
    units = table.read("options", lambda: units_of(name, chosen))
    whose = f"model {name!r}"

    def read(key: str, reader: Callable[[str, str], Any]) -> dict[str, Any]:
        given = table.spellings(key)
        return table.read(key, lambda: read_quantities(given, units, whose, reader))

    free = table.texts("free")
    table.read("free", lambda: read_quantities(dict.fromkeys(free, ""), units, whose, _unread))
    per, sigma = table.spellings("per"), table.spellings("sigma")
    over = table.texts("over")
    if over and per:
        raise table.error("over", "fits made together have no per; leave one of the two out")
    table.read("per", lambda: read_quantities(per, units, whose, _unread))
    return {
        "name": name,
        "options": chosen,
        "observables": [_observable(table, n) for n in table.texts("observables")],
        "free": list(free),
        "fixed": read("fixed", quantity),
        "priors": {n: list(v) for n, v in read("priors", quantity_with_error).items()},
        "per": per,
        "start": read("start", quantity),
        "sigma": table.read("sigma", lambda: read_spreads(sigma, "sigma")),
        # Left out: what fit quotes, or fit_many, for whose many fits profiles take long.
        "intervals": table.text("intervals", ("profile", "covariance"))
        or ("covariance" if over else "profile"),
        "over": list(over),
    }


def _unread(text: str, unit: str) -> str:
    """Take a text as it is: only the name before it was to be checked."""
    return text


def _observable(table: Table, name: str) -> str:
    word = OBSERVABLES.get(name, name)
    if word not in WORDS:
        raise table.error(
            "observables", f"{unknown_name('observable', name, (*OBSERVABLES, *WORDS))}"
        )
    return word


def _options(table: Table, model: Any) -> dict[str, str]:
    """Read the model's options; those that the data declare may be left out."""
    known = {option.name: option for option in model.options}
    chosen: dict[str, str] = {}
    for name, value in sorted(table.mapping("options").items()):
        if name not in known:
            raise table.error(
                "options", f"{unknown_name(f'option of model {model.name!r}', name, known)}"
            )
        if not isinstance(value, str) or not known[name].allows(value):
            choices = " or ".join(known[name].choices)
            raise table.error(
                f"options.{name}", f"it is {value!r}; write {choices} ({known[name].meaning})"
            )
        chosen[name] = value
    return chosen
