"""Stacks of traces over powers and frequencies, each row in units of its own sweep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from powercal.models.batch_start import Stack
from powercal.models.line_grid import Measured
from powercal.physics.scattering import Convention, with_convention
from powercal.schema import DeviceTraces

Array = NDArray[Any]
_SAME = 1e-6  # of a sweep: points that agree so well are the same


class Axes(NamedTuple):
    """Least frequency (Hz), span (Hz) and least power (W) of rows, and their points in these units.

    The first three of shape (rows,), the points (rows, points).
    """

    low: Array
    span: Array
    least: Array
    frequency: Array
    power: Array


class Sweep(NamedTuple):
    """Rows that were measured at the same points, in units of each row's own sweep.

    ``columns`` are the points with a known frequency and power, ``frequency`` and ``power`` those
    of them.
    """

    rows: Array
    columns: Array
    frequency: Array
    power: Array


class Rows:
    """One amplitude or power of a stack, with its powers and frequencies."""

    def __init__(
        self, traces: DeviceTraces, name: str, fixed: Mapping[str, Any], convention: Convention
    ) -> None:
        self.stack = Stack(traces, ("incident_power", "frequency", name), fixed)
        self.name, self.convention = name, convention
        self.is_complex = bool(np.iscomplexobj(traces[name].values))

    def axes(self, rows: Array | slice) -> Axes:
        """Return the points of some rows in units of each row's own sweep."""
        frequency = self.stack.flat("frequency", rows)
        power = self.stack.flat("incident_power", rows)
        frequency, power = np.broadcast_arrays(frequency, power)
        known = np.isfinite(frequency) & np.isfinite(power) & (power > 0)
        seen = np.where(known, frequency, np.nan)
        low = np.fmin.reduce(seen, axis=1)
        span = np.maximum(np.fmax.reduce(seen, axis=1) - low, 1.0)
        least = np.fmin.reduce(np.where(known, power, np.nan), axis=1)
        count = np.arange(self.stack.size)[rows].size
        points = (seen - low[:, None]) / span[:, None], power / least[:, None]
        low, span, least = (np.broadcast_to(a, count) for a in (low, span, least))
        return Axes(low, span, least, *points)

    def measured(self, sweep: Sweep, rows: Array, columns: Array | None = None) -> Measured:
        """Return some rows, at some of the sweep's columns."""
        at = sweep.columns if columns is None else sweep.columns[columns]
        values = self._columns(self.name, rows, at)
        if self.is_complex:
            values = with_convention(values, self.convention)
        else:
            values = values / self._columns("incident_power", rows, at)
        values = np.broadcast_to(values, (len(rows), at.size))
        held = np.isfinite(values)
        if held.all():
            held = np.ones((1, at.size))
        else:
            values, held = np.where(held, values, 0.0), held.astype(float)
        axes = (sweep.power, sweep.frequency)
        power, frequency = axes if columns is None else (a[columns] for a in axes)
        return Measured(power, frequency, values, held)

    def _columns(self, name: str, rows: Array, at: Array) -> Array:
        values = self.stack.flat(name, rows)
        return values if values.shape[1] == at.size else values[:, at]


def sweeps(data: Rows) -> Iterator[Sweep]:
    """Sort the rows by the points at which they were measured."""
    stack, found = data.stack, _Found([], [])
    shared = stack.shares("frequency") and stack.shares("incident_power")
    tiles = [slice(0, 1)] if shared else stack.tiles()
    places = np.concatenate([_sorted(data.axes(rows), found) for rows in tiles])
    places = np.broadcast_to(places, stack.size)
    for place, (frequency, power) in enumerate(zip(*found, strict=True)):
        columns = np.flatnonzero(np.isfinite(frequency) & np.isfinite(power) & (power > 0))
        if columns.size:
            rows = np.flatnonzero(places == place)
            yield Sweep(rows, columns, frequency[columns], power[columns])


class _Found(NamedTuple):
    """Points met so far."""

    frequency: list[Array]
    power: list[Array]


def _sorted(axes: Axes, found: _Found) -> Array:
    """Return which of the points met so far, or of those new here, every row was measured at."""
    place, known = np.full(len(axes.low), -1), 0
    while (place < 0).any():
        if known == len(found.power):
            new = int(np.argmax(place < 0))
            found.frequency.append(axes.frequency[new])
            found.power.append(axes.power[new])
        left = np.flatnonzero(place < 0)
        close = [
            np.isclose(mine[left], theirs[known], rtol=_SAME, atol=_SAME, equal_nan=True)
            for mine, theirs in ((axes.frequency, found.frequency), (axes.power, found.power))
        ]
        same = np.asarray((close[0] & close[1]).all(axis=1))
        if known == len(found.power) - 1 and not same.any():
            same[0] = True  # what is like nothing, itself included
        place[left[same]] = known
        known += 1
    return place
