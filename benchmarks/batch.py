"""Batches timed against peers: interleaved rounds of processor time, accuracy beside every row."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import engines, limit
from benchmarks.peers import PEERS, Cannot, Fits
from benchmarks.reference import Reference, reference
from benchmarks.scenarios import RECIPES, Scenario, make
from benchmarks.scenarios_si import RECIPES as SI_RECIPES
from benchmarks.timing import cpu_time
from powercal.errors import FitError
from powercal.fitting.batch.solver import Plan

FloatArray = NDArray[np.float64]
SCENARIOS = {**RECIPES, **SI_RECIPES}
# Traces for peers and reference, and for the batch solvers.
SIZES = {"C": (60, 3000), "D": (100, 10_000), "E": (100, 5000), "F": (40, 500)}
USUAL = (150, 20_000)
SEED = 21
LOST = 0.1  # standard errors from the best minimum: a fit that is further off has failed


@dataclass
class Row:
    """One engine on one scenario.

    ``failures`` are those of ``fits`` that report no success, and those of the traces that the
    reference has which end elsewhere. ``max_dtheta_stderr`` is over the traces that did not fail.
    """

    scenario: str
    engine: str
    fits_per_s: float = float("nan")
    fits_per_s_median: float = float("nan")
    ratio_to_lmfit: float = float("nan")
    ratio_median: float = float("nan")
    max_dtheta_stderr: float = float("nan")
    max_dtheta_relative: float = float("nan")
    max_dcov: float = float("nan")
    max_dstderr_relative: float = float("nan")
    failures: int = 0
    fits: int = 0
    evaluations: float = float("nan")
    rescued: int = 0
    note: str = ""
    seconds: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """What one run of an engine gave."""

    values: FloatArray
    errors: FloatArray
    good: NDArray[np.bool_]
    covariance: FloatArray | None = None
    evaluations: float = float("nan")
    rescued: int = 0
    note: str = ""


Engine = tuple[Callable[[], Outcome], int]


# ---- engines ----


def solver(scenario: Scenario, name: str) -> Callable[[], Outcome]:
    """Return a batch solver at work on a whole scenario; it is compiled before."""
    plan = Plan(scenario.problem, name)

    def run() -> Outcome:
        r = engines.run(scenario, plan)
        return Outcome(
            r.values,
            r.errors,
            r.good,
            r.covariance(),
            float(r.found.evaluations.mean()),
            r.rescued,
            r.derivatives,
        )

    return run


def peer(scenario: Scenario, name: str, traces: int) -> Callable[[], Outcome]:
    """Return a peer at work on the first traces."""
    fit = PEERS[name](scenario)

    def run() -> Outcome:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found: Fits = fit(traces)
        return Outcome(found.values, found.errors, found.good)

    return run


def engines_of(
    scenario: Scenario, traces: int, names: Sequence[str]
) -> tuple[dict[str, Engine], list[Row]]:
    """Return what can be run, and rows that say why the others cannot."""
    ready: dict[str, Engine] = {}
    absent = []
    recipe, size = scenario.recipe, scenario.problem.size
    for name in names:
        try:
            if name.startswith("powercal"):
                other = name.endswith(OTHER)
                which = scenario.other_weights() if other else scenario
                ready[name] = solver(which, name.split()[1].rstrip(",")), size
            else:
                ready[name] = peer(scenario, name, traces), traces
        except ImportError:
            absent.append(Row(recipe.name, name, note="not installed"))
        except (Cannot, FitError) as reason:
            absent.append(Row(recipe.name, name, note=f"cannot: {reason}"))
    return ready, absent


OTHER = "other σ"
POWERCAL = ("powercal numpy", "powercal numba")
ALL = (*PEERS, *POWERCAL, *(f"{n}, {OTHER}" for n in POWERCAL))


# ---- rounds ----


def rounds(engines: dict[str, Engine], count: int, rows: dict[str, Row]) -> dict[str, Outcome]:
    """Run every engine once for its result, and then all in turn so many times for the clock."""
    found = {name: run() for name, (run, _) in engines.items()}
    for _ in range(count):
        for name, (run, fits) in engines.items():
            gc.collect()
            rows[name].seconds.append(cpu_time(run) / fits)
    return found


def judge(row: Row, outcome: Outcome, ref: Reference) -> None:
    """Compare with the reference, trace by trace."""
    n = min(len(ref.values), len(outcome.values))
    off = np.abs(outcome.values[:n] - ref.values[:n])
    errors = ref.errors[:n]
    apart = (off / errors).max(axis=1)
    lost = ~(apart < LOST)
    good = outcome.good.copy()
    good[:n] &= ~lost
    row.failures, row.fits = int((~good).sum()), good.size
    row.evaluations, row.rescued = outcome.evaluations, outcome.rescued
    row.note = row.note or outcome.note
    if lost.all():
        return
    row.max_dtheta_stderr = float(apart[~lost].max())
    # A value near zero has no relative error: there its standard error is the measure.
    size = np.maximum(np.abs(ref.values[:n]), errors)
    row.max_dtheta_relative = float((off / size)[~lost].max())
    row.max_dstderr_relative = float(np.abs(outcome.errors[:n] / errors - 1)[~lost].max())
    if outcome.covariance is not None:
        unit = errors[:, :, None] * errors[:, None, :]
        change = np.abs(outcome.covariance[:n] - ref.covariance[:n]) / unit
        row.max_dcov = float(change[~lost].max())


def measure(
    name: str,
    count: int = 4,
    traces: int | None = None,
    names: Sequence[str] = ALL,
    compared: int | None = None,
    truth: Callable[[Scenario, int], Reference] = reference,
) -> list[Row]:
    """Return the rows of one scenario.

    Parameters
    ----------
    name : str
        A, B, Bhard, C, D, E or F.
    count : int
        Rounds.
    traces, compared : int, optional
        Traces for the batch solvers; for the peers and the reference.
    names : sequence of str
        Engines.
    truth : callable
        What all are compared with.
    """
    few, many = SIZES.get(name, USUAL)
    few, many = compared or few, traces or many
    few = min(few, many)
    scenario = make(SCENARIOS[name], many, SEED)
    ref = truth(scenario, few)
    ready, absent = engines_of(scenario, few, names)
    rows = {n: Row(name, n) for n in ready}
    for n, outcome in rounds(ready, count, rows).items():
        judge(rows[n], outcome, ref)
        rate(rows[n], rows.get(scenario.recipe.base))
    return [*rows.values(), *absent]


def rate(row: Row, base: Row | None) -> None:
    """Fill in speed, and its ratio to lmfit's round by round."""
    taken = np.array(row.seconds)
    row.fits_per_s, row.fits_per_s_median = 1 / taken.min(), 1 / float(np.median(taken))
    if base is not None:
        against = np.array(base.seconds)
        row.ratio_to_lmfit = float(against.min() / taken.min())
        row.ratio_median = float(np.median(against / taken))


def limit_row(name: str, rows: Iterable[Row], fused: float | None) -> Row:
    """Return the machine's limit for a scenario: the fused loop alone, as often as needed."""
    label = "limit: fused loop"
    if fused is None:
        return Row(name, label, note="numba is not installed")
    recipe = SCENARIOS[name]
    values = len(recipe.observables) * (2 if name == "F" else 1)
    points = recipe.points * len(recipe.levels) * values
    mean = float(np.nanmean([r.evaluations for r in rows if r.engine.startswith("powercal")]))
    best = limit.limit_per_s(fused, points, mean)
    note = f"{fused:.2f} ns a point, four parameters"
    base = next((r for r in rows if r.ratio_to_lmfit == 1.0), None)
    ratio = best / base.fits_per_s if base else float("nan")
    return Row(name, label, best, best, ratio, ratio, evaluations=mean, note=note)


# ---- print ----

HEAD = (
    f"{'':6s} {'engine':26s} {'fits/s':>9s} {'median':>9s} {'x lmfit':>8s} {'median':>8s} "
    f"{'dtheta/se':>9s} {'dtheta':>8s} {'dcov':>8s} {'failures':>12s} {'evals':>5s}  note"
)


def text(row: Row) -> str:
    """Return one line of the table."""
    if np.isnan(row.fits_per_s):
        return f"{row.scenario:6s} {row.engine:26s} {row.note}"
    failed = f"{row.failures}/{row.fits}" if row.fits else ""

    def small(value: float) -> str:
        return "" if np.isnan(value) else f"{value:.0e}"

    evaluations = "" if np.isnan(row.evaluations) else f"{row.evaluations:.1f}"
    note = f"{row.rescued} by lmfit; {row.note}" if row.rescued else row.note
    return (
        f"{row.scenario:6s} {row.engine:26s} {row.fits_per_s:9.0f} {row.fits_per_s_median:9.0f} "
        f"{row.ratio_to_lmfit:8.2f} {row.ratio_median:8.2f} {small(row.max_dtheta_stderr):>9s} "
        f"{small(row.max_dtheta_relative):>8s} {small(row.max_dcov):>8s} {failed:>12s} "
        f"{evaluations:>5s}  {note}"
    )


def as_json(row: Row) -> dict[str, Any]:
    """Return a row as plain numbers, without what is not known."""
    return {k: v for k, v in asdict(row).items() if v == v}
