"""Own HDF5: what is written comes back identical, and others' files are read with care."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import powercal as pc
from powercal.errors import LoaderChoiceError, LoaderError, TraceSchemaError
from powercal.loaders.hdf5 import dataset_from_group, dataset_to_group, save_traces
from powercal.schema import flags


def traces(**changes: Any) -> xr.Dataset:
    """Return traces with most kinds of variables."""
    rng = np.random.default_rng(3)
    values = rng.normal(size=(2, 3, 4)) + 1j * rng.normal(size=(2, 3, 4))
    variables = {
        "reflection": (("channel", "power", "frequency"), values, {"units": "1"}),
        "reflection_std": ("power", [0.1, np.nan, 0.3], {"units": "1"}),
    }
    coordinates = {
        "frequency": ("frequency", np.linspace(5e9, 6e9, 4), {"units": "Hz"}),
        "incident_power": ("power", [1e-15, 1e-14, 1e-13], {"units": "W"}),
        "channel": ["a", "ß"],
        "temperature": ((), 0.02, {"units": "K"}),
    }
    attrs = {"plane": "instrument", "detection": "coherent", "bath_temperature": 0.02, "runs": 3}
    return xr.Dataset(variables | changes, coordinates, attrs)


def through_group(dataset: xr.Dataset, path: Path) -> xr.Dataset:
    """Write to a group and read back."""
    with h5py.File(path, "w", track_order=True) as file:
        dataset_to_group(file.create_group("traces", track_order=True), dataset)
    with h5py.File(path) as file:
        return dataset_from_group(file["traces"])


ODD = {
    "integers": ("power", np.array([1, 2, 3])),
    "booleans": ("frequency", np.array([True, False, True, True])),
    "text": ((), "hé"),
    "words": ("power", ["a", "", "long word"]),
    "nothing": ((), np.nan),
    "complex scalar": ((), 1 - 2j),
    "empty": ("none", np.zeros(0)),
    "single": ("power", np.array([1, 2, 3], "f4")),
    "infinite": ("power", np.array([complex(np.inf, np.nan), complex(0, -0.0), 1j])),
}


@pytest.mark.parametrize("case", ODD)
def test_every_kind_of_variable_comes_back_identical(case: str, tmp_path: Path) -> None:
    given = traces(odd=ODD[case])
    back = through_group(given, tmp_path / "x.h5")
    xr.testing.assert_identical(back, given)
    assert back["odd"].dtype.kind == given["odd"].dtype.kind
    assert back["reflection"].dims == given["reflection"].dims


@settings(max_examples=25, deadline=None)
@given(
    values=hnp.arrays(np.complex128, hnp.array_shapes(min_dims=0, max_dims=3, max_side=3)),
    flag=st.text(max_size=10).filter(lambda text: "\0" not in text),
)
def test_any_numbers_and_text_come_back_identical(
    values: Any, flag: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    dims = ("a", "b", "c")[: values.ndim]
    given = xr.Dataset({"received": (dims, values)}, attrs={"note": flag})
    path = tmp_path_factory.mktemp("h5") / "x.h5"
    xr.testing.assert_identical(through_group(given, path), given)


def test_attributes_that_are_not_a_number_come_back(tmp_path: Path) -> None:
    given = traces().assign_attrs(odd=np.nan, size=np.int64(3), share=np.float64(0.5))
    back = through_group(given, tmp_path / "x.h5")
    assert np.isnan(back.attrs["odd"])
    assert (back.attrs["size"], back.attrs["share"]) == (3, 0.5)


def test_the_file_is_netcdf_for_xarray(tmp_path: Path) -> None:
    save_traces(tmp_path / "x.h5", traces())
    with xr.open_dataset(tmp_path / "x.h5", engine="h5netcdf") as opened:
        assert opened["reflection_real"].dims == ("channel", "power", "frequency")
        assert "incident_power" in opened.coords
        assert opened["frequency"].attrs["units"] == "Hz"


def test_arrays_are_compressed_and_checksummed(tmp_path: Path) -> None:
    save_traces(tmp_path / "x.h5", traces())
    with h5py.File(tmp_path / "x.h5") as file:
        array = file["reflection_real"]
        found = (array.compression, array.compression_opts, array.shuffle, array.fletcher32)
    assert found == ("gzip", 4, True, True)


def test_the_same_traces_give_the_same_bytes(tmp_path: Path) -> None:
    save_traces(tmp_path / "a.h5", traces())
    save_traces(tmp_path / "b.h5", traces())
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_saved_traces_open_identical_but_for_their_source(tmp_path: Path) -> None:
    given = traces()
    save_traces(tmp_path / "x.h5", given)
    back = pc.open_traces(tmp_path / "x.h5")
    assert (back.attrs["loader"], back.attrs["source"]) == ("hdf5", "x.h5")
    xr.testing.assert_identical(back.drop_attrs(deep=False), given.drop_attrs(deep=False))


def test_traces_saved_twice_remember_where_they_came_from(tmp_path: Path) -> None:
    save_traces(tmp_path / "a.h5", traces().assign_attrs(source="log.hdf5", source_sha256="abc"))
    assert flags(pc.open_traces(tmp_path / "a.h5")) == (
        "saved earlier from log.hdf5 (SHA-256 abc)",
    )


def test_a_failed_save_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    save_traces(path, traces())
    before = path.read_bytes()
    with pytest.raises(TraceSchemaError):
        save_traces(path, traces().assign_attrs(bad=None))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_report_is_a_source_of_its_traces(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "report.h5", "w") as file:
        file.attrs["powercal_schema"] = 1
        dataset_to_group(file.create_group("traces"), traces().assign_attrs(plane="device"))
    back = pc.open_traces(tmp_path / "report.h5")
    assert back.attrs["plane"] == "device"


def test_a_report_without_traces_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "report.h5", "w") as file:
        file.attrs["powercal_schema"] = 1
    with pytest.raises(
        LoaderError, match=r"report\.h5 is a powercal report without group 'traces'"
    ):
        pc.open_traces(tmp_path / "report.h5")


def test_plain_netcdf_with_the_same_words_is_read(tmp_path: Path) -> None:
    parts = {
        "reflection_real": ("frequency", [0.5, 0.4], {"units": "1"}),
        "reflection_imag": ("frequency", [0.1, 0.2], {"units": "1"}),
    }
    axis = {"frequency": ("frequency", [5.0, 5.1], {"units": "GHz"})}
    plain = xr.Dataset(parts, axis, {"plane": "instrument"})
    plain.to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    back = pc.open_traces(tmp_path / "x.nc")
    assert back["reflection"].values.tolist() == [0.5 + 0.1j, 0.4 + 0.2j]
    assert back["frequency"].values == pytest.approx([5e9, 5.1e9])


def test_hdf5_without_schema_words_is_not_claimed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["something"] = [1.0]
    with pytest.raises(LoaderChoiceError, match=r"x\.h5 is claimed by no loader"):
        pc.open_traces(tmp_path / "x.h5")


def test_a_file_that_only_begins_like_hdf5_is_not_claimed(tmp_path: Path) -> None:
    (tmp_path / "x.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + b"0" * 100)
    with pytest.raises(LoaderChoiceError, match="is claimed by no loader"):
        pc.open_traces(tmp_path / "x.h5")


@pytest.mark.parametrize("mark", ["powercal_traces", "other"])
def test_arrays_without_dimension_scales_are_refused(mark: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.attrs[mark] = 1
        file["received"] = [1.0]
    with pytest.raises(LoaderError, match="dataset 'received' has axes without dimension scales"):
        pc.open_traces(tmp_path / "x.h5")


def test_netcdf_that_xarray_cannot_read_is_refused(tmp_path: Path) -> None:
    plain = xr.Dataset({"received": ("time", [1.0])}, attrs={"plane": "instrument"})
    plain.to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    with h5py.File(tmp_path / "x.nc", "r+") as file:
        file["received"].attrs["scale_factor"] = "much"
    with pytest.raises(LoaderError, match=r"x\.nc cannot be read as netCDF-4 \(.*Error: "):
        pc.open_traces(tmp_path / "x.nc")


def test_links_out_of_the_file_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["frequency"] = h5py.ExternalLink("other.h5", "/frequency")
    with pytest.raises(LoaderError, match="'frequency' is a link to another file"):
        pc.open_traces(tmp_path / "x.h5")


def test_virtual_datasets_are_refused(tmp_path: Path) -> None:
    layout = h5py.VirtualLayout((2,), "f8")
    layout[:] = h5py.VirtualSource(str(tmp_path / "y.h5"), "d", (2,))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_virtual_dataset("frequency", layout)
    with pytest.raises(LoaderError, match="'frequency' keeps its values in other files"):
        pc.open_traces(tmp_path / "x.h5")


def test_arrays_larger_than_memory_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("frequency", (2**40,), "f8", chunks=(2**10,))
    with pytest.raises(LoaderError, match=r"'frequency' claims 8\.8e\+12 bytes, more than"):
        pc.open_traces(tmp_path / "x.h5")


def test_unequal_parts_of_a_complex_variable_are_refused(tmp_path: Path) -> None:
    parts = {"received_real": ("time", [1.0, 2.0]), "received_imag": ((), 1.0)}
    xr.Dataset(parts).to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    with pytest.raises(LoaderError, match="the two parts of a complex variable must share theirs"):
        pc.open_traces(tmp_path / "x.nc")


REFUSED = {
    "None": (traces().assign_attrs(bad=None), "attribute 'bad' of the dataset (NoneType) cannot"),
    "bool": (traces().assign_attrs(bad=True), "attribute 'bad' of the dataset (bool) cannot"),
    "reserved": (
        traces().assign_attrs(coordinates="x"),
        "attribute 'coordinates' of the dataset (str) cannot be stored; attributes are text",
    ),
    "name": (traces(**{"a b": ((), 1.0)}), "variable 'a b' cannot be stored under that name"),
    "objects": (
        traces(odd=("power", np.array([1, "a", None], object))),
        "variable 'odd' holds objects that are not text; remove it",
    ),
    "dates": (
        traces(odd=("power", np.array([1, 2, 3], "datetime64[ns]"))),
        "variable 'odd' has type datetime64[ns], which cannot be stored",
    ),
    "clash": (
        traces(reflection_real=((), 1.0)),
        "complex variable 'reflection' is stored as reflection_real and reflection_imag, but",
    ),
    "pair": (
        traces(x_real=((), 1.0), x_imag=((), 1.0)),
        "real variables x_real and x_imag would be read back as one complex variable",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_come_back_is_not_written(case: str, tmp_path: Path) -> None:
    dataset, message = REFUSED[case]
    with pytest.raises(TraceSchemaError) as caught:
        save_traces(tmp_path / "x.h5", dataset)
    assert message in str(caught.value)
