"""The curves of scenarios A to D as a physicist writes them, in rad/µs, with derivatives by hand.

The derivatives are for the peers and for the reference that all are judged by; the batch solvers
take theirs from the curve, so that a wrong one of either shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Arrays, Derivatives, Model, Parameter
from powercal.errors import FitError

Array = NDArray[Any]
CARRIER = 2 * np.pi * 5000.0  # rad/µs; detunings are counted from here


def saturation(
    power: Any, detuning: Any, gamma_1: Any, gamma_2: Any, drive: Any, centre: Any, n_th: Any
) -> Any:
    width = gamma_2**2 + (detuning - centre) ** 2
    return drive * power * gamma_2 / (gamma_1 * (1 + 2 * n_th) * width)


def absorbed_power(
    power: Any, detuning: Any, *, gamma_1: Any, gamma_2: Any, drive: Any, centre: Any, n_th: Any
) -> Any:
    s = saturation(power, detuning, gamma_1, gamma_2, drive, centre, n_th)
    return (1 + detuning / CARRIER) * (gamma_1 / 2) * s / (1 + s)


def population(
    power: Any, detuning: Any, *, gamma_1: Any, gamma_2: Any, drive: Any, centre: Any, n_th: Any
) -> Any:
    s = saturation(power, detuning, gamma_1, gamma_2, drive, centre, n_th)
    p_eq = n_th / (1 + 2 * n_th)
    return p_eq + (1 / 2 - p_eq) * s / (1 + s)


def absorbed_curve(power: Any, detuning: Any, **parameters: Any) -> Arrays:
    return (absorbed_power(power, detuning, **parameters),)


def joint_curve(power: Any, detuning: Any, **parameters: Any) -> Arrays:
    return (
        absorbed_power(power, detuning, **parameters),
        population(power, detuning, **parameters),
    )


def joint_jacobian(power: Any, detuning: Any, **parameters: Any) -> Derivatives:
    gamma_1, gamma_2, n_th = (parameters[n] for n in ("gamma_1", "gamma_2", "n_th"))
    offset = detuning - parameters["centre"]
    s = saturation(power, detuning, **parameters)
    width, thermal = gamma_2**2 + offset**2, 1 + 2 * n_th
    share = s / (1 + s)
    logarithmic = {
        "gamma_1": -1 / gamma_1,
        "gamma_2": 1 / gamma_2 - 2 * gamma_2 / width,
        "drive": 1 / parameters["drive"],
        "centre": 2 * offset / width,
        "n_th": -2 / thermal,
    }
    half = (1 + detuning / CARRIER) / 2
    bend = share / (1 + s)
    power_slopes = {n: half * gamma_1 * bend * v for n, v in logarithmic.items()}
    power_slopes["gamma_1"] = power_slopes["gamma_1"] + half * share
    lifted = (1 / 2 - n_th / thermal) * bend
    population_slopes = {n: lifted * v for n, v in logarithmic.items()}
    population_slopes["n_th"] = population_slopes["n_th"] + (1 - share) / thermal**2
    return power_slopes, population_slopes


def absorbed_jacobian(power: Any, detuning: Any, **parameters: Any) -> Derivatives:
    return joint_jacobian(power, detuning, **parameters)[:1]


def _no_guess(traces: Any, fixed: Mapping[str, float]) -> dict[str, Array]:
    raise FitError("the scenarios start from benchmarks.starts, the same start for all")


def _row(name: str, unit: str, meaning: str, low: float = 0.0) -> Parameter:
    return Parameter(name=name, unit=unit, meaning=meaning, example=1.0, min=low)


PARAMETERS = (
    _row("gamma_1", "rad/us", "bare relaxation rate"),
    _row("gamma_2", "rad/us", "decoherence rate"),
    _row("drive", "rad2/us2", "Rabi frequency squared per unit of power"),
    _row("centre", "rad/us", "transition, from the carrier", -np.inf),
    _row("n_th", "1", "thermal occupation of the bath"),
)

ABSORBED = Model(
    name="benchmark_absorbed",
    summary="absorbed power of a driven qubit",
    inputs=("incident_power", "frequency"),
    observables=("absorbed_power",),
    parameters=PARAMETERS,
    curve=absorbed_curve,
    jacobian=absorbed_jacobian,
    guess=_no_guess,
)
JOINT = Model(
    name="benchmark_joint",
    summary="absorbed power and excited population of a driven qubit",
    inputs=("incident_power", "frequency"),
    observables=("absorbed_power", "excited_population"),
    parameters=PARAMETERS,
    curve=joint_curve,
    jacobian=joint_jacobian,
    guess=_no_guess,
)
