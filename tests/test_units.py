"""Units: the closed table, and what is refused at its edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from powercal.errors import UnitError
from powercal.units import (
    SI_UNITS,
    UNITS,
    canonical,
    from_si,
    parse_quantity,
    parse_with_error,
    to_si,
    unit,
)


@pytest.mark.parametrize("name", UNITS)
@settings(max_examples=25)  # of each of some thirty units
@given(value=st.floats(-150, 150))
def test_every_unit_comes_back_from_si(name: str, value: float) -> None:
    # 1e-12 relative: one power, one logarithm and one product in double precision.
    assert float(from_si(to_si(value, name), name)) == pytest.approx(value, rel=1e-12, abs=1e-12)


def test_every_kind_of_the_table_has_an_si_unit() -> None:
    assert {found.kind for found in UNITS.values()} == set(SI_UNITS)


@pytest.mark.parametrize("kind", SI_UNITS)
def test_si_units_are_their_own_conversion(kind: str) -> None:
    assert float(to_si(2.5, SI_UNITS[kind], kind)) == 2.5


def test_dbm_is_milliwatt_on_a_logarithmic_scale() -> None:
    assert to_si([-30.0, 0.0, 30.0], "dBm") == pytest.approx([1e-6, 1e-3, 1.0], rel=1e-15)


def test_both_micro_signs_and_u_are_one_unit() -> None:
    assert canonical("uW") == canonical("μW") == canonical("µW") == "µW"


def test_complex_amplitudes_convert_linearly() -> None:
    assert to_si(1 + 2j, "mV") == pytest.approx((1 + 2j) * 1e-3)


def test_zero_watts_are_minus_infinity_in_dbm() -> None:
    assert float(from_si(0.0, "dBm")) == -np.inf


def test_an_unknown_unit_lists_the_table() -> None:
    with pytest.raises(UnitError, match="unit 'furlong' is not known; use one of dBm, dBW, W"):
        unit("furlong")


def test_a_unit_of_another_kind_names_the_wanted_ones() -> None:
    message = "unit 'GHz' measures frequency, but power is wanted; use one of dBm, dBW, W"
    with pytest.raises(UnitError, match=message):
        to_si(1.0, "GHz", "power")


def test_complex_levels_are_refused() -> None:
    with pytest.raises(UnitError, match="complex values cannot be levels in 'dBm'"):
        to_si(1j, "dBm")


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [("6.5449GHz", "frequency", 6.5449e9), ("−10 dBm", "power", 1e-4), ("3", "number", 3.0)],
)
def test_a_quantity_is_read_with_its_unit(text: str, kind: str, value: float) -> None:
    assert parse_quantity(text, kind) == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("GHz", "'GHz' is not a number with a unit; write for example 6.5449GHz"),
        ("6.5", "'6.5' has no unit; append one of Hz, kHz, MHz, GHz"),
        ("6.5 dBm", "unit 'dBm' measures power, but frequency is wanted"),
    ],
)
def test_a_bad_quantity_says_how_to_write_it(text: str, message: str) -> None:
    with pytest.raises(UnitError, match=message):
        parse_quantity(text, "frequency")


@pytest.mark.parametrize("text", ["61.4±0.5", "61.4 +/- 0.5", "61.4+-0.5"])
def test_a_value_with_its_error_has_three_spellings(text: str) -> None:
    assert parse_with_error(text) == (61.4, 0.5)


@pytest.mark.parametrize("text", ["61.4", "61.4±0.5 dB"])
def test_a_value_without_error_or_with_a_unit_is_refused(text: str) -> None:
    with pytest.raises(UnitError, match="is not a value with its standard uncertainty"):
        parse_with_error(text)


def test_an_uncertainty_of_zero_is_refused() -> None:
    with pytest.raises(UnitError, match="the uncertainty in '61±0' must be positive"):
        parse_with_error("61±0")
