"""The page and the plain data of a plan: what a measurement will tell before it is made."""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN
from typing import TYPE_CHECKING, Any

from powercal.text.numbers import engineering, significant
from powercal.text.plain import _number

if TYPE_CHECKING:
    from powercal.fitting.planned import Plan, Planned, Reading

_SHOWN = 12
_NOTHING = 1e-3  # of σ: a smaller floor is not worth a word
_SAME = 0.02  # of σ: two grids that differ by less are as good
Wanted = tuple[int | None, int | None]
Alone = tuple[str, float]


def describe_plan(plan: Plan) -> str:
    """Return a plan as a page of plain text."""
    parts = [
        [
            f"{plan.model}: plan for {', '.join(plan.observables)}, {plan.points} points × "
            f"{plan.averages} readings",
            *(["options: " + ", ".join(f"{k} = {v}" for k, v in plan.options.items())]),
            "largest signal over the noise of one reading: "
            + ", ".join(f"{n} {v:.3g}" for n, v in plan.signal.items()),
        ],
        _section("Expected", _rows(plan)),
        _section("Targets", (q.sentence for q in plan.quantities if q.sentence)),
        _section("Not determined by measurements of this kind", _degeneracy(plan)),
        _section("A better grid", _grid(plan)),
        _section("Read this", _caveats(plan)),
    ]
    return "\n".join(line for part in parts for line in part)


def _section(title: str, lines: Any) -> list[str]:
    listed = [f"  {line}" for line in lines]
    return ["", title, *listed] if listed else []


def _rows(plan: Plan) -> Iterator[str]:
    width = max(len(q.name) for q in plan.quantities)
    for row in plan.quantities:
        yield f"{row.name:<{width}}  {_statement(row)}"


def _statement(row: Planned) -> str:
    if row.status == "fixed":
        return f"= {engineering(row.value, None, row.unit)} (assumed)"
    if row.status == "undetermined":
        return "undetermined, whatever the averages"
    if row.status == "no_error" or row.sigma is None:
        return f"{engineering(row.value, None, row.unit)}, no error (not differentiable there)"
    if _hardly_confined(row):
        supposed = engineering(row.value, None, row.unit)
        return f"{supposed} supposed; σ {_size(row, row.sigma)}: expect a limit or no number at all"
    text = f"{engineering(row.value, row.sigma, row.unit)}   σ {_size(row, row.sigma)}"
    if row.floor is not None and row.floor > _NOTHING * row.sigma:
        text += f", never below {_size(row, row.floor)} ({_sources(row)})"
    if row.best_sigma is not None and abs(row.best_sigma / row.sigma - 1) > _SAME:
        text += f"; on the grid below {_size(row, row.best_sigma)}"
    return text


def _hardly_confined(row: Planned) -> bool:
    """Whether a value would lie within two of its σ of zero, and zero is an end.

    Decibels, phases and delays have either sign: there zero is a number like any other.
    """
    if row.sigma is None or row.unit in ("dB", "rad") or row.name.endswith("delay"):
        return False
    return abs(row.value) < 1.96 * row.sigma


def _size(row: Planned, sigma: float) -> str:
    """Write a standard uncertainty, as a share where the value has a natural zero."""
    if row.value and sigma < abs(row.value) and row.unit not in ("Hz", "dB"):
        return f"{100 * sigma / abs(row.value):.2g} %"
    return significant(sigma, row.unit, 2, ROUND_HALF_EVEN)


def _sources(row: Planned) -> str:
    floor = row.floor or 0.0
    parts = {n: v for n, v in row.sources.items() if n != "noise" and v > 0.1 * floor}
    return ", ".join(sorted(parts, key=lambda n: -parts[n])) or "what is known beforehand"


def target_sentence(
    row: Planned, target: float, averages: Wanted, points: int, alone: Alone
) -> str:
    """Say whether a target can be reached, and how.

    Parameters
    ----------
    row : Planned
        The quantity.
    target : float
        Wanted standard uncertainty, SI.
    averages : tuple of int or None
        On the given grid and on the better one; None where no number is enough.
    points : int
        Of the given grid.
    alone : tuple of str and float
        The largest source that averages do not make smaller, and what is left by it alone.
    """
    aim = f"{row.name} to {_size(row, target)}"
    given, better = averages
    if given is None and better is None:
        if row.status == "undetermined":
            return (
                f"{aim}: impossible with measurements of this kind, however many: they do not "
                f"determine {row.name}"
            )
        rest = f"{alone[0]} alone gives {_size(row, alone[1])}"
        return f"{aim}: no number of averages reaches it: {rest}"
    if given is None:
        return f"{aim}: not on the given grid; {(better or 0) * points} readings on the grid below"
    count = "one reading" if given == 1 else f"{given} readings"
    text = f"{aim}: {count} of every point of the given grid, {given * points} in all"
    return (
        f"{text}; on the grid below {better * points} in all"
        if better is not None and better < given
        else text
    )


def _degeneracy(plan: Plan) -> Iterator[str]:
    flat = [q.name for q in plan.quantities if q.status == "undetermined"]
    if flat:
        yield "quantities: " + ", ".join(flat)
    if plan.combinations:
        yield "determined instead: " + ", ".join(plan.combinations)
    if plan.remedies:
        yield "any of these would help:"
        yield from (f"  {remedy}" for remedy in plan.remedies)


def _grid(plan: Plan) -> Iterator[str]:
    if not plan.readings:
        return
    varied = _varied(plan)
    yield f"the same number of readings at {len(plan.readings)} points:"
    for reading in plan.readings[:_SHOWN]:
        yield f"  {100 * reading.share:4.1f} %  {_place(plan, reading, varied)}"
    rest = plan.readings[_SHOWN:]
    if rest:
        share = sum(r.share for r in rest)
        yield f"  {100 * share:4.1f} %  at {len(rest)} more points: see plan.readings"
    yield "the best points hardly show a wrong model: leave a part of the readings on an even grid"


def _varied(plan: Plan) -> tuple[str, ...]:
    names = plan.readings[0].inputs
    return tuple(n for n in names if len({r.inputs[n] for r in plan.readings}) > 1) or tuple(names)


def _place(plan: Plan, reading: Reading, names: tuple[str, ...]) -> str:
    return ", ".join(f"{n} {_spell(plan, n, reading.inputs[n])}" for n in names)


def _spell(plan: Plan, name: str, value: float) -> str:
    """Write powers in dBm and frequencies by their distance from the transition, as people do."""
    from powercal.schema import WORDS

    kind = WORDS[name].kind if name in WORDS else "number"
    if kind == "power" and value > 0:
        return f"{10 * math.log10(value / 1e-3):.2f} dBm"
    centre = next((q.value for q in plan.quantities if q.name == "qubit_frequency"), None)
    if name == "frequency" and centre is not None:
        offset = value - centre
        return f"{'+' if offset >= 0 else '−'}{engineering(abs(offset), None, 'Hz')} from the qubit"
    return engineering(value, None, WORDS[name].unit if name in WORDS else "1")


def _caveats(plan: Plan) -> Iterator[str]:
    yield "errors hold for the supposed values, with the noise known and the model right"
    near = [q.name for q in plan.quantities if _hardly_confined(q)]
    if near:
        yield f"within two σ of zero, where errors of this kind are no intervals: {', '.join(near)}"


def plan_json(plan: Plan) -> dict[str, Any]:
    """Return a plan as plain data; what is not finite or does not exist is None."""
    return {
        "model": plan.model,
        "options": dict(plan.options),
        "observables": list(plan.observables),
        "points": plan.points,
        "averages": plan.averages,
        "signal": dict(plan.signal),
        "reachable": plan.reachable,
        "quantities": {q.name: _planned_json(q) for q in plan.quantities},
        "readings": [{"inputs": dict(r.inputs), "share": r.share} for r in plan.readings],
        "combinations": list(plan.combinations),
        "remedies": list(plan.remedies),
    }


def _planned_json(row: Planned) -> dict[str, Any]:
    numbers = ("value", "sigma", "floor", "target", "best_sigma")
    return {
        "unit": row.unit,
        "status": row.status,
        **{n: _number(getattr(row, n)) for n in numbers},
        "averages": row.averages,
        "best_averages": row.best_averages,
        "sources": {n: _number(v) for n, v in row.sources.items()},
        "sentence": row.sentence,
    }
