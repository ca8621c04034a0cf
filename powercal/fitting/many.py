"""The verb fit_many: one model to every index of some dimensions, a million of them if need be."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from powercal.contracts import Model
from powercal.errors import FitError
from powercal.fitting.batch.table import of_all
from powercal.fitting.batch.whole import Batch, Wishes
from powercal.fitting.build import Request
from powercal.line import line_of
from powercal.registry import get_model
from powercal.schema import DeviceTraces

if TYPE_CHECKING:
    import xarray as xr

INTERVALS = ("covariance", "profile")
_ASKED = ("free", "fixed", "priors", "observables", "start", "sigma", "intervals")


def fit_many(
    traces: DeviceTraces,
    model: str | Model,
    *,
    over: Iterable[str] = (),
    free: Iterable[str] = (),
    fixed: Mapping[str, Any] | None = None,
    priors: Mapping[str, tuple[float, float]] | None = None,
    observables: Iterable[str] = (),
    start: Mapping[str, Any] | None = None,
    sigma: Mapping[str, float] | None = None,
    intervals: str = "covariance",
    derived: bool = True,
    solver: str = "auto",
    output: str | os.PathLike[str] | None = None,
    workers: int = 0,
    **options: str,
) -> xr.Dataset:
    """Fit a model to every index of some dimensions of the data.

    The same problem as :func:`fit` for each of them, solved together: σ as there (given, or from
    residuals row by row), statuses as there with ``intervals="covariance"``. Data may be larger
    than memory (opened lazily, or chunked): they are read block by block.

    Parameters
    ----------
    traces : DeviceTraces
        At the device plane, or with a line.
    model : str or Model
        A name that some plugin offers, or a model.
    over : iterable of str
        Dimensions with one fit per index; left out: those that no input of the model has.
    free, priors, observables, sigma : as for :func:`fit`
        The same for all fits.
    fixed, start : mapping
        As for :func:`fit`; a value may be a DataArray over (some of) the dimensions ``over``.
    intervals : {"covariance", "profile"}
        Quote the covariance, or profile χ² of every free parameter of every fit.
    derived : bool
        Whether to carry errors to the model's derived quantities too.
    solver : {"auto", "numpy", "numba", "lmfit"}
        ``auto``: numba where it is installed, the curve can be written down as one expression, and
        there is enough to do (or it was compiled before).
    output : path, optional
        Write the results to this file, block by block, and return it opened but unread: a million
        fits take no more memory than one block.
    workers : int
        Worker processes; 0: all is done in this one. A worker that dies costs only its block.
    **options : str
        Options of the model.

    Returns
    -------
    xarray.Dataset
        Over the dimensions ``over``: ``value``, ``stderr``, ``status`` and intervals per quantity,
        the covariance of the free parameters, χ², numbers of data and evaluations, the outcome of
        every fit. Nothing is quoted for what a fit does not determine.

    Raises
    ------
    FitError
        The fits could not be started, or ask for what only :func:`fit` does.
    PlaneError
        Nobody said how the traces relate to the device.
    UnknownNameError
        A model, parameter, observable or option that does not exist.
    """
    if intervals not in INTERVALS:
        raise FitError(f"intervals is {intervals!r}; it must be one of {', '.join(INTERVALS)}")
    said = {"fixed": dict(fixed or {}), "start": dict(start or {})}
    request = Request(
        free=tuple(free),
        fixed={k: _typical(v) for k, v in said["fixed"].items()},
        priors=dict(priors or {}),
        observables=tuple(observables),
        start={k: _typical(v) for k, v in said["start"].items()},
        sigma=dict(sigma or {}),
        intervals=intervals,
    )
    per_fit = {
        kind: {k: v for k, v in own.items() if getattr(v, "dims", ())} for kind, own in said.items()
    }
    chosen = get_model(model) if isinstance(model, str) else model
    line_of(traces)
    batch = Batch(traces, chosen, tuple(over), Wishes(request, per_fit, derived, solver), options)
    if workers:
        blocks = _in_workers(batch, model, traces, options, workers)
    else:
        blocks = (
            (first, last, batch.block(first, last))
            for first, last in batch.layout.blocks(batch.most)
        )
    if output is None:
        return _joined([block for _, _, block in sorted(blocks, key=lambda b: b[0])])
    from powercal.report import read_fits, write_fits

    return read_fits(write_fits(output, blocks, batch.layout.over_shape[0]))


def _in_workers(
    batch: Batch, model: str | Model, traces: DeviceTraces, options: Mapping[str, str], workers: int
) -> Iterator[tuple[int, int, xr.Dataset]]:
    """Hand the blocks to processes: a model travels by its name only."""
    from powercal.fitting.batch.remote import fit_in_workers

    if not isinstance(model, str):
        raise FitError(
            f"worker processes need a model that a plugin offers by name; {model.name!r} was "
            f"handed over as an object: leave workers out"
        )
    wishes = batch.wishes
    per_fit = wishes.per_fit
    asked = {k: v for k, v in wishes.request.plain().items() if k in _ASKED}
    for kind, own in per_fit.items():
        asked[kind] = {k: v for k, v in asked[kind].items() if k not in own}
    asked |= {"over": batch.layout.over, "derived": wishes.derived, "solver": wishes.solver}
    plan = {"wishes": asked, "options": dict(options), "model": model}
    return fit_in_workers(traces, batch.layout, plan, per_fit, workers)


def _joined(parts: list[xr.Dataset]) -> xr.Dataset:
    """Put blocks behind each other."""
    import xarray

    if len(parts) == 1:
        return parts[0]
    first = parts[0]["value"].dims[0]
    whole = xarray.concat(
        parts, dim=first, data_vars="minimal", coords="minimal", compat="override", join="override"
    )
    return whole.assign_attrs(of_all([p.attrs for p in parts]))


def _typical(value: Any) -> float:
    """Return a number that stands for a value per fit where one is enough."""
    found = np.asarray(value, dtype=float).ravel()
    if found.size != 1 and not getattr(value, "dims", ()):
        raise FitError(
            "values per fit are wanted as a DataArray that names its dimension, not as a bare "
            "array; wrap it: xarray.DataArray(values, dims='trace')"
        )
    finite = found[np.isfinite(found)]
    if not finite.size:
        raise FitError("a value per fit holds no finite number; leave it out")
    return float(finite[0])
