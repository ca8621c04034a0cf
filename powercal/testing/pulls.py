"""The clause of the contract about errors: repeated fits scatter as much as they say."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Model
from powercal.result import FitResult
from powercal.schema import DeviceTraces
from powercal.testing._call import curve_of, fault
from powercal.testing.guesses import determined_fit
from powercal.testing.simulated import examples, open_mesh

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[np.float64]
# Fixed seeds, Gaussian noise: one number in 16 000 lies outside four standard errors.
SIGMAS = 4.0
NOISE = 0.01  # of the largest value, where the traces state no noise


def resampled(model: Model, traces: xr.Dataset, seed: int) -> DeviceTraces:
    """Return the traces with the model's curve at its examples and fresh noise in them."""
    mesh = open_mesh(model, traces)
    shape = np.broadcast_shapes(*(v.shape for v in mesh.values()))
    dims = [d for d in traces.dims if any(d in traces[n].dims for n in model.inputs)]
    curves = dict(zip(model.observables, curve_of(model, mesh, examples(model)), strict=True))
    generator, fresh = np.random.default_rng(seed), traces.copy()
    for name in (n for n in model.observables if n in traces):
        exact = np.broadcast_to(curves[name], shape)
        sigma = np.full(shape, NOISE * np.max(np.abs(exact)))
        if f"{name}_std" in traces:
            stated = traces[f"{name}_std"]
            absent = {d: traces.sizes[d] for d in dims if d not in stated.dims}
            sigma = stated.expand_dims(absent).transpose(*dims).values
        noise = generator.standard_normal(shape)
        if np.iscomplexobj(exact):
            noise = noise + 1j * generator.standard_normal(shape)
        attrs = {"units": traces[name].attrs["units"]}
        fresh[name] = (dims, exact + sigma * noise, attrs)
        fresh[f"{name}_std"] = (dims, np.array(sigma), attrs)
    return DeviceTraces(fresh)


def check_pulls(model: Model, traces: xr.Dataset, *, fits: int = 16) -> None:
    """Refuse a model whose fits miss its examples by more, or less, than their errors say.

    Parameters
    ----------
    model, traces : Model, Dataset
        The traces give axes and noise; what is fitted is the model's own curve.
    fits : int
        How many fits; their errors are known to about 1/√(2·fits·parameters) then.

    Raises
    ------
    ContractError
        A parameter whose mean is off, or errors that are too small or too large as a whole.
    """
    first = determined_fit(model, resampled(model, traces, 0))
    held = {k: float(v) for k, v in first.request["fixed"].items()}
    results = [first] + [
        determined_fit(model, resampled(model, traces, seed), held) for seed in range(1, fits)
    ]
    truth = examples(model)
    names = [n for n in first.names if n in truth and all(n in r.names for r in results)]
    if not names:
        return
    off = np.array([[r.values[n] - truth[n] for n in names] for r in results])
    parts = [_part(r, names) for r in results]
    pulls = np.mean([d / np.sqrt(np.diag(c)) for d, c in zip(off, parts, strict=True)], axis=0)
    worst = int(np.argmax(np.abs(pulls)))
    if abs(pulls[worst]) > SIGMAS / sqrt(fits):
        raise fault(
            model,
            f"over {fits} fits to its own curve {names[worst]} is off by {pulls[worst]:.2f} of its "
            f"standard error on average; curve, derivatives or guess are biased",
        )
    chi2 = sum(float(d @ np.linalg.solve(c, d)) for d, c in zip(off, parts, strict=True))
    freedom = fits * len(names)
    if abs(chi2 - freedom) > SIGMAS * sqrt(2 * freedom):
        word = "small" if chi2 > freedom else "large"
        raise fault(
            model,
            f"over {fits} fits to its own curve the errors are too {word}: deviations in standard "
            f"errors square to {chi2 / freedom:.2f} on average, which must be 1",
        )


def _part(result: FitResult, names: list[str]) -> Array:
    index = [result.names.index(n) for n in names]
    return result.covariance[np.ix_(index, index)]
