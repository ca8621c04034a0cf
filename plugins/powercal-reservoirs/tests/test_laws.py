"""The second law in its special forms: signs, the cooling LED, Carnot's bounds."""

from __future__ import annotations

import numpy as np
import pytest
from powercal_reservoirs import laws
from powercal_reservoirs.occupations import bose, fermi, inversion

COUNT = 10_000


def machines():
    """LEDs and solar cells between electrons of one temperature and a bath of photons (k = 1)."""
    rng = np.random.default_rng(12)
    photon = rng.uniform(0.5, 3.0, COUNT)
    bias = photon * rng.uniform(-0.5, 1.5, COUNT)
    cold, hot = 10.0 ** rng.uniform(-1.0, 1.0, (2, COUNT))
    level = rng.normal(0.0, 2.0, COUNT)  # E_u - mu_u; then E_l - mu_l = level - photon + bias
    x_u, x_l, x_ph = level / cold, (level - photon + bias) / cold, photon / hot
    rate = rng.uniform(0.1, 1.0, COUNT) * laws.emission_sign(x_u, x_l, x_ph)
    return photon, bias, cold, hot, rate, (x_u, x_l, x_ph)


def test_a_fermi_difference_keeps_its_sign_where_both_levels_are_full_or_empty() -> None:
    rng = np.random.default_rng(13)
    x = rng.uniform(-300.0, 300.0, COUNT)
    apart = x * (1 + 4e-16 * rng.integers(-3, 4, COUNT))
    assert np.array_equal(np.sign(inversion(x, apart)), np.sign(apart - x))


def test_a_fermi_difference_is_the_difference_of_two_occupations() -> None:
    rng = np.random.default_rng(14)
    x_u, x_l = rng.normal(0.0, 5.0, (2, COUNT))
    # Both terms are below one and good to some units of the last place.
    assert np.max(np.abs(inversion(x_u, x_l) - fermi(x_u) + fermi(x_l))) < 1e-15


def test_a_fermi_difference_is_one_between_a_full_and_an_empty_level_however_far() -> None:
    assert inversion(-1e6, 1e6) == 1.0
    assert inversion(1e6, -1e6) == -1.0


def test_the_sign_rule_compares_the_occupations_of_all_three_reservoirs() -> None:
    rng = np.random.default_rng(15)
    x_u, x_l = rng.normal(0.0, 2.0, (2, COUNT))
    x_ph = rng.uniform(0.1, 3.0, COUNT)
    f_u, f_l, n = fermi(x_u), fermi(x_l), bose(x_ph)
    printed = f_u / (1 - f_u) - f_l / (1 - f_l) * n / (1 + n)
    assert np.array_equal(np.sign(laws.emission_sign(x_u, x_l, x_ph)), np.sign(printed))


def test_a_rate_of_the_ruled_sign_produces_entropy() -> None:
    _, _, cold, hot, rate, (x_u, x_l, x_ph) = machines()
    photon = x_ph * hot
    flows = np.stack([x_u * cold * rate, -x_l * cold * rate, -photon * rate], axis=-1)
    particles = np.zeros_like(flows)  # energies are counted from the potentials
    temperatures = np.stack([cold, cold, hot], axis=-1)
    found = laws.entropy_production(flows, particles, 0.0, temperatures)
    assert np.all(found >= -1e-12 * np.abs(rate))
    assert np.any(found > 0)


def test_potentials_count_only_with_particles() -> None:
    heat = laws.entropy_production([3.0, -1.0], [1.0, -1.0], [2.0, 0.5], [1.0, 2.0])
    assert heat == pytest.approx(-(3.0 - 2.0) / 1.0 - (-1.0 + 0.5) / 2.0)


def test_an_led_that_gives_more_light_than_it_takes_work_cools_its_electrons() -> None:
    photon, bias, _, _, rate, _ = machines()
    led = laws.cooling_led(rate, photon, bias)
    emits = (rate > 0) & (bias > 0)
    more = led.light_per_electric_power > 1
    assert np.array_equal(led.heat_drawn[emits] > 0, more[emits])
    assert np.sum(emits & more) > 100


def test_no_led_beats_carnot() -> None:
    photon, bias, cold, hot, rate, _ = machines()
    works = (rate > 0) & (bias > 0) & (hot > cold)
    gained = laws.cooling_led(rate, photon, bias).light_per_electric_power[works]
    bound = laws.largest_light_per_electric_power(cold, hot)[works]
    assert np.all(gained <= bound * (1 + 1e-12))
    assert np.max(gained / bound) > 0.99


def test_light_into_a_colder_bath_needs_no_work() -> None:
    assert np.isinf(laws.largest_light_per_electric_power(1.0, 1.0))
    assert np.isinf(laws.largest_light_per_electric_power(2.0, 1.0))


def test_no_solar_cell_beats_carnot() -> None:
    photon, bias, cold, hot, rate, _ = machines()
    works = rate < 0
    electric, heat = -rate * bias, -rate * photon
    bound = laws.carnot_power(heat, cold, hot)
    assert np.all(electric[works] <= bound[works] + 1e-12 * heat[works])
    assert np.max((electric / bound)[works & (hot > cold) & (bias > 0)]) > 0.99


def test_at_the_bias_of_carnot_the_rate_changes_its_sign() -> None:
    photon, cold, hot = 2.0, 0.5, 1.5
    balance = photon * (1 - cold / hot)
    for bias, sign in ((balance - 1e-9, -1.0), (balance + 1e-9, 1.0)):
        x_l = (0.3 - photon + bias) / cold
        assert np.sign(laws.emission_sign(0.3 / cold, x_l, photon / hot)) == sign
