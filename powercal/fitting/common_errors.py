"""Errors that many points share, or that sit on an axis: inputs, reference, calibration points."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from powercal.errors import FitError
from powercal.fitting.grid import Grid
from powercal.fitting.problem import Problem
from powercal.schema import DeviceTraces

FloatArray = NDArray[np.float64]
_MOST = 3000


@dataclass(frozen=True)
class CommonErrors:
    """Which points share which error.

    Attributes
    ----------
    inputs : mapping of (element index per point, σ per element)
        Errors of inputs: an element is one measured value, used by one point or by many.
    reference : (weights, noise, complex) or None
        Interpolation weights (points × reference points) and relative noise per reference point.
    scale : (low, σ_low, high, σ_high) or None
        Populations that calibration points were assumed to have, and the errors of those points.
    """

    inputs: dict[str, tuple[NDArray[np.intp], FloatArray]]
    reference: tuple[FloatArray, FloatArray, bool] | None
    scale: tuple[float, float, float, float] | None = None

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return bool(self.inputs) or self.reference is not None or self.scale is not None

    def modes(self, problem: Problem, x: FloatArray) -> FloatArray | None:
        """Return one column per error: what one standard deviation of it does to the rows."""
        columns = [self._input_modes(problem, x, n) for n in self.inputs]
        if self.reference is not None:
            columns.append(self._reference_modes(problem, x))
        if self.scale is not None:
            columns.append(self._scale_modes(problem, x))
        return np.concatenate(columns, axis=1) if columns else None

    def _input_modes(self, problem: Problem, x: FloatArray, name: str) -> FloatArray:
        element, sigma = self.inputs[name]
        tables = problem.model_derivatives(x)
        inputs, loss, gain = problem._line_inputs(x)
        chain = loss if name == "incident_power" else 1.0
        parts = []
        for b in problem.blocks:
            factor = gain if problem.power_observables[b.index] else 1.0
            slope = np.broadcast_to(tables[b.index].get(name, 0.0), inputs[0].shape)[b.points]
            column = np.zeros((b.points.size, sigma.size), dtype=slope.dtype)
            mine = element[b.points]
            column[np.arange(b.points.size), mine] = slope * chain * factor * sigma[mine]
            parts.append(np.concatenate([column.real, column.imag]) if b.complex else column.real)
        return np.concatenate(parts)

    def _reference_modes(self, problem: Problem, x: FloatArray) -> FloatArray:
        """R = V/V_ref: an error ε of the reference turns r into r(1 − ε), for all powers alike."""
        assert self.reference is not None
        weights, noise, is_complex = self.reference
        parts = []
        for b, curve in zip(problem.blocks, problem.predict(x), strict=True):
            share = weights[b.points] * noise
            if b.complex:
                real = -curve[:, None] * share
                both = np.concatenate([real, 1j * real], axis=1)
                parts.append(np.concatenate([both.real, both.imag]))
                continue
            acts = -curve.real[:, None] * share * (2.0 if is_complex else 1.0)
            acts = acts if b.name in ("reflected_power", "transmitted_power") else 0 * acts
            parts.append(np.concatenate([acts, 0 * acts], axis=1) if is_complex else acts)
        return np.concatenate(parts)

    def _scale_modes(self, problem: Problem, x: FloatArray) -> FloatArray:
        """An error of the low point acts on populations by their distance from the high one."""
        assert self.scale is not None
        low, of_low, high, of_high = self.scale
        parts = []
        for b, curve in zip(problem.blocks, problem.predict(x), strict=True):
            share = (curve.real - low) / (high - low)
            acts = np.stack([(1 - share) * of_low, share * of_high], axis=1)
            acts = acts if b.name == "excited_population" else 0 * acts
            parts.append(np.concatenate([acts, 0 * acts]) if b.complex else acts)
        return np.concatenate(parts)

    def relinearise(
        self, problem: Problem, original: Problem, x: FloatArray
    ) -> tuple[Problem, FloatArray | None]:
        """Move inputs to their best values and return the problem there with its modes.

        The curve is straight only near a point; evaluated at the best inputs instead of the
        recorded ones it gives the exact least squares with errors on both axes.
        """
        modes = self.modes(problem, x)
        if modes is None or not self.inputs:
            return problem, modes
        amplitude = replace(problem, modes=modes).common_amplitudes(problem.data - problem.rows(x))
        inputs, offset = dict(original.inputs), 0
        for name, (element, sigma) in self.inputs.items():
            mine = amplitude[offset : offset + sigma.size]
            # At the optimum rows − data = −modes·amplitude: the input moved by +σ·amplitude.
            inputs[name] = original.inputs[name] + (sigma * mine)[element]
            offset += sigma.size
        moved = replace(problem, inputs=inputs)
        modes = self.modes(moved, x)
        assert modes is not None
        count = sum(s.size for _, s in self.inputs.values())
        shift = modes[:, :count] @ amplitude[:count]
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


def find_common_errors(traces: DeviceTraces, problem: Problem, grid: Grid) -> CommonErrors:
    """Collect the errors of inputs (``<input>_std``) and the noise of the reference trace.

    Raises
    ------
    FitError
        More shared errors than can be marginalised densely.
    """
    inputs: dict[str, tuple[NDArray[np.intp], FloatArray]] = {}
    for name in problem.model.inputs:
        std = f"{name}_std"
        if std not in traces:
            continue
        element, sigma = _elements(traces, std, grid)
        if name in problem.fixed:
            continue
        inputs[name] = (element, sigma)
    reference = _reference(traces, problem)
    count = sum(s.size for _, s in inputs.values())
    count += 0 if reference is None else reference[1].size * (2 if reference[2] else 1)
    if count > _MOST:
        raise FitError(
            f"{count} uncertain input values are more than {_MOST}; give uncertainties that are "
            f"shared (per power, say), or bin the data"
        )
    return CommonErrors(inputs, reference, _scale(traces, problem))


def _scale(traces: DeviceTraces, problem: Problem) -> tuple[float, float, float, float] | None:
    words = ("ground", "ground_std", "excited", "excited_std")
    said = [traces.attrs.get(f"calibration_{word}") for word in words]
    fitted = any(b.name == "excited_population" for b in problem.blocks)
    if not fitted or any(value is None for value in said):
        return None
    low, of_low, high, of_high = (float(value) for value in said if value is not None)
    return low, of_low, high, of_high


def _elements(traces: DeviceTraces, name: str, grid: Grid) -> tuple[NDArray[np.intp], FloatArray]:
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
    through = ("reflection", "transmission", "reflected_power", "transmitted_power")
    if not any(b.name in through for b in problem.blocks):
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
