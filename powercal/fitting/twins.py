"""Other minima that fit as well: a rank tells of flat directions, not of a second valley."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from powercal.fitting.estimates import Judged
from powercal.fitting.minima import AS_GOOD, Explored
from powercal.fitting.problem import Problem
from powercal.result import Estimate

FloatArray = NDArray[np.float64]
APART = 5.0  # standard errors between two minima; less is one valley


def find_twin(
    problem: Problem, x: FloatArray, chi2: float, judged: Judged, explored: Explored
) -> FloatArray | None:
    """Look among the minima that many starts led to for one as good as this, but somewhere else.

    For example the power reflected at one drive power: two pairs of width and depth give the same
    curve, exactly.

    Returns
    -------
    ndarray or None
        The rival's point in solver coordinates.
    """
    sure = {e.name: e.stderr for e in judged.parameters if e.stderr}
    for found in explored.found:
        if found.chi2 - chi2 > AS_GOOD:
            continue
        for c, mine, other in zip(problem.coordinates, x, found.x, strict=True):
            gap = abs(c.to_si(float(other)) - c.to_si(float(mine)))
            if gap > APART * (sure.get(c.name) or np.inf):
                return found.x
    return None


def confess_twin(judged: Judged, problem: Problem, twin: FloatArray) -> Judged:
    """Take back every estimate that the twin contradicts; its range spans both."""
    return replace(
        judged,
        parameters=tuple(_spanned(e, problem, twin) for e in judged.parameters),
        derived=tuple(_spanned(e, problem, twin) for e in judged.derived),
    )


def _spanned(estimate: Estimate, problem: Problem, twin: FloatArray) -> Estimate:
    if estimate.value is None or not estimate.stderr:
        return estimate
    other = problem.quantity(estimate.name, twin)
    if abs(other - estimate.value) <= APART * estimate.stderr:
        return estimate
    low, high = sorted((estimate.value, other))
    return replace(
        estimate,
        status="undetermined",
        value=None,
        stderr=None,
        interval68=None,
        interval95=None,
        allowed=(low - estimate.stderr, high + estimate.stderr),
        reason=f"two minima fit equally well: {estimate.value:.4g} or {other:.4g} {estimate.unit}",
    )
