"""χ², gradient and normal matrix of many fits at once, from the expressions of a curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from powercal.fitting.batch.expression import Expression, express
from powercal.fitting.batch.gram import basis_of
from powercal.fitting.batch.loaded import Loaded
from powercal.fitting.batch.problem import BatchProblem
from powercal.fitting.batch.products import inner
from powercal.tracing.graph import Node, in_order
from powercal.tracing.program import Tiles, Values

FloatArray = NDArray[np.float64]
TILE_POINTS = 32768  # so many points of about ten arrays stay in the cache


def tile_rows(points: int) -> int:
    """Return how many fits one pass takes."""
    return int(min(512, max(8, TILE_POINTS // points)))


def place(i: int, j: int) -> int:
    """Return where the element (i, j) of a packed symmetric matrix is."""
    return i * (i + 1) // 2 + j if i >= j else j * (j + 1) // 2 + i


class Evaluator(Protocol):
    """What a descent asks of a problem; fits live in slots that are filled again and again."""

    parameters: int

    def load(self, slots: NDArray[np.intp], rows: slice) -> None:
        """Put fits into slots."""

    def move(self, target: NDArray[np.intp], source: NDArray[np.intp]) -> None:
        """Move fits between slots."""

    def counts(self) -> tuple[FloatArray, FloatArray]:
        """Return the number of data and their weighted square of every slot."""

    def normal(self, trial: FloatArray, matrix: FloatArray, slope: FloatArray) -> FloatArray:
        """Fill packed JᵀJ and Jᵀr of the first slots at trial points, and return χ²."""


class GramEvaluator:
    """The evaluator of traced curves: few passes over the points, algebra per fit.

    Parameters
    ----------
    problem : BatchProblem
        The fits.
    slots : int
        How many of them are held at a time.

    Raises
    ------
    NotTraceableError
        The curve cannot be written down as one expression.
    """

    def __init__(
        self, problem: BatchProblem, slots: int, expression: Expression | None = None
    ) -> None:
        self.problem, self.parameters = problem, len(problem.axes)
        self._expression = expression or express(problem)
        signals = self._expression.signals
        graph = self._expression.graph
        self._bases = [basis_of(graph, s.value, s.slopes) for s in signals]
        roots = [n for b, s in zip(self._bases, signals, strict=True) for n in (*b.arrays, s.value)]
        self._loaded = Loaded(problem, signals, roots, slots)
        numbers = _numbers_used(roots)
        self._tiles = Tiles(roots, [*self._loaded.once, *numbers])
        self._arrays = {n.index: v for n, v in self._loaded.given()}
        shares = [u for b in self._bases for row in b.shares for _, u in row]
        self._of_prior = [n for r, s in self._expression.priors for n in (r, *s)]
        self._numbers = Values([*numbers, *shares, *self._of_prior])
        self._used = {n.index: i for i, n in enumerate(numbers)}
        self._shares_at = len(numbers)
        self._priors_at = len(numbers) + len(shares)
        self._rows = tile_rows(problem.points)
        size = (self._rows, problem.points)
        self._outputs = [np.empty(size) for _ in roots]
        self._scratch = [np.empty(size) for _ in range(self._tiles.scratch)]
        self._gram = [np.empty((b.products, slots)) for b in self._bases]

    def load(self, slots: NDArray[np.intp], rows: slice) -> None:
        """Put fits into slots."""
        self._loaded.load(slots, rows)

    def move(self, target: NDArray[np.intp], source: NDArray[np.intp]) -> None:
        """Move fits between slots."""
        self._loaded.move(target, source)

    def counts(self) -> tuple[FloatArray, FloatArray]:
        """Return the number of data and their weighted square of every slot."""
        return self._loaded.count, self._loaded.size

    def normal(self, trial: FloatArray, matrix: FloatArray, slope: FloatArray) -> FloatArray:
        """Fill packed JᵀJ and Jᵀr of the first slots at trial points, and return χ²."""
        count = trial.shape[1]
        numbers = self._numbers(self._known(trial, count))
        with np.errstate(all="ignore"):  # a trial far off may overflow; it is rejected
            for first in range(0, count, self._rows):
                self._tile(first, min(first + self._rows, count), numbers)
            return self._finish(count, numbers, matrix, slope)

    def _known(self, trial: FloatArray, count: int) -> Mapping[str, Any]:
        names = (f"x:{a.name}" for a in self.problem.axes)
        return {**self._loaded.numbers(count), **dict(zip(names, trial, strict=True))}

    def _tile(self, first: int, last: int, numbers: Sequence[Any]) -> None:
        """Evaluate the arrays of one tile and take their products."""
        rows = slice(first, last)
        given = []
        for node in self._tiles.given:
            array = self._arrays.get(node.index)
            if array is None:
                value = numbers[self._used[node.index]]
                given.append(value[rows, None] if np.ndim(value) else value)
            else:
                given.append(array if array.shape[0] == 1 else array[rows])
        outputs = [o[: last - first] for o in self._outputs]
        scratch = [s[: last - first] for s in self._scratch]
        found = self._tiles.run(given, outputs, scratch)
        _apart(found, outputs)
        at = 0
        for k, basis in enumerate(self._bases):
            q = len(basis.arrays)
            spare = outputs[at : at + q + 1]
            if not self._expression.signals[k].within:
                np.subtract(found[at + q], self._loaded.data(k, rows), out=spare[q])
            arrays = self._loaded.weigh(k, rows, [*found[at : at + q], spare[q]], spare)
            at += q + 1
            gram = self._gram[k]
            for i in range(q + 1):
                for j in range(i + 1):
                    inner(arrays[i], arrays[j], out=gram[place(i, j), rows])

    def _finish(
        self, count: int, numbers: Sequence[Any], matrix: FloatArray, slope: FloatArray
    ) -> FloatArray:
        """Turn products of arrays into those of derivatives: A = U G Uᵀ, signal by signal."""
        matrix[...], slope[...] = 0.0, 0.0
        chi2 = np.zeros(count)
        at = self._shares_at
        for k, basis in enumerate(self._bases):
            square = self._loaded.squares(k, count)
            shares = []
            for row in basis.shares:
                shares.append([(i, numbers[at + n]) for n, (i, _) in enumerate(row)])
                at += len(row)
            gram = self._gram[k][:, :count]
            _sandwich(gram, shares, len(basis.arrays), square, matrix, slope)
            chi2 += square * gram[-1]
        at = self._priors_at
        for _ in self._expression.priors:
            off, own = numbers[at], numbers[at + 1 : at + 1 + self.parameters]
            at += 1 + self.parameters
            _add_row(off, own, matrix, slope)
            chi2 += off * off
        return chi2


def _apart(found: list[FloatArray], outputs: Sequence[FloatArray]) -> None:
    """Give every root a buffer of its own: residuals and weights are written over it."""
    buffers = {id(o) for o in outputs}
    for i, (value, own) in enumerate(zip(found, outputs, strict=True)):
        if value is not own and id(value) in buffers:
            own[...] = value
            found[i] = own


def _sandwich(
    gram: FloatArray,
    shares: Sequence[Sequence[tuple[int, Any]]],
    q: int,
    square: Any,
    matrix: FloatArray,
    slope: FloatArray,
) -> None:
    for i, row in enumerate(shares):
        weighted = [(k, u * square) for k, u in row]
        half = [sum(u * gram[place(k, m)] for k, u in weighted) for m in range(q + 1)]
        if not row:
            continue
        slope[i] += half[q]
        for j in range(i + 1):
            for k, u in shares[j]:
                matrix[place(i, j)] += u * half[k]


def _add_row(off: Any, own: Sequence[Any], matrix: FloatArray, slope: FloatArray) -> None:
    """Add one datum with one residual and its derivatives to normal matrix and gradient."""
    for i, a in enumerate(own):
        if np.ndim(a) == 0 and a == 0.0:
            continue
        slope[i] += a * off
        for j in range(i + 1):
            matrix[place(i, j)] += a * own[j]


def _numbers_used(roots: Sequence[Node]) -> list[Node]:
    """Return the numbers per trace that arrays are made with."""
    used: dict[int, Node] = {}
    for node in in_order(roots):
        for a in node.args if not node.cheap else ():
            if a.cheap and a.kind != "constant":
                used[a.index] = a
    used |= {n.index: n for n in roots if n.cheap and n.kind != "constant"}
    return list(used.values())
