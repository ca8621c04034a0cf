"""Two quantities held together: Δχ² at a pair of values, and walks to where it reaches a level."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from powercal.errors import FitError
from powercal.fitting.identifiability import analyse
from powercal.fitting.levenberg import minimise, search_held
from powercal.fitting.problem import Problem
from powercal.fitting.weights import with_noise_uncertainty

FloatArray = NDArray[np.float64]
FAR = 9.0  # in logarithms: what may differ by a factor 8000 is called unbounded
FAR_SIGMA = 1e4  # standard deviations of a linear quantity: likewise
_STIFF = 1e5  # a derived quantity is held by a row this stiff: its Δχ² is 1e-10 of a unit
_CLOSE = 2e-3  # of a level
_ALONE = 1e-3  # what all other coordinates together may do to a quantity that rides on one
_SAME = 1e-9  # of a determinant: two quantities that say the same


@dataclass(frozen=True)
class Walked:
    """A point: the pair, Δχ² there, all coordinates; whether χ² or a bound ended the walk.

    ``axis`` is the quantity whose bound it lies on.
    """

    q: FloatArray
    rise: float
    x: FloatArray
    status: str = "closed"
    axis: int | None = None


class Pair:
    """Two quantities of one problem about its minimum, in the coordinates of the solver.

    Attributes
    ----------
    q : ndarray, shape (2,)
        The pair at the minimum: solver coordinate of a parameter (or of the one that carries a
        derived quantity), else the (logarithm of the) derived value.
    covariance, root, sigma : ndarray
        Of the pair, its Cholesky factor, standard deviations.
    better : ndarray or None
        A deeper minimum, should one be met.
    """

    def __init__(self, problem: Problem, x: FloatArray, names: tuple[str, str]) -> None:
        self.problem, self.x, self.names = problem, x, names
        r = problem.residual(x)
        self.chi2 = float(r @ r)
        found = analyse(problem.jacobian(x))
        self.index = [self._carrier(n, found.scale) for n in names]
        self.logs = [self._in_logarithm(k) for k in (0, 1)]
        self.q = self.value(x)
        self._gradient = np.array([self.gradient(k, x) for k in (0, 1)])
        if not all(found.determines(g) for g in self._gradient):
            raise FitError(f"{names[0]} and {names[1]} are not both determined by these data")
        plain = self._gradient @ found.covariance @ self._gradient.T
        wide = with_noise_uncertainty(problem, x, found.covariance)
        self.covariance = self._gradient @ wide @ self._gradient.T
        self.sigma = np.sqrt(np.diag(self.covariance))
        scaled = self.covariance / np.outer(self.sigma, self.sigma)
        if not np.linalg.det(scaled) > _SAME:
            raise FitError(
                f"{names[0]} and {names[1]} follow from each other; choose two that do not"
            )
        self.correlation = float(scaled[0, 1])
        self.root = np.linalg.cholesky(self.covariance)
        # σ estimated from few points widens the region; its area is that of the wider covariance.
        self.stretch = float(np.sqrt(np.linalg.det(self.covariance) / np.linalg.det(plain)))
        self._plain_covariance = found.covariance
        self.better: FloatArray | None = None
        self.best = Walked(self.q, 0.0, x)

    # ---- coordinates ----

    def _carrier(self, name: str, scale: FloatArray) -> int | None:
        """Return the coordinate that a quantity is, or rides on where all others hardly move it.

        T_eff rides on n_th: to hold n_th is exact, also where it is zero.
        """
        own = [c.name for c in self.problem.coordinates]
        if name in own:
            return own.index(name)
        weight = np.abs(self.problem.gradient(name, self.x)) / scale
        weight = np.where(np.isfinite(weight), weight, np.inf)
        leading, derived = int(np.argmax(weight)), self.problem.derived(name)
        others = float(np.delete(weight, leading).sum())
        rides = derived is not None and own[leading] in derived.arguments
        return leading if rides and others <= _ALONE * weight[leading] else None

    def _through(self, k: int, value: float) -> float:
        """Return the SI value of a quantity whose carrier has a value."""
        derived = self.problem.derived(self.names[k])
        if derived is None:
            return value
        i = self.index[k]
        assert i is not None
        values = self.problem.values(self.x) | {self.problem.coordinates[i].name: value}
        with np.errstate(all="ignore"):
            return float(derived.function(**{a: values[a] for a in derived.arguments}))

    def _in_logarithm(self, k: int) -> bool:
        derived = self.problem.derived(self.names[k])
        if self.index[k] is not None or derived is None:
            return False
        return derived.scale == "log" and self.problem.quantity(self.names[k], self.x) > 0

    @property
    def logarithmic(self) -> tuple[bool, bool]:
        """Whether the coordinate of each quantity is the logarithm of its SI value."""
        flags = [
            self.logs[k] if i is None else self.problem.coordinates[i].log
            for k, i in enumerate(self.index)
        ]
        return flags[0], flags[1]

    def value(self, x: FloatArray) -> FloatArray:
        """Return the pair at a point."""
        return np.array([self._one(k, x) for k in (0, 1)])

    def _one(self, k: int, x: FloatArray) -> float:
        i = self.index[k]
        if i is not None:
            return float(x[i])
        found = self.problem.quantity(self.names[k], x)
        if not self.logs[k]:
            return found
        return float(np.log(found)) if found > 0 else -600.0

    def gradient(self, k: int, x: FloatArray) -> FloatArray:
        """Return the derivative of one of the pair by all coordinates."""
        i = self.index[k]
        if i is not None:
            return np.asarray(np.eye(x.size)[i])
        slope = self.problem.gradient(self.names[k], x)
        return slope / self.problem.quantity(self.names[k], x) if self.logs[k] else slope

    def to_si(self, q: FloatArray) -> tuple[float, float]:
        """Return the pair in SI; a bound is the bound itself."""
        out = []
        for k, i in enumerate(self.index):
            if i is None:
                out.append(float(np.exp(q[k])) if self.logs[k] else float(q[k]))
                continue
            c = self.problem.coordinates[i]
            low, high = self.bounds(k)
            value = c.low if q[k] <= low else c.high if q[k] >= high else c.to_si(float(q[k]))
            out.append(self._through(k, value))
        return out[0], out[1]

    def bounds(self, k: int) -> tuple[float, float]:
        """Return the bounds of one of the pair; a derived quantity has those of its carrier."""
        i = self.index[k]
        if i is None:
            return -np.inf, np.inf
        return float(self.problem.lower[i]), float(self.problem.upper[i])

    def flat(self, step: FloatArray) -> FloatArray:
        """Return a step in standard deviations, without correlation."""
        return np.asarray(np.linalg.solve(self.root, step))

    def far(self, k: int) -> float:
        """How far from the minimum counts for unbounded."""
        return FAR if self.logarithmic[k] else FAR_SIGMA * float(self.sigma[k])

    # ---- Δχ² ----

    def at(self, q: FloatArray, near: Walked, hold: tuple[int, ...] = (0, 1)) -> Walked:
        """Minimise with the pair (or one of it) held, starting from a known point nearby."""
        p = self.problem
        start = near.x + self._along(hold) @ (q - near.q)[list(hold)]
        start = np.clip(start, p.lower, p.upper)
        held = np.zeros(start.size, dtype=bool)
        for k in hold:
            i = self.index[k]
            if i is not None:
                start[i], held[i] = q[k], True
        soft = [k for k in hold if self.index[k] is None]
        found = self._plain(start, held) if not soft else self._stiff(start, held, q, soft)
        r = p.residual(found)
        chi2 = float(r @ r)
        if chi2 < self.chi2 - 1e-3:
            self.better = found
        rise = max(chi2 - self.chi2, 0.0) / self.stretch
        reached = self.value(found)
        # A pair that no admissible point reaches counts as infinitely unlikely.
        missed = any(abs(reached[k] - q[k]) > 1e-2 * self.sigma[k] for k in hold)
        impossible = missed or not np.isfinite(rise)
        there = np.array([q[k] if k in hold else reached[k] for k in (0, 1)])
        return Walked(there, float("inf") if impossible else rise, found)

    def _along(self, hold: tuple[int, ...]) -> FloatArray:
        """How the minimum moves per unit of what is held: C·Gᵀ·(G·C·Gᵀ)⁻¹."""
        gradient = self._gradient[list(hold)]
        moved = self._plain_covariance @ gradient.T
        return np.asarray(moved @ np.linalg.inv(gradient @ moved))

    def _plain(self, start: FloatArray, held: NDArray[np.bool_]) -> FloatArray:
        return search_held(self.problem, start, held).x

    def _stiff(
        self, start: FloatArray, held: NDArray[np.bool_], q: FloatArray, soft: list[int]
    ) -> FloatArray:
        """Hold derived quantities by rows beside which all else is soft."""
        p, stiff = self.problem, [_STIFF / float(self.sigma[k]) for k in soft]

        def rows(x: FloatArray) -> FloatArray:
            gaps = [s * (self._one(k, x) - q[k]) for k, s in zip(soft, stiff, strict=True)]
            return np.append(p.residual(x), gaps)

        def slopes(x: FloatArray) -> FloatArray:
            more = [s * self.gradient(k, x) for k, s in zip(soft, stiff, strict=True)]
            return np.vstack([p.jacobian(x), *more])

        return minimise(
            rows,
            slopes,
            start,
            p.lower,
            p.upper,
            held,
            iterations=60,
            tolerance=1e-9,
            damping=1e-12,
        ).x


def near_to(pair: Pair, q: FloatArray, starts: Iterable[Walked]) -> Walked:
    """Return Δχ² at a pair inside the bounds, the least that is found from several starts."""
    low, high = np.array([pair.bounds(k) for k in (0, 1)]).T
    inside = np.clip(q, low, high)
    return min((pair.at(inside, s) for s in starts), key=lambda w: w.rise)


def walk(
    pair: Pair,
    origin: Walked,
    direction: FloatArray,
    step: float,
    rise: float,
    hold: tuple[int, ...] = (0, 1),
) -> Walked:
    """Walk from a point inside the region until Δχ² reaches a level, a bound, or very far.

    Parameters
    ----------
    origin : Walked
        Where Δχ² is below the level.
    direction : ndarray, shape (2,)
        In the pair's coordinates.
    step : float
        First guess of the distance, in units of ``direction``.
    rise : float
        The level.
    hold : tuple of int
        Which of the pair is held; one alone is walked along the floor of the valley.
    """
    room, axis = _room(pair, origin.q, direction)
    if room <= 0:
        return Walked(origin.q, origin.rise, origin.x, "bound", axis)
    near, t_near, t = origin, 0.0, min(step, room)
    for _ in range(60):
        here = pair.at(_moved(pair, origin.q, direction, t, t >= room, axis), near, hold)
        if here.rise > rise:
            return _crossing(pair, origin.q, direction, (t_near, near), (t, here), rise, hold)
        if t >= room:
            return Walked(here.q, here.rise, here.x, "bound", axis)
        if any(abs(here.q[k] - pair.q[k]) > pair.far(k) for k in hold):
            return Walked(here.q, here.rise, here.x, "unbounded")
        growth = 1.02 * np.sqrt(rise / max(here.rise, 1e-6 * rise))
        near, t_near, t = here, t, min(t * float(np.clip(growth, 1.1, 3.0)), room)
    return Walked(near.q, near.rise, near.x, "unbounded")


def _room(pair: Pair, q: FloatArray, direction: FloatArray) -> tuple[float, int | None]:
    """Return how far a ray may go, and the quantity whose bound stops it."""
    best: tuple[float, int | None] = (np.inf, None)
    for k in (0, 1):
        low, high = pair.bounds(k)
        if direction[k] != 0:
            end = high if direction[k] > 0 else low
            room = (end - q[k]) / direction[k]
            if room < best[0]:
                best = (float(room), k)
    return best


def _moved(
    pair: Pair, q: FloatArray, direction: FloatArray, t: float, at_end: bool, axis: int | None
) -> FloatArray:
    moved = q + t * direction
    if at_end and axis is not None:  # on a bound means exactly on it
        moved[axis] = pair.bounds(axis)[1 if direction[axis] > 0 else 0]
    return np.asarray(moved)


def _crossing(
    pair: Pair,
    q: FloatArray,
    direction: FloatArray,
    near: tuple[float, Walked],
    far: tuple[float, Walked],
    rise: float,
    hold: tuple[int, ...],
) -> Walked:
    """Find where Δχ² passes the level between two points (its root is nearly straight)."""
    here = far[1]
    for count in range(40):
        a, b = np.sqrt(near[1].rise), np.sqrt(far[1].rise)
        share = (np.sqrt(rise) - a) / (b - a) if np.isfinite(b) else 0.5
        if count > 2 and count % 2:  # a kink where a bound sets in defeats the secant: halve
            share = 0.5
        share = float(np.clip(share, 0.02, 0.98))
        t = near[0] + share * (far[0] - near[0])
        here = pair.at(q + t * direction, near[1], hold)
        if abs(here.rise - rise) < _CLOSE * rise:
            return here
        near, far = ((t, here), far) if here.rise <= rise else (near, (t, here))
        if abs(far[0] - near[0]) < 1e-7 * abs(t):
            break
    # What no admissible point reaches ends the region as a bound does.
    last = near[1]
    edge = not np.isfinite(far[1].rise)
    return Walked(last.q, last.rise, last.x, "bound" if edge else "closed")
