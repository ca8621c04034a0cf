"""A double dot as photodiode: photocurrent and absorbed power against drive power and frequency.

What data cannot tell. Both observables count the same photons (their ratio is hf/e). The curve
depends on γ_u + γ_l (line width), γ_uγ_l/(γ_u + γ_l) (saturated rate) and, off resonance only, on
their difference: with levels in the middle between the potentials and one temperature, exchanging
γ_u and γ_l changes nothing at all, so the sign of the asymmetry is an option (``wider``). At one
bias the saturated rate appears times f_u − f_l: the asymmetry is then as good as the assumed
temperature, which shows itself only in how hf/kT changes across the sweep. A sweep of the bias
through hf/e, where the current changes its sign, and on to where it saturates determines the
temperature as well; free ``temperature_u`` there. ``level_offset`` and ``temperature_ratio`` are
assumptions unless freed.
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
from powercal_reservoirs.biased import (
    GAMMA_TOTAL,
    LARGEST_ASYMMETRY,
    LEVEL_OFFSET,
    TEMPERATURE_RATIO,
    TEMPERATURE_U,
    biased_inversion,
    level_rates,
    series_rate,
)
from powercal_reservoirs.checks import broadening, check, dressing, strongest_field
from powercal_reservoirs.constants import BOLTZMANN, ELEMENTARY_CHARGE, PLANCK, TWO_PI
from powercal_reservoirs.double_dot_start import guess

Array = NDArray[Any]

WIDER = pc.Option(
    name="wider",
    choices=("upper", "lower"),
    default="upper",
    meaning="which level is coupled more strongly; symmetric data cannot tell",
)
_PARAMETERS = (
    pc.Parameter(
        name="transition_frequency",
        unit="Hz",
        meaning="bare (E_u − E_l)/h",
        example=6.7e9,
        min=1e3,
        max=1e15,
    ),
    GAMMA_TOTAL,
    pc.Parameter(
        name="asymmetry",
        unit="1",
        meaning="|γ_u − γ_l|/(γ_u + γ_l)",
        example=0.4,
        min=0.0,
        max=LARGEST_ASYMMETRY,
    ),
    pc.Parameter(
        name="drive_scale",
        unit="rad2 s-2 W-1",
        meaning="Ω² = 4|ε|² per watt at the device",
        example=1e33,
        min=1e10,
        max=1e50,
        scale="log",
    ),
    TEMPERATURE_U,
    TEMPERATURE_RATIO,
    LEVEL_OFFSET,
)


def _parts(
    power: Array, frequency: Array, p: Mapping[str, Any]
) -> tuple[Array, Array, Array, Array]:
    """Return αH of [W A12] in 1/s, q and 1 + δ² + q with αH ∝ q/(1 + δ² + q), and δ.

    δ = 2D/G and q = 16|ε|²/(G²(1 − a²)), G²(1 − a²) = 4γ_uγ_l.
    """
    width = p["gamma_total"]
    room = 1.0 - p["asymmetry"] ** 2
    delta = (frequency - p["transition_frequency"]) * (2 * TWO_PI / width)
    drive = (4.0 * p["drive_scale"] / (width**2 * room)) * power
    below = delta * delta + (1.0 + drive)
    return (0.25 * width * room) * drive / below, drive, below, delta


def _inversion(frequency: Array, bias: Array, p: Mapping[str, Any], sign: float) -> Array:
    """Return 2(f_u − f_l) at the effective energies (1 ± sa)/2 of the detuning each [W14, W16].

    In f both arguments are straight lines: this is :func:`biased_inversion` with fewer arrays.
    """
    lean = 0.5 * sign * p["asymmetry"]
    middle = p["level_offset"] - lean * p["transition_frequency"]
    shift = (0.5 * ELEMENTARY_CHARGE / PLANCK) * bias
    colder = 0.5 * PLANCK / (BOLTZMANN * p["temperature_u"])
    other = colder / p["temperature_ratio"]
    filled_u = np.tanh((shift - middle) * colder - ((0.5 + lean) * colder) * frequency)
    filled_l = np.tanh((shift + middle) * other + ((lean - 0.5) * other) * frequency)
    return np.asarray(filled_u + filled_l)


def _curve(
    incident_power: Array, frequency: Array, bias_voltage: Array, *, sign: float, **p: Any
) -> tuple[Array, ...]:
    """Return −eR and −hfR with R = αH(f_u − f_l) [W11, W14, W16, A12]."""
    passage, _, _, _ = _parts(incident_power, frequency, p)
    current = passage * _inversion(frequency, bias_voltage, p, sign)
    current *= -0.5 * ELEMENTARY_CHARGE
    return current, (PLANCK / ELEMENTARY_CHARGE) * frequency * current


def _jacobian(
    incident_power: Array, frequency: Array, bias_voltage: Array, *, sign: float, **p: Any
) -> tuple[dict[str, Array], ...]:
    passage, drive, below, delta = _parts(incident_power, frequency, p)
    offset, lean = frequency - p["transition_frequency"], 0.5 * sign * p["asymmetry"]
    filled = biased_inversion(frequency, p["level_offset"] + lean * offset, bias_voltage, p)
    logs = _log_slopes(incident_power, drive / below, below, delta, p)
    inner: dict[str, Array] = {
        "transition_frequency": -lean * filled.by_middle,
        "asymmetry": 0.5 * sign * offset * filled.by_middle,
        "level_offset": filled.by_middle,
        "temperature_u": filled.by_temperature,
        "temperature_ratio": filled.by_ratio,
        "bias_voltage": filled.by_bias,
        "frequency": filled.by_photon + lean * filled.by_middle,
    }
    absorbed = {
        name: -passage * (logs.get(name, 0.0) * filled.value + inner.get(name, 0.0))
        for name in {**logs, **inner}
    }
    power = {name: PLANCK * frequency * slope for name, slope in absorbed.items()}
    power["frequency"] = power["frequency"] - PLANCK * passage * filled.value
    return {name: ELEMENTARY_CHARGE * slope for name, slope in absorbed.items()}, power


def _log_slopes(
    power: Array, share: Array, below: Array, delta: Array, p: Mapping[str, Any]
) -> dict[str, Array]:
    """Return the derivatives of ln αH; share is q/(1 + δ² + q)."""
    line = (4 * TWO_PI / p["gamma_total"]) * delta / below
    room = 1.0 - p["asymmetry"] ** 2
    return {
        "transition_frequency": line,
        # ln αH = ln(Gq(1−a²)) − ln(1 + δ² + q), q ∝ 1/(G²(1−a²)), δ ∝ 1/G.
        "gamma_total": (2 * (share + delta * delta / below) - 1.0) / p["gamma_total"],
        "asymmetry": -2 * p["asymmetry"] / room * share,
        "drive_scale": (1.0 - share) / p["drive_scale"],
        "incident_power": (1.0 - share) / power,
        "frequency": -line,
    }


def _derived(sign: float) -> tuple[pc.Derived, ...]:
    rates = ("gamma_total", "asymmetry")

    def derived(name: str, unit: str, meaning: str, function: Any, *names: str) -> pc.Derived:
        return pc.Derived(
            name=name, unit=unit, meaning=meaning, function=function, arguments=names, scale="log"
        )

    return (
        derived("gamma_u", "s-1", "rate of the upper level", _level_rate(0, sign), *rates),
        derived("gamma_l", "s-1", "rate of the lower level", _level_rate(1, sign), *rates),
        derived(
            "saturated_rate",
            "s-1",
            "γ_uγ_l/(γ_u + γ_l): electrons per second at f_u − f_l = ±1 under strong drive",
            series_rate,
            *rates,
        ),
        derived(
            "saturation_power",
            "W",
            "power at which the rate on resonance is half of its largest, |ε|² = γ_uγ_l/4",
            lambda **p: (
                p["gamma_total"] * series_rate(p["gamma_total"], p["asymmetry"]) / p["drive_scale"]
            ),
            *rates,
            "drive_scale",
        ),
        derived(
            "temperature_l",
            "K",
            "temperature of the lower level's reservoir",
            lambda **p: p["temperature_u"] * p["temperature_ratio"],
            "temperature_u",
            "temperature_ratio",
        ),
    )


def _level_rate(which: int, sign: float) -> Any:
    return lambda gamma_total, asymmetry: level_rates(gamma_total, sign * asymmetry)[which]


def _checks(result: pc.FitResult) -> tuple[pc.Check, ...]:
    """Check what the local master equation with one energy per level presupposes."""
    values, field = result.values, strongest_field(result)
    omega = TWO_PI * values["transition_frequency"]
    offset = float(np.nanmax(np.abs(TWO_PI * result.traces["frequency"].values - omega)))
    return (
        broadening(values["gamma_total"], values),
        dressing(field, values),
        check(
            "rotating_wave",
            max(offset, field) / omega,
            0.2,
            "counter-rotating terms are left out; the effective energies then differ by less "
            "than hf",
        ),
    )


def _build(wider: str = "upper") -> pc.Model:
    sign = 1.0 if wider == "upper" else -1.0
    return pc.Model(
        name="double_dot",
        summary="photocurrent and absorbed power of a double dot between reservoirs [W8-16, A1-12]",
        inputs=("incident_power", "frequency", "bias_voltage"),
        observables=("photocurrent", "absorbed_power"),
        parameters=_PARAMETERS,
        curve=partial(_curve, sign=sign),
        jacobian=partial(_jacobian, sign=sign),
        guess=guess,
        derived=_derived(sign),
        checks=_checks,
    )


MODEL = dataclasses.replace(_build(), options=(WIDER,), factory=_build, regimes=regimes.double_dot)


@pc.hookimpl
def powercal_models() -> tuple[pc.Model, ...]:
    """Offer the double dot."""
    return (MODEL,)
