"""The curves of a qubit with several baths, and their exact derivatives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Arrays, Derivatives
from powercal.models.absorbed_curves import floquet_curve, floquet_slopes
from powercal.models.driven import TWO_PI, line_shape, saturation
from powercal.physics.constants import HBAR

Array = NDArray[Any]
Slopes = dict[str, Array]


def totals(names: tuple[str, ...], p: Mapping[str, Any]) -> tuple[Any, Any, Any, Any]:
    """Return Γ₁ = ΣΓ_k, Γ₁tot = ΣΓ_k(1+2n_k), p_eq and Γ₂ (physics sheet section 2)."""
    gamma_1 = sum(p[f"gamma_{k}"] for k in names)
    upward = sum(p[f"gamma_{k}"] * p[f"n_{k}"] for k in names)
    gamma_1_tot = gamma_1 + 2 * upward
    return gamma_1, gamma_1_tot, upward / gamma_1_tot, gamma_1_tot / 2 + p["gamma_phi"]


class _State:
    """What all observables share at one point of the parameters.

    Slopes are taken by Γ₁, Γ₁tot, p_eq, Γ₂ first (``inner``) and by the model's parameters last:
    what a channel does, it does through these four.
    """

    def __init__(
        self, power: Array, frequency: Array, names: tuple[str, ...], p: Mapping[str, Any]
    ) -> None:
        self.names, self.p, self.frequency = names, p, frequency
        self.gamma_1, self.gamma_1_tot, self.p_eq, self.gamma_2 = totals(names, p)
        self.detuning = TWO_PI * (frequency - p["qubit_frequency"])
        self.s, self._totals = saturation(
            self.detuning, p["drive_scale"] * power, self.gamma_1_tot, self.gamma_2
        )
        self.share = self.s / (1 + self.s)
        self.photons = self.gamma_1 / 2 * self.share

    def log_s(self, power: Array) -> Slopes:
        """∂ln s by the inner coordinates, the parameters and the inputs."""
        frequency = self._totals["qubit_frequency"]
        return {
            "gamma_1_tot": self._totals["gamma_1_tot"],
            "gamma_2": self._totals["gamma_2"],
            "qubit_frequency": frequency,
            "frequency": -frequency,
            "drive_scale": np.asarray(1 / self.p["drive_scale"]),
            "incident_power": 1 / power,
        }

    def outer(self, inner: Slopes) -> Slopes:
        """Chain slopes by Γ₁, Γ₁tot, p_eq and Γ₂ to those by Γ_k, n_k and Γφ."""
        zero = np.zeros_like(self.share)
        by_1, by_tot, by_eq, by_2 = (
            inner.pop(n, zero) for n in ("gamma_1", "gamma_1_tot", "p_eq", "gamma_2")
        )
        through = by_tot + by_2 / 2  # Γ₂ = Γ₁tot/2 + Γφ
        inner["gamma_phi"] = by_2
        for k in self.names:
            gamma, n = self.p[f"gamma_{k}"], self.p[f"n_{k}"]
            warm = 1 + 2 * n
            of_rate = by_1 + through * warm + by_eq * (n - self.p_eq * warm) / self.gamma_1_tot
            of_n = (2 * through + by_eq * (1 - 2 * self.p_eq) / self.gamma_1_tot) * gamma
            inner[f"gamma_{k}"] = inner.get(f"gamma_{k}", zero) + of_rate
            inner[f"n_{k}"] = inner.get(f"n_{k}", zero) + of_n
        return inner

    def photon_slopes(self, log_s: Slopes) -> Slopes:
        """∂N by the inner coordinates."""
        slopes = {name: self.photons / (1 + self.s) * slope for name, slope in log_s.items()}
        return slopes | {"gamma_1": self.share / 2}

    def quantum(self, energy: str) -> Any:
        """ħω_d or ħω_q."""
        chosen = self.frequency if energy == "effective" else self.p["qubit_frequency"]
        return HBAR * TWO_PI * chosen

    def seen(self, detection: str) -> tuple[Array, Slopes]:
        """Share of the absorbed photons that is missed in what comes back (supplement C5)."""
        first = self.names[0]
        gamma, warm = self.p[f"gamma_{first}"], 1 + 2 * self.p[f"n_{first}"]
        one = np.ones_like(self.share)
        if detection == "absorbed":
            return one, {}
        if detection == "total":
            eta = gamma * warm / self.gamma_1_tot
            return one * (1 - eta), {
                f"gamma_{first}": -one * warm / self.gamma_1_tot,
                f"n_{first}": -one * 2 * gamma / self.gamma_1_tot,
                "gamma_1_tot": one * eta / self.gamma_1_tot,
            }
        cold = 1 - 2 * self.p_eq
        half = gamma * cold / self.gamma_2 / (2 * (1 + self.s))  # ρ/(2(1+s))
        return 1 - half, {
            f"gamma_{first}": -half / gamma,
            "p_eq": 2 * half / cold,
            "gamma_2": half / self.gamma_2,
            "s": half * self.share,  # by ln s
        }


def curve(
    incident_power: Array,
    frequency: Array,
    *,
    names: tuple[str, ...],
    energy: str,
    detection: str,
    **p: Any,
) -> Arrays:
    """Return absorbed and reflected power, population and (where known) the first bath's heat."""
    gamma_1, gamma_1_tot, p_eq, gamma_2 = totals(names, p)
    knee = gamma_1_tot * gamma_2 / p["drive_scale"]
    drive, width, below = line_shape(incident_power, frequency, p["qubit_frequency"], knee, gamma_2)
    share = drive / below  # s/(1+s)
    effective = energy == "effective"
    carried = share * (frequency if effective else p["qubit_frequency"])
    absorbed = (HBAR * TWO_PI * gamma_1 / 2) * carried
    population = p_eq + (0.5 - p_eq) * share
    gamma, n = p[f"gamma_{names[0]}"], p[f"n_{names[0]}"]
    if detection == "coherent":
        rho = gamma * (1 - 2 * p_eq) / gamma_2
        absorbed = absorbed * (1 - (rho / 2) * width / below)
    elif detection == "total":
        absorbed = absorbed * (1 - gamma * (1 + 2 * n) / gamma_1_tot)
    seen = absorbed, incident_power - absorbed, population
    if detection != "absorbed":
        return seen
    omega_q, scale = TWO_PI * p["qubit_frequency"], HBAR * gamma * (1 + 2 * n) * gamma_1 / 2
    leak = HBAR * omega_q * gamma * ((1 + 2 * n) * p_eq - n)
    if not effective:
        return *seen, (scale * omega_q / gamma_1_tot) * share + leak
    # ω_q/Γ₁tot + Δ/2Γ₂ per photon, with Δ taken apart: nothing cancels, as Γ₁tot ≤ 2Γ₂.
    at_rest = scale * omega_q * (1 / gamma_1_tot - 1 / (2 * gamma_2))
    return *seen, at_rest * share + (scale * TWO_PI / (2 * gamma_2)) * carried + leak


def jacobian(
    incident_power: Array,
    frequency: Array,
    *,
    names: tuple[str, ...],
    energy: str,
    detection: str,
    **p: Any,
) -> Derivatives:
    """Return the exact derivatives of :func:`curve` by parameters and inputs."""
    state = _State(incident_power, frequency, names, p)
    log_s = state.log_s(incident_power)
    photons = state.photon_slopes(log_s)
    absorbed = _absorbed_slopes(state, energy, detection, log_s, photons)
    reflected = {name: -value for name, value in absorbed.items()}
    reflected["incident_power"] = reflected["incident_power"] + 1.0
    lift = (0.5 - state.p_eq) * state.share / (1 + state.s)
    population = {name: lift * slope for name, slope in log_s.items()}
    population["p_eq"] = 1 - state.share
    seen = absorbed, reflected, state.outer(population)
    return seen if detection != "absorbed" else (*seen, _heat_slopes(state, energy, photons))


def lab_curve(
    incident_power: Array, frequency: Array, *, names: tuple[str, ...], **p: Any
) -> Arrays:
    """Return absorbed and reflected power and population in the laboratory frame (section 6).

    What single channels take there is not known: there is no heat into the first one.
    """
    gamma_1, _, p_eq, _ = totals(names, p)
    # One bath of these totals: only they enter.
    one = {"gamma_1": gamma_1, "n_th": p_eq / (1 - 2 * p_eq)}
    rest = {n: p[n] for n in ("qubit_frequency", "gamma_phi", "drive_scale")}
    return floquet_curve(incident_power, frequency, **one, **rest)


def lab_jacobian(
    incident_power: Array, frequency: Array, *, names: tuple[str, ...], **p: Any
) -> Derivatives:
    """Return the exact derivatives of :func:`lab_curve`."""
    state = _State(incident_power, frequency, names, p)
    tables = floquet_slopes(
        incident_power, frequency, p, state.gamma_1_tot, state.gamma_2, state.p_eq
    )
    absorbed, population = (state.outer(table) for table in tables)
    reflected = {name: -value for name, value in absorbed.items()}
    reflected["incident_power"] = reflected["incident_power"] + 1.0
    return absorbed, reflected, population


def _absorbed_slopes(
    state: _State, energy: str, detection: str, log_s: Slopes, photons: Slopes
) -> Slopes:
    quantum, (seen, explicit) = state.quantum(energy), state.seen(detection)
    through_s = explicit.pop("s", 0.0)
    inner = {name: quantum * seen * slope for name, slope in photons.items()}
    for name, slope in log_s.items():
        inner[name] = inner[name] + quantum * state.photons * through_s * slope
    for name, slope in explicit.items():
        inner[name] = inner.get(name, 0.0) + quantum * state.photons * slope
    carrier = "frequency" if energy == "effective" else "qubit_frequency"
    inner[carrier] = inner[carrier] + HBAR * TWO_PI * state.photons * seen
    return state.outer(inner)


def _heat_slopes(state: _State, energy: str, photons: Slopes) -> Slopes:
    """Return the slopes of R_first = N·ħΓ(1+2n)(ω_q/Γ₁tot + Δ/2Γ₂) + leak (supplement C3)."""
    first, p, number = state.names[0], state.p, state.photons
    gamma, n = p[f"gamma_{first}"], p[f"n_{first}"]
    omega_q, warm = TWO_PI * p["qubit_frequency"], 1 + 2 * n
    flow = HBAR * gamma * warm
    at_rest = flow * omega_q / state.gamma_1_tot
    tilt = flow / (2 * state.gamma_2) if energy == "effective" else 0.0  # per Δ
    per_photon = at_rest + tilt * state.detuning
    leak = HBAR * omega_q * gamma * (warm * state.p_eq - n)
    inner = {name: per_photon * slope for name, slope in photons.items()}
    inner["gamma_1_tot"] = inner["gamma_1_tot"] - number * at_rest / state.gamma_1_tot
    inner["gamma_2"] = inner["gamma_2"] - number * tilt * state.detuning / state.gamma_2
    inner["p_eq"] = flow * omega_q + 0 * number
    inner[f"gamma_{first}"] = (number * per_photon + leak) / gamma
    of_n = HBAR * omega_q * gamma * (2 * state.p_eq - 1)
    inner[f"n_{first}"] = 2 * number * per_photon / warm + of_n
    by_carrier = TWO_PI * number * tilt
    at_qubit = (number * at_rest + leak) / p["qubit_frequency"]
    inner["qubit_frequency"] = inner["qubit_frequency"] + at_qubit - by_carrier
    inner["frequency"] = inner["frequency"] + by_carrier
    return state.outer(inner)
