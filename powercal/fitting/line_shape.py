"""The other line shape: how well white and slow Gaussian broadening fit the same data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from powercal.contracts import Model
from powercal.errors import ContractError
from powercal.fitting.build import Request, make_problem
from powercal.fitting.conclude import quotable
from powercal.fitting.problem import Problem
from powercal.fitting.solve import Solution, search, shifts_between
from powercal.line import nominal
from powercal.result import FitResult, Flag, Shift
from powercal.schema import DeviceTraces

SLOW = "sigma_slow"
_TIMES = (1.0, 3.0, 9.0)  # of the guess of the slow noise: little, half, most of the width
_BETTER = 9.0  # Δχ² by which the other shape must win to be worth a flag


def other_line_shape(
    result: FitResult,
    traces: DeviceTraces,
    model: Model,
    names: tuple[str, ...],
    request: Request,
    solution: Solution,
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
    values = dict(result.values)
    own = solution.problem
    problem = make_problem(traces, configured, names, _known_to(configured, request), values)
    # The same data, σ and inputs, which errors on the axes may have moved.
    problem = dataclasses.replace(problem, inputs=own.inputs, blocks=own.blocks, modes=own.modes)
    tried = (search(problem, x) for x in _starts(problem, traces, values))
    found = min(tried, key=lambda minimum: minimum.chi2)
    known = {*problem.values(found.x), *(d.name for d in configured.derived)}
    both = tuple(n for n in quotable(result) if n in known)
    moved = shifts_between(own, solution.x, problem, found.x, both)
    return (
        Shift(
            name="broadening",
            chosen=f"{chosen} (χ² {solution.chi2:.6g})",
            alternative=f"{other} (χ² {found.chi2:.6g})",
            shifts={"chi2": found.chi2 - solution.chi2, **moved},
        ),
    )


def _known_to(model: Model, request: Request) -> Request:
    """Drop the wishes about parameters that a model does not have."""
    gone = {SLOW} - {row.name for row in model.parameters}

    def kept(wishes: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in wishes.items() if name not in gone}

    return dataclasses.replace(
        request,
        free=tuple(n for n in request.free if n not in gone),
        fixed=kept(request.fixed),
        priors=kept(request.priors),
        per=kept(request.per),
        start=kept(request.start),
    )


def _starts(problem: Problem, traces: DeviceTraces, values: Mapping[str, float]) -> list[Any]:
    """Start at the fit's own values; what they lack, at some multiples of the model's guess."""
    if SLOW not in {c.parameter for c in problem.coordinates}:
        return [problem.start_from(values)]
    line = (values.get(name) for name in ("attenuation_db", "gain_db"))
    guess = problem.model.guess(DeviceTraces(nominal(traces, *line)), problem.fixed)
    slow = float(np.asarray(guess[SLOW]).ravel()[0])
    return [problem.start_from({**values, SLOW: times * slow}) for times in _TIMES]


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
