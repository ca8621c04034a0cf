"""The small parts of a problem: coordinates, blocks of data, priors, and the line's nuisances."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, inf, log, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Parameter

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Coordinate:
    """One free number in the solver's dimensionless coordinate.

    ``x = ln(value/scale)`` for log parameters, ``x = (value − origin)/scale`` for linear ones.
    """

    name: str
    parameter: str
    member: int | None
    low: float
    high: float
    log: bool
    origin: float
    scale: float

    def to_si(self, x: float) -> float:
        """Return the value in SI units."""
        value = self.scale * exp(min(x, 600.0)) if self.log else self.origin + self.scale * x
        return min(max(value, self.low), self.high)

    def from_si(self, value: float) -> float:
        """Return the solver's coordinate of a value in SI units."""
        if self.log:
            return log(value / self.scale) if value > 0 else -inf
        return (value - self.origin) / self.scale

    def slope(self, x: float) -> float:
        """Return d(value)/dx."""
        return self.to_si(x) if self.log else self.scale


@dataclass(frozen=True)
class Block:
    """The points of one observable, flattened; complex data count twice (real, imaginary)."""

    name: str
    index: int
    points: NDArray[np.intp]
    data: NDArray[Any]
    sigma: FloatArray
    trace: NDArray[np.intp]
    given_sigma: bool

    @property
    def complex(self) -> bool:
        """Whether the data are complex."""
        return np.iscomplexobj(self.data)

    @property
    def size(self) -> int:
        """Number of real numbers."""
        return self.data.size * (2 if self.complex else 1)

    def stack(self, values: NDArray[Any]) -> FloatArray:
        """Lay complex values out as real parts, then imaginary parts."""
        if self.complex:
            return np.concatenate([values.real, values.imag])
        return np.asarray(values.real, dtype=float)


@dataclass(frozen=True)
class Prior:
    """Knowledge about a parameter or derived quantity from elsewhere: N(mean, std).

    Where it came from the same measurement as the prior of ``partner``, their errors correlate.
    """

    name: str
    mean: float
    std: float
    partner: Prior | None = None
    correlation: float = 0.0

    def whitened(self, deviation: Callable[[Prior], Any]) -> Any:
        """Return the deviation in standard units, less what the partner's already explains."""
        if self.partner is None:
            return deviation(self)
        r = self.correlation
        return (deviation(self) - r * deviation(self.partner)) / sqrt(1 - r**2)


def nuisance(name: str) -> Parameter:
    """Return the table row of a line nuisance."""
    meaning = {
        "attenuation_db": "loss from generator to device",
        "gain_db": "gain from device to receiver",
    }[name]
    return Parameter(name=name, unit="dB", meaning=meaning, example=0.0, min=-300.0, max=300.0)
