"""Averages over repeats: gaps do not count, and the scatter becomes the error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from powercal.errors import TraceSchemaError
from powercal.loading.averaging import FEW, average
from powercal.schema import check_traces, flags

Array = NDArray[Any]
TIME = np.linspace(0.0, 1e-5, 50)


def repeated(values: Array, name: str = "quadrature") -> Any:
    """Traces of shape (…, repeat, time)."""
    dims = ("channel", "repeat", "time")[-values.ndim :]
    return check_traces(
        xr.Dataset(
            {name: (dims, values, {"units": "mV"})},
            {"time": ("time", TIME, {"units": "s"})},
            {"plane": "device"},
        )
    )


def test_the_mean_skips_what_is_not_there() -> None:
    values = np.array([[1.0], [2.0], [np.nan], [6.0]]) * np.ones((4, 50))
    traces = average(repeated(values), "repeat")
    np.testing.assert_allclose(traces["quadrature"].values, 3e-3)
    assert traces["quadrature"].dims == ("time",)
    assert traces["quadrature"].attrs["units"] == "V"


@pytest.mark.parametrize("repeats", [3, FEW + 20])
@pytest.mark.parametrize("is_complex", [False, True])
def test_the_error_is_that_of_the_mean(repeats: int, is_complex: bool) -> None:
    rng = np.random.default_rng(0)
    values: Array = rng.standard_normal((repeats, 50))
    if is_complex:
        values = values + 1j * rng.standard_normal((repeats, 50))
    traces = average(repeated(values, "received" if is_complex else "quadrature"), "repeat")
    std = next(v.values for n, v in traces.data_vars.items() if str(n).endswith("_std"))
    # σ = 1 mV per quadrature; a pooled σ of ν numbers is uncertain by 1/√(2ν), ν ≥ 100.
    assert np.sqrt(np.mean(std**2)) == pytest.approx(1e-3 / np.sqrt(repeats), rel=0.25)
    pooled = np.ptp(std) == 0
    assert pooled == (repeats < FEW)


def test_few_repeats_share_one_deviation_but_not_their_number() -> None:
    values = np.random.default_rng(1).standard_normal((4, 50))
    values[1:, 7] = np.nan
    std = average(repeated(values), "repeat")["quadrature_std"].values
    assert std[7] == pytest.approx(2 * std[8], rel=1e-12)


def test_every_channel_has_its_own_deviation() -> None:
    values = np.random.default_rng(2).standard_normal((2, 5, 50)) * [[[1.0]], [[10.0]]]
    std = average(repeated(values), "repeat")["quadrature_std"].values
    assert std.shape == (2, 50)
    # Each is pooled from 200 numbers, good to 5 %.
    assert std[1, 0] / std[0, 0] == pytest.approx(10, rel=0.3)


def test_the_order_of_the_dimensions_does_not_matter() -> None:
    values = np.random.default_rng(2).standard_normal((2, 5, 50)) * [[[1.0]], [[10.0]]]
    usual = repeated(values)
    turned = usual.transpose("repeat", "time", "channel")
    found = average(turned, "repeat").transpose("channel", "time")
    xr.testing.assert_allclose(found, average(usual, "repeat"), rtol=1e-13)


def test_a_point_that_nobody_recorded_stays_a_gap() -> None:
    values = np.ones((5, 50)) + np.random.default_rng(3).standard_normal((5, 50))
    values[:, 3] = np.nan
    traces = average(repeated(values), "repeat")
    assert np.isnan(traces["quadrature"].values[3])
    assert np.isnan(traces["quadrature_std"].values[3])
    assert np.isfinite(np.delete(traces["quadrature_std"].values, 3)).all()


def test_single_entries_have_no_error() -> None:
    traces = average(repeated(np.ones((1, 50))), "repeat")
    assert "quadrature_std" not in traces
    assert "single entries have no scatter" in flags(traces)[-1]


def test_the_flags_say_what_was_averaged() -> None:
    values = np.random.default_rng(4).standard_normal((4, 50))
    values[2:, :10] = np.nan
    (said,) = flags(average(repeated(values), "repeat"))
    assert said.startswith("quadrature is the mean of 2 to 4 entries along 'repeat'")
    assert "pooled over each trace" in said


def test_an_error_that_was_there_before_gives_way_to_the_scatter() -> None:
    values = np.random.default_rng(5).standard_normal((10, 50))
    traces = repeated(values)
    old = traces.assign(quadrature_std=(("repeat", "time"), np.full((10, 50), 7.0), {"units": "V"}))
    xr.testing.assert_identical(average(old, "repeat"), average(traces, "repeat"))


def test_what_does_not_repeat_is_left_alone() -> None:
    traces = repeated(np.random.default_rng(6).standard_normal((4, 50)))
    traces = traces.assign(temperature=((), 0.02, {"units": "K"})).assign_coords(
        repeat=[0.0, 1.0, 2.0, 3.0]
    )
    averaged = average(traces, "repeat")
    assert float(averaged["temperature"]) == 0.02
    assert "repeat" not in averaged.variables


def test_delays_that_differ_between_repeats_are_not_averaged() -> None:
    traces = repeated(np.ones((2, 50)))
    moved = traces.drop_vars("time").assign(
        time=(("repeat", "time"), np.stack([TIME, 2 * TIME]), {"units": "s"})
    )
    with pytest.raises(TraceSchemaError, match="time differs along 'repeat'"):
        average(moved, "repeat")


def test_a_missing_dimension_is_answered_with_those_that_are_there() -> None:
    with pytest.raises(TraceSchemaError, match="did you mean 'repeat'"):
        average(repeated(np.ones((2, 50))), "repeats")
