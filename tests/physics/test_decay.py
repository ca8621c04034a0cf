"""Free decay: start, end, and the energy under the curve."""

import numpy as np
import pytest

from powercal.physics import decay
from powercal.physics.constants import HBAR


def test_the_population_starts_and_ends_where_it_should() -> None:
    population = decay.population_decay([0.0, 1e3], 2.0, 0.1, 0.9)
    np.testing.assert_allclose(population, [0.9, 0.1], rtol=1e-15)


def test_the_power_is_the_rate_of_loss_of_energy() -> None:
    time, step = np.linspace(0.0, 3.0, 50), 1e-5
    ahead = decay.population_decay(time + step, 2.0, 0.1, 0.9)
    behind = decay.population_decay(time - step, 2.0, 0.1, 0.9)
    loss = -HBAR * 7.0 * (ahead - behind) / (2 * step)
    # Central difference: (rate step)^2/6 = 7e-11, rounding 1e-16/1e-5.
    np.testing.assert_allclose(decay.power_decay(time, 7.0, 2.0, 0.1, 0.9), loss, rtol=1e-8)


@pytest.mark.parametrize("rate", [0.5, 3.0])
def test_the_energy_released_does_not_depend_on_the_rate(rate: float) -> None:
    time = np.linspace(0.0, 60.0, 200_001)
    power = decay.power_decay(time, 7.0, rate, 0.1, 0.9)
    # Trapezoid: (rate dt)^2/12 = 7e-8, tail e^-30.
    assert np.trapezoid(power, time) == pytest.approx(
        float(decay.decay_energy(7.0, 0.1, 0.9)), rel=1e-7
    )


def test_a_detected_line_gets_its_share() -> None:
    whole = decay.decay_energy(7.0, 0.1, 0.9)
    assert decay.decay_energy(7.0, 0.1, 0.9, 0.25) == pytest.approx(whole / 4, rel=1e-15)
