"""The plain data that a program reads: a fit result as an object for JSON."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from powercal.result import BudgetRow, Check, Estimate, FitResult, Interval, OtherMinimum, Shift


def to_json(result: FitResult) -> dict[str, Any]:
    """Return a fit result as plain data for ``json.dumps(..., allow_nan=False)``.

    Parameters
    ----------
    result : FitResult
        The result of one fit.

    Returns
    -------
    dict
        Numbers in SI; whatever is missing, infinite or not a number is None.
    """
    return {
        "model": result.model,
        "source": dict(result.source),
        "options": dict(result.options),
        "observables": list(result.observables),
        "parameters": {e.name: _estimate_json(e) for e in result.parameters},
        "derived": {e.name: _estimate_json(e) for e in result.derived},
        "undetermined": list(result.undetermined),
        "combinations": list(result.combinations),
        "remedies": list(result.remedies),
        "chi2": _number(result.chi2),
        "ndata": int(result.ndata),
        "nfree": int(result.nfree),
        "weights": result.weights,
        "verdicts": {name: bool(verdict) for name, verdict in result.verdicts.items()},
        "flags": [{"name": flag.name, "sentence": flag.sentence} for flag in result.flags],
        "checks": [_check_json(check) for check in result.checks],
        "systematics": [_shift_json(shift) for shift in result.systematics],
        "budget": [_budget_json(row) for row in result.budget],
        "nearly_degenerate": list(result.nearly_degenerate),
        "minima": [_minimum_json(minimum) for minimum in result.minima],
        "goodness": {name: _number(value) for name, value in result.goodness.items()},
    }


def _estimate_json(estimate: Estimate) -> dict[str, Any]:
    return {
        "value": _number(estimate.value),
        "stderr": _number(estimate.stderr),
        "unit": estimate.unit,
        "status": estimate.status,
        "interval68": _interval_json(estimate.interval68),
        "interval95": _interval_json(estimate.interval95),
        "allowed": _interval_json(estimate.allowed),
    }


def _check_json(check: Check) -> dict[str, Any]:
    return {
        "name": check.name,
        "value": _number(check.value),
        "limit": _number(check.limit),
        "verdict": check.verdict,
        "effect": check.effect,
    }


def _shift_json(shift: Shift) -> dict[str, Any]:
    return {
        "name": shift.name,
        "chosen": shift.chosen,
        "alternative": shift.alternative,
        "shifts": {name: _number(value) for name, value in shift.shifts.items()},
    }


def _budget_json(row: BudgetRow) -> dict[str, Any]:
    return {
        "source": row.source,
        "kind": row.kind,
        "contributions": {name: _number(value) for name, value in row.contributions.items()},
        "switched_off": {name: _number(value) for name, value in row.switched_off.items()},
    }


def _minimum_json(minimum: OtherMinimum) -> dict[str, Any]:
    return {
        "chi2": _number(minimum.chi2),
        "values": {name: _number(value) for name, value in minimum.values.items()},
        "starts": int(minimum.starts),
    }


def _interval_json(interval: Interval | None) -> list[float | None] | None:
    return None if interval is None else [_number(end) for end in interval]


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
