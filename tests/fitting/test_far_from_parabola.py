"""Where χ² is no parabola its curvature is no error: intervals stand, the error bar does not."""

from __future__ import annotations

from typing import Any

import numpy as np

import powercal as pc

ROW = pc.Parameter(name="depth", unit="1", meaning="a number that acts in two ways", example=1.0)


def curve(time: Any, *, depth: Any) -> Any:
    """Steep close to 1, nearly flat elsewhere: curvature says little of how far depth may go."""
    off = depth - 1.0
    return (np.tanh(1e3 * off) * 1e-3 * time + 1e-4 * off * time,)


def jacobian(time: Any, *, depth: Any) -> Any:
    """Its exact derivative: differences would step over the kink."""
    return ({"depth": (np.cosh(1e3 * (depth - 1.0)) ** -2.0 + 1e-4) * time},)


MODEL = pc.Model(
    name="kinked",
    summary="a curve with a kink in its parameter, for tests",
    inputs=("time",),
    observables=("excited_population",),
    parameters=(ROW,),
    curve=curve,
    jacobian=jacobian,
    guess=lambda traces, fixed: {"depth": np.asarray(1.0)},
)


def fitted(noise: float) -> pc.Estimate:
    traces = pc.simulate(
        MODEL,
        {"depth": 1.0},
        inputs={"time": np.linspace(0.0, 1.0, 50)},
        seed=1,
        noise={"excited_population": noise},
    )
    return pc.fit(pc.to_device_plane(traces), MODEL)["depth"]


def test_an_interval_far_wider_than_the_curvature_says_takes_the_error_bar_away() -> None:
    estimate = fitted(5e-3)
    assert estimate.status == "no_error"
    assert estimate.stderr is None
    assert "take the intervals" in estimate.reason
    low, high = estimate.interval68
    assert high - low > 1.0


def test_a_parabola_keeps_its_error_bar() -> None:
    estimate = fitted(1e-5)
    assert estimate.status == "ok"
    low, high = estimate.interval68
    np.testing.assert_allclose(high - low, 2 * estimate.stderr, rtol=0.1)
