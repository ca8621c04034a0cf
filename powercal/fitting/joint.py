"""The verb fit_jointly: several measurements, each with its model, in one fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Parameter
from powercal.errors import FitError
from powercal.fitting.estimates import Judged, judge
from powercal.fitting.joint_build import JointRequest, Ready, assemble
from powercal.fitting.joint_conclude import conclude
from powercal.fitting.joint_names import Part
from powercal.fitting.joint_result import JointResult
from powercal.fitting.joint_ties import Tie
from powercal.fitting.minima import explore, minima_of
from powercal.fitting.solve import Solution, solve
from powercal.fitting.twins import confess_twin, find_twin
from powercal.result import OtherMinimum

FloatArray = NDArray[np.float64]
_DEEPER = 3  # how often a profile may fall into a deeper minimum and all starts again


def fit_jointly(
    parts: Mapping[str, Part],
    *,
    priors: Mapping[str, tuple[float, float]] | None = None,
    own: Iterable[str] = (),
    groups: Mapping[str, Mapping[str, Iterable[str]]] | None = None,
    parameters: Iterable[Parameter] = (),
    ties: Mapping[str, Tie] | None = None,
    start: Mapping[str, float] | None = None,
    derived: Iterable[str] | None = None,
    intervals: str = "profile",
) -> JointResult:
    """Fit several measurements together; what has the same name is the same number.

    Parameters
    ----------
    parts : mapping of Part
        Data and model of each measurement, by a name of your choice.
    priors : mapping
        ``name: (mean, standard deviation)`` in SI, of numbers of the joint fit.
    own : iterable of str
        Names that are *not* shared: each part has its own, ``part.name``.
    groups : mapping
        ``name: {label: parts}``: one number for each group of parts, ``label.name``.
    parameters : iterable of Parameter
        New numbers that only ties use.
    ties : mapping of callable
        ``name: function(values, part)``: in every part that has it (or, as ``part.name``, in one)
        the number is what the function returns from ``values[...]``, in SI: the numbers of that
        part, of others as ``"other.name"``, and the new ones. ``part`` is the part's name.
    start : mapping
        Starting values (SI) by the names of the joint fit.
    derived : iterable of str, optional
        Which derived quantities to report; all if left out.
    intervals : {"profile", "covariance"}
        As for :func:`powercal.fit`.

    Returns
    -------
    JointResult
        One result with a :class:`FitResult` for each part, and whether they agree.

    Raises
    ------
    FitError
        Parts that would share a number with two meanings (bounds, units, fixed and free), ties
        that run in a circle or leave what is finite, groups that leave a part out.
    UnknownNameError
        A name that no part has.

    Notes
    -----
    A parameter of one part that another part derives is that same number too: the
    ``gamma_1_tot`` of a decay is the Γ₁(1 + 2n_th) of a sweep. What was tied so is told in
    ``result.ties``. Each part keeps its σ, its line and its common errors; a line is shared where
    parts carry the same.
    """
    if intervals not in ("profile", "covariance"):
        raise FitError(f"intervals is {intervals!r}; it must be 'profile' or 'covariance'")
    request = JointRequest(
        priors=dict(priors or {}),
        own=tuple(own),
        groups={n: {k: tuple(v) for k, v in g.items()} for n, g in (groups or {}).items()},
        parameters=tuple(parameters),
        ties=dict(ties or {}),
        start=dict(start or {}),
        derived=None if derived is None else tuple(derived),
        intervals=intervals,
    )
    ready = assemble(parts, request)
    if not ready.problem.coordinates:
        raise FitError("every number of every part is fixed or tied; free at least one")
    return _fitted(ready, request)


def _fitted(ready: Ready, request: JointRequest) -> JointResult:
    profiles = request.intervals == "profile"
    solution = solve(ready.problem, ready.start, ready.common, ready.others)
    judged = _judged(solution, profiles)
    for _ in range(_DEEPER):
        if judged.better is None:
            break
        solution = solve(ready.problem, _moved(ready, solution, judged), ready.common)
        judged = _judged(solution, profiles)
    minima: tuple[OtherMinimum, ...] = ()
    if profiles:
        further = (ready.start, *ready.others)
        explored = explore(solution.problem, solution.x, solution.chi2, further)
        minima = minima_of(solution.problem, explored)
        twin = find_twin(solution.problem, solution.x, solution.chi2, judged, explored)
        if twin is not None:
            judged = confess_twin(judged, solution.problem, twin)
    return conclude(ready, request, solution, judged, minima)


def _judged(solution: Solution, profiles: bool) -> Judged:
    problem = solution.problem
    jacobian = problem.jacobian(solution.x)
    size = np.linalg.norm(jacobian, axis=0)
    rank = int(np.linalg.matrix_rank(jacobian / np.where(size > 0, size, 1.0), tol=3e-7))
    freedom = problem.data.size + len(problem.priors) - rank
    rows = problem.model.parameters
    return judge(problem, solution.x, solution.chi2, rows, freedom, profiles)


def _moved(ready: Ready, solution: Solution, judged: Judged) -> FloatArray:
    assert judged.better is not None
    return ready.problem.start_from(solution.problem.values(judged.better))
