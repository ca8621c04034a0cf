"""Errors that many points share, or that sit on an axis, as columns to be marginalised."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.errors import FitError
from powercal.fitting.grid import Grid
from powercal.fitting.named_errors import (
    Group,
    Kept,
    Shared,
    axis_error,
    level_error,
    level_modes,
    per_value,
    stacked,
)
from powercal.fitting.problem import Problem
from powercal.schema import DeviceTraces
from powercal.sources import CALIBRATION, REFERENCE, sources_of

FloatArray = NDArray[np.float64]
_MOST = 3000
_THROUGH = ("reflection", "transmission", "reflected_power", "transmitted_power")


@dataclass(frozen=True)
class CommonErrors:
    """Which points share which error.

    Attributes
    ----------
    inputs : mapping of (element index per point, σ per element)
        Errors of inputs from ``<input>_std``: an element is one measured value, used by one point
        or by many.
    reference : (weights, noise, complex) or None
        Interpolation weights (points × reference points) and relative noise per reference point.
    scale : (low, σ_low, high, σ_high) or None
        Populations that calibration points were assumed to have, and the errors of those points.
    axes, levels : tuple of Shared
        All errors of inputs, those of ``inputs`` first; the named errors of observables.
    unused : tuple of str
        Named errors that do not act on what is fitted.
    """

    inputs: dict[str, Kept]
    reference: tuple[FloatArray, FloatArray, bool] | None
    scale: tuple[float, float, float, float] | None = None
    axes: tuple[Shared, ...] = ()
    levels: tuple[Shared, ...] = ()
    unused: tuple[str, ...] = ()

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return bool(self.groups)

    @property
    def named(self) -> tuple[str, ...]:
        """The names of the sources that with_errors attached and that act here."""
        return tuple(s.name for s in (*self.axes, *self.levels) if s.stated)

    @property
    def uncertain_inputs(self) -> tuple[str, ...]:
        """The inputs that carry errors."""
        return tuple(dict.fromkeys(s.on for s in self.axes))

    @property
    def groups(self) -> tuple[Group, ...]:
        """The sources in the order of the columns of :meth:`modes`."""
        widths = [(s.name, s.independent, s.count) for s in self.axes]
        if self.reference is not None:
            _, noise, is_complex = self.reference
            widths.append((REFERENCE, False, noise.size * (2 if is_complex else 1)))
        if self.scale is not None:
            widths.append((CALIBRATION, False, 2))
        widths += [(s.name, s.independent, s.count * s.parts) for s in self.levels]
        ends = np.cumsum([0, *(width for _, _, width in widths)])
        return tuple(
            Group(name, statistical, slice(int(first), int(last)))
            for (name, statistical, _), first, last in zip(widths, ends[:-1], ends[1:], strict=True)
        )

    def modes(self, problem: Problem, x: FloatArray) -> FloatArray | None:
        """Return one column per error: what one standard deviation of it does to the rows."""
        columns = self._axis_modes(problem, x) if self.axes else []
        curves = problem.predict(x) if len(self.groups) > len(self.axes) else []
        if self.reference is not None:
            columns.append(self._reference_modes(problem, curves))
        if self.scale is not None:
            columns.append(self._scale_modes(problem, curves))
        columns += [level_modes(problem, curves, s) for s in self.levels]
        return np.concatenate(columns, axis=1) if columns else None

    def _axis_modes(self, problem: Problem, x: FloatArray) -> list[FloatArray]:
        tables = problem.model_derivatives(x)
        inputs, loss, gain = problem._line_inputs(x)
        out = []
        for s in self.axes:
            chain = loss if s.on == "incident_power" else 1.0
            parts = []
            for b in problem.blocks:
                factor = gain if problem.power_observables[b.index] else 1.0
                slope = np.broadcast_to(tables[b.index].get(s.on, 0.0), inputs[0].shape)[b.points]
                column = s.columns(b.points, slope * chain * factor * s.size[b.points])
                parts.append(stacked(column, b.complex))
            out.append(np.concatenate(parts))
        return out

    def _reference_modes(self, problem: Problem, curves: list[NDArray[Any]]) -> FloatArray:
        """R = V/V_ref: an error ε of the reference turns r into r(1 − ε), for all powers alike."""
        assert self.reference is not None
        weights, noise, is_complex = self.reference
        parts = []
        for b, curve in zip(problem.blocks, curves, strict=True):
            share = weights[b.points] * noise
            if b.complex:
                real = -curve[:, None] * share
                parts.append(stacked(np.concatenate([real, 1j * real], axis=1), True))
                continue
            acts = -curve.real[:, None] * share * (2.0 if is_complex else 1.0)
            acts = acts if b.name in ("reflected_power", "transmitted_power") else 0 * acts
            parts.append(np.concatenate([acts, 0 * acts], axis=1) if is_complex else acts)
        return np.concatenate(parts)

    def _scale_modes(self, problem: Problem, curves: list[NDArray[Any]]) -> FloatArray:
        """An error of the low point acts on populations by their distance from the high one."""
        assert self.scale is not None
        low, of_low, high, of_high = self.scale
        parts = []
        for b, curve in zip(problem.blocks, curves, strict=True):
            share = (curve.real - low) / (high - low)
            acts = np.stack([(1 - share) * of_low, share * of_high], axis=1)
            acts = acts if b.name == "excited_population" else 0 * acts
            parts.append(stacked(acts, b.complex))
        return np.concatenate(parts)

    def relinearise(
        self, problem: Problem, original: Problem, x: FloatArray
    ) -> tuple[Problem, FloatArray | None]:
        """Move inputs to their best values and return the problem there with its modes.

        The curve is straight only near a point; evaluated at the best inputs instead of the
        recorded ones it gives the exact least squares with errors on both axes. Errors of
        observables act on the curve, not on the data: large data do not get large errors.
        """
        modes = self.modes(problem, x)
        if modes is None or not self.axes:
            return problem, modes
        amplitude = replace(problem, modes=modes).common_amplitudes(problem.data - problem.rows(x))
        inputs, offset = dict(original.inputs), 0
        for s in self.axes:
            mine = amplitude[offset : offset + s.count]
            # At the optimum rows − data = −modes·amplitude: the input moved by +σ·amplitude.
            inputs[s.on] = inputs[s.on] + s.size * mine[s.element]
            offset += s.count
        moved = replace(problem, inputs=inputs)
        modes = self.modes(moved, x)
        assert modes is not None
        shift = modes[:, :offset] @ amplitude[:offset]
        return _with_data(moved, original, shift), modes


def _with_data(problem: Problem, original: Problem, shift: FloatArray) -> Problem:
    """Shift the data so that rows − data means the linearised residual about the moved inputs."""
    blocks, offset = [], 0
    for b, first in zip(problem.blocks, original.blocks, strict=True):
        part = shift[offset : offset + b.size]
        offset += b.size
        half = b.data.size
        moved = part[:half] + 1j * part[half:] if b.complex else part
        blocks.append(replace(b, data=first.data + moved))
    return replace(problem, blocks=tuple(blocks))


# ---- what the traces say ----


def find_common_errors(traces: DeviceTraces, problem: Problem, grid: Grid) -> CommonErrors:
    """Collect errors of inputs, of reference and calibration points, and those with a name.

    Raises
    ------
    FitError
        More shared errors than can be marginalised densely, or a named one that cannot act on
        what is fitted as it is.
    """
    inputs: dict[str, Kept] = {}
    for name in problem.model.inputs:
        if f"{name}_std" in traces and name not in problem.fixed:
            inputs[name] = _elements(traces, f"{name}_std", grid)
    axes = [per_value(name, kept, problem, grid) for name, kept in inputs.items()]
    levels, unused = [], []
    for source in sources_of(traces):
        if source.on in problem.model.inputs:
            axes.append(axis_error(source, traces, problem, grid))
            continue
        level = level_error(source, traces, problem, grid)
        if level is None:
            unused.append(source.name)
        else:
            levels.append(level)
    found = CommonErrors(
        inputs,
        _reference(traces, problem),
        _scale(traces, problem),
        tuple(axes),
        tuple(levels),
        tuple(unused),
    )
    count = found.groups[-1].columns.stop if found.any else 0
    if count > _MOST:
        raise FitError(
            f"{count} uncertain input values and other draws of errors are more than {_MOST}; give "
            f"uncertainties that are shared (per power, say), or bin the data"
        )
    return found


def _scale(traces: DeviceTraces, problem: Problem) -> tuple[float, float, float, float] | None:
    words = ("ground", "ground_std", "excited", "excited_std")
    said = [traces.attrs.get(f"calibration_{word}") for word in words]
    fitted = any(b.name == "excited_population" for b in problem.blocks)
    if not fitted or any(value is None for value in said):
        return None
    low, of_low, high, of_high = (float(value) for value in said if value is not None)
    return low, of_low, high, of_high


def _elements(traces: DeviceTraces, name: str, grid: Grid) -> Kept:
    std = traces[name]
    dims = [d for d in grid.dims if d in std.dims]
    element = np.zeros(int(np.prod(grid.shape)), dtype=np.intp)
    for dim in dims:
        element = element * traces.sizes[dim] + grid.index(dim)
    return element, np.asarray(std.transpose(*dims).values, dtype=float).ravel()


def _reference(
    traces: DeviceTraces, problem: Problem
) -> tuple[FloatArray, FloatArray, bool] | None:
    if "reference_noise" not in traces or "frequency" not in problem.inputs:
        return None
    if not any(b.name in _THROUGH for b in problem.blocks):
        return None
    noise = np.asarray(traces["reference_noise"].values, dtype=float)
    if not (noise > 0).any():
        return None
    axis = np.asarray(traces["reference_frequency"].values, dtype=float)
    frequency = problem.inputs["frequency"]
    right = np.clip(np.searchsorted(axis, frequency), 1, axis.size - 1)
    share = np.clip((frequency - axis[right - 1]) / (axis[right] - axis[right - 1]), 0.0, 1.0)
    weights = np.zeros((frequency.size, axis.size))
    rows = np.arange(frequency.size)
    weights[rows, right - 1] = 1 - share
    weights[rows, right] += share
    used = weights.any(axis=0)
    is_complex = bool(traces["reference_noise"].attrs.get("complex", 1))
    return weights[:, used], noise[used], is_complex
