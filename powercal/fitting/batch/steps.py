"""Small linear systems of many fits at once, and steps that meet bounds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Rows = Sequence[Sequence[FloatArray]]

_LEAST_PIVOT = 1e-14  # an exactly flat direction moves, but does not blow up
_SHARE = 0.5  # of the way to a bound that is far


def factor(matrix: Rows) -> tuple[list[list[FloatArray]], list[FloatArray], FloatArray]:
    """Cholesky factors of many small matrices.

    Parameters
    ----------
    matrix : rows of arrays
        ``matrix[i][j]``, j ≤ i, (fits,), about one on the diagonal.

    Returns
    -------
    lower, inverse, pivot : lists of ndarray, ndarray
        The factor below the diagonal, one over its diagonal, and the smallest squared pivot.
    """
    p = len(matrix)
    lower: list[list[FloatArray]] = [[] for _ in range(p)]
    inverse: list[FloatArray] = []
    pivot = np.full(np.shape(matrix[0][0]), np.inf)
    for j in range(p):
        rest = matrix[j][j] - sum((v * v for v in lower[j]), start=np.zeros(()))
        pivot = np.minimum(pivot, rest)
        inverse.append(1.0 / np.sqrt(np.maximum(rest, _LEAST_PIVOT)))
        for i in range(j + 1, p):
            value = matrix[i][j]
            for k in range(j):
                value = value - lower[i][k] * lower[j][k]
            lower[i].append(value * inverse[j])
    return lower, inverse, pivot


def solve_scaled(matrix: Rows, right: FloatArray) -> FloatArray:
    """Solve many small systems; ``right`` and the result are (p, fits)."""
    lower, inverse, _ = factor(matrix)
    p = len(matrix)
    z: list[FloatArray] = []
    for i in range(p):
        value = right[i]
        for k in range(i):
            value = value - lower[i][k] * z[k]
        z.append(value * inverse[i])
    for i in range(p - 1, -1, -1):
        value = z[i]
        for k in range(i + 1, p):
            value = value - lower[k][i] * z[k]
        z[i] = value * inverse[i]
    return np.stack(z)


def inverse_of(matrix: Rows) -> tuple[list[list[FloatArray]], FloatArray]:
    """Return the inverses of many small matrices (full rows) and their smallest pivots."""
    lower, inverse, pivot = factor(matrix)
    p = len(matrix)
    half: list[list[FloatArray]] = [[] for _ in range(p)]  # the inverse of the factor
    for j in range(p):
        half[j].append(inverse[j])
    columns: list[dict[int, FloatArray]] = []
    for j in range(p):
        column = {j: inverse[j]}
        for i in range(j + 1, p):
            value = -lower[i][j] * column[j]
            for k in range(j + 1, i):
                value = value - lower[i][k] * column[k]
            column[i] = value * inverse[i]
        columns.append(column)
    out: list[list[FloatArray]] = [[np.zeros(())] * p for _ in range(p)]
    for i in range(p):
        for j in range(i + 1):
            out[i][j] = out[j][i] = sum(
                (columns[i][k] * columns[j][k] for k in range(i, p)), start=np.zeros(())
            )
    return out, pivot


def pseudo_inverse(
    scaled: FloatArray, least: float
) -> tuple[FloatArray, FloatArray, NDArray[np.intp]]:
    """Invert matrices with unit diagonal on the directions that they determine.

    Parameters
    ----------
    scaled : ndarray
        (fits, p, p), symmetric.
    least : float
        Smallest kept over largest eigenvalue.

    Returns
    -------
    inverse, null, rank : ndarray
        (fits, p, p); flat directions as columns, zero where there is none; kept directions.
    """
    values, vectors = np.linalg.eigh(scaled)
    keep = values > least * values[:, -1:]
    weight = np.where(keep, 1 / np.where(keep, values, 1.0), 0.0)
    inverse = np.einsum("nik,nk,njk->nij", vectors, weight, vectors)
    return inverse, np.where(keep[:, None, :], 0.0, vectors), keep.sum(axis=1)


def bounded_steps(
    matrix: Rows,
    down: FloatArray,
    step: FloatArray,
    place: tuple[FloatArray, FloatArray, FloatArray],
    size: FloatArray,
    error: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Return steps that stay inside the bounds, and what they promise.

    Parameters
    ----------
    matrix, down : rows of ndarray, ndarray
        Damped, scaled normal matrix and scaled gradient of these fits.
    step : ndarray
        (p, fits), to be subtracted; some component crosses a bound.
    place : tuple of ndarray
        Coordinates (p, fits), lower and upper bounds (p, 1).
    size : ndarray
        Scale of every coordinate: conditional standard errors are ``error / size``.
    error : ndarray
        Square root of reduced χ², (fits,).

    Returns
    -------
    step, promise : ndarray
        ``promise`` is infinite where the step would go uphill: it will be rejected.
    """
    x, low, high = place
    step = step.copy()
    room = np.where(step > 0, x - low, x - high)
    out = (x - step < low) | (x - step > high)
    near = out & (np.abs(room) <= error / size)
    who = np.flatnonzero(near.any(axis=0))
    if who.size:
        step[:, who] = _put_on_bound(
            [[v[who] if np.ndim(v) else v for v in row] for row in matrix],
            down[:, who],
            near[:, who],
            (room * size)[:, who],
            size[:, who],
        )
        room = np.where(near, room, np.where(step > 0, x - low, x - high))
    far = ((x - step < low) | (x - step > high)) & ~near
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(far, _SHARE * room / step, 1.0).min(axis=0)
    target = np.clip(x - share * step, low, high)
    # On a bound means exactly on it.
    target = np.where(near & (share == 1.0), np.where(room == x - low, low, high), target)
    step = x - target
    return step, _promise(matrix, down, step * size)


def _put_on_bound(
    matrix: Rows,
    down: FloatArray,
    near: NDArray[np.bool_],
    reach: FloatArray,
    size: FloatArray,
) -> FloatArray:
    """Move who is near its bound onto it, and solve for the others given that."""
    p = len(matrix)
    moved = np.where(near, reach, 0.0)
    right = []
    for i in range(p):
        value = down[i]
        for j in range(p):
            if j != i:
                value = value - matrix[max(i, j)][min(i, j)] * moved[j]
        right.append(np.where(near[i], 0.0, value))
    rest = [
        [
            np.where(near[i] | near[j], 0.0, matrix[i][j]) if j < i else matrix[i][i]
            for j in range(i + 1)
        ]
        for i in range(p)
    ]
    others = solve_scaled(rest, np.stack(right))
    return np.asarray(np.where(near, moved, others) / size)


def _promise(matrix: Rows, down: FloatArray, move: FloatArray) -> FloatArray:
    """Return how much the quadratic falls along a move."""
    fall = np.zeros(move.shape[1])
    for i in range(len(matrix)):
        fall += 2 * move[i] * down[i] - move[i] ** 2
        for j in range(i):
            fall -= 2 * matrix[i][j] * move[i] * move[j]
    return np.where(fall > 0, fall, np.inf)
