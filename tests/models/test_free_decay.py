"""Free decay: what each readout determines, what is no decay, and the energy under the curve."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

import powercal as pc
from powercal.errors import FitError
from powercal.fitting import fit_each
from powercal.models import free_decay_start as start
from powercal.models.free_decay import OBSERVABLES, powercal_models
from powercal.physics import decay

Array = NDArray[Any]

MODEL = powercal_models()[0]
TIME = np.linspace(0.0, 60e-6, 41)
GAMMA, P_0, P_EQ, F_Q, REST = 1e5, 0.9, 0.08, 5e9, 1e-20
POPULATION = {"gamma_1_tot": GAMMA, "p_0": P_0, "p_eq": P_EQ}
POWER = {**POPULATION, "qubit_frequency": F_Q, "detected_share": 1.0, "rest_power": REST}
HEIGHT = float(decay.power_decay(0.0, 2 * np.pi * F_Q, GAMMA, P_EQ, P_0))
KNOWN = {"qubit_frequency": F_Q}
# Gaussian noise of a fixed seed: one number in 16,000 is off by four standard errors.
SIGMAS = 4.0


def taken(readout: str = "population", *, gain_db: float | None = None, seed: int = 1) -> Any:
    """Simulate a decay with noise of a percent, seen through a gain."""
    values: dict[str, dict[str, float]] = {
        "population": POPULATION,
        "power": POWER,
        "received": {"gamma_1_tot": GAMMA, "offset_i": 1e-3, "offset_q": -5e-4}
        | {"contrast_i": 4e-4, "contrast_q": 8e-4},
        "quadrature": {"gamma_1_tot": GAMMA, "offset": 1e-3, "contrast": 9e-4},
    }
    level = HEIGHT * 10 ** ((gain_db or 0.0) / 10)
    noise = {"excited_population": 0.01, "emitted_power": 0.01 * level}
    noise |= {"received": 1e-5, "quadrature": 1e-5}
    return pc.simulate(
        MODEL,
        values[readout],
        inputs={"time": TIME},
        seed=seed,
        noise={name: noise[name] for name in OBSERVABLES[readout]},
        gain_db=gain_db,
        readout=readout,
    )


def only(traces: Any, name: str) -> Any:
    """Keep one observable."""
    others = [n for n in traces.data_vars if n.removesuffix("_std") != name]
    return traces.drop_vars(others)


def raw(values: Array, name: str = "quadrature", **extra: Any) -> Any:
    """Traces at the device from an array over TIME."""
    unit = {"units": pc.schema.WORDS[name].unit}
    return xr.Dataset(
        {name: ("time", values, unit)},
        {"time": ("time", TIME, {"units": "s"})},
        {"plane": "device"},
    ).assign(extra)


def pull(result: pc.FitResult, name: str, truth: float) -> float:
    """Deviation from the truth in standard errors."""
    estimate = result[name]
    assert estimate.status == "ok"
    assert estimate.value is not None
    assert estimate.stderr is not None
    return (estimate.value - truth) / estimate.stderr


# ---- curves ----


def test_population_and_power_are_the_formulas_of_the_physics() -> None:
    model = MODEL.configure(readout="power")
    population, power = model.curve(TIME, **{**POWER, "detected_share": 0.3})
    wanted = decay.population_decay(TIME, GAMMA, P_EQ, P_0)
    np.testing.assert_allclose(population, wanted, rtol=1e-14)
    wanted = REST + 0.3 * decay.power_decay(TIME, 2 * np.pi * F_Q, GAMMA, P_EQ, P_0)
    np.testing.assert_allclose(power, wanted, rtol=1e-14)


def test_the_released_energy_is_the_area_under_the_power() -> None:
    model = MODEL.configure(readout="power")
    energy = next(d for d in model.derived if d.name == "released_energy")
    found = energy.function(**{n: POWER[n] for n in energy.arguments})
    long = np.linspace(0.0, 40 / GAMMA, 100_001)
    area = np.trapezoid(model.curve(long, **POWER)[1] - REST, long)
    # Trapezoids: (Γdt)²/12 = 1.3e-8; the tail is e⁻⁴⁰.
    assert found == pytest.approx(area, rel=1e-7)


def test_one_boson_bath_gives_gamma_1_and_occupation() -> None:
    derived = {d.name: d.function for d in MODEL.configure().derived}
    n = derived["n_th"](p_eq=P_EQ)
    gamma_1 = derived["gamma_1"](gamma_1_tot=GAMMA, p_eq=P_EQ)
    assert gamma_1 * (1 + 2 * n) == pytest.approx(GAMMA, rel=1e-14)
    assert n / (1 + 2 * n) == pytest.approx(P_EQ, rel=1e-14)


# ---- what is determined ----


def rank(observables: tuple[str, ...], gain: bool) -> int:
    """Rank of the derivatives by Γ₁tot, p_0, p_eq and a gain; R(∞) = 0 as in the table."""
    model, values = MODEL.configure(readout="power"), {**POWER, "rest_power": 0.0}
    assert model.jacobian is not None
    curves = dict(zip(model.observables, model.curve(TIME, **values), strict=True))
    slopes = dict(zip(model.observables, model.jacobian(TIME, **values), strict=True))
    columns = [
        np.concatenate([slopes[o].get(n, 0 * TIME) / np.ptp(curves[o]) for o in observables])
        for n in POPULATION
    ]
    if gain:
        columns.append(
            np.concatenate([curves[o] * (o == "emitted_power") / HEIGHT for o in observables])
        )
    matrix = np.stack(columns, axis=1)
    return int(np.linalg.matrix_rank(matrix / np.linalg.norm(matrix, axis=0), tol=1e-10))


@pytest.mark.parametrize(
    ("observables", "gain", "wanted"),
    [
        (("excited_population",), False, 3),
        (("emitted_power",), False, 2),
        (("emitted_power",), True, 2),
        (("excited_population", "emitted_power"), True, 4),
    ],
)
def test_ranks_are_those_of_the_table(
    observables: tuple[str, ...], gain: bool, wanted: int
) -> None:
    assert rank(observables, gain) == wanted


def test_a_population_determines_everything() -> None:
    result = pc.fit(taken(), MODEL)
    for name, truth in POPULATION.items():
        assert abs(pull(result, name, truth)) < SIGMAS
    assert abs(pull(result, "T1", 1 / GAMMA)) < SIGMAS
    assert abs(pull(result, "gamma_1", GAMMA * (1 - 2 * P_EQ))) < SIGMAS
    assert abs(pull(result, "n_th", P_EQ / (1 - 2 * P_EQ))) < SIGMAS
    assert all(result.verdicts.values())


def test_power_alone_determines_the_rate_and_the_energy_but_no_population() -> None:
    traces = only(taken("power"), "emitted_power")
    result = pc.fit(traces, MODEL, fixed=KNOWN, intervals="covariance")
    energy = float(decay.decay_energy(2 * np.pi * F_Q, P_EQ, P_0))
    assert abs(pull(result, "gamma_1_tot", GAMMA)) < SIGMAS
    assert abs(pull(result, "released_energy", energy)) < SIGMAS
    assert result.undetermined == ("p_0", "p_eq")
    assert result["n_th"].status == result["gamma_1"].status == "undetermined"
    assert result.combinations == ("released_energy",)


def test_power_through_an_unknown_gain_determines_the_rate_alone() -> None:
    traces = pc.to_device_plane(only(taken("power", gain_db=43.0), "emitted_power"))
    begin = {"gain_db": 45.0, "p_0": 0.5, "rest_power": REST}
    result = pc.fit(traces, MODEL, fixed=KNOWN, start=begin, intervals="covariance")
    assert abs(pull(result, "gamma_1_tot", GAMMA)) < SIGMAS
    assert {"p_0", "p_eq", "gain_db", "rest_power"} == set(result.undetermined)
    assert result["released_energy"].status == result["n_th"].status == "undetermined"


def test_the_energy_of_a_photon_is_never_assumed() -> None:
    traces = only(taken("power"), "emitted_power")
    result = pc.fit(traces, MODEL, intervals="covariance")
    assert "qubit_frequency" in result.undetermined
    assert result["detected_share"].status == "fixed"
    assert result["detected_share"].reason == "assumed"


def test_the_shape_of_one_quadrature_gives_t1_and_promises_no_more() -> None:
    result = pc.fit(taken("quadrature"), MODEL)
    assert abs(pull(result, "T1", 1 / GAMMA)) < SIGMAS
    assert {e.name for e in result.derived} == {"T1"}
    assert result.undetermined == ()


def test_the_phase_of_the_receiver_changes_nothing() -> None:
    traces = taken("received")
    turned = traces.assign(received=traces["received"] * np.exp(0.7j))
    turned["received"].attrs = traces["received"].attrs
    one, two = (pc.fit(t, MODEL, intervals="covariance") for t in (traces, turned))
    assert abs(pull(one, "T1", 1 / GAMMA)) < SIGMAS
    for name in ("T1", "contrast"):
        # The minimum is found to 1e-8 of an error or so; the phase is part of the same fit.
        assert two[name].value == pytest.approx(one[name].value, rel=1e-6)
        assert two[name].stderr == pytest.approx(one[name].stderr, rel=1e-4)


@pytest.mark.parametrize("readout", ["population", "power", "received", "quadrature"])
def test_the_data_choose_the_readout(readout: str) -> None:
    fixed = KNOWN if readout == "power" else {}
    result = pc.fit(taken(readout), MODEL, fixed=fixed, intervals="covariance")
    assert result.options == {"readout": readout}
    assert abs(pull(result, "gamma_1_tot", GAMMA)) < SIGMAS


def test_a_readout_that_the_data_do_not_hold_is_refused_in_words() -> None:
    with pytest.raises(FitError, match="leave the option out"):
        pc.fit(taken("received"), MODEL, readout="population")


# ---- gain ----


@cache
def through(gain_db: float) -> pc.FitResult:
    """Fit power and population seen through a gain of which nothing is said."""
    traces = pc.to_device_plane(taken("power", gain_db=gain_db))
    return pc.fit(traces, MODEL, fixed=KNOWN, intervals="covariance")


def test_power_and_population_together_find_the_gain() -> None:
    result = through(43.0)
    assert abs(pull(result, "gain_db", 43.0)) < SIGMAS
    assert (result["gain_db"].stderr or 1.0) < 0.1
    assert abs(pull(result, "n_th", P_EQ / (1 - 2 * P_EQ))) < SIGMAS


def test_a_gain_wrong_by_three_decibels_does_not_move_the_occupation() -> None:
    found, moved = through(43.0), through(40.0)
    assert moved["n_th"].value == pytest.approx(found["n_th"].value, rel=1e-5)
    assert moved["gain_db"].value == pytest.approx((found["gain_db"].value or 0) - 3, abs=1e-4)


@pytest.mark.parametrize(("stated", "verdict"), [(43.0, "holds"), (40.0, "fails")])
def test_the_energy_under_the_curve_checks_a_stated_gain(stated: float, verdict: str) -> None:
    line = pc.LineCalibration(gain_db=(stated, 0.2))
    traces = pc.to_device_plane(taken("power", gain_db=43.0), line)
    result = pc.fit(traces, MODEL, fixed=KNOWN, intervals="covariance")
    check = next(c for c in result.checks if c.name == "energy_integral")
    assert check.verdict == verdict
    if verdict == "fails":  # 3 dB; its two errors are 4.6 % and about 1 %
        ratio = float(check.effect.split(" is ")[1].split(" of ")[0])
        assert ratio == pytest.approx(10**0.3, rel=0.05)


def test_an_energy_that_was_fitted_checks_nothing() -> None:
    check = next(c for c in through(43.0).checks if c.name == "energy_integral")
    assert check.verdict == "unknown"


def test_coarse_steps_and_a_short_window_do_not_disturb_the_energy() -> None:
    few = taken("power").isel(time=slice(0, 25, 4))
    result = pc.fit(few, MODEL, fixed=KNOWN, intervals="covariance")
    check = next(c for c in result.checks if c.name == "energy_integral")
    assert check.verdict == "holds"


# ---- no decay ----


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("points", [8, 41])
def test_the_chance_of_a_false_alarm_is_what_it_says(
    points: int, is_complex: bool, known: bool
) -> None:
    rng, count = np.random.default_rng(0), 20_000
    time = np.linspace(0.0, 60e-6, points)
    noise: Array = rng.standard_normal((count, points))
    if is_complex:
        noise = noise + 1j * rng.standard_normal((count, points))
    gain, total, path = start.gains(time, np.ones((1, points)), noise, start.rates_to_try(time))
    gain = gain.max(axis=1)
    careful = start.chance(gain, total, points, is_complex, known, path)
    one = start._chance_of_known(gain, is_complex, path) if known else careful
    assert (careful >= np.minimum(one, 1.0)).all()
    for level in (1e-2, 1e-3):
        # Crossings are counted, not outcomes: exact where alarms are rare, a little too many else.
        assert (one < level).mean() == pytest.approx(
            level, abs=0.1 * level + 4 * np.sqrt(level / count)
        )


@pytest.mark.parametrize("is_complex", [False, True])
def test_noise_is_no_decay(is_complex: bool) -> None:
    rng = np.random.default_rng(1)
    noise: Array = rng.standard_normal((200, 41))
    noise = noise + 1j * rng.standard_normal((200, 41)) if is_complex else noise
    assert not start.find_decay(TIME, noise, None, start.rates_to_try(TIME)).clear().any()


@pytest.mark.parametrize("is_complex", [False, True])
@pytest.mark.parametrize("std", [None, 1.0])
def test_a_weak_but_clear_decay_is_found(is_complex: bool, std: float | None) -> None:
    rng, shape = np.random.default_rng(2), np.exp(-GAMMA * TIME)
    height = 9 / float(np.linalg.norm(shape - shape.mean()))  # nine standard errors
    found = 0
    for _ in range(40):
        noise: Array = rng.standard_normal(41)
        noise = noise + 1j * rng.standard_normal(41) if is_complex else noise
        traces = raw(1.0 + height * shape + noise, "received" if is_complex else "quadrature")
        if std is not None:
            name = next(iter(traces.data_vars))
            traces = traces.assign({f"{name}_std": ("time", np.full(41, std), {"units": "V"})})
        try:
            MODEL.configure(readout=next(iter(traces.data_vars))).guess(traces, {})
        except FitError:
            continue
        found += 1
    # 6.5 are asked for: 0.6 % of Gaussian nines lie below, the noise's own error adds a little.
    assert found >= 37


def test_a_trace_without_decay_is_refused_with_its_numbers() -> None:
    traces = raw(1.0 + 0.01 * np.random.default_rng(3).standard_normal(41))
    with pytest.raises(FitError, match=r"no decay beyond the noise: .* standard errors, .*0\.001"):
        pc.fit(traces, MODEL)


def test_a_constant_is_no_decay() -> None:
    with pytest.raises(FitError, match="no decay beyond the noise"):
        pc.fit(raw(np.full(41, 0.3)), MODEL)


def test_one_spoilt_point_at_the_start_is_no_decay() -> None:
    values = 1.0 + 0.01 * np.random.default_rng(4).standard_normal(41)
    values[0] += 0.3
    with pytest.raises(FitError, match="without the first delay by"):
        pc.fit(raw(values), MODEL)


def test_a_drift_gets_no_number_for_its_rate() -> None:
    noise = 0.01 * np.random.default_rng(0).standard_normal(41)
    result = pc.fit(raw(1.0 + 0.3 * TIME / TIME[-1] + noise), MODEL, intervals="covariance")
    assert result["T1"].value is None
    assert result["gamma_1_tot"].value is None


def test_each_channel_keeps_its_reason() -> None:
    rng = np.random.default_rng(5)
    values = 1.0 + 0.01 * rng.standard_normal((2, 41))
    values[1] += 0.5 * np.exp(-GAMMA * TIME)
    traces: Any = xr.Dataset(
        {"quadrature": (("channel", "time"), values, {"units": "V"})},
        {"time": ("time", TIME, {"units": "s"}), "channel": ["dead", "alive"]},
        {"plane": "device"},
    )
    found = dict(fit_each(traces, MODEL, intervals="covariance"))
    assert "no decay beyond the noise" in str(found["channel=dead"])
    alive = found["channel=alive"]
    assert isinstance(alive, pc.FitResult)
    assert abs(pull(alive, "T1", 1 / GAMMA)) < SIGMAS
    with pytest.raises(FitError, match="fit each with fit_each"):
        pc.fit(traces, MODEL)


# ---- awkward data ----


def test_gaps_repeats_and_disorder_do_not_matter() -> None:
    order = np.random.default_rng(6).permutation(np.r_[0:41, 0:41])
    twice = taken("quadrature").drop_vars("quadrature_std").isel(time=order)
    points = twice.rename_dims(time="trace").reset_coords()
    points["quadrature"][7] = np.nan
    result = pc.fit(points, MODEL, intervals="covariance")
    assert abs(pull(result, "T1", 1 / GAMMA)) < SIGMAS
    assert any("1 points of quadrature" in f.sentence for f in result.flags)


@pytest.mark.parametrize(
    ("keep", "sentence"), [(slice(0, 3), "3 finite points"), (slice(0, 0), "0 finite points")]
)
def test_too_few_points_are_refused_in_words(keep: slice, sentence: str) -> None:
    traces = only(taken("quadrature"), "quadrature")
    traces["quadrature"][:] = np.where(
        np.isin(np.arange(41), np.r_[keep]), traces["quadrature"], np.nan
    )
    with pytest.raises(FitError, match=sentence):
        MODEL.configure(readout="quadrature").guess(traces, {})


def test_traces_without_delays_are_refused_in_words() -> None:
    traces = taken("quadrature").rename(time="frequency")
    with pytest.raises(FitError, match="needs time"):
        pc.fit(traces, MODEL)


# ---- checks ----


def checks_of(traces: Any) -> dict[str, str]:
    result = pc.fit(traces, MODEL, intervals="covariance")
    return {check.name: check.verdict for check in result.checks}


def test_a_window_of_less_than_three_t1_is_told() -> None:
    traces = taken()
    assert checks_of(traces)["decay_window"] == "holds"
    assert checks_of(traces.isel(time=slice(0, 15)))["decay_window"] == "fails"


def test_a_first_step_of_more_than_half_a_t1_is_told() -> None:
    traces = taken()
    assert checks_of(traces)["first_step"] == "holds"
    assert checks_of(traces.isel(time=slice(0, None, 5)))["first_step"] == "fails"


def test_the_quality_factor_needs_a_transition_frequency() -> None:
    traces = taken()
    assert checks_of(traces)["quality_factor"] == "unknown"
    assert checks_of(traces.assign_attrs(transition_frequency=5e9))["quality_factor"] == "holds"
    assert checks_of(traces.assign_attrs(transition_frequency=1e6))["quality_factor"] == "fails"
