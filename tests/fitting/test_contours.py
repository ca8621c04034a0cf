"""Contours of two quantities: exact where the answer is known, cut at bounds, never of the flat."""

from __future__ import annotations

from math import log, pi
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

import powercal as pc
from powercal.errors import FitError
from powercal.fitting.contours import Contour, contour
from powercal.result import FitResult
from powercal.schema import DeviceTraces
from tests.fitting.polynomials import (
    PARABOLA,
    TIMES,
    Array,
    design,
    fitted,
    measured,
    model_of,
    offered,
    parabola,
)
from tests.fitting.systems import DRIVEN, F0, driven

SIGMA = 0.05
TRUTH = np.array([0.4, -0.3, 0.5])
LEVELS = {0.68: 2.2788686, 0.95: 5.9914645}  # quantiles of χ² with two degrees of freedom


@pytest.fixture(autouse=True)
def _offered(monkeypatch: pytest.MonkeyPatch) -> None:
    offered(monkeypatch, PARABOLA)


def noisy(seed: int) -> Array:
    return design() @ TRUTH + SIGMA * np.random.default_rng(seed).standard_normal(TIMES.size)


@pytest.fixture(scope="module")
def straight() -> FitResult:
    return fitted(PARABOLA, measured(PARABOLA, noisy(0), SIGMA))


def area(points: Array) -> float:
    x, y = points.T
    return 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))


# ---- exact answers ----


@pytest.mark.parametrize("level", [0.68, 0.95])
def test_of_a_linear_model_the_contour_is_the_ellipse_of_its_covariance(
    straight: FitResult, level: float
) -> None:
    found = contour(straight, "a", "c")
    covariance = SIGMA**2 * np.linalg.inv(design().T @ design())[np.ix_([0, 2], [0, 2])]
    off = found[level].points - np.array(found.best)
    rises = np.einsum("ni,ij,nj->n", off, np.linalg.inv(covariance), off)
    # The walk ends within 2e-3 of the level; a straight line of √Δχ² is met at once.
    np.testing.assert_allclose(rises, LEVELS[level], rtol=2e-3)
    assert found[level].rise == pytest.approx(LEVELS[level], abs=1e-6)
    assert set(found[level].status) == {"closed"}


def test_the_points_lie_evenly_around_the_ellipse(straight: FitResult) -> None:
    curve = contour(straight, "a", "c", points=32)[0.68]
    covariance = SIGMA**2 * np.linalg.inv(design().T @ design())[np.ix_([0, 2], [0, 2])]
    # An inscribed polygon of 32 even corners lacks 0.6 % of the area; uneven ones lack more.
    assert area(curve.points) == pytest.approx(
        pi * LEVELS[0.68] * np.sqrt(np.linalg.det(covariance)), rel=0.02
    )


def bent(time: Any, *, a: Any, b: Any) -> tuple[Any]:
    return (np.where(time == 0, b - 3 * a**2, a) + 0 * (a + b),)


BENT = model_of(bent, ("a", "b"))


def test_a_bent_valley_is_followed_to_its_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    offered(monkeypatch, BENT)
    data, sigma, times = np.zeros(4), np.array([0.05, 1.0, 1e3, 1e3]), np.arange(4.0)
    result = fitted(BENT, measured(BENT, data, sigma, times))
    curve = contour(result, "a", "b", levels=(0.95,), points=24)[0.95]
    a, b = curve.points.T
    weight = 1 + 2e-6  # of a: the two points that hardly count
    rises = ((b - 3 * a**2) / 0.05) ** 2 + weight * a**2
    np.testing.assert_allclose(rises, LEVELS[0.95], rtol=3e-3)
    # (a, b) → (a, b − 3a²) keeps areas. A polygon of 24 corners on a valley 60 times as long as
    # it is wide cuts corners; rays from the best value alone would miss most of the area.
    assert area(curve.points) == pytest.approx(pi * LEVELS[0.95] * 0.05, rel=0.15)
    assert curve.extent(0)[1] == pytest.approx(np.sqrt(LEVELS[0.95]), rel=0.02)


# ---- bounds ----


def cold(n_th: float, seed: int) -> FitResult:
    traces = pc.simulate(
        "power_balance",
        {"gamma_1": 6e6, "n_th": n_th},
        inputs={"excited_population": np.linspace(0.05, 0.45, 30), "frequency": F0},
        seed=seed,
        noise={"absorbed_power": 2e-19},
    )
    return pc.fit(DeviceTraces(traces), "power_balance")


@pytest.fixture(scope="module")
def near_zero() -> tuple[FitResult, Contour]:
    result = cold(0.004, 3)
    return result, contour(result, "gamma_1", "n_th")


def test_a_bound_cuts_the_contour_and_is_said(near_zero: tuple[FitResult, Contour]) -> None:
    _, found = near_zero
    curve = found[0.95]
    on_bound = curve.points[:, 1] == 0
    assert on_bound.sum() >= 3
    assert {s for s, at in zip(curve.status, on_bound, strict=True) if not at} == {"closed"}
    assert curve.extent(1)[0] == 0.0
    assert "ends at a bound" in curve.sentence


def test_where_the_contour_meets_the_bound_is_found_exactly(
    near_zero: tuple[FitResult, Contour],
) -> None:
    result, found = near_zero
    curve = found[0.95]
    corners = [
        p for p, s in zip(curve.points, curve.status, strict=True) if p[1] == 0 and s == "closed"
    ]
    assert len(corners) == 2
    for corner in corners:
        held = {"gamma_1": float(corner[0]), "n_th": 0.0}
        assert chi2_at(result, held) - result.chi2 == pytest.approx(LEVELS[0.95], rel=5e-3)


def chi2_at(result: FitResult, held: dict[str, float]) -> float:
    """χ² of a power balance with both parameters given, from its formula."""
    from powercal.physics.constants import HBAR

    traces = result.traces
    quantum = HBAR * 2 * np.pi * F0
    p = traces["excited_population"].values
    curve = quantum * held["gamma_1"] * ((1 + 2 * held["n_th"]) * p - held["n_th"])
    pulls = (traces["absorbed_power"].values - curve) / traces["absorbed_power_std"].values
    return float(pulls @ pulls)


def test_a_best_value_on_the_bound_has_a_contour_too() -> None:
    result = next(r for r in (cold(0.0, seed) for seed in range(20)) if r["n_th"].value == 0.0)
    curve = contour(result, "gamma_1", "n_th", levels=(0.68,))[0.68]
    assert curve.extent(1)[0] == 0.0
    assert 0 < curve.extent(1)[1] < 1
    low, high = curve.extent(0)
    assert low < (result["gamma_1"].value or 0) < high


def test_a_derived_quantity_ends_where_its_parameter_ends(
    near_zero: tuple[FitResult, Contour],
) -> None:
    result, found = near_zero
    through = contour(result, "gamma_1", "p_eq")[0.95]
    assert through.extent(1)[0] == 0.0
    # p_eq is a function of n_th alone: the same points, seen through it.
    np.testing.assert_allclose(through.points[:, 0], found[0.95].points[:, 0], rtol=1e-9)


def saturating(time: Any, *, a: Any, b: Any) -> tuple[Any]:
    return (np.where(time < 6, np.tanh(b), a) + 0 * (a + b),)


SATURATING = model_of(saturating, ("a", "b"))


def test_directions_without_an_end_are_said_to_be_unbounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    offered(monkeypatch, SATURATING)
    data = np.where(TIMES < 6, 0.9, 0.5)
    # tanh(b) = 1 costs 4: one number is confined at 95 % (3.84), two are not (5.99).
    traces = measured(SATURATING, data, 0.05 * np.sqrt(6))
    curves = contour(fitted(SATURATING, traces), "a", "b")
    assert set(curves[0.68].status) == {"closed"}
    assert "unbounded" in curves[0.95].status
    assert curves[0.95].sentence.startswith("unbounded in")


# ---- all else refitted; quantities that follow from several parameters ----


def test_other_parameters_are_refitted_and_rates_follow_their_logarithm() -> None:
    traces = driven(DRIVEN, "absorbed_power", "excited_population", seed=4)
    result = pc.fit(traces, "finite_temperature", intervals="covariance")
    found = contour(result, "gamma_1", "n_th", levels=(0.68,), points=12)
    for name, axis in (("gamma_1", 0), ("n_th", 1)):
        low, high = found[0.68].extent(axis)
        wide = np.sqrt(LEVELS[0.68]) * (result[name].stderr or 0.0)
        # Twelve points miss the extremes of an ellipse by up to 1 − cos(15°) = 3.4 %.
        assert (high - low) / (2 * wide) == pytest.approx(1.0, abs=0.05)


def test_a_quantity_of_several_parameters_is_held_as_it_is() -> None:
    traces = driven(DRIVEN, "absorbed_power", "excited_population", seed=4)
    result = pc.fit(traces, "finite_temperature", intervals="covariance")
    found = contour(result, "T1", "gamma_2", levels=(0.68,), points=8)
    low, high = found[0.68].extent(0)
    wide = np.sqrt(LEVELS[0.68]) * (result["T1"].stderr or 0.0)
    assert (high - low) / (2 * wide) == pytest.approx(1.0, abs=0.08)
    assert found.logarithmic == (True, True)


# ---- coverage ----


@pytest.mark.parametrize("sets", [8, pytest.param(400, marks=pytest.mark.statistics)])
def test_the_truth_lies_inside_as_often_as_the_level_says(sets: int) -> None:
    inside = dict.fromkeys(LEVELS, 0)
    for seed in range(sets):
        result = fitted(
            PARABOLA, measured(PARABOLA, noisy(1000 + seed), SIGMA), intervals="covariance"
        )
        found = contour(result, "a", "b", points=8)
        for level in LEVELS:
            inside[level] += found.contains(level, TRUTH[0], TRUTH[1])
    for level, count in inside.items():
        # Eight chords lack up to a tenth of the area: 0.68 becomes 0.64. Two-sided 4 σ and that.
        low, high = binom.ppf(3e-5, sets, level - 0.04), binom.ppf(1 - 3e-5, sets, level)
        assert low <= count <= high, (level, count, sets)


# ---- refusals ----


@pytest.mark.parametrize(
    ("first", "second", "more", "message"),
    [
        ("a", "a", {}, "needs two quantities"),
        ("a", "b", {"levels": (68,)}, "probabilities between 0 and 1"),
        ("a", "b", {"points": 3}, "needs 8 or more"),
    ],
)
def test_wishes_that_make_no_sense_are_refused(
    straight: FitResult, first: str, second: str, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(FitError, match=message):
        contour(straight, first, second, **more)


def test_a_held_parameter_has_no_contour() -> None:
    result = fitted(PARABOLA, measured(PARABOLA, noisy(0), SIGMA), fixed={"c": 0.5})
    with pytest.raises(FitError, match="c is held in this fit"):
        contour(result, "a", "c")


def test_what_the_data_do_not_determine_has_no_contour() -> None:
    result = pc.fit(driven(DRIVEN, "absorbed_power", seed=1), "finite_temperature")
    allowed = result["n_th"].allowed
    assert allowed is not None
    with pytest.raises(FitError, match=rf"n_th is not determined.*allowed: 0 … {allowed[1]:.6g}"):
        contour(result, "gamma_1", "n_th")


def test_two_names_of_one_quantity_are_refused() -> None:
    traces = driven(DRIVEN, "absorbed_power", "excited_population", seed=4)
    result = pc.fit(traces, "finite_temperature", intervals="covariance")
    with pytest.raises(FitError, match="follow from each other"):
        contour(result, "gamma_1", "gamma_1_over_2pi")


def test_a_level_that_was_not_computed_is_refused(straight: FitResult) -> None:
    with pytest.raises(FitError, match=r"no contour at the level 0.9; computed were 0.68"):
        contour(straight, "a", "b", levels=(0.68,), points=8)[0.9]


def test_the_page_says_both_ranges_and_where_it_ends(near_zero: tuple[FitResult, Contour]) -> None:
    page = str(near_zero[1])
    assert "gamma_1 against n_th, all else refitted" in page
    assert "0.95 (Δχ² = 5.991" in page
    assert "ends at a bound" in page


def test_the_levels_are_quantiles_of_two_degrees_of_freedom(straight: FitResult) -> None:
    assert contour(straight, "a", "b", levels=(0.5,), points=8)[0.5].rise == -2 * log(0.5)
    assert parabola(0.0, a=1, b=2, c=3) == (1.0,)
