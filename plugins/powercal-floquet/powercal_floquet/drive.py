"""How the model's own parameters become rates and a Rabi rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from powercal.physics.constants import HBAR

TWO_PI = 2 * np.pi


def gamma_1(p: Mapping[str, Any]) -> Any:
    """Bare relaxation rate in 1/s: given, or the sum of radiative and internal loss."""
    return p["gamma_1"] if "gamma_1" in p else p["gamma_r"] + p["gamma_i"]


def gamma_1_tot(p: Mapping[str, Any]) -> Any:
    """Relaxation rate of a T1 experiment in 1/s."""
    return gamma_1(p) * (1 + 2 * p["n_th"])


def gamma_2(p: Mapping[str, Any]) -> Any:
    """Decoherence rate in 1/s."""
    return gamma_1_tot(p) / 2 + p["gamma_phi"]


def device_power(incident_power: Any, p: Mapping[str, Any]) -> Any:
    """Incident power at the device in W, behind the attenuation if there is one."""
    return incident_power * 10 ** (-p.get("attenuation_db", 0.0) / 10)


def drive_scale(frequency: Any, p: Mapping[str, Any]) -> Any:
    """Square of the Rabi rate per watt: given, or 4 Γ_r/(ħω_d) behind the attenuation."""
    if "drive_scale" in p:
        return p["drive_scale"]
    return device_power(4 * p["gamma_r"] / (HBAR * TWO_PI * frequency), p)
