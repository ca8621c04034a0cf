"""What the model ``floquet`` is asked and what it says: options, parameters, derived quantities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import powercal as pc
from powercal.physics.floquet import bloch_siegert_shift
from powercal.physics.thermal import temperature_from_occupation
from powercal_floquet.drive import TWO_PI, drive_scale, gamma_1, gamma_1_tot, gamma_2

DRIVE = pc.Option(
    name="drive",
    choices=("scale", "radiative"),
    default="scale",
    meaning="Ω² per watt as a parameter, or from the radiative rate of a reflecting line, "
    "Ω² = 4Γ_rP/(ħω_d)",
)
TOLERANCE = pc.Option(
    name="tolerance",
    choices=("1e-6", "1e-9", "1e-12"),
    default="1e-12",
    meaning="harmonics are added until ⟨σz⟩ changes by less than this",
)
DETECTION = pc.Option(
    name="detection",
    choices=("absorbed",),
    meaning="the power difference is the absorbed power; what coherent and total detection see is "
    "not known beyond the rotating-wave approximation",
)

QUBIT_FREQUENCY = pc.Parameter(
    name="qubit_frequency",
    unit="Hz",
    meaning="transition frequency",
    example=5e9,
    min=1e3,
    max=2e12,
)
GAMMA_PHI = pc.Parameter(
    name="gamma_phi",
    unit="s-1",
    meaning="pure dephasing rate, Γ₂ − Γ₁tot/2",
    example=2e5,
    min=0.0,
)
N_TH = pc.Parameter(
    name="n_th", unit="1", meaning="thermal occupation of the bath", example=0.05, min=0.0
)


def positive(
    name: str, unit: str, meaning: str, example: float, low: float, high: float
) -> pc.Parameter:
    """Return the table row of what cannot vanish."""
    return pc.Parameter(
        name=name, unit=unit, meaning=meaning, example=example, min=low, max=high, scale="log"
    )


DRIVE_SCALE = positive("drive_scale", "rad2 s-2 W-1", "Ω² per watt at the device", 1e30, 1e10, 1e50)


def parameters(drive: str) -> tuple[pc.Parameter, ...]:
    """Return the parameter table for one choice of ``drive``."""
    if drive == "scale":
        return (
            QUBIT_FREQUENCY,
            positive("gamma_1", "s-1", "bare relaxation rate", 1e6, 1.0, 1e13),
            GAMMA_PHI,
            N_TH,
            DRIVE_SCALE,
        )
    return (
        QUBIT_FREQUENCY,
        positive("gamma_r", "s-1", "radiative rate into the driving line", 2e4, 1.0, 1e13),
        pc.Parameter(
            name="gamma_i",
            unit="s-1",
            meaning="internal loss rate; beside it Γ_r must be small for the power difference to "
            "be the absorbed power",
            example=1e6,
            min=0.0,
        ),
        GAMMA_PHI,
        N_TH,
        pc.Parameter(
            name="attenuation_db",
            unit="dB",
            meaning="loss from the plane of incident_power to the device",
            example=0.0,
            min=-50.0,
            max=300.0,
            vary=False,
        ),
    )


def derived(drive: str) -> tuple[pc.Derived, ...]:
    """Return what follows from the parameters; rates and shifts in their usual units."""
    rates = ("gamma_1",) if drive == "scale" else ("gamma_r", "gamma_i")
    line = ("drive_scale",) if drive == "scale" else ("gamma_r", "attenuation_db")
    total, width = (*rates, "n_th"), (*rates, "n_th", "gamma_phi")
    own = () if drive == "scale" else _line_quantities(rates, line)
    return (
        *own,
        row("gamma_1_over_2pi", "Hz", "Γ₁/2π", lambda p: gamma_1(p) / TWO_PI, rates),
        row("gamma_1_tot", "s-1", "relaxation rate in a T1 experiment", gamma_1_tot, total),
        row("T1", "s", "relaxation time 1/Γ₁tot", lambda p: 1 / gamma_1_tot(p), total),
        row("gamma_2", "s-1", "decoherence rate Γ₂ = Γ₁tot/2 + Γφ", gamma_2, width),
        row(
            "p_eq",
            "1",
            "equilibrium population n/(1+2n)",
            lambda p: p["n_th"] / (1 + 2 * p["n_th"]),
            ("n_th",),
            scale="linear",
        ),
        row(
            "T_eff",
            "K",
            "temperature of the bath from n_th",
            lambda p: temperature_from_occupation(TWO_PI * p["qubit_frequency"], p["n_th"]),
            ("qubit_frequency", "n_th"),
            scale="linear",
        ),
        row(
            "saturation_power",
            "W",
            "power with s = 1 on resonance, Γ₁totΓ₂ over Ω² per watt",
            lambda p: gamma_1_tot(p) * gamma_2(p) / drive_scale(p["qubit_frequency"], p),
            (*dict.fromkeys((*width, *line, "qubit_frequency")),),
        ),
        *shifts(line, width, lambda p: gamma_1_tot(p) * gamma_2(p)),
    )


def shifts(
    line: tuple[str, ...], width: tuple[str, ...], saturating: Callable[[dict[str, Any]], Any]
) -> tuple[pc.Derived, ...]:
    """Return the Bloch-Siegert shift per watt and at s = 1.

    Parameters
    ----------
    line, width : tuple of str
        Parameters on which Ω² per watt and Γ₁totΓ₂ rest.
    saturating : callable
        Γ₁totΓ₂ in 1/s², the square of the Rabi rate at s = 1, from the parameters.
    """

    def shift(square: Any, p: dict[str, Any]) -> Any:
        return bloch_siegert_shift(square**0.5, TWO_PI * p["qubit_frequency"]) / TWO_PI

    def per_watt(p: dict[str, Any]) -> Any:
        return shift(drive_scale(p["qubit_frequency"], p), p)

    def at_saturation(p: dict[str, Any]) -> Any:
        return shift(saturating(p), p)

    return (
        row(
            "bloch_siegert_per_watt",
            "Hz W-1",
            "shift of the line by the counter-rotating drive, Ω²/(4ω_q), per watt",
            per_watt,
            (*dict.fromkeys((*line, "qubit_frequency")),),
        ),
        row(
            "bloch_siegert_at_saturation",
            "Hz",
            "the same shift at the saturation power, Γ₁totΓ₂/(4ω_q)",
            at_saturation,
            (*width, "qubit_frequency"),
        ),
    )


def _line_quantities(rates: tuple[str, ...], line: tuple[str, ...]) -> tuple[pc.Derived, ...]:
    return (
        row("gamma_1", "s-1", "bare relaxation rate Γ_r + Γ_i", gamma_1, rates),
        row(
            "drive_scale",
            "rad2 s-2 W-1",
            "Ω² per watt on resonance",
            lambda p: drive_scale(p["qubit_frequency"], p),
            (*line, "qubit_frequency"),
        ),
    )


def row(
    name: str,
    unit: str,
    meaning: str,
    function: Callable[[dict[str, Any]], Any],
    arguments: tuple[str, ...],
    scale: Any = "log",
) -> pc.Derived:
    """Return a derived quantity whose function takes the parameters as one mapping."""
    return pc.Derived(
        name=name,
        unit=unit,
        meaning=meaning,
        function=lambda **p: function(p),
        arguments=arguments,
        scale=scale,
    )
