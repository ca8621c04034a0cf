"""Transmission of a qubit beside, across or in a line, and the reflection where there is one."""

from __future__ import annotations

import dataclasses
from functools import partial

from powercal.contracts import Model, Option, Parameter
from powercal.errors import ContractError
from powercal.hookspecs import hookimpl
from powercal.models.driven import BROADENING, QUBIT_FREQUENCY, rate
from powercal.models.line_checks import line_checks
from powercal.models.line_response import GEOMETRIES, Geometry
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
from powercal.models.regimes_line import transmission
from powercal.physics.scattering import Convention

GEOMETRY = Option(
    name="geometry",
    choices=("through_line", "notch", "in_line"),
    meaning="where the qubit sits: beside a matched line, beside a mismatched one (notch, hanger), "
    "or between two ports without a direct path",
)
OBSERVABLE = Option(
    name="observable",
    choices=("transmission", "transmitted_power", "reflection", "reflected_power", "both"),
    default="transmission",
    meaning="what is fitted, and so which set-up factors are free; both: the two amplitudes",
    follows={
        name: name
        for name in ("transmission", "transmitted_power", "reflection", "reflected_power")
    },
)
DETECTION = Option(
    name="detection",
    choices=("coherent",),
    meaning="powers must be those of the coherent wave (VNA); an amplitude is coherent",
    follows={"transmission": "coherent", "reflection": "coherent"},
)


def _rates(geometry: str) -> tuple[Parameter, ...]:
    """Return the rates into the line, as the geometry knows them."""
    if geometry == "through_line":
        return (rate("gamma_r", "radiative rate into both directions of the line", 5e6),)
    if geometry == "in_line":
        return (
            rate("gamma_left", "radiative rate into the driven port", 2e6),
            rate("gamma_right", "radiative rate into the other port", 4e6),
        )
    return (
        rate("kappa", "|κ| of the complex coupling κ = |κ|e^{iφ}; Γ_r = 2|κ|cos φ", 3e6),
        Parameter(
            name="phi",
            unit="rad",
            meaning="φ of κ, which the mismatch of the line turns (e^{−iωt})",
            example=0.2,
            min=-1.5,
            max=1.5,
        ),
        Parameter(
            name="drive_fraction",
            unit="1",
            meaning="share x of the driven port in the emission, Ω² = 4xΓ_rP/ħω; ½ if symmetric, "
            "which φ alone does not tell",
            example=0.5,
            min=1e-3,
            max=1.0,
            vary=False,
        ),
    )


def _fitted(observable: str) -> tuple[bool, bool]:
    """Say whether the transmission is fitted, and whether the reflection is."""
    return (
        observable in ("transmission", "transmitted_power", "both"),
        observable in ("reflection", "reflected_power", "both"),
    )


def _tells_dephasing(geometry: str, setup: str, observable: str) -> bool:
    """Whether a power sweep determines Γφ beside what else is free by default."""
    if setup == "device" or geometry == "notch":
        return True
    if geometry == "in_line":  # two unequal ports are one number more
        return (setup, observable) == ("referenced", "both")
    # A wave that comes back alone tells gain times depth, where its gain is open.
    return setup == "referenced" or _fitted(observable)[0]


def _around(
    setup: str, observable: str, what: str, prefix: str, used: bool, background: bool
) -> tuple[Parameter, ...]:
    """Return gain, phase and delay; without a background the reference was a thru or a short."""
    rows = setup_factors(setup, not observable.endswith("power"), what, prefix, used)
    if background or setup != "referenced":
        return rows
    gain = f"amplitude over that of the reference, of a {what} that vanishes far from resonance"
    return (dataclasses.replace(rows[0], vary=False, meaning=gain), *rows[1:])


def _parameters(
    geometry: str, setup: str, observable: str, temperatures: str, broadening: str
) -> tuple[Parameter, ...]:
    """The table; what a set-up cannot do to the data, and what they cannot tell, is fixed."""
    through, back = _fitted(observable)
    in_line = geometry == "in_line"
    dephasing = QUIET
    if _tells_dephasing(geometry, setup, observable):
        dephasing = dataclasses.replace(QUIET, example=5e5, vary=True)
    rows = [QUBIT_FREQUENCY, *_rates(geometry), GAMMA_I, dephasing]
    rows += middle(setup, temperatures, broadening)
    rows += _around(setup, observable, "transmission", "reference_", through, not in_line)
    if geometry == "notch":
        return tuple(rows)
    rows += _around(setup, observable, "reflection", "reflection_", back, in_line)
    turned = back if in_line else through
    return (*rows, mismatch(setup == "raw" and turned))


def _build(
    convention: str = "+i",
    setup: str = "raw",
    observable: str = "transmission",
    temperatures: str = "one",
    broadening: str = "white",
    geometry: str = "through_line",
    detection: str = "coherent",
) -> Model:
    if geometry == "notch" and observable not in ("transmission", "transmitted_power"):
        raise ContractError(
            f"observable={observable!r}: of a notch only the transmission is known; choose "
            f"geometry='through_line' for a matched line",
            "transmission",
        )
    sign: Convention = "-i" if convention == "-i" else "+i"
    chosen: Geometry = GEOMETRIES[geometry]
    signals = SIGNALS[geometry]
    rows = _parameters(geometry, setup, observable, temperatures, broadening)
    return Model(
        name="transmission",
        summary="transmission and reflection of a qubit with two ports (supplement C2, C5)",
        inputs=("incident_power", "frequency"),
        observables=tuple(name for s in signals for name in (s.amplitude, s.power)),
        parameters=rows,
        curve=partial(curve, geometry=chosen, convention=sign, total=False),
        jacobian=partial(jacobian, geometry=chosen, convention=sign, total=False),
        guess=partial(
            guess,
            table=rows,
            signals=signals,
            geometry=chosen,
            convention=sign,
            total=False,
        ),
        derived=line_derived(chosen, temperatures),
        checks=line_checks,
    )


@hookimpl
def powercal_models() -> tuple[Model, ...]:
    """Offer the transmission model."""
    options = (CONVENTION, SETUP, OBSERVABLE, TEMPERATURES, BROADENING, GEOMETRY, DETECTION)
    # A curve that nobody fits may be taken as coherent; the detection of data must be declared.
    settled = {"detection": "coherent"}
    model = dataclasses.replace(_build(), options=options, factory=_build, chosen=settled)
    return (dataclasses.replace(model, regimes=transmission),)
