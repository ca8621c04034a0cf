"""Two levels and a quantised cavity: emitted power and photocurrent against the bias.

Below, at and far above the threshold of a laser: emission sets in with spontaneous photons, and the
number of Fock states is raised until nothing is beyond them. ``coupling`` is |g|², as for the
``laser``, whose parameters these are, with the temperature of the mode's bath beside them.

What data cannot tell. Both observables count the same photons (their ratio is Ẽ_ph/e). A sweep of
the bias through the threshold and on to saturation determines γ_u + γ_l (through the saturated
rate) and the coupling, and ``temperature_u`` if it is freed. ``gamma_b`` enters with both, and by
itself only through how sharp the threshold is; it is known from the line width of the cold cavity.
``asymmetry``, ``cavity_detuning``, ``level_offset``, ``temperature_ratio`` and
``bath_temperature`` are assumptions unless freed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

import powercal as pc
from powercal_reservoirs import regimes
from powercal_reservoirs.biased import arguments_of, level_rates, pulled, pulled_slopes
from powercal_reservoirs.cavity import CavityState, cavity_slopes, cavity_steady_state
from powercal_reservoirs.cavity_start import guess
from powercal_reservoirs.checks import broadening, check, thermal_rate
from powercal_reservoirs.constants import BOLTZMANN, ELEMENTARY_CHARGE, PLANCK, TWO_PI
from powercal_reservoirs.laser_model import MODEL as CLASSICAL
from powercal_reservoirs.occupations import bose, fermi

Array = NDArray[Any]
_KELVIN = PLANCK / BOLTZMANN  # of one hertz
_PER_VOLT = ELEMENTARY_CHARGE / BOLTZMANN  # kelvin of one volt
_MOST = 512  # Fock states at which a point is given up (NaN)

_BATH_TEMPERATURE = pc.Parameter(
    name="bath_temperature",
    unit="K",
    meaning="temperature of the bath into which the cavity loses its photons",
    example=0.1,
    min=1e-4,
    max=1e4,
    scale="log",
    vary=False,
)
# The cavity is known, and few photons are in it.
_CHANGES: dict[str, dict[str, Any]] = {
    "cavity_frequency": {"vary": False},
    "gamma_b": {"example": 1e8},
    "coupling": {"example": 2e17},
}
_PARAMETERS = (
    *(dataclasses.replace(row, **_CHANGES.get(row.name, {})) for row in CLASSICAL.parameters),
    _BATH_TEMPERATURE,
)


def _setting(bias: Array, p: Mapping[str, Any]) -> tuple[dict[str, Any], Any, Any, Any]:
    """Return the arguments of `cavity_steady_state`, Ẽ_ph/h (Hz), and (Ẽ − µ)/kT of the levels."""
    upper, lower = level_rates(p["gamma_total"], p["asymmetry"])
    photon, middle = pulled(p)
    x_u, x_l, _ = arguments_of(photon, middle, bias, p)
    exists = photon > 0  # so far pulled down that it does not, a mode has no thermal state: NaN
    warm = _KELVIN * np.where(exists, photon, 1.0) / p["bath_temperature"]
    arguments = {
        "gamma_u": upper,
        "gamma_l": lower,
        "gamma_b": p["gamma_b"],
        "f_u": fermi(x_u),
        "f_l": fermi(x_l),
        "n_b": np.where(exists, bose(warm), np.nan),
        "coupling": np.sqrt(p["coupling"]),
        "cavity_detuning": TWO_PI * p["cavity_detuning"],
    }
    return arguments, photon, x_u, x_l


def _state(bias: Array, p: Mapping[str, Any]) -> CavityState:
    arguments, _, _, _ = _setting(bias, p)
    return cavity_steady_state(**arguments, most=_MOST, beyond="nan")


def _curve(bias_voltage: Array, **p: Any) -> tuple[Array, ...]:
    """Return Ẽ_ph R = Ẽ_ph γ_b(⟨a†a⟩ − n_b) and −eR [W19-21]."""
    arguments, photon, _, _ = _setting(bias_voltage, p)
    rate = cavity_steady_state(**arguments, most=_MOST, beyond="nan").rate
    return PLANCK * photon * rate, -ELEMENTARY_CHARGE * rate


def _filling_slopes(
    x_u: Array, x_l: Array, p: Mapping[str, Any]
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return the derivatives of f_u and f_l by photon, middle, bias and temperatures."""
    per_u = 1.0 / p["temperature_u"]
    per_l = per_u / p["temperature_ratio"]
    slope_u, slope_l = (-0.25 / np.cosh(np.clip(x / 2, -350, 350)) ** 2 for x in (x_u, x_l))
    upper = {
        "photon": 0.5 * _KELVIN * slope_u * per_u,
        "middle": _KELVIN * slope_u * per_u,
        "bias_voltage": -0.5 * _PER_VOLT * slope_u * per_u,
        "temperature_u": -slope_u * x_u * per_u,
    }
    lower = {
        "photon": -0.5 * _KELVIN * slope_l * per_l,
        "middle": _KELVIN * slope_l * per_l,
        "bias_voltage": 0.5 * _PER_VOLT * slope_l * per_l,
        "temperature_u": -slope_l * x_l * per_u,
        "temperature_ratio": -slope_l * x_l / p["temperature_ratio"],
    }
    return upper, lower


def _jacobian(bias_voltage: Array, **p: Any) -> tuple[dict[str, Array], ...]:
    arguments, photon, x_u, x_l = _setting(bias_voltage, p)
    state, by = cavity_slopes(**arguments, most=_MOST, beyond="nan")
    rate = _rate_slopes(by, arguments, photon, (x_u, x_l), p)
    power = {name: PLANCK * photon * slope for name, slope in rate.items()}
    for name, slope in pulled_slopes(p)[0].items():
        power[name] = power[name] + PLANCK * slope * state.rate
    return power, {name: -ELEMENTARY_CHARGE * slope for name, slope in rate.items()}


def _rate_slopes(
    by: Mapping[str, Array],
    arguments: Mapping[str, Any],
    photon: Any,
    x: tuple[Array, Array],
    p: Mapping[str, Any],
) -> dict[str, Array]:
    """Chain dR by the arguments of `cavity_steady_state` to the parameters and the bias."""
    n_b, bath = arguments["n_b"], p["bath_temperature"]
    by_x = -n_b * (1 + n_b) * by["n_b"]  # by Ẽ_ph/kT_b
    upper, lower = _filling_slopes(*x, p)
    filled = {
        name: by["f_u"] * upper.get(name, 0.0) + by["f_l"] * slope for name, slope in lower.items()
    }
    by_photon, by_middle = filled.pop("photon") + by_x * _KELVIN / bath, filled.pop("middle")
    half, lean = 0.5 * p["gamma_total"], p["asymmetry"]
    rate: dict[str, Array] = {
        **filled,
        "bath_temperature": -by_x * _KELVIN * photon / bath**2,
        "gamma_total": 0.5 * ((1 + lean) * by["gamma_u"] + (1 - lean) * by["gamma_l"]),
        "asymmetry": half * (by["gamma_u"] - by["gamma_l"]),
        "gamma_b": by["gamma_b"],
        "coupling": 0.5 * by["coupling"] / arguments["coupling"],
        "cavity_detuning": TWO_PI * by["cavity_detuning"],
    }
    for slopes, through in zip(pulled_slopes(p), (by_photon, by_middle), strict=True):
        for name, slope in slopes.items():
            rate[name] = rate.get(name, 0.0) + slope * through
    return rate


def _emission_rate(**p: Any) -> Any:
    total = p["gamma_total"] + p["gamma_b"]
    offset = TWO_PI * p["cavity_detuning"] / total
    return p["coupling"] / (total * (0.25 + offset**2))


_SHARED = ("saturated_rate", "threshold_inversion", "emission_frequency_pulled")
_DERIVED = (
    *(row for row in CLASSICAL.derived if row.name in _SHARED),
    pc.Derived(
        name="optical_rate",
        unit="s-1",
        meaning="α_Q: rate at which inverted levels emit into the empty cavity [W B9]",
        function=_emission_rate,
        arguments=("gamma_total", "gamma_b", "coupling", "cavity_detuning"),
        scale="log",
    ),
)


def _checks(result: pc.FitResult) -> tuple[pc.Check, ...]:
    """Check that no photons are beyond the Fock states, and what one energy per level needs."""
    values = {row.name: result.values[row.name] for row in _PARAMETERS}
    state = _state(np.unique(result.traces["bias_voltage"].values), values)
    tail = float(np.max(np.where(np.isfinite(state.tail), state.tail, 1.0)))
    photons = float(np.nanmax(state.mean_photons, initial=0.0))
    field = float(np.sqrt(values["coupling"] * (photons + 1)))
    omega, offset = TWO_PI * values["cavity_frequency"], TWO_PI * abs(values["cavity_detuning"])
    return (
        check(
            "fock_tail",
            tail,
            1e-9,
            f"photons beyond the Fock states kept (up to {int(np.max(state.levels))}) are left "
            f"out; with so many the classical field of model 'laser' holds",
        ),
        broadening(values["gamma_total"] + values["gamma_b"], values),
        check(
            "dressing",
            field / thermal_rate(values),
            0.3,
            "a vacuum or Rabi splitting of kT is not seen by the reservoirs of this theory",
        ),
        check(
            "rotating_wave",
            max(field, offset) / omega,
            0.2,
            "counter-rotating terms are left out; gamma_total and coupling take up their effect",
        ),
    )


def _guess(traces: Any, fixed: Mapping[str, float]) -> dict[str, Array]:
    return guess(traces, fixed, {row.name: float(row.example) for row in _PARAMETERS})


MODEL = pc.Model(
    name="cavity",
    summary="emission and photocurrent of two levels and a quantised cavity [W17-23, B1-B16]",
    inputs=("bias_voltage",),
    observables=("emitted_power", "photocurrent"),
    parameters=_PARAMETERS,
    curve=_curve,
    jacobian=_jacobian,
    guess=_guess,
    derived=_DERIVED,
    checks=_checks,
    regimes=regimes.cavity,
)


@pc.hookimpl
def powercal_models() -> tuple[pc.Model, ...]:
    """Offer the cavity."""
    return (MODEL,)
