"""Options, parameters and derived quantities that the models of transmons share."""

from __future__ import annotations

from typing import Any

import numpy as np

import powercal as pc
from powercal.physics.ladder import leakage, stark_shift, two_photon_detuning
from powercal.physics.thermal import temperature_from_occupation
from powercal_transmon.ladders import TWO_PI, Form

LEVELS = pc.Option(
    name="levels",
    choices=("3", "4", "5"),
    default="4",
    meaning="levels of the ladder that are kept",
)
DISSIPATORS = pc.Option(
    name="dissipators",
    choices=("secular", "collective"),
    default="collective",
    meaning="one jump operator for each transition, or one for all (a bath flat over α)",
)
BATHS = pc.Option(
    name="baths",
    choices=("common", "per_transition"),
    default="common",
    meaning="Γ_j = jΓ₁ and the same n_th at every transition, or rates of their own",
)
QUBIT_FREQUENCY = pc.Parameter(
    name="qubit_frequency",
    unit="Hz",
    meaning="frequency of the lowest transition",
    example=5e9,
    min=1e3,
    max=2e12,
)
ANHARMONICITY = pc.Parameter(
    name="anharmonicity",
    unit="Hz",
    meaning="second transition minus first, negative for a transmon",
    example=-2e8,
    min=-5e9,
    max=-1e6,
    vary=False,
)


def rate(name: str, meaning: str, example: float, *, vary: bool = True) -> pc.Parameter:
    """Return the row of a rate that cannot vanish."""
    return pc.Parameter(
        name=name,
        unit="s-1",
        meaning=meaning,
        example=example,
        min=1.0,
        max=1e13,
        scale="log",
        vary=vary,
    )


def gamma_phi(example: float, *, vary: bool) -> pc.Parameter:
    """Return the row of the dephasing rate."""
    return pc.Parameter(
        name="gamma_phi",
        unit="s-1",
        meaning="white noise of the qubit's frequency; level j is dephased at j² of it",
        example=example,
        min=0.0,
        vary=vary,
    )


def occupation(name: str, meaning: str, example: float, *, vary: bool = True) -> pc.Parameter:
    """Return the row of a bath's occupation."""
    return pc.Parameter(name=name, unit="1", meaning=meaning, example=example, min=0.0, vary=vary)


def rates_of(form: Form) -> tuple[pc.Parameter, ...]:
    """Return the rows of rates and occupations; those of upper transitions are fixed."""
    if form.common:
        rows = [rate("gamma_1", "bare relaxation rate of level 1; jΓ₁ of level j", 1e6)]
    else:
        rows = [
            rate(name, f"bare rate of the transition {j} → {j - 1}", j * 1e6, vary=j == 1)
            for j, name in enumerate(form.rates, start=1)
        ]
    first, *upper = form.occupations
    rows.append(occupation(first, "thermal occupation of the bath", 0.05))
    rows += [
        occupation(name, f"thermal occupation at the transition {j} → {j - 1}", 0.05, vary=False)
        for j, name in enumerate(upper, start=2)
    ]
    return tuple(rows)


def total_rate(gamma_1: Any, n: Any) -> Any:
    """Γ₁(1+2n), 1/s."""
    return gamma_1 * (1 + 2 * n)


def undriven(levels: int, n: Any) -> Any:
    """Population of level 1 without drive, at one occupation n for all transitions."""
    ratio = n / (1 + n)
    return ratio / sum(ratio**j for j in range(levels))


def derived(form: Form, gamma_1: tuple[str, ...]) -> tuple[pc.Derived, ...]:
    """Return what follows from the lowest transition, and what the third level does to it.

    ``gamma_1`` names the rates that sum to Γ₁.
    """
    n = form.occupations[0]

    def first(p: dict[str, Any]) -> Any:
        return sum(p[name] for name in gamma_1)

    def second(p: dict[str, Any]) -> Any:
        return 2 * first(p) if form.common else p[form.rates[1]]

    def upper_n(p: dict[str, Any]) -> Any:
        return p[form.occupations[min(1, len(form.occupations) - 1)]]

    def gamma_2(p: dict[str, Any]) -> Any:
        climbing = second(p) * upper_n(p)
        return (total_rate(first(p), p[n]) + climbing) / 2 + p["gamma_phi"]

    def saturating(p: dict[str, Any]) -> Any:
        """Rabi rate with s = 1 on resonance."""
        return np.sqrt(total_rate(first(p), p[n]) * gamma_2(p))

    def lost(p: dict[str, Any]) -> Any:
        alpha = TWO_PI * p["anharmonicity"]
        return leakage(saturating(p), alpha, p["gamma_phi"] / second(p))

    def moved(p: dict[str, Any]) -> Any:
        return stark_shift(saturating(p), TWO_PI * p["anharmonicity"]) / TWO_PI

    lowest = (*gamma_1, n)
    widths = (*gamma_1, *(() if form.common else form.rates[1:2]), *form.occupations[:2])
    widths = (*widths, "gamma_phi")
    rows = [
        ("gamma_1_over_2pi", "Hz", "Γ₁/2π", lambda p: first(p) / TWO_PI, gamma_1, "log"),
        ("gamma_1_tot", "s-1", "Γ₁(1+2n)", lambda p: total_rate(first(p), p[n]), lowest, "log"),
        ("T1", "s", "1/(Γ₁(1+2n))", lambda p: 1 / total_rate(first(p), p[n]), lowest, "log"),
        ("gamma_2", "s-1", "decoherence rate of levels 0 and 1", gamma_2, widths, "log"),
        (
            "leakage_at_saturation",
            "1",
            "p₂/p₁ on resonance with s = 1, T = 0: (Ω²/2α²)(1+2Γφ/Γ₂₁)",
            lost,
            (*widths, "anharmonicity"),
            "log",
        ),
        (
            "stark_shift_at_saturation",
            "Hz",
            "Ω²/(2|α|) with s = 1: the line's shift with secular baths, its bound with others",
            moved,
            (*widths, "anharmonicity"),
            "log",
        ),
        (
            "two_photon_frequency",
            "Hz",
            "line of two photons, qubit_frequency + anharmonicity/2",
            lambda p: p["qubit_frequency"] + two_photon_detuning(p["anharmonicity"]),
            ("qubit_frequency", "anharmonicity"),
            "linear",
        ),
        (
            "T_eff",
            "K",
            "temperature of the bath from its occupation at the lowest transition",
            lambda p: temperature_from_occupation(TWO_PI * p["qubit_frequency"], p[n]),
            ("qubit_frequency", n),
            "linear",
        ),
    ]
    if len(form.occupations) == 1:
        rows.append(
            (
                "p_eq",
                "1",
                "population of level 1 without drive",
                lambda p: undriven(form.levels, p[n]),
                (n,),
                "linear",
            )
        )
    return tuple(_row(*row) for row in rows)


def _row(
    name: str, unit: str, meaning: str, function: Any, arguments: tuple[str, ...], scale: Any
) -> pc.Derived:
    return pc.Derived(
        name=name,
        unit=unit,
        meaning=meaning,
        function=lambda **p: function(p),
        arguments=arguments,
        scale=scale,
    )
