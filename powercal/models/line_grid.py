"""A grid of line shapes, and the one that fits best: what a start looks for before any solver."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from powercal.models.driven import TWO_PI
from powercal.physics.voigt import complex_voigt

Array = NDArray[Any]
_DEPTHS = (0.05, 0.15, 0.3, 0.5, 0.7, 0.9, 1.1, 1.3, 1.5, 1.7, 1.9, 2.0)
_MISSING = (0.01, 0.025, 0.05, 0.1, 0.15, 0.22, 0.3, 0.37, 0.45, 0.495)  # ρ(1−η)


class Measured(NamedTuple):
    """Incident power (W), frequency (Hz), and amplitude or power over incident power, flat."""

    power: Array
    frequency: Array
    values: Array

    @property
    def is_complex(self) -> bool:
        """Whether there are phases."""
        return np.iscomplexobj(self.values)


class Start(NamedTuple):
    """One line: centre (Hz), Γ₂ (1/s), P_s (W), σ (rad/s), depth ρ, turn, and what is around it.

    What is seen is g e^{iθ}e^{iωτ}(background − e^{iψ}ρ·shape).
    """

    centre: float
    gamma_2: float
    knee: float
    sigma: float
    rho: float = 1.0
    turn: float = 0.0
    gain: float = 1.0
    phase: float = 0.0
    delay: float = 0.0


class Grid(NamedTuple):
    """Centre, Γ₂, P_s and σ of every point, shape (4, n), and the shapes there, (n, data)."""

    points: Array
    shape: Array

    def at(self, i: int) -> Start:
        """Return one point."""
        return Start(*(float(x) for x in self.points[:, i]))


def _white(data: Measured, centres: Array, widths: Array, knees: Array) -> Grid:
    """(1+iδ)/(1+δ²+P/P_s) for every combination."""
    delta = TWO_PI * (data.frequency - centres[:, None, None]) / widths[:, None]
    delta = delta.reshape(-1, 1, data.frequency.size)
    inverse = 1.0 / ((delta**2 + 1.0) + data.power / knees[:, None])
    shape = np.empty(inverse.shape, dtype=complex)
    shape.real = inverse
    np.multiply(delta, inverse, out=shape.imag)
    return Grid(_mesh(centres, widths, knees, [0.0]), shape.reshape(-1, data.frequency.size))


def _slow(data: Measured, points: Array) -> Grid:
    """Average over slow Gaussian noise (supplement C2)."""
    centre, gamma_2, knee, sigma = points[:, :, None]
    width = np.sqrt(1 + data.power / knee)
    line = complex_voigt(TWO_PI * (data.frequency - centre) / gamma_2, width, sigma / gamma_2)
    return Grid(points, line.real / width + 1j * line.imag)


def _mesh(*axes: Iterable[float]) -> Array:
    return np.array(np.meshgrid(*axes, indexing="ij")).reshape(len(axes), -1)


def grid_of(data: Measured, centre: float, alone: Start | None = None) -> Grid:
    """Lay centres and widths across the sweep and saturation powers across the powers.

    With ``alone`` the grid has this one point.
    """
    if alone is not None:
        return _slow(data, np.array(alone[:4])[:, None])
    low, high = data.frequency.min(), data.frequency.max()
    spread = max(float(high - low), 1.0)
    centres = np.append(centre, np.linspace(low, high, 13)[1:-1])
    widths = TWO_PI * spread * np.geomspace(0.005, 0.5, 12)
    knees = np.geomspace(data.power.min() / 3, data.power.max() * 3, 9)
    return _white(data, centres, widths, knees)


def broadened(data: Measured, white: Start) -> Grid:
    """Share the width of the best white line out between Γ₂ and slow noise."""
    widths = white.gamma_2 * np.geomspace(0.06, 1.0, 6)
    sigmas = white.gamma_2 * np.array([0.1, 0.2, 0.4, 0.6, 0.8, 1.1])
    knees = white.knee * np.geomspace(0.01, 3.0, 6)
    return _slow(data, _mesh([white.centre], widths, knees, sigmas))


def best_circle(data: Measured, grid: Grid, delays: Array, background: float) -> Start:
    """Fit y = A e^{iωτ}(background − κ·shape), linear in A and Aκ, everywhere on the grid."""
    middle = 0.5 * (data.frequency.min() + data.frequency.max())
    flat = data.values * np.exp(-1j * TWO_PI * np.outer(delays, data.frequency - middle))
    # Of shape − mean and values − mean; without a background the means are nought.
    mean = grid.shape.mean(axis=1, keepdims=True) * background
    level, count = flat.mean(axis=1) * background, data.values.size
    overlap = (grid.shape @ flat.conj().T).conj() - count * mean.conj() * level
    square = np.einsum("ij,ij->i", grid.shape.real, grid.shape.real)
    square += np.einsum("ij,ij->i", grid.shape.imag, grid.shape.imag)
    norm = square[:, None] - count * np.abs(mean) ** 2
    slope = overlap / norm
    floor = level - slope * mean
    explained = np.abs(level) ** 2 * count + np.abs(overlap) ** 2 / norm
    with np.errstate(divide="ignore", invalid="ignore"):
        kappa = -slope / floor if background else np.ones_like(slope)
    possible = (kappa.real > 0) & (np.abs(kappa) < 2.3)
    score = np.where(possible, explained, -np.inf) if possible.any() else explained
    i, j = np.unravel_index(int(np.argmax(score)), score.shape)
    around = floor[i, j] if background else -slope[i, j]
    start = grid.at(int(i))
    phase = TWO_PI * (start.centre - middle) * delays[j]
    return start._replace(
        rho=float(np.clip(np.abs(kappa[i, j]), 0.02, 1.98)),
        turn=float(np.clip(np.angle(kappa[i, j]), -1.5, 1.5)),
        gain=float(np.clip(np.abs(around), 1e-9, 1e9)),
        phase=float(np.angle(around * np.exp(1j * phase))),
        delay=float(delays[j]),
    )


def best_power(
    data: Measured, grid: Grid, turns: list[float], gain: float | None, background: float
) -> Start:
    """Search |background − e^{iψ}ρ·shape|², with its best gain unless that is known."""
    square = np.abs(grid.shape) ** 2
    best: tuple[float, Start] = (np.inf, grid.at(0))
    for turn in turns:
        along = (np.exp(1j * turn) * grid.shape).real
        depths, known = (_DEPTHS, gain) if background else ((1.0,), None)
        found = _best_depth(data, grid, background, along, square, depths, known)
        if found[0] < best[0]:
            best = found[0], found[1]._replace(rho=min(found[1].rho, 1.98), turn=turn)
    return best[1]


def best_total(data: Measured, grid: Grid, gain: float | None) -> Start:
    """Search 1 − m·Re shape, m = 2ρ(1−η) ≤ 1, with its best gain unless that is known."""
    along = grid.shape.real
    found = _best_depth(data, grid, 1.0, along, np.zeros((1, 1)), _MISSING, gain)[1]
    return found._replace(rho=2 * found.rho)


def _best_depth(
    data: Measured,
    grid: Grid,
    background: float,
    along: Array,
    square: Array,
    depths: tuple[float, ...],
    gain: float | None,
) -> tuple[float, Start]:
    """Fit gain²(β − 2βρ·along + ρ²·square), whose sums over the data are polynomials in ρ."""
    y, n, one = data.values, data.values.size, background
    square = np.broadcast_to(square, along.shape)
    overlaps = (one * y.sum(), -2 * one * (along @ y), square @ y)
    norms = (
        one * n,
        -4 * one * along.sum(axis=1),
        one * (4 * np.sum(along**2, axis=1) + 2 * square.sum(axis=1)),
        -4 * one * np.sum(along * square, axis=1),
        np.sum(square**2, axis=1),
    )
    best: tuple[float, Start] = (np.inf, grid.at(0))
    for rho in depths:
        overlap = sum(c * rho**k for k, c in enumerate(overlaps))
        norm = sum(c * rho**k for k, c in enumerate(norms))
        scale = overlap / norm if gain is None else np.full_like(norm, gain**2)
        misfit = np.where(scale > 0, y @ y - 2 * scale * overlap + scale**2 * norm, np.inf)
        i = int(np.argmin(misfit))
        if misfit[i] < best[0]:
            level = float(np.sqrt(np.clip(scale[i], 1e-18, 1e18)))
            best = float(misfit[i]), grid.at(i)._replace(gain=level, rho=rho)
    return best
