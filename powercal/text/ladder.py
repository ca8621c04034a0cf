"""A ladder of models in words: the table that a person reads, the plain data for a program."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN
from typing import TYPE_CHECKING, Any

from powercal.text.numbers import engineering, significant
from powercal.text.plain import to_json

if TYPE_CHECKING:
    from powercal.fitting.ladder import Ladder, Step
    from powercal.result import Estimate

_HEAD = ("rung", "model", "χ²", "rank", "ΔAICc", "ΔBIC", "against", "Δχ²", "more", "p")


def describe_ladder(ladder: Ladder) -> str:
    """Return a ladder as plain text: one row per rung, what is open on it, the verdict.

    Parameters
    ----------
    ladder : Ladder
        From :func:`powercal.ladder`.

    Returns
    -------
    str
        A table whose ΔAICc and ΔBIC count from the best rung.
    """
    fitted = [s for s in ladder.steps if s.result is not None]
    best = tuple(min((getattr(s, n) for s in fitted), default=0.0) for n in ("aicc", "bic"))
    rows: list[tuple[str, ...]] = [(*_HEAD, ladder.target, "shift")]
    rows += [_row(step, best[0], best[1]) for step in ladder.steps]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(f"{c:<{w}}" for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]
    notes = [note for step in ladder.steps for note in _notes(step)]
    tail = ["", *notes] if notes else []
    return "\n".join(
        [*lines, *tail, "", f"weights: {ladder.weights}", f"verdict: {ladder.verdict}"]
    )


def _row(step: Step, aicc: float, bic: float) -> tuple[str, ...]:
    if step.result is None:
        return (step.label, step.model, *("–",) * 10)
    compared = bool(step.base)
    return (
        step.label,
        step.model,
        f"{step.chi2:.6g}",
        str(step.rank),
        f"{step.aicc - aicc:.1f}",
        f"{step.bic - bic:.1f}",
        step.base if compared else "–",
        f"{step.gain:.3g}" if compared and abs(step.gain) >= 0.005 else "0" if compared else "–",
        f"{step.more}" if compared else "–",
        "–" if step.probability is None else _probability(step.probability),
        _number(step.target),
        "–" if step.shift is None else f"{round(step.shift, 1) + 0.0:+.1f} σ",
    )


def _probability(p: float) -> str:
    return f"{p:.1g}" if p >= 1e-99 else "<1e-99"


def _number(estimate: Estimate | None) -> str:
    if estimate is None:
        return "–"
    if estimate.value is not None and estimate.stderr:
        return engineering(estimate.value, estimate.stderr, estimate.unit)
    ends = estimate.allowed or estimate.interval95
    if ends is None or not any(map(math.isfinite, ends)):
        return "open"
    return " … ".join(significant(end, estimate.unit, 3, ROUND_HALF_EVEN) for end in ends)


def _notes(step: Step) -> list[str]:
    if step.result is None:
        return [f"{step.label}: not fitted: {step.reason}"]
    open_ones = ", ".join(step.result.undetermined)
    told = [f"undetermined: {open_ones}"] if open_ones else []
    if step.result.combinations:
        told[-1:] = [f"{told[-1]}; determined instead: {', '.join(step.result.combinations)}"]
    told += [step.note] if step.note else []
    return [f"{step.label}: {part}" for part in told]


def ladder_to_json(ladder: Ladder) -> dict[str, Any]:
    """Return a ladder as plain data for ``json.dumps(..., allow_nan=False)``.

    Parameters
    ----------
    ladder : Ladder
        From :func:`powercal.ladder`.

    Returns
    -------
    dict
        Every rung with its fit (as :func:`powercal.text.to_json` gives it) and its comparison.
    """
    return {
        "target": ladder.target,
        "weights": ladder.weights,
        "noise": ladder.noise,
        "verdict": ladder.verdict,
        "rungs": [_plain(step) for step in ladder.steps],
    }


def _plain(step: Step) -> dict[str, Any]:
    fitted = step.result is not None
    return {
        "label": step.label,
        "model": step.model,
        "reason": step.reason or None,
        "chi2": _finite(step.chi2),
        "rank": step.rank if fitted else None,
        "aicc": _finite(step.aicc),
        "bic": _finite(step.bic),
        "against": step.base or None,
        "nested": step.nested,
        "gain": step.gain if step.base else None,
        "more": step.more if step.base else None,
        "mixture": list(step.mixture),
        "probability": step.probability,
        "shift": step.shift,
        "note": step.note or None,
        "result": to_json(step.result) if step.result is not None else None,
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
