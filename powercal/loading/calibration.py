"""From a raw signal with calibration points to the population of the excited state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from powercal.errors import TraceSchemaError, unknown_name
from powercal.schema import DeviceTraces, InstrumentTraces, with_flag

if TYPE_CHECKING:
    import xarray as xr

Traces = TypeVar("Traces", InstrumentTraces, DeviceTraces)
CALIBRATION, POINT = "calibration", "calibration_point"


def with_calibration_points(
    traces: Traces,
    *,
    ground: Sequence[int],
    excited: Sequence[int],
    populations: tuple[float, float] = (0.0, 1.0),
    dim: str = "time",
) -> Traces:
    """Turn a raw signal into the population of the excited state by points of known population.

    Complex signals are projected on the straight line from the mean of the ground points to the
    mean of the excited ones; what lies across the line is noise, or no mixture of the two states.

    Parameters
    ----------
    traces : InstrumentTraces or DeviceTraces
        With ``received`` or ``quadrature``, and the calibration points in ``calibration`` along
        ``calibration_point``, or else among the points of the sweep.
    ground, excited : sequence of int
        Which points were taken in the ground and in the excited state: numbers along
        ``calibration_point``, or along `dim`, negative ones from the end.
    populations : tuple of float
        The population of the excited state in both, as assumed.
    dim : str
        The dimension of the sweep.

    Returns
    -------
    InstrumentTraces or DeviceTraces
        ``excited_population`` (with ``excited_population_std`` where the signal had an error) in
        place of the signal and of the calibration points. The noise of the calibration points
        moves all populations together: fits take it from the attributes ``calibration_ground``,
        ``calibration_ground_std`` and so on, and marginalise it.

    Raises
    ------
    TraceSchemaError
        No signal, no such points, points used twice, or both states at the same place.
    """
    signal = _signal(traces)
    data, points = _split(traces, signal, ground, excited, dim)
    low, high = (points.isel({POINT: i}).mean(POINT) for i in _positions(points, ground, excited))
    axis = high - low
    if not (np.isfinite(axis.values) & (np.abs(axis.values) > 0)).all():
        raise TraceSchemaError(
            "the calibration points of the ground and of the excited state lie at the same place, "
            "or hold no number; choose others"
        )
    counts = (len(ground), len(excited))
    found: Traces = _assemble(data, signal, low, axis, counts, populations, dim)
    return found


def _signal(traces: Any) -> str:
    held = [name for name in ("received", "quadrature") if name in traces]
    if len(held) != 1:
        raise TraceSchemaError(
            f"calibration points turn received or quadrature into a population, but the traces "
            f"hold {' and '.join(held) or 'neither'}; keep one of them"
        )
    return held[0]


def _split(
    traces: Any, signal: str, ground: Sequence[int], excited: Sequence[int], dim: str
) -> tuple[Any, xr.DataArray]:
    """Return the sweep by itself, and the calibration points along their own dimension."""
    if CALIBRATION in traces:
        return traces, traces[CALIBRATION]
    if dim not in traces[signal].dims:
        raise TraceSchemaError(f"{unknown_name('dimension', dim, map(str, traces[signal].dims))}")
    size = traces.sizes[dim]
    chosen = {int(i) % size for i in (*ground, *excited) if -size <= int(i) < size}
    sweep = traces.isel({dim: [i for i in range(size) if i not in chosen]})
    return sweep, traces[signal].drop_vars(dim, errors="ignore").rename({dim: POINT})


def _positions(points: xr.DataArray, *chosen: Sequence[int]) -> list[list[int]]:
    size = points.sizes[POINT]
    found = [[int(i) for i in part] for part in chosen]
    flat = [i for part in found for i in part]
    outside = [i for i in flat if not -size <= i < size]
    if outside or not all(found) or len({i % size for i in flat}) < len(flat):
        why = f"there is no point {outside[0]}" if outside else "each state needs points of its own"
        raise TraceSchemaError(
            f"ground={list(chosen[0])} and excited={list(chosen[1])} of {size} points: {why}"
        )
    return found


def _assemble(
    data: Any,
    signal: str,
    low: xr.DataArray,
    axis: xr.DataArray,
    counts: tuple[int, int],
    populations: tuple[float, float],
    dim: str,
) -> Any:
    raw, squared = data[signal], np.abs(axis) ** 2
    span = populations[1] - populations[0]
    share = ((raw - low) * np.conj(axis)).real / squared
    variables = {"excited_population": populations[0] + span * share}
    noise = _noise(raw, dim)
    if f"{signal}_std" in data:
        std = data[f"{signal}_std"] + 0 * raw.real
        variables["excited_population_std"] = abs(span) * std / np.sqrt(squared)
        noise = np.sqrt((std**2).mean(dim))
    common = float(np.fmax.reduce(np.ravel(abs(span) * noise / np.sqrt(squared))))
    errors = [common / np.sqrt(count) for count in counts]
    new = data.drop_vars([n for n in (signal, f"{signal}_std", CALIBRATION) if n in data])
    for name, values in variables.items():
        new[name] = values.transpose(*raw.dims).assign_attrs(units="1")
    assumed = {"ground": populations[0], "excited": populations[1]}
    assumed |= {"ground_std": errors[0], "excited_std": errors[1]}
    new = new.assign_attrs({f"calibration_{name}": value for name, value in assumed.items()})
    return with_flag(new, _told(signal, counts, populations, errors))


def _noise(signal: xr.DataArray, dim: str) -> xr.DataArray:
    """Noise of one point (of each quadrature) from second differences along the sweep."""
    bend = abs(signal.drop_vars(dim, errors="ignore").diff(dim, n=2)) ** 2
    quadratures = 2 if np.iscomplexobj(signal.values) else 1
    return (bend.mean(dim) / 6 / quadratures) ** 0.5


def _told(
    signal: str, counts: tuple[int, int], populations: tuple[float, float], errors: list[float]
) -> str:
    low, high = populations
    return (
        f"excited_population is {signal} on the line from {counts[0]} calibration points with the "
        f"assumed population {low:g} to {counts[1]} with {high:g}; their own noise moves all "
        f"populations together, by {errors[0]:.2g} at {low:g} and by {errors[1]:.2g} at {high:g} "
        f"(standard errors, which fits count)"
    )
