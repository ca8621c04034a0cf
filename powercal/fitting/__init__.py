"""Fitting: from data and a model to estimates with honest errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from powercal.lazy import names_from

if TYPE_CHECKING:
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

# lmfit takes most of a second to import, and a batch needs it for rescues alone.
__getattr__ = names_from(
    __name__,
    {
        "powercal.fitting.again": ("to_lmfit",),
        "powercal.fitting.calibrate": ("CalibratedLine", "calibrate_line"),
        "powercal.fitting.many": ("fit_many",),
        "powercal.fitting.one_fit": ("batch_dimensions", "fit", "fit_each"),
    },
)
