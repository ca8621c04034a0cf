"""Keep or drop ranges of coordinates, and count what was left out."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from powercal.errors import ConfigError, TraceSchemaError, unknown_name
from powercal.schema import InstrumentTraces, with_flag, word_of
from powercal.units import parse_quantity, unit

if TYPE_CHECKING:
    import xarray as xr

Ranges = Mapping[str, tuple[float, float]]


def parse_selection(text: str) -> tuple[str, float, float]:
    """Read ``"frequency=6.54GHz..6.55GHz"`` as name, lowest and highest value in SI.

    Parameters
    ----------
    text : str
        A coordinate, an equals sign and a range; an end that is left out is open.

    Returns
    -------
    tuple of str, float, float
        Name, low and high (infinite where open).

    Raises
    ------
    ConfigError
        Another form, or a range whose ends are swapped.
    UnitError
        A unit is missing or of the wrong kind.

    Examples
    --------
    >>> parse_selection("frequency=6.5GHz..6.75GHz")
    ('frequency', 6500000000.0, 6750000000.0)
    """
    name, equals, span = (part.strip() for part in text.partition("="))
    low, dots, high = (part.strip() for part in span.partition(".."))
    if not (name and equals and dots and (low or high)):
        raise ConfigError(
            f"selection {text!r} is not name=low..high; write for example "
            f"frequency=6.54GHz..6.55GHz"
        )
    ends = (
        _end(name, low) if low else -math.inf,
        _end(name, high) if high else math.inf,
    )
    if ends[0] > ends[1]:
        raise ConfigError(f"selection {text!r} begins above its end; swap the two values")
    return name, *ends


def _end(name: str, text: str) -> float:
    word = word_of(name)
    if word is not None:
        return parse_quantity(text, word.kind)
    spelled = re.sub(r"^[-+−\d.]+(?:[eE][-+−]?\d+)?\s*", "", text)  # a loader's own axis
    return parse_quantity(text, unit(spelled).kind if spelled else "number")


def select(
    traces: InstrumentTraces, select: Ranges | None = None, drop: Ranges | None = None
) -> InstrumentTraces:
    """Keep or drop ranges of coordinates; what was left out is counted in the flags.

    Parameters
    ----------
    traces : InstrumentTraces
        The traces.
    select : mapping of str to (low, high), optional
        Ranges in SI to keep, ends included.
    drop : mapping of str to (low, high), optional
        Ranges in SI to leave out, ends included.

    Returns
    -------
    InstrumentTraces
        With ``selection`` (JSON) in the attributes.

    Raises
    ------
    TraceSchemaError
        The name is no one-dimensional coordinate, or nothing is left.
    """
    result: Any = traces
    for verb, ranges in (("select", select or {}), ("drop", drop or {})):
        for name, (low, high) in ranges.items():
            result = _cut(result, verb, name, low, high)
    return InstrumentTraces(result)


def _cut(traces: xr.Dataset, verb: str, name: str, low: float, high: float) -> xr.Dataset:
    lines = [str(n) for n, v in traces.variables.items() if v.ndim == 1 and v.dtype.kind in "fiu"]
    if name not in lines:
        raise TraceSchemaError(f"{unknown_name('one-dimensional coordinate', name, lines)}")
    values = traces[name].values
    inside = (values >= low) & (values <= high)
    keep = inside if verb == "select" else ~inside
    dropped, total = int((~keep).sum()), int(keep.size)
    if dropped == total:
        raise TraceSchemaError(
            f"{verb} {name} {low:g} to {high:g} leaves none of {total} points, which run from "
            f"{np.nanmin(values):.8g} to {np.nanmax(values):.8g} {traces[name].attrs['units']}; "
            f"choose another range"
        )
    cut = traces.isel({str(traces[name].dims[0]): np.flatnonzero(keep)})
    ends = [end if math.isfinite(end) else None for end in (low, high)]
    record = {"verb": verb, "name": name, "range": ends, "dropped": dropped, "of": total}
    records = [*json.loads(traces.attrs.get("selection", "[]")), record]
    cut = cut.assign_attrs(selection=json.dumps(records))
    if dropped == 0:
        return cut
    return with_flag(cut, f"{verb} {name} {low:g} to {high:g}: {dropped} of {total} points dropped")
