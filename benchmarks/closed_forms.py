"""A curve of 401 points of every built-in model that is a closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import qutip

import powercal as pc
from benchmarks.table import Row, largest_deviation
from benchmarks.timing import median_time, scaled_time
from powercal.physics.constants import HBAR

LIMIT = 25e-6
FREQUENCY = 5e9 + np.linspace(-1e6, 1e6, 401)
POWER = np.asarray(1e-18)
FEW = slice(0, None, 50)  # QuTiP is timed on these points and its time scaled to all
RATES = {"qubit_frequency": 5e9, "gamma_phi": 2e5}
SCALE = RATES | {"gamma_1": 1e6, "drive_scale": 1e30}
LINE = RATES | {"gamma_r": 8e5, "gamma_i": 2e5, "n_th": 0.05}
CHOICES = {
    "detection": "absorbed",
    "channels": "line,internal",
    "setup": "device",
    "convention": "-i",
}


def steady_states(gamma_1: float, n_th: float, scale: Any) -> tuple[list[qutip.Qobj], float]:
    """Return QuTiP's steady states at a few points, and its time for as many as ours."""
    down = qutip.basis(2, 0) * qutip.basis(2, 1).dag()
    number = down.dag() * down
    jumps = [
        np.sqrt(gamma_1 * (1 + n_th)) * down,
        np.sqrt(gamma_1 * n_th) * down.dag(),
        np.sqrt(RATES["gamma_phi"] / 2) * (2 * number - 1),
    ]
    rabi = np.broadcast_to(np.sqrt(scale * POWER), FREQUENCY.shape)

    def steady_state(point: tuple[float, float]) -> qutip.Qobj:
        frequency, omega = point
        detuning = 2 * np.pi * (frequency - RATES["qubit_frequency"])
        generator = -detuning * number + omega / 2 * (down + down.dag())
        # The quickest of its methods for so small a matrix.
        return qutip.steadystate(generator, jumps, method="svd")

    points = zip(FREQUENCY[FEW], rabi[FEW], strict=True)
    return scaled_time(steady_state, points, FREQUENCY.size)


def absorbed(states: list[qutip.Qobj], scale: float) -> np.ndarray:
    """Return ħω_d Ω Im⟨σ_+⟩: the photons that the drive lifts per second, with their energy."""
    rabi = np.sqrt(scale * POWER)
    coherence = np.array([rho.full()[1, 0] for rho in states])
    return np.asarray(-HBAR * 2 * np.pi * FREQUENCY[FEW] * rabi * coherence.imag)


def reflected(states: list[qutip.Qobj], scale: np.ndarray) -> np.ndarray:
    """Return 1 − 2iΓ_r⟨σ_-⟩/Ω, the incident amplitude and what the qubit emits."""
    coherence = np.array([rho.full()[1, 0] for rho in states])
    return np.asarray(1 - 2j * LINE["gamma_r"] * coherence / np.sqrt(scale[FEW] * POWER))


def timed(
    name: str, inputs: tuple[Any, ...], values: dict[str, float], theirs: Any, seconds: float
) -> Row:
    model = pc.get_model(name)
    choices = CHOICES | ({"detection": "coherent"} if name == "reflection" else {})
    model = model.configure(**{o.name: choices[o.name] for o in model.options if o.name in choices})
    curve = model.curve
    values = {row.name: values.get(row.name, row.example) for row in model.parameters}
    ours = curve(*inputs, **values)[0]
    what = f"{name}, 401 points{' (complex)' if name == 'reflection' else ''}"
    peer = f"qutip.steadystate, {len(theirs)} points scaled"
    taken = median_time(lambda: curve(*inputs, **values), repeats=301)
    return Row(what, taken, LIMIT, peer, seconds, largest_deviation(ours[FEW], theirs))


def rows() -> list[Row]:
    drive = (POWER, FREQUENCY)
    cold, cold_seconds = steady_states(1e6, 0.0, 1e30)
    warm, warm_seconds = steady_states(1e6, 0.05, 1e30)
    scale = 4 * LINE["gamma_r"] / (HBAR * 2 * np.pi * FREQUENCY)
    line, line_seconds = steady_states(1e6, 0.05, scale)
    cold_power, warm_power = absorbed(cold, 1e30), absorbed(warm, 1e30)
    balance = {"gamma_1": 1e6, "n_th": 0.05}
    two = {"gamma_line": 4e5, "gamma_internal": 6e5, "n_line": 0.05, "n_internal": 0.05}
    two |= RATES | {"drive_scale": 1e30}
    # The populations that the curve reads at all points; QuTiP's own at its few.
    population = np.interp(FREQUENCY, FREQUENCY[FEW], [rho.full()[1, 1].real for rho in warm])
    return [
        timed("single_channel", drive, SCALE, cold_power, cold_seconds),
        timed("finite_temperature", drive, SCALE | {"n_th": 0.05}, warm_power, warm_seconds),
        timed("multi_channel", drive, SCALE | {"n_th": 0.05, "f": 0.3}, warm_power, warm_seconds),
        timed("channels", drive, two, warm_power, warm_seconds),
        timed("power_balance", (population, FREQUENCY), balance, warm_power, warm_seconds),
        timed("reflection", drive, LINE, reflected(line, scale), line_seconds),
    ]
