"""Steady states of driven ladders, for all points at once, order of coherence by order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.physics._arrays import ComplexArray, FloatArray, real
from powercal.physics.ladder_system import (
    Ladder,
    Rates,
    column,
    free_motion,
    from_above,
    from_below,
    gather,
    roots,
    sector,
)

__all__ = ["LadderState", "ladder_steady_state"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Factors:
    """What elimination leaves behind, for derivatives and the higher coherences.

    Attributes
    ----------
    rates : Rates
        Of the ladder.
    inverses : list of ndarray
        For q = 1 ... N - 1 the inverse of the block of order q with all higher ones eliminated.
    slaves : list of ndarray
        X_q: rho_q/Omega^q = X_q rho_{q-1}/Omega^{q-1}, (N - q, N - q + 1, *shape).
    populations : ndarray
        Inverse of the populations' equations without the ground state, (N - 1, N - 1, *shape).
    """

    rates: Rates
    inverses: list[Array]
    slaves: list[Array]
    populations: Array


@dataclass(frozen=True)
class LadderState:
    """The steady state of a ladder.

    Attributes
    ----------
    ladder : Ladder
        What it is the state of.
    populations : ndarray
        p_j, dimensionless, (N, *shape).
    response : ndarray
        <b>/Omega in the frame of the drive, s/rad, complex, of the ladder's shape; finite at
        Omega = 0. Reflection is 1 - 2i Gamma_r <b>/Omega.
    photon_rate : ndarray
        Photons absorbed per second, sum (i - j) J_ij = -Omega Im<b>, 1/s; never a difference of
        nearly equal numbers.
    deviation : ndarray
        p_j minus its value without drive, to relative precision, (N, *shape).
    neighbours : ndarray
        rho_{j+1,j}/Omega, s/rad, complex, (N - 1, *shape).
    factors : Factors
        What elimination leaves behind.
    """

    ladder: Ladder
    populations: FloatArray
    response: ComplexArray
    photon_rate: FloatArray
    deviation: FloatArray
    neighbours: ComplexArray
    factors: Factors

    def coherences(self) -> list[ComplexArray]:
        """Return rho_{k+q,k}/Omega^q for q = 1 ... N - 1, each (N - q, *shape), (s/rad)^q."""
        found = [self.neighbours]
        for slave in self.factors.slaves[1:]:
            found.append(_applied(slave, found[-1]))
        return found

    def density_matrix(self) -> ComplexArray:
        """Return rho in the frame of the drive, (N, N, *shape)."""
        levels, rabi = self.ladder.levels, real(self.ladder.rabi)
        rho = np.zeros((levels, *self.populations.shape), dtype=complex)
        for j in range(levels):
            rho[j, j] = self.populations[j]
        for q, coherence in enumerate(self.coherences(), start=1):
            for k in range(levels - q):
                rho[k + q, k] = coherence[k] * rabi**q
                rho[k, k + q] = np.conj(rho[k + q, k])
        return rho


def ladder_steady_state(ladder: Ladder) -> LadderState:
    """Solve a driven ladder for its steady state, in the rotating-wave approximation.

    Parameters
    ----------
    ladder : Ladder
        Every rate of a transition that joins neighbours must be positive.

    Returns
    -------
    LadderState
        Populations, response and absorbed photons of the ladder's shape.

    Notes
    -----
    Supplement C7. The drive joins coherences |k + q><k| of neighbouring orders q only, and no
    dissipator joins different orders: the Liouvillian is block-tridiagonal in q. From the highest
    order down each block is slaved to the one below; real equations for the populations are left,
    solved for the deviation from the state without drive, so that weak drives lose no digits.

    Examples
    --------
    >>> from powercal.physics.ladder_system import Ladder, flat_bath
    >>> state = ladder_steady_state(Ladder(0.0, 10.0, -30.0, [flat_bath(3, 1.0, 0.0, "secular")]))
    >>> [round(float(p), 7) for p in state.populations]
    [0.520973, 0.4510504, 0.0279767]
    """
    rates = gather(ladder)
    points = len(rates.shape)
    strength = real(ladder.rabi) ** 2
    inverses, slaves = _slaved(ladder, rates, strength)
    driven = _driven_flow(slaves[0])
    inverse = _inverted(_without_ground(strength * driven, rates))
    dark = column(undriven_populations(rates, ladder.levels), points)
    deviation = np.empty((ladder.levels, *rates.shape))
    deviation[1:] = _applied(inverse, -strength * _applied(driven[1:], dark))
    deviation[0] = -deviation[1:].sum(axis=0)
    populations = deviation + dark
    neighbours = _applied(slaves[0], populations)
    return LadderState(
        ladder,
        populations,
        (roots(1, ladder.levels, points) * neighbours).sum(axis=0),
        (column(_rungs(rates, ladder.levels), points) * deviation).sum(axis=0),
        deviation,
        neighbours,
        Factors(rates, inverses, slaves, inverse),
    )


def undriven_populations(rates: Rates, levels: int) -> list[Array]:
    """Return the populations without drive, by elimination without subtractions.

    Parameters
    ----------
    rates : Rates
        Of a ladder.
    levels : int
        N.

    Returns
    -------
    list of ndarray
        p_j, of the shape of the rates.

    Notes
    -----
    Grassmann, Taksar and Heyman's elimination: every digit holds, however small a population is.
    """
    flow = dict(rates.between)
    for n in range(levels - 1, 0, -1):
        leaving = sum(flow[n, j] for j in range(n) if (n, j) in flow)
        into = {i: flow[i, n] / leaving for i in range(n) if (i, n) in flow}
        for i, share in into.items():
            flow[i, n] = share
            for j in range(n):
                if j != i and (n, j) in flow:
                    flow[i, j] = flow.get((i, j), 0.0) + share * flow[n, j]
    found: list[Array] = [np.ones(())]
    for n in range(1, levels):
        gains = [found[i] * flow[i, n] for i in range(n) if (i, n) in flow]
        found.append(np.asarray(sum(gains)))
    total = sum(found)
    return [weight / total for weight in found]


def _slaved(ladder: Ladder, rates: Rates, strength: Array) -> tuple[list[Array], list[Array]]:
    """Eliminate the orders from the highest to the first; return inverses and slaves."""
    motion = free_motion(ladder, rates)
    inverses: list[Array] = []
    slaves: list[Array] = []
    for order in range(ladder.levels - 1, 0, -1):
        block = sector(ladder, rates, order, motion)
        if slaves:
            gained = from_above(ladder.levels, order, slaves[0])
            gained *= strength
            block += gained
        inverse = _inverted(block)
        same, following = from_below(ladder.levels, order, len(rates.shape))
        slave = np.empty((len(block), len(block) + 1, *rates.shape), dtype=complex)
        np.multiply(inverse, same, out=slave[:, :-1])
        slave[:, -1] = 0.0
        slave[:, 1:] += inverse * following
        np.negative(slave, out=slave)
        inverses.insert(0, inverse)
        slaves.insert(0, slave)
    return inverses, slaves


def _driven_flow(slave: Array) -> Array:
    """Return what the drive does to the populations, over Omega^2: (N, N, *shape), s."""
    climb = roots(1, len(slave) + 1, slave.ndim - 1) * slave.imag
    flow = np.empty((len(slave) + 1, *slave.shape[1:]))
    flow[:-1] = climb
    flow[-1] = 0.0
    flow[1:] -= climb
    return flow


def _without_ground(driven: Array, rates: Rates) -> Array:
    """Return the equations of the populations 1 ... N - 1 when all of them sum to zero."""
    equations = driven
    for (source, to), rate in rates.between.items():
        equations[to, source] += rate
        equations[source, source] -= rate
    return np.asarray(equations[1:, 1:] - equations[1:, :1])


def _rungs(rates: Rates, levels: int) -> list[Array]:
    """Return how fast each level falls through baths, in rungs per second.

    Its mean, sum (i - j) J_ij, is zero without drive: it need be taken over the deviation only.
    """
    falls: list[Array] = [np.zeros(())] * levels
    for (source, to), rate in rates.between.items():
        falls[source] = falls[source] + (source - to) * rate
    return falls


def _applied(matrix: Array, vector: Array) -> Array:
    """Multiply matrices (m, n, *shape) with vectors (n, *shape)."""
    return np.asarray((matrix * vector).sum(axis=1))


def _inverted(found: Array) -> Array:
    """Invert matrices (m, m, *shape) in place, all points at once, and return them.

    Pivots are taken as they come: the Hermitian part of a block is negative, which bounds growth.
    """
    if len(found) == 1:
        return np.asarray(np.divide(1.0, found, out=found))
    for i in range(len(found)):
        pivot = 1.0 / found[i, i]
        found[i, i] = 1.0
        found[i] *= pivot
        for row in (*range(i), *range(i + 1, len(found))):
            factor = found[row, i].copy()
            found[row, i] = 0.0
            found[row] -= factor * found[i]
    return found
