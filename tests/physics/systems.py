"""Random systems for the physics tests: channels, occupations, drives, with fixed seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from powercal.physics import bloch

Array = NDArray[np.float64]

# Fixed seeds: every run, everywhere, sees the same examples.
steady = settings(derandomize=True, deadline=None, max_examples=150, database=None)


@dataclass(frozen=True)
class Driven:
    """A driven qubit with channels on the last axis of `gamma_k`, `n_k`."""

    omega_q: Array
    detuning: Array
    rabi: Array
    gamma_k: Array
    n_k: Array
    gamma_phi: Array

    @property
    def omega_d(self) -> Array:
        return self.omega_q + self.detuning

    @property
    def gamma_1(self) -> Array:
        return np.sum(self.gamma_k, axis=-1)

    @property
    def gamma_1_tot(self) -> Array:
        return bloch.total_relaxation_rate(self.gamma_k, self.n_k)

    @property
    def p_eq(self) -> Array:
        return bloch.equilibrium_population(self.gamma_k, self.n_k)

    @property
    def gamma_2(self) -> Array:
        return bloch.dephased_rate(self.gamma_1_tot, self.gamma_phi)

    @property
    def photon_rate(self) -> Array:
        return bloch.photon_rate(
            self.detuning, self.rabi, self.gamma_1, self.gamma_1_tot, self.gamma_2
        )

    @property
    def population(self) -> Array:
        return bloch.excited_population(
            self.detuning, self.rabi, self.gamma_1_tot, self.gamma_2, self.p_eq
        )

    @property
    def coherence(self) -> NDArray[np.complex128]:
        return bloch.coherence(self.detuning, self.rabi, self.gamma_1_tot, self.gamma_2, self.p_eq)


def random_systems(seed: int, count: int, channels: int = 3) -> Driven:
    """Draw systems whose scales spread over a decade or two around Gamma = 1."""
    rng = np.random.default_rng(seed)
    return Driven(
        omega_q=rng.uniform(100.0, 5000.0, count),
        detuning=rng.normal(0.0, 3.0, count),
        rabi=10.0 ** rng.uniform(-1.0, 1.0, count),
        gamma_k=10.0 ** rng.uniform(-1.0, 0.5, (count, channels)),
        n_k=rng.exponential(0.5, (count, channels)),
        gamma_phi=rng.exponential(0.5, count) * rng.integers(0, 2, count),
    )


rates = st.floats(1e-2, 1e2)
occupations = st.floats(0.0, 5.0)
detunings = st.floats(-50.0, 50.0)
rabis = st.floats(1e-3, 50.0)
dephasings = st.floats(0.0, 10.0)


@st.composite
def driven(draw: st.DrawFn) -> Driven:
    """Draw one driven qubit with one to four channels."""
    count = draw(st.integers(1, 4))
    return Driven(
        omega_q=np.asarray(draw(st.floats(200.0, 1e4))),
        detuning=np.asarray(draw(detunings)),
        rabi=np.asarray(draw(rabis)),
        gamma_k=np.asarray(draw(st.lists(rates, min_size=count, max_size=count))),
        n_k=np.asarray(draw(st.lists(occupations, min_size=count, max_size=count))),
        gamma_phi=np.asarray(draw(dephasings)),
    )
