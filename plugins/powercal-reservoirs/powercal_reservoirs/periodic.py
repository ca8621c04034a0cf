"""Any periodically driven system of non-interacting electrons between reservoirs: [W C1-C4].

H(t) = sum h_ij(t) c_i^+ c_j with h(t) = sum_m h_m e^{i m omega t}; each reservoir fills and empties
one level. What it exchanges with the system is linear in the reservoirs' occupations f: particle
flows N = A f and energy flows U = B f, with matrices that harmonic balance gives once and for all.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from powercal_reservoirs.constants import HBAR

__all__ = ["PeriodicSystem", "Response", "periodic_response"]

Array = NDArray[Any]


class PeriodicSystem(NamedTuple):
    """A driven system and where its reservoirs sit.

    ``harmonics`` h_m in J for m = -M ... M, shape (..., 2M+1, N, N), h_{-m} the adjoint of h_m;
    ``omega`` in rad/s, shape (...); ``levels``, the level (0 ... N-1) of each of r reservoirs;
    ``gamma`` their rates, 1/s, shape (..., r).
    """

    harmonics: ArrayLike
    omega: ArrayLike
    levels: tuple[int, ...]
    gamma: ArrayLike


class Response(NamedTuple):
    """Averages over a period, linear in the r occupations f.

    ``particles`` A (1/s) and ``energies`` B (W), shape (..., r, r): N = A f and U = B f flow from
    the reservoirs into the system; ``power`` p (W), shape (..., r): p f is the work per time done
    on it; ``bare`` mean h_jj of each reservoir's level (J), shape (..., r); ``harmonics`` kept.
    """

    particles: Array
    energies: Array
    power: Array
    bare: Array
    harmonics: int


class _Blocks(NamedTuple):
    """The harmonics in groups of M, of which each couples to its two neighbours alone.

    The group k holds sigma_n for n = kM ... kM + M-1; ``same`` couples within a group, ``above``
    and ``below`` to groups k+1 and k-1, ``turn`` (n omega for k = 0) and ``step`` (M omega) turn
    the group k by i (turn + k step).
    """

    same: Array
    above: Array
    below: Array
    turn: Array
    step: Array


def periodic_response(
    system: PeriodicSystem, tolerance: float = 1e-12, most: int = 4096
) -> Response:
    """Particle flows, energy flows and power per occupation, from the exact periodic state.

    Parameters
    ----------
    system : PeriodicSystem
        What is driven, and by what it is filled and emptied.
    tolerance : float
        Harmonics are doubled until A, B and p change by less than this, relative to the largest
        of the kind.
    most : int
        Harmonics at which to give up.

    Returns
    -------
    Response
        A with A 1 = 0 and 1 A = 0; B with B 1 = 0 and 1 B + p = 0 (the first law).

    Raises
    ------
    ValueError
        If h(t) is not Hermitian, or a reservoir sits on no level.
    ArithmeticError
        If `most` harmonics do not suffice, or the periodic state is not unique (a level that is
        coupled to no reservoir, not even through others).

    Notes
    -----
    Supplement C8: harmonic n obeys i n omega s_n = -(i/hbar) sum_m [h_m, s_{n-m}] -
    {gamma, s_n}/2 + gamma f delta_n0 for s_ij = <c_j^+ c_i>.
    """
    h, omega, gamma = _checked(system)
    blocks = _blocks(h, omega, _level_rates(system, gamma, h.shape[-1]))
    groups, previous = 4, None
    while groups * max(1, h.shape[-3] // 2) <= most:
        found = _response(system, h, omega, gamma, blocks, groups)
        if previous is not None and _settled(found, previous, tolerance):
            return found
        groups, previous = 2 * groups, found
    raise ArithmeticError(
        f"harmonic balance: up to {most} harmonics change the flows by more than {tolerance:.2g} "
        f"of the largest; the drive is far beyond its own frequency"
    )


def _checked(system: PeriodicSystem) -> tuple[Array, Array, Array]:
    h = np.asarray(system.harmonics, dtype=complex)
    adjoint = np.conj(np.swapaxes(h[..., ::-1, :, :], -1, -2))
    if np.any(np.abs(h - adjoint) > 1e-12 * np.max(np.abs(h), initial=0.0)):
        raise ValueError("harmonics of h(t) must obey h_-m = h_m^+, or energies are not real")
    if not all(0 <= level < h.shape[-1] for level in system.levels):
        raise ValueError(f"levels {system.levels} must lie between 0 and {h.shape[-1] - 1}")
    gamma, omega = np.asarray(system.gamma, dtype=float), np.asarray(system.omega, dtype=float)
    shape = np.broadcast_shapes(h.shape[:-3], omega.shape, gamma.shape[:-1])
    return (
        np.broadcast_to(h, shape + h.shape[-3:]),
        np.broadcast_to(omega, shape),
        np.broadcast_to(gamma, shape + gamma.shape[-1:]),
    )


def _level_rates(system: PeriodicSystem, gamma: Array, size: int) -> Array:
    """Return the total rate of each level, shape (..., N)."""
    places = np.zeros((gamma.shape[-1], size))
    places[np.arange(gamma.shape[-1]), list(system.levels)] = 1.0
    return np.asarray(gamma @ places)


def _blocks(h: Array, omega: Array, rates: Array) -> _Blocks:
    """Write the equations of motion as superoperators on vec(s), rows first."""
    size, orders = h.shape[-1], h.shape[-3] // 2
    one = np.eye(size)
    left = np.einsum("...mij,kl->...mikjl", h, one)
    right = np.einsum("ij,...mkl->...miljk", one, h)
    shape = (*h.shape[:-2], size**2, size**2)
    drive = 1j / HBAR * (left.reshape(shape) - right.reshape(shape))
    damping = (rates[..., :, None] + rates[..., None, :]).reshape(*rates.shape[:-1], -1) / 2
    drive[..., orders, :, :] += np.eye(size**2) * damping[..., None, :]
    group = max(1, orders)

    def coupling(offset: int) -> Array:
        tiles = [
            [
                drive[..., orders + m, :, :]
                if abs(m := row - column + offset) <= orders
                else np.zeros(drive.shape[:-3] + drive.shape[-2:])
                for column in range(group)
            ]
            for row in range(group)
        ]
        return np.concatenate([np.concatenate(row, axis=-1) for row in tiles], axis=-2)

    turn = omega[..., None] * np.repeat(np.arange(group), size**2)
    return _Blocks(coupling(0), coupling(-group), coupling(group), turn, (group * omega)[..., None])


def _response(
    system: PeriodicSystem, h: Array, omega: Array, gamma: Array, blocks: _Blocks, groups: int
) -> Response:
    """Eliminate the groups from the outermost inwards, then read the flows off the innermost."""
    size, orders, count = h.shape[-1], h.shape[-3] // 2, gamma.shape[-1]
    upper, lower = (
        _outer(blocks, groups, blocks.above, blocks.below, 1),
        _outer(blocks, groups, blocks.below, blocks.above, -1),
    )
    centre = _group(blocks, 0) - blocks.above @ upper - blocks.below @ lower
    source = np.zeros((*gamma.shape[:-1], centre.shape[-1], count), dtype=complex)
    for k, level in enumerate(system.levels):
        source[..., level * (size + 1), k] = gamma[..., k]
    try:
        inner = np.linalg.solve(centre, source)
    except np.linalg.LinAlgError as error:
        raise ArithmeticError(
            "harmonic balance: the periodic state is not unique; some level is coupled to no "
            "reservoir, not even through other levels"
        ) from error
    # s_n for n = -group ... 2 group - 1, of which n = -M ... M are needed.
    every = np.concatenate([-lower @ inner, inner, -upper @ inner], axis=-2)
    group = max(1, orders)
    shape = (*gamma.shape[:-1], 3 * group, size, size, count)
    states = every.reshape(shape)[..., group - orders : group + orders + 1, :, :, :]
    return _flows(system, h, omega, gamma, states, groups * group)


def _group(blocks: _Blocks, k: int) -> Array:
    turn = 1j * (blocks.turn + k * blocks.step)
    return np.asarray(blocks.same + np.eye(turn.shape[-1]) * turn[..., None, :])


def _outer(blocks: _Blocks, groups: int, outward: Array, inward: Array, side: int) -> Array:
    """Return X with s(group side) = -X s(group 0), when all groups beyond `groups` vanish."""
    ratio = np.zeros_like(blocks.same)
    for k in range(groups, 0, -1):
        ratio = np.linalg.solve(_group(blocks, side * k) - outward @ ratio, inward)
    return ratio


def _flows(
    system: PeriodicSystem, h: Array, omega: Array, gamma: Array, states: Array, harmonics: int
) -> Response:
    """Read A, B and p off s_n, n = -M ... M, of shape (..., 2M+1, N, N, r)."""
    orders, levels = h.shape[-3] // 2, list(system.levels)
    occupied = np.real(np.einsum("...jjb->...jb", states[..., orders, :, :, :]))[..., levels, :]
    # The mean of h s: sum over m of h_m s_{-m}.
    product = np.real(np.einsum("...mjk,...mkjb->...jb", h, states[..., ::-1, :, :, :]))
    bare = np.real(np.einsum("...jj->...j", h[..., orders, :, :]))[..., levels]
    particles = _without_sum(-gamma[..., :, None] * occupied)
    energies = _without_sum(-gamma[..., :, None] * product[..., levels, :])
    traces = np.einsum("...mjk,...mkjb->...mb", h, states[..., ::-1, :, :, :])
    turn = np.arange(-orders, orders + 1) * omega[..., None]
    power = np.real(np.einsum("...m,...mb->...b", 1j * turn, traces))
    return Response(particles, energies, power, bare, harmonics)


def _without_sum(matrix: Array) -> Array:
    """Set the diagonal so that rows sum to zero: reservoirs that are equally full exchange nothing.

    On the diagonal stand differences, gamma (1 - s_jj); as sums of the others they keep all digits.
    """
    found = np.array(matrix)
    index = np.arange(matrix.shape[-1])
    found[..., index, index] = 0.0
    found[..., index, index] = -found.sum(axis=-1)
    return found


def _settled(found: Response, previous: Response, tolerance: float) -> bool:
    """Whether doubling the harmonics changed nothing; NaN stays NaN and stops no one."""
    rank = found.bare.ndim - 1
    changes = [
        np.max(np.abs(new - old), axis=tuple(range(rank, new.ndim)))
        for new, old in zip(found[:3], previous[:3], strict=True)
    ]
    particles, energies, power = (
        np.max(np.abs(a), axis=tuple(range(rank, a.ndim))) for a in found[:3]
    )
    energy = np.maximum(energies, power)
    sizes = (particles, energy, energy)
    return not any(np.any(c > tolerance * s) for c, s in zip(changes, sizes, strict=True))
