"""Plans: the error that a fit will have, the averages it needs, and what no averages can do."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import powercal as pc
from powercal.errors import FitError, UnknownNameError
from powercal.fitting.information import Information, Readings
from powercal.fitting.planned import Plan
from powercal.fitting.planning import plan
from powercal.physics.constants import HBAR
from powercal.schema import DeviceTraces
from tests.fitting.systems import DRIVEN, F0, REFLECTED, sweep

Array = np.ndarray[Any, np.dtype[np.float64]]
SIZE = HBAR * 2 * np.pi * F0 * DRIVEN["gamma_1"] / 2
NOISE = {"absorbed_power": 0.02 * SIZE, "excited_population": 0.01}
POWER = {"absorbed_power": 0.02 * SIZE}
GRID = sweep(DRIVEN, powers=6, points=15)
BALANCE = {"gamma_1": 6e6, "n_th": 0.2}
STRAIGHT = {"excited_population": np.linspace(0.15, 0.45, 12), "frequency": F0}


def driven_plan(noise: Mapping[str, Any] = NOISE, **more: Any) -> Plan:
    return plan(
        "finite_temperature", DRIVEN, inputs=GRID, noise=noise, detection="absorbed", **more
    )


def balance_plan(sigma: float = 2e-19, **more: Any) -> Plan:
    noise = {"absorbed_power": more.pop("noise", sigma)}
    return plan("power_balance", BALANCE, inputs=more.pop("inputs", STRAIGHT), noise=noise, **more)


def measured(seed: int, noise: Mapping[str, Any]) -> DeviceTraces:
    return DeviceTraces(
        pc.simulate(
            "finite_temperature",
            DRIVEN,
            inputs=GRID,
            seed=seed,
            noise=noise,
            observables=list(noise),
            detection="absorbed",
        )
    )


def sigma_of(found: Plan, name: str) -> float:
    sigma = found[name].sigma
    assert sigma is not None
    return sigma


# ---- the numbers ----


def test_the_predicted_errors_are_those_of_a_fit() -> None:
    found = driven_plan()
    traces = measured(0, NOISE)
    result = pc.fit(traces, "finite_temperature", intervals="covariance")
    for name in (*result.names, "T1", "T_eff", "gamma_2"):
        # A fit takes the derivatives a few σ away from the truth: here up to a tenth.
        assert sigma_of(found, name) == pytest.approx(result[name].stderr, rel=0.15), name


@pytest.mark.parametrize("sets", [16, pytest.param(1000, marks=pytest.mark.statistics)])
def test_the_predicted_error_is_the_scatter_of_fits(sets: int) -> None:
    planned = balance_plan()
    values = []
    for seed in range(sets):
        traces = pc.simulate(
            "power_balance", BALANCE, inputs=STRAIGHT, seed=seed, noise={"absorbed_power": 2e-19}
        )
        result = pc.fit(DeviceTraces(traces), "power_balance", intervals="covariance")
        values.append([result.values["gamma_1"], result.values["n_th"]])
    for name, scatter in zip(BALANCE, np.std(values, axis=0, ddof=1), strict=True):
        # A standard deviation of n values is known to 1/√(2n); three and a half of these.
        assert scatter / sigma_of(planned, name) == pytest.approx(1.0, abs=3.5 / np.sqrt(2 * sets))


@pytest.mark.statistics
def test_the_predicted_error_on_a_better_grid_is_the_scatter_of_fits_there() -> None:
    found = driven_plan(target={"gamma_1": "1%"}, averages=4)
    noise = spread(found, NOISE)
    values = []
    for seed in range(300):
        traces = measured(seed, noise)
        result = pc.fit(traces, "finite_temperature", intervals="covariance", start=DRIVEN)
        values.append(result.values["gamma_1"])
    scatter, best = float(np.std(values, ddof=1)), found["gamma_1"].best_sigma
    assert scatter / (best or 0) == pytest.approx(1.0, abs=3.5 / np.sqrt(600))


def spread(found: Plan, noise: Mapping[str, float]) -> dict[str, Array]:
    """The noise of every point of the grid, were its readings spread as planned."""
    shares = np.zeros((GRID["incident_power"].size, GRID["frequency"].size))
    for reading in found.readings:
        i = int(np.argmin(np.abs(GRID["incident_power"] - reading.inputs["incident_power"])))
        j = int(np.argmin(np.abs(GRID["frequency"] - reading.inputs["frequency"])))
        shares[i, j] = reading.share
    readings = np.maximum(shares * found.points * found.averages, 1e-9)
    return {name: sigma / np.sqrt(readings) for name, sigma in noise.items()}


def test_averages_make_the_error_smaller_by_their_root() -> None:
    assert sigma_of(balance_plan(averages=9), "gamma_1") == pytest.approx(
        sigma_of(balance_plan(), "gamma_1") / 3, rel=1e-9
    )


def test_the_averages_asked_for_are_just_enough() -> None:
    target = 0.3 * sigma_of(balance_plan(), "n_th")
    needed = balance_plan(target={"n_th": target})["n_th"].averages
    assert needed == 12  # 1/0.09 = 11.1
    assert sigma_of(balance_plan(averages=needed), "n_th") <= target
    assert sigma_of(balance_plan(averages=needed - 1), "n_th") > target


def test_shares_of_a_grid_count_as_readings_there() -> None:
    found = driven_plan(target={"gamma_1": "1%", "n_th": 0.005})
    again = driven_plan(noise=spread(found, NOISE))
    for name in ("gamma_1", "n_th", "gamma_phi"):
        assert sigma_of(again, name) == pytest.approx(found[name].best_sigma, rel=1e-5)


# ---- systematic errors ----


def test_half_a_decibel_of_the_line_leaves_eleven_to_twelve_percent_of_gamma_1() -> None:
    line = pc.LineCalibration(gain_db=(40.0, 0.5), attenuation_db=(60.0, 0.5))
    noise = {"absorbed_power": POWER["absorbed_power"] * 1e4}
    found = driven_plan(noise=noise, line=line, target={"gamma_1": "2%"})
    row = found["gamma_1"]
    assert row.floor is not None
    assert 0.11 < row.floor / row.value < 0.12
    assert max(row.sources, key=lambda n: row.sources[n]) == "line (gain_db)"
    assert row.averages is None
    assert not found.reachable
    assert row.sentence == (
        "gamma_1 to 2 %: no number of averages reaches it: line (gain_db) alone gives 12 %"
    )


def test_ever_better_data_do_not_hide_what_only_the_line_tells() -> None:
    line = pc.LineCalibration(gain_db=(0.0, 0.5))
    found = driven_plan(noise={"absorbed_power": 1e-9 * SIZE}, line=line)
    assert found["gamma_1"].status == "determined"
    assert sigma_of(found, "gamma_1") == pytest.approx(0.5 * np.log(10) / 10 * 6e6, rel=1e-6)


def test_sources_add_in_quadrature() -> None:
    line = pc.LineCalibration(gain_db=(0.0, 0.05), attenuation_db=(0.0, 0.2))
    meter = pc.ErrorSource("power meter", "incident_power", relative=0.02)
    found = driven_plan(line=line, errors=[meter], input_noise={"incident_power": 0.01})
    for name in ("gamma_1", "n_th", "drive_scale", "T1"):
        row = found[name]
        assert np.sqrt(sum(v**2 for v in row.sources.values())) == pytest.approx(row.sigma)
        assert {"noise", "line (gain_db)", "power meter"} <= set(row.sources)
        assert row.floor is not None
        assert row.floor < sigma_of(found, name)


def test_errors_of_the_axis_are_not_averaged_away() -> None:
    rough = {"input_noise": {"incident_power": 0.1}}
    once, often = driven_plan(**rough), driven_plan(averages=10**6, **rough)
    floor = once["drive_scale"].floor
    assert floor is not None
    assert sigma_of(often, "drive_scale") == pytest.approx(floor, rel=1e-3)
    assert 0.1 * sigma_of(once, "drive_scale") < floor


def test_a_prior_is_worth_what_it_says() -> None:
    free = driven_plan(noise=POWER)
    known = driven_plan(noise=POWER, priors={"n_th": (0.06, 0.004)})
    assert free["n_th"].status == "undetermined"
    assert sigma_of(known, "n_th") == pytest.approx(0.004, rel=1e-6)


# ---- what no measurement of this kind tells ----


def test_absorbed_power_alone_is_said_never_to_tell_n_th() -> None:
    found = driven_plan(noise=POWER, target={"n_th": 0.005})
    assert found["n_th"].status == "undetermined"
    assert "impossible with measurements of this kind, however many" in found["n_th"].sentence
    assert not found.reachable
    assert {"gamma_2", "drive_over_thermal"} <= set(found.combinations)
    assert any("excited_population" in remedy for remedy in found.remedies)
    assert "undetermined, whatever the averages" in str(found)


def test_with_the_population_beside_it_n_th_can_be_had() -> None:
    found = driven_plan(target={"n_th": 0.005})
    assert found["n_th"].averages is not None
    assert found.combinations == ()


def test_one_power_tells_less_than_a_grid_that_may_use_more() -> None:
    narrow = {"incident_power": GRID["incident_power"][:1], "frequency": GRID["frequency"]}
    found = plan(
        "finite_temperature",
        DRIVEN,
        inputs=narrow,
        noise=POWER,
        detection="absorbed",
        target={"gamma_1": "2%"},
        candidates={"incident_power": GRID["incident_power"]},
    )
    row = found["gamma_1"]
    assert row.status == "undetermined"
    assert row.averages is None
    assert row.best_averages is not None
    assert "not on the given grid" in row.sentence
    assert found.reachable


# ---- a better grid ----

REFLECTION = {n: v for n, v in REFLECTED.items() if n != "attenuation_db"}


@pytest.mark.parametrize("wanted", [{"gamma_1": "1%"}, {"n_th": 0.001}, {"gamma_phi": 1e4}, {}])
def test_a_better_grid_is_never_worse_than_the_even_one(wanted: dict[str, Any]) -> None:
    if "gamma_phi" in wanted:
        wanted = {"gamma_phi": "1%"}
    found = driven_plan(target=wanted)
    assert sum(r.share for r in found.readings) == pytest.approx(1.0)
    for name in wanted:
        row = found[name]
        assert row.best_sigma is not None
        assert row.best_sigma <= sigma_of(found, name) * (1 + 1e-9)


def test_of_a_straight_line_the_best_points_are_its_ends() -> None:
    found = balance_plan(target={"gamma_1": "1%"})
    ends = {0.15, 0.45}
    assert {round(r.inputs["excited_population"], 6) for r in found.readings} == ends
    # Γ₁ ∝ slope + 2·intercept, the height at p = −… : the exact shares of a line with two ends
    # are as |c₁| to |c₂| for the extrapolated height c₁·low + c₂·high.
    gradient = np.linalg.solve([[1, 0.15], [1, 0.45]], np.eye(2)).T @ np.array([2.0, 1.0])
    shares = np.abs(gradient) / np.abs(gradient).sum()
    planned = {round(r.inputs["excited_population"], 6): r.share for r in found.readings}
    assert [planned[0.15], planned[0.45]] == pytest.approx(shares, abs=0.02)


def test_more_candidates_never_make_it_worse() -> None:
    target = {"gamma_1": "1%"}
    wide = {"excited_population": np.linspace(0.05, 0.48, 30)}
    plain, wider = balance_plan(target=target), balance_plan(target=target, candidates=wide)
    assert wider["gamma_1"].sigma == pytest.approx(plain["gamma_1"].sigma, rel=1e-9)
    assert (wider["gamma_1"].best_sigma or 1) < (plain["gamma_1"].best_sigma or 0)


def test_complex_data_of_a_line_can_be_planned() -> None:
    found = plan(
        "reflection",
        REFLECTION,
        inputs=sweep(REFLECTED, powers=5, points=15),
        noise={"reflection": 0.01},
        observables=["reflection"],
        line=pc.LineCalibration(attenuation_db=(70.0, 0.5)),
        setup="device",
        detection="coherent",
        convention="+i",
        free=["attenuation_db", "gamma_i"],
        target={"gamma_r": "5%"},
    )
    assert found["gamma_r"].sources["line (attenuation_db)"] > 0
    # What the model holds unless asked is held at the supposed truth.
    assert (found["n_th"].status, found["n_th"].value) == ("fixed", REFLECTED["n_th"])


# ---- the algebra ----


def test_the_information_is_the_inverse_matrix_at_any_number_of_averages() -> None:
    generator = np.random.default_rng(0)
    rows, known = generator.standard_normal((20, 4)), generator.standard_normal((3, 4))
    rows[:, 3] = 0.0  # what only the known rows tell
    readings = Readings(rows, np.arange(20), known, ("a", "b", "c"), 4)
    found = Information(readings, np.ones(20))
    gradient = generator.standard_normal(4)
    for averages in (1.0, 1e3):
        matrix = averages * rows.T @ rows + known.T @ known
        exact = np.sqrt(gradient @ np.linalg.solve(matrix, gradient))
        assert found.sigma(gradient, averages) == pytest.approx(exact, rel=1e-9)
    limit = found.sigma(gradient, np.inf)
    assert limit == pytest.approx(found.sigma(gradient, 1e9), rel=1e-6)
    parts = found.by_source(gradient, 10.0)
    assert np.sqrt(sum(v**2 for v in parts.values())) == pytest.approx(found.sigma(gradient, 10.0))


# ---- what is asked, and how ----


def test_targets_are_shares_or_values_as_spelled() -> None:
    spelled = {"2%": 1.2e5, "3e4": 3e4, 0.02: 1.2e5}
    for text, value in spelled.items():
        assert balance_plan(target={"gamma_1": text})["gamma_1"].target == pytest.approx(value)
    assert balance_plan(target={"n_th": 0.01})["n_th"].target == 0.01
    assert balance_plan(target={"T1": "0.01us"})["T1"].target == pytest.approx(1e-8)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"target": {"gamma_1": 2e4}}, "a number is a share of the value; write '2%'"),
        ({"target": {"gamma_1": "-2%"}}, "it must be positive"),
        ({"averages": 0}, "averages is 0; it must be 1 or more"),
        ({"noise": 0.0}, "the noise of absorbed_power must be positive everywhere"),
        ({"candidates": {"incident_power": [1e-15]}}, "does not read; it reads excited_population"),
        ({"input_noise": {"frequency": -1.0}}, "give a positive share of one of"),
        ({"fixed": {"n_th": 0.2}, "target": {"n_th": 0.01}}, "the target n_th is held"),
        (
            {"noise": np.full(12, 1e-19), "candidates": {"excited_population": [0.1]}},
            "the noise must be one number per observable",
        ),
    ],
)
def test_wishes_that_make_no_sense_are_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(FitError, match=message):
        balance_plan(**more)


def test_a_value_outside_its_bounds_is_refused() -> None:
    with pytest.raises(FitError, match=r"n_th is supposed to be -0\.1, outside its bounds 0 … "):
        plan(
            "power_balance",
            {"gamma_1": 6e6, "n_th": -0.1},
            inputs=STRAIGHT,
            noise={"absorbed_power": 1e-19},
        )


def test_an_observable_without_noise_is_refused() -> None:
    with pytest.raises(FitError, match=r"noise of excited_population is not given; say noise="):
        driven_plan(noise=POWER, observables=["absorbed_power", "excited_population"])
    with pytest.raises(FitError, match=r"has no observable reflection \(noise\)"):
        driven_plan(noise=POWER | {"reflection": 0.1})


def test_an_unknown_target_is_refused_with_the_likeliest_name() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'gamma_1'"):
        balance_plan(target={"gama_1": "2%"})


def test_a_table_of_gains_is_refused() -> None:
    table = pc.Tabulated(
        frequency=np.array([4e9, 6e9]), value=np.array([40.0, 41.0]), std=np.array([0.1, 0.1])
    )
    with pytest.raises(FitError, match="one number for gain_db, not a table"):
        driven_plan(line=pc.LineCalibration(gain_db=table))


def test_the_page_and_the_plain_data_say_the_same() -> None:
    found = driven_plan(target={"gamma_1": "0.5%"})
    page, plain = str(found), found.to_json()
    json.dumps(plain, allow_nan=False)
    assert plain["quantities"]["gamma_1"]["sentence"] in page
    assert "A better grid" in page
    assert "dBm" in page
    assert "from the qubit" in page
    assert "largest signal over the noise of one reading: absorbed_power" in page


def test_a_value_within_its_error_of_zero_is_announced_as_a_limit() -> None:
    values = DRIVEN | {"n_th": 1e-4}
    found = plan("finite_temperature", values, inputs=GRID, noise=NOISE, detection="absorbed")
    page = str(found)
    assert re.search(r"  n_th +100 × 10⁻⁶ supposed; σ [^:]+: expect a limit or no number", page)
    assert "no intervals: n_th" in page


def test_a_phase_of_zero_is_a_number_like_any_other() -> None:
    values = {"qubit_frequency": F0, "gamma_r": 5e6, "attenuation_db": 70.0}
    inputs = {
        "incident_power": np.geomspace(1e-10, 1e-7, 5),
        "frequency": F0 + 1e7 * np.linspace(-1, 1, 31),
    }
    options = {"setup": "raw", "convention": "+i", "detection": "coherent"}
    page = str(plan("reflection", values, inputs=inputs, noise={"reflection": 0.01}, **options))
    assert re.search(r"  delay +0\(\d+\)", page), page
    assert "no intervals" not in page
