"""Reflection of a qubit at the end of a line: complex, or its power, with the set-up around it."""

from __future__ import annotations

import dataclasses
from functools import partial

from powercal.contracts import Model, Option, Parameter
from powercal.hookspecs import hookimpl
from powercal.models.driven import BROADENING, QUBIT_FREQUENCY, rate
from powercal.models.line_checks import line_checks
from powercal.models.line_response import END_OF_LINE
from powercal.models.line_signals import SIGNALS, curve, jacobian
from powercal.models.line_start import guess
from powercal.models.line_tables import (
    CONVENTION,
    GAMMA_I,
    QUIET,
    SETUP,
    TEMPERATURES,
    line_derived,
    middle,
    mismatch,
    setup_factors,
)
from powercal.models.regimes_line import reflection
from powercal.physics.scattering import Convention

OBSERVABLE = Option(
    name="observable",
    choices=("complex", "power"),
    default="complex",
    meaning="complex reflection, or its power alone (which knows no phase)",
    follows={"reflection": "complex", "reflected_power": "power"},
)
DETECTION = Option(
    name="detection",
    choices=("coherent", "total"),
    meaning="whether a reflected power is that of the coherent wave (VNA) or of all photons, the "
    "level without drive subtracted (power meter); an amplitude is coherent",
    follows={"reflection": "coherent"},
)


def _parameters(
    setup: str, power: bool, temperatures: str, broadening: str, total: bool
) -> tuple[Parameter, ...]:
    """The table; what a set-up cannot do to the data is fixed."""
    # Without loss inside all photons come back: total detection would see nothing.
    lossy = power and total
    inside = dataclasses.replace(GAMMA_I, example=2e6, vary=True) if lossy else GAMMA_I
    return (
        QUBIT_FREQUENCY,
        rate("gamma_r", "radiative rate into the line", 5e6),
        inside,
        QUIET,
        *middle(setup, temperatures, broadening),
        *setup_factors(setup, not power),
        mismatch(setup == "raw" and not lossy),
    )


def _build(
    convention: str = "+i",
    setup: str = "raw",
    observable: str = "complex",
    temperatures: str = "one",
    broadening: str = "white",
    detection: str = "coherent",
) -> Model:
    sign: Convention = "-i" if convention == "-i" else "+i"
    total = detection == "total"
    rows = _parameters(setup, observable == "power", temperatures, broadening, total)
    return Model(
        name="reflection",
        summary="reflection at the end of a line (physics sheet section 5, supplement C2, C5)",
        inputs=("incident_power", "frequency"),
        observables=("reflection", "reflected_power"),
        parameters=rows,
        curve=partial(curve, geometry=END_OF_LINE, convention=sign, total=total),
        jacobian=partial(jacobian, geometry=END_OF_LINE, convention=sign, total=total),
        guess=partial(
            guess,
            table=rows,
            signals=SIGNALS["end_of_line"],
            geometry=END_OF_LINE,
            convention=sign,
            total=total,
        ),
        derived=line_derived(END_OF_LINE, temperatures),
        checks=line_checks,
    )


@hookimpl
def powercal_models() -> tuple[Model, ...]:
    """Offer the reflection model."""
    options = (CONVENTION, SETUP, OBSERVABLE, TEMPERATURES, BROADENING, DETECTION)
    # A curve that nobody fits may be taken as coherent; the detection of data must be declared.
    settled = {"detection": "coherent"}
    model = dataclasses.replace(_build(), options=options, factory=_build, chosen=settled)
    return (dataclasses.replace(model, regimes=reflection),)
