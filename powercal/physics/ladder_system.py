"""A driven ladder of levels and its baths, and the blocks of its Liouvillian."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from powercal.physics._arrays import FloatArray, real

__all__ = ["Dissipators", "Ladder", "LadderBath", "flat_bath"]

Array = NDArray[Any]
Dissipators = Literal["secular", "collective"]
_ROOTS = np.sqrt(np.arange(1000.0))  # of every number of rungs that anybody will ask for


class Jump(NamedTuple):
    """One transition of one bath: its levels, rate and occupation."""

    upper: int
    lower: int
    gamma: FloatArray
    occupation: FloatArray


class LadderBath(NamedTuple):
    """A bath whose jumps move the ladder by `step` rungs.

    Attributes
    ----------
    gamma : sequence of array_like
        Bare rates Gamma_ij > 0 of the transitions |j + step> -> |j>, 1/s, the lowest first.
    occupation : sequence of array_like
        Thermal occupations n_ij of the same transitions, dimensionless.
    dissipators : {"secular", "collective"}
        One jump operator for each transition, or one for all of them, sum_j sqrt(a_j)|j><j+step|
        (supplement C7). They differ at leading order in 1/|alpha|.
    step : int
        1 for neighbours, 2 for next-nearest levels.
    """

    gamma: Sequence[ArrayLike]
    occupation: Sequence[ArrayLike]
    dissipators: Dissipators = "secular"
    step: int = 1

    def jumps(self) -> Iterator[Jump]:
        """Yield the transitions, the lowest first."""
        for lower, (gamma, n) in enumerate(zip(self.gamma, self.occupation, strict=True)):
            yield Jump(lower + self.step, lower, real(gamma)[()], real(n)[()])


@dataclass(frozen=True)
class Ladder:
    """Levels |0> ... |N-1> with energies hbar (j omega_q + alpha j (j-1)/2), driven on b + b^dag.

    All numbers broadcast against each other; no loop ever runs over points.

    Attributes
    ----------
    detuning : array_like
        Delta = omega_d - omega_q, rad/s.
    rabi : array_like
        Omega of the lowest transition, rad/s: V = (hbar Omega/2)(b + b^dag), <j-1|b|j> = sqrt j.
    anharmonicity : array_like
        alpha, rad/s, negative for a transmon.
    baths : sequence of LadderBath
        At least one of them joins all neighbours.
    gamma_phi : array_like
        White noise of the transition frequency, 1/s: weights d_j = j sqrt(2 Gamma_phi).
    weights : sequence of array_like
        Further white dephasing L = sum_j d_j |j><j|, rad s^-1/2, from the lowest level; or empty.

    Notes
    -----
    Supplement C7.
    """

    detuning: ArrayLike
    rabi: ArrayLike
    anharmonicity: ArrayLike
    baths: Sequence[LadderBath]
    gamma_phi: ArrayLike = 0.0
    weights: Sequence[ArrayLike] = ()

    def __post_init__(self) -> None:
        """Refuse baths that do not fit onto one ladder."""
        sizes = {len(bath.gamma) + bath.step for bath in self.baths}
        if len(sizes) != 1 or min(sizes) < 2:
            raise ValueError(
                f"the baths belong to ladders of {sorted(sizes)} levels; give every bath one rate "
                f"for each pair of levels that its step joins"
            )
        for bath in self.baths:
            if len(bath.occupation) != len(bath.gamma):
                raise ValueError(
                    f"a bath has {len(bath.gamma)} rates and {len(bath.occupation)} occupations; "
                    f"give one occupation for each rate"
                )
        if len(self.weights) not in (0, self.levels):
            raise ValueError(
                f"{len(self.weights)} dephasing weights for {self.levels} levels; give one each"
            )

    @property
    def levels(self) -> int:
        """Number of levels N."""
        return len(self.baths[0].gamma) + self.baths[0].step

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape to which all numbers broadcast."""
        numbers = [self.detuning, self.rabi, self.anharmonicity, self.gamma_phi, *self.weights]
        for bath in self.baths:
            numbers += [*bath.gamma, *bath.occupation]
        shapes = {np.shape(number) for number in numbers if not isinstance(number, float)} - {()}
        return shapes.pop() if len(shapes) == 1 else np.broadcast_shapes(*shapes)


def flat_bath(
    levels: int, gamma_1: ArrayLike, n_th: ArrayLike, dissipators: Dissipators = "collective"
) -> LadderBath:
    """Return the bath that a weakly anharmonic ladder has in a line flat over alpha.

    Parameters
    ----------
    levels : int
        Number of levels N >= 2.
    gamma_1 : array_like
        Rate of the lowest transition, 1/s; Gamma_{j,j-1} = j gamma_1.
    n_th : array_like
        Occupation, the same for all transitions, dimensionless.
    dissipators : {"secular", "collective"}
        Collective is D[b] and D[b^dag].

    Returns
    -------
    LadderBath
        For :class:`Ladder`.

    Notes
    -----
    Supplement C7.
    """
    rate = real(gamma_1)
    return LadderBath([j * rate for j in range(1, levels)], [n_th] * (levels - 1), dissipators)


class Rates(NamedTuple):
    """What the blocks are made of, gathered once for each solution.

    `shape` is the ladder's; `jumps` holds every bath's transitions, `out` the rate at which each
    level is left, `between` the rate from one level to another without drive; 1/s.
    """

    shape: tuple[int, ...]
    jumps: list[list[Jump]]
    out: list[Array]
    between: dict[tuple[int, int], Array]


def gather(ladder: Ladder) -> Rates:
    """Return the rates of a ladder."""
    jumps = [list(bath.jumps()) for bath in ladder.baths]
    # Plain zeros: rates are often numbers, and sums of numbers are quicker than of arrays.
    out: list[Any] = [0.0] * ladder.levels
    between: dict[tuple[int, int], Array] = {}
    for upper, lower, gamma, occupation in (jump for bath in jumps for jump in bath):
        up = gamma * occupation
        for source, to, rate in ((upper, lower, gamma + up), (lower, upper, up)):
            out[source] = out[source] + rate
            between[source, to] = between.get((source, to), 0.0) + rate
    return Rates(ladder.shape, jumps, out, between)


def transfers(bath: Sequence[Jump], order: int) -> Iterator[tuple[Jump, Jump, Array, Array]]:
    """Yield what a collective bath passes on among coherences |k + order><k|.

    Yields
    ------
    low, high, down, up : Jump, Jump, ndarray, ndarray
        The pair of transitions that share it; the coherence of their upper levels gives `down` to
        that of their lower levels and takes `up` from it, 1/s.
    """
    for low, high in zip(bath, bath[order:], strict=False):
        rate = np.sqrt(low.gamma * high.gamma)
        warm = np.sqrt((1.0 + low.occupation) * (1.0 + high.occupation))
        yield low, high, rate * warm, rate * np.sqrt(low.occupation * high.occupation)


def column(values: Sequence[Array], points: int) -> Array:
    """Stack numbers of any shapes along a new first axis, with `points` axes behind it."""
    stacked = np.array(np.broadcast_arrays(*values)) if any(map(np.ndim, values)) else values
    array = np.asarray(stacked)
    return array.reshape(len(values), *(1,) * (points - array.ndim + 1), *array.shape[1:])


def free_motion(ladder: Ladder, rates: Rates) -> Array:
    """Return how every coherence would turn and decay by itself.

    Returns
    -------
    ndarray
        Complex, 1/s, (N(N - 1)/2, *shape): |k + q><k| for q = 1, then q = 2, ...
    """
    levels, points, d = ladder.levels, len(rates.shape), [real(w) for w in ladder.weights]
    orders, bend, pairs = _coherences(levels, points)
    decays = [0.5 * (rates.out[upper] + rates.out[lower]) for upper, lower in pairs]
    if d:
        noise = [0.5 * (d[upper] - d[lower]) ** 2 for upper, lower in pairs]
        decays = [decay + own for decay, own in zip(decays, noise, strict=True)]
    motion = np.empty((len(pairs), *rates.shape), dtype=complex)
    motion.real = -column(decays, points) - orders**2 * real(ladder.gamma_phi)
    motion.imag = orders * real(ladder.detuning) - bend * real(ladder.anharmonicity)
    return motion


def sector(ladder: Ladder, rates: Rates, order: int, motion: Array) -> Array:
    """Return the block of the Liouvillian among the coherences |k + order><k|, order >= 1.

    Returns
    -------
    ndarray
        Complex, (N - order, N - order, *shape), 1/s; the drive is not in it.
    """
    size = ladder.levels - order
    first = (order - 1) * ladder.levels - order * (order - 1) // 2
    block = np.zeros((size, size, *rates.shape), dtype=complex)
    for k in range(size):
        block[k, k] = motion[first + k]
    for bath, jumps in zip(ladder.baths, rates.jumps, strict=True):
        for low, _, down, up in transfers(jumps, order) if bath.dissipators == "collective" else ():
            block.real[low.lower, low.upper] += down
            block.real[low.upper, low.lower] += up
    return block


def _coherences(levels: int, points: int) -> tuple[Array, Array, list[tuple[int, int]]]:
    """Return order, coefficient of alpha and levels of every coherence, in their order."""
    pairs = [(k + q, k) for q in range(1, levels) for k in range(levels - q)]
    orders = [float(upper - lower) for upper, lower in pairs]
    bend = [0.5 * (i * (i - 1) - j * (j - 1)) for i, j in pairs]
    tail = (1,) * points
    return np.reshape(orders, (-1, *tail)), np.reshape(bend, (-1, *tail)), pairs


def roots(start: int, stop: int, points: int) -> Array:
    """Return sqrt(start) ... sqrt(stop - 1) along the first axis, with `points` axes behind it."""
    return np.asarray(_ROOTS[start:stop].reshape(-1, *(1,) * points))


def from_below(levels: int, order: int, points: int) -> tuple[Array, Array]:
    """Return what the drive, over Omega, brings to |k + order><k| from the order below.

    Returns
    -------
    same, following : ndarray
        Coefficients of index k and of index k + 1 of the order below, (N - order, 1, ...) with
        `points` trailing ones.
    """
    return -0.5j * roots(order, levels, points), 0.5j * roots(1, levels - order + 1, points)


def from_above(levels: int, order: int, values: Array) -> Array:
    """Return what the drive, over Omega, brings to |k + order><k| from the order above.

    Parameters
    ----------
    levels, order : int
        N and the order that gains.
    values : ndarray
        Coherences of the order above, (N - order - 1, ...).

    Returns
    -------
    ndarray
        (N - order, ...).
    """
    same, previous = above(levels, order, values.ndim - 1)
    gained = np.empty((levels - order, *values.shape[1:]), dtype=complex)
    np.multiply(same, values, out=gained[:-1])
    gained[-1] = 0.0
    gained[1:] += previous * values
    return gained


def above(levels: int, order: int, points: int) -> tuple[Array, Array]:
    """Return the coefficients of :func:`from_above`: what |k + order><k| and the next one gain."""
    return -0.5j * roots(order + 1, levels, points), 0.5j * roots(1, levels - order, points)
