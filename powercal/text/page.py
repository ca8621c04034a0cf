"""The page that a person reads: a fit result in plain text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from decimal import ROUND_CEILING, ROUND_HALF_EVEN
from typing import TYPE_CHECKING

from powercal.text.budget import budget_lines
from powercal.text.doubt import ROBUST_ERROR, goodness_line, minima_lines, robust_errors
from powercal.text.numbers import engineering, is_error, significant

if TYPE_CHECKING:
    from powercal.result import Check, Estimate, FitResult, Interval, Shift

_TOLD = ("", "assumed", "set by bounds, not by data", "from the covariance")
_LINE = 94
_SMALL_MOVE = 0.2
_MOST_ROWS = 24
_INDENT = "      "


def describe(result: FitResult) -> str:
    """Return a fit result as a page of plain text.

    Parameters
    ----------
    result : FitResult
        The result of one fit.

    Returns
    -------
    str
        Model, estimates, what is not determined, quality of the fit, checks, systematics, budget,
        flags.
    """
    parts = (
        _heading(result),
        _section("Parameters", _estimate_lines(result.parameters, "parameters")),
        _section("Derived", _estimate_lines(result.derived, "derived")),
        _section("Not determined by these data", _degeneracy(result)),
        _section("Hardly told apart", result.nearly_degenerate),
        _section("Fit", _quality(result)),
        _section("Other minima", minima_lines(result)),
        _section("Checks", map(_check_line, result.checks)),
        _section("Systematics", (_shift_line(result, shift) for shift in result.systematics)),
        _section("Uncertainty budget", budget_lines(result)),
        _section("Flags", (f"{flag.name}: {flag.sentence}" for flag in result.flags)),
    )
    return "\n".join(line for part in parts for line in part)


def _section(title: str, lines: Iterable[str]) -> list[str]:
    listed = [f"  {line}" for line in lines]
    return ["", title, *listed] if listed else []


def _heading(result: FitResult) -> Iterator[str]:
    maker = f"powercal {result.version}".rstrip()
    yield f"{result.model} (version {result.model_version}, {maker})"
    if result.options:
        yield "options: " + ", ".join(f"{k} = {v}" for k, v in result.options.items())
    yield "fitted to: " + ", ".join(result.observables)
    if result.source:
        # Twelve digits of a checksum tell files apart; the report holds all of them.
        facts = {k: f"{v[:12]}…" if "sha256" in k else v for k, v in result.source.items()}
        yield "source: " + ", ".join(f"{k} {v}" for k, v in facts.items())


def _estimate_lines(estimates: tuple[Estimate, ...], attribute: str) -> Iterator[str]:
    shown = estimates[:_MOST_ROWS]
    width = max((len(e.name) for e in shown), default=0)
    for estimate in shown:
        line = f"{estimate.name:<{width}}  {_statement(estimate)}"
        if estimate.reason in _TOLD:
            yield line
        elif len(line) + len(estimate.reason) < _LINE:
            yield f"{line}   ({estimate.reason})"
        else:
            yield line
            yield f"{_INDENT}{estimate.reason}"
    if len(estimates) > len(shown):
        yield f"… and {len(estimates) - len(shown)} more: see result.{attribute}"


def _statement(estimate: Estimate) -> str:
    """Say in one line what the data say about one number."""
    if estimate.status == "undetermined":
        return _open_range(estimate)
    if estimate.status == "upper_limit":
        return _upper_limit(estimate)
    if estimate.value is None:
        return f"no value ({estimate.status})"
    value, stderr = estimate.value, estimate.stderr

    def write(factor: float, unit: str) -> str:
        return engineering(value * factor, None if stderr is None else stderr * factor, unit)

    if estimate.status == "fixed":
        return f"{_both(estimate, write, '= ')} (assumed)"
    text = _both(estimate, write)
    if stderr is None and estimate.interval95 is not None:
        text += f"   95 %: {_range(estimate.interval95, estimate.unit)}"
    notes = {"at_bound": "   at its bound", "no_error": "   no standard error"}
    return text + notes.get(estimate.status, "")


def _both(estimate: Estimate, write: Callable[[float, str], str], sign: str = "") -> str:
    """Write a rate also as a frequency, and say which is which."""
    text = f"{sign}{write(1.0, estimate.unit)}"
    if estimate.unit != "s-1" or not estimate.name.startswith("gamma"):
        return text
    return f"{text}   {estimate.name}/2π {sign or '= '}{write(1 / (2 * math.pi), 'Hz')}"


def _upper_limit(estimate: Estimate) -> str:
    if estimate.interval95 is None or not math.isfinite(estimate.interval95[1]):
        return "upper limit not known"
    limit = estimate.interval95[1]

    def write(factor: float, unit: str) -> str:
        # Rounded up: a limit must not become stronger on its way to the page.
        return significant(limit * factor, unit, 2, ROUND_CEILING)

    return f"{_both(estimate, write, '< ')} (95 %)"


def _open_range(estimate: Estimate) -> str:
    if estimate.allowed is None:
        return "undetermined"
    if not any(map(math.isfinite, estimate.allowed)):
        return "undetermined; unbounded"
    allowed = _range(estimate.allowed, estimate.unit)
    bounded = " (set by bounds, not by data)" if estimate.reason in _TOLD else ""
    return f"undetermined; allowed {allowed}{bounded}"


def _range(interval: Interval, unit: str) -> str:
    return " … ".join(significant(end, unit, 3, ROUND_HALF_EVEN) for end in interval)


def _degeneracy(result: FitResult) -> Iterator[str]:
    if result.undetermined:
        yield "parameters: " + ", ".join(result.undetermined)
    if result.combinations:
        yield "determined instead: " + ", ".join(result.combinations)
    if result.remedies:
        yield "any of these options would lift it:"
        yield from (f"  {remedy}" for remedy in result.remedies)


def _quality(result: FitResult) -> Iterator[str]:
    if result.nfree > 0:
        spread = result.chi2_spread / result.nfree
        yield (
            f"χ²/nfree = {result.chi2:.6g}/{result.nfree} = {result.reduced_chi2:.4g}, "
            f"expected 1 ± {spread:.2g}   ({result.ndata} data points)"
        )
    else:
        yield f"χ² = {result.chi2:.6g} with no degree of freedom left ({result.ndata} data points)"
    yield from goodness_line(result)
    yield " · ".join(
        f"{name.replace('_', ' ')}: {'yes' if verdict else 'NO'}"
        for name, verdict in result.verdicts.items()
    )
    yield f"weights: {result.weights}"


def _check_line(check: Check) -> str:
    """Write a check; what a violation would do matters only where it may be one."""
    if check.verdict == "unknown":
        return f"unknown  {check.name}: not enough is known of the experiment"
    line = f"{check.verdict:<7}  {check.name} = {check.value:.2g} (limit {check.limit:.2g})"
    return f"{line}: {check.effect}" if check.verdict == "fails" and check.effect else line


def _shift_line(result: FitResult, shift: Shift) -> str:
    """Write a systematic; moves below a fifth of a standard error are only counted."""
    known = {e.name: e for e in (*result.parameters, *result.derived)}
    if shift.name == "assumptions":
        return _freed_line(shift, known)
    # What follows from parameters moves with them; Γ₁ is named even where it is derived.
    named = {e.name for e in result.parameters} | {"gamma_1"}
    told = {n: by for n, by in shift.shifts.items() if n in named or n not in known}
    told = {n: by for n, by in told.items() if not n.endswith(ROBUST_ERROR)}
    large = {n: by for n, by in told.items() if not _is_small(by, known.get(n))}
    moves = [_move(name, by, known.get(name)) for name, by in large.items()]
    if len(large) < len(told):
        others = "all others" if large else "everything"
        moves.append(f"{others} by less than {_SMALL_MOVE} σ")
    text = ", ".join(moves) or "no shift"
    errors = robust_errors(result, dict(shift.shifts))
    text += f"; then {errors}" if errors else ""
    return f"{shift.name}: {shift.alternative} instead of {shift.chosen}: {text}"


def _freed_line(shift: Shift, known: dict[str, Estimate]) -> str:
    """Write the range of a quantity once what is assumed is free (no shift, but its two ends)."""
    ends = tuple(shift.shifts.values())
    name = next(iter(shift.shifts), "").split(" (")[0]
    unit = known[name].unit if name in known else "1"
    if len(ends) != 2:
        return f"{shift.name}: {shift.alternative} instead of {shift.chosen}: no range"
    span = _range((ends[0], ends[1]), unit)
    turns = (ends[0] / (2 * math.pi), ends[1] / (2 * math.pi))
    also = f", {name}/2π in {_range(turns, 'Hz')}" if unit == "s-1" else ""
    return f"assumed {shift.chosen}; with {shift.alternative}, {name} lies in {span}{also}"


def _is_small(by: float, estimate: Estimate | None) -> bool:
    if estimate is None or not is_error(estimate.stderr):
        return False
    return abs(by) < _SMALL_MOVE * estimate.stderr


def _move(name: str, by: float, estimate: Estimate | None) -> str:
    unit = "1" if estimate is None else estimate.unit
    text = f"{name} {'+' if by >= 0 else ''}{significant(by, unit, 2, ROUND_HALF_EVEN)}"
    if estimate is None or not is_error(estimate.stderr):
        return text
    return f"{text} ({by / estimate.stderr:+.1f} σ)"
