"""The model ``floquet_channels``: two baths behind a qubit that is driven beyond the RWA."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import powercal as pc
from powercal.physics.constants import HBAR
from powercal.physics.dissipation import heat_current
from powercal.physics.energy import heat_leak
from powercal.physics.floquet import PeriodicSlopes, harmonic_balance, harmonic_balance_slopes
from powercal_floquet.checks import checks
from powercal_floquet.drive import TWO_PI
from powercal_floquet.regimes import two_baths
from powercal_floquet.start import within
from powercal_floquet.tables import (
    DETECTION,
    DRIVE_SCALE,
    GAMMA_PHI,
    QUBIT_FREQUENCY,
    positive,
    row,
    shifts,
)

Array = NDArray[Any]
Values = Mapping[str, Any]
BATHS = ("a", "b")


def _arguments(
    incident_power: Array, frequency: Array, p: Values
) -> tuple[Any, Any, Any, Any, Any, Any]:
    """Return omega_q, omega_d, Omega, Gamma_1tot, Gamma_2 and p_eq."""
    return (
        TWO_PI * p["qubit_frequency"],
        TWO_PI * frequency,
        np.sqrt(p["drive_scale"] * incident_power),
        _total(p),
        _width(p),
        _p_eq(p),
    )


def curve(incident_power: Array, frequency: Array, **p: Any) -> tuple[Array, ...]:
    """Absorbed and reflected power, mean population, and the heat into bath a ([G20])."""
    arguments = _arguments(incident_power, frequency, p)
    state = harmonic_balance(*arguments)
    heat = heat_current(
        arguments[0], arguments[2], state.mean_population, state.cos_x, p["gamma_a"], p["n_a"]
    )
    power = state.total_power
    return power, incident_power - power, state.mean_population, heat


def jacobian(incident_power: Array, frequency: Array, **p: Any) -> tuple[dict[str, Array], ...]:
    """Exact derivatives by parameters and inputs."""
    arguments = _arguments(incident_power, frequency, p)
    slopes = harmonic_balance_slopes(*arguments)
    heat, by_gamma_a, by_n_a = _heat_slopes(slopes, arguments, p)
    power, population, heated = (
        _chained(table, arguments, incident_power, p)
        for table in (slopes.total_power, slopes.mean_population, heat)
    )
    heated["gamma_a"] = heated["gamma_a"] + by_gamma_a
    heated["n_a"] = heated["n_a"] + by_n_a
    left = {name: -slope for name, slope in power.items()}
    left["incident_power"] = left["incident_power"] + 1.0
    return power, left, population, heated


def _heat_slopes(
    slopes: PeriodicSlopes, arguments: tuple[Any, ...], p: Values
) -> tuple[dict[str, Array], Array, Array]:
    """Differentiate the heat into bath a, by the six arguments and by its own rate and occupation.

    The energy balance says what its second term is: ħΩΓ₂⟨cos x⟩ = R_total − ħω_qΓ₁tot(p̄ − p_eq).
    """
    omega_q, _, rabi, total, gamma_2, p_eq = arguments
    state, gamma, n = slopes.state, p["gamma_a"], p["n_a"]
    warm = gamma * (1 + 2 * n)
    share = warm / (2 * gamma_2)
    coherent = HBAR * rabi * gamma_2 * state.cos_x
    quantum, excess = HBAR * omega_q, state.mean_population - p_eq
    by_population = quantum * (warm - share * total)
    table = {
        name: by_population * slopes.mean_population[name] + share * slope
        for name, slope in slopes.total_power.items()
    }
    jumps = warm * state.mean_population - gamma * n
    table["omega_q"] = table["omega_q"] + HBAR * (jumps - share * total * excess)
    table["gamma_1_tot"] = table["gamma_1_tot"] - share * quantum * excess
    table["p_eq"] = table["p_eq"] + share * quantum * total
    table["gamma_2"] = table["gamma_2"] - share / gamma_2 * coherent
    by_gamma = (quantum * jumps + share * coherent) / gamma
    by_n = gamma * (quantum * (2 * state.mean_population - 1) + coherent / gamma_2)
    return table, by_gamma, by_n


def _chained(
    table: Mapping[str, Array], arguments: tuple[Any, ...], incident_power: Array, p: Values
) -> dict[str, Array]:
    """Chain derivatives by the physics' arguments to those by the model's own."""
    _, _, rabi, total, _, p_eq = arguments
    by_total = table["gamma_1_tot"] + table["gamma_2"] / 2
    by_log_scale = table["rabi"] * rabi / 2
    chained = {
        "qubit_frequency": TWO_PI * table["omega_q"],
        "frequency": TWO_PI * table["omega_d"],
        "gamma_phi": table["gamma_2"],
        "drive_scale": by_log_scale / p["drive_scale"],
        "incident_power": by_log_scale / incident_power,
    }
    for k in BATHS:
        gamma, n = p[f"gamma_{k}"], p[f"n_{k}"]
        warm, by_p_eq = 1 + 2 * n, table["p_eq"] / total
        chained[f"gamma_{k}"] = by_total * warm + by_p_eq * (n - p_eq * warm)
        chained[f"n_{k}"] = gamma * (2 * by_total + by_p_eq * (1 - 2 * p_eq))
    return chained


def guess(
    traces: Any, fixed: Mapping[str, float], *, rows: tuple[pc.Parameter, ...]
) -> dict[str, Array]:
    """Start as the model ``channels`` does."""
    model = pc.get_model("channels").configure(channels="a,b", detection="absorbed")
    known = {name: value for name, value in fixed.items() if name.startswith("gamma_")}
    return within(model.guess(traces, known), fixed, rows)


# ---- the tables ----

_PARAMETERS = (
    QUBIT_FREQUENCY,
    positive("gamma_a", "s-1", "rate of bath a, whose heat is detected", 4e5, 1.0, 1e13),
    positive("gamma_b", "s-1", "rate of bath b", 3e5, 1.0, 1e13),
    pc.Parameter(name="n_a", unit="1", meaning="occupation of bath a", example=0.02, min=0.0),
    pc.Parameter(name="n_b", unit="1", meaning="occupation of bath b", example=0.08, min=0.0),
    GAMMA_PHI,
    DRIVE_SCALE,
)
_RATES = ("gamma_a", "gamma_b")
_WARM = (*_RATES, "n_a", "n_b")


def _gamma_1(p: Values) -> Any:
    return sum(p[f"gamma_{k}"] for k in BATHS)


def _upward(p: Values) -> Any:
    return sum(p[f"gamma_{k}"] * p[f"n_{k}"] for k in BATHS)


def _total(p: Values) -> Any:
    return _gamma_1(p) + 2 * _upward(p)


def _width(p: Values) -> Any:
    return _total(p) / 2 + p["gamma_phi"]


def _p_eq(p: Values) -> Any:
    return _upward(p) / _total(p)


def _share(k: str) -> Callable[[Values], Any]:
    return lambda p: p[f"gamma_{k}"] * (1 + 2 * p[f"n_{k}"]) / _total(p)


def _leak(p: Values) -> Any:
    return heat_leak(TWO_PI * p["qubit_frequency"], p["gamma_a"], p["n_a"], _p_eq(p))


def _derived() -> tuple[pc.Derived, ...]:
    return (
        row("gamma_1", "s-1", "bare relaxation rate Γ_a + Γ_b", _gamma_1, _RATES),
        row("gamma_1_tot", "s-1", "relaxation rate in a T1 experiment", _total, _WARM),
        row("T1", "s", "relaxation time 1/Γ₁tot", lambda p: 1 / _total(p), _WARM),
        row("gamma_2", "s-1", "decoherence rate Γ₁tot/2 + Γφ", _width, (*_WARM, "gamma_phi")),
        row("p_eq", "1", "equilibrium population", _p_eq, _WARM, scale="linear"),
        *(
            row(
                f"f_{k}_driven",
                "1",
                f"share of bath {k} in what relaxes under the drive, without heat leak; the same "
                f"at every drive, Γ_{k}(1+2n_{k})/Γ₁tot",
                _share(k),
                _WARM,
            )
            for k in BATHS
        ),
        row(
            "heat_leak_a",
            "W",
            "heat that flows into bath a without drive",
            _leak,
            (*_WARM, "qubit_frequency"),
            scale="linear",
        ),
        row(
            "saturation_power",
            "W",
            "power with s = 1 on resonance, Γ₁totΓ₂/drive_scale",
            lambda p: _total(p) * _width(p) / p["drive_scale"],
            (*_WARM, "gamma_phi", "drive_scale"),
        ),
        *shifts(("drive_scale",), (*_WARM, "gamma_phi"), lambda p: _total(p) * _width(p)),
    )


def _checks(result: pc.FitResult) -> tuple[pc.Check, ...]:
    """Check the one bath that does the same as both together."""
    values, rate = result.values, _gamma_1(result.values)
    together = {**values, "gamma_1": rate, "n_th": _upward(values) / rate}
    return checks(dataclasses.replace(result, values=together))


def _build(detection: str = "absorbed") -> pc.Model:
    return pc.Model(
        name="floquet_channels",
        summary="two baths behind a qubit driven beyond the rotating-wave approximation, and the "
        "heat into one of them ([G20], physics sheet section 6)",
        inputs=("incident_power", "frequency"),
        observables=("absorbed_power", "reflected_power", "excited_population", "emitted_power"),
        parameters=_PARAMETERS,
        curve=curve,
        jacobian=jacobian,
        guess=partial(guess, rows=_PARAMETERS),
        derived=_derived(),
        checks=_checks,
    )


FLOQUET_CHANNELS = dataclasses.replace(
    _build(), options=(DETECTION,), factory=_build, regimes=two_baths
)


@pc.hookimpl
def powercal_models() -> tuple[pc.Model, ...]:
    """Offer the model."""
    return (FLOQUET_CHANNELS,)
