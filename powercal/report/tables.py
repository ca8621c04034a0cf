"""The arrays of a report that people read: one small table per group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from powercal.errors import ReportError
from powercal.result import Estimate, FitResult, Interval

_PAIRS = {
    "interval68": ("low", "high"),
    "interval95": ("low", "high"),
    "allowed": ("low", "high"),
    "prior": ("value", "stderr"),
}


def tables(result: FitResult, schema: int = 2) -> dict[str, xr.Dataset]:
    """Return the arrays for people, group by group, as a schema has them."""
    checks, flags = result.checks, result.flags
    found = {
        "parameters": _estimates("parameter", result.parameters),
        "derived": _estimates("derived", result.derived),
        "covariance": _covariance(result),
        "checks": _table(
            "check",
            [check.name for check in checks],
            value=_numbers([check.value for check in checks]),
            limit=_numbers([check.limit for check in checks]),
            verdict=_strings([check.verdict for check in checks]),
            effect=_strings([check.effect for check in checks]),
        ),
        "flags": _table(
            "flag", [f.name for f in flags], sentence=_strings([f.sentence for f in flags])
        ),
        "systematics": _systematics(result),
    }
    if schema >= 2:
        found |= {"budget": _budget(result), "minima": _minima(result)}
    return found


def _estimates(dim: str, rows: Sequence[Estimate]) -> xr.Dataset:
    columns = {
        "value": _numbers([row.value for row in rows]),
        "stderr": _numbers([row.stderr for row in rows]),
    }
    for name, ends in _PAIRS.items():
        pairs: list[Interval | tuple[None, None]] = [getattr(r, name) or (None, None) for r in rows]
        for end, suffix in enumerate(ends):
            columns[f"{name}_{suffix}"] = _numbers([pair[end] for pair in pairs])
    for name in ("unit", "status", "meaning", "reason"):
        columns[name] = _strings([getattr(row, name) for row in rows])
    return _table(dim, [row.name for row in rows], **columns)


def _covariance(result: FitResult) -> xr.Dataset:
    names = _strings(result.names)
    # Two scales: netCDF readers stumble over the same dimension twice.
    try:
        return xr.Dataset(
            {"covariance": (("parameter_a", "parameter_b"), np.asarray(result.covariance))},
            {"parameter_a": names, "parameter_b": names},
        )
    except ValueError as error:
        raise ReportError(
            f"the covariance has shape {np.shape(result.covariance)} for {len(names)} names; make "
            f"it one row and one column per name"
        ) from error


def _systematics(result: FitResult) -> xr.Dataset:
    rows = result.systematics
    quantities = list(dict.fromkeys(name for row in rows for name in row.shifts))
    shifts = [[row.shifts.get(name, np.nan) for name in quantities] for row in rows]
    table = _table(
        "systematic",
        [row.name for row in rows],
        chosen=_strings([row.chosen for row in rows]),
        alternative=_strings([row.alternative for row in rows]),
    )
    values = _grid(shifts, len(rows), len(quantities))
    return table.assign_coords(quantity=_strings(quantities)).assign(
        shift=(("systematic", "quantity"), values)
    )


def _budget(result: FitResult) -> xr.Dataset:
    rows = result.budget
    quantities = list(dict.fromkeys(name for row in rows for name in row.contributions))
    table = _table("source", [r.source for r in rows], kind=_strings([r.kind for r in rows]))
    table = table.assign_coords(quantity=_strings(quantities))
    for column, shares in (
        ("contribution", [r.contributions for r in rows]),
        ("switched_off", [r.switched_off for r in rows]),
    ):
        values = [[share.get(name, np.nan) for name in quantities] for share in shares]
        table[column] = (("source", "quantity"), _grid(values, len(rows), len(quantities)))
    return table


def _minima(result: FitResult) -> xr.Dataset:
    rows = result.minima
    quantities = list(dict.fromkeys(name for row in rows for name in row.values))
    values = [[row.values.get(name, np.nan) for name in quantities] for row in rows]
    return xr.Dataset(
        {
            "chi2": ("minimum", _numbers([row.chi2 for row in rows])),
            "starts": ("minimum", np.array([row.starts for row in rows], dtype=np.int64)),
            "value": (("minimum", "quantity"), _grid(values, len(rows), len(quantities))),
        },
        {"quantity": _strings(quantities)},
    )


def _grid(values: Sequence[Sequence[float]], rows: int, columns: int) -> Any:
    return np.array(values, dtype=np.float64).reshape(rows, columns)


def _table(dim: str, names: Sequence[str], **columns: Any) -> xr.Dataset:
    return xr.Dataset({n: (dim, values) for n, values in columns.items()}, {dim: _strings(names)})


def _numbers(values: Sequence[float | None]) -> Any:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _strings(values: Sequence[str]) -> Any:
    return np.array([words(value) for value in values], dtype=str)


def words(text: str) -> str:
    """Return text without what HDF5 text cannot hold; the record keeps the original."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
