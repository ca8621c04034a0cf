"""Many deterministic starts, and every minimum of χ² that they lead to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from powercal.fitting.identifiability import analyse
from powercal.fitting.levenberg import Minimum
from powercal.fitting.problem import Problem
from powercal.fitting.solve import search
from powercal.result import FitResult, Flag, OtherMinimum

FloatArray = NDArray[np.float64]
AS_GOOD = 3.84  # Δχ² of a rival that 95 % confidence does not exclude
FAR_STARTS = 16  # a power of two: that many Sobol points are even
DEAR = 4000  # rows; with more, or with errors that are marginalised, a quarter of that must do
_SAME = 0.1  # standard errors within which two minima are one
_ITERATIONS = 25


@dataclass(frozen=True)
class Explored:
    """Where the starts led.

    Attributes
    ----------
    found : tuple of Minimum
        One per distinct minimum, the best first.
    starts : tuple of int
        How many starts led to each.
    guess : int or None
        Which of them the model's own guess led to; None: to none of them, or it was not tried.
    """

    found: tuple[Minimum, ...]
    starts: tuple[int, ...]
    guess: int | None = None


def explore(
    problem: Problem, x: FloatArray, chi2: float, further: Sequence[FloatArray] = ()
) -> Explored:
    """Search from the model's guesses and from points far away; list every distinct minimum.

    Parameters
    ----------
    problem, x, chi2 : Problem, ndarray, float
        The problem with its final σ, and the best minimum so far.
    further : sequence of ndarray
        Starts to try beside the far ones: the model's guess, then its guesses at other lines.

    Returns
    -------
    Explored
        Every distinct minimum, and from how many of the starts it was reached.
    """
    dear = problem.data.size > DEAR or problem.modes is not None
    begun = (*further, *far_starts(problem, x, FAR_STARTS // (4 if dear else 1)))
    of_model = len(further[:1])  # where its guess leads is worth knowing, however slowly
    tried = [_searched(problem, s, chi2, i < of_model) for i, s in enumerate(begun)]
    own = Minimum(x, chi2, True, 0)
    every = [own, *(t for t in tried if t is not None and _has_slopes(problem, t.x))]
    known: list[_Known] = []
    of_guess = None
    for minimum in sorted(every, key=lambda m: m.chi2):
        place = next((i for i, k in enumerate(known) if k.is_same(problem, minimum)), len(known))
        if place == len(known):
            known.append(_Known(problem, minimum))
        known[place].starts += minimum is not own
        of_guess = place if further and minimum is tried[0] else of_guess
    counts = tuple(max(k.starts, 1) for k in known)  # one start did lead to the best so far
    return Explored(tuple(k.minimum for k in known), counts, of_guess)


def _has_slopes(problem: Problem, x: FloatArray) -> bool:
    """Whether the curve is still a number there: a search may run off to where it overflows."""
    with np.errstate(all="ignore"):
        return bool(np.isfinite(problem.jacobian(x)).all())


def _searched(
    problem: Problem, start: FloatArray, chi2: float, patient: bool = False
) -> Minimum | None:
    """Search; only where it ends as low as the best so far is it given all the time it needs."""
    found = search(problem, start, iterations=_ITERATIONS)
    if found.converged and np.isfinite(found.chi2):
        return found
    if found.chi2 <= chi2 + AS_GOOD:
        return search(problem, found.x)
    longer = search(problem, found.x) if patient else found
    return longer if longer.converged and np.isfinite(longer.chi2) else None


class _Known:
    """A minimum with what is needed to know it again."""

    def __init__(self, problem: Problem, minimum: Minimum) -> None:
        self.minimum, self.starts = minimum, 0
        with np.errstate(all="ignore"):  # far out a curve may come near the end of all numbers
            self.residual = problem.residual(minimum.x)
            found = analyse(problem.jacobian(minimum.x))
        eye = np.eye(minimum.x.size)
        self.fixed = np.array([found.determines(row) for row in eye], dtype=bool)
        self.error = np.sqrt(np.maximum(np.diag(found.covariance), 0.0))

    def is_same(self, problem: Problem, other: Minimum) -> bool:
        """Whether the other lies here, or along the same flat valley.

        Along a valley the curve does not change, nor does any parameter that the data determine;
        a twin has the same curve too, but it has moved what would be determined.
        """
        if other.chi2 - self.minimum.chi2 > _SAME**2 * (1 + 1e-3 * self.minimum.chi2):
            return False
        with np.errstate(all="ignore"):
            apart = float(np.linalg.norm(problem.residual(other.x) - self.residual))
        if not apart <= 3 * _SAME:
            return False
        gap = np.abs(other.x - self.minimum.x)[self.fixed]
        return bool(np.all(gap <= _SAME * self.error[self.fixed] + 1e-9))


# ---- starts ----


def far_starts(problem: Problem, x: FloatArray, count: int) -> list[FloatArray]:
    """Return points that lie factors away, spread evenly without any chance.

    All of them are searched from: those of many that fit best at once crowd round the minimum that
    is known, and lead to half as many others.
    """
    return [_far_point(problem, x, row) for row in even_normal(count, x.size)]


def even_normal(count: int, dimensions: int) -> FloatArray:
    """Return points of the standard normal distribution, as even as a Sobol sequence is.

    Parameters
    ----------
    count : int
        A power of two.
    dimensions : int
        Of the space.

    Returns
    -------
    ndarray, shape (count, dimensions)
        The same at every call.
    """
    from scipy.special import ndtri
    from scipy.stats import qmc

    cube = qmc.Sobol(dimensions, scramble=False).random(count)
    return np.asarray(ndtri(cube + 0.5 / count))  # the first point is the corner of the cube


def _far_point(problem: Problem, x: FloatArray, draw: FloatArray) -> FloatArray:
    """Move a point: rates and occupations by factors of e, the line by 8 dB."""
    point = x.copy()
    for i, c in enumerate(problem.coordinates):
        value, far = c.to_si(float(x[i])), 1.2 * float(draw[i])
        if c.log:
            # At least half a factor e away: what lies nearer is the same valley.
            point[i] += np.sign(far) * max(abs(far), 0.5)
        elif c.name.endswith("_db"):
            point[i] = c.from_si(value + 8.0 * far)
        elif c.low == 0.0:
            point[i] = c.from_si(max(value, 10 * c.scale) * np.exp(far))
        else:
            point[i] += 2.0 * far
    return np.clip(point, problem.lower, problem.upper)


# ---- what a result says of it ----


def minima_of(problem: Problem, explored: Explored) -> tuple[OtherMinimum, ...]:
    """Return the minima as plain data, the best first."""
    return tuple(
        OtherMinimum(chi2=float(m.chi2), values=problem.values(m.x), starts=count)
        for m, count in zip(explored.found, explored.starts, strict=True)
    )


def minima_flag(result: FitResult, guess: int | None) -> tuple[Flag, ...]:
    """Say it where starts disagree: a rival that is hardly excluded, or a guess gone astray."""
    if not result.minima:
        return ()
    best, *others = result.minima
    noise = max(result.reduced_chi2, 1.0) if np.isfinite(result.reduced_chi2) else 1.0
    out = []
    near = [m for m in others if m.chi2 - best.chi2 <= AS_GOOD * noise]
    if near:
        out.append(
            f"the starts led to {len(result.minima)} minima, and {len(near)} beside the best "
            f"{'is' if len(near) == 1 else 'are'} worse by Δχ² {near[0].chi2 - best.chi2:.2g} "
            f"only: which one is true the data do not say"
        )
    if guess:
        worse = result.minima[guess].chi2 - best.chi2
        out.append(
            f"the model's own guess leads to a minimum worse by Δχ² {worse:.3g}; the best was "
            f"reached from {best.starts} of {sum(m.starts for m in result.minima)} starts"
        )
    return tuple(Flag(name="minima", sentence=sentence) for sentence in out)
