"""Measurements over which the errors of the ladder's fits are put to the test."""

from __future__ import annotations

from itertools import product

import numpy as np

import powercal as pc
from powercal.physics.constants import HBAR
from powercal_transmon.ladders import TWO_PI

FREQUENCY, RATE, DRIVE_SCALE = 5e9, 6e6, 3e29
# Powers over the saturation power of the lowest transition.
POWERS = {"low": (0.05, 0.8), "middle": (0.1, 10.0)}


def _offsets(half_width: float) -> np.ndarray:
    return FREQUENCY + 5 * half_width / TWO_PI * np.linspace(-1.0, 1.0, 11)


def absorbed() -> tuple[pc.Regime, ...]:
    """Absorbed power and population, at the device and behind a line known to half a decibel."""
    return tuple(_absorbed(*case) for case in product((0.1, 1.0), POWERS, (0.0, 0.5)))


def _absorbed(n_th: float, saturation: str, error: float) -> pc.Regime:
    total = RATE * (1 + 2 * n_th)
    gamma_2 = total + 2 * RATE * n_th / 2
    powers = total * gamma_2 / DRIVE_SCALE * np.geomspace(*POWERS[saturation], 5)
    return pc.Regime(
        name=f"n_th {n_th:g}, {saturation} saturation, line ±{error:g} dB",
        values={
            "qubit_frequency": FREQUENCY,
            "anharmonicity": -2e8,
            "gamma_1": RATE,
            "n_th": n_th,
            "gamma_phi": total / 2,
            "drive_scale": DRIVE_SCALE,
        },
        inputs={"incident_power": powers, "frequency": _offsets(gamma_2)},
        noise={
            "absorbed_power": 0.005 * HBAR * TWO_PI * FREQUENCY * RATE,
            "excited_population": 0.01,
        },
        options={"detection": "absorbed", "levels": "3"},
        line={"attenuation_db": (60.0, error), "gain_db": (40.0, error)} if error else {},
    )


def reflected() -> tuple[pc.Regime, ...]:
    """Complex reflection, at the device and against a reference behind a line."""
    return tuple(_reflected(*case) for case in product((0.1, 1.0), POWERS, (0.0, 0.5)))


def _reflected(n_th: float, saturation: str, error: float) -> pc.Regime:
    total = RATE * (1 + 2 * n_th)
    gamma_2 = total / 2 + RATE * n_th
    knee = HBAR * TWO_PI * FREQUENCY * total * gamma_2 / (4 * RATE)
    values = {"qubit_frequency": FREQUENCY, "anharmonicity": -2e8, "gamma_r": RATE, "n_th": n_th}
    if error:
        values |= {"attenuation_db": 70.0, "reference_gain": 0.9, "reference_phase": 0.4}
        knee *= 1e7
    return pc.Regime(
        name=f"n_th {n_th:g}, {saturation} saturation, line ±{error:g} dB",
        values=values,
        inputs={
            "incident_power": knee * np.geomspace(*POWERS[saturation], 5),
            "frequency": _offsets(gamma_2),
        },
        noise={"reflection": 0.01},
        options={"convention": "+i", "levels": "3", "setup": "referenced" if error else "device"},
        free=("n_th",),
        line={"attenuation_db": (70.0, error)} if error else {},
    )
