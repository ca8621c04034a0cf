"""The models say what the physics says: limits, choices, derived quantities, checks."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from powercal_transmon import absorbed, reflection

import powercal as pc
from powercal.errors import ContractError
from powercal.physics import ladder
from powercal.physics.constants import BOLTZMANN, HBAR
from powercal.physics.ladder_energy import transition_flows
from powercal.physics.ladder_steady_state import ladder_steady_state
from powercal.physics.ladder_system import Ladder, flat_bath

TRANSMON = absorbed.powercal_models()[0].configure(detection="absorbed")
REFLECTION = reflection.powercal_models()[0].configure(setup="device")
TWO_PI = 2 * np.pi
POWER = np.geomspace(1e-20, 1e-15, 6)[:, None]
FREQUENCY = 5e9 + np.linspace(-4e6, 4e6, 17)


def examples(model: pc.Model, **changed: float) -> dict[str, Any]:
    return {row.name: row.example for row in model.parameters} | changed


def curve(model: pc.Model, **changed: float) -> Any:
    return model.curve(POWER, FREQUENCY, **examples(model, **changed))


# As far as the table allows: (Omega/alpha)^2 is at most 1e-6.
FAR = -4.9e9


@pytest.mark.parametrize("levels", ["3", "4", "5"])
def test_with_far_levels_a_cold_transmon_is_the_two_level_model(levels: str) -> None:
    model = TRANSMON.configure(levels=levels)
    two = pc.get_model("powercal:finite_temperature").configure(detection="absorbed")
    found = curve(model, n_th=0.0, anharmonicity=FAR)
    expected = two.curve(POWER, FREQUENCY, **examples(two, n_th=0.0))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=3e-5)


def test_with_far_levels_a_cold_reflection_is_the_two_level_model() -> None:
    two = pc.get_model("powercal:reflection").configure(setup="device", convention="+i")
    changed = {"gamma_i": 1e6, "gamma_phi": 2e5, "reference_phase": 0.4, "mismatch": 0.2}
    model = REFLECTION.configure(convention="+i")
    found = curve(model, anharmonicity=FAR, **changed)
    expected = two.curve(POWER, FREQUENCY, **examples(two, **changed))
    for ours, theirs in zip(found, expected, strict=True):
        # The upper transition's own response is of order Gamma_r/|alpha| = 2e-4.
        np.testing.assert_allclose(ours, theirs, rtol=5e-4)


def test_equal_spacing_of_rates_is_the_common_bath() -> None:
    common = curve(TRANSMON.configure(dissipators="secular"))
    own = TRANSMON.configure(dissipators="secular", baths="per_transition")
    for ours, theirs in zip(curve(own), common, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_a_weaker_upper_transition_leaks_more_where_the_frequency_is_noisy() -> None:
    own = TRANSMON.configure(baths="per_transition", population="above")
    power, frequency = np.asarray(1e-15), np.asarray(5e9)

    def above_first(**changed: float) -> float:
        model = own.configure(population="first")
        values = examples(own, n_th=0.0, **changed)
        return float(
            own.curve(power, frequency, **values)[2] / model.curve(power, frequency, **values)[2]
        )

    for gamma_21 in (2e6, 2e5):
        expected = ladder.leakage(np.sqrt(1e15), TWO_PI * 2e8, 2e5 / gamma_21)
        # The next order is (Omega/alpha)^2 = 6e-4, times a number.
        assert above_first(gamma_21=gamma_21) - 1 == pytest.approx(float(expected), rel=0.01)


def test_what_is_above_the_ground_state_is_more_than_the_first_level() -> None:
    first = curve(TRANSMON)[2]
    above = curve(TRANSMON.configure(population="above"))[2]
    # n/(1+n) is 0.05/1.05: the second level holds about that share of the first.
    np.testing.assert_allclose(above / first, 1 + 0.05, rtol=0.01)


def test_coherent_detection_is_the_reflected_amplitude() -> None:
    # One frequency: the drive scale of a line, 4 Gamma_r/(hbar omega_d), is then a number.
    frequency, gamma_r = np.asarray(5.0004e9), 5e6
    line = REFLECTION.configure(convention="-i")
    warm = {"gamma_i": 2e6, "n_th": 0.05, "gamma_phi": 1e5}
    _, reflected = line.curve(POWER[:, 0], frequency, **examples(line, gamma_r=gamma_r, **warm))
    model = TRANSMON.configure(detection="coherent")
    scale = 4 * gamma_r / (HBAR * TWO_PI * float(frequency))
    values = examples(
        model, gamma_1=7e6, gamma_r=gamma_r, n_th=0.05, gamma_phi=1e5, drive_scale=scale
    )
    found = model.curve(POWER[:, 0], frequency, **values)
    np.testing.assert_allclose(found[1], reflected, rtol=1e-10)


def test_total_detection_misses_what_the_line_takes_back() -> None:
    part = curve(TRANSMON.configure(detection="total"), gamma_r=2.5e5)[0]
    np.testing.assert_allclose(part, 0.75 * curve(TRANSMON)[0], rtol=1e-12)
    # The line as a bath of its own: what goes into it is not missing.
    baths = [flat_bath(4, rate, 0.05) for rate in (2.5e5, 7.5e5)]
    detuning, rabi = TWO_PI * (FREQUENCY - 5e9), np.sqrt(1e30 * POWER)
    state = ladder_steady_state(Ladder(detuning, rabi, -TWO_PI * 2e8, baths, 2e5))
    lost = sum(transition_flows(state)[1])
    # Flows up and down cancel to the weakest drive's share of 1e-4.
    np.testing.assert_allclose(part, HBAR * TWO_PI * FREQUENCY * lost, rtol=1e-10)


def test_bare_energies_err_by_the_anharmonicity_over_the_frequency() -> None:
    cold, point = {"n_th": 0.0, "anharmonicity": -4e7}, (np.asarray(1.6e-15), np.asarray(5e9))

    def seen(**choices: str) -> Any:
        model = TRANSMON.configure(levels="3", **choices)
        return model.curve(*point, **examples(model, **cold))

    exact, _, first = seen()
    above = seen(population="above")[2]
    # At T = 0 level 2 gives 2 p_2 of the p_1 + 2 p_2 photons, on resonance alpha too little each.
    share = 2 * (above - first) / (2 * above - first)
    error = seen(energy="transition")[0] / exact - 1
    assert error == pytest.approx(-4e7 / 5e9 * share, rel=1e-9, abs=0)


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"detection": "coherent", "dissipators": "secular"}, "one collective bath flat over"),
        ({"detection": "total", "baths": "per_transition"}, "one collective bath flat over"),
        ({"detection": "total", "energy": "transition"}, "known for detection='absorbed' only"),
    ],
)
def test_combinations_without_an_exact_formula_are_refused(
    choices: dict[str, str], words: str
) -> None:
    with pytest.raises(ContractError, match=words):
        TRANSMON.configure(**choices)


def test_only_secular_baths_have_occupations_of_their_own() -> None:
    def names(**choices: str) -> set[str]:
        return {row.name for row in TRANSMON.configure(**choices).parameters}

    own = {"gamma_10", "gamma_21", "gamma_32"}
    collective = names(baths="per_transition", dissipators="collective")
    assert own | {"n_th"} <= collective
    assert own | {"n_10", "n_21", "n_32"} <= names(baths="per_transition", dissipators="secular")
    assert not {"n_10", "n_21"} & collective


def test_what_typical_data_cannot_tell_is_held() -> None:
    model = TRANSMON.configure(baths="per_transition", dissipators="secular")
    held = {row.name for row in model.parameters if not row.vary}
    assert held == {"anharmonicity", "gamma_21", "gamma_32", "n_21", "n_32"}


def test_derived_quantities_follow_from_the_lowest_transition() -> None:
    values = examples(TRANSMON)
    found = {
        d.name: float(d.function(**{a: values[a] for a in d.arguments})) for d in TRANSMON.derived
    }
    n, alpha = 0.05, TWO_PI * 2e8
    total, gamma_2 = 1e6 * (1 + 2 * n), (1e6 * (1 + 2 * n) + 2e6 * n) / 2 + 2e5
    assert found["T1"] == pytest.approx(1 / total, rel=1e-6, abs=0)
    assert found["gamma_2"] == pytest.approx(gamma_2)
    rabi = np.sqrt(total * gamma_2)
    assert found["leakage_at_saturation"] == pytest.approx(
        float(ladder.leakage(rabi, alpha, 2e5 / 2e6)), rel=1e-12, abs=0
    )
    assert found["stark_shift_at_saturation"] == pytest.approx(
        float(ladder.stark_shift(rabi, alpha)) / TWO_PI
    )
    assert found["two_photon_frequency"] == 4.9e9
    ratio = n / (1 + n)
    assert found["p_eq"] == pytest.approx(ratio / sum(ratio**j for j in range(4)))
    dark = TRANSMON.curve(np.asarray(1e-30), np.asarray(5e9), **values)[2]
    assert found["p_eq"] == pytest.approx(float(dark), rel=1e-9)
    kelvin = HBAR * TWO_PI * 5e9 / (BOLTZMANN * np.log(1 / ratio))
    assert found["T_eff"] == pytest.approx(kelvin)


@cache
def strongly_driven() -> pc.FitResult:
    """Simulate drives up to |alpha|/6, fit them with the anharmonicity free, from far away."""
    model = TRANSMON.configure(dissipators="secular", levels="3")
    traces = pc.simulate(
        model,
        examples(model, n_th=0.0, anharmonicity=-4e7),
        inputs={
            "incident_power": np.geomspace(1e-19, 1.6e-15, 12),
            "frequency": 5e9 + np.linspace(-2e7, 2e7, 61),
        },
        noise={"absorbed_power": 1e-20, "excited_population": 5e-3},
        observables=("absorbed_power", "excited_population"),
        seed=2,
    )
    return pc.fit(
        pc.to_device_plane(traces),
        model,
        free=("anharmonicity",),
        fixed={"n_th": 0.0},
        intervals="covariance",
        **model.chosen,
    )


def test_a_line_that_moves_with_power_tells_the_anharmonicity() -> None:
    result = strongly_driven()
    for name, truth in (("anharmonicity", -4e7), ("gamma_1", 1e6), ("gamma_phi", 2e5)):
        estimate = result[name]
        assert estimate.value is not None
        assert estimate.stderr is not None
        # One seed, three numbers: four standard errors leave a chance of 2e-4 for a false alarm.
        assert abs(estimate.value - truth) < 4 * estimate.stderr
    # A shift of 0.5 MHz seen to a thousandth of itself.
    assert result["anharmonicity"].stderr == pytest.approx(6e3, rel=0.3)


def test_every_fit_is_checked_for_what_a_ladder_assumes() -> None:
    verdicts = {check.name: check.verdict for check in strongly_driven().checks}
    # Omega/|alpha| is 0.16; a hundredth of p_1 is in level 2, the highest one that is kept.
    assert verdicts == {
        "leakage": "holds",
        "truncation": "fails",
        "stark_shift": "holds",
        "anharmonicity": "fails",
        "quality_factor": "holds",
        "bloch_siegert": "holds",
        "steady_state": "unknown",
    }


def test_a_fit_of_reflection_is_checked_too() -> None:
    model = REFLECTION.configure(convention="+i")
    traces = pc.simulate(
        model,
        examples(model),
        inputs={"incident_power": POWER.ravel(), "frequency": FREQUENCY},
        noise={"reflection": 0.01},
        observables=("reflection",),
        seed=3,
        attributes={"setup": "device", "dwell_time": 1e-4},
    )
    result = pc.fit(pc.to_device_plane(traces), model, intervals="covariance")
    assert {check.verdict for check in result.checks} == {"holds"}
    assert result["gamma_r"].value == pytest.approx(5e6, rel=0.02)
