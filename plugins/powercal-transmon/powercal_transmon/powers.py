"""The power that an instrument misses when a ladder is driven, and its derivatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from powercal.physics.constants import HBAR
from powercal.physics.detection import coherent_power_difference, total_power_difference
from powercal.physics.energy import total_power
from powercal.physics.ladder_energy import bare_power, transition_flows
from powercal.physics.ladder_slopes import (
    LadderSlopes,
    photon_rate_slopes,
    population_slopes,
    response_slopes,
)
from powercal.physics.ladder_steady_state import LadderState
from powercal_transmon.ladders import TWO_PI, Form
from powercal_transmon.tables import total_rate


@dataclass(frozen=True)
class Power:
    """Which photons count as missing, and which energy each of them carries.

    ``detection``: absorbed N; coherent N − Γ_r|⟨b⟩|²; total N(1 − Γ_r/Γ₁), all that comes back
    counted and what comes without drive subtracted (supplement C5, C7). ``energy``: effective
    ħω_d (exact); transition Σħω_ijJ_ij, what the undriven ladder would give ([G §4.4]).
    """

    form: Form
    detection: str
    energy: str

    def value(self, state: LadderState, frequency: Any, p: Mapping[str, Any]) -> Any:
        """Return the power, W."""
        if self.energy == "transition":
            return bare_power(state, TWO_PI * p["qubit_frequency"])
        omega_d, photons = TWO_PI * frequency, state.photon_rate
        if self.detection == "coherent":
            lowered = np.asarray(state.ladder.rabi) * state.response
            return coherent_power_difference(omega_d, photons, p["gamma_r"], lowered)
        if self.detection == "total":
            gamma_1_tot = total_rate(p["gamma_1"], p["n_th"])
            return total_power_difference(omega_d, photons, p["gamma_r"], p["n_th"], gamma_1_tot)
        return total_power(omega_d, photons)

    def slopes(self, state: LadderState, frequency: Any, p: Mapping[str, Any]) -> dict[str, Any]:
        """Return derivatives by parameters, by ``frequency`` and by ``rabi_squared``."""
        response = response_slopes(state)
        photons = self.form.slopes(photon_rate_slopes(state, response))
        if self.energy == "transition":
            return self._bare_slopes(state, p, photons)
        per_photon, explicit = self._shares(state, p)
        slopes = {name: per_photon * slope for name, slope in photons.items()}
        if self.detection == "coherent":
            for name, slope in self._emission_slopes(state, p, response).items():
                slopes[name] = slopes[name] - slope
        for name, slope in explicit.items():
            slopes[name] = slopes.get(name, 0.0) + slope
        quantum = HBAR * TWO_PI * frequency
        slopes = {name: quantum * slope for name, slope in slopes.items()}
        slopes["frequency"] = slopes["frequency"] + self.value(state, frequency, p) / frequency
        return slopes

    def _shares(self, state: LadderState, p: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Return the missing photons' derivative by N, and those by Γ_r and Γ₁ at fixed N, ⟨b⟩."""
        if self.detection == "total":
            by_rate = state.photon_rate / p["gamma_1"]
            kept = 1 - p["gamma_r"] / p["gamma_1"]
            return kept, {"gamma_r": -by_rate, "gamma_1": by_rate * p["gamma_r"] / p["gamma_1"]}
        if self.detection == "coherent":
            return 1.0, {"gamma_r": -_strength(state) * np.abs(state.response) ** 2}
        return 1.0, {}

    def _emission_slopes(
        self, state: LadderState, p: Mapping[str, Any], response: LadderSlopes
    ) -> dict[str, Any]:
        """Differentiate Γ_r|⟨b⟩|² at fixed Γ_r."""
        factor = 2 * p["gamma_r"] * _strength(state) * np.conj(state.response)
        slopes = {n: (factor * slope).real for n, slope in self.form.slopes(response).items()}
        direct = p["gamma_r"] * np.abs(state.response) ** 2
        return {**slopes, "rabi_squared": slopes["rabi_squared"] + direct}

    def _bare_slopes(
        self, state: LadderState, p: Mapping[str, Any], photons: dict[str, Any]
    ) -> dict[str, Any]:
        upper, weights, explicit = _upper_flow(state)
        omega_q, alpha = TWO_PI * p["qubit_frequency"], TWO_PI * p["anharmonicity"]
        climb = self.form.slopes(population_slopes(state, weights))
        for name, slope in self.form.rate_slopes(*explicit).items():
            climb[name] = climb[name] + slope
        slopes = {n: HBAR * (omega_q * photons[n] + alpha * climb[n]) for n in photons}
        for name, rate in (("qubit_frequency", state.photon_rate), ("anharmonicity", upper)):
            slopes[name] = slopes[name] + HBAR * TWO_PI * rate
        return slopes


def _strength(state: LadderState) -> Any:
    return np.asarray(state.ladder.rabi) ** 2


def _upper_flow(state: LadderState) -> tuple[Any, list[Any], Any]:
    """Return Σ tJ_t (t: the lower level), its weights of levels and its slopes.

    Σħω_ijJ_ij is ħ(ω_qN + αΣ tJ_t). The slopes are by Γ and n of every transition at fixed
    populations.
    """
    bath, populations = state.ladder.baths[0], state.populations
    weights: list[Any] = [np.zeros(())] * len(populations)
    by_rate, by_number, upper = [], [], np.zeros(())
    for t, flow in enumerate(transition_flows(state)[0]):
        gamma, n = np.asarray(bath.gamma[t]), np.asarray(bath.occupation[t])
        weights[t + 1] = weights[t + 1] + t * gamma * (1 + n)
        weights[t] = weights[t] - t * gamma * n
        upper = upper + t * flow
        by_rate.append(t * flow / gamma)
        by_number.append(t * gamma * (populations[t + 1] - populations[t]))
    return upper, weights, (by_rate, by_number)
