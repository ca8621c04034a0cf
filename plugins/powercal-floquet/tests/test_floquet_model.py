"""What the model says: limits, strong drives, the radiative drive, shifts, checks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from powercal_floquet.model import FLOQUET

import powercal as pc
from powercal.errors import FitError
from powercal.physics.constants import HBAR

TWO_PI = 2 * np.pi
SCALE = FLOQUET.configure(detection="absorbed")
RADIATIVE = FLOQUET.configure(drive="radiative", detection="absorbed")
WEAK = {
    "qubit_frequency": 5e9,
    "gamma_1": 1e6,
    "gamma_phi": 2e5,
    "n_th": 0.05,
    "drive_scale": 1e30,
}
# A slow qubit under a drive of up to a tenth of its frequency, as in the README.
STRONG = WEAK | {"qubit_frequency": 5e7, "gamma_1": 2e5, "gamma_phi": 5e4, "drive_scale": 4e27}
POWER = np.geomspace(1e-16, 3e-13, 5)[:, None]
FREQUENCY = np.linspace(40e6, 60e6, 21)


def test_a_weak_drive_at_gigahertz_is_that_of_the_rotating_wave() -> None:
    power, frequency = np.geomspace(1e-19, 1e-16, 5)[:, None], 5e9 + np.linspace(-1e6, 1e6, 21)
    model = pc.get_model("finite_temperature").configure(detection="absorbed")
    exact, rotating = (m.curve(power, frequency, **WEAK) for m in (SCALE, model))
    for ours, theirs in zip(exact, rotating, strict=True):
        # Delta/omega_q is 2e-4 at most, Omega/omega_q 3e-4.
        np.testing.assert_allclose(ours, theirs, rtol=1e-3)
    assert np.max(np.abs(exact[0] / rotating[0] - 1)) > 1e-5


@pytest.mark.parametrize("drive", ["scale", "radiative"])
def test_derivatives_are_exact_under_a_strong_drive(drive: str) -> None:
    model, values = (SCALE, STRONG) if drive == "scale" else (RADIATIVE, strong_radiative())
    at = {"incident_power": POWER, "frequency": FREQUENCY, **values}
    power, _, population = slopes(model, at)
    for name, value in at.items():
        # A line of 25 kHz, not the qubit's frequency, sets the size of a step in frequency.
        step = 100.0 if "frequency" in name else 1e-3 * np.abs(value)
        expected = difference(model, at, name, step)
        for found, slope in ((power, expected[0]), (population, expected[2])):
            # Truncation is of fourth order in a step of 4e-3 widths; rounding is 1e-13.
            np.testing.assert_allclose(found[name], slope, rtol=0, atol=3e-9 * np.abs(slope).max())


@pytest.mark.parametrize("drive", ["scale", "radiative"])
def test_what_is_not_absorbed_is_left_over(drive: str) -> None:
    model, values = (SCALE, STRONG) if drive == "scale" else (RADIATIVE, strong_radiative())
    loss = 10 ** (-values.get("attenuation_db", 0.0) / 10)
    at = {"incident_power": POWER, "frequency": FREQUENCY, **values}
    absorbed, left, _ = curves(model, at)
    np.testing.assert_allclose(left, POWER * loss - absorbed, rtol=1e-15)
    power, rest, _ = slopes(model, at)
    for name in at:
        direct = {"incident_power": loss, "attenuation_db": -np.log(10) / 10 * POWER * loss}
        expected = direct.get(name, 0.0) - power[name]
        np.testing.assert_allclose(rest[name], expected + 0 * power[name], rtol=1e-12)


def slopes(model: pc.Model, at: Mapping[str, Any]) -> Any:
    assert model.jacobian is not None
    rest = {k: v for k, v in at.items() if k not in model.inputs}
    return model.jacobian(*(at[n] for n in model.inputs), **rest)


def curves(model: pc.Model, at: Mapping[str, Any]) -> np.ndarray:
    rest = {k: v for k, v in at.items() if k not in model.inputs}
    return np.stack(model.curve(*(at[n] for n in model.inputs), **rest))


def difference(model: pc.Model, at: Mapping[str, Any], name: str, step: Any) -> np.ndarray:
    def moved(k: int) -> np.ndarray:
        return curves(model, {**at, name: at[name] + k * step})

    return np.asarray((8 * (moved(1) - moved(-1)) - moved(2) + moved(-2)) / (12 * step))


def strong_radiative() -> dict[str, float]:
    values = {k: v for k, v in STRONG.items() if k not in ("gamma_1", "drive_scale")}
    return values | {"gamma_r": 1e4, "gamma_i": 2e5, "attenuation_db": 25.0}


def test_the_radiative_rate_drives_as_its_line_says() -> None:
    values = strong_radiative()
    at = POWER * 10**-2.5
    scale = 4 * values["gamma_r"] / (HBAR * TWO_PI * FREQUENCY)
    alike = {**STRONG, "gamma_1": 2.1e5, "drive_scale": scale}
    radiative = RADIATIVE.curve(POWER, FREQUENCY, **values)
    for ours, theirs in zip(radiative, SCALE.curve(at, FREQUENCY, **alike), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("tolerance", ["1e-6", "1e-9"])
def test_a_tolerance_is_kept(tolerance: str) -> None:
    coarse = FLOQUET.configure(detection="absorbed", tolerance=tolerance)
    strong = STRONG | {"drive_scale": 1e29}
    off = np.abs(
        coarse.curve(POWER, FREQUENCY, **strong)[2] - SCALE.curve(POWER, FREQUENCY, **strong)[2]
    )
    # The tolerance is that of <sigma_z>, twice the population.
    assert 0 < np.max(off) < float(tolerance) / 2


@pytest.mark.parametrize("detection", ["coherent", "total"])
def test_another_detection_is_refused(detection: str) -> None:
    traces = pc.traces(
        incident_power=POWER[:, 0],
        frequency=FREQUENCY,
        absorbed_power=np.ones((5, 21)) * 1e-20,
        units={"incident_power": "W", "frequency": "Hz", "absorbed_power": "W"},
        plane="device",
        detection=detection,
    )
    with pytest.raises(FitError, match="say which of absorbed"):
        pc.fit(pc.to_device_plane(traces), FLOQUET)


def derived(model: pc.Model, name: str, values: Mapping[str, float]) -> float:
    row = next(row for row in model.derived if row.name == name)
    return float(row.function(**{a: values[a] for a in row.arguments}))


def test_the_shift_is_that_of_bloch_and_siegert() -> None:
    per_watt = STRONG["drive_scale"] / (4 * TWO_PI * 5e7) / TWO_PI
    assert derived(SCALE, "bloch_siegert_per_watt", STRONG) == pytest.approx(per_watt, rel=1e-12)
    at = derived(SCALE, "saturation_power", STRONG)
    shift = derived(SCALE, "bloch_siegert_at_saturation", STRONG)
    assert shift == pytest.approx(per_watt * at, rel=1e-12)


def test_the_curve_itself_moves_by_the_shift() -> None:
    power = 2e3 * derived(SCALE, "saturation_power", STRONG)
    frequency = 5e7 + np.linspace(-2e4, 3e4, 501)
    population = SCALE.curve(np.asarray(power), frequency, **STRONG)[2]
    shift = derived(SCALE, "bloch_siegert_per_watt", STRONG) * power
    # Steps of 100 Hz; the next order of the shift is (Omega/omega_q)^2/16 of it.
    assert frequency[np.argmax(population)] - 5e7 == pytest.approx(shift, rel=0.02)


def test_radiative_and_plain_drive_say_the_same_of_the_line() -> None:
    values = strong_radiative()
    scale = derived(RADIATIVE, "drive_scale", values)
    plain = STRONG | {"gamma_1": derived(RADIATIVE, "gamma_1", values), "drive_scale": scale}
    for name in ("T1", "saturation_power", "bloch_siegert_per_watt", "bloch_siegert_at_saturation"):
        assert derived(RADIATIVE, name, values) == pytest.approx(
            derived(SCALE, name, plain), rel=1e-12, abs=0
        )


# ---- checks ----


def fitted(values: Mapping[str, float] = STRONG, **attributes: Any) -> pc.FitResult:
    traces = pc.simulate(
        SCALE,
        values,
        inputs={"incident_power": POWER[:, 0], "frequency": FREQUENCY},
        noise={"absorbed_power": 1e-24, "excited_population": 1e-3},
        observables=("absorbed_power", "excited_population"),
        attributes=attributes,
        seed=4,
    )
    return pc.fit(pc.to_device_plane(traces), FLOQUET, intervals="covariance")


def check(result: pc.FitResult, name: str) -> pc.Check:
    return next(c for c in result.checks if c.name == name)


def test_a_drive_of_a_tenth_of_the_transition_keeps_the_assumptions() -> None:
    result = fitted(dwell_time=1e-3)
    assert {c.verdict for c in result.checks} == {"holds"}
    strongest = np.sqrt(STRONG["drive_scale"] * 3e-13)
    found = check(result, "fixed_rates")
    assert found.value == pytest.approx(strongest / (TWO_PI * 5e7), rel=0.01)


def test_the_shift_is_set_against_the_broadened_width() -> None:
    rabi = np.sqrt(STRONG["drive_scale"] * 3e-13)
    total = STRONG["gamma_1"] * 1.1
    width = rabi * np.sqrt((total / 2 + STRONG["gamma_phi"]) / total)
    expected = rabi**2 / (4 * TWO_PI * 5e7) / width
    # The rates are fitted to a per cent, and the width without drive is left out here.
    assert check(fitted(), "bloch_siegert").value == pytest.approx(expected, rel=0.03)


def test_too_strong_a_drive_is_said() -> None:
    result = fitted(STRONG | {"drive_scale": 4e28})
    assert check(result, "fixed_rates").verdict == "fails"


def test_a_short_dwell_is_said() -> None:
    assert check(fitted(dwell_time=1e-6), "steady_state").verdict == "fails"
    assert check(fitted(), "steady_state").verdict == "unknown"


def test_power_out_of_one_bath_is_said() -> None:
    # The supplement's example in C6, in units of 1e6/s.
    omega_q = 29.8e6
    outside = {
        "qubit_frequency": omega_q / TWO_PI,
        "gamma_1": 1e6,
        "gamma_phi": 0.0,
        "n_th": 0.184,
        "drive_scale": (0.443 * omega_q) ** 2 / 1e-13,
    }
    result = fitted()
    frequency = result.traces["frequency"] * 0 + 0.0375 * omega_q / TWO_PI
    traces = result.traces.assign_coords(incident_power=result.traces["incident_power"] * 0 + 1e-13)
    moved = dataclasses.replace(
        result, values=outside, traces=traces.assign_coords(frequency=frequency)
    )
    assert FLOQUET.checks is not None
    found = {c.name: c for c in FLOQUET.checks(moved)}
    assert found["second_law"].verdict == "fails"
    expected = 2.8e-4 * HBAR * omega_q * 1e6 * 1.368
    assert found["second_law"].value == pytest.approx(expected, rel=0.02, abs=0)
    assert check(result, "second_law").verdict == "holds"


def test_a_drive_beyond_all_harmonics_is_said() -> None:
    result = fitted()
    moved = dataclasses.replace(result, values={**result.values, "drive_scale": 1e38})
    assert FLOQUET.checks is not None
    found = {c.name: c for c in FLOQUET.checks(moved)}
    assert found["harmonics"].verdict == "fails"
