"""Starting values of a joint fit, from what every part by itself would give."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Parameter
from powercal.fitting.joint_names import Opened
from powercal.fitting.joint_problem import JointProblem
from powercal.fitting.joint_ties import Ties
from powercal.fitting.levenberg import minimise
from powercal.fitting.pieces import Coordinate
from powercal.fitting.solve import search
from powercal.fitting.starting import Prepared

FloatArray = NDArray[np.float64]
_MATCH = 0.03  # relative: what parts by themselves give is a start, not more
Alone = Mapping[str, Mapping[str, float]]  # part → its own names → values


def search_alone(ready: Prepared, part: Opened) -> dict[str, float]:
    """Return where a part by itself would end up: its parameters and what follows from them."""
    problem = ready.problem
    x = search(problem, problem.start_from(ready.start), iterations=50).x
    found = {}
    with np.errstate(all="ignore"):
        for d in part.model.derived:
            if not set(d.arguments) & set(problem.members):
                found[d.name] = problem.quantity(d.name, x)
    found |= problem.values(x)
    return {n: float(v) for n, v in found.items() if np.isfinite(v)}


def joint_starts(alone: Alone, ties: Ties, rows: Mapping[str, Parameter]) -> list[dict[str, float]]:
    """Return values to start from: each part's own minimum leads in turn, and their mean."""
    found = {name: _by_home(name, values, ties, rows) for name, values in alone.items()}
    every = []
    for leader in found:
        values: dict[str, float] = {}
        for name in (leader, *(n for n in found if n != leader)):
            values = found[name] | values
        every.append(values)
    shared: dict[str, list[float]] = {}
    for values in found.values():
        for name, value in values.items():
            shared.setdefault(name, []).append(value)
    every.append({n: _middle(rows.get(n.split("[")[0]), v) for n, v in shared.items()})
    return every


def _by_home(
    part: str, values: Mapping[str, float], ties: Ties, rows: Mapping[str, Parameter]
) -> dict[str, float]:
    """Return the values of a part by the names of the joint fit."""
    out = {}
    homes = ties.homes[part]
    for local, value in values.items():
        base, bracket, rest = local.partition("[")
        if (part, base) in ties.functions:
            continue
        if base in homes:
            out[homes[base] + bracket + rest] = value
        elif base in rows:  # what this part derives is a parameter of another
            out[base] = value
    return out


def _middle(row: Parameter | None, values: Iterable[float]) -> float:
    """Return the mean of starting values, of those on a logarithmic scale the geometric one."""
    found = np.array(list(values))
    if row is not None and row.scale == "log" and (found > 0).all():
        return float(np.exp(np.mean(np.log(found))))
    return float(np.mean(found))


def towards_ties(problem: JointProblem, x: FloatArray, alone: Alone, new: set[str]) -> FloatArray:
    """Move the new numbers so that ties give what the parts by themselves would.

    Parameters
    ----------
    problem, x : JointProblem, ndarray
        The joint problem and a start.
    alone : mapping
        Where the parts by themselves end up.
    new : set of str
        Numbers that only ties use; nothing else moves.

    Returns
    -------
    ndarray
        The start moved.
    """
    wanted = {
        name: alone[part][local]
        for name in problem.tied
        for part, _, local in (name.rpartition("."),)
        if alone[part].get(local)
    }
    if not wanted:
        return x

    held = np.array([c.name not in new for c in problem.coordinates])
    leash = 1 / np.array([_far(problem, c) for c in problem.coordinates])[~held]
    row = np.eye(x.size)[~held] * leash[:, None]

    def misses(at: FloatArray) -> FloatArray:
        # Ratios, for rates may be decades off at the start.
        off = [np.log(max(problem.quantity(n, at) / v, 1e-30)) / _MATCH for n, v in wanted.items()]
        return np.concatenate([off, problem._prior_rows(at), row @ (at - x)])

    def slopes(at: FloatArray) -> FloatArray:
        off = [problem.gradient(n, at) / problem.quantity(n, at) / _MATCH for n in wanted]
        return np.vstack([*off, problem._prior_slopes(at), row])

    return minimise(misses, slopes, x, problem.lower, problem.upper, held, iterations=50).x


def _far(problem: JointProblem, c: Coordinate) -> float:
    """How far a new number may go from its start for little: three decades."""
    return 7.0 if c.log else 1e3 * problem.size_of(c) / c.scale
