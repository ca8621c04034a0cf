"""The sentence in which a ladder of models ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from powercal.fitting.ladder import Step

WANTED = 0.01  # probability of a gain by chance below which a rung is wanted
BETTER = 6.0  # ΔAICc by which one of two models that are not nested must be better
_ALIKE = 0.01  # Δχ² below which two rungs of the same rank draw the same curve
_LOUD = 1.2  # reduced χ² of the best rung, above which gains are divided by it and that is said


def outcome(step: Step, steps: Sequence[Step]) -> str:
    """Return what became of a rung: first, wanted, unwanted, untold, worse or unfitted."""
    if step.result is None:
        return "unfitted"
    base = next((s for s in steps if s.label == step.base), None)
    if base is None:
        return "first"
    if step.nested:
        if step.more == 0:
            return "untold"
        known = step.probability if step.probability is not None else 1.0
        return "wanted" if known < WANTED else "unwanted"
    by = step.aicc - base.aicc
    return "wanted" if by < -BETTER else "worse" if by > BETTER else "untold"


def verdict_of(steps: Sequence[Step], target: str, noise: float) -> str:
    """Return the verdict in one sentence.

    Parameters
    ----------
    steps : sequence of Step
        The rungs, compared.
    target : str
        The quantity that is watched.
    noise : float
        What gains in χ² were divided by.
    """
    parts = [p for p in (_part(s, steps) for s in steps) if p]
    lost = [repr(s.label) for s in steps if s.result is None]
    if parts and lost:
        parts.append(f"{' and '.join(lost)} could not be fitted")
    if not parts:
        parts = ["only one rung could be fitted: nothing is compared"]
    fitted = [s.result for s in steps if s.result is not None]
    told = ", ".join(parts) + "; " + _moves(steps, target)
    if noise > _LOUD:
        told += f"; even the best rung misses the data (χ² {noise:.3g} per degree of freedom, by "
        told += "which gains were divided)"
    elif any(f.name == "runs" for result in fitted[-1:] for f in result.flags):
        told += "; the residuals are not white, so that these probabilities are too sure"
    return told


def _part(step: Step, steps: Sequence[Step]) -> str:
    became = outcome(step, steps)
    more = f"for {step.more} more parameter{'' if step.more == 1 else 's'}"
    if became in ("unfitted", "first"):
        return ""
    if not step.nested:
        base = next(s for s in steps if s.label == step.base)
        by = step.aicc - base.aicc
        words = {"wanted": "fits better than", "worse": "fits worse than"}
        said = words.get(became, "fits about as well as")
        return f"{step.label!r} {said} {step.base!r} (ΔAICc = {by:+.3g})"
    if became == "untold":
        flat = ", ".join(step.result.undetermined) if step.result is not None else ""
        text = f"{step.label!r} adds nothing that these data can tell (Δχ² = {_size(step.gain)}"
        return f"{text}; {flat} not told apart)" if "," in flat else f"{text})"
    said = "is wanted" if became == "wanted" else "is not wanted"
    told = f"Δχ² = {_size(step.gain)} {more}, {chance(step.probability)}{_same_curve(step, steps)}"
    return f"{step.label!r} {said} ({told})"


def _same_curve(step: Step, steps: Sequence[Step]) -> str:
    """Name a rung below that is another model, not this one with something held, and no worse."""
    for other in steps[: steps.index(step)]:
        alike = other.rank == step.rank and abs(other.chi2 - step.chi2) < _ALIKE
        if other.result is not None and other.label != step.base and alike:
            return f"; the same curve as {other.label!r}, between which these data cannot choose"
    return ""


def chance(probability: float | None) -> str:
    """Write a probability; what is too small for a number is not nought."""
    if probability is None:
        return "p unknown"
    return f"p = {probability:.1g}" if probability > 1e-99 else "p < 1e-99"


def _size(gain: float) -> str:
    return "0" if abs(gain) < 0.005 else f"{gain:.3g}"


def _moves(steps: Sequence[Step], target: str) -> str:
    """Say how far the watched quantity moves from the first rung to the last with a number."""
    numbers = [s for s in steps if s.target is not None and s.target.stderr and s.target.value]
    fitted = [s for s in steps if s.result is not None]
    if not numbers:
        return f"{target} has a number on no rung"
    last = numbers[-1].target
    text = f"{target} has a number on {numbers[0].label!r} alone"
    if len(numbers) > 1 and last is not None:
        by = (_value(numbers[-1]) - _value(numbers[0])) / (last.stderr or 1.0)
        text = f"{target} moves by {by:+.1f} σ along the ladder"
    open_ones = [s for s in fitted if s.target is not None and s.target.status == "undetermined"]
    if open_ones:
        text += f" and has no number on {', '.join(repr(s.label) for s in open_ones)}"
    return text


def _value(step: Step) -> float:
    return (step.target.value or 0.0) if step.target is not None else 0.0
