"""No finite error bar on what the data do not determine: a thousand random qubits and instruments.

Each kind of data is a row of the table of what steady-state sweeps can tell, or lies so near to
one that noise hides the difference (one power, only the linear regime, only saturation). What is
undetermined has neither value nor error, whatever the noise feigns; the others keep theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

import powercal as pc
from powercal.physics.constants import HBAR
from powercal.registry import get_model
from powercal.schema import WORDS, DeviceTraces

Array = NDArray[np.float64]
F0 = 5e9
WIDE = (0.05, 20.0)  # powers in units of the saturation power
COLD = {"n_th": 0.0}


@dataclass(frozen=True)
class Data:
    """One kind of data, and what it leaves open."""

    model: str
    open: tuple[str, ...]
    kept: tuple[str, ...]
    observables: tuple[str, ...] = ("absorbed_power",)
    powers: tuple[float, float] = WIDE
    sweep: tuple[int, int] = (5, 21)
    truth: Mapping[str, float] = field(default_factory=dict)
    free: tuple[str, ...] = ()
    line: Mapping[str, float] | None = None
    near: bool = False


KINDS = {
    "absorbed power": Data(
        "finite_temperature", ("n_th", "gamma_phi", "drive_scale", "T_eff"), ("gamma_1", "gamma_2")
    ),
    "population": Data(
        "finite_temperature",
        ("gamma_1", "gamma_phi", "drive_scale", "T1"),
        ("n_th",),
        ("excited_population",),
    ),
    "absorbed power of two channels": Data(
        "multi_channel", ("f", "n_th", "gamma_phi", "drive_scale"), ("gamma_1",), free=("f",)
    ),
    "absorbed power behind an unknown gain": Data(
        "finite_temperature",
        ("gamma_1", "n_th", "gamma_phi", "drive_scale", "gain_db"),
        ("gamma_2",),
        line={"gain_db": 0.0},
    ),
    "absorbed power and population behind an unknown gain": Data(
        "finite_temperature",
        ("gamma_1", "gamma_phi", "drive_scale", "gain_db"),
        ("n_th", "gamma_2"),
        ("absorbed_power", "excited_population"),
        line={"gain_db": 0.0},
    ),
    "one power": Data(
        "finite_temperature",
        ("gamma_1", "n_th", "gamma_phi", "drive_scale"),
        ("qubit_frequency",),
        powers=(1.0, 1.0),
        sweep=(1, 101),
    ),
    "one power of a cold qubit": Data(
        "single_channel",
        ("gamma_1", "gamma_phi", "drive_scale"),
        ("qubit_frequency",),
        powers=(1.0, 1.0),
        sweep=(1, 101),
        truth=COLD,
    ),
    "linear regime only": Data(
        "single_channel",
        ("gamma_1", "T1"),
        ("gamma_2", "drive_scale"),
        powers=(1e-6, 1e-4),
        truth=COLD,
        near=True,
    ),
    "nearly linear": Data(
        "single_channel",
        ("gamma_1", "T1"),
        ("gamma_2", "drive_scale"),
        powers=(1e-4, 1e-2),
        truth=COLD,
        near=True,
    ),
    "saturation only": Data(
        "single_channel",
        ("gamma_phi", "drive_scale"),
        ("gamma_1",),
        powers=(1e4, 1e6),
        truth=COLD,
        near=True,
    ),
}


def truths(kind: Data, sets: int, seed: int) -> dict[str, Array]:
    """Rates over decades, occupations from 0.01 to 0.5."""
    draw = np.random.default_rng(seed)
    gamma_1 = 10 ** draw.uniform(5.5, 7.0, sets)
    found = {
        "qubit_frequency": np.full(sets, F0),
        "gamma_1": gamma_1,
        "gamma_phi": gamma_1 * 10 ** draw.uniform(-1.5, 0.5, sets),
        "n_th": 10 ** draw.uniform(-2.0, -0.3, sets),
        "drive_scale": 10 ** draw.uniform(29.0, 30.0, sets),
        "f": draw.uniform(0.1, 0.9, sets),
    }
    return found | {n: np.full(sets, v) for n, v in kind.truth.items()}


def measured(kind: Data, sets: int, seed: int) -> DeviceTraces:
    """Sweeps across every qubit's own line and saturation power, with noise of one percent."""
    truth = truths(kind, sets, seed)
    model = get_model(kind.model).configure(detection="absorbed")
    gamma_2 = truth["gamma_1"] * (0.5 + truth["n_th"]) + truth["gamma_phi"]
    saturation = truth["gamma_1"] * (1 + 2 * truth["n_th"]) * gamma_2 / truth["drive_scale"]
    width = gamma_2 / 2 / np.pi * np.sqrt(1 + max(kind.powers))
    power = saturation[:, None] * np.geomspace(*kind.powers, kind.sweep[0])
    frequency = F0 + width[:, None] * np.linspace(-3.0, 3.0, kind.sweep[1])
    inputs = {"incident_power": power[:, :, None], "frequency": frequency[:, None, :]}
    names = {p.name: p.example for p in model.parameters}
    values = {n: truth[n][:, None, None] if n in truth else v for n, v in names.items()}
    curves = model.curve(*(inputs[n] for n in model.inputs), **values)
    noise, dims = np.random.default_rng([seed, 1]), ("set", "power", "frequency")
    data = {}
    for name in kind.observables:
        curve = np.asarray(curves[model.observables.index(name)])
        size = np.abs(curve).max(axis=(1, 2), keepdims=True)
        sigma = np.broadcast_to(0.01 * size, curve.shape)
        units = {"units": WORDS[name].unit}
        data[name] = (dims, curve + sigma * noise.standard_normal(curve.shape), units)
        data[f"{name}_std"] = (dims, np.array(sigma), units)
    coordinates = {
        "incident_power": (("set", "power"), power, {"units": "W"}),
        "frequency": (("set", "frequency"), frequency, {"units": "Hz"}),
    }
    attributes = {"plane": "device", "detection": "absorbed", "flags": "[]"}
    traces = xr.Dataset(data, coordinates, attributes)
    if kind.line is None:
        return DeviceTraces(traces)
    line = pc.LineCalibration(attenuation_db=(0.0, 1e-6), gain_db=None)
    return pc.to_device_plane(DeviceTraces(traces.assign_attrs(plane="instrument")), line)


def fitted(kind: Data, sets: int, seed: int, intervals: str) -> xr.Dataset:
    return pc.fit_many(
        measured(kind, sets, seed),
        kind.model,
        over=("set",),
        free=kind.free,
        start=dict(kind.line or {}),
        intervals=intervals,
        solver="numpy",
    )


REFLECTED = ("gamma_r", "manifold_weight", "n_th", "gamma_phi", "attenuation_db")


def reflected(seed: int) -> DeviceTraces:
    """The reflection of a random qubit at the end of a line whose loss nobody knows."""
    draw = np.random.default_rng(seed)
    gamma_r = 10 ** draw.uniform(6.3, 7.3)
    truth = {
        "qubit_frequency": F0,
        "gamma_r": gamma_r,
        "gamma_i": 0.0,
        "gamma_phi": gamma_r * draw.uniform(0.02, 0.3),
        "n_th": draw.uniform(0.01, 0.1),
        "manifold_weight": draw.uniform(0.7, 0.95),
        "attenuation_db": 70.0,
        "reference_gain": 0.9,
        "reference_phase": 0.4,
    }
    saturation = 1e7 * HBAR * 2 * np.pi * F0 * gamma_r / 8
    return DeviceTraces(
        pc.simulate(
            "reflection",
            truth,
            inputs={
                "incident_power": saturation * np.geomspace(0.05, 20.0, 5),
                "frequency": F0 + gamma_r / np.pi * np.linspace(-2.0, 2.0, 21),
            },
            seed=seed,
            noise={"reflection": 0.01},
            observables=["reflection"],
            attributes={"setup": "referenced", "plane": "device"},
            convention="+i",
            setup="referenced",
        )
    )


def refuse_reflected(seeds: range, intervals: str) -> None:
    for seed in seeds:
        found = pc.fit(
            reflected(seed), "reflection", free=REFLECTED[1:], convention="+i", intervals=intervals
        )
        assert {found[n].status for n in REFLECTED} == {"undetermined"}, seed
        assert all(found[n].stderr is None and found[n].value is None for n in REFLECTED), seed
        assert found["qubit_frequency"].stderr is not None


def refuse_numbers(kind: Data, found: xr.Dataset) -> None:
    words = found["status"].attrs["flag_meanings"].split()
    lost = (found["status"] == words.index("failed")).all("quantity").values
    for name in kind.open:
        one = found.sel(quantity=name)
        assert not np.isfinite(one["stderr"].values).any(), name
        if not kind.near:
            assert not np.isfinite(one["value"].values).any(), name
            assert set(one["status"].values[~lost]) == {words.index("undetermined")}, name
    for name in kind.kept:
        # Rank is taken from rounded sums: some fits on the edge say less than they could.
        assert np.isfinite(found["stderr"].sel(quantity=name).values[~lost]).mean() > 0.6, name


@pytest.mark.parametrize("name", KINDS)
def test_ten_random_cases_of_each_kind_have_no_error_bar_on_what_is_open(name: str) -> None:
    kind = KINDS[name]
    mode = "covariance" if kind.near else "profile"
    refuse_numbers(kind, fitted(kind, 10, list(KINDS).index(name), mode))


def test_no_reflection_of_an_unknown_line_has_an_error_bar_but_on_the_frequency() -> None:
    refuse_reflected(range(8), "covariance")


@pytest.mark.statistics  # two minutes
def test_no_reflection_of_many_has_an_error_bar_but_on_the_frequency() -> None:
    refuse_reflected(range(100, 200), "covariance")
    refuse_reflected(range(200, 205), "profile")


@pytest.mark.statistics  # five minutes
@pytest.mark.parametrize("name", KINDS)
def test_a_hundred_random_cases_of_each_kind_have_no_error_bar_on_what_is_open(name: str) -> None:
    kind = KINDS[name]
    refuse_numbers(kind, fitted(kind, 100, 100 + list(KINDS).index(name), "profile"))


@pytest.mark.statistics  # a quarter of an hour
@pytest.mark.parametrize("name", KINDS)
def test_single_fits_have_no_error_bar_on_what_is_open(name: str) -> None:
    kind = KINDS[name]
    traces = measured(kind, 12, 200 + list(KINDS).index(name))
    for i in range(12):
        one = DeviceTraces(traces.isel(set=i))
        result = pc.fit(one, kind.model, free=kind.free, start=dict(kind.line or {}))
        assert all(result[n].stderr is None for n in kind.open), (i, name)
