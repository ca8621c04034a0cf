"""The parts of a joint fit, and which of their numbers are one number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace

import numpy as np

from powercal.contracts import Model, Parameter
from powercal.errors import FitError, unknown_name
from powercal.fitting.build import Request, Table, make_table, options_from
from powercal.fitting.grid import choose_observables
from powercal.line import line_of
from powercal.registry import get_model
from powercal.schema import DeviceTraces

LINE = ("attenuation_db", "gain_db")
Groups = Mapping[str, Mapping[str, Iterable[str]]]


@dataclass(frozen=True)
class Part:
    """One measurement of a joint fit with its own model.

    Attributes
    ----------
    traces : DeviceTraces
        As for :func:`powercal.fit`.
    model : str or Model
        A name that some plugin offers, or a model.
    free, fixed, per, observables, start, sigma
        As for :func:`powercal.fit`, by the names that the model itself uses.
    options : mapping
        Options of the model (``detection``, ``energy``, ``convention``).
    """

    traces: DeviceTraces
    model: str | Model
    _: KW_ONLY
    free: Iterable[str] = ()
    fixed: Mapping[str, float] = field(default_factory=dict)
    per: Mapping[str, str] = field(default_factory=dict)
    observables: Iterable[str] = ()
    start: Mapping[str, float] = field(default_factory=dict)
    sigma: Mapping[str, float] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Opened:
    """A part with its configured model, its wishes, and the table that follows from them."""

    name: str
    traces: DeviceTraces
    model: Model
    names: tuple[str, ...]
    request: Request
    table: Table

    @property
    def rows(self) -> dict[str, Parameter]:
        """The rows of the parameter table by name."""
        return {row.name: row for row in self.table.rows}

    def differs(self, name: str) -> bool:
        """Whether a free parameter differs between the traces of this part."""
        along = name in self.request.per or self.rows[name].scope == "per_trace"
        return along and name in self.table.free

    def asked(self, request: Request) -> Opened:
        """Return the part with other wishes."""
        table = make_table(self.traces, self.model, self.names, request)
        return replace(self, request=request, table=table)


def open_part(name: str, part: Part) -> Opened:
    """Configure the model of a part for its data.

    Raises
    ------
    FitError, UnknownNameError, PlaneError
        As :func:`powercal.fit` would, or a sign of the time factor that is to be found.
    """
    model = get_model(part.model) if isinstance(part.model, str) else part.model
    request = Request(
        free=tuple(part.free),
        fixed=dict(part.fixed),
        per=dict(part.per),
        observables=tuple(part.observables),
        start=dict(part.start),
        sigma=dict(part.sigma),
    )
    line_of(part.traces)
    traces, names = choose_observables(part.traces, model, request.observables)
    settings = options_from(traces, model, part.options, names)
    if settings.get("convention") == "find":
        raise FitError(
            f"part {name!r} leaves the sign of the time factor to be found, which a joint fit does "
            f"not do; find it with fit(...) first and say options={{'convention': '+i'}} or '-i'"
        )
    configured = model.configure(**settings)
    table = make_table(traces, configured, names, request)
    return Opened(name, traces, configured, names, request, table)


def home_names(
    parts: Mapping[str, Opened], own: tuple[str, ...], groups: Groups
) -> dict[str, dict[str, str]]:
    """Name every number of every part: same name, same number, unless own or grouped.

    Returns
    -------
    dict of dict
        For each part, the name in the joint fit of every local name.

    Raises
    ------
    FitError
        Groups that do not fit the parts, or one number with two meanings.
    UnknownNameError
        A name that no part has.
    """
    every = {row for part in parts.values() for row in part.rows}
    for kind, names in (("own", own), ("groups", groups)):
        for name in names:
            if name not in every:
                raise unknown_name(f"parameter of the parts ({kind})", name, every)
    both = sorted(set(own) & set(groups))
    if both:
        raise FitError(f"{both[0]} is asked to be own and grouped at once; drop one of the two")
    label = {name: _group_of(name, parts, groups[name]) for name in groups}
    homes = {}
    for part in parts.values():
        homes[part.name] = {
            local: f"{label[local][part.name]}.{local}"
            if local in label
            else f"{part.name}.{local}"
            if local in own or _is_own(local, parts)
            else local
            for local in part.rows
        }
    _check_shared(parts, homes)
    return homes


def _group_of(
    name: str, parts: Mapping[str, Opened], groups: Mapping[str, Iterable[str]]
) -> dict[str, str]:
    """Return the group of every part that has this parameter."""
    found: dict[str, str] = {}
    for label, members in groups.items():
        if label in parts or "[" in label:
            raise FitError(f"the group {label!r} of {name} has the name of a part; call it another")
        for member in members:
            if member not in parts:
                raise unknown_name(f"part (group {label!r} of {name})", member, parts)
            if member in found:
                raise FitError(
                    f"part {member!r} is in the groups {found[member]!r} and {label!r} of {name}; "
                    f"leave it in one"
                )
            found[member] = label
    lost = [p.name for p in parts.values() if name in p.rows and p.name not in found]
    if lost:
        raise FitError(f"the groups of {name} leave out part {lost[0]!r}; put it in one of them")
    return found


def _is_own(local: str, parts: Mapping[str, Opened]) -> bool:
    """Whether a number belongs to its part by nature: another line, or one number per trace."""
    holders = [p for p in parts.values() if local in p.rows]
    if len(holders) < 2:
        return False
    if local in LINE and len({p.traces.attrs.get("line") for p in holders}) > 1:
        return True
    return all(p.differs(local) for p in holders)


def _check_shared(parts: Mapping[str, Opened], homes: Mapping[str, Mapping[str, str]]) -> None:
    first: dict[str, tuple[Opened, str]] = {}
    for part in parts.values():
        for local in part.rows:
            home = homes[part.name][local]
            if home in first:
                _check_pair(local, first[home][0], part)
            first.setdefault(home, (part, local))


def _check_pair(name: str, a: Opened, b: Opened) -> None:
    """Refuse one number with two units, bounds, or roles."""
    mine, other = a.rows[name], b.rows[name]
    who = f"{name} of the parts {a.name!r} and {b.name!r}"
    for what in ("unit", "min", "max"):
        if getattr(mine, what) != getattr(other, what):
            raise FitError(
                f"{who} would be one number, but its {what} is {getattr(mine, what)} in one and "
                f"{getattr(other, what)} in the other; name it in own=({name!r},)"
            )
    if a.differs(name) or b.differs(name):
        raise FitError(
            f"{who} would be one number, but it differs between the traces of a part; name it in "
            f"own=({name!r},)"
        )
    held = [p.table.fixed.get(name) for p in (a, b)]
    if (held[0] is None) != (held[1] is None):
        fixed, free = (a, b) if held[1] is None else (b, a)
        raise FitError(
            f"{name} is fixed in part {fixed.name!r} and free in part {free.name!r}, but is one "
            f"number; free or fix it in both, or name it in own=({name!r},)"
        )
    if held[0] is not None and held[1] is not None and not np.isclose(held[0], held[1], 1e-12, 0):
        raise FitError(
            f"{who} would be one number, but is fixed at {held[0]:g} and at {held[1]:g}; give one "
            f"value, or name it in own=({name!r},)"
        )
