"""PycQED: the table becomes traces, and calibration points do not pass for delays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from loaders.column_files import Column, write_pycqed
from powercal.errors import LoaderError
from powercal.loaders.pycqed import powercal_loaders
from powercal.schema import check_traces, flags

LOADER = next(iter(powercal_loaders()))
# PycQED appends its calibration points at the last delay plus the first four: it stands still once.
SWEEP = np.linspace(0.0, 40e-6, 9)
DELAYS = np.append(SWEEP, SWEEP[-1] + SWEEP[:4])
STATE = np.append(np.exp(-SWEEP / 10e-6), [0.0, 0.0, 1.0, 1.0])
SWEPT: list[Column] = [("Time", "s", DELAYS)]
PAIR: list[Column] = [("raw w0", "V", 1e-3 + 5e-4 * STATE), ("raw w3", "V", 6e-4 - 8e-4 * STATE)]


def load(folder: Path, swept: list[Column], measured: list[Column], **options: Any) -> xr.Dataset:
    """Write and load a file, past the check of traces."""
    analysed = options.pop("analysed", False)
    path = write_pycqed(folder / "T1.hdf5", swept, measured, analysed=analysed)
    return check_traces(LOADER.load(path, **options))


def test_calibration_points_are_kept_apart_where_the_axis_stands_still(tmp_path: Path) -> None:
    traces = load(tmp_path, SWEPT, PAIR)
    assert traces["received"].sizes == {"time": 9}
    wanted = PAIR[0][2] + 1j * PAIR[1][2]
    # The file holds 32-bit numbers.
    np.testing.assert_allclose(traces["received"].values, wanted[:9], rtol=1e-6)
    np.testing.assert_allclose(traces["calibration"].values, wanted[9:], rtol=1e-6)
    assert any("the last 4 of 13 points are calibration points" in f for f in flags(traces))


def test_two_voltages_become_one_complex_signal_and_this_is_said(tmp_path: Path) -> None:
    said = " ".join(flags(load(tmp_path, SWEPT, PAIR)))
    assert "received is 'raw w0' as its real and 'raw w3' as its imaginary part" in said
    assert "mapping={'quadrature': 'raw w0'}" in said


def test_one_column_by_itself_has_its_own_calibration_points(tmp_path: Path) -> None:
    traces = load(tmp_path, SWEPT, PAIR, mapping={"quadrature": "raw w3"})
    np.testing.assert_allclose(traces["quadrature"].values, PAIR[1][2][:9], rtol=1e-6)
    np.testing.assert_allclose(traces["calibration"].values, PAIR[1][2][9:], rtol=1e-6)


def test_the_analysis_in_the_file_tells_of_calibration_points_too(tmp_path: Path) -> None:
    delays = np.linspace(4e-6, 52e-6, 13)  # does not stand still
    plain = load(tmp_path, [("Time", "s", delays)], PAIR)
    assert plain.sizes == {"time": 13}
    told = load(tmp_path, [("Time", "s", delays)], PAIR, analysed=True)
    assert told.sizes == {"time": 9, "calibration_point": 4}


@pytest.mark.parametrize(("count", "sizes"), [(2.0, {"time": 11, "calibration_point": 2})])
def test_the_number_can_be_declared(tmp_path: Path, count: float, sizes: dict[str, int]) -> None:
    swept: list[Column] = [("Time", "s", np.linspace(0.0, 1e-5, 13))]
    assert load(tmp_path, swept, PAIR, calibration_points=count).sizes == sizes
    assert load(tmp_path, swept, PAIR, calibration_points=0.0, analysed=True).sizes == {"time": 13}


@pytest.mark.parametrize("count", [1.5, -1.0, 13.0])
def test_an_impossible_number_is_refused(tmp_path: Path, count: float) -> None:
    with pytest.raises(LoaderError, match="whole number below the 13 points"):
        load(tmp_path, SWEPT, PAIR, calibration_points=count)


def test_a_sweep_of_two_parameters_is_a_grid(tmp_path: Path) -> None:
    mesh = [a.ravel() for a in np.meshgrid(np.linspace(5e9, 5.1e9, 4), [0.0, 1e-6, 2e-6])]
    swept: list[Column] = [("Frequency", "Hz", mesh[0]), ("Time", "s", mesh[1])]
    measured: list[Column] = [("I", "V", mesh[0] * mesh[1])]
    traces = load(tmp_path, swept, measured)
    assert traces["quadrature"].dims == ("frequency", "time")
    with pytest.raises(LoaderError, match="say calibration_points=0"):
        load(tmp_path, swept, measured, calibration_points=4.0)


def test_columns_without_names_are_refused(tmp_path: Path) -> None:
    path = write_pycqed(tmp_path / "T1.hdf5", SWEPT, PAIR)
    with h5py.File(path, "a") as file:
        file["Experimental Data"].attrs["value_names"] = np.array([b"raw w0"])
    with pytest.raises(LoaderError, match="1 names and 2 units"):
        LOADER.load(path)


def test_what_was_chosen_is_described(tmp_path: Path) -> None:
    path = write_pycqed(tmp_path / "T1.hdf5", SWEPT, PAIR)
    assert LOADER.describe is not None
    assert any("calibration points: the last 4 of 13" in line for line in LOADER.describe(path))
    assert any("none" in line for line in LOADER.describe(path, calibration_points=0.0))
