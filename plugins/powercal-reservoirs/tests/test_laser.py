"""The laser's closed form against its equations of motion, hbar = 1."""

from __future__ import annotations

import numpy as np
import pytest
from powercal_reservoirs import double_dot, laser
from powercal_reservoirs.constants import HBAR
from scipy.integrate import solve_ivp

COUNT = 400


def random_lasers() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(16)
    gammas = 10.0 ** rng.uniform(-1.0, 1.0, (3, COUNT))
    return {
        "g_u": gammas[0],
        "g_l": gammas[1],
        "g_b": gammas[2] / 10,
        "omega_ul": rng.uniform(20.0, 40.0, COUNT),
        "detuning": rng.normal(0.0, 2.0, COUNT),
        "coupling": 10.0 ** rng.uniform(-0.5, 1.0, COUNT) * np.exp(2j * np.pi * rng.random(COUNT)),
        "f_u": rng.uniform(0.3, 1.0, COUNT),
        "f_l": rng.uniform(0.0, 0.5, COUNT),
    }


def closed_form(s: dict) -> tuple[np.ndarray, np.ndarray]:
    rates = s["g_u"], s["g_l"], s["g_b"]
    number = laser.photon_number(
        s["f_u"] - s["f_l"], abs(s["coupling"]) ** 2, s["detuning"], *rates
    )
    omega = laser.pulled_frequency(s["omega_ul"] + s["detuning"], s["omega_ul"], *rates)
    return number, omega


def motion(s: dict, omega, sigma: np.ndarray, a) -> tuple[np.ndarray, np.ndarray]:
    """Heisenberg's equations of h = [[w_ul, g a], [(g a)*, 0]] in a frame that turns with omega.

    sigma_ij = <c_j^+ c_i>, index 0 is the upper level; a' from the commutator with g c_u^+ c_l a.
    """
    field = s["coupling"] * a
    h = np.array([[s["omega_ul"] - omega, field], [np.conj(field), 0.0 * omega]])
    loss = np.array([s["g_u"], s["g_l"]])
    filled = np.array([s["g_u"] * s["f_u"], s["g_l"] * s["f_l"]])
    commutator = [
        [sum(h[i, j] * sigma[j, k] - sigma[i, j] * h[j, k] for j in (0, 1)) for k in (0, 1)]
        for i in (0, 1)
    ]
    change = -1j * np.array(commutator) - 0.5 * (loss[:, None] + loss[None, :]) * sigma
    change[0, 0] += filled[0]
    change[1, 1] += filled[1]
    cavity = s["omega_ul"] + s["detuning"] - omega
    return change, -1j * cavity * a - 1j * np.conj(s["coupling"]) * sigma[0, 1] - 0.5 * s["g_b"] * a


def test_the_closed_form_stands_still_in_the_equations_of_motion() -> None:
    s = random_lasers()
    number, omega = closed_form(s)
    a = np.sqrt(number).astype(complex)
    state = double_dot.steady_state(
        s["f_u"], s["f_l"], s["coupling"] * a, omega - s["omega_ul"], s["g_u"], s["g_l"]
    )
    sigma = np.array(
        [[state.sigma_uu, state.sigma_ul], [np.conj(state.sigma_ul), state.sigma_ll]],
        dtype=complex,
    )
    change, drift = motion(s, omega, sigma, a)
    on = number > 0
    assert 100 < np.sum(on) < COUNT - 50
    # The largest terms are rates of 10 times frequencies of 10: rounding leaves 1e-14 of them.
    assert np.max(np.abs(change)) < 1e-12
    assert np.max(np.abs(drift[on] / a[on])) < 1e-12
    assert np.allclose(state.rate[on], (s["g_b"] * number)[on], rtol=1e-10, atol=0)


def test_the_dark_laser_starts_by_itself_only_above_threshold() -> None:
    # The linear equations of sigma_ul and a about a = 0: one eigenvalue grows or none does.
    s = random_lasers()
    matrix = np.empty((COUNT, 2, 2), dtype=complex)
    matrix[:, 0, 0] = -0.5 * (s["g_u"] + s["g_l"])
    matrix[:, 0, 1] = 1j * s["coupling"] * (s["f_u"] - s["f_l"])
    matrix[:, 1, 0] = -1j * np.conj(s["coupling"])
    matrix[:, 1, 1] = -1j * s["detuning"] - 0.5 * s["g_b"]
    grows = np.max(np.linalg.eigvals(matrix).real, axis=-1) > 0
    assert np.array_equal(closed_form(s)[0] > 0, grows)


def test_integrated_from_a_spark_it_reaches_field_and_frequency() -> None:
    s = {
        "g_u": 2.0, "g_l": 1.0, "g_b": 0.5, "omega_ul": 30.0, "detuning": 0.8, "coupling": 1.5 + 0j,
        "f_u": 0.95, "f_l": 0.1,
    }  # fmt: skip
    number, omega = closed_form(s)

    def derivative(_: float, y: np.ndarray) -> np.ndarray:
        change, drift = motion(s, s["omega_ul"], y[:4].reshape(2, 2), y[4])
        return np.append(change.ravel(), drift)

    start = np.array([0.95, 0, 0, 0.1, 0.01], dtype=complex)
    path = solve_ivp(
        derivative, (0, 120), start, "DOP853", rtol=1e-9, atol=1e-11, t_eval=(117.0, 120.0)
    )
    before, after = path.y[4]
    assert abs(after) ** 2 == pytest.approx(float(number), rel=1e-7)
    # a ~ e^{-i (omega - omega_ul) t}; in three units of time it turns by less than half a turn.
    assert -np.angle(after / before) / 3 == pytest.approx(float(omega) - s["omega_ul"], rel=1e-6)


def test_it_runs_between_cavity_and_transition_at_the_effective_photon_energy() -> None:
    s = random_lasers()
    rates = s["g_u"], s["g_l"], s["g_b"]
    cavity = s["omega_ul"] + s["detuning"]
    omega = laser.pulled_frequency(cavity, s["omega_ul"], *rates)
    assert np.all((omega - s["omega_ul"]) * (cavity - omega) > 0)
    upper, lower, photon = laser.effective_energies(
        HBAR * s["omega_ul"], np.zeros(COUNT), cavity, *rates
    )
    assert np.allclose(photon, HBAR * omega, rtol=1e-13, atol=0)
    assert np.allclose(upper - lower, photon, rtol=1e-13, atol=0)
    # A classical field of that frequency gives the levels the same energies ([W] after 30).
    classical = double_dot.effective_energies(HBAR * s["omega_ul"], 0.0, omega, *rates[:2])
    assert np.allclose(upper, classical[0], rtol=1e-12, atol=0)
    assert np.allclose(lower, classical[1], rtol=1e-10, atol=HBAR * 1e-12)


def test_photons_leave_at_the_rate_at_which_electrons_fall() -> None:
    assert laser.emission_rate(0.75, 1.0, 0.0, 1.0, 1.0, 0.5) == 0.25
    assert laser.emission_rate(0.2, 1.0, 0.0, 1.0, 1.0, 1.0) == 0.0
