"""Options, parameters and derived quantities that all models of a qubit in a line share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from math import pi
from typing import Any

import numpy as np

from powercal.contracts import Derived, Option, Parameter
from powercal.models.driven import (
    GAMMA_PHI,
    N_TH,
    SIGMA_SLOW,
    TWO_PI,
    effective_temperature,
)
from powercal.models.line_response import (
    DECIBEL,
    Geometry,
    bath_rates,
    emission_share,
    occupations,
)
from powercal.physics.detection import saturation_power

CONVENTION = Option(
    name="convention",
    choices=("+i", "-i", "find"),
    default="find",
    meaning="time factor of the file: e^{+iωt} (most instruments), e^{−iωt} (physics), or find it",
)
SETUP = Option(
    name="setup",
    choices=("raw", "referenced", "device"),
    meaning="whether the set-up's delay and mismatch were removed by a reference trace",
)
TEMPERATURES = Option(
    name="temperatures",
    choices=("one", "two"),
    default="one",
    meaning="one occupation n_th, or n_line of the line and n_internal of the loss apart",
)
QUIET = dataclasses.replace(GAMMA_PHI, example=0.0, vary=False)
GAMMA_I = Parameter(
    name="gamma_i", unit="s-1", meaning="internal loss rate", example=0.0, min=0.0, vary=False
)
_WEIGHT = Parameter(
    name="manifold_weight",
    unit="1",
    meaning="share of the time that the qubit is in the driven manifold",
    example=1.0,
    min=0.0,
    max=1.0,
    vary=False,
)


def baths(temperatures: str) -> tuple[Parameter, ...]:
    """Return the occupations: n_th, or those of the line and of the internal bath."""
    cold = dataclasses.replace(N_TH, example=0.0, vary=False)
    if temperatures == "one":
        return (cold,)
    return (
        dataclasses.replace(
            cold,
            name="n_line",
            meaning="thermal occupation of the line; the chain of attenuators gives it, if known",
        ),
        dataclasses.replace(
            cold, name="n_internal", meaning="thermal occupation of the internal bath"
        ),
    )


def middle(setup: str, temperatures: str, broadening: str) -> tuple[Parameter, ...]:
    """Return what stands between the rates and the set-up factors."""
    loss = Parameter(
        name="attenuation_db",
        unit="dB",
        meaning="loss from generator to device",
        example=0.0 if setup == "device" else 70.0,
        min=-50.0,
        max=300.0,
        vary=setup != "device",
    )
    slow = (SIGMA_SLOW,) if broadening == "gaussian" else ()
    return (*baths(temperatures), _WEIGHT, *slow, loss)


def setup_factors(
    setup: str, phase: bool, what: str = "reflection", prefix: str = "reference_", used: bool = True
) -> tuple[Parameter, ...]:
    """Return gain, phase and delay around one signal; what a set-up cannot do is fixed.

    Parameters
    ----------
    setup : {"raw", "referenced", "device"}
        What was removed already.
    phase : bool
        Whether the fitted data are complex and know a phase.
    what, prefix : str
        The signal in words, and how the names begin.
    used : bool
        Whether this signal is fitted at all.
    """
    measured, raw = used and setup != "device", used and setup == "raw"
    return (
        Parameter(
            name=f"{prefix}gain",
            unit="1",
            meaning=f"amplitude of the {what} far from resonance",
            example=1.0,
            min=1e-12,
            max=1e12,
            scale="log",
            vary=measured,
        ),
        Parameter(
            name=f"{prefix}phase",
            unit="rad",
            meaning=f"phase of the {what} far from resonance, at the transition frequency",
            example=0.0,
            vary=measured and phase,
        ),
        Parameter(
            name="delay" if prefix == "reference_" else f"{prefix}delay",
            unit="s",
            meaning="delay of the cables",
            example=0.0,
            vary=raw and phase,
        ),
    )


def mismatch(vary: bool) -> Parameter:
    """Return the turn of the circle about the off-resonant point."""
    return Parameter(
        name="mismatch",
        unit="rad",
        meaning="rotation ψ of the circle about the off-resonant point (asymmetry e^{iψ}); "
        "Γ_r then carries the leakage's uncertainty",
        example=0.0,
        min=-pi,
        max=pi,
        vary=vary,
    )


# ---- what follows ----


class _Quantities:
    """Makes derived quantities of a geometry: each is a function of the parameters by name."""

    def __init__(self, geometry: Geometry, temperatures: str) -> None:
        self.geometry = geometry
        self.rates = (*geometry.rates, "gamma_i")
        self.warm = (*self.rates, *occupations(temperatures))
        self.wide = (*self.warm, "gamma_phi")

    def line(self, p: Any) -> Any:
        return self.geometry.ports(p).line

    def gamma_1(self, p: Any) -> Any:
        return self.line(p) + p["gamma_i"]

    def gamma_1_tot(self, p: Any) -> Any:
        return bath_rates(self.line(p), p)[1]

    def gamma_2(self, p: Any) -> Any:
        return self.gamma_1_tot(p) / 2 + p["gamma_phi"]

    def cold(self, p: Any) -> Any:
        """1 − 2p_eq = Γ₁/Γ₁tot."""
        return self.gamma_1(p) / self.gamma_1_tot(p)

    def depth(self, coupling: str) -> Callable[[Any], Any]:
        """wG(1−2p_eq)/Γ₂ of a signal."""

        def value(p: Any) -> Any:
            size = getattr(self.geometry.ports(p), coupling)
            return p["manifold_weight"] * size * self.cold(p) / self.gamma_2(p)

        return value

    def knee(self, p: Any) -> Any:
        """P_s at the device; the rate that drives makes every geometry an end of a line."""
        drive, omega_q = self.geometry.ports(p).drive, TWO_PI * p["qubit_frequency"]
        return saturation_power(drive, omega_q, self.gamma_1_tot(p), self.gamma_2(p))


def _quantity(
    name: str, unit: str, meaning: str, value: Any, arguments: tuple[str, ...], scale: Any = "log"
) -> Derived:
    return Derived(
        name=name,
        unit=unit,
        meaning=meaning,
        function=lambda **p: value(p),
        arguments=arguments,
        scale=scale,
    )


def line_derived(geometry: Geometry, temperatures: str) -> tuple[Derived, ...]:
    """Return what follows from the rates, whatever the geometry."""
    q = _Quantities(geometry, temperatures)
    radiative: tuple[Derived, ...] = ()
    if geometry.rates != ("gamma_r",):
        radiative = (
            _quantity("gamma_r", "s-1", "radiative rate into both ports", q.line, geometry.rates),
        )
    return (
        *radiative,
        _quantity("gamma_1", "s-1", "bare relaxation rate Γ_r + Γ_i", q.gamma_1, q.rates),
        _quantity("gamma_1_over_2pi", "Hz", "Γ₁/2π", lambda p: q.gamma_1(p) / TWO_PI, q.rates),
        _quantity(
            "gamma_1_tot", "s-1", "relaxation rate of a T1 experiment", q.gamma_1_tot, q.warm
        ),
        _quantity("T1", "s", "relaxation time 1/Γ₁tot", lambda p: 1 / q.gamma_1_tot(p), q.warm),
        _quantity("gamma_2", "s-1", "decoherence rate Γ₂ = Γ₁tot/2 + Γφ", q.gamma_2, q.wide),
        *(_one_bath() if temperatures == "one" else _two_baths(q)),
        *_depths(q),
        _quantity(
            "emission_share",
            "1",
            "η = Γ_r(1+2n_r)/Γ₁tot, the line's share of the relaxation",
            lambda p: emission_share(q.line(p), p),
            q.warm,
        ),
        *_knees(q),
    )


def _knees(q: _Quantities) -> tuple[Derived, ...]:
    return (
        _quantity(
            "saturation_power",
            "W",
            "P_s at the plane of incident_power, s = 1 on resonance",
            lambda p: q.knee(p) * np.exp(DECIBEL * p["attenuation_db"]),
            (*q.wide, "qubit_frequency", "attenuation_db"),
        ),
        _quantity(
            "saturation_power_at_device",
            "W",
            "P_s at the device: the qubit as a sensor of absolute power",
            q.knee,
            (*q.wide, "qubit_frequency"),
        ),
    )


def _one_bath() -> tuple[Derived, ...]:
    return (
        _quantity(
            "p_eq",
            "1",
            "equilibrium population n/(1+2n)",
            lambda p: p["n_th"] / (1 + 2 * p["n_th"]),
            ("n_th",),
            "linear",
        ),
        _temperature("T_eff", "the bath", lambda p: p["n_th"], ("n_th",)),
    )


def _two_baths(q: _Quantities) -> tuple[Derived, ...]:
    def upward(p: Any) -> Any:
        return q.line(p) * p["n_line"] + p["gamma_i"] * p["n_internal"]

    def n_eff(p: Any) -> Any:
        return upward(p) / q.gamma_1(p)

    return (
        _quantity(
            "p_eq",
            "1",
            "equilibrium population ΣΓ_kn_k/Γ₁tot",
            lambda p: upward(p) / q.gamma_1_tot(p),
            q.warm,
            "linear",
        ),
        _quantity(
            "n_eff", "1", "occupation ΣΓ_kn_k/Γ₁ that one bath would have", n_eff, q.warm, "linear"
        ),
        _temperature("T_eff", "one bath with n_eff", n_eff, q.warm),
        _temperature("T_line", "the line", lambda p: p["n_line"], ("n_line",)),
        _temperature("T_internal", "the internal bath", lambda p: p["n_internal"], ("n_internal",)),
    )


def _temperature(name: str, whose: str, n: Any, arguments: tuple[str, ...]) -> Derived:
    return _quantity(
        name,
        "K",
        f"temperature of {whose} from its occupation",
        lambda p: effective_temperature(p["qubit_frequency"], n(p)),
        ("qubit_frequency", *arguments),
        "linear",
    )


def _depths(q: _Quantities) -> tuple[Derived, ...]:
    arguments = (*q.wide, "manifold_weight")
    back = _quantity(
        "reflection_depth",
        "1",
        "ρ = wΓ_r(1−2p_eq)/Γ₂, the diameter of the circle",
        q.depth("back"),
        arguments,
    )
    if q.geometry.name == "end_of_line":
        return (back,)
    through = _quantity(
        "transmission_depth",
        "1",
        "wG(1−2p_eq)/Γ₂ of the transmission's coupling G, the diameter of its circle",
        q.depth("through"),
        arguments,
    )
    if q.geometry.name != "in_line":
        return (through,)
    meaning = "wΓ_left(1−2p_eq)/Γ₂, the diameter of the reflection's circle"
    return (through, dataclasses.replace(back, meaning=meaning))
