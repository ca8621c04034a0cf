"""The same measurement at several temperatures: what is constant tells what is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import powercal as pc
from powercal.errors import FitError
from powercal.physics.thermal import bose_occupation
from powercal.schema import DeviceTraces
from tests.fitting.systems import DRIVEN, F0, driven, sweep
from tests.fitting.test_joint import raw_decay

KELVIN = (0.05, 0.2, 0.5)
EXCESS = {"temperature": ("excess_temperature", 0.03), "occupation": ("excess_occupation", 0.05)}
FAST: Any = {"intervals": "covariance"}


def true_occupation(kelvin: float, excess: str) -> float:
    """n_th of the bath, by the physics room's own function."""
    size = EXCESS[excess][1]
    if excess == "temperature":
        return float(bose_occupation(2 * np.pi * F0, kelvin + size))
    return float(bose_occupation(2 * np.pi * F0, kelvin)) + size


def sweeps(excess: str, gain: bool = False) -> dict[float, DeviceTraces]:
    """Absorbed power at three temperatures, or at two behind a line of unknown gain."""
    out = {}
    line = pc.LineCalibration(attenuation_db=(60.0, 1e-3))
    for seed, kelvin in enumerate(KELVIN[::2] if gain else KELVIN):
        v = {**DRIVEN, "n_th": true_occupation(kelvin, excess)}
        wish: Any = {"seed": seed, "noise": 3e-3, "inputs": sweep(v, 5, 13)}
        if gain:
            raw = driven(v, attenuation_db=60.0, gain_db=30.0, **wish)
            out[kelvin] = pc.to_device_plane(raw, line)
        else:
            out[kelvin] = driven(v, **wish)
    return out


def agrees(result: pc.FitResult, name: str, truth: float) -> bool:
    # Few numbers, seeds fixed before the first run: four errors, once in 16,000.
    return abs(result[name].value - truth) < 4 * result[name].stderr


@pytest.mark.parametrize("excess", list(EXCESS))
def test_a_series_of_absorbed_powers_determines_all(excess: str) -> None:
    result = pc.fit_temperature_series(sweeps(excess), "finite_temperature", excess=excess, **FAST)
    name, truth = EXCESS[excess]
    assert result.ndata - result.nfree == 5  # f₀, Γ₁, Γφ, k and the excess
    assert result.undetermined == ()
    assert agrees(result, name, truth)
    assert all(agrees(result, n, DRIVEN[n]) for n in ("gamma_1", "gamma_phi", "drive_scale"))
    assert agrees(result, "200mK.n_th", true_occupation(0.2, excess))
    assert result.parts["50mK"]["n_th"].value == result["50mK.n_th"].value


def test_a_series_determines_even_the_gain() -> None:
    result = pc.fit_temperature_series(
        sweeps("temperature", gain=True), "finite_temperature", excess="temperature", **FAST
    )
    # Six of the table and the attenuation, whose prior is one row more.
    assert result.ndata + 1 - result.nfree == 7
    assert result.undetermined == ()
    assert agrees(result, "gain_db", 30.0)
    assert agrees(result, "gamma_1", DRIVEN["gamma_1"])


def test_a_series_of_relaxation_times_gives_rate_and_excess() -> None:
    decays = {
        t: raw_decay(DRIVEN["gamma_1"] * (1 + 2 * true_occupation(t, "occupation")), seed=i)
        for i, t in enumerate(KELVIN)
    }
    result = pc.fit_temperature_series(
        decays, "free_decay", excess="occupation", qubit_frequency=F0, **FAST
    )
    # Γ₁ and n₀; offset and contrast are each temperature's own.
    assert result.ndata - result.nfree == 2 + 2 * len(KELVIN)
    assert agrees(result, "gamma_1", DRIVEN["gamma_1"])
    assert agrees(result, "excess_occupation", 0.05)
    assert "500mK.contrast" in result.names


def test_what_is_assumed_is_said() -> None:
    result = pc.fit_temperature_series(
        sweeps("temperature"),
        "finite_temperature",
        excess="temperature",
        own=("qubit_frequency",),
        **FAST,
    )
    (flag,) = [f for f in result.flags if f.name == "temperature_series"]
    assert "the same at all temperatures: gamma_1, gamma_phi, drive_scale" in flag.sentence
    assert "bath of bosons" in flag.sentence
    assert "50mK.qubit_frequency" in result.names


def test_a_bath_of_two_level_defects_is_found_out() -> None:
    total = 1.5 * DRIVEN["gamma_1"]  # T1 does not depend on temperature (supplement C2)
    decays = {t: raw_decay(total, seed=i) for i, t in enumerate(KELVIN[::2])}
    result = pc.fit_temperature_series(
        decays,
        "free_decay",
        excess="occupation",
        qubit_frequency=F0,
        priors={"excess_occupation": (0.05, 0.02)},
        **FAST,
    )
    assert result.tension.probability < 1e-3
    assert any(f.name == "tension" for f in result.flags)


@pytest.mark.parametrize(
    ("kelvin", "model", "wishes", "message"),
    [
        ((0.05, 0.2), "free_decay", {"excess": "heat"}, "say how the bath differs"),
        ((0.05,), "free_decay", {"excess": "temperature"}, "1 temperature is no series"),
        ((0.0, 0.2), "free_decay", {"excess": "temperature"}, "temperature 0.0 is not positive"),
        ((0.2, 0.2 + 1e-9), "free_decay", {"excess": "temperature"}, "agree in six digits"),
        ((0.05, 0.2), "free_decay", {"excess": "temperature"}, "nothing says the transition"),
    ],
)
def test_what_is_no_series_is_refused_in_a_sentence(
    kelvin: tuple[float, ...], model: str, wishes: dict[str, Any], message: str
) -> None:
    with pytest.raises(FitError, match=message):
        pc.fit_temperature_series({t: raw_decay() for t in kelvin}, model, **wishes)


def test_a_model_without_an_occupation_is_refused() -> None:
    cold = {t: driven(DRIVEN) for t in KELVIN}
    with pytest.raises(FitError, match="has neither n_th nor gamma_1_tot; tie what depends"):
        pc.fit_temperature_series(cold, "single_channel", excess="temperature")
