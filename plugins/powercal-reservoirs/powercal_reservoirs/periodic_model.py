"""A double dot as photodiode in the full field, without the rotating-wave approximation.

The model has the parameters, inputs and observables of ``double_dot`` and says the same where the
drive is weak and near resonance; what its data can and cannot tell is said there. Beyond that the
line moves with power (Bloch-Siegert), absorption at multiples of the drive appears, and the
effective energies no longer differ by hf: photocurrent and absorbed power then count differently.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import powercal as pc
from powercal_reservoirs import regimes
from powercal_reservoirs.biased import arguments_of, biased_inversion, level_rates
from powercal_reservoirs.checks import broadening, check, dressing, strongest_field
from powercal_reservoirs.constants import ELEMENTARY_CHARGE, PLANCK, TWO_PI
from powercal_reservoirs.double_dot_model import MODEL as ROTATING
from powercal_reservoirs.occupations import inversion
from powercal_reservoirs.periodic_two_level import TwoLevelResponse, two_level_response

Array = NDArray[Any]


def _response(
    power: Array, frequency: Array, p: Mapping[str, Any], sign: float, slopes: bool
) -> TwoLevelResponse:
    return two_level_response(
        TWO_PI * np.asarray(p["transition_frequency"]),
        TWO_PI * np.asarray(frequency),
        p["drive_scale"] * np.asarray(power),
        *level_rates(p["gamma_total"], sign * p["asymmetry"]),
        slopes=slopes,
    )


def _energies(pull: Array, p: Mapping[str, Any], sign: float) -> tuple[Array, Array]:
    """Return difference and middle of the effective energies over h, Hz."""
    apart = p["transition_frequency"] - p["gamma_total"] * pull / TWO_PI
    lean = 0.5 * sign * p["asymmetry"] * p["gamma_total"]
    return apart, p["level_offset"] - lean * pull / TWO_PI


def _curve(
    incident_power: Array, frequency: Array, bias_voltage: Array, *, sign: float, **p: Any
) -> tuple[Array, ...]:
    """Return −eR and P = −(Ẽ_u − Ẽ_l)R, averaged over a period [W C1-C3]."""
    found = _response(incident_power, frequency, p, sign, slopes=False)
    apart, middle = _energies(found.pull, p, sign)
    x_u, x_l, _ = arguments_of(apart, middle, bias_voltage, p)
    absorbed = -found.passage * inversion(x_u, x_l)
    return ELEMENTARY_CHARGE * absorbed, PLANCK * apart * absorbed


def _chained(slopes: Array, incident_power: Array, p: Mapping[str, Any], sign: float) -> Any:
    """Turn slopes by ω_ul, ω, Ω², γ_u, γ_l into slopes by the model's parameters and inputs."""
    by_ul, by_omega, by_square, by_u, by_l = slopes
    half, lean = 0.5 * p["gamma_total"], sign * p["asymmetry"]
    return {
        "transition_frequency": TWO_PI * by_ul,
        "frequency": TWO_PI * by_omega,
        "drive_scale": by_square * incident_power,
        "incident_power": by_square * p["drive_scale"],
        "gamma_total": 0.5 * ((1 + lean) * by_u + (1 - lean) * by_l),
        "asymmetry": sign * half * (by_u - by_l),
    }


def _energy_slopes(
    pull: Array, by: Mapping[str, Array], p: Mapping[str, Any], sign: float
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return the derivatives of `_energies`, from those of the pull."""
    lean, width = 0.5 * sign * p["asymmetry"], p["gamma_total"]
    apart = {name: -width * slope / TWO_PI for name, slope in by.items()}
    apart["transition_frequency"] = apart["transition_frequency"] + 1.0
    apart["gamma_total"] = apart["gamma_total"] - pull / TWO_PI
    middle = {name: -lean * width * slope / TWO_PI for name, slope in by.items()}
    middle["gamma_total"] = middle["gamma_total"] - lean * pull / TWO_PI
    middle["asymmetry"] = middle["asymmetry"] - 0.5 * sign * width * pull / TWO_PI
    return apart, middle


def _jacobian(
    incident_power: Array, frequency: Array, bias_voltage: Array, *, sign: float, **p: Any
) -> tuple[dict[str, Array], ...]:
    found = _response(incident_power, frequency, p, sign, slopes=True)
    apart, middle = _energies(found.pull, p, sign)
    filled = biased_inversion(apart, middle, bias_voltage, p)
    by_pull = _chained(found.pull_slopes, incident_power, p, sign)
    by_apart, by_middle = _energy_slopes(found.pull, by_pull, p, sign)
    absorbed: dict[str, Array] = {
        "level_offset": -found.passage * filled.by_middle,
        "temperature_u": -found.passage * filled.by_temperature,
        "temperature_ratio": -found.passage * filled.by_ratio,
        "bias_voltage": -found.passage * filled.by_bias,
    }
    for name, slope in _chained(found.passage_slopes, incident_power, p, sign).items():
        pushed = filled.by_photon * by_apart[name] + filled.by_middle * by_middle[name]
        absorbed[name] = -slope * filled.value - found.passage * pushed
    power = {name: PLANCK * apart * slope for name, slope in absorbed.items()}
    for name, slope in by_apart.items():
        power[name] = power[name] - PLANCK * slope * found.passage * filled.value
    return {name: ELEMENTARY_CHARGE * slope for name, slope in absorbed.items()}, power


def _checks(result: pc.FitResult) -> tuple[pc.Check, ...]:
    """Check what one energy per level presupposes."""
    values, field = result.values, strongest_field(result)
    slowest = TWO_PI * float(np.nanmin(result.traces["frequency"].values))
    return (
        broadening(values["gamma_total"], values),
        dressing(field, values),
        check(
            "sidebands",
            field / slowest,
            0.5,
            "so strong a field exchanges electrons at several energies, photons apart; one average "
            "energy per level keeps both laws but not the shape against bias",
        ),
    )


def _shift(transition_frequency: Any, drive_scale: Any) -> Any:
    return drive_scale / (4 * TWO_PI**2 * transition_frequency)


def _build(wider: str = "upper") -> pc.Model:
    sign = 1.0 if wider == "upper" else -1.0
    rotating = ROTATING.configure(wider=wider)
    shift = pc.Derived(
        name="bloch_siegert_per_watt",
        unit="Hz W-1",
        meaning="shift of the line by the counter-rotating field, Ω²/(4ω_ul), per watt",
        function=_shift,
        arguments=("transition_frequency", "drive_scale"),
        scale="log",
    )
    return pc.Model(
        name="periodic_dot",
        summary="double dot between reservoirs in the full field, beyond the RWA [W C1-C4]",
        inputs=rotating.inputs,
        observables=rotating.observables,
        parameters=rotating.parameters,
        curve=partial(_curve, sign=sign),
        jacobian=partial(_jacobian, sign=sign),
        guess=rotating.guess,
        derived=(*rotating.derived, shift),
        checks=_checks,
    )


MODEL = dataclasses.replace(
    _build(), options=ROTATING.options, factory=_build, regimes=regimes.periodic_dot
)


@pc.hookimpl
def powercal_models() -> tuple[pc.Model, ...]:
    """Offer the double dot beyond the rotating-wave approximation."""
    return (MODEL,)
