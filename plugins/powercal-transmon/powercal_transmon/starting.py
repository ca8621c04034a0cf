"""Starting values: those of the two-level models of the house, for the lowest transition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import powercal as pc
from powercal_transmon.ladders import Form

Bounds = Mapping[str, tuple[float, float]]


def absorbed_guess(
    traces: Any, fixed: Mapping[str, float], *, form: Form, bounds: Bounds
) -> dict[str, Any]:
    """Start from ``finite_temperature``, which looks at the same data with two levels."""
    alias = {form.rates[0]: "gamma_1", form.occupations[0]: "n_th"}
    model = pc.get_model("powercal:finite_temperature").configure(detection="coherent")
    start = _asked(model, traces, {alias.get(name, name): v for name, v in fixed.items()})
    rate = float(fixed.get(form.rates[0], start["gamma_1"]))
    start |= {name: j * rate for j, name in enumerate(form.rates, start=1)}
    start |= dict.fromkeys(form.occupations, start["n_th"])
    return _inside(start, bounds)


def reflection_guess(
    traces: Any, fixed: Mapping[str, float], *, chosen: Mapping[str, str], bounds: Bounds
) -> dict[str, Any]:
    """Start from ``reflection``, which looks at the same data with two levels."""
    model = pc.get_model("powercal:reflection")
    offered = {option.name for option in model.options}
    known = {name: value for name, value in chosen.items() if name in offered}
    held = {"manifold_weight": 1.0, **fixed}
    return _inside(_asked(model.configure(**known), traces, held), bounds)


def _asked(model: pc.Model, traces: Any, fixed: Mapping[str, float]) -> dict[str, Any]:
    theirs = {row.name for row in model.parameters}
    return model.guess(traces, {name: v for name, v in fixed.items() if name in theirs})


def _inside(start: Mapping[str, Any], bounds: Bounds) -> dict[str, Any]:
    known = {name: limits for name, limits in bounds.items() if name in start}
    return {name: np.clip(start[name], *limits) for name, limits in known.items()}
