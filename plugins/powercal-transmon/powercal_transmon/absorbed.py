"""Absorbed power and population of a driven transmon of three to five levels."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

import powercal as pc
from powercal.errors import ContractError
from powercal.physics.ladder_slopes import population_slopes
from powercal.physics.ladder_steady_state import LadderState, ladder_steady_state
from powercal_transmon.checks import absorbed_checks
from powercal_transmon.ladders import Form
from powercal_transmon.powers import Power
from powercal_transmon.regimes import absorbed
from powercal_transmon.starting import absorbed_guess
from powercal_transmon.tables import (
    ANHARMONICITY,
    BATHS,
    DISSIPATORS,
    LEVELS,
    QUBIT_FREQUENCY,
    derived,
    gamma_phi,
    rate,
    rates_of,
)

DETECTION = pc.Option(
    name="detection",
    choices=("absorbed", "coherent", "total"),
    meaning="what the power difference is: absorbed power, coherent (VNA) or total (power meter)",
)
ENERGY = pc.Option(
    name="energy",
    choices=("effective", "transition"),
    default="effective",
    meaning="energy per absorbed photon: ħω_d (exact in the RWA), or Σħω_ijJ_ij ([G §4.4])",
)
POPULATION = pc.Option(
    name="population",
    choices=("first", "above"),
    default="first",
    meaning="what excited_population is: p₁, or 1 − p₀ (a readout that knows 'not ground' only)",
)
DRIVE_SCALE = pc.Parameter(
    name="drive_scale",
    unit="rad2 s-2 W-1",
    meaning="Ω² of the lowest transition per watt at the device",
    example=1e30,
    min=1e10,
    max=1e50,
    scale="log",
)
GAMMA_R = rate("gamma_r", "radiative rate of level 1 into the detected line", 5e5)


def _solve(form: Form, incident_power: Any, frequency: Any, p: Mapping[str, Any]) -> LadderState:
    return ladder_steady_state(form.ladder(frequency, p["drive_scale"] * incident_power, p))


def _curve(
    incident_power: Any, frequency: Any, *, seen: Power, population: str, **p: Any
) -> tuple[Any, ...]:
    state = _solve(seen.form, incident_power, frequency, p)
    power = seen.value(state, frequency, p)
    excited = state.populations[1] if population == "first" else state.populations[1:].sum(axis=0)
    return power, incident_power - power, excited


def _jacobian(
    incident_power: Any, frequency: Any, *, seen: Power, population: str, **p: Any
) -> tuple[dict[str, Any], ...]:
    state = _solve(seen.form, incident_power, frequency, p)
    counted = [float(j == 1 or (j > 1 and population == "above")) for j in range(seen.form.levels)]
    excited = seen.form.slopes(population_slopes(state, counted))
    detected = _by_power(incident_power, p, seen.slopes(state, frequency, p))
    reflected = {name: -slope for name, slope in detected.items()}
    reflected["incident_power"] = reflected["incident_power"] + 1.0
    return detected, reflected, _by_power(incident_power, p, excited)


def _by_power(incident_power: Any, p: Mapping[str, Any], slopes: dict[str, Any]) -> dict[str, Any]:
    """Replace the derivative by Ω² = drive_scale · P."""
    slope = slopes.pop("rabi_squared")
    return {
        **slopes,
        "drive_scale": slope * incident_power,
        "incident_power": slope * p["drive_scale"],
    }


def _refuse(baths: str, dissipators: str, detection: str, energy: str) -> None:
    if detection == "absorbed":
        return
    if baths != "common" or dissipators != "collective":
        raise ContractError(
            f"detection={detection!r} is known for one collective bath flat over the anharmonicity "
            f"(supplement C7), not for baths={baths!r} with dissipators={dissipators!r}; choose "
            f"baths='common' and dissipators='collective', or detection='absorbed'",
            "transmon",
        )
    if energy != "effective":
        raise ContractError(
            f"energy={energy!r} is known for detection='absorbed' only, not {detection!r}; choose "
            f"energy='effective'",
            "transmon",
        )


def _build(
    levels: str = "4",
    dissipators: str = "collective",
    baths: str = "common",
    detection: str = "absorbed",
    energy: str = "effective",
    population: str = "first",
) -> pc.Model:
    _refuse(baths, dissipators, detection, energy)
    choice: Any = dissipators
    form = Form(int(levels), choice, baths == "common")
    parameters = [QUBIT_FREQUENCY, ANHARMONICITY, *rates_of(form)]
    parameters += [gamma_phi(2e5, vary=True), DRIVE_SCALE]
    if detection != "absorbed":
        # Data of total detection know Γ₁ − Γ_r only.
        parameters.append(dataclasses.replace(GAMMA_R, vary=detection == "coherent"))
    bounds = {row.name: (row.min, row.max) for row in parameters}
    seen = Power(form, detection, energy)
    return pc.Model(
        name="transmon",
        summary="absorbed power and population of a driven ladder of levels (supplement C7)",
        inputs=("incident_power", "frequency"),
        observables=("absorbed_power", "reflected_power", "excited_population"),
        parameters=tuple(parameters),
        curve=partial(_curve, seen=seen, population=population),
        jacobian=partial(_jacobian, seen=seen, population=population),
        guess=partial(absorbed_guess, form=form, bounds=bounds),
        derived=derived(form, form.rates[:1]),
        checks=partial(absorbed_checks, form=form),
    )


@pc.hookimpl
def powercal_models() -> tuple[pc.Model, ...]:
    """Offer the model."""
    options = (LEVELS, DISSIPATORS, BATHS, DETECTION, ENERGY, POPULATION)
    return (dataclasses.replace(_build(), options=options, factory=_build, regimes=absorbed),)
