"""What a fit says: estimates, checks, flags and shifts as plain frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from powercal.errors import unknown_name

if TYPE_CHECKING:
    import xarray as xr

Status = Literal["ok", "upper_limit", "at_bound", "undetermined", "fixed", "no_error"]
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What the data say about one parameter or derived quantity.

    ``value`` and ``stderr`` are None where the data do not determine them; ``allowed`` is then
    the range that the data leave open under the physical bounds (``(-inf, inf)``: unbounded).
    ``reason`` says in words why a status is not ``ok``; ``prior`` is (value, standard deviation).
    """

    name: str
    unit: str
    meaning: str
    status: Status
    value: float | None = None
    stderr: float | None = None
    interval68: Interval | None = None
    interval95: Interval | None = None
    allowed: Interval | None = None
    reason: str = ""
    prior: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """An assumption of the theory against this result."""

    name: str
    value: float
    limit: float
    verdict: Literal["holds", "fails", "unknown"]
    effect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """Something a reader must know: a short name and one sentence."""

    name: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """A systematic: how estimates move when another defensible choice is made.

    ``shifts`` are moves in the unit of the estimate (alternative minus chosen). For the name
    ``assumptions`` they are the two ends of a range: ``gamma_1 (lowest)``, ``gamma_1 (highest)``.
    """

    name: str
    chosen: str
    alternative: str
    shifts: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRow:
    """What one named source of error contributes to the uncertainty of the estimates.

    Attributes
    ----------
    source : str
        ``noise``, ``attenuation``, ``gain``, or the name under which the error was stated.
    kind : {"statistical", "systematic"}
        Whether more data of the same kind would make it smaller.
    contributions : mapping
        Standard uncertainty in the unit of the estimate, by derivative; shares that add in
        quadrature to the total.
    switched_off : mapping
        The same by refitting without the source: the root of the variance that goes with it.
    """

    source: str
    kind: Literal["statistical", "systematic"]
    contributions: Mapping[str, float]
    switched_off: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherMinimum:
    """A minimum of χ² that the search met: how deep, where, and from how many starts."""

    chi2: float
    values: Mapping[str, float]
    starts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FitResult:
    """One fit, complete: everything needed to read it, doubt it and fit again.

    Attributes
    ----------
    parameters, derived : tuple of Estimate
        The model's parameters (with line nuisances) and what follows from them.
    names, covariance : tuple of str, ndarray
        Standard covariance of the determined free parameters, in SI units.
    chi2, chi2_spread, ndata, nfree : float, float, int, int
        χ², the standard deviation expected of it, real data points, degrees of freedom.
    verdicts : mapping
        ``converged``, ``adequate``, ``identifiable``, ``within_assumptions``.
    combinations : tuple of str
        The combinations that the data determine where parameters are degenerate.
    remedies : tuple of str
        Options to copy that would lift a degeneracy.
    nearly_degenerate : tuple of str
        Sentences on determined parameters that the data hardly tell apart.
    budget : tuple of BudgetRow
        The uncertainty by named source.
    minima : tuple of OtherMinimum
        Every distinct minimum that the starts led to, the best first.
    goodness : mapping
        Probabilities and numbers that say how well curve and data agree (``chi2_probability``,
        ``runs_probability``, ``spikes``).
    values : mapping
        The solver's point in full, also where it has no meaning by itself; needed to draw the
        curve, never to be quoted.
    traces, curve : xarray.Dataset
        The data that were fitted and the best-fit curve beside them (``<name>``, ``<name>_sigma``).
    """

    model: str
    model_version: str
    distribution: str
    options: Mapping[str, str]
    observables: tuple[str, ...]
    parameters: tuple[Estimate, ...]
    derived: tuple[Estimate, ...]
    names: tuple[str, ...]
    covariance: NDArray[np.float64]
    chi2: float
    chi2_spread: float
    ndata: int
    nfree: int
    verdicts: Mapping[str, bool]
    weights: str
    flags: tuple[Flag, ...] = ()
    checks: tuple[Check, ...] = ()
    systematics: tuple[Shift, ...] = ()
    combinations: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()
    nearly_degenerate: tuple[str, ...] = ()
    budget: tuple[BudgetRow, ...] = ()
    minima: tuple[OtherMinimum, ...] = ()
    goodness: Mapping[str, float] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)
    request: Mapping[str, Any] = field(default_factory=dict)
    source: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    traces: xr.Dataset
    curve: xr.Dataset

    def __getitem__(self, name: str) -> Estimate:
        """Return the estimate of a parameter or derived quantity by name."""
        for estimate in (*self.parameters, *self.derived):
            if estimate.name == name:
                return estimate
        raise unknown_name("estimate", name, [e.name for e in (*self.parameters, *self.derived)])

    @property
    def undetermined(self) -> tuple[str, ...]:
        """Names of the parameters that the data do not determine."""
        return tuple(e.name for e in self.parameters if e.status == "undetermined")

    @property
    def reduced_chi2(self) -> float:
        """χ² over degrees of freedom."""
        return self.chi2 / self.nfree if self.nfree > 0 else float("nan")

    def equals(self, other: object) -> bool:
        """Whether another result is the same bit for bit, NaN equal to NaN."""
        if not isinstance(other, FitResult):
            return False
        for name in self.__dataclass_fields__:
            mine, theirs = getattr(self, name), getattr(other, name)
            if name in ("traces", "curve"):
                if not mine.identical(theirs):
                    return False
            elif not _same(mine, theirs):
                return False
        return True

    def __str__(self) -> str:
        """Return the result as a page of text."""
        from powercal.text import describe

        return describe(self)


def _same(mine: Any, theirs: Any) -> bool:
    if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
        return list(mine) == list(theirs) and all(_same(mine[k], theirs[k]) for k in mine)
    if isinstance(mine, np.ndarray):
        same_type = isinstance(theirs, np.ndarray) and mine.dtype == theirs.dtype
        return same_type and np.array_equal(mine, theirs, equal_nan=True)
    if isinstance(mine, tuple | list) and isinstance(theirs, tuple | list):
        return len(mine) == len(theirs) and all(map(_same, mine, theirs))
    if hasattr(mine, "__dataclass_fields__"):
        return type(mine) is type(theirs) and all(
            _same(getattr(mine, f), getattr(theirs, f)) for f in mine.__dataclass_fields__
        )
    if isinstance(mine, float) and isinstance(theirs, float):
        return mine == theirs or (mine != mine and theirs != theirs)
    return bool(mine == theirs)
