"""Many hard fits from the automatic guess, and for every one that fails, why.

Noise up to a tenth of the peak, axes of 1 to 40 linewidths, up to 30 % of the points missing, n_th
on its bound in a quarter of the fits that have it free. A fit has failed if it does not report
success, or if a start from the truth ends lower.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks import engines
from benchmarks.peers import lmfit_minimizer
from benchmarks.scenarios import RECIPES, Scenario, make
from benchmarks.single import Single
from powercal.fitting.batch.descent import OUTCOMES
from powercal.fitting.batch.solver import Plan

FloatArray = NDArray[np.float64]
NAMES = ("A", "B", "C", "D")
LOWER = 1e-4  # of χ²: a hundredth of a standard error
FLAT = 1e-9  # smallest pivot of the scaled normal matrix of what data determine


@dataclass(frozen=True)
class Failure:
    """One fit that failed. ``explained`` where no other solver could have done better."""

    scenario: str
    trace: int
    reason: str
    explained: bool


def hard(name: str, fits: int, seed: int = 36) -> Scenario:
    """Make the hard variant of a scenario."""
    recipe = dataclasses.replace(
        RECIPES[name],
        noise=(1e-3, 0.1),
        half_span=(1.0, 40.0),
        gaps=(0.7, 0.3),
        any_gaps=True,
        cold=0.25,
    )
    return make(recipe, fits, seed)


def failures_of(scenario: Scenario, solver: str = "numpy") -> tuple[list[Failure], int, int]:
    """Return what failed, how many fits lmfit was called for, and how many are on a bound."""
    problem = scenario.problem
    own = engines.run(scenario, Plan(problem, solver))
    low, high = (np.array([getattr(a, k) for a in problem.axes]) for k in ("low", "high"))
    truth = dataclasses.replace(problem, start=np.clip(scenario.truth, low, high))
    best = engines.run(dataclasses.replace(scenario, problem=truth), Plan(truth, solver))
    behind = own.found.chi2 - best.found.chi2
    lost = np.flatnonzero(~own.good | ~np.isfinite(behind) | (behind > LOWER))
    with np.errstate(all="ignore"):
        pivots = engines.scaled_inverse(best.found.matrix, len(problem.axes))[2]
    found = [_why(scenario, int(i), own, float(best.found.chi2[i]), float(pivots[i])) for i in lost]
    return found, own.rescued, int(own.found.on_bound.any(axis=1).sum())


def _why(s: Scenario, i: int, own: engines.Result, best: float, pivot: float) -> Failure:
    """Look at one failure: at its start, its end, its data, and at lmfit from the same start."""
    name, found, free = s.recipe.name, own.found, s.recipe.free
    if not np.isfinite(s.problem.start[i]).all():
        return Failure(name, i, "the guess is not finite", False)
    one = s.problem.take(np.array([i]))
    alone = Scenario(s.recipe, one, *(v[[i]] for v in (s.truth, s.origin, s.scale)))
    single = Single(alone, 0)
    theirs = lmfit_minimizer(alone, slopes=True, tight=1e-15)(1)
    rows = single.residual((theirs.values[0] - single.origin) / single.scale)
    lmfit_behind = float(rows @ rows) - best
    low = np.array([a.low for a in s.problem.axes])
    vague = np.isfinite(low) & ~(own.errors[i] < own.values[i] - low)
    words = [
        OUTCOMES.get(int(found.outcome[i]), "no outcome"),
        f"after {found.evaluations[i]} evaluations",
        f"chi2 {found.chi2[i]:.6g}, {found.chi2[i] - best:.2g} above a start from the truth",
        f"lmfit from the same start {lmfit_behind:.2g} above",
        f"smallest pivot {pivot:.0e}",
        *(f"{n} is no more than a limit" for n, out in zip(free, vague, strict=True) if out),
        f"{int(found.count[i])} data",
        f"start {np.array2string(s.problem.start[i], precision=3)}",
        f"truth {np.array2string(s.truth[i], precision=3)}",
    ]
    # Where a rate runs off to nothing (and a drive to infinity) there is no minimum to be found.
    ends_level = found.chi2[i] - best < LOWER
    explained = bool(vague.any() and ends_level) or pivot < FLAT or not lmfit_behind < LOWER
    return Failure(name, i, "; ".join(words), explained)


def report(fits: int = 36_000, solver: str = "numpy", names: tuple[str, ...] = NAMES) -> int:
    """Print what failed and why; return 1 if anything failed for no reason."""
    unexplained = 0
    share = fits // len(names)
    for name in names:
        scenario = hard(name, share)
        failed, rescued, bound = failures_of(scenario, solver)
        bare = [f for f in failed if not f.explained]
        unexplained += len(bare)
        print(
            f"{name}: {len(failed)} of {share} failed, {len(bare)} of them for no good reason; "
            f"{rescued} were given to lmfit, {bound} end on a bound",
            flush=True,
        )
        for f in failed:
            print(f"  trace {f.trace}{'' if f.explained else ' (unexplained)'}: {f.reason}")
    print(f"{unexplained} unexplained failures in {share * len(names)} fits")
    return 1 if unexplained else 0
