"""Two baths beyond the rotating-wave approximation: one bath as a limit, heat, derivatives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from powercal_floquet.channels import FLOQUET_CHANNELS
from powercal_floquet.model import FLOQUET

import powercal as pc
from powercal.physics.constants import HBAR
from powercal.physics.floquet import harmonic_balance

TWO_PI = 2 * np.pi
MODEL = FLOQUET_CHANNELS.configure(detection="absorbed")
STRONG = {
    "qubit_frequency": 5e7,
    "gamma_a": 1.2e5,
    "gamma_b": 0.8e5,
    "n_a": 0.02,
    "n_b": 0.3,
    "gamma_phi": 5e4,
    "drive_scale": 4e27,
}
POWER = np.geomspace(1e-16, 3e-13, 5)[:, None]
FREQUENCY = np.linspace(40e6, 60e6, 21)


def exchanged(p: Mapping[str, float]) -> dict[str, float]:
    """Return the values with a and b in each other's place."""
    other = {"gamma_a": "gamma_b", "gamma_b": "gamma_a", "n_a": "n_b", "n_b": "n_a"}
    return {other.get(name, name): value for name, value in p.items()}


def derived(name: str) -> float:
    row = next(row for row in MODEL.derived if row.name == name)
    return float(row.function(**{a: STRONG[a] for a in row.arguments}))


def test_two_baths_drive_the_qubit_as_one_of_their_mean_occupation() -> None:
    rate, n = 2e5, (1.2 * 0.02 + 0.8 * 0.3) / 2.0
    one = {k: STRONG[k] for k in ("qubit_frequency", "gamma_phi", "drive_scale")}
    whole = FLOQUET.configure(detection="absorbed").curve(
        POWER, FREQUENCY, gamma_1=rate, n_th=n, **one
    )
    for ours, theirs in zip(MODEL.curve(POWER, FREQUENCY, **STRONG), whole, strict=False):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_the_heats_of_both_baths_and_dephasing_are_the_absorbed_power() -> None:
    power, _, _, heat_a = MODEL.curve(POWER, FREQUENCY, **STRONG)
    heat_b = MODEL.curve(POWER, FREQUENCY, **exchanged(STRONG))[3]
    total = 1.2e5 * 1.04 + 0.8e5 * 1.6
    state = harmonic_balance(
        TWO_PI * 5e7, TWO_PI * FREQUENCY, np.sqrt(4e27 * POWER), total, total / 2 + 5e4,
        (1.2e5 * 0.02 + 0.8e5 * 0.3) / total,
    )  # fmt: skip
    gross = HBAR * TWO_PI * 5e7 * total
    rest = power - heat_a - heat_b - state.dephasing_power
    assert np.max(np.abs(rest)) < 1e-12 * gross


def test_without_drive_the_cold_bath_gets_the_heat_leak() -> None:
    heat = MODEL.curve(np.asarray(1e-30), np.asarray(5e7), **STRONG)[3]
    assert heat == pytest.approx(derived("heat_leak_a"), rel=1e-9, abs=0)
    assert heat > 0


def test_the_driven_share_is_the_same_at_every_drive() -> None:
    heat_a = MODEL.curve(POWER, FREQUENCY, **STRONG)[3] - derived("heat_leak_a")
    heat_b = MODEL.curve(POWER, FREQUENCY, **exchanged(STRONG))[3] + derived("heat_leak_a")
    # Differences of flows that are up to a thousand times larger.
    np.testing.assert_allclose(heat_a / (heat_a + heat_b), derived("f_a_driven"), rtol=1e-9)
    assert derived("f_a_driven") + derived("f_b_driven") == pytest.approx(1.0, rel=1e-12)


def test_derivatives_are_exact_under_a_strong_drive() -> None:
    assert MODEL.jacobian is not None
    tables = MODEL.jacobian(POWER, FREQUENCY, **STRONG)
    at: dict[str, Any] = {"incident_power": POWER, "frequency": FREQUENCY, **STRONG}
    for name, value in at.items():
        # A line of 25 kHz, not the qubit's frequency, sets the size of a step in frequency.
        step = 100.0 if "frequency" in name else 1e-3 * np.abs(value)

        def moved(k: int, name: str = name, step: Any = step) -> np.ndarray:
            return np.stack(MODEL.curve(**{**at, name: at[name] + k * step}))

        slopes = (8 * (moved(1) - moved(-1)) - moved(2) + moved(-2)) / (12 * step)
        for index in (0, 2, 3):
            # Truncation is of fourth order in a step of 4e-3 widths; rounding is 1e-13.
            bound = 3e-9 * np.abs(slopes[index]).max()
            np.testing.assert_allclose(tables[index][name], slopes[index], rtol=0, atol=bound)


@pytest.mark.parametrize(("seen", "rank"), [((0, 2), 5), ((0, 2, 3), 7)])
def test_only_the_heat_of_one_bath_tells_the_two_apart(seen: tuple[int, ...], rank: int) -> None:
    assert MODEL.jacobian is not None
    tables = MODEL.jacobian(POWER, FREQUENCY, **STRONG)
    rows = []
    for index in seen:
        block = np.stack([tables[index][name].ravel() * STRONG[name] for name in STRONG], axis=1)
        rows.append(block / np.abs(block).max())
    matrix = np.concatenate(rows)
    values = np.linalg.svd(matrix / np.linalg.norm(matrix, axis=0), compute_uv=False)
    # What is kept is above 1e-4 of the largest, what is not is rounding.
    assert (values > 1e-5 * values[0]).sum() == rank
    assert (values > 1e-10 * values[0]).sum() == rank


def test_a_fit_with_the_heat_of_one_bath_finds_both() -> None:
    traces = pc.simulate(
        MODEL,
        STRONG,
        inputs={"incident_power": POWER[:, 0], "frequency": FREQUENCY},
        noise={"absorbed_power": 1e-24, "excited_population": 1e-3, "emitted_power": 1e-24},
        observables=("absorbed_power", "excited_population", "emitted_power"),
        seed=3,
    )
    device = pc.to_device_plane(traces)
    told = pc.fit(device, FLOQUET_CHANNELS, intervals="covariance")
    for name in ("gamma_a", "gamma_b", "n_a", "n_b"):
        estimate = told[name]
        assert estimate.value is not None
        assert estimate.stderr is not None
        # One seed, four numbers: four standard errors leave a chance of 3e-4.
        assert abs(estimate.value - STRONG[name]) < 4 * estimate.stderr
    assert {c.name: c.verdict for c in told.checks}["second_law"] == "holds"
