"""The verb fit: traces and a model in, one honest result out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from math import exp, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal import __version__
from powercal.contracts import Model, Parameter
from powercal.errors import FitError, PowercalError
from powercal.fitting.budget import with_budget, without_effect
from powercal.fitting.build import Request, make_table, options_from
from powercal.fitting.conclude import (
    alternatives,
    assumptions_freed,
    curve_dataset,
    notes,
    remedies_for,
    verdicts_for,
)
from powercal.fitting.doubts import solve_from_many, with_doubts, without_spikes
from powercal.fitting.estimates import Judged, judge
from powercal.fitting.grid import choose_observables, make_grid
from powercal.fitting.identifiability import determined_products, flat_names
from powercal.fitting.line_shape import line_shape_flag, other_line_shape
from powercal.fitting.minima import Explored
from powercal.fitting.problem import Problem
from powercal.fitting.robust import known_loss
from powercal.fitting.solve import Solution, best_search, search, solve
from powercal.fitting.starting import prepare
from powercal.fitting.twins import confess_twin, find_twin
from powercal.fitting.weights import weights_in_words
from powercal.line import line_of
from powercal.registry import distribution_of, get_model
from powercal.result import FitResult, Flag, Shift
from powercal.schema import DeviceTraces

FloatArray = NDArray[np.float64]

# The sign of the time factor is accepted when it is this many times likelier than the other.
LIKELIHOOD_RATIO = 1e3


def fit(
    traces: DeviceTraces,
    model: str | Model,
    *,
    free: Iterable[str] = (),
    fixed: Mapping[str, float] | None = None,
    priors: Mapping[str, tuple[float, float]] | None = None,
    per: Mapping[str, str] | None = None,
    observables: Iterable[str] = (),
    start: Mapping[str, float] | None = None,
    sigma: Mapping[str, float] | None = None,
    intervals: str = "profile",
    robust: str = "none",
    drop_spikes: bool = False,
    **options: str,
) -> FitResult:
    """Fit a model to traces.

    Parameters
    ----------
    traces : DeviceTraces
        From :func:`powercal.to_device_plane`, or with ``plane="device"``.
    model : str or Model
        A name that some plugin offers, or a model.
    free : iterable of str
        Parameters to free that the model fixes by default.
    fixed : mapping
        Parameters to hold, in SI.
    priors : mapping
        ``name: (mean, standard deviation)`` in SI, of parameters or derived quantities (``T1``).
    per : mapping
        ``name: dimension`` for parameters that differ along a dimension.
    observables : iterable of str
        Which of the model's observables to fit; all that the data hold if left out.
    start : mapping
        Starting values (SI) in place of the model's guess.
    sigma : mapping
        ``observable: standard deviation`` (SI, per quadrature) where the data hold none.
    intervals : {"profile", "covariance"}
        Profile χ² (statuses can be trusted near bounds) or quote the covariance (fast).
    robust : {"none", "soft_l1", "huber", "cauchy"}
        A loss to fit with as well: how estimates would move is told beside the result.
    drop_spikes : bool
        Whether to fit without isolated points far from the curve; which is told in a flag.
    **options : str
        Options of the model (``detection``, ``energy``, ``convention``).

    Returns
    -------
    FitResult
        Estimates with intervals, and what is not determined.

    Raises
    ------
    FitError
        The fit could not be started.
    PlaneError
        Nobody said how the traces relate to the device.
    UnknownNameError
        A model, parameter, observable, option or robust loss that does not exist.
    """
    request = Request(
        free=tuple(free),
        fixed=dict(fixed or {}),
        priors=dict(priors or {}),
        per=dict(per or {}),
        observables=tuple(observables),
        start=dict(start or {}),
        sigma=dict(sigma or {}),
        intervals=intervals,
        robust=known_loss(robust),
        drop_spikes=bool(drop_spikes),
    )
    if intervals not in ("profile", "covariance"):
        raise FitError(f"intervals is {intervals!r}; it must be 'profile' or 'covariance'")
    chosen = get_model(model) if isinstance(model, str) else model
    line_of(traces)
    traces, names = choose_observables(traces, chosen, request.observables)
    settings = options_from(traces, chosen, options, names)
    if settings.get("convention") == "find":
        return _either_convention(traces, chosen, names, request, settings)
    return _fit_one(traces, chosen.configure(**settings), names, request, ())


def _either_convention(
    traces: DeviceTraces,
    model: Model,
    names: tuple[str, ...],
    request: Request,
    settings: Mapping[str, str],
) -> FitResult:
    """Fit both signs of the time factor; refuse where they are about as likely."""
    if not any(np.iscomplexobj(traces[n]) for n in names):
        flag = Flag(
            name="convention",
            sentence="powers do not determine the sign of the time factor; it does not matter here",
        )
        return _fit_one(
            traces, model.configure(**{**settings, "convention": "+i"}), names, request, (flag,)
        )
    signs = ("+i", "-i")
    ready = {
        s: prepare(traces, model.configure(**{**settings, "convention": s}), names, request)
        for s in signs
    }
    rows = ready["+i"].problem.data.size
    chi2 = {s: search(r.problem, r.problem.start_from(r.start)).chi2 for s, r in ready.items()}
    if min(chi2.values()) > 2 * rows:  # neither fits at once: both deserve more starts
        chi2 = {
            s: best_search(r.problem, r.problem.start_from(r.start)).chi2 for s, r in ready.items()
        }
    best = min(chi2, key=lambda s: chi2[s])
    # Structure that even the better sign leaves behind must not count as evidence.
    noise = max(chi2[best] / rows, 1.0)
    ratio = exp(min(abs(chi2["+i"] - chi2["-i"]) / noise / 2, 700.0))
    text = f"χ² is {chi2['+i']:.6g} for e^(+iωt) and {chi2['-i']:.6g} for e^(−iωt)"
    if ratio < LIKELIHOOD_RATIO:
        raise FitError(
            f"the data do not determine the sign of the time factor ({text}, likelihood ratio "
            f"{ratio:.3g}, wanted {LIKELIHOOD_RATIO:g}); say convention='+i' or '-i'"
        )
    flag = Flag(name="convention", sentence=f"{text}; e^({best}ωt) was chosen")
    configured = model.configure(**{**settings, "convention": best})
    return _fit_one(traces, configured, names, request, (flag,))


def _fit_one(
    traces: DeviceTraces,
    model: Model,
    names: tuple[str, ...],
    request: Request,
    flags: tuple[Flag, ...],
) -> FitResult:
    problem, start, common, others = prepare(traces, model, names, request)
    starts = [problem.start_from(s) for s in (start, *others)]
    solution = solve(problem, starts[0], common, starts[1:])
    smaller = without_spikes(solution, request)
    if smaller is not None:
        return _fit_one(traces, model, names, smaller, flags)
    explored: Explored | None = None
    if request.intervals == "profile":
        solution, explored = solve_from_many(problem, solution, starts, common)
    rows = make_table(traces, model, names, request).rows
    judged = _judged(solution, rows, request)
    for _ in range(3):
        if judged.better is None:
            break
        # A profile fell into a deeper minimum: weights and all start again from there.
        solution = solve(problem, problem.start_from(_as_values(solution.problem, judged)), common)
        solution, explored = solve_from_many(problem, solution, starts, common)
        judged = _judged(solution, rows, request)
    if explored is not None:
        twin = find_twin(solution.problem, solution.x, solution.chi2, judged, explored)
        if twin is not None:
            judged = confess_twin(judged, solution.problem, twin)
    flags += without_effect(common)
    result = _assemble(traces, model, names, request, solution, judged, flags)
    result = _doubt(result, traces, model, names, request, solution, judged, explored)
    return with_budget(result, solution.problem, solution.x, judged.found.covariance, common)


def _judged(solution: Solution, rows: tuple[Parameter, ...], request: Request) -> Judged:
    return judge(
        solution.problem,
        solution.x,
        solution.chi2,
        rows,
        _freedom(solution),
        request.intervals == "profile",
    )


def _as_values(problem: Problem, judged: Judged) -> dict[str, float]:
    assert judged.better is not None
    return problem.values(judged.better)


def _freedom(solution: Solution) -> int:
    rows = solution.problem.data.size + len(solution.problem.priors)
    rank = int(np.linalg.matrix_rank(_scaled(solution.problem.jacobian(solution.x)), tol=3e-7))
    return rows - rank


def _scaled(jacobian: FloatArray) -> FloatArray:
    norms = np.linalg.norm(jacobian, axis=0)
    return np.asarray(jacobian / np.where(norms > 0, norms, 1.0))


def _assemble(
    traces: DeviceTraces,
    model: Model,
    names: tuple[str, ...],
    request: Request,
    solution: Solution,
    judged: Judged,
    flags: tuple[Flag, ...],
) -> FitResult:
    problem, x, freedom = solution.problem, solution.x, _freedom(solution)
    kept = [i for i, c in enumerate(problem.coordinates) if _determined(judged, c.name)]
    slopes = problem.slopes(x)
    covariance = judged.found.covariance * np.outer(slopes, slopes)
    return FitResult(
        model=model.name,
        model_version=model.version,
        distribution=distribution_of(model),
        options=dict(model.chosen),
        observables=names,
        parameters=judged.parameters,
        derived=judged.derived,
        names=tuple(problem.coordinates[i].name for i in kept),
        covariance=np.ascontiguousarray(covariance[np.ix_(kept, kept)]),
        chi2=solution.chi2,
        chi2_spread=sqrt(2 * max(freedom, 0)),
        ndata=problem.data.size,
        nfree=freedom,
        verdicts={},
        weights=_weights(problem),
        flags=flags,
        values=problem.values(x),
        request=request.plain(),
        source={
            k: str(traces.attrs[k])
            for k in ("source", "source_sha256", "loader", "reference", "item", "selection")
            if k in traces.attrs
        },
        version=__version__,
        traces=traces,
        curve=curve_dataset(traces, problem, x, make_grid(traces, model, names)),
    )


def _determined(judged: Judged, name: str) -> bool:
    return any(e.name == name and e.stderr is not None for e in judged.parameters)


def _weights(problem: Any) -> str:
    parts = [weights_in_words({b.name: b.given_sigma for b in problem.blocks})]
    if problem.modes is not None:
        parts.append(
            "errors of inputs, of the reference or of calibration points and named ones, common to "
            "many points, are marginalised (see the budget)"
        )
    return "; ".join(parts)


def _doubt(
    result: FitResult,
    traces: DeviceTraces,
    model: Model,
    names: tuple[str, ...],
    request: Request,
    solution: Solution,
    judged: Judged,
    explored: Explored | None,
) -> FitResult:
    """Add combinations, remedies, checks, systematics, flags and verdicts."""
    problem, x = solution.problem, solution.x
    undetermined = result.undetermined
    result = dataclasses.replace(
        result,
        combinations=_combinations(result, solution, judged),
        remedies=remedies_for(problem, x, judged.found, traces) if undetermined else (),
    )
    checks = model.checks(result) if model.checks is not None else ()
    result = dataclasses.replace(result, checks=checks)
    full = request.intervals == "profile"
    shifts: tuple[Shift, ...] = ()
    if full:
        shifts = alternatives(result, solution, model)
        shifts += assumptions_freed(result, traces, model, names, request, solution)
        shifts += other_line_shape(result, traces, model, names, request, solution)
    result = dataclasses.replace(result, systematics=shifts)
    doubtful = line_shape_flag(shifts, result.reduced_chi2)
    flagged = (*result.flags, *notes(result, solution, traces), *doubtful)
    result = dataclasses.replace(result, flags=flagged)
    result = with_doubts(result, solution, judged, request, explored)
    return dataclasses.replace(result, verdicts=verdicts_for(result, solution, checks))


def _combinations(result: FitResult, solution: Solution, judged: Judged) -> tuple[str, ...]:
    """Name what is determined among flat parameters: the model's words first, else products."""
    problem, x = solution.problem, solution.x
    flat = set(flat_names(problem, judged.found))
    if not flat:
        return ()
    named: list[str] = []
    rows = np.zeros((0, len(problem.coordinates)))
    for e in result.derived:
        derived = problem.derived(e.name)
        if e.status != "ok" or derived is None or not set(derived.arguments) & flat:
            continue
        row = problem.gradient(e.name, x) / judged.found.scale
        row = row * np.array([c.name in flat for c in problem.coordinates])
        more = np.vstack([rows, row / (np.linalg.norm(row) or 1.0)])
        if np.linalg.svd(more, compute_uv=False).min() > 1e-6:  # a new direction, not a synonym
            named, rows = [*named, e.name], more
    if len(named) < len(flat) - judged.found.null.shape[1]:
        return (*named, *determined_products(problem, x))
    return tuple(named)


def batch_dimensions(traces: DeviceTraces, model: str | Model) -> tuple[str, ...]:
    """Return the dimensions of the data that the model does not consume."""
    chosen = get_model(model) if isinstance(model, str) else model
    consumed = {d for n in chosen.inputs if n in traces.variables for d in traces[n].dims}
    held = [n for n in chosen.observables if n in traces]
    return tuple(dict.fromkeys(str(d) for n in held for d in traces[n].dims if d not in consumed))


def _label(traces: DeviceTraces, dim: str, index: int) -> str:
    """Name an index by its text coordinate (a channel), else by its number."""
    if dim in traces.coords and traces[dim].dtype.kind in "UO":
        return str(traces[dim].values[index])
    return str(index)


def fit_each(
    traces: DeviceTraces, model: str | Model, **wishes: Any
) -> list[tuple[str, FitResult | PowercalError]]:
    """Fit every index of the dimensions that a model does not consume.

    Parameters
    ----------
    traces, model, wishes
        As for :func:`fit`.

    Returns
    -------
    list of (label, FitResult or PowercalError)
        One per index, in order; a fit that could not be started is kept with its reason.
    """
    dims = batch_dimensions(traces, model)
    out: list[tuple[str, FitResult | PowercalError]] = []
    for index in np.ndindex(*(traces.sizes[d] for d in dims)):
        chosen = dict(zip(dims, (int(i) for i in index), strict=True))
        label = ",".join(f"{d}={_label(traces, d, i)}" for d, i in chosen.items())
        one = DeviceTraces(traces.isel(chosen).assign_attrs(item=label))
        try:
            out.append((label, fit(one, model, **wishes)))
        except PowercalError as reason:
            out.append((label, reason))
    return out
