"""A ladder of models: what is compared, by which probability, and what is said in the end."""

from __future__ import annotations

from functools import cache
from math import erfc, exp, sqrt
from typing import Any

import numpy as np
import pytest

import powercal as pc
from powercal.errors import FitError, UnknownNameError
from powercal.fitting.ladder import Ladder
from powercal.fitting.ladder_verdict import outcome
from powercal.fitting.likelihood_ratio import ChiBar, chi_bar, mixture
from powercal.fitting.problem import Problem
from powercal.schema import DeviceTraces
from tests.fitting.systems import DRIVEN, driven, problem_of

QUICK = {"intervals": "covariance"}
COLD = {**DRIVEN, "n_th": 0.0}


def ladder(traces: DeviceTraces, **wishes: Any) -> Ladder:
    return pc.ladder(traces, **{**QUICK, **wishes})


@cache
def of_power() -> Ladder:
    """Absorbed power, whose σ nobody gave; alone it cannot tell n_th from dephasing."""
    traces = driven(DRIVEN, "absorbed_power", seed=1, noise=0.05)
    return ladder(DeviceTraces(traces.drop_vars("absorbed_power_std")))


@cache
def of_both(quiet: bool = False) -> Ladder:
    truth = {**DRIVEN, "gamma_phi": 0.0} if quiet else DRIVEN
    return ladder(driven(truth, "absorbed_power", "excited_population", seed=5))


# ---- probabilities ----


def test_one_open_parameter_gains_by_chi2_with_one_degree_of_freedom() -> None:
    weights = mixture(np.eye(6)[:, :2], np.ones((6, 1)), [0])
    assert weights == (0.0, 1.0)
    # P(χ²₁ ≥ t) = erfc(√(t/2)), a closed form.
    assert ChiBar(weights).probability(4.0) == pytest.approx(erfc(sqrt(2.0)), rel=1e-12)


def test_a_parameter_that_starts_at_its_bound_gains_nothing_half_of_the_time() -> None:
    found = ChiBar(mixture(np.eye(6)[:, :2], np.ones((6, 1)), [1]))
    assert found.weights == (0.5, 0.5)
    assert found.probability(4.0) == pytest.approx(erfc(sqrt(2.0)) / 2, rel=1e-12)
    assert found.probability(0.0) == 1.0


def test_two_independent_parameters_at_their_bounds_give_a_quarter_a_half_a_quarter() -> None:
    added = np.eye(5)[:, 3:]
    assert mixture(np.eye(5)[:, :2], added, [1, -1]) == pytest.approx((0.25, 0.5, 0.25))


def test_correlated_bounds_have_the_weights_of_their_angle() -> None:
    # Columns 60° apart: the cone fills a sixth of the plane, its polar a third.
    added = np.array([[1.0, 0.5], [0.0, sqrt(0.75)], [0.0, 0.0]])
    base = np.array([[0.0], [0.0], [1.0]])
    assert mixture(base, added, [1, 1]) == pytest.approx((1 / 3, 1 / 2, 1 / 6))


def test_two_bounded_parameters_that_do_the_same_open_one_half_line() -> None:
    column = np.ones((6, 1))
    same, opposite = np.hstack([column, 2 * column]), np.hstack([column, -column])
    base = np.eye(6)[:, :1]
    assert mixture(base, same, [1, 1]) == (0.5, 0.5)
    assert mixture(base, opposite, [1, 1]) == (0.0, 1.0)


def test_an_open_parameter_beside_a_bounded_one_shifts_the_mixture_by_one() -> None:
    weights = mixture(np.eye(6)[:, :2], np.eye(6)[:, 2:4], [0, 1])
    assert weights == pytest.approx((0.0, 0.5, 0.5))
    # P(χ²₂ ≥ t) = exp(−t/2).
    expected = 0.5 * erfc(sqrt(1.5)) + 0.5 * exp(-1.5)
    assert ChiBar(weights).probability(3.0) == pytest.approx(expected, rel=1e-12)


def test_three_bounds_are_drawn_and_agree_with_the_octant() -> None:
    # Independent: binomial weights 1, 3, 3, 1 over 8; 4,000 draws have an error below 0.008.
    found = mixture(np.zeros((4, 0)), np.eye(4)[:, :3], [1, 1, 1])
    assert found == pytest.approx((0.125, 0.375, 0.375, 0.125), abs=0.03)


def test_what_the_data_do_not_see_adds_no_degree_of_freedom() -> None:
    base = np.eye(6)[:, :2]
    blind = np.hstack([np.zeros((6, 1)), base @ [[1.0], [2.0]]])
    assert mixture(base, blind, [1, 0]) == (1.0,)
    assert ChiBar((1.0,)).probability(0.0) == 1.0


def gains(truth: dict[str, float], sets: int) -> tuple[np.ndarray, Problem]:
    """Gains of a free n_th over n_th = 0 in many sets of data, all fitted at once."""
    inputs = {
        "incident_power": np.geomspace(2e-17, 2e-15, 4),
        "frequency": 5e9 + 6e5 * np.linspace(-2, 2, 9),
    }
    names = ("absorbed_power", "excited_population")
    one = driven(truth, *names, inputs=inputs)
    many = one.expand_dims(trace=sets).copy(deep=True)
    generator = np.random.default_rng(77)
    for name in names:
        clean = driven(truth, name, inputs=inputs, noise=1e-12)[name].values
        std = one[f"{name}_std"].values
        many[name] = (
            many[name].dims,
            clean + std * generator.standard_normal((sets, *clean.shape)),
        )
    many = DeviceTraces(many)
    wishes: dict[str, Any] = {"over": ("trace",), "observables": names}
    poor = pc.fit_many(many, "finite_temperature", fixed={"n_th": truth["n_th"]}, **wishes)
    rich = pc.fit_many(many, "finite_temperature", **wishes)
    problem, _ = problem_of(one, "finite_temperature", truth)
    return (poor["chi2"] - rich["chi2"]).values, problem


def kolmogorov(p: np.ndarray, top: float) -> float:
    """The largest distance of a sample from the uniform distribution on (0, top), times √n."""
    p = np.sort(p) / top
    ranks = np.arange(p.size + 1) / p.size
    return float(sqrt(p.size) * max(np.max(ranks[1:] - p), np.max(p - ranks[:-1])))


def test_the_probability_is_uniform_where_nothing_was_added() -> None:
    gained, problem = gains(DRIVEN, 300)
    found = chi_bar(problem, DRIVEN, {"n_th": DRIVEN["n_th"]})
    assert found.weights == (0.0, 1.0)
    p = np.array([found.probability(g) for g in gained])
    # Kolmogorov's √n·D exceeds 1.95 once in a thousand samples; the seed is fixed.
    assert kolmogorov(p, 1.0) < 1.95


def test_the_probability_is_uniform_at_a_bound_too_where_half_gain_nothing() -> None:
    gained, problem = gains(COLD, 300)
    found = chi_bar(problem, COLD, {"n_th": 0.0})
    assert found.weights == (0.5, 0.5)
    p = np.array([found.probability(g) for g in np.where(gained > 1e-6, gained, 0.0)])
    # Half of 300 have p = 1: binomial, standard deviation 8.7, within four of them.
    assert abs(np.sum(p == 1.0) - 150) < 35
    assert kolmogorov(p[p < 1], 0.5) < 1.95
    # Taken for a plain χ² the same gains would look less likely by chance than they are.
    plain = np.array([ChiBar((0.0, 1.0)).probability(g) for g in gained[p < 1]])
    assert kolmogorov(plain, 0.5) > 1.95


# ---- ladders ----


def test_each_true_content_is_wanted_and_the_last_rung_gives_the_truth() -> None:
    found = of_both()
    assert outcome(found["finite temperature"], found.steps) == "wanted"
    assert outcome(found["dephasing"], found.steps) == "wanted"
    gamma_1 = found["dephasing"].target
    assert gamma_1 is not None
    assert gamma_1.value == pytest.approx(DRIVEN["gamma_1"], abs=4.5 * (gamma_1.stderr or 0.0))


def test_content_that_is_not_there_is_not_wanted() -> None:
    step = of_both(quiet=True)["dephasing"]
    assert step.nested
    assert step.mixture == (0.5, 0.5)
    assert outcome(step, of_both(quiet=True).steps) == "unwanted"
    assert "'dephasing' is not wanted" in of_both(quiet=True).verdict


def test_degrees_of_freedom_count_rank_and_not_parameters() -> None:
    step = of_power()["dephasing"]
    assert step.rank == of_power()["finite temperature"].rank
    assert (step.more, step.probability) == (0, None)
    assert step.gain == pytest.approx(0.0, abs=1e-3)
    assert "gamma_phi, n_th, drive_scale not told apart" in of_power().verdict


def test_a_share_that_no_curve_shows_adds_nothing() -> None:
    step = of_power()["several channels"]
    assert (step.base, step.more) == ("one channel", 0)
    assert "'several channels' adds nothing that these data can tell" in of_power().verdict


def test_all_rungs_use_one_sigma_and_say_whose() -> None:
    found = of_power()
    assert "from the residuals of 'dephasing'" in found.weights
    sigmas = [s.result.curve["absorbed_power_sigma"].values for s in found.steps if s.result]
    assert len(sigmas) == 4
    assert all(np.array_equal(s, sigmas[0]) for s in sigmas)


def test_given_sigmas_are_kept() -> None:
    assert "as given" in of_both().weights


def test_a_rung_that_cannot_be_fitted_stands_there_with_its_reason() -> None:
    traces = driven(DRIVEN, "absorbed_power", seed=1)
    rungs = [
        ("cold", "single_channel", {}),
        ("decay", "free_decay", {}),
        ("warm", "finite_temperature", {}),
    ]
    found = ladder(traces, rungs=rungs)
    assert found["decay"].result is None
    assert found["decay"].reason
    assert "decay: not fitted: " in str(found)
    assert "'decay' could not be fitted" in found.verdict


def test_a_plugin_that_is_missing_is_named() -> None:
    rungs = [("cold", "single_channel", {}), ("gone", "no_such_model", {})]
    found = ladder(driven(DRIVEN, "absorbed_power", seed=1), rungs=rungs)
    assert "there is no model 'no_such_model'" in found["gone"].reason


def test_gamma_1_that_loses_its_number_is_said_to_be_open() -> None:
    truth = {"qubit_frequency": 5e9, "gamma_r": 8e6, "n_th": 0.03, "attenuation_db": 60.0}
    traces = pc.simulate(
        "reflection",
        {**truth, "manifold_weight": 0.9},
        inputs={
            "incident_power": np.geomspace(1e-12, 1e-9, 4),
            "frequency": 5e9 + 1e6 * np.linspace(-8, 8, 41),
        },
        seed=2,
        noise={"reflection": 0.01},
        observables=("reflection",),
        setup="referenced",
        convention="+i",
    )
    traces = traces.assign_attrs(setup="referenced", detection="coherent")
    found = ladder(DeviceTraces(traces), convention="+i")
    warm = found["finite temperature"]
    assert warm.target is not None
    assert (warm.target.status, warm.target.value) == ("undetermined", None)
    assert "gamma_1 has no number any more: only gamma_1_tot" in warm.note
    assert "has no number on 'finite temperature', 'dephasing'" in found.verdict
    # Internal loss and a share of the time flatten the circle alike.
    assert "the same curve as 'two channels'" in found.verdict


def test_models_that_are_not_nested_are_compared_by_information_alone() -> None:
    rungs = [
        ("white", "finite_temperature", {"fixed": {"n_th": 0.06}}),
        ("slow", "finite_temperature", {"broadening": "gaussian", "fixed": {"gamma_phi": 0.0}}),
    ]
    found = ladder(driven(DRIVEN, "absorbed_power", seed=1), rungs=rungs)
    step = found["slow"]
    assert (step.nested, step.probability) == (False, None)
    assert "ΔAICc" in found.verdict


def test_a_ladder_of_the_users_own_finds_what_is_nested() -> None:
    rungs = [
        pc.Rung(label="held", model="finite_temperature", wishes={"fixed": {"n_th": 0.02}}),
        pc.Rung(label="free", model="finite_temperature"),
    ]
    step = ladder(driven(DRIVEN, "absorbed_power", "excited_population", seed=1), rungs=rungs)[
        "free"
    ]
    # n_th = 0.02 is no bound: the plain χ² holds.
    assert (step.nested, step.mixture) == (True, (0.0, 1.0))


def test_a_common_prior_that_a_rung_has_no_room_for_forbids_likelihood_ratios() -> None:
    traces = driven(DRIVEN, "absorbed_power", seed=1)
    rungs = [("cold", "single_channel", {}), ("warm", "finite_temperature", {})]
    found = ladder(traces, rungs=rungs, priors={"T1": (1 / 6.72e6, 2e-9), "n_th": (0.06, 0.01)})
    assert "priors of n_th set aside: the model does not have it" in found["cold"].note
    assert not found["warm"].nested


def test_spikes_are_dropped_on_all_rungs_alike() -> None:
    traces = driven(DRIVEN, "absorbed_power", seed=1)
    traces["absorbed_power"][3, 12] += 40 * float(traces["absorbed_power_std"][3, 12])
    rungs = [
        ("cold", "finite_temperature", {"fixed": {"n_th": 0.0, "gamma_phi": 1e6}}),
        ("warm", "finite_temperature", {"fixed": {"gamma_phi": 1e6}}),
    ]
    found = ladder(traces, rungs=rungs, drop_spikes=True)
    points = [s.result.ndata for s in found.steps if s.result is not None]
    assert points == [199, 199]
    assert "1 point left out as spikes of 'warm'" in found.weights


# ---- what is refused ----


@pytest.mark.parametrize(
    ("rungs", "sentence"),
    [
        ([("a", "single_channel", {})], "a ladder has 1 rungs; give at least two"),
        ([("a", "single_channel", {})] * 2, "two rungs are called 'a'; give each a name"),
        (
            [
                pc.Rung(label="a", model="single_channel", contains={"b": {}}),
                pc.Rung(label="b", model="finite_temperature"),
            ],
            "rung 'a' contains 'b', which is not below it",
        ),
    ],
    ids=["one rung", "one name twice", "upside down"],
)
def test_a_ladder_that_makes_no_sense_is_refused(rungs: Any, sentence: str) -> None:
    with pytest.raises(FitError, match=sentence):
        pc.ladder(driven(DRIVEN, "absorbed_power"), rungs)


def test_data_without_a_ladder_of_their_own_ask_for_rungs() -> None:
    decay = pc.simulate(
        "free_decay",
        {"p_0": 0.9, "p_eq": 0.1, "gamma_1_tot": 1e5},
        inputs={"time": np.linspace(0, 5e-5, 20)},
        seed=1,
        noise={"excited_population": 0.01},
    )
    with pytest.raises(FitError, match=r"there is no ladder of its own for .*give the rungs"):
        pc.ladder(pc.to_device_plane(decay))


def test_no_rung_that_fits_is_refused_with_the_first_reason() -> None:
    rungs = [("a", "free_decay", {}), ("b", "power_balance", {})]
    with pytest.raises(FitError, match="no rung of the ladder can be fitted to these data"):
        pc.ladder(driven(DRIVEN, "absorbed_power"), rungs)


def test_an_unknown_label_lists_the_rungs() -> None:
    with pytest.raises(UnknownNameError, match="there is no rung 'warm'"):
        of_power()["warm"]


def test_the_table_has_a_row_for_every_rung_and_ends_with_the_verdict() -> None:
    text = str(of_power())
    for step in of_power().steps:
        assert f"\n{step.label}" in text
    assert text.splitlines()[-1] == f"verdict: {of_power().verdict}"
