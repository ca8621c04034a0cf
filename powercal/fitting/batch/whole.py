"""One batch from its data to its results, block by block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from powercal import __version__
from powercal.contracts import Model
from powercal.errors import FitError, UnknownNameError
from powercal.fitting.batch.descent import Found, Settings
from powercal.fitting.batch.layout import Layout, batch_problem, flat, lay_out
from powercal.fitting.batch.noise import enlarged, needs_rounds, solve_with_noise
from powercal.fitting.batch.problem import BatchProblem
from powercal.fitting.batch.profiles import profile_intervals
from powercal.fitting.batch.solver import Plan, Solved, solve
from powercal.fitting.batch.table import OUTCOME_ATTRS, as_json, results
from powercal.fitting.batch.verdicts import (
    Covariances,
    Quantity,
    covariances,
    judge_derived,
    judge_parameters,
)
from powercal.fitting.build import Request, Table, make_table, options_from
from powercal.fitting.grid import choose_observables
from powercal.fitting.starting_many import guess_many
from powercal.line import nominal
from powercal.registry import origin
from powercal.schema import DeviceTraces

if TYPE_CHECKING:
    import xarray as xr

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Wishes:
    """What was asked, and per fit values of it."""

    request: Request
    per_fit: Mapping[str, Mapping[str, xr.DataArray]]
    derived: bool
    solver: str


class Batch:
    """Everything that is the same for all blocks."""

    def __init__(
        self,
        traces: DeviceTraces,
        model: Model,
        over: tuple[str, ...],
        wishes: Wishes,
        options: Mapping[str, str],
    ) -> None:
        self.traces, self.wishes = traces, wishes
        names = _observables(traces, model, wishes.request)
        settings = options_from(traces, model, options, names)
        if settings.get("convention") == "find":
            raise FitError(
                "convention='find' compares two fits of one trace; find it with fit on one of "
                "them, then say convention='+i' or '-i'"
            )
        self.model, self.names = model.configure(**settings), names
        present = _with_names(traces, names)
        self.layout = lay_out(present, self.model, names, over)
        self.table: Table | None = None
        self.plan: Plan | None = None
        _refuse_common_errors(traces, self.model, names, wishes.request)

    # ---- one block ----

    def block(self, first: int, last: int) -> xr.Dataset:
        """Read, fit and judge the fits of one block."""
        layout = self.layout.part(first, last)
        data = self.read(first, last)
        table = self._table(data)
        problem = self.problem(data, layout)
        if self.plan is None:
            self.plan = self._make_plan(problem)
        fitted = fit_block(problem, self.plan)
        quantities = self._judge(fitted, table)
        if self.wishes.request.intervals == "profile":
            fitted, quantities = self._profiled(fitted, quantities, table)
        return self._results(data, layout, fitted, quantities)

    def problem(self, data: DeviceTraces, layout: Layout) -> BatchProblem:
        """Build the problem of one block that is in memory."""
        table = self._table(data)
        held = self._held(table, data, layout)
        start = self._start(data, table, held, layout)
        return batch_problem(
            data, self.model, self.names, table, layout, held, start, self.wishes.request.sigma
        )

    def _profiled(
        self, fitted: Fitted, quantities: list[Quantity], table: Table
    ) -> tuple[Fitted, list[Quantity]]:
        """Profile; where a profile fell into a deeper minimum, all starts again from there."""
        assert self.plan is not None
        better: dict[int, FloatArray] = {}
        for _ in range(3):
            found, better = profile_intervals(
                fitted.problem,
                self.plan,
                fitted.solved.found,
                fitted.covariance,
                fitted.scale,
                quantities,
            )
            if not better:
                return fitted, found
            start = fitted.problem.to_values(fitted.solved.found.x)
            for i, x in better.items():
                start[i] = fitted.problem.to_values(x)
            fitted = fit_block(replace(fitted.problem, start=start), self.plan)
            quantities = self._judge(fitted, table)
        return fitted, found

    def read(self, first: int, last: int) -> DeviceTraces:
        """Return the data of one block, in memory."""
        from powercal.loading import read_block

        data = read_block(self.traces, self.layout.over[0], first, last)
        return choose_observables(data, self.model, self.wishes.request.observables)[0]

    def _table(self, data: DeviceTraces) -> Table:
        if self.table is None:
            table = make_table(data, self.model, self.names, self.wishes.request)
            if not table.free:
                raise FitError("every parameter is fixed; free at least one")
            rows = {r.name: r for r in table.rows}
            several = [n for n in table.free if rows[n].scope == "per_trace"]
            if several and len(self.layout.inner_shape) > 1:
                raise FitError(
                    f"{several[0]} differs between the traces of one fit, which a batch does not "
                    f"do; use fit_each, or hold it"
                )
            self.table = table
        return self.table

    def _held(self, table: Table, data: DeviceTraces, layout: Layout) -> dict[str, Any]:
        held: dict[str, Any] = dict(table.fixed)
        for name, values in self.wishes.per_fit["fixed"].items():
            held[name] = self._per_fit(name, values, data, layout)
        return held

    def _per_fit(
        self, name: str, values: xr.DataArray, data: DeviceTraces, layout: Layout
    ) -> FloatArray:
        """Return one number per fit of this block."""
        strange = [d for d in values.dims if d not in layout.over]
        if strange:
            raise FitError(
                f"{name} is given over the dimension {strange[0]!r}; values per fit run over "
                f"{', '.join(layout.over)}"
            )
        first = layout.over[0]
        if first in values.dims and values.sizes[first] != layout.over_shape[0]:
            values = values.isel({first: slice(*self._range(data, layout))})
        found = np.broadcast_to(flat(values, layout), (layout.fits, 1))[:, 0]
        return np.array(found, dtype=float)

    def _range(self, data: DeviceTraces, layout: Layout) -> tuple[int, int]:
        first = int(data.attrs["first_fit"])
        return first, first + layout.over_shape[0]

    def _start(
        self, data: DeviceTraces, table: Table, held: Mapping[str, Any], layout: Layout
    ) -> FloatArray:
        known: dict[str, Any] = {p.name: p.mean for p in table.priors} | dict(held)
        known |= self.wishes.request.start
        for name, values in self.wishes.per_fit["start"].items():
            known[name] = self._per_fit(name, values, data, layout)
        for name in ("attenuation_db", "gain_db"):
            if name in table.free and name not in known:
                raise FitError(
                    f"{name} is free and nothing is known of it; give the line a value, or a "
                    f"start={{{name!r}: …}}"
                )
        guessed: Mapping[str, Any] = {}
        if not set(table.free) <= set(known):
            seen = nominal(data, *(_middle(known.get(n)) for n in ("attenuation_db", "gain_db")))
            guessed = guess_many(self.model, DeviceTraces(seen), known, layout.over)
        rows = {r.name: r for r in table.rows}
        columns = []
        for name in table.free:
            value = known.get(name, guessed.get(name, rows[name].example))
            columns.append(np.broadcast_to(np.asarray(value, dtype=float), (layout.fits,)))
        low = np.array([rows[n].min for n in table.free])
        high = np.array([rows[n].max for n in table.free])
        return np.asarray(np.clip(np.stack(columns, axis=1), low, high))

    def _make_plan(self, problem: BatchProblem) -> Plan:
        """Decide once; the number of all fits tells whether compiling is worth it."""
        return Plan(problem, self.wishes.solver, fits=self.layout.fits)

    def _judge(self, fitted: Fitted, table: Table) -> list[Quantity]:
        words = {r.name: (r.unit, r.meaning) for r in table.rows}
        numbers = (
            fitted.problem, fitted.solved.found, fitted.spread, fitted.covariance, fitted.freedom,
        )  # fmt: skip
        found = judge_parameters(*numbers, words)
        if self.wishes.derived:
            found += judge_derived(*numbers, {q.name: q for q in found})
        return found

    def _results(
        self, data: DeviceTraces, layout: Layout, fitted: Fitted, quantities: list[Quantity]
    ) -> xr.Dataset:
        problem, solved, spread = fitted.problem, fitted.solved, fitted.spread
        found, covariance = solved.found, fitted.covariance
        chi2 = found.chi2 / fitted.scale
        slopes = problem.slopes(found.x)
        rescued = np.zeros(problem.size, dtype=np.int8)
        rescued[solved.rescued] = 1
        one = {"units": "1"}
        extra: dict[str, Any] = {
            "chi2": ((), chi2, one),
            "ndata": ((), (found.count - len(problem.priors)).astype(np.int32), one),
            "rank": ((), spread.rank.astype(np.int8), one),
            "pivot": ((), spread.pivot, one),
            "outcome": ((), found.outcome, OUTCOME_ATTRS),
            "evaluations": ((), found.evaluations, one),
            "rescued": ((), rescued, one),
            "point": (("parameter",), problem.to_values(found.x), {}),
        }
        si = covariance * slopes[:, :, None] * slopes[:, None, :]
        coords: dict[str, Any] = {
            str(n): data[n]
            for n in data.coords
            if data[n].dims and set(data[n].dims) <= set(layout.over)
        }
        free = tuple(a.name for a in problem.axes)
        return results(layout, coords, quantities, extra, free, si, self._attrs(solved, problem))

    def _attrs(self, solved: Solved, problem: BatchProblem) -> dict[str, Any]:
        try:
            distribution, _ = origin("model", self.model.name)
        except UnknownNameError:  # a model handed over as an object has no distribution
            distribution = ""
        held = {k: v if np.ndim(v) == 0 else "one per fit" for k, v in problem.fixed.items()}
        kept = ("source", "source_sha256", "loader", "line", "setup", "detection")
        return {
            "model": self.model.name,
            "model_version": self.model.version,
            "distribution": distribution,
            "options": as_json(dict(self.model.chosen)),
            "observables": as_json({"names": list(self.names)}),
            "request": as_json(self.wishes.request.plain()),
            "fixed": as_json(held),
            "powercal": __version__,
            "solver": solved.solver,
            "derivatives": solved.derivatives,
            "rescued": int(solved.rescued.size) if solved.solver != "lmfit" else 0,
            "weights": _weights(problem),
            **{k: str(self.traces.attrs[k]) for k in kept if k in self.traces.attrs},
        }


@dataclass(frozen=True)
class Fitted:
    """One block after its fits.

    ``covariance`` has the scale of the noise in it, ``scale`` is what χ² counts in, ``freedom``
    the degrees of freedom.
    """

    problem: BatchProblem
    solved: Solved
    spread: Covariances
    covariance: FloatArray
    scale: FloatArray
    freedom: FloatArray


def fit_block(problem: BatchProblem, plan: Plan) -> Fitted:
    """Fit one block."""
    if needs_rounds(problem):
        problem, solved, rows = solve_with_noise(problem, plan)
        spread = covariances(problem, solved.found)
        given = tuple(o.given for o in problem.observed)
        covariance = enlarged(spread.covariance, rows, given)
        freedom = solved.found.count - spread.rank
        return Fitted(problem, solved, spread, covariance, np.ones(problem.size), freedom)
    estimated = any(not o.given for o in problem.observed)
    solved = solve(problem, plan, Settings(absolute=not estimated))
    spread = covariances(problem, solved.found)
    freedom = solved.found.count - spread.rank
    scale = np.ones(problem.size)
    if estimated:  # one σ per fit: it is what is left over
        scale = _noise_scale(solved.found, freedom)
    covariance = spread.covariance * scale[:, None, None]
    return Fitted(problem, solved, spread, covariance, scale, freedom)


def _noise_scale(found: Found, freedom: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(freedom > 0, found.chi2 / np.maximum(freedom, 1), np.nan))


def _weights(problem: BatchProblem) -> str:
    given = [o.name for o in problem.observed if o.given]
    estimated = [o.name for o in problem.observed if not o.given]
    parts = [f"σ of {', '.join(given)} as given"] if given else []
    if estimated:
        parts.append(
            f"σ of {', '.join(estimated)} per trace from residuals, their own uncertainty counted"
        )
    return "; ".join(parts)


def _middle(value: Any) -> float | None:
    """Return one level of the line for starting values."""
    return None if value is None else float(np.mean(value))


def _observables(traces: DeviceTraces, model: Model, request: Request) -> tuple[str, ...]:
    """Choose what is fitted without reading any of it."""
    wanted = request.observables
    if wanted == ("reflected_power",) and "reflected_power" not in traces:
        return wanted
    _, names = choose_observables(traces, model, wanted)
    return names


def _with_names(traces: DeviceTraces, names: tuple[str, ...]) -> xr.Dataset:
    """Let a reflected power that will be made of an amplitude have its dimensions already."""
    if names == ("reflected_power",) and "reflected_power" not in traces:
        return traces.assign(reflected_power=traces["reflection"])
    return traces


def _refuse_common_errors(
    traces: DeviceTraces, model: Model, names: tuple[str, ...], request: Request
) -> None:
    """A batch does not marginalise errors that many points share; silence would be wrong."""
    shared = [f"{n}_std" for n in model.inputs if f"{n}_std" in traces and n not in request.fixed]
    if "reference_noise" in traces:
        shared.append("reference_noise")
    if "excited_population" in names and "calibration_ground" in traces.attrs:
        shared.append("calibration points")
    if shared:
        raise FitError(
            f"the data hold {', '.join(shared)}: errors common to many points, which fit and "
            f"fit_each carry and fit_many does not; use these, or drop them knowingly"
        )
