"""Where a model is tried: its examples, and random points of its parameter space about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from powercal.contracts import Model, Parameter
from powercal.testing.simulated import examples

if TYPE_CHECKING:
    import xarray as xr

FACTOR = 3.0  # log parameters are drawn within this factor of their example
# How far a parameter whose example is zero may be moved, where no other row has its unit.
_SIZES = {"rad": 0.5, "dB": 3.0, "s": 1e-8, "s-1": 1e5, "Hz": 1e5, "K": 0.05, "W": 1e-17}


def size_of(row: Parameter, model: Model, traces: xr.Dataset) -> float:
    """Return by how much a parameter changes the curve noticeably, in its own unit."""
    if row.unit == "Hz" and "frequency" in traces:
        # A line, not its carrier, sets the size of what matters in a frequency.
        span = float(np.ptp(traces["frequency"].values))
        if span > 0 and abs(row.example) > span:
            return span / 10
    if row.example != 0:
        return abs(row.example) / 2
    if np.isfinite([row.min, row.max]).all():
        return (row.max - row.min) / 10
    kin = [abs(other.example) for other in model.parameters if other.unit == row.unit]
    return max(kin) / 5 or _SIZES.get(row.unit, 0.1)


def random_points(
    model: Model, traces: xr.Dataset, count: int = 4, seed: int = 0
) -> list[dict[str, float]]:
    """Return the examples and ``count`` random points inside the bounds.

    Log parameters are drawn log-uniformly within a factor of three, linear ones uniformly about
    the example.
    """
    rng = np.random.default_rng(seed)
    points = [examples(model)]
    for _ in range(count):
        point = {}
        for row in model.parameters:
            draw = float(rng.uniform(-1, 1))
            if row.scale == "log":
                value = row.example * FACTOR**draw
            else:
                value = row.example + draw * size_of(row, model, traces)
            point[row.name] = min(max(value, row.min), row.max)
        points.append(point)
    return points
