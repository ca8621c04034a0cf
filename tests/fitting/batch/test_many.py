"""Many fits at once say what one fit at a time says, and refuse what they cannot do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import powercal as pc
from powercal.errors import FitError, ReportError
from powercal.fitting.batch.verdicts import STATUSES
from powercal.schema import DeviceTraces
from tests.fitting.batch.examples import driven, single


def compare(many: xr.Dataset, index: int, one: pc.FitResult, rel: float = 2e-6) -> None:
    """Value, error, status and χ² of one index beside a single fit."""
    for e in (*one.parameters, *one.derived):
        if e.name not in many["quantity"].values:
            assert e.status == "fixed"
            continue
        q = many.sel(quantity=e.name).isel(trace=index)
        assert STATUSES[int(q["status"])] == e.status, e.name
        if e.stderr is not None and e.value is not None:
            assert abs(float(q["value"]) - e.value) <= rel * e.stderr, e.name
            assert float(q["stderr"]) == pytest.approx(e.stderr, rel=1e-6), e.name
        elif e.value is None:
            assert np.isnan(float(q["value"])), e.name
    assert float(many["chi2"][index]) == pytest.approx(one.chi2, rel=1e-7)
    assert int(many["ndata"][index]) == one.ndata


@pytest.mark.parametrize("std", [True, False], ids=["sigma given", "sigma from residuals"])
def test_each_fit_of_many_is_the_single_fit(std: bool) -> None:
    traces, _ = driven(3, seed=3, std=std, gaps=0.05)
    many = pc.fit_many(traces, "finite_temperature", over=("trace",), solver="numpy")
    for i in range(3):
        one = pc.fit(single(traces, i), "finite_temperature", intervals="covariance")
        compare(many, i, one)


def test_profiles_of_many_are_the_profiles_of_each() -> None:
    traces, _ = driven(2, seed=5, points=41, noise=0.05, n_max=0.02)
    many = pc.fit_many(
        traces, "finite_temperature", over=("trace",), solver="numpy", intervals="profile"
    )
    for i in range(2):
        one = pc.fit(single(traces, i), "finite_temperature")
        for e in one.parameters:
            q = many.sel(quantity=e.name).isel(trace=i)
            assert STATUSES[int(q["status"])] == e.status
            assert e.interval95 is not None
            width = e.interval95[1] - e.interval95[0]
            # Either finds its ends to a hundredth of Δχ²: half a hundredth of a half width.
            assert q["interval95"].values == pytest.approx(e.interval95, abs=0.01 * width)
            assert q["interval68"].values == pytest.approx(e.interval68, abs=0.01 * width)
    assert STATUSES[int(many["status"].sel(quantity="n_th")[0])] in ("upper_limit", "ok")


def test_what_rides_on_a_profiled_parameter_has_its_status() -> None:
    traces, _ = driven(12, seed=6, points=41, noise=0.1, n_max=0.05)
    many = pc.fit_many(
        traces, "finite_temperature", over=("trace",), solver="numpy", intervals="profile"
    )
    status = many["status"].sel(quantity=["n_th", "p_eq"]).values
    assert {int(s) for s in status[:, 0]} > {STATUSES.index("upper_limit")}
    assert np.array_equal(status[:, 0], status[:, 1])


def test_a_complex_grid_with_an_uncertain_line_is_fitted_as_one_by_one() -> None:
    line = pc.LineCalibration(attenuation_db=(60.0, 0.3))
    parts = [
        pc.to_device_plane(
            pc.simulate(
                "reflection",
                {
                    "gamma_r": 3e6 * (1 + 0.2 * k),
                    "gamma_i": 1e6,
                    "gamma_phi": 5e5,
                    "qubit_frequency": 5e9,
                    "attenuation_db": 60.2,
                    "n_th": 0.0,
                    "reference_gain": 1.1,
                    "reference_phase": 0.4,
                },
                inputs={
                    "incident_power": 10 ** (np.array([-9.0, -8.0, -7.2]) - 3),
                    "frequency": 5e9 + np.linspace(-4e6, 4e6, 41),
                },
                noise={"reflection": 0.01},
                observables=("reflection",),
                attributes={"plane": "instrument"},
                setup="raw",
                convention="+i",
                seed=k,
            ),
            line,
        )
        for k in range(2)
    ]
    stacked = DeviceTraces(xr.concat(parts, "trace", combine_attrs="override", data_vars="all"))
    wishes: dict[str, Any] = {"fixed": {"n_th": 0.0}, "convention": "+i"}
    many = pc.fit_many(stacked, "reflection", over=("trace",), solver="numpy", **wishes)
    for i, part in enumerate(parts):
        one = pc.fit(part, "reflection", intervals="covariance", **wishes)
        compare(many, i, one, rel=1e-5)


def test_what_one_trace_cannot_tell_has_no_value_in_any_fit() -> None:
    traces, _ = driven(4)
    alone = DeviceTraces(traces.drop_vars(["excited_population", "excited_population_std"]))
    many = pc.fit_many(alone, "finite_temperature", over=("trace",), solver="numpy")
    for name in ("gamma_1", "n_th", "gamma_phi", "drive_scale", "T1", "gamma_2"):
        q = many.sel(quantity=name)
        assert (q["status"] == STATUSES.index("undetermined")).all(), name
        assert q["value"].isnull().all()
        assert q["stderr"].isnull().all()
        assert q["interval95"].isnull().all()
    covariance = many["covariance"].sel(parameter_b="gamma_1")
    assert covariance.isnull().all()  # nor an error by another way
    frequency = many["covariance"].sel(parameter="qubit_frequency", parameter_b="qubit_frequency")
    assert np.allclose(
        frequency**0.5, many["stderr"].sel(quantity="qubit_frequency"), rtol=1e-12, atol=0.0
    )
    assert (many.sel(quantity="qubit_frequency")["status"] == STATUSES.index("ok")).all()
    assert (many["rank"] < 5).all()


def test_values_per_fit_are_held_and_start_where_they_are_told() -> None:
    traces, truth = driven(6, std=True)
    alone = DeviceTraces(traces.drop_vars(["excited_population", "excited_population_std"]))
    scale = xr.DataArray(truth["drive_scale"], dims="trace")
    occupation = xr.DataArray(truth["n_th"], dims="trace")
    start = xr.DataArray(1.3 * truth["gamma_1"], dims="trace")
    many = pc.fit_many(
        alone,
        "finite_temperature",
        over=("trace",),
        fixed={"drive_scale": scale, "n_th": occupation},
        start={"gamma_1": start},
        solver="numpy",
    )
    rate = many.sel(quantity="gamma_1")
    assert (rate["status"] == 0).all()
    assert np.abs((rate["value"] - truth["gamma_1"]) / rate["stderr"]).max() < 4
    assert json.loads(many.attrs["fixed"]) == {"drive_scale": "one per fit", "n_th": "one per fit"}


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    traces, truth = driven(7)
    whole = pc.fit_many(traces, "finite_temperature", over=("trace",), solver="numpy")
    monkeypatch.setattr("powercal.fitting.batch.layout.BLOCK_POINTS", 3 * 101)
    parts = pc.fit_many(
        traces,
        "finite_temperature",
        over=("trace",),
        solver="numpy",
        start={"gamma_1": xr.DataArray(truth["gamma_1"], dims="trace")},
    )
    error = whole["stderr"].where(whole["status"] == 0)
    assert (np.abs(whole["value"] - parts["value"]) <= 2e-6 * error).where(error > 0, True).all()
    assert parts.sizes == whole.sizes


def test_results_stream_to_a_file_that_says_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traces, _ = driven(7)
    monkeypatch.setattr("powercal.fitting.batch.layout.BLOCK_POINTS", 3 * 101)
    inside = pc.fit_many(traces, "finite_temperature", over=("trace",), solver="numpy")
    paths = [tmp_path / "one.h5", tmp_path / "two.h5"]
    for path in paths:
        opened = pc.fit_many(
            traces, "finite_temperature", over=("trace",), solver="numpy", output=path
        )
        opened.close()
    assert paths[0].read_bytes() == paths[1].read_bytes()
    stored = pc.read_fits(paths[0]).load()
    xr.testing.assert_equal(stored, inside)
    assert {k: stored.attrs[k] for k in inside.attrs} == inside.attrs
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_file_of_another_kind_is_no_result(tmp_path: Path) -> None:
    path = tmp_path / "other.h5"
    xr.Dataset({"x": ("a", [1.0])}).to_netcdf(path, engine="h5netcdf")
    with pytest.raises(ReportError, match="schema 1 of many fits, the file has none"):
        pc.read_fits(path)
    path.write_text("no file of that kind")
    with pytest.raises(ReportError, match="cannot be opened as results"):
        pc.read_fits(path)


def test_a_file_is_fitted_without_being_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from powercal.loaders.hdf5 import save_traces

    traces, _ = driven(7)
    path = tmp_path / "many.h5"
    save_traces(path, traces)
    monkeypatch.setattr("powercal.fitting.batch.layout.BLOCK_POINTS", 3 * 101)
    lazy = pc.to_device_plane(pc.open_large(path))
    read: list[tuple[int, int]] = []
    from powercal.loading import blocks

    real = blocks.check_traces
    monkeypatch.setattr(
        blocks, "check_traces", lambda d, **k: read.append(dict(d.sizes)["trace"]) or real(d, **k)
    )
    many = pc.fit_many(lazy, "finite_temperature", over=("trace",), solver="numpy")
    whole = pc.fit_many(traces, "finite_temperature", over=("trace",), solver="numpy")
    assert read == [3, 3, 1]
    xr.testing.assert_equal(many, whole)


def test_chunked_data_are_read_chunk_by_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("dask.array", reason="dask (extra dask) is not installed")
    traces, _ = driven(7)
    monkeypatch.setattr("powercal.fitting.batch.layout.BLOCK_POINTS", 3 * 101)
    chunked = DeviceTraces(traces.chunk({"trace": 3}))
    xr.testing.assert_equal(
        pc.fit_many(chunked, "finite_temperature", over=("trace",), solver="numpy"),
        pc.fit_many(traces, "finite_temperature", over=("trace",), solver="numpy"),
    )


def test_one_fit_of_many_becomes_a_genuine_lmfit_result() -> None:
    import lmfit

    traces, _ = driven(4)
    for data in (traces, DeviceTraces(traces.drop_vars(["absorbed_power_std"]))):
        many = pc.fit_many(data, "finite_temperature", over=("trace",), solver="numpy")
        result = pc.to_lmfit(many.isel(trace=2), DeviceTraces(data.isel(trace=2)))
        assert isinstance(result, lmfit.model.ModelResult)
        assert result.chisqr == pytest.approx(float(many["chi2"][2]), rel=1e-8)
        # ln Γ₁ is the solver's coordinate: its error is the relative one.
        relative = (many["stderr"] / many["value"]).sel(quantity="gamma_1")[2]
        assert result.params["gamma_1"].stderr == pytest.approx(float(relative), rel=1e-2)


@pytest.mark.parametrize("std", [True, False], ids=["sigma given", "sigma from residuals"])
def test_a_trace_without_data_fails_by_itself(std: bool) -> None:
    traces, _ = driven(3, std=std)
    broken = traces.copy(deep=True)
    broken["absorbed_power"][1], broken["excited_population"][1] = np.nan, np.nan
    many = pc.fit_many(DeviceTraces(broken), "finite_temperature", over=("trace",), solver="numpy")
    assert (many["status"].isel(trace=1) == STATUSES.index("failed")).all()
    assert many["value"].isel(trace=1).isnull().all()
    rest = pc.fit_many(traces, "finite_temperature", over=("trace",), solver="numpy")
    for i in (0, 2):
        assert np.array_equal(many["value"][i], rest["value"][i])


def test_every_index_of_two_dimensions_is_a_fit() -> None:
    traces, truth = driven(6)
    grid = (
        traces.assign_coords(trace=np.arange(6)).coarsen(trace=3).construct(trace=("bias", "trace"))
    )
    flat = pc.fit_many(traces, "finite_temperature", over=("trace",), solver="numpy")
    both = pc.fit_many(
        DeviceTraces(grid), "finite_temperature", over=("bias", "trace"), solver="numpy"
    )
    assert both["value"].dims == ("bias", "trace", "quantity")
    # Values per fit lie along either of them, in any order.
    scale = xr.DataArray(truth["drive_scale"].reshape(2, 3), dims=("bias", "trace"))
    held = {
        "drive_scale": scale.transpose("trace", "bias"),
        "n_th": xr.DataArray(truth["n_th"][:3], dims="trace"),
    }
    alone = DeviceTraces(grid.drop_vars(["excited_population", "excited_population_std"]))
    one = pc.fit_many(alone, "finite_temperature", over=("bias", "trace"), fixed=held)
    n_th = xr.DataArray(np.tile(truth["n_th"][:3], 2), dims="trace")
    other = pc.fit_many(
        DeviceTraces(traces.drop_vars(["excited_population", "excited_population_std"])),
        "finite_temperature",
        over=("trace",),
        fixed={"drive_scale": xr.DataArray(truth["drive_scale"], dims="trace"), "n_th": n_th},
    )
    assert np.array_equal(one["value"].values.reshape(6, -1), other["value"].values)
    assert np.array_equal(both["value"].values.reshape(6, -1), flat["value"].values)


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "dimension": ({"over": ("bias",)}, "have no dimension 'bias'; they have trace, point"),
    "none": ({}, "takes every dimension of the data .* say over="),
    "solver": ({"over": ("trace",), "solver": "magic"}, "one of auto, numpy, numba, lmfit"),
    "intervals": ({"over": ("trace",), "intervals": "bayes"}, "one of covariance, profile"),
    "nothing free": (
        {
            "over": ("trace",),
            "fixed": dict.fromkeys(("gamma_1", "n_th", "gamma_phi", "qubit_frequency"), 1e6)
            | {"drive_scale": 1e30},
        },
        "every parameter is fixed",
    ),
    "bare array": (
        {"over": ("trace",), "fixed": {"n_th": np.array([0.1, 0.2])}},
        "wanted as a DataArray that names its dimension",
    ),
    "strange values": (
        {"over": ("trace",), "fixed": {"n_th": xr.DataArray([0.1], dims="bias")}},
        r"n_th is given over {'bias': 1}; values per fit run over \(some of\) {'trace': 2}",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_done_is_refused_in_words(name: str) -> None:
    traces, _ = driven(2)
    wishes, sentence = REFUSALS[name]
    with pytest.raises(FitError, match=sentence):
        pc.fit_many(traces, "finite_temperature", **wishes)


def test_errors_that_points_share_are_not_dropped_silently() -> None:
    traces, _ = driven(2)
    meter = pc.ErrorSource(name="meter", on="absorbed_power", relative=0.02, correlated=True)
    shared = pc.with_errors(traces, meter)
    with pytest.raises(FitError, match="the data hold meter: errors common to many points"):
        pc.fit_many(DeviceTraces(shared), "finite_temperature", over=("trace",))


def test_an_unknown_line_needs_a_start() -> None:
    traces, _ = driven(2)
    unknown = pc.to_device_plane(
        DeviceTraces(traces.assign_attrs(plane="instrument")), pc.LineCalibration()
    )
    with pytest.raises(FitError, match="attenuation_db is free and nothing is known of it"):
        pc.fit_many(unknown, "finite_temperature", over=("trace",))


def test_one_of_many_needs_its_data_and_an_index() -> None:
    traces, _ = driven(2)
    many = pc.fit_many(traces, "finite_temperature", over=("trace",), solver="numpy")
    with pytest.raises(FitError, match="select one fit, for example results"):
        pc.to_lmfit(many, traces)
    with pytest.raises(FitError, match="do not hold their data"):
        pc.to_lmfit(many.isel(trace=0))


def test_worker_processes_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("powercal.fitting.batch.layout.WORKER_FITS", 3)
    traces, truth = driven(8, points=41)
    scale = xr.DataArray(truth["drive_scale"], dims="trace")
    here = pc.fit_many(
        traces, "finite_temperature", over=("trace",), solver="numpy", fixed={"drive_scale": scale}
    )
    there = pc.fit_many(
        traces,
        "finite_temperature",
        over=("trace",),
        solver="numpy",
        fixed={"drive_scale": scale},
        workers=2,
    )
    xr.testing.assert_equal(here, there)
    assert here.attrs == there.attrs


def test_worker_processes_read_a_file_themselves(tmp_path: Path) -> None:
    from powercal.loaders.hdf5 import save_traces

    traces, _ = driven(5, points=41)
    save_traces(tmp_path / "many.h5", traces)
    lazy = pc.to_device_plane(pc.open_large(tmp_path / "many.h5"))
    there = pc.fit_many(lazy, "finite_temperature", over=("trace",), solver="numpy", workers=1)
    here = pc.fit_many(traces, "finite_temperature", over=("trace",), solver="numpy")
    xr.testing.assert_equal(here, there)


def test_a_block_that_is_lost_leaves_rows_that_say_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from powercal.processes import shared

    traces, _ = driven(7)
    labelled = DeviceTraces(traces.assign_coords(trace=np.arange(10.0, 17.0)))
    monkeypatch.setattr("powercal.fitting.batch.layout.WORKER_FITS", 3)
    true = shared.run_blocks

    def crashing(*given: Any, **named: Any) -> Iterator[shared.BlockOutcome]:
        for outcome in true(*given, **{**named, "workers": 0}):
            lost = shared.BlockOutcome(1, None, "killed by signal 11")
            yield lost if outcome.index == 1 else outcome

    monkeypatch.setattr(shared, "run_blocks", crashing)
    path = tmp_path / "fits.h5"
    for output in (None, path):
        many = pc.fit_many(
            labelled, "finite_temperature", over=("trace",), workers=1, output=output
        )
        assert np.array_equal(many["trace"], np.arange(10.0, 17.0))
        assert many["outcome"].values.tolist() == [1, 1, 1, 0, 0, 0, 1]
        assert (many["status"][3:6] == STATUSES.index("failed")).all()
        assert many["value"][3:6].isnull().all()
        assert many["value"][[0, 6]].notnull().all()
        assert many.attrs["lost"] == "killed by signal 11"
        many.close()


def test_a_batch_does_not_import_lmfit(tmp_path: Path) -> None:
    from powercal.loaders.hdf5 import save_traces

    save_traces(tmp_path / "few.h5", driven(3)[0])
    code = (
        "import sys, powercal as pc\n"
        "traces = pc.to_device_plane(pc.open_large(sys.argv[1]))\n"
        "pc.fit_many(traces, 'finite_temperature', over=('trace',), solver='numpy')\n"
        "print('lmfit' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "few.h5")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"


def test_a_model_object_does_not_travel_to_other_processes() -> None:
    traces, _ = driven(2)
    model = pc.get_model("finite_temperature")
    with pytest.raises(FitError, match="worker processes need a model that a plugin offers"):
        pc.fit_many(traces, model, over=("trace",), workers=1)
