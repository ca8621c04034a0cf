"""Assumptions of a theory against a result: value, limit, verdict, effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

import powercal as pc
from powercal_reservoirs.constants import BOLTZMANN, HBAR

__all__ = ["broadening", "check", "dressing", "strongest_field", "thermal_rate"]


def check(name: str, value: float, limit: float, effect: str) -> pc.Check:
    """Return a check that holds up to its limit; unknown where the value is not finite.

    Parameters
    ----------
    name : str
        Of the assumption.
    value, limit : float
        What is compared.
    effect : str
        What a failure does to the estimates.

    Returns
    -------
    Check
        With its verdict.
    """
    verdict: Literal["holds", "fails", "unknown"] = "holds" if value <= limit else "fails"
    return pc.Check(
        name=name,
        value=float(value),
        limit=float(limit),
        verdict=verdict if np.isfinite(value) else "unknown",
        effect=effect,
    )


def thermal_rate(values: Mapping[str, float]) -> float:
    """Return kT/ħ of the colder of both reservoirs, rad/s."""
    coldest = values["temperature_u"] * min(1.0, values["temperature_ratio"])
    return BOLTZMANN * coldest / HBAR


def broadening(
    width: float, values: Mapping[str, float], spoils: str = "the saturated rate"
) -> pc.Check:
    """Check that levels of this width (1/s) are narrower than kT."""
    return check(
        "broadening",
        width / thermal_rate(values),
        1.0,
        f"levels wider than kT are not filled at one energy: the inversion, and {spoils} with it, "
        f"is off by about (ħG/kT)²/100",
    )


def strongest_field(result: pc.FitResult) -> float:
    """Return |ε| of the strongest drive of the data at the device, rad/s."""
    values = result.values
    loss = 10 ** (-values.get("attenuation_db", 0.0) / 10)
    power = float(np.nanmax(result.traces["incident_power"].values)) * loss
    return float(np.sqrt(0.25 * values["drive_scale"] * power))


def dressing(field: float, values: Mapping[str, float]) -> pc.Check:
    """Check that a classical field |ε| (rad/s) does not split the levels by kT."""
    return check(
        "dressing",
        field / thermal_rate(values),
        0.3,
        "a Rabi splitting of kT is not seen by the reservoirs of this theory; f_u − f_l, and "
        "the rates with it, depend on the drive",
    )
