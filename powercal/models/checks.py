"""Assumptions of the two-level theory as checks on a result (physics sheet section 11, C11)."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from powercal.models.driven import TWO_PI
from powercal.physics.constants import HBAR
from powercal.physics.floquet import bloch_siegert_shift
from powercal.physics.ladder import leakage, stark_shift
from powercal.physics.thermal import bose_occupation
from powercal.result import Check, FitResult

QUALITY = 100.0  # Γ₁tot/ω_q below a percent: Fermi's golden rule and one occupation hold
SMALL = 0.01  # shifts of Γ₁ by a percent and more are worth a word


def _verdict(value: float, limit: float) -> Literal["holds", "fails", "unknown"]:
    if not np.isfinite(value):
        return "unknown"
    return "holds" if value <= limit else "fails"


def _check(name: str, value: float, limit: float, effect: str) -> Check:
    return Check(
        name=name,
        value=float(value),
        limit=float(limit),
        verdict=_verdict(value, limit),
        effect=effect,
    )


def driven_checks(result: FitResult) -> tuple[Check, ...]:
    """Check a fit of absorbed power or population."""
    values = result.values
    attenuation = values.get("attenuation_db", 0.0)
    power = _strongest(result) * 10 ** (-attenuation / 10)
    gamma_1 = values["gamma_1"]
    rabi = float(np.sqrt(values["drive_scale"] * power))
    checks = _common(result, gamma_1 * (1 + 2 * values.get("n_th", 0.0)), rabi)
    if result.options.get("energy") == "floquet":
        lowest = (
            float(result.curve["absorbed_power"].min())
            if "absorbed_power" in result.curve
            else np.nan
        )
        checks.append(
            _check("second_law", -lowest, 0.0, "R_total < 0: outside the master equation")
        )
    return tuple(checks)


def reflection_checks(result: FitResult, z: NDArray[Any]) -> tuple[Check, ...]:
    """Check a fit of reflection; z is the qubit's part of r = 1 − z in the shape of the curve."""
    values = result.values
    power = _strongest(result) * 10 ** (-values["attenuation_db"] / 10)
    rabi = np.sqrt(4 * values["gamma_r"] * power / (HBAR * TWO_PI * values["qubit_frequency"]))
    gamma_1 = values["gamma_r"] + values["gamma_i"]
    checks = _common(result, gamma_1 * (1 + 2 * values["n_th"]), float(rabi))
    depth, error = _linear_depth(result, z)
    checks.append(
        _check(
            "reflection_depth",
            depth - 3 * error,
            2.0,
            "ρ > 2 cannot come from a qubit at the end of a line: background, gain or geometry "
            "is wrong, and Γ₁ with it",
        )
    )
    return tuple(checks)


def _strongest(result: FitResult) -> float:
    return float(np.nanmax(result.traces["incident_power"].values))


def _common(result: FitResult, gamma_1_tot: float, rabi: float) -> list[Check]:
    values = result.values
    omega_q = TWO_PI * values["qubit_frequency"]
    gamma_2 = gamma_1_tot / 2 + values.get("gamma_phi", 0.0)
    width = gamma_2 * np.sqrt(1 + rabi**2 / (gamma_1_tot * gamma_2))
    frequency = result.traces["frequency"].values
    offset = float(np.nanmax(np.abs(TWO_PI * frequency - omega_q))) / omega_q
    attrs = result.traces.attrs
    checks = [
        _check("quality_factor", QUALITY * gamma_1_tot / omega_q, 1.0, "Γ₁ is no rate if Q < 100"),
        _check("detuning", offset, SMALL, "Γ₁ shifts by up to Δ/ω_q with the bookkeeping"),
        _check(
            "bloch_siegert",
            abs(float(bloch_siegert_shift(rabi, omega_q))) / width,
            SMALL,
            "the line moves with power; use energy='floquet'",
        ),
        _check(
            "steady_state",
            10 / (float(attrs.get("dwell_time", np.nan)) * min(gamma_1_tot, gamma_2)),
            1.0,
            "population and power are too small if the dwell time is under ten relaxation times",
        ),
    ]
    return [*checks, *_third_level(attrs, rabi, gamma_1_tot, width), *_bath(result, omega_q)]


def _third_level(attrs: Any, rabi: float, gamma_1_tot: float, width: float) -> list[Check]:
    alpha = TWO_PI * float(attrs.get("anharmonicity", np.nan))
    return [
        _check("leakage", float(leakage(rabi, alpha, 0.0)), SMALL, "Γ₁ is too high by 2 p₂/p₁"),
        _check(
            "stark_shift",
            abs(float(stark_shift(rabi, alpha))) / width,
            0.1,
            "the line moves with power and bends R(P) at fixed frequency",
        ),
        _check(
            "anharmonicity",
            max(gamma_1_tot, rabi) / abs(alpha),
            0.1,
            "whether the bath of the ladder is secular or collective matters at ΓΩ/|α|",
        ),
    ]


def _bath(result: FitResult, omega_q: float) -> list[Check]:
    temperature = float(result.traces.attrs.get("bath_temperature", np.nan))
    estimate = next((e for e in result.parameters if e.name == "n_th"), None)
    if estimate is None:
        return []
    expected = float(bose_occupation(omega_q, temperature)) if temperature > 0 else np.nan
    deviation = np.nan
    if estimate.value is not None and estimate.stderr:
        deviation = abs(estimate.value - expected) / estimate.stderr
    elif estimate.interval95 is not None:
        deviation = 0.0 if expected <= estimate.interval95[1] else 4.0
    return [
        _check(
            "bath_temperature",
            deviation,
            3.0,
            "n_th disagrees with the stated bath temperature (in standard errors): the qubit's "
            "bath is not the stated one, or the model is wrong",
        )
    ]


def _linear_depth(result: FitResult, z: NDArray[Any]) -> tuple[float, float]:
    """Refit the depth alone, without the bound ρ ≤ 2, to data over the best-fit background."""
    if "reflection" not in result.observables:
        return float("nan"), float("nan")
    fitted = result.curve["reflection"].values
    background = fitted / (1 - z)
    left = (
        1
        - result.traces["reflection"].transpose(*result.curve["reflection"].dims).values
        / background
    )
    weight = (np.abs(background) / result.curve["reflection_sigma"].values) ** 2
    norm = float(np.nansum(weight * np.abs(z) ** 2))
    scale = float(np.nansum(weight * np.real(np.conj(z) * left))) / norm
    values = result.values
    thermal = 1 + 2 * values["n_th"]
    gamma_2 = (values["gamma_r"] + values["gamma_i"]) * thermal / 2 + values["gamma_phi"]
    rho = values["manifold_weight"] * values["gamma_r"] / (thermal * gamma_2)
    return scale * rho, float(rho / np.sqrt(norm))
