"""Many starts: every minimum once, the deepest taken, disagreement said."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import powercal as pc
from powercal.contracts import Model, Parameter
from powercal.fitting.minima import even_normal, explore, far_starts
from powercal.fitting.solve import search
from powercal.result import FitResult
from powercal.schema import DeviceTraces
from tests.fitting.systems import DRIVEN, driven, problem_of

LINE = {"qubit_frequency": 5e9, "gamma_r": 8e6, "gamma_phi": 1.5e6}


@cache
def reflected(*powers: float) -> FitResult:
    """Reflected power at the device; with one drive power two pairs of width and depth fit."""
    traces = pc.simulate(
        "reflection",
        LINE,
        inputs={
            "incident_power": powers[0] if len(powers) == 1 else list(powers),
            "frequency": np.linspace(4.99e9, 5.01e9, 41),
        },
        seed=3,
        noise={"reflected_power": 1e-20},
        observables=("reflected_power",),
        setup="device",
        observable="power",
        convention="+i",
    )
    return pc.fit(pc.to_device_plane(traces), "reflection", free=("gamma_phi", "attenuation_db"))


def test_two_minima_of_one_curve_are_both_recorded() -> None:
    best, other, *more = reflected(6e-17).minima
    assert all(m.chi2 - best.chi2 > 1e4 for m in more)  # without any signal left
    assert other.chi2 == pytest.approx(best.chi2, abs=1e-3)
    assert abs(other.values["gamma_phi"] / best.values["gamma_phi"] - 1) > 0.5
    flag = next(f for f in reflected(6e-17).flags if f.name == "minima")
    assert "which one is true the data do not say" in flag.sentence
    assert "\nOther minima\n" in str(reflected(6e-17))


def test_a_power_sweep_has_one_minimum_from_all_starts() -> None:
    result = reflected(2e-18, 2e-17, 2e-16)
    assert result.minima[0].starts >= 10
    assert all(m.chi2 - result.chi2 > 1e4 for m in result.minima[1:])
    assert result.minima[0].chi2 == pytest.approx(result.chi2, rel=1e-6)
    assert "minima" not in {f.name for f in result.flags}
    assert "\nOther minima\n" not in str(result)


def test_a_flat_valley_counts_once() -> None:
    traces = driven(DRIVEN, "absorbed_power", seed=1)
    result = pc.fit(traces, "finite_temperature")
    assert "n_th" in result.undetermined
    assert len(result.minima) == 1


def ripples(depth: float) -> Model:
    """A line whose phase has many minima: sin(kt), of which a start sees the nearest only."""

    def curve(time: Any, *, k: float, a: float) -> tuple[Any, ...]:
        return (depth + a * np.sin(k * time),)

    return Model(
        name="ripples",
        summary="a sine of unknown rate",
        inputs=("time",),
        observables=("excited_population",),
        parameters=(
            Parameter(name="k", unit="s-1", meaning="rate", example=3.0, min=0.1, max=100.0,
                      scale="log"),
            Parameter(name="a", unit="1", meaning="size", example=0.2, min=0.01, max=1.0,
                      scale="log"),
        ),
        curve=curve,
        guess=lambda traces, fixed: {"k": np.asarray(14.0), "a": np.asarray(0.2)},
    )  # fmt: skip


@cache
def rippled() -> FitResult:
    """The guess is in the wrong valley: 14 where the truth is 5."""
    traces = pc.simulate(
        ripples(0.5),
        {"k": 5.0, "a": 0.3},
        inputs={"time": np.linspace(0.0, 3.0, 40)},
        seed=1,
        noise={"excited_population": 0.1},
    )
    return pc.fit(DeviceTraces(traces), ripples(0.5))


def test_a_bad_guess_is_overruled_by_the_other_starts_and_said_to_be_bad() -> None:
    result = rippled()
    assert result["k"].value == pytest.approx(5.0, abs=4.5 * (result["k"].stderr or 0.0))
    flag = next(f for f in result.flags if f.name == "minima")
    assert "the model's own guess leads to a minimum worse by Δχ²" in flag.sentence
    assert result.minima[0].chi2 == pytest.approx(result.chi2, rel=1e-9)


def test_all_minima_are_listed_best_first() -> None:
    minima = rippled().minima
    assert len(minima) > 2
    assert [m.chi2 for m in minima] == sorted(m.chi2 for m in minima)
    places = [m.values["k"] for m in minima]
    assert len({round(k, 2) for k in places}) == len(places)


def test_the_starts_are_the_same_at_every_call() -> None:
    traces = driven(DRIVEN, "absorbed_power", seed=1)
    problem, x = problem_of(traces, "finite_temperature", DRIVEN)
    first, second = (np.array(far_starts(problem, x, 16)) for _ in range(2))
    assert np.array_equal(first, second)


def test_the_points_are_spread_as_a_normal_distribution_is() -> None:
    points = even_normal(256, 5)
    assert points.shape == (256, 5)
    # Even points have the moments of the distribution to far better than 1/√256.
    assert np.abs(points.mean(axis=0)).max() < 0.02
    assert np.abs(np.cov(points.T) - np.eye(5)).max() < 0.06


def test_a_search_from_many_starts_never_ends_above_the_first() -> None:
    traces = driven(DRIVEN, "absorbed_power", "excited_population", seed=1)
    problem, x = problem_of(traces, "finite_temperature", DRIVEN)
    found = search(problem, x)
    explored = explore(problem, found.x, found.chi2, [x])
    assert explored.found[0].chi2 <= found.chi2
    assert explored.guess == 0


def test_the_quick_way_tries_no_further_starts() -> None:
    traces = driven(DRIVEN, "absorbed_power", "excited_population", seed=1)
    assert pc.fit(traces, "finite_temperature", intervals="covariance").minima == ()
