"""How well curve and data agree: χ² as a probability, runs of signs, spikes."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest

import powercal as pc
from powercal.fitting.again import rebuild
from powercal.fitting.goodness import find_spikes, residuals, runs_probability
from powercal.fitting.pieces import Block
from powercal.result import FitResult
from powercal.schema import DeviceTraces
from tests.fitting.systems import DRIVEN, F0, driven, reflected

QUICK: dict[str, Any] = {"intervals": "covariance"}
CIRCLE = {
    "qubit_frequency": F0,
    "gamma_r": 6e6,
    "gamma_i": 0.0,
    "gamma_phi": 0.0,
    "n_th": 0.0,
    "attenuation_db": 0.0,
}
RUN = {"setup": "device", "convention": "+i", **QUICK}


def names_of(result: FitResult) -> set[str]:
    return {f.name for f in result.flags}


def noise_of(name: str, data: np.ndarray, trace: np.ndarray, given: bool = True) -> Block:
    return Block(name, 0, np.arange(data.size), data, np.ones(data.size), trace, given)


# ---- runs ----


@pytest.mark.parametrize(("plus", "minus"), [(3, 5), (4, 4), (1, 6), (6, 3)])
def test_the_probability_of_runs_is_that_of_counting_all_orders(plus: int, minus: int) -> None:
    orders = []
    for places in combinations(range(plus + minus), plus):
        signs = np.isin(np.arange(plus + minus), places)
        orders.append((1 + int(np.sum(signs[1:] != signs[:-1])), signs))
    counts = np.array([runs for runs, _ in orders])
    for runs, signs in orders:
        assert runs_probability(signs) == pytest.approx(float(np.mean(counts <= runs)), rel=1e-9)


def test_one_sign_alone_leaves_nothing_to_order() -> None:
    assert runs_probability(np.ones(20, dtype=bool)) == 1.0


def test_the_runs_test_has_its_size_on_white_noise() -> None:
    generator = np.random.default_rng(5)
    p = np.array([runs_probability(row > 0) for row in generator.standard_normal((1500, 30))])
    # Exact tests are conservative by their steps: never above nominal by more than chance.
    for level in (0.3, 0.1, 0.01):
        expected = level * 1500
        assert np.sum(p <= level) < expected + 4 * np.sqrt(expected)
    assert np.sum(p <= 0.1) > 55


@pytest.mark.parametrize("sigma_given", [True, False], ids=["σ given", "σ from residuals"])
def test_a_model_that_leaves_structure_behind_is_flagged_for_its_runs(sigma_given: bool) -> None:
    traces = driven({**DRIVEN, "n_th": 0.0, "gamma_phi": 3e6}, "absorbed_power", seed=1)
    if not sigma_given:
        traces = DeviceTraces(traces.drop_vars("absorbed_power_std"))
    result = pc.fit(traces, "single_channel", fixed={"gamma_phi": 0.0}, **QUICK)
    assert result.goodness["runs_probability"] < 1e-3
    assert "runs" in names_of(result)
    assert not result.verdicts["adequate"]


def test_both_quadratures_are_looked_at() -> None:
    traces = reflected(CIRCLE, seed=2)
    clean = pc.fit(traces, "reflection", **RUN)
    assert "runs" not in names_of(clean)
    wave = 0.015 * np.sin(np.linspace(0, 2 * np.pi, traces.sizes["frequency"]))
    for factor in (1.0, 1.0j):
        bent = DeviceTraces(traces.assign(reflection=traces["reflection"] + factor * wave))
        assert "runs" in names_of(pc.fit(bent, "reflection", **RUN))


# ---- χ² ----


def test_the_probability_of_chi2_is_there_where_sigma_was_given() -> None:
    result = pc.fit(driven(DRIVEN, "absorbed_power", seed=6), "finite_temperature", **QUICK)
    assert 0.001 < result.goodness["chi2_probability"] < 0.999
    traces = DeviceTraces(driven(DRIVEN, "absorbed_power", seed=6).drop_vars("absorbed_power_std"))
    assert "chi2_probability" not in pc.fit(traces, "finite_temperature", **QUICK).goodness


def test_a_sigma_that_is_half_the_truth_is_noticed() -> None:
    traces = driven(DRIVEN, "absorbed_power", seed=6)
    traces["absorbed_power_std"] = traces["absorbed_power_std"] / 2
    result = pc.fit(traces, "finite_temperature", **QUICK)
    # χ² of 196 degrees of freedom four times too large: 30 of its spreads.
    assert result.goodness["chi2_probability"] < 1e-30
    assert "chi2" in names_of(result)
    # No point stands apart because all do.
    assert result.goodness["spikes"] == 0


def test_probabilities_are_on_the_page() -> None:
    result = pc.fit(driven(DRIVEN, "absorbed_power", seed=6), "finite_temperature", **QUICK)
    line = next(row for row in str(result).splitlines() if "of a χ² this large" in row)
    assert "of residuals changing sign this seldom" in line


# ---- spikes ----


@pytest.mark.parametrize("complex_data", [False, True], ids=["power", "reflection"])
@pytest.mark.parametrize("sigma_given", [True, False], ids=["σ given", "σ from residuals"])
def test_spikes_are_found_where_they_are(complex_data: bool, sigma_given: bool) -> None:
    places = [(0, 3), (4, 12), (4, 20), (7, 24)]
    if complex_data:
        traces, name = reflected(CIRCLE, seed=2), "reflection"
        kick = 12 * 2e-3 * np.exp(2.0j)
        wishes, model = RUN, "reflection"
    else:
        traces, name = driven(DRIVEN, "absorbed_power", seed=2), "absorbed_power"
        kick = 12 * float(traces[f"{name}_std"].values.flat[0])
        wishes, model = QUICK, "finite_temperature"
    for place in places:
        traces[name][place] += kick
    if not sigma_given:
        traces = DeviceTraces(traces.drop_vars(f"{name}_std"))
    result = pc.fit(traces, model, **wishes)
    problem, x = rebuild(result)
    found = find_spikes(residuals(problem, x)).points
    assert found == {name: tuple(25 * i + j for i, j in places)}
    assert result.goodness["spikes"] == 4
    sentence = next(f.sentence for f in result.flags if f.name == "spikes")
    assert sentence.startswith(f"4 points of {name} stand apart")
    assert "nothing was dropped" in sentence


def test_of_a_thousand_clean_sets_next_to_none_shows_a_spike() -> None:
    generator = np.random.default_rng(3)
    trace = np.repeat(np.arange(6), 20)
    alarms = 0
    for _ in range(1000):
        every = [
            (noise_of("a", u, trace, False), u.reshape(1, -1))
            for u in generator.standard_normal((1, 120))
        ]
        alarms += find_spikes(every).count > 0
    # One in a thousand is the level: five or more have a probability below 0.4 %.
    assert alarms < 5


def test_complex_noise_gives_no_spikes_either() -> None:
    generator = np.random.default_rng(4)
    trace = np.zeros(60, dtype=int)
    alarms = 0
    for u in generator.standard_normal((1000, 2, 60)):
        alarms += find_spikes([(noise_of("r", u[0] + 1j * u[1], trace), u)]).count > 0
    assert alarms < 5


def test_a_feature_of_several_points_is_structure_and_no_spike() -> None:
    u = np.random.default_rng(1).standard_normal(80)
    for width, expected in ((1, 1), (2, 2), (5, 0)):
        bumped = u.copy()
        bumped[40 : 40 + width] += 12.0
        block = noise_of("a", bumped, np.zeros(80, dtype=int))
        assert find_spikes([(block, bumped.reshape(1, -1))]).count == expected


def test_one_large_spike_does_not_hide_a_smaller_one() -> None:
    u = np.random.default_rng(1).standard_normal(60)
    u[10], u[40] = 60.0, -9.0
    found = find_spikes([(noise_of("a", u, np.zeros(60, dtype=int), False), u.reshape(1, -1))])
    assert found.points == {"a": (10, 40)}


def test_spikes_are_dropped_when_asked_and_told_point_by_point() -> None:
    traces = driven(DRIVEN, "absorbed_power", "excited_population", seed=2)
    clean = pc.fit(traces, "finite_temperature", **QUICK)
    std = float(traces["absorbed_power_std"].values.flat[0])
    traces["absorbed_power"][4, 12] += 30 * std
    result = pc.fit(traces, "finite_temperature", drop_spikes=True, **QUICK)
    assert result.ndata == clean.ndata - 1
    sigma = result.curve["absorbed_power_sigma"].values
    assert np.argwhere(np.isnan(sigma)).tolist() == [[4, 12]]
    sentence = next(f.sentence for f in result.flags if f.name == "dropped_spikes")
    assert "1 point of absorbed_power stands apart" in sentence
    assert f"frequency {float(traces['frequency'][12]):.8g}" in sentence
    assert "left_out" not in names_of(result)
    # The data themselves stay in the result, and the fit can be built again from it.
    assert np.isfinite(result.traces["absorbed_power"].values).all()
    problem, x = rebuild(result)
    assert float(np.sum(problem.residual(x) ** 2)) == pytest.approx(result.chi2, rel=1e-9)


def test_nothing_is_dropped_from_clean_data() -> None:
    traces = driven(DRIVEN, "absorbed_power", seed=2)
    result = pc.fit(traces, "finite_temperature", drop_spikes=True, **QUICK)
    assert result.ndata == traces["absorbed_power"].size
    assert "dropped_spikes" not in names_of(result)


def test_noise_with_heavy_tails_is_not_eaten_up() -> None:
    traces = driven(DRIVEN, "absorbed_power", seed=2)
    std = traces["absorbed_power_std"].values
    heavy = np.random.default_rng(8).standard_cauchy(std.shape)
    traces["absorbed_power"] = traces["absorbed_power"] + heavy * std
    result = pc.fit(traces, "finite_temperature", drop_spikes=True, **QUICK)
    assert result.ndata >= 0.9 * std.size
