"""Absorbed power against measured population: the straight line that gives Γ₁ and n_th."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Arrays, Derivatives, Derived, Model
from powercal.errors import FitError
from powercal.hookspecs import hookimpl
from powercal.models.batch_start import Stack, weighted_line
from powercal.models.checks import balance_checks
from powercal.models.driven import N_TH, TWO_PI, rate
from powercal.models.regimes_balance import power_balance
from powercal.physics.constants import HBAR
from powercal.schema import DeviceTraces

Array = NDArray[Any]


def _curve(excited_population: Array, frequency: Array, *, gamma_1: Any, n_th: Any) -> Arrays:
    """R = ħω_d Γ₁[(1+2n)p − n], physics sheet section 4."""
    quantum = HBAR * TWO_PI * frequency
    return (quantum * gamma_1 * ((1 + 2 * n_th) * excited_population - n_th),)


def _jacobian(
    excited_population: Array, frequency: Array, *, gamma_1: Any, n_th: Any
) -> Derivatives:
    quantum = HBAR * TWO_PI * frequency
    bracket = (1 + 2 * n_th) * excited_population - n_th
    return (
        {
            "gamma_1": quantum * bracket,
            "n_th": quantum * gamma_1 * (2 * excited_population - 1),
            "excited_population": quantum * gamma_1 * (1 + 2 * n_th) + 0 * bracket,
            "frequency": HBAR * TWO_PI * gamma_1 * bracket,
        },
    )


def _guess(traces: DeviceTraces, fixed: Mapping[str, Any]) -> dict[str, Array]:
    names = ("excited_population", "frequency", "absorbed_power")
    missing = [n for n in names if n not in traces]
    if missing:
        raise FitError(
            f"the traces lack {', '.join(missing)}; power_balance needs absorbed_power, "
            f"excited_population and the drive frequency"
        )
    stack = Stack(traces, names, fixed)

    def start(rows: slice) -> dict[str, Array]:
        p, f, r = (stack.flat(name, rows) for name in names)
        jumps = r / (HBAR * TWO_PI * f)
        kept = np.isfinite(p) & np.isfinite(jumps)
        line = weighted_line(np.where(kept, p, 0.0), np.where(kept, jumps, 0.0), kept.astype(float))
        slope, intercept = (np.where(kept.sum(axis=1) < 2, np.nan, x) for x in line)
        gamma_1 = slope + 2 * intercept
        gamma_1 = np.where(gamma_1 > 0, gamma_1, np.abs(slope))
        return {
            "gamma_1": np.maximum(gamma_1, 10.0),
            "n_th": np.clip(-intercept / gamma_1, 1e-3, 10.0),
        }

    found = stack.gather(start)
    if stack.single and np.isnan(found["gamma_1"]):
        raise FitError(
            "power_balance needs at least two points with population and power, at populations "
            "that differ"
        )
    return found


_DERIVED = (
    Derived(
        name="gamma_1_over_2pi",
        unit="Hz",
        meaning="Γ₁/2π",
        function=lambda **p: p["gamma_1"] / TWO_PI,
        arguments=("gamma_1",),
        scale="log",
    ),
    Derived(
        name="T1",
        unit="s",
        meaning="relaxation time 1/(Γ₁(1+2n))",
        function=lambda **p: 1 / (p["gamma_1"] * (1 + 2 * p["n_th"])),
        arguments=("gamma_1", "n_th"),
        scale="log",
    ),
    Derived(
        name="p_eq",
        unit="1",
        meaning="equilibrium population n/(1+2n)",
        function=lambda **p: p["n_th"] / (1 + 2 * p["n_th"]),
        arguments=("n_th",),
    ),
)


@hookimpl
def powercal_models() -> tuple[Model, ...]:
    """Offer the power balance."""
    return (
        Model(
            name="power_balance",
            summary="absorbed power against population, a straight line ([G23], section 4)",
            inputs=("excited_population", "frequency"),
            observables=("absorbed_power",),
            parameters=(rate("gamma_1", "bare relaxation rate, all channels", 1e6), N_TH),
            curve=_curve,
            jacobian=_jacobian,
            guess=_guess,
            derived=_DERIVED,
            checks=balance_checks,
            regimes=power_balance,
        ),
    )
