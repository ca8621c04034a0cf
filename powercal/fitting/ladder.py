"""The verb ladder: one set of data, models of growing content, and which of them is wanted."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, log
from typing import Any

from powercal.contracts import Model
from powercal.errors import FitError, PowercalError, UnknownNameError, unknown_name
from powercal.fitting.again import rebuild
from powercal.fitting.identifiability import analyse
from powercal.fitting.ladder_rungs import (
    PLUGINS,
    Rung,
    default_rungs,
    merged,
    name_of,
    read_rungs,
)
from powercal.fitting.ladder_verdict import verdict_of
from powercal.fitting.ladder_weights import common_weights
from powercal.fitting.likelihood_ratio import ChiBar, chi_bar
from powercal.fitting.one_fit import fit
from powercal.result import Estimate, FitResult
from powercal.schema import DeviceTraces

CHANCE = 4.0  # spreads of χ² that are still chance
STUCK = 1e-3  # of χ²: a richer model cannot be worse, unless its search got stuck


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One rung after its fit, compared with a rung below.

    Attributes
    ----------
    label, model : str
        Of the rung.
    result : FitResult or None
        The fit; None where these data cannot be fitted so, for the ``reason`` given.
    chi2, rank, aicc, bic : float, int, float, float
        χ², the number of determined parameters, and both information criteria from them.
    target : Estimate or None
        What the model says of the quantity that the ladder watches (Γ₁).
    shift : float or None
        Its move from the next rung below that has a number, in its own standard errors.
    base : str
        The rung it is compared with: the richest below that is nested in it, else the next below.
    nested : bool
        Whether the base is this model with something held.
    gain, more : float, int
        By how much χ² falls from the base, and how many more parameters are determined.
    mixture : tuple of float
        Shares of χ² with 0, 1, … degrees of freedom that the gain follows by chance (½, ½: one
        parameter that starts at its bound); empty where not nested.
    probability : float or None
        That chance gains as much; None where not nested or nothing was added.
    note : str
        What a reader must know of this rung.
    """

    label: str
    model: str
    result: FitResult | None = None
    reason: str = ""
    chi2: float = inf
    rank: int = 0
    aicc: float = inf
    bic: float = inf
    target: Estimate | None = None
    shift: float | None = None
    base: str = ""
    nested: bool = False
    gain: float = 0.0
    more: int = 0
    mixture: tuple[float, ...] = ()
    probability: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """Fits of the same data by models of growing content, and what they say together.

    Attributes
    ----------
    steps : tuple of Step
        One per rung, the poorest model first.
    target : str
        The quantity that is watched.
    weights : str
        Whose σ all rungs use.
    noise : float
        The least reduced χ² of all rungs where it is above 1 by more than chance (else 1): gains
        are divided by it, for then σ is too small or no rung is right.
    verdict : str
        One sentence.
    """

    steps: tuple[Step, ...]
    target: str
    weights: str
    noise: float
    verdict: str

    def __getitem__(self, label: str) -> Step:
        """Return the step of a rung by its label."""
        for step in self.steps:
            if step.label == label:
                return step
        raise unknown_name("rung", label, [s.label for s in self.steps])

    def __str__(self) -> str:
        """Return the ladder as a table in plain text, the verdict below."""
        from powercal.text.ladder import describe_ladder

        return describe_ladder(self)


def ladder(
    traces: DeviceTraces,
    rungs: Iterable[Rung | tuple[str, str | Model, Mapping[str, Any]]] | None = None,
    *,
    target: str = "gamma_1",
    **wishes: Any,
) -> Ladder:
    """Fit the same data by models of growing content and say which content they want.

    All rungs use the same σ: the given one, else that of the richest rung that converges. Where a
    rung is another one with something held, the gain in χ² is a likelihood ratio with a
    probability (by a mixture of χ² where a parameter starts at its bound); degrees of freedom are
    directions that the data determine, not parameters. Elsewhere AICc and BIC compare.

    Parameters
    ----------
    traces : DeviceTraces
        As for :func:`powercal.fit`.
    rungs : iterable of Rung or (label, model, wishes), optional
        From the poorest to the richest; left out, the ladder that the kind of data suggests.
    target : str
        The parameter or derived quantity to watch.
    **wishes
        Arguments of :func:`powercal.fit` for all rungs (``priors``, ``intervals``, options, …).

    Returns
    -------
    Ladder
        One step per rung; a rung that cannot be fitted stands there with its reason.

    Raises
    ------
    FitError
        Fewer than two rungs, doubled labels, data without a ladder of their own, or no rung at
        all that can be fitted.
    """
    if rungs is None:
        chosen = default_rungs(traces, tuple(wishes.get("observables", ())))
    else:
        chosen = read_rungs(rungs)
    traces, wishes, weights = common_weights(traces, chosen, wishes)
    steps: list[Step] = []
    for rung in chosen:
        steps.append(_step(traces, rung, wishes, steps, target))
    fitted = [s for s in steps if s.result is not None]
    if not fitted:
        raise FitError(
            f"no rung of the ladder can be fitted to these data ({steps[0].label}: "
            f"{steps[0].reason}); give rungs whose models predict what was measured"
        )
    noise = min((_excess(s.result) for s in fitted if s.result is not None), default=1.0)
    steps = [_with_probability(s, steps, noise) for s in steps]
    return Ladder(
        steps=tuple(steps),
        target=target,
        weights=weights,
        noise=noise,
        verdict=verdict_of(steps, target, noise),
    )


def _excess(result: FitResult) -> float:
    """Reduced χ², or 1 where chance explains what is above."""
    reduced, spread = result.reduced_chi2, result.chi2_spread / max(result.nfree, 1)
    return reduced if isfinite(reduced) and reduced - 1 > CHANCE * spread else 1.0


# ---- one rung ----


def _step(
    traces: DeviceTraces,
    rung: Rung,
    wishes: Mapping[str, Any],
    below: Sequence[Step],
    target: str,
) -> Step:
    name = name_of(rung)
    try:
        arguments, aside = merged(rung, wishes)
        result = fit(traces, rung.model, **arguments)
        base, nulls = _base(rung, result, below)
        if base is not None and base.result is not None and nulls is not None:
            result = _unstuck(traces, rung, arguments, result, base.result, nulls)
    except PowercalError as reason:
        return Step(label=rung.label, model=name, reason=_why(name, reason))
    problem, x = rebuild(result, None if isinstance(rung.model, str) else rung.model)
    rank = analyse(problem.jacobian(x)).rank
    points = result.ndata + len(problem.priors)
    estimate = _target(result, target)
    more, nested = rank - (base.rank if base else 0), base is not None and nulls is not None
    mixture: tuple[float, ...] = ()
    if nested and base is not None and base.result is not None and nulls is not None:
        mixture = chi_bar(problem, dict(base.result.values), nulls).weights
        more = len(mixture) - 1
    return Step(
        label=rung.label,
        model=name,
        result=result,
        chi2=result.chi2,
        rank=rank,
        aicc=result.chi2 + 2 * rank + _small_sample(rank, points),
        bic=result.chi2 + rank * log(points),
        target=estimate,
        shift=_shift(estimate, below),
        base=base.label if base else "",
        nested=nested,
        gain=base.chi2 - result.chi2 if base else 0.0,
        more=more,
        mixture=mixture,
        note=_note(result, estimate, target, below, aside),
    )


def _why(name: str, reason: PowercalError) -> str:
    if isinstance(reason, UnknownNameError) and name in PLUGINS and "no model" in str(reason):
        return f"needs the plugin {PLUGINS[name]}, which is not installed"
    return str(reason)


def _small_sample(rank: int, points: int) -> float:
    left = points - rank - 1
    return 2 * rank * (rank + 1) / left if left > 0 else inf


def _target(result: FitResult, name: str) -> Estimate | None:
    estimates = (*result.parameters, *result.derived)
    return next((e for e in estimates if e.name == name), None)


def _shift(estimate: Estimate | None, below: Sequence[Step]) -> float | None:
    last = next((s.target for s in reversed(below) if _has_number(s.target)), None)
    if last is None or estimate is None or not _has_number(estimate):
        return None
    return ((estimate.value or 0.0) - (last.value or 0.0)) / (estimate.stderr or inf)


def _has_number(estimate: Estimate | None) -> bool:
    return estimate is not None and estimate.value is not None and bool(estimate.stderr)


def _note(
    result: FitResult,
    estimate: Estimate | None,
    target: str,
    below: Sequence[Step],
    aside: Sequence[str],
) -> str:
    out = list(aside)
    if estimate is None:
        out.append(f"the model has no {target}")
    elif estimate.status == "undetermined":
        first = any(_has_number(s.target) for s in below)
        told = ", ".join(result.combinations) or "combinations without a name"
        out.append(f"{target} has no number{' any more' if first else ''}: only {told}")
    if not result.verdicts["converged"]:
        out.append("the fit did not converge")
    return "; ".join(out)


# ---- nested or not ----


def _base(
    rung: Rung, result: FitResult, below: Sequence[Step]
) -> tuple[Step | None, Mapping[str, float] | None]:
    """Return the rung to compare with, and what was added at which value (None: not nested)."""
    fitted = [s for s in below if s.result is not None]
    nested = [(s, nulls) for s in fitted if (nulls := _nulls(rung, result, s)) is not None]
    if nested:
        return max(reversed(nested), key=lambda pair: pair[0].rank)
    return (fitted[-1], None) if fitted else (None, None)


def _nulls(rung: Rung, result: FitResult, lower: Step) -> Mapping[str, float] | None:
    poorer = lower.result
    assert poorer is not None
    if _priors(result) != _priors(poorer) or result.ndata != poorer.ndata:
        return None
    if lower.label in rung.contains:
        free = _free(result)
        return {n: v for n, v in rung.contains[lower.label].items() if n in free}
    if (poorer.model, dict(poorer.options)) != (result.model, dict(result.options)):
        return None
    mine, theirs = _free(result), _free(poorer)
    held = {e.name: e.value for e in poorer.parameters if e.status == "fixed"}
    still = {e.name: e.value for e in result.parameters if e.status == "fixed"}
    if not theirs < mine or any(held.get(n) != v for n, v in still.items()):
        return None
    return {n: float(held[n] or 0.0) for n in mine - theirs if n in held}


def _free(result: FitResult) -> set[str]:
    return {e.name.split("[")[0] for e in result.parameters if e.status != "fixed"}


def _priors(result: FitResult) -> Any:
    return dict(result.request.get("priors", {}))


def _unstuck(
    traces: DeviceTraces,
    rung: Rung,
    arguments: Mapping[str, Any],
    result: FitResult,
    poorer: FitResult,
    nulls: Mapping[str, float],
) -> FitResult:
    """A richer model fits at least as well: where it does not, start it from the poorer one."""
    if result.chi2 <= poorer.chi2 + STUCK:
        return result
    known = {e.name for e in result.parameters}
    start = {n: v for n, v in {**poorer.values, **nulls}.items() if n in known}
    again = fit(traces, rung.model, **{**arguments, "start": start})
    return again if again.chi2 < result.chi2 else result


def _with_probability(step: Step, steps: Sequence[Step], noise: float) -> Step:
    if not step.nested or step.more == 0:
        return step
    gain = step.gain / noise if step.gain > STUCK else 0.0
    return dataclasses.replace(step, probability=ChiBar(step.mixture).probability(gain))
