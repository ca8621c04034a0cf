"""The unit in which powers are written down must not change any digit of a result that matters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import powercal as pc
from powercal.physics.constants import HBAR
from powercal.result import FitResult
from powercal.schema import DeviceTraces
from tests.fitting.systems import DRIVEN, F0, Array, sweep

PER_WATT = {"W": 1.0, "fW": 1e15, "pW": 1e12, "mW": 1e3}


def at(saturating: float) -> dict[str, float]:
    """A system that saturates at this power; one of 1e-19 W has a rate of 1e5/s."""
    gamma_1 = 6e6 if saturating > 1e-18 else 1e5
    thermal = 1 + 2 * DRIVEN["n_th"]
    width = gamma_1 * thermal / 2 + gamma_1 / 6
    return DRIVEN | {
        "gamma_1": gamma_1,
        "gamma_phi": gamma_1 / 6,
        "drive_scale": gamma_1 * thermal * width / saturating,
    }


def arrays(truth: dict[str, float], with_sigma: bool) -> dict[str, Array]:
    simulated = pc.simulate(
        "finite_temperature",
        truth,
        inputs=sweep(truth, 6, 21),
        seed=91,
        noise={
            "absorbed_power": 0.01 * HBAR * 2 * np.pi * F0 * truth["gamma_1"] / 2,
            "excited_population": 5e-3,
        },
        observables=("absorbed_power", "excited_population"),
        detection="absorbed",
    )
    names = ["incident_power", "frequency", "absorbed_power", "excited_population"]
    names += ["absorbed_power_std", "excited_population_std"] if with_sigma else []
    return {n: np.asarray(simulated[n].values) for n in names}


def written(values: dict[str, Array], incident: str, absorbed: str) -> DeviceTraces:
    """The same traces with powers in other units."""
    out: dict[str, Any] = dict(values)
    for name in values:
        base = name.removesuffix("_std")
        unit = {"incident_power": incident, "absorbed_power": absorbed}.get(base)
        if unit == "dBm":
            out[name] = 10 * np.log10(values[name] * 1e3)
        elif unit is not None:
            out[name] = values[name] * PER_WATT[unit]
    return DeviceTraces(
        pc.traces(
            **out,
            units={
                "incident_power": incident,
                "frequency": "Hz",
                "absorbed_power": absorbed,
                "excited_population": "1",
            },
            plane="device",
            detection="absorbed",
        )
    )


def check_same(found: FitResult, expected: FitResult) -> None:
    for e in (*expected.parameters, *expected.derived):
        same = found[e.name]
        assert same.status == e.status, e.name
        if e.value is not None:
            # A value is as good as a millionth of its error; units round in the 16th digit.
            slack = 1e-6 * (e.stderr or 0.0)
            assert same.value == pytest.approx(e.value, rel=1e-9, abs=slack), e.name
        if e.stderr is not None:
            assert same.stderr == pytest.approx(e.stderr, rel=1e-6), e.name
        for mine, theirs in (
            (same.interval68, e.interval68),
            (same.interval95, e.interval95),
            (same.allowed, e.allowed),
        ):
            assert (mine is None) == (theirs is None)
            if mine is not None and theirs is not None:
                assert mine == pytest.approx(theirs, rel=1e-6), e.name
    assert found.chi2 == pytest.approx(expected.chi2, rel=1e-8)


def once_each(*pairs: tuple[str, str]) -> list[Any]:
    """All powers in all units; those that show every power and unit once are in every run."""
    powers = (1e-15, 1e-17, 1e-19)
    return [
        pytest.param(power, *pair, marks=[] if i % 3 == k % 3 else [pytest.mark.statistics])
        for i, power in enumerate(powers)
        for k, pair in enumerate(pairs)
    ]


@pytest.mark.parametrize(
    ("saturating", "incident", "absorbed"), once_each(("fW", "fW"), ("dBm", "pW"), ("mW", "W"))
)
def test_units_do_not_change_a_fit_with_given_sigma(
    saturating: float, incident: str, absorbed: str
) -> None:
    values = arrays(at(saturating), True)
    expected = pc.fit(written(values, "W", "W"), "finite_temperature")
    found = pc.fit(written(values, incident, absorbed), "finite_temperature")
    check_same(found, expected)
    assert expected["gamma_1"].status == "ok"


@pytest.mark.parametrize("saturating", [1e-15, 1e-17, 1e-19])
@pytest.mark.parametrize(("incident", "absorbed"), [("fW", "fW"), ("dBm", "W")])
def test_units_do_not_change_a_fit_that_finds_sigma_itself(
    saturating: float, incident: str, absorbed: str
) -> None:
    values = arrays(at(saturating), False)
    expected = pc.fit(written(values, "W", "W"), "finite_temperature", intervals="covariance")
    found = pc.fit(
        written(values, incident, absorbed), "finite_temperature", intervals="covariance"
    )
    check_same(found, expected)


def test_powers_of_attowatts_give_the_truth() -> None:
    truth = at(1e-19)
    result = pc.fit(written(arrays(truth, True), "W", "W"), "finite_temperature")
    for name, value in truth.items():
        found = result[name]
        assert found.status == "ok", found
        assert found.value is not None
        assert found.stderr is not None
        assert abs(found.value - value) < 4 * found.stderr, found


def test_degenerate_ranges_do_not_depend_on_units() -> None:
    values = {k: v for k, v in arrays(at(1e-17), True).items() if "population" not in k}

    def absorbed_only(incident: str, absorbed: str) -> FitResult:
        traces = written(values | {"excited_population": np.zeros((6, 21))}, incident, absorbed)
        return pc.fit(traces, "finite_temperature", observables=("absorbed_power",))

    expected, found = absorbed_only("W", "W"), absorbed_only("dBm", "fW")
    for name in ("n_th", "gamma_phi", "drive_scale"):
        assert found[name].status == "undetermined"
        mine, theirs = found[name].allowed, expected[name].allowed
        assert mine is not None
        assert theirs is not None
        # The valley is flat: where a search stops in it is rounding, its ends are not.
        assert mine == pytest.approx(theirs, rel=1e-4)
