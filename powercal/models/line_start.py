"""Starting values for a qubit in a line: a grid of shapes, each with its best gain and depth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Parameter
from powercal.errors import FitError
from powercal.models.batch_start import row_percentile
from powercal.models.driven import TWO_PI
from powercal.models.line_grid import (
    Grid,
    Measured,
    Start,
    best_circle,
    best_delay,
    best_power,
    best_total,
    broadened,
    grid_across,
    grid_at,
)
from powercal.models.line_rates import rates_of
from powercal.models.line_response import Geometry
from powercal.models.line_rows import Axes, Rows, Sweep, sweeps
from powercal.models.line_signals import Signal
from powercal.physics.scattering import Convention
from powercal.schema import DeviceTraces

Array = NDArray[Any]
_MOST = 256  # points that the grid looks at
_ROWS = 64  # at a time
_PLACES = 128  # where a line's own centre is looked for, across the sweep


class _Held:
    """What need not be looked for: parameters held by the fit, or fixed by the table."""

    def __init__(self, table: tuple[Parameter, ...], fixed: Mapping[str, Any]) -> None:
        self.rows, self.fixed = {row.name: row for row in table}, fixed

    def value(self, name: str) -> Any:
        """Return the value that it is held at; None where it is looked for."""
        if name in self.fixed:
            return self.fixed[name]
        row = self.rows.get(name)
        return None if row is not None and row.vary else float(row.example if row else 0.0)


class _Task(NamedTuple):
    """What is known before any data: the table and the choices."""

    table: tuple[Parameter, ...]
    geometry: Geometry
    convention: Convention
    total: bool


def guess(
    traces: DeviceTraces,
    fixed: Mapping[str, Any],
    *,
    table: tuple[Parameter, ...],
    signals: tuple[Signal, ...],
    geometry: Geometry,
    convention: Convention,
    total: bool,
) -> dict[str, Array]:
    """Start from the best of a grid of centres, widths and saturation powers (and delays).

    Gain, phase and depth enter linearly: every point of the grid gets its best ones. In a stack
    of traces (``attrs["batch_dims"]``) traces over the same points, each in units of its own
    sweep, share the grid.

    Raises
    ------
    FitError
        The traces hold nothing that the model could start from; one without data in a stack is
        NaN.
    """
    held = _Held(table, fixed)
    # A signal whose gain is looked for is the one that is fitted.
    ordered = sorted(signals, key=lambda s: held.value(s.gain) is not None)
    signal, name = _choose(traces, ordered)
    task = _Task(table, geometry, convention, total)
    first = Rows(traces, name, fixed, convention)
    others = []
    if first.is_complex:
        beside = (s for s in signals if s is not signal and s.amplitude in traces)
        others = [(s, Rows(traces, s.amplitude, fixed, convention)) for s in beside]
    found = _all(first, signal, others, task)
    if first.stack.single and np.isnan(found["qubit_frequency"]):
        raise FitError(f"{name} holds no finite value at a known power and frequency")
    return found


def _choose(traces: DeviceTraces, signals: list[Signal]) -> tuple[Signal, str]:
    named = [(s, s.amplitude) for s in signals] + [(s, s.power) for s in signals]
    found = next(((s, n) for s, n in named if n in traces), None)
    if found is None or "incident_power" not in traces or "frequency" not in traces:
        wanted = " or ".join(dict.fromkeys(n for _, n in named))
        raise FitError(
            f"the traces hold {', '.join(map(str, traces.variables))}; this model needs "
            f"incident_power, frequency and {wanted} (a received voltage needs a reference trace "
            f"first)"
        )
    return found


def _all(
    first: Rows, signal: Signal, others: list[tuple[Signal, Rows]], task: _Task
) -> dict[str, Array]:
    """Start every row; rows whose lines stand at the same place share their grid."""
    names = [row.name for row in task.table]

    def found() -> Iterator[tuple[Array, dict[str, Array]]]:
        yield np.zeros(0, dtype=int), dict.fromkeys(names[:1], np.zeros(0))
        for sweep in sweeps(first):
            few = _few(sweep.columns.size)
            like = first.measured(sweep, sweep.rows[:1], few)
            across = grid_across(like)
            places = _places(first, sweep, few)
            for place in np.unique(places[places >= 0]):
                grids = [across, grid_at(like, place / _PLACES)]
                rows = sweep.rows[places == place]
                for some in np.array_split(rows, -(-rows.size // _ROWS)):
                    yield some, _start(first, sweep, some, few, grids, signal, others, task)

    return first.stack.collect(found())


def _few(count: int) -> Array:
    """Choose points at random: a stride could see few frequencies at all powers."""
    return np.sort(np.random.default_rng(0).permutation(count)[:_MOST])


def _places(data: Rows, sweep: Sweep, few: Array) -> Array:
    """Return where every row's level strays most from its usual value; −1 without any value."""
    found = []
    for some in np.array_split(sweep.rows, -(-sweep.rows.size // _ROWS)):
        seen = data.measured(sweep, some)
        level = seen.values.real**2 + seen.values.imag**2 if seen.is_complex else seen.values
        gaps = seen.held == 0
        level = np.where(gaps, np.nan, level) if gaps.any() else level
        away = np.abs(level * (1 / row_percentile(level[:, few], 50)[:, None]) - 1)
        if gaps.any():
            away[gaps] = 0.0
        away *= away > 0.3 * row_percentile(away[:, few], 99)[:, None]
        weight = away * away
        found.append((weight @ seen.frequency) / weight.sum(axis=1))
    centre = np.concatenate(found)
    return np.where(np.isfinite(centre), np.rint(np.nan_to_num(centre) * _PLACES), -1).astype(int)


def _start(
    first: Rows,
    sweep: Sweep,
    rows: Array,
    few: Array,
    grids: list[Grid],
    signal: Signal,
    others: list[tuple[Signal, Rows]],
    task: _Task,
) -> dict[str, Array]:
    """Start rows whose lines stand at the same place."""
    fixed = {name: first.stack.held(name, rows) for name in first.stack.fixed}
    held, names = _Held(task.table, fixed), {row.name for row in task.table}
    axes = first.axes(rows)
    delays = np.zeros((len(rows), 1))
    if first.is_complex:
        delays = _delays(first, sweep, rows, signal, held, axes)
    seen = first.measured(sweep, rows, few)
    line = _search(seen, grids, delays, signal, held, task.total)
    si = _in_si(line, axes)
    found = _around(si, signal, first.is_complex, task.convention)
    for other, data in others:
        delays = _delays(data, sweep, rows, other, held, axes)
        beside = best_delay(data.measured(sweep, rows), line, delays, other.background)
        if other.background == 0:
            beside = _split(beside, held.value(other.gain))
        found |= _around(_in_si(beside, axes), other, True, task.convention)
    warm = tuple(n for n in ("n_th", "n_line", "n_internal") if n in names)
    found |= rates_of(si, signal, task.geometry, fixed, warm, task.total)
    return {n: v for n, v in found.items() if n in names}


def _in_si(line: Start, axes: Axes) -> Start:
    """Return a line in Hz, 1/s, W, rad/s and s."""
    return line._replace(
        centre=axes.low + axes.span * line.centre,
        gamma_2=line.gamma_2 * axes.span,
        knee=line.knee * axes.least,
        sigma=line.sigma * axes.span,
        delay=line.delay / axes.span,
    )


def _search(
    data: Measured, grids: list[Grid], delays: Array, signal: Signal, held: _Held, total: bool
) -> Start:
    def best(some: Measured, grids: list[Grid], rows: Any) -> Start:
        if data.is_complex:
            return best_circle(some, grids, delays[rows], signal.background)
        gain = _of_rows(held.value(signal.gain), rows)
        if total:
            return best_total(some, grids, gain)
        turn = _of_rows(held.value(signal.turn) if signal.turn else 0.0, rows)
        turns = [-0.3, 0.0, 0.3] if turn is None else [turn]
        return best_power(some, grids, turns, gain, signal.background)

    line = best(data, grids, slice(None))
    if "sigma_slow" in held.rows:
        line = _broadened(data, line, best)
    if signal.background == 0:
        line = _split(line, held.value(signal.gain))
    return line


def _of_rows(value: Any, rows: Any) -> Any:
    return value[rows] if np.ndim(value) else value


def _broadened(data: Measured, line: Start, best: Callable[..., Start]) -> Start:
    """Share every row's width out between Γ₂ and slow noise; rows with one line share the grid."""
    keys = np.stack([line.centre, line.gamma_2, line.knee], axis=1)
    lines, place = np.unique(keys, axis=0, return_inverse=True)
    fields = [np.array(field, dtype=float) for field in line]
    for i, (centre, gamma_2, knee) in enumerate(lines):
        rows = np.flatnonzero(place.ravel() == i)
        held = data.held if len(data.held) == 1 else data.held[rows]
        some = data._replace(values=data.values[rows], held=held)
        slow = best(some, [broadened(data, Start(centre, gamma_2, knee, 0.0))], rows)
        for whole, part in zip(fields, slow, strict=True):
            whole[rows] = part
    return Start(*fields)


def _split(line: Start, gain: Any) -> Start:
    """Without a background only gain times depth is seen."""
    if gain is None:
        return line._replace(rho=0.8, gain=line.gain * line.rho / 0.8)
    return line._replace(rho=line.gain * line.rho / gain, gain=gain)


def _delays(
    data: Rows, sweep: Sweep, rows: Array, signal: Signal, held: _Held, axes: Axes
) -> Array:
    """Delays to try (rows, number), times the span: about the mean turn per step.

    The qubit's own turns falsify that mean.
    """
    known = held.value(signal.delay)
    if known is not None:
        return np.asarray(known * axes.span)[:, None]
    grid = np.unique(sweep.frequency)
    if grid.size < 3:
        return np.zeros((len(rows), 1))
    step = float(np.median(np.diff(grid)))
    near = np.abs(np.diff(sweep.frequency) - step) < 0.01 * step
    values = data.measured(sweep, rows).values
    turn = np.sum(values[:, 1:][:, near] * np.conj(values[:, :-1][:, near]), axis=1)
    mean = np.angle(turn) / (TWO_PI * step)
    # Of the phase across the sweep; without a background it is the qubit that turns it most.
    turns = np.linspace(-1.5, 1.5, 13) if signal.background else np.linspace(-12.0, 12.0, 49)
    return np.asarray(mean[:, None] + turns)


def _around(
    start: Start, signal: Signal, is_complex: bool, convention: Convention
) -> dict[str, Any]:
    """Return the set-up's parameters by name."""
    sign = -1.0 if convention == "+i" else 1.0
    found = {signal.gain: start.gain, signal.phase: sign * start.phase, signal.delay: start.delay}
    if signal.turn:
        found[signal.turn] = start.turn
    return found if is_complex else found | {signal.phase: 0.0, signal.delay: 0.0}
