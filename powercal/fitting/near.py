"""Determined, but hardly: parameters that the data barely tell apart, and priors that speak alone.

A rank says which directions are flat; these sentences say which are nearly so.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from powercal.fitting.identifiability import FLAT, Identifiability
from powercal.fitting.problem import Problem

FloatArray = NDArray[np.float64]
CORRELATED = 0.98
SHALLOW = 1e-3  # smallest kept over largest singular value of the scaled Jacobian
DOMINATED = 0.9  # posterior error over the prior's, above which the data add next to nothing
_TAKES_PART = 0.2  # share of a direction below which a parameter is not named
_MOST = 8


def nearly_degenerate(
    problem: Problem, x: FloatArray, found: Identifiability, determined: tuple[str, ...]
) -> tuple[str, ...]:
    """Return sentences on determined parameters that the data hardly tell apart.

    Parameters
    ----------
    problem, x : Problem, ndarray
        The minimum.
    found : Identifiability
        Rank and covariance there, solver coordinates.
    determined : tuple of str
        The parameters that have an estimate with an error; of all others nothing is said here.

    Returns
    -------
    tuple of str
        Pairs with a correlation beyond ±0.98, the shallowest direction where it is a thousand
        times less steep than the steepest, and what rests on its prior.
    """
    names = [c.name for c in problem.coordinates]
    kept = [i for i, name in enumerate(names) if name in determined]
    return (
        *_pairs(names, kept, found),
        *_shallow(problem, x, kept),
        *_priors(problem, x, found, {names[i] for i in kept}),
    )


def _pairs(names: list[str], kept: list[int], found: Identifiability) -> list[str]:
    covariance = found.covariance[np.ix_(kept, kept)]
    errors = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    correlation = covariance / np.outer(errors, errors)
    above = np.triu(np.abs(correlation), 1)
    pairs = sorted(zip(*np.nonzero(above > CORRELATED), strict=True), key=lambda p: -above[p])
    out = []
    for i, j in pairs[:_MOST]:
        r = float(np.clip(correlation[i, j], -1.0, 1.0))
        wide = 1 / sqrt(max(1 - r**2, 1e-300))
        out.append(
            f"{names[kept[i]]} and {names[kept[j]]} are hardly told apart (correlation {r:+.4f}): "
            f"to know one would make the error of the other {wide:.2g} times smaller"
        )
    if len(pairs) > _MOST:
        out.append(f"and {len(pairs) - _MOST} more pairs with a correlation beyond {CORRELATED}")
    return out


def _shallow(problem: Problem, x: FloatArray, kept: list[int]) -> list[str]:
    """Name the shallowest direction that counts as determined."""
    jacobian = problem.jacobian(x)
    norms = np.linalg.norm(jacobian, axis=0)
    _, s, vt = np.linalg.svd(jacobian / np.where(norms > 0, norms, 1.0), full_matrices=False)
    ratios = s / (float(s.max(initial=0.0)) or 1.0)
    last = int(np.sum(ratios > FLAT)) - 1
    if last < 0 or ratios[last] >= SHALLOW:
        return []
    share = np.abs(vt[last])
    chosen = [int(i) for i in np.argsort(-share) if share[i] >= _TAKES_PART]
    if not set(chosen) <= set(kept):
        return []
    named = ", ".join(problem.coordinates[i].name for i in chosen)
    return [
        f"one direction is nearly flat ({ratios[last]:.1g} as steep as the steepest): {named} move "
        f"together along it; their errors rest on small differences of the curve"
    ]


def _priors(problem: Problem, x: FloatArray, found: Identifiability, known: set[str]) -> list[str]:
    derived = {d.name: set(d.arguments) for d in problem.model.derived}
    free = {c.parameter: c.name for c in problem.coordinates}
    out = []
    for prior in problem.priors:
        inside = derived.get(prior.name, {prior.name}) & set(free)
        if not inside or not {free[n] for n in inside} <= known:
            continue
        gradient = problem.gradient(prior.name, x)
        error = sqrt(max(float(gradient @ found.covariance @ gradient), 0.0))
        if error > DOMINATED * prior.std:
            out.append(
                f"{prior.name} rests on its prior: the error is {error / prior.std:.2f} of the "
                f"prior's, the data add next to nothing"
            )
    return out
