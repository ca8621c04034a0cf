from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from make_result import changes, make_result

from powercal.report.record import decode_result, encode_result, from_text, to_text
from powercal.result import FitResult


def there_and_back(result: FitResult) -> FitResult:
    fields = from_text(to_text(encode_result(result)))
    return decode_result(fields, traces=result.traces, curve=result.curve)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(changes=changes)
def test_any_result_comes_back_equal(changes: dict[str, Any]) -> None:
    result = make_result(**changes)
    assert there_and_back(result).equals(result)


@pytest.mark.parametrize("value", [0.1, -0.0, 5e-324, 1.7976931348623157e308, np.pi])
def test_no_bit_of_a_float_is_lost(value: float) -> None:
    back = there_and_back(make_result(chi2=value)).chi2
    assert back.hex() == value.hex()


@pytest.mark.parametrize("value", ["inf", "nan", "-inf", '{"float": "nan"}', "Γ₁ µ \0 \ud800"])
def test_text_that_looks_like_something_else_stays_text(value: str) -> None:
    assert there_and_back(make_result(weights=value)).weights == value


def test_a_mapping_with_the_key_of_a_mark_stays_a_mapping() -> None:
    request = {"float": "nan", "nested": {"list": [1], "array": (2,)}}
    assert there_and_back(make_result(request=request)).request == request


@pytest.mark.parametrize(
    "array", [np.arange(6).reshape(2, 3), np.array([True, False]), np.array([np.nan, -np.inf])]
)
def test_arrays_keep_type_and_shape(array: Any) -> None:
    back = there_and_back(make_result(request={"a": array})).request["a"]
    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype


def test_the_same_result_gives_the_same_text() -> None:
    assert to_text(encode_result(make_result())) == to_text(encode_result(make_result()))


def test_numbers_that_json_does_not_have_are_refused() -> None:
    with pytest.raises(ValueError, match="NaN is not JSON"):
        from_text('{"chi2": NaN}')


def test_an_unknown_mark_is_refused() -> None:
    fields = encode_result(make_result()) | {"model": {"Callable": {"importer": "os"}}}
    with pytest.raises(KeyError, match="Callable"):
        decode_result(fields, traces=None, curve=None)
