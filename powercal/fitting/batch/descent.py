"""Levenberg–Marquardt for many small fits at once, vectorised over fits.

Fits live in slots: one that is done is replaced by the next in the queue, so that arrays stay full;
when the queue is empty the live ones are moved together. Damping is per fit (Nielsen's update)
with Moré's running maximum of the diagonal as its scale: with the present diagonal alone poor
starts stick. A fit has converged when a nearly undamped step is worth less than ``tolerance``
standard errors; that step is taken without another evaluation. Steps across a bound are shortened
along their ray, and a coordinate within a standard error of a bound is put on it while the others
are solved again: clipping each coordinate by itself makes false minima.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from powercal.fitting.batch.evaluate import Evaluator, place, tile_rows
from powercal.fitting.batch.steps import bounded_steps, solve_scaled

FloatArray = NDArray[np.float64]
Index = NDArray[np.intp]

NOT_TRIED, CONVERGED, STUCK, TOO_LONG, NOT_FINITE = range(5)
OUTCOMES = {
    NOT_TRIED: "not tried",
    CONVERGED: "converged",
    STUCK: "no step lowers χ² any more",
    TOO_LONG: "too many evaluations",
    NOT_FINITE: "the curve is not finite at the start",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """When a fit is done, in units of standard errors, and after how many evaluations at most.

    ``absolute``: σ is given, so that a standard error is one of given σ even where χ² is large.
    """

    tolerance: float = 1e-6
    evaluations: int = 200
    damping: float = 1e-4
    absolute: bool = False


@dataclass(frozen=True)
class Found:
    """Where the fits ended, in solver coordinates.

    Attributes
    ----------
    x : ndarray
        (fits, parameters).
    chi2, count : ndarray
        χ² and number of data (priors included), (fits,).
    matrix : ndarray
        Packed JᵀJ, (p(p+1)/2, fits).
    outcome : ndarray of int
        CONVERGED, STUCK, TOO_LONG or NOT_FINITE.
    evaluations : ndarray of int
        Of the curve with its derivatives.
    on_bound : ndarray of bool
        (fits, parameters): held by a bound.
    """

    x: FloatArray
    chi2: FloatArray
    count: FloatArray
    matrix: FloatArray
    outcome: NDArray[np.int8]
    evaluations: NDArray[np.int32]
    on_bound: NDArray[np.bool_]

    def put(self, which: NDArray[np.intp], part: Found) -> None:
        """Put some fits that were made again in place."""
        for name in ("x", "chi2", "count", "outcome", "on_bound"):
            getattr(self, name)[which] = getattr(part, name)
        self.matrix[:, which] = part.matrix
        self.evaluations[which] += part.evaluations


def empty_result(fits: int, p: int) -> Found:
    """Return room for the results of so many fits."""
    return Found(
        x=np.full((fits, p), np.nan),
        chi2=np.full(fits, np.nan),
        count=np.zeros(fits),
        matrix=np.full((p * (p + 1) // 2, fits), np.nan),
        outcome=np.zeros(fits, dtype=np.int8),
        evaluations=np.zeros(fits, dtype=np.int32),
        on_bound=np.zeros((fits, p), dtype=bool),
    )


def descend(
    make: Callable[[int], Evaluator],
    start: FloatArray,
    bounds: tuple[FloatArray, FloatArray],
    log: NDArray[np.bool_],
    points: int,
    priors: int,
    settings: Settings,
) -> Found:
    """Fit all.

    Parameters
    ----------
    make : callable
        ``make(slots)`` returns the evaluator.
    start : ndarray
        (fits, p), solver coordinates.
    bounds : pair of ndarray
        Lower and upper, (p,).
    log : ndarray of bool
        Coordinates that are logarithms: their steps are relative already.
    points, priors : int
        Points of one fit, and priors, which count as data.
    settings : Settings
        When to stop.

    Returns
    -------
    Found
        One row per fit.
    """
    fits, p = start.shape
    found = empty_result(fits, p)
    slots = min(max(1024, 4 * tile_rows(points)), fits)
    if fits:
        _Descent(make(slots), start, bounds, log, slots, priors, settings, found).all()
    return found


class _Descent:
    """The state of all slots; rows of ``state`` are the fields, so that slots move at once."""

    def __init__(
        self,
        evaluator: Evaluator,
        start: FloatArray,
        bounds: tuple[FloatArray, FloatArray],
        log: NDArray[np.bool_],
        slots: int,
        priors: int,
        settings: Settings,
        found: Found,
    ) -> None:
        p = evaluator.parameters
        self.evaluator, self.start, self.p = evaluator, start, p
        self.low, self.high = (b[:, None] for b in bounds)
        self.bounded = bool(np.isfinite(self.low).any() or np.isfinite(self.high).any())
        self.log, self.settings, self.found, self.priors = log[:, None], settings, found, priors
        self.slots, self.next, self.live = slots, 0, 0
        triangle = p * (p + 1) // 2
        sizes = {"x": p, "trial": p, "matrix": triangle, "slope": p, "largest": p}
        sizes |= {"chi2": 1, "damping": 1, "factor": 1, "promise": 1, "evaluations": 1}
        total = sum(sizes.values())
        self.state = np.zeros((total, slots))
        at = 0
        for name, size in sizes.items():
            rows = self.state[at : at + size] if size > 1 or name not in _SINGLE else self.state[at]
            setattr(self, name, rows)
            at += size
        self.row = np.full(slots, -1)
        self.new_matrix, self.new_slope = np.empty((triangle, slots)), np.empty((p, slots))
        self.diagonal = [place(i, i) for i in range(p)]

    # The fields of ``state``; set by name above.
    x: FloatArray
    trial: FloatArray
    matrix: FloatArray
    slope: FloatArray
    largest: FloatArray
    chi2: FloatArray
    damping: FloatArray
    factor: FloatArray
    promise: FloatArray
    evaluations: FloatArray

    def all(self) -> None:
        """Work until the queue and the slots are empty."""
        self._load(np.arange(self.slots))
        self.live = self.slots
        while self.live:
            n = self.live
            chi2 = self.evaluator.normal(
                self.trial[:, :n], self.new_matrix[:, :n], self.new_slope[:, :n]
            )
            with np.errstate(all="ignore"):
                outcome, step_on = self._judge(chi2, n)
            done = np.flatnonzero(outcome)
            if done.size:
                self._retire(done, outcome[done], step_on)

    def _load(self, slots: Index) -> None:
        first, last = self.next, self.next + slots.size
        self.evaluator.load(slots, slice(first, last))
        self.state[:, slots] = 0.0
        self.trial[:, slots] = self.x[:, slots] = np.clip(
            self.start[first:last].T, self.low, self.high
        )
        self.chi2[slots], self.factor[slots] = np.inf, 2.0
        self.damping[slots], self.promise[slots] = self.settings.damping, 1.0
        self.row[slots] = np.arange(first, last)
        self.next = last

    # ---- one round ----

    def _judge(self, chi2: FloatArray, n: int) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
        """Accept or reject the trials, take the next step, and say which fits are done."""
        a = slice(0, n)
        first = np.isinf(self.chi2[a])
        finite = np.isfinite(chi2) & np.isfinite(self.new_matrix[:, a].sum(axis=0))
        gain = np.where(first, 1.0, (self.chi2[a] - chi2) / self.promise[a])
        accepted = ((gain > 1e-4) | first) & finite
        promised = self.promise[a].copy()
        self._accept(accepted, chi2, n)
        self._damp(accepted, first, gain, n)
        self.evaluations[a] += 1
        worth, promise, step, free, cut = self._step(n)
        self.promise[a] = promise
        self.trial[:, a] = self.x[:, a] - step
        self._free = free
        data, size = (v[a] for v in self.evaluator.counts())
        scale = self.chi2[a] / np.maximum(data + self.priors - self.p, 1.0)
        if self.settings.absolute:
            scale = np.minimum(scale, 1.0)
        exact = self.chi2[a] <= 1e-20 * size  # no noise: only rounding ends the search
        enough = np.less_equal(worth, self.settings.tolerance**2 * scale)
        relative = np.abs(step) / np.where(self.log, 1.0, np.abs(self.x[:, a]) + 1e-300)
        small = np.where(exact, np.less(relative.max(axis=0), 1e-13), enough)
        rounding = ~accepted & finite & (promised <= 1e-12 * self.chi2[a])
        undamped = finite & ~cut & (self.damping[a] <= 1e-2)
        outcome = np.zeros(n, dtype=np.int8)
        hopeless = self.damping[a] > 1e12
        outcome[self.evaluations[a] >= self.settings.evaluations] = TOO_LONG
        outcome[hopeless] = STUCK
        step_on = undamped & small
        outcome[step_on | rounding | (hopeless & exact)] = CONVERGED
        outcome[first & ~finite] = NOT_FINITE
        return outcome, step_on

    def _accept(self, accepted: NDArray[np.bool_], chi2: FloatArray, n: int) -> None:
        pairs = (
            (self.x, self.trial),
            (self.matrix, self.new_matrix),
            (self.slope, self.new_slope),
        )
        if accepted.all():
            for kept, new in pairs:
                kept[:, :n] = new[:, :n]
            self.chi2[:n] = chi2
            return
        who = np.flatnonzero(accepted)
        for kept, new in pairs:
            kept[:, who] = new[:, who]
        self.chi2[who] = chi2[who]

    def _damp(
        self, accepted: NDArray[np.bool_], first: NDArray[np.bool_], gain: FloatArray, n: int
    ) -> None:
        """Nielsen's update: trust grows smoothly with the gain, and falls faster and faster."""
        cube = 2 * gain - 1
        down = np.maximum(0.1, 1 - cube * cube * cube)
        damping, factor = self.damping[:n], self.factor[:n]
        new = np.where(
            accepted,
            np.where(first, self.settings.damping, damping * down),
            np.maximum(damping * factor, 1e-3),
        )
        self.factor[:n] = np.where(accepted, 2.0, factor * 2)
        self.damping[:n] = np.where(new < 1e-12, 0.0, new)

    def _step(
        self, n: int
    ) -> tuple[FloatArray, FloatArray, FloatArray, NDArray[np.bool_] | None, NDArray[np.bool_]]:
        """Return the worth of the step, its promise, the step, who is free, and which were cut."""
        a = slice(0, n)
        size = np.sqrt(self.matrix[self.diagonal, a])
        size = np.where(size > 0, size, 1.0)
        self.largest[:, a] = np.maximum(self.largest[:, a], size)
        soft = (self.largest[:, a] / size) ** 2 * self.damping[a]
        slope = self.slope[:, a]
        free: NDArray[np.bool_] | None = None
        if self.bounded:
            x = self.x[:, a]
            held = ((x <= self.low) & (slope > 0)) | ((x >= self.high) & (slope < 0))
            free = ~held if held.any() else None
        normal = scaled_matrix(self.matrix[:, a], size, soft, free)
        down = slope / size
        if free is not None:
            down = np.where(free, down, 0.0)
        move = solve_scaled(normal, down)
        worth = (move * down).sum(axis=0)
        promise = worth + (soft * move * move).sum(axis=0)
        step = move / size
        cut = np.zeros(n, dtype=bool)
        if self.bounded:
            target = self.x[:, a] - step
            out = (target < self.low) | (target > self.high)
            cut = np.asarray(out.any(axis=0))
            who = np.flatnonzero(cut)
            if who.size:
                error = np.sqrt(
                    self.chi2[who]
                    / np.maximum(self.evaluator.counts()[0][who] + self.priors - self.p, 1.0)
                )
                step[:, who], promise[who] = bounded_steps(
                    [[v[who] if np.ndim(v) else v for v in row] for row in normal],
                    down[:, who],
                    step[:, who],
                    (self.x[:, who], self.low, self.high),
                    size[:, who],
                    error,
                )
        return worth, promise, step, free, cut

    # ---- out ----

    def _retire(self, done: Index, outcome: NDArray[np.int8], step_on: NDArray[np.bool_]) -> None:
        """Store what is done, and fill or close the holes."""
        row, found, more = self.row[done], self.found, step_on[done]
        found.x[row] = np.where(more, self.trial[:, done], self.x[:, done]).T
        # χ² at the end is that of the quadratic: the last step is far below a standard error.
        found.chi2[row] = self.chi2[done] - np.where(more, self.promise[done], 0.0)
        found.matrix[:, row] = self.matrix[:, done]
        found.count[row] = self.evaluator.counts()[0][done] + self.priors
        found.outcome[row] = outcome
        found.evaluations[row] = self.evaluations[done]
        if self._free is not None:
            found.on_bound[row] = ~self._free[:, done].T
        fresh = done[: min(done.size, self.start.shape[0] - self.next)]
        if fresh.size:
            self._load(fresh)
        holes = done[fresh.size :]
        if holes.size:
            self._close(holes)

    def _close(self, holes: Index) -> None:
        left = self.live - holes.size
        target = holes[holes < left]
        source = np.setdiff1d(np.arange(left, self.live), holes, assume_unique=True)
        if target.size:
            self.evaluator.move(target, source)
            self.state[:, target] = self.state[:, source]
            self.row[target] = self.row[source]
        self.live = left


_SINGLE = {"chi2", "damping", "factor", "promise", "evaluations"}


def scaled_matrix(
    packed: FloatArray, size: FloatArray, soft: FloatArray, free: NDArray[np.bool_] | None
) -> list[list[FloatArray]]:
    """Return the damped normal matrix with unit diagonal, lower triangle, without who is held."""
    p = size.shape[0]
    inverse = 1 / size
    rows: list[list[FloatArray]] = []
    for i in range(p):
        row = [packed[place(i, j)] * (inverse[i] * inverse[j]) for j in range(i)]
        if free is not None:
            row = [np.where(free[i] & free[j], v, 0.0) for j, v in enumerate(row)]
        rows.append([*row, 1.0 + soft[i]])
    return rows
