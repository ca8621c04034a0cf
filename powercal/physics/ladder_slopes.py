"""Exact derivatives of a ladder's steady state by every number that went into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from powercal.physics._arrays import real
from powercal.physics.ladder_steady_state import LadderState
from powercal.physics.ladder_system import Jump, above, from_above, roots, transfers

__all__ = ["LadderSlopes", "photon_rate_slopes", "population_slopes", "response_slopes"]

Array = NDArray[Any]


@dataclass(frozen=True)
class LadderSlopes:
    """Derivatives of one observable; each of the ladder's shape, complex if the observable is.

    Attributes
    ----------
    detuning, rabi_squared, anharmonicity, gamma_phi : ndarray
        By Delta, Omega^2 (finite without drive), alpha and Gamma_phi.
    weights : list of ndarray
        By the dephasing weights d_j.
    gamma, occupation : list of list of ndarray
        By Gamma_ij and n_ij of every bath. For a collective bath the latter is infinite where one
        n_ij is zero and another is not.
    """

    detuning: Array
    rabi_squared: Array
    anharmonicity: Array
    gamma_phi: Array
    weights: list[Array]
    gamma: list[list[Array]]
    occupation: list[list[Array]]


@dataclass(frozen=True)
class _Adjoint:
    """What an observable of a steady state makes of a change of the equations.

    `levels` weighs what populations gain, (F, N, *shape); `orders` what coherences rho_q/Omega^q
    gain, (F, N - q, *shape) each, already multiplied with what they are; F counts observables.
    """

    levels: Array
    multipliers: list[Array]
    products: list[Array]
    coherences: list[Array]


def population_slopes(state: LadderState, level_weights: Sequence[ArrayLike]) -> LadderSlopes:
    """Differentiate a weighted sum of populations.

    Parameters
    ----------
    state : LadderState
        From :func:`ladder_steady_state`.
    level_weights : sequence of array_like
        c_j of sum_j c_j p_j, one for each level; broadcast against the ladder's shape.

    Returns
    -------
    LadderSlopes
        The sum's derivatives, the weights held.

    Notes
    -----
    Implicit differentiation by the adjoint: L^T lambda = -c, d<c> = lambda dL rho.
    """
    shape = state.ladder.shape
    seen = np.stack([np.broadcast_to(real(weight), shape) for weight in level_weights])
    slopes = _gathered(state, _adjoint(state, seen[None], None))
    return _mapped(slopes, lambda value: value[0])


def response_slopes(state: LadderState) -> LadderSlopes:
    """Differentiate <b>/Omega.

    Parameters
    ----------
    state : LadderState
        From :func:`ladder_steady_state`.

    Returns
    -------
    LadderSlopes
        Complex derivatives.
    """
    root = roots(1, state.ladder.levels, state.neighbours.ndim - 1)
    slopes = _gathered(state, _adjoint(state, None, np.stack([root, -1j * root])))
    return _mapped(slopes, lambda value: value[0] + 1j * value[1])


def photon_rate_slopes(state: LadderState, response: LadderSlopes) -> LadderSlopes:
    """Differentiate the absorbed photons per second, N = -Omega^2 Im(<b>/Omega).

    Parameters
    ----------
    state : LadderState
        From :func:`ladder_steady_state`.
    response : LadderSlopes
        From :func:`response_slopes` of the same state.

    Returns
    -------
    LadderSlopes
        Real derivatives.
    """
    strength = real(state.ladder.rabi) ** 2
    slopes = _mapped(response, lambda value: -strength * value.imag)
    direct = slopes.rabi_squared - state.response.imag
    return LadderSlopes(**{**vars(slopes), "rabi_squared": direct})


def _mapped(slopes: LadderSlopes, function: Any) -> LadderSlopes:
    def each(value: Any) -> Any:
        return [each(item) for item in value] if isinstance(value, list) else function(value)

    return LadderSlopes(**{name: each(value) for name, value in vars(slopes).items()})


def _adjoint(state: LadderState, populations: Array | None, neighbours: Array | None) -> _Adjoint:
    """Solve the transposed equations for observables of populations or of rho_{j+1,j}/Omega.

    Parameters
    ----------
    state : LadderState
        Whose factors are used again.
    populations, neighbours : ndarray or None
        Weights (F, N, *shape) and (F, N - 1, ...); the observable is the real part of the sum.
    """
    factors, levels = state.factors, state.ladder.levels
    strength = real(state.ladder.rabi) ** 2
    whole: Array = np.zeros(()) if populations is None else populations
    if neighbours is not None:
        whole = whole + _transposed(factors.slaves[0], neighbours).real
    below = _transposed(factors.populations, whole[:, :1] - whole[:, 1:])
    at_levels = np.concatenate([np.zeros_like(below[:, :1]), below], axis=1)
    # The populations feel the order above and its complex conjugate: twice the real part.
    force = 2.0 * strength * _from_above_transposed(levels, 0, at_levels)
    if neighbours is not None:
        force = force + neighbours
    multipliers = []
    for order, inverse in enumerate(factors.inverses, start=1):
        multipliers.append(-_transposed(inverse, force))
        force = strength * _from_above_transposed(levels, order, multipliers[-1])
    coherences = state.coherences()
    products = [m * c for m, c in zip(multipliers, coherences, strict=True)]
    return _Adjoint(at_levels, multipliers, products, coherences)


def _transposed(matrix: Array, vectors: Array) -> Array:
    """Multiply transposed matrices (m, n, *shape) with vectors (F, m, *shape)."""
    product = matrix[0] * vectors[:, 0, None]
    for i in range(1, len(matrix)):
        product = product + matrix[i] * vectors[:, i, None]
    return np.asarray(product)


def _from_above_transposed(levels: int, order: int, values: Array) -> Array:
    """Transpose of `from_above` on values (F, N - order, *shape)."""
    same, previous = above(levels, order, values.ndim - 2)
    return np.asarray(same * values[:, :-1] + previous * values[:, 1:])


def _gathered(state: LadderState, adjoint: _Adjoint) -> LadderSlopes:
    """Contract the multipliers with what each number does to the equations."""
    ladder, levels = state.ladder, state.ladder.levels
    detuning, anharmonicity, gamma_phi = [np.zeros(()) for _ in range(3)]
    touching: list[Array] = [np.zeros(())] * levels
    weights: list[Array] = [np.zeros(())] * levels
    d = [real(weight) for weight in ladder.weights]
    for order, product in enumerate(adjoint.products, start=1):
        turn = product.imag.sum(axis=1)
        detuning = detuning - order * turn
        gamma_phi = gamma_phi - order**2 * product.real.sum(axis=1)
        for k in range(levels - order):
            anharmonicity = anharmonicity + 0.5 * order * (2 * k + order - 1) * product.imag[:, k]
            loss = product.real[:, k]
            for level in (k, k + order):
                touching[level] = touching[level] - 0.5 * loss
            if d:
                apart = (d[k + order] - d[k]) * loss
                weights[k + order] = weights[k + order] - apart
                weights[k] = weights[k] + apart
    gamma, occupation = _rate_slopes(state, adjoint, touching)
    return LadderSlopes(
        detuning,
        _drive_slope(state, adjoint),
        anharmonicity,
        gamma_phi,
        weights if d else [],
        gamma,
        occupation,
    )


def _drive_slope(state: LadderState, adjoint: _Adjoint) -> Array:
    levels = state.ladder.levels
    climb = 2.0 * from_above(levels, 0, adjoint.coherences[0]).real
    slope = np.sum(adjoint.levels * climb, axis=1)
    for order, multiplier in enumerate(adjoint.multipliers[:-1], start=1):
        gained = from_above(levels, order, adjoint.coherences[order])
        slope = slope + np.sum((multiplier * gained).real, axis=1)
    return np.asarray(slope)


def _rate_slopes(
    state: LadderState, adjoint: _Adjoint, touching: list[Array]
) -> tuple[list[list[Array]], list[list[Array]]]:
    """Differentiate by Gamma_ij and n_ij of every bath, from `touching`: by rates out of levels."""
    gamma: list[list[Array]] = []
    occupation: list[list[Array]] = []
    for bath, jumps in zip(state.ladder.baths, state.factors.rates.jumps, strict=True):
        by_rate, by_number = [], []
        for upper, lower, rate, n in jumps:
            climb = adjoint.levels[:, upper] - adjoint.levels[:, lower]
            down = touching[upper] - climb * state.populations[upper]
            up = touching[lower] + climb * state.populations[lower]
            by_rate.append(down * (1.0 + n) + up * n)
            by_number.append((down + up) * rate)
        if bath.dissipators == "collective":
            _add_transfers(jumps, adjoint, by_rate, by_number)
        gamma.append(by_rate)
        occupation.append(by_number)
    return gamma, occupation


def _add_transfers(
    jumps: Sequence[Jump], adjoint: _Adjoint, by_rate: list[Array], by_number: list[Array]
) -> None:
    """Add what pairs of transitions of one collective bath share."""
    for order, (multiplier, coherence) in enumerate(
        zip(adjoint.multipliers, adjoint.coherences, strict=True), start=1
    ):
        for low, high, down, up in transfers(jumps, order):
            fallen = (multiplier[:, low.lower] * coherence[low.upper]).real
            raised = (multiplier[:, low.upper] * coherence[low.lower]).real
            both = fallen * down + raised * up
            rate = np.sqrt(low.gamma * high.gamma)
            for one, other in ((low, high), (high, low)):
                by_rate[one.lower] = by_rate[one.lower] + 0.5 * both / one.gamma
                warm = 0.5 * fallen * down / (1.0 + one.occupation)
                cold = 0.5 * raised * rate * _root_of_ratio(other.occupation, one.occupation)
                by_number[one.lower] = by_number[one.lower] + warm + cold


def _root_of_ratio(other: Array, own: Array) -> Array:
    """Return sqrt(n_other/n_own), 1 where both vanish (they do so together in one bath)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(other == own, 1.0, np.sqrt(other / own))
