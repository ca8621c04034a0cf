"""Named errors on their way: what is refused, what is kept, how they are spelled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import powercal as pc
from powercal.errors import TraceSchemaError, UnitError, UnknownNameError
from powercal.loaders.hdf5 import save_traces
from powercal.loading.selection import select
from powercal.sources import ATTRIBUTE, sources_of
from powercal.spelling import error_source

METER = pc.ErrorSource("power meter", "incident_power", relative=0.02)
DRIFT = pc.ErrorSource("drift", "reflection", relative=0.01, correlated="power")


def reflection(**more: Any) -> Any:
    """Three powers, nine frequencies, a bare circle."""
    frequency = np.linspace(5.0e9, 5.01e9, 9)
    circle = 1 - 2 / (1 + 1j * (frequency - 5.005e9) / 1e6)
    return pc.traces(
        frequency=frequency,
        incident_power=[1e-17, 1e-16, 1e-15],
        reflection=np.tile(circle, (3, 1)),
        units={"frequency": "Hz", "incident_power": "W", "reflection": "1"},
        plane="instrument",
        **more,
    )


# ---- what a source is ----


@pytest.mark.parametrize(
    "sizes", [{}, {"relative": 0.02, "absolute": 1.0}, {"relative": 0.0}, {"absolute": np.inf}]
)
def test_a_source_has_exactly_one_positive_size(sizes: dict[str, float]) -> None:
    with pytest.raises(TraceSchemaError, match="give one of the two, a standard uncertainty > 0"):
        pc.ErrorSource("power meter", "incident_power", **sizes)


@pytest.mark.parametrize("name", ["", "noise", "gain", "population calibration", "choice of x"])
def test_the_names_of_the_budget_itself_are_taken(name: str) -> None:
    with pytest.raises(TraceSchemaError, match="call it after what causes it"):
        pc.ErrorSource(name, "incident_power", relative=0.02)


def test_a_source_acts_on_a_word_of_the_schema() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'incident_power'"):
        pc.ErrorSource("power meter", "incident_powr", relative=0.02)


# ---- attaching ----


def test_a_source_on_what_the_traces_lack_is_refused() -> None:
    wrong = pc.ErrorSource("meter", "absorbed_power", relative=0.02)
    with pytest.raises(TraceSchemaError, match="absorbed_power, which these traces do not hold"):
        pc.with_errors(reflection(), wrong)


def test_a_dimension_that_the_traces_lack_is_refused() -> None:
    wrong = pc.ErrorSource("drift", "reflection", relative=0.01, correlated="powr")
    with pytest.raises(TraceSchemaError, match="did you mean 'power'"):
        pc.with_errors(reflection(), wrong)


def test_a_name_given_twice_is_refused_also_one_by_one() -> None:
    with pytest.raises(TraceSchemaError, match="'power meter' is given twice"):
        pc.with_errors(pc.with_errors(reflection(), METER), METER)


def test_traces_without_sources_have_none() -> None:
    assert sources_of(reflection()) == ()


def test_a_damaged_attribute_is_refused() -> None:
    broken = reflection().assign_attrs({ATTRIBUTE: '[{"nme": 1}]'})
    with pytest.raises(TraceSchemaError, match="error_sources is damaged"):
        sources_of(broken)


# ---- keeping ----


def test_attaching_leaves_the_data_alone_and_selections_keep_the_sources() -> None:
    traces = reflection()
    told = pc.with_errors(pc.with_errors(traces, METER), DRIFT)
    xr.testing.assert_equal(told, traces)
    cut = select(told, {"frequency": (5.002e9, 5.008e9)})
    assert sources_of(cut.isel(power=1)) == (METER, DRIFT)
    assert sources_of(pc.to_device_plane(cut)) == (METER, DRIFT)


def test_a_saved_file_keeps_the_sources(tmp_path: Path) -> None:
    save_traces(tmp_path / "sweep.h5", pc.with_errors(reflection(), METER, DRIFT))
    assert sources_of(pc.open_traces(tmp_path / "sweep.h5")) == (METER, DRIFT)


def test_a_mean_keeps_what_all_repeats_share_and_refuses_what_they_do_not() -> None:
    repeats = xr.concat([reflection()] * 3, "repeat", data_vars=["reflection"])
    kept = pc.average(pc.with_errors(repeats, METER, DRIFT), "repeat")
    assert sources_of(kept) == (METER, DRIFT)
    each = pc.ErrorSource("jitter", "reflection", relative=0.01, correlated=False)
    with pytest.raises(TraceSchemaError, match="'jitter' differs along 'repeat'"):
        pc.average(pc.with_errors(repeats, each), "repeat")
    one = pc.ErrorSource("warming", "reflection", relative=0.01, correlated="repeat")
    with pytest.raises(TraceSchemaError, match="average first, then attach what is left"):
        pc.average(pc.with_errors(repeats, one), "repeat")


def divided(source: pc.ErrorSource) -> Any:
    """A received voltage with a source, divided by a reference."""
    raw = reflection()
    received = raw["reflection"].copy(data=1e-3 * raw["reflection"].values)
    raw = raw.drop_vars("reflection").assign(received=received.assign_attrs(units="V"))
    background = raw.isel(power=0).assign(received=1e-3 + 0 * received.isel(power=0))
    return pc.to_device_plane(pc.with_errors(raw, source), reference=background)


def test_a_relative_error_of_a_voltage_becomes_one_of_the_ratio_to_the_reference() -> None:
    drift = pc.ErrorSource("drift", "received", relative=0.01, correlated="power")
    assert sources_of(divided(drift)) == (DRIFT,)


def test_an_absolute_error_of_a_voltage_is_refused_before_the_division() -> None:
    offset = pc.ErrorSource("offset", "received", absolute=1e-5)
    with pytest.raises(TraceSchemaError, match="attach it after to_device_plane"):
        divided(offset)


# ---- spelling ----


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("power meter: incident_power 2%", METER),
        ("drift: reflection 1 % per power", DRIFT),
        (
            "counter: frequency 10kHz per point",
            pc.ErrorSource("counter", "frequency", absolute=1e4, correlated=False),
        ),
        (
            "offset: absorbed_power 0.5fW",
            pc.ErrorSource("offset", "absorbed_power", absolute=0.5 * 1e-15),
        ),
        ("clock: time 3ns", pc.ErrorSource("clock", "time", absolute=3 * 1e-9)),
    ],
)
def test_sources_are_spelled_as_people_say_them(text: str, expected: pc.ErrorSource) -> None:
    assert error_source(text) == expected


def test_decibels_of_a_power_are_a_relative_error() -> None:
    # To first order: 10 lg(1 + ε) = 0.1 at ε = 0.1·ln(10)/10 = 0.0230.
    assert error_source("line: incident_power 0.1dB").relative == pytest.approx(0.02303, rel=1e-3)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("incident_power 2%", "is not a named error; write for example"),
        ("meter: incident_power", "is not a named error"),
        ("meter: frequency 2mW", "mW"),
        ("meter: incident_power -30dBm", "depends on the level"),
        ("meter: reflection 0.1dB", "a plain number is wanted"),
    ],
)
def test_what_is_no_error_is_refused_in_words(text: str, complaint: str) -> None:
    with pytest.raises(UnitError, match=complaint):
        error_source(text)
