"""A two-level laser: emitted power and emission frequency against the bias that pumps it.

What data cannot tell. Above threshold the power is hf·γ_s(f_u − f_l − threshold), with γ_s =
γ_uγ_l/(γ_u + γ_l) and threshold γ_bGK/|g|²: one bias sweep that reaches from the threshold to
saturation determines γ_s, the threshold and, if ``temperature_u`` is freed, the temperature; the
emission frequency is one number. The table therefore leaves free ``cavity_frequency``,
``gamma_total`` (through γ_s) and ``coupling`` (through the threshold) and holds the rest: the loss
``gamma_b`` and ``cavity_detuning`` are degenerate with the coupling, ``asymmetry`` is with
``gamma_total``. A transition that is tuned past the cavity lifts that: with
``per={"cavity_detuning": "trace"}``, ``gamma_b`` freed and rough detunings as ``start``, the
threshold's parabola tells γ_u + γ_l + γ_b and the frequency the share of γ_b, and the detunings
come out too. The field is classical: below threshold the power is zero and the frequency is where
the field would start.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    bias_for_inversion,
    biased_inversion,
    inversion_between,
    pulled,
    pulled_slopes,
    series_rate,
)
from powercal_reservoirs.checks import broadening, check
from powercal_reservoirs.constants import PLANCK, TWO_PI
from powercal_reservoirs.laser_start import guess

Array = NDArray[Any]

_PARAMETERS = (
    pc.Parameter(
        name="cavity_frequency",
        unit="Hz",
        meaning="frequency of the empty cavity",
        example=6.7e9,
        min=1e3,
        max=1e15,
    ),
    pc.Parameter(
        name="cavity_detuning",
        unit="Hz",
        meaning="cavity frequency less bare transition frequency",
        example=0.0,
        vary=False,
    ),
    GAMMA_TOTAL,
    pc.Parameter(
        name="asymmetry",
        unit="1",
        meaning="(γ_u − γ_l)/(γ_u + γ_l)",
        example=0.0,
        min=-LARGEST_ASYMMETRY,
        max=LARGEST_ASYMMETRY,
        vary=False,
    ),
    pc.Parameter(
        name="gamma_b",
        unit="s-1",
        meaning="loss rate of the cavity's photons",
        example=1e7,
        min=1.0,
        max=1e15,
        scale="log",
        vary=False,
    ),
    pc.Parameter(
        name="coupling",
        unit="rad2 s-2",
        meaning="|g|² between transition and one photon",
        example=6e16,
        min=1.0,
        max=1e32,
        scale="log",
    ),
    TEMPERATURE_U,
    TEMPERATURE_RATIO,
    LEVEL_OFFSET,
)


def _threshold(p: Mapping[str, Any]) -> Any:
    """Return γ_bGK/|g|² of supplement C8."""
    offset = TWO_PI * p["cavity_detuning"] / (p["gamma_total"] + p["gamma_b"])
    return p["gamma_b"] * p["gamma_total"] * (0.25 + offset**2) / p["coupling"]


def _threshold_slopes(p: Mapping[str, Any]) -> dict[str, Any]:
    width, loss = p["gamma_total"], p["gamma_b"]
    total, least = width + loss, _threshold(p)
    offset = TWO_PI * p["cavity_detuning"] / total
    scale = loss * width / p["coupling"]
    return {
        "coupling": -least / p["coupling"],
        "cavity_detuning": scale * 2 * offset * TWO_PI / total,
        "gamma_total": least / width - scale * 2 * offset**2 / total,
        "gamma_b": least / loss - scale * 2 * offset**2 / total,
    }


def _curve(bias_voltage: Array, **p: Any) -> tuple[Array, ...]:
    """Return hf γ_b|a|² and f, supplement C8."""
    emission, middle = pulled(p)
    half = 0.5 * emission
    filled = inversion_between(middle + half, middle - half, bias_voltage, p)
    scale = PLANCK * emission * series_rate(p["gamma_total"], p["asymmetry"])
    power = scale * np.maximum(filled - _threshold(p), 0.0)
    return power, emission + 0.0 * power


def _jacobian(bias_voltage: Array, **p: Any) -> tuple[dict[str, Array], ...]:
    emission, middle = pulled(p)
    filled = biased_inversion(emission, middle, bias_voltage, p)
    above = filled.value - _threshold(p)
    on = np.where(above > 0, 1.0, 0.0)
    scale = PLANCK * emission * series_rate(p["gamma_total"], p["asymmetry"])
    frequency, shift = pulled_slopes(p)
    rate: dict[str, Array] = {
        "gamma_total": above / p["gamma_total"],
        "asymmetry": -2 * p["asymmetry"] / (1 - p["asymmetry"] ** 2) * above,
        "temperature_u": filled.by_temperature,
        "temperature_ratio": filled.by_ratio,
        "bias_voltage": filled.by_bias,
    }
    for slopes, by in (
        (frequency, filled.by_photon + above / emission),
        (shift, filled.by_middle),
        (_threshold_slopes(p), -1.0),
    ):
        for name, slope in slopes.items():
            rate[name] = rate.get(name, 0.0) + slope * by
    frequency["bias_voltage"] = 0.0 * on
    return {name: scale * on * slope for name, slope in rate.items()}, frequency


def _threshold_bias(**p: Any) -> Any:
    """Bias at which the field starts, V; infinite if it never does."""
    emission, middle = pulled(p)
    return bias_for_inversion(_threshold(p), emission, middle, p)


_ALL = tuple(row.name for row in _PARAMETERS)
_RATES = ("gamma_total", "asymmetry")
_THRESHOLD = (*_RATES, "cavity_detuning", "gamma_b", "coupling")


def _derived() -> tuple[pc.Derived, ...]:
    def derived(
        name: str, unit: str, meaning: str, function: Any, names: tuple[str, ...], **more: Any
    ) -> pc.Derived:
        return pc.Derived(
            name=name, unit=unit, meaning=meaning, function=function, arguments=names, **more
        )

    return (
        derived(
            "saturated_rate",
            "s-1",
            "γ_uγ_l/(γ_u + γ_l): photons per second for each unit of inversion above threshold",
            series_rate,
            _RATES,
            scale="log",
        ),
        derived(
            "threshold_inversion",
            "1",
            "f_u − f_l at which the field starts; 1 and more: never",
            lambda **p: _threshold(p),
            _THRESHOLD,
            scale="log",
        ),
        derived("threshold_bias", "V", "bias at which the field starts", _threshold_bias, _ALL),
        derived(
            "emission_frequency_pulled",
            "Hz",
            "frequency of the laser, between cavity and transition [W30]",
            lambda **p: pulled({"level_offset": 0.0, "asymmetry": 0.0, **p})[0],
            ("cavity_frequency", "cavity_detuning", "gamma_total", "gamma_b"),
        ),
    )


def _checks(result: pc.FitResult) -> tuple[pc.Check, ...]:
    """Check that levels are narrower than kT and that so many photons are a classical field."""
    values = result.values
    bias = float(np.nanmax(result.traces["bias_voltage"].values))
    names = (row.name for row in _PARAMETERS)
    power, frequency = _curve(np.asarray(bias), **{name: values[name] for name in names})
    photons = float(power / (PLANCK * frequency * values["gamma_b"]))
    few = 10.0 / photons if photons > 0 else float("nan")
    return (
        broadening(values["gamma_total"], values, spoils="gamma_total"),
        check(
            "classical_field",
            few,
            1.0,
            "with fewer than ten photons at the largest bias spontaneous emission rounds the "
            "threshold, and the coupling comes out too large",
        ),
    )


MODEL = pc.Model(
    name="laser",
    summary="power and pulled frequency of a two-level laser between reservoirs [W24-30]",
    inputs=("bias_voltage",),
    observables=("emitted_power", "emission_frequency"),
    parameters=_PARAMETERS,
    curve=_curve,
    jacobian=_jacobian,
    guess=guess,
    derived=_derived(),
    checks=_checks,
    regimes=regimes.laser,
)


@pc.hookimpl
def powercal_models() -> tuple[pc.Model, ...]:
    """Offer the laser."""
    return (MODEL,)
