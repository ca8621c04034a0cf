"""The power that an instrument misses when a ladder is driven, and its derivatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from powercal.physics.constants import HBAR
from powercal.physics.ladder_energy import transition_flows
from powercal.physics.ladder_slopes import (
    LadderSlopes,
    photon_rate_slopes,
    population_slopes,
    response_slopes,
)
from powercal.physics.ladder_steady_state import LadderState
from powercal_transmon.ladders import TWO_PI, Form


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
            return _bare(state, p)[0]
        return HBAR * TWO_PI * frequency * self._photons(state, p)

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
        slopes["frequency"] = slopes["frequency"] + HBAR * TWO_PI * self._photons(state, p)
        return slopes

    def _photons(self, state: LadderState, p: Mapping[str, Any]) -> Any:
        """Return the photons that are missing per second."""
        if self.detection == "coherent":
            return state.photon_rate - p["gamma_r"] * _strength(state) * np.abs(state.response) ** 2
        return self._shares(state, p)[0] * state.photon_rate

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
        _, upper, weights, explicit = _bare(state, p)
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


def _bare(state: LadderState, p: Mapping[str, Any]) -> tuple[Any, Any, list[Any], Any]:
    """Return Σħω_ijJ_ij and Σ tJ_t (t: the lower level), its weights of levels and its slopes.

    The slopes are by Γ and n of every transition at fixed populations.
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
    alpha = TWO_PI * p["anharmonicity"]
    power = HBAR * (TWO_PI * p["qubit_frequency"] * state.photon_rate + alpha * upper)
    return power, upper, weights, (by_rate, by_number)
