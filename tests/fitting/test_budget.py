"""The uncertainty budget: it adds up, it names the largest source, and it claims nothing more."""

from __future__ import annotations

import dataclasses
from functools import cache
from math import hypot, inf, sqrt
from typing import Any

import numpy as np
import pytest

import powercal as pc
from powercal.fitting.again import rebuild
from powercal.fitting.budget import budget_of
from powercal.fitting.common_errors import find_common_errors
from powercal.fitting.grid import make_grid
from powercal.fitting.identifiability import analyse
from powercal.fitting.weights import with_noise_uncertainty
from powercal.result import BudgetRow, FitResult, Shift
from powercal.schema import DeviceTraces
from powercal.sources import CHOICE
from tests.fitting.systems import DRIVEN, F0, driven, sweep
from tests.fitting.test_common_errors import with_reference

HALF_DB = 0.5


def row(result: FitResult, source: str) -> BudgetRow:
    return next(r for r in result.budget if r.source == source)


def own(result: FitResult) -> list[BudgetRow]:
    """Return the rows that the fit's own error holds."""
    return [r for r in result.budget if not r.source.startswith(CHOICE)]


def quadrature(result: FitResult, name: str) -> float:
    return hypot(*(r.contributions[name] for r in own(result)))


def stderr(result: FitResult, name: str) -> float:
    found = result[name].stderr
    assert found is not None
    return found


def anew(result: FitResult, **changes: Any) -> FitResult:
    """Return the result with the budget that profiles would have given it (they take long)."""
    changed = dataclasses.replace(
        result, request={**result.request, "intervals": "profile"}, **changes
    )
    problem, x = rebuild(result)
    grid = make_grid(DeviceTraces(result.traces), problem.model, result.observables)
    common = find_common_errors(DeviceTraces(result.traces), problem, grid)
    wide = with_noise_uncertainty(problem, x, analyse(problem.jacobian(x)).covariance)
    return dataclasses.replace(changed, budget=budget_of(changed, problem, x, wide, common))


def quick(traces: DeviceTraces, model: str = "finite_temperature", **wishes: Any) -> FitResult:
    return pc.fit(traces, model, intervals="covariance", **wishes)


# ---- three worked cases ----


def lined(**more: Any) -> DeviceTraces:
    """Absorbed power and population behind a line that is known to half a decibel."""
    wishes: dict[str, Any] = {"noise": 3e-3, "inputs": sweep(DRIVEN, 5, 13)} | more
    traces = driven(
        DRIVEN, "absorbed_power", "excited_population", attenuation_db=60.0, gain_db=40.0, **wishes
    )
    line = pc.LineCalibration(attenuation_db=(60.2, HALF_DB), gain_db=(39.9, HALF_DB))
    return pc.to_device_plane(traces, line)


@cache
def behind_a_line() -> FitResult:
    return pc.fit(lined(), "finite_temperature")


@cache
def beside_a_reference() -> FitResult:
    """A cold qubit in reflection; the reference is noisier than the data."""
    data, reference = with_reference(0)
    drift = pc.ErrorSource("drift", "reflection", relative=2e-3, correlated="power")
    traces = pc.with_errors(pc.to_device_plane(data, reference=reference), drift)
    return pc.fit(traces, "reflection", convention="+i")


@cache
def from_calibration_points() -> FitResult:
    """A decay whose populations rest on few calibration points, by a clock that may be wrong."""
    rng = np.random.default_rng(5)
    delay = np.linspace(0.0, 60e-6, 61)
    population = 0.06 + 0.9 * np.exp(-delay / 11e-6)
    signal = np.concatenate([population, [0.0] * 4, [1.0] * 4])
    time = np.append(delay, delay[-1] + 1e-6 * np.arange(1, 9))
    traces = pc.traces(
        time=time,
        quadrature=1e-3 * (2 + 3 * (signal + 0.02 * rng.standard_normal(signal.size))),
        units={"time": "s", "quadrature": "V"},
        plane="device",
    )
    traces = pc.with_calibration_points(
        traces, ground=[-8, -7, -6, -5], excited=[-4, -3, -2, -1], populations=(0.0, 1.0)
    )
    clock = pc.ErrorSource("clock", "time", relative=0.01)
    return pc.fit(pc.to_device_plane(pc.with_errors(traces, clock)), "free_decay")


CASES = {
    behind_a_line: ("gamma_1", "n_th", "T1"),
    beside_a_reference: ("gamma_r", "gamma_2", "attenuation_db"),
    from_calibration_points: ("T1", "p_eq", "gamma_1_tot"),
}


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.__name__)
def worked(request: pytest.FixtureRequest) -> tuple[FitResult, tuple[str, ...]]:
    return request.param(), CASES[request.param]


def test_the_rows_add_in_quadrature_to_the_total_of_the_joint_fit(
    worked: tuple[FitResult, tuple[str, ...]],
) -> None:
    result, names = worked
    for name in names:
        total = stderr(result, name)
        assert quadrature(result, name) == pytest.approx(total, rel=1e-6), name
        interval = result[name].interval68
        assert interval is not None
        # A profile needs no linear theory: five per cent is what is promised.
        assert quadrature(result, name) == pytest.approx(np.diff(interval)[0] / 2, rel=0.05), name


def test_switching_a_source_off_takes_at_least_its_share_and_at_most_everything(
    worked: tuple[FitResult, tuple[str, ...]],
) -> None:
    result, names = worked
    for r in own(result):
        for name in names:
            # With a source known the fit weighs anew, which can only make it better.
            assert r.switched_off[name] >= r.contributions[name] * (1 - 1e-6)
            assert r.switched_off[name] <= stderr(result, name) * (1 + 1e-6)


def test_the_cases_hold_the_sources_they_were_made_for() -> None:
    reference, points = beside_a_reference(), from_calibration_points()
    assert [r.source for r in own(reference)] == ["noise", "reference noise", "drift"]
    assert [r.kind for r in own(reference)] == ["statistical", "systematic", "statistical"]
    assert [r.source for r in own(points)] == ["noise", "clock", "population calibration"]
    value = points["T1"].value
    assert value is not None
    # A clock that runs 1 % fast makes every time 1 % too long.
    assert row(points, "clock").contributions["T1"] / value == pytest.approx(0.01, rel=1e-3)
    assert row(points, "clock").contributions["p_eq"] < 1e-6


# ---- the line is the largest row ----


def test_half_a_decibel_of_line_is_eleven_to_twelve_per_cent_of_gamma_1_and_the_largest_row() -> (
    None
):
    result = behind_a_line()
    largest = max(result.budget, key=lambda r: r.contributions["gamma_1"])
    assert largest.source == "gain"
    assert largest.kind == "systematic"
    value = result["gamma_1"].value
    assert value is not None
    assert 0.11 < largest.contributions["gamma_1"] / value < 0.12
    # n_th is a ratio: the line takes no part in it.
    assert row(result, "gain").contributions["n_th"] < 1e-3 * stderr(result, "n_th")


# ---- switching off by hand ----


def test_a_prior_that_the_data_cannot_check_is_switched_off_by_exactly_its_share() -> None:
    result = behind_a_line()
    gain = row(result, "gain")
    assert gain.switched_off["gamma_1"] == pytest.approx(gain.contributions["gamma_1"], rel=1e-6)


def test_switching_off_is_what_a_refit_with_the_source_known_gives() -> None:
    meter = pc.ErrorSource("meter", "absorbed_power", relative=0.02)
    drift = pc.ErrorSource("drift", "absorbed_power", relative=0.01, correlated="power")
    noisy = driven(DRIVEN, "absorbed_power", "excited_population", noise=3e-3)
    curve = quick(noisy).curve
    # Data on the curve itself: whatever is known, the best point is the same.
    on_it = {n: curve[n].assign_attrs(units=noisy[n].attrs["units"]) for n in noisy if n in curve}
    traces = DeviceTraces(noisy.assign(on_it))
    full = anew(quick(pc.with_errors(traces, meter, drift)))
    for source, less in (("meter", (drift,)), ("drift", (meter,))):
        known = quick(pc.with_errors(traces, *less))
        for name in ("gamma_1", "n_th", "gamma_phi"):
            gone = sqrt(max(stderr(full, name) ** 2 - stderr(known, name) ** 2, 0.0))
            least = 1e-3 * stderr(full, name)
            found = row(full, source).switched_off[name]
            assert found == pytest.approx(gone, rel=1e-3, abs=least), (source, name)


def test_a_prior_switched_off_is_a_refit_with_the_parameter_held_at_its_best_value() -> None:
    prior = {"gamma_phi": (1.0e6, 2e5)}
    traces = driven(DRIVEN, noise=3e-3)
    full = anew(quick(traces, priors=prior, fixed={"n_th": DRIVEN["n_th"]}))
    best = full["gamma_phi"].value
    assert best is not None
    held = {"n_th": DRIVEN["n_th"], "gamma_phi": best}
    known = quick(traces, fixed=held)
    gone = sqrt(stderr(full, "gamma_1") ** 2 - stderr(known, "gamma_1") ** 2)
    found = row(full, "gamma_phi (prior)")
    assert found.switched_off["gamma_1"] == pytest.approx(gone, rel=1e-3)
    # These data measure gamma_phi too: knowing it would help more than its prior hurts.
    assert found.switched_off["gamma_1"] > 1.2 * found.contributions["gamma_1"]


def test_without_noise_only_what_is_not_noise_is_left() -> None:
    result = behind_a_line()
    noise = row(result, "noise")
    left = sqrt(stderr(result, "gamma_1") ** 2 - noise.switched_off["gamma_1"] ** 2)
    assert left == pytest.approx(row(result, "gain").contributions["gamma_1"], rel=1e-3)


# ---- what belongs where ----


def test_the_uncertainty_of_an_estimated_noise_belongs_to_the_noise() -> None:
    traces = driven(DRIVEN, "absorbed_power", "excited_population", state_noise=False)
    result = quick(traces)
    assert [r.source for r in result.budget] == ["noise"]
    for name in ("gamma_1", "n_th"):
        assert row(result, "noise").contributions[name] == pytest.approx(stderr(result, name))


def test_two_levels_from_one_measurement_share_a_row() -> None:
    traces = driven(
        DRIVEN, "absorbed_power", "excited_population", attenuation_db=60.0, gain_db=40.0
    )
    line = pc.LineCalibration(
        attenuation_db=(60.0, HALF_DB), gain_db=(40.0, HALF_DB), correlation=0.8
    )
    result = anew(quick(pc.to_device_plane(traces, line)))
    assert [r.source for r in own(result)] == ["noise", "attenuation and gain (one measurement)"]
    assert quadrature(result, "gamma_1") == pytest.approx(stderr(result, "gamma_1"), rel=1e-6)
    both = own(result)[1]
    assert both.switched_off["gamma_1"] == pytest.approx(both.contributions["gamma_1"], rel=1e-3)


def test_what_is_not_determined_has_no_share_in_any_row() -> None:
    result = quick(driven(DRIVEN))
    assert result["n_th"].status == "undetermined"
    assert result.budget
    for r in result.budget:
        for name in (*r.contributions, *r.switched_off):
            assert result[name].status in ("ok", "upper_limit")
    # What is determined beside the flat directions adds up all the same.
    assert quadrature(result, "gamma_2") == pytest.approx(stderr(result, "gamma_2"), rel=1e-6)


def test_every_number_with_an_error_has_its_share_in_every_row() -> None:
    result = behind_a_line()
    determined = {e.name for e in (*result.parameters, *result.derived) if e.stderr is not None}
    for r in own(result):
        assert determined <= set(r.contributions)
        assert all(0 <= share < inf for share in r.contributions.values())


def test_from_the_covariance_alone_the_shares_are_the_same_and_nothing_is_switched_off() -> None:
    short = quick(lined())
    full = behind_a_line()
    for r in short.budget:
        assert r.switched_off == {}
        for name in ("gamma_1", "n_th"):
            same = row(full, r.source).contributions[name]
            scale = stderr(full, name)
            assert r.contributions[name] / scale == pytest.approx(same / scale, abs=1e-6)


def test_a_choice_of_model_counts_half_the_spread_of_its_alternatives_beside_the_fit() -> None:
    result = behind_a_line()
    moves = [s.shifts["gamma_1"] for s in result.systematics if s.name == "energy"]
    assert len(moves) == 2
    spread = max(0.0, *moves) - min(0.0, *moves)
    found = row(result, "choice of energy bookkeeping")
    assert found.contributions["gamma_1"] == pytest.approx(spread / 2)
    assert found.kind == "systematic"
    assert found.switched_off == {}


def test_a_line_shape_that_the_data_refute_is_no_choice() -> None:
    result = quick(lined())
    shape = Shift(
        name="broadening", chosen="white", alternative="gaussian", shifts={"gamma_1": 5e5}
    )
    for rise, told in ((5.0, True), (400.0, False)):  # of χ², where 9 are three σ
        shift = dataclasses.replace(shape, shifts={"gamma_1": 5e5, "chi2": rise})
        rows = {r.source: r for r in anew(result, systematics=(shift,)).budget}
        assert ("choice of line shape" in rows) == told
        if told:
            assert rows["choice of line shape"].contributions == {"gamma_1": 2.5e5}


def test_a_range_of_an_assumption_and_a_robust_refit_are_no_choices() -> None:
    others = (
        Shift(
            name="assumptions",
            chosen="a",
            alternative="b",
            shifts={"gamma_1 (lowest)": 1e6, "gamma_1 (highest)": 9e6},
        ),
        Shift(name="robust", chosen="a", alternative="b", shifts={"gamma_1": 1e5}),
    )
    result = anew(quick(lined()), systematics=others)
    assert own(result) == list(result.budget)


# ---- errors of what was assumed ----


def test_a_number_that_rests_on_a_parameter_held_without_error_says_so() -> None:
    traces = driven(DRIVEN, noise=3e-3)
    result = quick(traces, fixed={"n_th": DRIVEN["n_th"]})
    assert result["T_eff"].status == "ok"
    assert "given n_th as assumed" in result["T_eff"].reason
    assert "given n_th as assumed" in result["T1"].reason
    assert "assumed" not in result["gamma_1_over_2pi"].reason


def test_a_prior_on_what_was_assumed_enters_the_budget_under_its_name() -> None:
    traces = driven(DRIVEN, noise=3e-3)
    prior = {"n_th": (DRIVEN["n_th"], 0.02)}
    result = quick(traces, priors=prior)
    assert "assumed" not in result["T_eff"].reason
    largest = max(result.budget, key=lambda r: r.contributions["T_eff"])
    assert largest.source == "n_th (prior)"


def test_a_partition_factor_known_with_an_error_is_a_row_of_its_own() -> None:
    traces = driven(DRIVEN, "absorbed_power", "excited_population", noise=3e-3)
    result = quick(traces, "multi_channel", priors={"f": (0.8, 0.04)})
    found = row(result, "f (prior)")
    value = result["gamma_k"].value
    assert value is not None
    assert found.kind == "systematic"
    assert found.contributions["gamma_k"] / value == pytest.approx(0.04 / 0.8, rel=1e-3)


def test_a_transition_frequency_known_with_an_error_moves_what_it_says_it_moves() -> None:
    traces = DeviceTraces(
        pc.simulate(
            "free_decay",
            {"gamma_1_tot": 1e5, "p_0": 0.9, "p_eq": 0.1, "rest_power": 0.0, "qubit_frequency": F0},
            inputs={"time": np.linspace(0, 6e-5, 61)},
            seed=0,
            noise={"emitted_power": 1e-21},
            observables=("emitted_power",),
            readout="power",
        )
    )
    rest, known = {"p_eq": 0.1}, {"qubit_frequency": (F0, 0.01 * F0)}
    result = pc.fit(traces, "free_decay", fixed=rest, priors=known, intervals="covariance")
    ends = [
        pc.fit(
            traces,
            "free_decay",
            fixed=rest | {"qubit_frequency": f * F0},
            intervals="covariance",
        )["p_0"].value
        for f in (0.99, 1.01)
    ]
    assert ends[0] is not None
    assert ends[1] is not None
    share = row(result, "qubit_frequency (prior)").contributions["p_0"]
    # Photons of 1 % more energy are 1 % fewer; beyond that, only the square of it.
    assert share == pytest.approx(abs(ends[1] - ends[0]) / 2, rel=1e-3)
    assert share > stderr(result, "p_0") / 2
