"""Assumptions of the ladder as checks on a result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import powercal as pc
from powercal.physics.bloch import half_width
from powercal.physics.constants import HBAR
from powercal.physics.floquet import bloch_siegert_shift
from powercal.physics.ladder import stark_shift
from powercal.physics.ladder_steady_state import ladder_steady_state
from powercal_transmon.ladders import TWO_PI, Form


def absorbed_checks(result: pc.FitResult, *, form: Form) -> tuple[pc.Check, ...]:
    """Check a fit of absorbed power or population."""
    values = result.values
    loss = 10 ** (-values.get("attenuation_db", 0.0) / 10)
    return _checks(result, form, values, values["drive_scale"] * _strongest(result) * loss)


def reflection_checks(result: pc.FitResult, *, form: Form) -> tuple[pc.Check, ...]:
    """Check a fit of reflection."""
    values = dict(result.values)
    values["gamma_1"] = values["gamma_r"] + values["gamma_i"]
    photons = _strongest(result) / (HBAR * TWO_PI * values["qubit_frequency"])
    at_device = photons * 10 ** (-values["attenuation_db"] / 10)
    return _checks(result, form, values, 4 * values["gamma_r"] * at_device)


def _strongest(result: pc.FitResult) -> float:
    return float(np.nanmax(result.traces["incident_power"].values))


def _checks(
    result: pc.FitResult, form: Form, values: Mapping[str, float], strength: float
) -> tuple[pc.Check, ...]:
    """Judge the strongest drive on resonance."""
    centre, alpha = values["qubit_frequency"], TWO_PI * abs(values["anharmonicity"])
    state = ladder_steady_state(form.ladder(np.asarray(centre), np.asarray(strength), values))
    rabi, populations = float(np.sqrt(strength)), state.populations
    rates = state.factors.rates
    total = float(rates.between[1, 0] + rates.between[0, 1])
    gamma_2 = float(rates.out[0] + rates.out[1]) / 2 + values["gamma_phi"]
    width = float(half_width(rabi, total, gamma_2))
    dwell = float(result.traces.attrs.get("dwell_time", np.nan))
    return (
        _check(
            "leakage",
            float(populations[2] / populations[1]),
            0.1,
            "the upper transitions' rates, which are assumed, carry p₂/p₁ of the power and more; "
            "two levels alone would give Γ₁ too high by up to 2 p₂/p₁",
        ),
        _check(
            "truncation",
            float(populations[-1]),
            1e-3,
            "the highest level is filled (value: its population at the strongest drive): more "
            "levels would change Γ₁ by about as much; choose levels='5'",
        ),
        _check(
            "stark_shift",
            float(stark_shift(rabi, alpha)) / width,
            0.1,
            "secular and collective baths put the line this far apart (in half widths) at the "
            "strongest drive: dissipators=... matters, and so does a free anharmonicity",
        ),
        _check(
            "anharmonicity",
            max(total, rabi) / alpha,
            0.1,
            "levels overlap: neither choice of dissipators is exact, they differ at ΓΩ/|α|",
        ),
        _check(
            "quality_factor",
            100 * total / (TWO_PI * centre),
            1.0,
            "Γ₁ is no rate if Q < 100",
        ),
        _check(
            "bloch_siegert",
            abs(float(bloch_siegert_shift(rabi, TWO_PI * centre))) / width,
            0.01,
            "the line moves with power beyond the rotating-wave approximation",
        ),
        _check(
            "steady_state",
            10 / (dwell * min(total, gamma_2)),
            1.0,
            "population and power are too small if the dwell time is under ten relaxation times",
        ),
    )


def _check(name: str, value: float, limit: float, effect: str) -> pc.Check:
    verdict: Any = "unknown"
    if np.isfinite(value):
        verdict = "holds" if value <= limit else "fails"
    return pc.Check(name=name, value=value, limit=limit, verdict=verdict, effect=effect)
