"""The model ``floquet``: power and population of a driven qubit, exact in the lab frame."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import powercal as pc
from powercal.physics.floquet import harmonic_balance, harmonic_balance_slopes
from powercal_floquet.checks import checks
from powercal_floquet.drive import TWO_PI, device_power, drive_scale, gamma_1, gamma_1_tot
from powercal_floquet.regimes import one_bath
from powercal_floquet.start import guess
from powercal_floquet.tables import DETECTION, DRIVE, TOLERANCE, derived, parameters

Array = NDArray[Any]
Values = Mapping[str, Any]


def _arguments(
    incident_power: Array, frequency: Array, p: Values
) -> tuple[Any, Any, Any, Any, Any, Any]:
    """Return omega_q, omega_d, Omega, Gamma_1tot, Gamma_2 and p_eq."""
    total = gamma_1_tot(p)
    return (
        TWO_PI * p["qubit_frequency"],
        TWO_PI * frequency,
        np.sqrt(drive_scale(frequency, p) * incident_power),
        total,
        total / 2 + p["gamma_phi"],
        p["n_th"] / (1 + 2 * p["n_th"]),
    )


def curve(
    incident_power: Array, frequency: Array, *, tolerance: float, **p: Any
) -> tuple[Array, Array, Array]:
    """Absorbed power, what is left of the incident one at the device (W), mean population."""
    state = harmonic_balance(*_arguments(incident_power, frequency, p), tolerance=tolerance)
    left = device_power(incident_power, p) - state.total_power
    return state.total_power, left, state.mean_population


def jacobian(
    incident_power: Array, frequency: Array, *, tolerance: float, **p: Any
) -> tuple[dict[str, Array], ...]:
    """Exact derivatives by parameters and inputs, along the recursion of the continued fraction."""
    arguments = _arguments(incident_power, frequency, p)
    slopes = harmonic_balance_slopes(*arguments, tolerance=tolerance)
    rabi, found = arguments[2], []
    for table in (slopes.total_power, slopes.mean_population):
        found.append(_chained(table, rabi, incident_power, frequency, p))
    power, population = found
    left = {name: -slope for name, slope in power.items()}
    at_device = device_power(incident_power, p)
    left["incident_power"] = left["incident_power"] + at_device / incident_power
    if "attenuation_db" in p:
        left["attenuation_db"] = left["attenuation_db"] - np.log(10) / 10 * at_device
    return power, left, population


def _chained(
    table: Mapping[str, Array], rabi: Array, incident_power: Array, frequency: Array, p: Values
) -> dict[str, Array]:
    """Chain derivatives by the physics' arguments to those by the model's own."""
    thermal = 1 + 2 * p["n_th"]
    by_total = table["gamma_1_tot"] + table["gamma_2"] / 2
    by_log_scale = table["rabi"] * rabi / 2
    by_gamma_1 = by_total * thermal
    chained = {
        "qubit_frequency": TWO_PI * table["omega_q"],
        "frequency": TWO_PI * table["omega_d"],
        "gamma_phi": table["gamma_2"],
        "n_th": by_total * 2 * gamma_1(p) + table["p_eq"] / thermal**2,
        "incident_power": by_log_scale / incident_power,
    }
    if "drive_scale" in p:
        return chained | {"gamma_1": by_gamma_1, "drive_scale": by_log_scale / p["drive_scale"]}
    chained["frequency"] = chained["frequency"] - by_log_scale / frequency
    return chained | {
        "gamma_r": by_gamma_1 + by_log_scale / p["gamma_r"],
        "gamma_i": by_gamma_1,
        "attenuation_db": -np.log(10) / 10 * by_log_scale,
    }


def _build(drive: str = "scale", tolerance: str = "1e-12", detection: str = "absorbed") -> pc.Model:
    rows = parameters(drive)
    return pc.Model(
        name="floquet",
        summary="driven qubit beyond the rotating-wave approximation, by harmonic balance "
        "(physics sheet section 6, supplement C6)",
        inputs=("incident_power", "frequency"),
        observables=("absorbed_power", "reflected_power", "excited_population"),
        parameters=rows,
        curve=partial(curve, tolerance=float(tolerance)),
        jacobian=partial(jacobian, tolerance=float(tolerance)),
        guess=partial(guess, rows=rows),
        derived=derived(drive),
        checks=checks,
    )


FLOQUET = dataclasses.replace(
    _build(), options=(DRIVE, TOLERANCE, DETECTION), factory=_build, regimes=one_bath
)


@pc.hookimpl
def powercal_models() -> tuple[pc.Model, ...]:
    """Offer the model."""
    return (FLOQUET,)
