"""Assumptions that stand behind a fit of the model ``floquet``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import powercal as pc
from powercal.physics.bloch import half_width
from powercal.physics.floquet import bloch_siegert_shift, harmonic_balance
from powercal_floquet.drive import TWO_PI, drive_scale, gamma_1_tot, gamma_2

QUALITY = 100.0  # Γ₁tot/ω_q below a percent: Fermi's golden rule and one occupation hold
STRONG = 0.2  # below this part of ω_q fixed rates have never made one bath give out power


def _check(name: str, value: float, limit: float, effect: str) -> pc.Check:
    verdict: Any = "unknown"
    if np.isfinite(value):
        verdict = "holds" if value <= limit else "fails"
    return pc.Check(
        name=name, value=float(value), limit=float(limit), verdict=verdict, effect=effect
    )


def checks(result: pc.FitResult) -> tuple[pc.Check, ...]:
    """Check a fit of absorbed power or population."""
    import xarray

    # The nuisance of a line and the model's own attenuation have one name and act alike.
    values = {"attenuation_db": 0.0, **result.values}
    inputs = (result.traces[name] for name in ("incident_power", "frequency"))
    power, frequency = (field.values for field in xarray.broadcast(*inputs))
    if "drive_scale" in values:
        power = power * 10 ** (-values["attenuation_db"] / 10)
    rabi = np.sqrt(drive_scale(frequency, values) * power)
    strongest, omega_q = float(np.nanmax(rabi)), TWO_PI * values["qubit_frequency"]
    dwell = float(result.traces.attrs.get("dwell_time", np.nan))
    slowest = min(gamma_1_tot(values), gamma_2(values))
    return (
        *_drive(values, strongest, omega_q),
        *_energy(values, rabi, TWO_PI * frequency),
        _check(
            "quality_factor",
            QUALITY * gamma_1_tot(values) / omega_q,
            1.0,
            "Γ₁ is no rate if Q < 100",
        ),
        _check(
            "steady_state",
            10 / (dwell * slowest),
            1.0,
            "population and power are too small if the dwell time is under ten relaxation times",
        ),
    )


def _drive(values: Mapping[str, float], rabi: float, omega_q: float) -> tuple[pc.Check, ...]:
    width = float(half_width(rabi, gamma_1_tot(values), gamma_2(values)))
    return (
        _check(
            "bloch_siegert",
            float(bloch_siegert_shift(rabi, omega_q)) / width,
            1.0,
            "the line moves by this part of its width at the strongest drive, and the model "
            "follows; beyond 1 the sweep must go after the line, or it misses it",
        ),
        _check(
            "fixed_rates",
            rabi / omega_q,
            STRONG,
            "so strong a drive asks the bath at other frequencies than ω_q; one Γ₁ and one n_th "
            "then say less than they seem to",
        ),
    )


def _energy(values: Mapping[str, float], rabi: Any, omega_d: Any) -> tuple[pc.Check, ...]:
    omega_q = TWO_PI * values["qubit_frequency"]
    total, n_th = gamma_1_tot(values), values["n_th"]
    state = harmonic_balance(omega_q, omega_d, rabi, total, gamma_2(values), n_th / (1 + 2 * n_th))
    lost = -state.total_power[np.isfinite(state.total_power)]
    return (
        _check(
            "second_law",
            float(lost.max()) if lost.size else np.nan,
            0.0,
            "R_total < 0 (value: −R_total in W where it is least): outside the master equation",
        ),
        _check(
            "harmonics",
            float(np.mean(state.harmonics == 0)),
            0.0,
            "at this share of the points no number of harmonics was enough: no curve there",
        ),
    )
