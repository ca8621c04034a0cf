"""The constants of nature that matter and field add to powercal's own (CODATA 2018, SI)."""

from __future__ import annotations

from typing import Final

from powercal.physics.constants import BOLTZMANN, HBAR, PLANCK

__all__ = [
    "BOLTZMANN",
    "ELECTRON_MASS",
    "ELEMENTARY_CHARGE",
    "HBAR",
    "LIGHT_SPEED",
    "PLANCK",
    "TWO_PI",
    "VACUUM_PERMITTIVITY",
]

ELEMENTARY_CHARGE: Final = 1.602176634e-19
"""Elementary charge e > 0, C (exact)."""

ELECTRON_MASS: Final = 9.1093837015e-31
"""Mass of a free electron, kg."""

LIGHT_SPEED: Final = 299792458.0
"""Speed of light in vacuum, m/s (exact)."""

VACUUM_PERMITTIVITY: Final = 8.8541878128e-12
"""Electric constant, F/m."""

TWO_PI: Final = 6.283185307179586
"""Radians of a turn: rad/s of one hertz."""
