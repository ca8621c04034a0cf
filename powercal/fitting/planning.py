"""The verb plan: what a measurement will tell before it is made, and where it pays to measure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from powercal.contracts import Model
from powercal.errors import FitError, UnitError, unknown_name
from powercal.fitting.allocation import allocate
from powercal.fitting.conclude import remedies_for
from powercal.fitting.identifiability import analyse, determined_products, flat_names
from powercal.fitting.information import (
    Information,
    Readings,
    largest_but_noise,
    readings_of,
    whole,
)
from powercal.fitting.planned import Plan, Planned, Reading
from powercal.fitting.planned_problem import Supposed, suppose
from powercal.line import LineCalibration
from powercal.sources import ErrorSource
from powercal.spelling import quantity
from powercal.text.plan import target_sentence

if TYPE_CHECKING:
    from powercal.fitting.problem import Problem

FloatArray = NDArray[np.float64]


def plan(
    model: str | Model,
    values: Mapping[str, float],
    *,
    inputs: Mapping[str, ArrayLike],
    noise: Mapping[str, float | ArrayLike],
    target: Mapping[str, float | str] | None = None,
    averages: int = 1,
    line: LineCalibration | None = None,
    input_noise: Mapping[str, float] | None = None,
    errors: Iterable[ErrorSource] = (),
    free: Iterable[str] = (),
    fixed: Mapping[str, float] | None = None,
    priors: Mapping[str, tuple[float, float]] | None = None,
    observables: Iterable[str] = (),
    candidates: Mapping[str, ArrayLike] | None = None,
    attributes: Mapping[str, Any] | None = None,
    **options: str,
) -> Plan:
    """Say what a measurement would tell, from the Fisher information at supposed values.

    Parameters
    ----------
    model : str or Model
        A name that some plugin offers, or a model.
    values : mapping
        The supposed truth in SI, as for :func:`powercal.simulate`.
    inputs : mapping of array_like
        The grid to be measured, as for :func:`powercal.simulate`; at the device.
    noise : mapping
        Standard deviation of one reading, per observable; at the plane of the data, behind the
        gain where there is a line.
    target : mapping, optional
        Wanted standard uncertainties. A number is a share of the value where the quantity is on
        a logarithmic scale (rates, times), else a number in SI; as text ``"2%"`` is a share and
        ``"0.2us"`` or ``"2e4"`` a value with or without its unit.
    averages : int
        Readings of every point.
    line : LineCalibration, optional
        What will be known of the line; an unknown level counts as unknown.
    input_noise : mapping, optional
        Relative standard deviation of every value of an input.
    errors : iterable of ErrorSource
        Named errors, as for :func:`powercal.with_errors`. Neither these nor those of inputs are
        made smaller by averages.
    free, fixed, priors, observables
        As for :func:`powercal.fit`.
    candidates : mapping of array_like, optional
        More values of inputs that a better grid may use.
    attributes : mapping, optional
        As for :func:`powercal.simulate`.
    **options : str
        Options of the model.

    Returns
    -------
    Plan
        ``print`` it.

    Raises
    ------
    FitError
        Values outside their bounds, an observable without noise, a target that makes no sense.
    UnknownNameError
        A model, parameter, observable, option or target that does not exist.
    """
    if averages < 1:
        raise FitError(f"averages is {averages}; it must be 1 or more")
    supposed = suppose(
        model,
        values,
        inputs=inputs,
        noise=noise,
        line=line,
        input_noise=input_noise or {},
        errors=tuple(errors),
        wishes={"free": free, "fixed": fixed, "priors": priors, "observables": observables},
        candidates=candidates or {},
        attributes=attributes or {},
        options=options,
    )
    return _Planner(supposed, averages).plan(target or {})


class _Planner:
    """One supposed measurement and what is asked of it."""

    def __init__(self, supposed: Supposed, averages: int) -> None:
        self.supposed, self.averages = supposed, averages
        self.problem, self.x = supposed.problem, supposed.x
        self.readings: Readings = readings_of(self.problem, self.x, supposed.common)
        self.given = self.readings.informed(averages * supposed.measured)
        self.points = int(supposed.measured.sum())

    def plan(self, wanted: Mapping[str, float | str]) -> Plan:
        rows = [*map(self._parameter, self.problem.coordinates), *self._held(), *self._derived()]
        names = [r.name for r in rows]
        for name in wanted:
            if name not in names:
                raise unknown_name(
                    f"quantity of model {self.problem.model.name!r} (target)", name, names
                )
        targets = {
            n: self._target(next(r for r in rows if r.name == n), t) for n, t in wanted.items()
        }
        better = self._better(rows, targets)
        informed = None if better is None else self.readings.informed(self._effort(better))
        done = tuple(self._finished(r, targets.get(r.name), informed) for r in rows)
        return self._assembled(done, better)

    # ---- rows ----

    def _parameter(self, c: Any) -> Planned:
        table = {r.name: r for r in self.supposed.rows}
        row = table[c.parameter]
        return self._row(c.name, row.unit, row.meaning)

    def _held(self) -> list[Planned]:
        return [
            Planned(
                name=r.name,
                unit=r.unit,
                meaning=r.meaning,
                value=float(self.problem.fixed[r.name]),
                status="fixed",
            )
            for r in self.supposed.rows
            if r.name in self.problem.fixed
        ]

    def _derived(self) -> list[Planned]:
        members = self.problem.members
        return [
            self._row(d.name, d.unit, d.meaning)
            for d in self.problem.model.derived
            if not any(a in members for a in d.arguments)
        ]

    def _gradient(self, name: str) -> FloatArray:
        return self.readings.extended(self.problem.gradient(name, self.x))

    def _row(self, name: str, unit: str, meaning: str) -> Planned:
        value, gradient = self.problem.quantity(name, self.x), self._gradient(name)
        blank = Planned(name=name, unit=unit, meaning=meaning, value=value, status="determined")
        if not gradient.any():
            return dataclasses.replace(blank, status="fixed")
        if not np.isfinite(gradient).all() or not isfinite(value):
            return dataclasses.replace(blank, status="no_error")
        if not self.given.determines(gradient):
            return dataclasses.replace(blank, status="undetermined")
        # From one reading on, the given averages included: floor and sources are of the same grid.
        return dataclasses.replace(
            blank,
            sigma=self.given.sigma(gradient),
            floor=self.given.sigma(gradient, inf),
            sources=self.given.by_source(gradient),
        )

    # ---- targets ----

    def _target(self, row: Planned, wanted: float | str) -> float:
        """Return the wanted standard uncertainty in SI."""
        if row.status in ("fixed", "no_error"):
            reason = "is held" if row.status == "fixed" else "has no error at these values"
            raise FitError(f"the target {row.name} {reason}; drop the target or free it")
        found = self._read(row, wanted)
        if not (isfinite(found) and found > 0):
            raise FitError(f"the target of {row.name} is {wanted!r}; it must be positive")
        return found

    def _read(self, row: Planned, wanted: float | str) -> float:
        if isinstance(wanted, str):
            try:
                if wanted.strip().endswith("%"):
                    return quantity(wanted.strip()[:-1], "1") / 100 * abs(row.value)
                return quantity(wanted, row.unit)
            except UnitError as reason:
                raise FitError(f"the target of {row.name}: {reason}") from reason
        if not self._logarithmic(row.name):
            return float(wanted)
        if wanted >= 1:
            raise FitError(
                f"the target of {row.name} is {wanted:g}, but of rates and times a number is a "
                f"share of the value; write '2%', or '{wanted:g}' as text for {row.unit}"
            )
        return float(wanted) * abs(row.value)

    def _logarithmic(self, name: str) -> bool:
        derived = self.problem.derived(name)
        if derived is not None:
            return derived.scale == "log" or derived.unit in ("s", "s-1")
        return next(
            (
                c.log or c.parameter.startswith("gamma")
                for c in self.problem.coordinates
                if c.name == name
            ),
            False,
        )

    # ---- a better grid ----

    def _better(self, rows: list[Planned], targets: Mapping[str, float]) -> FloatArray | None:
        """Return shares over all candidate points; None where there is nothing to aim at."""
        everywhere = np.ones(self.supposed.measured.size)
        possible = self.readings.informed(self.averages * everywhere)
        aims = {n: t for n, t in targets.items() if possible.sigma(self._gradient(n), inf) < t}
        known = {c.name: self._gradient(c.name) for c in self.problem.coordinates}
        rest = [g / possible.sigma(g) for g in known.values() if possible.determines(g)]
        wanted = [self._gradient(n) / t for n, t in aims.items()]
        if not wanted and (targets or not rest):
            return None
        start = self.supposed.measured / self.points
        return allocate(
            self.readings,
            np.array(wanted or rest),
            np.array(rest).reshape(-1, self.readings.rows.shape[1]),
            start,
            float(self.averages * self.points),
        )

    def _effort(self, shares: FloatArray) -> FloatArray:
        return shares * self.averages * self.points

    def _finished(self, row: Planned, target: float | None, better: Information | None) -> Planned:
        """Add what a better grid gives, the averages that are needed, and the sentence."""
        if row.status not in ("determined", "undetermined"):
            return row
        gradient = self._gradient(row.name)
        best = inf if better is None else better.sigma(gradient)
        row = dataclasses.replace(row, best_sigma=best if isfinite(best) else None, target=target)
        if target is None:
            return row
        needed = whole(self.averages * self.given.averages_for(gradient, target))
        fewer = inf if better is None else better.averages_for(gradient, target)
        wanted = (needed, whole(self.averages * fewer))
        alone = largest_but_noise(self.given.by_source(gradient, inf))
        return dataclasses.replace(
            row,
            averages=wanted[0],
            best_averages=wanted[1],
            sentence=target_sentence(row, target, wanted, self.points, alone),
        )

    # ---- the whole ----

    def _assembled(self, rows: tuple[Planned, ...], better: FloatArray | None) -> Plan:
        base = self.supposed.base
        found = analyse(base.jacobian(self.x))
        flat = flat_names(base, found)
        combinations: tuple[str, ...] = ()
        remedies: tuple[str, ...] = ()
        if flat and any(r.status == "undetermined" for r in rows):
            combinations = (*_named(base, rows, flat), *determined_products(base, self.x))
            remedies = remedies_for(base, self.x, found, self.supposed.traces)
        return Plan(
            model=self.problem.model.name,
            options=dict(self.problem.model.chosen),
            observables=tuple(b.name for b in self.problem.blocks),
            quantities=rows,
            points=self.points,
            averages=self.averages,
            signal={b.name: float(np.max(np.abs(b.data) / b.sigma)) for b in base.blocks},
            readings=() if better is None else self._readings(better),
            combinations=tuple(dict.fromkeys(combinations)),
            remedies=remedies,
        )

    def _readings(self, shares: FloatArray) -> tuple[Reading, ...]:
        if np.allclose(shares, self.supposed.measured / self.points, atol=1e-9):
            return ()
        order = np.argsort(-shares, kind="stable")
        inputs = self.problem.inputs
        return tuple(
            Reading(inputs={n: float(v[i]) for n, v in inputs.items()}, share=float(shares[i]))
            for i in order
            if shares[i] > 0
        )


def _named(base: Problem, rows: tuple[Planned, ...], flat: tuple[str, ...]) -> tuple[str, ...]:
    """Name derived quantities that are determined though their parameters are not."""
    known = {r.name for r in rows if r.status == "determined"}
    return tuple(
        d.name for d in base.model.derived if d.name in known and set(d.arguments) & set(flat)
    )
