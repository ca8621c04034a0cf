"""Reflection of a qubit at the end of a line: complex, or its power, with the set-up around it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from math import log, pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Arrays, Derivatives, Derived, Model, Option, Parameter
from powercal.hookspecs import hookimpl
from powercal.models.checks import reflection_checks
from powercal.models.driven import (
    GAMMA_PHI,
    N_TH,
    QUBIT_FREQUENCY,
    TWO_PI,
    common_derived,
    rate,
    rate_slopes,
    saturation,
)
from powercal.models.reflection_start import guess
from powercal.physics.constants import HBAR
from powercal.physics.scattering import Convention, with_convention

Array = NDArray[Any]
_DB = log(10) / 10

CONVENTION = Option(
    name="convention",
    choices=("+i", "-i", "find"),
    default="find",
    meaning="time factor of the file: e^{+iωt} (most instruments), e^{−iωt} (physics), or find it",
)
SETUP = Option(
    name="setup",
    choices=("raw", "referenced", "device"),
    meaning="whether the set-up's delay and mismatch were removed by a reference trace",
)
OBSERVABLE = Option(
    name="observable",
    choices=("complex", "power"),
    default="complex",
    meaning="complex reflection, or its power alone (which knows no phase)",
    follows={"reflection": "complex", "reflected_power": "power"},
)


def _device_reflection(
    incident_power: Array, frequency: Array, p: Mapping[str, Any]
) -> tuple[Array, dict[str, Array], dict[str, Array]]:
    """Return the qubit's part z of r = 1 − e^{iψ}z, its derivatives and those of ln s.

    z = w Γ_r (1−2p_eq)/((1+s)(Γ₂−iΔ)), e^{−iωt} (physics sheet section 5, supplement C5).
    """
    gamma_1 = p["gamma_r"] + p["gamma_i"]
    thermal = 1 + 2 * p["n_th"]
    gamma_1_tot = gamma_1 * thermal
    gamma_2 = gamma_1_tot / 2 + p["gamma_phi"]
    detuning = TWO_PI * (frequency - p["qubit_frequency"])
    at_device = incident_power * np.exp(-_DB * p["attenuation_db"])
    rabi_squared = 4 * p["gamma_r"] * at_device / (HBAR * TWO_PI * frequency)
    s, totals = saturation(detuning, rabi_squared, gamma_1_tot, gamma_2)
    pole = gamma_2 - 1j * detuning
    z = p["manifold_weight"] * p["gamma_r"] / (thermal * (1 + s) * pole)
    ln_s = _ln_s_slopes(gamma_1, incident_power, totals, p)
    pulled = s / (1 + s)
    ln_z: dict[str, Array] = {name: -pulled * slope for name, slope in ln_s.items()}
    direct = rate_slopes(gamma_1, p["n_th"], {"gamma_1_tot": 0 * s, "gamma_2": -1 / pole})
    direct["qubit_frequency"] = -1j * TWO_PI / pole
    direct["n_th"] = direct["n_th"] - 2 / thermal
    direct["gamma_i"] = direct["gamma_1"]
    direct["gamma_r"] = direct.pop("gamma_1") + 1 / p["gamma_r"]
    for name, slope in direct.items():
        ln_z[name] = ln_z[name] + slope
    slopes = {name: z * slope for name, slope in ln_z.items()}
    slopes["manifold_weight"] = p["gamma_r"] / (thermal * (1 + s) * pole)
    return z, slopes, ln_s


def _ln_s_slopes(
    gamma_1: Any, incident_power: Array, totals: Mapping[str, Array], p: Mapping[str, Any]
) -> dict[str, Array]:
    slopes = rate_slopes(gamma_1, p["n_th"], totals)
    slopes["gamma_i"] = slopes["gamma_1"]
    slopes["gamma_r"] = slopes.pop("gamma_1") + 1 / p["gamma_r"]
    slopes["qubit_frequency"] = totals["qubit_frequency"]
    slopes["attenuation_db"] = np.asarray(-_DB)
    slopes["incident_power"] = 1 / incident_power
    return slopes


def _curve(incident_power: Array, frequency: Array, *, convention: Convention, **p: Any) -> Arrays:
    z, _, _ = _device_reflection(incident_power, frequency, p)
    delay = np.exp(1j * TWO_PI * (frequency - p["qubit_frequency"]) * p["delay"])
    bare = delay * (1 - np.exp(1j * p["mismatch"]) * z)
    gain = p["reference_gain"]
    reflection = gain * np.exp(1j * p["reference_phase"]) * with_convention(bare, convention)
    return reflection, incident_power * gain**2 * np.abs(bare) ** 2


def _jacobian(
    incident_power: Array, frequency: Array, *, convention: Convention, **p: Any
) -> Derivatives:
    z, slopes, _ = _device_reflection(incident_power, frequency, p)
    offset = frequency - p["qubit_frequency"]
    delay = np.exp(1j * TWO_PI * offset * p["delay"])
    turn = np.exp(1j * p["mismatch"])
    bare = delay * (1 - turn * z)
    inner = {name: -delay * turn * slope for name, slope in slopes.items()}
    inner["mismatch"] = -1j * delay * turn * z
    inner["delay"] = 1j * TWO_PI * offset * bare
    inner["qubit_frequency"] = inner["qubit_frequency"] - 1j * TWO_PI * p["delay"] * bare
    outer = p["reference_gain"] * np.exp(1j * p["reference_phase"])
    reflection = {n: outer * with_convention(d, convention) for n, d in inner.items()}
    whole = outer * with_convention(bare, convention)
    reflection["reference_gain"] = whole / p["reference_gain"]
    reflection["reference_phase"] = 1j * whole
    scale = incident_power * p["reference_gain"] ** 2
    power = {n: 2 * scale * np.real(np.conj(bare) * d) for n, d in inner.items()}
    level = np.abs(bare) ** 2
    power["reference_gain"] = 2 * scale / p["reference_gain"] * level
    power["incident_power"] = power["incident_power"] + p["reference_gain"] ** 2 * level
    return reflection, power


def _depth(**p: Any) -> Any:
    thermal = 1 + 2 * p["n_th"]
    gamma_2 = (p["gamma_r"] + p["gamma_i"]) * thermal / 2 + p["gamma_phi"]
    return p["manifold_weight"] * p["gamma_r"] / (thermal * gamma_2)


def _knee(**p: Any) -> Any:
    total = (p["gamma_r"] + p["gamma_i"]) * (1 + 2 * p["n_th"])
    gamma_2 = total / 2 + p["gamma_phi"]
    at_device = HBAR * TWO_PI * p["qubit_frequency"] * total * gamma_2 / (4 * p["gamma_r"])
    return at_device * np.exp(_DB * p["attenuation_db"])


_RATES = ("gamma_r", "gamma_i", "n_th", "gamma_phi")
_DERIVED = (
    Derived(
        name="gamma_1",
        unit="s-1",
        meaning="bare relaxation rate Γ_r + Γ_i",
        function=lambda **p: p["gamma_r"] + p["gamma_i"],
        arguments=("gamma_r", "gamma_i"),
        scale="log",
    ),
    *common_derived("reflection"),
    Derived(
        name="reflection_depth",
        unit="1",
        meaning="ρ = wΓ_r(1−2p_eq)/Γ₂, the diameter of the circle",
        function=_depth,
        arguments=(*_RATES, "manifold_weight"),
        scale="log",
    ),
    Derived(
        name="saturation_power",
        unit="W",
        meaning="P_s at the plane of incident_power, s = 1 on resonance",
        function=_knee,
        arguments=(*_RATES, "qubit_frequency", "attenuation_db"),
        scale="log",
    ),
)


def _fixed(parameter: Parameter, value: float) -> Parameter:
    return dataclasses.replace(parameter, example=value, vary=False)


def _parameters(setup: str, observable: str) -> tuple[Parameter, ...]:
    """The table; what a set-up cannot do to the data is fixed."""
    weight = Parameter(
        name="manifold_weight",
        unit="1",
        meaning="share of the time that the qubit is in the driven manifold",
        example=1.0,
        min=0.0,
        max=1.0,
        vary=False,
    )
    gamma_i = Parameter(
        name="gamma_i", unit="s-1", meaning="internal loss rate", example=0.0, min=0.0, vary=False
    )
    loss = Parameter(
        name="attenuation_db",
        unit="dB",
        meaning="loss from generator to device",
        example=0.0 if setup == "device" else 70.0,
        min=-50.0,
        max=300.0,
        vary=setup != "device",
    )
    return (
        QUBIT_FREQUENCY,
        rate("gamma_r", "radiative rate into the line", 5e6),
        gamma_i,
        _fixed(GAMMA_PHI, 0.0),
        _fixed(N_TH, 0.0),
        weight,
        loss,
        *_setup_factors(setup, observable == "complex"),
    )


def _setup_factors(setup: str, phase: bool) -> tuple[Parameter, ...]:
    measured, raw = setup != "device", setup == "raw"
    return (
        Parameter(
            name="reference_gain",
            unit="1",
            meaning="amplitude of the reflection far from resonance",
            example=1.0,
            min=1e-12,
            max=1e12,
            scale="log",
            vary=measured,
        ),
        Parameter(
            name="reference_phase",
            unit="rad",
            meaning="phase of the reflection far from resonance, at the transition frequency",
            example=0.0,
            vary=measured and phase,
        ),
        Parameter(
            name="delay",
            unit="s",
            meaning="delay of the cables",
            example=0.0,
            vary=raw and phase,
        ),
        Parameter(
            name="mismatch",
            unit="rad",
            meaning="rotation ψ of the circle about the off-resonant point (asymmetry e^{iψ}); "
            "Γ_r then carries the leakage's uncertainty",
            example=0.0,
            min=-pi,
            max=pi,
            vary=raw,
        ),
    )


def _build(convention: str = "+i", setup: str = "raw", observable: str = "complex") -> Model:
    sign: Convention = "-i" if convention == "-i" else "+i"
    return Model(
        name="reflection",
        summary="reflection at the end of a line (physics sheet section 5, supplement C5)",
        inputs=("incident_power", "frequency"),
        observables=("reflection", "reflected_power"),
        parameters=_parameters(setup, observable),
        curve=partial(_curve, convention=sign),
        jacobian=partial(_jacobian, convention=sign),
        guess=partial(guess, convention=sign, setup=setup),
        derived=_DERIVED,
        checks=reflection_checks,
    )


@hookimpl
def powercal_models() -> tuple[Model, ...]:
    """Offer the reflection model."""
    return (dataclasses.replace(_build(), options=(CONVENTION, SETUP, OBSERVABLE), factory=_build),)
