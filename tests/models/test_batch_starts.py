"""Starts of stacks: each trace starts as it would alone, in the basin of its own minimum.

Whether a start is good is asked of the fit: least squares from it must come down as low as least
squares from the truth. Seeds are fixed.
"""

from __future__ import annotations

import dataclasses
import json
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import xarray
from numpy.typing import NDArray
from scipy.optimize import least_squares

import powercal as pc
from powercal.errors import ContractError, FitError
from powercal.fitting.starting_many import guess_many, takes_stacks
from powercal.models import batch_start
from powercal.models.batch_start import Stack, in_blocks, parabola, row_percentile, weighted_line
from powercal.schema import DeviceTraces
from powercal.testing.guesses import check_stacks
from powercal.testing.simulated import make_traces

Array = NDArray[Any]
TWO_PI = 2 * np.pi
QUBIT = pc.get_model("powercal:finite_temperature").configure(detection="absorbed")
KNOWN = {"n_th": 0.02, "drive_scale": 1e30}


def stacked(traces: xarray.Dataset, *dims: str) -> DeviceTraces:
    return DeviceTraces(traces.assign_attrs(batch_dims=json.dumps(dims)))


def alone(stack: DeviceTraces, **index: int) -> DeviceTraces:
    return stacked(stack.isel(index))


def qubits(rng: np.random.Generator, count: int) -> tuple[dict[str, Array], Array]:
    """Qubits over three decades of rates, and Γ₂."""
    gamma_1 = TWO_PI * 10 ** rng.uniform(3.7, 6.7, count)
    total = gamma_1 * 1.04
    gamma_2 = total * np.exp(rng.uniform(np.log(0.5), np.log(3.0), count))
    truth = {
        "gamma_1": gamma_1,
        "gamma_phi": gamma_2 - total / 2,
        "n_th": np.full(count, 0.02),
        "drive_scale": np.full(count, 1e30),
    }
    return truth, gamma_2


def lines(
    count: int, *, span: float = 8.0, noise: float = 0.02, gaps: float = 0.1, seed: int = 0
) -> tuple[DeviceTraces, dict[str, Array]]:
    """One trace at one power each; ``span`` in half widths, s from 0.05 to 50."""
    rng = np.random.default_rng(seed)
    truth, gamma_2 = qubits(rng, count)
    s = np.exp(rng.uniform(np.log(0.05), np.log(50.0), count))
    power = s * truth["gamma_1"] * 1.04 * gamma_2 / truth["drive_scale"]
    width = gamma_2 * np.sqrt(1 + s) / TWO_PI
    truth["qubit_frequency"] = 5e9 + width * rng.uniform(-0.3, 0.3, count)
    frequency = 5e9 + span / 2 * width[:, None] * np.linspace(-1, 1, 201)
    clean = QUBIT.curve(power[:, None], frequency, **{k: v[:, None] for k, v in truth.items()})[0]
    sigma = noise * clean.max(axis=1, keepdims=True)
    values = clean + sigma * rng.standard_normal(clean.shape)
    values[rng.random(values.shape) < gaps] = np.nan
    fields = {
        "absorbed_power": (("trace", "point"), values),
        "absorbed_power_std": ("trace", sigma[:, 0]),
        "incident_power": ("trace", power),
        "frequency": (("trace", "point"), frequency),
    }
    return stacked(xarray.Dataset(fields, attrs={"plane": "device"}), "trace"), truth


def sweeps(count: int, noise: float = 0.02, seed: int = 0) -> tuple[DeviceTraces, dict[str, Array]]:
    """Power sweeps with an axis of powers of their own over shared frequencies."""
    rng = np.random.default_rng(seed)
    truth, _ = qubits(rng, count)
    truth["gamma_1"] = np.full(count, 1e6)
    truth["gamma_phi"] = np.full(count, 0.48e6)
    power = 1.04e-18 * np.geomspace(0.05, 30, 7) * rng.uniform(0.5, 2.0, (count, 1))
    truth["qubit_frequency"] = 5e9 + 2e5 * rng.uniform(-1, 1, count)
    frequency = 5e9 + np.linspace(-2e6, 2e6, 61)
    values = {k: v[:, None, None] for k, v in truth.items()}
    clean = QUBIT.curve(power[:, :, None], frequency, **values)[0]
    sigma = noise * clean.max(axis=(1, 2), keepdims=True)
    data = clean + sigma * rng.standard_normal(clean.shape)
    data[rng.random(data.shape) < 0.2] = np.nan
    fields = {
        "absorbed_power": (("trace", "power", "frequency"), data),
        "absorbed_power_std": ("trace", sigma[:, 0, 0]),
        "incident_power": (("trace", "power"), power),
    }
    traces = xarray.Dataset(fields, {"frequency": frequency}, attrs={"plane": "device"})
    return stacked(traces, "trace"), truth


def depth(traces: DeviceTraces, start: Mapping[str, float], free: tuple[str, ...]) -> float:
    """The χ² to which least squares come down from a start."""
    fields = ("incident_power", "frequency", "absorbed_power", "absorbed_power_std")
    power, frequency, data, std = (
        a.values.ravel() for a in xarray.broadcast(*(traces[n] for n in fields))
    )
    keep = np.isfinite(data)
    power, frequency, data, std = power[keep], frequency[keep], data[keep], std[keep]
    # Per unit of x: the frequency by the sweep's hundredth, what is positive by its own size.
    unit = {n: max(start[n], 1.0) for n in free} | {"qubit_frequency": np.ptp(frequency) / 100}
    size = np.array([unit[n] for n in free])

    def values(x: Array) -> dict[str, float]:
        return {**start, **{n: start[n] + u * v for n, u, v in zip(free, size, x, strict=True)}}

    def residual(x: Array) -> Array:
        return (QUBIT.curve(power, frequency, **values(x))[0] - data) / std

    def slopes(x: Array) -> Array:
        assert QUBIT.jacobian is not None
        table = QUBIT.jacobian(power, frequency, **values(x))[0]
        return np.stack([table[n] for n in free], axis=1) * size / std[:, None]

    low = [-np.inf if n == "qubit_frequency" else 1e-9 - start[n] / unit[n] for n in free]
    found = least_squares(
        residual, np.zeros(len(free)), slopes, bounds=(low, np.inf), x_scale="jac", max_nfev=500
    )
    return float(2 * found.cost)


def lost(
    stack: DeviceTraces, truth: Mapping[str, Array], fixed: dict[str, float], free: tuple[str, ...]
) -> list[int]:
    """The traces whose fit from the guess ends above the fit from the truth."""
    start = QUBIT.guess(stack, fixed)
    out = []
    for i in range(stack.sizes["trace"]):
        one = alone(stack, trace=i)
        guessed = {n: float(v[i]) for n, v in start.items()} | fixed
        best = depth(one, {n: float(v[i]) for n, v in truth.items()}, free)
        # The fits stop at 1e-8 of χ²; a false minimum is above by several units.
        if depth(one, guessed, free) > best + 1e-3 * best:
            out.append(i)
    return out


# ---- good starts ----


@pytest.mark.parametrize("noise", [0.01, 0.1])
@pytest.mark.parametrize("span", [2.0, 8.0, 40.0, 80.0])
def test_a_line_at_one_power_starts_in_the_basin_of_its_minimum(span: float, noise: float) -> None:
    stack, truth = lines(8, span=span, noise=noise, gaps=0.3, seed=int(span + 100 * noise))
    assert lost(stack, truth, KNOWN, ("qubit_frequency", "gamma_1", "gamma_phi")) == []


@pytest.mark.parametrize("noise", [0.01, 0.1])
def test_a_power_sweep_starts_in_the_basin_of_its_minimum(noise: float) -> None:
    stack, truth = sweeps(6, noise)
    free = ("qubit_frequency", "gamma_1", "gamma_phi", "drive_scale")
    assert lost(stack, truth, {"n_th": 0.02}, free) == []


def test_what_is_held_tells_saturation_from_width() -> None:
    stack, truth = lines(200, noise=1e-3, gaps=0.0)
    start = QUBIT.guess(stack, KNOWN)
    # Lines far below saturation do not tell Γ₁; the others do to some percent.
    power = stack["incident_power"].values
    gamma_2 = truth["gamma_phi"] + 0.52 * truth["gamma_1"]
    saturated = power * 1e30 / (1.04 * truth["gamma_1"] * gamma_2) > 0.5
    assert start["gamma_1"][saturated] == pytest.approx(truth["gamma_1"][saturated], rel=0.15)


def test_held_values_may_differ_from_trace_to_trace() -> None:
    stack, _ = lines(6)
    scale = np.geomspace(0.9e30, 1.1e30, 6)
    start = QUBIT.guess(stack, {"n_th": 0.02, "drive_scale": scale})
    for i in range(6):
        one = QUBIT.guess(alone(stack, trace=i), {"n_th": 0.02, "drive_scale": scale[i]})
        assert start["gamma_1"][i] == pytest.approx(float(one["gamma_1"]), rel=1e-9)


def test_the_order_of_the_points_does_not_matter() -> None:
    stack, _ = lines(5)
    mixed = stack.isel(point=np.random.default_rng(0).permutation(201))
    first, second = QUBIT.guess(stack, KNOWN), QUBIT.guess(DeviceTraces(mixed), KNOWN)
    for name in first:
        assert second[name] == pytest.approx(first[name], rel=1e-9)


# ---- one algorithm ----

MODELS = {
    "single_channel": {"detection": "absorbed"},
    "finite_temperature": {"detection": "absorbed"},
    "multi_channel": {"detection": "absorbed"},
    "channels": {"detection": "absorbed", "channels": "line,internal"},
    "power_balance": {},
    "free_decay": {},
    "reflection": {"setup": "raw", "convention": "+i"},
    "transmission": {"setup": "referenced", "geometry": "through_line", "convention": "-i"},
}


@pytest.mark.parametrize("name", MODELS)
def test_every_model_of_the_house_takes_stacks(name: str) -> None:
    model = pc.get_model(f"powercal:{name}").configure(**MODELS[name])
    one = make_traces(model)
    stack = xarray.concat([one, one], "trace", data_vars="all")
    assert takes_stacks(model, DeviceTraces(stack), {}, ("trace",))
    check_stacks(model, one)


def test_two_batch_dimensions_are_flattened_the_last_running_fastest() -> None:
    stack, _ = lines(6)
    fields = {
        name: (("sample", "day", *var.dims[1:]), var.values.reshape(2, 3, *var.shape[1:]))
        for name, var in stack.data_vars.items()
    }
    both = xarray.Dataset(fields, attrs=stack.attrs)
    found = guess_many(QUBIT, DeviceTraces(both), KNOWN, ("sample", "day"))
    wanted = guess_many(QUBIT, stack, KNOWN, ("trace",))
    for name, values in wanted.items():
        assert found[name] == pytest.approx(values, rel=1e-12)


def test_a_trace_without_data_is_nan_without_a_word() -> None:
    stack, _ = lines(4)
    values = stack["absorbed_power"].values.copy()
    values[2] = np.nan
    holed = stack.assign(absorbed_power=(("trace", "point"), values))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        start = QUBIT.guess(DeviceTraces(holed), KNOWN)
    whole = QUBIT.guess(stack, KNOWN)
    for name, found in start.items():
        assert np.isnan(found[2])
        assert np.delete(found, 2) == pytest.approx(np.delete(whole[name], 2), rel=1e-9)


def test_a_single_trace_without_data_is_refused_in_words() -> None:
    stack, _ = lines(1)
    empty = alone(stack, trace=0)
    empty["absorbed_power"] = empty["absorbed_power"] * np.nan
    with pytest.raises(FitError, match="shows no response to the drive at any point"):
        QUBIT.guess(empty, KNOWN)
    model = pc.get_model("powercal:reflection").configure(setup="device")
    nothing = make_traces(model)
    nothing["reflection"] = nothing["reflection"] * np.nan
    with pytest.raises(FitError, match="reflection holds no finite value at a known power"):
        model.guess(nothing, {})


def test_decays_are_found_among_noise() -> None:
    rng, delays = np.random.default_rng(0), np.linspace(0, 60e-6, 101)
    rate = np.array([5e4, np.nan, 1e5, 2e5])
    fall = np.nan_to_num(np.exp(-rate[:, None] * delays))
    values = 0.1 + 0.8 * fall + 0.03 * rng.standard_normal(fall.shape)
    fields = {"excited_population": (("trace", "time"), values)}
    model = pc.get_model("powercal:free_decay")
    start = model.guess(stacked(xarray.Dataset(fields, {"time": delays}), "trace"), {})
    assert np.isnan(start["gamma_1_tot"]).tolist() == [False, True, False, False]
    assert start["gamma_1_tot"][[0, 2, 3]] == pytest.approx(rate[[0, 2, 3]], rel=0.3)


# ---- models that know nothing of stacks ----


def plain(traces: Any, fixed: Mapping[str, Any]) -> dict[str, Array]:
    """Ignores batch_dims, as a guess written for one trace does."""
    if np.isnan(traces["absorbed_power"].values).all():
        raise FitError("the trace is empty; measure it")
    return {"gamma_1": np.asarray(np.nanmax(traces["absorbed_power"].values) * 1e25)}


PLAIN = dataclasses.replace(QUBIT, guess=plain)


def test_a_model_that_ignores_stacks_is_asked_trace_by_trace() -> None:
    stack, _ = lines(4)
    stack["absorbed_power"][1] = np.nan
    found = guess_many(PLAIN, stack, {}, ("trace",))["gamma_1"]
    wanted = np.fmax.reduce(stack["absorbed_power"].values, axis=1) * 1e25
    assert found == pytest.approx(wanted, nan_ok=True)
    assert np.isnan(found[1])


def test_a_model_that_falls_over_stacks_is_asked_trace_by_trace() -> None:
    def guess(traces: Any, fixed: Mapping[str, Any]) -> dict[str, Array]:
        return {n: np.asarray(float(v)) for n, v in QUBIT.guess(traces, fixed).items()}

    stack, _ = lines(3)
    found = guess_many(dataclasses.replace(QUBIT, guess=guess), stack, KNOWN, ("trace",))
    wanted = guess_many(QUBIT, stack, KNOWN, ("trace",))
    assert found["gamma_1"] == pytest.approx(wanted["gamma_1"], rel=1e-9)


def test_where_no_trace_has_a_start_the_reason_is_told() -> None:
    stack, _ = lines(2)
    with pytest.raises(FitError, match="the trace is empty; measure it"):
        guess_many(PLAIN, DeviceTraces(stack * np.nan), {}, ("trace",))


def test_a_dimension_that_is_not_there_is_named() -> None:
    stack, _ = lines(2)
    with pytest.raises(FitError, match="no dimension 'day' to count them by; they have trace, "):
        guess_many(QUBIT, stack, {}, ("day",))


# What a guess may do to a stack of traces, by what the kit says of it.
FAULTS: dict[str, Callable[[str, Array], Array | None]] = {
    "batch_dims must not change it": lambda name, v: v * (1 + 1e-3 * np.arange(v.size)),
    "for a trace without data among others; it must be NaN": lambda name, v: np.nan_to_num(v),
    "gives n_th for one trace, but not for a stack": lambda name, v: None if name == "n_th" else v,
}


@pytest.mark.parametrize("sentence", FAULTS)
def test_the_kit_finds_a_guess_that_treats_stacks_otherwise(sentence: str) -> None:
    def guess(traces: Any, fixed: Mapping[str, Any]) -> dict[str, Array]:
        found = QUBIT.guess(traces, fixed)
        if not found["gamma_1"].ndim:
            return found
        changed = {n: FAULTS[sentence](n, v) for n, v in found.items()}
        return {n: v for n, v in changed.items() if v is not None}

    model = dataclasses.replace(QUBIT, guess=guess)
    with pytest.raises(ContractError, match=sentence):
        check_stacks(model, make_traces(QUBIT))


# ---- the pieces ----


def test_means_over_blocks_leave_gaps_out() -> None:
    values = np.array([[1.0, 3.0, np.nan, 5.0, np.nan, np.nan, 7.0]])
    means, place = in_blocks(values, 2)
    assert place is not None
    assert means == pytest.approx(np.array([[2.0, 5.0, np.nan]]), nan_ok=True)
    assert place == pytest.approx(np.array([[0.0, 0.5, np.nan]]), nan_ok=True)


def test_percentiles_of_rows_are_those_of_numpy() -> None:
    rng = np.random.default_rng(0)
    values = np.where(rng.random((20, 33)) < 0.3, np.nan, rng.standard_normal((20, 33)))
    values[3, 1:] = np.nan  # one value is left, and of the last row none
    wanted = np.append(np.nanpercentile(values[:-1], 95, axis=1), np.nan)
    values[-1] = np.nan
    assert row_percentile(values, 95) == pytest.approx(wanted, nan_ok=True)


def test_lines_and_parabolas_are_those_of_numpy() -> None:
    rng = np.random.default_rng(0)
    x, y, weight = rng.standard_normal((3, 4, 15))
    weight = np.abs(weight)
    slope, level = weighted_line(x, y, weight)
    bent = parabola(x.T, y.T, weight.T)
    columns = np.stack([np.ones_like(x), x, x**2], axis=1)
    solved = batch_start.least_squares(columns, y, weight)
    for i in range(4):
        wanted = np.polyfit(x[i], y[i], 1, w=np.sqrt(weight[i]))
        assert [slope[i], level[i]] == pytest.approx(wanted, rel=1e-9)
        wanted = np.polyfit(x[i], y[i], 2, w=np.sqrt(weight[i]))[::-1]
        assert [c[i] for c in bent] == pytest.approx(wanted, rel=1e-9)
        # The ridge of 1e-10 that shares out what is not told apart moves what is by about as much.
        assert solved[i] == pytest.approx(wanted, rel=1e-7)


def test_variables_with_and_without_batch_dimensions_meet_in_rows() -> None:
    fields = {
        "incident_power": ("day", [1.0, 2.0, 3.0]),
        "absorbed_power": (("frequency", "sample", "day"), np.arange(24.0).reshape(4, 2, 3)),
    }
    traces = xarray.Dataset(fields, {"frequency": np.arange(4.0)})
    names = ("incident_power", "frequency", "absorbed_power")
    stack = Stack(stacked(traces, "sample", "day"), names, {})
    rows = np.array([1, 5])  # (sample 0, day 1) and (sample 1, day 2)
    assert stack.flat("incident_power", rows)[:, 0].tolist() == [2.0, 3.0]
    assert stack.flat("frequency", rows).tolist() == [[0.0, 1.0, 2.0, 3.0]]
    assert stack.flat("absorbed_power", rows).tolist() == [[1, 7, 13, 19], [5, 11, 17, 23]]


# ---- speed ----


def test_a_stack_costs_little_more_than_reading_it() -> None:
    """A loop of single guesses costs 500 µs a trace and more; the bound leaves room for CI."""
    stack, _ = lines(4000)
    QUBIT.guess(stack, KNOWN)
    before = time.process_time()
    QUBIT.guess(stack, KNOWN)
    assert (time.process_time() - before) / 4000 < 50e-6
