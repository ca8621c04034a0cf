"""Two temperatures, slow noise and total detection of a qubit at the end of a line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import powercal as pc
from powercal.errors import FitError
from powercal.physics import bloch, detection, thermal
from powercal.physics.constants import HBAR
from powercal.schema import DeviceTraces

from .line_systems import F0, TWO_PI, full, model_of, simulated, sweep, widths

# Random systems: rates over two decades, occupations up to about one, drives about saturation.
RNG = np.random.default_rng(0)
COUNT = 200
GAMMA_R = 10 ** RNG.uniform(5, 7, COUNT)
WARM = {
    "qubit_frequency": F0 + 1e9 * RNG.uniform(-1, 1, COUNT),
    "gamma_r": GAMMA_R,
    "gamma_i": GAMMA_R * RNG.exponential(0.5, COUNT),
    "gamma_phi": GAMMA_R * RNG.exponential(0.5, COUNT),
    "n_line": RNG.exponential(0.3, COUNT),
    "n_internal": RNG.exponential(0.3, COUNT),
    "manifold_weight": RNG.uniform(0.3, 1.0, COUNT),
    "attenuation_db": 0.0,
    "reference_gain": 1.0,
    "reference_phase": 0.0,
    "delay": 0.0,
    "mismatch": 0.0,
}
RATES = np.stack([WARM["gamma_r"], WARM["gamma_i"]], axis=-1)
OCCUPATIONS = np.stack([WARM["n_line"], WARM["n_internal"]], axis=-1)
TOTAL = bloch.total_relaxation_rate(RATES, OCCUPATIONS)
P_EQ = bloch.equilibrium_population(RATES, OCCUPATIONS)
GAMMA_2 = bloch.dephased_rate(TOTAL, WARM["gamma_phi"])
FREQUENCY = WARM["qubit_frequency"] + GAMMA_2 / TWO_PI * RNG.normal(0, 2, COUNT)
OMEGA = TWO_PI * FREQUENCY
DELTA = TWO_PI * (FREQUENCY - WARM["qubit_frequency"])
SCALE = detection.drive_scale(GAMMA_R, OMEGA, "end_of_line")
POWER = TOTAL * GAMMA_2 / SCALE * 10 ** RNG.uniform(-2, 2, COUNT)
RABI = np.sqrt(SCALE * POWER)
SIGMA = GAMMA_2 / TWO_PI * 10 ** RNG.uniform(-3, 0.5, COUNT)


def reflected(values: dict[str, Any] | None = None, **options: str) -> tuple[Any, Any]:
    model = model_of("end_of_line", **options)
    r, power = model.curve(POWER, FREQUENCY, **(values or WARM))
    return r, power


def one_bath(n_th: Any) -> dict[str, Any]:
    rest = {k: v for k, v in WARM.items() if k not in ("n_line", "n_internal")}
    return {**rest, "n_th": n_th}


# ---- temperatures ----


def test_a_line_and_an_inside_of_one_temperature_are_one_bath() -> None:
    n_th = WARM["n_line"]
    both = {**WARM, "n_internal": n_th}
    for one, two in zip(
        reflected(one_bath(n_th)), reflected(both, temperatures="two"), strict=True
    ):
        np.testing.assert_allclose(two, one, rtol=1e-12)


def test_their_derivatives_add_up_to_that_by_the_common_occupation() -> None:
    one, two = (model_of("end_of_line", temperatures=t) for t in ("one", "two"))
    assert one.jacobian is not None
    assert two.jacobian is not None
    n_th = WARM["n_line"]
    single = one.jacobian(POWER, FREQUENCY, **one_bath(n_th))
    apart = two.jacobian(POWER, FREQUENCY, **{**WARM, "n_internal": n_th})
    for alone, pair in zip(single, apart, strict=True):
        together = pair["n_line"] + pair["n_internal"]
        scale = np.abs(pair["n_line"]) + np.abs(pair["n_internal"])
        np.testing.assert_allclose(together / scale, alone["n_th"] / scale, atol=1e-12)


def test_reflection_with_two_temperatures_is_that_of_the_physics() -> None:
    r, power = reflected(temperatures="two")
    wanted = detection.reflection_end_of_line(
        DELTA, RABI, GAMMA_R, TOTAL, GAMMA_2, P_EQ, WARM["manifold_weight"]
    )
    np.testing.assert_allclose(r, wanted, atol=1e-13)
    np.testing.assert_allclose(power / POWER, np.abs(wanted) ** 2, atol=1e-13)


def test_what_follows_from_two_temperatures_is_that_of_the_physics() -> None:
    derived = {d.name: d for d in model_of("end_of_line", temperatures="two").derived}
    values = {**WARM, "attenuation_db": 63.0}

    def value(name: str) -> Any:
        return derived[name].function(**{a: values[a] for a in derived[name].arguments})

    knee = detection.saturation_power(GAMMA_R, TWO_PI * WARM["qubit_frequency"], TOTAL, GAMMA_2)
    n_eff = P_EQ / (1 - 2 * P_EQ)
    wanted = {
        "gamma_1": RATES.sum(axis=-1),
        "gamma_1_tot": TOTAL,
        "T1": 1 / TOTAL,
        "gamma_2": GAMMA_2,
        "p_eq": P_EQ,
        "n_eff": n_eff,
        "emission_share": detection.emission_share(GAMMA_R, WARM["n_line"], TOTAL),
        "saturation_power_at_device": knee,
        "saturation_power": knee * 10**6.3,
        "reflection_depth": detection.reflection_depth(
            GAMMA_R, P_EQ, GAMMA_2, WARM["manifold_weight"]
        ),
    }
    for name, n in (("T_eff", n_eff), ("T_line", WARM["n_line"])):
        omega = TWO_PI * WARM["qubit_frequency"]
        wanted[name] = thermal.temperature_from_occupation(omega, n)
    for name, exact in wanted.items():
        np.testing.assert_allclose(value(name), exact, rtol=1e-11, err_msg=name)


def test_two_temperatures_stand_in_the_place_of_one() -> None:
    names = [
        [p.name for p in model_of("end_of_line", temperatures=t).parameters] for t in ("one", "two")
    ]
    at = names[0].index("n_th")
    assert names[1] == [*names[0][:at], "n_line", "n_internal", *names[0][at + 1 :]]


# ---- slow noise ----


def test_a_line_with_slow_noise_is_the_average_of_the_physics() -> None:
    r, power = reflected({**WARM, "sigma_slow": SIGMA}, temperatures="two", broadening="gaussian")
    wanted = bloch.gaussian_reflection(
        DELTA, RABI, GAMMA_R, TOTAL, GAMMA_2, P_EQ, TWO_PI * SIGMA, WARM["manifold_weight"]
    )
    np.testing.assert_allclose(r, wanted, atol=1e-13)
    # Averaged as an amplitude, the power is that of the average.
    np.testing.assert_allclose(power / POWER, np.abs(wanted) ** 2, atol=1e-13)


@pytest.mark.parametrize("name", ["coherent", "total"])
def test_slow_noise_of_no_size_is_none(name: str) -> None:
    choices = {"temperatures": "two", "detection": name}
    white = reflected(**choices)
    slow = reflected({**WARM, "sigma_slow": 0.0}, broadening="gaussian", **choices)
    for one, other in zip(white, slow, strict=True):
        np.testing.assert_allclose(other / np.abs(one).max(), one / np.abs(one).max(), atol=1e-14)


# ---- detection ----


def missing(photon_rate: Any) -> Any:
    return WARM["manifold_weight"] * detection.total_power_difference(
        OMEGA, photon_rate, GAMMA_R, WARM["n_line"], TOTAL
    )


def test_total_detection_misses_the_photons_that_were_lost_inside() -> None:
    _, power = reflected(temperatures="two", detection="total")
    gamma_1 = RATES.sum(axis=-1)
    rate = bloch.photon_rate(DELTA, RABI, gamma_1, TOTAL, GAMMA_2)
    np.testing.assert_allclose(power / POWER, 1 - missing(rate) / POWER, atol=1e-13)
    _, power = reflected(
        {**WARM, "sigma_slow": SIGMA},
        temperatures="two",
        detection="total",
        broadening="gaussian",
    )
    rate = bloch.gaussian_photon_rate(DELTA, RABI, gamma_1, TOTAL, GAMMA_2, TWO_PI * SIGMA)
    np.testing.assert_allclose(power / POWER, 1 - missing(rate) / POWER, atol=1e-13)


def test_the_amplitude_is_the_same_for_every_detection() -> None:
    coherent, total = (reflected(temperatures="two", detection=d) for d in ("coherent", "total"))
    np.testing.assert_array_equal(coherent[0], total[0])


def test_without_loss_inside_every_photon_comes_back() -> None:
    _, power = reflected({**WARM, "gamma_i": 0.0}, temperatures="two", detection="total")
    np.testing.assert_allclose(power, POWER, rtol=1e-14)


def test_total_detection_looks_for_the_loss_and_not_for_a_mismatch() -> None:
    free = {
        d: {
            p.name
            for p in model_of(
                "end_of_line", setup="raw", observable="power", detection=d
            ).parameters
            if p.vary
        }
        for d in ("coherent", "total")
    }
    assert free["total"] - free["coherent"] == {"gamma_i"}
    assert free["coherent"] - free["total"] == {"mismatch"}


LOSSY = full({"gamma_r": 6e6, "gamma_i": 2e6}, "end_of_line")


def power_data(**options: str) -> DeviceTraces:
    choices = {"observable": "power", **options}
    return simulated(LOSSY, "end_of_line", "reflected_power", seed=1, **choices)


def test_a_power_of_undeclared_detection_is_refused() -> None:
    bare = power_data()
    del bare.attrs["detection"]
    with pytest.raises(FitError, match="detection is not declared by the data; say which of coh"):
        pc.fit(bare, "reflection")


def test_the_declared_detection_is_the_one_that_is_fitted() -> None:
    for name in ("coherent", "total"):
        result = pc.fit(power_data(detection=name), "reflection", intervals="covariance")
        assert result.options["detection"] == name


def test_an_amplitude_is_coherent_whatever_is_declared() -> None:
    traces = simulated(LOSSY, "end_of_line", "reflection").assign_attrs(detection="total")
    result = pc.fit(DeviceTraces(traces), "reflection", free=["gamma_i"], intervals="covariance")
    assert result.options["detection"] == "coherent"


def test_power_data_of_one_detection_do_not_fit_the_other() -> None:
    traces = power_data(detection="total")
    right = pc.fit(traces, "reflection", intervals="covariance")
    wrong = pc.fit(
        traces, "reflection", detection="coherent", free=["gamma_i"], intervals="covariance"
    )
    assert right.chi2 < right.nfree + 5 * right.chi2_spread
    assert wrong.chi2 > 10 * right.chi2
    for name in ("gamma_r", "gamma_i"):
        found = right[name]
        assert found.value == pytest.approx(LOSSY[name], abs=4.5 * (found.stderr or 0.0))


# ---- the qubit as a sensor of absolute power ----


def test_a_qubit_measures_the_power_at_its_own_plane() -> None:
    """Γ_r and Γ₂ alone, in 1/s, make watts: 4P_s = ħωΓ₂Γ₁tot/Γ_r, whatever the line loses."""
    truth = full({}, "end_of_line", attenuation_db=70.0)
    traces = simulated(truth, "end_of_line", "reflection", setup="referenced", noise=2e-3)
    result = pc.fit(traces, "reflection", setup="referenced", convention="-i")
    at_device = result["saturation_power_at_device"]
    knee = HBAR * TWO_PI * F0 * 6e6 * 3e6 / (4 * 6e6)
    assert at_device.status == "ok"
    assert at_device.value == pytest.approx(knee, abs=4.5 * (at_device.stderr or 0.0))
    # Γ₂ from a line of 186 complex points with σ = 0.002: two parts in a thousand at most.
    assert (at_device.stderr or 1.0) < 2e-3 * knee
    assert result["attenuation_db"].value == pytest.approx(70.0, abs=0.02)


def test_the_chain_of_attenuators_sets_the_temperature_of_the_line() -> None:
    chain = thermal.attenuator_chain_occupation(TWO_PI * F0, [100.0, 100.0], [4.0, 0.01], 1250.0)
    truth = full({"gamma_i": 2e6, "n_line": float(chain), "n_internal": 0.02}, "end_of_line")
    inputs = sweep(truth, "end_of_line")
    traces = simulated(truth, "end_of_line", "reflection", temperatures="two", inputs=inputs)
    result = pc.fit(
        traces,
        "reflection",
        temperatures="two",
        fixed={"n_line": float(chain), "n_internal": 0.02},
        free=["gamma_i"],
        convention="-i",
        intervals="covariance",
    )
    for name in ("gamma_r", "gamma_i"):
        found = result[name]
        assert found.value == pytest.approx(truth[name], abs=4.5 * (found.stderr or 0.0))
    gamma_2, _, _ = widths(truth, "end_of_line")
    assert result["gamma_2"].value == pytest.approx(gamma_2, rel=0.01)
