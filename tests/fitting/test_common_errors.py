"""Errors that many points share: of the powers, of the populations, of a reference trace."""

from __future__ import annotations

import numpy as np
import pytest

import powercal as pc
from powercal.physics.constants import HBAR
from powercal.registry import get_model
from powercal.result import FitResult
from powercal.schema import DeviceTraces, InstrumentTraces
from tests.fitting.systems import DRIVEN, F0, REFLECTED, Array, sweep

COUNTS = [10, pytest.param(40, marks=pytest.mark.statistics)]
FIELDS = ("gamma_1", "gamma_phi", "n_th", "drive_scale")


def pulls(results: list[FitResult], truth: dict[str, float]) -> dict[str, Array]:
    """(estimate − truth)/stderr for every fit."""
    out = {}
    for name, value in truth.items():
        estimates = [r[name] for r in results]
        assert all(e.value is not None and e.stderr is not None for e in estimates), name
        out[name] = np.array([((e.value or 0) - value) / (e.stderr or 1) for e in estimates])
    return out


def check_honest(pull: Array, name: str) -> None:
    """Mean and spread of the pulls within four of their own standard deviations."""
    assert abs(pull.mean()) < 4 / np.sqrt(pull.size), name
    assert abs(pull.std(ddof=1) - 1) < 4 / np.sqrt(2 * pull.size), name
    # Two σ cover 95.4 %: 38.2 ± 1.3 of forty; four standard deviations below are 32.9.
    expected, spread = 0.954 * pull.size, np.sqrt(0.954 * 0.046 * pull.size)
    assert np.sum(np.abs(pull) < 2) >= expected - 4 * spread, name


def power_axis(seed: int) -> DeviceTraces:
    quantum = HBAR * 2 * np.pi * F0 * DRIVEN["gamma_1"] / 2
    return DeviceTraces(
        pc.simulate(
            "finite_temperature",
            DRIVEN,
            inputs=sweep(DRIVEN, 8, 21),
            seed=seed,
            noise={"absorbed_power": 2e-3 * quantum, "excited_population": 1e-3},
            input_noise={"incident_power": 0.02},
            observables=("absorbed_power", "excited_population"),
            detection="absorbed",
        )
    )


@pytest.mark.parametrize("count", COUNTS)
def test_errors_of_the_powers_are_honest_and_ignoring_them_is_not(count: int) -> None:
    aware, blind = [], []
    for seed in range(count):
        traces = power_axis(seed)
        aware.append(pc.fit(traces, "finite_temperature", intervals="covariance"))
        deaf = DeviceTraces(traces.drop_vars("incident_power_std"))
        blind.append(pc.fit(deaf, "finite_temperature", intervals="covariance"))
    truth = {n: DRIVEN[n] for n in FIELDS}
    right, wrong = pulls(aware, truth), pulls(blind, truth)
    for name in FIELDS:
        check_honest(right[name], name)
    # A power that is 2 % off is many σ of every point it belongs to: the drive scale knows.
    assert wrong["drive_scale"].std(ddof=1) > 3
    assert np.mean([r.reduced_chi2 for r in aware]) == pytest.approx(1, abs=0.05)
    assert np.mean([r.reduced_chi2 for r in blind]) > 1.5


@pytest.mark.parametrize("count", COUNTS)
def test_errors_of_the_populations_are_honest_and_ignoring_them_is_not(count: int) -> None:
    truth = {"gamma_1": 6e6, "n_th": 0.2}
    aware, blind = [], []
    for seed in range(count):
        traces = DeviceTraces(
            pc.simulate(
                "power_balance",
                truth,
                inputs={"excited_population": np.linspace(0.16, 0.46, 30), "frequency": F0},
                seed=seed,
                noise={"absorbed_power": 5e-20},
                input_noise={"excited_population": 0.03},
            )
        )
        aware.append(pc.fit(traces, "power_balance", intervals="covariance"))
        deaf = DeviceTraces(traces.drop_vars("excited_population_std"))
        blind.append(pc.fit(deaf, "power_balance", intervals="covariance"))
    right, wrong = pulls(aware, truth), pulls(blind, truth)
    for name in truth:
        check_honest(right[name], name)
        assert wrong[name].std(ddof=1) > 3, name
    # Errors in x flatten a straight line that ignores them: n_th comes out too small, or Γ₁.
    assert np.mean([r.reduced_chi2 for r in aware]) == pytest.approx(1, abs=0.2)


# ---- a noisy reference ----

COLD = REFLECTED | {"gamma_i": 0.0, "gamma_phi": 0.0, "n_th": 0.0, "attenuation_db": 60.0}
SET_UP = 0.02 * np.exp(0.7j)  # what the line does to every trace, removed by the reference
OWN_NOISE, REFERENCE_NOISE = 3e-3, 1e-2


def with_reference(seed: int) -> tuple[InstrumentTraces, InstrumentTraces]:
    """Reflection behind a line, eight powers, and an off-resonant trace on another grid."""
    rng = np.random.default_rng([93, seed])
    power, frequency = sweep(COLD, 8, 41).values()
    span = frequency[-1] - frequency[0]
    axis = np.linspace(frequency[0] - 0.05 * span, frequency[-1] + 0.05 * span, 38)
    model = get_model("reflection").configure(convention="+i", setup="device")
    clean = model.curve(
        power[:, None],
        frequency[None, :],
        **{p.name: COLD.get(p.name, p.example) for p in model.parameters},
    )[0]

    def noisy(values: Array, relative: float) -> Array:
        both = rng.standard_normal((2, *values.shape))
        return SET_UP * (values + relative * (both[0] + 1j * both[1]))

    units = {"incident_power": "W", "frequency": "Hz", "reflection": "1"}
    data = pc.traces(
        incident_power=power,
        frequency=frequency,
        reflection=noisy(clean, OWN_NOISE),
        units=units,
        plane="instrument",
    )
    reference = pc.traces(
        incident_power=float(power[-1]),
        frequency=axis,
        reflection=noisy(np.ones(axis.size), REFERENCE_NOISE),
        units=units,
        plane="instrument",
    )
    return data, reference


def fit_referenced(traces: DeviceTraces) -> FitResult:
    return pc.fit(
        traces,
        "reflection",
        convention="+i",
        intervals="covariance",
    )


@pytest.mark.parametrize("count", COUNTS)
def test_the_noise_of_a_reference_is_common_to_all_powers_and_honestly_counted(count: int) -> None:
    truth = {"qubit_frequency": F0, "gamma_r": COLD["gamma_r"], "attenuation_db": 60.0}
    aware, blind = [], []
    for seed in range(count):
        data, reference = with_reference(seed)
        traces = pc.to_device_plane(data, reference=reference)
        assert "reference_noise" in traces
        aware.append(fit_referenced(traces))
        deaf = DeviceTraces(traces.drop_vars("reference_noise"))
        blind.append(fit_referenced(deaf))
    right, wrong = pulls(aware, truth), pulls(blind, truth)
    for name in truth:
        check_honest(right[name], name)
    # Eight powers share the reference's error: without it every power counts as a new experiment.
    worst = max(float(p.std(ddof=1)) for p in wrong.values())
    assert worst > 1.5


def test_the_reference_noise_is_found_from_the_reference_itself() -> None:
    data, reference = with_reference(0)
    found = float(pc.to_device_plane(data, reference=reference)["reference_noise"].values[0])
    # 36 second differences of two quadratures: about 15 %.
    assert found == pytest.approx(REFERENCE_NOISE, rel=0.5)


def test_the_result_says_that_common_errors_were_counted() -> None:
    result = pc.fit(power_axis(0), "finite_temperature", intervals="covariance")
    assert "common to many points" in result.weights
