"""A stored result made into a problem again, and into lmfit's own result."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Model
from powercal.fitting import lmfit_solver
from powercal.fitting.batch.single_out import one_of_many
from powercal.fitting.build import Request, make_problem
from powercal.fitting.common_errors import find_common_errors
from powercal.fitting.grid import make_grid
from powercal.fitting.problem import Problem
from powercal.registry import get_model
from powercal.result import FitResult
from powercal.schema import DeviceTraces

if TYPE_CHECKING:
    import xarray as xr

FloatArray = NDArray[np.float64]
REBUILD_ROUNDS = 30  # errors of inputs are found again by iteration, a factor ten a round or more


def to_lmfit(result: FitResult | xr.Dataset, traces: DeviceTraces | None = None) -> Any:
    """Return the genuine lmfit ``ModelResult`` of a result, refitted from its stored numbers.

    Its parameters are the solver's dimensionless coordinates (logarithms for rates, multiples of
    a scale for the rest), its data are whitened rows, priors are rows behind them.

    Parameters
    ----------
    result : FitResult or xarray.Dataset
        From :func:`fit` or :func:`powercal.read_report`; or one fit of :func:`fit_many`, selected
        by index (``results.isel(trace=3)``).
    traces : DeviceTraces, optional
        For one fit of many: its data, selected the same way, for results do not hold them.

    Returns
    -------
    lmfit.model.ModelResult
        χ² equals that of the result.

    Raises
    ------
    FitError
        Several fits at once, or one of many without its data.
    """
    if not isinstance(result, FitResult):
        problem, x = one_of_many(result, traces)
    else:
        problem, x = rebuild(result)
    return lmfit_solver.solve(problem, x)


def rebuild(result: FitResult, model: Model | None = None) -> tuple[Problem, FloatArray]:
    """Return the problem of a result with its final weights, and the solver's point.

    ``model`` is the one that was fitted, where it is not on offer by its name.
    """
    model = (model or get_model(result.model)).configure(**dict(result.options))
    request = Request.from_plain(json.loads(json.dumps(dict(result.request))))
    traces = DeviceTraces(result.traces)
    first = make_problem(traces, model, result.observables, request, dict(result.values))
    sigmas = tuple(result.curve[f"{b.name}_sigma"].values.ravel()[b.points] for b in first.blocks)
    x = first.start_from(result.values)
    common = find_common_errors(traces, first, make_grid(traces, model, result.observables))
    first = dataclasses.replace(
        first.with_sigma(sigmas, None), uncertain_inputs=common.uncertain_inputs
    )
    problem = first
    for _ in range(REBUILD_ROUNDS if common.axes else 1):
        problem, modes = common.relinearise(problem, first, x)
        problem = dataclasses.replace(problem, modes=modes)
    return problem, x
