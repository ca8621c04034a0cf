"""Absorbed power alone leaves n_th, Γφ and the drive scale open, from wherever a fit starts."""

from __future__ import annotations

import numpy as np
import pytest

import powercal as pc
from powercal.result import FitResult
from powercal.schema import DeviceTraces
from tests.fitting.systems import DRIVEN, driven, gamma_2, sweep

OPEN = ("n_th", "gamma_phi", "drive_scale")
COUNTS = [8, pytest.param(100, marks=pytest.mark.statistics)]


@pytest.fixture(scope="module")
def absorbed() -> DeviceTraces:
    return driven(DRIVEN, noise=1e-2, seed=61, inputs=sweep(DRIVEN, 7, 21))


def random_starts(count: int) -> list[dict[str, float]]:
    rng = np.random.default_rng(62)
    starts = []
    for _ in range(count):
        factors = 5.0 ** rng.uniform(-1, 1, 3)
        rates = ("gamma_1", "gamma_phi", "drive_scale")
        start = {n: DRIVEN[n] * f for n, f in zip(rates, factors, strict=True)}
        starts.append(start | {"n_th": rng.uniform(0.0, 0.5)})
    return starts


@pytest.mark.parametrize("count", COUNTS)
def test_no_start_makes_a_temperature_out_of_absorbed_power(
    absorbed: DeviceTraces, count: int
) -> None:
    rates, widths = [], []
    for start in random_starts(count):
        result = pc.fit(absorbed, "finite_temperature", start=start, intervals="covariance")
        for name in OPEN:
            found = result[name]
            assert (found.status, found.value, found.stderr) == ("undetermined", None, None), start
        assert result["gamma_1"].status == "ok"
        rates.append(result["gamma_1"].value)
        widths.append(result["gamma_2"].value)
    # One minimum, however long its valley: the determined combinations do not know the start.
    np.testing.assert_allclose(rates, rates[0], rtol=1e-6)
    np.testing.assert_allclose(widths, widths[0], rtol=1e-6)
    error = pc.fit(absorbed, "finite_temperature", intervals="covariance")["gamma_1"].stderr
    assert error is not None
    assert abs(rates[0] - DRIVEN["gamma_1"]) < 4 * error


def test_allowed_ranges_do_not_know_the_start(absorbed: DeviceTraces) -> None:
    found = []
    for start in random_starts(2):
        result = pc.fit(absorbed, "finite_temperature", start=start)
        for name in OPEN:
            low, high = result[name].allowed or (np.nan, np.nan)
            assert low <= DRIVEN[name] <= high
        found.append([result[name].allowed for name in OPEN])
    ranges = np.array(found)
    # Ends are found to a percent of Δχ² = 1, that is to half a percent of a standard error, which
    # is itself a percent of the range here.
    spread = np.ptp(ranges, axis=0) / (ranges[0, :, 1:] - ranges[0, :, :1])
    assert spread.max() < 1e-3


def recovered(result: FitResult, free: tuple[str, ...]) -> None:
    for name in free:
        found = result[name]
        assert found.status == "ok", found
        assert found.value is not None
        assert found.stderr is not None
        assert abs(found.value - DRIVEN[name]) < 4 * found.stderr, found


@pytest.mark.parametrize("known", ["drive_scale", "gamma_phi", "n_th"])
def test_one_known_number_gives_all_the_others(absorbed: DeviceTraces, known: str) -> None:
    result = pc.fit(
        absorbed, "finite_temperature", fixed={known: DRIVEN[known]}, intervals="covariance"
    )
    recovered(result, tuple(n for n in DRIVEN if n != known))


def test_a_measured_population_gives_all_the_others() -> None:
    both = driven(DRIVEN, "absorbed_power", "excited_population", noise=1e-2, seed=63)
    recovered(pc.fit(both, "finite_temperature", intervals="covariance"), tuple(DRIVEN))


@pytest.mark.parametrize("known", ["drive_scale", "gamma_phi"])
def test_with_one_known_number_every_start_ends_at_the_truth(
    absorbed: DeviceTraces, known: str
) -> None:
    for start in random_starts(4):
        own = {n: v for n, v in start.items() if n != known}
        result = pc.fit(
            absorbed,
            "finite_temperature",
            fixed={known: DRIVEN[known]},
            start=own,
            intervals="covariance",
        )
        recovered(result, tuple(n for n in DRIVEN if n != known))


def test_the_width_is_that_of_the_truth(absorbed: DeviceTraces) -> None:
    found = pc.fit(absorbed, "finite_temperature", intervals="covariance")["gamma_2"]
    assert found.value is not None
    assert found.stderr is not None
    assert abs(found.value - gamma_2(DRIVEN)) < 4 * found.stderr
