"""How often what was printed holds the truth: counts of one regime, sums of many, and limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from math import nan, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Model

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[Any]
FloatArray = NDArray[np.float64]
NOMINAL = {68: 0.6827, 95: 0.95}  # of Δχ² = 1 and 1.96²


@dataclass(frozen=True)
class Counts:
    """What became of one quantity, or of several, in many data sets.

    Attributes
    ----------
    sets : int
        Data sets.
    statuses : mapping
        How many results had which status.
    judged, inside68, inside95 : int
        Results with status ``ok`` or ``upper_limit``, and in how many the interval held the truth.
    printed, printed68, printed95 : int
        The same of all results that print an interval or a limit, whatever their status.
    pulls, pull_sum, pull_squares : int, float, float
        Of (estimate − truth)/standard error where the status is ``ok``; in the logarithm where
        the quantity is fitted or carried in it.
    """

    sets: int
    statuses: Mapping[str, int] = field(default_factory=dict)
    judged: int = 0
    inside68: int = 0
    inside95: int = 0
    printed: int = 0
    printed68: int = 0
    printed95: int = 0
    pulls: int = 0
    pull_sum: float = 0.0
    pull_squares: float = 0.0

    def __add__(self, other: Counts) -> Counts:
        """Return the counts of both together."""
        names = [n for n in Counts.__dataclass_fields__ if n != "statuses"]
        added = {n: getattr(self, n) + getattr(other, n) for n in names}
        keys = dict.fromkeys((*self.statuses, *other.statuses))
        both = {k: self.statuses.get(k, 0) + other.statuses.get(k, 0) for k in keys}
        return Counts(statuses=both, **added)

    def coverage(self, level: int) -> float:
        """Return the share of judged intervals that hold the truth."""
        return getattr(self, f"inside{level}") / self.judged if self.judged else nan

    def printed_coverage(self, level: int) -> float:
        """Return the same of whatever is printed."""
        return getattr(self, f"printed{level}") / self.printed if self.printed else nan

    def sigma(self, level: int) -> float:
        """Return the binomial standard deviation of a true coverage."""
        p = NOMINAL[level]
        return sqrt(p * (1 - p) / self.judged) if self.judged else nan

    @property
    def share(self) -> float:
        """Share of results that are not judged."""
        total = sum(self.statuses.values())
        return 1 - self.judged / total if total else nan

    @property
    def bias(self) -> float:
        """Mean pull, in standard errors."""
        return self.pull_sum / self.pulls if self.pulls else nan

    @property
    def width(self) -> float:
        """Standard deviation of the pulls; 1 if errors are true."""
        if self.pulls < 2:
            return nan
        spread = self.pull_squares - self.pull_sum**2 / self.pulls
        return sqrt(max(spread, 0.0) / (self.pulls - 1))

    @property
    def bias_error(self) -> float:
        """Standard error of the bias."""
        return self.width / sqrt(self.pulls) if self.pulls else nan

    def plain(self) -> dict[str, Any]:
        """Return what a reader wants as JSON-able data, with None for what there is not."""
        found: dict[str, Any] = {
            "sets": self.sets,
            "judged": self.judged,
            "statuses": dict(self.statuses),
        }
        for level in NOMINAL:
            found[f"cov{level}"] = self.coverage(level)
            found[f"cov{level}_sigma"] = self.sigma(level)
            found[f"cov{level}_printed"] = self.printed_coverage(level)
        found |= {"bias": self.bias, "bias_error": self.bias_error, "pull_width": self.width}
        return {k: None if v != v else v for k, v in found.items()}  # NaN is no JSON


@dataclass(frozen=True)
class Together:
    """Sums over data sets that tell how well a coverage over several parameters is known.

    Intervals of one data set stand and fall together; data sets do not.
    """

    hits: float = 0.0
    count: float = 0.0
    hits_squared: float = 0.0
    hits_count: float = 0.0
    count_squared: float = 0.0

    def __add__(self, other: Together) -> Together:
        """Return the sums over both."""
        return Together(**{n: v + asdict(other)[n] for n, v in asdict(self).items()})

    @property
    def coverage(self) -> float:
        """Share of intervals that hold the truth."""
        return self.hits / self.count if self.count else nan

    @property
    def error(self) -> float:
        """Standard error of the share."""
        c = self.coverage
        spread = self.hits_squared - 2 * c * self.hits_count + c**2 * self.count_squared
        return sqrt(max(spread, 0.0)) / self.count if self.count else nan


@dataclass(frozen=True)
class RegimeCoverage:
    """What became of the data sets of one regime.

    Attributes
    ----------
    name, how : str
        The regime; ``together``, or why data sets were fitted one by one.
    parameters, derived : mapping of Counts
        By name.
    together : mapping of Together
        Over all parameters, by level.
    faults : tuple of str
        Results whose status does not say why a number is missing, zero or not finite.
    """

    name: str
    how: str
    parameters: Mapping[str, Counts]
    derived: Mapping[str, Counts]
    together: Mapping[int, Together]
    faults: tuple[str, ...] = ()

    @property
    def all(self) -> Counts:
        """Counts of all parameters."""
        return sum(self.parameters.values(), Counts(0))

    def as_record(self) -> dict[str, Any]:
        """Return all of it as JSON-able data, for a worker's answer."""
        return asdict(self)

    @staticmethod
    def from_record(record: Mapping[str, Any]) -> RegimeCoverage:
        """Read what :meth:`as_record` wrote."""
        return RegimeCoverage(
            record["name"],
            record["how"],
            {n: Counts(**c) for n, c in record["parameters"].items()},
            {n: Counts(**c) for n, c in record["derived"].items()},
            {int(level): Together(**t) for level, t in record["together"].items()},
            tuple(record["faults"]),
        )


# ---- counting ----


def count_regime(
    model: Model, name: str, how: str, results: xr.Dataset, truth: Mapping[str, FloatArray]
) -> RegimeCoverage:
    """Compare the fits of one regime with the truth.

    Parameters
    ----------
    model : Model
        Configured.
    name, how : str
        Of the regime and its fits.
    results : Dataset
        As of :func:`powercal.fit_many`, along one dimension.
    truth : mapping of ndarray
        (sets,) per parameter and level of the line.
    """
    logs = {p.name for p in model.parameters if p.scale == "log"}
    logs |= {d.name for d in model.derived if d.scale == "log"}
    sets = next(iter(truth.values())).size
    hits = {level: np.zeros((2, sets)) for level in NOMINAL}
    parameters, derived, faults = {}, {}, []
    for label in map(str, results["quantity"].values):
        one = _Quantity(results.sel(quantity=label), label in logs)
        true = truth.get(label)
        if one.held:
            continue
        bound = next((float(p.min) for p in model.parameters if p.name == label), None)
        faults += [f"{label}: {fault}" for fault in one.faults(bound)]
        if true is not None:
            parameters[label] = one.counts(true)
            for level in NOMINAL:
                hits[level] += one.hits(true, level)
        else:
            d = next(d for d in model.derived if d.name == label)
            with np.errstate(all="ignore"):
                true = np.asarray(d.function(**{a: truth[a] for a in d.arguments}))
            derived[label] = one.counts(np.broadcast_to(true, (sets,)))
    together = {level: _together(*h) for level, h in hits.items()}
    return RegimeCoverage(name, how, parameters, derived, together, tuple(faults))


def _together(hits: FloatArray, count: FloatArray) -> Together:
    return Together(
        float(hits.sum()),
        float(count.sum()),
        float(hits @ hits),
        float(hits @ count),
        float(count @ count),
    )


class _Quantity:
    """The results of one quantity."""

    def __init__(self, results: xr.Dataset, log: bool) -> None:
        from powercal.fitting.batch.verdicts import STATUSES

        self.log, self.names = log, STATUSES
        self.value, self.stderr = results["value"].values, results["stderr"].values
        self.status = results["status"].values.astype(int)
        self.ends = {level: results[f"interval{level}"].values for level in NOMINAL}
        self.judged = self._is("ok") | self._is("upper_limit")

    def _is(self, status: str) -> NDArray[np.bool_]:
        return np.asarray(self.status == self.names.index(status))

    @property
    def held(self) -> bool:
        """Whether it was not fitted at all."""
        return bool(self._is("fixed").all())

    def inside(self, truth: FloatArray, level: int) -> NDArray[np.bool_]:
        """Whether intervals hold the truth; not where there are none."""
        low, high = self.ends[level].T
        return np.asarray((low <= truth) & (truth <= high))

    def hits(self, truth: FloatArray, level: int) -> FloatArray:
        """Return, per data set, the judged intervals that hold the truth, and all judged ones."""
        return np.array([self.inside(truth, level) & self.judged, self.judged], dtype=float)

    def counts(self, truth: FloatArray) -> Counts:
        """Count."""
        printed = np.isfinite(self.ends[68]).all(axis=1)
        ok = self._is("ok") & (self.stderr > 0)
        off = (self.value - truth)[ok]
        if self.log:
            off = np.log(self.value[ok] / truth[ok]) * np.abs(self.value[ok])
        pulls = off / self.stderr[ok]
        codes, numbers = np.unique(self.status, return_counts=True)
        inside = {level: self.inside(truth, level) for level in NOMINAL}
        return Counts(
            sets=self.status.size,
            statuses={self.names[c]: int(n) for c, n in zip(codes, numbers, strict=True)},
            judged=int(self.judged.sum()),
            inside68=int((inside[68] & self.judged).sum()),
            inside95=int((inside[95] & self.judged).sum()),
            printed=int(printed.sum()),
            printed68=int((inside[68] & printed).sum()),
            printed95=int((inside[95] & printed).sum()),
            pulls=int(ok.sum()),
            pull_sum=float(pulls.sum()),
            pull_squares=float(pulls @ pulls),
        )

    def faults(self, bound: float | None) -> Iterable[str]:
        """Yield what no status excuses; ``bound`` is the lower one of a parameter."""
        ok, limit = self._is("ok"), self._is("upper_limit")
        bad_error = ok & ~((self.stderr > 0) & np.isfinite(self.stderr) & np.isfinite(self.value))
        if bad_error.any():
            yield f"ok without a value and a finite standard error > 0 in {bad_error.sum()} fits"
        low, high = self.ends[68].T
        wide_low, wide_high = self.ends[95].T
        fine = (low <= high) & (wide_low <= low) & (high <= wide_high) & np.isfinite(wide_high)
        bare = (ok & ~(fine & (wide_low < wide_high))) | (limit & ~fine)
        if bare.any():
            yield f"ok or upper_limit without nested finite intervals in {bare.sum()} fits"
        if bound is not None and (away := limit & (wide_low > bound)).any():
            yield f"upper_limit without the bound as its lower end in {away.sum()} fits"
        spoken = ~(ok | limit | self._is("at_bound")) & np.isfinite(self.stderr)
        if spoken.any():
            yield f"a standard error beside a status that denies it in {spoken.sum()} fits"
