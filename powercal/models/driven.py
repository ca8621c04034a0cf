"""What models of a driven two-level system share: saturation, its slopes, derived rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Derived, Option, Parameter
from powercal.physics.constants import BOLTZMANN, HBAR

Array = NDArray[Any]
TWO_PI = 2 * np.pi

QUBIT_FREQUENCY = Parameter(
    name="qubit_frequency",
    unit="Hz",
    meaning="transition frequency",
    example=5e9,
    min=1e3,
    max=2e12,
)
GAMMA_PHI = Parameter(
    name="gamma_phi", unit="s-1", meaning="pure dephasing rate, Γ₂ − Γ₁tot/2", example=2e5, min=0
)
N_TH = Parameter(
    name="n_th", unit="1", meaning="thermal occupation of the bath", example=0.05, min=0
)

BROADENING = Option(
    name="broadening",
    choices=("white", "gaussian"),
    default="white",
    meaning="line shape: white dephasing alone, or slow Gaussian noise sigma_slow of the frequency "
    "on top (the trace is then an average over it)",
)
SIGMA_SLOW = Parameter(
    name="sigma_slow",
    unit="Hz",
    meaning="standard deviation of the slow noise of the transition frequency",
    example=2e5,
    min=0.0,
    max=1e12,
)


def rate(name: str, meaning: str, example: float) -> Parameter:
    """Return the table row of a rate that cannot vanish."""
    return Parameter(
        name=name, unit="s-1", meaning=meaning, example=example, min=1.0, max=1e13, scale="log"
    )


def saturation(
    detuning: Array, rabi_squared: Array, gamma_1_tot: Array, gamma_2: Array
) -> tuple[Array, dict[str, Array]]:
    """Return the saturation parameter and the derivatives of its logarithm.

    Parameters
    ----------
    detuning, rabi_squared : ndarray
        Δ in rad/s and Ω² in rad²/s².
    gamma_1_tot, gamma_2 : ndarray
        Rates in 1/s.

    Returns
    -------
    s, slopes : ndarray, dict
        s (physics sheet section 2) and ∂ln s/∂x for x in qubit_frequency (per Hz), gamma_1_tot
        and gamma_2 (per 1/s); ∂ln s/∂ln Ω² is 1.
    """
    width = gamma_2**2 + detuning**2
    s = rabi_squared * gamma_2 / (gamma_1_tot * width)
    slopes = {
        "qubit_frequency": 2 * TWO_PI * detuning / width,
        "gamma_1_tot": -1 / gamma_1_tot,
        "gamma_2": 1 / gamma_2 - 2 * gamma_2 / width,
    }
    return s, slopes


def line_shape(
    incident_power: Array, frequency: Array, qubit_frequency: Any, knee: Any, gamma_2: Any
) -> tuple[Array, Array, Array]:
    """Return q = P/P_s, 1+δ² and 1+δ²+q up to one factor: s/(1+s) is the first over the last.

    Curves, the innermost loop of every fit, use it in place of :func:`saturation`: it makes no
    slopes, and as few arrays as can be. The common factor is (Γ₂/2π)², in Hz² (supplement D).

    Parameters
    ----------
    incident_power, frequency : ndarray
        W at the device, Hz.
    qubit_frequency, knee, gamma_2 : float or ndarray
        Hz, P_s in W, Γ₂ in 1/s.
    """
    half_width = (gamma_2 / TWO_PI) ** 2
    offset = frequency - qubit_frequency
    width = offset * offset + half_width
    drive = incident_power * (half_width / knee)
    return drive, width, width + drive


def rate_slopes(gamma_1: Any, n_th: Any, totals: Mapping[str, Array]) -> dict[str, Array]:
    """Chain slopes in Γ₁tot and Γ₂ to Γ₁, n_th and Γφ (Γ₁tot = Γ₁(1+2n), Γ₂ = Γ₁tot/2 + Γφ)."""
    through_total = totals["gamma_1_tot"] + totals["gamma_2"] / 2
    return {
        "gamma_1": through_total * (1 + 2 * n_th),
        "n_th": through_total * 2 * gamma_1,
        "gamma_phi": totals["gamma_2"],
    }


def effective_temperature(qubit_frequency: Any, n_th: Any) -> Any:
    """T_eff = ħω_q/(k ln(1 + 1/n_th)) in K; 0 at n_th = 0."""
    n = np.asarray(n_th)
    with np.errstate(divide="ignore"):
        return HBAR * TWO_PI * qubit_frequency / (BOLTZMANN * np.log1p(1 / n))


def common_derived() -> tuple[Derived, ...]:
    """Return what follows from Γ₁, n_th, Γφ and the transition."""

    def derived(
        name: str, unit: str, meaning: str, function: Any, *extra: str, scale: Any = "log"
    ) -> Derived:
        return Derived(
            name=name,
            unit=unit,
            meaning=meaning,
            function=function,
            arguments=("gamma_1", *extra),
            scale=scale,
        )

    def gamma_1_tot(**p: Any) -> Any:
        return p["gamma_1"] * (1 + 2 * p["n_th"])

    return (
        derived("gamma_1_over_2pi", "Hz", "Γ₁/2π", lambda **p: p["gamma_1"] / TWO_PI),
        derived("gamma_1_tot", "s-1", "relaxation rate in a T1 experiment", gamma_1_tot, "n_th"),
        derived("T1", "s", "relaxation time 1/Γ₁tot", lambda **p: 1 / gamma_1_tot(**p), "n_th"),
        derived(
            "gamma_2",
            "s-1",
            "decoherence rate Γ₂ = Γ₁tot/2 + Γφ",
            lambda **p: gamma_1_tot(**p) / 2 + p["gamma_phi"],
            "n_th",
            "gamma_phi",
        ),
        Derived(
            name="p_eq",
            unit="1",
            meaning="equilibrium population n/(1+2n)",
            function=lambda **p: p["n_th"] / (1 + 2 * p["n_th"]),
            arguments=("n_th",),
        ),
        Derived(
            name="T_eff",
            unit="K",
            meaning="temperature of the bath from n_th",
            function=lambda **p: effective_temperature(p["qubit_frequency"], p["n_th"]),
            arguments=("qubit_frequency", "n_th"),
        ),
    )
