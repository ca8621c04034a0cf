from __future__ import annotations

import dataclasses
import json
import string
import time
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from make_result import changes, make_complex_traces, make_result

from powercal.errors import ReportError
from powercal.report import hdf5, read_report, write_report

letters = st.text(string.ascii_letters, min_size=1, max_size=8)
slow = settings(
    max_examples=8,  # each writes and reads a file; test_record.py tries many more results
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def numbers_dataset(values: list[float]) -> xr.Dataset:
    return xr.Dataset({"absorbed_power": ("trace", np.array(values, dtype=float))})


def test_a_report_reads_back_equal_bit_for_bit(tmp_path: Path) -> None:
    result = make_result()
    assert read_report(write_report(tmp_path / "a.h5", result)).equals(result)


@slow
@given(changes=changes)
def test_any_result_reads_back_equal(tmp_path: Path, changes: dict[str, Any]) -> None:
    result = make_result(**changes)
    assert read_report(write_report(tmp_path / "a.h5", result)).equals(result)


@slow
@given(values=st.lists(st.floats(), min_size=0, max_size=5), attribute=st.floats(), key=letters)
def test_any_traces_and_curve_read_back_equal(
    tmp_path: Path, values: list[float], attribute: float, key: str
) -> None:
    traces = numbers_dataset(values).assign_attrs({key: attribute})
    result = make_result(traces=traces, curve=numbers_dataset(values))
    assert read_report(write_report(tmp_path / "a.h5", result)).equals(result)


def test_complex_curves_read_back_equal(tmp_path: Path) -> None:
    traces = make_complex_traces()
    sigma = xr.DataArray(np.full(5, 0.1), dims="trace")
    curve = traces.assign(reflection_sigma=sigma)
    result = make_result(observables=("reflection",), traces=traces, curve=curve)
    path = write_report(tmp_path / "a.h5", result)
    assert read_report(path).equals(result)
    with h5py.File(path) as file:
        assert file["fit"].attrs["signal"] == "reflection_real"


def test_a_result_without_anything_reads_back_equal(tmp_path: Path) -> None:
    result = make_result(
        parameters=(),
        derived=(),
        names=(),
        covariance=np.empty((0, 0)),
        flags=(),
        checks=(),
        systematics=(),
        source={},
        curve=xr.Dataset(),
    )
    path = write_report(tmp_path / "a.h5", result)
    assert read_report(path).equals(result)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        xr.open_datatree(path, engine="h5netcdf").close()


def test_a_curve_that_has_errors_of_its_own_reads_back_equal(tmp_path: Path) -> None:
    curve = make_result().curve
    curve = curve.assign(absorbed_power_errors=curve["absorbed_power_sigma"] * 2)
    result = make_result(curve=curve)
    assert read_report(write_report(tmp_path / "a.h5", result)).equals(result)


def test_a_read_report_writes_the_same_bytes(tmp_path: Path) -> None:
    first = write_report(tmp_path / "a.h5", make_result())
    time.sleep(1.1)  # HDF5 counts time in whole seconds; none may stand in the file
    second = write_report(tmp_path / "other name.h5", read_report(first))
    assert first.read_bytes() == second.read_bytes()


def test_lists_and_tuples_of_the_request_keep_their_kind(tmp_path: Path) -> None:
    request = {"a": [1, (2.5, None)], "b": ("inf", float("-inf"))}
    path = write_report(tmp_path / "a.h5", make_result(request=request))
    assert read_report(path).request == request


def test_the_order_of_mappings_is_kept(tmp_path: Path) -> None:
    path = write_report(tmp_path / "a.h5", make_result(values={"z": 1.0, "a": 2.0}))
    assert list(read_report(path).values) == ["z", "a"]


def test_numpy_scalars_become_plain_numbers(tmp_path: Path) -> None:
    path = write_report(tmp_path / "a.h5", make_result(values={"a": np.float64(0.1)}))
    assert type(read_report(path).values["a"]) is float


def test_h5py_alone_reads_the_parameters(tmp_path: Path) -> None:
    with h5py.File(write_report(tmp_path / "a.h5", make_result())) as file:
        group = file["parameters"]
        assert list(group["parameter"].asstr())[:2] == ["gamma_1", "transition_frequency"]
        assert group["value"][0] == 1.127e7
        assert np.isnan(group["value"][2])
        assert group["status"].asstr()[2] == "undetermined"
        assert group["allowed_high"][2] == 0.06


def test_the_covariance_stands_over_two_different_scales(tmp_path: Path) -> None:
    with h5py.File(write_report(tmp_path / "a.h5", make_result())) as file:
        scales = [axis[0].name for axis in file["covariance/covariance"].dims]
    assert scales == ["/covariance/parameter_a", "/covariance/parameter_b"]


def test_shifts_that_were_not_computed_are_nan(tmp_path: Path) -> None:
    with h5py.File(write_report(tmp_path / "a.h5", make_result())) as file:
        shift = file["systematics/shift"][()]
    np.testing.assert_array_equal(shift, [[-1.2e4, np.nan, np.nan], [np.nan, 1e-10, 2.0]])


def test_nexus_readers_find_the_curve_its_axes_and_errors(tmp_path: Path) -> None:
    with h5py.File(write_report(tmp_path / "a.h5", make_result())) as file:
        fit = file[file.attrs["default"]]
        assert fit.attrs["NX_class"] == "NXdata"
        assert fit.attrs["signal"] == "absorbed_power"
        assert list(fit.attrs["axes"]) == [".", "frequency"]
        assert fit["absorbed_power_errors"].shape == fit["absorbed_power"].shape


def test_arrays_are_compressed_and_carry_checksums(tmp_path: Path) -> None:
    with h5py.File(write_report(tmp_path / "a.h5", make_result())) as file:
        array = file["traces/absorbed_power"]
        found = (array.compression, array.compression_opts, array.shuffle, array.fletcher32)
    assert found == ("gzip", 4, True, True)


def test_xarray_opens_the_report_without_a_warning(tmp_path: Path) -> None:
    result = make_result()
    path = write_report(tmp_path / "a.h5", result)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with xr.open_datatree(path, engine="h5netcdf") as tree:
            assert tree["parameters"]["value"].sel(parameter="gamma_1") == 1.127e7
            stored = tree["traces"]["absorbed_power"]
            np.testing.assert_array_equal(stored, result.traces["absorbed_power"])


def test_the_record_is_strict_json(tmp_path: Path) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    with h5py.File(write_report(tmp_path / "a.h5", make_result())) as file:
        record = json.loads(file["provenance/record_json"].asstr()[()], parse_constant=refuse)
    assert record["result"]["model"] == "finite_temperature"


def test_an_old_report_stays_when_the_writer_fails_half_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_report(tmp_path / "a.h5", make_result())
    before = path.read_bytes()

    def fail(result: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(hdf5, "tables", fail)
    with pytest.raises(ReportError, match=r"cannot be written .no space left on device.*; check"):
        write_report(path, make_result(model="other"))
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["a.h5"]


def test_an_interrupted_writer_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(result: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(hdf5, "tables", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_report(tmp_path / "a.h5", make_result())
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"folder .*none does not exist; create it"):
        write_report(tmp_path / "none" / "a.h5", make_result())


def test_a_folder_in_place_of_the_report_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.h5").mkdir()
    with pytest.raises(ReportError, match=r"a.h5 cannot be written \(.*; check permissions"):
        write_report(tmp_path / "a.h5", make_result())


def test_an_object_in_the_request_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"request\['f'\] of the result holds a builtin_function"):
        write_report(tmp_path / "a.h5", make_result(request={"f": print}))
    assert list(tmp_path.iterdir()) == []


def test_an_attribute_of_the_traces_that_hdf5_cannot_hold_is_named(tmp_path: Path) -> None:
    traces = make_result().traces.assign_attrs(nothing=None)
    with pytest.raises(ReportError, match=r"traces of the result cannot be stored.*'nothing'"):
        write_report(tmp_path / "a.h5", make_result(traces=traces))


def test_a_curve_that_uses_the_words_of_nexus_is_refused(tmp_path: Path) -> None:
    curve = make_result().curve.assign_attrs(signal="mine")
    with pytest.raises(ReportError, match="one of the attributes NX_class, signal, axes"):
        write_report(tmp_path / "a.h5", make_result(curve=curve))


def test_a_covariance_that_does_not_fit_its_names_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"covariance has shape \(2, 2\) for 1 names; make it"):
        write_report(tmp_path / "a.h5", make_result(names=("gamma_1",)))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"there is no file .*none.h5; give the path"):
        read_report(tmp_path / "none.h5")


def test_a_file_that_is_not_hdf5_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.write_text("{}")
    with pytest.raises(ReportError, match=r"a.h5 is not an HDF5 file; give one that write_report"):
        read_report(path)


def test_hdf5_of_another_kind_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(ReportError, match=r"not a powercal report .it has no powercal_schema.;"):
        read_report(tmp_path / "a.h5")


@pytest.mark.parametrize("schema", [3, 0, "1.0"])
def test_an_unknown_schema_names_both_numbers(tmp_path: Path, schema: object) -> None:
    path = write_report(tmp_path / "a.h5", make_result())
    with h5py.File(path, "a") as file:
        file.attrs["powercal_schema"] = schema
    with pytest.raises(ReportError, match=f"has schema {schema}, but .* reads schema 2; read it"):
        read_report(path)


def test_a_report_of_schema_1_is_still_read(tmp_path: Path) -> None:
    path = write_report(tmp_path / "a.h5", make_result())
    with h5py.File(path, "a") as file:
        file.attrs["powercal_schema"] = 1
        del file["budget"], file["minima"]  # schema 1 had no such groups
    assert read_report(path).equals(make_result())


@pytest.mark.parametrize("fraction", [0.02, 0.3, 0.9, 0.999])
def test_a_truncated_report_is_refused(tmp_path: Path, fraction: float) -> None:
    path = write_report(tmp_path / "a.h5", make_result())
    content = path.read_bytes()
    path.write_bytes(content[: int(fraction * len(content))])
    with pytest.raises(ReportError, match=r"is damaged or was altered: .*; restore it from a copy"):
        read_report(path)


@pytest.mark.parametrize(
    "group",
    ["traces", "fit", "parameters", "derived", "covariance", "checks", "flags", "systematics"],
)
def test_a_missing_group_is_named(tmp_path: Path, group: str) -> None:
    path = write_report(tmp_path / "a.h5", make_result())
    with h5py.File(path, "a") as file:
        del file[group]
    with pytest.raises(ReportError, match=f"it has no group '{group}'; restore"):
        read_report(path)


def test_a_missing_record_is_named(tmp_path: Path) -> None:
    path = write_report(tmp_path / "a.h5", make_result())
    with h5py.File(path, "a") as file:
        del file["provenance"]
    with pytest.raises(ReportError, match="it has no dataset 'provenance/record_json'"):
        read_report(path)


def test_a_record_that_was_edited_is_refused(tmp_path: Path) -> None:
    path = write_report(tmp_path / "a.h5", make_result())
    with h5py.File(path, "a") as file:
        record = file["provenance/record_json"]
        record[()] = record.asstr()[()].replace("11270000.0", "11280000.0")
    with pytest.raises(ReportError, match="checksum of provenance/record_json is wrong"):
        read_report(path)


@pytest.mark.parametrize(
    ("array", "match"),
    [
        ("parameters/value", "parameters disagrees with the record"),
        ("derived/stderr", "derived disagrees with the record"),
        ("covariance/covariance", "covariance disagrees with the record"),
        ("checks/limit", "checks disagrees with the record"),
        ("systematics/shift", "systematics disagrees with the record"),
        ("traces/absorbed_power", "traces does not agree with its checksum"),
        ("traces/frequency", "traces does not agree with its checksum"),
        ("fit/absorbed_power_errors", "curve does not agree with its checksum"),
    ],
)
def test_an_array_that_was_edited_is_refused(tmp_path: Path, array: str, match: str) -> None:
    path = write_report(tmp_path / "a.h5", make_result())
    with h5py.File(path, "a") as file:
        file[array][...] = 1.0
    with pytest.raises(ReportError, match=match):
        read_report(path)


def test_an_attribute_that_was_edited_is_refused(tmp_path: Path) -> None:
    path = write_report(tmp_path / "a.h5", make_result())
    with h5py.File(path, "a") as file:
        file["traces"].attrs["detection"] = "total"
    with pytest.raises(ReportError, match="traces does not agree with its checksum"):
        read_report(path)
    with h5py.File(path, "a") as file:
        file["traces"].attrs["detection"] = "absorbed"
        file.attrs["chi2"] = 1.0
    with pytest.raises(ReportError, match="the attributes of / disagree with the record"):
        read_report(path)


def test_a_link_out_of_the_file_is_not_followed(tmp_path: Path) -> None:
    other = write_report(tmp_path / "other.h5", make_result())
    path = write_report(tmp_path / "a.h5", make_result())
    with h5py.File(path, "a") as file:
        del file["traces"]
        file["traces"] = h5py.ExternalLink(other, "/traces")
    with pytest.raises(ReportError, match="link to another file"):
        read_report(path)


def test_a_record_of_other_fields_is_refused(tmp_path: Path) -> None:
    path = write_report(tmp_path / "a.h5", make_result())
    with h5py.File(path, "a") as file:
        record = file["provenance/record_json"]
        text = record.asstr()[()].replace('"weights"', '"os.system"')
        record[()] = text
        record.attrs["sha256"] = hdf5._sha256(text)
    with pytest.raises(ReportError, match=r"unexpected keyword argument .os\.system."):
        read_report(path)


@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.statistics)])
def test_no_flipped_byte_goes_unnoticed(tmp_path: Path, count: int) -> None:
    result = make_result()
    path = write_report(tmp_path / "a.h5", result)
    content = path.read_bytes()
    generator = np.random.default_rng(1)
    for place in generator.integers(0, len(content), count):
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(generator.integers(8))
        path.write_bytes(damaged)
        try:
            same = read_report(path).equals(result)
        except ReportError:
            continue
        assert same, place


def test_every_field_of_a_result_is_in_the_record() -> None:
    encoded = hdf5.encode_result(make_result())
    fields = {field.name for field in dataclasses.fields(make_result())}
    assert fields - set(encoded) == {"traces", "curve"}
