"""The models' curves are the formulas of powercal.physics, and each other's limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import powercal as pc
from powercal.errors import ContractError
from powercal.models.driven import effective_temperature
from powercal.physics import bloch, detection, thermal
from powercal.physics.constants import HBAR
from powercal.physics.floquet import harmonic_balance

TWO_PI = 2 * np.pi
# Random systems: Γ over two decades, n up to about one, drives a decade about saturation.
RNG = np.random.default_rng(0)
COUNT = 200
F0 = 5e9 + 1e9 * RNG.uniform(-1, 1, COUNT)
GAMMA_1 = 10 ** RNG.uniform(5, 7, COUNT)
DRIVEN = {
    "qubit_frequency": F0,
    "gamma_1": GAMMA_1,
    "gamma_phi": GAMMA_1 * RNG.exponential(0.5, COUNT),
    "n_th": RNG.exponential(0.3, COUNT),
    "drive_scale": 10 ** RNG.uniform(28, 31, COUNT),
}
TOTAL = GAMMA_1 * (1 + 2 * DRIVEN["n_th"])
GAMMA_2 = TOTAL / 2 + DRIVEN["gamma_phi"]
P_EQ = DRIVEN["n_th"] / (1 + 2 * DRIVEN["n_th"])
FREQUENCY = F0 + GAMMA_2 / TWO_PI * RNG.normal(0, 2, COUNT)
POWER = TOTAL * GAMMA_2 / DRIVEN["drive_scale"] * 10 ** RNG.uniform(-2, 2, COUNT)
RABI = np.sqrt(DRIVEN["drive_scale"] * POWER)
DELTA = TWO_PI * (FREQUENCY - F0)
GAMMA_R = GAMMA_1 * RNG.uniform(0.01, 1.0, COUNT)


def close(found: Any, wanted: Any, rel: float = 1e-12) -> None:
    """Relative to the largest value is not enough: every point by itself."""
    np.testing.assert_allclose(found, wanted, rtol=rel, atol=0)


def model(name: str = "finite_temperature", **options: str) -> pc.Model:
    return pc.get_model(name).configure(**{"detection": "absorbed", **options})


def without(*names: str) -> dict[str, NDArray[Any]]:
    return {k: v for k, v in DRIVEN.items() if k not in names}


# ---- one another's limits ----


@pytest.mark.parametrize("energy", ["effective", "transition", "floquet"])
def test_a_single_channel_is_a_cold_bath(energy: str) -> None:
    cold = model("single_channel", energy=energy).curve(POWER, FREQUENCY, **without("n_th"))
    warm = model(energy=energy).curve(POWER, FREQUENCY, **without("n_th"), n_th=0.0)
    for one, other in zip(cold, warm, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_single_channel_has_no_temperature() -> None:
    found = model("single_channel")
    names = {p.name for p in found.parameters} | {d.name for d in found.derived}
    assert not names & {"n_th", "p_eq", "T_eff", "drive_over_thermal"}
    assert all("n_th" not in d.arguments for d in found.derived)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_partition_factor_does_not_touch_the_curve(share: float) -> None:
    split = model("multi_channel").curve(POWER, FREQUENCY, **DRIVEN, f=share)
    whole = model().curve(POWER, FREQUENCY, **DRIVEN)
    for one, other in zip(split, whole, strict=True):
        np.testing.assert_array_equal(one, other)
    assert all("f" not in table for table in jacobian("multi_channel", f=share))


def jacobian(name: str, **more: Any) -> Any:
    found = model(name)
    assert found.jacobian is not None
    return found.jacobian(POWER, FREQUENCY, **DRIVEN, **more)


def test_channel_rates_add_up() -> None:
    derived = {d.name: d for d in model("multi_channel").derived}
    parts = [derived[n].function(f=0.3, gamma_1=6e6) for n in ("gamma_k", "gamma_rest")]
    assert parts == pytest.approx([1.8e6, 4.2e6])


def test_reflected_power_is_what_was_not_absorbed() -> None:
    absorbed, reflected, _ = model().curve(POWER, FREQUENCY, **DRIVEN)
    close(reflected, POWER - absorbed)


# ---- the formulas ----


def test_absorbed_power_and_population_are_those_of_the_bloch_equations() -> None:
    absorbed, _, population = model().curve(POWER, FREQUENCY, **DRIVEN)
    rate = bloch.photon_rate(DELTA, RABI, GAMMA_1, TOTAL, GAMMA_2)
    close(absorbed, HBAR * TWO_PI * FREQUENCY * rate)
    close(population, bloch.excited_population(DELTA, RABI, TOTAL, GAMMA_2, P_EQ))


def test_the_bookkeeping_of_the_paper_counts_the_transition_frequency() -> None:
    effective, _, _ = model().curve(POWER, FREQUENCY, **DRIVEN)
    transition, _, _ = model(energy="transition").curve(POWER, FREQUENCY, **DRIVEN)
    close(transition / effective, F0 / FREQUENCY)


def test_the_lab_frame_is_that_of_the_harmonic_balance() -> None:
    absorbed, _, population = model(energy="floquet").curve(POWER, FREQUENCY, **DRIVEN)
    state = harmonic_balance(TWO_PI * F0, TWO_PI * FREQUENCY, RABI, TOTAL, GAMMA_2, P_EQ)
    close(absorbed, state.total_power)
    close(population, state.mean_population)


def test_the_lab_frame_is_close_to_the_rotating_one() -> None:
    lab, rotating = (
        model(energy=e).curve(POWER, FREQUENCY, **DRIVEN)[0] for e in ("floquet", "effective")
    )
    # Corrections are of order Δ/ω_q and Ω²/(ω_qΓ₂), here at most 0.02.
    close(lab, rotating, rel=0.1)


def test_coherent_detection_is_that_of_a_network_analyser() -> None:
    absorbed, _, _ = model(detection="coherent").curve(POWER, FREQUENCY, **DRIVEN, gamma_r=GAMMA_R)
    rate = bloch.photon_rate(DELTA, RABI, GAMMA_1, TOTAL, GAMMA_2)
    sigma = bloch.coherence(DELTA, RABI, TOTAL, GAMMA_2, P_EQ)
    wanted = detection.coherent_power_difference(TWO_PI * FREQUENCY, rate, GAMMA_R, sigma)
    # At ρ → 2 in the linear regime the difference of two equal terms loses digits.
    np.testing.assert_allclose(
        absorbed, wanted, atol=1e-12 * float(np.max(HBAR * TWO_PI * FREQUENCY * rate))
    )


def test_coherent_detection_is_the_power_of_the_reflection() -> None:
    """P(1 − |r|²) with r from another model and Ω² = 4Γ_rP/ħω."""
    scale = detection.drive_scale(GAMMA_R, TWO_PI * FREQUENCY, "end_of_line")
    values = {**without("drive_scale"), "drive_scale": scale, "gamma_r": GAMMA_R}
    power = TOTAL * GAMMA_2 / scale
    absorbed, reflected, _ = model(detection="coherent").curve(power, FREQUENCY, **values)
    sweep = pc.get_model("reflection").configure(convention="+i", setup="device")
    r, out = sweep.curve(power, FREQUENCY, **REFLECTED)
    np.testing.assert_allclose(absorbed, power * (1 - np.abs(r) ** 2), atol=1e-12 * power.max())
    close(out, reflected, rel=1e-9)


def test_total_detection_counts_what_did_not_come_back() -> None:
    absorbed, _, _ = model(detection="total").curve(POWER, FREQUENCY, **DRIVEN, gamma_r=GAMMA_R)
    rate = bloch.photon_rate(DELTA, RABI, GAMMA_1, TOTAL, GAMMA_2)
    wanted = detection.total_power_difference(
        TWO_PI * FREQUENCY, rate, GAMMA_R, DRIVEN["n_th"], TOTAL
    )
    scale = HBAR * TWO_PI * FREQUENCY * rate  # 1 − η loses digits as η → 1
    np.testing.assert_allclose(absorbed / scale, wanted / scale, atol=1e-12)


def test_the_lab_frame_knows_absorbed_power_only() -> None:
    for name in ("coherent", "total"):
        with pytest.raises(ContractError, match=r"energy='floquet' is known for detection='abs"):
            model(energy="floquet", detection=name)


def test_only_detections_that_need_it_have_a_radiative_rate() -> None:
    names = {d: {p.name for p in model(detection=d).parameters} for d in ("absorbed", "coherent")}
    assert "gamma_r" not in names["absorbed"]
    assert "gamma_r" in names["coherent"]


@pytest.mark.parametrize("broadening", ["white", "gaussian"])
def test_the_straight_line_holds_between_power_and_population(broadening: str) -> None:
    # Slow noise averages both sides of it.
    slow = {} if broadening == "white" else {"sigma_slow": GAMMA_2 / TWO_PI}
    driven = model(broadening=broadening)
    absorbed, _, population = driven.curve(POWER, FREQUENCY, **DRIVEN, **slow)
    line = pc.get_model("power_balance")
    (found,) = line.curve(population, FREQUENCY, gamma_1=GAMMA_1, n_th=DRIVEN["n_th"])
    # p − p_eq cancels at weak drive: compare with the size of its terms.
    size = HBAR * TWO_PI * FREQUENCY * TOTAL * population
    np.testing.assert_allclose(found / size, absorbed / size, atol=1e-13)


# ---- derived quantities ----


def test_derived_rates_are_those_of_the_sheet() -> None:
    derived = {d.name: d for d in model().derived}

    def value(name: str) -> Any:
        return derived[name].function(**{a: DRIVEN[a] for a in derived[name].arguments})

    close(value("gamma_1_tot"), TOTAL)
    close(value("T1"), 1 / TOTAL)
    close(value("gamma_2"), GAMMA_2)
    close(value("p_eq"), P_EQ)
    close(value("gamma_1_over_2pi"), GAMMA_1 / TWO_PI)
    close(value("saturation_power"), TOTAL * GAMMA_2 / DRIVEN["drive_scale"])
    close(value("drive_over_thermal"), DRIVEN["drive_scale"] / (1 + 2 * DRIVEN["n_th"]))


def test_the_effective_temperature_undoes_the_bose_occupation() -> None:
    kelvin = effective_temperature(F0, DRIVEN["n_th"])
    close(thermal.bose_occupation(TWO_PI * F0, kelvin), DRIVEN["n_th"], rel=1e-11)
    assert effective_temperature(5e9, 0.0) == 0.0


# ---- reflection ----

REFLECTED = {
    "qubit_frequency": F0,
    "gamma_r": GAMMA_R,
    "gamma_i": GAMMA_1 - GAMMA_R,
    "gamma_phi": DRIVEN["gamma_phi"],
    "n_th": DRIVEN["n_th"],
    "manifold_weight": 1.0,
    "attenuation_db": 0.0,
    "reference_gain": 1.0,
    "reference_phase": 0.0,
    "delay": 0.0,
    "mismatch": 0.0,
}
SCALE = detection.drive_scale(GAMMA_R, TWO_PI * FREQUENCY, "end_of_line")
AT_LINE = TOTAL * GAMMA_2 / SCALE * 10 ** RNG.uniform(-2, 2, COUNT)
WEIGHT = RNG.uniform(0.3, 1.0, COUNT)


@pytest.mark.parametrize("convention", ["+i", "-i"])
def test_reflection_is_that_of_a_qubit_at_the_end_of_a_line(convention: Any) -> None:
    sweep = pc.get_model("reflection").configure(convention=convention, setup="device")
    r, power = sweep.curve(AT_LINE, FREQUENCY, **{**REFLECTED, "manifold_weight": WEIGHT})
    rabi = np.sqrt(SCALE * AT_LINE)
    exact = detection.reflection_end_of_line(DELTA, rabi, GAMMA_R, TOTAL, GAMMA_2, P_EQ, WEIGHT)
    np.testing.assert_allclose(r, detection.with_convention(exact, convention), atol=1e-13)
    np.testing.assert_allclose(power, AT_LINE * np.abs(exact) ** 2, atol=1e-13 * AT_LINE.max())


def test_the_loss_of_the_line_lowers_the_power_at_the_device() -> None:
    sweep = pc.get_model("reflection").configure(convention="+i", setup="raw")
    near = sweep.curve(AT_LINE, FREQUENCY, **REFLECTED)[0]
    far = sweep.curve(1e6 * AT_LINE, FREQUENCY, **{**REFLECTED, "attenuation_db": 60.0})[0]
    np.testing.assert_allclose(far, near, atol=1e-12)


def test_the_set_up_multiplies_turns_and_delays() -> None:
    sweep = pc.get_model("reflection").configure(convention="-i", setup="raw")
    around = {"reference_gain": 0.7, "reference_phase": 0.4, "delay": 30e-9}
    bare = sweep.curve(AT_LINE, FREQUENCY, **REFLECTED)[0]
    seen, power = sweep.curve(AT_LINE, FREQUENCY, **{**REFLECTED, **around})
    turn = 0.7 * np.exp(1j * (0.4 + DELTA * 30e-9))
    np.testing.assert_allclose(seen, turn * bare, atol=1e-12)
    close(power, AT_LINE * np.abs(seen) ** 2, rel=1e-9)


def test_a_mismatch_turns_the_circle_about_the_off_resonant_point() -> None:
    sweep = pc.get_model("reflection").configure(convention="-i", setup="raw")
    bare = sweep.curve(AT_LINE, FREQUENCY, **REFLECTED)[0]
    seen = sweep.curve(AT_LINE, FREQUENCY, **{**REFLECTED, "mismatch": 0.3})[0]
    np.testing.assert_allclose(1 - seen, np.exp(0.3j) * (1 - bare), atol=1e-12)


def test_depth_and_saturation_power_are_those_of_the_physics() -> None:
    derived = {d.name: d for d in pc.get_model("reflection").derived}
    values = {**REFLECTED, "manifold_weight": WEIGHT, "attenuation_db": 63.0}

    def value(name: str) -> Any:
        return derived[name].function(**{a: values[a] for a in derived[name].arguments})

    close(value("reflection_depth"), detection.reflection_depth(GAMMA_R, P_EQ, GAMMA_2, WEIGHT))
    knee = detection.saturation_power(GAMMA_R, TWO_PI * F0, TOTAL, GAMMA_2)
    close(value("saturation_power"), knee * 10**6.3)


@pytest.mark.parametrize(
    ("setup", "observable", "free"),
    [
        ("device", "complex", {"qubit_frequency", "gamma_r"}),
        (
            "referenced",
            "complex",
            {"qubit_frequency", "gamma_r", "attenuation_db", "reference_gain", "reference_phase"},
        ),
        ("referenced", "power", {"qubit_frequency", "gamma_r", "attenuation_db", "reference_gain"}),
        (
            "raw",
            "complex",
            {
                "qubit_frequency",
                "gamma_r",
                "attenuation_db",
                "reference_gain",
                "reference_phase",
                "delay",
                "mismatch",
            },
        ),
        (
            "raw",
            "power",
            {"qubit_frequency", "gamma_r", "attenuation_db", "reference_gain", "mismatch"},
        ),
    ],
)
def test_only_what_a_set_up_can_do_to_the_data_is_free(
    setup: str, observable: str, free: set[str]
) -> None:
    found = pc.get_model("reflection").configure(
        convention="+i", setup=setup, observable=observable
    )
    assert {p.name for p in found.parameters if p.vary} == free
