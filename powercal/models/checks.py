"""Assumptions of the two-level theory as checks on a result (physics sheet section 11, C11)."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np

from powercal.models.driven import TWO_PI
from powercal.models.unbounded import over_coherence
from powercal.physics.floquet import bloch_siegert_shift
from powercal.physics.ladder import stark_shift
from powercal.physics.ladder_checks import ladder_leakage
from powercal.physics.thermal import bose_occupation
from powercal.result import Check, FitResult

QUALITY = 100.0  # Γ₁tot/ω_q below a percent: Fermi's golden rule and one occupation hold
SMALL = 0.01  # shifts of Γ₁ by a percent and more are worth a word


def _verdict(value: float, limit: float) -> Literal["holds", "fails", "unknown"]:
    if not np.isfinite(value):
        return "unknown"
    return "holds" if value <= limit else "fails"


def check(name: str, value: float, limit: float, effect: str) -> Check:
    """Return a check that holds up to its limit, and is unknown where the value is NaN."""
    return Check(
        name=name,
        value=float(value),
        limit=float(limit),
        verdict=_verdict(value, limit),
        effect=effect,
    )


def driven_checks(result: FitResult) -> tuple[Check, ...]:
    """Check a fit of absorbed power or population."""
    values = result.values
    attenuation = values.get("attenuation_db", 0.0)
    power = strongest_drive(result) * 10 ** (-attenuation / 10)
    rabi = float(np.sqrt(values["drive_scale"] * power))
    checks = common_checks(result, values["gamma_1"], rabi)
    ratio, error = over_coherence(result)
    checks.append(
        check(
            "coherence_bound",
            ratio - 3 * error,
            1.0,
            "Γ₁ > 2Γ₂ cannot come from a qubit: gain, background or detection is wrong, and Γ₁ "
            "with it (value: Γ₁/2Γ₂ without the bound, less three errors)",
        )
    )
    if result.options.get("energy") == "floquet":
        lowest = (
            float(result.curve["absorbed_power"].min())
            if "absorbed_power" in result.curve
            else np.nan
        )
        checks.append(check("second_law", -lowest, 0.0, "R_total < 0: outside the master equation"))
    return tuple(checks)


def balance_checks(result: FitResult) -> tuple[Check, ...]:
    """Check a straight line of power against population; the drive does not enter it."""
    values, traces = result.values, result.traces
    frequency = float(np.nanmean(traces["frequency"].values))
    gamma_1_tot = values["gamma_1"] * (1 + 2 * values["n_th"])
    population = traces["excited_population"].values
    spread = traces.get("excited_population_std")
    error = 0.0 if spread is None else float(np.nanmax(spread.values))
    at = dataclasses.replace(result, values={**values, "qubit_frequency": frequency})
    return (
        quality(gamma_1_tot, TWO_PI * frequency),
        check(
            "inversion",
            float(np.nanmax(population)) - 3 * error,
            0.5,
            "no steady drive lifts the population above ½: its offset or scale is wrong, and n_th "
            "with it (value: the largest, less three errors)",
        ),
        *_bath(at),
        *_line(result),
    )


def quality(gamma_1_tot: float, omega_q: float) -> Check:
    """Check that the relaxation is a rate at all, from Γ₁tot (1/s) and ω_q (rad/s)."""
    return check("quality_factor", QUALITY * gamma_1_tot / omega_q, 1.0, "Γ₁ is no rate if Q < 100")


def strongest_drive(result: FitResult) -> float:
    """Return the largest incident power, W."""
    return float(np.nanmax(result.traces["incident_power"].values))


def common_checks(result: FitResult, gamma_1: float, rabi: float) -> list[Check]:
    """Check what every driven qubit assumes, for its Γ₁ (1/s) and Ω (rad/s) at most."""
    values = result.values
    omega_q = TWO_PI * values["qubit_frequency"]
    n_th, gamma_phi = values.get("n_th", 0.0), values.get("gamma_phi", 0.0)
    gamma_1_tot = gamma_1 * (1 + 2 * n_th)
    gamma_2 = gamma_1_tot / 2 + gamma_phi
    broadening = rabi**2 / (gamma_1_tot * gamma_2)
    width = gamma_2 * np.sqrt(1 + broadening)
    frequency = result.traces["frequency"].values
    offset = float(np.nanmax(np.abs(TWO_PI * frequency - omega_q))) / omega_q
    dwell = float(result.traces.attrs.get("dwell_time", np.nan))
    checks = [
        quality(gamma_1_tot, omega_q),
        check("detuning", offset, SMALL, "Γ₁ shifts by up to Δ/ω_q with the bookkeeping"),
        check(
            "bloch_siegert",
            abs(float(bloch_siegert_shift(rabi, omega_q))) / width,
            SMALL,
            "the line moves with power; use energy='floquet'",
        ),
        check(
            "steady_state",
            10 / (dwell * min(gamma_1_tot, gamma_2)),
            1.0,
            "population and power are too small if the dwell time is under ten relaxation times",
        ),
    ]
    checks += _third_level(result, rabi, gamma_1, width)
    # p at the strongest drive on resonance, with which a thermal third level takes its share.
    excited = (n_th / (1 + 2 * n_th) + broadening / 2) / (1 + broadening)
    return [*checks, _thermal_level(result, omega_q, excited), *_bath(result), *_line(result)]


def _alpha(result: FitResult) -> float:
    return TWO_PI * float(result.traces.attrs.get("anharmonicity", np.nan))


def _third_level(result: FitResult, rabi: float, gamma_1: float, width: float) -> list[Check]:
    values, alpha = result.values, _alpha(result)
    gamma_1_tot = gamma_1 * (1 + 2 * values.get("n_th", 0.0))
    n_th, omega_q = values.get("n_th", 0.0), TWO_PI * values["qubit_frequency"]
    level = ladder_leakage(
        rabi, alpha, gamma_1, values.get("gamma_phi", 0.0), n_th, omega_q=omega_q
    )
    return [
        check(
            "leakage",
            float(level.leakage),
            SMALL,
            f"Γ₁ is off by {float(level.excess_power):+.1%} if judged from the power alone, by "
            f"{float(level.excess_first):+.1%} with p₁ (value: p₂/p₁ of four levels on resonance "
            f"at the strongest drive)",
        ),
        check(
            "stark_shift",
            abs(float(stark_shift(rabi, alpha))) / width,
            0.1,
            "the line moves with power and bends R(P) at fixed frequency",
        ),
        check(
            "anharmonicity",
            max(gamma_1_tot, rabi) / abs(alpha),
            0.1,
            "whether the bath of the ladder is secular or collective matters at ΓΩ/|α|",
        ),
    ]


def _thermal_level(result: FitResult, omega_q: float, excited: float) -> Check:
    """Weight that a thermally filled third level takes away, p′n₂₁/(1+n₂₁) (supplement C7)."""
    n_th, upper = result.values.get("n_th", 0.0), omega_q + _alpha(result)
    # n₂₁ at ω_q + α and the temperature of n_th: n/(1+n) = e^{−ħω/kT}.
    filled = (n_th / (1 + n_th)) ** (upper / omega_q) if n_th > 0 else 0.0 * upper
    return check(
        "thermal_level",
        excited * filled,
        SMALL,
        "a thermal third level takes this share of the amplitude at the strongest drive",
    )


def _bath(result: FitResult) -> list[Check]:
    omega_q = TWO_PI * result.values["qubit_frequency"]
    temperature = float(result.traces.attrs.get("bath_temperature", np.nan))
    expected = float(bose_occupation(omega_q, temperature)) if temperature > 0 else np.nan
    among = (*result.parameters, *result.derived)
    estimate = next((e for e in among if e.name in ("n_th", "n_eff")), None)
    if estimate is None or estimate.status == "fixed":
        return [
            check(
                "assumed_n_th",
                2 * abs(result.values.get("n_th", 0.0) - expected),
                SMALL,
                "n_th is held at a value that disagrees with the stated bath temperature; "
                "Γ₁tot = Γ₁(1+2n) is off by that share",
            )
        ]
    deviation = np.nan
    if estimate.value is not None and estimate.stderr:
        deviation = abs(estimate.value - expected) / estimate.stderr
    elif estimate.interval95 is not None and np.isfinite(expected):
        deviation = 0.0 if expected <= estimate.interval95[1] else 4.0
    return [
        check(
            "bath_temperature",
            deviation,
            3.0,
            "n_th disagrees with the stated bath temperature (in standard errors): the qubit's "
            "bath is not the stated one, or the model is wrong",
        )
    ]


def _line(result: FitResult) -> list[Check]:
    """Whether the qubit agrees with what was declared of the line."""
    line = [e for e in result.parameters if e.name in ("attenuation_db", "gain_db")]
    pulls = [
        abs(e.value - e.prior[0]) / e.prior[1] for e in line if e.prior and e.value is not None
    ]
    if not pulls:
        return []
    return [
        check(
            "declared_line",
            max(pulls),
            3.0,
            "the qubit contradicts the stated attenuation or gain (in their uncertainties); Γ₁ "
            "and the drive scale carry the difference",
        )
    ]
