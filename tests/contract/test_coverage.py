"""Contract: intervals hold the truth as often as they say, and where they lie it is found out.

Data set i of regime r comes from SeedSequence((0, r, i)): fixed before the first run. Single
regimes are judged by four binomial standard deviations, beyond which one number in 16 000 falls;
here some two hundred are judged. Over all parameters of a few regimes with 200 sets each a coverage
of 68 % is known to about 1 %, one of 95 % to about 0.5 %: the windows (66.8 to 69.8 %, 94.7 to
96.1 %, which 1,000 sets in every regime must keep) widen to three of that. An error understated
twofold covers 38 and 67 %, dozens of them away.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

import powercal as pc
from contract.toys import MODEL as TOY
from powercal.contracts import Model, Regime
from powercal.errors import ContractError, UnknownNameError
from powercal.line import LineCalibration
from powercal.physics.constants import HBAR
from powercal.schema import DeviceTraces
from powercal.testing import check_coverage, measure_coverage
from powercal.testing.coverage import cover, cover_named
from powercal.testing.coverage_counts import RegimeCoverage
from powercal.testing.coverage_regimes import regimes_of
from powercal.testing.coverage_sets import fit_sets, simulate_sets

# A regime each, chosen so that every occupation, saturation and error comes up.
HANDFUL = {
    "single_channel": "middle saturation, line ±0.5 dB, power ±2 %",
    "finite_temperature": "n_th 0.01, high saturation, line ±0.5 dB, power ±0 %",
    "power_balance": "n_th 0.1, low saturation, line ±0.5 dB, population ±2 %",
    "free_decay": "n_th 0.01, low excitation, line ±0.5 dB",
    "reflection": "n_th 0.1, low saturation, line ±0.5 dB, power ±0 %",
    "transmission": "n_th 1, middle saturation, line ±0 dB, power ±0 %",
}
BUILT_INS = (*HANDFUL, "multi_channel", "channels")


@pytest.mark.parametrize("model", HANDFUL)
def test_intervals_of_200_data_sets_hold_the_truth_as_often_as_they_say(model: str) -> None:
    found = measure_coverage(model, sets=200, regimes=[HANDFUL[model]])
    assert len(found.regimes) == 1
    assert found.objections == ()
    assert found.all.share < 0.02  # of results that are judged by nobody


@pytest.mark.statistics
@pytest.mark.parametrize("model", BUILT_INS)
def test_intervals_of_1000_data_sets_in_every_regime_hold_the_truth(model: str) -> None:
    found = measure_coverage(model, sets=1000, workers=2)
    assert found.objections == ()
    for level, (low, high) in {68: (0.668, 0.698), 95: (0.947, 0.961)}.items():
        assert low <= found.together[level].coverage <= high
    assert {regime.how for regime in found.regimes} == {"together"}


@pytest.mark.parametrize("model", BUILT_INS)
def test_regimes_cross_what_the_model_has(model: str) -> None:
    names = [regime.name for regime in regimes_of(pc.get_model(model))]
    sizes = {"single_channel": 12, "free_decay": 18}
    assert len(names) == sizes.get(model, 36)


# ---- negative controls ----


def understated(traces: DeviceTraces) -> DeviceTraces:
    """Halve every stated standard deviation."""
    halved = {n: traces[n] / 2 for n in traces.data_vars if str(n).endswith("_std")}
    units = {n: traces[n].attrs for n in halved}
    return DeviceTraces(traces.assign({n: v.assign_attrs(units[n]) for n, v in halved.items()}))


def with_exact_line(traces: DeviceTraces) -> DeviceTraces:
    """Take the stated attenuation and gain as known to a millionth of a decibel."""
    line = LineCalibration.from_json(traces.attrs["line"])
    exact = LineCalibration(
        attenuation_db=(line.attenuation_db[0], 1e-6), gain_db=(line.gain_db[0], 1e-6)
    )
    return DeviceTraces(traces.assign_attrs(line=exact.to_json()))


def without_axis_errors(traces: DeviceTraces) -> DeviceTraces:
    """Say nothing of the errors of recorded powers."""
    return DeviceTraces(traces.drop_vars("incident_power_std"))


@pytest.mark.parametrize(
    ("regime", "restate"),
    [
        ("n_th 0.1, middle saturation, line ±0 dB, power ±0 %", understated),
        ("n_th 0.1, middle saturation, line ±0.5 dB, power ±0 %", with_exact_line),
        ("n_th 0.1, middle saturation, line ±0 dB, power ±2 %", without_axis_errors),
    ],
)
def test_what_is_kept_from_a_fit_is_found_out(regime: str, restate: Any) -> None:
    found = measure_coverage("finite_temperature", sets=80, regimes=[regime], restate=restate)
    assert any("over all regimes" in objection for objection in found.objections)
    assert any(repr(regime) in objection for objection in found.objections)


# ---- occupations near their bound ----

QUANTUM = HBAR * 2 * np.pi * 5e9
POPULATIONS = np.linspace(0.02, 0.3, 40)


def near_zero(sigmas: float) -> tuple[Regime, float]:
    """Return a power balance whose n_th is so many of its own errors from zero, and that error."""
    model, gamma_1, noise = pc.get_model("power_balance"), 6e6, 0.02 * QUANTUM * 6e6 / 2
    n_th = 0.0
    for _ in range(20):  # the error depends on n_th a little
        (table,) = model.jacobian(POPULATIONS, 5e9, gamma_1=gamma_1, n_th=n_th)
        slopes = np.stack([table["gamma_1"] * gamma_1, table["n_th"]], axis=1) / noise
        error = float(np.sqrt(np.linalg.inv(slopes.T @ slopes)[1, 1]))
        n_th = sigmas * error
    regime = Regime(
        name=f"n_th at {sigmas:g} of its error",
        values={"gamma_1": gamma_1, "n_th": n_th},
        inputs={"excited_population": POPULATIONS, "frequency": 5e9},
        noise={"absorbed_power": noise},
    )
    return regime, error


def expect_coverage_near_zero(sigmas: float, sets: int) -> None:
    regime, _ = near_zero(sigmas)
    index = int(10 * sigmas)
    found = cover(pc.get_model("power_balance"), regime, index, sets, seed=1)
    counts = found.parameters["n_th"]
    assert found.faults == ()
    assert counts.printed == sets  # a limit or an interval for every data set
    for level, p in {68: 0.6827, 95: 0.95}.items():
        off = (counts.printed_coverage(level) - p) / np.sqrt(p * (1 - p) / sets)
        assert off > -4
        assert off < 4 or sigmas == 0


@pytest.mark.parametrize("sigmas", [0.0, 0.5, 1.0, 2.0, 3.0])
def test_whatever_is_printed_near_a_bound_covers(sigmas: float) -> None:
    expect_coverage_near_zero(sigmas, 200)


@pytest.mark.statistics
@pytest.mark.parametrize("sigmas", [0.0, 0.5, 1.0, 2.0, 3.0])
def test_whatever_is_printed_near_a_bound_covers_in_2000_data_sets(sigmas: float) -> None:
    expect_coverage_near_zero(sigmas, 2000)


def test_the_median_limit_of_a_cold_bath_is_that_of_feldman_and_cousins() -> None:
    # 300 medians of a limit that scatters by 0.6 σ about 1.96 σ are known to 2 %.
    regime, error = near_zero(0.0)
    model = pc.get_model("power_balance")
    data = simulate_sets(model, regime, 300, (1, 0))
    n_th = fit_sets(model, regime, data).results.sel(quantity="n_th")
    limit = np.median(n_th["interval95"].sel(side="high"))
    assert limit == pytest.approx(1.96 * error, rel=0.1)


# ---- strangers ----


def test_a_model_without_regimes_is_judged_at_its_examples() -> None:
    found = check_coverage(TOY, sets=60)
    assert [regime.name for regime in found.regimes] == ["examples"]
    assert set(found.parameters) == {"gamma_1", "p_0", "p_eq"}
    assert set(found.derived) == {"first_slope"}


def test_a_regime_that_nobody_declared_is_refused_with_the_names_on_offer() -> None:
    with pytest.raises(UnknownNameError, match="examples"):
        measure_coverage(TOY, sets=2, regimes=["warm"])


def regime_of_toy(**changes: Any) -> Regime:
    plain: dict[str, Any] = {
        "name": "plain",
        "values": {"gamma_1": 1e5, "p_0": 0.9, "p_eq": 0.1},
        "inputs": {"time": np.linspace(0, 5e-5, 20)},
        "noise": {"excited_population": 0.01},
    }
    return Regime(**{**plain, **changes})


def declared(*regimes: Regime) -> Model:
    return dataclasses.replace(TOY, regimes=lambda: regimes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"inputs": {}}, "needs the input time"),
        ({"noise": {}}, "measures nothing"),
        ({"noise": {"absorbed_power": 1.0}}, "'absorbed_power', which the model does not have"),
        ({"values": {"gamma_2": 1.0}}, "'gamma_2', which the model does not have"),
        ({"input_errors": {"frequency": 0.1}}, "'frequency', which the model does not have"),
        ({"priors": {"p_0": 0.2}}, "draws p_0 outside its bounds"),
    ],
)
def test_a_regime_that_contradicts_its_model_is_refused(changes: Any, words: str) -> None:
    with pytest.raises(ContractError, match=words):
        measure_coverage(declared(regime_of_toy(**changes)), sets=50)


def test_fits_that_rest_on_what_is_not_true_are_refused_in_one_sentence() -> None:
    wrong = declared(regime_of_toy(fixed={"p_eq": 0.12}))  # eight errors from the truth
    with pytest.raises(ContractError, match=r"'toy_decay': over all regimes .* hold the truth"):
        check_coverage(wrong, sets=100)


def test_regimes_of_the_same_name_are_refused() -> None:
    with pytest.raises(ContractError, match="two regimes are called 'plain'"):
        measure_coverage(declared(regime_of_toy(), regime_of_toy()), sets=2)


# ---- the engine ----


def test_more_data_sets_begin_as_fewer_do() -> None:
    model = pc.get_model("power_balance")
    regime = model.regimes()[2]
    few, many = (simulate_sets(model, regime, n, (0, 2)) for n in (3, 5))
    assert np.array_equal(
        few.traces["absorbed_power"].values, many.traces["absorbed_power"].values[:3]
    )
    assert np.array_equal(few.truth["gain_db"], many.truth["gain_db"][:3])


def test_prior_means_and_lines_are_drawn_anew_for_every_data_set() -> None:
    name = "n_th 0.1, low saturation, line ±0.5 dB, power ±0 %"
    model = pc.get_model("multi_channel")
    regime = next(r for r in model.regimes() if r.name == name)
    truth = simulate_sets(model.configure(**regime.options), regime, 400, (0, 0)).truth
    for quantity, middle, error in (("f", 0.3, 0.02), ("attenuation_db", 60.0, 0.5)):
        # Means of 400 are known to a twentieth of the scatter, scatters to a twenty-eighth.
        assert truth[quantity].mean() == pytest.approx(middle, abs=4 * error / 20)
        assert truth[quantity].std() == pytest.approx(error, rel=4 / 28)


def test_what_fit_many_refuses_is_fitted_one_by_one_and_said_to_be() -> None:
    model = declared(regime_of_toy(attributes={"calibration_ground": 0.0,
        "calibration_ground_std": 1e-6, "calibration_excited": 1.0,
        "calibration_excited_std": 1e-6}))  # fmt: skip
    found = measure_coverage(model, sets=3)
    assert found.regimes[0].how.startswith("one by one: the data hold calibration points")
    assert found.parameters["gamma_1"].judged == 3


def test_counts_survive_the_way_from_a_worker() -> None:
    regime = pc.get_model("power_balance").regimes()[0]
    alone = measure_coverage("power_balance", sets=10, regimes=[regime.name])
    task = {"model": "power_balance", "regime": 0, "sets": 10, "seed": 0}
    record = json.loads(json.dumps(cover_named(task)))
    assert RegimeCoverage.from_record(record) == alone.regimes[0]


@pytest.mark.statistics
def test_workers_give_the_same_counts() -> None:
    asked: dict[str, Any] = {"sets": 10, "regimes": ["n_th 1, high saturation, line ±0 dB"]}
    alone = measure_coverage("power_balance", **asked)
    assert measure_coverage("power_balance", workers=2, **asked) == alone
