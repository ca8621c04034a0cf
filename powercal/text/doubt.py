"""What stands in doubt about a fit, in words: goodness, other minima, the robust fit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from powercal.text.numbers import engineering

if TYPE_CHECKING:
    from powercal.result import Estimate, FitResult

ROBUST_ERROR = " (robust standard error)"
_MOST_MINIMA = 4
_HOPELESS = 100.0  # Δχ² in units of the reduced χ²
_MOST_VALUES = 6


def goodness_line(result: FitResult) -> Iterator[str]:
    """Yield one line of probabilities, each of what it is the probability of."""
    words = {
        "chi2_probability": "of a χ² this large",
        "runs_probability": "of residuals changing sign this seldom",
    }
    numbers = result.goodness
    told = [f"{_probability(numbers[k])} {w}" for k, w in words.items() if k in numbers]
    parts = ["probability " + ", ".join(told)] if told else []
    spikes = result.goodness.get("spikes", 0.0)
    parts += [f"spikes: {spikes:.0f}"] if spikes else []
    if parts:
        yield "; ".join(parts)


def _probability(p: float) -> str:
    return f"{p:.2g}" if p >= 1e-3 else f"{p:.0e}" if p > 0 else "0"


def minima_lines(result: FitResult) -> Iterator[str]:
    """Yield the minima beside the best: how much worse, from how many starts, and where.

    What misses the data altogether is only counted: no reader would take it for the truth.
    """
    best, others = result.minima[0] if result.minima else None, []
    noise = max(result.reduced_chi2, 1.0) if math.isfinite(result.reduced_chi2) else 1.0
    if best is not None:
        others = [m for m in result.minima[1:] if m.chi2 - best.chi2 <= _HOPELESS * noise]
    if best is None or not others:
        return
    every = sum(m.starts for m in result.minima)
    yield f"the best was reached from {best.starts} of {every} starts"
    free = {e.name: e for e in result.parameters if e.status != "fixed"}
    for m in others[:_MOST_MINIMA]:
        # Those that differ most come first: the others hardly matter.
        moved = sorted(
            (n for n in free if n in m.values and n in best.values),
            key=lambda n: -abs(m.values[n] - best.values[n]) / (abs(best.values[n]) or 1.0),
        )
        where = ", ".join(_value(free[n], m.values[n]) for n in moved[:_MOST_VALUES])
        starts = f"{m.starts} start{'' if m.starts == 1 else 's'}"
        yield f"Δχ² = {m.chi2 - best.chi2:.3g} from {starts}: {where}"
    unsaid = len(result.minima) - 1 - min(len(others), _MOST_MINIMA)
    if unsaid:
        yield f"… and {unsaid} more: see result.minima"


def _value(estimate: Estimate, value: float) -> str:
    return f"{estimate.name} {float(f'{value:.4g}'):g} {estimate.unit}".removesuffix(" 1")


def robust_errors(result: FitResult, shifts: dict[str, float]) -> str:
    """Return the standard errors of the robust fit, of parameters and of Γ₁."""
    known = {e.name: e for e in (*result.parameters, *result.derived)}
    shown = {e.name for e in result.parameters} | {"gamma_1"}

    def told(name: str, by: float) -> str:
        value, unit = known[name].value or 0.0, known[name].unit
        return f"{name} {engineering(value + by, shifts[name + ROBUST_ERROR], unit)}"

    both = [n for n in shifts if n in shown and n in known and n + ROBUST_ERROR in shifts]
    return ", ".join(told(n, shifts[n]) for n in both)
