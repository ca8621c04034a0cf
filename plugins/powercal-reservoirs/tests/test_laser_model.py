"""The laser's model keeps powercal's contract, is the physics, and is found again."""

from __future__ import annotations

import numpy as np
import pytest
import xarray
from powercal_reservoirs import laser
from powercal_reservoirs.constants import ELEMENTARY_CHARGE, HBAR, PLANCK, TWO_PI
from powercal_reservoirs.laser_model import MODEL
from powercal_reservoirs.occupations import fermi

import powercal as pc
from powercal.errors import FitError
from powercal.physics.constants import BOLTZMANN
from powercal.testing import ModelContract

EXAMPLES = {row.name: float(row.example) for row in MODEL.parameters}
BIAS = np.linspace(0.0, 150e-6, 46)
NOISE = {"emitted_power": 1e-17, "emission_frequency": 1e4}


def simulate(values=EXAMPLES):
    return pc.simulate(MODEL, values, inputs={"bias_voltage": BIAS}, seed=4, noise=NOISE)


class TestLaser(ModelContract):
    model = MODEL

    def make_traces(self, model):
        # Microvolts: about the photon's energy, where the threshold lies.
        return simulate()


def test_the_curve_is_the_physics() -> None:
    p = EXAMPLES | {"cavity_detuning": 1.5e8, "asymmetry": -0.4, "level_offset": 5e8}
    p |= {"temperature_ratio": 0.7, "gamma_b": 3e8, "coupling": 4e18}
    gamma_u, gamma_l = 0.5 * p["gamma_total"] * (1 - 0.4), 0.5 * p["gamma_total"] * (1 + 0.4)
    cavity, detuning = TWO_PI * p["cavity_frequency"], TWO_PI * p["cavity_detuning"]
    rates = gamma_u, gamma_l, p["gamma_b"]
    middle, half = PLANCK * p["level_offset"], HBAR * (cavity - detuning) / 2
    upper, lower, photon = laser.effective_energies(middle + half, middle - half, cavity, *rates)
    t_l = 0.7 * p["temperature_u"]
    f_u = fermi((upper - ELEMENTARY_CHARGE * BIAS / 2) / (BOLTZMANN * p["temperature_u"]))
    f_l = fermi((lower + ELEMENTARY_CHARGE * BIAS / 2) / (BOLTZMANN * t_l))
    number = laser.photon_number(f_u - f_l, p["coupling"], detuning, *rates)
    power, frequency = MODEL.curve(BIAS, **p)
    assert np.any(number > 0)
    assert np.allclose(power, photon * p["gamma_b"] * number, rtol=1e-10, atol=1e-26)
    assert np.allclose(frequency, photon / PLANCK, rtol=1e-14, atol=0)


def test_derivatives_hold_off_resonance_too() -> None:
    # The kit draws detunings at which the example does not lase; here it does, well above.
    p = EXAMPLES | {"cavity_detuning": 2e8, "asymmetry": 0.3, "gamma_b": 4e8, "coupling": 4e19}
    bias = np.linspace(60e-6, 90e-6, 7)
    exact = MODEL.jacobian(bias, **p)
    for name in EXAMPLES:
        step = 1e-5 * (abs(p[name]) or 1e8)
        ahead, behind = (MODEL.curve(bias, **p | {name: p[name] + s}) for s in (step, -step))
        for table, plus, minus in zip(exact, ahead, behind, strict=True):
            slope = (plus - minus) / (2 * step)
            given = np.broadcast_to(table.get(name, 0.0), slope.shape)
            rounding = 1e-15 * np.max(np.abs(plus)) / step
            assert np.max(np.abs(given - slope)) <= 1e-7 * np.max(np.abs(slope)) + 10 * rounding


@pytest.mark.parametrize("free", [(), ("temperature_u",)])
def test_a_sweep_of_the_bias_determines_width_coupling_and_temperature(free) -> None:
    result = pc.fit(simulate(), MODEL, free=free)
    for name in ("cavity_frequency", "gamma_total", "coupling", *free):
        estimate = result[name]
        assert estimate.status == "ok"
        assert abs(estimate.value - EXAMPLES[name]) < 5 * estimate.stderr
    assert result["coupling"].stderr < 0.1 * EXAMPLES["coupling"]


def test_the_threshold_bias_is_where_the_power_starts() -> None:
    quantity = next(d for d in MODEL.derived if d.name == "threshold_bias")
    for change in ({}, {"temperature_ratio": 2.5, "level_offset": 2e9, "asymmetry": 0.5}):
        p = EXAMPLES | change
        start = float(quantity.function(**p))
        power, _ = MODEL.curve(start * (1 + np.array([-1e-9, 1e-9])), **p)
        assert power[0] == 0 < power[1]


def test_a_laser_that_cannot_start_has_no_threshold_bias() -> None:
    quantity = next(d for d in MODEL.derived if d.name == "threshold_bias")
    assert np.isinf(quantity.function(**EXAMPLES | {"coupling": 1e15}))


def test_a_transition_tuned_past_the_cavity_tells_the_loss_and_the_detunings() -> None:
    detunings = np.array([-2e8, -1e8, 0.0, 1e8, 3e8])
    truth = EXAMPLES | {"gamma_b": 4e8, "coupling": 4e18}
    sets = [
        pc.simulate(
            MODEL,
            truth | {"cavity_detuning": detuning},
            inputs={"bias_voltage": BIAS},
            seed=i,
            noise=NOISE,
        )
        for i, detuning in enumerate(detunings)
    ]
    traces = xarray.concat(sets, "trace")
    traces["bias_voltage"] = traces["bias_voltage"].expand_dims(trace=detunings.size).copy()
    result = pc.fit(
        traces,
        MODEL,
        free=("cavity_detuning", "gamma_b"),
        per={"cavity_detuning": "trace"},
        start={f"cavity_detuning[{i}]": 0.5 * d for i, d in enumerate(detunings)},
        intervals="covariance",
    )
    wanted = {name: truth[name] for name in ("gamma_b", "gamma_total", "coupling")}
    wanted |= {f"cavity_detuning[{i}]": d for i, d in enumerate(detunings)}
    for name, true in wanted.items():
        assert abs(result[name].value - true) < 5 * result[name].stderr
    assert result["gamma_b"].stderr < 0.05 * 4e8


def test_the_checks_ask_for_a_classical_field() -> None:
    checks = {c.name: c.verdict for c in pc.fit(simulate(), MODEL, intervals="covariance").checks}
    assert checks == {"broadening": "holds", "classical_field": "holds"}


def test_the_start_is_within_a_quarter_of_a_detuned_laser() -> None:
    truth = EXAMPLES | {"cavity_detuning": 2e8, "gamma_b": 4e8, "coupling": 6e18, "asymmetry": 0.5}
    held = ("temperature_u", "cavity_detuning", "gamma_b", "asymmetry")
    start = MODEL.guess(simulate(truth), {name: truth[name] for name in held})
    for name in ("gamma_total", "coupling"):
        assert float(start[name]) == pytest.approx(truth[name], rel=0.25)
    assert float(start["cavity_frequency"]) == pytest.approx(6.7e9, rel=1e-3)


def test_a_dark_device_is_refused_in_words() -> None:
    traces = simulate().assign(emitted_power=("bias", np.zeros(BIAS.size)))
    with pytest.raises(FitError, match="nowhere positive"):
        MODEL.guess(traces, {})
