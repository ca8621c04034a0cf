"""The uncertainty budget as a table that a person reads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from decimal import ROUND_HALF_EVEN
from typing import TYPE_CHECKING

from powercal.sources import CHOICE
from powercal.text.numbers import significant

if TYPE_CHECKING:
    from powercal.result import BudgetRow, Estimate, FitResult

_WANTED = ("gamma_1", "n_th")
_MOST = 2  # columns: more do not fit a line
_NEGLIGIBLE = 1e-3  # of the standard error: a millionth of its square
_OWN = "Their squares add up to that of the standard error."
_ADDED = "A choice counts half the spread between its alternatives; the fit's own error omits it."


def budget_lines(result: FitResult) -> Iterator[str]:
    """Yield the budget of Γ₁ and n_th (or of the first quantities that have one) as a table.

    Parameters
    ----------
    result : FitResult
        With its budget.
    """
    known = {e.name: e for e in (*result.parameters, *result.derived)}
    columns = [known[name] for name in _columns(result.budget) if name in known]
    if not columns:
        return
    yield from _aligned([("source", "kind", *map(_head, columns)), *_rows(result.budget, columns)])
    yield _OWN
    if any(row.source.startswith(CHOICE) for row in result.budget):
        yield _ADDED
    told = {e.name for e in columns}
    yield from (_absent(known[n]) for n in _WANTED if n in known and n not in told)


def _columns(rows: tuple[BudgetRow, ...]) -> list[str]:
    names = list(dict.fromkeys(name for row in rows for name in row.contributions))
    return ([n for n in _WANTED if n in names] or names)[:_MOST]


def _head(estimate: Estimate) -> str:
    return f"{estimate.name} (limit)" if estimate.status == "upper_limit" else estimate.name


def _rows(budget: tuple[BudgetRow, ...], columns: list[Estimate]) -> Iterator[tuple[str, ...]]:
    own = [row for row in budget if not row.source.startswith(CHOICE)]
    choices = [row for row in budget if row.source.startswith(CHOICE)]
    totals = [_sum(own, e.name) for e in columns]
    yield from (_row(r, columns, totals) for r in own)
    kinds = {kind: [r for r in own if r.kind == kind] for kind in ("statistical", "systematic")}
    if all(kinds.values()):
        yield from (_total(f"all {k}", rows, columns, totals) for k, rows in kinds.items())
    yield _total("standard error", own, columns, totals)
    yield from (_row(r, columns, totals) for r in choices)
    if choices:
        yield _total("with choices", budget, columns, totals)


def _row(row: BudgetRow, columns: list[Estimate], totals: list[float]) -> tuple[str, ...]:
    shares = [row.contributions.get(e.name) for e in columns]
    return (row.source, row.kind, *map(_cell, shares, columns, totals))


def _total(
    label: str, rows: Iterable[BudgetRow], columns: list[Estimate], totals: list[float]
) -> tuple[str, ...]:
    listed = list(rows)
    return (label, "", *map(_cell, [_sum(listed, e.name) for e in columns], columns, totals))


def _sum(rows: Iterable[BudgetRow], name: str) -> float:
    return math.hypot(*(row.contributions.get(name, 0.0) for row in rows))


def _cell(share: float | None, estimate: Estimate, total: float) -> str:
    if share is None or not math.isfinite(share):
        return "-"
    if share < _NEGLIGIBLE * total:
        return "negligible"
    size = f"{share:.2g}" if estimate.unit == "1" else ""
    text = size or significant(share, estimate.unit, 2, ROUND_HALF_EVEN)
    # A value that is only limited is no measure of its own error.
    if not estimate.value or estimate.status != "ok":
        return text
    return f"{text} ({100 * share / abs(estimate.value):.2g} %)"


def _absent(estimate: Estimate) -> str:
    if estimate.status == "fixed" and estimate.value is not None:
        held = significant(estimate.value, estimate.unit, 6, ROUND_HALF_EVEN)
        return f"{estimate.name} is held at {held} without an error: all rows are given this value."
    return f"{estimate.name} has no budget: {estimate.status.replace('_', ' ')}."


def _aligned(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
