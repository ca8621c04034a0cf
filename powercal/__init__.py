"""How fast a qubit loses energy, into what, and how hot its bath is, judged from power."""

from __future__ import annotations

from typing import TYPE_CHECKING

from powercal.lazy import names_from

if TYPE_CHECKING:
    from powercal.campaign import run_campaign
    from powercal.contracts import Derived, Loader, Model, Option, Parameter
    from powercal.errors import PowercalError
    from powercal.fitting import CalibratedLine, calibrate_line, fit, fit_each, fit_many, to_lmfit
    from powercal.hookspecs import hookimpl
    from powercal.line import (
        AttenuatorChain,
        LineCalibration,
        Tabulated,
        read_line,
        to_device_plane,
        write_line,
    )
    from powercal.loading import average, open_large, open_traces, traces, with_calibration_points
    from powercal.registry import get_loader, get_model
    from powercal.report import read_fits, read_report, read_summary, write_report
    from powercal.result import (
        BudgetRow,
        Check,
        Estimate,
        FitResult,
        Flag,
        OtherMinimum,
        Shift,
    )
    from powercal.simulation import simulate

__version__ = "0.1.0"

_HOMES = {
    "powercal.campaign": ("run_campaign",),
    "powercal.contracts": ("Derived", "Loader", "Model", "Option", "Parameter"),
    "powercal.errors": ("PowercalError",),
    "powercal.fitting": (
        "CalibratedLine",
        "calibrate_line",
        "fit",
        "fit_each",
        "fit_many",
        "to_lmfit",
    ),
    "powercal.hookspecs": ("hookimpl",),
    "powercal.line": (
        "AttenuatorChain",
        "LineCalibration",
        "Tabulated",
        "read_line",
        "to_device_plane",
        "write_line",
    ),
    "powercal.loading": (
        "average",
        "open_large",
        "open_traces",
        "traces",
        "with_calibration_points",
    ),
    "powercal.registry": ("get_loader", "get_model"),
    "powercal.report": ("read_fits", "read_report", "read_summary", "write_report"),
    "powercal.result": (
        "BudgetRow",
        "Check",
        "Estimate",
        "FitResult",
        "Flag",
        "OtherMinimum",
        "Shift",
    ),
    "powercal.simulation": ("simulate",),
}
__all__ = [
    "AttenuatorChain",
    "BudgetRow",
    "CalibratedLine",
    "Check",
    "Derived",
    "Estimate",
    "FitResult",
    "Flag",
    "LineCalibration",
    "Loader",
    "Model",
    "Option",
    "OtherMinimum",
    "Parameter",
    "PowercalError",
    "Shift",
    "Tabulated",
    "average",
    "calibrate_line",
    "fit",
    "fit_each",
    "fit_many",
    "get_loader",
    "get_model",
    "hookimpl",
    "open_large",
    "open_traces",
    "read_fits",
    "read_line",
    "read_report",
    "read_summary",
    "run_campaign",
    "simulate",
    "to_device_plane",
    "to_lmfit",
    "traces",
    "with_calibration_points",
    "write_line",
    "write_report",
]


# Imported when first asked for, so that ``import powercal`` stays quick.
__getattr__ = names_from(__name__, _HOMES)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted([*__all__, "__version__"])
