"""Absorbed power alone never gives n_th, from wherever the search begins; what lifts it, does."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import powercal as pc
from powercal.result import FitResult
from powercal.schema import DeviceTraces

TRUTH = {
    "qubit_frequency": 5.0e9,
    "gamma_1": 3e6,
    "gamma_phi": 9e5,
    "n_th": 0.07,
    "drive_scale": 2.5e29,
}


@cache
def traces(*observables: str) -> DeviceTraces:
    made = pc.simulate(
        "finite_temperature",
        TRUTH,
        inputs={
            "incident_power": np.geomspace(3e-18, 3e-15, 5),
            "frequency": np.linspace(4.995e9, 5.005e9, 31),
        },
        seed=7,
        noise={"absorbed_power": 5e-20, "excited_population": 0.01},
        observables=observables,
        detection="absorbed",
    )
    return pc.to_device_plane(made)


def fitted(*observables: str, **wishes: Any) -> FitResult:
    wishes = {"intervals": "covariance"} | wishes
    return pc.fit(traces(*observables), "finite_temperature", **wishes)


@pytest.mark.parametrize("seed", range(100))
def test_absorbed_power_alone_leaves_n_th_undetermined_from_every_start(seed: int) -> None:
    generator = np.random.default_rng(seed)
    start = {
        name: float(TRUTH[name] * 5 ** generator.uniform(-1, 1))
        for name in ("gamma_1", "gamma_phi", "drive_scale")
    }
    start["n_th"] = float(generator.uniform(0.0, 0.5))
    result = fitted("absorbed_power", start=start)
    for name in ("n_th", "gamma_phi", "drive_scale"):
        estimate = result[name]
        assert (estimate.status, estimate.value, estimate.stderr) == ("undetermined", None, None)
    # What is determined does not depend on where in the valley the search ended.
    for name in ("gamma_1", "gamma_2", "drive_over_thermal"):
        reference = fitted_from_the_guess()[name]
        assert result[name].value == pytest.approx(reference.value, rel=1e-6)
        assert result[name].stderr == pytest.approx(reference.stderr, rel=1e-4)


@cache
def fitted_from_the_guess() -> FitResult:
    return fitted("absorbed_power")


def test_the_range_of_n_th_is_that_of_the_bounds_and_holds_the_truth() -> None:
    result = fitted("absorbed_power", intervals="profile")
    low, high = result["n_th"].allowed or (np.nan, np.nan)
    # n ≤ Γ₂/Γ₁ − ½ (physics sheet section 10), with the statistical error of both on top.
    gamma_1, gamma_2 = result["gamma_1"], result["gamma_2"]
    assert gamma_1.value is not None
    assert gamma_2.value is not None
    limit = gamma_2.value / gamma_1.value - 0.5
    assert low == 0.0
    assert TRUTH["n_th"] < limit < high < 1.1 * limit
    assert result.combinations == ("gamma_2", "drive_over_thermal")
    assert "measure excited_population as well" in result.remedies


@pytest.mark.parametrize(
    ("observables", "wishes"),
    [
        (("absorbed_power",), {"fixed": {"drive_scale": TRUTH["drive_scale"]}}),
        (("absorbed_power",), {"fixed": {"gamma_phi": TRUTH["gamma_phi"]}}),
        (("absorbed_power",), {"priors": {"T1": (1 / (3e6 * 1.14), 1e-9)}}),
        (("absorbed_power", "excited_population"), {}),
    ],
    ids=["drive scale known", "dephasing known", "T1 known", "population measured"],
)
def test_what_lifts_the_degeneracy_gives_back_the_truth(
    observables: tuple[str, ...], wishes: dict[str, Any]
) -> None:
    result = fitted(*observables, **wishes)
    assert result.undetermined == ()
    for name, truth in TRUTH.items():
        estimate = result[name]
        if estimate.status == "fixed":
            continue
        assert estimate.value is not None
        assert estimate.stderr is not None
        # Nineteen numbers in all: four and a half standard errors are not reached by chance.
        assert abs(estimate.value - truth) < 4.5 * estimate.stderr, name
