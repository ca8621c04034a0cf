"""Effective energies of a periodically driven system, made consistent with its occupations [C3]."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from powercal_reservoirs.constants import BOLTZMANN
from powercal_reservoirs.laws import entropy_production
from powercal_reservoirs.occupations import fermi
from powercal_reservoirs.periodic import Response

__all__ = ["PeriodicFlows", "Roots", "flows_at", "self_consistent_roots", "two_reservoir_energies"]

Array = NDArray[Any]

_ROUNDS = 50  # of Newton's method; a start that needs more is given up
_HALVINGS = 6
_SAME = 1e-6  # roots closer than this, in units of the largest energy, are one
_FARTHEST = 1e6  # roots beyond this many of it are reservoirs full or empty at any energy
_NO_FLOW = 1e-9  # net over gross particles below which an energy per particle means nothing


class PeriodicFlows(NamedTuple):
    """Averages over a period.

    ``particles`` (1/s) and ``energies`` (W) from the reservoirs into the system, shape (..., r);
    ``power`` (W) done on it; ``entropy`` production (W/K).
    """

    particles: Array
    energies: Array
    power: Array
    entropy: Array


class Roots(NamedTuple):
    """Solutions of E = U/N, f = Fermi(E) for one system.

    ``energies`` (J) and ``occupations`` of the root nearest the bare energies, shape (r,), the
    energy NaN where ``defined`` is False: no particles flow there on average, or no root was found
    (then occupations are NaN too); ``others``, the number of further roots found; ``every`` root
    (J), shape (roots, r), nearest first; ``flows`` at the nearest root.
    """

    energies: Array
    occupations: Array
    defined: NDArray[np.bool_]
    others: int
    every: Array
    flows: PeriodicFlows


def flows_at(
    response: Response, occupations: ArrayLike, potentials: ArrayLike, temperatures: ArrayLike
) -> PeriodicFlows:
    """Flows for given occupations, N = A f, U = B f, P = p f, and the entropy they produce.

    Parameters
    ----------
    response : Response
        From :func:`powercal_reservoirs.periodic.periodic_response`.
    occupations, potentials, temperatures : array_like
        f, mu (J) and T (K) of each reservoir, shape (..., r).

    Returns
    -------
    PeriodicFlows
        [C1], [C2], [W6] and [W2] averaged over a period.
    """
    f = np.asarray(occupations, dtype=float)
    particles = np.einsum("...ab,...b->...a", response.particles, f)
    energies = np.einsum("...ab,...b->...a", response.energies, f)
    power = np.einsum("...b,...b->...", response.power, f)
    entropy = entropy_production(energies, particles, potentials, temperatures)
    return PeriodicFlows(particles, energies, power, entropy)


def two_reservoir_energies(response: Response) -> Array:
    """Effective energies between two reservoirs; they depend on no occupation: no iteration.

    Parameters
    ----------
    response : Response
        With two reservoirs.

    Returns
    -------
    ndarray
        (E_1, E_2) in J, shape (..., 2); NaN where no particles flow whatever the occupations.

    Raises
    ------
    ValueError
        If there are more or fewer reservoirs.

    Notes
    -----
    Supplement C8: A 1 = B 1 = 0 leaves E_a = B_ab/A_ab for the other reservoir b.
    """
    a, b = response.particles, response.energies
    if a.shape[-1] != 2:
        raise ValueError(f"{a.shape[-1]} reservoirs; E = B/A holds for two only")
    particles = np.stack([a[..., 0, 1], a[..., 1, 0]], axis=-1)
    energies = np.stack([b[..., 0, 1], b[..., 1, 0]], axis=-1)
    flowing = particles != 0
    return np.where(flowing, energies / np.where(flowing, particles, 1.0), np.nan)


def self_consistent_roots(
    response: Response,
    potentials: ArrayLike,
    temperatures: ArrayLike,
    starts: int = 24,
    seed: int = 0,
) -> Roots:
    """Find effective energies E = U/N at which the reservoirs' occupations are f = Fermi(E).

    Parameters
    ----------
    response : Response
        Of one system (no batch) with r reservoirs.
    potentials, temperatures : array_like
        mu (J) and T (K) of each, shape (r,).
    starts : int
        Perturbed starts of Newton's method beside the bare energies, at least 20; 8 and 64 times
        as many where none leads to a root at which particles flow.
    seed : int
        Of their random numbers.

    Returns
    -------
    Roots
        The root nearest the bare energies and how many others were found. Three or more
        reservoirs nearly always have several; the second law holds at each of them.

    Raises
    ------
    ValueError
        Fewer than 20 starts, or a batch of systems.

    Notes
    -----
    [C3], supplement C8: B f(E) = E (A f(E)), solved by Newton's method with halved steps.
    """
    if starts < 20 or response.bare.ndim != 1:
        raise ValueError("one system at a time, and at least 20 perturbed starts")
    mu, kt = np.asarray(potentials, float), BOLTZMANN * np.asarray(temperatures, float)
    for more in (1, 8, 64):
        roots = _roots(response, mu, kt, more * starts, seed)
        shares = _flowing(response, mu, kt, roots)
        # All reservoirs equally full, nothing flows: a line of solutions that say nothing.
        flowing = roots[np.max(shares, axis=-1, initial=0.0) > _NO_FLOW]
        if flowing.size or response.bare.size == 2:
            break
    chosen = flowing if flowing.size else roots[:1]
    nearest = chosen[0] if chosen.size else np.full(mu.shape, np.nan)
    occupations = fermi((nearest - mu) / kt)
    defined = _flowing(response, mu, kt, nearest) > _NO_FLOW
    return Roots(
        np.where(defined, nearest, np.nan),
        occupations,
        defined,
        max(flowing.shape[0] - 1, 0),
        flowing,
        flows_at(response, occupations, mu, temperatures),
    )


def _flowing(response: Response, mu: Array, kt: Array, at: Array) -> Array:
    """Return net over gross particles of each reservoir at these energies; NaN is none."""
    f = fermi((at - mu) / kt)
    gross = f @ np.abs(response.particles).T
    return np.asarray(np.abs(f @ response.particles.T) / np.where(gross > 0, gross, 1.0))


def _roots(response: Response, mu: Array, kt: Array, starts: int, seed: int) -> Array:
    """Return the distinct roots, the one nearest the bare energies first."""
    bare = response.bare
    if bare.size == 2:
        two = two_reservoir_energies(response)
        return two[None] if np.isfinite(two).all() else np.empty((0, 2))
    spread = float(np.ptp(np.concatenate([bare, mu]))) + float(np.max(kt))
    noise = np.random.default_rng(seed).normal(size=(starts, bare.size))
    noise *= spread * np.geomspace(0.05, 3.0, starts)[:, None]
    found = _newton(response, mu, kt, np.concatenate([bare[None], bare + noise]), spread)
    distinct: list[Array] = []
    for root in found[np.argsort(np.linalg.norm(found - bare, axis=1))]:
        if all(np.max(np.abs(root - other)) > _SAME * spread for other in distinct):
            distinct.append(root)
    return np.array(distinct).reshape(-1, bare.size)


def _newton(response: Response, mu: Array, kt: Array, starts: Array, spread: float) -> Array:
    """Follow Newton's steps from all starts at once; return the points that are roots."""
    a, b = response.particles, response.energies
    # Each row of the equations in units of the gross flow of its reservoir.
    unit = np.max(np.abs(a), axis=-1) * spread
    unit = np.where(unit > 0, unit, 1.0)

    def residual(at: Array) -> Array:
        f = fermi((at - mu) / kt)
        return np.asarray((f @ b.T - at * (f @ a.T)) / unit)

    found, e = [], starts
    for _ in range(_ROUNDS):
        f = fermi((e - mu) / kt)
        jacobian = (b - e[:, :, None] * a) * (-f * (1 - f) / kt)[:, None, :] / unit[:, None]
        jacobian -= np.eye(mu.size) * ((f @ a.T) / unit)[:, None, :]
        inverse = np.linalg.pinv(jacobian, rcond=1e-13)
        step = -np.einsum("sij,sj->si", inverse, residual(e))
        longest = np.max(np.abs(step), axis=-1)
        step *= np.minimum(1.0, 10 * spread / np.maximum(longest, spread))[:, None]
        e = _shortened(residual, e, step)
        done = (longest < 1e-9 * spread) & (np.max(np.abs(residual(e)), axis=-1) < 1e-11)
        found.append(e[done])
        e = e[~done & (np.max(np.abs(e), axis=-1) < _FARTHEST * spread)]
        if e.size == 0:
            break
    return np.concatenate(found)


def _shortened(residual: Callable[[Array], Array], e: Array, step: Array) -> Array:
    """Halve the steps until the misfit falls; the last half is taken whatever it does."""
    misfit = np.max(np.abs(residual(e)), axis=-1)
    share = np.ones((e.shape[0], 1))
    for _ in range(_HALVINGS):
        worse = np.max(np.abs(residual(e + share * step)), axis=-1) > misfit
        if not worse.any():
            break
        share[worse] /= 2
    return np.asarray(e + share * step)
