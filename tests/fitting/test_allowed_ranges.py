"""Allowed ranges of a fit against the linear programme over the logarithmic coordinates.

At a corner of the simplex that the bounds cut out, a range ends where Δχ² = 1: one standard error
of the corner beyond the corner itself (supplement D: "quote [low − σ, high + σ]"). The standard
error of a corner follows from the covariance of the three curve numbers and the gradient of the
closed forms, so the ends of a fit are predicted, not only bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

import powercal as pc
from powercal.fitting.again import rebuild
from powercal.fitting.identifiability import analyse
from powercal.models.driven import effective_temperature
from powercal.physics.parametrisation import absorbed_intervals, reflection_intervals
from powercal.result import FitResult
from tests.fitting.systems import DRIVEN, F0, Array, driven, reflected, sweep

Ends = dict[str, tuple[float, float]]
WIDE = ("gamma_i", "gamma_phi", "n_th", "attenuation_db")
SETUP = {"setup": "device", "convention": "+i", "free": WIDE}


def curve_numbers(result: FitResult, names: tuple[str, ...]) -> tuple[Array, Array]:
    """Logarithms of what the curve determines, and their covariance, from the fit itself."""
    problem, x = rebuild(result)
    values = np.array([problem.quantity(n, x) for n in names])
    slopes = np.stack([problem.gradient(n, x) for n in names]) / values[:, None]
    return np.log(values), slopes @ analyse(problem.jacobian(x)).covariance @ slopes.T


def predicted(
    result: FitResult, names: tuple[str, ...], programme: Callable[[Array], Ends]
) -> dict[str, tuple[tuple[float, float], tuple[float, float]]]:
    """Ends of the programme and the standard error of each end."""
    u, covariance = curve_numbers(result, names)
    ends = programme(u)
    h = 1e-4
    moved = [(programme(u + h * e), programme(u - h * e)) for e in np.eye(u.size)]
    out = {}
    for name, end in ends.items():
        slope = np.array([(np.array(a[name]) - np.array(b[name])) / (2 * h) for a, b in moved])
        errors = np.sqrt(np.einsum("ik,ij,jk->k", slope, covariance, slope))
        out[name] = (end, (float(errors[0]), float(errors[1])))
    return out


def check_ends(
    result: FitResult, expected: Mapping[str, tuple[tuple[float, float], tuple[float, float]]]
) -> None:
    for name, ((low, high), (low_error, high_error)) in expected.items():
        found = result[name].allowed
        assert found is not None, result[name]
        # Crossings are found to a percent of Δχ² or better; the curve is a little bent and the
        # corner of a valley rounds off: a quarter of an error, and 1e-6 of the range itself.
        slack = 1e-6 * (high - low)
        assert found[0] == pytest.approx(low - low_error, abs=0.25 * low_error + slack), name
        assert found[1] == pytest.approx(high + high_error, abs=0.25 * high_error + slack), name


def loss_programme(u: Array) -> Ends:
    ranges = reflection_intervals(
        np.exp(u[0]), np.exp(u[1]), np.exp(u[2]), 2 * np.pi * F0, held=("d",)
    )
    return with_thermal({k: (float(v.low), float(v.high)) for k, v in ranges.items()})


def open_programme(u: Array) -> Ends:
    ranges = reflection_intervals(np.exp(u[0]), np.exp(u[1]), np.exp(u[2]), 2 * np.pi * F0)
    found = with_thermal({k: (float(v.low), float(v.high)) for k, v in ranges.items()})
    return found | {"manifold_weight": found["weight"]}


def absorbed_programme(u: Array) -> Ends:
    ranges = absorbed_intervals(np.exp(u[0]), np.exp(u[1]), np.exp(u[2]))
    return with_thermal({k: (float(v.low), float(v.high)) for k, v in ranges.items()})


def with_thermal(ends: Ends) -> Ends:
    total = ends["gamma_1_tot"]
    hot = float(effective_temperature(F0, ends["n_th"][1]))
    return ends | {"T1": (1 / total[1], 1 / total[0]), "T_eff": (0.0, hot)}


REFLECTION_NAMES = ("gamma_r", "gamma_1", "gamma_phi", "n_th", "attenuation_db", "T1", "T_eff")
ABSORBED_NAMES = ("n_th", "gamma_phi", "drive_scale", "gamma_1_tot", "p_eq", "T1", "T_eff")


def only(names: tuple[str, ...], programme: Callable[[Array], Ends]) -> Callable[[Array], Ends]:
    return lambda u: {n: e for n, e in programme(u).items() if n in names}


def seeds(first: int, count: int) -> list[Any]:
    """The first of them in every run, the others among the statistics."""
    late = [pytest.param(i, marks=pytest.mark.statistics) for i in range(first, count)]
    return [*range(first), *late]


def random_reflected(seed: int) -> dict[str, float]:
    rng = np.random.default_rng([51, seed])
    gamma_r = 10 ** rng.uniform(5.7, 7.3)
    return {
        "qubit_frequency": F0,
        "gamma_r": gamma_r,
        "gamma_i": gamma_r * rng.uniform(0.05, 1.0),
        "gamma_phi": gamma_r * rng.uniform(0.05, 0.5),
        "n_th": rng.uniform(0.01, 0.2),
        "manifold_weight": 1.0,
        "attenuation_db": rng.uniform(50, 80),
    }


@pytest.mark.parametrize("seed", seeds(1, 8))
def test_ranges_from_reflection_are_those_of_the_linear_programme(seed: int) -> None:
    truth = random_reflected(seed)
    traces = reflected(truth, noise=1e-4, seed=seed, inputs=sweep(truth, 6, 15))
    result = pc.fit(traces, "reflection", **SETUP)
    names = ("gamma_2", "reflection_depth", "saturation_power")
    check_ends(result, predicted(result, names, only(REFLECTION_NAMES, loss_programme)))


@pytest.mark.parametrize("seed", seeds(1, 3))
def test_ranges_with_the_manifold_weight_free_are_those_of_the_linear_programme(seed: int) -> None:
    truth = random_reflected(seed) | {"manifold_weight": 0.85}
    traces = reflected(truth, noise=1e-4, seed=seed, inputs=sweep(truth, 6, 15))
    result = pc.fit(traces, "reflection", **{**SETUP, "free": (*WIDE, "manifold_weight")})
    names = ("gamma_2", "reflection_depth", "saturation_power")
    wanted = (*REFLECTION_NAMES, "manifold_weight")
    check_ends(result, predicted(result, names, only(wanted, open_programme)))


@pytest.mark.parametrize("seed", seeds(2, 8))
def test_ranges_from_absorbed_power_are_those_of_the_linear_programme(seed: int) -> None:
    rng = np.random.default_rng([52, seed])
    gamma_1 = 10 ** rng.uniform(5.7, 7.3)
    truth = {
        "qubit_frequency": F0,
        "gamma_1": gamma_1,
        "gamma_phi": gamma_1 * rng.uniform(0.05, 1.0),
        "n_th": rng.uniform(0.01, 0.5),
        "drive_scale": 10 ** rng.uniform(28, 30),
    }
    traces = driven(truth, noise=1e-4, seed=seed, inputs=sweep(truth, 6, 15))
    result = pc.fit(traces, "finite_temperature")
    names = ("gamma_1", "gamma_2", "drive_over_thermal")
    check_ends(result, predicted(result, names, only(ABSORBED_NAMES, absorbed_programme)))


def test_ranges_narrow_when_the_temperature_is_held() -> None:
    truth = random_reflected(3) | {"n_th": 0.0}
    traces = reflected(truth, noise=1e-4, seed=3, inputs=sweep(truth, 6, 15))
    result = pc.fit(
        traces, "reflection", **{**SETUP, "free": ("gamma_i", "gamma_phi", "attenuation_db")}
    )

    def cold(u: Array) -> Ends:
        ranges = reflection_intervals(
            np.exp(u[0]), np.exp(u[1]), np.exp(u[2]), 2 * np.pi * F0, held=("b", "d")
        )
        return {k: (float(v.low), float(v.high)) for k, v in ranges.items()}

    names = ("gamma_2", "reflection_depth", "saturation_power")
    wanted = ("gamma_1", "gamma_phi", "attenuation_db")
    check_ends(result, predicted(result, names, only(wanted, cold)))
    assert result["gamma_r"].status == "ok"


def behind_a_line(**known: Any) -> FitResult:
    traces = driven(DRIVEN, noise=1e-3, seed=6, gain_db=30.0, attenuation_db=60.0)
    return pc.fit(pc.to_device_plane(traces, pc.LineCalibration(**known)), "finite_temperature")


def test_with_the_line_unknown_the_rate_has_no_lower_and_the_loss_no_upper_end() -> None:
    result = behind_a_line()
    rate, loss = result["gamma_1"].allowed, result["attenuation_db"].allowed
    assert rate is not None
    assert loss is not None
    assert rate[0] <= 1.0  # the lower bound of a rate, which stands for zero
    assert rate[1] == pytest.approx(2 * 4.36e6, rel=0.05)  # 2Γ₂ holds with any gain
    assert loss == (-np.inf, np.inf)  # Ω²/P carries the unit of the loss: both ends are open


@pytest.mark.statistics  # in every run: the rows "g free" of test_identifiability
def test_with_the_gain_unknown_the_rate_may_vanish_but_not_exceed_twice_the_width() -> None:
    result = behind_a_line(attenuation_db=(60.0, 0.1))
    rate, gain = result["gamma_1"].allowed, result["gain_db"].allowed
    assert rate is not None
    assert gain is not None
    assert rate[0] <= 1.0
    assert rate[1] == pytest.approx(2 * 4.36e6, rel=0.05)
    # gΓ₁ is known: the least gain belongs to the largest rate; upwards nothing ends it.
    height = 30.0 + 10 * np.log10(DRIVEN["gamma_1"])
    assert gain[0] == pytest.approx(height - 10 * np.log10(2 * 4.36e6), abs=0.1)
    assert gain[1] == np.inf


def test_reflection_behind_an_unknown_line_confines_the_loss_from_both_sides() -> None:
    truth = random_reflected(5)
    traces = reflected(truth, noise=1e-3, seed=5, inputs=sweep(truth, 6, 15))
    found = pc.fit(traces, "reflection", **SETUP)["attenuation_db"].allowed
    assert found is not None
    # The loss is known within 10 log₁₀(2/ρ) dB whatever the qubit does (supplement D).
    assert found[0] <= truth["attenuation_db"] <= found[1]
    assert found[1] - found[0] < 10 * np.log10(2 / 0.3)
