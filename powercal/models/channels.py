"""Absorbed power of a qubit with any number of named baths, each with its rate and temperature."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Derived, Model, Option, Parameter
from powercal.errors import ContractError
from powercal.hookspecs import hookimpl
from powercal.models.absorbed import DETECTION, DRIVE_SCALE, ENERGY, refuse_lab_frame
from powercal.models.absorbed_start import drive_guess
from powercal.models.channel_curves import (
    curve,
    jacobian,
    lab_curve,
    lab_jacobian,
    totals,
)
from powercal.models.checks import driven_checks
from powercal.models.driven import (
    GAMMA_PHI,
    QUBIT_FREQUENCY,
    TWO_PI,
    effective_temperature,
    rate,
)
from powercal.models.regimes_channels import regimes
from powercal.physics.constants import HBAR
from powercal.result import Check, FitResult
from powercal.schema import DeviceTraces

Array = NDArray[Any]

CHANNELS = Option(
    name="channels",
    choices=("line,internal",),
    open=True,
    meaning="names of the baths, joined by commas; the first is the one that a line or bolometer "
    "detects",
)
_EXAMPLES = (4e5, 3e5, 2e5, 1e5)  # rates of the first channels; later ones repeat the last
_OCCUPATIONS = (0.02, 0.08, 0.05, 0.12)


def _guess(
    traces: DeviceTraces, fixed: Mapping[str, Any], *, names: tuple[str, ...]
) -> dict[str, Array]:
    """Split the rate of one bath evenly among the channels that are not held."""
    held = [np.asarray(fixed[f"gamma_{k}"], float) for k in names if f"gamma_{k}" in fixed]
    every = ("qubit_frequency", "gamma_1", "n_th", "gamma_phi", "drive_scale")
    known = {"drive_scale": fixed["drive_scale"]} if "drive_scale" in fixed else {}
    start = drive_guess(traces, known, names=every)
    rest = np.maximum(start.pop("gamma_1") - sum(held), 10.0 * len(names))
    n_th, count = start.pop("n_th"), max(len(names) - len(held), 1)
    for k in names:
        start[f"gamma_{k}"] = np.asarray(rest / count)
        start[f"n_{k}"] = n_th
    return start


# ---- what follows ----


def _derived(names: tuple[str, ...]) -> tuple[Derived, ...]:
    rates = tuple(f"gamma_{k}" for k in names)
    warm = (*rates, *(f"n_{k}" for k in names))

    def quantity(
        name: str, unit: str, meaning: str, value: Any, *extra: str, scale: Any = "log"
    ) -> Derived:
        def function(**p: Any) -> Any:
            return value({"gamma_phi": 0.0} | p, totals(names, {"gamma_phi": 0.0} | p))

        arguments = (*warm, *extra)
        return Derived(
            name=name, unit=unit, meaning=meaning, function=function, arguments=arguments,
            scale=scale,
        )  # fmt: skip

    def n_eff(t: Any) -> Any:
        return t[2] / (1 - 2 * t[2])

    common = (
        quantity("gamma_1", "s-1", "bare relaxation rate, ΣΓ_k", lambda p, t: t[0]),
        quantity("gamma_1_over_2pi", "Hz", "Γ₁/2π", lambda p, t: t[0] / TWO_PI),
        quantity("gamma_1_tot", "s-1", "relaxation rate in a T1 experiment", lambda p, t: t[1]),
        quantity("T1", "s", "relaxation time 1/Γ₁tot", lambda p, t: 1 / t[1]),
        quantity(
            "gamma_2",
            "s-1",
            "decoherence rate Γ₂ = Γ₁tot/2 + Γφ",
            lambda p, t: t[3],
            "gamma_phi",
        ),
        quantity("p_eq", "1", "equilibrium population", lambda p, t: t[2], scale="linear"),
        quantity(
            "n_eff",
            "1",
            "occupation ΣΓ_kn_k/ΣΓ_k that one bath would have",
            lambda p, t: n_eff(t),
            scale="linear",
        ),
        quantity(
            "T_eff",
            "K",
            "temperature of one bath with n_eff",
            lambda p, t: effective_temperature(p["qubit_frequency"], n_eff(t)),
            "qubit_frequency",
            scale="linear",
        ),
        quantity(
            "drive_over_thermal",
            "rad2 s-2 W-1",
            "drive_scale/(1+2 n_eff), what absorbed power alone determines",
            lambda p, t: p["drive_scale"] * (1 - 2 * t[2]),
            "drive_scale",
        ),
        quantity(
            "saturation_power",
            "W",
            "power at the device with s = 1 on resonance, Γ₁totΓ₂/drive_scale",
            lambda p, t: t[1] * t[3] / p["drive_scale"],
            "gamma_phi",
            "drive_scale",
        ),
        quantity(
            "dephasing_share_per_width",
            "1",
            "share of the drive's energy that dephasing takes per half width of detuning, Γφ/ω_q "
            "(supplement C3)",
            lambda p, t: p["gamma_phi"] / (TWO_PI * p["qubit_frequency"]),
            "gamma_phi",
            "qubit_frequency",
            scale="linear",
        ),
    )
    return (*common, *(d for k in names for d in _of_channel(k, quantity)))


def _of_channel(k: str, quantity: Any) -> tuple[Derived, ...]:
    """Shares of one channel on resonance; with unequal n_k they may be < 0 or > 1 (section 3)."""

    def driven(p: Any, t: Any) -> Any:
        return p[f"gamma_{k}"] * (1 + 2 * p[f"n_{k}"]) / t[1]

    def leak(p: Any, t: Any) -> Any:
        return p[f"gamma_{k}"] * ((1 + 2 * p[f"n_{k}"]) * t[2] - p[f"n_{k}"])

    return (
        quantity(
            f"f_{k}",
            "1",
            f"share R_{k}/R_total of a saturated qubit, Γ_{k}/Γ₁",
            lambda p, t: p[f"gamma_{k}"] / t[0],
        ),
        quantity(
            f"f_{k}_at_s_1",
            "1",
            f"share R_{k}/R_total at s = 1; heat leaks make it < 0 or > 1",
            lambda p, t: driven(p, t) + leak(p, t) / (t[0] / 4),
            scale="linear",
        ),
        quantity(
            f"f_{k}_driven",
            "1",
            f"share of R_{k} − R_{k}(drive off), Γ_{k}(1+2n_{k})/Γ₁tot at any drive",
            driven,
        ),
        quantity(
            f"heat_leak_{k}",
            "W",
            f"heat that flows into {k} without drive",
            lambda p, t: HBAR * TWO_PI * p["qubit_frequency"] * leak(p, t),
            "qubit_frequency",
            scale="linear",
        ),
    )


def _checks(result: FitResult) -> tuple[Check, ...]:
    """Check it as a qubit with one bath of the same Γ₁ and n_eff."""
    names = tuple(n.strip() for n in result.options["channels"].split(","))
    gamma_1, _, p_eq, _ = totals(names, result.values)
    values = {**result.values, "gamma_1": float(gamma_1), "n_th": float(p_eq / (1 - 2 * p_eq))}
    return driven_checks(dataclasses.replace(result, values=values))


# ---- the model ----


def _read_names(channels: str) -> tuple[str, ...]:
    names = tuple(n.strip() for n in channels.split(","))
    bad = [n for n in names if not n.isidentifier() or n in ("1", "phi", "th", "eff")]
    if bad or len(set(names)) < len(names) or len(names) < 2:
        raise ContractError(
            f"channels={channels!r} must name two or more baths once each, in letters and digits, "
            f"for example channels=line,internal",
            "channels",
        )
    return names


def _build(
    channels: str = "line,internal", energy: str = "effective", detection: str = "absorbed"
) -> Model:
    names = _read_names(channels)
    lab = refuse_lab_frame("channels", energy, detection)
    rows: list[Parameter] = [QUBIT_FREQUENCY]
    for i, k in enumerate(names):
        rows.append(rate(f"gamma_{k}", f"rate of channel {k}", _EXAMPLES[min(i, 3)]))
    for i, k in enumerate(names):
        rows.append(
            Parameter(
                name=f"n_{k}",
                unit="1",
                meaning=f"thermal occupation of channel {k}",
                example=_OCCUPATIONS[min(i, 3)],
                min=0.0,
            )
        )
    rows += [GAMMA_PHI, DRIVE_SCALE]
    seen = ("absorbed_power", "reflected_power", "excited_population")
    return Model(
        name="channels",
        summary="absorbed power, population and heat into one of several baths ([G2, G3], "
        "section 3, supplement C3)",
        inputs=("incident_power", "frequency"),
        observables=(*seen, "emitted_power") if detection == "absorbed" and not lab else seen,
        parameters=tuple(rows),
        curve=partial(lab_curve, names=names)
        if lab
        else partial(curve, names=names, energy=energy, detection=detection),
        jacobian=partial(lab_jacobian, names=names)
        if lab
        else partial(jacobian, names=names, energy=energy, detection=detection),
        guess=partial(_guess, names=names),
        derived=_derived(names),
        checks=_checks,
    )


@hookimpl
def powercal_models() -> tuple[Model, ...]:
    """Offer the model of named channels."""
    options = (CHANNELS, ENERGY, DETECTION)
    return (dataclasses.replace(_build(), options=options, factory=_build, regimes=regimes),)
