"""A robust fit beside the least squares: outliers hardly move it, and clean data lose little."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad

import powercal as pc
from powercal.errors import UnknownNameError
from powercal.fitting.again import rebuild
from powercal.fitting.build import Request
from powercal.fitting.robust import LOSSES, fit_robustly
from powercal.result import FitResult, Shift
from powercal.schema import DeviceTraces
from tests.fitting.systems import DRIVEN, driven, reflected

QUICK: dict[str, Any] = {"intervals": "covariance"}
ERROR = " (robust standard error)"
FREE = ("gamma_1", "gamma_phi", "n_th", "drive_scale")


def data(spikes: int = 0, sigma_given: bool = True, seed: int = 4) -> DeviceTraces:
    traces = driven(DRIVEN, "absorbed_power", "excited_population", seed=seed)
    power, std = traces["absorbed_power"].values, traces["absorbed_power_std"].values
    places = np.random.default_rng(9).permutation(power.size)[:spikes]
    power.flat[places] += 15 * std.flat[places]
    if not sigma_given:
        traces = traces.drop_vars(["absorbed_power_std", "excited_population_std"])
    return DeviceTraces(traces)


@cache
def fitted(spikes: int = 0, sigma_given: bool = True, loss: str = "soft_l1") -> FitResult:
    return pc.fit(data(spikes, sigma_given), "finite_temperature", robust=loss, **QUICK)


def shift_of(result: FitResult) -> Shift:
    return next(s for s in result.systematics if s.name == "robust")


# ---- the losses themselves ----


@pytest.mark.parametrize("quadratures", [1, 2])
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_keeps_95_percent_of_clean_gaussian_data(name: str, quadratures: int) -> None:
    loss, q = LOSSES[name], quadratures
    reach = loss.reach[q]

    def mean(f: Any) -> float:
        norm = 2 / np.sqrt(2 * np.pi) if q == 1 else 1.0
        whole = (quad(lambda d: f(d) * norm * d ** (q - 1) * np.exp(-d * d / 2), a, b)[0]
                 for a, b in ((0, reach), (reach, 14)))  # fmt: skip
        return float(sum(whole))

    def weight(d: float) -> float:
        return float(loss.weight(np.asarray(d / reach)))

    bend = mean(lambda d: (loss.slope(np.asarray(d / reach)) + (q - 1) * weight(d)) / q)
    scatter = mean(lambda d: (weight(d) * d) ** 2 / q)
    # The reaches are given to four digits, where the efficiency is stationary enough for 1e-4.
    assert bend**2 / scatter == pytest.approx(0.95, abs=1e-4)
    assert loss.scatter[q] == pytest.approx(mean(lambda d: weight(d) * d * d / q), rel=1e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_the_slope_is_that_of_the_score(name: str) -> None:
    loss, z, h = LOSSES[name], np.array([0.1, 0.7, 1.6, 3.0]), 1e-6
    up, down = (y * loss.weight(y) for y in (z + h, z - h))
    assert loss.slope(z) == pytest.approx((up - down) / (2 * h), abs=1e-8)


# ---- the robust fit ----


def test_clean_data_are_hardly_moved() -> None:
    result = fitted()
    shifts = shift_of(result).shifts
    for name in FREE:
        # √(1/0.95 − 1) = 0.23 standard errors are expected; four numbers stay below four of them.
        assert abs(shifts[name]) < 0.92 * (result[name].stderr or 0.0), name
    assert not {"robust", "spikes"} & {f.name for f in result.flags}


def test_the_sandwich_gives_clean_data_their_ordinary_errors() -> None:
    result = fitted()
    errors = shift_of(result).shifts
    for name in FREE:
        ratio = errors[name + ERROR] / (result[name].stderr or np.nan)
        # 1/√0.95 = 1.026; a scatter of scores from 400 points is known to some five per cent.
        assert ratio == pytest.approx(1.026, abs=0.12), name


@pytest.mark.parametrize("sigma_given", [True, False], ids=["σ given", "σ from residuals"])
@pytest.mark.parametrize("loss", LOSSES)
def test_spikes_pull_the_least_squares_and_not_the_robust_fit(loss: str, sigma_given: bool) -> None:
    result = fitted(16, sigma_given, loss)
    shifts, errors = shift_of(result).shifts, fitted()
    pulled, held = 0.0, 0.0
    for name in FREE:
        value, stderr = result[name].value or np.nan, errors[name].stderr or np.nan
        pulled = max(pulled, abs(value - DRIVEN[name]) / stderr)
        held = max(held, abs(value + shifts[name] - DRIVEN[name]) / stderr)
    assert pulled > 6
    # 16 spikes on one side of 200 points bias any loss that does not descend to zero a little.
    assert held < 0.5 * pulled
    assert held < 4.5


def test_spikes_do_not_widen_the_sigma_of_the_robust_fit() -> None:
    clean, spiky = fitted(0, False), fitted(16, False)
    for name in FREE:
        ordinary = (spiky[name].stderr or 0.0) / (clean[name].stderr or np.nan)
        robust = shift_of(spiky).shifts[name + ERROR] / (clean[name].stderr or np.nan)
        assert robust < 1.35
        assert ordinary > robust


def test_complex_data_are_weighted_by_their_distance_in_the_plane() -> None:
    truth = {"qubit_frequency": 5e9, "gamma_r": 6e6, "attenuation_db": 0.0}
    traces = reflected({**truth, "gamma_i": 0.0, "gamma_phi": 0.0, "n_th": 0.0}, seed=3)
    traces["reflection"][4, 12] += 0.1 * np.exp(0.9j)
    result = pc.fit(traces, "reflection", setup="device", convention="+i", robust="cauchy", **QUICK)
    problem, x = rebuild(result)
    found = fit_robustly(problem, x, "cauchy")
    off = [abs(problem.quantity("gamma_r", y) - truth["gamma_r"]) for y in (x, found.x)]
    stderr = result["gamma_r"].stderr or np.nan
    assert off[1] < 4 * stderr
    assert "spikes" in {f.name for f in result.flags}


def test_a_shift_of_more_than_a_standard_error_is_flagged() -> None:
    flag = next(f for f in fitted(16).flags if f.name == "robust")
    assert "with the loss soft_l1" in flag.sentence
    assert "more than a standard error" in flag.sentence


def test_the_least_squares_stay_the_result() -> None:
    plain = pc.fit(data(16), "finite_temperature", **QUICK)
    assert [e.value for e in plain.parameters] == [e.value for e in fitted(16).parameters]
    assert "robust" not in {s.name for s in plain.systematics}


def test_both_results_are_on_the_page() -> None:
    line = next(row for row in str(fitted(16)).splitlines() if "robust: soft_l1" in row)
    assert "instead of least squares: " in line
    assert "; then qubit_frequency " in line


def test_a_robust_fit_is_no_number_for_what_is_undetermined() -> None:
    traces = driven(DRIVEN, "absorbed_power", seed=4)
    result = pc.fit(traces, "finite_temperature", robust="huber", **QUICK)
    assert "n_th" in result.undetermined
    assert not {"n_th", "n_th" + ERROR, "gamma_phi"} & set(shift_of(result).shifts)
    assert {"gamma_1", "gamma_2"} <= set(shift_of(result).shifts)


def test_an_unknown_loss_is_refused_by_name() -> None:
    with pytest.raises(UnknownNameError, match="there is no robust loss 'hubert'; did you mean"):
        pc.fit(data(), "finite_temperature", robust="hubert")


# ---- the wish in reports ----


def test_a_request_of_an_earlier_report_is_still_read() -> None:
    old = Request().plain()
    for name in ("robust", "drop_spikes", "dropped"):
        del old[name]
    assert Request.from_plain(old) == Request()


def test_a_request_goes_through_plain_data_and_back() -> None:
    request = Request(robust="huber", drop_spikes=True, dropped={"reflection": (3, 5)})
    assert Request.from_plain(request.plain()) == request
