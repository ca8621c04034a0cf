"""Named errors in a fit: what they do, against priors, data with σ, and coverage."""

from __future__ import annotations

from math import hypot
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import powercal as pc
from powercal.errors import FitError
from powercal.fitting.again import rebuild
from powercal.fitting.common_errors import CommonErrors, find_common_errors
from powercal.fitting.grid import choose_observables, make_grid
from powercal.fitting.problem import DECIBEL
from powercal.registry import get_model
from powercal.result import FitResult
from powercal.schema import DeviceTraces
from tests.fitting.systems import DRIVEN, F0, REFLECTED, driven, problem_of, reflected
from tests.fitting.test_common_errors import COLD

TWO = 0.02
BALANCE = {"gamma_1": 6e6, "n_th": 0.2}
POPULATIONS = np.linspace(0.2, 0.46, 20)


def balance(seed: int, *sources: pc.ErrorSource, **more: Any) -> DeviceTraces:
    """A straight line of absorbed power against population, 0.3 % of noise."""
    wishes: dict[str, Any] = {"noise": {"absorbed_power": 5e-20}} | more
    inputs = {"excited_population": POPULATIONS, "frequency": F0}
    traces = pc.simulate("power_balance", BALANCE, inputs=inputs, seed=seed, **wishes)
    return DeviceTraces(pc.with_errors(traces, *sources))


def quick(traces: DeviceTraces, model: str = "power_balance", **wishes: Any) -> FitResult:
    return pc.fit(traces, model, intervals="covariance", **wishes)


def stderr(result: FitResult, name: str) -> float:
    found = result[name].stderr
    assert found is not None
    return found


def found_in(traces: DeviceTraces, model: str, truth: dict[str, float], **wishes: Any) -> Any:
    """The common errors of a problem at the truth, with problem and point."""
    problem, x = problem_of(traces, model, truth, **wishes)
    chosen, names = choose_observables(traces, get_model(model), wishes.get("observables", ()))
    return find_common_errors(chosen, problem, make_grid(chosen, problem.model, names)), problem, x


# ---- equal to what is known by another road ----


def test_a_shared_relative_error_of_the_absorbed_power_is_a_prior_on_the_gain() -> None:
    meter = pc.ErrorSource("meter", "absorbed_power", relative=TWO)
    named = quick(balance(0, meter))
    recorded = balance(0).assign_attrs(plane="instrument")
    line = pc.LineCalibration(attenuation_db=(0.0, 1e-3), gain_db=(0.0, TWO / DECIBEL))
    prior = quick(pc.to_device_plane(recorded, line))
    for name in BALANCE:
        # The gain is a factor e^ε, the error 1 + ε: alike to first order, and ε² is 4e-4.
        assert named[name].value == pytest.approx(prior[name].value, rel=1e-6)
        assert stderr(named, name) == pytest.approx(stderr(prior, name), rel=1e-3)
    # Against the noise the 2 % are nearly all of the error of Γ₁, and nothing of n_th.
    assert stderr(named, "gamma_1") / BALANCE["gamma_1"] == pytest.approx(TWO, rel=0.1)
    assert stderr(named, "n_th") == pytest.approx(stderr(quick(balance(0)), "n_th"), rel=1e-6)


def test_a_shared_relative_error_of_the_incident_power_is_a_prior_on_the_attenuation() -> None:
    known = {"drive_scale": (DRIVEN["drive_scale"], 1e-3 * DRIVEN["drive_scale"])}
    traces = driven(DRIVEN, "absorbed_power", "excited_population")
    meter = pc.ErrorSource("meter", "incident_power", relative=TWO)
    named = quick(pc.with_errors(traces, meter), "finite_temperature", priors=known)
    line = pc.LineCalibration(attenuation_db=(0.0, TWO / DECIBEL), gain_db=(0.0, 1e-6))
    recorded = pc.to_device_plane(traces.assign_attrs(plane="instrument"), line)
    prior = quick(recorded, "finite_temperature", priors=known)
    for name in ("gamma_1", "gamma_phi", "n_th"):
        # Inputs are moved to their best values: only the prior's logarithm differs, by ε²/2.
        assert named[name].value == pytest.approx(prior[name].value, rel=2e-4)
        assert stderr(named, name) == pytest.approx(stderr(prior, name), rel=2e-3)


def test_an_independent_relative_error_of_an_input_is_that_input_with_its_std() -> None:
    each = pc.ErrorSource("reading", "excited_population", relative=TWO, correlated=False)
    along = pc.ErrorSource("reading", "excited_population", relative=TWO, correlated="power")
    bare = balance(0)
    std = (TWO * bare["excited_population"]).assign_attrs(units="1")
    stated = quick(DeviceTraces(bare.assign(excited_population_std=std)))
    for source in (each, along):
        named = quick(balance(0, source))
        assert named.chi2 == pytest.approx(stated.chi2, rel=1e-9)
        np.testing.assert_allclose(named.covariance, stated.covariance, rtol=1e-7)


def test_an_independent_error_of_an_observable_adds_to_its_noise_in_quadrature() -> None:
    each = pc.ErrorSource("jitter", "absorbed_power", absolute=1.2e-19, correlated=False)
    named = quick(balance(0, each))
    wider = quick(balance(0), sigma={"absorbed_power": hypot(5e-20, 1.2e-19)})
    assert named.chi2 == pytest.approx(wider.chi2, rel=1e-9)
    np.testing.assert_allclose(named.covariance, wider.covariance, rtol=1e-7)


def test_a_shared_error_of_the_frequency_moves_the_line_and_nothing_else() -> None:
    traces = driven(DRIVEN, "absorbed_power", "excited_population")
    counter = pc.ErrorSource("counter", "frequency", absolute=5e4)
    plain = quick(traces, "finite_temperature")
    named = quick(pc.with_errors(traces, counter), "finite_temperature")
    expected = hypot(stderr(plain, "qubit_frequency"), 5e4)
    assert stderr(named, "qubit_frequency") == pytest.approx(expected, rel=1e-4)
    # ħω is 1e-5 of itself larger: the rest moves by as little.
    assert stderr(named, "n_th") == pytest.approx(stderr(plain, "n_th"), rel=1e-3)


# ---- complex data ----


def test_a_drift_of_complex_data_has_a_draw_for_amplitude_and_one_for_phase_at_every_power() -> (
    None
):
    drift = pc.ErrorSource("drift", "reflection", relative=0.01, correlated="power")
    wishes = {"setup": "device", "convention": "+i"}
    traces = pc.with_errors(reflected(REFLECTED), drift)
    common, problem, x = found_in(traces, "reflection", REFLECTED, **wishes)
    modes = common.modes(problem, x)
    curve = problem.predict(x)[0].reshape(8, 25)
    assert modes.shape == (2 * 200, 2 * 8)
    amplitude, phase = (modes[:200, i] + 1j * modes[200:, i] for i in (3, 8 + 3))
    np.testing.assert_allclose(amplitude.reshape(8, 25)[3], 0.01 * curve[3], rtol=1e-12)
    np.testing.assert_allclose(phase.reshape(8, 25)[3], 0.01j * curve[3], rtol=1e-12)
    assert not np.delete(amplitude.reshape(8, 25), 3, axis=0).any()


def test_of_a_power_made_of_an_amplitude_the_relative_error_is_twice_that_of_the_amplitude() -> (
    None
):
    drift = pc.ErrorSource("drift", "reflection", relative=0.01, correlated="power")
    traces = pc.with_errors(reflected(REFLECTED), drift)
    wishes = {"setup": "device", "convention": "+i", "observables": ("reflected_power",)}
    common, problem, x = found_in(traces, "reflection", REFLECTED, **wishes)
    modes = common.modes(problem, x)
    assert modes.shape == (200, 8)
    np.testing.assert_allclose(modes.sum(axis=1), 0.02 * problem.predict(x)[0].real, rtol=1e-12)


# ---- what is refused or told ----


def test_an_absolute_error_of_an_amplitude_is_refused_where_its_power_is_fitted() -> None:
    offset = pc.ErrorSource("leak", "reflection", absolute=0.01)
    traces = pc.with_errors(reflected(REFLECTED), offset)
    with pytest.raises(FitError, match="'leak' is an absolute one of reflection"):
        quick(traces, "reflection", setup="device", observables=("reflected_power",))


def test_an_independent_error_beside_a_noise_that_is_estimated_is_refused() -> None:
    each = pc.ErrorSource("jitter", "absorbed_power", relative=0.01, correlated=False)
    with pytest.raises(FitError, match="'jitter' is another one at every point, and so is"):
        quick(balance(0, each, state_noise=False))


def test_a_source_whose_quantity_is_gone_is_refused() -> None:
    meter = pc.ErrorSource("meter", "absorbed_power", relative=TWO)
    traces = driven(DRIVEN, "absorbed_power", "excited_population")
    less = DeviceTraces(pc.with_errors(traces, meter).drop_vars("absorbed_power"))
    with pytest.raises(FitError, match="absorbed_power, which the traces do not hold any more"):
        quick(less, "finite_temperature")


def test_a_source_on_what_is_not_fitted_is_told() -> None:
    meter = pc.ErrorSource("meter", "absorbed_power", relative=TWO)
    traces = driven(DRIVEN, "absorbed_power", "excited_population")
    result = quick(
        pc.with_errors(traces, meter), "finite_temperature", observables=("excited_population",)
    )
    assert [f.sentence for f in result.flags if f.name == "error_sources"] == [
        "meter: what these error sources act on was not fitted"
    ]
    assert "meter" not in {row.source for row in result.budget}


def test_more_draws_than_can_be_marginalised_are_refused() -> None:
    each = pc.ErrorSource("jitter", "absorbed_power", relative=0.01, correlated=False)
    inputs = {"excited_population": np.linspace(0.2, 0.46, 3001), "frequency": F0}
    traces = pc.simulate(
        "power_balance", BALANCE, inputs=inputs, seed=0, noise={"absorbed_power": 5e-20}
    )
    with pytest.raises(FitError, match="3001 uncertain input values and other draws"):
        quick(DeviceTraces(pc.with_errors(traces, each)))


def test_common_errors_name_what_a_person_attached() -> None:
    meter = pc.ErrorSource("meter", "absorbed_power", relative=TWO)
    clock = pc.ErrorSource("tomography", "excited_population", relative=TWO)
    common, _, _ = found_in(balance(0, meter, clock), "power_balance", BALANCE)
    assert isinstance(common, CommonErrors)
    assert common.named == ("tomography", "meter")
    assert common.inputs == {}


# ---- the shape of a line acts on errors of the power too ----


def test_a_tabulated_line_scales_the_error_of_the_power_with_the_power() -> None:
    traces = driven(DRIVEN, attenuation_db=60.0)
    frequency = np.asarray(traces["frequency"].values)
    loss = tuple(60.0 + np.linspace(-3.0, 3.0, 5))
    span = tuple(np.linspace(frequency[0], frequency[-1], 5))
    table = pc.Tabulated(span, loss, (0.5,) * 5)
    std = (TWO * traces["incident_power"]).assign_attrs(units="W")
    lined = pc.to_device_plane(
        traces.assign(incident_power_std=std), pc.LineCalibration(attenuation_db=table)
    )
    meter = pc.ErrorSource("meter", "incident_power", relative=TWO, correlated="power")
    common, problem, _ = found_in(
        pc.with_errors(lined, meter), "finite_temperature", DRIVEN | {"attenuation_db": 60.0}
    )
    stated, named = common.axes
    np.testing.assert_allclose(stated.size, TWO * problem.inputs["incident_power"], rtol=1e-12)
    np.testing.assert_allclose(named.size, stated.size, rtol=1e-12)


# ---- coming back ----


def sourced() -> DeviceTraces:
    """Sources of every kind on one sweep."""
    traces = driven(DRIVEN, "absorbed_power", "excited_population", noise=3e-3)
    std = (TWO * traces["incident_power"]).assign_attrs(units="W")
    return pc.with_errors(
        DeviceTraces(traces.assign(incident_power_std=std)),
        pc.ErrorSource("meter", "incident_power", relative=TWO),
        pc.ErrorSource("drift", "absorbed_power", relative=0.01, correlated="power"),
        pc.ErrorSource("counter", "frequency", absolute=2e4),
    )


@pytest.fixture(scope="module")
def result() -> FitResult:
    return quick(sourced(), "finite_temperature")


def test_a_rebuilt_problem_has_the_same_misfit_and_the_same_slopes(result: FitResult) -> None:
    problem, x = rebuild(result)
    rows = problem.residual(x)
    assert float(rows @ rows) == pytest.approx(result.chi2, rel=1e-9)
    jacobian = problem.jacobian(x) / problem.slopes(x)
    covariance = np.linalg.inv(jacobian.T @ jacobian)
    errors = np.sqrt(np.diag(result.covariance))
    difference = (covariance - result.covariance) / np.outer(errors, errors)
    # Inputs are moved until they stand still to 1e-6 of an error.
    assert np.max(np.abs(difference)) < 1e-6


def test_a_report_keeps_sources_and_budget(result: FitResult, tmp_path: Path) -> None:
    pc.write_report(tmp_path / "r.h5", result)
    again = pc.read_report(tmp_path / "r.h5")
    assert again.equals(result)
    assert again.budget == result.budget
    assert {"meter", "drift", "counter", "incident_power (per point)"} < {
        row.source for row in again.budget
    }


def test_fits_of_every_index_keep_the_sources_and_share_what_was_shared_per_index() -> None:
    import xarray as xr

    meter = pc.ErrorSource("meter", "absorbed_power", relative=TWO, correlated="repeat")
    both = xr.concat([balance(0), balance(1)], "repeat", data_vars=["absorbed_power"])
    items = pc.fit_each(DeviceTraces(pc.with_errors(both, meter)), "power_balance")
    for _, one in items:
        assert isinstance(one, FitResult)
        assert stderr(one, "gamma_1") / BALANCE["gamma_1"] == pytest.approx(TWO, rel=0.1)


def test_many_fits_at_once_refuse_a_named_error_that_they_do_not_marginalise() -> None:
    import xarray as xr

    meter = pc.ErrorSource("meter", "absorbed_power", relative=TWO)
    both = xr.concat([balance(0), balance(1)], "trace", data_vars=["absorbed_power"])
    with pytest.raises(FitError, match="the data hold meter"):
        pc.fit_many(DeviceTraces(pc.with_errors(both, meter)), "power_balance", over=("trace",))


# ---- coverage ----


def drawn(seed: int) -> DeviceTraces:
    """A power meter that is wrong by one and the same 2 % in every point of a data set."""
    traces = balance(seed)
    wrong = 1 + TWO * np.random.default_rng([7, seed]).standard_normal()
    return DeviceTraces(traces.assign(absorbed_power=wrong * traces["absorbed_power"]))


def covered(results: list[FitResult]) -> float:
    return float(
        np.mean(
            [
                abs((r["gamma_1"].value or 0) - BALANCE["gamma_1"]) < stderr(r, "gamma_1")
                for r in results
            ]
        )
    )


@pytest.mark.parametrize("count", [30, pytest.param(300, marks=pytest.mark.statistics)])
def test_a_shared_two_percent_is_covered_and_is_not_where_the_source_is_dropped(count: int) -> None:
    meter = pc.ErrorSource("meter", "absorbed_power", relative=TWO)
    aware = covered([quick(pc.with_errors(drawn(s), meter)) for s in range(count)])
    few = count // 2
    blind = covered([quick(drawn(s)) for s in range(few)])
    spread = np.sqrt(0.683 * 0.317 / count)
    assert abs(aware - 0.683) < 4 * spread
    # Noise alone is 0.35 % of Γ₁: |2 % · z| is below it with probability 0.14.
    assert blind < 0.14 + 4 * np.sqrt(0.14 * 0.86 / few)


def swept(seed: int) -> DeviceTraces:
    """A drive sweep with a shared error of the power axis and a level that drifts per power."""
    traces = driven(DRIVEN, "absorbed_power", "excited_population", seed=seed, noise=3e-3)
    rng = np.random.default_rng([8, seed])
    axis, level = 1 + TWO * rng.standard_normal(), 1 + 0.01 * rng.standard_normal(8)
    moved = traces["absorbed_power"] * traces["incident_power"].copy(data=level)
    moved = moved.transpose(*traces["absorbed_power"].dims).assign_attrs(units="W")
    power = (axis * traces["incident_power"]).assign_attrs(units="W")
    return DeviceTraces(traces.assign(absorbed_power=moved).assign_coords(incident_power=power))


@pytest.mark.statistics
def test_an_axis_shared_by_all_and_a_level_that_drifts_per_power_are_covered() -> None:
    sources = (
        pc.ErrorSource("meter", "incident_power", relative=TWO),
        pc.ErrorSource("drift", "absorbed_power", relative=0.01, correlated="power"),
    )
    pulls: dict[str, list[float]] = {name: [] for name in ("gamma_1", "n_th", "drive_scale")}
    blind: list[float] = []
    for seed in range(120):
        traces = swept(seed)
        result = quick(pc.with_errors(traces, *sources), "finite_temperature")
        for name, kept in pulls.items():
            kept.append(((result[name].value or 0) - DRIVEN[name]) / stderr(result, name))
        less = quick(traces, "finite_temperature")
        blind.append(((less["gamma_1"].value or 0) - DRIVEN["gamma_1"]) / stderr(less, "gamma_1"))
    for name, kept in pulls.items():
        share = float(np.mean(np.abs(kept) < 1))
        assert abs(share - 0.683) < 4 * np.sqrt(0.683 * 0.317 / 120), name
    assert float(np.mean(np.abs(blind) < 1)) < 0.55


@pytest.mark.statistics
def test_a_reference_whose_level_wanders_between_powers_is_covered() -> None:
    drift = pc.ErrorSource("drift", "reflection", relative=0.01, correlated="power")
    truth = COLD | {"attenuation_db": 0.0}  # at the device, where all but these is known
    pulls: dict[str, list[float]] = {name: [] for name in ("gamma_r", "qubit_frequency")}
    blind: list[float] = []
    for seed in range(60):
        traces = reflected(truth, seed=seed)
        z = np.random.default_rng([9, seed]).standard_normal((2, 8, 1))
        moved = traces["reflection"] * (1 + 0.01 * (z[0] + 1j * z[1]))
        traces = DeviceTraces(traces.assign(reflection=moved.assign_attrs(units="1")))
        result = quick(pc.with_errors(traces, drift), "reflection", setup="device", convention="+i")
        for name, kept in pulls.items():
            kept.append(((result[name].value or 0) - truth[name]) / stderr(result, name))
        less = quick(traces, "reflection", setup="device", convention="+i")
        blind.append(((less["gamma_r"].value or 0) - truth["gamma_r"]) / stderr(less, "gamma_r"))
    for name, kept in pulls.items():
        share = float(np.mean(np.abs(kept) < 1))
        assert abs(share - 0.683) < 4 * np.sqrt(0.683 * 0.317 / 60), name
    assert float(np.std(blind)) > 1.5
