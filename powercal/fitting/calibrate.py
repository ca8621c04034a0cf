"""The other direction: a qubit whose T1 is known calibrates the line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log, sqrt
from typing import Any

import numpy as np

from powercal.contracts import Model
from powercal.errors import FitError, UnknownNameError
from powercal.fitting.one_fit import fit
from powercal.fitting.problem import DECIBEL
from powercal.line import LineCalibration, line_of
from powercal.registry import get_model
from powercal.result import Estimate, FitResult
from powercal.schema import DeviceTraces

LEVELS = ("attenuation_db", "gain_db")
_AMPLITUDE_DB = 2 / DECIBEL  # dB per unit of ln(amplitude)
_CLOSEST = 1 - 1e-9  # two errors that are one and the same: nearer to ±1 nothing is gained


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibratedLine:
    """What a qubit says about its line.

    Attributes
    ----------
    line : LineCalibration
        Attenuation and gain with standard uncertainties and their correlation; None where the
        data do not determine them.
    reasons : mapping
        For a level that is not determined, what is known instead.
    result : FitResult
        The fit behind it.
    """

    line: LineCalibration
    result: FitResult
    reasons: Mapping[str, str] = field(default_factory=dict)

    def origin(self) -> dict[str, Any]:
        """Return where the calibration comes from, as plain data for :func:`write_line`."""
        result = self.result
        return {
            "model": result.model,
            "options": dict(result.options),
            "powercal": result.version,
            "priors": {k: list(v) for k, v in result.request["priors"].items()},
            "fixed": dict(result.request["fixed"]),
            **result.source,
        }

    def against(self, name: str, expected: float) -> tuple[float, float] | None:
        """Return (found − expected, standard uncertainty) in dB; None if it is not determined."""
        level = getattr(self.line, name)
        return None if level is None else (level[0] - expected, level[1])


def calibrate_line(
    traces: DeviceTraces,
    model: str | Model,
    *,
    t1: tuple[float, float] | FitResult | None = None,
    **wishes: Any,
) -> CalibratedLine:
    """Let a qubit calibrate the line that it is measured through.

    Parameters
    ----------
    traces : DeviceTraces
        From :func:`powercal.to_device_plane`; levels of the line that were given there count as
        known within their uncertainty, all others are found.
    model : str or Model
        A model whose data carry powers through the line.
    t1 : (value, standard uncertainty) in s, or FitResult, optional
        The relaxation time from elsewhere, or a fit that gives ``T1`` (``free_decay``). Left out,
        other knowledge (``priors``, ``fixed``) has to pin the line, or it stays undetermined.
    **wishes
        As for :func:`powercal.fit`.

    Returns
    -------
    CalibratedLine
        The line for later fits, and the fit behind it.

    Raises
    ------
    FitError
        Data at the device plane, which have no line; a model without T1; a fit whose T1 is not
        determined.
    """
    if line_of(traces) is None:
        raise FitError(
            "the traces are at the device plane, where no line is left to calibrate; declare "
            "plane='instrument' if these are the instrument's powers"
        )
    if t1 is not None:
        wishes["priors"] = {**dict(wishes.get("priors") or {}), "T1": _known_t1(t1, model)}
    result = fit(traces, model, **wishes)
    levels, covariance = _levels(result)
    reasons = {n: _why_not(result, n) for n in LEVELS if n not in levels}
    pairs: dict[str, Any] = {n: (value, sqrt(covariance[n, n])) for n, value in levels.items()}
    if len(pairs) == 2:
        shared = covariance[LEVELS] / (pairs["attenuation_db"][1] * pairs["gain_db"][1])
        pairs["correlation"] = float(np.clip(shared, -_CLOSEST, _CLOSEST))
    return CalibratedLine(line=LineCalibration(**pairs), result=result, reasons=reasons)


def _known_t1(t1: tuple[float, float] | FitResult, model: str | Model) -> tuple[float, float]:
    chosen = get_model(model) if isinstance(model, str) else model
    if "T1" not in {d.name for d in chosen.derived}:
        raise FitError(
            f"model {chosen.name!r} has no T1 that could be known; give what it has as a prior"
        )
    if not isinstance(t1, FitResult):
        return t1
    try:
        found = t1["T1"]
    except UnknownNameError as reason:
        raise FitError(f"the fit of {t1.model} gives no T1; fit a free_decay") from reason
    if found.value is None or found.stderr is None:
        raise FitError(
            f"the fit of {t1.model} does not determine T1 ({found.status}): it cannot calibrate a "
            f"line"
        )
    return found.value, found.stderr


def _levels(result: FitResult) -> tuple[dict[str, float], dict[tuple[str, str], float]]:
    """Return the levels that are determined, in dB, and their covariance.

    Where complex reflection was recorded through the line, its amplitude far from resonance is
    the gain less the attenuation.
    """
    rows = {name: {name: 1.0} for name in LEVELS if _ok(_found(result, name))}
    values = {name: result.values[name] for name in rows}
    amplitude = _found(result, "reference_gain")
    through = result.options.get("setup") == "raw" and "attenuation_db" in rows
    if through and "gain_db" not in rows and _ok(amplitude):
        g = result.values["reference_gain"]
        values["gain_db"] = values["attenuation_db"] + _AMPLITUDE_DB * log(g)
        rows["gain_db"] = {"attenuation_db": 1.0, "reference_gain": _AMPLITUDE_DB / g}
    jacobian = np.array([[row.get(n, 0.0) for n in result.names] for row in rows.values()])
    covariance = jacobian @ result.covariance @ jacobian.T if rows else np.zeros((0, 0))
    table = {
        (a, b): float(covariance[i, j]) for i, a in enumerate(rows) for j, b in enumerate(rows)
    }
    return values, table


def _found(result: FitResult, name: str) -> Estimate | None:
    return next((e for e in result.parameters if e.name == name), None)


def _ok(estimate: Estimate | None) -> bool:
    return estimate is not None and estimate.status == "ok"


def _why_not(result: FitResult, name: str) -> str:
    found = _found(result, name)
    if found is None:
        return "does not act on what was fitted"
    if found.status == "fixed":
        return f"was held at {found.value:g} dB"
    if found.allowed is None or not np.isfinite(found.allowed).any():
        return f"not determined ({found.reason})"
    return f"not determined; between {found.allowed[0]:.4g} and {found.allowed[1]:.4g} dB"
