"""What reflection determines of a line and an inside of different temperatures (supplement B)."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from fitting.systems import problem_of

import powercal as pc
from powercal.fitting.identifiability import Identifiability, analyse
from powercal.result import FitResult
from powercal.schema import DeviceTraces

from .line_systems import F0, full, simulated, widths

TRUTH = full(
    {"gamma_i": 1.5e6, "gamma_phi": 8e5, "n_line": 0.03, "n_internal": 0.12},
    "end_of_line",
    attenuation_db=70.0,
)
GAMMA_1_TOT = 6e6 * 1.06 + 1.5e6 * 1.24
KNOWN = {
    "T1": 1 / GAMMA_1_TOT,
    "p_eq": (6e6 * 0.03 + 1.5e6 * 0.12) / GAMMA_1_TOT,
    "attenuation_db": 70.0,
}
WIDE = ("gamma_i", "gamma_phi", "n_line", "n_internal", "attenuation_db")

# what is measured or known beside r; rank of the seven; what is flat
TABLE: dict[str, tuple[int, set[str]]] = {
    "": (4, {"gamma_r", *WIDE}),
    "T1": (5, {"gamma_r", "gamma_i", "n_line", "n_internal", "attenuation_db"}),
    "p_eq": (5, {"gamma_i", "gamma_phi", "n_line", "n_internal", "attenuation_db"}),
    "attenuation_db": (5, {"gamma_r", "gamma_i", "gamma_phi", "n_line", "n_internal"}),
    "T1 p_eq": (6, {"n_line", "n_internal"}),
    "T1 attenuation_db": (6, {"n_line", "n_internal"}),
    "total": (5, {"gamma_r", *WIDE}),
    "total T1": (6, {"n_line", "n_internal", "gamma_r", "gamma_i", "attenuation_db"}),
    "total p_eq": (6, {"n_line", "n_internal", "gamma_i", "gamma_phi", "attenuation_db"}),
}


@cache
def data(name: str, **options: str) -> DeviceTraces:
    traces = simulated(
        TRUTH, "end_of_line", name, noise=2e-3, temperatures="two", setup="referenced", **options
    )
    # At the device by construction; the loss is freed by name.
    attributes = {"setup": "device", "temperatures": "two"}
    return DeviceTraces(traces.assign_attrs(attributes))


def slopes(traces: DeviceTraces, free: tuple[str, ...], *known: str) -> tuple[Any, list[str]]:
    """Whitened derivatives by SI values, with a row per prior."""
    priors = {n: (KNOWN[n], 1e-2 * KNOWN[n]) for n in known}
    problem, x = problem_of(traces, "reflection", TRUTH, free=free, priors=priors, convention="-i")
    return problem.jacobian(x) / problem.slopes(x), [c.name for c in problem.coordinates]


def measured(what: str, free: tuple[str, ...] = WIDE) -> tuple[Identifiability, list[str]]:
    known = [n for n in what.split() if n in KNOWN]
    rows, names = slopes(data("reflection"), free, *known)
    if "total" in what:
        more, same = slopes(data("reflected_power", observable="power", detection="total"), free)
        assert same == names
        rows = np.vstack([rows, more])
    return analyse(rows), names


@pytest.mark.parametrize("what", TABLE)
def test_the_rank_with_two_temperatures_is_that_of_the_table(what: str) -> None:
    found, names = measured(what)
    rank, flat = TABLE[what]
    assert (found.rank, len(names)) == (rank, 7)
    open_ = {n for i, n in enumerate(names) if not found.determines(np.eye(7)[i])}
    assert open_ == flat


def test_of_the_occupations_only_the_upward_rate_is_left() -> None:
    """Γ_r n_r + Γ_i n_i, with T1, population and r."""
    found, names = measured("T1 p_eq")
    upward = np.array([6e6 * (n == "n_line") + 1.5e6 * (n == "n_internal") for n in names])
    assert found.determines(upward)
    difference = np.array([6e6 * (n == "n_line") - 1.5e6 * (n == "n_internal") for n in names])
    assert not found.determines(difference)


def test_a_cold_line_leaves_nothing_open() -> None:
    free = tuple(n for n in WIDE if n != "n_line")
    found, names = measured("T1 p_eq", free)
    assert (found.rank, len(names)) == (6, 6)


def fitted(**wishes: Any) -> FitResult:
    priors = {n: (KNOWN[n], 1e-3 * KNOWN[n]) for n in ("T1", "p_eq")}
    return pc.fit(
        data("reflection"),
        "reflection",
        free=tuple(n for n in WIDE if n not in wishes.get("fixed", {})),
        priors=priors,
        convention="-i",
        intervals="covariance",
        **wishes,
    )


def test_a_fit_says_that_it_cannot_tell_the_two_temperatures_apart() -> None:
    result = fitted()
    assert set(result.undetermined) == {"n_line", "n_internal"}
    gamma_2, _, knee = widths(TRUTH, "end_of_line")
    wanted = TRUTH | KNOWN | {"gamma_2": gamma_2, "saturation_power": knee}
    for name in ("gamma_r", "gamma_i", "gamma_phi", "attenuation_db", "gamma_2", "n_eff"):
        found = result[name]
        assert found.status == "ok", found
        truth = wanted.get(name, (6e6 * 0.03 + 1.5e6 * 0.12) / 7.5e6)
        assert found.value == pytest.approx(truth, abs=4.5 * (found.stderr or 0.0)), name


def test_a_known_line_gives_the_temperature_inside() -> None:
    result = fitted(fixed={"n_line": 0.03})
    found = result["n_internal"]
    assert found.status == "ok"
    assert found.value == pytest.approx(0.12, abs=4.5 * (found.stderr or 0.0))
    assert result["T_internal"].value == pytest.approx(
        4.799243e-11 * F0 / np.log1p(1 / (found.value or np.nan)), rel=1e-6
    )
