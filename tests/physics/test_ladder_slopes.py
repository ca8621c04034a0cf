"""Exact derivatives of ladders against differences of their steady states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from powercal.physics.ladder_slopes import (
    LadderSlopes,
    photon_rate_slopes,
    population_slopes,
    response_slopes,
)
from powercal.physics.ladder_steady_state import LadderState, ladder_steady_state
from powercal.physics.ladder_system import Ladder, LadderBath, flat_bath

Array = NDArray[Any]
COUNT = 8
SIZES = [2, 3, 4, 5]
KINDS = ["response", "photons", "populations"]
# Sixth order: with steps of a hundredth what is left out is below 1e-9 of the value.
WEIGHTS = {1: 3 / 4, 2: -3 / 20, 3: 1 / 60}
TOLERANCE = 2e-8


@cache
def system(levels: int) -> Ladder:
    """Random ladders with baths of every kind."""
    rng = np.random.default_rng(levels)

    def bath(choice: Any, step: int = 1) -> LadderBath:
        size = (levels - step, COUNT)
        return LadderBath(
            list(rng.uniform(0.4, 2.0, size)), list(rng.uniform(0.05, 0.5, size)), choice, step
        )

    baths = [bath("secular"), bath("collective")]
    if levels > 2:
        baths += [bath("secular", 2), bath("collective", 2)]
    return Ladder(
        rng.normal(0.0, 3.0, COUNT),
        rng.uniform(0.5, 15.0, COUNT),
        rng.uniform(-60.0, -10.0, COUNT),
        baths,
        rng.uniform(0.1, 0.4, COUNT),
        list(rng.normal(0.0, 0.7, (levels, COUNT))),
    )


def level_weights(levels: int) -> list[float]:
    return [float(j**2) - 0.5 for j in range(levels)]


def values(state: LadderState) -> tuple[Array, Array, Array]:
    weighted = [
        c * p for c, p in zip(level_weights(state.ladder.levels), state.populations, strict=True)
    ]
    return state.response, state.photon_rate, np.sum(weighted, axis=0)


@cache
def slopes(levels: int) -> tuple[LadderSlopes, LadderSlopes, LadderSlopes]:
    state = ladder_steady_state(system(levels))
    response = response_slopes(state)
    photons = photon_rate_slopes(state, response)
    return response, photons, population_slopes(state, level_weights(levels))


def check(levels: int, moved: Callable[[Array], Ladder], value: Array, pick: Any) -> None:
    """Compare the derivatives of all observables by one number."""
    step = 0.01 * np.abs(value)
    found: list[Any] = [0.0] * 3
    for count, weight in WEIGHTS.items():
        after = values(ladder_steady_state(moved(value + count * step)))
        before = values(ladder_steady_state(moved(value - count * step)))
        found = [f + weight * (a - b) / step for f, a, b in zip(found, after, before, strict=True)]
    for kind, slope, difference in zip(KINDS, slopes(levels), found, strict=True):
        scale = np.max(np.abs(difference))
        np.testing.assert_allclose(
            pick(slope), difference, rtol=0, atol=TOLERANCE * scale + 1e-15, err_msg=kind
        )


@pytest.mark.parametrize("levels", SIZES)
@pytest.mark.parametrize("name", ["detuning", "anharmonicity", "gamma_phi"])
def test_slopes_by_the_hamiltonian_and_its_noise(levels: int, name: str) -> None:
    base = system(levels)
    check(
        levels,
        lambda value: replace(base, **{name: value}),
        getattr(base, name),
        lambda found: getattr(found, name),
    )


@pytest.mark.parametrize("levels", SIZES)
def test_slopes_by_the_square_of_the_drive(levels: int) -> None:
    base = system(levels)
    check(
        levels,
        lambda value: replace(base, rabi=np.sqrt(value)),
        np.asarray(base.rabi) ** 2,
        lambda found: found.rabi_squared,
    )


@pytest.mark.parametrize("levels", SIZES)
def test_slopes_by_the_weights_of_dephasing(levels: int) -> None:
    base = system(levels)
    for j in range(levels):

        def moved(value: Array, j: int = j) -> Ladder:
            return replace(base, weights=[*base.weights[:j], value, *base.weights[j + 1 :]])

        check(levels, moved, np.asarray(base.weights[j]), lambda found, j=j: found.weights[j])


@pytest.mark.parametrize("levels", SIZES)
@pytest.mark.parametrize("name", ["gamma", "occupation"])
def test_slopes_by_rates_and_occupations_of_every_bath(levels: int, name: str) -> None:
    base = system(levels)
    for k, bath in enumerate(base.baths):
        numbers = list(getattr(bath, name))
        for t, number in enumerate(numbers):

            def moved(value: Array, k: int = k, t: int = t) -> Ladder:
                own = list(getattr(base.baths[k], name))
                own[t] = value
                baths = list(base.baths)
                baths[k] = baths[k]._replace(**{name: own})
                return replace(base, baths=baths)

            check(levels, moved, number, lambda found, k=k, t=t: getattr(found, name)[k][t])


def test_the_slope_by_one_common_occupation_is_finite_at_zero() -> None:
    def photons(n: float) -> Any:
        state = ladder_steady_state(Ladder(0.5, 2.0, -40.0, [flat_bath(4, 1.0, n)], 0.1))
        return state.photon_rate, photon_rate_slopes(state, response_slopes(state))

    found = sum(photons(0.0)[1].occupation[0])
    # One-sided differences of third order at steps of 1e-3.
    step = 1e-3
    f = [photons(count * step)[0] for count in range(4)]
    slope = (-11 * f[0] + 18 * f[1] - 9 * f[2] + 2 * f[3]) / (6 * step)
    assert found == pytest.approx(slope, rel=1e-6)


def test_slopes_keep_their_digits_at_weak_drive() -> None:
    def relative(rabi: float) -> Any:
        state = ladder_steady_state(Ladder(0.5, rabi, -40.0, [flat_bath(4, 1.0, 0.1)], 0.1))
        found = photon_rate_slopes(state, response_slopes(state))
        return [sum(found.gamma[0]) / rabi**2, found.detuning / rabi**2, found.rabi_squared]

    # s is 1e-12 and 1e-16; what the drive changes is of the same size.
    np.testing.assert_allclose(relative(1e-6), relative(1e-8), rtol=1e-10)


def test_a_ladder_without_weights_has_no_slopes_by_them() -> None:
    state = ladder_steady_state(Ladder(0.5, 2.0, -40.0, [flat_bath(3, 1.0, 0.1)]))
    assert response_slopes(state).weights == []
