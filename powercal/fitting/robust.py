"""A fit that outliers hardly move, beside the least squares: same problem, other weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from powercal.errors import unknown_name
from powercal.fitting.identifiability import analyse
from powercal.fitting.pieces import Block
from powercal.fitting.problem import Problem
from powercal.fitting.solve import search, shifts_between
from powercal.result import Estimate, Flag, Shift
from powercal.text.doubt import ROBUST_ERROR

FloatArray = NDArray[np.float64]
_ROUNDS = 60
_STILL = 1e-4  # of a standard error, and of σ
_NORMAL_MAD = {1: 0.674489750196082, 2: 1.177410022515475}  # median of |u| for unit σ


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss by its weight w(u) = ρ'(u)/u and the slope of its score ψ(u) = u·w(u).

    ``reach`` is the distance in σ where the weight turns, one number for real and one for complex
    residuals (their modulus), chosen so that clean Gaussian data lose 5 % of their information;
    ``scatter`` is E[w u²] per quadrature of such data, which makes σ the same as that of least
    squares (P. J. Huber, Robust Statistics, 1981, sections 4.5 and 6.7: proposal 2).
    """

    weight: Callable[[FloatArray], FloatArray]
    slope: Callable[[FloatArray], FloatArray]
    reach: dict[int, float]
    scatter: dict[int, float]


LOSSES = {
    "soft_l1": Loss(
        weight=lambda z: np.asarray(1 / np.sqrt(1 + z**2)),
        slope=lambda z: np.asarray((1 + z**2) ** -1.5),
        reach={1: 1.2871, 2: 1.3094},
        scatter={1: 0.6500790, 2: 0.5941894},
    ),
    "huber": Loss(
        weight=lambda z: np.asarray(1 / np.maximum(z, 1.0)),
        slope=lambda z: np.asarray(z <= 1.0, dtype=float),
        reach={1: 1.3450, 2: 1.5011},
        scatter={1: 0.8213740, 2: 0.8013163},
    ),
    "cauchy": Loss(
        weight=lambda z: np.asarray(1 / (1 + z**2)),
        slope=lambda z: np.asarray((1 - z**2) / (1 + z**2) ** 2),
        reach={1: 2.3849, 2: 2.5486},
        scatter={1: 0.6973845, 2: 0.6574653},
    ),
}
ROBUST = ("none", *LOSSES)


@dataclass(frozen=True, slots=True)
class RobustFit:
    """Where the robust fit ended, and the covariance there by the sandwich formula."""

    problem: Problem
    x: FloatArray
    covariance: FloatArray
    rounds: int


def known_loss(name: str) -> str:
    """Return the name of a loss, or say which there are.

    Raises
    ------
    UnknownNameError
        There is no such loss.
    """
    if name not in ROBUST:
        raise unknown_name("robust loss", name, ROBUST)
    return name


def fit_robustly(problem: Problem, x: FloatArray, name: str) -> RobustFit:
    """Minimise a loss instead of squares, by least squares with weights that follow the residuals.

    Parameters
    ----------
    problem, x : Problem, ndarray
        The problem with its final σ, and its least-squares minimum (solver coordinates).
    name : {"soft_l1", "huber", "cauchy"}
        The loss. σ that was given stays; σ from residuals is found again, so that spikes do not
        widen it.

    Returns
    -------
    RobustFit
        Point and covariance in solver coordinates.
    """
    loss, start, rounds, moving = LOSSES[name], problem, 0, True
    current, x = problem.with_sigma(_first_sigma(problem, x), problem.modes), x.copy()
    while moving and rounds < _ROUNDS:
        rounds += 1
        weights = _weights(current, x, loss)
        sigma = _sigma(current, x, weights, loss)
        changes = (
            np.max(np.abs(s / b.sigma - 1)) for s, b in zip(sigma, current.blocks, strict=True)
        )
        current = start.with_sigma(sigma, start.modes)
        weights = _weights(current, x, loss)
        found = search(_weighted(current, weights), x, iterations=30)
        curvature = np.linalg.norm(current.jacobian(found.x), axis=0)
        moved = float(np.max(np.abs(found.x - x) * curvature, initial=0.0))
        moving = moved > _STILL or max(changes) > _STILL
        x = found.x
    return RobustFit(current, x, _sandwich(current, x, loss), rounds)


def _quadratures(block: Block) -> int:
    return 2 if block.complex else 1


def _unexplained(problem: Problem, x: FloatArray) -> list[FloatArray]:
    """Return per block residuals over σ, shape (quadratures, points), less common errors."""
    raw = problem.rows(x) - problem.data
    if problem.modes is not None and problem.modes.shape[1]:
        raw = raw - problem.modes @ problem.common_amplitudes(raw)
    out, offset = [], 0
    for block in problem.blocks:
        part = raw[offset : offset + block.size].reshape(_quadratures(block), -1)
        out.append(part / block.sigma)
        offset += block.size
    return out


def _distances(problem: Problem, x: FloatArray, loss: Loss) -> list[FloatArray]:
    """Return how far each point lies from the curve, in units of the loss's reach."""
    return [
        np.linalg.norm(u, axis=0) / loss.reach[_quadratures(b)]
        for u, b in zip(_unexplained(problem, x), problem.blocks, strict=True)
    ]


def _weights(problem: Problem, x: FloatArray, loss: Loss) -> list[FloatArray]:
    return [loss.weight(z) for z in _distances(problem, x, loss)]


def _weighted(problem: Problem, weights: list[FloatArray]) -> Problem:
    """A weight is a larger σ: priors and common errors keep theirs."""
    sigmas = (b.sigma / np.sqrt(w) for b, w in zip(problem.blocks, weights, strict=True))
    return problem.with_sigma(tuple(sigmas), problem.modes)


def _first_sigma(problem: Problem, x: FloatArray) -> tuple[FloatArray, ...]:
    """Scale σ from residuals by the median deviation of each trace, which spikes do not move."""
    out = []
    for block, u in zip(problem.blocks, _unexplained(problem, x), strict=True):
        sigma, far = block.sigma.copy(), np.linalg.norm(u, axis=0)
        for member in () if block.given_sigma else np.unique(block.trace):
            mine = block.trace == member
            scale = float(np.median(far[mine])) / _NORMAL_MAD[_quadratures(block)]
            sigma[mine] *= scale if scale > 0 else 1.0
        out.append(sigma)
    return tuple(out)


def _sigma(
    problem: Problem, x: FloatArray, weights: list[FloatArray], loss: Loss
) -> tuple[FloatArray, ...]:
    """Find σ per trace where it comes from residuals: Σ w u² has the size that it should have."""
    left, out, offset = 1 - _leverage(problem, x), [], 0
    for block, u, w in zip(problem.blocks, _unexplained(problem, x), weights, strict=True):
        q, sigma = _quadratures(block), block.sigma.copy()
        room = left[offset : offset + block.size].reshape(q, -1).sum(axis=0)
        offset += block.size
        for member in () if block.given_sigma else np.unique(block.trace):
            mine = block.trace == member
            freedom = max(float(room[mine].sum()), 0.25)
            size = float(np.sum(w[mine] * np.sum(u[:, mine] ** 2, axis=0)))
            scale = np.sqrt(size / (loss.scatter[q] * freedom))
            sigma[mine] *= scale if scale > 0 else 1.0
        out.append(sigma)
    return tuple(out)


def _leverage(problem: Problem, x: FloatArray) -> FloatArray:
    rows, jacobian = problem.data.size, problem.jacobian(x)
    found = analyse(jacobian)
    used = np.einsum("ij,jk,ik->i", jacobian, found.covariance, jacobian)[:rows]
    if problem.common_basis is not None:
        used = used + np.sum(problem.common_basis[:rows] ** 2, axis=1)
    return np.asarray(np.clip(used, 0.0, 1.0))


def _sandwich(problem: Problem, x: FloatArray, loss: Loss) -> FloatArray:
    """Return A⁻¹BA⁻¹, A the mean curvature of the loss, B the scatter of the scores by point."""
    distances, slopes, scores = _distances(problem, x, loss), [], []
    for block, z, u in zip(problem.blocks, distances, _unexplained(problem, x), strict=True):
        q, weight = _quadratures(block), loss.weight(z)
        # ψ acts along the residual with its slope, across it with its weight.
        bend = float(np.mean((loss.slope(z) + (q - 1) * weight) / q))
        slopes.append(np.full(z.size, max(bend, 0.05)))
        scores.append(u * weight)
    jacobian = _weighted(problem, slopes).jacobian(x)
    inverse = analyse(jacobian).covariance
    spread, offset = np.zeros_like(inverse), 0
    for block, bent, score in zip(problem.blocks, slopes, scores, strict=True):
        rows = jacobian[offset : offset + block.size].reshape(_quadratures(block), -1, x.size)
        offset += block.size
        each = np.einsum("qnp,qn->np", rows, score / np.sqrt(bent))
        # The rows are whitened by σ/√bend: ψ/σ is the row times ψ/√bend.
        spread += each.T @ each
    rest = jacobian[offset:]  # priors and common errors keep their own variance
    freedom = max(problem.data.size - x.size, 1)
    spread = spread * problem.data.size / freedom + rest.T @ rest
    return np.asarray(inverse @ spread @ inverse)


# ---- beside the result ----


def robust_shift(problem: Problem, x: FloatArray, loss: str, names: tuple[str, ...]) -> Shift:
    """Return how estimates move with a robust loss, and the standard errors they then have."""
    found = fit_robustly(problem, x, loss)
    moved = shifts_between(problem, x, found.problem, found.x, names)
    errors = {}
    for name in names:
        gradient = problem.gradient(name, found.x)
        errors[f"{name}{ROBUST_ERROR}"] = float(np.sqrt(gradient @ found.covariance @ gradient))
    return Shift(
        name="robust", chosen="least squares", alternative=loss, shifts={**moved, **errors}
    )


def robust_flag(shift: Shift, estimates: tuple[Estimate, ...]) -> tuple[Flag, ...]:
    """Say which estimates the loss moves by more than a standard error."""
    known = {e.name: e for e in estimates if e.stderr}
    large = [
        f"{name} ({by / (known[name].stderr or 1.0):+.1f} σ)"
        for name, by in shift.shifts.items()
        if name in known and abs(by) > (known[name].stderr or np.inf)
    ]
    if not large:
        return ()
    return (
        Flag(
            name="robust",
            sentence=f"with the loss {shift.alternative} {', '.join(large)} would move by more "
            f"than a standard error: a few points carry the least squares (see systematics)",
        ),
    )
