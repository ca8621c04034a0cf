"""Fits of two-port data: true valleys from the guess, honest errors, and what is not a qubit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import powercal as pc
from powercal.errors import FitError
from powercal.result import Check, FitResult
from powercal.schema import DeviceTraces

from .line_systems import F0, TWO_PI, full, model_of, simulated, widths

# geometry, set-up, what is fitted
KINDS = [
    ("through_line", "device", "transmission"),
    ("through_line", "raw", "transmission"),
    ("through_line", "referenced", "transmitted_power"),
    ("through_line", "referenced", "reflection"),
    ("notch", "referenced", "transmission"),
    ("notch", "raw", "transmitted_power"),
    ("in_line", "device", "transmission"),
    ("in_line", "device", "both"),
    ("in_line", "raw", "reflection"),
    ("in_line", "referenced", "reflected_power"),
]


def truth_of(geometry: str, setup: str, observable: str, seed: int) -> dict[str, float]:
    """A qubit of its own for every seed, behind a set-up of its own."""
    rng = np.random.default_rng([11, seed])
    model = model_of(geometry, setup=setup, observable=observable)
    scale = float(10 ** rng.uniform(-0.7, 0.7))
    found = full({"qubit_frequency": F0 + float(rng.uniform(-1e8, 1e8))}, geometry)
    for row in model.parameters:
        name = row.name
        if row.unit == "s-1" and row.vary:
            base = found.get(name) or 1e6
            found[name] = base * scale * float(rng.uniform(0.7, 1.4))
        elif name.endswith("_gain") and row.vary:
            found[name] = float(10 ** rng.uniform(-1, 1))
        elif name.endswith("_phase") and row.vary:
            found[name] = float(rng.uniform(-3, 3))
        elif name.endswith("delay") and row.vary:
            found[name] = float(rng.uniform(-2e-8, 2e-8))
        elif name in ("mismatch", "phi") and row.vary:
            found[name] = float(rng.uniform(-0.3, 0.3))
        elif name == "attenuation_db" and row.vary:
            found[name] = float(rng.uniform(40, 80))
    return found


def fitted(geometry: str, setup: str, observable: str, seed: int) -> tuple[FitResult, Any]:
    truth = truth_of(geometry, setup, observable, seed)
    names = ("transmission", "reflection") if observable == "both" else (observable,)
    model = model_of(geometry, setup=setup, observable=observable)
    traces = simulated(
        truth, geometry, *names, seed=seed, noise=1e-2, setup=setup, observable=observable
    )
    return pc.fit(traces, model, intervals="covariance", **model.chosen), truth


def pulls(result: FitResult, truth: Any) -> list[float]:
    return [
        (e.value - truth[e.name]) / e.stderr
        for e in result.parameters
        if e.stderr and e.value is not None
    ]


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_estimates_lie_within_their_errors_of_the_truth(kind: tuple[str, str, str]) -> None:
    found = []
    for seed in range(4):
        result, truth = fitted(*kind, seed)
        assert result.chi2 < result.nfree + 5 * result.chi2_spread
        assert result.undetermined == ()
        found += pulls(result, truth)
    assert len(found) >= 12
    assert np.max(np.abs(found)) < 4.5
    # Twelve or more pulls of which a few share their noise: their mean square is 1 ± 0.5.
    assert 0.2 < np.mean(np.square(found)) < 2.5


@pytest.mark.statistics
@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_pulls_of_fifty_fits_are_those_of_a_standard_normal(kind: tuple[str, str, str]) -> None:
    found = np.concatenate([pulls(*fitted(*kind, seed)) for seed in range(100, 150)])
    assert np.max(np.abs(found)) < 5
    assert 0.85 < np.std(found) < 1.15


# ---- what a single number of a fit means ----


def test_a_notch_gives_the_diameter_corrected_rate() -> None:
    """Γ_r = 2|κ|cos φ: at φ = 0.8 the diameter alone would be 44 % too high."""
    truth = full({"kappa": 3e6, "phi": 0.8, "gamma_phi": 5e5}, "notch")
    traces = simulated(truth, "notch", "transmission", noise=2e-3)
    result = pc.fit(
        traces, "transmission", geometry="notch", convention="-i", intervals="covariance"
    )
    found = result["gamma_r"]
    wanted = 6e6 * np.cos(0.8)
    assert found.value == pytest.approx(wanted, abs=4.5 * (found.stderr or 0.0))
    assert (found.stderr or 1e9) < 0.01 * wanted


def test_what_the_driven_port_of_a_notch_emits_goes_into_the_loss_of_the_line() -> None:
    """φ does not tell x: assumed ½ where 0.36 is true, the line looks 10 log(0.36/0.5) longer."""
    truth = full(
        {"kappa": 3e6, "phi": 0.3, "drive_fraction": 0.36, "gamma_phi": 5e5},
        "notch",
        attenuation_db=60.0,
    )
    traces = simulated(truth, "notch", "transmission", noise=2e-3, setup="referenced")
    wishes: dict[str, Any] = {"geometry": "notch", "convention": "-i", "intervals": "covariance"}
    assumed = pc.fit(traces, "transmission", **wishes)["attenuation_db"]
    shift = 10 * np.log10(0.5 / 0.36)
    assert assumed.value == pytest.approx(60.0 + shift, abs=4.5 * (assumed.stderr or 0.0))
    told = pc.fit(traces, "transmission", fixed={"drive_fraction": 0.36}, **wishes)
    loss = told["attenuation_db"]
    assert loss.value == pytest.approx(60.0, abs=4.5 * (loss.stderr or 0.0))


def test_a_qubit_beside_a_line_measures_the_power_at_its_own_plane() -> None:
    truth = full({"gamma_phi": 5e5}, "through_line", attenuation_db=63.0)
    traces = simulated(truth, "through_line", "transmission", noise=2e-3, setup="referenced")
    result = pc.fit(
        traces,
        "transmission",
        geometry="through_line",
        convention="-i",
        intervals="covariance",
    )
    found = result["saturation_power_at_device"]
    _, _, knee = widths(truth, "through_line")
    assert found.value == pytest.approx(knee / 10**6.3, abs=4.5 * (found.stderr or 0.0))
    assert (found.stderr or 1.0) < 0.01 * knee / 10**6.3


def test_the_same_start_serves_the_line_between_two_ports_and_its_mirror() -> None:
    """Port 1 the stronger or the weaker one: the known power tells them apart."""
    for left, right in ((1e6, 5e6), (5e6, 1e6)):
        truth = full({"gamma_left": left, "gamma_right": right, "gamma_phi": 5e5}, "in_line")
        traces = simulated(truth, "in_line", "transmission", noise=2e-3)
        result = pc.fit(
            traces, "transmission", geometry="in_line", convention="-i", intervals="covariance"
        )
        for name in ("gamma_left", "gamma_right", "gamma_phi"):
            found = result[name]
            assert found.value == pytest.approx(truth[name], abs=4.5 * (found.stderr or 0.0))


# ---- slow noise and the wrong geometry ----


def check(result: FitResult, name: str) -> Check:
    return next(c for c in result.checks if c.name == name)


@pytest.mark.parametrize("geometry", ["through_line", "notch", "in_line"])
def test_the_right_line_is_told_in_every_geometry(geometry: str) -> None:
    truth = full({"gamma_phi": 5e5, "sigma_slow": 5e5}, geometry)
    traces = simulated(truth, geometry, "transmission", seed=3, broadening="gaussian")
    wishes: dict[str, Any] = {
        "geometry": geometry,
        "convention": "-i",
        "intervals": "covariance",
    }
    slow = pc.fit(traces, "transmission", broadening="gaussian", **wishes)
    white = pc.fit(traces, "transmission", **wishes)
    assert slow.chi2 < slow.nfree + 5 * slow.chi2_spread < white.chi2
    verdicts = (check(slow, "line_shape").verdict, check(white, "line_shape").verdict)
    assert verdicts == ("holds", "fails")
    found = slow["sigma_slow"]
    assert found.value == pytest.approx(5e5, abs=4.5 * (found.stderr or 0.0))


def test_an_end_of_a_line_taken_for_a_line_that_goes_on_is_noticed() -> None:
    """r = 1 − ρ/(1−iδ) with ρ = 1.8 is no transmission: at most 1 is missing there."""
    end = full({"gamma_phi": 3e5}, "end_of_line")
    traces = simulated(end, "end_of_line", "reflection", noise=2e-3)
    traces = traces.rename(reflection="transmission", reflection_std="transmission_std")
    result = pc.fit(
        DeviceTraces(traces),
        "transmission",
        geometry="through_line",
        convention="-i",
        intervals="covariance",
    )
    depth = check(result, "reflection_depth")
    assert depth.verdict == "fails"
    assert depth.value == pytest.approx(2 * 6e6 / 3.3e6, rel=0.02)


def test_a_depth_that_a_free_gain_would_hide_is_unknown() -> None:
    result, _ = fitted("through_line", "raw", "reflection", 0)
    assert check(result, "reflection_depth").verdict == "unknown"
    assert result.verdicts["within_assumptions"]


def test_a_received_voltage_is_no_transmission() -> None:
    traces = pc.traces(
        incident_power=np.array([1e-16]),
        frequency=F0 + np.linspace(-1e6, 1e6, 5),
        received=np.ones((1, 5)) + 0j,
        units={"incident_power": "W", "frequency": "Hz", "received": "V"},
        plane="device",
    )
    with pytest.raises(FitError, match="incident_power, frequency and transmission or reflection"):
        model_of("through_line").guess(DeviceTraces(traces), {})


def test_the_strongest_drive_is_judged_by_the_driven_port_alone() -> None:
    """Ω² = 4Γ_left P/ħω: the right port does not count."""
    truth = full({"gamma_left": 1e6, "gamma_right": 5e6}, "in_line")
    traces = simulated(truth, "in_line", "transmission", noise=2e-3)
    result = pc.fit(
        DeviceTraces(traces.assign_attrs(anharmonicity=-200e6)),
        "transmission",
        geometry="in_line",
        convention="-i",
        intervals="covariance",
    )
    values, power = result.values, float(traces["incident_power"].max())
    rabi = np.sqrt(4 * values["gamma_left"] * power / (1.054571817e-34 * TWO_PI * F0))
    assert check(result, "anharmonicity").value == pytest.approx(rabi / (TWO_PI * 200e6), rel=1e-3)
