"""The cavity's model keeps powercal's contract and agrees with the physics it is made of."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from powercal_reservoirs import laser_model
from powercal_reservoirs.cavity_balance import cavity_flows
from powercal_reservoirs.cavity_closed_forms import optical_rate
from powercal_reservoirs.cavity_model import MODEL, powercal_models
from powercal_reservoirs.constants import ELEMENTARY_CHARGE, PLANCK, TWO_PI
from powercal_reservoirs.double_dot import Reservoir

import powercal as pc
from powercal.errors import FitError
from powercal.schema import DeviceTraces
from powercal.testing import ModelContract

EXAMPLES = {row.name: float(row.example) for row in MODEL.parameters}
BIAS = np.linspace(-60e-6, 160e-6, 17)


def simulated(values: dict[str, float] | None = None, seed: int = 1) -> DeviceTraces:
    curves = MODEL.curve(BIAS, **(values or EXAMPLES))
    noise = {
        name: 0.003 * float(np.max(np.abs(curve)))
        for name, curve in zip(MODEL.observables, curves, strict=True)
    }
    traces = pc.simulate(
        MODEL, values or EXAMPLES, inputs={"bias_voltage": BIAS}, seed=seed, noise=noise
    )
    return DeviceTraces(traces)


class TestCavity(ModelContract):
    model = MODEL
    fits = 5

    def make_traces(self, model: pc.Model) -> DeviceTraces:
        return simulated()


def test_the_curve_is_the_energy_flow_into_the_bath_and_the_charge_that_pays_for_it() -> None:
    values = {
        **EXAMPLES,
        "cavity_detuning": 3e8,
        "asymmetry": -0.3,
        "level_offset": 1e9,
        "temperature_ratio": 1.5,
        "bath_temperature": 0.4,
    }
    middle, apart = 1e9, 6.7e9 - 3e8
    gammas, temperatures = (0.7e9, 1.3e9), (0.1, 0.15)
    sides = [
        Reservoir(g, s * ELEMENTARY_CHARGE * BIAS / 2, t)
        for g, s, t in zip(gammas, (1, -1), temperatures, strict=True)
    ]
    energies = [PLANCK * (middle + s * apart / 2) for s in (1, -1)]
    coupling = np.sqrt(values["coupling"])
    flows = cavity_flows(*energies, TWO_PI * 6.7e9, coupling, *sides, 1e8, 0.4)
    power, current = MODEL.curve(BIAS, **values)
    assert np.allclose(power, -flows.energy_b, rtol=1e-9, atol=0)
    assert np.allclose(current, -ELEMENTARY_CHARGE * flows.particle_u, rtol=1e-9, atol=0)


def test_the_derived_rate_is_that_of_the_physics() -> None:
    quantity = next(d for d in MODEL.derived if d.name == "optical_rate")
    values = {**EXAMPLES, "cavity_detuning": 4e8, "gamma_b": 7e8}
    wanted = optical_rate(np.sqrt(2e17), TWO_PI * 4e8, 1e9, 1e9, 7e8)
    found = quantity.function(**{name: values[name] for name in quantity.arguments})
    assert float(found) == pytest.approx(float(wanted), rel=1e-12, abs=0)


def test_far_above_threshold_it_is_the_laser() -> None:
    # About thirty photons; the classical field leaves out spontaneous ones, about one of them.
    shared = {row.name for row in laser_model.MODEL.parameters}
    values = {**EXAMPLES, "gamma_b": 1e7, "coupling": 4e16}
    bias = np.array([60e-6, 150e-6])
    (power, _), (classical, _) = (
        model.curve(bias, **{n: v for n, v in values.items() if n in names})
        for model, names in ((MODEL, set(values)), (laser_model.MODEL, shared))
    )
    assert np.allclose(power, classical, rtol=0.05, atol=0)


def test_a_hot_bath_drives_the_current_backwards_as_in_a_photodiode() -> None:
    values = {**EXAMPLES, "bath_temperature": 1.0}
    power, current = MODEL.curve(np.array([-20e-6, 0.0]), **values)
    assert np.all(power < 0)
    assert np.all(current > 0)


def test_a_mode_pulled_below_zero_is_no_number() -> None:
    values = {**EXAMPLES, "cavity_detuning": 6.6e9, "gamma_b": 3e10, "cavity_frequency": 6e9}
    assert np.isnan(MODEL.curve(BIAS, **values)[0]).all()


def test_a_sweep_of_the_bias_determines_the_temperature_as_well() -> None:
    result = pc.fit(simulated(), MODEL, free=("temperature_u",), intervals="covariance")
    assert result["temperature_u"].status == "ok"
    pull = (result["temperature_u"].value - 0.1) / result["temperature_u"].stderr
    assert abs(pull) < 4


def test_photons_that_no_fock_state_holds_fail_the_check() -> None:
    result = pc.fit(simulated(), MODEL, intervals="covariance")
    assert {check.name: check.verdict for check in result.checks} == {
        "fock_tail": "holds",
        "broadening": "holds",
        "dressing": "holds",
        "rotating_wave": "holds",
    }
    brighter = dataclasses.replace(result, values={**result.values, "gamma_b": 1e5})
    assert MODEL.checks is not None
    tail = MODEL.checks(brighter)[0]
    assert (tail.name, tail.value, tail.verdict) == ("fock_tail", 1.0, "fails")


def test_traces_without_bias_are_refused_in_words() -> None:
    with pytest.raises(FitError, match="the cavity needs bias_voltage and one of emitted_power"):
        MODEL.guess(DeviceTraces(simulated().drop_vars("bias_voltage")), {})


def test_traces_without_response_are_refused_in_words() -> None:
    traces = simulated()
    for name in MODEL.observables:
        traces[name] = 0 * traces[name]
    with pytest.raises(FitError, match="emitted_power shows no response to the bias"):
        MODEL.guess(traces, {})


def test_powercal_finds_it_by_its_name() -> None:
    assert powercal_models() == (MODEL,)
