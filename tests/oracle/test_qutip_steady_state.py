"""Sections 2, 3 and 5 of the physics sheet against QuTiP, 300 random driven qubits."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

from powercal.physics import bloch, detection, energy
from powercal.physics.constants import HBAR

from .liouvillian import Matrix, qubit

COUNT = 300


class Case(NamedTuple):
    omega_q: float
    detuning: float
    rabi: float
    gamma_k: np.ndarray
    n_k: np.ndarray
    gamma_phi: float
    rho: Matrix
    photon_rate: float
    heats: np.ndarray
    dephasing: float


@cache
def cases() -> tuple[Case, ...]:
    rng = np.random.default_rng(101)
    found = []
    for i in range(COUNT):
        channels = 1 + i % 4
        parameters = (
            rng.uniform(100.0, 2000.0),
            rng.normal(0.0, 3.0),
            10.0 ** rng.uniform(-1.0, 1.0),
            10.0 ** rng.uniform(-1.0, 0.5, channels),
            rng.exponential(0.5, channels) * rng.integers(0, 2, channels),
            rng.exponential(0.5) * rng.integers(0, 2),
        )
        model = qubit(*parameters)
        rho = model.steady_state()
        heats = np.array([model.heat(str(k), rho) for k in range(channels)])
        flow = (model.photon_rate(rho), heats, model.heat("dephasing", rho))
        found.append(Case(*parameters, rho, *flow))
    return tuple(found)


def rates(case: Case) -> tuple[float, float, float, float]:
    total = float(bloch.total_relaxation_rate(case.gamma_k, case.n_k))
    p_eq = float(bloch.equilibrium_population(case.gamma_k, case.n_k))
    return (
        float(np.sum(case.gamma_k)),
        total,
        float(bloch.dephased_rate(total, case.gamma_phi)),
        p_eq,
    )


def photon_rate(case: Case) -> float:
    return float(bloch.photon_rate(case.detuning, case.rabi, *rates(case)[:3]))


def population(case: Case) -> float:
    _, total, width, p_eq = rates(case)
    return float(bloch.excited_population(case.detuning, case.rabi, total, width, p_eq))


def gross(case: Case) -> float:
    """Return the gross heat flow, against which leaks between baths are rounding."""
    return case.omega_q * rates(case)[1]


# The brief's 1e-9 everywhere; rounding of the dense solution is about 1e-12 of populations.


def test_the_population_is_that_of_the_master_equation() -> None:
    for case in cases():
        assert population(case) == pytest.approx(case.rho[1, 1].real, rel=1e-9)


def test_the_coherence_is_that_of_the_master_equation() -> None:
    for case in cases():
        _, total, width, p_eq = rates(case)
        closed = complex(bloch.coherence(case.detuning, case.rabi, total, width, p_eq))
        # <sigma_-> = Tr(|0><1| rho) = rho_10.
        assert closed == pytest.approx(complex(case.rho[1, 0]), rel=1e-9)


def test_the_photon_rate_is_the_climbing_rate_of_the_drive() -> None:
    for case in cases():
        assert photon_rate(case) == pytest.approx(case.photon_rate, rel=1e-9)


def test_the_total_power_is_what_all_baths_get() -> None:
    for case in cases():
        total = energy.total_power(case.omega_q + case.detuning, photon_rate(case)) / HBAR
        received = float(np.sum(case.heats)) + case.dephasing
        assert total == pytest.approx(received, rel=1e-9, abs=1e-12 * gross(case))


def test_every_channel_gets_its_heat() -> None:
    for case in cases():
        closed = energy.channel_power(
            case.omega_q, case.detuning, photon_rate(case), population(case),
            case.gamma_k, case.n_k, rates(case)[2],
        ) / HBAR  # fmt: skip
        flow = case.omega_q * case.gamma_k * (1 + 2 * case.n_k)
        # Relative to the gross flow of the channel, in which heat leaks cancel.
        assert np.max(np.abs(closed - case.heats) / flow) < 1e-12


def test_dephasing_takes_its_share() -> None:
    for case in cases():
        closed = energy.dephasing_power(
            case.detuning, photon_rate(case), case.gamma_phi, rates(case)[2]
        )
        assert closed / HBAR == pytest.approx(case.dephasing, rel=1e-9, abs=1e-14)


def test_relaxation_is_what_the_channels_get_together() -> None:
    for case in cases():
        _, total, width, _ = rates(case)
        closed = energy.relaxation_power(
            case.omega_q, case.detuning, photon_rate(case), total, width
        )
        assert closed / HBAR == pytest.approx(
            float(np.sum(case.heats)), rel=1e-9, abs=1e-12 * gross(case)
        )


def test_unequal_baths_are_among_the_cases() -> None:
    assert sum(len(case.n_k) > 1 and np.ptp(case.n_k) > 0.1 for case in cases()) > 100


def test_the_reflection_is_incident_plus_emitted() -> None:
    for case in cases():
        _, total, width, p_eq = rates(case)
        gamma_r = float(case.gamma_k[0])
        # b_out = b_in - i sqrt(Gamma_r) sigma_- with sqrt(Gamma_r) b_in = Omega/2.
        emitted = -2j * gamma_r * complex(case.rho[1, 0]) / case.rabi
        r = detection.reflection_end_of_line(case.detuning, case.rabi, gamma_r, total, width, p_eq)
        assert complex(r) == pytest.approx(1 + emitted, rel=1e-9, abs=1e-12)


def test_the_coherent_difference_is_photons_climbed_minus_elastic_emission() -> None:
    for case in cases():
        _, total, width, p_eq = rates(case)
        gamma_r, omega_d = float(case.gamma_k[0]), case.omega_q + case.detuning
        closed = detection.coherent_power_difference(
            omega_d, photon_rate(case), gamma_r,
            bloch.coherence(case.detuning, case.rabi, total, width, p_eq),
        ) / HBAR  # fmt: skip
        elastic = gamma_r * abs(case.rho[1, 0]) ** 2
        seen = omega_d * (case.photon_rate - elastic)
        scale = omega_d * case.photon_rate
        assert closed == pytest.approx(seen, rel=1e-9, abs=1e-12 * scale)


def test_total_energy_detection_is_absorbed_minus_emitted_above_the_undriven_flow() -> None:
    for case in cases()[::10]:
        _, total, width, _ = rates(case)
        idle = qubit(case.omega_q, 0.0, 0.0, case.gamma_k, case.n_k, case.gamma_phi)
        undriven = idle.heat("0", idle.steady_state())
        gamma_r, n_r = float(case.gamma_k[0]), float(case.n_k[0])
        closed = detection.total_energy_difference(
            case.omega_q, case.detuning, photon_rate(case), gamma_r, n_r, total, width
        )
        received = float(np.sum(case.heats)) + case.dephasing
        seen = received - (float(case.heats[0]) - undriven)
        assert closed / HBAR == pytest.approx(seen, rel=1e-9, abs=1e-12 * gross(case))
