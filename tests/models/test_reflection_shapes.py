"""White dephasing against slow Gaussian noise: the fit says which line the data have."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import powercal as pc
from powercal.models.line_unbounded import line_shapes, reflection_depth
from powercal.result import Check, FitResult
from powercal.schema import DeviceTraces

from .line_systems import F0, full, simulated

WHITE = full({"gamma_phi": 1e6}, "end_of_line")
# Γ₂/2π is 0.48 MHz.
SLOW = full({"sigma_slow": 4e5}, "end_of_line")


@cache
def fitted(
    true: str, taken: str, observable: str = "reflection", intervals: str = "covariance"
) -> FitResult:
    values = WHITE if true == "white" else SLOW
    # With the loss free too the parameters of the white line span its four curve coordinates.
    wishes: dict[str, Any] = {"free": ["gamma_phi", "attenuation_db"] if taken == "white" else []}
    traces = simulated(
        values,
        "end_of_line",
        observable,
        seed=2,
        broadening=true,
        observable="power" if observable == "reflected_power" else "complex",
    )
    return pc.fit(
        traces, "reflection", broadening=taken, convention="-i", intervals=intervals, **wishes
    )


def shape(result: FitResult) -> Check:
    return next(c for c in result.checks if c.name == "line_shape")


@pytest.mark.parametrize("observable", ["reflection", "reflected_power"])
def test_a_line_with_slow_noise_is_recovered(observable: str) -> None:
    result = fitted("gaussian", "gaussian", observable)
    assert result.chi2 < result.nfree + 4 * result.chi2_spread
    for name in ("qubit_frequency", "gamma_r", "sigma_slow"):
        found = result[name]
        assert found.status == "ok", found
        assert found.value == pytest.approx(SLOW[name], abs=4.5 * (found.stderr or 0.0))


@pytest.mark.parametrize("observable", ["reflection", "reflected_power"])
def test_the_wrong_line_fails_the_check_and_the_right_one_holds(observable: str) -> None:
    right, wrong = (fitted("gaussian", taken, observable) for taken in ("gaussian", "white"))
    assert (shape(right).verdict, shape(wrong).verdict) == ("holds", "fails")
    assert not wrong.verdicts["within_assumptions"]
    white = fitted("white", "white", observable)
    assert shape(white).verdict == "holds"


def test_the_check_tells_both_misfits_and_the_noise_that_would_explain_them() -> None:
    wrong, right = (fitted("gaussian", taken) for taken in ("white", "gaussian"))
    found = line_shapes(wrong)
    assert found is not None
    white, slow, sigma = found
    # Nothing is at a bound: the fit and the check solve the same problem.
    assert white == pytest.approx(wrong.chi2, rel=1e-6)
    # Two numbers more than the fit with slow noise has (Γφ and the loss): χ² is less by about 2.
    assert right.chi2 - 16 < slow <= right.chi2 * (1 + 1e-6)
    assert sigma == pytest.approx(SLOW["sigma_slow"], rel=0.05)
    assert f"{white:.6g} white, {slow:.6g} with slow noise of" in shape(wrong).effect


def test_slow_noise_that_is_not_there_is_confined_from_above() -> None:
    traces = simulated(full({}, "end_of_line"), "end_of_line", "reflection", seed=3)
    found = pc.fit(traces, "reflection", broadening="gaussian", convention="-i")["sigma_slow"]
    assert found.status != "ok"
    low, high = found.interval95 or found.allowed or (np.nan, np.nan)
    assert low <= 0.0
    assert high < 5e4


def test_errors_of_a_reference_trace_are_no_slow_noise() -> None:
    """One noisy reference under all powers leaves the same scatter in each: neither line's."""
    rng = np.random.default_rng(5)
    truth = full({}, "end_of_line", attenuation_db=60.0)
    clean = simulated(truth, "end_of_line", "reflection", seed=4, setup="referenced", noise=2e-3)
    grid = clean["frequency"].values
    noise = 0.01 * (rng.standard_normal(grid.size) + 1j * rng.standard_normal(grid.size))
    kept = clean.drop_vars("reflection_std").assign(reflection=clean["reflection"] / (1 + noise))
    noisy = kept.assign(
        reference_noise=("reference_frequency", np.full(grid.size, 0.01), {"units": "1"})
    ).assign_coords(reference_frequency=("reference_frequency", grid, {"units": "Hz"}))
    noisy["reflection"].attrs = clean["reflection"].attrs
    result = pc.fit(DeviceTraces(noisy), "reflection", convention="-i", intervals="covariance")
    found = line_shapes(result)
    assert found is not None
    # χ² of the same problem by other means: what the fit holds (Γφ = 0) is true here.
    assert found[0] == pytest.approx(result.chi2, rel=0.02)
    assert shape(result).verdict == "holds"


def test_the_depth_of_a_line_with_slow_noise_is_that_of_its_white_part() -> None:
    depth, error = reflection_depth(fitted("gaussian", "gaussian"))
    assert depth == pytest.approx(2.0, abs=4.5 * error)
    assert error < 0.1


def test_the_transition_is_where_it_was() -> None:
    for true in ("white", "gaussian"):
        found = fitted(true, true)["qubit_frequency"]
        assert found.value == pytest.approx(F0, abs=4.5 * (found.stderr or 0.0))
