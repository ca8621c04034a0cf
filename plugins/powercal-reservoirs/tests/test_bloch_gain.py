"""Bloch gain against Green's functions, its stored values, and the second law."""

from __future__ import annotations

import numpy as np
import pytest
from powercal_reservoirs import bloch_gain
from powercal_reservoirs.bloch_gain import Subband
from powercal_reservoirs.constants import BOLTZMANN, ELECTRON_MASS, ELEMENTARY_CHARGE, HBAR

KT = 1e-22  # J; the unit of energy, so that hbar = k = kT = 1
RATE, KELVIN = KT / HBAR, KT / BOLTZMANN
MASS = 1e-31
MEV = 1e-3 * ELEMENTARY_CHARGE
GAAS = {"mass": 0.067 * ELECTRON_MASS, "dipole": 2e-9, "index": 3.3, "period": 50e-9}


def pair(gamma_u, gamma_l, mu_u, mu_l, t_u=1.0, t_l=1.0) -> tuple[Subband, Subband]:
    return (
        Subband(gamma_u * RATE, mu_u * KT, t_u * KELVIN),
        Subband(gamma_l * RATE, mu_l * KT, t_l * KELVIN),
    )


def spectrum(detuning, bands: tuple[Subband, Subband], band_edge: bool = True) -> np.ndarray:
    """L times the integrals over E_k of both brackets, in units of hbar = k = kT = 1."""
    width = bands[0].gamma + bands[1].gamma
    line = bloch_gain.line_shape(detuning * RATE, width) * RATE
    carriers = bloch_gain.inversion_density(detuning * RATE, *bands, MASS, band_edge)
    return line * carriers / bloch_gain.state_density(MASS, KELVIN)


@pytest.mark.parametrize(
    ("numbers", "edge", "continued"),
    [
        ((1, 1, 0.5, 0.4, 0.4), -0.4297897477, -0.4774057717),
        ((1, 3, 0.5, 0.4, 0.4), -0.2528174987, -0.2948316375),
        ((1, 3, -0.5, 0.4, 0.4), 0.2528174987, 0.2668222116),
        ((1, 3, 0.5, 1, 0), 0.2644045211, 0.3055256267),
    ],
)
def test_stored_values_are_reproduced(numbers, edge, continued) -> None:
    gamma_u, gamma_l, detuning, mu_u, mu_l = numbers
    bands = pair(gamma_u, gamma_l, mu_u, mu_l)
    assert spectrum(detuning, bands) == pytest.approx(edge, abs=6e-11)
    assert spectrum(detuning, bands, band_edge=False) == pytest.approx(continued, abs=6e-11)


@pytest.mark.parametrize(
    ("offset", "lower", "wanted"), [(-5, 1e15, 35.09), (5, 1e15, -38.78), (0, None, 444.6)]
)
def test_gain_of_gallium_arsenide_has_the_stored_size(offset, lower, wanted) -> None:
    potential = bloch_gain.subband_potential(1e15, GAAS["mass"], 300.0)
    empty = -1000 * MEV
    bands = (
        Subband(5 * MEV / HBAR, potential, 300.0),
        Subband(5 * MEV / HBAR, potential if lower else empty, 300.0),
    )
    centre = 100 * MEV / HBAR
    found = bloch_gain.gain_per_length(centre + offset * MEV / HBAR, centre, *bands, **GAAS)
    assert found / 100 == pytest.approx(wanted, abs=0.05 if wanted > 100 else 0.005)


def green(energy: float, detuning: float, gamma: tuple[float, float], mu: tuple[float, float]):
    """Integral of A_u(E) A_l(E - w) [f_u(E) - f_l(E - w)] dE/2pi, energies from the own bottom."""
    e = np.arange(-40.0, 40.0, min(gamma) / 60)
    spectral = [
        g / ((e - shift - energy) ** 2 + g**2 / 4)
        for g, shift in zip(gamma, (0.0, detuning), strict=True)
    ]
    filled = 1 / (np.exp(e - mu[0]) + 1) - 1 / (np.exp(e - detuning - mu[1]) + 1)
    return np.sum(spectral[0] * spectral[1] * filled) * (e[1] - e[0]) / (2 * np.pi)


def test_one_state_agrees_with_green_functions_and_better_with_the_square_of_the_width() -> None:
    errors = []
    for width in (0.6, 0.3, 0.15, 0.075):
        gamma = width / 3, 2 * width / 3
        worst = 0.0
        for detuning in (-1.1 * width, 0.7 * width):
            for energy in (0.3, 1.5):
                bands = pair(*gamma, 0.8, 0.5)
                ours = bloch_gain.rate_per_state(
                    energy * KT, detuning * RATE, *bands, band_edge=False
                )
                exact = green(energy, detuning, gamma, (0.8, 0.5))
                worst = max(worst, abs(ours * RATE / exact - 1))
        errors.append(worst)
    falls = np.array(errors[:-1]) / np.array(errors[1:])
    assert errors[0] < 5e-3
    # Fourfold for each halving, once the next order is small.
    assert falls[-1] == pytest.approx(4.0, rel=0.1)
    assert np.all(falls > 3)


@pytest.mark.parametrize("detuning", [-0.8, 0.0, 0.6])
@pytest.mark.parametrize("band_edge", [True, False])
def test_the_gain_is_the_sum_over_all_states(detuning, band_edge) -> None:
    bands = pair(0.4, 1.1, 1.2, -0.3, 1.0, 1.7)
    edge = abs(detuning)  # the step is a node, so that Gauss' rule sees smooth pieces
    total = 0.0
    for low, high in ((0.0, edge), (edge, 8.0), (8.0, 70.0)):
        x, w = np.polynomial.legendre.leggauss(80)
        energy = low + (high - low) * (x + 1) / 2
        rate = bloch_gain.rate_per_state(energy * KT, detuning * RATE, *bands, band_edge)
        total += np.sum(w * rate) * RATE * (high - low) / 2
    assert total == pytest.approx(float(spectrum(detuning, bands, band_edge)), rel=1e-10)


def test_two_bands_filled_alike_gain_below_the_line_what_they_lose_above_it() -> None:
    detuning = np.linspace(0.05, 4.0, 40)
    bands = pair(0.4, 1.7, 0.6, 0.6)
    above, below = spectrum(detuning, bands), spectrum(-detuning, bands)
    assert np.max(np.abs(above + below)) < 1e-15
    assert np.all(above < 0)


def test_near_the_line_two_bands_filled_alike_lose_by_the_filling_of_their_bottoms() -> None:
    # L (-hbar D) f(0) to leading order; the next is smaller by D f'(0)/2f(0) < D/2.
    gain = spectrum(1e-4, pair(0.4, 1.7, 0.6, 0.6))
    line = bloch_gain.line_shape(1e-4, 2.1)
    assert gain == pytest.approx(-line * 1e-4 / (1 + np.exp(-0.6)), rel=5e-5)


def test_without_a_band_edge_the_gain_of_equal_widths_is_odd_as_well() -> None:
    detuning, bands = np.linspace(0.05, 4.0, 40), pair(1.0, 1.0, 0.6, 0.6)
    above, below = spectrum(detuning, bands, False), spectrum(-detuning, bands, False)
    assert np.max(np.abs(above + below)) < 1e-15


def test_without_a_band_edge_unequal_widths_leave_an_even_part() -> None:
    # L (g_l - g_u)/G f'(0) D^2/2 to leading order; the next is smaller by D^2.
    bands = pair(0.4, 1.7, 0.6, 0.6)
    even = 0.5 * (spectrum(0.02, bands, False) + spectrum(-0.02, bands, False))
    slope = -np.exp(-0.6) / (1 + np.exp(-0.6)) ** 2
    line = bloch_gain.line_shape(0.02, 2.1)
    assert even == pytest.approx(line * (1.7 - 0.4) / 2.1 * slope * 0.02**2 / 2, rel=1e-3)


@pytest.mark.parametrize("band_edge", [True, False])
def test_gain_starts_where_the_potentials_differ_by_more_than_the_photon(band_edge) -> None:
    # Bernard and Duraffourg: mu_u - mu_l against hbar omega, counted from one zero.
    rng = np.random.default_rng(17)
    for _ in range(200):
        gamma = rng.uniform(0.1, 3.0, 2)
        detuning, mu_u = rng.normal(0.0, 2.0), rng.normal(0.0, 2.0)
        excess = rng.normal()
        gain = spectrum(detuning, pair(*gamma, mu_u, mu_u - detuning - excess), band_edge)
        assert np.sign(gain) == np.sign(excess)


def test_on_resonance_two_filled_bands_gain_as_their_densities_differ() -> None:
    n_u, n_l, width = 2e15, 0.7e15, 10 * MEV / HBAR
    potentials = bloch_gain.subband_potential(np.array([n_u, n_l]), GAAS["mass"], 300.0)
    bands = [Subband(width / 2, potential, 300.0) for potential in potentials]
    omega = 100 * MEV / HBAR
    found = bloch_gain.gain_per_length(omega, omega, *bands, **GAAS)
    vacuum = 8.8541878128e-12 * 299792458.0 * HBAR
    textbook = (ELEMENTARY_CHARGE * 2e-9) ** 2 * omega / (vacuum * 3.3 * 50e-9)
    assert found == pytest.approx(textbook * (n_u - n_l) / (width / 2), rel=1e-12)


@pytest.mark.parametrize("statistics", ["fermi", "boltzmann"])
def test_potential_and_density_invert_each_other(statistics) -> None:
    density = 10.0 ** np.linspace(10.0, 17.5, 30)
    potential = bloch_gain.subband_potential(density, GAAS["mass"], 77.0, statistics)
    again = bloch_gain.subband_density(potential, GAAS["mass"], 77.0, statistics=statistics)
    # ln(1 + e^y) of a potential of 30 kT multiplies its rounding by as much.
    assert np.max(np.abs(again / density - 1)) < 1e-12


def test_dilute_carriers_obey_boltzmann() -> None:
    bands = pair(1.0, 2.0, -20.0, -20.5)
    dilute = {
        name: bloch_gain.inversion_density(0.7 * RATE, *bands, MASS, statistics=name)
        for name in ("fermi", "boltzmann")
    }
    assert dilute["fermi"] == pytest.approx(float(dilute["boltzmann"]), rel=1e-8)


def test_carriers_above_an_energy_follow_from_the_density_alone() -> None:
    filling, shift = 10.0 ** np.linspace(-12.0, 2.5, 30)[:, None], np.linspace(0.0, 400.0, 41)
    found = bloch_gain.scaled_density(bloch_gain.scaled_potential(filling) - shift)
    assert np.all(np.isfinite(found))
    states = bloch_gain.state_density(1.0, 1.0)
    potential = bloch_gain.subband_potential(filling * states, 1.0, 1.0) / BOLTZMANN
    assert np.allclose(found, np.logaddexp(0.0, potential - shift), rtol=1e-11, atol=0)


def test_other_statistics_are_refused() -> None:
    with pytest.raises(ValueError, match="wanted 'fermi' or 'boltzmann'"):
        bloch_gain.subband_density(0.0, 1.0, 1.0, statistics="bose")
