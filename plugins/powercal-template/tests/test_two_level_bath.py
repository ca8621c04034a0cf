"""The model keeps powercal's contract and says what the physics says."""

from __future__ import annotations

import numpy as np
import pytest
from powercal_template.two_level_bath import BOLTZMANN, HBAR, MODEL, TWO_PI, curve

from powercal.testing import CoverageContract, ModelContract

EXAMPLES = {row.name: row.example for row in MODEL.parameters}


class TestTwoLevelBath(ModelContract):
    model = MODEL


class TestErrors(CoverageContract):
    model = MODEL
    sets = 30
    regimes = ("middle saturation, line ±0 dB",)


def test_a_cold_saturated_qubit_takes_half_a_quantum_per_relaxation_time() -> None:
    # s is 1e9 and kT a fiftieth of the quantum: what is left out is below 1e-8.
    (power,) = curve(np.asarray(1e-9), np.asarray(5e9), np.asarray(1e-3), **EXAMPLES)
    assert float(power) == pytest.approx(HBAR * TWO_PI * 5e9 * 1e6 / 2, rel=1e-8, abs=0)


def test_a_warm_bath_absorbs_less_by_the_difference_of_populations() -> None:
    temperature = HBAR * TWO_PI * 5e9 / BOLTZMANN
    arguments = np.asarray(1e-9), np.asarray(5e9)
    (warm,) = curve(*arguments, np.asarray(temperature), **EXAMPLES)
    (cold,) = curve(*arguments, np.asarray(1e-3), **EXAMPLES)
    p_eq = 1 / (1 + np.e)
    assert float(warm / cold) == pytest.approx(1 - 2 * p_eq, rel=1e-8)
