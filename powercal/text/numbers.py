"""Numbers with uncertainties in words: shorthand, prefixes, readable units."""

from __future__ import annotations

import math
import re
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import TypeGuard

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
    if not is_error(stderr):
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
    if not is_error(stderr):
        return significant(value, unit, 6, ROUND_HALF_EVEN)
    error, place = _rounded_error(stderr)
    top = _top(value, error)
    if top - place >= _MOST_DIGITS:
        return f"{value!r} ± {stderr:.1e} {readable_unit(unit)}".rstrip()
    step = _step(top, place, unit)
    return f"{_mantissa(value, error, place, step)}{_scaled_unit(step, unit)}"


def is_error(stderr: float | None) -> TypeGuard[float]:
    """Whether there is a standard uncertainty that can be printed."""
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


def significant(value: float, unit: str, digits: int, rounding: str) -> str:
    """Write a value that has no uncertainty of its own."""
    if not math.isfinite(value) or value == 0:
        return f"{_not_finite(value) if value else 0} {readable_unit(unit)}".rstrip()
    exact = Decimal(repr(float(value)))
    rounded = _to_place(exact, exact.adjusted() - digits + 1, rounding)
    step = _step(rounded.adjusted(), _FAR, unit)
    text = f"{rounded.scaleb(-step, _EXACT):f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text + _scaled_unit(step, unit)
