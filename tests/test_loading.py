"""Loading: the loader is chosen, never guessed; arrays, selections and inspection."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import powercal as pc
from powercal import registry
from powercal.contracts import Loader
from powercal.errors import (
    ConfigError,
    ContractError,
    LoaderChoiceError,
    LoaderError,
    PluginError,
    PowercalError,
    TraceSchemaError,
    UnitError,
    UnknownNameError,
)
from powercal.loading import inspect_source, parse_selection, select
from powercal.schema import flags

TABLE = "frequency_GHz,s11_re,s11_im\n5.0,0.5,0.1\n5.1,0.4,0.1\n5.2,0.5,0.1\n"
UNITS = {"frequency": "GHz", "incident_power": "dBm", "reflection": "1"}
Add = Callable[..., Loader]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Return a small file that one loader claims."""
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    return path


def memory(**changes: Any) -> xr.Dataset:
    """Return a small dataset from arrays."""
    parts: dict[str, Any] = {
        "frequency": [5.0, 5.1, 5.2],
        "incident_power": [-120.0, -110.0],
        "reflection": np.full((2, 3), 0.5 + 0.1j),
    } | changes
    units = {name: UNITS[name] for name in parts if name in UNITS}
    return pc.traces(units=units, plane="instrument", detection="coherent", **parts)


@pytest.fixture
def add(monkeypatch: pytest.MonkeyPatch) -> Add:
    """Return a function that offers a stranger's loader beside the built-in ones."""
    offered = dict(registry.loaders())
    true_origin = registry.origin

    def origin(kind: str, name: str) -> tuple[str, str]:
        return ("lab-a", "1.2") if name.startswith("strange") else true_origin(kind, name)

    def offer(name: str = "strange", **parts: Any) -> Loader:
        defaults = {"claims": lambda path: True, "load": lambda path: memory()}
        loader = Loader(name=name, summary="s", **{**defaults, **parts})
        offered[name] = loader
        return loader

    monkeypatch.setattr(registry, "loaders", lambda: offered)
    monkeypatch.setattr(registry, "get_loader", lambda name: offered[name])
    monkeypatch.setattr(registry, "origin", origin)
    return offer


# --- files ---------------------------------------------------------------------------------------


def test_a_file_carries_its_name_checksum_and_loader(table: Path) -> None:
    attrs = pc.open_traces(table).attrs
    assert attrs["source"] == "table.csv"
    assert attrs["source_sha256"] == hashlib.sha256(TABLE.encode()).hexdigest()
    assert attrs["loader"] == "csv"


def test_a_path_as_text_is_a_path(table: Path) -> None:
    assert pc.open_traces(str(table)).identical(pc.open_traces(table))


def test_a_dataset_is_accepted_wherever_a_file_is() -> None:
    given = memory()
    assert pc.open_traces(given).identical(given)


def test_a_dataset_is_checked() -> None:
    with pytest.raises(TraceSchemaError, match="plane is None"):
        pc.open_traces(memory().drop_attrs(deep=False))


def test_merging_is_passed_on(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(TABLE + "5.2,0.7,0.1\n")
    assert pc.open_traces(tmp_path / "x.csv", merge=True).sizes["frequency"] == 3


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("https://lab.example/x.csv", "'https://lab.example/x.csv' is an address on a network"),
        ("s3://bucket/x.h5", "download it and pass the file"),
        ("nowhere.h5", "'nowhere.h5' does not exist or is no file; check the spelling"),
        (".", "'.' is a folder; pass one of its files"),
        (7, "int is neither a path nor an xarray.Dataset; pass one of them, or build traces"),
    ],
)
def test_what_is_no_file_is_refused(source: Any, message: str) -> None:
    with pytest.raises(LoaderError) as caught:
        pc.open_traces(source)
    assert message in str(caught.value)


@pytest.mark.parametrize("options", [{"loader": "csv"}, {"mapping": {}}])
def test_a_dataset_takes_no_loader_and_no_options(options: dict[str, Any]) -> None:
    with pytest.raises(LoaderError, match="a dataset in memory needs no loader and no options"):
        pc.open_traces(memory(), **options)


def test_a_file_that_nobody_claims_lists_the_loaders(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"\0\1\2")
    offered = "csv, hdf5, labber, pycqed, quantify, touchstone"
    message = rf"x\.bin is claimed by no loader \(on offer: {offered}.*\); name"
    with pytest.raises(LoaderChoiceError, match=message):
        pc.open_traces(tmp_path / "x.bin")


def test_a_file_that_several_claim_lists_them(table: Path, add: Add) -> None:
    add()
    message = (
        r"table\.csv is claimed by several loaders \(csv, strange\); say which, for example lo"
    )
    with pytest.raises(LoaderChoiceError, match=message):
        pc.open_traces(table)


def test_naming_the_loader_settles_it(table: Path, add: Add) -> None:
    add()
    assert pc.open_traces(table, loader="strange").attrs["loader"] == "strange"


def test_an_unknown_loader_is_named(table: Path) -> None:
    with pytest.raises(UnknownNameError, match="there is no loader 'cvs'; did you mean 'csv'"):
        pc.open_traces(table, loader="cvs")


def test_an_unknown_option_is_named(table: Path) -> None:
    with pytest.raises(UnknownNameError, match="there is no option of loader 'csv' 'mapping'"):
        pc.open_traces(table, mapping={})


def test_a_stranger_whose_claim_raises_costs_a_warning(table: Path, add: Add) -> None:
    add(claims=lambda path: 1 / 0)
    message = (
        "loader 'strange' raised ZeroDivisionError: division by zero when asked whether it rea"
    )
    with pytest.warns(registry.PluginWarning, match=message):
        assert pc.open_traces(table).attrs["loader"] == "csv"


def test_a_stranger_that_fails_is_named(table: Path, add: Add) -> None:
    add(load=lambda path: {}["x"])
    message = (
        r"loader 'strange' of lab-a 1\.2 failed on table\.csv with KeyError: 'x'; tell its auth"
    )
    with pytest.raises(PluginError, match=message):
        pc.open_traces(table, loader="strange")


def test_what_a_stranger_refuses_in_words_is_passed_on(table: Path, add: Add) -> None:
    def load(path: Path) -> Any:
        raise LoaderError("the tape is torn")

    add(load=load)
    with pytest.raises(LoaderError, match="the tape is torn"):
        pc.open_traces(table, loader="strange")


@pytest.mark.parametrize("part", ["claims", "load"])
def test_a_built_in_that_fails_is_our_bug_and_escapes(part: str, table: Path, add: Add) -> None:
    add("hdf5", **{part: lambda path: 1 / 0})
    with pytest.raises(ZeroDivisionError):
        pc.open_traces(table, loader="hdf5" if part == "load" else None)


def test_a_loader_that_gives_no_dataset_is_named(table: Path, add: Add) -> None:
    add(load=lambda path: [1])
    with pytest.raises(ContractError, match=r"'strange' gave list instead of an xarray\.Data"):
        pc.open_traces(table, loader="strange")


# --- arrays --------------------------------------------------------------------------------------


def test_a_matrix_runs_over_power_and_frequency() -> None:
    found = memory()
    assert found["reflection"].dims == ("power", "frequency")
    assert found["incident_power"].dims == ("power",)
    assert found["frequency"].values == pytest.approx([5.0e9, 5.1e9, 5.2e9])
    assert (found.attrs["plane"], found.attrs["detection"]) == ("instrument", "coherent")


def test_one_power_leaves_frequency() -> None:
    found = memory(incident_power=-120.0, reflection=[0.5, 0.4, 0.5])
    assert found["reflection"].dims == ("frequency",)
    assert found["incident_power"].dims == ()


def test_one_frequency_leaves_power() -> None:
    found = memory(frequency=5.0, reflection=[0.5, 0.4])
    assert found["reflection"].dims == ("power",)


def test_axes_as_long_as_the_observable_are_points() -> None:
    found = memory(incident_power=[-120.0, -115.0, -110.0], reflection=[0.5, 0.4, 0.5])
    assert found["reflection"].dims == ("trace",)
    assert found["frequency"].dims == ("trace",)


def test_a_square_matrix_is_a_grid() -> None:
    found = memory(incident_power=[-120.0, -115.0, -110.0], reflection=np.full((3, 3), 0.5))
    assert found["reflection"].dims == ("power", "frequency")


def test_an_observable_may_run_over_one_of_two_axes() -> None:
    found = pc.traces(
        frequency=[5.0, 5.1, 5.2],
        incident_power=[-120.0, -110.0],
        absorbed_power=np.full((2, 3), 1.0),
        excited_population=[0.1, 0.2],
        units={
            "frequency": "GHz",
            "incident_power": "dBm",
            "absorbed_power": "aW",
            "excited_population": "1",
        },
        plane="device",
    )
    assert found["excited_population"].dims == ("power",)


def test_time_is_an_axis_too() -> None:
    found = pc.traces(
        time=[0.0, 1.0],
        excited_population=[0.9, 0.5],
        excited_population_std=[0.1, 0.1],
        units={"time": "us", "excited_population": "1"},
        plane="device",
    )
    assert found["excited_population_std"].dims == ("time",)
    assert found["excited_population_std"].attrs["units"] == "1"


def test_what_is_known_of_the_device_goes_into_the_attributes() -> None:
    found = pc.traces(
        time=[0.0, 1.0],
        excited_population=[0.9, 0.5],
        units={"time": "us", "excited_population": "1"},
        plane="device",
        transition_frequency=5e9,
        bath_temperature=0.02,
    )
    assert (found.attrs["transition_frequency"], found.attrs["bath_temperature"]) == (5e9, 0.02)
    assert "detection" not in found.attrs


ARRAYS: dict[str, tuple[dict[str, Any], type[PowercalError], str]] = {
    "transposed": (
        {"reflection": np.full((3, 2), 0.5)},
        TraceSchemaError,
        "reflection has shape (3, 2), which does not fit the axes (power 2, frequency 3); order "
        "axes as power, frequency, time, or pass an xarray.Dataset with named dimensions",
    ),
    "matrix axis": (
        {"frequency": [[5.0, 5.1, 5.2]]},
        TraceSchemaError,
        "frequency has shape (1, 3), but an axis has one dimension",
    ),
    "no axis": (
        {"frequency": 5.0, "incident_power": -120.0, "reflection": [0.5, 0.4]},
        TraceSchemaError,
        "reflection has shape (2,), which does not fit the axes (no axis)",
    ),
    "several": (
        {
            "incident_power": [-120.0, -115.0, -110.0],
            "reflection": np.full((3, 3), 0.5),
            "reflection_std": [0.1, 0.1, 0.1],
        },
        TraceSchemaError,
        "reflection_std of shape (3,) could run over power or frequency (power 3, frequency 3)",
    ),
    "strange": (
        {"reflektion": [1.0]},
        UnknownNameError,
        "there is no schema word 'reflektion'; did you mean 'reflection'?",
    ),
    "no unit": (
        {"received": np.full((2, 3), 0.5)},
        TraceSchemaError,
        "'received' has no unit; add it, for example units={'received': 'V'}",
    ),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_arrays_that_fit_nowhere_are_refused(case: str) -> None:
    changes, kind, message = ARRAYS[case]
    with pytest.raises(kind) as caught:
        memory(**changes)
    assert message in str(caught.value)


def test_a_unit_without_array_is_refused() -> None:
    with pytest.raises(TraceSchemaError, match="units names 'time', but there is no such array"):
        pc.traces(units={"time": "s"}, plane="device")


# --- selections ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("frequency=6.5GHz..6.75 GHz", ("frequency", 6.5e9, 6.75e9)),
        ("incident_power = -30dBm..0dBm", ("incident_power", 1e-6, 1e-3)),
        ("time=..50us", ("time", -np.inf, 5e-5)),
        ("time=10us..", ("time", 1e-5, np.inf)),
        ("coil=-1e-3A..2e-3A", ("coil", -1e-3, 2e-3)),
        ("repetition=0..42", ("repetition", 0.0, 42.0)),
    ],
)
def test_a_selection_is_read_with_units(text: str, expected: tuple[str, float, float]) -> None:
    name, *ends = parse_selection(text)
    assert name == expected[0]
    assert ends == pytest.approx(expected[1:], rel=1e-12)


@pytest.mark.parametrize("text", ["frequency", "frequency=5GHz", "=1..2", "frequency=.."])
def test_a_selection_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(
        ConfigError, match=r"is not name=low\.\.high; write for example frequency=6"
    ):
        parse_selection(text)


def test_a_swapped_selection_is_refused() -> None:
    with pytest.raises(ConfigError, match="begins above its end; swap the two values"):
        parse_selection("frequency=6GHz..5GHz")


def test_a_selection_without_unit_is_refused() -> None:
    with pytest.raises(UnitError, match="'5' has no unit; append one of Hz"):
        parse_selection("frequency=5..6GHz")


def test_selecting_keeps_the_range_and_counts_the_rest() -> None:
    found = select(memory(), {"frequency": (5.05e9, 5.3e9)})
    assert found["frequency"].values == pytest.approx([5.1e9, 5.2e9])
    assert flags(found) == ("select frequency 5.05e+09 to 5.3e+09: 1 of 3 points dropped",)
    assert json.loads(found.attrs["selection"]) == [
        {
            "verb": "select",
            "name": "frequency",
            "range": [5.05e9, 5.3e9],
            "dropped": 1,
            "of": 3,
        }
    ]


def test_dropping_leaves_the_range_out() -> None:
    found = select(memory(), drop={"frequency": (5.05e9, 5.15e9)})
    assert found["frequency"].values == pytest.approx([5.0e9, 5.2e9])


def test_powers_are_selected_by_their_value() -> None:
    found = select(memory(), {"incident_power": (5e-15, np.inf)})
    assert found["reflection"].shape == (1, 3)
    assert json.loads(found.attrs["selection"])[0]["range"] == [5e-15, None]


def test_selections_add_up() -> None:
    found = select(memory(), {"frequency": (5e9, 6e9)}, {"incident_power": (0.0, 2e-15)})
    assert [step["dropped"] for step in json.loads(found.attrs["selection"])] == [0, 1]
    assert len(flags(found)) == 1


def test_selecting_leaves_the_input_untouched() -> None:
    given = memory()
    before = given.copy(deep=True)
    select(given, {"frequency": (5.05e9, 5.3e9)})
    assert given.identical(before)


def test_an_empty_selection_is_refused() -> None:
    message = (
        "select frequency 1e\\+09 to 2e\\+09 leaves none of 3 points, which run from 5e\\+09 to"
    )
    with pytest.raises(TraceSchemaError, match=message):
        select(memory(), {"frequency": (1e9, 2e9)})


def test_selecting_along_what_is_no_coordinate_is_refused() -> None:
    message = "there is no one-dimensional coordinate 'frequncy'; did you mean 'frequency'"
    with pytest.raises(TraceSchemaError, match=message):
        select(memory(), {"frequncy": (1e9, 2e9)})


# --- looking -------------------------------------------------------------------------------------


def test_inspection_shows_axes_ranges_and_gaps(tmp_path: Path) -> None:
    rows = "".join(f"-100,{f},0.1\n-90,{f},nan\n" for f in (5.0, 5.1, 5.2, 5.6, 5.7))
    path = tmp_path / "x.csv"
    path.write_text(
        "# detection: absorbed\nincident_power_dBm,frequency_GHz,excited_population\n" + rows
    )
    text = inspect_source(path)
    assert text.splitlines()[0] == f"x.csv: loader csv (powercal {pc.__version__})"
    assert "detection: absorbed" in text
    assert "frequency: 5 points, median step 1e+08 Hz, 1 gaps" in text
    assert "incident_power (power): from 1e-13 to 1e-12 W (-100 to -90 dBm)" in text
    assert "excited_population (power × frequency): from 0.1 to 0.1 1, 5 of 10 missing" in text
    assert text.endswith("flags: none")


def test_inspection_shows_complex_data_and_flags(table: Path) -> None:
    table.write_bytes("# Gerät\n".encode("latin-1") + TABLE.encode())
    text = inspect_source(table)
    assert "reflection (frequency): abs from 0.41231056 to 0.50990195 1" in text
    assert text.endswith("flags\n  the file is not UTF-8; it was read as Latin-1")


def test_inspection_shows_why_a_file_is_refused_and_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(TABLE + "5.2,0.7,0.1\n")
    text = inspect_source(tmp_path / "x.csv")
    assert "refused as it stands: axis 'frequency' holds points measured twice" in text
    assert "frequency: 3 points, evenly 1e+08 Hz, 0 gaps" in text


def test_inspection_repeats_what_the_loader_says(table: Path, add: Add) -> None:
    add(describe=lambda path: ("power: the knob",))
    text = inspect_source(table, loader="strange")
    assert text.startswith("table.csv: loader strange (lab-a 1.2)\n  power: the knob\n")


def test_inspection_marks_descending_axes_and_empty_variables(add: Add, table: Path) -> None:
    def load(path: Path) -> Any:
        found = memory().isel(frequency=slice(None, None, -1))
        return found.assign(other=("power", [np.nan, np.nan], {"units": "1"}))

    add(load=load)
    text = inspect_source(table, loader="strange")
    assert "frequency: 3 points, evenly 1e+08 Hz, 0 gaps, descending" in text
    assert "other (power): no finite number, 2 of 2 missing" in text
