"""One fit of many as a problem of its own, with its final weights."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from powercal.errors import FitError
from powercal.fitting.batch.axis_errors import solve_with_input_errors
from powercal.fitting.batch.noise import needs_rounds, solve_with_noise
from powercal.fitting.batch.solver import Plan
from powercal.fitting.batch.whole import Batch, Wishes, fit_block
from powercal.fitting.build import Request
from powercal.fitting.problem import Problem
from powercal.registry import get_model
from powercal.schema import DeviceTraces

if TYPE_CHECKING:
    import xarray as xr

FloatArray = NDArray[np.float64]
_OF_RESULTS = ("quantity", "side", "parameter", "parameter_b")


def one_of_many(result: xr.Dataset, traces: DeviceTraces | None) -> tuple[Problem, FloatArray]:
    """Return the problem of one fit of many with its final weights, and the solver's point.

    Raises
    ------
    FitError
        Several fits at once, or no data.
    """
    if "point" not in result or result["point"].dims != ("parameter",):
        sizes = {k: n for k, n in result.sizes.items() if k not in _OF_RESULTS}
        raise FitError(
            f"the results hold {sizes or 'no fits'}; select one fit, for example "
            f"results.isel({next(iter(sizes), 'trace')}=0)"
        )
    if traces is None:
        raise FitError(
            "results of many fits do not hold their data; pass the traces of this one, selected as "
            "the result was: to_lmfit(results.isel(trace=3), traces.isel(trace=3))"
        )
    request = Request.from_plain(json.loads(result.attrs["request"]))
    fixed = json.loads(result.attrs["fixed"])
    lost = [k for k, v in fixed.items() if isinstance(v, str)]
    if lost:
        raise FitError(
            f"{lost[0]} was held at another value in every fit, which results do not keep; fit "
            f"this one with fit(..., fixed={{{lost[0]!r}: …}}) and pass that result"
        )
    names = [str(n) for n in result["parameter"].values]
    point = dict(zip(names, (float(v) for v in result["point"].values), strict=True))
    wishes = Wishes(
        replace(request, start=point, fixed=fixed), {"fixed": {}, "start": {}}, False, "numpy"
    )
    model = get_model(result.attrs["model"])
    single = DeviceTraces(traces.expand_dims("one_fit"))
    batch = Batch(single, model, ("one_fit",), wishes, json.loads(result.attrs["options"]))
    problem = batch.problem(batch.read(0, 1), batch.layout, 0)
    if needs_rounds(problem):
        problem = solve_with_noise(problem, Plan(problem, "numpy"))[0]
    if problem.input_errors:
        problem = solve_with_input_errors(problem, Plan(problem, "numpy"))[0]
    one = problem.one(0)
    if any(o.sigma is None for o in problem.observed):  # σ is what one fit leaves over
        scale = float(np.sqrt(fit_block(problem, Plan(problem, "numpy")).scale[0]))
        one = one.with_sigma(tuple(b.sigma * scale for b in one.blocks), None)
    return one, one.start_from(point)
