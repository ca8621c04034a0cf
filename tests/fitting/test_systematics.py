"""What moves when another defensible choice is made, and the one choice that data must make."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import powercal as pc
from powercal.errors import FitError
from powercal.physics.constants import HBAR
from powercal.physics.parametrisation import reflection_intervals
from powercal.result import FitResult, Shift
from powercal.schema import DeviceTraces

TWO_PI = 2 * np.pi
F0 = 5e9
# A line of half width 0.36 MHz, in a sweep of ±5 MHz as in the supplement (table A, section 3).
NARROW = {"qubit_frequency": F0, "gamma_1": 3.6e6, "gamma_phi": 5e5, "drive_scale": 3e29}
QUBIT = {"qubit_frequency": F0, "gamma_r": 6e6, "gamma_i": 0.0, "gamma_phi": 0.0, "n_th": 0.0}
POWERS = np.geomspace(0.05, 20.0, 7)
P_S = HBAR * TWO_PI * F0 * 3e6 / 4


def absorbed(
    offsets: Any = (-5e6, 5e6),
    noise: float = 1e-4,
    per_trace: Any = 1.0,
    powers: Any = POWERS,
    points: int = 41,
    **more: Any,
) -> FitResult:
    total = NARROW["gamma_1"]
    watt = HBAR * TWO_PI * F0 * total / 2
    knee = total * (total / 2 + NARROW["gamma_phi"]) / NARROW["drive_scale"]
    traces = pc.simulate(
        "single_channel",
        NARROW,
        inputs={
            "incident_power": knee * np.asarray(powers),
            "frequency": F0 + np.linspace(*offsets, points),
        },
        seed=0,
        noise={"absorbed_power": noise * watt * np.asarray(per_trace)},
        observables=["absorbed_power"],
        detection="absorbed",
        **more,
    )
    return pc.fit(DeviceTraces(traces), "single_channel")


def shift(result: FitResult, name: str, alternative: str = "") -> Shift:
    return next(s for s in result.systematics if s.name == name and alternative in s.alternative)


def named(result: FitResult, name: str) -> list[str]:
    return [f.sentence for f in result.flags if f.name == name]


# ---- weights ----


def test_weights_are_doubted_where_traces_of_different_noise_tell_it_themselves() -> None:
    result = absorbed(noise=0.01, per_trace=np.geomspace(0.3, 3.0, 7)[:, None], state_noise=False)
    moved = shift(result, "weights")
    assert moved.chosen == "one σ per trace"
    # Both weightings are unbiased, and the other is not ten times worse.
    by = {n: abs(moved.shifts[n]) / result[n].stderr for n in result.names}
    assert 0 < by["gamma_1"] < 10
    assert bool(named(result, "weights")) == (max(by.values()) > 1)


def test_weights_are_not_doubted_where_the_noise_is_stated() -> None:
    result = absorbed(noise=0.01, per_trace=np.geomspace(0.3, 3.0, 7)[:, None])
    assert [s.name for s in result.systematics if s.name == "weights"] == []
    assert not named(result, "weights")


def test_weights_are_not_doubted_for_a_single_trace() -> None:
    result = absorbed(noise=0.01, powers=1.0, state_noise=False)
    assert [s.name for s in result.systematics if s.name == "weights"] == []


# ---- energy bookkeeping ----


def test_a_symmetric_sweep_hardly_knows_the_bookkeeping() -> None:
    result = absorbed()
    moved = shift(result, "energy", "transition").shifts
    # Supplement: Γ₁ 3e-8, the centre 180 Hz. The noise (1e-4) breaks the symmetry a little.
    assert abs(moved["gamma_1"]) < 1e-7 * result["gamma_1"].value
    assert moved["qubit_frequency"] == pytest.approx(180, rel=0.5)


def test_a_one_sided_sweep_moves_as_the_supplement_says() -> None:
    result = absorbed(offsets=(0.0, 5e6))
    moved = shift(result, "energy", "transition").shifts
    # Supplement: Γ₁ 6e-5, Γ₂ 3e-4 for a line like this one; Γ₁ ∝ line width.
    assert moved["gamma_1"] / result["gamma_1"].value == pytest.approx(6e-5, rel=0.3)
    assert moved["gamma_2"] / result["gamma_2"].value == pytest.approx(3e-4, rel=0.3)


def test_every_other_bookkeeping_is_tried() -> None:
    result = absorbed()
    tried = {s.alternative: s.chosen for s in result.systematics if s.name == "energy"}
    assert tried == {"transition": "effective", "floquet": "effective"}


def test_the_bookkeeping_of_populations_is_none() -> None:
    truth = {**NARROW, "n_th": 0.05}
    traces = pc.simulate(
        "finite_temperature",
        truth,
        inputs={
            "incident_power": 3e-17 * np.geomspace(0.05, 20, 5),
            "frequency": F0 + 1e6 * np.linspace(-2, 2, 15),
        },
        seed=0,
        noise={"excited_population": 0.01},
        observables=["excited_population"],
        detection="absorbed",
    )
    fixed = {"drive_scale": truth["drive_scale"]}
    result = pc.fit(DeviceTraces(traces), "finite_temperature", fixed=fixed)
    assert [s for s in result.systematics if s.name == "energy"] == []


def test_covariance_intervals_ask_for_no_systematics() -> None:
    traces = absorbed(points=11).traces
    result = pc.fit(DeviceTraces(traces), "single_channel", intervals="covariance")
    assert result.systematics == ()


# ---- reflection ----


def reflected(
    convention: str = "+i",
    noise: float = 0.01,
    truth: dict[str, float] = QUBIT,
    observable: str = "reflection",
    offset: float = 0.0,
    wishes: dict[str, Any] | None = None,
    **more: Any,
) -> FitResult:
    sweep = {
        "incident_power": P_S * np.geomspace(0.05, 20.0, 5),
        "frequency": F0 + offset + 2e6 * np.linspace(-1.0, 1.0, 21),
    }
    sigma = noise * (sweep["incident_power"][:, None] if observable == "reflected_power" else 1)
    traces = pc.simulate(
        "reflection",
        truth,
        inputs=sweep,
        seed=0,
        noise={observable: sigma},
        observables=[observable],
        attributes={"setup": "device"},
        convention=convention,
        setup="device",
        **more,
    )
    return pc.fit(DeviceTraces(traces), "reflection", **(wishes or {"intervals": "covariance"}))


def test_what_gamma_1_may_be_without_the_assumptions_is_the_exact_interval() -> None:
    truth = {**QUBIT, "manifold_weight": 0.8}
    result = reflected(truth=truth, wishes={"free": ["manifold_weight"]})
    moved = shift(result, "assumptions")
    assert moved.alternative == "all of them free"
    assert moved.chosen == "gamma_i = 0, gamma_phi = 0, n_th = 0"
    gamma_2, depth = result["gamma_2"], result["reflection_depth"]
    knee = result["saturation_power"].value
    exact = reflection_intervals(gamma_2.value, depth.value, knee, TWO_PI * F0)["gamma_1"]
    # ρ = 2w within its error, and both ends move outward by about one standard error (Δχ² = 1),
    # as the supplement wants: that of ρΓ₂ below, of 2Γ₂ above. Attenuation is known here (device),
    # so that P_s confines Γ₁ as well: the found range lies inside the one from Γ₂ and ρ alone.
    low, high = moved.shifts["gamma_1 (lowest)"], moved.shifts["gamma_1 (highest)"]
    slack = 3 * (gamma_2.stderr * 2 + depth.stderr * gamma_2.value)
    assert float(exact.low) - slack < low < high < float(exact.high) + slack
    assert low < truth["gamma_r"] < high


def test_with_the_line_unknown_the_range_of_gamma_1_reaches_both_exact_ends() -> None:
    truth = {**QUBIT, "manifold_weight": 0.8, "attenuation_db": 0.0}
    sweep = {
        "incident_power": P_S * np.geomspace(0.05, 20.0, 5),
        "frequency": F0 + 2e6 * np.linspace(-1.0, 1.0, 21),
    }
    traces = pc.simulate(
        "reflection",
        truth,
        inputs=sweep,
        seed=0,
        noise={"reflection": 0.01},
        observables=["reflection"],
        attributes={"setup": "referenced"},
        convention="+i",
        setup="referenced",
    )
    result = pc.fit(DeviceTraces(traces), "reflection", convention="+i", free=["manifold_weight"])
    moved = shift(result, "assumptions").shifts
    gamma_2, depth = result["gamma_2"], result["reflection_depth"]
    exact = reflection_intervals(gamma_2.value, depth.value, P_S, TWO_PI * F0)["gamma_1"]
    # ρΓ₂ … 2Γ₂, each end moved outward by its own standard error (Δχ² = 1); the errors of ρ and Γ₂
    # are anticorrelated, hence the factor two of slack.
    high_error = 2 * gamma_2.stderr
    low_error = depth.stderr * gamma_2.value + gamma_2.stderr * depth.value
    assert moved["gamma_1 (highest)"] == pytest.approx(float(exact.high), abs=2 * high_error)
    assert moved["gamma_1 (lowest)"] == pytest.approx(float(exact.low), abs=2 * low_error)
    assert moved["gamma_1 (highest)"] > float(exact.high)
    assert moved["gamma_1 (lowest)"] < float(exact.low)


# ---- the sign of the time factor ----


@pytest.mark.parametrize("convention", ["+i", "-i"])
def test_the_sign_of_the_time_factor_is_found(convention: str) -> None:
    result = reflected(convention)
    assert result.options["convention"] == convention
    (sentence,) = named(result, "convention")
    assert sentence.startswith("χ² is ")
    assert sentence.endswith(f"e^({convention}ωt) was chosen")


@pytest.mark.parametrize(
    "hardly",
    [{"noise": 3.0}, {"offset": 2e9, "noise": 0.1}],
    ids=["hardly any signal", "far off resonance"],
)
def test_a_sign_that_the_data_do_not_tell_is_refused(hardly: dict[str, float]) -> None:
    with pytest.raises(
        FitError,
        match=r"do not determine the sign of the time factor \(χ² is [\d.]+ for e\^\(\+iωt\) and "
        r"[\d.]+ for e\^\(−iωt\), likelihood ratio .*, wanted 1000\); say convention='\+i' or '-i'",
    ):
        reflected(**hardly)


def test_a_sign_that_is_said_is_not_looked_for() -> None:
    result = reflected(wishes={"convention": "+i", "intervals": "covariance"})
    assert not named(result, "convention")


def test_powers_say_that_they_know_no_sign() -> None:
    result = reflected(observable="reflected_power")
    (sentence,) = named(result, "convention")
    assert sentence.startswith("powers do not determine the sign of the time factor")
    assert result.options["convention"] == "+i"


def test_the_wrong_sign_shows_in_chi2() -> None:
    result = reflected("-i", wishes={"convention": "+i", "intervals": "covariance"})
    (sentence,) = named(result, "chi2")
    assert sentence.startswith("reduced χ² is ")
    assert "larger than 1" in sentence
    assert not result.verdicts["adequate"]
