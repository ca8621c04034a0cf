"""Absorbed power and population of a driven qubit: single channel, finite temperature, channels."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from numpy.typing import NDArray

from powercal.contracts import Derivatives, Derived, Model, Option, Parameter
from powercal.errors import ContractError
from powercal.hookspecs import hookimpl
from powercal.models.absorbed_curves import (
    floquet_curve,
    floquet_jacobian,
    rwa_curve,
    rwa_jacobian,
)
from powercal.models.absorbed_start import OBSERVABLES, drive_guess
from powercal.models.absorbed_voigt import voigt_curve, voigt_jacobian
from powercal.models.checks import driven_checks
from powercal.models.driven import (
    BROADENING,
    GAMMA_PHI,
    N_TH,
    QUBIT_FREQUENCY,
    SIGMA_SLOW,
    common_derived,
    rate,
)
from powercal.models.regimes_absorbed import regimes_of
from powercal.schema import DeviceTraces

Array = NDArray[Any]

ENERGY = Option(
    name="energy",
    choices=("effective", "transition", "floquet"),
    default="effective",
    meaning="energy per absorbed photon: ħω_d (exact in the RWA), ħω_q ([G] as written), lab frame",
)
DETECTION = Option(
    name="detection",
    choices=("absorbed", "coherent", "total"),
    meaning="what the power difference is: absorbed power, coherent (VNA) or total (power meter)",
)
DRIVE_SCALE = Parameter(
    name="drive_scale",
    unit="rad2 s-2 W-1",
    meaning="Ω² per watt at the device",
    example=1e30,
    min=1e10,
    max=1e50,
    scale="log",
)
GAMMA_R = rate("gamma_r", "radiative rate into the detected line", 5e5)


def _derived() -> tuple[Derived, ...]:
    thermal = Derived(
        name="drive_over_thermal",
        unit="rad2 s-2 W-1",
        meaning="drive_scale/(1+2 n_th), what absorbed power alone determines",
        function=lambda **p: p["drive_scale"] / (1 + 2 * p["n_th"]),
        arguments=("drive_scale", "n_th"),
        scale="log",
    )
    saturating = Derived(
        name="saturation_power",
        unit="W",
        meaning="power at the device with s = 1 on resonance, Γ₁totΓ₂/drive_scale",
        function=lambda **p: (
            p["gamma_1"]
            * (1 + 2 * p["n_th"])
            * (p["gamma_1"] * (1 + 2 * p["n_th"]) / 2 + p["gamma_phi"])
            / p["drive_scale"]
        ),
        arguments=("gamma_1", "n_th", "gamma_phi", "drive_scale"),
        scale="log",
    )
    return (*common_derived(), thermal, saturating)


def refuse_lab_frame(name: str, energy: str, detection: str) -> bool:
    """Whether the lab frame was asked for; a ContractError where nobody knows what is detected."""
    if energy == "floquet" and detection != "absorbed":
        raise ContractError(
            f"energy='floquet' is known for detection='absorbed' only, not {detection!r}; choose "
            f"energy='effective'",
            name,
        )
    return energy == "floquet"


def _curves(name: str, energy: str, detection: str, broadening: str) -> tuple[Any, Any]:
    """Return the curve and its derivatives for these choices."""
    lab = refuse_lab_frame(name, energy, detection)
    if broadening == "gaussian":
        if lab or detection != "absorbed":
            raise ContractError(
                f"broadening='gaussian' is known for detection='absorbed' with energy='effective' "
                f"or 'transition', not for {detection!r} with {energy!r}; choose those, or 'white'",
                name,
            )
        return partial(voigt_curve, energy=energy), partial(voigt_jacobian, energy=energy)
    if lab:
        return floquet_curve, floquet_jacobian
    return (
        partial(rwa_curve, energy=energy, detection=detection),
        partial(rwa_jacobian, energy=energy, detection=detection),
    )


def _build(name: str, summary: str, extra: Callable[[Model], Model], **chosen: str) -> Model:
    energy, detection = chosen.get("energy", "effective"), chosen.get("detection", "absorbed")
    broadening = chosen.get("broadening", "white")
    curve, jacobian = _curves(name, energy, detection, broadening)
    parameters = [QUBIT_FREQUENCY, rate("gamma_1", "bare relaxation rate", 1e6), GAMMA_PHI, N_TH]
    parameters.append(DRIVE_SCALE)
    if detection != "absorbed":
        parameters.append(GAMMA_R)
    if broadening == "gaussian":
        parameters.append(SIGMA_SLOW)
    return extra(
        Model(
            name=name,
            summary=summary,
            inputs=("incident_power", "frequency"),
            observables=OBSERVABLES,
            parameters=tuple(parameters),
            curve=curve,
            jacobian=jacobian,
            guess=partial(drive_guess, names=tuple(row.name for row in parameters)),
            derived=_derived(),
            checks=driven_checks,
        )
    )


def _at_zero_temperature(model: Model) -> Model:
    """Freeze n_th = 0 out of the table ([G21])."""
    gone = {"n_th", "p_eq", "T_eff", "drive_over_thermal"}

    def cold(function: Any) -> Any:
        return lambda *inputs, **p: function(*inputs, n_th=0.0, **p)

    def without(table: Mapping[str, Array]) -> dict[str, Array]:
        return {name: value for name, value in table.items() if name != "n_th"}

    def guess(traces: DeviceTraces, fixed: Mapping[str, float]) -> dict[str, Array]:
        return without(model.guess(traces, {**fixed, "n_th": 0.0}))

    def jacobian(*inputs: Array, **p: Any) -> Derivatives:
        assert model.jacobian is not None
        return tuple(without(table) for table in model.jacobian(*inputs, n_th=0.0, **p))

    return dataclasses.replace(
        model,
        parameters=tuple(p for p in model.parameters if p.name != "n_th"),
        curve=cold(model.curve),
        jacobian=None if model.jacobian is None else jacobian,
        guess=guess,
        derived=tuple(
            dataclasses.replace(
                d,
                function=cold(d.function),
                arguments=tuple(a for a in d.arguments if a != "n_th"),
            )
            for d in model.derived
            if d.name not in gone
        ),
    )


def _with_partition(model: Model) -> Model:
    """Add the partition factor of one channel, Γ_k = f Γ₁ ([G2, G3])."""
    share = Parameter(
        name="f",
        unit="1",
        meaning="share of channel k, Γ_k = f Γ₁; absorbed power alone does not determine it",
        example=0.3,
        min=0.0,
        max=1.0,
    )

    def without(function: Any) -> Any:
        return lambda *inputs, f, **p: function(*inputs, **p)

    channel = Derived(
        name="gamma_k",
        unit="s-1",
        meaning="rate of channel k, f Γ₁",
        function=lambda **p: p["f"] * p["gamma_1"],
        arguments=("f", "gamma_1"),
    )
    rest = dataclasses.replace(
        channel,
        name="gamma_rest",
        meaning="rate of all other channels, (1 − f) Γ₁",
        function=lambda **p: (1 - p["f"]) * p["gamma_1"],
    )
    return dataclasses.replace(
        model,
        parameters=(*model.parameters, share),
        curve=without(model.curve),
        jacobian=None if model.jacobian is None else without(model.jacobian),
        derived=(*model.derived, channel, rest),
    )


def _declare(name: str, summary: str, extra: Callable[[Model], Model]) -> Model:
    build = partial(_build, name, summary, extra)
    options = (ENERGY, DETECTION, BROADENING)
    return dataclasses.replace(build(), options=options, factory=build, regimes=regimes_of[name])


@hookimpl
def powercal_models() -> tuple[Model, ...]:
    """Offer the models of absorbed power."""
    return (
        _declare(
            "single_channel",
            "absorbed power of a driven qubit at T = 0 ([G21], physics sheet section 2)",
            _at_zero_temperature,
        ),
        _declare(
            "finite_temperature",
            "absorbed power and population with a bath of occupation n_th ([G23], section 2)",
            lambda model: model,
        ),
        _declare(
            "multi_channel",
            "finite temperature with partition factor f, Γ_k = f Γ₁ ([G2, G3, G23], section 3)",
            _with_partition,
        ),
    )
