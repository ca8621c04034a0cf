"""Starting values for a qubit in a line: a grid of shapes, each with its best gain and depth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Parameter
from powercal.errors import FitError
from powercal.models.driven import TWO_PI
from powercal.models.line_grid import (
    Measured,
    Start,
    best_circle,
    best_power,
    best_total,
    broadened,
    grid_of,
)
from powercal.models.line_rates import rates_of
from powercal.models.line_response import Geometry
from powercal.models.line_signals import Signal
from powercal.physics.scattering import Convention, with_convention
from powercal.schema import DeviceTraces

Array = NDArray[Any]
_MOST = 500  # points that the grid looks at


class _Held:
    """What need not be looked for: parameters held by the fit, or fixed by the table."""

    def __init__(self, table: tuple[Parameter, ...], fixed: Mapping[str, float]) -> None:
        self.rows, self.fixed = {row.name: row for row in table}, fixed

    def value(self, name: str) -> float | None:
        """Return the value that it is held at; None where it is looked for."""
        if name in self.fixed:
            return float(self.fixed[name])
        row = self.rows.get(name)
        return None if row is not None and row.vary else float(row.example if row else 0.0)


def guess(
    traces: DeviceTraces,
    fixed: Mapping[str, float],
    *,
    table: tuple[Parameter, ...],
    signals: tuple[Signal, ...],
    geometry: Geometry,
    convention: Convention,
    total: bool,
) -> dict[str, Array]:
    """Start from the best of a grid of centres, widths and saturation powers (and delays).

    Gain, phase and depth enter linearly: every point of the grid gets its best ones.

    Raises
    ------
    FitError
        The traces hold nothing that the model could start from.
    """
    held = _Held(table, fixed)
    # A signal whose gain is looked for is the one that is fitted.
    ordered = sorted(signals, key=lambda s: held.value(s.gain) is not None)
    signal, name = _choose(traces, ordered)
    data = _measured(traces, name, convention)
    start = _search(data, signal, held, total, "sigma_slow" in held.rows)
    found = _around(start, signal, data.is_complex, convention)
    for other in (s for s in signals if s is not signal and s.amplitude in traces):
        if data.is_complex:
            found |= _beside(traces, start, other, held, convention)
    warm = tuple(n for n in ("n_th", "n_line", "n_internal") if n in held.rows)
    found |= rates_of(start, signal, geometry, fixed, warm, total)
    return {n: np.asarray(v) for n, v in found.items() if n in held.rows}


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


def _measured(traces: DeviceTraces, name: str, convention: Convention) -> Measured:
    """Return amplitudes (e^{−iωt}) or powers over the incident one, without gaps."""
    import xarray

    fields = xarray.broadcast(traces["incident_power"], traces["frequency"], traces[name])
    power, frequency, values = (a.values.ravel() for a in fields)
    keep = np.isfinite(values)
    power, frequency, values = power[keep], frequency[keep], values[keep]
    if np.iscomplexobj(values):
        return Measured(power, frequency, with_convention(values, convention))
    return Measured(power, frequency, values / power)


def _search(data: Measured, signal: Signal, held: _Held, total: bool, slow: bool) -> Start:
    delays = _delays(data, signal, held) if data.is_complex else np.zeros(1)
    centre = _centre(data)
    few = data
    if data.power.size > _MOST:  # at random: a stride could see few frequencies at all powers
        some = np.sort(np.random.default_rng(0).permutation(data.power.size)[:_MOST])
        few = Measured(*(column[some] for column in data))

    def best(grid: Any) -> Start:
        if data.is_complex:
            return best_circle(few, grid, delays, signal.background)
        if total:
            return best_total(few, grid, held.value(signal.gain))
        turns = [held.value(signal.turn) if signal.turn else 0.0]
        angles = [-0.3, 0.0, 0.3] if turns[0] is None else [float(turns[0])]
        return best_power(few, grid, angles, held.value(signal.gain), signal.background)

    start = best(grid_of(few, centre))
    if slow:
        start = best(broadened(few, start))
    if signal.background == 0:
        start = _split(start, held.value(signal.gain))
    return start


def _split(start: Start, gain: float | None) -> Start:
    """Without a background only gain times depth is seen."""
    if gain is None:
        return start._replace(rho=0.8, gain=start.gain * start.rho / 0.8)
    return start._replace(rho=start.gain * start.rho / gain, gain=gain)


def _centre(data: Measured) -> float:
    """Return where the level strays most from its usual value, at whatever power."""
    level = np.abs(data.values) ** 2 if data.is_complex else data.values
    away = np.abs(level / np.nanmedian(level) - 1)
    deep = away > 0.3 * np.nanpercentile(away, 99)
    return float(np.average(data.frequency[deep], weights=away[deep] ** 2))


def _delays(data: Measured, signal: Signal, held: _Held) -> NDArray[np.float64]:
    """Delays to try: about the mean turn per step, which the qubit's own turns falsify."""
    known = held.value(signal.delay)
    if known is not None:
        return np.array([known])
    grid = np.unique(data.frequency)
    if grid.size < 3:
        return np.zeros(1)
    step = float(np.median(np.diff(grid)))
    near = np.abs(np.diff(data.frequency) - step) < 0.01 * step
    turn = np.sum((data.values[1:] * np.conj(data.values[:-1]))[near])
    mean = float(np.angle(turn)) / (TWO_PI * step)
    # Of the phase across the sweep; without a background it is the qubit that turns it most.
    turns = np.linspace(-1.5, 1.5, 13) if signal.background else np.linspace(-12.0, 12.0, 49)
    return np.asarray(mean + turns / float(np.ptp(grid)))


def _around(
    start: Start, signal: Signal, is_complex: bool, convention: Convention
) -> dict[str, float]:
    """Return the set-up's parameters by name."""
    sign = -1.0 if convention == "+i" else 1.0
    found = {signal.gain: start.gain, signal.phase: sign * start.phase, signal.delay: start.delay}
    if signal.turn:
        found[signal.turn] = start.turn
    return found if is_complex else found | {signal.phase: 0.0, signal.delay: 0.0}


def _beside(
    traces: DeviceTraces, start: Start, other: Signal, held: _Held, convention: Convention
) -> dict[str, float]:
    """Return the set-up around a second signal, whose line is known from the first."""
    data = _measured(traces, other.amplitude, convention)
    grid = grid_of(data, start.centre, alone=start)
    found = best_circle(data, grid, _delays(data, other, held), other.background)
    if other.background == 0:
        found = _split(found, held.value(other.gain))
    return _around(found, other, True, convention)
