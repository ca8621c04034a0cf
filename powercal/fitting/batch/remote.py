"""Blocks of a batch in worker processes: data go in and results come out as plain arrays."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from powercal.errors import FitError
from powercal.fitting.batch import layout as layouts
from powercal.fitting.batch.descent import NOT_TRIED
from powercal.fitting.batch.layout import Layout
from powercal.fitting.batch.verdicts import CODE
from powercal.schema import DeviceTraces

if TYPE_CHECKING:
    import xarray as xr

Arrays = Mapping[str, NDArray[Any]]
FUNCTION = "powercal.fitting.batch.remote:fit_rows"
_WORDS = "described"
_ROWS = "rows of the file"


def pack(dataset: xr.Dataset, dim: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Return a dataset as arrays, cut along a dimension by their first axis, and their names."""
    arrays, words = {}, {}
    for key, variable in dataset.variables.items():
        name = str(key)
        along = dim in variable.dims
        order = (dim, *(d for d in variable.dims if d != dim)) if along else variable.dims
        values = variable.transpose(*order).values
        arrays[name] = values if along else values[None]
        words[name] = {
            "dims": list(order),
            "attrs": {k: _plain(v) for k, v in variable.attrs.items()},
            "along": along,
            "coordinate": key in dataset.coords,
        }
    return arrays, {"variables": words, "attrs": {k: _plain(v) for k, v in dataset.attrs.items()}}


def unpack(arrays: Arrays, words: Mapping[str, Any]) -> xr.Dataset:
    """Return the dataset (or its rows) that :func:`pack` took apart."""
    import xarray

    fields: dict[str, Any] = {}
    coords: dict[str, Any] = {}
    for name, said in words["variables"].items():
        values = arrays[name] if said["along"] else arrays[name][0]
        place = coords if said["coordinate"] else fields
        attrs = {k: np.asarray(v) if isinstance(v, list) else v for k, v in said["attrs"].items()}
        place[name] = (said["dims"], np.array(values), attrs)
    return xarray.Dataset(fields, coords, words["attrs"])


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value


def fit_rows(arrays: Arrays, plan: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Fit some rows; called in a worker process."""
    import xarray

    from powercal.fitting.many import fit_many

    dim = plan["dim"]
    wishes: dict[str, Any] = dict(plan["wishes"])
    for kind in ("fixed", "start"):
        own = {
            name: xarray.DataArray(arrays[f"{kind}:{name}"], dims=dims)
            for name, dims in plan["per_fit"][kind].items()
        }
        wishes[kind] = {**wishes[kind], **own}
    if plan["file"] is not None:
        traces = _from_file(arrays[_ROWS], plan, dim)
    else:
        traces = unpack(arrays, plan["data"])
    results = fit_many(DeviceTraces(traces), plan["model"], **wishes, **plan["options"])
    found, words = pack(results, dim)
    return {**found, _WORDS: np.array([json.dumps(words)])}


def _from_file(rows: NDArray[Any], plan: Mapping[str, Any], dim: str) -> xr.Dataset:
    from powercal.loading import open_large, read_block

    opened = open_large(plan["file"])
    lazy = DeviceTraces(opened.assign_attrs(plan["attrs"]))
    part = read_block(lazy, dim, int(rows[0]), int(rows[-1]) + 1)
    opened.close()
    return part


def fit_in_workers(
    traces: xr.Dataset,
    layout: Layout,
    plan: Mapping[str, Any],
    per_fit: Mapping[str, Mapping[str, xr.DataArray]],
    workers: int,
) -> Iterator[tuple[int, int, xr.Dataset]]:
    """Yield the results of all blocks as worker processes finish them.

    A block whose process dies is a block without results: its fits say ``not tried``.

    Raises
    ------
    FitError
        No block came back.
    """
    from powercal.loading import file_of
    from powercal.processes.shared import run_blocks

    dim = layout.over[0]
    path = file_of(traces)
    arrays: dict[str, NDArray[Any]] = {}
    told = {**plan, "dim": dim, "file": path, "attrs": {}, "data": None}
    if path is None:
        arrays, told["data"] = pack(traces.compute(), dim)
    else:
        arrays = {_ROWS: np.arange(layout.over_shape[0])}
        told["attrs"] = {k: _plain(v) for k, v in traces.attrs.items()}
    told["per_fit"] = {
        kind: {n: [dim, *(d for d in v.dims if d != dim)] for n, v in own.items()}
        for kind, own in per_fit.items()
    }
    for kind, own in per_fit.items():
        arrays |= {f"{kind}:{n}": _first_axis(v, dim) for n, v in own.items()}
    blocks = list(layout.blocks(most=layouts.WORKER_FITS))
    template: xr.Dataset | None = None
    lost: list[tuple[int, int, str]] = []
    for outcome in run_blocks(
        arrays, blocks, FUNCTION, told, workers=workers, timeout=None, memory_limit=None
    ):
        first, last = blocks[outcome.index]
        if outcome.arrays is None:
            lost.append((first, last, str(outcome.failure)))
            continue
        words = json.loads(str(outcome.arrays[_WORDS][0]))
        template = unpack(outcome.arrays, words)
        yield first, last, template
    if template is None:
        raise FitError(f"no block of fits came back from its process: {lost[0][2]}")
    for first, last, reason in lost:
        labels = {n: traces[n] for n in template.coords if n in traces.coords}
        along = {n: v.isel({dim: slice(first, last)}) for n, v in labels.items() if dim in v.dims}
        yield first, last, _without(template, dim, last - first, reason).assign_coords(along)


def _first_axis(values: xr.DataArray, dim: str) -> NDArray[Any]:
    if dim not in values.dims:
        raise FitError(
            f"values per fit must run over {dim!r} for fits in worker processes; broadcast "
            f"them, or leave workers out"
        )
    return np.asarray(values.transpose(dim, ...).values)


def _without(template: xr.Dataset, dim: str, count: int, reason: str) -> xr.Dataset:
    """Return results that say that nothing was tried, and why."""
    import xarray

    index = xarray.DataArray(np.zeros(count, dtype=int), dims=dim)
    empty = template.isel({dim: index}).drop_vars(_along(template, dim)).copy(deep=True)
    for name, variable in empty.data_vars.items():
        if dim in variable.dims:
            blank = {"status": CODE["failed"], "outcome": NOT_TRIED}.get(str(name), 0)
            fill = np.nan if variable.dtype.kind == "f" else blank
            variable.values[...] = fill
    return empty.assign_attrs(rescued=0, lost=reason)


def _along(template: xr.Dataset, dim: str) -> list[str]:
    """Name the coordinates that label fits: those of other fits would be wrong labels."""
    return [str(n) for n, v in template.coords.items() if dim in v.dims]
