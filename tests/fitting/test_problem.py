"""A problem as numbers: exact derivatives, whitening with common errors, models without slopes."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import powercal as pc
from powercal.fitting.problem import Problem
from powercal.registry import get_model
from tests.fitting.systems import DRIVEN, REFLECTED, driven, problem_of, reflected, sweep

Array = NDArray[np.float64]

LINE = {"attenuation_db": 55.0, "gain_db": 40.0}
SET_UP = {"reference_gain": 0.7, "reference_phase": 0.4, "delay": 2e-8, "mismatch": 0.1}


def at_the_instrument(model: str, *observables: str, **line: Any) -> Any:
    values = {k: v for k, v in DRIVEN.items() if model != "single_channel" or k != "n_th"}
    values |= {"f": 0.3} if model == "multi_channel" else {}
    traces = pc.simulate(
        model,
        values,
        inputs=sweep(DRIVEN, powers=5, points=9),
        seed=3,
        noise={"absorbed_power": 1e-16, "reflected_power": 1e-16, "excited_population": 5e-3},
        observables=observables,
        detection="absorbed",
        **LINE,
    )
    return pc.to_device_plane(traces, pc.LineCalibration(**line))


def check_jacobian(problem: Problem, x: Array, tolerance: float = 2e-7) -> None:
    """Compare with central differences along every coordinate.

    Fourth-order differences at h = 1e-3 of a coordinate of order one leave an error of about
    h⁴ = 1e-12 of the curvature scale; rounding of 1e-16/h = 1e-13 of the *curve*, which is up to
    1e5 times the column for the weakest ones, and 1e-9 from the carrier's last digit: 2e-7 in all.
    """
    found = problem.jacobian(x)
    assert found.shape[1] == len(problem.coordinates)
    size = np.linalg.norm(found, axis=0)
    for i, c in enumerate(problem.coordinates):
        h = np.zeros(x.size)
        # The size of a transition frequency is that of the line, not of its carrier.
        value = 7e5 if c.parameter == "qubit_frequency" else abs(c.to_si(float(x[i]))) or 1.0
        h[i] = 1e-3 if c.log else 1e-3 * value / c.scale
        rows = [problem.residual(x + k * h) for k in (-2, -1, 1, 2)]
        slope = (rows[0] - 8 * rows[1] + 8 * rows[2] - rows[3]) / (12 * h[i])
        assert np.linalg.norm(found[:, i] - slope) <= tolerance * size[i] + 1e-9, c.name


@pytest.mark.parametrize("model", ["single_channel", "finite_temperature", "multi_channel"])
@pytest.mark.parametrize("energy", ["effective", "transition"])
def test_the_jacobian_of_absorbed_power_and_population_is_exact(model: str, energy: str) -> None:
    truth = DRIVEN | LINE | {"f": 0.3}
    traces = at_the_instrument(model, "absorbed_power", "excited_population")
    problem, x = problem_of(traces, model, truth, energy=energy)
    check_jacobian(problem, x)


@pytest.mark.parametrize("detection", ["coherent", "total"])
def test_the_jacobian_of_other_detections_is_exact(detection: str) -> None:
    truth = DRIVEN | {"gamma_r": 2e6}
    traces = pc.simulate(
        "finite_temperature",
        truth,
        inputs=sweep(DRIVEN, powers=5, points=9),
        seed=3,
        noise={"absorbed_power": 1e-20},
        observables=("absorbed_power",),
        detection=detection,
    )
    check_jacobian(*problem_of(traces, "finite_temperature", truth))


def test_the_jacobian_in_the_lab_frame_is_good_enough_to_fit_with() -> None:
    traces = driven(DRIVEN, "absorbed_power", inputs=sweep(DRIVEN, 3, 5))
    problem, x = problem_of(traces, "finite_temperature", DRIVEN, energy="floquet")
    # Harmonic balance is itself an iteration with an error of about 1e-10.
    check_jacobian(problem, x, tolerance=1e-5)


def test_the_jacobian_of_reflected_power_with_a_line_is_exact() -> None:
    traces = at_the_instrument("finite_temperature", "reflected_power", "excited_population")
    problem, x = problem_of(traces, "finite_temperature", DRIVEN | LINE)
    assert {"attenuation_db", "gain_db"} <= {c.name for c in problem.coordinates}
    check_jacobian(problem, x)


def test_the_jacobian_of_the_power_balance_with_a_gain_is_exact() -> None:
    traces = pc.simulate(
        "power_balance",
        {"gamma_1": 6e6, "n_th": 0.1},
        inputs={"excited_population": np.linspace(0.1, 0.45, 7), "frequency": 5e9},
        seed=1,
        noise={"absorbed_power": 1e-18},
        gain_db=20.0,
    )
    traces = pc.to_device_plane(traces, pc.LineCalibration(gain_db=(20.0, 0.3)))
    problem, x = problem_of(traces, "power_balance", {"gamma_1": 6e6, "n_th": 0.1, "gain_db": 20.0})
    assert [p.name for p in problem.priors] == ["gain_db"]
    check_jacobian(problem, x)


@pytest.mark.parametrize("convention", ["+i", "-i"])
@pytest.mark.parametrize("observable", ["reflection", "reflected_power"])
def test_the_jacobian_of_reflection_with_its_set_up_is_exact(
    observable: str, convention: str
) -> None:
    truth = REFLECTED | SET_UP
    traces = pc.simulate(
        "reflection",
        truth,
        inputs=sweep(REFLECTED, powers=5, points=9),
        seed=2,
        noise={observable: 1e-3 if observable == "reflection" else 1e-14},
        observables=(observable,),
        convention=convention,
        setup="raw",
    )
    free = ("gamma_i", "gamma_phi", "n_th")  # w = 1 rests on its bound: differences need room
    problem, x = problem_of(
        traces, "reflection", truth, setup="raw", convention=convention, free=free
    )
    check_jacobian(problem, x)


def test_the_jacobian_by_the_manifold_weight_is_exact_inside_its_bounds() -> None:
    truth = REFLECTED | {"manifold_weight": 0.8}
    traces = reflected(truth)
    problem, x = problem_of(
        traces, "reflection", truth, setup="device", convention="+i", free=("manifold_weight",)
    )
    check_jacobian(problem, x)


def test_the_jacobian_of_parameters_per_trace_is_exact() -> None:
    phases = {f"reference_phase[{i}]": 0.1 * i for i in range(5)}
    traces = reflected(REFLECTED, inputs=sweep(REFLECTED, powers=5, points=9))
    problem, x = problem_of(
        traces,
        "reflection",
        REFLECTED | phases,
        setup="device",
        convention="+i",
        free=("reference_phase", "attenuation_db", "gamma_phi"),
        per={"reference_phase": "power", "attenuation_db": "power"},
    )
    assert sum(c.parameter == "reference_phase" for c in problem.coordinates) == 5
    check_jacobian(problem, x)


def test_the_jacobian_of_priors_on_parameters_and_derived_quantities_is_exact() -> None:
    traces = driven(DRIVEN, "absorbed_power")
    priors = {
        "T1": (1.5e-7, 1e-9),
        "gamma_2": (4.3e6, 1e4),
        "p_eq": (0.05, 1e-3),
        "gamma_phi": (1e6, 1e5),
        "drive_over_thermal": (2.7e29, 1e27),
    }
    problem, x = problem_of(traces, "finite_temperature", DRIVEN, priors=priors)
    check_jacobian(problem, x)
    rows = problem.residual(x)[-len(priors) :]
    expected = [(problem.quantity(k, x) - m) / s for k, (m, s) in priors.items()]
    np.testing.assert_allclose(rows, expected)


def test_the_jacobian_with_a_tabulated_attenuation_is_exact() -> None:
    table = pc.Tabulated(
        frequency=(4.9e9, 5.0e9, 5.1e9), value=(54.0, 55.0, 57.0), std=(0.5, 0.5, 0.5)
    )
    traces = at_the_instrument("finite_temperature", "absorbed_power", attenuation_db=table)
    problem, x = problem_of(traces, "finite_temperature", DRIVEN | LINE)
    assert np.ptp(problem.inputs["incident_power"].reshape(5, 9), axis=1).max() > 0
    check_jacobian(problem, x)


def test_the_jacobian_of_referenced_powers_is_exact() -> None:
    traces = at_the_instrument("finite_temperature", "reflected_power")
    power, frequency = sweep(DRIVEN, 5, 9).values()
    background = pc.traces(
        incident_power=float(power[-1]) * 10**5.5,
        frequency=np.linspace(frequency[0] - 1e6, frequency[-1] + 1e6, 31),
        reflected_power=np.full(31, float(power[-1]) * 1e4),
        units={"incident_power": "W", "frequency": "Hz", "reflected_power": "W"},
        plane="instrument",
    )
    bare = traces.copy()
    bare.attrs = {k: v for k, v in traces.attrs.items() if k not in ("line", "setup", "flags")}
    traces = pc.to_device_plane(
        bare, pc.LineCalibration(attenuation_db=(55.0, 0.5)), reference=background
    )
    problem, x = problem_of(traces, "finite_temperature", DRIVEN | LINE)
    assert problem.referenced
    assert "gain_db" not in {c.name for c in problem.coordinates}
    check_jacobian(problem, x)


def with_modes(seed: int, count: int) -> tuple[Problem, Array]:
    traces = driven(DRIVEN, "absorbed_power", "excited_population", inputs=sweep(DRIVEN, 4, 7))
    problem, x = problem_of(traces, "finite_temperature", DRIVEN)
    rng = np.random.default_rng(seed)
    modes = rng.standard_normal((problem.data.size, count)) * problem.sigma[:, None] * 3
    return dataclasses.replace(problem, modes=modes), x


@pytest.mark.parametrize("count", [1, 4, 20])
def test_whitening_with_common_errors_is_the_dense_generalised_least_squares(count: int) -> None:
    problem, x = with_modes(7, count)
    left = problem.rows(x) - problem.data
    assert problem.modes is not None
    covariance = np.diag(problem.sigma**2) + problem.modes @ problem.modes.T
    # In units of the diagonal, as a dense inverse in watts would lose all digits.
    scaled = covariance / np.outer(problem.sigma, problem.sigma)
    dense = float((left / problem.sigma) @ np.linalg.solve(scaled, left / problem.sigma))
    rows = problem.residual(x)
    assert float(rows @ rows) == pytest.approx(dense, rel=1e-10)
    slopes, weighted = problem.row_derivatives(x), problem.jacobian(x)
    slopes = slopes / problem.sigma[:, None]
    np.testing.assert_allclose(
        weighted.T @ weighted, slopes.T @ np.linalg.solve(scaled, slopes), rtol=1e-8, atol=1e-8
    )


def test_the_amplitudes_of_common_errors_are_the_best_ones() -> None:
    problem, x = with_modes(8, 3)
    left = problem.rows(x) - problem.data
    assert problem.modes is not None
    stacked = np.concatenate([problem.modes / problem.sigma[:, None], np.eye(3)])
    target = np.concatenate([left / problem.sigma, np.zeros(3)])
    best = np.linalg.lstsq(stacked, target, rcond=None)[0]
    np.testing.assert_allclose(problem.common_amplitudes(left), best, rtol=1e-9)


def test_without_common_errors_rows_are_divided_by_sigma_only() -> None:
    problem, x = problem_of(driven(DRIVEN), "finite_temperature", DRIVEN)
    np.testing.assert_array_equal(
        problem.residual(x), (problem.rows(x) - problem.data) / problem.sigma
    )


@pytest.mark.parametrize(
    ("model", "observables"),
    [
        ("finite_temperature", ("absorbed_power", "excited_population")),
        ("single_channel", ("absorbed_power",)),
    ],
)
def test_a_model_without_jacobian_gives_the_same_fit(
    model: str, observables: tuple[str, ...]
) -> None:
    traces = driven(DRIVEN, *observables)
    exact = pc.fit(traces, model, intervals="covariance")
    bare = dataclasses.replace(
        get_model(model).configure(detection="absorbed"), jacobian=None, options=(), factory=None
    )
    other = pc.fit(traces, bare, intervals="covariance")
    for e in exact.parameters:
        same = other[e.name]
        assert e.value is not None
        assert e.stderr is not None
        assert same.value == pytest.approx(e.value, abs=1e-6 * e.stderr, rel=1e-15), e.name
        assert same.stderr == pytest.approx(e.stderr, rel=1e-6), e.name


def test_reflection_without_jacobian_gives_the_same_fit() -> None:
    cold = REFLECTED | {"gamma_i": 0.0, "gamma_phi": 0.0, "n_th": 0.0, "attenuation_db": 0.0}
    traces = reflected(cold)
    exact = pc.fit(traces, "reflection", setup="device", convention="+i", intervals="covariance")
    bare = dataclasses.replace(
        get_model("reflection").configure(setup="device", convention="+i"),
        jacobian=None,
        options=(),
        factory=None,
    )
    other = pc.fit(traces, bare, intervals="covariance")
    for name in ("qubit_frequency", "gamma_r"):
        error = exact[name].stderr
        assert error is not None
        assert other[name].value == pytest.approx(exact[name].value, abs=1e-6 * error, rel=1e-15)
        assert other[name].stderr == pytest.approx(error, rel=1e-6)


def test_a_value_outside_the_bounds_starts_on_the_bound() -> None:
    problem, _ = problem_of(driven(DRIVEN), "finite_temperature", DRIVEN)
    x = problem.start_from({**DRIVEN, "n_th": -1.0})
    assert problem.values(x)["n_th"] == 0.0


def test_solver_coordinates_and_si_are_inverse() -> None:
    problem, x = problem_of(driven(DRIVEN), "finite_temperature", DRIVEN)
    for c, xi in zip(problem.coordinates, x, strict=True):
        assert c.from_si(c.to_si(float(xi))) == pytest.approx(float(xi), abs=1e-9)
        assert c.to_si(float(xi)) == pytest.approx(DRIVEN[c.name], rel=1e-12)


@pytest.mark.parametrize("noise", [2e-3, 1e-10])
@pytest.mark.parametrize("dephasing", [0.0, 2.91e-11, 1e-3, 8e5])
@pytest.mark.parametrize("loss", [0.0, 1e-9, 1e6])
def test_the_gradient_of_a_derived_rate_holds_at_and_near_the_bounds(
    dephasing: float, loss: float, noise: float
) -> None:
    """Γ₁ = Γ_r + Γ_i and Γ₂ have exact slopes, however near a bound and however good the data."""
    traces = reflected(REFLECTED, noise=noise)
    free = ("gamma_i", "gamma_phi", "n_th", "attenuation_db")
    problem, _ = problem_of(
        traces, "reflection", REFLECTED, setup="device", convention="+i", free=free
    )
    truth = REFLECTED | {"gamma_i": loss, "gamma_phi": dephasing}
    x = problem.start_from(truth)
    thermal = 1 + 2 * truth["n_th"]
    exact = {
        "gamma_1": {"gamma_r": 1.0, "gamma_i": 1.0},
        "gamma_2": {
            "gamma_r": thermal / 2,
            "gamma_i": thermal / 2,
            "gamma_phi": 1.0,
            "n_th": truth["gamma_r"] + truth["gamma_i"],
        },
    }
    slopes = problem.slopes(x)
    for name, table in exact.items():
        found = problem.gradient(name, x)
        wanted = [table.get(c.name, 0.0) for c in problem.coordinates] * slopes
        # Rounding of a sum of order 1e7 over the step of a rate: nine digits are left.
        np.testing.assert_allclose(found, wanted, rtol=1e-8, err_msg=name)
