"""A grid of line shapes, and the one that fits each trace best: what a start looks for first."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from powercal.models.driven import TWO_PI
from powercal.physics.voigt import complex_voigt

Array = NDArray[Any]
_DEPTHS = (0.05, 0.15, 0.3, 0.5, 0.7, 0.9, 1.1, 1.3, 1.5, 1.7, 1.9, 2.0)
_MISSING = (0.01, 0.025, 0.05, 0.1, 0.15, 0.22, 0.3, 0.37, 0.45, 0.495)  # ρ(1−η)
_NARROW = 0.02  # of the sweep


class Measured(NamedTuple):
    """Rows measured at the same points, in units of each row's own sweep.

    ``power`` over the least one, ``frequency`` from 0 to 1 along the sweep, both of shape
    (points,); ``values``, amplitude or power over incident power, of shape (rows, points), 0 in
    gaps; ``held`` 1 for points and 0 for gaps, of shape (rows or 1, points).
    """

    power: Array
    frequency: Array
    values: Array
    held: Array

    @property
    def is_complex(self) -> bool:
        """Whether there are phases."""
        return np.iscomplexobj(self.values)


class Start(NamedTuple):
    """A line for every row: centre (Hz), Γ₂ (1/s), P_s (W), σ (rad/s), depth ρ, turn, surroundings.

    What is seen is g e^{iθ}e^{iωτ}(background − e^{iψ}ρ·shape).
    """

    centre: Any
    gamma_2: Any
    knee: Any
    sigma: Any
    rho: Any = 1.0
    turn: Any = 0.0
    gain: Any = 1.0
    phase: Any = 0.0
    delay: Any = 0.0


class Grid:
    """Centre, Γ₂, P_s and σ of every point, shape (4, n), and the shapes there, (n, points)."""

    def __init__(self, points: Array, shape: Array) -> None:
        self.points, self.shape = points, shape

    @functools.cached_property
    def single(self) -> Array:
        """Real above imaginary parts in single precision, enough to choose among the shapes."""
        return np.concatenate([self.shape.real.T, self.shape.imag.T]).astype(np.float32)

    @functools.cached_property
    def square(self) -> Array:
        """|shape|² in single precision, (points, n)."""
        return np.asarray((self.shape.real**2 + self.shape.imag**2).T, dtype=np.float32)

    @functools.cached_property
    def parts(self) -> Array:
        """What products of two shapes are made of: (8, points, n)."""
        real, imag = self.shape.real.T, self.shape.imag.T
        square = real**2 + imag**2
        one = (real, imag, real**2, real * imag, imag**2)
        return np.stack([*one, real * square, imag * square, square**2])

    def sums(self, held: Array) -> list[Array]:
        """Sum the parts over the points of every row, (rows or 1, n) each."""
        return [held @ part for part in self.parts]

    def moments(self, held: Array) -> tuple[Array, Array]:
        """Sum the shapes and their squares over the points of every row, (rows or 1, n) each."""
        some, n = held.astype(np.float32), held.shape[1]
        return some @ self.single[:n] + 1j * (some @ self.single[n:]), some @ self.square


def _white(data: Measured, centres: Array, widths: Array, knees: Array) -> Grid:
    """(1+iδ)/(1+δ²+P/P_s) for every combination."""
    delta = TWO_PI * (data.frequency - centres[:, None, None]) / widths[:, None]
    delta = delta.reshape(-1, 1, data.frequency.size)
    inverse = 1.0 / ((delta**2 + 1.0) + data.power / knees[:, None])
    shape = np.empty(inverse.shape, dtype=complex)
    shape.real = inverse
    np.multiply(delta, inverse, out=shape.imag)
    return Grid(_mesh(centres, widths, knees, [0.0]), shape.reshape(-1, data.frequency.size))


def slow_shape(data: Measured, points: Array) -> Array:
    """Average over slow Gaussian noise (supplement C2), (n, points) for points of shape (4, n)."""
    centre, gamma_2, knee, sigma = points[:, :, None]
    if not sigma.any():
        delta = TWO_PI * (data.frequency - centre) / gamma_2
        return np.asarray((1 + 1j * delta) / (1 + delta**2 + data.power / knee))
    width = np.sqrt(1 + data.power / knee)
    line = complex_voigt(TWO_PI * (data.frequency - centre) / gamma_2, width, sigma / gamma_2)
    return np.asarray(line.real / width + 1j * line.imag)


def _mesh(*axes: Iterable[float]) -> Array:
    return np.array(np.meshgrid(*axes, indexing="ij")).reshape(len(axes), -1)


def grid_across(data: Measured) -> Grid:
    """Lay centres, about a width apart, across the sweep, and saturation powers across the powers.

    Narrow lines are left out: between the centres they would hide, and they are looked for at
    their own centre.
    """
    grids = []
    for width in _widths()[_widths() > TWO_PI * _NARROW]:
        number = min(11, int(TWO_PI / width))
        centres = np.linspace(0.0, 1.0, number + 2)[1:-1]
        grids.append(_white(data, centres, np.array([width]), _knees(data)))
    return Grid(
        np.concatenate([grid.points for grid in grids], axis=1),
        np.concatenate([grid.shape for grid in grids]),
    )


def grid_at(data: Measured, centre: float) -> Grid:
    """Lay all widths and saturation powers at one centre."""
    return _white(data, np.array([centre]), _widths(), _knees(data))


def _widths() -> Array:
    return TWO_PI * np.geomspace(0.005, 0.5, 12)


def _knees(data: Measured) -> Array:
    return np.geomspace(data.power.min() / 3, data.power.max() * 3, 9)


def broadened(data: Measured, white: Start) -> Grid:
    """Share the width of the best white line, one for all rows, out between Γ₂ and slow noise."""
    widths = white.gamma_2 * np.geomspace(0.06, 1.0, 6)
    sigmas = white.gamma_2 * np.array([0.1, 0.2, 0.4, 0.6, 0.8, 1.1])
    knees = white.knee * np.geomspace(0.01, 3.0, 6)
    points = _mesh([float(white.centre)], widths, knees, sigmas)
    return Grid(points, slow_shape(data, points))


# ---- amplitudes ----


def best_circle(data: Measured, grids: list[Grid], delays: Array, background: float) -> Start:
    """Fit y = A e^{iωτ}(background − κ·shape), linear in A and Aκ, everywhere on the grids.

    ``delays``, of shape (rows, number), are tried in turn.
    """

    def better(one: tuple[Array, ...], other: tuple[Array, ...]) -> tuple[Array, ...]:
        return tuple(np.where(other[0] > one[0], b, a) for a, b in zip(one, other, strict=True))

    tried = []
    for grid in grids:
        score, place, delay = _best_place(data, grid, delays, background)
        tried.append((score, *grid.points[:, place], grid.shape[place].T, delay))
    _, *line, shape, delay = functools.reduce(better, tried)
    return circle_around(data, Start(*line), shape.T, delay, background)[1]


def _best_place(
    data: Measured, grid: Grid, delays: Array, background: float
) -> tuple[Array, Array, Array]:
    """Return score, place on the grid and delay of the best circle for every row."""
    count, (mean, square) = data.held.sum(axis=1, keepdims=True), grid.moments(data.held)
    mean = mean * (background / count)
    inverse = (1 / (square - count * np.abs(mean) ** 2)).astype(np.float32)
    mean = mean.astype(np.complex64)
    best = np.full(len(data.values), -np.inf)
    place, turn = np.zeros(best.size, dtype=int), np.zeros(best.size)
    for delay in delays.T:
        flat, level = _flat(data, delay, background)
        real, imag = _overlaps(flat, grid)
        explained = (real * real + imag * imag) * inverse
        if background:  # what is impossible comes after all that is possible, in the same order
            impossible = _impossible(real * inverse, imag * inverse, level, mean)
            explained -= impossible * (2 * explained.max(axis=1, keepdims=True))
        i = np.argmax(explained, axis=1)
        most = explained[np.arange(i.size), i].astype(float)
        score = np.where(most < 0, -1e300, most + count[:, 0] * np.abs(level) ** 2)
        better = score > best
        best, place = np.where(better, score, best), np.where(better, i, place)
        turn = np.where(better, delay, turn)
    return best, place, turn


def _overlaps(flat: Array, grid: Grid) -> tuple[Array, Array]:
    """Return real and imaginary parts of Σ shape*·flat, by one product of real matrices."""
    real, imag = flat.real.astype(np.float32), flat.imag.astype(np.float32)
    both = np.concatenate([np.hstack([real, imag]), np.hstack([imag, -real])]) @ grid.single
    return both[: len(flat)], both[len(flat) :]


def _impossible(real: Array, imag: Array, level: Array, mean: Array) -> Array:
    """Whether κ = −slope/floor has no positive real part, or a size that no depth can have.

    The slope in its parts, the floor = level − slope·mean; products of real arrays are fastest.
    """
    low = level.astype(np.complex64)[:, None]
    size = real * real + imag * imag
    along = real * low.real + imag * low.imag  # of slope·level*
    across = imag * low.real - real * low.imag
    floor2 = np.abs(low) ** 2 - 2 * (along * mean.real - across * mean.imag)
    floor2 += size * np.abs(mean) ** 2
    return np.asarray((along >= size * mean.real) | (size >= np.float32(2.3**2) * floor2))


def best_delay(data: Measured, line: Start, delays: Array, background: float) -> Start:
    """Fit the same with one known line for every row; the best of the delays."""
    points = np.stack([line.centre, line.gamma_2, line.knee, line.sigma])
    shape = slow_shape(data, points)
    tried = [circle_around(data, line, shape, delay, background) for delay in delays.T]
    return _best([(-explained, start) for explained, start in tried])


def _flat(data: Measured, delay: Array, background: float) -> tuple[Array, Array]:
    """Take a delay off; return what is left about its mean, and the mean if it counts."""
    flat = data.values
    if delay.any():
        flat = flat * np.exp(-1j * TWO_PI * delay[:, None] * (data.frequency - 0.5))
    level = background * flat.sum(axis=1) / data.held.sum(axis=1)
    return np.asarray((flat - level[:, None]) * data.held), level


def circle_around(
    data: Measured, start: Start, shape: Array, delay: Array, background: float
) -> tuple[Array, Start]:
    """Return what one shape in every row explains, with its best gain, phase, depth and turn."""
    flat, level = _flat(data, delay, background)
    shape = shape * data.held
    count = data.held.sum(axis=1)
    mean = background * shape.sum(axis=1) / count
    off = np.sum(shape.real**2 + shape.imag**2, axis=1) - count * np.abs(mean) ** 2
    overlap = np.sum(shape.conj() * flat, axis=1)
    slope = overlap / off
    floor = level - slope * mean
    around = floor if background else -slope
    kappa = -slope / around if background else np.ones_like(slope)
    phase = TWO_PI * (start.centre - 0.5) * delay
    found = start._replace(
        rho=np.clip(np.abs(kappa), 0.02, 1.98),
        turn=np.clip(np.angle(kappa), -1.5, 1.5),
        gain=np.clip(np.abs(around), 1e-9, 1e9),
        phase=np.angle(around * np.exp(1j * phase)),
        delay=delay,
    )
    return np.abs(overlap) ** 2 / off + count * np.abs(level) ** 2, found


# ---- powers ----


class _Sums(NamedTuple):
    """Sums over the points of along, along², along·square, square, square², and with the values."""

    a: Any
    aa: Any
    aq: Any
    q: Any
    qq: Any
    ya: Any
    yq: Any


def best_power(
    data: Measured, grids: list[Grid], turns: list[Any], gain: Any, background: float
) -> Start:
    """Search |background − e^{iψ}ρ·shape|², with its best gain unless that is known."""
    return _best([_best_turn(data, grid, turns, gain, background) for grid in grids])


def _best(found: list[tuple[Array, Start]]) -> Start:
    """Return the start with the least misfit for every row."""
    return functools.reduce(_better, found)[1]


def _best_turn(
    data: Measured, grid: Grid, turns: list[Any], gain: Any, background: float
) -> tuple[Array, Start]:
    real, imag, rr, ri, ii, rq, iq, qq = grid.sums(data.held)
    y_real, y_imag = data.values @ grid.parts[0], data.values @ grid.parts[1]
    y_square = data.values @ (grid.parts[2] + grid.parts[4])
    tried = []
    depths, known = (_DEPTHS, gain) if background else ((1.0,), None)
    for turn in turns:
        psi = np.reshape(turn, (-1, 1))
        c, s = np.cos(psi), np.sin(psi)
        sums = _Sums(
            c * real - s * imag,
            c**2 * rr - 2 * c * s * ri + s**2 * ii,
            c * rq - s * iq,
            rr + ii,
            qq,
            c * y_real - s * y_imag,
            y_square,
        )
        misfit, start = _best_depth(data, grid, background, sums, depths, known)
        rho, psi = np.minimum(start.rho, 1.98), np.broadcast_to(psi[:, 0], misfit.shape)
        tried.append((misfit, start._replace(rho=rho, turn=psi)))
    return functools.reduce(_better, tried)


def best_total(data: Measured, grids: list[Grid], gain: Any) -> Start:
    """Search 1 − m·Re shape, m = 2ρ(1−η) ≤ 1, with its best gain unless that is known."""
    tried = []
    for grid in grids:
        real, _, rr, *_ = grid.sums(data.held)
        sums = _Sums(real, rr, 0.0, 0.0, 0.0, data.values @ grid.parts[0], 0.0)
        tried.append(_best_depth(data, grid, 1.0, sums, _MISSING, gain))
    start = _best(tried)
    return start._replace(rho=2 * start.rho)


def _better(one: tuple[Array, Start], other: tuple[Array, Start]) -> tuple[Array, Start]:
    """Return the better of two starts for every row."""
    first = one[0] <= other[0]
    pairs = zip(one[1], other[1], strict=True)
    return np.where(first, one[0], other[0]), Start(*(np.where(first, a, b) for a, b in pairs))


def _best_depth(
    data: Measured,
    grid: Grid,
    background: float,
    sums: _Sums,
    depths: tuple[float, ...],
    gain: Any,
) -> tuple[Array, Start]:
    """Fit gain²(β − 2βρ·along + ρ²·square), whose sums over the data are polynomials in ρ."""
    y, one = data.values, background
    overlaps = (one * y.sum(axis=1)[:, None], -2 * one * sums.ya, sums.yq)
    norms = (
        one * data.held.sum(axis=1)[:, None],
        -4 * one * sums.a,
        one * (4 * sums.aa + 2 * sums.q),
        -4 * one * sums.aq,
        sums.qq,
    )
    size, rows = np.sum(y * y, axis=1), np.arange(len(y))
    tried = []
    for rho in depths:
        overlap = sum(c * rho**k for k, c in enumerate(overlaps))
        norm = sum(c * rho**k for k, c in enumerate(norms))
        scale = overlap / norm if gain is None else np.reshape(gain, (-1, 1)) ** 2
        misfit = size[:, None] - scale * (2 * overlap - scale * norm)
        misfit = np.where(scale > 0, misfit, np.inf)
        i = np.argmin(misfit, axis=1)
        scale = np.broadcast_to(scale, misfit.shape)[rows, i]
        nought, level = np.zeros(i.size), np.sqrt(np.clip(scale, 1e-18, 1e18))
        start = Start(*grid.points[:, i])._replace(
            rho=rho + nought, turn=nought, gain=level, phase=nought, delay=nought
        )
        tried.append((misfit[rows, i], start))
    return functools.reduce(_better, tried)
