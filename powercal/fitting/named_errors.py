"""One named error on the grid of a fit: which draw acts on a point, and what it does there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from powercal.errors import FitError
from powercal.fitting.grid import Grid
from powercal.fitting.problem import Problem
from powercal.schema import DeviceTraces
from powercal.sources import ErrorSource

FloatArray = NDArray[np.float64]
Kept = tuple[NDArray[np.intp], FloatArray]


@dataclass(frozen=True)
class Shared:
    """One error on the grid: which draw acts on a point, and how much one deviation of it is.

    Attributes
    ----------
    name, on : str
        What it is called in a budget; the word that it acts on.
    element, size : ndarray, one per point of the grid
        The number of the draw, and one standard deviation (SI, or relative to the curve).
    count, parts : int
        Number of draws; 2 parts where real and imaginary part each have their own.
    relative : bool
        Whether ``size`` is relative to the curve (observables; of inputs it never is).
    independent : bool
        Whether more values would bring new draws.
    stated : bool
        Whether a person named it (with_errors), rather than the data by ``<name>_std``.
    """

    name: str
    on: str
    element: NDArray[np.intp]
    size: FloatArray
    count: int
    parts: int = 1
    relative: bool = False
    independent: bool = True
    stated: bool = False

    def columns(self, points: NDArray[np.intp], effect: NDArray[Any]) -> NDArray[Any]:
        """Lay the effect on each point out in the column of its draw."""
        out = np.zeros((points.size, self.count), dtype=effect.dtype)
        out[np.arange(points.size), self.element[points]] = effect
        return out


class Group(NamedTuple):
    """The columns that belong to one source."""

    name: str
    statistical: bool
    columns: slice


def stacked(columns: NDArray[Any], is_complex: bool) -> FloatArray:
    """Lay columns out as stacked real rows."""
    return np.concatenate([columns.real, columns.imag]) if is_complex else columns.real


def level_modes(problem: Problem, curves: list[NDArray[Any]], s: Shared) -> FloatArray:
    """What a named error of an observable does; of |r|² it does twice what it does to |r|."""
    parts = []
    for b, curve in zip(problem.blocks, curves, strict=True):
        effect = s.size[b.points] * (curve if s.relative else np.ones_like(curve))
        columns = s.columns(b.points, effect if b.name == s.on else 0 * effect)
        if s.parts == 2:
            turned = 1j * columns if b.complex else 0 * columns
            columns = np.concatenate([columns, turned], axis=1)
        parts.append(stacked(columns, b.complex))
    return np.concatenate(parts)


def per_value(name: str, kept: Kept, problem: Problem, grid: Grid) -> Shared:
    """Return the errors of an input that its data state value by value."""
    element, sigma = kept
    size = sigma[element] * _shape(name, problem, grid)
    return Shared(f"{name} (per point)", name, element, size, sigma.size)


def _shape(name: str, problem: Problem, grid: Grid) -> FloatArray | float:
    """What the known shape of a tabulated line does to the input between record and curve."""
    return problem.inputs[name] / grid.inputs[name] if name == "incident_power" else 1.0


def axis_error(source: ErrorSource, traces: DeviceTraces, problem: Problem, grid: Grid) -> Shared:
    """Return a named error of an input."""
    if source.relative is not None:
        size = source.relative * np.abs(problem.inputs[source.on])
    else:
        size = np.full(int(np.prod(grid.shape)), source.absolute)
        size = size * _shape(source.on, problem, grid)
    element, count = _draws(source, traces, grid)
    return _named(source, element, size, count)


def _named(
    source: ErrorSource, element: NDArray[np.intp], size: FloatArray, count: int, **more: Any
) -> Shared:
    independent = source.correlated is not True and count > 1
    return Shared(
        source.name,
        source.on,
        element,
        size,
        count,
        independent=independent,
        stated=True,
        **more,
    )


def level_error(
    source: ErrorSource, traces: DeviceTraces, problem: Problem, grid: Grid
) -> Shared | None:
    """Return a named error of an observable; None where that is not fitted."""
    names = {b.name: b for b in problem.blocks}
    squared = source.on == "reflection" and source.on not in traces and "reflected_power" in names
    if source.on not in traces and not squared:
        raise FitError(
            f"the error source {source.name!r} acts on {source.on}, which the traces do not hold "
            f"any more; attach it with with_errors to what became of it"
        )
    if squared and source.relative is None:
        raise FitError(
            f"the error source {source.name!r} is an absolute one of reflection, but its power is "
            f"fitted; give it relative"
        )
    block = names.get("reflected_power" if squared else source.on)
    if block is None:
        return None
    element, count = _draws(source, traces, grid)
    if not block.given_sigma and np.unique(element[block.points]).size == block.points.size:
        raise FitError(
            f"the error source {source.name!r} is another one at every point, and so is the noise "
            f"of {block.name}, whose σ is taken from the scatter of both; leave the source out, or "
            f"give the noise by itself (sigma=…, --sigma)"
        )
    size = np.full(element.size, source.relative or source.absolute, dtype=float)
    parts = 2 if block.complex else 1
    relative = source.relative is not None
    if squared:
        source, size = replace(source, on=block.name), 2 * size
    return _named(source, element, size, count, parts=parts, relative=relative)


def _draws(source: ErrorSource, traces: DeviceTraces, grid: Grid) -> tuple[NDArray[np.intp], int]:
    """Return the number of the draw that acts on every point, and how many there are."""
    if source.correlated is False:
        dims = traces[source.on].dims if source.on in traces.variables else grid.dims
    else:
        dims = (source.correlated,)
    element, count = np.zeros(int(np.prod(grid.shape)), dtype=np.intp), 1
    for dim in (d for d in grid.dims if d in dims):
        element = element * traces.sizes[dim] + grid.index(dim)
        count *= traces.sizes[dim]
    return element, count
