"""Named errors of inputs and observables: how large, and which values share one and the same."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Any, TypeVar

from powercal.errors import TraceSchemaError, unknown_name
from powercal.schema import WORDS, DeviceTraces, InstrumentTraces

if TYPE_CHECKING:
    import xarray as xr

Traces = TypeVar("Traces", InstrumentTraces, DeviceTraces)

ATTRIBUTE = "error_sources"

# Rows of a budget that a fit makes by itself; a named source must not be taken for one of them.
NOISE = "noise"
ATTENUATION, GAIN = "attenuation", "gain"
LINE = "attenuation and gain (one measurement)"
CALIBRATION, REFERENCE = "population calibration", "reference noise"
CHOICE = "choice of "
_TAKEN = (NOISE, ATTENUATION, GAIN, LINE, CALIBRATION, REFERENCE)


@dataclass(frozen=True, slots=True)
class ErrorSource:
    """A named standard uncertainty of an input or an observable.

    Attributes
    ----------
    name : str
        Under which it stands in the uncertainty budget, for example ``"power meter"``.
    on : str
        The word of the schema that it acts on: ``incident_power``, ``absorbed_power``,
        ``frequency``, ``reflection``, ``time``, …
    relative : float, optional
        Of the value itself; of complex data in amplitude and, by a draw of its own, in phase.
    absolute : float, optional
        In the SI unit of the word; of complex data of each quadrature.
    correlated : bool or str
        Whether all values share one draw (True) or each has its own (False); the name of a
        dimension: one draw for every index along it, shared by the rest.

    Raises
    ------
    TraceSchemaError
        Not exactly one size, one that is not positive, or a name that a budget uses already.
    UnknownNameError
        No such word.

    Examples
    --------
    >>> ErrorSource("power meter", "incident_power", relative=0.02).correlated
    True
    """

    name: str
    on: str
    relative: float | None = None
    absolute: float | None = None
    correlated: bool | str = True

    def __post_init__(self) -> None:
        said = f"the error source {self.name!r}"
        if not self.name or self.name in _TAKEN or self.name.startswith(CHOICE):
            raise TraceSchemaError(
                f"{said} has a name that the budget uses itself or none at all; call it after what "
                f"causes it, for example 'power meter'"
            )
        if self.on not in WORDS:
            raise unknown_name(f"schema word ({said})", self.on, WORDS)
        sizes = [size for size in (self.relative, self.absolute) if size is not None]
        if len(sizes) != 1 or not (isfinite(sizes[0]) and sizes[0] > 0):
            raise TraceSchemaError(
                f"{said} has relative={self.relative!r} and absolute={self.absolute!r}; give one "
                f"of the two, a standard uncertainty > 0"
            )


def with_errors(traces: Traces, *sources: ErrorSource) -> Traces:
    """Attach named errors to traces; every fit marginalises them and lists them in its budget.

    Parameters
    ----------
    traces : InstrumentTraces or DeviceTraces
        The traces. Errors of single values that they hold as ``<name>_std`` stay what they are.
    *sources : ErrorSource
        Each with a name of its own; they are independent of each other.

    Returns
    -------
    InstrumentTraces or DeviceTraces
        The same data; selections, fits of each index, reports and rebuilt problems keep the
        sources.

    Raises
    ------
    TraceSchemaError
        A quantity or dimension that the traces do not have, or a name given twice.

    Examples
    --------
    >>> from powercal.simulation import simulate
    >>> traces = simulate("power_balance", {"gamma_1": 1e6, "n_th": 0.05}, seed=0,
    ...     inputs={"excited_population": [0.1, 0.3], "frequency": 5e9})
    >>> meter = ErrorSource("power meter", "absorbed_power", relative=0.02)
    >>> [source.name for source in sources_of(with_errors(traces, meter))]
    ['power meter']
    """
    every = [*sources_of(traces)]
    for source in sources:
        if source.name in {known.name for known in every}:
            raise TraceSchemaError(
                f"the error source {source.name!r} is given twice; join them or give each its name"
            )
        _check(traces, source)
        every.append(source)
    found: Traces = _carrying(traces, every)
    return found


def _check(traces: xr.Dataset, source: ErrorSource) -> None:
    if source.on not in traces.variables:
        held = ", ".join(str(n) for n in traces.variables if n in WORDS)
        raise TraceSchemaError(
            f"the error source {source.name!r} acts on {source.on}, which these traces do not "
            f"hold; they hold {held}: name one of these"
        )
    if isinstance(source.correlated, str) and source.correlated not in traces.dims:
        raise TraceSchemaError(
            f"the error source {source.name!r} is shared per {source.correlated!r}; "
            f"{unknown_name('dimension', source.correlated, map(str, traces.dims))}"
        )


def sources_of(traces: xr.Dataset) -> tuple[ErrorSource, ...]:
    """Return the named errors that traces carry.

    Raises
    ------
    TraceSchemaError
        The attribute holds something else.
    """
    text = traces.attrs.get(ATTRIBUTE, "[]")
    try:
        return tuple(ErrorSource(**entry) for entry in json.loads(text))
    except (TypeError, ValueError) as reason:
        raise TraceSchemaError(
            f"the attribute {ATTRIBUTE} is damaged ({reason}); drop it and use with_errors again"
        ) from reason


def _carrying(traces: xr.Dataset, sources: Iterable[ErrorSource]) -> Any:
    entries = [asdict(source) for source in sources]
    return traces.assign_attrs({ATTRIBUTE: json.dumps(entries, ensure_ascii=False)})


def refuse_averaging(traces: xr.Dataset, dim: str) -> None:
    """Refuse to average over a dimension along which a named error differs.

    Raises
    ------
    TraceSchemaError
        What is left of such an error in the mean is for its owner to say.
    """
    for source in sources_of(traces):
        own = source.correlated is False and dim in traces[source.on].dims
        if own or source.correlated == dim:
            raise TraceSchemaError(
                f"the error source {source.name!r} differs along {dim!r}, which is to be "
                f"averaged; average first, then attach what is left of it with with_errors"
            )


def after_reference(traces: xr.Dataset, name: str, target: str) -> xr.Dataset:
    """Let errors of a signal become those of its ratio to a reference: relative ones stay so.

    Raises
    ------
    TraceSchemaError
        An absolute error, which means nothing after the division.
    """
    sources = sources_of(traces)
    if not any(source.on == name for source in sources):
        return traces
    moved = []
    for source in sources:
        if source.on == name and source.absolute is not None:
            raise TraceSchemaError(
                f"the error source {source.name!r} is absolute, but {name} is divided by a "
                f"reference; give it relative, or attach it after to_device_plane"
            )
        on = target if source.on == name else source.on
        moved.append(replace(source, on=on))
    found: xr.Dataset = _carrying(traces, moved)
    return found
