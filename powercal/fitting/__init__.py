"""Fitting: from data and a model to estimates with honest errors."""

from __future__ import annotations

from powercal.fitting.fit import batch_dimensions, fit, fit_each, to_lmfit

__all__ = ["batch_dimensions", "fit", "fit_each", "to_lmfit"]
