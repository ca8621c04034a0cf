"""Whether measurements agree on what they share: a probability that can be believed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import powercal as pc
from powercal.errors import FitError
from powercal.fitting.joint_build import JointRequest, assemble
from powercal.fitting.joint_problem import JointProblem, with_pieces
from powercal.fitting.solve import search
from powercal.fitting.tension import joint_tension
from powercal.schema import DeviceTraces
from tests.fitting.systems import DRIVEN, Array, driven, sweep
from tests.fitting.test_joint import P_EQ, TOTAL, decay, raw_decay, small

FAST: Any = {"intervals": "covariance"}


def two_decays(**second: Any) -> dict[str, pc.Part]:
    """Two populations against time, which agree unless told otherwise."""
    return {
        "first": pc.Part(decay(seed=1), "free_decay"),
        "second": pc.Part(decay(seed=2, **second), "free_decay"),
    }


def redrawn(problem: JointProblem, x: Array, seed: int) -> JointProblem:
    """The same measurement again: new noise about the curve at x."""
    generator = np.random.default_rng(seed)
    pieces = []
    for piece in problem.pieces:
        curves = piece.problem.predict(problem.local(piece, x))
        blocks = tuple(
            replace(b, data=c + b.sigma * generator.standard_normal(b.data.size))
            for b, c in zip(piece.problem.blocks, curves, strict=True)
        )
        pieces.append(replace(piece, problem=replace(piece.problem, blocks=blocks)))
    return with_pieces(problem, pieces, None)


def probabilities(count: int) -> tuple[Array, Array]:
    """Probabilities and pulls of Γ₁tot of consistent measurements: two decays, and a third."""
    parts = {**two_decays(), "third": pc.Part(raw_decay(), "free_decay")}
    ready = assemble(parts, JointRequest(own=("p_0",), derived=()))
    signal = {"offset": 1e-3, "contrast": 8e-4, "first.p_0": 0.9, "second.p_0": 0.9}
    truth = ready.problem.start_from({"gamma_1_tot": TOTAL, "p_eq": P_EQ, **signal})
    found, pulls = [], []
    for seed in range(count):
        problem = redrawn(ready.problem, truth, seed)
        tension = joint_tension(problem, search(problem, truth).x, ("gamma_1_tot",))
        assert tension.constraints == 3
        found.append(tension.probability)
        pulls += [d.sigmas for d in tension.disagreements if d.part == "third"]
    return np.array(found), np.array(pulls)


def is_uniform(sample: Array) -> bool:
    from scipy.stats import kstest

    # Refused by chance once in a thousand; the seeds were fixed before the first run.
    return bool(kstest(sample, "uniform").pvalue > 1e-3)


def test_the_probability_of_consistent_parts_is_uniform() -> None:
    found, pulls = probabilities(30)
    assert is_uniform(found)
    assert abs(pulls.mean()) < 4 / np.sqrt(pulls.size)
    assert abs(pulls.std() - 1) < 4 / np.sqrt(2 * pulls.size)


@pytest.mark.statistics
def test_the_probability_is_uniform_over_many_sets() -> None:
    found, pulls = probabilities(600)
    assert is_uniform(found)
    assert abs(pulls.std() - 1) < 4 / np.sqrt(2 * pulls.size)


def test_a_rate_that_is_five_errors_off_is_found_and_named() -> None:
    agree = pc.fit_jointly(two_decays(), **FAST)
    assert agree.tension.constraints == 3
    assert agree.tension.probability > 1e-3
    assert agree.verdicts["adequate"]
    alone = pc.fit(decay(seed=1), "free_decay", **FAST)["gamma_1_tot"]
    # Seven errors of one are five of the difference of two.
    off = pc.fit_jointly(two_decays(total=TOTAL + 7 * alone.stderr), **FAST)
    assert off.tension.probability < 1e-3
    worst = off.tension.disagreements[0]
    assert (worst.name, worst.part, worst.against) == ("gamma_1_tot", "first", "the rest")
    assert 3 < -worst.sigmas < 7
    (flag,) = [f for f in off.flags if f.name == "tension"]
    assert "gamma_1_tot disagrees most: first against the rest by" in flag.sentence
    assert not off.verdicts["adequate"]


def test_the_difference_is_that_of_two_fits_and_their_errors() -> None:
    found = pc.fit_jointly(two_decays(), own=("p_0",), **FAST).tension
    one, two = (pc.fit(decay(seed=s), "free_decay", **FAST) for s in (1, 2))
    for d in found.disagreements:
        a, b = one[d.name], two[d.name]
        assert d.difference == pytest.approx(a.value - b.value, abs=1e-5 * d.stderr)
        assert d.stderr == pytest.approx(np.hypot(a.stderr, b.stderr), rel=1e-6)
    whole = pc.fit_jointly(two_decays(), own=("p_0",), **FAST)
    assert found.chi2 == pytest.approx(whole.chi2 - one.chi2 - two.chi2, abs=1e-6)
    assert found.of_parts == pytest.approx({"first": one.chi2, "second": two.chi2})


def test_what_both_know_from_one_prior_is_no_agreement() -> None:
    prior = {"p_eq": (0.06, 1e-4)}
    found = pc.fit_jointly(two_decays(), priors=prior, own=("p_0",), **FAST).tension
    # The prior outweighs both parts: they cannot differ in what it says.
    assert found.constraints == 3
    free = pc.fit_jointly(two_decays(), own=("p_0",), **FAST).tension
    size = {d.name: d.stderr for d in found.disagreements}
    assert size["p_eq"] < 0.05 * {d.name: d.stderr for d in free.disagreements}["p_eq"]


def test_parts_that_share_nothing_twice_neither_agree_nor_disagree() -> None:
    parts = {
        "sweep": pc.Part(small(), "finite_temperature"),
        "decay": pc.Part(raw_decay(), "free_decay"),
    }
    result = pc.fit_jointly(parts, **FAST)
    assert result.tension.constraints == 0
    assert np.isnan(result.tension.probability)
    assert result.tension.disagreements == ()
    assert "nothing is determined twice" in str(result)


def test_constraints_are_counted_by_rank_where_a_part_alone_is_degenerate() -> None:
    parts = {
        "sweep": pc.Part(small(), "finite_temperature"),
        "decay": pc.Part(decay(), "free_decay"),
    }
    # Four numbers of the sweep and three of the decay for six: one is known twice, Γ₁.
    assert pc.fit_jointly(parts, **FAST).tension.constraints == 1


def test_two_observables_of_one_fit_are_compared() -> None:
    names = ("absorbed_power", "excited_population")
    traces = driven(DRIVEN, *names, noise=5e-3, inputs=sweep(DRIVEN, 5, 13))
    agree = pc.tension(pc.fit(traces, "finite_temperature", **FAST))
    assert agree.constraints == 3  # f₀, Γ₂, k/Γ₁tot: 4 + 4 − 5
    assert agree.probability > 1e-3
    moved = traces.assign_coords(frequency=traces["frequency"])
    moved["absorbed_power"] = moved["absorbed_power"].roll(frequency=1)
    off = pc.tension(pc.fit(DeviceTraces(moved), "finite_temperature", **FAST))
    assert off.probability < 1e-3
    assert off.disagreements[0].name == "qubit_frequency"


def test_estimated_noise_widens_the_distribution() -> None:
    both = two_decays(total=1.03 * TOTAL)
    traces = {n: p.traces.drop_vars("excited_population_std") for n, p in both.items()}
    parts = {n: pc.Part(DeviceTraces(t), "free_decay") for n, t in traces.items()}
    found = pc.fit_jointly(parts, **FAST).tension
    from scipy.stats import chi2

    # Where σ comes from the residuals large values are likelier than with a known σ.
    assert chi2.sf(found.chi2, found.constraints) < found.probability < 0.05


def test_a_joint_result_brings_its_tension_along() -> None:
    result = pc.fit_jointly(two_decays(), **FAST)
    assert pc.tension(result) is result.tension


def test_one_observable_alone_is_refused() -> None:
    with pytest.raises(
        FitError, match="only excited_population was fitted, and tension is between"
    ):
        pc.tension(pc.fit(decay(), "free_decay", **FAST))
