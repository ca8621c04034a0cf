"""The double dot beyond the rotating-wave approximation keeps powercal's contract."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from powercal_reservoirs.constants import ELEMENTARY_CHARGE, PLANCK
from powercal_reservoirs.double_dot_model import MODEL as ROTATING
from powercal_reservoirs.periodic_model import MODEL, powercal_models

import powercal as pc
from powercal.schema import DeviceTraces
from powercal.testing import ModelContract

EXAMPLES = {row.name: row.example for row in MODEL.parameters}
BIAS = np.array([-60e-6, -10e-6, 20e-6])
INPUTS = {
    "incident_power": np.geomspace(3e-17, 3e-14, 3),
    "frequency": np.linspace(5.7e9, 7.7e9, 9),
    "bias_voltage": BIAS,
}


def simulated(seed: int = 1) -> DeviceTraces:
    noise = {"photocurrent": 1e-13, "absorbed_power": 1e-18}
    return DeviceTraces(pc.simulate(MODEL, EXAMPLES, inputs=INPUTS, seed=seed, noise=noise))


class TestPeriodicDot(ModelContract):
    model = MODEL
    fits = 6

    def make_traces(self, model: pc.Model) -> DeviceTraces:
        return simulated()


def test_a_weak_field_near_resonance_gives_the_rotating_wave_approximation() -> None:
    # Width and detuning are 1e-4 of the frequency; what is left out is of this order.
    values = {**EXAMPLES, "transition_frequency": 1e13, "temperature_u": 100.0}
    inputs = np.asarray(1e-17), 1e13 + np.array([-1e8, 0.0, 3e8]), np.asarray(0.01)
    for ours, theirs in zip(
        MODEL.curve(*inputs, **values), ROTATING.curve(*inputs, **values), strict=True
    ):
        assert np.allclose(ours, theirs, rtol=2e-4, atol=0)


def test_currents_and_powers_count_different_photons_in_a_strong_field() -> None:
    inputs = np.asarray(3e-14), np.asarray(5.7e9), np.asarray(20e-6)
    current, power = MODEL.curve(*inputs, **EXAMPLES)
    assert float(power / current) != pytest.approx(PLANCK * 5.7e9 / ELEMENTARY_CHARGE, rel=1e-3)


def test_the_second_law_holds_for_both_observables() -> None:
    # One temperature: the field's work less the battery's gain is heat, I V <= P.
    inputs = np.meshgrid(np.geomspace(1e-16, 1e-12, 9), np.linspace(2e9, 2e10, 21), BIAS)
    current, power = MODEL.curve(*inputs, **EXAMPLES)
    assert np.all(power - current * inputs[2] > 0)


def test_photons_of_a_third_of_the_frequency_are_absorbed_three_at_a_time() -> None:
    # Three photons lift an electron: a line of its own at f_ul/3, which the RWA does not have.
    values = {**EXAMPLES, "gamma_total": 1e8}
    frequency = EXAMPLES["transition_frequency"] / 3 * np.linspace(0.95, 1.15, 201)
    current = MODEL.curve(np.asarray(2e-14), frequency, np.asarray(0.0), **values)[0]
    peak = int(np.argmax(current))
    assert 0 < peak < 200
    assert current[peak] > 10 * max(current[0], current[-1])


def test_too_strong_a_field_is_said_to_be_seen_by_the_reservoirs() -> None:
    result = pc.fit(simulated(), MODEL, intervals="covariance")
    assert {check.name: check.verdict for check in result.checks}["sidebands"] == "holds"
    stronger = dataclasses.replace(result, values={**result.values, "drive_scale": 1e36})
    assert MODEL.checks is not None
    verdicts = {check.name: check.verdict for check in MODEL.checks(stronger)}
    assert (verdicts["sidebands"], verdicts["dressing"]) == ("fails", "fails")
    lost = dataclasses.replace(stronger, values={**stronger.values, "attenuation_db": 30.0})
    assert {check.verdict for check in MODEL.checks(lost)} == {"holds"}


def test_powercal_finds_it_by_its_name() -> None:
    assert powercal_models() == (MODEL,)
