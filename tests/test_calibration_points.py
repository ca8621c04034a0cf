"""Calibration points: from a raw signal to populations, and what their noise means."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

import powercal as pc
from powercal.errors import TraceSchemaError
from powercal.loading.calibration import with_calibration_points
from powercal.models.free_decay import powercal_models
from powercal.schema import check_traces, flags

Array = NDArray[Any]
MODEL = powercal_models()[0]
TIME = np.linspace(0.0, 60e-6, 41)
P_0, P_EQ, GAMMA = 0.9, 0.08, 1e5
POPULATION = P_EQ + (P_0 - P_EQ) * np.exp(-GAMMA * TIME)
GROUND, EXCITED = 1.2e-3 + 0.6e-3j, 1.8e-3 - 0.2e-3j


def signal(population: Array, noise: float = 0.0, seed: int = 0) -> Array:
    """The complex signal of a population, with noise per quadrature in volts."""
    rng = np.random.default_rng(seed)
    jitter = rng.standard_normal(population.shape) + 1j * rng.standard_normal(population.shape)
    return np.asarray(GROUND + (EXCITED - GROUND) * population + noise * jitter)


def traces(values: Array, calibration: Array | None = None, std: float | None = None) -> Any:
    """Traces at the device; without calibration points of their own if None."""
    name = "received" if np.iscomplexobj(values) else "quadrature"
    dims = ("channel", "time")[-values.ndim :]
    variables: dict[str, Any] = {name: (dims, values, {"units": "V"})}
    if calibration is not None:
        points = (*dims[:-1], "calibration_point")
        variables["calibration"] = (points, calibration, {"units": "V"})
    if std is not None:
        variables[f"{name}_std"] = (dims, np.full(values.shape, std), {"units": "V"})
    time = np.arange(values.shape[-1]) * TIME[1]
    coordinates = {"time": ("time", time, {"units": "s"})}
    return check_traces(xr.Dataset(variables, coordinates, {"plane": "device"}))


POINTS = signal(np.array([0.0, 0.0, 1.0, 1.0]))


def test_the_population_is_the_place_on_the_line() -> None:
    found = with_calibration_points(
        traces(signal(POPULATION), POINTS), ground=(0, 1), excited=(2, 3)
    )
    np.testing.assert_allclose(found["excited_population"].values, POPULATION, atol=1e-13)
    assert "received" not in found
    assert "calibration" not in found


def test_what_lies_across_the_line_does_not_count() -> None:
    across = 1j * (EXCITED - GROUND) * np.linspace(-1, 1, 41)
    found = with_calibration_points(
        traces(signal(POPULATION) + across, POINTS), ground=(0, 1), excited=(2, 3)
    )
    np.testing.assert_allclose(found["excited_population"].values, POPULATION, atol=1e-13)


def test_one_quadrature_will_do() -> None:
    found = with_calibration_points(
        traces(signal(POPULATION).imag, POINTS.imag), ground=(0, 1), excited=(2, 3)
    )
    np.testing.assert_allclose(found["excited_population"].values, POPULATION, atol=1e-13)


def test_the_assumed_populations_are_those_declared() -> None:
    points = signal(np.array([0.05, 0.95]))
    found = with_calibration_points(
        traces(signal(POPULATION), points), ground=[0], excited=[1], populations=(0.05, 0.95)
    )
    np.testing.assert_allclose(found["excited_population"].values, POPULATION, atol=1e-13)


def test_points_of_the_sweep_can_be_declared() -> None:
    whole = np.append(signal(POPULATION), POINTS)
    found = with_calibration_points(traces(whole), ground=(-4, -3), excited=(-2, -1))
    assert found.sizes == {"time": 41}
    np.testing.assert_allclose(found["excited_population"].values, POPULATION, atol=1e-13)


def test_every_channel_has_its_own_line() -> None:
    turn = np.array([[1.0], [2.0j]])
    found = with_calibration_points(
        traces(signal(POPULATION) * turn, POINTS * turn), ground=(0, 1), excited=(2, 3)
    )
    np.testing.assert_allclose(
        found["excited_population"].values, [POPULATION, POPULATION], atol=1e-13
    )


def test_repeats_may_share_their_calibration_points() -> None:
    raw = traces(signal(POPULATION), POINTS)
    received = raw["received"].expand_dims(repeat=3).transpose("time", "repeat")
    many = raw.assign(received=received.assign_attrs(units="V"))
    found = with_calibration_points(many, ground=(0, 1), excited=(2, 3))["excited_population"]
    assert found.dims == ("time", "repeat")
    np.testing.assert_allclose(found.values, np.stack([POPULATION] * 3, axis=1), atol=1e-13)


def test_a_dead_channel_does_not_disturb_the_others() -> None:
    values = np.stack([signal(POPULATION), np.full(41, np.nan + 0j)])
    found = with_calibration_points(
        traces(values, np.stack([POINTS, POINTS])), ground=(0, 1), excited=(2, 3)
    )
    np.testing.assert_allclose(found["excited_population"].values[0], POPULATION, atol=1e-13)
    assert np.isfinite(found.attrs["calibration_ground_std"])


def test_the_error_of_a_point_is_that_along_the_line() -> None:
    found = with_calibration_points(
        traces(signal(POPULATION), POINTS, std=1e-5), ground=(0, 1), excited=(2, 3)
    )
    np.testing.assert_allclose(found["excited_population_std"].values, 1e-5 / abs(EXCITED - GROUND))
    error = 1e-5 / abs(EXCITED - GROUND) / np.sqrt(2)
    assert found.attrs["calibration_ground_std"] == pytest.approx(error, rel=1e-12)


def test_an_unknown_error_is_left_to_the_fit() -> None:
    noisy = traces(signal(POPULATION, 2e-5), POINTS)
    found = with_calibration_points(noisy, ground=(0, 1), excited=(2, 3))
    assert "excited_population_std" not in found
    error = 2e-5 / abs(EXCITED - GROUND) / np.sqrt(2)
    # Second differences of 41 complex points tell σ to √(35/9/82) = 22 %.
    assert found.attrs["calibration_ground_std"] == pytest.approx(error, rel=0.6)
    assert any("their own noise moves all populations together" in f for f in flags(found))


def test_the_stated_common_error_is_the_scatter_of_many_calibrations() -> None:
    noise, moved = 4e-5, []
    for seed in range(100):
        points = signal(np.array([0.0, 0.0, 1.0, 1.0]), noise, seed)
        exact = traces(signal(POPULATION), points, std=noise)
        found = with_calibration_points(exact, ground=(0, 1), excited=(2, 3))
        moved.append(found["excited_population"].values - POPULATION)
    told = found.attrs["calibration_ground_std"]
    # At population p both ends count by 1 − p and p; 100 draws give a deviation to 7 %.
    wanted = told * np.hypot(1 - POPULATION, POPULATION)
    np.testing.assert_allclose(np.std(moved, axis=0), wanted, rtol=0.3)


def test_a_fit_counts_the_noise_of_the_calibration_points() -> None:
    noise, pulls = 1e-5, []
    for seed in range(40):
        points = signal(np.array([0.0, 1.0]), noise, 1000 + seed)
        raw = signal(POPULATION, noise / 8, seed)
        found = with_calibration_points(traces(raw, points, std=noise), ground=[0], excited=[1])
        # The trace was averaged 64 times as long as each calibration point.
        quiet = found.assign(excited_population_std=found["excited_population_std"] / 8)
        fitted = pc.fit(quiet.assign_attrs(found.attrs), MODEL, intervals="covariance")
        pulls.append(
            [(fitted[n].value - t) / fitted[n].stderr for n, t in (("p_0", P_0), ("p_eq", P_EQ))]
        )
    # Without that noise the errors would be eight times too small; 40 draws tell a width to 11 %.
    np.testing.assert_allclose(np.std(pulls, axis=0), 1.0, atol=0.45)
    assert (np.abs(np.mean(pulls, axis=0)) < 4 / np.sqrt(40)).all()


def test_t1_does_not_feel_the_noise_of_the_calibration_points() -> None:
    raw = signal(POPULATION, 2e-5)
    t1 = []
    for seed in (1, 2):
        points = signal(np.array([0.0, 1.0]), 1e-4, seed)
        found = with_calibration_points(traces(raw, points), ground=[0], excited=[1])
        free = pc.fit(found, MODEL, intervals="covariance")
        t1.append(free["T1"].value)
    rotated = pc.fit(traces(raw), MODEL, intervals="covariance")["T1"]
    assert rotated.stderr is not None
    # The line turns by 0.1, which mixes in that much of the noise across it.
    assert abs(t1[0] - t1[1]) < 0.3 * rotated.stderr
    assert abs(t1[0] - (rotated.value or 0)) < 0.3 * rotated.stderr


@pytest.mark.parametrize(
    ("ground", "excited", "sentence"),
    [
        ((0, 1), (2, 4), "there is no point 4"),
        ((0, 1), (1, 2), "points of its own"),
        ((), (2, 3), "points of its own"),
    ],
)
def test_impossible_points_are_refused(
    ground: tuple[int, ...], excited: tuple[int, ...], sentence: str
) -> None:
    with pytest.raises(TraceSchemaError, match=sentence):
        with_calibration_points(traces(signal(POPULATION), POINTS), ground=ground, excited=excited)


def test_states_at_the_same_place_are_refused() -> None:
    same = np.full(4, GROUND)
    with pytest.raises(TraceSchemaError, match="at the same place"):
        with_calibration_points(traces(signal(POPULATION), same), ground=(0, 1), excited=(2, 3))


def test_a_population_needs_no_calibration() -> None:
    made = with_calibration_points(
        traces(signal(POPULATION), POINTS), ground=(0, 1), excited=(2, 3)
    )
    with pytest.raises(TraceSchemaError, match="the traces hold neither"):
        with_calibration_points(made, ground=(0, 1), excited=(2, 3))
