"""Fitting: from data and a model to estimates with honest errors."""

from __future__ import annotations

from powercal.fitting.fit import fit, to_lmfit

__all__ = ["fit", "to_lmfit"]
