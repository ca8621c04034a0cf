"""The descent of one fit after the other, in words that numba compiles; see :mod:`.descent`.

The same algorithm with the same decisions as the vectorised one. This file is never imported by
the house: its text, with an ``evaluate`` made from a model's expressions behind it, becomes a
module of its own (see :mod:`.compiled`). It is plain Python nonetheless, and tested as such.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

CONVERGED, STUCK, TOO_LONG, NOT_FINITE = 1, 2, 3, 4
LEAST_PIVOT = 1e-14
SHARE = 0.5


def evaluate(
    x: Any, number: Any, shared: Any, own: Any, data: Any, weight: Any, matrix: Any, slope: Any
) -> float:
    """Fill matrix and slope at x and return χ²; a generated function takes this one's place."""
    raise NotImplementedError


def evaluate_even(
    x: Any, number: Any, shared: Any, own: Any, data: Any, weight: Any, matrix: Any, slope: Any
) -> float:
    """Likewise with one weight per signal."""
    raise NotImplementedError


def solve(matrix: Any, size: Any, soft: Any, free: Any, right: Any, z: Any, lower: Any) -> None:
    """Solve the damped, scaled system without those that are held, into z."""
    p = size.size
    for j in range(p):
        rest = 1.0 + soft[j]
        for k in range(j):
            rest -= lower[j, k] * lower[j, k]
        lower[j, j] = 1.0 / math.sqrt(max(rest, LEAST_PIVOT))
        for i in range(j + 1, p):
            value = matrix[i * (i + 1) // 2 + j] / (size[i] * size[j]) * free[i] * free[j]
            for k in range(j):
                value -= lower[i, k] * lower[j, k]
            lower[i, j] = value * lower[j, j]
    for i in range(p):
        value = right[i]
        for k in range(i):
            value -= lower[i, k] * z[k]
        z[i] = value * lower[i, i]
    for i in range(p - 1, -1, -1):
        value = z[i]
        for k in range(i + 1, p):
            value -= lower[k, i] * z[k]
        z[i] = value * lower[i, i]


def stay_inside(
    x: Any, step: Any, low: Any, high: Any, matrix: Any, size: Any, soft: Any, free: Any,
    down: Any, error: float, near: Any, moved: Any, rest: Any, right: Any, z: Any, lower: Any,
) -> float:  # fmt: skip
    """Cut a step at bounds, in place, and return what it promises (infinite where uphill)."""
    p = x.size
    some = False
    for j in range(p):
        room = x[j] - low[j] if step[j] > 0 else x[j] - high[j]
        target = x[j] - step[j]
        out = target < low[j] or target > high[j]
        near[j] = 1.0 if out and abs(room) <= error / size[j] else 0.0
        moved[j] = room * size[j] if near[j] == 1.0 else 0.0
        some = some or near[j] == 1.0
    if some:
        for i in range(p):
            value = down[i]
            for j in range(p):
                if j != i:
                    a, b = max(i, j), min(i, j)
                    scaled = matrix[a * (a + 1) // 2 + b] / (size[a] * size[b]) * free[a] * free[b]
                    value -= scaled * moved[j]
            right[i] = 0.0 if near[i] == 1.0 else value
            rest[i] = 0.0 if near[i] == 1.0 else free[i]
        solve(matrix, size, soft, rest, right, z, lower)
        for j in range(p):
            step[j] = (moved[j] if near[j] == 1.0 else z[j]) / size[j]
    share = 1.0
    for j in range(p):
        target = x[j] - step[j]
        if near[j] == 0.0 and (target < low[j] or target > high[j]):
            room = x[j] - low[j] if step[j] > 0 else x[j] - high[j]
            share = min(share, SHARE * room / step[j])
    for j in range(p):
        target = min(max(x[j] - share * step[j], low[j]), high[j])
        if near[j] == 1.0 and share == 1.0:
            target = low[j] if moved[j] == (x[j] - low[j]) * size[j] else high[j]
        step[j] = x[j] - target
    fall = 0.0
    for i in range(p):
        a = step[i] * size[i]
        fall += 2 * a * down[i] - a * a * (1.0 + soft[i])
        for j in range(i):
            scaled = matrix[i * (i + 1) // 2 + j] / (size[i] * size[j]) * free[i] * free[j]
            fall -= 2 * scaled * a * step[j] * size[j]
    return fall if fall > 0 else math.inf


def fit_one(
    x: Any, number: Any, shared: Any, own: Any, data: Any, weight: Any, low: Any, high: Any,
    log: Any, count: float, square: float, tolerance: float, most: int, first_damping: float,
    absolute: bool, even: bool, scale: Any, work: Any, kept: Any, held: Any,
) -> tuple[int, int, float]:  # fmt: skip
    """Fit one; x holds the start and the end, ``kept`` the packed matrix at the end."""
    p = x.size
    trial, slope, new_slope, size, largest, soft, free = (
        work[0], work[1], work[2], work[3], work[4], work[5], work[6],
    )  # fmt: skip
    down, z, step, near, moved, rest, right = (
        work[7], work[8], work[9], work[10], work[11], work[12], work[13],
    )  # fmt: skip
    lower, new_matrix = work[14 : 14 + p], np.empty(kept.size)
    for j in range(p):
        x[j] = min(max(x[j], low[j]), high[j])
        trial[j], largest[j] = x[j], 0.0
    chi2, damping, factor, promise, evaluations = math.inf, first_damping, 2.0, 1.0, 0
    while True:
        if even:
            found = evaluate_even(trial, number, shared, own, data, scale, new_matrix, new_slope)
        else:
            found = evaluate(trial, number, shared, own, data, weight, new_matrix, new_slope)
        finite = math.isfinite(found) and math.isfinite(new_matrix.sum())
        first = chi2 == math.inf
        gain = 1.0 if first else (chi2 - found) / promise
        accepted = finite and (first or gain > 1e-4)
        evaluations += 1
        if first and not finite:
            return NOT_FINITE, evaluations, math.nan
        if accepted:
            for j in range(p):
                x[j], slope[j] = trial[j], new_slope[j]
            kept[:] = new_matrix
            chi2 = found
            if not first:
                cube = 2 * gain - 1
                damping *= max(0.1, 1 - cube * cube * cube)
            factor = 2.0
        else:
            damping = max(damping * factor, 1e-3)
            factor *= 2
        if damping < 1e-12:
            damping = 0.0
        for j in range(p):
            size[j] = math.sqrt(kept[j * (j + 1) // 2 + j])
            if not size[j] > 0:
                size[j] = 1.0
            largest[j] = max(largest[j], size[j])
            soft[j] = (largest[j] / size[j]) ** 2 * damping
            out = (x[j] <= low[j] and slope[j] > 0) or (x[j] >= high[j] and slope[j] < 0)
            free[j] = 0.0 if out else 1.0
            held[j] = out
            down[j] = slope[j] / size[j] * free[j]
        solve(kept, size, soft, free, down, z, lower)
        promised = promise
        worth, promise, cut = 0.0, 0.0, False
        for j in range(p):
            worth += z[j] * down[j]
            promise += soft[j] * z[j] * z[j]
            step[j] = z[j] / size[j]
            target = x[j] - step[j]
            cut = cut or target < low[j] or target > high[j]
        promise += worth
        freedom = max(count - p, 1.0)
        if cut:
            error = math.sqrt(chi2 / freedom)
            promise = stay_inside(
                x, step, low, high, kept, size, soft, free, down, error, near, moved, rest,
                right, z, lower,
            )  # fmt: skip
        relative = 0.0
        for j in range(p):
            trial[j] = x[j] - step[j]
            typical = 1.0 if log[j] else abs(x[j]) + 1e-300
            relative = max(relative, abs(step[j]) / typical)
        unit = chi2 / freedom
        if absolute:
            unit = min(unit, 1.0)
        exact = chi2 <= 1e-20 * square
        small = relative < 1e-13 if exact else worth <= tolerance * tolerance * unit
        if finite and not cut and damping <= 1e-2 and small:
            for j in range(p):
                x[j] = trial[j]
            return CONVERGED, evaluations, chi2 - promise
        if not accepted and finite and promised <= 1e-12 * chi2:
            return CONVERGED, evaluations, chi2
        if damping > 1e12:
            return CONVERGED if exact else STUCK, evaluations, chi2
        if evaluations >= most:
            return TOO_LONG, evaluations, chi2


def total(values: Any) -> float:
    """Return the sum: not finite where any value is not."""
    found = 0.0
    for m in range(values.size):
        found += values[m]
    return found


def squares(values: Any) -> float:
    """Return the sum of squares: not finite where any value is not."""
    found = 0.0
    for m in range(values.size):
        found += values[m] * values[m]
    return found


def power(values: Any, weight: Any) -> float:
    """Return the weighted sum of squares."""
    found = 0.0
    for m in range(values.size):
        found += (values[m] * weight[m]) * (values[m] * weight[m])
    return found


def blank(values: Any, usable: Any) -> None:
    """Put a finite value where an input has none, and mark that nothing counts there."""
    typical = 1.0
    for m in range(values.size):
        if math.isfinite(values[m]):
            typical = values[m]
            break
    for m in range(values.size):
        if not math.isfinite(values[m]):
            values[m], usable[m] = typical, 0.0


def gap(values: Any, weight: Any, usable: Any, gaps: bool) -> float:
    """Blank data where nothing was measured, and return how many there were."""
    lost = 0.0
    for m in range(values.size):
        if not math.isfinite(values[m]) or (gaps and usable[m] == 0.0):
            values[m], weight[m] = 0.0, 0.0
            lost += 1.0
    return lost


def fit_all(
    x: Any, numbers: Any, shared: Any, own: Any, data: Any, sigma: Any, low: Any, high: Any,
    log: Any, priors: int, tolerance: float, most: int, first_damping: float, absolute: bool,
    signals: Any, matrix: Any, chi2: Any, counts: Any, outcome: Any, evaluations: Any,
    on_bound: Any,
) -> None:  # fmt: skip
    """Fit all rows of x, (fits, p), in place.

    ``data`` and ``sigma`` are tuples of arrays (sigma: one or all fits, one or all points),
    ``own`` a tuple of inputs per fit, ``signals`` the place of every signal's σ in ``sigma``.
    """
    fits, p = x.shape
    points = data[0].shape[1]
    axes = own[0].shape[0] == fits
    inputs = np.empty((len(own) if axes else 0, points))
    rows, weights = np.empty((len(data), points)), np.empty((len(data), points))
    work = np.empty((14 + p, p))
    kept, held = np.empty(matrix.shape[0]), np.zeros(p, dtype=np.bool_)
    usable, scale = np.ones(points), np.ones(len(data))
    for t in range(fits):
        gaps = False
        if axes:
            for k in range(len(own)):
                inputs[k] = own[k][t]
                if not math.isfinite(total(inputs[k])):
                    if not gaps:
                        usable[:] = 1.0
                    gaps = True
                    blank(inputs[k], usable)
        count, square, even = float(priors), 0.0, not gaps
        for k in range(len(data)):
            own_sigma = sigma[signals[k]]
            rows[k] = data[k][t]
            scale[k] = 1.0 / own_sigma[t if own_sigma.shape[0] > 1 else 0, 0]
            size = squares(rows[k]) * scale[k] * scale[k]
            even = even and own_sigma.shape[1] == 1 and math.isfinite(size)
            square += size
            count += points
        if not even:
            square = 0.0
            for k in range(len(data)):
                own_sigma = sigma[signals[k]]
                at = t if own_sigma.shape[0] > 1 else 0
                if own_sigma.shape[1] > 1:
                    weights[k] = 1.0 / own_sigma[at]
                else:
                    weights[k] = scale[k]
                if gaps or not math.isfinite(total(rows[k])):
                    count -= gap(rows[k], weights[k], usable, gaps)
                square += power(rows[k], weights[k])
        outcome[t], evaluations[t], chi2[t] = fit_one(
            x[t], numbers[t], shared, inputs, rows, weights, low, high, log, count, square,
            tolerance, most, first_damping, absolute, even, scale, work, kept, held,
        )  # fmt: skip
        counts[t] = count
        matrix[:, t] = kept
        on_bound[t] = held
