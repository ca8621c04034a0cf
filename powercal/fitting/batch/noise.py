"""σ of many fits where the data give none: from residuals, row by row, as in a single fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.fitting.batch.descent import TOO_LONG
from powercal.fitting.batch.direct import DirectEvaluator
from powercal.fitting.batch.evaluate import tile_rows
from powercal.fitting.batch.problem import BatchProblem, Observed
from powercal.fitting.batch.solver import Plan, Solved, solve
from powercal.fitting.batch.steps import pseudo_inverse
from powercal.tracing.program import Values

FloatArray = NDArray[np.float64]
_ROUNDS = 100
_STILL = 1e-8


@dataclass(frozen=True)
class Rowwise:
    """What every row of every observable contributes at a point.

    ``square`` is Σ of squared residuals in units of the data's σ², ``numbers`` the data,
    ``matrix`` JᵀJ of the row alone; shapes (rows, fits) and (rows, fits, p, p). ``place`` says
    which observable and row each is.
    """

    place: tuple[tuple[int, int], ...]
    square: FloatArray
    numbers: FloatArray
    matrix: FloatArray


def curve_rows(
    problem: BatchProblem, plan: Plan, x: FloatArray
) -> Iterator[tuple[slice, list[tuple[int, Any, list[Any], Any, FloatArray]]]]:
    """Yield tiles of fits with, per observable: place, curve, derivatives, data and 1/σ.

    Derivatives are by solver coordinates; complex data stay complex.
    """
    step = max(1, tile_rows(problem.points) // 4)
    direct = DirectEvaluator(problem, problem.size)
    direct.load(np.arange(problem.size), slice(0, problem.size))
    for first in range(0, problem.size, step):
        part = slice(first, min(first + step, problem.size))
        rows = np.arange(part.start, part.stop)
        if plan.expression is None:
            found = direct.rows(x[part].T, rows)
        else:
            found = _traced_rows(problem, plan, x[part], rows, direct)
        yield part, [(k, *one) for k, one in enumerate(found)]


def _traced_rows(
    problem: BatchProblem,
    plan: Plan,
    x: FloatArray,
    rows: NDArray[np.intp],
    direct: DirectEvaluator,
) -> list[tuple[Any, list[Any], Any, FloatArray]]:
    expression = plan.expression
    assert expression is not None
    known: dict[str, Any] = {f"x:{a.name}": x[:, k : k + 1] for k, a in enumerate(problem.axes)}
    known |= {
        n: v if np.ndim(v) == 0 else np.asarray(v)[rows, None] for n, v in problem.named().items()
    }
    for name, array in problem.inputs.items():
        own = array if array.shape[0] == 1 else array[rows]
        known[f"a:{name}"] = np.where(np.isfinite(own), own, np.nanmean(own))
    for k, o in enumerate(problem.observed):
        if np.iscomplexobj(o.data):
            data = np.where(np.isfinite(o.data[rows]), o.data[rows], 0.0)
            known |= {f"d:{k}:0": data.real, f"d:{k}:1": data.imag}
    roots = [n for s in expression.signals for n in (s.value, *s.slopes)]
    values = iter(Values(roots)(known))
    shape = (rows.size, problem.points)
    out: list[tuple[Any, list[Any], Any, FloatArray]] = []
    for signal in expression.signals:
        own_rows = [np.broadcast_to(next(values), shape) for _ in range(1 + len(signal.slopes))]
        if signal.part:
            curve, columns, data, weight = out.pop()
            joined = [a + 1j * b for a, b in zip([curve, *columns], own_rows, strict=True)]
            out.append((joined[0], joined[1:], data, weight))
        else:
            measured, weight = direct.data(signal.observed, rows)
            # A value that is curve less data already has nothing left to be compared with.
            left = 0.0 * measured if signal.within else measured
            out.append((own_rows[0], own_rows[1:], left, weight))
    return out


def rowwise(problem: BatchProblem, plan: Plan, x: FloatArray) -> Rowwise:
    """Sum residuals and derivatives over every row of every observable."""
    row = np.zeros(problem.points, dtype=np.intp) if problem.rows is None else problem.rows
    count, p = int(row.max()) + 1, len(problem.axes)
    place = tuple((k, r) for k in range(len(problem.observed)) for r in range(count))
    shape = (len(place), problem.size)
    found = Rowwise(place, np.zeros(shape), np.zeros(shape), np.zeros((*shape, p, p)))
    for part, observed in curve_rows(problem, plan, x):
        for k, curve, columns, data, weight in observed:
            rest = (curve - data) * weight
            jacobian = np.stack([c * weight for c in columns], axis=-1)
            twice = 2 if np.iscomplexobj(data) else 1
            for r in range(count):
                at, mine = k * count + r, row == r
                found.square[at, part] = (np.abs(rest[:, mine]) ** 2).sum(axis=1)
                found.numbers[at, part] = twice * (weight[:, mine] > 0).sum(axis=1)
                j = jacobian[:, mine]
                found.matrix[at, part] = (j.conj().swapaxes(1, 2) @ j).real
    return found


def needs_rounds(problem: BatchProblem) -> bool:
    """Whether estimated σ moves the minimum: several rows, or a prior beside them."""
    estimated = any(not o.given for o in problem.observed)
    rows = 1 if problem.rows is None else int(problem.rows.max()) + 1
    return estimated and (rows * len(problem.observed) > 1 or bool(problem.priors))


def solve_with_noise(problem: BatchProblem, plan: Plan) -> tuple[BatchProblem, Solved, Rowwise]:
    """Fit, estimate σ per row from the residuals, and again until nothing moves.

    Returns
    -------
    problem, solved, rows
        With the final σ.
    """
    problem = replace(
        problem, observed=tuple(_first_guess(o, problem.rows) for o in problem.observed)
    )
    solved = solve(problem, plan)
    moving = np.flatnonzero(np.isfinite(solved.found.x).all(axis=1))
    rounds = 0
    while moving.size and rounds < _ROUNDS:
        rounds += 1
        part = problem.take(moving)
        rows = rowwise(part, plan, solved.found.x[moving])
        observed, change = _new_sigma(part, rows)
        part = replace(part, observed=observed, start=problem.to_values(solved.found.x[moving]))
        again = solve(part, plan)
        errors = np.sqrt(np.maximum(_diagonal(again.found.matrix, len(problem.axes)), 0.0))
        moved = np.max(np.abs(again.found.x - solved.found.x[moving]) * errors, axis=1)
        problem, solved = _put_back(problem, solved, moving, part, again)
        moving = moving[~((change < _STILL) & (moved < 1e-6)) & np.isfinite(moved)]
    solved.found.outcome[moving] = TOO_LONG  # σ did not come to rest
    return problem, solved, rowwise(problem, plan, solved.found.x)


def _diagonal(packed: FloatArray, p: int) -> FloatArray:
    return np.asarray(packed[[i * (i + 1) // 2 + i for i in range(p)]].T)


def _first_guess(observed: Observed, row: NDArray[np.intp] | None) -> Observed:
    """Start from the scatter of neighbours: second differences carry the variance six times."""
    if observed.given:
        return observed
    values = observed.data
    row = np.zeros(values.shape[1], dtype=np.intp) if row is None else row
    sigma = np.empty(values.shape)
    parts = 2 if np.iscomplexobj(values) else 1
    for r in range(int(row.max()) + 1):
        mine = values[:, row == r]
        keep = np.isfinite(mine)
        mean = np.where(keep, mine, 0).sum(axis=1) / np.maximum(keep.sum(axis=1), 1)
        rough = np.abs(np.where(keep, mine - mean[:, None], 0.0))
        spread = (rough**2).sum(axis=1) / np.maximum(keep.sum(axis=1), 1) / parts
        if mine.shape[1] >= 4:
            steps = np.diff(mine, n=2, axis=1)
            good = np.isfinite(steps)
            count = good.sum(axis=1)
            square = (np.abs(np.where(good, steps, 0.0)) ** 2).sum(axis=1)
            spread = np.where(count > 0, square / np.maximum(count, 1) / 6 / parts, spread)
        sigma[:, row == r] = np.sqrt(spread)[:, None]
    return replace(observed, sigma=_no_zeros(sigma, values))


def _no_zeros(sigma: FloatArray, values: NDArray[Any]) -> FloatArray:
    """Noise-free data would give infinite weights; rounding is the least noise there is."""
    size = np.abs(np.where(np.isfinite(values), values, 0.0)).max(axis=1, keepdims=True)
    return np.maximum(sigma, np.where(size > 0, 1e-13 * size, 1e-300))


def _new_sigma(problem: BatchProblem, rows: Rowwise) -> tuple[tuple[Observed, ...], FloatArray]:
    """Return the observables with σ from their residuals, and by how much it changed."""
    whole = rows.matrix.sum(axis=0)
    size = np.sqrt(np.maximum(np.einsum("nii->ni", whole), 1e-300))
    size = size[:, :, None] * size[:, None, :]
    inverse = pseudo_inverse(whole / size, 1e-12)[0] / size
    row = np.zeros(problem.points, dtype=np.intp) if problem.rows is None else problem.rows
    change = np.zeros(problem.size)
    observed = [replace(o) for o in problem.observed]
    for at, (k, r) in enumerate(rows.place):
        if observed[k].given:
            continue
        lost = np.einsum("nij,nji->n", rows.matrix[at], inverse)
        freedom = np.maximum(rows.numbers[at] - lost, 0.25)
        factor = np.sqrt(rows.square[at] / freedom)
        sigma = np.array(observed[k].sigma)
        before = sigma[:, row == r]
        after = _no_zeros(before * factor[:, None], problem.observed[k].data)
        empty = rows.numbers[at] == 0
        after = np.where(empty[:, None], before, after)
        sigma[:, row == r] = after
        change = np.maximum(change, np.abs(after[:, 0] / before[:, 0] - 1))
        observed[k] = replace(observed[k], sigma=sigma)
    return tuple(observed), change


def _put_back(
    problem: BatchProblem, solved: Solved, which: NDArray[np.intp], part: BatchProblem, new: Solved
) -> tuple[BatchProblem, Solved]:
    """Put the fits of a part back into the whole."""
    solved.found.put(which, new.found)
    observed = []
    for whole, one in zip(problem.observed, part.observed, strict=True):
        if not whole.given:
            assert whole.sigma is not None
            whole.sigma[which] = one.sigma
        observed.append(whole)
    rescued = np.union1d(solved.rescued, which[new.rescued])
    return replace(problem, observed=tuple(observed)), replace(solved, rescued=rescued)


def enlarged(covariance: FloatArray, rows: Rowwise, given: tuple[bool, ...]) -> FloatArray:
    """Return covariances enlarged for σ that were estimated (Kenward and Roger 1997).

    As :func:`powercal.fitting.weights.with_noise_uncertainty`, for all fits at once.
    """
    extra = np.zeros_like(covariance)
    for at, (k, _) in enumerate(rows.place):
        if given[k]:
            continue
        b = rows.matrix[at]
        bc = b @ covariance
        freedom = np.maximum(rows.numbers[at] - np.einsum("nii->n", bc), 1.0)
        extra += (2 / freedom)[:, None, None] * (b - bc @ b)
    return np.asarray(covariance + 2 * covariance @ extra @ covariance)
