"""Errors of inputs in many fits at once: marginalised about the best values of the inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.fitting.batch.descent import TOO_LONG
from powercal.fitting.batch.direct import DirectEvaluator
from powercal.fitting.batch.problem import BatchProblem, InputError, Modes
from powercal.fitting.batch.solver import Plan, Solved, solve

FloatArray = NDArray[np.float64]
Index = NDArray[np.intp]
_ROUNDS = 60
_STILL = 1e-6  # of a standard error; what is left of a step falls tenfold a round or faster


def input_errors(
    found: Mapping[str, tuple[Index, FloatArray]], sigma: Mapping[str, FloatArray]
) -> tuple[InputError, ...]:
    """Return the errors of inputs of a block.

    Parameters
    ----------
    found : mapping
        Per input the element (measured value) that every point uses, as one fit has it.
    sigma : mapping
        Per input the standard deviation at every point: (fits or 1, points or 1), SI.
    """
    out = []
    for name, (element, _) in found.items():
        _, first = np.unique(element, return_index=True)
        whole = np.broadcast_to(sigma[name], (sigma[name].shape[0], element.size))
        out.append(InputError(name, element, np.ascontiguousarray(whole[:, first])))
    return tuple(out)


def solve_with_input_errors(problem: BatchProblem, plan: Plan) -> tuple[BatchProblem, Solved]:
    """Fit, move the inputs to their best values, and again until nothing moves.

    As a single fit does (:meth:`powercal.fitting.common_errors.CommonErrors.relinearise`).

    Returns
    -------
    problem, solved
        With the inputs and the linearised errors about them at which it ended.
    """
    original, solved = problem, solve(problem, plan)
    problem = _with_own_inputs(problem)
    problem = replace(problem, modes=_modes(problem, solved.found.x))
    moving = np.flatnonzero(np.isfinite(solved.found.x).all(axis=1))
    rounds = 0
    while moving.size and rounds < _ROUNDS:
        rounds += 1
        part, first = problem.take(moving), original.take(moving)
        part = _relinearised(part, first, solved.found.x[moving])
        part = replace(part, start=problem.to_values(solved.found.x[moving]))
        again = solve(part, plan)
        p = len(problem.axes)
        diagonal = again.found.matrix[[i * (i + 1) // 2 + i for i in range(p)]].T
        step = np.abs(again.found.x - solved.found.x[moving]) * np.sqrt(np.maximum(diagonal, 0.0))
        problem, solved = _put_back(problem, solved, moving, part, again)
        moved = step.max(axis=1)
        moving = moving[~(moved < _STILL) & np.isfinite(moved)]
    solved.found.outcome[moving] = TOO_LONG  # the inputs did not come to rest
    return problem, solved


def _with_own_inputs(problem: BatchProblem) -> BatchProblem:
    """Give every fit inputs of its own: they will move."""
    shape = (problem.size, problem.points)
    inputs = dict(problem.inputs)
    for error in problem.input_errors:
        inputs[error.name] = np.array(np.broadcast_to(inputs[error.name], shape))
    own = frozenset(n for n in problem.inputs if not problem.is_shared(n))
    return replace(problem, inputs=inputs, each=own | {e.name for e in problem.input_errors})


def _modes(problem: BatchProblem, x: FloatArray) -> Modes:
    """Return what one standard deviation of every element does to the weighted rows."""
    direct = DirectEvaluator(problem, problem.size)
    tiles = []
    for first in range(0, problem.size, direct.tile):
        rows = np.arange(first, min(first + direct.tile, problem.size))
        slopes = direct.input_slopes(x[rows].T, rows, [e.name for e in problem.input_errors])
        tiles.append(np.concatenate([_columns(problem, slopes, rows, e) for e in slopes], axis=2))
    return Modes(np.concatenate(tiles, axis=0))


def _columns(
    problem: BatchProblem, slopes: Mapping[str, list[Any]], rows: Index, name: str
) -> FloatArray:
    error = next(e for e in problem.input_errors if e.name == name)
    sigma = error.of(rows)
    parts = []
    for slope in slopes[name]:
        acts = slope * sigma[:, error.element]
        for real in (acts.real, acts.imag) if np.iscomplexobj(acts) else (acts,):
            column = np.zeros((*real.shape, sigma.shape[1]))
            column[:, np.arange(real.shape[1]), error.element] = real
            parts.append(column)
    return np.concatenate(parts, axis=1)


def _relinearised(problem: BatchProblem, original: BatchProblem, x: FloatArray) -> BatchProblem:
    """Move inputs to their best values; rows less data is then the linearised residual there."""
    assert problem.modes is not None
    amplitude = _amplitudes(problem, x)
    inputs, at = dict(problem.inputs), 0
    for error in problem.input_errors:
        sigma = error.of(np.arange(problem.size))
        mine = amplitude[:, at : at + sigma.shape[1]]
        inputs[error.name] = original.inputs[error.name] + (sigma * mine)[:, error.element]
        at += sigma.shape[1]
    moved = replace(problem, inputs=inputs)
    moved = replace(moved, modes=_modes(moved, x))
    assert moved.modes is not None
    shift = np.einsum("nmk,nk->nm", moved.modes.columns, amplitude)
    return _shifted(moved, original, shift)


def _amplitudes(problem: BatchProblem, x: FloatArray) -> FloatArray:
    """Return the amplitudes, in standard deviations, that fit best."""
    assert problem.modes is not None
    direct = DirectEvaluator(problem, problem.size)
    out = []
    for first in range(0, problem.size, direct.tile):
        rows = np.arange(first, min(first + direct.tile, problem.size))
        rest = -direct.rest(x[rows].T, rows)
        out.append(problem.modes.take(rows).amplitudes(rest))
    return np.concatenate(out)


def _shifted(problem: BatchProblem, original: BatchProblem, shift: FloatArray) -> BatchProblem:
    """Add a shift of the weighted rows to the original data."""
    direct, at, observed = DirectEvaluator(problem, problem.size), 0, []
    rows = np.arange(problem.size)
    for k, (o, first) in enumerate(zip(problem.observed, original.observed, strict=True)):
        _, weight = direct.data(k, rows)
        sigma = np.where(weight > 0, 1 / np.where(weight > 0, weight, 1.0), 0.0)
        part = shift[:, at : at + problem.points]
        at += problem.points
        if np.iscomplexobj(o.data):
            part = part + 1j * shift[:, at : at + problem.points]
            at += problem.points
        observed.append(replace(o, data=first.data + part * sigma))
    return replace(problem, observed=tuple(observed))


def _put_back(
    problem: BatchProblem, solved: Solved, which: Index, part: BatchProblem, new: Solved
) -> tuple[BatchProblem, Solved]:
    """Put the fits of a part back into the whole."""
    solved.found.put(which, new.found)
    assert problem.modes is not None
    assert part.modes is not None
    problem.modes.columns[which] = part.modes.columns
    problem = replace(problem, modes=Modes(problem.modes.columns))
    for error in problem.input_errors:
        problem.inputs[error.name][which] = part.inputs[error.name]
    observed = []
    for whole, one in zip(problem.observed, part.observed, strict=True):
        data = whole.data.copy()
        data[which] = one.data
        observed.append(replace(whole, data=data))
    rescued = np.union1d(solved.rescued, which[new.rescued])
    return replace(problem, observed=tuple(observed)), replace(solved, rescued=rescued)
