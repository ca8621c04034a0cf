"""Ties of a joint fit: numbers of parts that follow from others, by functions in Python."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from powercal.contracts import Derived
from powercal.errors import FitError, unknown_name
from powercal.fitting.joint_names import Opened

Tie = Callable[[Mapping[str, Any], str], Any]
Node = tuple[str, str]  # part, local name


@dataclass(frozen=True)
class Ties:
    """Where every number of every part comes from.

    Attributes
    ----------
    homes : mapping of mapping
        Part → local name → name in the joint fit.
    functions : mapping
        (part, local name) → its tie.
    said : mapping
        The same keys → what a reader is told of the tie.
    """

    homes: Mapping[str, Mapping[str, str]]
    functions: dict[Node, Tie] = field(default_factory=dict)
    said: dict[Node, str] = field(default_factory=dict)

    def value(
        self, part: str, local: str, base: Mapping[str, Any], trail: tuple[Node, ...] = ()
    ) -> Any:
        """Return a number of a part from the free and fixed ones of the joint fit."""
        node = (part, local)
        if node in trail:
            circle = " → ".join(f"{p}.{n}" for p, n in (*trail[trail.index(node) :], node))
            raise FitError(f"ties run in a circle ({circle}); let one of these numbers be free")
        if node in self.functions:
            return self.functions[node](View(self, part, base, (*trail, node)), part)
        if local in self.homes[part]:
            home = self.homes[part][local]
            if home in base:
                return base[home]
            raise FitError(
                f"{local} of part {part!r} differs between its traces; a tie or prior can use one "
                f"number only"
            )
        other, _, name = local.rpartition(".")
        if other in self.homes and name in self.homes[other]:
            return self.value(other, name, base, trail)
        if local in base:
            return base[local]
        raise unknown_name(f"number that part {part!r} or the joint fit has", local, base)

    @property
    def in_words(self) -> tuple[str, ...]:
        """One line for every kind of tie, with the parts it is for."""
        every = dict.fromkeys(self.said.values())
        holders = {t: [p for (p, _), said in self.said.items() if said == t] for t in every}
        return tuple(f"{', '.join(parts)}: {text}" for text, parts in holders.items())

    def sources(self, part: str, local: str) -> set[str]:
        """Return the names in the joint fit on which an automatic tie rests."""
        node = (part, local)
        if node not in self.functions:
            return {self.homes[part][local]}
        seen = _Seen()
        with contextlib.suppress(ArithmeticError, TypeError, ValueError):
            self.value(part, local, seen)
        return seen.asked

    def derived(self, part: str, local: str, unit: str, meaning: str, base: set[str]) -> Derived:
        """Return a tied number as a quantity of the joint fit."""
        return Derived(
            name=f"{part}.{local}",
            unit=unit,
            meaning=meaning,
            function=Through(lambda base: self.value(part, local, base)),
            arguments=tuple(sorted(base)),
        )


class _Seen(Mapping[str, Any]):
    """Numbers that remember which of them were asked for; without any, all are 1.25."""

    def __init__(self, numbers: Mapping[str, Any] | None = None) -> None:
        self.numbers, self.asked = numbers, set[str]()

    def __getitem__(self, name: str) -> Any:
        self.asked.add(name)
        return 1.25 if self.numbers is None else self.numbers[name]

    def __contains__(self, name: object) -> bool:
        return self.numbers is None or name in self.numbers

    def __iter__(self) -> Iterator[str]:
        return iter(self.numbers or ())

    def __len__(self) -> int:
        return len(self.numbers or ())


@dataclass(frozen=True)
class Through:
    """A function of numbers of the joint fit, made for complex steps.

    A number that the function does not ask for has the slope zero exactly, not a rounding of it.
    Where the function is known not to be analytic, complex numbers are refused.
    """

    function: Callable[[Mapping[str, Any]], Any]
    analytic: bool = True

    def __call__(self, **values: Any) -> Any:
        """Evaluate it."""
        moved = next((n for n, v in values.items() if isinstance(v, complex)), None)
        if moved is None:
            return self.function(values)
        seen = _Seen(values)
        found = self.function(seen)
        if moved not in seen.asked:
            return complex(found)
        if not self.analytic:
            raise TypeError("not analytic")
        return found


class View(Mapping[str, Any]):
    """What a tie sees: the numbers of its own part first, then all of the joint fit."""

    def __init__(
        self, ties: Ties, part: str, base: Mapping[str, Any], trail: tuple[Node, ...]
    ) -> None:
        self._ties, self._part, self._base, self._trail = ties, part, base, trail

    def __getitem__(self, name: str) -> Any:
        return self._ties.value(self._part, name, self._base, self._trail)

    def __iter__(self) -> Iterator[str]:
        return iter({*self._ties.homes[self._part], *self._base})

    def __len__(self) -> int:
        return len({*self._ties.homes[self._part], *self._base})


def find_ties(
    parts: Mapping[str, Opened],
    homes: Mapping[str, Mapping[str, str]],
    wanted: Mapping[str, Tie],
    kept: set[str],
) -> Ties:
    """Collect the ties asked for, and those that follow from names.

    A parameter of one part that another derives (a decay's ``gamma_1_tot`` is the sweep's
    Γ₁(1 + 2n_th)) is that same number: same name, same number. ``kept`` are names that are a
    part's or a group's own, and are left alone.

    Raises
    ------
    UnknownNameError
        A tie of a number that no part has.
    FitError
        A tie of what is held.
    """
    ties = Ties(homes)
    for key, function in wanted.items():
        for part, local in _meant(key, parts, homes):
            _expect_free(parts[part], local, key)
            ties.functions[part, local] = function
            ties.said[part, local] = f"{local}: a function given as ties[{key!r}]"
    for opened in reversed([*parts.values()]):
        for local in opened.rows:
            if local not in kept and (opened.name, local) not in ties.functions:
                _tie_by_name(opened, local, parts, ties)
    return ties


def _meant(
    key: str, parts: Mapping[str, Opened], homes: Mapping[str, Mapping[str, str]]
) -> list[Node]:
    """Return the numbers a tie is for: of all parts that have the name, or of those it names."""
    prefix, _, local = key.rpartition(".")
    found = [
        (p.name, local)
        for p in parts.values()
        if local in p.rows and (not prefix or prefix == p.name or homes[p.name][local] == key)
    ]
    if not found:
        offered = {*(n for p in parts.values() for n in p.rows)}
        raise unknown_name("parameter of the parts (ties)", key, offered)
    return found


def _expect_free(part: Opened, local: str, key: str) -> None:
    if local in part.request.fixed:
        raise FitError(
            f"{key} is tied, but part {part.name!r} holds it at {part.request.fixed[local]:g}; "
            f"drop one of the two"
        )


def _tie_by_name(part: Opened, local: str, parts: Mapping[str, Opened], ties: Ties) -> None:
    for other in parts.values():
        found = next((d for d in other.model.derived if d.name == local), None)
        if other is part or found is None or local in other.rows:
            continue
        if any(a in other.rows and other.differs(a) for a in found.arguments):
            continue
        rests_on = {n for a in found.arguments for n in ties.sources(other.name, a)}
        if ties.homes[part.name][local] in rests_on:
            continue
        if local in part.table.fixed:
            raise FitError(
                f"{local} is fixed in part {part.name!r} and follows from "
                f"{', '.join(found.arguments)} in part {other.name!r}, but is one number; drop the "
                f"fixed value, or name it in own=({local!r},)"
            )

        def follow(
            values: Mapping[str, Any], _: str, found: Derived = found, other: str = other.name
        ) -> Any:
            arguments = {a: values[f"{other}.{a}"] for a in found.arguments}
            return found.function(**arguments)

        ties.functions[part.name, local] = follow
        ties.said[part.name, local] = f"{local} = {local} of {other.name}"
        return


def check_rivals(parts: Mapping[str, Opened], ties: Ties, base: Mapping[str, float]) -> None:
    """Refuse a tie by name where several parts derive that number, and not the same one."""
    for part, local in ties.said:
        if " = " not in ties.said[part, local]:
            continue
        here = float(ties.value(part, local, base))
        for other in parts.values():
            found = next((d for d in other.model.derived if d.name == local), None)
            if other.name == part or found is None or local in other.rows:
                continue
            there = {a: ties.value(other.name, a, base) for a in found.arguments}
            if not np.isclose(float(found.function(**there)), here, rtol=1e-9, atol=0):
                raise FitError(
                    f"{local} of part {part!r} could be that of several parts, which differ "
                    f"({ties.said[part, local]}, or that of {other.name}); say which by "
                    f"ties={{'{part}.{local}': ...}}, or name it in own=({local!r},)"
                )


def with_safe_slopes(derived: Derived, base: Mapping[str, float]) -> Derived:
    """Return a tied quantity whose complex steps can be trusted.

    A function that is not analytic (``abs``, ``.real``) may take a complex number and lose what
    the step is for. Where complex step and difference disagree, complex numbers are refused, and
    differences are used.

    Raises
    ------
    FitError
        A function that gives no finite number here.
    """
    plain = {name: float(base[name]) for name in derived.arguments}
    value = complex(derived.function(**plain))
    if not np.isfinite(value) or value.imag:
        raise FitError(
            f"the tie of {derived.name} gives {derived.function(**plain)} at the start; it must "
            f"return a finite real number: bound the numbers it uses, or start elsewhere (start=)"
        )
    if all(_agrees(derived, plain, name, value.real) for name in derived.arguments):
        return derived
    assert isinstance(derived.function, Through)
    return replace(derived, function=replace(derived.function, analytic=False))


def _agrees(derived: Derived, plain: Mapping[str, float], name: str, value: float) -> bool:
    at = plain[name]
    size = abs(at) or 1e-3
    h = 1e-4 * size
    try:
        ends = [derived.function(**{**plain, name: at + k * h}) for k in (-1, 1)]
        difference = float(ends[1] - ends[0]) / (2 * h)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            stepped = derived.function(**{**plain, name: complex(at, 1e-25 * size)})
    except (TypeError, ValueError, ArithmeticError, Warning):
        return False
    exact = float(np.imag(stepped)) / (1e-25 * size)
    noise = 1e-9 * abs(value) / size
    return abs(exact - difference) <= 1e-3 * max(abs(exact), abs(difference)) + noise
