"""Absorbed power and population of a qubit whose frequency wanders slowly (supplement C2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Arrays, Derivatives
from powercal.models.driven import TWO_PI, rate_slopes
from powercal.physics.constants import HBAR
from powercal.physics.voigt import complex_voigt, complex_voigt_slopes

Array = NDArray[Any]


class _Line(NamedTuple):
    """Δ, h = Ω²Γ₂/Γ₁tot and W = √(Γ₂²+h): s/(1+s) = h/(W²+Δ²) before the average."""

    detuning: Array
    drive: Array
    width: Array
    gamma_1_tot: Any
    gamma_2: Any


def _line(power: Array, frequency: Array, p: Mapping[str, Any]) -> _Line:
    gamma_1_tot = p["gamma_1"] * (1 + 2 * p["n_th"])
    gamma_2 = gamma_1_tot / 2 + p["gamma_phi"]
    drive = power * (p["drive_scale"] * gamma_2 / gamma_1_tot)
    detuning = TWO_PI * (frequency - p["qubit_frequency"])
    return _Line(detuning, drive, np.sqrt(gamma_2**2 + drive), gamma_1_tot, gamma_2)


def voigt_curve(incident_power: Array, frequency: Array, *, energy: str, **p: Any) -> Arrays:
    """Return absorbed power, reflected power and population, averaged over the slow noise."""
    line = _line(incident_power, frequency, p)
    shape = complex_voigt(line.detuning, line.width, TWO_PI * p["sigma_slow"])
    share = line.drive * shape.real / line.width
    carrier = frequency if energy == "effective" else p["qubit_frequency"]
    absorbed = (HBAR * TWO_PI * p["gamma_1"] / 2) * carrier * share
    p_eq = p["n_th"] / (1 + 2 * p["n_th"])
    return absorbed, incident_power - absorbed, p_eq + (0.5 - p_eq) * share


def voigt_jacobian(
    incident_power: Array, frequency: Array, *, energy: str, **p: Any
) -> Derivatives:
    """Return the exact derivatives of :func:`voigt_curve` by parameters and inputs."""
    share, slopes = _share_slopes(incident_power, frequency, p)
    name = "frequency" if energy == "effective" else "qubit_frequency"
    carrier = frequency if energy == "effective" else p["qubit_frequency"]
    height = (HBAR * TWO_PI * p["gamma_1"] / 2) * carrier
    absorbed = {n: height * slope for n, slope in slopes.items()}
    absorbed["gamma_1"] = absorbed["gamma_1"] + height * share / p["gamma_1"]
    absorbed[name] = absorbed[name] + height * share / carrier
    reflected = {name: -slope for name, slope in absorbed.items()}
    reflected["incident_power"] = reflected["incident_power"] + 1.0
    thermal = 1 + 2 * p["n_th"]
    population = {name: slope / (2 * thermal) for name, slope in slopes.items()}
    population["n_th"] = population["n_th"] + (1 - share) / thermal**2
    return absorbed, reflected, population


def _share_slopes(
    power: Array, frequency: Array, p: Mapping[str, Any]
) -> tuple[Array, dict[str, Array]]:
    """Return the average of s/(1+s) and its derivatives by parameters and inputs."""
    line = _line(power, frequency, p)
    shape, by_pole, by_sigma = complex_voigt_slopes(
        line.detuning, line.width, TWO_PI * p["sigma_slow"]
    )
    value = shape.real / line.width
    by_width = (by_pole.real - value) / line.width  # of Re L/W
    by_drive = value + line.drive * by_width / (2 * line.width)
    through = line.drive * by_drive  # per ln h
    by_detuning = line.drive / line.width * by_pole.imag
    totals = {
        "gamma_1_tot": -through / line.gamma_1_tot,
        "gamma_2": through / line.gamma_2 + line.drive * by_width * line.gamma_2 / line.width,
    }
    slopes = rate_slopes(p["gamma_1"], p["n_th"], totals)
    slopes["qubit_frequency"] = -TWO_PI * by_detuning
    slopes["frequency"] = TWO_PI * by_detuning
    slopes["drive_scale"] = through / p["drive_scale"]
    slopes["incident_power"] = through / power
    slopes["sigma_slow"] = TWO_PI * line.drive / line.width * by_sigma.real
    return line.drive * value, slopes
