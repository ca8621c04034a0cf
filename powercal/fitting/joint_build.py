"""From parts to one joint problem around good starting values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Parameter
from powercal.errors import FitError, unknown_name
from powercal.fitting.build import Request
from powercal.fitting.joint_derived import with_derived
from powercal.fitting.joint_names import Groups, Opened, Part, home_names, open_part
from powercal.fitting.joint_problem import (
    JointCommonErrors,
    JointProblem,
    Piece,
    in_plain_numbers,
    joint_model,
    with_pieces,
)
from powercal.fitting.joint_starts import joint_starts, search_alone, towards_ties
from powercal.fitting.joint_ties import Tie, Ties, check_rivals, find_ties, with_safe_slopes
from powercal.fitting.lmfit_solver import lmfit_name
from powercal.fitting.pieces import Coordinate, Prior
from powercal.fitting.starting import Prepared, prepare
from powercal.sources import sources_of

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class JointRequest:
    """What the user asked of a joint fit."""

    priors: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    own: tuple[str, ...] = ()
    groups: Groups = field(default_factory=dict)
    parameters: tuple[Parameter, ...] = ()
    ties: Mapping[str, Tie] = field(default_factory=dict)
    start: Mapping[str, float] = field(default_factory=dict)
    derived: tuple[str, ...] | None = None
    intervals: str = "profile"

    def plain(self) -> dict[str, Any]:
        """Return it as plain data; of ties, which are code, the names alone."""
        return {
            "priors": {k: list(v) for k, v in self.priors.items()},
            "own": list(self.own),
            "groups": {
                n: {label: list(members) for label, members in g.items()}
                for n, g in self.groups.items()
            },
            "parameters": [p.name for p in self.parameters],
            "ties": list(self.ties),
            "start": dict(self.start),
            "intervals": self.intervals,
        }


class Ready(NamedTuple):
    """A joint problem ready to be solved.

    ``homes`` gives for each part and local name (of parameters and derived quantities) the name
    of the estimate in the joint fit.
    """

    problem: JointProblem
    start: FloatArray
    others: tuple[FloatArray, ...]
    common: JointCommonErrors
    opened: dict[str, Opened]
    ties: Ties
    homes: dict[str, dict[str, str]]


def assemble(parts: Mapping[str, Part], request: JointRequest) -> Ready:
    """Build the joint problem.

    Raises
    ------
    FitError, UnknownNameError
        Parts that do not fit together, or wishes that no part can meet.
    """
    _check_names(parts)
    opened = {name: open_part(name, part) for name, part in parts.items()}
    groups = {
        name: {label: tuple(members) for label, members in table.items()}
        for name, table in request.groups.items()
    }
    first = home_names(opened, request.own, groups)
    ties = find_ties(opened, first, request.ties, {*request.own, *groups})
    opened = {n: _wishes(p, ties, first[n], request) for n, p in opened.items()}
    # What is tied is free in its part; the rest must still be one number with one meaning.
    untied = {n: replace(p, table=_untied(p, ties)) for n, p in opened.items()}
    left = {n for p in untied.values() for n in p.rows}
    own = tuple(n for n in request.own if n in left)
    homes = home_names(untied, own, {n: g for n, g in groups.items() if n in left})
    ties = replace(ties, homes={n: first[n] | homes[n] for n in opened})
    prepared = {n: prepare(p.traces, p.model, p.names, p.request) for n, p in opened.items()}
    return _Assembly(untied, opened, ties, prepared, request).ready()


def _check_names(parts: Mapping[str, Part]) -> None:
    if not parts:
        raise FitError("there are no parts to fit; give at least one: {'sweep': Part(...)}")
    for name in parts:
        if not name.strip(".") or set(name) & set("[]/"):
            raise FitError(
                f"a part is called {name!r}; use a name without brackets and slashes, such as "
                f"'sweep'"
            )


def _check_alike(names: list[str]) -> None:
    """Refuse names that become one where only letters, digits and underscores are allowed."""
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(lmfit_name(name), name)
        if other != name:
            raise FitError(
                f"{other} and {name} are too much alike (letters, digits and _ count); give the "
                f"parts, groups and new parameters names that differ more"
            )


def _wishes(part: Opened, ties: Ties, home: Mapping[str, str], request: JointRequest) -> Opened:
    """Free what is tied; hand down priors on parameters, which set aside what the line says."""
    tied = tuple(n for n in part.rows if (part.name, n) in ties.functions)
    priors = {
        n: request.priors[home[n]] for n in part.rows if home[n] in request.priors and n not in tied
    }
    free = (*part.request.free, *(n for n in tied if n not in part.request.free))
    wanted: Request = replace(part.request, free=free, priors=priors)
    return part.asked(wanted)


def _untied(part: Opened, ties: Ties) -> Any:
    tied = {n for n in part.rows if (part.name, n) in ties.functions}
    table = part.table
    return replace(
        table,
        rows=tuple(r for r in table.rows if r.name not in tied),
        free=tuple(n for n in table.free if n not in tied),
    )


class _Assembly:
    """All that the parts say, on its way to one problem."""

    def __init__(
        self,
        untied: dict[str, Opened],
        opened: dict[str, Opened],
        ties: Ties,
        prepared: dict[str, Prepared],
        request: JointRequest,
    ) -> None:
        self.untied, self.opened, self.ties = untied, opened, ties
        self.prepared, self.request = prepared, request
        self.rows = self._table()
        self.members = self._members()

    # ---- parameters ----

    def _table(self) -> dict[str, Parameter]:
        rows: dict[str, Parameter] = {}
        for part in self.untied.values():
            for row in part.table.rows:
                home = self.ties.homes[part.name][row.name]
                rows.setdefault(home, replace(row, name=home))
        for row in self.request.parameters:
            if row.name in rows or any(row.name in p.rows for p in self.opened.values()):
                raise FitError(
                    f"the new parameter {row.name} has the name of a parameter of a part; call it "
                    f"something else"
                )
            rows[row.name] = row
        return rows

    def _members(self) -> dict[str, int]:
        """How many numbers a parameter is, for those that differ between traces."""
        counts: dict[str, int] = {}
        for name, part in self.untied.items():
            for c in self.prepared[name].problem.coordinates:
                if c.member is not None and c.parameter in part.table.free:
                    home = self.ties.homes[name][c.parameter]
                    counts[home] = max(counts.get(home, 0), c.member + 1)
        return counts

    def held(self) -> dict[str, float]:
        """The numbers that are not free, by their names in the joint fit."""
        out = {}
        for name, part in self.untied.items():
            for local, value in part.table.fixed.items():
                if local in part.rows:
                    out[self.ties.homes[name][local]] = float(value)
        for row in self.request.parameters:
            if not row.vary and row.name not in self.request.priors:
                out[row.name] = row.example
        return out

    def coordinates(self, start: Mapping[str, float]) -> Iterator[Coordinate]:
        """Give every free number its coordinate."""
        held = self.held()
        for home, row in self.rows.items():
            if home in held:
                continue
            count = self.members.get(home)
            for member in range(count) if count else (None,):
                name = home if member is None else f"{home}[{member}]"
                value = float(start.get(name, start.get(home, row.example)))
                value = min(max(value, row.min), row.max)
                log = row.scale == "log"
                size = value if log else abs(value) or abs(row.example) or 1.0
                low, high = float(row.min), float(row.max)
                yield Coordinate(name, home, member, low, high, log, 0.0 if log else value, size)

    # ---- priors ----

    def priors(self) -> tuple[Prior, ...]:
        """What the line says, once for each line, and what the user said."""
        found: dict[str, tuple[str, Prior]] = {}
        for name, part in self.untied.items():
            homes = self.ties.homes[name]
            for p in part.table.priors:
                if p.name not in part.rows or homes[p.name] in self.request.priors:
                    continue
                home = _renamed(p, homes)
                if found.setdefault(home.name, (name, home))[1] != home:
                    raise FitError(
                        f"{home.name} of the parts {found[home.name][0]!r} and {name!r} would be "
                        f"one number, but their lines say different things of it; name it in "
                        f"own=({p.name!r},)"
                    )
        asked = tuple(Prior(n, float(m), float(s)) for n, (m, s) in self.request.priors.items())
        for prior in asked:
            if not prior.std > 0:
                raise FitError(
                    f"the prior of {prior.name} has the standard deviation {prior.std}; it must "
                    f"be > 0"
                )
        return (*(p for _, p in found.values()), *asked)

    # ---- all together ----

    def ready(self) -> Ready:
        """Return the problem, starts tried and the best first."""
        alone = {n: search_alone(self.prepared[n], self.opened[n]) for n in self.opened}
        starts = joint_starts(alone, self.ties, self.rows)
        starts = [values | dict(self.request.start) for values in starts]
        problem = self._problem(starts[0])
        first = problem.start_from(starts[0])
        base = problem.values(first)
        check_rivals(self.opened, self.ties, base)
        safe = {n: with_safe_slopes(d, base) for n, d in problem.tied.items()}
        problem = replace(problem, tied=safe)
        problem, homes = with_derived(problem, first, self.opened, self.ties, self.request.derived)
        self._check_prior_names(problem)
        problem = _rescaled(problem, first)
        points = [problem.start_from(s) for s in starts]
        new = {p.name for p in self.request.parameters} - set(self.request.start)
        points += [towards_ties(problem, p, alone, new) for p in points if new]
        with np.errstate(all="ignore"):
            misfits = [float(np.sum(problem.residual(p) ** 2)) for p in points]
        order = np.argsort(np.nan_to_num(misfits, nan=np.inf), kind="stable")
        best, *others = (points[i] for i in order)
        common = JointCommonErrors({}, None, pieces=problem.pieces)
        return Ready(problem, best, tuple(others), common, self.opened, self.ties, homes)

    def _problem(self, start: Mapping[str, float]) -> JointProblem:
        coordinates = tuple(self.coordinates(start))
        _check_alike([c.name for c in coordinates])
        held = self.held()
        plain = {c.name for c in coordinates if c.member is None} | set(held)
        tied = {
            f"{part}.{local}": self.ties.derived(part, local, row.unit, row.meaning, plain)
            for part, local in self.ties.functions
            for row in (self.opened[part].rows[local],)
        }
        empty = JointProblem(
            model=joint_model(tuple(self.rows.values()), (), ()),
            inputs={},
            blocks=(),
            coordinates=coordinates,
            fixed=held,
            members={name: np.arange(n) for name, n in self.members.items()},
            priors=self.priors(),
            tied=tied,
        )
        return with_pieces(empty, [self._piece(name) for name in self.opened], None)

    def _piece(self, name: str) -> Piece:
        ready, homes = self.prepared[name], self.ties.homes[name]
        plain = in_plain_numbers(ready.problem)
        sources = []
        for c in plain.coordinates:
            if (name, c.parameter) in self.ties.functions:
                sources.append(f"{name}.{c.parameter}")
                continue
            home = homes[c.parameter]
            sources.append(home if c.member is None else f"{home}[{c.member}]")
        plain = replace(plain, priors=(), uncertain_inputs=ready.common.uncertain_inputs)
        named = sources_of(self.opened[name].traces)
        one_draw = tuple(s.name for s in named if s.correlated is True)
        return Piece(name, plain, tuple(sources), ready.common, one_draw)

    def _check_prior_names(self, problem: JointProblem) -> None:
        known = {c.name for c in problem.coordinates} | {*problem.fixed, *problem.tied}
        known |= {d.name for d in problem.model.derived}
        for name in self.request.priors:
            if name not in known:
                raise unknown_name("quantity of the joint fit (prior)", name, known)
        for name in self.request.start:
            if name not in known and name not in self.rows:
                raise unknown_name("parameter of the joint fit (start)", name, self.rows)


def _renamed(prior: Prior, homes: Mapping[str, str]) -> Prior:
    partner = None if prior.partner is None else _renamed(prior.partner, homes)
    return replace(prior, name=homes[prior.name], partner=partner)


def _rescaled(problem: JointProblem, x: FloatArray) -> JointProblem:
    """Give linear coordinates the size of ten conditional errors: steps are then of order one."""
    norms = np.linalg.norm(problem.jacobian(x), axis=0)
    coordinates = tuple(
        c if c.log or not np.isfinite(n) or n == 0 else replace(c, scale=10 * c.scale / float(n))
        for c, n in zip(problem.coordinates, norms, strict=True)
    )
    return replace(problem, coordinates=coordinates)
