"""Measurements over which the errors of fits in the laboratory frame are put to the test."""

from __future__ import annotations

from itertools import product

import numpy as np

import powercal as pc
from powercal.physics.constants import HBAR

TWO_PI = 2 * np.pi
FREQUENCY, DRIVE_SCALE = 5e9, 3e29
POWERS = {"low": (0.05, 0.8), "middle": (0.1, 10.0)}  # over the saturation power
QUANTUM = HBAR * TWO_PI * FREQUENCY


def one_bath() -> tuple[pc.Regime, ...]:
    """Absorbed power and population, at the device and behind a line known to half a decibel."""
    return tuple(_one_bath(*case) for case in product((0.1, 1.0), POWERS, (0.0, 0.5)))


def _one_bath(n_th: float, saturation: str, error: float) -> pc.Regime:
    rate = 6e6
    total = rate * (1 + 2 * n_th)
    return pc.Regime(
        name=f"n_th {n_th:g}, {saturation} saturation, line ±{error:g} dB",
        values={
            "qubit_frequency": FREQUENCY,
            "gamma_1": rate,
            "n_th": n_th,
            "gamma_phi": total / 2,
            "drive_scale": DRIVE_SCALE,
        },
        inputs=_inputs(total, saturation),
        noise={"absorbed_power": 0.005 * QUANTUM * rate, "excited_population": 0.01},
        options={"detection": "absorbed"},
        line={"attenuation_db": (60.0, error), "gain_db": (40.0, error)} if error else {},
    )


def two_baths() -> tuple[pc.Regime, ...]:
    """Beside these the heat into one of two baths."""
    return tuple(_two_baths(*case) for case in product(POWERS, (0.0, 0.5)))


def _two_baths(saturation: str, error: float) -> pc.Regime:
    gamma_a, gamma_b, n_a, n_b = 4e6, 2e6, 0.1, 0.05
    total = gamma_a * (1 + 2 * n_a) + gamma_b * (1 + 2 * n_b)
    return pc.Regime(
        name=f"{saturation} saturation, line ±{error:g} dB",
        values={
            "qubit_frequency": FREQUENCY,
            "gamma_a": gamma_a,
            "gamma_b": gamma_b,
            "n_a": n_a,
            "n_b": n_b,
            "gamma_phi": total / 2,
            "drive_scale": DRIVE_SCALE,
        },
        inputs=_inputs(total, saturation),
        noise={
            "absorbed_power": 0.0025 * QUANTUM * (gamma_a + gamma_b),
            "excited_population": 0.005,
            "emitted_power": 0.0025 * QUANTUM * gamma_a,
        },
        options={"detection": "absorbed"},
        line={"attenuation_db": (60.0, error), "gain_db": (40.0, error)} if error else {},
    )


def _inputs(total: float, saturation: str) -> dict[str, np.ndarray]:
    """Return powers and frequencies for Γ₂ = Γ₁tot, as dephasing of half of it makes it."""
    return {
        "incident_power": total**2 / DRIVE_SCALE * np.geomspace(*POWERS[saturation], 5),
        "frequency": FREQUENCY + 5 * total / TWO_PI * np.linspace(-1.0, 1.0, 11),
    }
