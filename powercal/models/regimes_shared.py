"""What the regimes of all models share: occupations, saturations, and what is known how well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

QUBIT_FREQUENCY = 5e9  # Hz
OCCUPATIONS = (0.01, 0.1, 1.0)
# Incident powers over the saturation power: curvature is just seen, seen whole, or mostly over.
POWERS = {"low": (0.05, 0.8), "middle": (0.1, 10.0), "high": (1.0, 60.0)}
LINE_ERRORS = (0.0, 0.5)  # dB, of attenuation and gain
POWER_ERRORS = (0.0, 0.02)  # relative, of each incident power
ATTENUATION_DB, GAIN_DB = 60.0, 40.0
POINTS = (5, 11)  # powers and frequencies: data sets stay small


@dataclass(frozen=True)
class Cell:
    """One cell of the grid of regimes."""

    n_th: float
    saturation: str
    line_error: float
    power_error: float

    @property
    def name(self) -> str:
        """What is special about it."""
        return (
            f"n_th {self.n_th:g}, {self.saturation} saturation, "
            f"line ±{self.line_error:g} dB, power ±{100 * self.power_error:g} %"
        )

    @property
    def line(self) -> dict[str, tuple[float, float]]:
        """The line with its errors; none where there is nothing to be wrong about."""
        if not self.line_error:
            return {}
        return {
            "attenuation_db": (ATTENUATION_DB, self.line_error),
            "gain_db": (GAIN_DB, self.line_error),
        }

    @property
    def input_errors(self) -> dict[str, float]:
        """Errors of recorded powers."""
        return {"incident_power": self.power_error} if self.power_error else {}

    def powers(self, knee: float) -> FloatArray:
        """Return incident powers about the saturation power, W."""
        low, high = POWERS[self.saturation]
        return np.asarray(knee * np.geomspace(low, high, POINTS[0]), dtype=float)

    def frequencies(self, half_width: float) -> FloatArray:
        """Return frequencies that show a line of this half width (Hz) and what is beside it."""
        broadened = half_width * np.sqrt(1 + np.sqrt(POWERS[self.saturation][1]))
        offsets = 2.5 * broadened * np.linspace(-1.0, 1.0, POINTS[1])
        return np.asarray(QUBIT_FREQUENCY + offsets, dtype=float)


def cells(
    occupations: tuple[float, ...] = OCCUPATIONS,
    line_errors: tuple[float, ...] = LINE_ERRORS,
    power_errors: tuple[float, ...] = POWER_ERRORS,
) -> Iterator[Cell]:
    """Yield the grid of regimes."""
    for parts in product(occupations, POWERS, line_errors, power_errors):
        yield Cell(*parts)
