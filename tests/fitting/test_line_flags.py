"""What is declared of a line and does not enter a fit is said."""

from __future__ import annotations

import numpy as np

import powercal as pc
from powercal.result import FitResult

F0 = 5e9
TRUTH = {
    "qubit_frequency": F0,
    "gamma_r": 6e6,
    "gamma_i": 0.0,
    "gamma_phi": 0.0,
    "n_th": 0.0,
    "attenuation_db": 70.0,
    "reference_gain": 0.9,
    "reference_phase": 0.4,
}


def fitted(line: pc.LineCalibration, setup: str) -> FitResult:
    traces = pc.simulate(
        "reflection",
        TRUTH,
        inputs={
            "incident_power": 2.5e-10 * np.geomspace(0.05, 20.0, 4),
            "frequency": F0 + 4e6 * np.linspace(-1.0, 1.0, 21),
        },
        seed=1,
        noise={"reflection": 0.01},
        observables=["reflection"],
        attributes={"plane": "instrument", "setup": "raw"},
        convention="+i",
        setup="raw",
    )
    device = pc.to_device_plane(traces, line)
    return pc.fit(device, "reflection", convention="+i", setup=setup, intervals="covariance")


def said_of_the_line(result: FitResult) -> str:
    return " ".join(f.sentence for f in result.flags if f.name == "line")


def test_an_attenuation_that_a_model_holds_is_not_passed_over_in_silence() -> None:
    line = pc.LineCalibration(attenuation_db=(70.0, 0.5))
    said = said_of_the_line(fitted(line, "device"))
    assert "the attenuation of the line is not used: the model holds attenuation_db at 0 dB" in said
    assert said_of_the_line(fitted(line, "raw")) == ""


def test_a_gain_that_a_model_does_not_know_is_not_passed_over_in_silence() -> None:
    line = pc.LineCalibration(attenuation_db=(70.0, 0.5), gain_db=(30.0, 0.3))
    assert "reference_gain, which contains it" in said_of_the_line(fitted(line, "raw"))
