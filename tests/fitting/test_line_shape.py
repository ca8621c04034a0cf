"""White or slow noise: both shapes are fitted, both χ² told, and the wrong one is noticed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import powercal as pc
from powercal.errors import ContractError
from powercal.models.absorbed_voigt import voigt_curve
from powercal.physics.bloch import gaussian_photon_rate
from powercal.physics.constants import HBAR

TWO_PI = 2 * np.pi
F0 = 5e9
TRUTH = {"qubit_frequency": F0, "gamma_1": 1e6, "n_th": 0.05, "gamma_phi": 1e5, "drive_scale": 1e30}
SLOW = 2e5
GRID = {
    "incident_power": np.geomspace(3e-20, 1e-17, 7),
    "frequency": F0 + 1.5e6 * np.linspace(-1, 1, 41),
}
NOISE = {"absorbed_power": 5e-21, "excited_population": 1e-3}


def fitted(made: str, believed: str, **wishes: Any) -> pc.FitResult:
    """Simulate with one line shape and fit with another."""
    slow = {"sigma_slow": SLOW} if made == "gaussian" else {}
    traces = pc.simulate(
        "finite_temperature",
        TRUTH | slow,
        inputs=GRID,
        seed=2,
        noise=NOISE,
        observables=tuple(NOISE),
        detection="absorbed",
        broadening=made,
    )
    return pc.fit(pc.to_device_plane(traces), "finite_temperature", broadening=believed, **wishes)


def other(result: pc.FitResult) -> pc.Shift:
    return next(s for s in result.systematics if s.name == "broadening")


def test_slow_noise_that_is_taken_for_white_is_noticed() -> None:
    result = fitted("gaussian", "white")
    assert other(result).shifts["chi2"] < -100
    flag = next(f for f in result.flags if f.name == "line_shape")
    assert "gaussian (χ²" in flag.sentence
    assert "fits better than white" in flag.sentence
    assert "broadening: gaussian (χ²" in str(result)


def test_slow_noise_that_is_declared_gives_its_size_and_the_rest() -> None:
    result = fitted("gaussian", "gaussian")
    for name, truth in (TRUTH | {"sigma_slow": SLOW}).items():
        estimate = result[name]
        assert estimate.status == "ok", name
        assert abs(estimate.value - truth) < 4 * estimate.stderr, name
    assert other(result).shifts["chi2"] > 100
    assert not [f for f in result.flags if f.name == "line_shape"]


def test_white_noise_is_not_taken_for_slow() -> None:
    result = fitted("white", "white")
    # One more number explains about one more unit of χ², and never makes it worse.
    assert -9 < other(result).shifts["chi2"] <= 1e-6
    assert not [f for f in result.flags if f.name == "line_shape"]
    declared = fitted("white", "gaussian")["sigma_slow"]
    assert declared.status == "upper_limit"
    assert declared.stderr is None


def test_the_curve_is_the_formula_of_the_supplement() -> None:
    rng = np.random.default_rng(0)
    count = 100
    p = {n: v * rng.uniform(0.5, 2, count) for n, v in TRUTH.items() if n != "qubit_frequency"}
    p |= {"qubit_frequency": np.full(count, F0), "sigma_slow": 10 ** rng.uniform(2, 6, count)}
    frequency = F0 + 1e6 * rng.normal(size=count)
    power = 10 ** rng.uniform(-20, -16, count)
    total = p["gamma_1"] * (1 + 2 * p["n_th"])
    rate = gaussian_photon_rate(
        TWO_PI * (frequency - F0),
        np.sqrt(p["drive_scale"] * power),
        p["gamma_1"],
        total,
        total / 2 + p["gamma_phi"],
        TWO_PI * p["sigma_slow"],
    )
    absorbed, reflected, _ = voigt_curve(power, frequency, energy="effective", **p)
    np.testing.assert_allclose(absorbed, HBAR * TWO_PI * frequency * rate, rtol=1e-12)
    np.testing.assert_allclose(power - reflected, absorbed, rtol=1e-9, atol=1e-30)


def test_without_slow_noise_it_is_the_white_line() -> None:
    model = pc.get_model("finite_temperature").configure(detection="absorbed")
    power, frequency = np.broadcast_arrays(
        GRID["incident_power"][:, None], GRID["frequency"][None, :]
    )
    still = voigt_curve(power, frequency, energy="effective", sigma_slow=0.0, **TRUTH)
    for mine, theirs in zip(still, model.curve(power, frequency, **TRUTH), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)


@pytest.mark.parametrize("choice", [{"detection": "coherent"}, {"energy": "floquet"}])
def test_what_is_not_known_of_slow_noise_is_refused(choice: dict[str, str]) -> None:
    wanted = {"detection": "absorbed", "broadening": "gaussian", **choice}
    with pytest.raises(ContractError, match="broadening='gaussian' is known for"):
        pc.get_model("finite_temperature").configure(**wanted)
