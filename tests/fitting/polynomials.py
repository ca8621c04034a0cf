"""Small models with answers known in closed form, for the tests of contours and samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import powercal as pc
from powercal.fitting import again
from powercal.result import FitResult
from powercal.schema import DeviceTraces

Array = NDArray[np.float64]
TIMES = np.arange(12.0)


def model_of(curve: Any, names: tuple[str, ...], jacobian: Any = None) -> pc.Model:
    """A model of populations against time with linear parameters, all starting at 0.3."""
    return pc.Model(
        name="closed_form",
        summary="a curve whose χ² is known in closed form",
        inputs=("time",),
        observables=("excited_population",),
        parameters=tuple(pc.Parameter(name=n, unit="1", meaning=n, example=0.3) for n in names),
        curve=curve,
        jacobian=jacobian,
        guess=lambda traces, fixed: {n: np.array(0.3) for n in names},
    )


def parabola(time: Any, *, a: Any, b: Any, c: Any) -> tuple[Any]:
    t = time / 11
    return (a + b * t + c * t**2,)


def slopes(time: Any, *, a: Any, b: Any, c: Any) -> tuple[dict[str, Any]]:
    t = time / 11 + 0 * (a + b + c)
    return ({"a": np.ones_like(t), "b": t, "c": t**2},)


PARABOLA = model_of(parabola, ("a", "b", "c"), slopes)


def design() -> Array:
    """d(curve)/d(a, b, c) of the parabola."""
    t = TIMES / 11
    return np.stack([np.ones_like(t), t, t**2], axis=1)


def measured(
    model: pc.Model,
    data: Array,
    sigma: float | Array | None,
    times: Array = TIMES,
) -> DeviceTraces:
    """Traces with these data."""
    fields: dict[str, Any] = {"excited_population": ("time", data)}
    units = {"excited_population": "1", "time": "s"}
    if sigma is not None:
        fields["excited_population_std"] = ("time", np.broadcast_to(sigma, data.shape))
        units["excited_population_std"] = "1"
    import xarray

    attrs = {n: {"units": u} for n, u in units.items()}
    dataset = xarray.Dataset(fields, {"time": ("time", times)}, {"plane": "device"})
    for name, said in attrs.items():
        dataset[name].attrs.update(said)
    return DeviceTraces(dataset)


def fitted(model: pc.Model, traces: DeviceTraces, **wishes: Any) -> FitResult:
    return pc.fit(traces, model, **wishes)


def offered(monkeypatch: pytest.MonkeyPatch, *models: pc.Model) -> None:
    """Offer models as a plugin would: a result names its model, and is made a problem by name."""
    table: Mapping[str, pc.Model] = {m.name: m for m in models}
    known = again.get_model
    monkeypatch.setattr(again, "get_model", lambda name: table.get(name) or known(name))
