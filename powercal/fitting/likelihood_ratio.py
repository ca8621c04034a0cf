"""How likely a gain in χ² is by chance, also where what was added cannot go below zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import acos, pi

import numpy as np
from numpy.typing import NDArray

from powercal.fitting.identifiability import FLAT
from powercal.fitting.problem import Problem

FloatArray = NDArray[np.float64]
_DRAWS = 4000  # of weights that no formula gives: a probability is then good to two per cent


@dataclass(frozen=True, slots=True)
class ChiBar:
    """A mixture of χ² distributions: ``weights[k]`` is the share with k degrees of freedom."""

    weights: tuple[float, ...]

    @property
    def rank(self) -> int:
        """How many directions of the data the addition opens."""
        return len(self.weights) - 1

    def probability(self, gain: float) -> float:
        """Return the probability of a gain in χ² at least as large when there is nothing to gain.

        Parameters
        ----------
        gain : float
            χ² of the poorer model less that of the richer, in units of the noise.
        """
        from scipy.special import chdtrc

        if gain <= 0:
            return 1.0
        return float(sum(w * chdtrc(k, gain) for k, w in enumerate(self.weights) if k and w))


def chi_bar(problem: Problem, lower: Mapping[str, float], nulls: Mapping[str, float]) -> ChiBar:
    """Return the distribution of the gain of a richer model over a poorer one that is true.

    Parameters
    ----------
    problem : Problem
        Of the richer model.
    lower : mapping
        The values of the poorer model (SI); they count as inside their bounds.
    nulls : mapping
        What was added, and the value at which it changes nothing. One that lies on a bound can go
        one way only: half of all gains are then exactly zero (H. Chernoff, Ann. Math. Stat. 25,
        573, 1954; S. G. Self and K.-Y. Liang, J. Am. Stat. Assoc. 82, 605, 1987).

    Returns
    -------
    ChiBar
        Degrees of freedom count directions of the data, not parameters: what only moves along a
        flat direction adds none.
    """
    x = problem.start_from({**lower, **nulls})
    jacobian = problem.jacobian(x)
    added = np.array([c.parameter in nulls for c in problem.coordinates], dtype=bool)
    sides = []
    for c in np.array(problem.coordinates, dtype=object)[added]:
        value = nulls[c.parameter]
        sides.append(1 if value <= c.low else -1 if value >= c.high else 0)
    return ChiBar(mixture(jacobian[:, ~added], jacobian[:, added], sides))


def mixture(base: FloatArray, added: FloatArray, sides: Sequence[int]) -> tuple[float, ...]:
    """Return the weights of the mixture for columns of a Jacobian.

    Parameters
    ----------
    base, added : ndarray, shape (rows, p), (rows, q)
        What the poorer model moves, and what is added.
    sides : sequence of int
        For each added column +1 (may only grow), −1 (may only shrink) or 0.
    """
    free = np.array([s == 0 for s in sides], dtype=bool)
    onto = _unit(base)
    open_ways = _beyond(added[:, free], onto)
    both = np.hstack([onto, _basis(open_ways)])
    signs = np.array([s for s in sides if s], dtype=float)
    bounded = _beyond(added[:, ~free], both) * signs
    plane = _basis(bounded)
    cone = plane.T @ bounded
    closed = (0.0,) * int(both.shape[1] - onto.shape[1])
    return (*closed, *_cone_weights(cone))


def _unit(columns: FloatArray) -> FloatArray:
    """Return an orthonormal basis of columns, each taken at unit size."""
    size = np.linalg.norm(columns, axis=0)
    return _basis(columns / np.where(size > 0, size, 1.0))


def _beyond(columns: FloatArray, basis: FloatArray) -> FloatArray:
    """Scale columns to unit size and take out what a basis explains of them."""
    size = np.linalg.norm(columns, axis=0)
    unit = columns / np.where(size > 0, size, 1.0)
    return np.asarray(unit - basis @ (basis.T @ unit))


def _basis(columns: FloatArray) -> FloatArray:
    if columns.shape[1] == 0:
        return np.zeros((columns.shape[0], 0))
    u, s, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(u[:, s > FLAT])


def _cone_weights(cone: FloatArray) -> tuple[float, ...]:
    """Return how often the nearest point of a cone lies on a face of 0, 1, 2, … dimensions.

    The columns of ``cone`` span it in a space of unit Gaussian noise; a quarter plane, for
    example, gives ¼, ½, ¼.
    """
    rank, count = cone.shape
    if rank == 0:
        return (1.0,)
    if rank == 1:
        return (0.5, 0.5) if np.ptp(np.sign(cone)) == 0 else (0.0, 1.0)
    if rank == count == 2:
        unit = cone / np.linalg.norm(cone, axis=0)
        share = acos(float(np.clip(unit[:, 0] @ unit[:, 1], -1, 1))) / (2 * pi)
        return (0.5 - share, 0.5, share)
    return _drawn_weights(cone)


def _drawn_weights(cone: FloatArray) -> tuple[float, ...]:
    from scipy.optimize import nnls

    generator = np.random.default_rng(0)
    counts = np.zeros(cone.shape[0] + 1)
    for draw in generator.standard_normal((_DRAWS, cone.shape[0])):
        used = nnls(cone, draw)[0] > 0
        face = np.linalg.matrix_rank(cone[:, used]) if used.any() else 0
        counts[int(face)] += 1
    return tuple(float(c) for c in counts / _DRAWS)
