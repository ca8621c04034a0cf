"""What the data determine: rank of the Jacobian, flat directions, and names for what is left."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations as subsets

import numpy as np
from numpy.typing import NDArray

from powercal.fitting.problem import DECIBEL, Problem

FloatArray = NDArray[np.float64]

# Smallest kept over largest singular value of the column-scaled Jacobian. Measured gaps: kept ones
# above 2e-5, flat ones below 3e-14 with exact derivatives and below 1e-9 with differences.
FLAT = 3e-7


@dataclass(frozen=True)
class Identifiability:
    """The flat directions of a fit.

    Attributes
    ----------
    rank : int
        Number of determined directions among the free coordinates.
    null : ndarray, shape (p, p − rank)
        Flat directions in solver coordinates, each coordinate scaled to unit effect.
    scale : ndarray, shape (p,)
        Norms of the Jacobian's columns (1 for a coordinate without any effect).
    covariance : ndarray, shape (p, p)
        Inverse of JᵀJ on the determined directions, solver coordinates.
    """

    rank: int
    null: FloatArray
    scale: FloatArray
    covariance: FloatArray

    def determines(self, gradient: FloatArray) -> bool:
        """Whether a quantity with this gradient (solver coordinates) is constant in the valley."""
        scaled = gradient / self.scale
        size = float(np.linalg.norm(scaled))
        return size == 0.0 or float(np.linalg.norm(self.null.T @ scaled)) <= 1e-5 * size


def analyse(jacobian: FloatArray) -> Identifiability:
    """Find rank, flat directions and covariance from the Jacobian of all free coordinates."""
    count = jacobian.shape[1]
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.linalg.norm(jacobian, axis=0)
        # Far out in a valley a slope may overflow: such a coordinate tells nothing.
        jacobian = np.where(np.isfinite(norms), jacobian, 0.0)
    scale = np.where(np.isfinite(norms) & (norms > 0), norms, 1.0)
    # Rows of zeros make every flat direction appear, without the large square that nobody needs.
    padded = np.zeros((max(jacobian.shape[0], count), count))
    padded[: jacobian.shape[0]] = jacobian / scale
    _, s, vt = np.linalg.svd(padded, full_matrices=False)
    keep = s > FLAT * max(float(s.max(initial=0.0)), 1e-300)
    null = vt[~keep].T
    inverse = (vt[keep].T / s[keep] ** 2) @ vt[keep]
    return Identifiability(
        int(keep.sum()), null, scale, np.asarray(inverse / np.outer(scale, scale))
    )


def flat_names(problem: Problem, found: Identifiability) -> tuple[str, ...]:
    """Return the coordinates that move along a flat direction."""
    eye = np.eye(len(problem.coordinates))
    return tuple(
        c.name for c, e in zip(problem.coordinates, eye, strict=True) if not found.determines(e)
    )


def lifting_sets(problem: Problem, found: Identifiability) -> tuple[tuple[str, ...], ...]:
    """Return the smallest sets of coordinates whose fixing (or prior) lifts every degeneracy."""
    need = found.null.shape[1]
    names = flat_names(problem, found)
    index = {c.name: i for i, c in enumerate(problem.coordinates)}
    sets = []
    for group in subsets(names, need):
        rows = found.null[[index[n] for n in group]]
        if np.linalg.svd(rows, compute_uv=False).min() > 1e-4:
            sets.append(group)
    return tuple(sets)


def determined_products(problem: Problem, x: FloatArray) -> tuple[str, ...]:
    """Name products of powers, then sums, of flat parameters that the data determine.

    A combination is named only if it is a small rational one at the fit *and* at a second point
    of the valley: the gradients of ln(value) in the row space of the Jacobian, in reduced form.
    """
    found = analyse(problem.jacobian(x))
    names = flat_names(problem, found)
    if not names:
        return ()
    rows = {p.name: p.unit for p in problem.model.parameters}
    units = {rows.get(c.parameter, "dB") for c in problem.coordinates if c.name in names}
    # Sums mean something only among quantities of one unit.
    for logarithmic in (True, False) if len(units) == 1 else (True,):
        found_rows = _reduced_rows(problem, x, names, logarithmic)
        second = _reduced_rows(problem, _along_valley(problem, x), names, logarithmic)
        if found_rows is None or second is None or found_rows.shape != second.shape:
            continue
        same = np.all(np.abs(found_rows - second) < 1e-3, axis=1)
        ratios = [[_small(v) for v in row] for row in found_rows[same]]
        # A row of one term would say that the parameter itself is determined: a chance rounding.
        whole = [r for r in ratios if None not in r and sum(v != 0 for v in r) > 1]
        if whole:
            return tuple(_spell(names, [v or Fraction(0) for v in r], logarithmic) for r in whole)
    return ()


def _reduced_rows(
    problem: Problem, x: FloatArray, names: tuple[str, ...], logarithmic: bool
) -> FloatArray | None:
    """Row space over the flat coordinates, by ln(value) or value, in reduced echelon form."""
    found = analyse(problem.jacobian(x))
    if set(flat_names(problem, found)) != set(names):
        return None
    index = [i for i, c in enumerate(problem.coordinates) if c.name in names]
    size = np.ones(len(index))
    for k, i in enumerate(index):
        c = problem.coordinates[i]
        value = 1 / DECIBEL if c.name.endswith("_db") else c.to_si(float(x[i]))
        if logarithmic and value == 0:
            return None
        size[k] = (value if logarithmic else 1.0) / c.slope(float(x[i]))
    # Null vectors in ln(value): what is orthogonal to them is determined.
    null = found.null[index] / found.scale[index][:, None] / size[:, None]
    _, s, vt = np.linalg.svd((null / np.linalg.norm(null, axis=0)).T, full_matrices=True)
    basis = vt[int((s > 1e-8).sum()) :]
    return _echelon(basis)


def _echelon(rows: FloatArray) -> FloatArray:
    rows = rows.copy()
    done = 0
    for column in range(rows.shape[1]):
        if done == rows.shape[0]:
            break
        pivot = done + int(np.argmax(np.abs(rows[done:, column])))
        if abs(rows[pivot, column]) < 1e-6:
            continue
        rows[[done, pivot]] = rows[[pivot, done]]
        rows[done] /= rows[done, column]
        for other in range(rows.shape[0]):
            if other != done:
                rows[other] -= rows[other, column] * rows[done]
        done += 1
    return rows[:done]


def _along_valley(problem: Problem, x: FloatArray) -> FloatArray:
    """Step along the first flat direction; enough to tell a constant exponent from a chance."""
    found = analyse(problem.jacobian(x))
    direction = found.null[:, 0] / found.scale
    span = np.where(np.abs(direction) > 0, np.abs(direction), np.inf)
    reach = min(
        0.3 if c.log else 0.3 * max(abs(c.to_si(float(xi))), 1e-12) / c.scale
        for c, xi, s in zip(problem.coordinates, x, span, strict=True)
        if np.isfinite(s)
    )
    step = direction / np.max(np.abs(direction)) * reach
    moved = np.asarray(np.clip(x + step, problem.lower, problem.upper))
    if not np.allclose(moved, x):
        return moved
    return np.asarray(np.clip(x - step, problem.lower, problem.upper))


def _small(value: float) -> Fraction | None:
    ratio = Fraction(float(value)).limit_denominator(4)
    return ratio if abs(float(ratio) - value) < 1e-4 and abs(ratio) <= 6 else None


def _spell(names: tuple[str, ...], exponents: list[Fraction], logarithmic: bool) -> str:
    terms = [(n, e) for n, e in zip(names, exponents, strict=True) if e != 0]
    if not logarithmic:
        sums = [f"{'+' if e > 0 else '−'} {_times(abs(e))}{n}" for n, e in terms]
        return " ".join(sums).removeprefix("+ ")
    return "·".join(_power(n, e) for n, e in terms)


def _times(factor: Fraction) -> str:
    return "" if factor == 1 else f"{factor}·"


def _power(name: str, exponent: Fraction) -> str:
    base = f"10^({name}/10)" if name.endswith("_db") else name
    if exponent == 1:
        return base
    plain = exponent.denominator == 1 and exponent > 0
    return f"{base}^{exponent}" if plain else f"{base}^({exponent})"
