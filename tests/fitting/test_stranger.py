"""A model that nobody here has seen: its degeneracies are found, named, and lifted on request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import powercal as pc
from powercal.result import FitResult
from powercal.schema import DeviceTraces

Array = NDArray[Any]
TIMES = np.linspace(0.05, 1.0, 40)
SIGMA = 1e-3


def stranger(function: Callable[..., Array], *names: str, **rows: dict[str, Any]) -> pc.Model:
    """A model y(t) with parameters of one kind, no jacobian, and starts of 1."""
    table = [
        pc.Parameter(
            **{"name": n, "unit": "1", "meaning": f"the number {n}", "example": 0.5}
            | {"min": 1e-6, "max": 1e6, "scale": "log"}
            | rows.get(n, {})
        )
        for n in names
    ]
    return pc.Model(
        name="stranger",
        summary="made up",
        inputs=("time",),
        observables=("excited_population",),
        parameters=tuple(table),
        curve=lambda time, **p: (function(time, **p),),
        guess=lambda traces, fixed: {n: np.asarray(0.6) for n in names},
    )


def measured(curve: Array, seed: int = 71) -> DeviceTraces:
    noise = SIGMA * np.random.default_rng(seed).standard_normal(TIMES.size)
    return DeviceTraces(
        pc.traces(
            time=TIMES,
            excited_population=curve + noise,
            excited_population_std=np.full(TIMES.size, SIGMA),
            units={"time": "s", "excited_population": "1"},
            plane="device",
        )
    )


def check_undetermined(result: FitResult, *names: str) -> None:
    for name in names:
        found = result[name]
        assert (found.status, found.value, found.stderr) == ("undetermined", None, None), found


PRODUCT = stranger(lambda time, a, b: a * b * time, "a", "b")


def test_a_product_is_named_and_its_factors_are_undetermined() -> None:
    result = pc.fit(measured(0.35 * TIMES), PRODUCT)
    check_undetermined(result, "a", "b")
    assert result.combinations == ("a·b",)
    assert not result.verdicts["identifiable"]


def test_linear_coordinates_name_the_same_product() -> None:
    line = {"scale": "linear", "min": 0.0, "max": 10.0}
    model = stranger(lambda time, a, b: a * b * time, "a", "b", a=line, b=line)
    result = pc.fit(measured(0.35 * TIMES), model)
    check_undetermined(result, "a", "b")
    assert result.combinations == ("a·b",)


def test_a_sum_is_named() -> None:
    line = {"scale": "linear", "min": -10.0, "max": 10.0}
    model = stranger(lambda time, a, b: (a + b) * time, "a", "b", a=line, b=line)
    result = pc.fit(measured(0.7 * TIMES), model)
    check_undetermined(result, "a", "b")
    assert result.combinations == ("a + b",)


def test_a_sum_without_any_bounds_is_named_and_unbounded() -> None:
    line = {"scale": "linear", "min": -np.inf, "max": np.inf}
    model = stranger(lambda time, a, b: (a + b) * time, "a", "b", a=line, b=line)
    result = pc.fit(measured(0.7 * TIMES), model)
    check_undetermined(result, "a", "b")
    assert result["a"].allowed == result["b"].allowed == (-np.inf, np.inf)
    assert result.combinations == ("a + b",)


def test_a_product_of_powers_is_named_with_its_exponents() -> None:
    model = stranger(lambda time, a, b: a**2 * b * time, "a", "b")
    result = pc.fit(measured(0.3 * TIMES), model)
    check_undetermined(result, "a", "b")
    # Named up to a power: the first exponent is one.
    assert result.combinations == ("a·b^(1/2)",)


def test_two_products_of_three_numbers_are_named() -> None:
    model = stranger(lambda time, a, b, c: a * b * time / (1 + 3 * a * c * time), "a", "b", "c")
    result = pc.fit(measured(0.4 * TIMES / (1 + 1.5 * TIMES)), model, intervals="covariance")
    check_undetermined(result, "a", "b", "c")
    assert set(result.combinations) == {"a·c", "b·c^(-1)"}


def test_a_number_without_any_effect_is_undetermined_and_disturbs_nobody() -> None:
    idle = {"scale": "linear", "min": 0.0, "max": 1.0}
    model = stranger(lambda time, a, idle: a * time + 0 * idle, "a", "idle", idle=idle)
    result = pc.fit(measured(0.4 * TIMES), model)
    check_undetermined(result, "idle")
    assert result["idle"].allowed == (0.0, 1.0)
    found = result["a"]
    assert found.status == "ok"
    # The error of a slope through the origin, by hand.
    assert found.stderr == pytest.approx(SIGMA / np.sqrt(np.sum(TIMES**2)), rel=1e-6)
    assert result.combinations == ()


def test_an_idle_number_without_bounds_is_unbounded() -> None:
    idle = {"scale": "linear", "min": -np.inf, "max": np.inf}
    model = stranger(lambda time, a, idle: a * time + 0 * idle, "a", "idle", idle=idle)
    found = pc.fit(measured(0.4 * TIMES), model)["idle"]
    assert found.status == "undetermined"
    assert found.allowed == (-np.inf, np.inf)


def test_a_number_that_wants_beyond_its_upper_bound_is_at_bound() -> None:
    full = {"scale": "linear", "min": 0.0, "max": 0.5}
    model = stranger(lambda time, a: a * time, "a", a=full)
    found = pc.fit(measured(0.5003 * TIMES, seed=72), model)["a"]
    assert found.status == "at_bound"
    assert found.stderr is None
    assert found.interval95 is not None
    assert found.interval95[1] == 0.5


def test_a_number_that_wants_below_its_lower_bound_is_an_upper_limit() -> None:
    from_zero = {"scale": "linear", "min": 0.0, "max": 1.0}
    model = stranger(lambda time, a: a * time, "a", a=from_zero)
    found = pc.fit(measured(-2e-4 * TIMES, seed=73), model)["a"]
    assert found.status == "upper_limit"
    assert found.stderr is None
    assert found.interval95 is not None
    assert found.interval95[0] == 0.0
    assert found.interval95[1] > 0.0


def test_a_prior_on_one_factor_lifts_the_degeneracy() -> None:
    result = pc.fit(measured(0.35 * TIMES), PRODUCT, priors={"a": (0.7, 0.007)})
    first, second = result["a"], result["b"]
    assert (first.status, second.status) == ("ok", "ok")
    assert first.value == pytest.approx(0.7, rel=1e-3)
    assert second.value == pytest.approx(0.5, rel=0.01)
    assert first.stderr == pytest.approx(0.007, rel=0.01)
    assert "prior" in first.reason
    assert result.verdicts["identifiable"]
    assert result.combinations == ()


def test_fixing_one_factor_lifts_the_degeneracy() -> None:
    result = pc.fit(measured(0.35 * TIMES), PRODUCT, fixed={"a": 0.7})
    assert result["a"].status == "fixed"
    assert result["b"].status == "ok"
    assert result["b"].value == pytest.approx(0.5, rel=0.01)


def test_the_remedies_can_be_copied() -> None:
    result = pc.fit(measured(0.35 * TIMES), PRODUCT)
    text = "\n".join(result.remedies)
    for option in ("--fix a=", "--fix b=", "--prior a=", "--prior b="):
        assert option in text
    assert pc.fit(measured(0.35 * TIMES), PRODUCT, fixed={"b": 0.5}).remedies == ()


def test_two_flat_directions_ask_for_pairs() -> None:
    model = stranger(lambda time, a, b, c: a * b * c * time, "a", "b", "c")
    result = pc.fit(measured(0.3 * TIMES), model, intervals="covariance")
    check_undetermined(result, "a", "b", "c")
    assert result.combinations == ("a·b·c",)
    assert any("--fix a=VALUE --fix b=VALUE" in r for r in result.remedies)


def test_a_nonlinear_but_determined_model_has_nothing_to_complain() -> None:
    model = stranger(lambda time, a, b: a * np.exp(-b * time), "a", "b")
    result = pc.fit(measured(0.8 * np.exp(-1.3 * TIMES)), model)
    assert result["a"].status == result["b"].status == "ok"
    assert result.combinations == result.remedies == ()
    assert result["a"].value == pytest.approx(0.8, rel=0.01)
    assert result["b"].value == pytest.approx(1.3, rel=0.01)


def test_a_model_keeps_what_it_was_configured_with() -> None:
    configured = pc.get_model("finite_temperature").configure(
        detection="absorbed", energy="transition"
    )
    traces = pc.simulate(
        configured,
        {"qubit_frequency": 5e9, "gamma_1": 1e6, "gamma_phi": 0, "n_th": 0, "drive_scale": 1e30},
        inputs={
            "incident_power": np.geomspace(1e-19, 1e-17, 4),
            "frequency": 5e9 + np.linspace(-1e6, 1e6, 9),
        },
        seed=0,
        noise={"absorbed_power": 1e-21},
        observables=("absorbed_power",),
    )
    device = pc.to_device_plane(traces)
    assert pc.fit(device, configured, intervals="covariance").options["energy"] == "transition"
    asked = pc.fit(device, configured, energy="effective", intervals="covariance")
    assert asked.options["energy"] == "effective"
