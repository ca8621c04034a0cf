"""A second minimum that fits as well is no estimate either."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import powercal as pc
from powercal.result import FitResult

TRUTH = {"qubit_frequency": 5e9, "gamma_r": 8e6, "gamma_phi": 1.5e6}


@cache
def measured(*powers: float) -> FitResult:
    """Reflected power at the device; with one drive power two pairs of width and depth fit."""
    traces = pc.simulate(
        "reflection",
        TRUTH,
        inputs={
            "incident_power": powers[0] if len(powers) == 1 else list(powers),
            "frequency": np.linspace(4.99e9, 5.01e9, 161),
        },
        seed=3,
        noise={"reflected_power": 1e-20},
        observables=("reflected_power",),
        setup="device",
        observable="power",
        convention="+i",
    )
    free: dict[str, Any] = {"free": ("gamma_phi", "attenuation_db")}
    return pc.fit(pc.to_device_plane(traces), "reflection", **free)


@pytest.mark.parametrize("name", ["gamma_r", "gamma_phi", "gamma_2", "reflection_depth", "T1"])
def test_one_drive_power_gives_two_answers_and_so_none(name: str) -> None:
    estimate = measured(6e-17)[name]
    assert (estimate.status, estimate.value, estimate.stderr) == ("undetermined", None, None)
    assert "two minima fit equally well" in estimate.reason


def test_the_range_of_two_answers_holds_the_truth() -> None:
    for name in ("gamma_r", "gamma_phi"):
        low, high = measured(6e-17)[name].allowed or (np.nan, np.nan)
        assert low < TRUTH[name] * 1.02
        assert high > TRUTH[name] * 0.98


def test_what_both_answers_agree_on_is_kept() -> None:
    centre = measured(6e-17)["qubit_frequency"]
    assert centre.status == "ok"
    assert centre.value == pytest.approx(5e9, abs=4.5 * (centre.stderr or 0.0))


def test_a_power_sweep_has_one_answer() -> None:
    result = measured(2e-18, 2e-17, 2e-16)
    for name, truth in TRUTH.items():
        estimate = result[name]
        assert estimate.status == "ok", name
        assert estimate.value == pytest.approx(truth, abs=4.5 * (estimate.stderr or 0.0))
