"""Determined, but hardly: correlations, nearly flat directions, priors that speak alone."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import powercal as pc
from powercal.fitting.identifiability import analyse
from powercal.fitting.near import nearly_degenerate
from powercal.result import FitResult
from powercal.schema import DeviceTraces
from tests.fitting.systems import DRIVEN, driven, problem_of, saturation_power

QUICK: dict[str, Any] = {"intervals": "covariance"}


def low_power(**more: Any) -> DeviceTraces:
    """A sweep that hardly saturates: rate and drive scale act as their product."""
    inputs = {
        "incident_power": saturation_power(DRIVEN) * np.array([0.01, 0.02, 0.05]),
        "frequency": 5e9 + 1e6 * np.linspace(-3, 3, 41),
    }
    return driven(DRIVEN, "absorbed_power", inputs=inputs, noise=1e-5, **more)


@cache
def at_low_power() -> FitResult:
    return pc.fit(low_power(), "single_channel", **QUICK)


def test_parameters_that_are_hardly_told_apart_are_named_with_their_correlation() -> None:
    result = at_low_power()
    pair = next(s for s in result.nearly_degenerate if "hardly told apart" in s)
    stated = float(pair.split("correlation ")[1].split(")")[0])
    one, other = pair.split(" are ")[0].split(" and ")
    i, j = result.names.index(one), result.names.index(other)
    c = result.covariance
    assert stated == pytest.approx(c[i, j] / np.sqrt(c[i, i] * c[j, j]), abs=2e-4)
    assert abs(stated) > 0.98


def test_a_good_sweep_has_nothing_of_the_kind() -> None:
    traces = driven(DRIVEN, "absorbed_power", "excited_population", seed=1)
    assert pc.fit(traces, "finite_temperature", **QUICK).nearly_degenerate == ()


def test_a_shallow_direction_is_named_by_what_moves_along_it() -> None:
    inputs = {
        "incident_power": saturation_power(DRIVEN) * np.array([1e-4, 2e-4]),
        "frequency": 5e9 + 1e6 * np.linspace(-3, 3, 41),
    }
    traces = driven(DRIVEN, "absorbed_power", inputs=inputs, noise=1e-9, model="finite_temperature")
    problem, x = problem_of(traces, "single_channel", {k: DRIVEN[k] for k in DRIVEN if k != "n_th"})
    found = analyse(problem.jacobian(x))
    names = tuple(c.name for c in problem.coordinates)
    sentences = nearly_degenerate(problem, x, found, names)
    shallow = next(s for s in sentences if s.startswith("one direction is nearly flat"))
    # Far below saturation a line shows its width Γ₁/2 + Γφ and its depth only.
    assert "gamma_1" in shallow
    assert "gamma_phi" in shallow


def test_what_is_undetermined_is_left_to_the_rank() -> None:
    result = pc.fit(driven(DRIVEN, "absorbed_power", seed=1), "finite_temperature", **QUICK)
    assert "n_th" in result.undetermined
    assert not any("n_th" in s or "gamma_phi" in s for s in result.nearly_degenerate)


def test_a_prior_that_the_data_add_nothing_to_is_said_to_dominate() -> None:
    traces = driven(DRIVEN, "absorbed_power", seed=1)
    result = pc.fit(traces, "finite_temperature", priors={"gamma_phi": (1e6, 2e4)}, **QUICK)
    assert any(s.startswith("gamma_phi rests on its prior: ") for s in result.nearly_degenerate)


def test_a_prior_that_is_weaker_than_the_data_is_not_mentioned() -> None:
    traces = driven(DRIVEN, "absorbed_power", "excited_population", seed=1)
    result = pc.fit(traces, "finite_temperature", priors={"gamma_1": (6e6, 1e6)}, **QUICK)
    assert result.nearly_degenerate == ()


def test_the_page_has_a_section_of_them() -> None:
    assert "\nHardly told apart\n" in str(at_low_power())
