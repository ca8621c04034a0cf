"""Where the energy goes that a driven ladder takes from its drive, and what comes back."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from powercal.physics._arrays import ComplexArray, FloatArray, real
from powercal.physics.constants import HBAR
from powercal.physics.ladder_steady_state import LadderState
from powercal.physics.ladder_system import Jump, Ladder, transfers

__all__ = [
    "LadderHeats",
    "absorbed_power",
    "bare_power",
    "heats",
    "reflection",
    "transition_flows",
]

Array = NDArray[Any]


class LadderHeats(NamedTuple):
    """Powers into the baths of a ladder, W.

    Attributes
    ----------
    baths : list of ndarray
        Into every bath; with `dephasing` they sum to the absorbed power.
    transitions : list of list of ndarray
        Of every secular bath its transitions, the lowest first; empty for a collective one, whose
        heat is not a sum over transitions.
    dephasing : ndarray
        Into the noise of the levels; of either sign.
    """

    baths: list[FloatArray]
    transitions: list[list[FloatArray]]
    dephasing: FloatArray


def absorbed_power(state: LadderState, omega_q: ArrayLike) -> FloatArray:
    """Power taken from the drive, R_total = hbar omega_d N: every photon carries hbar omega_d.

    Parameters
    ----------
    state : LadderState
        From :func:`ladder_steady_state`.
    omega_q : array_like
        Lowest transition, rad/s; omega_d is omega_q plus the ladder's detuning.

    Returns
    -------
    ndarray
        W.

    Notes
    -----
    Supplement C7; exact in the RWA. Not the heat of the undriven ladder ([G §4.4]).
    """
    return HBAR * (real(omega_q) + real(state.ladder.detuning)) * state.photon_rate


def transition_flows(state: LadderState) -> list[list[FloatArray]]:
    """Net downward rates J_ij = Gamma_ij [(1 + n_ij) p_i - n_ij p_j] of every bath.

    Parameters
    ----------
    state : LadderState
        From :func:`ladder_steady_state`.

    Returns
    -------
    list of list of ndarray
        1/s, by bath and transition.

    Notes
    -----
    Physics sheet section 7.
    """
    return [[_flow(jump, state.populations) for jump in jumps] for jumps in _jumps(state)]


def bare_power(state: LadderState, omega_q: ArrayLike) -> FloatArray:
    """Heat that the flows J_ij would carry in the undriven ladder, sum hbar omega_ij J_ij.

    Parameters
    ----------
    state : LadderState
        From :func:`ladder_steady_state`.
    omega_q : array_like
        Lowest transition, rad/s.

    Returns
    -------
    ndarray
        W; not the absorbed power, from which it differs by percents (supplement C7).

    Notes
    -----
    [G §4.4] as printed. Without drive the sum vanishes: it need be taken over the deviation from
    that state only, which loses no digits at weak drive.
    """
    ladder = state.ladder
    total: Array = np.zeros(())
    for jump in (jump for jumps in _jumps(state) for jump in jumps):
        total = total + _energy(ladder, omega_q, jump) * _flow(jump, state.deviation)
    return HBAR * total


def heats(state: LadderState, omega_q: ArrayLike) -> LadderHeats:
    """Heat into every bath of the driven ladder, and into dephasing.

    Parameters
    ----------
    state : LadderState
        From :func:`ladder_steady_state`.
    omega_q : array_like
        Lowest transition, rad/s.

    Returns
    -------
    LadderHeats
        W; -Tr{(H_0 + V) L_k rho} with the energies of the laboratory.

    Notes
    -----
    Supplement C7. The drive shares its detuning and its coupling out among the channels:
    c_j = (Omega/2) sqrt(j) Re rho_{j,j-1}.
    """
    shared = _coherent_energies(state)
    by_bath, by_transition = [], []
    for bath, jumps in zip(state.ladder.baths, _jumps(state), strict=True):
        each = [_heat(state, omega_q, jump, shared) for jump in jumps]
        total = sum(each)
        if bath.dissipators == "collective":
            total = total - HBAR * _kept_by_coherence(state, jumps)
        by_bath.append(np.asarray(total))
        by_transition.append([] if bath.dissipators == "collective" else each)
    return LadderHeats(by_bath, by_transition, HBAR * _dephasing(state.ladder, shared))


def reflection(state: LadderState, gamma_r: ArrayLike) -> ComplexArray:
    """Reflection of a ladder at the end of a line, r = 1 - 2i Gamma_r <b>/Omega.

    Parameters
    ----------
    state : LadderState
        From :func:`ladder_steady_state`.
    gamma_r : array_like
        Radiative rate of the lowest transition, 1/s, in a line flat over alpha;
        Omega^2 = 4 Gamma_r P/(hbar omega_d).

    Returns
    -------
    ndarray
        Complex, with the time factor exp(-i omega t).

    Notes
    -----
    Supplement C7; it presupposes a radiative channel with collective dissipators.
    """
    return np.asarray(1.0 - 2j * real(gamma_r) * state.response)


def _jumps(state: LadderState) -> list[list[Jump]]:
    return state.factors.rates.jumps


def _flow(jump: Jump, populations: Array) -> Array:
    upper, lower = populations[jump.upper], populations[jump.lower]
    return np.asarray(jump.gamma * (upper + jump.occupation * (upper - lower)))


def _energy(ladder: Ladder, omega_q: ArrayLike, jump: Jump) -> Array:
    """Return omega_ij, rad/s."""
    i, j = jump.upper, jump.lower
    return (i - j) * real(omega_q) + 0.5 * (i * (i - 1) - j * (j - 1)) * real(ladder.anharmonicity)


def _coherent_energies(state: LadderState) -> list[Array]:
    """Return c_0 = 0, c_1 ... c_{N-1}, c_N = 0, rad/s."""
    half, zero = 0.5 * real(state.ladder.rabi) ** 2, np.zeros(())
    inner = [half * np.sqrt(j + 1.0) * z.real for j, z in enumerate(state.neighbours)]
    return [zero, *inner, zero]


def _heat(state: LadderState, omega_q: ArrayLike, jump: Jump, c: list[Array]) -> Array:
    """Return the power that one transition by itself gives to its bath, W."""
    i, j, gamma, n = jump
    bare = _energy(state.ladder, omega_q, jump) * _flow(jump, state.populations)
    shared = (1.0 + n) * (c[i] + c[i + 1]) + n * (c[j] + c[j + 1])
    return np.asarray(HBAR * (bare + gamma * shared))


def _kept_by_coherence(state: LadderState, jumps: list[Jump]) -> Array:
    """Return what a collective bath leaves in the drive by passing coherence on, rad/s^2."""
    kept: Array = np.zeros(())
    z = state.neighbours.real
    for low, _, down, up in transfers(jumps, 1):
        fallen = np.sqrt(low.lower + 1.0) * down * z[low.upper]
        raised = np.sqrt(low.upper + 1.0) * up * z[low.lower]
        kept = kept + fallen + raised
    return np.asarray(real(state.ladder.rabi) ** 2 * kept)


def _dephasing(ladder: Ladder, c: list[Array]) -> Array:
    total = 2.0 * real(ladder.gamma_phi) * sum(c)
    d = [real(weight) for weight in ladder.weights]
    for j in range(1, len(d)):
        total = total + (d[j] - d[j - 1]) ** 2 * c[j]
    return np.asarray(total)
