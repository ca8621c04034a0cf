from __future__ import annotations

import dataclasses
import json
import re
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from make_result import changes, make_estimates, make_result

from powercal.result import Check, Estimate, Flag, Shift
from powercal.text import describe, engineering, readable_unit, shorthand, to_json

PREFIXES = {"a": -18, "f": -15, "p": -12, "n": -9, "µ": -6, "m": -3, "": 0} | {
    "k": 3,
    "M": 6,
    "G": 9,
    "T": 12,
}
PLAIN_DIGITS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
magnitudes = st.floats(-300, 300).map(lambda exponent: 10.0**exponent)
values = st.tuples(st.floats(1e-300, 1e300), st.sampled_from([-1, 1])).map(lambda p: p[0] * p[1])
relative = st.floats(-12, 12).map(lambda exponent: 10.0**exponent)


def read_mantissa(text: str, exponent: int) -> tuple[Decimal, Decimal, Decimal]:
    """Value, uncertainty and unit of the last digit."""
    match = re.fullmatch(r"(-?\d+(?:\.(\d+))?)\((\d+)\)", text)
    assert match, text
    last = Decimal(1).scaleb(exponent - len(match[2] or ""))
    return Decimal(match[1]).scaleb(exponent), int(match[3]) * last, last


def check_digits(text: str, exponent: int, value: float, stderr: float) -> None:
    found, error, last = read_mantissa(text, exponent)
    assert abs(found - Decimal(repr(value))) <= last / 2
    assert abs(error - Decimal(repr(stderr))) <= last / 2


@settings(max_examples=100, deadline=None, derandomize=True)
@given(value=values, ratio=relative)
def test_shorthand_says_value_and_error_to_half_its_last_digit(value: float, ratio: float) -> None:
    stderr = abs(value) * ratio
    assume(0 < stderr < 1e305)
    mantissa, _, exponent = shorthand(value, stderr).partition("e")
    check_digits(mantissa, int(exponent or 0), value, stderr)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    value=st.floats(-25, 18).map(lambda exponent: 10.0**exponent),
    ratio=relative,
    unit=st.sampled_from(["Hz", "W", "s", "K", "s-1", "1", "dB", "rad2 s-2 W-1"]),
)
def test_engineering_says_value_and_error_to_half_its_last_digit(
    value: float, ratio: float, unit: str
) -> None:
    stderr = value * ratio
    text = engineering(value, stderr, unit)
    number, _, rest = text.partition(" ")
    exponent = 0
    if rest.startswith("× 10"):
        power, _, rest = rest.removeprefix("× 10").partition(" ")
        exponent = int(power.translate(PLAIN_DIGITS))
    if rest != readable_unit(unit):
        exponent = PREFIXES[rest.removesuffix(unit)]
    assert exponent % 3 == 0
    check_digits(number, exponent, value, stderr)


@pytest.mark.parametrize(
    ("value", "stderr", "text"),
    [
        (3.1, 0.12, "3.10(12)"),
        (1.794e7, 9e4, "1.794(9)e7"),
        (1.794e7, 1.2e4, "1.7940(12)e7"),
        (-0.052, 0.004, "-0.052(4)"),
        (9.99, 0.0097, "9.990(10)"),
        (1.0, 0.0354, "1.000(35)"),
        (1.0, 0.0356, "1.00(4)"),
        (0.0, 0.3, "0.00(30)"),
        (1234.0, 56.0, "1.23(6)e3"),
        (1e-9, 2e-11, "1.000(20)e-9"),
        (5.0, None, "5"),
        (5.0, 0.0, "5"),
        (5.0, float("nan"), "5"),
        (1 / 3, float("inf"), "0.333333"),
        (float("nan"), 1.0, "nan"),
        (float("-inf"), 1.0, "-∞"),
        (1.0, 1e-20, "1.0 ± 1.0e-20"),
    ],
)
def test_shorthand_is_what_a_physicist_writes(
    value: float, stderr: float | None, text: str
) -> None:
    assert shorthand(value, stderr) == text


@pytest.mark.parametrize(
    ("value", "stderr", "unit", "text"),
    [
        (1.127e7, 5e4, "s-1", "11.27(5) × 10⁶ s⁻¹"),
        (1.794e6, 9e3, "Hz", "1.794(9) MHz"),
        (6.5448851e9, 1200.0, "Hz", "6.5448851(12) GHz"),
        (0.052, 0.003, "1", "0.0520(30)"),
        (0.05, 0.002, "K", "50.0(20) mK"),
        (8.87e-8, 4e-10, "s", "88.7(4) ns"),
        (5e5, 1.2e5, "Hz", "0.50(12) MHz"),
        (3.1e32, 2e31, "rad2 s-2 W-1", "310(20) × 10³⁰ rad² s⁻² W⁻¹"),
        (2e20, 1e19, "Hz", "200(10) × 10¹⁸ Hz"),
        (40.0, None, "dB", "40 dB"),
        (0.0, None, "s-1", "0 s⁻¹"),
        (1234567.0, None, "Hz", "1.23457 MHz"),
        (2e-5, None, "1", "20 × 10⁻⁶"),
        (float("inf"), None, "Hz", "∞ Hz"),
        (1.0, 1e-20, "Hz", "1.0 ± 1.0e-20 Hz"),
    ],
)
def test_engineering_is_what_a_physicist_writes(
    value: float, stderr: float | None, unit: str, text: str
) -> None:
    assert engineering(value, stderr, unit) == text


def page(**changes: Any) -> str:
    return describe(make_result(**changes))


def line(name: str, text: str) -> str:
    """The line of the page that begins with this name, single-spaced."""
    found = [row for row in text.splitlines() if row.split()[:1] == [name]]
    assert len(found) == 1, text
    return " ".join(found[0].split())


def estimate(**changes: Any) -> Estimate:
    fields = {"name": "x", "unit": "1", "meaning": "", "status": "ok"}
    return Estimate(**(fields | changes))


def row_of(**changes: Any) -> str:
    return line("x", page(parameters=(estimate(**changes),)))


def test_printing_a_result_prints_the_page() -> None:
    assert str(make_result()) == page()


def test_the_page_is_at_most_sixty_lines_of_at_most_a_hundred_characters() -> None:
    lines = page().splitlines()
    assert len(lines) <= 60
    assert max(map(len, lines)) <= 100


def test_the_page_begins_with_model_options_and_source() -> None:
    assert page().splitlines()[:4] == [
        "finite_temperature (version 1, powercal 0.1.0)",
        "options: detection = absorbed, convention = plain",
        "fitted to: absorbed_power",
        "source: path q3.h5, sha256 abababababab…, loader hdf5",
    ]


def test_a_rate_is_given_also_over_two_pi_in_hertz_and_says_so() -> None:
    found = line("gamma_1", page())
    assert found == "gamma_1 11.27(5) × 10⁶ s⁻¹ gamma_1/2π = 1.794(8) MHz"


def test_an_upper_limit_is_given_at_95_percent_and_rounded_up() -> None:
    told = "gamma_i < 13 × 10³ s⁻¹ gamma_i/2π < 2 kHz (95 %)"
    assert line("gamma_i", page()).startswith(told)
    assert row_of(status="upper_limit", interval95=(0.0, 0.01201)) == "x < 0.013 (95 %)"
    assert row_of(status="upper_limit", interval95=(0.0, 0.012)) == "x < 0.012 (95 %)"


def test_an_upper_limit_that_is_missing_or_infinite_is_not_invented() -> None:
    assert row_of(status="upper_limit") == "x upper limit not known"
    assert row_of(status="upper_limit", interval95=(0, np.inf)) == "x upper limit not known"


def test_an_undetermined_parameter_shows_its_range_and_where_it_comes_from() -> None:
    expected = "n_th undetermined; allowed 0 … 0.06 (only k/(1 + 2 n_th) acts on these data)"
    assert line("n_th", page()) == expected


def test_an_unbounded_parameter_says_so() -> None:
    assert line("drive_scale", page()) == "drive_scale undetermined; unbounded"


def test_an_undetermined_parameter_without_a_range_shows_no_number() -> None:
    assert row_of(status="undetermined", value=3.0) == "x undetermined"


def test_a_half_open_range_shows_infinity() -> None:
    found = row_of(status="undetermined", allowed=(1.0, np.inf))
    assert found == "x undetermined; allowed 1 … ∞ (set by bounds, not by data)"


def test_a_fixed_parameter_is_printed_as_an_assumption() -> None:
    assert row_of(status="fixed", value=0.0) == "x = 0 (assumed)"
    assert line("gamma_phi", page()) == "gamma_phi = 0 s⁻¹ gamma_phi/2π = 0 Hz (assumed)"


def test_a_missing_error_is_said_and_never_zero() -> None:
    assert row_of(status="no_error", value=2.5) == "x 2.5 no standard error"


def test_a_parameter_at_its_bound_shows_its_interval_when_there_is_one() -> None:
    found = row_of(status="at_bound", value=0.0, interval95=(0.0, 0.5))
    assert found == "x 0 95 %: 0 … 0.5 at its bound"


def test_a_value_that_is_missing_is_not_printed_as_a_number() -> None:
    assert row_of(status="ok") == "x no value (ok)"


def test_the_reason_follows_the_estimate() -> None:
    assert "(only k/(1 + 2 n_th) acts on these data)" in line("n_th", page())


def test_a_long_reason_gets_a_line_of_its_own() -> None:
    reason = "a reason that is much too long to stand behind a number on its line, " + "and on" * 5
    lines = page(parameters=(estimate(value=1.0, reason=reason),)).splitlines()
    place = next(i for i, row in enumerate(lines) if row.strip().startswith("x "))
    assert lines[place + 1].strip() == reason


def test_what_is_not_determined_comes_with_combinations_and_remedies_to_copy() -> None:
    text = page()
    assert "parameters: n_th, drive_scale" in text
    assert "determined instead: drive_scale/(1 + 2 n_th) = 3.1(2) × 10³²" in text
    assert "    fixed={'n_th': 0.01}\n    priors={'gamma_phi': (2e4, 5e3)}" in text


def test_chi2_comes_with_the_spread_expected_of_it() -> None:
    assert "χ²/nfree = 9.7/9 = 1.078, expected 1 ± 0.47   (11 data points)" in page()


def test_a_fit_without_degrees_of_freedom_says_so() -> None:
    assert "χ² = 0 with no degree of freedom left (3 data points)" in page(
        chi2=0.0, nfree=0, ndata=3
    )


def test_verdicts_and_weights_are_stated() -> None:
    text = page()
    assert "converged: yes · adequate: yes · identifiable: NO" in text
    assert "weights: σ from the data (absorbed_power_std)" in text


def test_a_check_shows_verdict_value_and_limit() -> None:
    assert "holds    steady_state = 0.01 (limit 0.1)\n" in page()


def test_a_check_that_fails_says_what_it_does_to_the_result() -> None:
    check = Check(name="c", value=3.0, limit=2.0, verdict="fails", effect="Γ₁ is too high")
    assert "fails    c = 3 (limit 2): Γ₁ is too high" in page(checks=(check,))


def test_a_check_without_facts_says_so() -> None:
    check = Check(name="c", value=np.nan, limit=2.0, verdict="unknown", effect="Γ₁ is too high")
    assert "unknown  c: not enough is known of the experiment" in page(checks=(check,))


def test_small_moves_are_counted_and_freed_assumptions_give_a_range() -> None:
    shift = Shift(name="weights", chosen="a", alternative="b", shifts={"gamma_1": 1.0})
    freed = Shift(
        name="assumptions",
        chosen="n_th = 0",
        alternative="all of them free",
        shifts={"gamma_1 (lowest)": 1e6, "gamma_1 (highest)": 2e6},
    )
    text = page(systematics=(shift, freed))
    assert "weights: b instead of a: everything by less than 0.2 σ" in text
    assert "assumed n_th = 0; with all of them free, gamma_1 lies in 1" in text


def test_a_shift_is_given_in_units_and_in_standard_errors() -> None:
    text = page()
    assert "energy: qubit instead of drive: gamma_1 -12 × 10³ s⁻¹ (-0.2 σ)" in text
    assert "line: b instead of a: elsewhere +2" in text


def test_flags_are_printed_whole() -> None:
    assert "degenerate: n_th and drive_scale are degenerate." in page()


def test_empty_sections_are_left_out() -> None:
    changes = dict.fromkeys(("derived", "checks", "systematics", "flags"), ())
    text = page(**changes, parameters=make_estimates()[:1], combinations=(), remedies=())
    sections = [row for row in text.splitlines()[4:] if row and not row.startswith(" ")]
    assert sections == ["Parameters", "Fit"]


def test_a_long_table_says_how_many_rows_it_leaves_out() -> None:
    text = page(parameters=tuple(estimate(name=f"x{i}", value=1.0) for i in range(30)))
    assert "… and 6 more: see result.parameters" in text


@settings(max_examples=40, deadline=None, derandomize=True)
@given(changes=changes)
def test_any_result_can_be_described_and_becomes_strict_json(changes: dict[str, Any]) -> None:
    result = make_result(**changes)
    assert describe(result)
    assert json.loads(json.dumps(to_json(result), allow_nan=False))


def test_json_has_the_agreed_keys() -> None:
    assert set(to_json(make_result())) == {
        "model",
        "source",
        "parameters",
        "derived",
        "undetermined",
        "chi2",
        "ndata",
        "nfree",
        "flags",
        "checks",
        "combinations",
        "remedies",
        "systematics",
        "budget",
        "nearly_degenerate",
        "minima",
        "goodness",
        "weights",
        "verdicts",
        "options",
        "observables",
    }


def test_json_gives_an_estimate_in_si() -> None:
    assert to_json(make_result())["parameters"]["gamma_1"] == {
        "value": 1.127e7,
        "stderr": 5e4,
        "unit": "s-1",
        "status": "ok",
        "interval68": [1.122e7, 1.132e7],
        "interval95": [1.117e7, 1.137e7],
        "allowed": None,
    }


def test_json_gives_null_for_what_is_missing_or_infinite() -> None:
    parameters = to_json(make_result())["parameters"]
    assert parameters["n_th"]["value"] is None
    assert parameters["drive_scale"]["allowed"] == [None, None]
    assert to_json(make_result())["checks"][1]["value"] is None


def test_json_gives_flags_checks_and_shifts_as_objects() -> None:
    result = make_result(
        flags=(Flag(name="a", sentence="b"),),
        checks=(Check(name="c", value=1.0, limit=2.0, verdict="holds", effect="d"),),
        systematics=(Shift(name="e", chosen="f", alternative="g", shifts={"h": np.inf}),),
    )
    found = to_json(result)
    assert found["flags"] == [{"name": "a", "sentence": "b"}]
    assert found["checks"] == [dataclasses.asdict(result.checks[0])]
    assert found["systematics"] == [
        {"name": "e", "chosen": "f", "alternative": "g", "shifts": {"h": None}}
    ]


def test_json_lists_what_is_undetermined() -> None:
    assert to_json(make_result())["undetermined"] == ["n_th", "drive_scale"]


def test_units_are_spelled_for_people() -> None:
    assert [readable_unit(u) for u in ("1", "s-1", "rad s-1", "rad2 s-2 W-1", "dB")] == [
        "",
        "s⁻¹",
        "rad s⁻¹",
        "rad² s⁻² W⁻¹",
        "dB",
    ]
