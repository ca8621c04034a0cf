"""Simulated traces: the model's own curve, noise as asked for, lines, planes, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import powercal as pc
from powercal.errors import ContractError, TraceSchemaError, UnknownNameError
from powercal.schema import InstrumentTraces

F0 = 5e9
WARM = {"qubit_frequency": F0, "gamma_1": 6e6, "gamma_phi": 1e6, "n_th": 0.06, "drive_scale": 3e29}
SWEEP = {
    "incident_power": np.geomspace(4e-18, 2e-15, 40),
    "frequency": F0 + 2.7e6 * np.linspace(-1.0, 1.0, 50),
}
QUBIT = {"qubit_frequency": F0, "gamma_r": 6e6, "attenuation_db": 0.0}
SIGMA = 1e-19


def absorbed(seed: int = 0, **more: Any) -> InstrumentTraces:
    options = {"observables": ["absorbed_power"], "detection": "absorbed", **more}
    values = options.pop("values", WARM)
    return pc.simulate("finite_temperature", values, inputs=SWEEP, seed=seed, **options)


# ---- truth ----


def test_without_noise_the_traces_are_the_curve() -> None:
    traces = pc.simulate("finite_temperature", WARM, inputs=SWEEP, seed=0, detection="absorbed")
    model = pc.get_model("finite_temperature").configure(detection="absorbed")
    curves = model.curve(SWEEP["incident_power"][:, None], SWEEP["frequency"], **WARM)
    for name, curve in zip(model.observables, curves, strict=True):
        found = traces[name].transpose("power", "frequency").values
        np.testing.assert_array_equal(found, curve)


def test_a_model_may_be_handed_over_as_an_object() -> None:
    model = pc.get_model("finite_temperature")
    handed = pc.simulate(
        model,
        WARM,
        inputs=SWEEP,
        seed=0,
        observables=["absorbed_power"],
        detection="absorbed",
    )
    assert handed.identical(absorbed())


def test_inputs_lie_on_their_own_dimensions_with_units() -> None:
    traces = absorbed()
    assert dict(traces.sizes) == {"power": 40, "frequency": 50}
    assert traces["incident_power"].dims == ("power",)
    assert traces["incident_power"].attrs["units"] == "W"
    assert traces["frequency"].attrs["units"] == "Hz"


def test_a_single_number_as_input_has_no_dimension() -> None:
    inputs = {**SWEEP, "incident_power": 1e-16}
    traces = pc.simulate("finite_temperature", WARM, inputs=inputs, seed=0, detection="absorbed")
    assert traces["absorbed_power"].dims == ("frequency",)


def test_what_a_model_fixes_may_be_left_out() -> None:
    traces = pc.simulate("reflection", QUBIT, inputs=SWEEP, seed=0, convention="+i", setup="raw")
    spelled = {**QUBIT, "gamma_i": 0.0, "gamma_phi": 0.0, "n_th": 0.0, "manifold_weight": 1.0}
    again = pc.simulate("reflection", spelled, inputs=SWEEP, seed=0, convention="+i", setup="raw")
    assert traces.identical(again)


# ---- noise ----


def test_the_noise_has_the_size_that_was_asked_for() -> None:
    noisy, clean = absorbed(noise={"absorbed_power": SIGMA}), absorbed()
    jitter = (noisy["absorbed_power"] - clean["absorbed_power"]).values
    # 2000 points: σ to 1/√4000 = 1.6 %, the mean to σ/45; four of each.
    assert jitter.std() == pytest.approx(SIGMA, rel=0.064)
    assert abs(jitter.mean()) < 4 * SIGMA / np.sqrt(jitter.size)


def test_the_noise_of_complex_data_is_that_of_each_quadrature() -> None:
    options: dict[str, Any] = {"convention": "+i", "setup": "raw", "inputs": SWEEP, "seed": 0}
    clean = pc.simulate("reflection", QUBIT, observables=["reflection"], **options)
    noisy = pc.simulate(
        "reflection", QUBIT, observables=["reflection"], noise={"reflection": 0.02}, **options
    )
    jitter = (noisy["reflection"] - clean["reflection"]).values
    assert jitter.real.std() == pytest.approx(0.02, rel=0.064)
    assert jitter.imag.std() == pytest.approx(0.02, rel=0.064)
    assert abs(np.corrcoef(jitter.real.ravel(), jitter.imag.ravel())[0, 1]) < 4 / np.sqrt(2000)


def test_the_noise_may_differ_between_traces() -> None:
    sigma = SIGMA * np.geomspace(1.0, 100.0, 40)[:, None]
    noisy, clean = absorbed(noise={"absorbed_power": sigma}), absorbed()
    jitter = (noisy - clean)["absorbed_power"].transpose("power", "frequency").values
    assert (jitter / sigma).std() == pytest.approx(1.0, rel=0.064)
    stated = noisy["absorbed_power_std"].transpose("power", "frequency").values
    np.testing.assert_allclose(stated, sigma + 0 * stated, rtol=1e-15)


def test_the_noise_is_stated_unless_told_otherwise() -> None:
    assert "absorbed_power_std" in absorbed(noise={"absorbed_power": SIGMA})
    quiet = absorbed(noise={"absorbed_power": SIGMA}, state_noise=False)
    assert "absorbed_power_std" not in quiet
    assert "absorbed_power_std" not in absorbed()


def test_the_same_seed_gives_the_same_bits_and_another_one_does_not() -> None:
    noise = {"absorbed_power": SIGMA}
    assert absorbed(3, noise=noise).identical(absorbed(3, noise=noise))
    assert not absorbed(3, noise=noise).equals(absorbed(4, noise=noise))


def test_an_error_of_an_input_moves_what_is_recorded_not_what_happened() -> None:
    noise = {"incident_power": 0.05}
    traces, clean = absorbed(input_noise=noise), absorbed()
    np.testing.assert_array_equal(traces["absorbed_power"].values, clean["absorbed_power"].values)
    gap = traces["incident_power"].values / SWEEP["incident_power"] - 1
    # 40 draws: the scatter to 11 %, four of that.
    assert gap.std() == pytest.approx(0.05, rel=0.45)
    stated = traces["incident_power_std"].values
    np.testing.assert_allclose(stated, 0.05 * SWEEP["incident_power"], rtol=1e-12)


# ---- line, plane, detection ----


def test_without_a_line_the_traces_are_at_the_device() -> None:
    assert absorbed().attrs["plane"] == "device"


def test_a_line_raises_what_the_generator_sends_and_what_the_receiver_sees() -> None:
    traces, bare = absorbed(attenuation_db=60.0, gain_db=40.0), absorbed()
    assert traces.attrs["plane"] == "instrument"
    np.testing.assert_allclose(
        traces["incident_power"], 1e6 * bare["incident_power"].values, rtol=1e-12
    )
    np.testing.assert_allclose(
        traces["absorbed_power"], 1e4 * bare["absorbed_power"].values, rtol=1e-12
    )


def test_a_gain_leaves_populations_alone() -> None:
    name = ["excited_population"]
    np.testing.assert_array_equal(
        absorbed(observables=name, gain_db=40.0)["excited_population"].values,
        absorbed(observables=name)["excited_population"].values,
    )


def test_the_noise_is_that_of_the_plane_of_the_data() -> None:
    line = {"attenuation_db": 60.0, "gain_db": 40.0}
    noisy = absorbed(noise={"absorbed_power": 1e4 * SIGMA}, **line)
    jitter = (noisy - absorbed(**line))["absorbed_power"].values
    assert jitter.std() == pytest.approx(1e4 * SIGMA, rel=0.064)


@pytest.mark.parametrize("detection", ["absorbed", "coherent", "total"])
def test_the_detection_is_declared(detection: str) -> None:
    values = WARM if detection == "absorbed" else {**WARM, "gamma_r": 2e6}
    traces = absorbed(values=values, detection=detection)
    assert traces.attrs["detection"] == detection


def test_a_model_without_detection_declares_none() -> None:
    inputs = {"excited_population": [0.1, 0.3], "frequency": F0}
    traces = pc.simulate("power_balance", {"gamma_1": 1e6, "n_th": 0.05}, inputs=inputs, seed=0)
    assert "detection" not in traces.attrs


def test_more_attributes_are_attached() -> None:
    traces = absorbed(attributes={"bath_temperature": 0.02, "dwell_time": 1e-3})
    assert (traces.attrs["bath_temperature"], traces.attrs["dwell_time"]) == (0.02, 1e-3)


# ---- refusals ----


def test_an_input_that_is_missing_is_named() -> None:
    with pytest.raises(TraceSchemaError) as caught:
        pc.simulate(
            "finite_temperature", WARM, inputs={"frequency": F0}, seed=0, detection="absorbed"
        )
    assert str(caught.value) == (
        "model 'finite_temperature' needs the input incident_power; give it"
    )


def test_values_that_are_missing_are_named() -> None:
    values = {k: v for k, v in WARM.items() if k not in ("n_th", "gamma_1")}
    with pytest.raises(TraceSchemaError) as caught:
        absorbed(values=values)
    assert str(caught.value) == (
        "no value for gamma_1, n_th of model 'finite_temperature'; give it"
    )


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"values": {**WARM, "gama_1": 1.0}}, "there is no parameter of model .*'gama_1'; did you"),
        ({"observables": ["reflection"]}, "there is no observable of model .* 'reflection'"),
        ({"detektion": "absorbed"}, "there is no option of model .* 'detektion'; did you mean"),
    ],
)
def test_a_name_that_nobody_knows_is_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UnknownNameError, match=sentence):
        absorbed(**wrong)


def test_a_model_that_nobody_offers_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="there is no model 'finit_temperature'"):
        pc.simulate("finit_temperature", WARM, inputs=SWEEP, seed=0)


def test_a_choice_that_must_be_declared_is_asked_for() -> None:
    with pytest.raises(ContractError, match=r"option 'detection' of model .* is None; it must be"):
        pc.simulate("finite_temperature", WARM, inputs=SWEEP, seed=0)


@pytest.mark.parametrize("key", ["noise", "input_noise"])
def test_noise_of_something_that_is_not_simulated_is_refused(key: str) -> None:
    with pytest.raises(UnknownNameError, match="'absorbed_pwer'"):
        absorbed(**{key: {"absorbed_pwer": 0.1}})


def test_a_word_for_noise_that_is_observed_but_not_wanted_is_allowed() -> None:
    """One dictionary of noises serves several simulations of a model."""
    traces = absorbed(noise={"absorbed_power": SIGMA, "excited_population": 0.01})
    assert "excited_population" not in traces
