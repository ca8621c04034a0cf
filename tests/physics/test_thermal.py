"""Thermal occupations: limits, inverses, and a chain of attenuators walked step by step."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from powercal.physics import thermal
from powercal.physics.constants import BOLTZMANN, HBAR

from .systems import steady

OMEGA = 2 * np.pi * 5e9


@steady
@given(st.floats(1e9, 1e12), st.floats(1e-2, 10.0))
def test_temperature_inverts_occupation(omega: float, occupation: float) -> None:
    temperature = thermal.temperature_from_occupation(omega, occupation)
    # log1p(1/n) and expm1 are each good to an ulp; their conditioning is at worst ln(1/n) ~ 5.
    assert thermal.bose_occupation(omega, temperature) == pytest.approx(occupation, rel=1e-13)


def test_nothing_is_excited_at_zero_temperature() -> None:
    assert thermal.bose_occupation(OMEGA, 0.0) == 0.0
    assert thermal.temperature_from_occupation(OMEGA, 0.0) == 0.0


def test_a_very_cold_bath_is_empty_without_overflow() -> None:
    assert thermal.bose_occupation(OMEGA, 1e-6) == 0.0


def test_a_hot_bath_obeys_rayleigh_and_jeans() -> None:
    temperature = 300.0
    classical = BOLTZMANN * temperature / (HBAR * OMEGA) - 0.5
    # The next term of the series is hbar w/(12 kT) = 7e-5 against n = 1250: 6e-8.
    assert thermal.bose_occupation(OMEGA, temperature) == pytest.approx(classical, rel=1e-7)


def test_detailed_balance_holds() -> None:
    n = thermal.bose_occupation(OMEGA, 0.1)
    assert n / (1 + n) == pytest.approx(np.exp(-HBAR * OMEGA / (BOLTZMANN * 0.1)), rel=1e-13)


def test_the_chain_equals_its_recursion_walked_step_by_step() -> None:
    rng = np.random.default_rng(1)
    ratio, temperature = rng.uniform(1.0, 1000.0, (50, 5)), rng.uniform(0.01, 300.0, (50, 5))
    omega, start = rng.uniform(1e10, 1e11, 50), rng.uniform(0.0, 2000.0, 50)
    n = start
    for j in range(5):
        own = thermal.bose_occupation(omega, temperature[:, j])
        n = n / ratio[:, j] + (1 - 1 / ratio[:, j]) * own
    # Sums of five positive terms: rounding only.
    np.testing.assert_allclose(
        thermal.attenuator_chain_occupation(omega, ratio, temperature, start), n, rtol=1e-13
    )


def test_a_chain_of_one_temperature_leaves_its_equilibrium_alone() -> None:
    n = thermal.bose_occupation(OMEGA, 0.3)
    after = thermal.attenuator_chain_occupation(OMEGA, [10.0, 100.0, 3.0], [0.3, 0.3, 0.3], n)
    assert after == pytest.approx(float(n), rel=1e-14)


def test_a_transparent_chain_does_nothing() -> None:
    assert thermal.attenuator_chain_occupation(OMEGA, [1.0, 1.0], [4.0, 300.0], 7.0) == 7.0
