"""From a model's parameters to a ladder of levels, and derivatives back to the parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from powercal.physics.ladder_slopes import LadderSlopes
from powercal.physics.ladder_system import Dissipators, Ladder, LadderBath

TWO_PI = 2 * np.pi


@dataclass(frozen=True)
class Form:
    """What the options say of a ladder and its bath.

    ``common``: one bath, flat over the anharmonicity: Γ_{j,j-1} = jΓ₁ and the same n_th at every
    transition. Else every transition has its own rate, and its own occupation if the bath is not
    collective (one collective bath has one occupation).
    """

    levels: int
    dissipators: Dissipators
    common: bool

    @property
    def rates(self) -> tuple[str, ...]:
        """Names of the rates, the lowest transition first."""
        return ("gamma_1",) if self.common else self._each("gamma")

    @property
    def occupations(self) -> tuple[str, ...]:
        """Names of the occupations, the lowest transition first."""
        apart = not self.common and self.dissipators == "secular"
        return self._each("n") if apart else ("n_th",)

    def _each(self, name: str) -> tuple[str, ...]:
        return tuple(f"{name}_{j}{j - 1}" for j in range(1, self.levels))

    def bath(self, p: Mapping[str, Any]) -> LadderBath:
        """Return the bath for these parameters."""
        steps = range(1, self.levels)
        if self.common:
            gamma = [j * p["gamma_1"] for j in steps]
        else:
            gamma = [p[name] for name in self.rates]
        numbers = [p[name] for name in self.occupations]
        return LadderBath(
            gamma, numbers if len(numbers) > 1 else numbers * len(gamma), self.dissipators
        )

    def ladder(self, frequency: Any, rabi_squared: Any, p: Mapping[str, Any]) -> Ladder:
        """Return the ladder, driven at these frequencies (Hz) and Ω² (rad²/s²)."""
        return Ladder(
            TWO_PI * (frequency - p["qubit_frequency"]),
            np.sqrt(rabi_squared),
            TWO_PI * p["anharmonicity"],
            [self.bath(p)],
            p["gamma_phi"],
        )

    def slopes(self, found: LadderSlopes) -> dict[str, Any]:
        """Return derivatives by parameters, by ``frequency`` and by ``rabi_squared``."""
        return {
            "qubit_frequency": -TWO_PI * found.detuning,
            "frequency": TWO_PI * found.detuning,
            "anharmonicity": TWO_PI * found.anharmonicity,
            "gamma_phi": found.gamma_phi,
            "rabi_squared": found.rabi_squared,
            **self.rate_slopes(found.gamma[0], found.occupation[0]),
        }

    def rate_slopes(self, by_rate: list[Any], by_number: list[Any]) -> dict[str, Any]:
        """Return derivatives by parameters from those by Γ and n of every transition."""
        if self.common:
            by_rate = [sum(j * slope for j, slope in enumerate(by_rate, start=1))]
        if len(self.occupations) == 1:
            by_number = [sum(by_number)]
        rates = zip(self.rates, by_rate, strict=True)
        return {**dict(rates), **dict(zip(self.occupations, by_number, strict=True))}
