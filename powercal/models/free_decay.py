"""Free decay: population, emitted power or a raw signal after the drive is switched off."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Arrays, Derivatives, Derived, Model, Option, Parameter
from powercal.hookspecs import hookimpl
from powercal.models.driven import QUBIT_FREQUENCY, TWO_PI, effective_temperature, rate
from powercal.models.free_decay_checks import decay_checks
from powercal.models.free_decay_start import guess
from powercal.models.regimes_balance import free_decay
from powercal.physics.constants import HBAR
from powercal.physics.decay import decay_energy

Array = NDArray[Any]

OBSERVABLES = {
    "population": ("excited_population",),
    "power": ("excited_population", "emitted_power"),
    "received": ("received",),
    "quadrature": ("quadrature",),
}
READOUT = Option(
    name="readout",
    choices=tuple(OBSERVABLES),
    default="population",
    meaning="what was read out: the population, the emitted power (alone or beside the "
    "population), or a signal without calibration (complex, or one quadrature)",
    follows={"emitted_power": "power", "received": "received", "quadrature": "quadrature"},
)


# ---- curves ----


def _population_curve(time: Array, *, gamma_1_tot: Any, p_0: Any, p_eq: Any) -> Arrays:
    """p(t) = p_eq + (p_0 − p_eq) exp(−Γ₁tot t), physics sheet section 5."""
    return (p_eq + (p_0 - p_eq) * np.exp(-gamma_1_tot * time),)


def _population_jacobian(time: Array, *, gamma_1_tot: Any, p_0: Any, p_eq: Any) -> Derivatives:
    left = np.exp(-gamma_1_tot * time)
    fall = (p_0 - p_eq) * left
    return (
        {
            "gamma_1_tot": -time * fall,
            "p_0": left,
            "p_eq": 1 - left,
            "time": -gamma_1_tot * fall,
        },
    )


def _power_curve(time: Array, **p: Any) -> Arrays:
    """Add R(t) = R(∞) + η ħω_q Γ₁tot (p − p_eq), supplement C5."""
    left = np.exp(-p["gamma_1_tot"] * time)
    fall = (p["p_0"] - p["p_eq"]) * left
    quantum = HBAR * TWO_PI * p["qubit_frequency"] * p["detected_share"]
    return p["p_eq"] + fall, p["rest_power"] + quantum * p["gamma_1_tot"] * fall


def _power_jacobian(time: Array, **p: Any) -> Derivatives:
    kept = {name: p[name] for name in ("gamma_1_tot", "p_0", "p_eq")}
    (population,) = _population_jacobian(time, **kept)
    left = population["p_0"]
    quantum = HBAR * TWO_PI * p["qubit_frequency"] * p["detected_share"]
    flow = quantum * p["gamma_1_tot"] * left
    drop = p["p_0"] - p["p_eq"]
    photons = HBAR * TWO_PI * p["gamma_1_tot"] * drop * left
    return (
        population,
        {
            "gamma_1_tot": quantum * drop * left * (1 - p["gamma_1_tot"] * time),
            "p_0": flow,
            "p_eq": -flow,
            "qubit_frequency": photons * p["detected_share"],
            "detected_share": photons * p["qubit_frequency"],
            "rest_power": np.ones_like(flow),
            "time": -p["gamma_1_tot"] * flow * drop,
        },
    )


def _received_curve(time: Array, **p: Any) -> Arrays:
    left = np.exp(-p["gamma_1_tot"] * time)
    offset = p["offset_i"] + 1j * p["offset_q"]
    return (offset + (p["contrast_i"] + 1j * p["contrast_q"]) * left,)


def _received_jacobian(time: Array, **p: Any) -> Derivatives:
    left = np.exp(-p["gamma_1_tot"] * time) + 0j
    fall = (p["contrast_i"] + 1j * p["contrast_q"]) * left
    one = np.ones_like(left)
    return (
        {
            "gamma_1_tot": -time * fall,
            "offset_i": one,
            "offset_q": 1j * one,
            "contrast_i": left,
            "contrast_q": 1j * left,
            "time": -p["gamma_1_tot"] * fall,
        },
    )


def _quadrature_curve(time: Array, *, gamma_1_tot: Any, offset: Any, contrast: Any) -> Arrays:
    return (offset + contrast * np.exp(-gamma_1_tot * time),)


def _quadrature_jacobian(
    time: Array, *, gamma_1_tot: Any, offset: Any, contrast: Any
) -> Derivatives:
    left = np.exp(-gamma_1_tot * time)
    return (
        {
            "gamma_1_tot": -time * contrast * left,
            "offset": np.ones_like(left),
            "contrast": left,
            "time": -gamma_1_tot * contrast * left,
        },
    )


_CURVES: dict[str, tuple[Any, Any]] = {
    "population": (_population_curve, _population_jacobian),
    "power": (_power_curve, _power_jacobian),
    "received": (_received_curve, _received_jacobian),
    "quadrature": (_quadrature_curve, _quadrature_jacobian),
}

# ---- tables ----

GAMMA_1_TOT = rate("gamma_1_tot", "relaxation rate Γ₁(1+2n), all channels together", 1e5)
P_0 = Parameter(
    name="p_0", unit="1", meaning="population at time zero", example=0.9, min=0.0, max=1.0
)
P_EQ = Parameter(
    name="p_eq", unit="1", meaning="population in equilibrium", example=0.05, min=0.0, max=0.5
)
DETECTED_SHARE = Parameter(
    name="detected_share",
    unit="1",
    meaning="share of the detected line in the relaxation, η = Γ_r(1+2n_r)/Γ₁tot",
    example=1.0,
    min=0.0,
    max=1.0,
    vary=False,
)
REST_POWER = Parameter(
    name="rest_power",
    unit="W",
    meaning="power long after the decay, R(∞): heat flow with the drive off, background",
    example=1e-19,
)


def _voltage(name: str, meaning: str, example: float) -> Parameter:
    return Parameter(name=name, unit="V", meaning=meaning, example=example)


_TABLES: dict[str, tuple[Parameter, ...]] = {
    "population": (GAMMA_1_TOT, P_0, P_EQ),
    "power": (GAMMA_1_TOT, P_0, P_EQ, QUBIT_FREQUENCY, DETECTED_SHARE, REST_POWER),
    "received": (
        GAMMA_1_TOT,
        _voltage("offset_i", "in-phase signal long after the decay", 1e-3),
        _voltage("offset_q", "quadrature signal long after the decay", -5e-4),
        _voltage("contrast_i", "in-phase signal at time zero less that long after", 4e-4),
        _voltage("contrast_q", "quadrature signal at time zero less that long after", 8e-4),
    ),
    "quadrature": (
        GAMMA_1_TOT,
        _voltage("offset", "signal long after the decay", 1e-3),
        _voltage("contrast", "signal at time zero less that long after the decay", 8e-4),
    ),
}

# ---- derived ----

T1 = Derived(
    name="T1",
    unit="s",
    meaning="relaxation time 1/Γ₁tot",
    function=lambda **p: 1 / np.asarray(p["gamma_1_tot"]),
    arguments=("gamma_1_tot",),
    scale="log",
)


def _occupation(p_eq: Any) -> Any:
    with np.errstate(divide="ignore"):
        return p_eq / np.asarray(1 - 2 * p_eq)


_ONE_BATH = (
    Derived(
        name="gamma_1",
        unit="s-1",
        meaning="bare relaxation rate Γ₁tot(1 − 2p_eq), one boson bath",
        function=lambda **p: p["gamma_1_tot"] * (1 - 2 * p["p_eq"]),
        arguments=("gamma_1_tot", "p_eq"),
        scale="log",
    ),
    Derived(
        name="n_th",
        unit="1",
        meaning="occupation of one boson bath, p_eq/(1 − 2p_eq)",
        function=lambda **p: _occupation(p["p_eq"]),
        arguments=("p_eq",),
    ),
)
_ENERGY = (
    Derived(
        name="T_eff",
        unit="K",
        meaning="temperature of the bath from p_eq",
        function=lambda **p: effective_temperature(p["qubit_frequency"], _occupation(p["p_eq"])),
        arguments=("qubit_frequency", "p_eq"),
    ),
    Derived(
        name="released_energy",
        unit="W s",
        meaning="energy that the detected line receives, η ħω_q(p_0 − p_eq), in joules",
        function=lambda **p: decay_energy(
            TWO_PI * p["qubit_frequency"], p["p_eq"], p["p_0"], p["detected_share"]
        ),
        arguments=("qubit_frequency", "detected_share", "p_0", "p_eq"),
    ),
)
_CONTRAST = Derived(
    name="contrast",
    unit="V",
    meaning="size of the complex contrast",
    function=lambda **p: (p["contrast_i"] ** 2 + p["contrast_q"] ** 2) ** 0.5,
    arguments=("contrast_i", "contrast_q"),
    scale="log",
)
_DERIVED: dict[str, tuple[Derived, ...]] = {
    "population": (T1, *_ONE_BATH),
    "power": (T1, *_ONE_BATH, *_ENERGY),
    "received": (T1, _CONTRAST),
    "quadrature": (T1,),
}


def _build(readout: str = "population") -> Model:
    curve, jacobian = _CURVES[readout]
    return Model(
        name="free_decay",
        summary="free decay of population, emitted power or a raw signal (section 5, C5)",
        inputs=("time",),
        observables=OBSERVABLES[readout],
        parameters=_TABLES[readout],
        curve=curve,
        jacobian=jacobian,
        guess=partial(guess, readout=readout, observables=OBSERVABLES[readout]),
        derived=_DERIVED[readout],
        checks=decay_checks,
    )


@hookimpl
def powercal_models() -> tuple[Model, ...]:
    """Offer the free decay; the readout that the data imply chooses among its observables."""
    every = tuple(dict.fromkeys(name for names in OBSERVABLES.values() for name in names))
    model = dataclasses.replace(_build(), observables=every, options=(READOUT,), factory=_build)
    return (dataclasses.replace(model, regimes=free_decay),)
