"""The words of powercal: names, units, dimensions, planes, detections of traces; their check."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NewType

import numpy as np

from powercal.errors import TraceSchemaError
from powercal.units import SI_UNITS, UNITS, canonical, to_si, unit

if TYPE_CHECKING:
    import xarray as xr

InstrumentTraces = NewType("InstrumentTraces", "xr.Dataset")
DeviceTraces = NewType("DeviceTraces", "xr.Dataset")

PLANES = ("instrument", "device")
DETECTIONS = ("absorbed", "coherent", "total")
DIMENSIONS = (
    "power",
    "frequency",
    "time",
    "temperature",
    "trace",
    "channel",
    "repeat",
    "frequency_offset",
    "bias",
)


@dataclass(frozen=True, slots=True)
class Word:
    """A schema word: the kind of quantity, whether it is complex, and its meaning."""

    kind: str
    meaning: str
    complex: bool = False

    @property
    def unit(self) -> str:
        """The SI unit in which the house holds it."""
        return SI_UNITS[self.kind]


WORDS: dict[str, Word] = {
    "incident_power": Word("power", "power sent towards the device"),
    "reflected_power": Word("power", "power that comes back"),
    "transmitted_power": Word("power", "power that goes on"),
    "absorbed_power": Word("power", "power that the device takes from the drive"),
    "reflection": Word("number", "reflected over incident amplitude", complex=True),
    "transmission": Word("number", "transmitted over incident amplitude", complex=True),
    "emitted_power": Word("power", "power that the device gives out"),
    "received": Word("voltage", "what a demodulator recorded", complex=True),
    "quadrature": Word("voltage", "one quadrature of it, or another signal without a scale"),
    "excited_population": Word("number", "population of the excited state"),
    "frequency": Word("frequency", "drive frequency"),
    "frequency_offset": Word("frequency", "drive frequency from a carrier"),
    "time": Word("time", "delay"),
    "temperature": Word("temperature", "bath temperature"),
    "bias_voltage": Word("voltage", "bias across the device"),
    "photocurrent": Word("current", "current that the drive causes"),
    "emission_frequency": Word("frequency", "frequency at which the device emits"),
    "gain_per_length": Word("inverse_length", "relative growth of a power per length"),
}

# Observables that are made from one and the same measurement.
TWINS = (
    ("reflection", "reflected_power"),
    ("transmission", "transmitted_power"),
    ("absorbed_power", "reflected_power"),
)

ATTRIBUTES = (
    "plane",
    "detection",
    "transition_frequency",
    "bath_temperature",
    "source",
    "source_sha256",
    "loader",
    "line",
    "selection",
    "flags",
)

_POWER_RANGE = (1e-23, 1.0)  # −200 … +30 dBm
_FREQUENCY_RANGE = (1e3, 1.1e12)


def flags(traces: xr.Dataset) -> tuple[str, ...]:
    """Return what was noted about these traces on their way, one sentence each."""
    return tuple(json.loads(traces.attrs.get("flags", "[]")))


def with_flag(traces: xr.Dataset, sentence: str) -> xr.Dataset:
    """Return the traces with one more note, once."""
    noted = flags(traces)
    if sentence in noted:
        return traces
    return traces.assign_attrs(flags=json.dumps([*noted, sentence], ensure_ascii=False))


def word_of(name: str) -> Word | None:
    """Return the word for a variable; ``<name>_std`` has the kind of ``<name>``."""
    base = name.removesuffix("_std")
    return WORDS.get(base)


def to_schema(data: xr.Dataset) -> xr.Dataset:
    """Bring every variable from its ``units`` attribute to SI, leaving the input untouched.

    Raises
    ------
    TraceSchemaError
        If a schema word has no unit.
    UnitError
        If its unit is unknown or of the wrong kind.
    """
    converted = {name: _si_variable(str(name), data[name]) for name in data.variables}
    return data.assign_coords({n: v for n, v in converted.items() if n in data.coords}).assign(
        {n: v for n, v in converted.items() if n not in data.coords}
    )


def _si_variable(name: str, variable: xr.DataArray) -> tuple[Any, Any, dict[str, Any]]:
    attrs = dict(variable.attrs)
    if variable.dtype.kind not in "fciu":
        return variable.dims, variable.values, attrs
    word = word_of(name)
    if "units" not in attrs:
        if word is None and name in variable.dims:
            return variable.dims, variable.values, attrs | {"units": "1"}
        raise TraceSchemaError(
            f"variable {name!r} has no unit; give it one, for example units={{{name!r}: "
            f"{(word.unit if word else '1')!r}}}"
        )
    spelled = canonical(attrs["units"])
    found = unit(spelled)
    if name.endswith("_std") and found.level:
        raise TraceSchemaError(
            f"variable {name!r} is an uncertainty in {spelled}, which depends on the level; "
            f"give it in a linear unit such as W"
        )
    values = to_si(variable.values, spelled, word.kind if word else None)
    return variable.dims, values, attrs | {"units": SI_UNITS[UNITS[spelled].kind]}


def check_traces(data: xr.Dataset, *, merge: bool = False) -> InstrumentTraces:
    """Refuse traces that cannot be right; note what is odd but usable.

    Parameters
    ----------
    data : xarray.Dataset
        Variables and coordinates named by schema words, with ``units``.
    merge : bool
        Sort unsorted axes and average points measured twice (flagged); without it they are refused.

    Returns
    -------
    InstrumentTraces
        The same traces in SI.

    Raises
    ------
    TraceSchemaError
        One sentence for each: missing unit, wrong plane or detection, only NaN, non-positive
        incident power, duplicate or unsorted axis, implausible range.
    UnitError
        Unknown unit or one of the wrong kind.
    """
    traces = to_schema(data)
    _check_attributes(traces.attrs)
    for name in traces.variables:
        _check_values(str(name), traces[name].values)
    traces = _check_axes(traces, merge)
    return InstrumentTraces(_note_negative_powers(traces))


def _check_attributes(attrs: Mapping[Any, Any]) -> None:
    for key, allowed in (("plane", PLANES), ("detection", DETECTIONS)):
        value = attrs.get(key)
        if value is None and key == "detection":
            continue
        if value not in allowed:
            raise TraceSchemaError(
                f"{key} is {value!r}; it must be one of {', '.join(allowed)}: say which, "
                f"for example {key}={allowed[0]!r}"
            )


def _check_values(name: str, values: Any) -> None:
    word = word_of(name)
    if word is None or values.dtype.kind not in "fciu":
        return
    if values.size == 0 or not np.isfinite(values).any():
        raise TraceSchemaError(f"{name!r} holds no finite number; nothing can be fitted to it")
    finite = values[np.isfinite(values)]
    if np.iscomplexobj(values) and not word.complex:
        raise TraceSchemaError(f"{name!r} is complex, but a real quantity is wanted")
    if name.endswith("_std"):
        if (finite <= 0).any():
            raise TraceSchemaError(
                f"{name!r} holds {int((finite <= 0).sum())} values that are not positive; "
                f"leave out an uncertainty that is not known"
            )
    elif name == "incident_power":
        _check_incident(finite)
    elif name == "frequency":
        _check_range(name, finite, _FREQUENCY_RANGE, "1 kHz to 1.1 THz", "GHz taken for Hz")


def _check_incident(values: Any) -> None:
    if (values <= 0).any():
        raise TraceSchemaError(
            f"incident_power holds {int((values <= 0).sum())} values that are not positive; "
            f"if they are dBm, say units={{'incident_power': 'dBm'}}"
        )
    _check_range(
        "incident_power", values, _POWER_RANGE, "−200 dBm to +30 dBm", "dBm taken for W or mW"
    )


def _check_range(
    name: str, values: Any, limits: tuple[float, float], text: str, mistake: str
) -> None:
    # A hair of slack: 30 dBm written in dBm becomes 1.0000000000000002 W.
    low, high = limits[0] * (1 - 1e-9), limits[1] * (1 + 1e-9)
    if values.min() < low or values.max() > high:
        raise TraceSchemaError(
            f"{name} runs from {values.min():.6g} to {values.max():.6g} {WORDS[name].unit}, "
            f"outside {text}; the likely mistake is the unit ({mistake}): check "
            f"units={{{name!r}: …}}"
        )


def _check_axes(traces: xr.Dataset, merge: bool) -> xr.Dataset:
    for dim in traces.dims:
        if dim not in traces.coords or traces[dim].dtype.kind not in "fiu":
            continue
        steps = np.diff(traces[dim].values)
        if (steps > 0).all() or ((steps < 0).all() and not merge):
            continue
        if not np.isfinite(traces[dim].values).all():
            raise TraceSchemaError(f"axis {dim!r} holds NaN; drop those points first")
        if not merge:
            kind = "holds points measured twice" if (steps == 0).any() else "is not sorted"
            raise TraceSchemaError(
                f"axis {dim!r} {kind}; pass merge=True (command line: --merge) to sort it and "
                f"average repeated points"
            )
        traces = _merge_axis(traces, str(dim))
    return traces


def _merge_axis(traces: xr.Dataset, dim: str) -> xr.Dataset:
    before = traces.sizes[dim]
    units = {name: dict(traces[name].attrs) for name in traces.variables}
    squared = {n: traces[n] ** 2 for n in traces.data_vars if str(n).endswith("_std")}
    merged = traces.groupby(dim).mean()
    for name, square in squared.items():  # the error of a mean of n, not the mean error
        groups = square.groupby(dim)
        merged[name] = (groups.mean() / groups.count()) ** 0.5
    merged = merged.transpose(*traces.dims)
    for name, attrs in units.items():
        merged[name].attrs = attrs
    merged.attrs = dict(traces.attrs)
    return with_flag(
        merged,
        f"axis {dim!r} was sorted; {before - merged.sizes[dim]} repeated points were averaged",
    )


def _note_negative_powers(traces: xr.Dataset) -> xr.Dataset:
    for name in ("reflected_power", "transmitted_power", "absorbed_power"):
        if name in traces:
            count = int((traces[name].values < 0).sum())
            if count:
                traces = with_flag(traces, f"{count} values of {name} are negative (noise); kept")
    return traces
