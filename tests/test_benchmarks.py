"""The benchmarks themselves: a wrong, slow or missing engine shows; the data are as described."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

import powercal as pc
from benchmarks import batch, cold_start, engines, failures, limit, memory, million, peers, smoke
from benchmarks.reference import reference, tight_lmfit
from benchmarks.scenario_models import JOINT
from benchmarks.scenarios import RECIPES, make
from benchmarks.single import Single
from powercal.cli import main
from powercal.fitting.batch.solver import Plan

FEW = 12
NAMES = ("lmfit Model.fit", "powercal numpy")


def rows_of(*names: str) -> list[batch.Row]:
    return batch.measure("A", 1, FEW, names or NAMES, FEW)


def right_row(**changes: Any) -> batch.Row:
    row = batch.Row("A", "powercal numpy", ratio_to_lmfit=100.0, fits=FEW)
    row = dataclasses.replace(row, max_dtheta_stderr=1e-7, max_dtheta_relative=1e-8, max_dcov=1e-7)
    return dataclasses.replace(row, **changes)


def test_a_row_tells_speed_accuracy_and_failures() -> None:
    lmfit, ours = rows_of()
    told = json.loads(json.dumps(batch.as_json(ours)))
    keys = {"scenario", "engine", "fits_per_s", "ratio_to_lmfit", "max_dtheta_stderr", "failures"}
    assert keys <= set(told)
    assert told["engine"] == "powercal numpy"
    assert told["fits"] == FEW
    assert lmfit.ratio_to_lmfit == 1.0


def test_what_is_not_known_is_left_out_of_json() -> None:
    assert "fits_per_s" not in batch.as_json(batch.Row("A", "iminuit", note="not installed"))


def test_a_missing_peer_is_a_row_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(scenario: Any) -> Any:
        raise ImportError

    monkeypatch.setitem(peers.PEERS, "iminuit", absent)
    *_, row = rows_of("powercal numpy", "iminuit")
    assert (row.engine, row.note) == ("iminuit", "not installed")
    assert "not installed" in batch.text(row)


def test_a_peer_without_priors_says_that_it_cannot() -> None:
    found = batch.measure("B", 1, 2, ("lmfit Model.fit",), 2)
    assert [r.note for r in found] == ["cannot: a prior"]


def test_the_solver_is_neither_wrong_nor_are_its_errors() -> None:
    (ours,) = rows_of("powercal numpy")
    assert smoke.wrong(ours) == []


@pytest.mark.parametrize("shift", [1e-4, 5.0], ids=["a little", "far"])
def test_an_engine_that_is_off_is_caught_as_wrong(
    shift: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = engines.run

    def off(scenario: Any, plan: Plan) -> engines.Result:
        found = run(scenario, plan)
        values = found.values.copy()
        values[3] += shift * found.errors[3]
        return dataclasses.replace(found, values=values)

    monkeypatch.setattr(engines, "run", off)
    (ours,) = rows_of("powercal numpy")
    code, complaints = smoke.verdict([ours], 0.0)
    assert code == smoke.WRONG
    assert ours.failures == (1 if shift > 1 else 0)
    assert complaints[0].startswith("A: ")


def test_wrong_errors_are_caught_as_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    run = engines.run

    def half(scenario: Any, plan: Plan) -> engines.Result:
        found = run(scenario, plan)
        return dataclasses.replace(found, packed=found.packed / 4)

    monkeypatch.setattr(engines, "run", half)
    (ours,) = rows_of("powercal numpy")
    assert [c.split()[0] for c in smoke.wrong(ours)] == ["covariance"]


def test_nothing_known_of_accuracy_is_wrong() -> None:
    assert smoke.wrong(batch.Row("A", "powercal numpy", ratio_to_lmfit=100.0))


@pytest.mark.parametrize(
    ("changes", "grown", "code"),
    [
        ({}, 0.0, smoke.RIGHT),
        ({"ratio_to_lmfit": 59.0}, 0.0, smoke.SLOW),
        ({"failures": 1}, 0.0, smoke.WRONG),
        ({"failures": 1, "ratio_to_lmfit": 59.0}, 0.0, smoke.WRONG),
        ({}, 2 * memory.LIMIT, smoke.WRONG),
    ],
)
def test_the_exit_code_tells_wrong_before_slow(
    changes: dict[str, Any], grown: float, code: int
) -> None:
    found, complaints = smoke.verdict([right_row(**changes)], grown)
    assert found == code
    assert bool(complaints) == (code != smoke.RIGHT)


def test_derivatives_by_hand_are_those_of_the_curve() -> None:
    detuning, power = np.linspace(-3.0, 3.0, 41), np.asarray(1.7)
    values = {"gamma_1": 0.8, "gamma_2": 0.9, "drive": 1.3, "centre": 0.2, "n_th": 0.1}
    assert JOINT.jacobian is not None
    exact = JOINT.jacobian(power, detuning, **values)
    for name in values:
        moved = JOINT.curve(power, detuning, **{**values, name: values[name] + 1e-30j})
        for table, curve in zip(exact, moved, strict=True):
            np.testing.assert_allclose(table[name], curve.imag / 1e-30, rtol=1e-12, atol=1e-15)


def test_the_limit_sums_what_a_fit_needs() -> None:
    scenario = make(dataclasses.replace(RECIPES["B"], points=31, gaps=(0.0, 0.0)), 2)
    out = np.empty((2, 15))
    x = scenario.problem.inputs["frequency"]
    y, w = scenario.problem.observed[0].data, 1 / scenario.problem.observed[0].sigma
    limit.normal_equations(x, y, w * np.ones_like(x), scenario.truth, 0.02, out)
    for i in range(2):
        single = Single(scenario, i)
        rows, r = single.slopes(scenario.truth[i]) * single.weight, out[i]
        residual = (single.predict(scenario.truth[i]) - single.y) * single.weight
        np.testing.assert_allclose(r[0], residual @ residual, rtol=1e-10)
        np.testing.assert_allclose(r[1:5], rows @ residual, rtol=1e-9)
        np.testing.assert_allclose(r[5:], (rows @ rows.T)[np.triu_indices(4)], rtol=1e-10)


def test_without_numba_the_limit_is_a_row_that_says_so() -> None:
    assert batch.limit_row("A", [], None).note == "numba is not installed"


def test_traces_do_not_depend_on_how_many_are_made() -> None:
    few, many = make(RECIPES["D"], 5), make(RECIPES["D"], 300)
    for a, b in zip(few.problem.observed, many.problem.observed, strict=True):
        np.testing.assert_array_equal(a.data, b.data[:5])
    np.testing.assert_array_equal(few.problem.start, many.problem.start[:5])


@pytest.mark.parametrize("name", ["A", "D"])
def test_weights_per_trace_and_per_point_end_in_the_same_place(name: str) -> None:
    scenario = make(RECIPES[name], FEW)
    other = scenario.other_weights()
    shapes = {s.problem.observed[0].sigma.shape for s in (scenario, other)}
    assert shapes == {(FEW, 1), (FEW, 201)}
    a, b = (engines.run(s, Plan(s.problem, "numpy")) for s in (scenario, other))
    np.testing.assert_allclose(a.values, b.values, rtol=1e-9)


def test_the_reference_is_where_tight_lmfit_ends() -> None:
    scenario = make(RECIPES["C"], 3)
    a, b = reference(scenario, 3), tight_lmfit(scenario, 3)
    assert (np.abs(a.values - b.values) / a.errors).max() < 1e-6
    np.testing.assert_allclose(a.errors, b.errors, rtol=1e-6)


def test_the_reference_stays_inside_the_bounds() -> None:
    scenario = make(batch.SCENARIOS["E"], 40)
    found = reference(scenario, 40)
    dephasing = [a.name for a in scenario.problem.axes].index("gamma_phi")
    held = np.flatnonzero(found.values[:, dephasing] == 0.0)
    assert held.size > 0
    assert found.values[:, dephasing].min() == 0.0
    for i in held[:3]:
        single = Single(scenario, int(i))
        x = (found.values[i] - single.origin) / single.scale
        assert (single.jacobian(x) @ single.residual(x))[dephasing] > 0


def test_every_scenario_starts_from_its_data_alone() -> None:
    for name in "ABCDE":
        scenario = make(batch.SCENARIOS[name], 20)
        assert np.isfinite(scenario.problem.start).all()
        assert not np.isclose(
            scenario.problem.start[:, 0], scenario.truth[:, 0], rtol=1e-12, atol=0.0
        ).any()


def test_hard_fits_do_not_fail() -> None:
    found, rescued, _ = failures.failures_of(failures.hard("A", 100))
    assert found == []
    assert rescued == 0


def test_a_failure_is_told_with_its_cause() -> None:
    scenario = failures.hard("A", 4)
    start = scenario.problem.start.copy()
    start[1] = np.nan
    lame = dataclasses.replace(scenario, problem=dataclasses.replace(scenario.problem, start=start))
    (found,), _, _ = failures.failures_of(lame)
    assert (found.trace, found.reason, found.explained) == (1, "the guess is not finite", False)


def test_files_of_many_traces_begin_alike_and_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(million, "BLOCK", 25)
    for traces in (20, 60):
        million.write(tmp_path / f"{traces}.h5", traces)
    few, many = (pc.open_traces(tmp_path / f"{n}.h5") for n in (20, 60))
    xr.testing.assert_identical(few.drop_attrs(), many.isel(trace=slice(20)).drop_attrs())
    assert not many.identical(many.isel(trace=(np.arange(60) % 25)))
    row = million.fit(str(tmp_path / "60.h5"), "numpy", str(tmp_path / "fits.h5"))
    assert row["outcomes"] == {"converged": 60}
    with pc.read_fits(tmp_path / "fits.h5") as fits:
        assert list(fits["parameter"].values) == ["qubit_frequency", "gamma_1", "gamma_phi"]
        off = (fits["chi2"] / (fits["ndata"] - 3)).mean() - 1
    assert abs(off) < 0.05


def test_marginal_cost_is_that_of_the_added_traces() -> None:
    few = million.Row(10_000, "numpy", 1.5, 1.5, 1e8, {"converged": 10_000})
    many = million.Row(100_000, "numpy", 6.0, 6.0, 1e8, {"converged": 99_999, "not tried": 1})
    assert million.text(many, few).split()[2:6] == ["6.00", "6.00", "60.00", "50.00"]
    assert million.text(many, few).endswith("99999 converged, 1 not tried")
    assert million.sizes(300_000) == [10_000, 100_000, 300_000]


def test_a_cold_start_asks_for_a_fit_that_works(tmp_path: Path) -> None:
    cold_start.write(tmp_path / "one.h5")
    told = CliRunner().invoke(main, cold_start.asked(tmp_path / "one.h5"))
    assert told.exit_code == 0, told.output
    assert "gamma_1" in told.output


def test_medians_of_cold_starts_are_taken_apart() -> None:
    runs = [cold_start.Taken(3.0, 1.0), cold_start.Taken(1.0, 2.0), cold_start.Taken(2.0, 9.0)]
    assert cold_start.medians(runs) == (2.0, 2.0)
