"""Samples of the posterior: the fit's own χ², a stated prior, and a chain that may be doubted."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import powercal as pc
from powercal.errors import FitError, UnknownNameError
from powercal.fitting.again import rebuild
from powercal.fitting.posterior import Posterior, quantity_of
from powercal.fitting.sampling import Samples, sample
from powercal.result import FitResult
from powercal.schema import DeviceTraces
from powercal.text.samples import samples_json
from tests.fitting.polynomials import (
    PARABOLA,
    TIMES,
    Array,
    design,
    fitted,
    measured,
    model_of,
    offered,
)
from tests.fitting.systems import DRIVEN, F0, REFLECTED, driven, reflected, sweep

walking = pytest.mark.skipif(find_spec("emcee") is None, reason="needs the extra mcmc")
SIGMA = 0.05


@pytest.fixture(autouse=True)
def _offered(monkeypatch: pytest.MonkeyPatch) -> None:
    offered(monkeypatch, PARABOLA, JUMPY)


def jumpy(time: Any, *, a: Any, b: Any) -> tuple[Any]:
    """A curve of single numbers: it cannot take many walkers at once."""
    return (np.full_like(time, float(a)) + float(b) * time / 11,)


JUMPY = dataclasses.replace(model_of(jumpy, ("a", "b")), name="jumpy")


def noisy(seed: int = 0) -> Array:
    truth = design() @ np.array([0.4, -0.3, 0.5])
    return truth + SIGMA * np.random.default_rng(seed).standard_normal(TIMES.size)


def balance(n_th: float = 0.2, seed: int = 2) -> DeviceTraces:
    return DeviceTraces(
        pc.simulate(
            "power_balance",
            {"gamma_1": 6e6, "n_th": n_th},
            inputs={"excited_population": np.linspace(0.15, 0.45, 30), "frequency": F0},
            seed=seed,
            noise={"absorbed_power": 2e-19},
        )
    )


@pytest.fixture(scope="module")
def quick() -> FitResult:
    return pc.fit(balance(), "power_balance")


@pytest.fixture(scope="module")
def chain(quick: FitResult) -> Samples:
    return sample(quick, walkers=24, steps=800, seed=1)


# ---- the posterior is the fit's own ----


def with_line() -> FitResult:
    line = pc.LineCalibration(attenuation_db=(70.0, 0.4), gain_db=(30.0, 0.3))
    raw = driven(DRIVEN, "absorbed_power", gain_db=30.0, attenuation_db=70.0, seed=1)
    return pc.fit(
        pc.to_device_plane(raw, line),  # type: ignore[arg-type]
        "finite_temperature",
        priors={"T1": (1.5e-7, 2e-8)},
        fixed={"n_th": 0.06},
        intervals="covariance",
    )


def with_members() -> FitResult:
    traces = reflected(REFLECTED, inputs=sweep(REFLECTED, powers=3), seed=1)
    set_up = {"setup": "device", "convention": "+i"}
    per = {"qubit_frequency": "power"}
    return pc.fit(traces, "reflection", per=per, intervals="covariance", **set_up)


@pytest.mark.parametrize("made", [with_line, with_members])
def test_walkers_see_the_chi2_of_the_fit_all_at_once(made: Callable[[], FitResult]) -> None:
    problem, x = rebuild(made())
    posterior = Posterior(problem)
    points = x + 0.03 * np.random.default_rng(0).standard_normal((5, x.size))
    points = np.clip(points, problem.lower, problem.upper)
    sure = [-0.5 * float(np.sum(problem.residual(p) ** 2)) for p in points]
    assert posterior.vectorised
    np.testing.assert_allclose(posterior(points), sure, rtol=1e-9)


def test_a_curve_that_takes_one_trace_only_is_asked_walker_by_walker() -> None:
    result = fitted(JUMPY, measured(JUMPY, noisy(), SIGMA), intervals="covariance")
    problem, x = rebuild(result)
    posterior = Posterior(problem)
    assert not posterior.vectorised
    assert posterior(x[None])[0] == pytest.approx(-0.5 * result.chi2, rel=1e-9)


def test_outside_the_bounds_there_is_no_probability(quick: FitResult) -> None:
    problem, x = rebuild(quick)
    outside = x.copy()
    outside[[c.name for c in problem.coordinates].index("n_th")] = problem.lower.max() - 0.1
    below = np.where(np.isfinite(problem.lower), problem.lower - 0.1, x)
    assert Posterior(problem)(np.stack([x, below]))[1] == -np.inf


def test_flat_in_the_value_means_the_slope_of_the_logarithm(quick: FitResult) -> None:
    problem, x = rebuild(quick)
    points = np.stack([x, x + 0.1])
    by_measure = [Posterior(problem, m)(points) for m in ("coordinate", "value")]  # type: ignore[arg-type]
    # One rate, gamma_1: its density per logarithm grows as itself.
    np.testing.assert_allclose(np.diff(by_measure[1] - by_measure[0]), 0.1, rtol=1e-9)


def test_a_noise_that_is_not_given_is_integrated_over() -> None:
    problem, x = rebuild(
        fitted(PARABOLA, measured(PARABOLA, noisy(), None), intervals="covariance")
    )
    posterior = Posterior(problem)
    points = np.stack([x, x + np.array([1.0, 0.0, -0.5])])
    squares = [float(np.sum(problem.residual(p) ** 2)) for p in points]
    told = -0.5 * TIMES.size * np.log(squares[1] / squares[0])
    assert np.diff(posterior(points))[0] == pytest.approx(told, rel=1e-9)
    assert "integrated over" in posterior.noise_in_words()


def test_derived_quantities_of_many_points_are_those_of_each(quick: FitResult) -> None:
    problem, x = rebuild(quick)
    points = x + 0.1 * np.random.default_rng(3).standard_normal((4, x.size))
    points = np.clip(points, problem.lower, problem.upper)
    for name in ("T1", "p_eq", "gamma_1"):
        sure = [problem.quantity(name, p) for p in points]
        np.testing.assert_allclose(quantity_of(problem, points, name), sure, rtol=1e-12)


# ---- the chain ----


def agreement(result: FitResult, samples: Samples, name: str) -> list[float]:
    """Distances of both 68 % ends from the best value, sampled over profiled."""
    found, row = result[name], samples[name]
    assert found.value is not None
    assert found.interval68 is not None
    assert row.interval68 is not None
    return [
        (mine - found.value) / (theirs - found.value)
        for mine, theirs in zip(row.interval68, found.interval68, strict=True)
    ]


@walking
def test_sampled_and_profiled_intervals_agree(quick: FitResult, chain: Samples) -> None:
    assert chain.converged, chain.verdict
    for name in quick.names:
        # Effective sizes above 1200: an end is known to 1.5/√1200 = 4 % of σ.
        np.testing.assert_allclose(agreement(quick, chain, name), 1.0, atol=0.12)


@walking
def test_the_spread_is_neither_too_small_nor_too_large(quick: FitResult, chain: Samples) -> None:
    shape = chain.covariance / quick.covariance
    # 1/√(2·1200) = 2 % for a standard deviation, twice that for a variance; three of these.
    np.testing.assert_allclose(np.diag(shape), 1.0, atol=0.13)
    assert chain.parameters == quick.names


@walking
def test_the_same_seed_gives_the_same_chain(quick: FitResult) -> None:
    one, two, other = (sample(quick, walkers=8, steps=120, seed=seed).chain for seed in (5, 5, 6))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


@walking
def test_derived_quantities_are_sampled_with_their_parameters(chain: Samples) -> None:
    t1, gamma_1, n_th = chain.flat("T1", "gamma_1", "n_th").T
    np.testing.assert_allclose(t1, 1 / (gamma_1 * (1 + 2 * n_th)), rtol=1e-12)
    assert chain["T1"].unit == "s"


@walking
def test_a_short_chain_is_not_believed(quick: FitResult) -> None:
    found = sample(quick, walkers=16, steps=150, seed=0)
    assert not found.converged
    assert "take more steps" in found.verdict


@walking
def test_a_limit_stays_one_sided_and_inside_the_bound() -> None:
    result = pc.fit(balance(n_th=0.002, seed=4), "power_balance")
    assert result["n_th"].status == "upper_limit"
    samples = sample(result, walkers=16, steps=400)
    found = samples["n_th"]
    assert found.limit95 is not None
    assert found.densest95 is not None
    assert 0 <= found.densest95[0] < 0.05 * found.limit95
    assert "(95 %, one-sided quantile)" in str(samples)


@walking
def test_of_flat_directions_no_number_is_given_even_when_they_are_sampled() -> None:
    priors = {"gamma_phi": (1e6, 5e5), "n_th": (0.06, 0.03)}
    traces = driven(DRIVEN, "absorbed_power", seed=1)
    result = pc.fit(traces, "finite_temperature", priors=priors, intervals="covariance")
    estimates = tuple(
        dataclasses.replace(e, status="undetermined", value=None, stderr=None, allowed=(0.0, 1.0))
        if e.name == "n_th"
        else e
        for e in result.parameters
    )
    flat = dataclasses.replace(result, parameters=estimates)
    found = sample(flat, steps=100, undetermined=True)
    row = found["n_th"]
    assert (row.mean, row.median, row.std, row.interval68, row.densest95) == (None,) * 5
    assert row.allowed == (0.0, 1.0)
    assert "n_th" not in found.parameters
    assert "undetermined; no number" in str(found)


@walking
def test_the_chain_becomes_a_dataset_and_plain_data(chain: Samples) -> None:
    data = chain.to_xarray()
    assert data["value"].dims == ("step", "walker", "quantity")
    one = data["value"].sel(quantity="n_th").values.ravel()
    np.testing.assert_array_equal(one, chain.flat("n_th")[:, 0])
    assert data.attrs["measure"] == "coordinate"
    plain = samples_json(chain)
    assert plain["quantities"]["n_th"]["interval68"] == list(chain["n_th"].interval68 or ())
    with pytest.raises(UnknownNameError, match="did you mean 'n_th'"):
        chain["n_ht"]


@walking
def test_the_page_says_the_prior_measure_and_what_the_other_would_do(chain: Samples) -> None:
    page = str(chain)
    assert "flat in the logarithm of gamma_1 and in the value of n_th inside the bounds" in page
    assert "the default is 'coordinate'" in page
    assert "measure='value' would move" in page
    assert chain.verdict in page


@walking
def test_the_told_effect_of_the_other_measure_is_what_it_does() -> None:
    # Few and noisy points: the rate is known to a sixth, and the measure matters.
    traces = DeviceTraces(
        pc.simulate(
            "power_balance",
            {"gamma_1": 6e6, "n_th": 0.2},
            inputs={"excited_population": np.linspace(0.25, 0.45, 8), "frequency": F0},
            seed=2,
            noise={"absorbed_power": 3e-18},
        )
    )
    result = pc.fit(traces, "power_balance", fixed={"n_th": 0.2})
    row = sample(result, walkers=16, steps=300)["gamma_1"]
    assert row.mean is not None
    assert row.std is not None
    # Flat in the value gives the weight of the value itself: the mean moves by variance/value.
    assert row.measure_shift == pytest.approx(row.std / row.mean, rel=0.1)
    assert row.measure_shift > 0.1


@walking
@pytest.mark.statistics
@pytest.mark.parametrize("case", ["driven", "reflected", "balance"])
def test_samples_and_profiles_agree_within_a_tenth(case: str) -> None:
    results = {
        "driven": lambda: pc.fit(
            driven(DRIVEN, "absorbed_power", "excited_population", seed=2), "finite_temperature"
        ),
        "reflected": lambda: pc.fit(
            reflected(REFLECTED, seed=2),
            "reflection",
            setup="device",
            convention="+i",
            fixed={"n_th": 0.05, "gamma_phi": 8e5},
        ),
        "balance": lambda: pc.fit(balance(n_th=0.3, seed=7), "power_balance"),
    }
    result = results[case]()
    assert not result.undetermined
    samples = sample(result, steps=8000, seed=1)
    assert samples.converged, samples.verdict
    checked = [e.name for e in (*result.parameters, *result.derived) if e.status == "ok"]
    for name in checked:
        # Effective sizes above 5000: an end is known to 2 % of σ.
        np.testing.assert_allclose(agreement(result, samples, name), 1.0, atol=0.1, err_msg=name)


# ---- refusals ----


def test_without_emcee_it_says_how_to_get_it(
    quick: FitResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "emcee", None)
    with pytest.raises(FitError, match=r"pip install 'powercal\[mcmc\]'"):
        sample(quick)


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"measure": "jeffreys"}, "must be 'coordinate' or 'value'"),
        ({"steps": 10}, "a chain needs 100 or more"),
        ({"walkers": 3}, "an even number of 4 or more"),
    ],
)
def test_wishes_that_make_no_sense_are_refused(
    quick: FitResult, wishes: dict[str, Any], message: str
) -> None:
    with pytest.raises(FitError, match=message):
        sample(quick, **wishes)


def test_a_flat_direction_has_no_posterior_unless_asked_for() -> None:
    traces = driven(DRIVEN, "absorbed_power", seed=1)
    result = pc.fit(traces, "finite_temperature", intervals="covariance")
    with pytest.raises(FitError, match=r"n_th, drive_scale are not determined.*add a prior"):
        sample(result)
    with pytest.raises(FitError, match="gamma_phi is undetermined and has no bound at 0 … inf"):
        sample(result, undetermined=True)


def test_several_fits_are_refused(quick: FitResult) -> None:
    with pytest.raises(FitError, match="takes the result of one fit, not Dataset"):
        sample(quick.traces)  # type: ignore[arg-type]


def test_without_a_degree_of_freedom_there_is_nothing_to_sample(quick: FitResult) -> None:
    with pytest.raises(FitError, match="no degree of freedom"):
        sample(dataclasses.replace(quick, nfree=0))
