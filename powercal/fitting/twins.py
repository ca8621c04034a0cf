"""Other minima that fit as well: a rank tells of flat directions, not of a second valley."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from powercal.fitting.estimates import Judged
from powercal.fitting.problem import Problem
from powercal.fitting.solve import search
from powercal.result import Estimate

FloatArray = NDArray[np.float64]
AS_GOOD = 3.84  # Δχ² of a rival that 95 % confidence does not exclude
APART = 5.0  # standard errors between two minima; less is one valley
DRAWS, TRIES = 400, 12  # points looked at, and the best of them that are searched from
DEAR = 4000  # rows; with more, or with errors that are marginalised, a quarter of that must do


def find_twin(problem: Problem, x: FloatArray, chi2: float, judged: Judged) -> FloatArray | None:
    """Search from perturbed starts for a minimum as good as this one, but somewhere else.

    For example the power reflected at one drive power: two pairs of width and depth give the same
    curve, exactly.

    Returns
    -------
    ndarray or None
        The rival's point in solver coordinates.
    """
    sure = {e.name: e.stderr for e in judged.parameters if e.stderr}
    dear = problem.data.size > DEAR or problem.modes is not None
    share = 4 if dear else 1
    for start in _far_starts(problem, x, DRAWS // share, TRIES // share):
        found = search(problem, start, iterations=40)
        if found.chi2 - chi2 > AS_GOOD:
            continue
        for c, mine, other in zip(problem.coordinates, x, found.x, strict=True):
            gap = abs(c.to_si(float(other)) - c.to_si(float(mine)))
            if gap > APART * (sure.get(c.name) or np.inf):
                return found.x
    return None


def _far_starts(problem: Problem, x: FloatArray, draws: int, tries: int) -> Iterator[FloatArray]:
    """Draw points factors away (rates and occupations by e, the line by 8 dB); give the best."""
    generator = np.random.default_rng(1)
    points = [_far_point(problem, x, generator.standard_normal(x.size)) for _ in range(draws)]
    with np.errstate(all="ignore"):
        misfits = [float(np.sum(problem.residual(p) ** 2)) for p in points]
    order = np.argsort(np.nan_to_num(misfits, nan=np.inf))
    yield from (points[i] for i in order[:tries])


def _far_point(problem: Problem, x: FloatArray, draw: FloatArray) -> FloatArray:
    point = x.copy()
    for i, c in enumerate(problem.coordinates):
        value, far = c.to_si(float(x[i])), 1.2 * float(draw[i])
        if c.log:
            # At least half a factor e away: what lies nearer is the same valley.
            point[i] += np.sign(far) * max(abs(far), 0.5)
        elif c.name.endswith("_db"):
            point[i] = c.from_si(value + 8.0 * far)
        elif c.low == 0.0:
            point[i] = c.from_si(max(value, 10 * c.scale) * np.exp(far))
        else:
            point[i] += 2.0 * far
    return np.clip(point, problem.lower, problem.upper)


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
