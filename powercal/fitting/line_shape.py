"""The other line shape: how well white and slow Gaussian broadening fit the same data."""

from __future__ import annotations

import dataclasses

import numpy as np

from powercal.contracts import Model
from powercal.errors import ContractError
from powercal.fitting.build import Request, make_problem
from powercal.fitting.levenberg import Minimum
from powercal.fitting.problem import Problem
from powercal.fitting.solve import Solution, search, shifts_between
from powercal.result import FitResult, Flag, Shift
from powercal.schema import DeviceTraces

SLOW = "sigma_slow"
# Of the width that the fit found, how much may be slow noise: little, half, most.
_SHARES = (0.1, 0.4, 0.8)
_BETTER = 9.0  # Δχ² by which the other shape must win to be worth a flag


def other_line_shape(
    result: FitResult,
    traces: DeviceTraces,
    model: Model,
    names: tuple[str, ...],
    request: Request,
    solution: Solution,
    quoted: tuple[str, ...],
) -> tuple[Shift, ...]:
    """Refit with the line shape that was not declared; both χ² are told (supplement C2, C11).

    ``chi2`` among the shifts is χ² of the alternative less that of the choice, for the same σ.
    """
    chosen = model.chosen.get("broadening")
    # Without a free Γφ slow noise would only take its place; a model may check its line itself.
    open_width = any(c.parameter == "gamma_phi" for c in solution.problem.coordinates)
    if chosen is None or not open_width or any(c.name == "line_shape" for c in result.checks):
        return ()
    other = "gaussian" if chosen == "white" else "white"
    try:
        configured = model.configure(broadening=other)
    except ContractError:  # not known for this detection or energy
        return ()
    wishes = _without_slow(request)
    problem = make_problem(traces, configured, names, wishes, dict(result.values))
    own = solution.problem
    problem = problem.with_sigma(tuple(b.sigma for b in own.blocks), own.modes)
    found = min((search(problem, x) for x in _starts(problem, result, chosen)), key=_chi2)
    known = {*problem.values(found.x), *(d.name for d in configured.derived)}
    both = tuple(n for n in quoted if n in known)
    moved = shifts_between(own, solution.x, problem, found.x, both)
    return (
        Shift(
            name="broadening",
            chosen=f"{chosen} (χ² {solution.chi2:.6g})",
            alternative=f"{other} (χ² {found.chi2:.6g})",
            shifts={"chi2": found.chi2 - solution.chi2, **moved},
        ),
    )


def _chi2(found: Minimum) -> float:
    return found.chi2


def _without_slow(request: Request) -> Request:
    """Wishes about the slow noise mean nothing without it, and are not known with it."""
    return dataclasses.replace(
        request,
        free=tuple(n for n in request.free if n != SLOW),
        fixed={k: v for k, v in request.fixed.items() if k != SLOW},
        priors={k: v for k, v in request.priors.items() if k != SLOW},
        per={k: v for k, v in request.per.items() if k != SLOW},
    )


def _starts(problem: Problem, result: FitResult, chosen: str) -> list[np.ndarray]:
    """Start at the fit's own values, with the width shared out between the two kinds of noise."""
    values = dict(result.values)
    width = next((e.value for e in result.derived if e.name == "gamma_2"), None)
    width = width or 1e-3 * values["qubit_frequency"]
    if chosen == "gaussian":
        values["gamma_phi"] = values["gamma_phi"] + 2 * np.pi * values[SLOW]
        return [problem.start_from(values)]
    moved = []
    for share in _SHARES:
        less = (1 - share) * values.get("gamma_phi", 0.0)
        slow = share * width / (2 * np.pi)
        moved.append(problem.start_from({**values, SLOW: slow, "gamma_phi": less}))
    return moved


def line_shape_flag(shifts: tuple[Shift, ...], reduced_chi2: float) -> tuple[Flag, ...]:
    """Say it where the other shape fits clearly better; structure left behind is no evidence."""
    noise = max(reduced_chi2, 1.0) if np.isfinite(reduced_chi2) else 1.0
    for shift in shifts:
        if shift.name == "broadening" and shift.shifts["chi2"] < -_BETTER * noise:
            return (
                Flag(
                    name="line_shape",
                    sentence=f"the line shape {shift.alternative} fits better than "
                    f"{shift.chosen}; Γ₂ rests on it, and n_th and gamma_phi with it: decide for "
                    f"one (--option broadening=…)",
                ),
            )
    return ()
