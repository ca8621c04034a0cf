"""Reflection of a transmon of three to five levels at the end of a line, with the set-up."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from math import log, pi
from typing import Any

import numpy as np

import powercal as pc
from powercal.physics.constants import HBAR
from powercal.physics.detection import Convention, with_convention
from powercal.physics.ladder_slopes import response_slopes
from powercal.physics.ladder_steady_state import LadderState, ladder_steady_state
from powercal_transmon.checks import reflection_checks
from powercal_transmon.ladders import TWO_PI, Form
from powercal_transmon.regimes import reflected
from powercal_transmon.starting import reflection_guess
from powercal_transmon.tables import (
    ANHARMONICITY,
    LEVELS,
    QUBIT_FREQUENCY,
    derived,
    gamma_phi,
    occupation,
    rate,
)

_DB = log(10) / 10

CONVENTION = pc.Option(
    name="convention",
    choices=("+i", "-i", "find"),
    default="find",
    meaning="time factor of the file: e^{+iωt} (most instruments), e^{−iωt} (physics), or find it",
)
SETUP = pc.Option(
    name="setup",
    choices=("raw", "referenced", "device"),
    meaning="whether the set-up's delay and mismatch were removed by a reference trace",
)
OBSERVABLE = pc.Option(
    name="observable",
    choices=("complex", "power"),
    default="complex",
    meaning="complex reflection, or its power alone (which knows no phase)",
    follows={"reflection": "complex", "reflected_power": "power"},
)


def _solve(form: Form, incident_power: Any, frequency: Any, p: Mapping[str, Any]) -> LadderState:
    """Solve the ladder at Ω² = 4Γ_r P/(ħω_d), P at the device."""
    at_device = incident_power * np.exp(-_DB * p["attenuation_db"])
    strength = 4 * p["gamma_r"] * at_device / (HBAR * TWO_PI * frequency)
    whole = {**p, "gamma_1": p["gamma_r"] + p["gamma_i"]}
    return ladder_steady_state(form.ladder(frequency, strength, whole))


def _bare(state: LadderState, frequency: Any, p: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """Return r before gain, phase and convention, its part e^{iψ}z, and the delay's factor.

    r = e^{iωτ}(1 − e^{iψ}z), z = 2iΓ_r⟨b⟩/Ω in e^{−iωt} (supplement C7).
    """
    delay = np.exp(1j * TWO_PI * (frequency - p["qubit_frequency"]) * p["delay"])
    turned = np.exp(1j * p["mismatch"]) * 2j * p["gamma_r"] * state.response
    return delay * (1 - turned), turned, delay


def _curve(
    incident_power: Any, frequency: Any, *, form: Form, convention: Convention, **p: Any
) -> tuple[Any, ...]:
    bare, _, _ = _bare(_solve(form, incident_power, frequency, p), frequency, p)
    gain = p["reference_gain"]
    reflection = gain * np.exp(1j * p["reference_phase"]) * with_convention(bare, convention)
    return reflection, incident_power * gain**2 * np.abs(bare) ** 2


def _jacobian(
    incident_power: Any, frequency: Any, *, form: Form, convention: Convention, **p: Any
) -> tuple[dict[str, Any], ...]:
    state = _solve(form, incident_power, frequency, p)
    bare, turned, delay = _bare(state, frequency, p)
    inner = _device_slopes(state, incident_power, frequency, form, p)
    factor = -2j * delay * np.exp(1j * p["mismatch"]) * p["gamma_r"]
    inner = {name: factor * slope for name, slope in inner.items()}
    offset = frequency - p["qubit_frequency"]
    inner["gamma_r"] = inner["gamma_r"] - delay * turned / p["gamma_r"]
    inner["mismatch"] = -1j * delay * turned
    inner["delay"] = 1j * TWO_PI * offset * bare
    inner["qubit_frequency"] = inner["qubit_frequency"] - 1j * TWO_PI * p["delay"] * bare
    inner["frequency"] = inner["frequency"] + 1j * TWO_PI * p["delay"] * bare
    outer = p["reference_gain"] * np.exp(1j * p["reference_phase"])
    reflection = {name: outer * with_convention(d, convention) for name, d in inner.items()}
    whole = outer * with_convention(bare, convention)
    reflection["reference_gain"] = whole / p["reference_gain"]
    reflection["reference_phase"] = 1j * whole
    scale, level = incident_power * p["reference_gain"] ** 2, np.abs(bare) ** 2
    power = {name: 2 * scale * (np.conj(bare) * d).real for name, d in inner.items()}
    power["reference_gain"] = 2 * scale / p["reference_gain"] * level
    power["incident_power"] = power["incident_power"] + p["reference_gain"] ** 2 * level
    return reflection, power


def _device_slopes(
    state: LadderState, incident_power: Any, frequency: Any, form: Form, p: Mapping[str, Any]
) -> dict[str, Any]:
    """Differentiate ⟨b⟩/Ω by what the ladder is made of and driven with."""
    slopes = form.slopes(response_slopes(state))
    strength = np.asarray(state.ladder.rabi) ** 2
    driven = slopes.pop("rabi_squared")
    slopes["gamma_i"] = slopes.pop("gamma_1")
    slopes["gamma_r"] = slopes["gamma_i"] + driven * strength / p["gamma_r"]
    slopes["attenuation_db"] = -_DB * driven * strength
    slopes["incident_power"] = driven * strength / incident_power
    slopes["frequency"] = slopes["frequency"] - driven * strength / frequency
    return slopes


def _parameters(setup: str, *, phase: bool) -> tuple[pc.Parameter, ...]:
    """Return the table; what a set-up cannot do to the data is fixed."""
    loss = pc.Parameter(
        name="gamma_i", unit="s-1", meaning="internal loss rate", example=0.0, min=0.0, vary=False
    )
    line = pc.Parameter(
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
        ANHARMONICITY,
        rate("gamma_r", "radiative rate of level 1 into the line", 5e6),
        loss,
        gamma_phi(0.0, vary=False),
        occupation("n_th", "thermal occupation of the bath", 0.0, vary=False),
        line,
        *_factors(setup, phase),
    )


def _factors(setup: str, phase: bool) -> tuple[pc.Parameter, ...]:
    measured, raw = setup != "device", setup == "raw"
    gain = pc.Parameter(
        name="reference_gain",
        unit="1",
        meaning="amplitude of the reflection far from resonance",
        example=1.0,
        min=1e-12,
        max=1e12,
        scale="log",
        vary=measured,
    )
    turn = pc.Parameter(
        name="reference_phase",
        unit="rad",
        meaning="phase of the reflection far from resonance, at the transition frequency",
        example=0.0,
        vary=measured and phase,
    )
    delay = pc.Parameter(
        name="delay", unit="s", meaning="delay of the cables", example=0.0, vary=raw and phase
    )
    mismatch = pc.Parameter(
        name="mismatch",
        unit="rad",
        meaning="rotation ψ of the circle about the off-resonant point",
        example=0.0,
        min=-pi,
        max=pi,
        vary=raw,
    )
    return gain, turn, delay, mismatch


def _build(
    levels: str = "4", convention: str = "+i", setup: str = "raw", observable: str = "complex"
) -> pc.Model:
    sign: Convention = "-i" if convention == "-i" else "+i"
    form = Form(int(levels), "collective", True)
    parameters = _parameters(setup, phase=observable == "complex")
    bounds = {row.name: (row.min, row.max) for row in parameters}
    chosen = {"convention": sign, "setup": setup, "observable": observable}
    return pc.Model(
        name="transmon_reflection",
        summary="reflection of a ladder of levels at the end of a line (supplement C7)",
        inputs=("incident_power", "frequency"),
        observables=("reflection", "reflected_power"),
        parameters=parameters,
        curve=partial(_curve, form=form, convention=sign),
        jacobian=partial(_jacobian, form=form, convention=sign),
        guess=partial(reflection_guess, chosen=chosen, bounds=bounds),
        derived=derived(form, ("gamma_r", "gamma_i")),
        checks=partial(reflection_checks, form=form),
    )


@pc.hookimpl
def powercal_models() -> tuple[pc.Model, ...]:
    """Offer the model."""
    options = (LEVELS, CONVENTION, SETUP, OBSERVABLE)
    return (dataclasses.replace(_build(), options=options, factory=_build, regimes=reflected),)
