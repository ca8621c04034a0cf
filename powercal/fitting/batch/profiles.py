"""Profile intervals of many fits at once: a batch with one parameter held, again and again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from powercal.fitting.batch.descent import CONVERGED, Settings
from powercal.fitting.batch.solver import Plan, solve
from powercal.fitting.batch.verdicts import CODE, Fitted, Quantity, doubted
from powercal.fitting.estimates import FAR_FROM_PARABOLA
from powercal.fitting.intervals import FAR
from powercal.fitting.regions import LEVELS, NEAR, region

FloatArray = NDArray[np.float64]
Index = NDArray[np.intp]

_FAR_ERRORS = 1e4  # so many standard errors of a linear coordinate are called unbounded
_NEAR = 0.01  # an end is found when χ² there is right to a hundredth of the level
_PROBES = 24


@dataclass(frozen=True)
class _Side:
    """Ends of one side of one parameter: distances from the best value, and whether χ² closed."""

    distance: dict[int, FloatArray]
    closed: dict[int, NDArray[np.bool_]]


def profile_intervals(
    fitted: Fitted, plan: Plan, parameters: Sequence[Quantity]
) -> tuple[list[Quantity], dict[int, FloatArray]]:
    """Replace the intervals and statuses of free parameters by those of profiles.

    Parameters
    ----------
    fitted, plan : Fitted, Plan
        The fits, and how they were solved.
    parameters : sequence of Quantity
        The free ones as judged by the covariance, in the order of the problem's axes.

    Returns
    -------
    parameters, better : list of Quantity, dict
        ``better`` holds points with a lower χ² that profiles fell into, by fit: start there again.
    """
    better: dict[int, FloatArray] = {}
    profiled = [
        _Profile(fitted, plan, k, better).judged(parameter)
        for k, parameter in enumerate(parameters)
    ]
    return profiled, better


class _Profile:
    """The profiles of one parameter."""

    def __init__(self, fitted: Fitted, plan: Plan, k: int, better: dict[int, FloatArray]) -> None:
        self.problem, self.found = fitted.problem, fitted.solved.found
        self.fitted, self.k, self.better = fitted, k, better
        self.rooms = fitted.rooms(k)
        self.scale = fitted.scale * fitted.stretch(k)
        self.axis, covariance = self.problem.axes[k], fitted.covariance
        self.rest = [j for j in range(len(self.problem.axes)) if j != k]
        self.error = np.sqrt(np.maximum(covariance[:, k, k], 0.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            self.along = covariance[:, :, k] / covariance[:, k, k][:, None]
        self.solver = plan.solver
        self.plan: Plan | None = None

    def judged(self, quantity: Quantity) -> Quantity:
        """Return the quantity with intervals and status of its profile."""
        codes = [CODE[n] for n in ("ok", "upper_limit", "at_bound")]
        who = np.flatnonzero(np.isin(quantity.status, codes) & np.isfinite(self.error))
        if not who.size:
            return quantity
        levels = self._levels(who)
        low, high = (
            self._side(who, sign, own) for sign, own in zip((-1.0, 1.0), levels, strict=True)
        )
        x = self.found.x[who, self.k]
        ends = {
            level: np.stack(
                [self._value(x - low.distance[level]), self._value(x + high.distance[level])], 1
            )
            for level in LEVELS
        }
        status = self._status(who, low, high, ends[95])
        interval68, interval95 = quantity.interval68.copy(), quantity.interval95.copy()
        interval68[who], interval95[who] = ends[68], ends[95]
        everywhere = quantity.status.copy()
        everywhere[who] = status
        nothing = everywhere == CODE["undetermined"]
        interval68[nothing], interval95[nothing] = np.nan, np.nan
        value = np.where(nothing, np.nan, self._value(self.found.x[:, self.k]))
        value = np.where(everywhere == CODE["failed"], np.nan, value)
        stderr = self.error * (np.abs(value) if self.axis.log else 1.0)
        return replace(
            quantity,
            value=value,
            stderr=np.where(everywhere == CODE["ok"], stderr, np.nan),
            status=everywhere,
            interval68=interval68,
            interval95=interval95,
        )

    def _status(
        self, who: Index, low: _Side, high: _Side, interval95: FloatArray
    ) -> NDArray[np.int8]:
        """As a single fit: ok only if the 95 % profile closes inside the bounds."""
        bottom, top = self.axis.low, self.axis.high
        closed = low.closed[95], high.closed[95]
        status = np.full(who.size, CODE["undetermined"], dtype=np.int8)
        status[closed[0] & ~closed[1] & np.isfinite(top)] = CODE["at_bound"]
        at_bottom = np.isfinite(bottom) & np.isfinite(low.distance[95])
        status[closed[1] & ~closed[0] & at_bottom] = CODE["upper_limit"]
        status[closed[0] & closed[1]] = CODE["ok"]
        wide = (low.distance[68] + high.distance[68]) / (2 * self.error[who])
        status[(status == CODE["ok"]) & (wide > FAR_FROM_PARABOLA)] = CODE["no_error"]
        return doubted(self.fitted, self.k, status, interval95, who)

    def _value(self, x: FloatArray) -> FloatArray:
        with np.errstate(over="ignore"):
            return np.asarray(
                np.clip(np.exp(x) if self.axis.log else x, self.axis.low, self.axis.high)
            )

    # ---- beside a bound ----

    def _levels(self, who: Index) -> tuple[dict[int, FloatArray], dict[int, FloatArray]]:
        """Return Δχ² at the lower and the upper ends; NaN where the end is the bound itself."""
        x, bounds = self.found.x[who, self.k], self.problem.bounds()
        rooms = []
        for straight, bound in zip(self.rooms, bounds, strict=True):
            room = straight[who]
            near = np.flatnonzero((room > 0) & (room < 2 * NEAR))
            if near.size:
                move = bound[self.k] - x[near]
                points = self.found.x[who[near]]
                room[near] = np.sqrt(self._rise(who[near], move, points, np.zeros(near.size))[0])
            rooms.append(room)
        found = {level: region(rooms[0], rooms[1], level) for level in LEVELS}
        return (
            {level: ends.low for level, ends in found.items()},
            {level: ends.high for level, ends in found.items()},
        )

    # ---- one side ----

    def _side(self, who: Index, sign: float, levels: dict[int, FloatArray]) -> _Side:
        """Find both levels on one side of the best values."""
        x = self.found.x[who, self.k]
        bounds = self.problem.bounds()
        wall = sign * ((bounds[1] if sign > 0 else bounds[0])[self.k] - x)
        reach = np.full(who.size, FAR) if self.axis.log else _FAR_ERRORS * self.error[who]
        most = np.minimum(wall, reach)
        top = np.fmax(levels[68], levels[95])
        near, far, rise_near, rise_far, points = self._walk(who, sign, most, top)
        side = _Side({}, {})
        for level, target in levels.items():
            distance, closed = np.where(most < wall, np.inf, wall), rise_far > target
            inside = np.flatnonzero(closed)
            if inside.size:
                distance[inside] = self._crossing(
                    who[inside],
                    sign,
                    target[inside],
                    [a[inside] for a in (near, far, rise_near, rise_far)],
                    points[inside],
                )
            side.distance[level], side.closed[level] = distance, closed
        return side

    def _walk(
        self, who: Index, sign: float, most: FloatArray, top: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
        """Step outward until χ² has risen by the larger level, or a bound (or nothing) is near."""
        near, far = np.zeros(who.size), np.minimum(2.0 * self.error[who], most)
        rise_near, rise_far = np.zeros(who.size), np.zeros(who.size)
        points = self.found.x[who].copy()
        left = np.flatnonzero((far > 0) & (top > 0))
        for _ in range(40):
            if not left.size:
                break
            rise, ends = self._rise(who[left], sign * far[left], points[left], near[left] * sign)
            rise_far[left], points[left] = rise, ends
            go_on = left[(rise <= top[left]) & (far[left] < most[left])]
            near[go_on], rise_near[go_on] = far[go_on], rise_far[go_on]
            growth = 1.1 * np.sqrt(top[go_on] / np.maximum(rise_far[go_on], 0.08 * top[go_on]))
            far[go_on] = np.minimum(far[go_on] * np.clip(growth, 1.2, 4.0), most[go_on])
            left = go_on
        return near, far, rise_near, rise_far, points

    def _crossing(
        self,
        who: Index,
        sign: float,
        target: FloatArray,
        bracket: list[FloatArray],
        points: FloatArray,
    ) -> FloatArray:
        """Find where the rise passes a level: √Δχ² is nearly a straight line."""
        near, far, rise_near, rise_far = (b.copy() for b in bracket)
        # The bracket was made for the larger level: the smaller may lie before it.
        early = rise_near > target
        near[early], rise_near[early], far[early], rise_far[early] = (
            0.0,
            0.0,
            near[early],
            rise_near[early],
        )
        found, at = np.where(rise_far > target, far, np.nan), far.copy()
        left = np.arange(who.size)
        for count in range(_PROBES):
            a, b = np.sqrt(np.maximum(rise_near[left], 0.0)), np.sqrt(rise_far[left])
            share = (np.sqrt(target[left]) - a) / (b - a)
            share = np.full_like(share, 0.5) if count > 2 and count % 2 else share
            at[left] = near[left] + np.clip(share, 0.02, 0.98) * (far[left] - near[left])
            rise, _ = self._rise(who[left], sign * at[left], points[left], sign * far[left])
            found[left] = at[left]
            above = rise > target[left]
            up, down = left[above], left[~above]
            far[up], rise_far[up] = at[up], rise[above]
            near[down], rise_near[down] = at[down], rise[~above]
            small = far[left] - near[left] < 1e-7 * np.maximum(at[left], 1e-300)
            left = left[(np.abs(rise - target[left]) >= _NEAR * target[left]) & ~small]
            if not left.size:
                break
        return found

    def _rise(
        self, who: Index, move: FloatArray, points: FloatArray, known: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return Δχ² and the points where the parameter is held so far from its best value."""
        best = self.found.x[who]
        # Straight on from the last point of the valley, or along the covariance at the start.
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(known != 0, move / known, 0.0)[:, None]
        ahead = np.where(
            (known != 0)[:, None],
            best + share * (points - best),
            best + self.along[who] * move[:, None],
        )
        ahead = np.where(np.isfinite(ahead), ahead, best)
        low, high = self.problem.bounds()
        ahead = np.clip(ahead, low, high)
        ahead[:, self.k] = np.clip(best[:, self.k] + move, low[self.k], high[self.k])
        held = self._value(ahead[:, self.k])
        if not self.rest:
            return self._rise_alone(who, held), ahead
        part = replace(self.problem.take(who), start=self.problem.to_values(ahead))
        part = part.holding(self.axis.name, held)
        # Some ten refits of every fit: whether compiling is worth it is decided for all of them.
        refits = 10 * self.problem.size
        solver = "auto" if self.solver == "numba" else "numpy"
        self.plan = self.plan or Plan(part, solver, refits)
        given = all(o.given for o in part.observed)
        solved = solve(part, self.plan, Settings(tolerance=1e-4, absolute=given), rescue=False)
        ends = ahead.copy()
        ends[:, self.rest] = solved.found.x
        rise = (solved.found.chi2 - self.found.chi2[who]) / self.scale[who]
        lower = np.flatnonzero((rise < -1e-3) & (solved.found.outcome == CONVERGED))
        for i in lower:
            self.better.setdefault(int(who[i]), ends[i])
        lost = ~np.isfinite(rise)
        return np.where(lost, np.inf, np.maximum(rise, 0.0)), np.where(lost[:, None], ahead, ends)

    def _rise_alone(self, who: Index, held: FloatArray) -> FloatArray:
        """With no other parameter free there is nothing to refit."""
        part = replace(self.problem.take(who), start=held[:, None])
        plan = self.plan = self.plan or Plan(part, "numpy")
        evaluator = plan.evaluator(part)(who.size)
        evaluator.load(np.arange(who.size), slice(0, who.size))
        x = self.problem.to_coordinates(held[:, None]).T
        chi2 = evaluator.normal(x, np.empty((1, who.size)), np.empty((1, who.size)))
        return np.asarray(np.maximum((chi2 - self.found.chi2[who]) / self.scale[who], 0.0))
