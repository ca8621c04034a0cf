"""One batch through one solver: numpy, numba or lmfit, from the same problem and the same start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from powercal.errors import FitError
from powercal.fitting.batch import compiled
from powercal.fitting.batch.descent import (
    CONVERGED,
    NOT_FINITE,
    STUCK,
    Found,
    Settings,
    descend,
    empty_result,
)
from powercal.fitting.batch.direct import DirectEvaluator
from powercal.fitting.batch.evaluate import Evaluator, GramEvaluator, place
from powercal.fitting.batch.expression import Expression, express
from powercal.fitting.batch.problem import BatchProblem
from powercal.tracing.traced import NotTraceableError

SOLVERS = ("auto", "numpy", "numba", "lmfit")
# A minimum at infinity would cost lmfit ten thousand evaluations, and be none in the end.
RESCUE = 500
TRACED = "exact, from the curve written down as one expression"
OWN = "exact, from the model's own jacobian"
DIFFERENCES = "by central differences of fourth order"


@dataclass(frozen=True)
class Solved:
    """What a solver found, and how.

    Attributes
    ----------
    found : Found
        One row per fit.
    solver : str
        ``numpy``, ``numba`` or ``lmfit``.
    derivatives : str
        How they were taken, in words.
    rescued : ndarray of int
        Fits that did not converge and were given to lmfit.
    """

    found: Found
    solver: str
    derivatives: str
    rescued: NDArray[np.intp]


class Plan:
    """How the fits of one kind of problem are solved: decided once, used for every block."""

    def __init__(
        self, problem: BatchProblem, solver: str = "auto", fits: int | None = None
    ) -> None:
        if solver not in SOLVERS:
            raise FitError(f"solver is {solver!r}; it must be one of {', '.join(SOLVERS)}")
        self.expression: Expression | None = None
        self.reason = ""
        try:
            self.expression = None if problem.input_errors else express(problem)
        except NotTraceableError as reason:
            self.reason = str(reason)
        if problem.input_errors:
            self.reason = "errors of inputs are marginalised"
        if solver == "numba" and self.expression is None:
            raise FitError(
                f"solver='numba' needs a curve that can be written down as one expression; that of "
                f"{problem.model.name!r} cannot ({self.reason}): choose solver='numpy'"
            )
        if solver == "auto":
            quick = self.expression is not None and compiled.worth_it(
                problem, self.expression, fits or problem.size
            )
            solver = "numba" if quick else "numpy"
        self.solver = solver

    def describe(self, problem: BatchProblem) -> str:
        """Return how derivatives are taken, in words."""
        if self.solver == "lmfit":
            return OWN if problem.model.jacobian is not None else DIFFERENCES
        if self.expression is not None:
            return TRACED
        why = f" (the curve is no single expression: {self.reason})" if self.reason else ""
        why = f" ({self.reason})" if problem.input_errors else why
        return (OWN if problem.model.jacobian is not None else DIFFERENCES) + why

    def evaluator(self, problem: BatchProblem) -> Callable[[int], Evaluator]:
        """Return what makes an evaluator for so many slots."""
        expression = self.expression_of(problem)
        if expression is None:
            return lambda slots: DirectEvaluator(problem, slots)
        return lambda slots: GramEvaluator(problem, slots, expression)

    def expression_of(self, problem: BatchProblem) -> Expression | None:
        """Trace again: what is shared by all, and what is held, may differ between blocks."""
        return None if self.expression is None else express(problem)


def solve(
    problem: BatchProblem,
    plan: Plan | None = None,
    settings: Settings | None = None,
    rescue: bool = True,
) -> Solved:
    """Fit all, and give what did not converge to lmfit.

    Parameters
    ----------
    problem : BatchProblem
        The fits.
    plan : Plan, optional
        From another block of the same kind.
    settings : Settings, optional
        When to stop.
    rescue : bool
        Whether to give lmfit what did not converge. Steps of a profile do without: far out in a
        valley without end nothing converges, and χ² there is what counts.

    Returns
    -------
    Solved
        In solver coordinates.
    """
    plan = plan or Plan(problem)
    settings = settings or Settings(absolute=all(o.given for o in problem.observed))
    if plan.solver == "lmfit":
        every = np.arange(problem.size)
        found = _with_lmfit(problem, every, empty_result(problem.size, len(problem.axes)), plan)
        return Solved(found, "lmfit", plan.describe(problem), every)
    if plan.solver == "numba":
        expression = plan.expression_of(problem)
        assert expression is not None
        found = compiled.descend_compiled(problem, expression, settings)
    else:
        found = descend(
            plan.evaluator(problem),
            problem.to_coordinates(problem.start),
            problem.bounds(),
            problem.log,
            problem.points,
            len(problem.priors),
            settings,
        )
    lost = np.flatnonzero((found.outcome != CONVERGED) & (found.outcome != NOT_FINITE))
    if lost.size and rescue:
        found = _with_lmfit(problem, lost, found, plan)
    return Solved(found, plan.solver, plan.describe(problem), lost)


def _with_lmfit(problem: BatchProblem, which: NDArray[np.intp], found: Found, plan: Plan) -> Found:
    """Fit some of the problem with lmfit, from the same start, and put the results in place."""
    from powercal.fitting import lmfit_solver  # half a second that most batches do not need

    x, chi2 = found.x.copy(), found.chi2.copy()
    outcome, evaluations = found.outcome.copy(), found.evaluations.copy()
    start = problem.to_coordinates(problem.start)
    for i in which:
        if not np.isfinite(start[i]).all():
            outcome[i] = NOT_FINITE
            continue
        one = problem.one(int(i))
        begin = one.start_from(
            {a.name: float(v) for a, v in zip(problem.axes, problem.start[i], strict=True)}
        )
        result = lmfit_solver.solve(one, begin, RESCUE)
        point = lmfit_solver.point(one, result)
        rest = one.residual(point)
        better = float(rest @ rest)
        evaluations[i] += int(result.nfev)
        if np.isfinite(chi2[i]) and chi2[i] <= better:
            continue  # lmfit found nothing better: the batch's own end stays, and its outcome
        values = np.array([c.to_si(float(v)) for c, v in zip(one.coordinates, point, strict=True)])
        x[i] = problem.to_coordinates(values)
        chi2[i] = better
        outcome[i] = CONVERGED if result.success else STUCK
    found = replace(found, x=x, chi2=chi2, outcome=outcome, evaluations=evaluations)
    return _measured(problem, which, found, plan)


def _measured(problem: BatchProblem, which: NDArray[np.intp], found: Found, plan: Plan) -> Found:
    """Take the normal matrices where lmfit ended."""
    good = which[np.isfinite(found.x[which]).all(axis=1)]
    if not good.size:
        return found
    part = problem.take(good)
    evaluator = plan.evaluator(part)(good.size)
    evaluator.load(np.arange(good.size), slice(0, good.size))
    p = len(problem.axes)
    matrix, slope = np.empty((p * (p + 1) // 2, good.size)), np.empty((p, good.size))
    evaluator.normal(found.x[good].T.copy(), matrix, slope)
    found.matrix[:, good] = matrix
    found.count[good] = evaluator.counts()[0] + len(problem.priors)
    low, high = problem.bounds()
    found.on_bound[good] = (found.x[good] <= low) | (found.x[good] >= high)
    return found


def full_matrix(packed: NDArray[np.float64], p: int) -> NDArray[np.float64]:
    """Return (fits, p, p) from a packed (p(p+1)/2, fits)."""
    index = np.array([[place(i, j) for j in range(p)] for i in range(p)])
    return np.asarray(np.moveaxis(packed[index], -1, 0))
