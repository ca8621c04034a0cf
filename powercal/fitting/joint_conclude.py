"""From a solved joint problem to its result: a result for each part, flags, words, verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from powercal import __version__
from powercal.fitting.budget import budget_of, given_assumptions
from powercal.fitting.conclude import curve_dataset, notes, quotable, verdicts_for
from powercal.fitting.estimates import Judged
from powercal.fitting.grid import make_grid
from powercal.fitting.identifiability import (
    analyse,
    determined_products,
    flat_names,
    lifting_sets,
)
from powercal.fitting.joint_build import JointRequest, Ready
from powercal.fitting.joint_names import LINE, Opened
from powercal.fitting.joint_problem import JointCommonErrors, JointProblem, Piece
from powercal.fitting.joint_result import JointResult
from powercal.fitting.joint_ties import Ties
from powercal.fitting.near import nearly_degenerate
from powercal.fitting.solve import Solution, equal_weights_shift
from powercal.fitting.tension import joint_tension, tension_flag
from powercal.fitting.weights import weights_in_words
from powercal.registry import distribution_of
from powercal.result import Estimate, FitResult, Flag, OtherMinimum, Shift

FloatArray = NDArray[np.float64]
_LIFTS = 6  # sets of numbers whose fixing lifts a degeneracy: more of them are no advice
_TIED = "follows from other numbers by a tie"


def conclude(
    ready: Ready,
    request: JointRequest,
    solution: Solution,
    judged: Judged,
    minima: tuple[OtherMinimum, ...] = (),
) -> JointResult:
    """Put the result of a joint fit together.

    Parameters
    ----------
    ready : Ready
        What was prepared.
    request : JointRequest
        What was asked.
    solution, judged : Solution, Judged
        The minimum and its estimates.
    minima : tuple of OtherMinimum
        All that were met.

    Returns
    -------
    JointResult
        With a result for each part.
    """
    problem, x = solution.problem, solution.x
    assert isinstance(problem, JointProblem)
    found = analyse(problem.jacobian(x))
    freedom = problem.data.size + len(problem.priors) - found.rank
    kept = [e.name for e in judged.parameters if e.stderr is not None]
    index = [i for i, c in enumerate(problem.coordinates) if c.name in kept]
    slopes = problem.slopes(x)
    covariance = (judged.found.covariance * np.outer(slopes, slopes))[np.ix_(index, index)]
    names = tuple(problem.coordinates[i].name for i in index)
    known = {e.name: e for e in (*judged.parameters, *judged.derived)}
    parts = {
        piece.name: _of_part(ready, piece, solution, known, (names, covariance), found.covariance)
        for piece in problem.pieces
    }
    import xarray

    result = JointResult(
        model="joint",
        model_version="1",
        distribution=distribution_of(problem.model),
        options={},
        observables=tuple(b.name for b in problem.blocks),
        parameters=judged.parameters,
        derived=judged.derived,
        names=names,
        covariance=np.ascontiguousarray(covariance),
        chi2=solution.chi2,
        chi2_spread=sqrt(2 * max(freedom, 0)),
        ndata=problem.data.size,
        nfree=freedom,
        verdicts={},
        weights="; ".join(dict.fromkeys(p.weights for p in parts.values())),
        minima=minima,
        values=problem.values(x),
        request=request.plain(),
        version=__version__,
        traces=xarray.Dataset(),
        curve=xarray.Dataset(),
        parts=parts,
        ties=ready.ties.in_words,
        tension=joint_tension(problem, x, kept),
    )
    return _doubt(result, ready, request, solution, judged)


# ---- the parts ----


def _of_part(
    ready: Ready,
    piece: Piece,
    solution: Solution,
    known: Mapping[str, Estimate],
    joint: tuple[tuple[str, ...], FloatArray],
    covariance: FloatArray,
) -> FitResult:
    """Return what the joint fit says of one part, by the part's own names."""
    problem, x = solution.problem, solution.x
    assert isinstance(problem, JointProblem)
    opened, homes = ready.opened[piece.name], ready.homes[piece.name]
    at = problem.local(piece, x)
    alone = problem.only((piece.name,), priors=False)
    rows, slopes = alone.residual(x), alone.jacobian(x)
    ndata = alone.data.size
    nfree = round(ndata - float(np.sum((slopes @ covariance) * slopes)))
    sure, indices = _own_names(piece, joint[0])
    mine = replace(piece.problem, modes=alone.modes)
    result = FitResult(
        model=opened.model.name,
        model_version=opened.model.version,
        distribution=distribution_of(opened.model),
        options=dict(opened.model.chosen),
        observables=opened.names,
        parameters=_local_estimates(opened, piece, homes, ready.ties, known, at),
        derived=_local_derived(opened, homes, known),
        names=sure,
        covariance=np.ascontiguousarray(joint[1][np.ix_(indices, indices)]),
        chi2=float(rows @ rows),
        chi2_spread=sqrt(2 * max(nfree, 0)),
        ndata=ndata,
        nfree=nfree,
        verdicts={},
        weights=weights_in_words({b.name: b.given_sigma for b in piece.problem.blocks}),
        flags=(Flag(name="joint", sentence=f"part {piece.name!r} of a joint fit"),),
        values=piece.problem.values(at),
        request=opened.request.plain(),
        source=_source(opened),
        version=__version__,
        traces=opened.traces,
        curve=curve_dataset(
            opened.traces, mine, at, make_grid(opened.traces, opened.model, opened.names)
        ),
    )
    checks = opened.model.checks(result) if opened.model.checks is not None else ()
    own = Solution(mine, at, result.chi2, solution.converged, solution.rounds, solution.message)
    result = replace(result, checks=tuple(checks))
    result = replace(result, flags=(*result.flags, *notes(result, own, opened.traces)))
    return replace(result, verdicts=verdicts_for(result, own, result.checks))


def _source(opened: Opened) -> dict[str, str]:
    words = ("source", "source_sha256", "loader", "reference", "item", "selection")
    return {k: str(opened.traces.attrs[k]) for k in words if k in opened.traces.attrs}


def _own_names(piece: Piece, names: tuple[str, ...]) -> tuple[tuple[str, ...], list[int]]:
    """Return the part's names of determined numbers, and where these stand in the covariance."""
    pairs = [
        (c.name, names.index(source))
        for c, source in zip(piece.problem.coordinates, piece.sources, strict=True)
        if source in names
    ]
    return tuple(n for n, _ in pairs), [i for _, i in pairs]


def _local_estimates(
    opened: Opened,
    piece: Piece,
    homes: Mapping[str, str],
    ties: Ties,
    known: Mapping[str, Estimate],
    at: FloatArray,
) -> tuple[Estimate, ...]:
    out = []
    coordinates = piece.problem.coordinates
    for row in opened.table.rows:
        mine = [i for i, c in enumerate(coordinates) if c.parameter == row.name]
        tied = (opened.name, row.name) in ties.functions
        for i in mine or [-1]:
            source = homes[row.name] if i < 0 or tied else piece.sources[i]
            local = row.name if i < 0 else coordinates[i].name
            found = known.get(source)
            if found is None:  # tied, and not among the derived quantities asked for
                value = float(at[i])
                found = Estimate(
                    name=local, unit=row.unit, meaning=row.meaning, status="no_error", value=value
                )
            reason = found.reason or (_TIED if tied else "")
            out.append(replace(found, name=local, meaning=row.meaning, reason=reason))
    return tuple(out)


def _local_derived(
    opened: Opened, homes: Mapping[str, str], known: Mapping[str, Estimate]
) -> tuple[Estimate, ...]:
    return tuple(
        replace(known[homes[d.name]], name=d.name, meaning=d.meaning)
        for d in opened.model.derived
        if homes.get(d.name) in known
    )


# ---- words ----


def _doubt(
    result: JointResult, ready: Ready, request: JointRequest, solution: Solution, judged: Judged
) -> JointResult:
    """Add combinations, remedies, systematics, flags and verdicts."""
    problem, x = solution.problem, solution.x
    full = request.intervals == "profile"
    shifts = _shifts(result, solution) if full else ()
    near = nearly_degenerate(problem, x, judged.found, result.names)
    result = replace(
        result,
        combinations=_combinations(result, solution, judged),
        remedies=_remedies(solution, judged) if result.undetermined else (),
        nearly_degenerate=near,
        systematics=shifts,
    )
    budget = budget_of(result, problem, x, judged.found.covariance, ready.common)
    told = given_assumptions(result.derived, problem, x)
    result = replace(result, budget=budget, derived=told)
    result = replace(result, flags=_flags(result, ready, solution))
    wrong = {f.name for f in result.flags} & {"chi2", "left_over", "tension", "tie_outside"}
    verdicts = {
        "converged": all(p.verdicts["converged"] for p in result.parts.values()),
        "adequate": not wrong,
        "identifiable": not result.undetermined,
        "within_assumptions": all(p.verdicts["within_assumptions"] for p in result.parts.values()),
    }
    return replace(result, verdicts=verdicts)


def _shifts(result: JointResult, solution: Solution) -> tuple[Shift, ...]:
    moved = equal_weights_shift(solution, quotable(result))
    if not moved:
        return ()
    return (
        Shift(
            name="weights",
            chosen="one σ per trace",
            alternative="one σ for all traces",
            shifts=dict(moved),
        ),
    )


def _combinations(result: JointResult, solution: Solution, judged: Judged) -> tuple[str, ...]:
    """Name what is determined among flat numbers: derived quantities first, else products."""
    problem, x = solution.problem, solution.x
    flat = flat_names(problem, judged.found)
    if not flat:
        return ()
    mask = np.array([c.name in flat for c in problem.coordinates])
    named: list[str] = []
    rows = np.zeros((0, mask.size))
    for e in result.derived:
        row = problem.gradient(e.name, x) / judged.found.scale * mask
        if e.status != "ok" or not row.any():
            continue
        more = np.vstack([rows, row / np.linalg.norm(row)])
        if np.linalg.svd(more, compute_uv=False).min() > 1e-6:
            named, rows = [*named, e.name], more
    if len(named) < len(flat) - judged.found.null.shape[1]:
        return (*named, *determined_products(problem, x))
    return tuple(named)


def _remedies(solution: Solution, judged: Judged) -> tuple[str, ...]:
    """Say which numbers, held or known from elsewhere, would lift the degeneracy."""
    if not judged.found.null.shape[1]:
        return ("more data, or a prior: the data confine the parameter too weakly",)
    out = []
    for group in lifting_sets(solution.problem, judged.found)[:_LIFTS]:
        priors = ", ".join(f"'{n}': (MEAN, STD)" for n in group)
        out.append(f"priors={{{priors}}}, or hold {' and '.join(group)} with fixed= in its parts")
    return (*out, "a part that measures one of these in another way")


def _flags(result: JointResult, ready: Ready, solution: Solution) -> tuple[Flag, ...]:
    out = [*_told(result, ready), *_outside(result, ready)]
    if not solution.converged:
        out.append(
            Flag(name="not_converged", sentence=f"the fit did not converge: {solution.message}")
        )
    once = {"not_converged", "undetermined", "joint"}
    said: dict[Flag, list[str]] = {}
    for name, part in result.parts.items():
        for flag in part.flags:
            if flag.name not in once:
                said.setdefault(flag, []).append(name)
    out += [
        Flag(name=flag.name, sentence=f"{', '.join(parts)}: {flag.sentence}")
        for flag, parts in said.items()
    ]
    out += [
        Flag(
            name="undetermined", sentence=f"{n} is not determined by these data; no value is given"
        )
        for n in result.undetermined
    ]
    return (*out, *tension_flag(result.tension))


def _told(result: JointResult, ready: Ready) -> list[Flag]:
    """Say what was taken as one, and what as apart, without being asked."""
    out = []
    for local in LINE:
        holders = [n for n, p in ready.opened.items() if local in p.rows]
        homes = {ready.homes[n][local] for n in holders}
        if len(holders) > 1:
            same = "one number: the same line" if len(homes) == 1 else "each its own number"
            out.append(Flag(name="line", sentence=f"{local} of {', '.join(holders)} is {same}"))
    if isinstance(ready.common, JointCommonErrors):
        shared = ready.common.shared
        if shared:
            sentence = f"{', '.join(shared)}: one error of several parts, by its name"
            out.append(Flag(name="common_errors", sentence=sentence))
        apart = [
            p.name for p in ready.common.pieces if {g.name for g in p.common.groups} - {*shared}
        ]
        if len(apart) > 1:
            out.append(
                Flag(
                    name="common_errors",
                    sentence=f"errors common to the points of one part (of an axis, a reference, "
                    f"calibration points) are taken as independent between {', '.join(apart)}",
                )
            )
    return out


def _outside(result: JointResult, ready: Ready) -> list[Flag]:
    """Say where a tie leaves the range of the number it gives, at the minimum or within 95 %."""
    out = []
    for part, local in ready.ties.functions:
        row = ready.opened[part].rows[local]
        e = result.parts[part][local]
        ends = [v for v in (e.value, *(e.interval95 or ())) if v is not None]
        if any(not row.min * (1 - 1e-9) <= v <= row.max * (1 + 1e-9) for v in ends):
            out.append(
                Flag(
                    name="tie_outside",
                    sentence=f"the tie takes {local} of {part} to {min(ends):.3g} … "
                    f"{max(ends):.3g} {row.unit}, outside {row.min:g} … {row.max:g}; bound the "
                    f"numbers it uses",
                )
            )
    return out
