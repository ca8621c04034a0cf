"""Which data are fitted, and the common grid of inputs and observables they lie on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Model
from powercal.errors import FitError, unknown_name
from powercal.line import relative_noise
from powercal.schema import TWINS, DeviceTraces, with_flag

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """The common grid of inputs and observables: dimensions, shape, flattened inputs."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    inputs: Mapping[str, FloatArray]

    def index(self, dim: str) -> NDArray[np.intp]:
        """Return the index along one dimension of every flattened point."""
        axis = self.dims.index(dim)
        return np.asarray(np.indices(self.shape)[axis].ravel())


def choose_observables(
    traces: DeviceTraces, model: Model, wanted: tuple[str, ...]
) -> tuple[DeviceTraces, tuple[str, ...]]:
    """Pick the observables to fit; derive a reflected power from a complex reflection on demand.

    Raises
    ------
    FitError
        Nothing to fit, a wish the model or the data cannot meet, or the same data twice.
    """
    held = tuple(n for n in model.observables if n in traces)
    for name in wanted:
        if name not in model.observables:
            raise unknown_name(f"observable of model {model.name!r}", name, model.observables)
    if (
        wanted == ("reflected_power",)
        and "reflection" in traces
        and "reflected_power" not in traces
    ):
        return power_from_reflection(traces), wanted
    names = wanted or held
    absent = [n for n in names if n not in traces]
    if not names and "received" in traces:
        raise FitError(
            "the traces hold a received voltage, which means nothing in watts by itself; give a "
            "reference trace to to_device_plane (command line: --reference FILE)"
        )
    if not names or absent:
        raise FitError(
            f"the traces hold {', '.join(map(str, traces.data_vars)) or 'nothing'}; model "
            f"{model.name!r} fits {', '.join(absent or model.observables)}: "
            f"choose another model or add that observable"
        )
    # All photons, counted, tell what the amplitude does not: two measurements.
    apart = {"reflection", "reflected_power"} if traces.attrs.get("detection") == "total" else None
    for group in TWINS:
        twin = set(names) & set(group)
        if len(twin) == 2 and twin != apart:
            a, b = sorted(twin)
            raise FitError(
                f"{a} and {b} come from the same measurement and cannot both be fitted; choose "
                f"one with observables=(...) (command line: --observable)"
            )
    return traces, names


def power_from_reflection(traces: DeviceTraces) -> DeviceTraces:
    """Return |r|²·P with the noise bias of |r|² (σ² of each quadrature) subtracted, and stated."""
    r = traces["reflection"]
    dims = [d for d in r.dims if d != "frequency"]
    order = [*dims, "frequency"] if "frequency" in r.dims else list(r.dims)
    values = r.transpose(*order).values
    rows = values.reshape(-1, values.shape[-1])
    axis = np.asarray(traces["frequency"].values, dtype=float).ravel()
    bias = np.zeros(rows.shape[0])
    for i, row in enumerate(rows):
        keep = np.isfinite(row)
        size = float(np.mean(np.abs(row[keep]) ** 2)) if keep.any() else 0.0
        if axis.size == row.size:
            bias[i] = 2 * relative_noise(axis[keep], row[keep]) ** 2 * size
    level = np.abs(rows) ** 2 - bias[:, None]
    power = (
        r.transpose(*order).real.copy(data=level.reshape(values.shape)) * traces["incident_power"]
    )
    power = power.transpose(*r.dims, ...)
    power.attrs = {"units": "W"}
    out = traces.drop_vars("reflection").assign(reflected_power=power)
    out = out.assign_attrs(detection="coherent")  # of an amplitude, by construction
    return DeviceTraces(
        with_flag(
            out,
            f"reflected_power is |reflection|² × incident_power with the noise bias of |r|² "
            f"subtracted (2σ², up to {bias.max():.2g})",
        )
    )


def make_grid(traces: DeviceTraces, model: Model, names: tuple[str, ...]) -> Grid:
    """Lay inputs and observables on one grid.

    Raises
    ------
    FitError
        A missing input, a dimension the model does not consume, or an observable that does not
        say at which inputs it was taken.
    """
    import xarray

    missing = [n for n in model.inputs if n not in traces.variables]
    if missing:
        raise FitError(
            f"the traces lack {', '.join(missing)}, which model {model.name!r} needs; add it to "
            f"the traces"
        )
    consumed = {str(d) for n in model.inputs for d in traces[n].dims}
    dims = tuple(str(d) for d in traces[names[0]].dims)
    dims += tuple(sorted(consumed - set(dims)))
    for name in names:
        extra = [str(d) for d in traces[name].dims if d not in consumed]
        if extra:
            raise FitError(
                f"{name} has the dimension {extra[0]!r}, which model {model.name!r} does not "
                f"consume; select one index, or fit each with fit_each"
            )
        lacking = [d for d in consumed if d not in traces[name].dims and traces.sizes[d] > 1]
        if lacking:
            raise FitError(
                f"{name} lacks the dimension {lacking[0]!r}; say at which values it was taken"
            )
    fields = xarray.broadcast(*(traces[n] for n in (*names, *model.inputs)))
    fields = tuple(f.transpose(*dims) for f in fields)
    inputs = {
        n: np.asarray(f.values, dtype=float).ravel()
        for n, f in zip(model.inputs, fields[len(names) :], strict=True)
    }
    return Grid(dims, fields[0].shape, inputs)
