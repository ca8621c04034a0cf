"""What a careful reader would try on a finished fit: more starts, another loss, fewer points."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from powercal.fitting.build import Request
from powercal.fitting.common_errors import CommonErrors
from powercal.fitting.conclude import quotable
from powercal.fitting.estimates import Judged
from powercal.fitting.goodness import (
    MOST_SPIKES,
    dropped_flag,
    find_spikes,
    goodness_of,
    residuals,
    spikes_flag,
)
from powercal.fitting.minima import Explored, explore, minima_flag, minima_of
from powercal.fitting.near import nearly_degenerate
from powercal.fitting.problem import Problem
from powercal.fitting.robust import robust_flag, robust_shift
from powercal.fitting.solve import Solution, solve
from powercal.result import FitResult

FloatArray = NDArray[np.float64]
_DEEPER = 1e-3  # of χ², by which another minimum must be lower to be taken instead
_RESTARTS = 3


def solve_from_many(
    problem: Problem, solution: Solution, starts: Sequence[FloatArray], common: CommonErrors
) -> tuple[Solution, Explored]:
    """Try many starts about a solution; where one leads deeper, solve again from there.

    Parameters
    ----------
    problem : Problem
        As it was before σ was found.
    solution : Solution
        What the model's guess led to.
    starts : sequence of ndarray
        The model's guesses, the first of them first.
    common : CommonErrors
        Errors common to many points.

    Returns
    -------
    tuple of Solution and Explored
        The best, and every minimum that was met with its σ.
    """
    explored = explore(solution.problem, solution.x, solution.chi2, starts)
    for _ in range(_RESTARTS):
        deepest = explored.found[0]
        if deepest.chi2 > solution.chi2 - _DEEPER:
            break
        other = solve(problem, deepest.x, common)
        # σ from residuals makes all χ² alike: what counts is the likelihood with its σ.
        if _unlikeliness(other) > _unlikeliness(solution) - _DEEPER:
            break
        solution = other
        explored = explore(solution.problem, solution.x, solution.chi2, starts)
    return solution, explored


def _unlikeliness(solution: Solution) -> float:
    return solution.chi2 + 2 * float(np.sum(np.log(solution.problem.sigma)))


def without_spikes(solution: Solution, request: Request) -> Request | None:
    """Return the request that leaves out the spikes of a solution; None where there are none.

    It ends where a tenth of the points is gone: then they are not spikes.
    """
    if not request.drop_spikes:
        return None
    problem = solution.problem
    gone = sum(map(len, request.dropped.values()))
    found = find_spikes(residuals(problem, solution.x))
    total = gone + sum(b.data.size for b in problem.blocks)
    if not found.count or gone + found.count > MOST_SPIKES * total:
        return None
    merged = dict(request.dropped)
    for name, points in found.points.items():
        merged[name] = tuple(sorted({*merged.get(name, ()), *points}))
    return dataclasses.replace(request, dropped=merged)


def with_doubts(
    result: FitResult,
    solution: Solution,
    judged: Judged,
    request: Request,
    explored: Explored | None,
) -> FitResult:
    """Add minima, goodness, near degeneracies and the robust fit to a result, with their flags."""
    problem, x = solution.problem, solution.x
    minima = minima_of(problem, explored) if explored is not None else ()
    result = dataclasses.replace(
        result,
        minima=minima,
        nearly_degenerate=nearly_degenerate(problem, x, judged.found, result.names),
    )
    every = residuals(problem, x)
    spikes = find_spikes(every)
    goodness, flags = goodness_of(result, problem, every, spikes)
    flags += dropped_flag(request.dropped, problem) + spikes_flag(spikes, problem)
    flags += minima_flag(result, explored.guess if explored is not None else None)
    shifts = result.systematics
    if request.robust != "none":
        shift = robust_shift(problem, x, request.robust, quotable(result))
        shifts = (*shifts, shift)
        flags += robust_flag(shift, (*result.parameters, *result.derived))
    return dataclasses.replace(
        result, goodness=goodness, systematics=shifts, flags=(*result.flags, *flags)
    )
