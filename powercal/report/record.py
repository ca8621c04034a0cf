"""A fit result, except its traces and curve, as one JSON text and back: plain data, never code.

JSON knows neither tuples, nor the order of a mapping, nor numbers that are not finite, so these
are spelled out; an object always has one of the keys below and never stands for a mapping.

==========================================  ==================================================
in the result                               in the JSON
==========================================  ==================================================
None, bool, int, str, finite float          itself (a float by ``repr``, so no bit is lost)
nan, inf, -inf                              ``{"float": "nan"}``
tuple                                       ``[...]``
list                                        ``{"list": [...]}``
mapping, in its order                       ``{"pairs": [[key, value], ...]}``
array of numbers                            ``{"array": [...], "dtype": "float64", "shape": []}``
Estimate, Check, Flag, Shift, BudgetRow, …  ``{"Estimate": {field: value, ...}}``
==========================================  ==================================================
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from powercal.errors import ReportError
from powercal.result import BudgetRow, Check, Estimate, FitResult, Flag, OtherMinimum, Shift

_KINDS = (BudgetRow, Check, Estimate, Flag, OtherMinimum, Shift)
_CLASSES: dict[str, type[Any]] = {kind.__name__: kind for kind in _KINDS}
_DATASETS = ("traces", "curve")


def encode_result(result: FitResult) -> dict[str, Any]:
    """Turn everything but the datasets into what JSON can hold.

    Parameters
    ----------
    result : FitResult
        The result of one fit.

    Returns
    -------
    dict
        Field name to plain data.

    Raises
    ------
    ReportError
        A value of a type that the table above does not list; the message says where.
    """
    names = [field.name for field in dataclasses.fields(result) if field.name not in _DATASETS]
    return {name: _encode(getattr(result, name), name) for name in names}


def decode_result(fields: Mapping[str, Any], **datasets: Any) -> FitResult:
    """Rebuild the result from :func:`encode_result` and its datasets.

    Raises
    ------
    KeyError, TypeError, ValueError
        If the record is damaged.
    """
    return FitResult(**{name: _decode(value) for name, value in fields.items()}, **datasets)


def to_text(record: Mapping[str, Any]) -> str:
    """Write a record as JSON; the same record gives the same text."""
    text = json.dumps(record, sort_keys=True, allow_nan=False, ensure_ascii=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # half a surrogate pair, from a file name that is not UTF-8
        return json.dumps(record, sort_keys=True, allow_nan=False)
    return text


def from_text(text: str) -> Any:
    """Read JSON, refusing the numbers that JSON does not have.

    Raises
    ------
    ValueError
        If the text is not JSON.
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def _encode(value: Any, where: str) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, tuple):
        return [_encode(item, where) for item in value]
    if isinstance(value, list):
        return {"list": [_encode(item, where) for item in value]}
    if isinstance(value, Mapping):
        return {
            "pairs": [[_encode(k, where), _encode(v, f"{where}[{k!r}]")] for k, v in value.items()]
        }
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return _encode_array(value, where)
    if type(value).__name__ in _CLASSES and dataclasses.is_dataclass(value):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return {type(value).__name__: {n: _encode(v, f"{where}.{n}") for n, v in fields.items()}}
    raise ReportError(
        f"{where} of the result holds a {type(value).__name__}, which a report cannot store; "
        f"make it text, numbers, or tuples, lists and mappings of these"
    )


def _encode_array(values: Any, where: str) -> dict[str, Any]:
    return {
        "array": [_encode(item, where) for item in values.ravel().tolist()],
        "dtype": values.dtype.name,
        "shape": list(values.shape),
    }


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_decode, value))
    if not isinstance(value, dict):
        return value
    if "array" in value:
        flat = np.array([_decode(item) for item in value["array"]], dtype=value["dtype"])
        return flat.reshape(value["shape"])
    ((kind, content),) = value.items()
    if kind == "float":
        return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[content]
    if kind == "list":
        return [_decode(item) for item in content]
    if kind == "pairs":
        return {_decode(key): _decode(item) for key, item in content}
    return _CLASSES[kind](**{name: _decode(item) for name, item in content.items()})
