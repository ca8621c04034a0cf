"""From a dataset to arrays of fits: which dimensions are fits, which are points, block by block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Model, Parameter
from powercal.errors import FitError
from powercal.fitting.batch.problem import Axis, BatchProblem, Observed
from powercal.fitting.build import Table, powers_of, trace_index, with_shape_of_line
from powercal.fitting.grid import Grid
from powercal.line import line_of
from powercal.schema import DeviceTraces

if TYPE_CHECKING:
    import xarray as xr

FloatArray = NDArray[np.float64]
BLOCK_POINTS = 2_000_000  # of one array in memory at a time: 16 MB
WORKER_FITS = 2048  # of one block for a worker process: enough to fill its slots


@dataclass(frozen=True)
class Layout:
    """The dimensions over which fits are repeated, and those of one fit, with their sizes."""

    over: tuple[str, ...]
    over_shape: tuple[int, ...]
    inner: tuple[str, ...]
    inner_shape: tuple[int, ...]

    @property
    def fits(self) -> int:
        """Number of fits."""
        return int(np.prod(self.over_shape))

    @property
    def points(self) -> int:
        """Number of points of one fit."""
        return int(np.prod(self.inner_shape))

    def blocks(self, most: int | None = None) -> Iterator[tuple[int, int]]:
        """Yield ranges of the first of the repeated dimensions that fit into memory.

        ``most`` is how many fits a block may have, whatever the number of workers: the same
        blocks, the same bits.
        """
        length = self.over_shape[0]
        each = max(self.points * self.fits // max(length, 1), 1)
        step = max(1, BLOCK_POINTS // each)
        if most is not None:
            step = max(1, min(step, most * length // max(self.fits, 1)))
        for start in range(0, length, step):
            yield start, min(start + step, length)

    def part(self, start: int, stop: int) -> Layout:
        """Return the layout of one block."""
        return Layout(self.over, (stop - start, *self.over_shape[1:]), self.inner, self.inner_shape)


def lay_out(
    traces: xr.Dataset, model: Model, names: tuple[str, ...], over: tuple[str, ...]
) -> Layout:
    """Decide which dimensions are fits.

    Raises
    ------
    FitError
        A dimension that the data do not have, none at all, or one that no input of the model has.
    """
    missing = [n for n in model.inputs if n not in traces.variables]
    if missing:
        raise FitError(
            f"the traces lack {', '.join(missing)}, which model {model.name!r} needs; add it to "
            f"the traces"
        )
    observed = dict.fromkeys(str(d) for n in names for d in traces[n].dims)
    consumed = dict.fromkeys(str(d) for n in model.inputs for d in traces[n].dims)
    for dim in over:
        if dim not in {**observed, **consumed}:
            raise FitError(
                f"the data have no dimension {dim!r}; they have {', '.join(observed)}: choose "
                f"over=(...) from these"
            )
    over = over or tuple(d for d in observed if d not in consumed)
    if not over:
        raise FitError(
            f"model {model.name!r} takes every dimension of the data ({', '.join(observed)}) into "
            f"one fit; say over=(...) for the dimension that holds one fit each, or use fit"
        )
    inner = tuple(d for d in observed if d not in over)
    inner += tuple(sorted(set(consumed) - {*inner, *over}))
    strange = [d for d in inner if d not in consumed]
    if strange:
        raise FitError(
            f"the data have the dimension {strange[0]!r}, which model {model.name!r} does not "
            f"consume; name it in over=(...) too"
        )
    return Layout(
        over,
        tuple(traces.sizes[d] for d in over),
        inner,
        tuple(traces.sizes[d] for d in inner),
    )


def flat(array: xr.DataArray, layout: Layout) -> NDArray[Any]:
    """Return an array as (fits or 1, points or 1)."""
    over = [d for d in layout.over if d in array.dims]
    inner = [d for d in layout.inner if d in array.dims]
    values = array.transpose(*over, *inner).values
    shape = [n if d in over else 1 for d, n in zip(layout.over, layout.over_shape, strict=True)]
    shape += [n if d in inner else 1 for d, n in zip(layout.inner, layout.inner_shape, strict=True)]
    values = values.reshape(shape)
    count = len(layout.over)
    full = list(shape)
    if over:
        full[:count] = layout.over_shape
    if inner:
        full[count:] = layout.inner_shape
    values = np.broadcast_to(values, full)
    return values.reshape(int(np.prod(full[:count])), int(np.prod(full[count:])))


def batch_problem(
    traces: DeviceTraces,
    model: Model,
    names: tuple[str, ...],
    table: Table,
    layout: Layout,
    held: Mapping[str, Any],
    start: FloatArray,
    sigma: Mapping[str, float],
) -> BatchProblem:
    """Build the problem of one block that is in memory.

    Parameters
    ----------
    traces, model, names, table, layout
        The data, the configured model, what is fitted, the parameters, the block's layout.
    held : mapping
        Fixed parameters: numbers, or arrays with one number per fit.
    start : ndarray
        (fits, free parameters), SI.
    sigma : mapping
        Standard deviations that the user gave.
    """
    inputs = {n: np.asarray(flat(traces[n], layout), dtype=float) for n in model.inputs}
    line = line_of(traces)
    if line is not None and "incident_power" in inputs:
        inputs["incident_power"] = with_shape_of_line(line, inputs)
    observed = tuple(_observed(traces, model, n, layout, sigma) for n in names)
    rows = {r.name: r for r in table.rows}
    return BatchProblem(
        model=model,
        inputs=_usable(inputs, observed),
        observed=observed,
        axes=tuple(_axis(rows[n]) for n in table.free),
        start=start,
        fixed=held,
        priors=table.priors,
        attenuation=table.attenuation,
        gain=table.gain,
        referenced=traces.attrs.get("setup") == "referenced" and table.attenuation,
        power_observables=powers_of(model),
        rows=_rows(layout),
        each=frozenset(n for n in model.inputs if set(traces[n].dims) & set(layout.over)),
    )


def _axis(row: Parameter) -> Axis:
    return Axis(row.name, row.scale == "log", float(row.min), float(row.max))


def _rows(layout: Layout) -> NDArray[np.intp] | None:
    index = trace_index(Grid(layout.inner, layout.inner_shape, {}))
    return np.asarray(index) if index.any() else None


def _observed(
    traces: DeviceTraces, model: Model, name: str, layout: Layout, sigma: Mapping[str, float]
) -> Observed:
    data = np.array(np.broadcast_to(flat(traces[name], layout), (layout.fits, layout.points)))
    said: FloatArray | None = None
    if name in sigma:
        said = np.full((1, 1), float(sigma[name]))
    elif f"{name}_std" in traces:
        said = np.asarray(flat(traces[f"{name}_std"], layout).real, dtype=float)
        bad = ~np.isfinite(said)
        if bad.any():  # a point without its error is no datum
            data[np.broadcast_to(bad, data.shape)] = np.nan
            said = np.where(bad, 1.0, said)
    return Observed(name, model.observables.index(name), data, said, said is not None)


def _usable(
    inputs: Mapping[str, FloatArray], observed: tuple[Observed, ...]
) -> dict[str, FloatArray]:
    """Blank data at points whose shared input is not finite, and give those a harmless value."""
    kept = dict(inputs)
    for name, array in inputs.items():
        bad = ~np.isfinite(array)
        if bad.any() and (array.shape[0] == 1 or array.shape[1] == 1):
            for o in observed:
                o.data[np.broadcast_to(bad, o.data.shape)] = np.nan
            kept[name] = np.where(bad, np.nanmean(array) if not bad.all() else 1.0, array)
    return kept
