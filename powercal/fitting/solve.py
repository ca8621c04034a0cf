"""Weights, common errors and solver in turn until nothing moves: one joint fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from powercal.fitting import lmfit_solver
from powercal.fitting.common_errors import CommonErrors
from powercal.fitting.levenberg import Minimum, minimise
from powercal.fitting.problem import Problem
from powercal.fitting.weights import equal_noise, residual_noise

FloatArray = NDArray[np.float64]
_ROUNDS = 100
_STILL = 1e-8


@dataclass(frozen=True)
class Solution:
    """A fitted problem: its final weights, where the minimum is, and how it was reached."""

    problem: Problem
    x: FloatArray
    chi2: float
    converged: bool
    rounds: int
    message: str


def search(problem: Problem, x: FloatArray, iterations: int = 200) -> Minimum:
    """Minimise with fixed weights by the house's own solver."""
    return minimise(
        problem.residual, problem.jacobian, x, problem.lower, problem.upper, iterations=iterations
    )


def starts(problem: Problem, start: FloatArray, seed: int, count: int) -> list[FloatArray]:
    """Return the start and perturbed ones, inside the bounds."""
    generator = np.random.default_rng(seed)
    # A tenth of a linear unit, or a factor two: far enough to leave a wrong valley.
    spread = np.array([0.7 if c.log else 3.0 for c in problem.coordinates])
    moved = [start + spread * generator.standard_normal(start.size) for _ in range(count)]
    return [start, *(np.clip(m, problem.lower, problem.upper) for m in moved)]


def best_search(
    problem: Problem,
    start: FloatArray,
    others: Sequence[FloatArray] = (),
    misfit: float = 2.0,
) -> Minimum:
    """Search from the start; where the misfit is large, also from other and perturbed starts."""
    best = search(problem, start)
    rows = max(problem.data.size, 1)
    if best.converged and best.chi2 < misfit * rows:
        return best
    for other in (*others, *starts(problem, start, seed=0, count=6)[1:]):
        found = search(problem, other)
        if found.converged and found.chi2 < misfit * rows:
            return found
        if found.chi2 < best.chi2 * (1 - 1e-9):
            best = found
    return best


def solve(
    problem: Problem,
    start: FloatArray,
    common: CommonErrors,
    others: Sequence[FloatArray] = (),
) -> Solution:
    """Fit with the weights the problem asks for.

    σ that are given stay; σ that are not are estimated per trace from the residuals and iterated
    together with the errors of inputs and reference until the parameters stand still.
    """
    first = best_search(problem, start, others)
    x = first.x
    estimated = not all(b.given_sigma for b in problem.blocks)
    current, rounds = replace(problem, uncertain_inputs=common.uncertain_inputs), 0
    if estimated or common.any:
        problem = current
        current, x, rounds = _iterate(problem, x, common, estimated)
    fitted = lmfit_solver.solve(current, x)
    candidate = search(current, lmfit_solver.point(current, fitted))
    own = search(current, x)
    best = candidate if candidate.chi2 < own.chi2 else own
    return Solution(
        problem=current,
        x=best.x,
        chi2=best.chi2,
        converged=bool(best.converged and rounds < _ROUNDS),
        rounds=rounds,
        message=str(fitted.message),
    )


def _iterate(
    problem: Problem, x: FloatArray, common: CommonErrors, estimated: bool
) -> tuple[Problem, FloatArray, int]:
    current, rounds, moving = problem, 0, True
    while moving and rounds < _ROUNDS:
        rounds += 1
        current, modes = common.relinearise(current, problem, x)
        current = replace(current, modes=modes)
        sigmas = tuple(b.sigma for b in current.blocks)
        if estimated:
            sigmas = residual_noise(current, x)
        change = max(
            float(np.max(np.abs(s / b.sigma - 1), initial=0.0))
            for s, b in zip(sigmas, current.blocks, strict=True)
        )
        current = current.with_sigma(sigmas, modes)
        found = search(current, x)
        curvature = np.linalg.norm(current.jacobian(found.x), axis=0)
        moved = float(np.max(np.abs(found.x - x) * curvature, initial=0.0))
        x = found.x
        moving = change >= _STILL or moved >= 1e-6
    return current, x, rounds


def equal_weights_shift(solution: Solution, names: tuple[str, ...]) -> Mapping[str, float]:
    """Refit with one σ for all traces of an observable; return how estimates move (SI)."""
    problem, x = solution.problem, solution.x
    sigmas = equal_noise(problem, x)
    same = (
        np.allclose(s, b.sigma, rtol=1e-6, atol=0.0)
        for s, b in zip(sigmas, problem.blocks, strict=True)
    )
    if all(b.given_sigma for b in problem.blocks) or all(same):
        return {}
    other = problem.with_sigma(sigmas, problem.modes)
    found = search(other, x)
    return shifts_between(problem, x, other, found.x, names)


def shifts_between(
    problem: Problem, x: FloatArray, other: Problem, y: FloatArray, names: tuple[str, ...]
) -> dict[str, float]:
    """Return quantity(other, y) − quantity(problem, x) for each name."""
    return {n: float(other.quantity(n, y) - problem.quantity(n, x)) for n in names}
