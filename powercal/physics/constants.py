"""The three constants of nature the package needs, exact in the SI (CODATA 2018)."""

from __future__ import annotations

from typing import Final

__all__ = ["BOLTZMANN", "HBAR", "PLANCK"]

PLANCK: Final = 6.62607015e-34
"""Planck constant h, J s (exact)."""

HBAR: Final = 1.0545718176461565e-34
"""Reduced Planck constant h/2pi, J s (exact h, rounded to double precision)."""

BOLTZMANN: Final = 1.380649e-23
"""Boltzmann constant k, J/K (exact)."""
