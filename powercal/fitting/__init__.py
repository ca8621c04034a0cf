"""Fitting: from data and a model to estimates with honest errors."""

from __future__ import annotations

from powercal.fitting.again import to_lmfit
from powercal.fitting.calibrate import CalibratedLine, calibrate_line
from powercal.fitting.many import fit_many
from powercal.fitting.one_fit import batch_dimensions, fit, fit_each

__all__ = [
    "CalibratedLine",
    "batch_dimensions",
    "calibrate_line",
    "fit",
    "fit_each",
    "fit_many",
    "to_lmfit",
]
