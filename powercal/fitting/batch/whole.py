"""One batch from its data to its results, block by block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from powercal import __version__
from powercal.contracts import Model
from powercal.errors import FitError
from powercal.fitting.batch.axis_errors import input_errors, solve_with_input_errors
from powercal.fitting.batch.descent import Found
from powercal.fitting.batch.layout import Layout, batch_problem, flat, lay_out
from powercal.fitting.batch.noise import enlarged, needs_rounds, solve_with_noise
from powercal.fitting.batch.problem import BatchProblem, InputError
from powercal.fitting.batch.profiles import profile_intervals
from powercal.fitting.batch.rooms import pulls
from powercal.fitting.batch.solver import Plan, Solved, solve
from powercal.fitting.batch.table import OUTCOME_ATTRS, as_json, results
from powercal.fitting.batch.verdicts import (
    Fitted,
    Quantity,
    covariances,
    judge_derived,
    judge_parameters,
)
from powercal.fitting.build import Request, Table, make_table, options_from
from powercal.fitting.common_errors import find_common_errors
from powercal.fitting.grid import choose_observables, make_grid
from powercal.fitting.named_errors import Kept
from powercal.fitting.starting_many import guess_many
from powercal.fitting.weights import weights_in_words
from powercal.line import nominal
from powercal.registry import distribution_of
from powercal.schema import DeviceTraces

if TYPE_CHECKING:
    import xarray as xr

FloatArray = NDArray[np.float64]


TABLE_NUMBERS = 10_000_000  # of what errors of inputs do to rows, in memory at a time: 80 MB


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
        self.elements: dict[str, Kept] | None = None

    @property
    def most(self) -> int | None:
        """How many fits a block may have where errors of inputs take a table for each of them."""
        dims = [
            self.traces[f"{n}_std"].dims for n in self.model.inputs if f"{n}_std" in self.traces
        ]
        sizes = dict(zip(self.layout.inner, self.layout.inner_shape, strict=True))
        errors = sum(int(np.prod([sizes.get(str(d), 1) for d in own])) for own in dims)
        return max(1, TABLE_NUMBERS // (errors * self.layout.points)) if errors else None

    # ---- one block ----

    def block(self, first: int, last: int) -> xr.Dataset:
        """Read, fit and judge the fits of one block."""
        layout = self.layout.part(first, last)
        data = self.read(first, last)
        table = self._table(data)
        problem = self.problem(data, layout, first)
        if self.plan is None:
            # The number of all fits tells whether compiling is worth it.
            self.plan = Plan(problem, self.wishes.solver, fits=self.layout.fits)
        fitted = fit_block(problem, self.plan)
        found = self._judge(fitted, table)
        if self.wishes.request.intervals == "profile":
            fitted, found = self._profiled(problem, fitted, found, table)
        if self.wishes.derived:
            found += judge_derived(fitted, found)
        return self._results(data, layout, fitted, found)

    def problem(self, data: DeviceTraces, layout: Layout, first: int) -> BatchProblem:
        """Build the problem of one block that is in memory and begins at the fit ``first``."""
        table = self._table(data)
        said = {
            kind: {n: self._per_fit(n, v, layout, first) for n, v in own.items()}
            for kind, own in self.wishes.per_fit.items()
        }
        held = {**table.fixed, **said["fixed"]}
        start = self._start(
            data, table, {**held, **self.wishes.request.start, **said["start"]}, layout
        )
        problem = batch_problem(
            data, self.model, self.names, table, layout, held, start, self.wishes.request.sigma
        )
        return replace(problem, input_errors=self._input_errors(data, problem, layout))

    def _profiled(
        self, problem: BatchProblem, fitted: Fitted, parameters: list[Quantity], table: Table
    ) -> tuple[Fitted, list[Quantity]]:
        """Profile; where a profile fell into a deeper minimum, all starts again from there.

        From the problem as it was: a fit moves inputs that carry errors, and estimates σ.
        """
        assert self.plan is not None
        found, better = profile_intervals(fitted, self.plan, parameters)
        for _ in range(2):
            if not better:
                break
            start = problem.to_values(fitted.solved.found.x)
            for i, x in better.items():
                start[i] = problem.to_values(x)
            fitted = fit_block(replace(problem, start=start), self.plan)
            found, better = profile_intervals(fitted, self.plan, self._judge(fitted, table))
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

    def _per_fit(self, name: str, values: xr.DataArray, layout: Layout, first: int) -> FloatArray:
        """Return one number per fit of this block."""
        sizes = dict(zip(self.layout.over, self.layout.over_shape, strict=True))
        strange = {d: n for d, n in values.sizes.items() if n != sizes.get(str(d))}
        if strange:
            raise FitError(
                f"{name} is given over {dict(values.sizes)}; values per fit run over (some of) "
                f"{sizes}"
            )
        dim = layout.over[0]
        if dim in values.dims:
            values = values.isel({dim: slice(first, first + layout.over_shape[0])})
        found = np.broadcast_to(flat(values, layout), (layout.fits, 1))[:, 0]
        return np.array(found, dtype=float)

    def _start(
        self, data: DeviceTraces, table: Table, said: Mapping[str, Any], layout: Layout
    ) -> FloatArray:
        known: dict[str, Any] = {p.name: p.mean for p in table.priors} | dict(said)
        for name in ("attenuation_db", "gain_db"):
            if name in table.free and name not in known:
                raise FitError(
                    f"{name} is free and nothing is known of it; give the line a value, or a "
                    f"start={{{name!r}: …}}"
                )
        guessed: Mapping[str, Any] = {}
        if not set(table.free) <= set(known):
            seen = nominal(data, *(_middle(known.get(n)) for n in ("attenuation_db", "gain_db")))
            # Per fit values lie flat here, and along the dimensions of the data in a guess.
            laid = {
                n: v if np.ndim(v) == 0 else v.reshape(layout.over_shape) for n, v in known.items()
            }
            guessed = guess_many(self.model, DeviceTraces(seen), laid, layout.over)
        rows = {r.name: r for r in table.rows}
        columns = []
        for name in table.free:
            value = known.get(name, guessed.get(name, rows[name].example))
            columns.append(np.broadcast_to(np.asarray(value, dtype=float), (layout.fits,)))
        low = np.array([rows[n].min for n in table.free])
        high = np.array([rows[n].max for n in table.free])
        return np.asarray(np.clip(np.stack(columns, axis=1), low, high))

    def _input_errors(
        self, data: DeviceTraces, problem: BatchProblem, layout: Layout
    ) -> tuple[InputError, ...]:
        """Return the errors of inputs of one block; which there are, is the same for all."""
        if self.elements is None:
            self.elements = self._shared_inputs(data, problem)
        sigma = {n: np.asarray(flat(data[f"{n}_std"], layout), dtype=float) for n in self.elements}
        return input_errors(self.elements, sigma)

    def _shared_inputs(self, data: DeviceTraces, problem: BatchProblem) -> dict[str, Kept]:
        """Return which points use which measured value; refuse what only a single fit does."""
        one = DeviceTraces(data.isel(dict.fromkeys(self.layout.over, 0)))
        common = find_common_errors(one, problem.one(0), make_grid(one, self.model, self.names))
        held = list(common.named)
        held += ["reference_noise"] if common.reference is not None else []
        held += ["calibration points"] if common.scale is not None else []
        if held:
            raise FitError(
                f"the data hold {', '.join(held)}: errors common to many points, which fit and "
                f"fit_each carry and fit_many does not; use these, or drop them knowingly"
            )
        estimated = [o.name for o in problem.observed if not o.given]
        if common.inputs and estimated:
            raise FitError(
                f"{', '.join(common.inputs)} carries errors and σ of {', '.join(estimated)} is to "
                f"be estimated from residuals; fit_many does one of the two: give sigma=..., or "
                f"use fit_each"
            )
        return common.inputs

    def _judge(self, fitted: Fitted, table: Table) -> list[Quantity]:
        words = {r.name: (r.unit, r.meaning) for r in table.rows}
        return judge_parameters(fitted, words)

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
            "chi2_probability": ((), _chi2_probability(fitted), one),
            "ndata": ((), (found.count - len(problem.priors)).astype(np.int32), one),
            "rank": ((), spread.rank.astype(np.int8), one),
            "pivot": ((), spread.pivot, one),
            "outcome": ((), found.outcome, OUTCOME_ATTRS),
            "evaluations": ((), found.evaluations, one),
            "rescued": ((), rescued, one),
            "point": (("parameter",), problem.to_values(found.x), {}),
        }
        quoted = np.stack([np.isfinite(q.stderr) for q in quantities[: len(problem.axes)]], axis=1)
        si = covariance * slopes[:, :, None] * slopes[:, None, :]
        # Who has no error of its own has none in the covariance either.
        si = np.where(quoted[:, :, None] & quoted[:, None, :], si, np.nan)
        coords: dict[str, Any] = {
            str(n): data[n]
            for n in data.coords
            if data[n].dims and set(data[n].dims) <= set(layout.over)
        }
        free = tuple(a.name for a in problem.axes)
        return results(layout, coords, quantities, extra, free, si, self._attrs(solved, problem))

    def _attrs(self, solved: Solved, problem: BatchProblem) -> dict[str, Any]:
        held = {k: v if np.ndim(v) == 0 else "one per fit" for k, v in problem.fixed.items()}
        kept = ("source", "source_sha256", "loader", "line", "setup", "detection")
        return {
            "model": self.model.name,
            "model_version": self.model.version,
            "distribution": distribution_of(self.model),
            "options": as_json(dict(self.model.chosen)),
            "observables": as_json({"names": list(self.names)}),
            "request": as_json(self.wishes.request.plain()),
            "fixed": as_json(held),
            "powercal": __version__,
            "solver": solved.solver,
            "derivatives": solved.derivatives,
            "rescued": int(solved.rescued.size) if solved.solver != "lmfit" else 0,
            "lost": "",
            "weights": weights_in_words({o.name: o.given for o in problem.observed}),
            **{k: str(self.traces.attrs[k]) for k in kept if k in self.traces.attrs},
        }


def fit_block(problem: BatchProblem, plan: Plan) -> Fitted:
    """Fit one block."""
    if problem.input_errors:
        problem, solved = solve_with_input_errors(problem, plan)
        spread = covariances(problem, solved.found)
        freedom = solved.found.count - spread.rank
        ones, pull = np.ones(problem.size), pulls(problem, solved, plan)
        return Fitted(problem, solved, spread, spread.covariance, ones, freedom, pull)
    if needs_rounds(problem):
        problem, solved, rows = solve_with_noise(problem, plan)
        spread = covariances(problem, solved.found)
        given = tuple(o.given for o in problem.observed)
        covariance = enlarged(spread.covariance, rows, given)
        freedom = solved.found.count - spread.rank
        scale = np.ones(problem.size)
        pull = pulls(problem, solved, plan)
        return Fitted(problem, solved, spread, covariance, scale, freedom, pull)
    estimated = any(not o.given for o in problem.observed)
    solved = solve(problem, plan)
    spread = covariances(problem, solved.found)
    freedom = solved.found.count - spread.rank
    scale = np.ones(problem.size)
    if estimated:  # one σ per fit: it is what is left over
        scale = _noise_scale(solved.found, freedom)
    covariance = spread.covariance * scale[:, None, None]
    pull = pulls(problem, solved, plan) / np.sqrt(scale)[:, None]
    return Fitted(problem, solved, spread, covariance, scale, freedom, pull)


def _chi2_probability(fitted: Fitted) -> FloatArray:
    """Probability of a larger χ² by chance; NaN where σ comes from the residuals themselves."""
    from scipy.special import chdtrc

    given = all(o.given for o in fitted.problem.observed)
    usable = given & (fitted.freedom > 0)
    found = chdtrc(np.maximum(fitted.freedom, 1), fitted.solved.found.chi2)
    return np.asarray(np.where(usable, found, np.nan))


def _noise_scale(found: Found, freedom: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(freedom > 0, found.chi2 / np.maximum(freedom, 1), np.nan))


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
