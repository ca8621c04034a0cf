"""The kit's test of batches: a curve written down as one expression has the slopes it should."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from powercal.contracts import Model
from powercal.testing._call import curve_of, fault
from powercal.testing.points import random_points
from powercal.testing.simulated import open_mesh
from powercal.tracing import NotTraceableError

if TYPE_CHECKING:
    from powercal.fitting.batch.problem import BatchProblem

Array = NDArray[Any]
SAME = 1e-6  # of each derivative's size, as for a model's own derivatives


def batch_of(model: Model, traces: xr.Dataset) -> BatchProblem:
    """Return a batch with every parameter free, at random points, of data at the examples."""
    from powercal.fitting.batch.problem import Axis, BatchProblem, Observed

    mesh = open_mesh(model, traces)
    points = random_points(model, traces)
    shape = np.broadcast_shapes(*(v.shape for v in mesh.values()))
    flat = {n: np.array(np.broadcast_to(v, shape)).reshape(1, -1) for n, v in mesh.items()}
    rows = {n: v.ravel() for n, v in flat.items()}
    observed = []
    for k, curve in enumerate(curve_of(model, rows, points[0])):
        values = np.repeat(np.asarray(curve)[None, :], len(points), axis=0)
        size = float(np.max(np.abs(values))) or 1.0
        sigma = np.full((1, 1), 0.01 * size)
        observed.append(Observed(model.observables[k], k, values, sigma, True))
    return BatchProblem(
        model=model,
        inputs=flat,
        observed=tuple(observed),
        axes=tuple(Axis(p.name, p.scale == "log", p.min, p.max) for p in model.parameters),
        start=np.array([[point[p.name] for p in model.parameters] for point in points]),
        power_observables=(False,) * len(model.observables),
    )


def check_batch(model: Model, traces: xr.Dataset) -> None:
    """The batch solver sees the same χ², gradient and curvature as from arrays of derivatives.

    A curve that cannot be written down as one expression is fitted from its ``jacobian``, or by
    differences: there is nothing to compare then.
    """
    from powercal.fitting.batch.direct import DirectEvaluator
    from powercal.fitting.batch.evaluate import GramEvaluator
    from powercal.fitting.batch.expression import express

    problem = batch_of(model, traces)
    try:
        expression = express(problem)
    except NotTraceableError:
        return
    traced = _numbers(problem, GramEvaluator(problem, problem.size, expression))
    direct = _numbers(problem, DirectEvaluator(problem, problem.size))
    names = [p.name for p in model.parameters]
    for i, name in enumerate(names):
        scale = np.sqrt(direct[2][i * (i + 1) // 2 + i])
        if not np.all(np.isfinite(traced[1][i])):
            raise fault(model, f"the derivative by {name}, traced, is not finite")
        size = np.maximum(scale * np.sqrt(direct[0]), scale)
        off = np.max(np.abs(traced[1][i] - direct[1][i]) / np.where(size > 0, size, 1.0))
        if off > SAME:
            raise fault(
                model,
                f"the gradient by {name} from the traced curve differs from that of its "
                f"derivatives by {off:.3g} of its size",
            )
    if not np.allclose(traced[0], direct[0], rtol=SAME, atol=SAME):
        raise fault(model, "χ² of the traced curve differs from that of the curve itself")


def _numbers(problem: BatchProblem, evaluator: Any) -> tuple[Array, Array, Array]:
    """Return χ², gradient and packed normal matrix at the problem's own start."""
    p = len(problem.axes)
    evaluator.load(np.arange(problem.size), slice(0, problem.size))
    matrix, slope = np.empty((p * (p + 1) // 2, problem.size)), np.empty((p, problem.size))
    x = problem.to_coordinates(problem.start).T.copy()
    return evaluator.normal(x, matrix, slope), slope, matrix
