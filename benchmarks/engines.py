"""The batch solvers, timed as fit with covariance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.scenarios import Scenario
from powercal.fitting.batch.descent import CONVERGED, Found
from powercal.fitting.batch.evaluate import place
from powercal.fitting.batch.solver import Plan, full_matrix, solve
from powercal.fitting.batch.steps import inverse_of

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Result:
    """(traces, p) values, packed covariances (p(p+1)/2, traces) of values, and how it went."""

    values: FloatArray
    packed: FloatArray
    found: Found
    rescued: int
    derivatives: str

    @property
    def good(self) -> NDArray[np.bool_]:
        return np.asarray(self.found.outcome == CONVERGED)

    @property
    def errors(self) -> FloatArray:
        p = self.values.shape[1]
        return np.sqrt(self.packed[[place(i, i) for i in range(p)]]).T

    def covariance(self) -> FloatArray:
        return full_matrix(self.packed, self.values.shape[1])


def run(scenario: Scenario, plan: Plan) -> Result:
    """Fit all traces, and turn normal matrices into covariances of the values in their units."""
    problem = scenario.problem
    solved = solve(problem, plan)
    found, p = solved.found, len(problem.axes)
    packed = np.empty_like(found.matrix)
    with np.errstate(all="ignore"):  # what did not start has no matrix
        inverse, size, _ = scaled_inverse(found.matrix, p)
        slope = problem.slopes(found.x).T / size
        for i in range(p):
            for j in range(i + 1):
                packed[place(i, j)] = inverse[i][j] * slope[i] * slope[j]
    values = problem.to_values(found.x)
    return Result(values, packed, found, solved.rescued.size, solved.derivatives)


def scaled_inverse(
    packed: FloatArray, p: int
) -> tuple[list[list[FloatArray]], FloatArray, FloatArray]:
    """Return inverses of normal matrices scaled to unit diagonal, the scale, smallest pivots."""
    size = np.sqrt(packed[[place(i, i) for i in range(p)]])
    rows = [[packed[place(i, j)] / (size[i] * size[j]) for j in range(i + 1)] for i in range(p)]
    inverse, pivot = inverse_of(rows)
    return inverse, size, pivot
