"""The page that a person reads of a joint fit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from powercal.text.budget import budget_lines
from powercal.text.doubt import minima_lines
from powercal.text.page import (
    _check_line,
    _degeneracy,
    _estimate_lines,
    _quality,
    _section,
    _shift_line,
)

if TYPE_CHECKING:
    from powercal.fitting.joint_result import JointResult

_MOST = 6


def describe_joint(result: JointResult) -> str:
    """Return a joint fit as a page of plain text.

    Parameters
    ----------
    result : JointResult
        The result of :func:`powercal.fit_jointly`.

    Returns
    -------
    str
        Parts, estimates, what is not determined, quality of the fit, whether the parts agree,
        checks that do not hold, other minima, the budget, flags.
    """
    parts = (
        _heading(result),
        _section("Parameters", _estimate_lines(result.parameters, "parameters")),
        _section("Derived", _estimate_lines(result.derived, "derived")),
        _section("Ties", iter(result.ties)),
        _section("Not determined by these data", _degeneracy(result)),
        _section("Hardly told apart", result.nearly_degenerate),
        _section("Fit", _fit(result)),
        _section("Do the parts agree?", _tension(result)),
        _section("Checks", _checks(result)),
        _section("Systematics", (_shift_line(result, shift) for shift in result.systematics)),
        _section("Other minima", minima_lines(result)),
        _section("Uncertainty budget", budget_lines(result)),
        _section("Flags", (f"{flag.name}: {flag.sentence}" for flag in result.flags)),
    )
    return "\n".join(line for part in parts for line in part)


def _heading(result: JointResult) -> Iterator[str]:
    yield f"joint fit of {', '.join(result.parts)} (powercal {result.version})"
    for name, part in result.parts.items():
        options = ", ".join(f"{k} = {v}" for k, v in part.options.items())
        source = f"   source: {part.source['source']}" if "source" in part.source else ""
        chosen = f" ({options})" if options else ""
        yield f"{name}: {part.model}{chosen}, fitted to {', '.join(part.observables)}{source}"


def _fit(result: JointResult) -> Iterator[str]:
    yield from _quality(result)
    for name, part in result.parts.items():
        yield f"{name}: χ² = {part.chi2:.6g} for {part.ndata} data points"


def _tension(result: JointResult) -> Iterator[str]:
    found = result.tension
    if found.constraints <= 0 or not math.isfinite(found.probability):
        yield "nothing is determined twice: they neither agree nor disagree"
        return
    yield (
        f"Δχ² = {found.chi2:.4g} for {found.constraints} shared constraint"
        f"{'s' if found.constraints > 1 else ''}: probability {found.probability:.2g}"
    )
    for d in found.disagreements[:_MOST]:
        against = "the rest" if d.against == "the rest" else "without it against all"
        yield f"{d.name}: {d.part}, {against}: {d.sigmas:+.1f} σ"


def _checks(result: JointResult) -> Iterator[str]:
    """Name the checks that fail; those that hold are only counted."""
    held = 0
    for name, part in result.parts.items():
        for check in part.checks:
            if check.verdict == "fails":
                yield f"{name}: {_check_line(check)}"
            held += check.verdict == "holds"
    if held:
        yield f"{held} assumptions hold (see result.parts)"
