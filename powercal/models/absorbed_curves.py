"""The curves of absorbed power with one bath, and their exact derivatives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Arrays, Derivatives
from powercal.models.driven import TWO_PI, line_shape, rate_slopes, saturation
from powercal.physics.bloch import dephased_rate
from powercal.physics.constants import HBAR
from powercal.physics.floquet import harmonic_balance, harmonic_balance_slopes

Array = NDArray[Any]


def _state(
    incident_power: Array, frequency: Array, p: Mapping[str, Any]
) -> tuple[Array, dict[str, Array]]:
    """Saturation and ∂ln s for the model's own parameters."""
    gamma_1_tot = p["gamma_1"] * (1 + 2 * p["n_th"])
    gamma_2 = gamma_1_tot / 2 + p["gamma_phi"]
    detuning = TWO_PI * (frequency - p["qubit_frequency"])
    s, totals = saturation(detuning, p["drive_scale"] * incident_power, gamma_1_tot, gamma_2)
    slopes = rate_slopes(p["gamma_1"], p["n_th"], totals)
    slopes["qubit_frequency"] = totals["qubit_frequency"]
    slopes["drive_scale"] = np.asarray(1 / p["drive_scale"])
    slopes["incident_power"] = 1 / incident_power
    return s, slopes


def _emission(detection: str, s: Array, p: Mapping[str, Any]) -> tuple[Array, dict[str, Array]]:
    """Return the share of the absorbed photons that is detected as missing, and its derivatives.

    absorbed: 1; coherent: 1 − ρ/(2(1+s)), ρ = Γ_r/((1+2n)Γ₂); total: 1 − Γ_r/Γ₁ (supplement C5).
    The derivatives are explicit ones; the way through s is under ``s``.
    """
    one = np.ones_like(s)
    if detection == "absorbed":
        return one, {}
    if detection == "total":
        return one * (1 - p["gamma_r"] / p["gamma_1"]), {
            "gamma_r": -one / p["gamma_1"],
            "gamma_1": one * p["gamma_r"] / p["gamma_1"] ** 2,
        }
    thermal = 1 + 2 * p["n_th"]
    gamma_2 = p["gamma_1"] * thermal / 2 + p["gamma_phi"]
    half = p["gamma_r"] / (thermal * gamma_2) / (2 * (1 + s))  # ρ/(2(1+s))
    return 1 - half, {
        "gamma_r": -half / p["gamma_r"],
        "gamma_1": half * thermal / 2 / gamma_2,
        "n_th": half * (2 / thermal + p["gamma_1"] / gamma_2),
        "gamma_phi": half / gamma_2,
        "s": half / (1 + s),
    }


def _quantum(energy: str, rate: Any, frequency: Array, qubit_frequency: Any) -> Any:
    """Power of so many quanta a second."""
    return (HBAR * TWO_PI * rate) * (frequency if energy == "effective" else qubit_frequency)


def rwa_curve(
    incident_power: Array, frequency: Array, *, energy: str, detection: str, **p: Any
) -> Arrays:
    """Return absorbed power, reflected power and population (sections 2, 3, supplement C5)."""
    thermal = 1 + 2 * p["n_th"]
    gamma_1_tot = p["gamma_1"] * thermal
    gamma_2 = gamma_1_tot / 2 + p["gamma_phi"]
    knee = gamma_1_tot * gamma_2 / p["drive_scale"]
    drive, width, below = line_shape(incident_power, frequency, p["qubit_frequency"], knee, gamma_2)
    share = drive / below  # s/(1+s)
    height = _quantum(energy, p["gamma_1"] / 2, frequency, p["qubit_frequency"])
    detected = height * share
    if detection == "coherent":
        rho = p["gamma_r"] / (thermal * gamma_2)
        detected = detected * (1 - (rho / 2) * width / below)
    elif detection == "total":
        detected = detected * (1 - p["gamma_r"] / p["gamma_1"])
    p_eq = p["n_th"] / thermal
    return detected, incident_power - detected, p_eq + (0.5 - p_eq) * share


def rwa_jacobian(
    incident_power: Array, frequency: Array, *, energy: str, detection: str, **p: Any
) -> Derivatives:
    """Return the exact derivatives of :func:`rwa_curve` by parameters and inputs."""
    s, slopes = _state(incident_power, frequency, p)
    share = s / (1 + s)
    quantum = _quantum(energy, 1.0, frequency, p["qubit_frequency"])
    emission, explicit = _emission(detection, s, p)
    power = quantum * p["gamma_1"] / 2 * share
    per_log_s = power * (emission / (1 + s) + explicit.pop("s", 0.0) * s)
    detected = {name: per_log_s * slope for name, slope in slopes.items()}
    detected["gamma_1"] = detected["gamma_1"] + power * emission / p["gamma_1"]
    if energy != "effective":
        detected["qubit_frequency"] = (
            detected["qubit_frequency"] + power * emission / p["qubit_frequency"]
        )
    else:
        detected["frequency"] = (
            per_log_s * -slopes["qubit_frequency"] + power * emission / frequency
        )
    for name, value in explicit.items():
        detected[name] = detected.get(name, 0.0) + power * value
    reflected = {name: -value for name, value in detected.items()}
    reflected["incident_power"] = reflected["incident_power"] + 1.0
    thermal = 1 + 2 * p["n_th"]
    population = {n: share / (1 + s) / (2 * thermal) * slope for n, slope in slopes.items()}
    population["n_th"] = population["n_th"] + (1 - share) / thermal**2
    return detected, reflected, population


def floquet_curve(incident_power: Array, frequency: Array, **p: Any) -> Arrays:
    """Return the same in the laboratory frame, averaged over a cycle (section 6)."""
    gamma_1_tot = p["gamma_1"] * (1 + 2 * p["n_th"])
    gamma_2 = dephased_rate(gamma_1_tot, p["gamma_phi"])
    p_eq = p["n_th"] / (1 + 2 * p["n_th"])
    state = harmonic_balance(*_lab(incident_power, frequency, p), gamma_1_tot, gamma_2, p_eq)
    power = state.total_power
    return power, incident_power - power, state.mean_population


def _lab(power: Array, frequency: Array, p: Mapping[str, Any]) -> tuple[Any, Array, Array]:
    """Return ω_q, ω_d and Ω."""
    return TWO_PI * p["qubit_frequency"], TWO_PI * frequency, np.sqrt(p["drive_scale"] * power)


def floquet_slopes(
    incident_power: Array,
    frequency: Array,
    p: Mapping[str, Any],
    gamma_1_tot: Any,
    gamma_2: Any,
    p_eq: Any,
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return slopes of absorbed power and population in the laboratory frame.

    By what both depend on directly (qubit_frequency, frequency, drive_scale, incident_power) and
    by gamma_1_tot, gamma_2 and p_eq, for the caller to chain on.
    """
    omega_q, omega_d, rabi = _lab(incident_power, frequency, p)
    found = harmonic_balance_slopes(omega_q, omega_d, rabi, gamma_1_tot, gamma_2, p_eq)
    tables = []
    for inner in (found.total_power, found.mean_population):
        table = {name: inner[name] for name in ("gamma_1_tot", "gamma_2", "p_eq")}
        table["qubit_frequency"] = TWO_PI * inner["omega_q"]
        table["frequency"] = TWO_PI * inner["omega_d"]
        table["drive_scale"] = inner["rabi"] * rabi / (2 * p["drive_scale"])
        table["incident_power"] = inner["rabi"] * rabi / (2 * incident_power)
        tables.append(table)
    return tables[0], tables[1]


def floquet_jacobian(incident_power: Array, frequency: Array, **p: Any) -> Derivatives:
    """Return the exact derivatives of :func:`floquet_curve` by parameters and inputs."""
    thermal = 1 + 2 * p["n_th"]
    gamma_1_tot = p["gamma_1"] * thermal
    gamma_2 = dephased_rate(gamma_1_tot, p["gamma_phi"])
    tables = floquet_slopes(incident_power, frequency, p, gamma_1_tot, gamma_2, p["n_th"] / thermal)
    for table in tables:
        totals = {name: table.pop(name) for name in ("gamma_1_tot", "gamma_2")}
        table |= rate_slopes(p["gamma_1"], p["n_th"], totals)
        table["n_th"] = table["n_th"] + table.pop("p_eq") / thermal**2
    reflected = {name: -slope for name, slope in tables[0].items()}
    reflected["incident_power"] = reflected["incident_power"] + 1.0
    return tables[0], reflected, tables[1]
