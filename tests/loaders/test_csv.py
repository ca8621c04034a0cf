"""Text tables: headers with units, strict numbers, grids."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import powercal as pc
from powercal.errors import (
    DataError,
    LoaderChoiceError,
    LoaderError,
    TraceSchemaError,
    UnitError,
)
from powercal.schema import flags


def load(text: str | bytes, folder: Path) -> xr.Dataset:
    """Write and open a table."""
    path = folder / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return pc.open_traces(path, loader="csv")


HEADERS = {
    "suffix": "frequency_GHz,incident_power_dBm",
    "round": "frequency (GHz),incident_power (dBm)",
    "square": "frequency [GHz],incident_power [dBm]",
    "quoted": '"frequency (GHz)","incident_power (dBm)"',
    "capitals": "Frequency (GHz),Incident_Power (dBm)",
    "short": "freq_GHz,incident_power_dBm",
}


@pytest.mark.parametrize("case", HEADERS)
def test_units_stand_in_the_header(case: str, tmp_path: Path) -> None:
    text = f"{HEADERS[case]},excited_population\n5.0,-100,0.1\n5.1,-100,0.2\n"
    traces = load(text, tmp_path)
    assert traces["frequency"].values == pytest.approx([5.0e9, 5.1e9])
    assert traces["incident_power"].values == pytest.approx([1e-13])
    assert traces["excited_population"].dims == ("power", "frequency")


PARTS = {
    "s11_re,s11_im": "0.3,0.4",
    "S11 (RE),S11 (IM)": "0.3,0.4",
    "reflection_real,reflection_imag": "0.3,0.4",
    "s11_db,s11_deg": f"{20 * np.log10(0.5)},{np.rad2deg(np.arctan2(0.4, 0.3))}",
    "S11(DB),S11(DEG)": f"{20 * np.log10(0.5)},{np.rad2deg(np.arctan2(0.4, 0.3))}",
    "s11_mag,s11_rad": f"0.5,{np.arctan2(0.4, 0.3)}",
}


@pytest.mark.parametrize("header", PARTS)
def test_two_columns_make_one_complex_reflection(header: str, tmp_path: Path) -> None:
    traces = load(f"frequency_GHz,{header}\n5.0,{PARTS[header]}\n", tmp_path)
    assert complex(traces["reflection"].values[0]) == pytest.approx(0.3 + 0.4j, rel=1e-12)


def test_a_received_voltage_has_parts_and_unit(tmp_path: Path) -> None:
    traces = load("time_us,received_re_mV,received_im_mV\n1,3,4\n", tmp_path)
    assert complex(traces["received"].values[0]) == pytest.approx(3e-3 + 4e-3j)
    assert traces["time"].values == pytest.approx([1e-6])


def test_an_uncertainty_has_its_own_unit(tmp_path: Path) -> None:
    traces = load(
        "incident_power_dBm,reflected_power_fW,reflected_power_std_fW\n-100,90,1\n-90,800,2\n",
        tmp_path,
    )
    assert traces["reflected_power_std"].values == pytest.approx([1e-15, 2e-15])
    assert traces["reflected_power"].dims == ("power",)


def test_a_long_table_of_two_axes_becomes_a_grid(tmp_path: Path) -> None:
    rows = [(p, f, p * 10 + f) for f in (5.2, 5.0, 5.1) for p in (-90, -100)]
    body = "\n".join(",".join(map(str, row)) for row in rows)
    traces = load(f"incident_power_dBm,frequency_GHz,excited_population\n{body}", tmp_path)
    assert traces["excited_population"].dims == ("power", "frequency")
    expected = [[-995.0, -994.9, -994.8], [-895.0, -894.9, -894.8]]
    np.testing.assert_allclose(traces["excited_population"].values, expected)
    assert flags(traces) == ()


def test_holes_in_a_grid_are_missing_and_counted(tmp_path: Path) -> None:
    body = "-100,5.0,0.1\n-100,5.1,0.2\n-90,5.0,0.3\n"
    traces = load(f"incident_power_dBm,frequency_GHz,excited_population\n{body}", tmp_path)
    assert np.isnan(traces["excited_population"].values[1, 1])
    assert flags(traces) == ("1 of 4 grid points are not in the file; they are NaN",)


def test_points_that_form_no_grid_stay_points(tmp_path: Path) -> None:
    body = "".join(f"{-100 + i},{5 + 0.1 * i},0.1\n" for i in range(5))
    traces = load(f"incident_power_dBm,frequency_GHz,excited_population\n{body}", tmp_path)
    assert traces["excited_population"].dims == ("trace",)
    assert flags(traces) == (
        "the 5 rows are no grid of incident_power × frequency; kept point by point",
    )


def test_a_point_measured_twice_is_no_grid(tmp_path: Path) -> None:
    body = "-100,5.0,0.1\n-100,5.0,0.2\n-100,5.1,0.2\n-90,5.0,0.3\n"
    traces = load(f"incident_power_dBm,frequency_GHz,excited_population\n{body}", tmp_path)
    assert traces["excited_population"].dims == ("trace",)


def test_plane_is_the_instrument_and_detection_is_never_guessed(tmp_path: Path) -> None:
    attrs = load("frequency_GHz,s11_re,s11_im\n5,0,0.1\n", tmp_path).attrs
    assert attrs["plane"] == "instrument"
    assert "detection" not in attrs


def test_comments_carry_attributes_with_units(tmp_path: Path) -> None:
    text = (
        "# taken by nobody\n# plane: device\n# detection: absorbed\n"
        "# transition_frequency: 5.05 GHz\n# bath_temperature: 20 mK\n# incident_power: -100 dBm\n"
        "frequency_GHz,excited_population\n5.0,0.1\n"
    )
    traces = load(text, tmp_path)
    assert (traces.attrs["plane"], traces.attrs["detection"]) == ("device", "absorbed")
    assert traces.attrs["transition_frequency"] == pytest.approx(5.05e9)
    assert traces.attrs["bath_temperature"] == pytest.approx(0.02)
    assert float(traces["incident_power"]) == pytest.approx(1e-13)


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_three_delimiters_are_told_from_the_header(mark: str, tmp_path: Path) -> None:
    text = "frequency_GHz,excited_population\n5.0,0.1\n\n5.1,nan\n".replace(",", mark)
    traces = load(text, tmp_path)
    assert np.isnan(traces["excited_population"].values[1])


def test_a_byte_order_mark_and_windows_lines_are_tolerated(tmp_path: Path) -> None:
    text = "\ufefffrequency_GHz,excited_population\r\n5.0,0.1\r\n"
    assert load(text, tmp_path).sizes["frequency"] == 1


def test_latin_1_is_tolerated_aloud(tmp_path: Path) -> None:
    text = "# Gerät\ntime_µs,excited_population\n5.0,0.1\n".encode("latin-1")
    traces = load(text, tmp_path)
    assert traces["time"].values == pytest.approx([5e-6])
    assert flags(traces) == ("the file is not UTF-8; it was read as Latin-1",)


ERRORS: dict[str, tuple[str, type[Exception], str]] = {
    "decimal comma": (
        "frequency_GHz;excited_population\n5,05;0.1\n",
        LoaderError,
        "table.csv line 2, column 'frequency_GHz': '5,05' is not a number; mend it, or write a "
        "decimal point instead of the comma",
    ),
    "word": (
        "frequency_GHz,excited_population\n5.0,0.1\n5.1,OVL\n",
        LoaderError,
        "table.csv line 3, column 'excited_population': 'OVL' is not a number; mend it, or write "
        "nan where a value is missing",
    ),
    "underscore": (
        "frequency_GHz,excited_population\n5_0,0.1\n",
        LoaderError,
        "'5_0' is not a number",
    ),
    "empty cell": ("frequency_GHz,excited_population\n5.0,\n", LoaderError, "'' is not a number"),
    "infinity": ("frequency_GHz,excited_population\n5.0,inf\n", LoaderError, "'inf' is not a"),
    "trailing": (
        "frequency_GHz,excited_population\n5.0,0.1,\n",
        LoaderError,
        "table.csv line 2 has 3 cells, but the header has 2; look for a missing value, a trailing",
    ),
    "quote": (
        'frequency_GHz,excited_population\n"5.0,0.1\n',
        LoaderError,
        "table.csv line 2 cannot be split",
    ),
    "no unit": (
        "frequency,excited_population\n5.0,0.1\n",
        TraceSchemaError,
        "table.csv: column 'frequency' has no unit; append one of Hz, kHz, MHz, GHz, for example "
        "frequency_GHz",
    ),
    "strange unit": (
        "frequency_ghz,excited_population\n5.0,0.1\n",
        UnitError,
        "table.csv: column 'frequency_ghz': unit 'ghz' is not known; use one of dBm",
    ),
    "other kind": (
        "frequency_dBm,excited_population\n5.0,0.1\n",
        UnitError,
        "unit 'dBm' measures power, but frequency is wanted",
    ),
    "strange word": (
        "frequency_GHz,excited_popluation\n5.0,0.1\n",
        TraceSchemaError,
        "did you mean 'excited_population'?",
    ),
    "two suffixes": (
        "frequency_GHz_GHz,excited_population\n5.0,0.1\n",
        TraceSchemaError,
        "there is no schema word for column 'frequency_GHz_GHz'",
    ),
    "half": (
        "frequency_GHz,s11_re\n5.0,0.1\n",
        TraceSchemaError,
        "table.csv: reflection is complex and needs two columns (re and im, or dB or abs with deg "
        "or rad), but there is 's11_re'",
    ),
    "two units": (
        "time_us,received_re_V,received_im_mV\n1,1,1\n",
        TraceSchemaError,
        "table.csv: the two columns of received have different units; use one",
    ),
    "part of real": (
        "time_us,excited_population_re\n1,1\n",
        TraceSchemaError,
        "column 'excited_population_re' names a part (re), but excited_population is real",
    ),
    "twice": (
        "time_us,time_ns,excited_population\n1,1,1\n",
        TraceSchemaError,
        "table.csv: column 'time_us' comes twice; keep one",
    ),
    "no header": (
        "5.0,0.1\n",
        LoaderError,
        "table.csv line 1 is numbers where a header should be; put one above",
    ),
    "no rows": (
        "frequency_GHz,excited_population\n",
        LoaderError,
        "table.csv has a header but no rows; choose a file with data",
    ),
    "nothing": ("# only\n", LoaderError, "table.csv holds no table; the first line names columns"),
    "only axes": (
        "frequency_GHz,incident_power_dBm\n5,0\n",
        LoaderError,
        "table.csv holds no measured column beside its axes; add one",
    ),
    "axis nan": (
        "frequency_GHz,excited_population\nnan,0.1\n",
        LoaderError,
        "table.csv: column of frequency holds nan; remove those rows",
    ),
    "comment": (
        "# detecton: absorbed\nfrequency_GHz,excited_population\n5,0.1\n",
        LoaderError,
        "table.csv line 1: 'detecton' is not known; did you mean 'detection'?",
    ),
    "comment twice": (
        "# frequency: 5 GHz\nfrequency_GHz,excited_population\n5,0.1\n",
        LoaderError,
        "table.csv gives frequency as a comment and as a column; keep one",
    ),
    "comment unit": (
        "# bath_temperature: 20\nfrequency_GHz,excited_population\n5,0.1\n",
        UnitError,
        "'20' has no unit; append one of K, mK",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_a_table_that_is_wrong_is_refused_with_line_and_column(case: str, tmp_path: Path) -> None:
    text, kind, message = ERRORS[case]
    with pytest.raises(DataError) as caught:
        load(text, tmp_path)
    assert message in str(caught.value)
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    "content",
    [b"", b"a,b\n1,2\n", b"frequency_GHz\0", b"5.0,0.1\n", b"\x89HDF\r\n\x1a\n"],
)
def test_other_files_are_not_claimed(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(LoaderChoiceError, match=r"x\.csv is claimed by no loader"):
        pc.open_traces(tmp_path / "x.csv")


def test_a_table_is_claimed_by_its_header_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "x.s2p").write_text("frequency_GHz,excited_population\n5.0,0.1\n")
    assert pc.open_traces(tmp_path / "x.s2p").attrs["loader"] == "csv"


@settings(max_examples=100, deadline=None)
@given(body=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_in_words(
    body: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("csv")
    with contextlib.suppress(DataError):
        load(b"frequency_GHz,excited_population\n5.0,0.1\n" + body, folder)
