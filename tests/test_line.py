"""The line is data with an error: stated, attached, removed by a reference, found by the qubit."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import powercal as pc
from powercal.errors import PlaneError, TraceSchemaError
from powercal.line import (
    UNKNOWN_ATTENUATION,
    UNKNOWN_GAIN,
    LineCalibration,
    Tabulated,
    line_of,
    nominal,
    phase_slope,
    relative_noise,
    to_device_plane,
)
from powercal.physics.constants import HBAR
from powercal.result import FitResult
from powercal.schema import DeviceTraces, InstrumentTraces, flags

TWO_PI = 2 * np.pi
F0 = 5e9
WARM = {"qubit_frequency": F0, "gamma_1": 6e6, "gamma_phi": 3e6, "n_th": 0.06, "drive_scale": 3e29}
WATT = HBAR * TWO_PI * F0 * WARM["gamma_1"] / 2
SWEEP = {
    "incident_power": 1.5e-16 * np.geomspace(0.05, 20.0, 7),
    "frequency": F0 + 4e6 * np.linspace(-1.0, 1.0, 21),
}
TABLE = Tabulated((4.9e9, 5.0e9, 5.1e9), (60.0, 61.0, 63.0), (0.2, 0.3, 0.4))


# ---- what is known ----


@pytest.mark.parametrize(
    "line",
    [
        LineCalibration(),
        LineCalibration(attenuation_db=(61.4, 0.5)),
        LineCalibration(gain_db=(1 / 3, 0.1)),
        LineCalibration(attenuation_db=TABLE, gain_db=(40.0, 0.3)),
    ],
)
def test_a_line_comes_back_from_json_as_it_was(line: LineCalibration) -> None:
    assert LineCalibration.from_json(line.to_json()) == line


def test_nothing_has_a_default() -> None:
    assert json.loads(LineCalibration().to_json()) == {"attenuation_db": None, "gain_db": None}


@pytest.mark.parametrize("level", [(60.0, 0.0), (60.0, -0.1), (60.0,), (60.0, 0.1, 1.0)])
def test_a_level_without_an_uncertainty_is_refused(level: Any) -> None:
    with pytest.raises(TraceSchemaError) as caught:
        LineCalibration(attenuation_db=level)
    assert str(caught.value) == (
        f"attenuation_db is {level!r}; give (value, standard uncertainty > 0) in dB, or None if "
        f"it is not known"
    )


def test_a_table_is_straight_between_its_points() -> None:
    value, std = TABLE.at(np.array([4.9e9, 4.95e9, 5.05e9, 5.1e9]))
    assert value == pytest.approx([60.0, 60.5, 62.0, 63.0])
    assert std == pytest.approx([0.2, 0.25, 0.35, 0.4])


def test_a_table_is_not_extended() -> None:
    with pytest.raises(TraceSchemaError) as caught:
        TABLE.at(np.array([5.0e9, 5.2e9]))
    assert str(caught.value) == (
        "the line table spans 4.9 to 5.1 GHz, the traces 5 to 5.2 GHz; it must span the traces: "
        "select fewer frequencies or give a wider one"
    )


def test_a_table_of_unequal_columns_is_refused() -> None:
    with pytest.raises(TraceSchemaError, match=r"the same length ≥ 2; found 3, 2, 3"):
        Tabulated((1.0, 2.0, 3.0), (1.0, 2.0), (0.1, 0.1, 0.1))
    with pytest.raises(TraceSchemaError, match=r"the same length ≥ 2; found 1, 1, 1"):
        Tabulated((1.0,), (1.0,), (0.1,))


def test_a_table_out_of_order_is_refused() -> None:
    with pytest.raises(TraceSchemaError, match=r"must increase; sort them"):
        Tabulated((2.0, 1.0), (1.0, 2.0), (0.1, 0.1))


# ---- planes ----


def simulated(*names: str, seed: int = 0, noise: float = 0.01, **more: Any) -> InstrumentTraces:
    gain = 10 ** (more.get("gain_db", 0.0) / 10)
    return pc.simulate(
        "finite_temperature",
        WARM,
        inputs=SWEEP,
        seed=seed,
        noise={
            "absorbed_power": noise * WATT * gain,
            "reflected_power": noise * WATT * gain,
            "excited_population": noise,
        },
        observables=names,
        detection="absorbed",
        **more,
    )


def test_traces_at_the_device_are_passed_on_and_say_so() -> None:
    traces = simulated("absorbed_power")
    device = to_device_plane(traces)
    assert device.attrs["setup"] == "device"
    assert "setup" not in traces.attrs
    assert line_of(device) is None


def test_a_line_for_traces_at_the_device_is_refused() -> None:
    with pytest.raises(PlaneError) as caught:
        to_device_plane(simulated("absorbed_power"), LineCalibration())
    assert str(caught.value) == (
        "the traces are already at the device plane; drop the line and the reference, or declare "
        "plane='instrument'"
    )


def test_a_reference_for_traces_at_the_device_is_refused() -> None:
    traces = simulated("absorbed_power")
    with pytest.raises(PlaneError, match="already at the device plane"):
        to_device_plane(traces, reference=traces)


def test_traces_of_the_instrument_are_not_fitted_before_somebody_speaks() -> None:
    traces = simulated("absorbed_power", attenuation_db=60.0)
    with pytest.raises(PlaneError, match=r"as the instrument saw them; say how they relate"):
        pc.fit(DeviceTraces(traces), "finite_temperature")


def test_the_line_is_attached_and_the_numbers_are_left_alone() -> None:
    traces = simulated("reflected_power", attenuation_db=60.0, gain_db=40.0)
    line = LineCalibration(attenuation_db=(60.0, 0.5), gain_db=(40.0, 0.3))
    device = to_device_plane(traces, line)
    assert device.drop_attrs().identical(traces.drop_attrs())
    assert line_of(device) == line
    assert device.attrs["setup"] == "raw"


def test_an_unknown_line_says_what_that_means() -> None:
    traces = simulated("reflected_power", attenuation_db=60.0, gain_db=40.0)
    known = LineCalibration(attenuation_db=(60.0, 0.5), gain_db=(40.0, 0.3))
    assert {UNKNOWN_ATTENUATION, UNKNOWN_GAIN} <= set(flags(to_device_plane(traces)))
    half = to_device_plane(traces, LineCalibration(attenuation_db=(60.0, 0.5)))
    assert UNKNOWN_GAIN in flags(half)
    assert UNKNOWN_ATTENUATION not in flags(half)
    assert not {UNKNOWN_ATTENUATION, UNKNOWN_GAIN} & set(flags(to_device_plane(traces, known)))


def test_the_gain_of_a_reflection_coefficient_is_no_calibration_of_power() -> None:
    traces = reflection("reflection")
    assert UNKNOWN_GAIN not in flags(to_device_plane(traces))
    assert UNKNOWN_ATTENUATION in flags(to_device_plane(traces))


def test_the_flags_reach_the_result() -> None:
    traces = simulated("absorbed_power", attenuation_db=60.0, gain_db=40.0)
    result = pc.fit(to_device_plane(traces), "finite_temperature", intervals="covariance")
    sentences = [f.sentence for f in result.flags]
    assert UNKNOWN_ATTENUATION in sentences
    assert UNKNOWN_GAIN in sentences


# ---- a reference ----

QUBIT = {"qubit_frequency": F0, "gamma_r": 6e6, "gamma_phi": 4e5, "attenuation_db": 70.0}
LINE_SWEEP = {
    "incident_power": HBAR * TWO_PI * F0 * 7.5e12 * np.geomspace(0.05, 20.0, 5),
    "frequency": F0 + 2e6 * np.linspace(-1.0, 1.0, 21),
}
GRID = np.linspace(F0 - 3.1e6, F0 + 2.9e6, 73)
DELAY = 43e-9


def background(frequency: NDArray[Any]) -> NDArray[Any]:
    """A gain that is straight in frequency, and cables: what linear interpolation knows exactly."""
    gain = 0.03 * (1 + (frequency - F0) / 50e6)
    return gain * np.exp(1j * (0.7 - TWO_PI * (frequency - F0) * DELAY))


def reflection(name: str) -> InstrumentTraces:
    """Traces of ``name`` behind the background, without noise."""
    clean = pc.simulate(
        "reflection",
        QUBIT,
        inputs=LINE_SWEEP,
        seed=0,
        observables=["reflection"],
        convention="+i",
        setup="raw",
    )
    r = clean["reflection"].transpose("power", "frequency").values
    power, frequency = (LINE_SWEEP[n] for n in LINE_SWEEP)
    seen = r * background(frequency)
    data = {
        "reflection": seen,
        "received": seen * np.sqrt(50 * power[:, None]),
        "reflected_power": np.abs(seen) ** 2 * power[:, None],
    }[name]
    units = {"reflection": "1", "received": "V", "reflected_power": "W"}
    return pc.traces(
        incident_power=power,
        frequency=frequency,
        units={"incident_power": "W", "frequency": "Hz", name: units[name]},
        plane="instrument",
        **{name: data},
    )


def reference(name: str, power: float | None = 3e-6, **changes: Any) -> InstrumentTraces:
    grid = changes.get("grid", GRID)
    seen = background(grid)
    level = power or 1.0
    data = {
        "reflection": seen,
        "received": seen * np.sqrt(50 * level),
        "reflected_power": np.abs(seen) ** 2 * level,
    }[name]
    units = {"reflection": "1", "received": "V", "reflected_power": "W"}
    return pc.traces(
        frequency=grid,
        units={"incident_power": "W", "frequency": "Hz", name: units[name]}
        if power
        else {"frequency": "Hz", name: units[name]},
        plane="instrument",
        **{name: data},
        **({"incident_power": power} if power else {}),
    )


def exact() -> NDArray[Any]:
    traces = pc.simulate(
        "reflection",
        QUBIT,
        inputs=LINE_SWEEP,
        seed=0,
        observables=["reflection"],
        convention="+i",
        setup="raw",
    )
    return np.asarray(traces["reflection"].transpose("power", "frequency").values)


@pytest.mark.parametrize("name", ["reflection", "received"])
def test_a_reference_on_another_grid_removes_gain_and_delay_exactly(name: str) -> None:
    device = to_device_plane(reflection(name), reference=reference(name))
    found = device["reflection"].transpose("power", "frequency").values
    assert np.abs(found - exact()).max() < 1e-11
    assert device["reflection"].attrs["units"] == "1"
    assert device.attrs["setup"] == "referenced"
    assert name == "reflection" or name not in device


def test_a_reference_power_makes_reflected_power_relative_to_the_generator() -> None:
    # |background|² is not straight in frequency: a finer grid leaves (h²/8)·2·0.03²/(50 MHz)².
    fine = np.linspace(F0 - 3e6, F0 + 3e6, 6001)
    device = to_device_plane(
        reflection("reflected_power"), reference=reference("reflected_power", grid=fine)
    )
    found = device["reflected_power"].transpose("power", "frequency").values
    wanted = np.abs(exact()) ** 2 * LINE_SWEEP["incident_power"][:, None]
    assert found == pytest.approx(wanted, rel=1e-9)
    assert device["reflected_power"].attrs["units"] == "W"


@pytest.mark.parametrize("name", ["received", "reflected_power"])
def test_the_power_at_which_the_reference_was_taken_does_not_matter(name: str) -> None:
    low = to_device_plane(reflection(name), reference=reference(name, 1e-9))
    high = to_device_plane(reflection(name), reference=reference(name, 1e-3))
    target = "reflection" if name == "received" else name
    assert low[target].values == pytest.approx(high[target].values, rel=1e-12)


def test_gaps_in_a_reference_are_bridged() -> None:
    holed = reference("reflection").copy(deep=True)
    holed["reflection"][10] = np.nan
    device = to_device_plane(reflection("reflection"), reference=InstrumentTraces(holed))
    found = device["reflection"].transpose("power", "frequency").values
    assert np.abs(found - exact()).max() < 1e-11


def test_the_noise_of_the_reference_is_kept_on_its_own_grid() -> None:
    rng = np.random.default_rng(0)
    noisy = reference("reflection").copy(deep=True)
    size = float(np.abs(noisy["reflection"]).mean())
    jitter = rng.standard_normal((2, GRID.size))
    noisy["reflection"] = noisy["reflection"] + 0.02 * size * (jitter[0] + 1j * jitter[1])
    device = to_device_plane(reflection("reflection"), reference=InstrumentTraces(noisy))
    assert device["reference_frequency"].values == pytest.approx(GRID)
    # 71 complex second differences know σ to √(35/(9·2·73))/2 = 8 %.
    assert device["reference_noise"].values == pytest.approx(0.02, rel=0.3)
    assert device["reference_noise"].attrs["complex"] == 1


def test_a_removed_reference_is_noted() -> None:
    named = InstrumentTraces(reference("reflection").assign_attrs(source="off.h5"))
    device = to_device_plane(reflection("reflection"), reference=named)
    assert device.attrs["reference"] == "off.h5"
    assert any("removed with a reference trace off.h5" in f for f in flags(device))


def test_a_reference_that_does_not_span_the_traces_is_refused() -> None:
    short = reference("reflection", grid=np.linspace(F0 - 1e6, F0 + 1e6, 11))
    with pytest.raises(TraceSchemaError) as caught:
        to_device_plane(reflection("reflection"), reference=short)
    assert str(caught.value) == (
        "the reference spans 4.999 to 5.001 GHz, the traces 4.998 to 5.002 GHz; it must span the "
        "traces: select fewer frequencies or give a wider one"
    )


def test_a_reference_at_several_powers_is_refused() -> None:
    traces = reflection("reflection")
    with pytest.raises(TraceSchemaError) as caught:
        to_device_plane(traces, reference=traces)
    assert "{'power': 5, 'frequency': 21}" in str(caught.value)
    assert "a reference is one trace against frequency at one power: select one" in str(
        caught.value
    )


@pytest.mark.parametrize("name", ["received", "reflected_power"])
def test_a_reference_without_its_power_is_refused(name: str) -> None:
    with pytest.raises(TraceSchemaError) as caught:
        to_device_plane(reflection(name), reference=reference(name, None))
    assert str(caught.value) == (
        f"the reference holds {name} without incident_power; give the generator power at which it "
        f"was taken"
    )


def test_a_reflection_coefficient_needs_no_reference_power() -> None:
    device = to_device_plane(reflection("reflection"), reference=reference("reflection", None))
    assert device.attrs["setup"] == "referenced"


def test_a_reference_of_another_kind_is_refused() -> None:
    with pytest.raises(TraceSchemaError) as caught:
        to_device_plane(reflection("received"), reference=reference("reflection"))
    assert str(caught.value).endswith("a reference needs the same observable")


def test_a_phase_slope_survives_noise_and_gaps() -> None:
    rng = np.random.default_rng(0)
    axis = np.delete(np.linspace(0.0, 1e6, 201), [50, 51, 120])
    noise = 0.05 * (rng.standard_normal(axis.size) + 1j * rng.standard_normal(axis.size))
    values = np.exp(-1j * TWO_PI * axis * 2e-6) + noise
    # Neighbours 5 kHz apart turn by 0.06; the mean over 195 pairs is good to 1 %.
    assert phase_slope(axis, values) == pytest.approx(-TWO_PI * 2e-6, rel=0.15)


def test_the_noise_of_a_short_trace_is_not_guessed() -> None:
    assert relative_noise(np.arange(7.0), np.ones(7)) == 0.0


# ---- the line in a fit ----


def expect(result: FitResult, **truth: float) -> None:
    for name, true in truth.items():
        estimate = result[name]
        assert estimate.status == "ok", f"{name}: {estimate.status}"
        assert abs(estimate.value - true) < 4 * estimate.stderr, f"{name}: {estimate}"


def test_starting_values_see_the_traces_at_the_device() -> None:
    traces = simulated("reflected_power", noise=0.0, attenuation_db=60.0, gain_db=40.0)
    line = LineCalibration(attenuation_db=(60.0, 0.5), gain_db=(40.0, 0.3))
    seen = nominal(to_device_plane(traces, line))
    bare = simulated("reflected_power", noise=0.0)
    for name in ("incident_power", "reflected_power"):
        assert seen[name].values == pytest.approx(bare[name].values, rel=1e-12)


def test_population_and_t1_calibrate_the_power_line() -> None:
    """R + p + T1 with the gain free: all is determined (supplement B), the gain among it."""
    traces = simulated("absorbed_power", "excited_population", gain_db=37.3)
    t1 = 1 / (WARM["gamma_1"] * 1.12)
    result = pc.fit(
        to_device_plane(traces),
        "finite_temperature",
        fixed={"attenuation_db": 0.0},
        priors={"T1": (t1, 0.02 * t1)},
        intervals="covariance",
    )
    expect(result, gain_db=37.3, gamma_1=6e6, n_th=0.06)
    # 2 % of T1 are 0.087 dB; the rest is the saturated power, known to a percent or better.
    assert 0.08 < result["gain_db"].stderr < 0.12


def test_without_t1_the_gain_is_not_determined_and_n_th_is() -> None:
    """R + p with the gain free: n_th, but neither Γ₁ nor the gain."""
    traces = simulated("absorbed_power", "excited_population", gain_db=37.3)
    fixed = {"attenuation_db": 0.0}
    result = pc.fit(
        to_device_plane(traces), "finite_temperature", fixed=fixed, intervals="covariance"
    )
    expect(result, n_th=0.06)
    assert {"gamma_1", "gain_db"} <= set(result.undetermined)


def with_t1(**start: float) -> FitResult:
    """R + T1 with the gain free: Γ₂ and Γφ, not Γ₁, n, g (rank 5 of 6)."""
    t1 = 1 / (WARM["gamma_1"] * 1.12)
    return pc.fit(
        to_device_plane(simulated("absorbed_power", gain_db=37.3)),
        "finite_temperature",
        fixed={"attenuation_db": 0.0},
        priors={"T1": (t1, 0.02 * t1)},
        intervals="covariance",
        start=start,
    )


def expect_the_gain_open(result: FitResult) -> None:
    expect(result, gamma_phi=3e6, gamma_2=6e6 * 0.56 + 3e6, drive_scale=3e29)
    assert set(result.undetermined) == {"gamma_1", "n_th", "gain_db"}
    assert result.verdicts["adequate"]


def test_absorbed_power_and_t1_leave_the_gain_open() -> None:
    expect_the_gain_open(with_t1(gain_db=30.0))


def test_a_gain_of_which_nothing_is_known_is_looked_for() -> None:
    expect_the_gain_open(with_t1())


def test_a_known_drive_scale_calibrates_the_attenuation() -> None:
    traces = simulated("absorbed_power", "excited_population", attenuation_db=61.7)
    fixed = {"gain_db": 0.0, "drive_scale": WARM["drive_scale"]}
    result = pc.fit(
        to_device_plane(traces), "finite_temperature", fixed=fixed, intervals="covariance"
    )
    expect(result, attenuation_db=61.7, gamma_1=6e6, n_th=0.06)


def at_gain(gain_db: float) -> FitResult:
    traces = simulated("absorbed_power", "excited_population", gain_db=40.0)
    return pc.fit(
        to_device_plane(traces),
        "finite_temperature",
        fixed={"attenuation_db": 0.0, "gain_db": gain_db},
        intervals="covariance",
    )


def test_a_gain_wrong_by_3_db_moves_gamma_1_by_two_and_n_th_not_at_all() -> None:
    factor = 10 * np.log10(2.0)
    right, wrong = at_gain(40.0), at_gain(40.0 + factor)
    assert wrong["gamma_1"].value / right["gamma_1"].value == pytest.approx(0.5, rel=1e-6)
    assert wrong["n_th"].value == pytest.approx(right["n_th"].value, rel=1e-6)
    assert wrong["gamma_2"].value == pytest.approx(right["gamma_2"].value, rel=1e-6)
    assert wrong.chi2 == pytest.approx(right.chi2, rel=1e-9)


def test_the_straight_line_of_power_and_population_knows_the_same() -> None:
    traces = pc.simulate(
        "power_balance",
        {"gamma_1": 6e6, "n_th": 0.06},
        inputs={"excited_population": np.linspace(0.06, 0.48, 20), "frequency": F0},
        seed=0,
        noise={"absorbed_power": 0.01 * WATT},
    )
    twice = {n: 2 * traces[n] for n in ("absorbed_power", "absorbed_power_std")}
    doubled = DeviceTraces(traces.assign(twice))
    right = pc.fit(DeviceTraces(traces), "power_balance", intervals="covariance")
    wrong = pc.fit(doubled, "power_balance", intervals="covariance")
    assert wrong["gamma_1"].value / right["gamma_1"].value == pytest.approx(2.0, rel=1e-6)
    assert wrong["n_th"].value == pytest.approx(right["n_th"].value, rel=1e-6)


def test_the_uncertainty_of_the_gain_arrives_in_gamma_1() -> None:
    traces = simulated("absorbed_power", "excited_population", gain_db=40.0)
    line = LineCalibration(gain_db=(40.0, 0.3))
    result = pc.fit(
        to_device_plane(traces, line),
        "finite_temperature",
        fixed={"attenuation_db": 0.0},
        intervals="covariance",
    )
    # 0.3 dB are 6.9 %; the statistical error is a percent or less.
    relative = result["gamma_1"].stderr / result["gamma_1"].value
    assert relative == pytest.approx(0.3 * np.log(10) / 10, rel=0.05)


def tilted(table: bool) -> FitResult:
    """The loss grows by 6 dB across the sweep; the qubit sees less drive on the far side."""
    frequency = SWEEP["frequency"]
    loss = 60.0 + 3.0 * (frequency - F0) / 4e6
    # The device saw 10^(−loss/10) of what the generator sent: simulate on that grid of powers.
    sent = 1e6 * SWEEP["incident_power"]
    model = pc.get_model("finite_temperature").configure(detection="absorbed")
    at_device = sent[:, None] * 10 ** (-loss / 10)
    powers, _, population = model.curve(at_device, frequency + 0 * at_device, **WARM)
    rng = np.random.default_rng(0)
    traces = pc.traces(
        incident_power=sent,
        frequency=frequency,
        absorbed_power=powers + 0.01 * WATT * rng.standard_normal(powers.shape),
        excited_population=population + 0.01 * rng.standard_normal(powers.shape),
        units={
            "incident_power": "W",
            "frequency": "Hz",
            "absorbed_power": "W",
            "excited_population": "1",
        },
        plane="instrument",
        detection="absorbed",
    )
    known = Tabulated(
        (F0 - 4e6, F0, F0 + 4e6), (57.0, 60.0, 63.0), (0.2, 0.2, 0.2)
    )  # one uncertainty, common to the table
    line = LineCalibration(attenuation_db=known if table else (60.0, 0.2))
    return pc.fit(
        to_device_plane(traces, line),
        "finite_temperature",
        fixed={"gain_db": 0.0},
        sigma={"absorbed_power": 0.01 * WATT, "excited_population": 0.01},
        intervals="covariance",
    )


def test_a_tabulated_attenuation_is_honoured() -> None:
    result = tilted(table=True)
    expect(result, qubit_frequency=F0, gamma_1=6e6, n_th=0.06, drive_scale=3e29)
    assert result.verdicts["adequate"]
    assert result["attenuation_db"].prior == pytest.approx((60.0, 0.2))


def test_a_tilt_that_nobody_states_moves_the_qubit_and_shows_in_chi2() -> None:
    result = tilted(table=False)
    assert abs(result["qubit_frequency"].value - F0) > 10 * result["qubit_frequency"].stderr
    assert not result.verdicts["adequate"]
