"""Schema: what traces must hold, and each refusal in its words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from powercal.errors import TraceSchemaError, UnitError
from powercal.schema import WORDS, check_traces, flags, to_schema, with_flag, word_of


def sweep(**changes: Any) -> xr.Dataset:
    """Return a small power sweep in lab units, with parts replaced."""
    parts: dict[str, Any] = {
        "reflection": (("power", "frequency"), np.full((2, 3), 0.5 + 0.1j), {"units": "1"}),
        "incident_power": ("power", [-120.0, -110.0], {"units": "dBm"}),
        "frequency": ("frequency", [5.0, 5.1, 5.2], {"units": "GHz"}),
    } | changes
    coordinates = {name: parts.pop(name) for name in ("incident_power", "frequency")}
    return xr.Dataset(parts, coordinates, {"plane": "instrument", "detection": "coherent"})


def test_lab_units_become_si() -> None:
    checked = check_traces(sweep())
    assert checked["frequency"].values == pytest.approx([5.0e9, 5.1e9, 5.2e9], rel=1e-14)
    assert checked["incident_power"].values == pytest.approx([1e-15, 1e-14], rel=1e-14)
    assert checked["incident_power"].attrs["units"] == "W"


def test_checking_leaves_the_input_untouched() -> None:
    given = sweep()
    before = given.copy(deep=True)
    check_traces(given)
    xr.testing.assert_identical(given, before)


def test_checking_twice_changes_nothing() -> None:
    once = check_traces(sweep())
    xr.testing.assert_identical(check_traces(once), once)


def test_incident_power_stays_a_coordinate() -> None:
    assert "incident_power" in check_traces(sweep()).coords


def test_an_uncertainty_has_the_word_of_its_base() -> None:
    assert word_of("reflection_std") is WORDS["reflection"]


def test_text_coordinates_pass_without_unit() -> None:
    named = sweep().expand_dims(channel=["a"])
    assert check_traces(named)["channel"].values.tolist() == ["a"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"frequency": ("frequency", [5.0, 5.1, 5.2])},
            "variable 'frequency' has no unit; give it one, for example units={'frequency': 'Hz'}",
        ),
        (
            {"frequency": ("frequency", [5.0, 5.1, 5.2], {"units": "Hz"})},
            "outside 1 kHz to 1.1 THz; the likely mistake is the unit",
        ),
        (
            {"incident_power": ("power", [-120.0, -110.0], {"units": "W"})},
            "incident_power holds 2 values that are not positive; if they are dBm",
        ),
        (
            {"incident_power": ("power", [20.0, 30.0], {"units": "W"})},
            "incident_power runs from 20 to 30 W, outside −200 dBm to",
        ),
        (
            {"frequency": ("frequency", [5.0, 5.0, 5.2], {"units": "GHz"})},
            "axis 'frequency' holds points measured twice; pass merge=True",
        ),
        (
            {"frequency": ("frequency", [5.0, 5.2, 5.1], {"units": "GHz"})},
            "axis 'frequency' is not sorted; pass merge=True",
        ),
        (
            {"frequency": ("frequency", [5.0, np.nan, 5.1], {"units": "GHz"})},
            "axis 'frequency' holds NaN; drop those points first",
        ),
        (
            {"absorbed_power": ("power", [np.nan, np.nan], {"units": "W"})},
            "'absorbed_power' holds no finite number; nothing can be fitted to it",
        ),
        (
            {"absorbed_power": ("power", [1j, 1j], {"units": "W"})},
            "'absorbed_power' is complex, but a real quantity is wanted",
        ),
        (
            {"absorbed_power_std": ("power", [0.0, 1e-18], {"units": "W"})},
            "'absorbed_power_std' holds 1 values that are not positive",
        ),
        (
            {"absorbed_power_std": ("power", [1.0, 1.0], {"units": "dBm"})},
            "'absorbed_power_std' is an uncertainty in dBm, which depends on the level",
        ),
    ],
)
def test_impossible_traces_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TraceSchemaError) as caught:
        check_traces(sweep(**changes))
    assert message in str(caught.value)


def test_a_unit_of_the_wrong_kind_is_refused() -> None:
    with pytest.raises(UnitError, match="'dBm' measures power, but frequency is wanted"):
        check_traces(sweep(frequency=("frequency", [5.0, 5.1, 5.2], {"units": "dBm"})))


@pytest.mark.parametrize(
    ("attrs", "message"),
    [
        ({}, "plane is None; it must be one of instrument, device"),
        ({"plane": "chip"}, "plane is 'chip'; it must be one of instrument, device"),
        ({"plane": "device", "detection": "x"}, "detection is 'x'; it must be one of absorbed"),
    ],
)
def test_plane_and_detection_are_declared(attrs: dict[str, str], message: str) -> None:
    traces = sweep()
    traces.attrs = attrs
    with pytest.raises(TraceSchemaError, match=message):
        check_traces(traces)


def test_an_absent_detection_stays_absent() -> None:
    traces = sweep()
    del traces.attrs["detection"]
    assert "detection" not in check_traces(traces).attrs


def test_a_descending_axis_is_sorted_already() -> None:
    traces = sweep(frequency=("frequency", [5.2, 5.1, 5.0], {"units": "GHz"}))
    assert check_traces(traces)["frequency"].values[0] == pytest.approx(5.2e9)


def test_merging_averages_repeated_points_and_says_so() -> None:
    traces = sweep(
        frequency=("frequency", [5.1, 5.0, 5.1], {"units": "GHz"}),
        reflection=(("power", "frequency"), [[1.0, 2.0, 3.0]] * 2, {"units": "1"}),
    )
    merged = check_traces(traces, merge=True)
    assert merged["reflection"].values[0].tolist() == [2.0, 2.0]
    assert flags(merged) == ("axis 'frequency' was sorted; 1 repeated points were averaged",)


def test_merging_two_equal_points_divides_the_error_by_root_two() -> None:
    traces = sweep(
        frequency=("frequency", [5.0, 5.0, 5.1], {"units": "GHz"}),
        absorbed_power_std=("frequency", [1e-18] * 3, {"units": "W"}),
    )
    merged = check_traces(traces, merge=True)
    assert merged["absorbed_power_std"].values == pytest.approx([1e-18 / np.sqrt(2), 1e-18])


def test_merging_with_a_missing_point_keeps_the_error_of_the_other() -> None:
    traces = sweep(
        frequency=("frequency", [5.0, 5.0, 5.1], {"units": "GHz"}),
        absorbed_power_std=("frequency", [1e-18, np.nan, 1e-18], {"units": "W"}),
    )
    merged = check_traces(traces, merge=True)
    assert merged["absorbed_power_std"].values == pytest.approx([1e-18, 1e-18])


def test_merging_keeps_units_and_dimensions() -> None:
    merged = check_traces(
        sweep(frequency=("frequency", [5.0, 5.0, 5.1], {"units": "GHz"})), merge=True
    )
    assert merged["reflection"].dims == ("power", "frequency")
    assert merged["reflection"].attrs["units"] == "1"


def test_negative_measured_powers_are_kept_and_counted() -> None:
    traces = sweep(absorbed_power=("power", [-1e-18, 1e-18], {"units": "W"}))
    checked = check_traces(traces)
    assert flags(checked) == ("1 values of absorbed_power are negative (noise); kept",)


def test_a_flag_is_noted_once() -> None:
    assert flags(with_flag(with_flag(sweep(), "seen"), "seen")) == ("seen",)


def test_conversion_keeps_other_attributes() -> None:
    traces = sweep()
    traces["frequency"].attrs["long_name"] = "drive"
    assert to_schema(traces)["frequency"].attrs == {"units": "Hz", "long_name": "drive"}
