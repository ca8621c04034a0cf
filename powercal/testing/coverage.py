"""Coverage as a contract: intervals of simulated data hold the truth as often as they say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from math import inf, sqrt
from operator import add
from typing import Any

from powercal.contracts import Model, Regime
from powercal.errors import unknown_name
from powercal.registry import get_model
from powercal.schema import DeviceTraces
from powercal.testing._call import fault
from powercal.testing.coverage_counts import (
    NOMINAL,
    Counts,
    RegimeCoverage,
    Together,
    count_regime,
)
from powercal.testing.coverage_regimes import regimes_of
from powercal.testing.coverage_sets import fit_sets, simulate_sets

# Windows of a model's coverage over all regimes and parameters, which a model must keep.
WINDOWS = {68: (0.668, 0.698), 95: (0.947, 0.961)}
SIGMAS = 4.0  # binomial, that a single regime may be off
# Where few data sets were asked for, a window is as wide as so many standard errors.
_WIDENED = 3.0
_MANY = 1000  # from so many sets on, a regime is judged by its standard deviation alone
Restate = Callable[[DeviceTraces], DeviceTraces]


@dataclass(frozen=True)
class Coverage:
    """What intervals of a model cover.

    Attributes
    ----------
    model : str
        Its name.
    sets, seed : int
        Data sets per regime; the seed of all of them.
    regimes : tuple of RegimeCoverage
        One for each regime.
    """

    model: str
    sets: int
    seed: int
    regimes: tuple[RegimeCoverage, ...]

    @property
    def parameters(self) -> dict[str, Counts]:
        """Counts of every parameter over all regimes."""
        return _pooled(r.parameters for r in self.regimes)

    @property
    def derived(self) -> dict[str, Counts]:
        """Counts of every derived quantity over all regimes."""
        return _pooled(r.derived for r in self.regimes)

    @property
    def together(self) -> dict[int, Together]:
        """Coverage over all parameters and regimes, by level."""
        return {lv: reduce(add, (r.together[lv] for r in self.regimes)) for lv in NOMINAL}

    @property
    def all(self) -> Counts:
        """Counts of all parameters in all regimes."""
        return sum(self.parameters.values(), Counts(0))

    @property
    def objections(self) -> tuple[str, ...]:
        """Return what is wrong, one sentence each; none if the errors are honest."""
        said = [f"in {r.name!r} {f}" for r in self.regimes for f in r.faults]
        for level, found in self.together.items():
            low, high = window(level, found.error)
            if not low <= found.coverage <= high:
                said.append(
                    f"over all regimes {found.coverage:.2%} of the {level} % intervals hold the "
                    f"truth; it must be between {low:.2%} and {high:.2%}"
                )
        for r in self.regimes:
            for name, counts in r.parameters.items():
                said += _single(r.name, name, counts)
            for name, counts in r.derived.items():
                said += _single(r.name, name, counts, more=True)
        return tuple(said)

    @property
    def passed(self) -> bool:
        """Whether there is nothing wrong."""
        return not self.objections

    def plain(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        return {
            "model": self.model,
            "sets": self.sets,
            "seed": self.seed,
            "passed": self.passed,
            "objections": list(self.objections),
            "pooled": {
                **self.all.plain(),
                **{f"cov{level}_error": t.error for level, t in self.together.items()},
            },
            "parameters": {n: c.plain() for n, c in self.parameters.items()},
            "derived": {n: c.plain() for n, c in self.derived.items()},
            "regimes": [
                {
                    "name": r.name,
                    "fitted": r.how,
                    "parameters": {n: c.plain() for n, c in r.parameters.items()},
                    "derived": {n: c.plain() for n, c in r.derived.items()},
                }
                for r in self.regimes
            ],
        }


def window(level: int, error: float) -> tuple[float, float]:
    """Return the limits of a pooled coverage that is known to this standard error."""
    low, high = WINDOWS[level]
    slack = _WIDENED * error
    return min(low, NOMINAL[level] - slack), max(high, NOMINAL[level] + slack)


def _single(regime: str, name: str, counts: Counts, *, more: bool = False) -> list[str]:
    """Object to one quantity in one regime; what is carried to derived ones may cover more."""
    if not counts.judged:
        return []
    most = inf if more else SIGMAS
    return [
        f"in {regime!r} {counts.coverage(level):.1%} of {counts.judged} {level} % intervals of "
        f"{name} hold the truth, {(counts.coverage(level) - p) / counts.sigma(level):+.1f} "
        f"binomial standard deviations off"
        for level, p in NOMINAL.items()
        if not -_below(counts.judged, p)
        <= (counts.coverage(level) - p) / counts.sigma(level)
        <= most
    ]


def _below(count: int, p: float) -> float:
    """Return how many standard deviations a coverage may be low.

    Few sets miss a 95 % interval rarely and by fits and starts: the tail of the binomial is then
    longer than that of a Gaussian (the first term of Cornish and Fisher's expansion).
    """
    skewness = (2 * p - 1) / sqrt(count * p * (1 - p))
    return SIGMAS + (count < _MANY) * (SIGMAS**2 - 1) * skewness / 6


def _pooled(tables: Iterable[Mapping[str, Counts]]) -> dict[str, Counts]:
    found: dict[str, Counts] = {}
    for table in tables:
        for name, counts in table.items():
            found[name] = found[name] + counts if name in found else counts
    return found


# ---- the verbs ----


def measure_coverage(
    model: str | Model,
    *,
    sets: int = 1000,
    regimes: Iterable[str] = (),
    seed: int = 0,
    workers: int = 0,
    restate: Restate | None = None,
) -> Coverage:
    """Simulate data sets over a model's regimes, fit them all, and count what intervals hold.

    Parameters
    ----------
    model : str or Model
        A name that some plugin offers, or a model.
    sets : int
        Data sets per regime.
    regimes : iterable of str
        Only regimes whose name contains one of these; all if left out.
    seed : int
        Data set i of regime r is drawn from ``SeedSequence((seed, r, i))``.
    workers : int
        Worker processes (for a model that a plugin offers by name); 0: all in this one.
    restate : callable, optional
        What the laboratory says of its data instead (traces to traces): a wrong σ, a line without
        error. For negative controls.

    Returns
    -------
    Coverage
        Counts per regime and parameter, and what is wrong about them.

    Raises
    ------
    ContractError
        A regime that contradicts its model, or a part of the model that raised.
    UnknownNameError
        An unknown model or regime.

    Examples
    --------
    >>> found = measure_coverage("power_balance", sets=20, regimes=["n_th 0.1, high"])
    >>> len(found.regimes), found.sets
    (4, 20)
    """
    chosen = get_model(model) if isinstance(model, str) else model
    every = regimes_of(chosen)
    picked = _pick(chosen, every, tuple(regimes))
    if workers and isinstance(model, str) and restate is None:
        tasks = [{"model": model, "regime": k, "sets": sets, "seed": seed} for k in picked]
        found = _in_workers(chosen, tasks, workers)
    else:
        found = [cover(chosen, every[k], k, sets, seed, restate) for k in picked]
    return Coverage(chosen.name, sets, seed, tuple(found))


def check_coverage(
    model: str | Model,
    *,
    sets: int = 200,
    regimes: Iterable[str] = (),
    seed: int = 0,
    workers: int = 0,
) -> Coverage:
    """Refuse a model whose intervals do not hold the truth as often as they say.

    Parameters
    ----------
    model, sets, regimes, seed, workers
        As for :func:`measure_coverage`.

    Returns
    -------
    Coverage
        What was counted.

    Raises
    ------
    ContractError
        The first thing that is wrong.
    """
    found = measure_coverage(model, sets=sets, regimes=regimes, seed=seed, workers=workers)
    if found.objections:
        chosen = get_model(model) if isinstance(model, str) else model
        raise fault(
            chosen,
            f"{found.objections[0]}; what the regimes hold, state or free does not describe their "
            f"data, or the curve is not the same at every call",
        )
    return found


def cover(
    model: Model, regime: Regime, index: int, sets: int, seed: int, restate: Restate | None = None
) -> RegimeCoverage:
    """Simulate, fit and count one regime."""
    configured = model.configure(**regime.options)
    data = simulate_sets(configured, regime, sets, (seed, index))
    if restate is not None:
        data = replace(data, traces=restate(data.traces))
    fits = fit_sets(configured, regime, data)
    return count_regime(configured, regime.name, fits.how, fits.results, data.truth)


def cover_named(task: Mapping[str, Any]) -> dict[str, Any]:
    """Do one regime of a model that a plugin offers; called in worker processes."""
    model = get_model(task["model"])
    regime = regimes_of(model)[task["regime"]]
    return cover(model, regime, task["regime"], task["sets"], task["seed"]).as_record()


def _pick(model: Model, every: tuple[Regime, ...], asked: tuple[str, ...]) -> list[int]:
    names = [r.name for r in every]
    for part in asked:
        if not any(part in name for name in names):
            raise unknown_name(f"regime of model {model.name!r}", part, names)
    return [k for k, n in enumerate(names) if not asked or any(part in n for part in asked)]


def _in_workers(model: Model, tasks: list[dict[str, Any]], workers: int) -> list[RegimeCoverage]:
    from powercal.processes.workers import run_tasks

    found: dict[int, RegimeCoverage] = {}
    work = f"{__name__}:{cover_named.__name__}"
    for done in run_tasks(tasks, work, workers=workers, timeout=None, memory_limit=None):
        if done.record is None:
            raise fault(model, f"a regime could not be judged: {done.failure}")
        found[done.index] = RegimeCoverage.from_record(done.record)
    return [found[k] for k in sorted(found)]
