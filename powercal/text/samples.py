"""Pages and plain data of samples and contours."""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN
from typing import TYPE_CHECKING, Any

from powercal.text.numbers import engineering, significant
from powercal.text.plain import _interval_json, _number

if TYPE_CHECKING:
    from powercal.fitting.contours import Contour
    from powercal.fitting.sampling import Sampled, Samples
    from powercal.result import Interval

_VISIBLE = 0.05  # standard deviations; a smaller move by the other measure is only counted


def describe_samples(samples: Samples) -> str:
    """Return samples as a page of plain text."""
    steps, walkers = samples.chain.shape[:2]
    lines = [
        f"{samples.model}: posterior by {walkers} walkers × {steps} steps "
        f"(after {samples.burn_in} thrown away; seed {samples.seed})",
        f"prior measure: {samples.prior}",
        f"  (measure={samples.measure!r}; the default is 'coordinate')",
        *(f"prior: {n} = {m:.6g} ± {s:.3g}" for n, (m, s) in samples.priors.items()),
        f"noise: {samples.noise}",
        "",
        "Quantities: mean(standard deviation), 68 % by quantiles, densest 68 %",
        *(f"  {line}" for line in _rows(samples)),
        "",
        "Chain",
        f"  {samples.verdict}",
        f"  acceptance {samples.acceptance:.2f}",
        *(f"  {line}" for line in _diagnostics(samples)),
        f"  {_other_measure(samples)}",
    ]
    return "\n".join(lines)


def _rows(samples: Samples) -> Iterator[str]:
    width = max(len(r.name) for r in samples.quantities)
    for row in samples.quantities:
        yield f"{row.name:<{width}}  {_statement(row)}"


def _statement(row: Sampled) -> str:
    if row.mean is None or row.interval68 is None or row.densest68 is None:
        text = "undetermined; no number: bounds and measure shape its samples"
        return text if row.allowed is None else f"{text}; allowed {_range(row.allowed, row.unit)}"
    if row.limit95 is not None:
        low = row.status == "upper_limit"
        rounding = ROUND_CEILING if low else ROUND_FLOOR
        limit = significant(row.limit95, row.unit, 2, rounding)
        return f"{'<' if low else '>'} {limit} (95 %, one-sided quantile)"
    value = engineering(row.mean, row.std, row.unit)
    return f"{value}   {_range(row.interval68, row.unit)}   {_range(row.densest68, row.unit)}"


def _range(interval: Interval, unit: str) -> str:
    digits = 4
    low, high = interval
    # Ends that agree in all digits shown would say nothing.
    while digits < 12 and low != high and f"{low:.{digits - 2}e}" == f"{high:.{digits - 2}e}":
        digits += 1
    return " … ".join(significant(end, unit, digits, ROUND_HALF_EVEN) for end in interval)


def _diagnostics(samples: Samples) -> Iterator[str]:
    width = max(len(r.name) for r in samples.quantities)
    for row in samples.quantities:
        time, size = row.autocorrelation_time, row.effective_size
        told = f"{time:.0f} steps, effective size {size:.0f}"
        told = told if math.isfinite(time) else "not known: the chain is too short for it"
        yield f"{row.name:<{width}}  autocorrelation {told}, split R-hat {row.r_hat:.3f}"


def _other_measure(samples: Samples) -> str:
    other = "value" if samples.measure == "coordinate" else "coordinate"
    known = [r for r in samples.quantities if r.measure_shift is not None]
    if not known:
        return f"measure={other!r} lies too far away to be told from this chain"
    moved = [r for r in known if abs(r.measure_shift or 0.0) > _VISIBLE]
    if not moved:
        return f"measure={other!r} would move every mean by less than {_VISIBLE} σ"
    moves = ", ".join(f"{r.name} by {r.measure_shift:+.2f} σ" for r in moved)
    return f"measure={other!r} would move the mean of {moves}"


def samples_json(samples: Samples) -> dict[str, Any]:
    """Return samples, without the chain, as plain data; what is not finite is None."""
    steps, walkers = samples.chain.shape[:2]
    return {
        "model": samples.model,
        "source": dict(samples.source),
        "measure": samples.measure,
        "prior": samples.prior,
        "priors": {n: list(p) for n, p in samples.priors.items()},
        "noise": samples.noise,
        "walkers": int(walkers),
        "steps": int(steps),
        "burn_in": int(samples.burn_in),
        "seed": int(samples.seed),
        "acceptance": _number(samples.acceptance),
        "converged": samples.converged,
        "verdict": samples.verdict,
        "quantities": {r.name: _row_json(r) for r in samples.quantities},
        "parameters": list(samples.parameters),
        "covariance": [[_number(v) for v in row] for row in samples.covariance],
    }


def _row_json(row: Sampled) -> dict[str, Any]:
    plain = ("mean", "median", "std", "limit95", "measure_shift")
    numbers = (*plain, "autocorrelation_time", "effective_size", "r_hat")
    spans = ("interval68", "interval95", "densest68", "densest95", "allowed")
    return {
        "unit": row.unit,
        "status": row.status,
        **{n: _number(getattr(row, n)) for n in numbers},
        **{n: _interval_json(getattr(row, n)) for n in spans},
    }


def describe_contour(contour: Contour) -> str:
    """Return a contour as a page of plain text."""
    lines = [f"{contour.model}: {contour.names[0]} against {contour.names[1]}, all else refitted"]
    for curve in contour.curves:
        ends = [_range(curve.extent(i), contour.units[i]) for i in (0, 1)]
        lines.append(
            f"  {curve.level:.4g} (Δχ² = {curve.rise:.4g}, {len(curve.points)} points): "
            f"{contour.names[0]} {ends[0]}, {contour.names[1]} {ends[1]}; {curve.sentence}"
        )
    return "\n".join(lines)
