"""The double dot's model keeps powercal's contract, is the physics, and knows its limits."""

from __future__ import annotations

import numpy as np
import pytest
from powercal_reservoirs import double_dot
from powercal_reservoirs.constants import ELEMENTARY_CHARGE, PLANCK, TWO_PI
from powercal_reservoirs.double_dot import Reservoir
from powercal_reservoirs.double_dot_model import MODEL

import powercal as pc
from powercal.errors import FitError
from powercal.testing import ModelContract

EXAMPLES = {row.name: float(row.example) for row in MODEL.parameters}
INPUTS = {
    "incident_power": np.geomspace(3e-17, 3e-14, 4),
    "frequency": np.linspace(5.7e9, 7.7e9, 15),
    "bias_voltage": np.linspace(-60e-6, 60e-6, 4),
}
NOISE = {"photocurrent": 1e-13, "absorbed_power": 1e-18}


def simulate(bias, values=EXAMPLES, observable="photocurrent", **options):
    return pc.simulate(
        MODEL,
        values,
        inputs={**INPUTS, "bias_voltage": bias},
        seed=3,
        noise={observable: NOISE[observable]},
        observables=(observable,),
        **options,
    )


class TestDoubleDot(ModelContract):
    model = MODEL

    def make_traces(self, model):
        # About one photon's energy of bias either way: further out the reservoirs only saturate.
        return pc.simulate(model, EXAMPLES, inputs=INPUTS, seed=1, noise=NOISE)


@pytest.mark.parametrize(("wider", "sign"), [("upper", 1), ("lower", -1)])
def test_the_curve_is_the_physics(wider: str, sign: int) -> None:
    p = EXAMPLES | {"temperature_ratio": 1.7, "level_offset": 8e8, "asymmetry": 0.6}
    power, frequency, bias = np.asarray(4e-16), INPUTS["frequency"], np.asarray(11e-6)
    current, absorbed = MODEL.configure(wider=wider).curve(power, frequency, bias, **p)
    half, middle = PLANCK * p["transition_frequency"] / 2, PLANCK * p["level_offset"]
    reservoirs = [
        Reservoir(
            p["gamma_total"] * (1 + side * sign * 0.6) / 2,
            side * ELEMENTARY_CHARGE * bias / 2,
            temperature,
        )
        for side, temperature in ((1, p["temperature_u"]), (-1, 1.7 * p["temperature_u"]))
    ]
    flows = double_dot.flows(
        middle + half,
        middle - half,
        TWO_PI * frequency,
        np.sqrt(p["drive_scale"] * power) / 2,
        *reservoirs,
    )
    # Energies of a few GHz are differences of larger ones: twelve digits are left.
    assert np.allclose(current, double_dot.photocurrent(flows.rate), rtol=1e-11, atol=0)
    assert np.allclose(absorbed, flows.power, rtol=1e-11, atol=0)


def test_at_the_saturation_power_the_resonant_rate_is_half_of_the_saturated_one() -> None:
    derived = {d.name: d for d in MODEL.derived}
    power, rate = (
        derived[name].function(**{a: EXAMPLES[a] for a in derived[name].arguments})
        for name in ("saturation_power", "saturated_rate")
    )
    # A volt drives the reservoirs all the way: f_u - f_l = 1.
    inputs = np.asarray(power), np.asarray(EXAMPLES["transition_frequency"]), np.asarray(1.0)
    current, _ = MODEL.curve(*inputs, **EXAMPLES)
    assert float(current) == pytest.approx(-ELEMENTARY_CHARGE * rate / 2, rel=1e-12, abs=0)


def test_the_current_changes_its_sign_where_the_bias_pays_for_the_photon() -> None:
    bias = PLANCK * 6.5e9 / ELEMENTARY_CHARGE
    p = EXAMPLES | {"level_offset": 3e9}
    inputs = np.asarray(1e-15), np.asarray(6.5e9), bias * (1 + np.array([-1e-6, 1e-6]))
    current, _ = MODEL.configure().curve(*inputs, **p)
    assert np.array_equal(np.sign(current), [1.0, -1.0])


def test_one_bias_with_a_known_temperature_determines_both_rates() -> None:
    result = pc.fit(simulate(0.0), MODEL)
    for name, true in (*EXAMPLES.items(), ("gamma_u", 1.4e9), ("gamma_l", 0.6e9)):
        estimate = result[name]
        if estimate.status != "fixed":
            assert estimate.status == "ok"
            assert abs(estimate.value - true) < 5 * estimate.stderr
    assert result["gamma_u"].stderr < 2e7


def test_a_sweep_of_the_bias_determines_temperatures_and_offset_too() -> None:
    freed = ("temperature_u", "temperature_ratio", "level_offset")
    bias = np.linspace(-60e-6, 60e-6, 9)
    result = pc.fit(simulate(bias), MODEL, free=freed, intervals="covariance")
    for name in freed:
        estimate = result[name]
        assert estimate.status == "ok"
        assert abs(estimate.value - EXAMPLES[name]) < 5 * estimate.stderr
    assert result["temperature_u"].stderr < 5e-3


def test_at_one_bias_the_asymmetry_is_as_good_as_the_assumed_temperature() -> None:
    traces = simulate(0.0)
    known = pc.fit(traces, MODEL, intervals="covariance")["asymmetry"]
    freed = pc.fit(traces, MODEL, free=("temperature_u",), intervals="covariance")["asymmetry"]
    assert freed.stderr is None or freed.stderr > 3 * known.stderr
    wrong = pc.fit(traces, MODEL, fixed={"temperature_u": 0.12}, intervals="covariance")
    assert abs(wrong["asymmetry"].value - 0.4) > 10 * known.stderr


def test_equal_rates_leave_an_upper_limit_of_the_asymmetry() -> None:
    result = pc.fit(simulate(0.0, EXAMPLES | {"asymmetry": 0.0}), MODEL)
    assert result["asymmetry"].status in ("upper_limit", "undetermined")
    assert result["saturated_rate"].value == pytest.approx(5e8, rel=0.02)


def test_the_absorbed_power_alone_tells_the_same() -> None:
    result = pc.fit(simulate(0.0, observable="absorbed_power"), MODEL, intervals="covariance")
    estimate = result["gamma_total"]
    assert abs(estimate.value - 2e9) < 5 * estimate.stderr < 2e8


def test_exchanging_the_two_rates_changes_nothing_between_like_reservoirs() -> None:
    mesh = np.meshgrid(*INPUTS.values(), indexing="ij")
    one, other = (MODEL.configure(wider=w).curve(*mesh, **EXAMPLES)[0] for w in ("upper", "lower"))
    assert np.max(np.abs(one - other)) < 1e-12 * np.max(np.abs(one))


def test_the_checks_name_what_is_presupposed() -> None:
    hot = pc.fit(simulate(0.0), MODEL, intervals="covariance")
    assert {c.name: c.verdict for c in hot.checks} == {
        "broadening": "holds",
        "dressing": "holds",
        "rotating_wave": "holds",
    }
    # The width is 15 mK.
    cold = pc.fit(simulate(0.0), MODEL, fixed={"temperature_u": 0.01}, intervals="covariance")
    assert next(c for c in cold.checks if c.name == "broadening").verdict == "fails"


def test_traces_without_a_bias_are_refused_in_words() -> None:
    traces = simulate(0.0).drop_vars("bias_voltage")
    with pytest.raises(FitError, match="a bias of 0 V if none is applied"):
        MODEL.guess(traces, {})
