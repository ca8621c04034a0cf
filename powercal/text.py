"""A fit result in words: the page that a person reads and the plain data that a program reads."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context, Decimal
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from powercal.result import Check, Estimate, FitResult, Interval, Shift

_PREFIXES = dict(
    zip(range(-18, 15, 3), ("a", "f", "p", "n", "µ", "m", "", "k", "M", "G", "T"), strict=True)
)
_PREFIXABLE = ("Hz", "W", "V", "A", "s", "K")
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_POWER = re.compile(r"(?<=[A-Za-zµΩ])-?\d+")
_EXACT = Context(prec=1000, Emin=-2000, Emax=2000)
# Nothing beyond double precision: a smaller uncertainty cannot be written in the value's digits.
_MOST_DIGITS = 16
_FAR = -2000  # an exponent below all of double precision
_MOST_ROWS = 24
_INDENT = "      "


def readable_unit(unit: str) -> str:
    """Spell a unit for people: ``s-1`` becomes ``s⁻¹``, and the unit one vanishes.

    Examples
    --------
    >>> readable_unit("rad2 s-2 W-1")
    'rad² s⁻² W⁻¹'
    """
    if unit == "1":
        return ""
    return _POWER.sub(lambda power: power[0].translate(_SUPERSCRIPTS), unit)


def shorthand(value: float, stderr: float | None) -> str:
    """Write a value with its standard uncertainty in its last digits.

    Parameters
    ----------
    value : float
        In any unit.
    stderr : float or None
        In the same unit; None, zero or not finite: the value stands alone, with six digits.

    Returns
    -------
    str
        Two digits of uncertainty where they start below 3.55, else one (the rule of the Particle
        Data Group).

    Examples
    --------
    >>> shorthand(3.1, 0.12), shorthand(1.794e7, 9e4)
    ('3.10(12)', '1.794(9)e7')
    """
    if not math.isfinite(value):
        return _not_finite(value)
    if not _is_error(stderr):
        return f"{value:.6g}"
    error, place = _rounded_error(stderr)
    top = _top(value, error)
    if top - place >= _MOST_DIGITS:
        return f"{value!r} ± {stderr:.1e}"
    if place <= 0 and -4 <= top < 6:
        return _mantissa(value, error, place, 0)
    return f"{_mantissa(value, error, place, top)}e{top}"


def engineering(value: float, stderr: float | None, unit: str) -> str:
    """Write a quantity with its uncertainty and a readable unit, in steps of a thousand.

    Parameters
    ----------
    value : float
        In ``unit``.
    stderr : float or None
        In ``unit``; None, zero or not finite: the value stands alone, with six digits.
    unit : str
        Of the SI; Hz, W, V, A, s and K get a prefix, all others a power of ten.

    Returns
    -------
    str
        For people, not to be read back by programs.

    Examples
    --------
    >>> engineering(1.794e6, 9e3, "Hz"), engineering(1.127e7, 5e4, "s-1")
    ('1.794(9) MHz', '11.27(5) × 10⁶ s⁻¹')
    """
    if not math.isfinite(value):
        return f"{_not_finite(value)} {readable_unit(unit)}".rstrip()
    if not _is_error(stderr):
        return _significant(value, unit, 6, ROUND_HALF_EVEN)
    error, place = _rounded_error(stderr)
    top = _top(value, error)
    if top - place >= _MOST_DIGITS:
        return f"{value!r} ± {stderr:.1e} {readable_unit(unit)}".rstrip()
    step = _step(top, place, unit)
    return f"{_mantissa(value, error, place, step)}{_scaled_unit(step, unit)}"


def describe(result: FitResult) -> str:
    """Return a fit result as a page of plain text.

    Parameters
    ----------
    result : FitResult
        The result of one fit.

    Returns
    -------
    str
        Model, estimates, what is not determined, quality of the fit, checks, systematics, flags.
    """
    parts = (
        _heading(result),
        _section("Parameters", _estimate_lines(result.parameters, "parameters")),
        _section("Derived", _estimate_lines(result.derived, "derived")),
        _section("Not determined by these data", _degeneracy(result)),
        _section("Fit", _quality(result)),
        _section("Checks", map(_check_line, result.checks)),
        _section("Systematics", (_shift_line(result, shift) for shift in result.systematics)),
        _section("Flags", (f"{flag.name}: {flag.sentence}" for flag in result.flags)),
    )
    return "\n".join(line for part in parts for line in part)


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


def _interval_json(interval: Interval | None) -> list[float | None] | None:
    return None if interval is None else [_number(end) for end in interval]


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _is_error(stderr: float | None) -> TypeGuard[float]:
    return stderr is not None and math.isfinite(stderr) and stderr > 0


def _not_finite(value: float) -> str:
    return "nan" if math.isnan(value) else "∞" if value > 0 else "-∞"


def _rounded_error(stderr: float) -> tuple[Decimal, int]:
    """Return the rounded uncertainty and the exponent of its last digit."""
    exact = Decimal(repr(float(stderr)))
    first = exact.adjusted()
    place = first - 1 if exact.scaleb(-first, _EXACT) < Decimal("3.55") else first
    rounded = _to_place(exact, place)
    if rounded.adjusted() > first:  # 9.7 became 10, which deserves its two digits
        return rounded, first
    return rounded, place


def _to_place(number: Decimal, place: int, rounding: str = ROUND_HALF_EVEN) -> Decimal:
    return number.quantize(Decimal((0, (1,), place)), rounding, _EXACT)


def _top(value: float, error: Decimal) -> int:
    """Return the exponent of the leading digit, of the uncertainty where that is larger."""
    exact = Decimal(repr(float(value)))
    return max(exact.adjusted() if exact else _FAR, error.adjusted())


def _mantissa(value: float, error: Decimal, place: int, exponent: int) -> str:
    rounded = _to_place(Decimal(repr(float(value))), place).scaleb(-exponent, _EXACT)
    return f"{rounded:f}({int(error.scaleb(-place, _EXACT))})"


def _step(top: int, place: int, unit: str) -> int:
    """Choose the power of ten, a multiple of three, so that no shown digit is a filler."""
    if place <= 0 and unit not in _PREFIXABLE and -3 <= top < 4:
        return 0
    step = 3 * (top // 3)
    return step if place <= step else step + 3


def _scaled_unit(step: int, unit: str) -> str:
    if unit in _PREFIXABLE and step in _PREFIXES:
        return f" {_PREFIXES[step]}{unit}"
    power = f" × 10{str(step).translate(_SUPERSCRIPTS)}" if step else ""
    return f"{power} {readable_unit(unit)}".rstrip()


def _significant(value: float, unit: str, digits: int, rounding: str) -> str:
    """Write a value that has no uncertainty of its own."""
    if not math.isfinite(value) or value == 0:
        return f"{_not_finite(value) if value else 0} {readable_unit(unit)}".rstrip()
    exact = Decimal(repr(float(value)))
    rounded = _to_place(exact, exact.adjusted() - digits + 1, rounding)
    step = _step(rounded.adjusted(), _FAR, unit)
    text = f"{rounded.scaleb(-step, _EXACT):f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text + _scaled_unit(step, unit)


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
        yield f"{estimate.name:<{width}}  {_statement(estimate)}"
        if estimate.reason:
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
        return _significant(limit * factor, unit, 2, ROUND_CEILING)

    return f"{_both(estimate, write, '< ')} (95 %)"


def _open_range(estimate: Estimate) -> str:
    if estimate.allowed is None:
        return "undetermined"
    if not any(map(math.isfinite, estimate.allowed)):
        return "undetermined; unbounded"
    allowed = _range(estimate.allowed, estimate.unit)
    return f"undetermined; allowed {allowed} (set by bounds, not by data)"


def _range(interval: Interval, unit: str) -> str:
    return " … ".join(_significant(end, unit, 3, ROUND_HALF_EVEN) for end in interval)


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
    yield " · ".join(
        f"{name.replace('_', ' ')}: {'yes' if verdict else 'NO'}"
        for name, verdict in result.verdicts.items()
    )
    yield f"weights: {result.weights}"


def _check_line(check: Check) -> str:
    line = f"{check.verdict:<7}  {check.name} = {check.value:.4g} (limit {check.limit:.4g})"
    return f"{line}: {check.effect}" if check.effect else line


def _shift_line(result: FitResult, shift: Shift) -> str:
    units = {e.name: e for e in (*result.parameters, *result.derived)}
    moves = ", ".join(_move(name, by, units.get(name)) for name, by in shift.shifts.items())
    return f"{shift.name}: {shift.alternative} instead of {shift.chosen}: {moves or 'no shift'}"


def _move(name: str, by: float, estimate: Estimate | None) -> str:
    unit = "1" if estimate is None else estimate.unit
    text = f"{name} {'+' if by >= 0 else ''}{_significant(by, unit, 2, ROUND_HALF_EVEN)}"
    if estimate is None or not _is_error(estimate.stderr):
        return text
    return f"{text} ({by / estimate.stderr:+.1f} σ)"
