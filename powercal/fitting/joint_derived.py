"""Derived quantities of a joint fit: those of every part, each told once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Derived
from powercal.errors import unknown_name
from powercal.fitting.joint_names import Opened
from powercal.fitting.joint_problem import JointProblem, joint_model
from powercal.fitting.joint_ties import Through, Ties

FloatArray = NDArray[np.float64]
Homes = dict[str, dict[str, str]]
Offers = list[tuple[str, Derived]]  # part, quantity


def with_derived(
    problem: JointProblem,
    x: FloatArray,
    parts: Mapping[str, Opened],
    ties: Ties,
    wanted: tuple[str, ...] | None,
) -> tuple[JointProblem, Homes]:
    """Return the problem with the derived quantities of all parts.

    Parameters
    ----------
    problem, x : JointProblem, ndarray
        Without derived quantities yet, and a point at which to compare them.
    parts, ties : mapping of Opened, Ties
        The parts, and where their numbers come from.
    wanted : tuple of str, optional
        Which to keep, by the names that parts use; all if None. Tied numbers are kept always.

    Returns
    -------
    problem, homes : JointProblem, dict of dict
        What is the same quantity in all parts that have it is kept once, by its plain name; else
        each is ``part.name``. ``homes`` gives the name for every part and local name.

    Raises
    ------
    UnknownNameError
        A wish for a quantity that no part has.
    """
    homes = {name: dict(ties.homes[name]) for name in parts}
    # Equal at a point where nothing is special means equal.
    probe = np.clip(x + 0.1 * (1 + np.arange(x.size) % 3), problem.lower, problem.upper)
    numbers = {row.name for row in problem.model.parameters}
    kept: list[Derived] = []
    for local, offers in _offered(problem, parts, ties).items():
        same = all(_same(problem, probe, offers[0][1], d) for _, d in offers[1:])
        plain = same and local not in numbers
        if same and local in numbers and _is_number(problem, probe, offers[0][1], local):
            homes |= {part: homes[part] | {local: local} for part, _ in offers}
            continue
        for part, d in offers[:1] if plain else offers:
            kept.append(replace(d, name=local if plain else f"{part}.{local}"))
        for part, _ in offers:
            homes[part][local] = local if plain else f"{part}.{local}"
    kept = kept if wanted is None else _asked_for(kept, wanted, ties)
    names = [b.name for b in problem.blocks]
    model = joint_model(problem.model.parameters, tuple(kept), names)
    return replace(problem, model=model), homes


def _offered(problem: JointProblem, parts: Mapping[str, Opened], ties: Ties) -> dict[str, Offers]:
    """Return what every part derives, and its tied numbers, by the names that parts use."""
    plain = {c.name for c in problem.coordinates if c.member is None} | {*problem.fixed}
    found: dict[str, Offers] = {}
    for name, part in parts.items():
        for local, derived in _of_part(problem, part, ties):
            quantity = replace(derived, name=f"{name}.{local}", arguments=tuple(sorted(plain)))
            found.setdefault(local, []).append((name, quantity))
    return found


def _of_part(problem: JointProblem, part: Opened, ties: Ties) -> Iterator[tuple[str, Derived]]:
    for local in part.rows:
        if f"{part.name}.{local}" in problem.tied:
            yield local, problem.tied[f"{part.name}.{local}"]
    for d in part.model.derived:
        if not any(a in part.rows and part.differs(a) for a in d.arguments):
            yield d.name, replace(d, function=_through(ties, part.name, d))


def _through(ties: Ties, part: str, derived: Derived) -> Through:
    """Return a derived quantity of a part as a function of the numbers of the joint fit."""

    def function(base: Mapping[str, Any]) -> Any:
        found = {a: ties.value(part, a, base) for a in derived.arguments}
        return derived.function(**found)

    return Through(function)


def _asked_for(kept: list[Derived], wanted: tuple[str, ...], ties: Ties) -> list[Derived]:
    offered = {n for d in kept for n in (d.name, d.name.rpartition(".")[2])}
    for name in wanted:
        if name not in offered:
            raise unknown_name("derived quantity of the parts", name, offered)
    tied = {name for part, local in ties.functions for name in (local, f"{part}.{local}")}
    names = {*wanted, *tied}
    return [d for d in kept if {d.name, d.name.rpartition(".")[2]} & names]


def _same(problem: JointProblem, x: FloatArray, a: Derived, b: Derived) -> bool:
    both = replace(problem, tied={**problem.tied, a.name: a, b.name: b})
    with np.errstate(all="ignore"):
        values = both.quantity(a.name, x), both.quantity(b.name, x)
        slopes = both.gradient(a.name, x), both.gradient(b.name, x)
    size = float(np.max(np.abs(slopes)))
    near = np.isclose(values[0], values[1], rtol=1e-9, atol=0.0)
    return bool(near and np.allclose(slopes[0], slopes[1], rtol=1e-6, atol=1e-8 * size))


def _is_number(problem: JointProblem, x: FloatArray, a: Derived, name: str) -> bool:
    """Whether a derived quantity is the parameter of that name again."""
    with_it = replace(problem, tied={**problem.tied, a.name: a})
    number = problem.values(x).get(name, np.nan)
    with np.errstate(all="ignore"):
        return bool(np.isclose(with_it.quantity(a.name, x), number, rtol=1e-9, atol=0.0))
