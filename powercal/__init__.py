"""How fast a qubit loses energy, into what, and how hot its bath is, judged from power."""

from __future__ import annotations

from typing import TYPE_CHECKING

from powercal.lazy import names_from

if TYPE_CHECKING:
    from powercal.campaign import run_campaign
    from powercal.contracts import Derived, Loader, Model, Option, Parameter, Regime
    from powercal.errors import PowercalError
    from powercal.fitting import CalibratedLine, calibrate_line, fit, fit_each, fit_many, to_lmfit
    from powercal.fitting.contours import Contour, contour
    from powercal.fitting.joint import fit_jointly
    from powercal.fitting.joint_names import Part
    from powercal.fitting.joint_result import Disagreement, JointResult, Tension
    from powercal.fitting.ladder import Ladder, ladder
    from powercal.fitting.ladder_rungs import Rung
    from powercal.fitting.planned import Plan
    from powercal.fitting.planning import plan
    from powercal.fitting.sampling import Samples, sample
    from powercal.fitting.temperature_series import fit_temperature_series
    from powercal.fitting.tension import tension
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
    from powercal.sources import ErrorSource, with_errors

__version__ = "0.1.0"

_HOMES = {
    "powercal.campaign": ("run_campaign",),
    "powercal.contracts": ("Derived", "Loader", "Model", "Option", "Parameter", "Regime"),
    "powercal.errors": ("PowercalError",),
    "powercal.fitting": (
        "CalibratedLine",
        "calibrate_line",
        "fit",
        "fit_each",
        "fit_many",
        "to_lmfit",
    ),
    "powercal.fitting.contours": ("Contour", "contour"),
    "powercal.fitting.joint": ("fit_jointly",),
    "powercal.fitting.joint_names": ("Part",),
    "powercal.fitting.joint_result": ("Disagreement", "JointResult", "Tension"),
    "powercal.fitting.ladder": ("Ladder", "ladder"),
    "powercal.fitting.ladder_rungs": ("Rung",),
    "powercal.fitting.planned": ("Plan",),
    "powercal.fitting.planning": ("plan",),
    "powercal.fitting.sampling": ("Samples", "sample"),
    "powercal.fitting.temperature_series": ("fit_temperature_series",),
    "powercal.fitting.tension": ("tension",),
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
    "powercal.sources": ("ErrorSource", "with_errors"),
}
__all__ = [
    "AttenuatorChain",
    "BudgetRow",
    "CalibratedLine",
    "Check",
    "Contour",
    "Derived",
    "Disagreement",
    "ErrorSource",
    "Estimate",
    "FitResult",
    "Flag",
    "JointResult",
    "Ladder",
    "LineCalibration",
    "Loader",
    "Model",
    "Option",
    "OtherMinimum",
    "Parameter",
    "Part",
    "Plan",
    "PowercalError",
    "Regime",
    "Rung",
    "Samples",
    "Shift",
    "Tabulated",
    "Tension",
    "average",
    "calibrate_line",
    "contour",
    "fit",
    "fit_each",
    "fit_jointly",
    "fit_many",
    "fit_temperature_series",
    "get_loader",
    "get_model",
    "hookimpl",
    "ladder",
    "open_large",
    "open_traces",
    "plan",
    "read_fits",
    "read_line",
    "read_report",
    "read_summary",
    "run_campaign",
    "sample",
    "simulate",
    "tension",
    "to_device_plane",
    "to_lmfit",
    "traces",
    "with_calibration_points",
    "with_errors",
    "write_line",
    "write_report",
]


# Imported when first asked for, so that ``import powercal`` stays quick.
__getattr__ = names_from(__name__, _HOMES)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted([*__all__, "__version__"])
