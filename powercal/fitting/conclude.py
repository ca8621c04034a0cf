"""What stands beside the estimates: systematics, remedies, flags, verdicts, the best-fit curve."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from math import isfinite, sqrt
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Model
from powercal.errors import ContractError
from powercal.fitting.build import Request, make_problem
from powercal.fitting.grid import Grid
from powercal.fitting.identifiability import Identifiability, analyse, lifting_sets
from powercal.fitting.intervals import Profiler
from powercal.fitting.pieces import Block
from powercal.fitting.problem import Problem
from powercal.fitting.solve import Solution, equal_weights_shift, search, shifts_between
from powercal.fitting.weights import neighbour_noise
from powercal.line import line_of
from powercal.result import Check, FitResult, Flag, Shift
from powercal.schema import DeviceTraces, flags

if TYPE_CHECKING:
    import xarray as xr

FloatArray = NDArray[np.float64]


def curve_dataset(traces: DeviceTraces, problem: Problem, x: FloatArray, grid: Grid) -> xr.Dataset:
    """Return the best-fit curve on the grid of the data, and the σ used (NaN: point not used)."""
    import xarray

    fields = {}
    for b in problem.blocks:
        curve = np.array(problem.full_curve(x, b.index))
        sigma = np.full(curve.size, np.nan)
        sigma[b.points] = b.sigma
        attrs = {"units": str(traces[b.name].attrs.get("units", "1"))}
        fields[b.name] = (grid.dims, curve.reshape(grid.shape), attrs)
        fields[f"{b.name}_sigma"] = (grid.dims, sigma.reshape(grid.shape), attrs)
    keep = [n for n in traces.coords if set(traces[n].dims) <= set(grid.dims)]
    coords = {n: (traces[n].dims, traces[n].values, dict(traces[n].attrs)) for n in keep}
    return xarray.Dataset(fields, coords)


# ---- systematics ----


def alternatives(result: FitResult, solution: Solution, model: Model) -> tuple[Shift, ...]:
    """Refit with other defensible choices: equal weights, the other energy bookkeepings."""
    names = quotable(result)
    shifts = []
    moved = equal_weights_shift(solution, names)
    if moved:
        shifts.append(
            Shift(
                name="weights",
                chosen="one σ per trace",
                alternative="one σ for all traces",
                shifts=dict(moved),
            )
        )
    if "energy" in model.chosen and {"absorbed_power", "reflected_power"} & set(result.observables):
        shifts += _energy_shifts(solution, model, names)
    return tuple(shifts)


def quotable(result: FitResult) -> tuple[str, ...]:
    """Return the names of what has a number, and could move."""
    estimates = (*result.parameters, *result.derived)
    return tuple(e.name for e in estimates if e.status == "ok")


def _energy_shifts(solution: Solution, model: Model, names: tuple[str, ...]) -> list[Shift]:
    shifts = []
    for other in ("effective", "transition", "floquet"):
        if other == model.chosen["energy"]:
            continue
        try:
            configured = model.configure(energy=other)
        except ContractError:  # the lab frame is not known for every detection; then it is left out
            continue
        problem = dataclasses.replace(solution.problem, model=configured)
        found = search(problem, solution.x, iterations=30)
        shifts.append(
            Shift(
                name="energy",
                chosen=model.chosen["energy"],
                alternative=other,
                shifts=shifts_between(solution.problem, solution.x, problem, found.x, names),
            )
        )
    return shifts


def assumptions_freed(
    result: FitResult,
    traces: DeviceTraces,
    model: Model,
    names: tuple[str, ...],
    request: Request,
    solution: Solution,
) -> tuple[Shift, ...]:
    """Say where Γ₁ may lie once all that is held at the edge of its range (Γφ = 0, …) is free."""
    rows = {p.name: p for p in model.parameters if not p.vary and p.example in (p.min, p.max)}
    held = [n for n in rows if n in solution.problem.fixed]
    target = next((e for e in (*result.parameters, *result.derived) if e.name == "gamma_1"), None)
    if not held or target is None:
        return ()
    wider = dataclasses.replace(
        request,
        free=(*request.free, *(n for n in held if n not in request.free)),
        fixed={k: v for k, v in request.fixed.items() if k not in held},
    )
    problem = make_problem(traces, model, names, wider, dict(result.values))
    problem = problem.with_sigma(
        tuple(b.sigma for b in solution.problem.blocks), solution.problem.modes
    )
    found = search(problem, problem.start_from(dict(result.values)))
    profiler = Profiler(problem, found.x, found.chi2)
    if target.name in {c.name for c in problem.coordinates}:
        index = [c.name for c in problem.coordinates].index(target.name)
        profile = profiler.coordinate(index, 0.02, determined=False)
    else:
        profile = profiler.derived(target.name, 0.02, True)
    low, high = profile.interval(68)
    return (
        Shift(
            name="assumptions",
            chosen=", ".join(f"{n} = {solution.problem.fixed[n]:g}" for n in held),
            alternative="all of them free",
            shifts={"gamma_1 (lowest)": low, "gamma_1 (highest)": high},
        ),
    )


# ---- remedies ----


def remedies_for(
    problem: Problem, x: FloatArray, found: Identifiability, traces: DeviceTraces
) -> tuple[str, ...]:
    """Return options to copy, each of which would lift the degeneracy (or say what remains)."""
    need = found.null.shape[1]
    if not need:
        return ("more data, or a prior: the data confine the parameter too weakly",)
    out = [_as_options(group) for group in lifting_sets(problem, found)]
    for name in problem.model.observables:
        if any(b.name == name for b in problem.blocks):
            continue
        left = _nullity_with_observable(problem, x, problem.model.observables.index(name))
        if left < need:
            advice = f"--observable {name} too" if name in traces else f"measure {name} as well"
            out.append(f"{advice}{_remaining(left)}")
    for d in problem.model.derived:
        if not d.name.startswith("T1"):
            continue
        row = problem.gradient(d.name, x)
        size = abs(problem.quantity(d.name, x)) or 1.0
        remaining = analyse(np.vstack([problem.jacobian(x), row / size])).null.shape[1]
        if remaining < need:
            out.append(f"--prior {d.name}=VALUE±STD (in s){_remaining(remaining)}")
    return tuple(out)


def _as_options(group: Iterable[str]) -> str:
    names = tuple(group)
    fixes = " ".join(f"--fix {n}=VALUE" for n in names)
    priors = " ".join(f"--prior {n}=MEAN±STD" for n in names)
    return f"{fixes}, or {priors}"


def _remaining(left: int) -> str:
    return "" if left == 0 else f" (then {left} flat direction{'s' if left > 1 else ''} remain)"


def _nullity_with_observable(problem: Problem, x: FloatArray, index: int) -> int:
    curve = np.asarray(problem.full_curve(x, index))
    every = np.arange(curve.size)
    size = np.full(curve.size, float(np.max(np.abs(curve))) or 1.0)
    block = Block(problem.model.observables[index], index, every, curve, size, 0 * every, True)
    more = dataclasses.replace(problem, blocks=(block,), modes=None, priors=())
    rows = more.jacobian(x)
    own = problem.jacobian(x)
    # Blocks are compared at equal footing: scale the new rows to the size of the old ones.
    ratio = np.linalg.norm(own) / (np.linalg.norm(rows) or 1.0)
    return int(analyse(np.vstack([own, ratio * rows])).null.shape[1])


# ---- flags and verdicts ----


def notes(result: FitResult, solution: Solution, traces: DeviceTraces) -> tuple[Flag, ...]:
    """Collect what a reader must know."""
    out = [Flag(name="data", sentence=s) for s in flags(traces)]
    for block in solution.problem.blocks:
        missing = next(iter(solution.problem.inputs.values())).size - block.points.size
        missing -= len(result.request.get("dropped", {}).get(block.name, ()))
        if missing:
            out.append(
                Flag(
                    name="left_out",
                    sentence=f"{missing} points of {block.name} have no finite data, σ or input "
                    f"and were left out",
                )
            )
    if not solution.converged:
        out.append(
            Flag(name="not_converged", sentence=f"the fit did not converge: {solution.message}")
        )
    out += _unused_line(result, solution.problem, traces)
    out += _misfit(result, solution)
    out += [
        Flag(
            name="undetermined", sentence=f"{n} is not determined by these data; no value is given"
        )
        for n in result.undetermined
    ]
    moved = _moved_by_weights(result)
    if moved:
        out.append(
            Flag(
                name="weights",
                sentence=f"with another defensible weighting {', '.join(moved)} would move by more "
                f"than a standard error (see systematics)",
            )
        )
    return tuple(out)


def _unused_line(result: FitResult, problem: Problem, traces: DeviceTraces) -> list[Flag]:
    """Say what is known of a line and does not enter: silence would pass for use."""
    line = line_of(traces)
    own = {p.name for p in problem.model.parameters}
    if line is None:
        return []
    out = []
    asked = {*result.request.get("fixed", {}), *result.request.get("priors", {})}
    if line.attenuation_db is not None and "attenuation_db" in problem.fixed.keys() - asked:
        held = problem.fixed["attenuation_db"]
        out.append(
            f"the attenuation of the line is not used: the model holds attenuation_db at {held:g} "
            f"dB for these options; free it, or choose the set-up that has a line"
        )
    if line.gain_db is not None and "reference_gain" in own:
        out.append(
            "the gain of the line is not used: the model fits reference_gain, which contains it"
        )
    return [Flag(name="line", sentence=sentence) for sentence in out]


def _moved_by_weights(result: FitResult) -> list[str]:
    shifts = next((s.shifts for s in result.systematics if s.name == "weights"), {})
    errors = {e.name: e.stderr for e in result.parameters if e.stderr}
    return [n for n, by in shifts.items() if n in errors and abs(by) > (errors[n] or np.inf)]


def _misfit(result: FitResult, solution: Solution) -> list[Flag]:
    problem = solution.problem
    if all(b.given_sigma for b in problem.blocks):
        reduced = result.reduced_chi2
        spread = result.chi2_spread / max(result.nfree, 1)
        if abs(reduced - 1) <= 4 * spread:
            return []
        word = "larger" if reduced > 1 else "smaller"
        return [
            Flag(
                name="chi2",
                sentence=f"reduced χ² is {reduced:.3g}, {word} than 1 by "
                f"{abs(reduced - 1) / spread:.1f} of its spread {spread:.2g}: the σ given or the "
                f"model are wrong, and the errors with them",
            )
        ]
    return [f for b in problem.blocks if not b.given_sigma for f in _excess(b)]


def _excess(block: Block) -> list[Flag]:
    """Compare residual scatter with point-to-point scatter: what is left over is not noise."""
    floor = neighbour_noise(block.data, block.trace)
    if np.max(block.sigma) < 1e-10 * np.max(np.abs(block.data)):
        return [Flag(name="no_noise", sentence=f"{block.name} shows no noise; errors mean nothing")]
    worst, where, count = 1.0, 0, 0
    for member in np.unique(block.trace):
        mine = block.trace == member
        numbers = mine.sum() * (2 if block.complex else 1)
        ratio = float(np.mean(block.sigma[mine] ** 2) / np.mean(floor[mine] ** 2))
        # Second differences estimate a variance from n points with relative spread √(35/(9n)).
        if numbers >= 16 and ratio - 1 > 4 * sqrt(35 / 9 / numbers) * ratio:
            count += 1
            worst, where = max((worst, where), (ratio, int(member)))
    if not count:
        return []
    return [
        Flag(
            name="left_over",
            sentence=f"{block.name}: in {count} traces the residuals scatter more than "
            f"neighbouring points do (reduced χ² against point-to-point noise up to {worst:.3g}, "
            f"trace {where}); model or set-up leave structure behind, and the errors count it as "
            f"if it were noise (a set-up that drifts between traces: --per NAME=DIMENSION)",
        )
    ]


def verdicts_for(
    result: FitResult, solution: Solution, checks: tuple[Check, ...]
) -> dict[str, bool]:
    """Return the separate verdicts; ``success`` of a solver proves none of them."""
    wrong = {f.name for f in result.flags} & {"chi2", "left_over", "runs"}
    return {
        "converged": solution.converged and isfinite(solution.chi2),
        "adequate": not wrong,
        "identifiable": not result.undetermined,
        "within_assumptions": not any(c.verdict == "fails" for c in checks),
    }
