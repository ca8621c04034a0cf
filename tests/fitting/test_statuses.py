"""Every status a parameter can have, and the flags beside it, on data made to cause them."""

from __future__ import annotations

import numpy as np
import pytest

import powercal as pc
from powercal.result import FitResult
from powercal.schema import DeviceTraces
from tests.fitting.systems import DRIVEN, F0, REFLECTED, driven, reflected, sweep

COLD = DRIVEN | {"n_th": 0.0}
BALANCE = {"gamma_1": 6e6, "n_th": 0.0}
COUNTS = [12, pytest.param(60, marks=pytest.mark.statistics)]


def balance(n_th: float, seed: int, noise: float = 2e-19) -> DeviceTraces:
    """Thirty powers against populations: the quickest data that know n_th."""
    return DeviceTraces(
        pc.simulate(
            "power_balance",
            BALANCE | {"n_th": n_th},
            inputs={"excited_population": np.linspace(0.05, 0.45, 30), "frequency": F0},
            seed=seed,
            noise={"absorbed_power": noise},
        )
    )


def flags(result: FitResult) -> set[str]:
    return {f.name for f in result.flags}


def test_a_cold_bath_gives_an_upper_limit_and_never_zero_without_an_error() -> None:
    traces = driven(COLD, "absorbed_power", "excited_population", seed=81)
    for intervals in ("profile", "covariance"):
        found = pc.fit(traces, "finite_temperature", intervals=intervals)["n_th"]
        assert found.status == "upper_limit", found
        assert found.stderr is None
        assert found.interval95 is not None
        # From the profile the lower end is the bound itself; the covariance knows no bound.
        assert found.interval95[0] == 0.0
        assert 0 < found.interval95[1] < 0.02


def test_the_temperature_of_an_upper_limit_is_an_upper_limit() -> None:
    traces = driven(COLD, "absorbed_power", "excited_population", seed=81)
    found = pc.fit(traces, "finite_temperature")["T_eff"]
    assert found.status == "upper_limit"
    assert found.stderr is None
    assert found.interval95 is not None
    assert found.interval95[0] == 0.0
    assert 0 < found.interval95[1] < 0.08


@pytest.mark.parametrize("count", COUNTS)
def test_an_upper_limit_always_contains_a_truth_of_zero(count: int) -> None:
    """At the bound the profile interval (0, u) covers for every noise: its low end is the bound."""
    statuses = []
    for seed in range(count):
        found = pc.fit(balance(0.0, seed), "power_balance")["n_th"]
        assert found.interval95 is not None
        covered = found.interval95[0] <= 0.0 <= found.interval95[1]
        # A fluctuation of 1.96 σ upwards, one in forty, is a detection at 95 %: no limit any more.
        assert covered or found.status == "ok", found
        statuses.append((found.status, covered))
    # 2.5 % of 60 is 1.5 ± 1.2, of 12 it is 0.3 ± 0.5: no more than four standard deviations above.
    assert sum(not covered for _, covered in statuses) <= 0.025 * count + 4 * np.sqrt(0.025 * count)
    assert all(covered for status, covered in statuses if status == "upper_limit")


@pytest.mark.parametrize("count", COUNTS)
def test_the_interval_of_a_small_occupation_covers_it(count: int) -> None:
    inside = 0
    for seed in range(count):
        interval = pc.fit(balance(0.01, 1000 + seed), "power_balance")["n_th"].interval95
        assert interval is not None
        inside += interval[0] <= 0.01 <= interval[1]
    # 95 % of 60 is 57 ± 1.7, of 12 it is 11.4 ± 0.8: three and a half standard deviations below.
    assert inside >= 0.95 * count - 3.5 * np.sqrt(0.95 * 0.05 * count)


def test_a_full_manifold_set_free_is_at_its_bound() -> None:
    cold = REFLECTED | {"gamma_i": 0.0, "gamma_phi": 0.0, "n_th": 0.0, "attenuation_db": 0.0}
    result = pc.fit(
        reflected(cold, seed=82),
        "reflection",
        free=("manifold_weight",),
        setup="device",
        convention="+i",
    )
    found = result["manifold_weight"]
    assert found.status == "at_bound", found
    assert found.stderr is None
    assert found.interval95 is not None
    assert found.interval95[1] == 1.0
    assert 0.9 < found.interval95[0] < 1.0


def test_as_many_points_as_parameters_give_no_error_and_say_why() -> None:
    traces = pc.traces(
        excited_population=[0.2, 0.4],
        absorbed_power=[2e-18, 6e-18],
        incident_power=[1e-17, 1e-16],
        frequency=F0,
        units={
            "excited_population": "1",
            "absorbed_power": "W",
            "incident_power": "W",
            "frequency": "Hz",
        },
        plane="device",
    )
    result = pc.fit(DeviceTraces(traces), "power_balance")
    found = result["gamma_1"]
    assert found.status == "no_error"
    assert found.stderr is None
    assert found.value is not None
    assert "no more data than parameters" in found.reason
    assert result.nfree == 0


def test_a_fixed_parameter_says_whether_it_was_assumed_or_asked_for() -> None:
    result = pc.fit(
        driven(DRIVEN, seed=83),
        "finite_temperature",
        fixed={"n_th": 0.06},
        intervals="covariance",
    )
    assert (result["n_th"].status, result["n_th"].reason) == ("fixed", "fixed by request")
    cold = REFLECTED | {"gamma_i": 0.0, "gamma_phi": 0.0, "n_th": 0.0, "attenuation_db": 0.0}
    result = pc.fit(
        reflected(cold), "reflection", setup="device", convention="+i", intervals="covariance"
    )
    assert (result["n_th"].status, result["n_th"].reason) == ("fixed", "assumed")


@pytest.mark.parametrize(("factor", "word"), [(0.5, "larger"), (2.0, "smaller")])
def test_a_wrong_sigma_is_flagged_and_never_repaired_behind_the_back(
    factor: float, word: str
) -> None:
    traces = driven(DRIVEN, "absorbed_power", "excited_population", seed=84)
    stated = {f"{n}_std": traces[f"{n}_std"] for n in ("absorbed_power", "excited_population")}
    wrong = DeviceTraces(traces.assign({n: s * factor for n, s in stated.items()}))
    for name in stated:
        wrong[name].attrs = dict(stated[name].attrs)
    right = pc.fit(traces, "finite_temperature", intervals="covariance")
    result = pc.fit(wrong, "finite_temperature", intervals="covariance")
    assert "chi2" not in flags(right)
    assert "chi2" in flags(result)
    sentence = next(f.sentence for f in result.flags if f.name == "chi2")
    assert word in sentence
    assert not result.verdicts["adequate"]
    for e in right.parameters:
        assert e.stderr is not None
        # Errors follow the σ that was stated, to the digit: nothing is rescaled by √χ².
        assert result[e.name].stderr == pytest.approx(factor * e.stderr, rel=1e-6)
        assert result[e.name].value == pytest.approx(e.value, abs=1e-6 * e.stderr, rel=1e-15)
    assert result.chi2 == pytest.approx(right.chi2 / factor**2, rel=1e-9)


def test_data_without_noise_are_flagged_and_break_nothing() -> None:
    grid = sweep(DRIVEN, 5, 11)
    both = ("absorbed_power", "excited_population")
    traces = driven(DRIVEN, *both, noise=0.0, seed=85, inputs=grid)
    result = pc.fit(traces, "finite_temperature", intervals="covariance")
    assert "no_noise" in flags(result)
    for name, truth in DRIVEN.items():
        assert result[name].value == pytest.approx(truth, rel=1e-6)


@pytest.mark.statistics
def test_profiles_of_data_without_noise_break_nothing() -> None:
    """Searches without noise never end by themselves: long. In every run: the two points below."""
    both = ("absorbed_power", "excited_population")
    traces = driven(DRIVEN, *both, noise=0.0, seed=85, inputs=sweep(DRIVEN, 5, 11))
    result = pc.fit(traces, "finite_temperature")
    assert "no_noise" in flags(result)
    for name, truth in DRIVEN.items():
        assert result[name].value == pytest.approx(truth, rel=1e-6)


def test_degenerate_data_without_noise_are_still_degenerate() -> None:
    traces = driven(DRIVEN, noise=0.0, seed=85)
    result = pc.fit(traces, "finite_temperature", intervals="covariance")
    assert set(result.undetermined) == {"n_th", "gamma_phi", "drive_scale"}
    assert result["gamma_1"].value == pytest.approx(DRIVEN["gamma_1"], rel=1e-6)


def test_an_unknown_sigma_is_found_per_trace() -> None:
    """Noise that grows with power: σ of each trace to ten per cent."""
    powers, points = 6, 601
    size = 1e-18 * np.geomspace(1, 30, powers)
    inputs = sweep(DRIVEN, powers, points)
    traces = DeviceTraces(
        pc.simulate(
            "finite_temperature",
            DRIVEN,
            inputs=inputs,
            seed=86,
            noise={"absorbed_power": size[:, None]},
            observables=("absorbed_power",),
            detection="absorbed",
            state_noise=False,
        )
    )
    result = pc.fit(traces, "finite_temperature", intervals="covariance")
    sigma = result.curve["absorbed_power_sigma"].transpose("power", "frequency").values
    assert (np.ptp(sigma, axis=1) == 0).all()
    # One σ from 601 points has an error of 1/√1202 = 2.9 %: 10 % is 3.5 of these.
    np.testing.assert_allclose(sigma[:, 0], size, rtol=0.10)
    assert "per trace" in result.weights
    assert result.chi2 == pytest.approx(result.nfree, rel=1e-3)


def test_an_unknown_sigma_gives_the_errors_of_the_known_one() -> None:
    known = driven(DRIVEN, "absorbed_power", "excited_population", seed=87)
    unknown = DeviceTraces(known.drop_vars(["absorbed_power_std", "excited_population_std"]))
    right = pc.fit(known, "finite_temperature", intervals="covariance")
    found = pc.fit(unknown, "finite_temperature", intervals="covariance")
    for e in right.parameters:
        assert e.value is not None
        assert e.stderr is not None
        # σ of 25 points is known to 14 %, eight traces and two observables to 4 %.
        assert found[e.name].stderr == pytest.approx(e.stderr, rel=0.15)
        assert found[e.name].value == pytest.approx(e.value, abs=1.5 * e.stderr)
