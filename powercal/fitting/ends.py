"""Ends of confidence regions: where, at which rise of χ², and whether a bound made them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from powercal.fitting.pieces import Coordinate
from powercal.fitting.regions import LEVELS, region

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class End:
    """One end of an interval: where, and whether χ² (not a bound) closed it."""

    value: float
    closed: bool


@dataclass(frozen=True, slots=True)
class Profile:
    """Ends of the 68 % and 95 % regions below and above the best value.

    ``rises`` are the Δχ² at which they end on either side; NaN: on the bound itself.
    """

    low: dict[int, End]
    high: dict[int, End]
    better: FloatArray | None = None
    rises: tuple[Mapping[int, float], Mapping[int, float]] = (LEVELS, LEVELS)

    def interval(self, level: int) -> tuple[float, float]:
        """Return both ends at a level (68 or 95)."""
        return self.low[level].value, self.high[level].value


def levels_beside(below: float, above: float) -> tuple[dict[int, float], dict[int, float]]:
    """Return Δχ² at the lower and the upper ends (NaN: the bound itself) for room beside bounds."""
    found = {level: region(below, above, level) for level in LEVELS}
    return (
        {level: float(ends.low) for level, ends in found.items()},
        {level: float(ends.high) for level, ends in found.items()},
    )


def end_in_si(c: Coordinate, x: float, bounds: tuple[float, float]) -> float:
    """Return the SI value of an end; a bound is the bound itself, not a rounding of it."""
    if not np.isfinite(x):
        # A log coordinate that runs away downward runs towards zero.
        return 0.0 if c.log and x < 0 else x
    if x <= bounds[0]:
        return c.low
    return c.high if x >= bounds[1] else c.to_si(x)
