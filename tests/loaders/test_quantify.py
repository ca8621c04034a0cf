"""Quantify: columns become words, sweeps become grids, magnitude and phase become one signal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from loaders.column_files import IDENTIFIER, Column, write_quantify
from powercal.errors import LoaderError, UnknownNameError
from powercal.loaders.quantify import powercal_loaders
from powercal.schema import check_traces, flags

LOADER = next(iter(powercal_loaders()))
DELAYS = np.linspace(0.0, 40e-6, 9)
DECAY = np.exp(-DELAYS / 10e-6)
SWEPT: list[Column] = [("delay", "s", DELAYS)]
POLAR: list[Column] = [
    ("magn", "V", 1e-3 * (1 + DECAY)),
    ("phase", "deg", 30 + 20 * DECAY),
]


def load(folder: Path, swept: list[Column], measured: list[Column], **options: Any) -> xr.Dataset:
    """Write and load a file, past the check of traces."""
    attributes = options.pop("attributes", {})
    path = write_quantify(folder / "dataset.hdf5", swept, measured, **attributes)
    return check_traces(LOADER.load(path, **options))


def refused(folder: Path, swept: list[Column], measured: list[Column], **options: Any) -> str:
    """Write a file and return why it is refused."""
    with pytest.raises(LoaderError) as caught:
        load(folder, swept, measured, **options)
    return str(caught.value)


# ---- signals ----


def test_magnitude_and_phase_in_degrees_become_one_complex_signal(tmp_path: Path) -> None:
    traces = load(tmp_path, SWEPT, POLAR)
    wanted = POLAR[0][2] * np.exp(1j * np.deg2rad(POLAR[1][2]))
    np.testing.assert_allclose(traces["received"].values, wanted, rtol=1e-14)
    assert "the magnitude 'magn' with the phase 'phase' (deg)" in flags(traces)[0]


def test_the_magnitude_by_itself_is_had_by_mapping(tmp_path: Path) -> None:
    traces = load(tmp_path, SWEPT, POLAR, mapping={"quadrature": "magn"})
    np.testing.assert_array_equal(traces["quadrature"].values, POLAR[0][2])
    assert "received" not in traces
    assert "detection" not in traces.attrs


def test_in_phase_and_quadrature_are_had_by_mapping(tmp_path: Path) -> None:
    measured: list[Column] = [("I", "mV", DECAY), ("Q", "mV", 2 * DECAY), ("aux", "V", DECAY)]
    traces = load(tmp_path, SWEPT, measured, mapping={"received_real": "I", "received_imag": "Q"})
    np.testing.assert_allclose(traces["received"].values, 1e-3 * (1 + 2j) * DECAY)
    np.testing.assert_array_equal(traces["aux"].values, DECAY)


def test_half_a_complex_signal_is_refused(tmp_path: Path) -> None:
    sentence = refused(tmp_path, SWEPT, POLAR, mapping={"magnitude": "magn"})
    assert "phase is not; a complex signal needs both" in sentence


def test_several_voltages_stand_side_by_side(tmp_path: Path) -> None:
    measured: list[Column] = [(name, "V", k * DECAY) for k, name in enumerate("abc", 1)]
    traces = load(tmp_path, SWEPT, measured)
    assert traces["quadrature"].dims == ("channel", "time")
    assert list(traces["channel"].values) == ["a", "b", "c"]


def test_a_number_becomes_a_population_only_when_told(tmp_path: Path) -> None:
    measured: list[Column] = [("P1", "", DECAY)]
    traces = load(tmp_path, SWEPT, measured)
    assert "excited_population" not in traces
    assert "say which, for example mapping={'quadrature': 'P1'}" in flags(traces)[0]
    traces = load(tmp_path, SWEPT, measured, mapping={"excited_population": "P1"})
    np.testing.assert_array_equal(traces["excited_population"].values, DECAY)


def test_an_unknown_unit_is_kept_as_numbers_and_said(tmp_path: Path) -> None:
    measured = [*POLAR, ("flow", "sccm", DECAY)]
    traces = load(tmp_path, SWEPT, measured)
    assert traces["flow"].attrs["units"] == "1"
    assert "unit 'sccm' of 'flow' is not known; kept as numbers" in flags(traces)


def test_a_measured_column_may_have_the_name_of_an_axis(tmp_path: Path) -> None:
    traces = load(tmp_path, [("Coil", "A", DELAYS)], [*POLAR, ("coil", "A", DECAY)])
    np.testing.assert_array_equal(traces["coil_2"].values, DECAY)


# ---- grids ----


def grid() -> tuple[list[Column], list[Column]]:
    """Frequency fast, amplitude slow."""
    frequency, amplitude = np.linspace(5e9, 5.1e9, 5), np.array([0.1, 0.2, 0.3])
    mesh = [a.ravel() for a in np.meshgrid(frequency, amplitude)]
    swept: list[Column] = [("freq", "Hz", mesh[0]), ("amplitude", "", mesh[1])]
    return swept, [("magn", "V", mesh[0] * mesh[1]), ("phase", "deg", 0 * mesh[0])]


def test_flat_columns_become_a_grid(tmp_path: Path) -> None:
    traces = load(tmp_path, *grid())
    assert traces["received"].dims == ("amplitude", "frequency")
    wanted = np.outer(traces["amplitude"], traces["frequency"])
    np.testing.assert_allclose(np.abs(traces["received"].values), wanted, rtol=1e-14)


def test_the_order_of_the_rows_does_not_matter(tmp_path: Path) -> None:
    swept, measured = grid()
    order = np.random.default_rng(0).permutation(15)
    shuffled = [[(n, u, v[order]) for n, u, v in part] for part in (swept, measured)]
    ordered = load(tmp_path, swept, measured)
    xr.testing.assert_identical(load(tmp_path, *shuffled), ordered)


def test_an_interrupted_grid_has_gaps(tmp_path: Path) -> None:
    part = [[(n, u, v[:12]) for n, u, v in columns] for columns in grid()]
    traces = load(tmp_path, *part)
    assert traces["received"].shape == (3, 5)
    assert int(np.isnan(traces["received"].values).sum()) == 3
    assert "the measurement was not completed: 12 of 15 points are recorded" in flags(traces)


def test_points_that_form_no_grid_stand_in_a_row(tmp_path: Path) -> None:
    swept: list[Column] = [("freq", "Hz", 5e9 + DELAYS), ("amplitude", "", DELAYS)]
    swept[0] = ("freq", "Hz", np.linspace(5e9, 5.1e9, 9))
    traces = load(tmp_path, swept, POLAR)
    assert traces["received"].dims == traces["frequency"].dims == ("trace",)
    assert "frequency and amplitude form no grid; the points stand in a row" in flags(traces)


def test_points_that_hold_no_number_are_counted(tmp_path: Path) -> None:
    values = np.where(np.arange(9) < 6, POLAR[0][2], np.nan)
    traces = load(tmp_path, SWEPT, [("magn", "V", values), POLAR[1]])
    assert any("3 of 9 points hold no number" in f for f in flags(traces))


# ---- axes ----


def test_a_power_axis_is_incident_power(tmp_path: Path) -> None:
    traces = load(tmp_path, [("level", "dBm", np.linspace(-40.0, -32.0, 9))], POLAR)
    assert traces["incident_power"].dims == ("power",)
    assert float(traces["incident_power"][0]) == pytest.approx(1e-7, rel=1e-12)


def test_detunings_are_offsets_from_a_carrier(tmp_path: Path) -> None:
    traces = load(tmp_path, [("detuning", "MHz", np.linspace(-4.0, 4.0, 9))], POLAR)
    assert float(traces["frequency_offset"][0]) == -4e6


def test_two_times_must_be_told_apart(tmp_path: Path) -> None:
    swept: list[Column] = [("delay", "s", np.repeat(DELAYS[:3], 3))]
    swept.append(("width", "s", np.tile(DELAYS[:3], 3)))
    assert "2 swept columns that could be time: 'delay', 'width'" in refused(tmp_path, swept, POLAR)
    traces = load(tmp_path, swept, POLAR, mapping={"time": "delay"})
    assert traces["received"].dims == ("width", "time")


@pytest.mark.parametrize("mapping", [{"tyme": "delay"}, {"time": "dealy"}])
def test_a_misspelt_mapping_is_answered_with_what_is_there(
    tmp_path: Path, mapping: dict[str, str]
) -> None:
    with pytest.raises((LoaderError, UnknownNameError), match="did you mean"):
        load(tmp_path, SWEPT, POLAR, mapping=mapping)


# ---- refusals ----


def test_another_version_is_refused_by_name(tmp_path: Path) -> None:
    path = write_quantify(tmp_path / "new.hdf5", SWEPT, POLAR, quantify_dataset_version="2.0.0")
    with h5py.File(path, "a") as file:
        for name in ("x0", "y0", "y1"):
            del file[name]
    assert LOADER.claims(path)
    with pytest.raises(LoaderError, match=r"another version \(2\.0\.0\)"):
        LOADER.load(path)


def test_columns_of_different_length_are_refused(tmp_path: Path) -> None:
    path = write_quantify(tmp_path / "odd.hdf5", SWEPT, POLAR)
    with h5py.File(path, "a") as file:
        del file["y1"]
        file["y1"] = np.arange(3.0)
    with pytest.raises(LoaderError, match="columns of 3 and 9 points"):
        LOADER.load(path)


def test_what_was_chosen_is_described(tmp_path: Path) -> None:
    path = write_quantify(tmp_path / "dataset.hdf5", SWEPT, POLAR)
    assert LOADER.describe is not None
    lines = LOADER.describe(path)
    assert lines[0] == f"quantify dataset {IDENTIFIER}"
    assert "time: 'delay' (s)" in lines
