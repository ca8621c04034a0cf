"""The uncertainty budget: how much of every error comes from which source."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Derived
from powercal.fitting.common_errors import CommonErrors
from powercal.fitting.identifiability import Identifiability, analyse
from powercal.fitting.pieces import Prior
from powercal.fitting.problem import Problem
from powercal.result import BudgetRow, Estimate, FitResult, Flag, Shift
from powercal.sources import ATTENUATION, CHOICE, GAIN, LINE, NOISE

FloatArray = NDArray[np.float64]

_NAMES = {"attenuation_db": ATTENUATION, "gain_db": GAIN}
# The systematics that tell alternatives as good as what was chosen.
_CHOICES = {"energy": "energy bookkeeping", "weights": "weights", "broadening": "line shape"}
_DEFENSIBLE = 9.0  # a line shape whose χ² is higher by more is refuted by the data, no choice
_QUIET = 100.0  # σ smaller by this stand for no noise; the 1e-4 of its variance left is counted in


@dataclass(frozen=True)
class _Source:
    """The rows of the whitened problem that carry one source's unit errors."""

    name: str
    statistical: bool
    rows: NDArray[np.intp]
    priors: tuple[Prior, ...] = ()

    @property
    def kind(self) -> Literal["statistical", "systematic"]:
        return "statistical" if self.statistical else "systematic"


def with_budget(
    result: FitResult, problem: Problem, x: FloatArray, wide: FloatArray, common: CommonErrors
) -> FitResult:
    """Return the result with its budget, and with words where an error leaves something out."""
    return dataclasses.replace(
        result,
        budget=budget_of(result, problem, x, wide, common),
        derived=given_assumptions(result.derived, problem, x),
    )


def without_effect(common: CommonErrors) -> tuple[Flag, ...]:
    """Tell of named errors that act on nothing that is fitted."""
    if not common.unused:
        return ()
    sentence = f"{', '.join(common.unused)}: what these error sources act on was not fitted"
    return (Flag(name="error_sources", sentence=sentence),)


def budget_of(
    result: FitResult, problem: Problem, x: FloatArray, wide: FloatArray, common: CommonErrors
) -> tuple[BudgetRow, ...]:
    """Return the budget of everything that has an error.

    Every row of the whitened problem is an independent standard draw: of the noise, of a common
    error, or of a prior. The estimator is linear in them (δx = C·Jᵀ·ε), so that a source whose
    rows are J_s contributes the variance C·J_sᵀJ_s·C, and all of them together C: the squares add
    up to the square of the standard error exactly, within linear theory.

    Parameters
    ----------
    result : FitResult
        With its statuses and systematics; what has no number gets no share.
    problem, x : Problem, ndarray
        The minimum.
    wide : ndarray
        The covariance in solver coordinates, enlarged for σ that are estimates (noise).
    common : CommonErrors
        Which columns of the problem's modes belong to which source.

    Returns
    -------
    tuple of BudgetRow
        Noise, common errors, priors; last the choices of model and weights, which the fit's own
        error does not hold: half the spread between the alternatives.
    """
    jacobian = problem.jacobian(x)
    found = analyse(jacobian)
    shares = _Shares(problem, x, jacobian, found, wide)
    names = shares.names(result)
    if not names:
        return ()
    sources = list(_sources(problem, common, jacobian.shape[0]))
    full = result.request.get("intervals") == "profile"
    rows = [
        BudgetRow(
            source=s.name,
            kind=s.kind,
            contributions=shares.by_derivative(s, names),
            switched_off=shares.switched_off(s, names) if full else {},
        )
        for s in sources
    ]
    return (*rows, *_choices(result, names))


def _sources(problem: Problem, common: CommonErrors, rows: int) -> Iterator[_Source]:
    first = problem.data.size
    yield _Source(NOISE, True, np.arange(first))
    for group in common.groups:
        at = np.arange(first + group.columns.start, first + group.columns.stop)
        yield _Source(group.name, group.statistical, at)
    first = rows - len(problem.priors)
    together = {p.partner.name for p in problem.priors if p.partner is not None}
    for i, prior in enumerate(problem.priors):
        if prior.name in together:
            continue  # stands in the row of the one it was measured with
        if prior.partner is not None:
            both = [j for j, p in enumerate(problem.priors) if p.name == prior.partner.name]
            at = first + np.array([*both, i])
            yield _Source(LINE, False, at, (prior.partner, prior))
        else:
            name = _NAMES.get(prior.name, f"{prior.name} (prior)")
            yield _Source(name, False, np.array([first + i]), (prior,))


class _Shares:
    """The linear theory of one minimum."""

    def __init__(
        self,
        problem: Problem,
        x: FloatArray,
        jacobian: FloatArray,
        found: Identifiability,
        wide: FloatArray,
    ) -> None:
        self.problem, self.x, self.jacobian, self.found = problem, x, jacobian, found
        self.covariance = found.covariance
        self.extra = wide - found.covariance
        self.gradients: dict[str, FloatArray] = {}

    def names(self, result: FitResult) -> tuple[str, ...]:
        """Return what has an error, with its gradients."""
        for e in (*result.parameters, *result.derived):
            if e.status not in ("ok", "upper_limit") or e.value is None:
                continue
            gradient = self.problem.gradient(e.name, self.x)
            known = np.isfinite(gradient).all() and gradient.any()
            if known and self.found.determines(gradient):
                self.gradients[e.name] = gradient
        self.stack = np.array(list(self.gradients.values())).reshape(-1, self.x.size)
        self.moves = self.jacobian @ self.covariance @ self.stack.T
        return tuple(self.gradients)

    def by_derivative(self, source: _Source, names: tuple[str, ...]) -> dict[str, float]:
        """Root of C·J_sᵀJ_s·C; the uncertainty of estimated σ belongs to the noise."""
        variance = np.sum(self.moves[source.rows] ** 2, axis=0)
        if source.name == NOISE:
            variance = variance + self._along(self.extra)
        return _roots(names, variance)

    def switched_off(self, source: _Source, names: tuple[str, ...]) -> dict[str, float]:
        """Root of the variance that goes when the source is known, all else solved again."""
        if source.name == NOISE:
            return self._without_noise(names)
        if source.priors:
            held = np.array([self.problem.gradient(p.name, self.x) for p in source.priors])
            shared = held @ self.covariance @ self.stack.T
            own = held @ self.covariance @ held.T
        else:
            # Amplitudes a of common errors: cov(a, x) and cov(a) of the joint posterior, from the
            # rows −K of the whitened Jacobian and from what the prior and the data leave of a.
            slopes = self.jacobian[source.rows]
            assert self.problem.common_basis is not None
            basis = self.problem.common_basis[source.rows]
            shared = self.moves[source.rows]
            own = basis @ basis.T + slopes @ self.covariance @ slopes.T
        return _roots(names, np.sum(shared * np.linalg.solve(own, shared), axis=0))

    def _without_noise(self, names: tuple[str, ...]) -> dict[str, float]:
        sigmas = tuple(b.sigma / _QUIET for b in self.problem.blocks)
        quiet = analyse(self.problem.with_sigma(sigmas, self.problem.modes).jacobian(self.x))
        if quiet.rank != self.found.rank:  # what only the noise tells apart
            return {}
        gone = self._along(self.covariance - quiet.covariance) / (1 - _QUIET**-2)
        return _roots(names, gone + self._along(self.extra))

    def _along(self, matrix: FloatArray) -> FloatArray:
        return np.asarray(np.einsum("qi,ij,qj->q", self.stack, matrix, self.stack))


def _roots(names: tuple[str, ...], variance: FloatArray) -> dict[str, float]:
    roots = np.sqrt(np.maximum(variance, 0.0))
    return {n: float(v) for n, v in zip(names, roots, strict=True)}


# ---- choices ----


def _choices(result: FitResult, names: tuple[str, ...]) -> Iterator[BudgetRow]:
    """Half the spread between defensible choices, taken as a standard uncertainty."""
    moves: dict[str, list[Mapping[str, float]]] = {}
    for shift in result.systematics:
        if _is_choice(shift, result.reduced_chi2):
            moves.setdefault(shift.name, []).append(shift.shifts)
    for name, shifts in moves.items():
        told = [n for n in names if all(np.isfinite(s.get(n, np.nan)) for s in shifts)]
        spread = {n: [0.0, *(s[n] for s in shifts)] for n in told}
        yield BudgetRow(
            source=f"{CHOICE}{_CHOICES[name]}",
            kind="systematic",
            contributions={n: (max(v) - min(v)) / 2 for n, v in spread.items()},
        )


def _is_choice(shift: Shift, reduced_chi2: float) -> bool:
    """Whether the shift tells such an alternative, and the data do not refute it."""
    noise = max(reduced_chi2, 1.0) if np.isfinite(reduced_chi2) else 1.0
    return shift.name in _CHOICES and shift.shifts.get("chi2", 0.0) <= _DEFENSIBLE * noise


# ---- what rests on assumptions without an error ----


def given_assumptions(
    estimates: Iterable[Estimate], problem: Problem, x: FloatArray
) -> tuple[Estimate, ...]:
    """Say of derived quantities which parameters, held without an error, their error leaves out."""
    told = []
    for e in estimates:
        derived = problem.derived(e.name)
        held = _held_inside(derived, problem, x) if derived is not None else ()
        if held and e.status in ("ok", "upper_limit"):
            words = f"given {', '.join(held)} as assumed"
            e = dataclasses.replace(e, reason=f"{e.reason}; {words}" if e.reason else words)
        told.append(e)
    return tuple(told)


def _held_inside(derived: Derived, problem: Problem, x: FloatArray) -> tuple[str, ...]:
    sizes = {p.name: abs(p.example) or 1.0 for p in problem.model.parameters}
    known = problem.values(x)
    values = {a: known[a] for a in derived.arguments}

    def moves(name: str) -> bool:
        step = 1e-3 * (abs(values[name]) or sizes.get(name, 1.0))
        with np.errstate(all="ignore"):
            near = float(derived.function(**values))
            far = float(derived.function(**{**values, name: values[name] + step}))
        return near != far

    return tuple(a for a in derived.arguments if a in problem.fixed and moves(a))
