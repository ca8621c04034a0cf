"""The fits in hand: their data, weights and what does not depend on coordinates, slot by slot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.fitting.batch.expression import Signal
from powercal.fitting.batch.problem import BatchProblem
from powercal.fitting.batch.products import inner
from powercal.tracing.graph import FULL, SHARED, Node, in_order
from powercal.tracing.program import Tiles, Values

FloatArray = NDArray[np.float64]


class Loaded:
    """Data in slots.

    Parameters
    ----------
    problem : BatchProblem
        Where fits come from.
    signals : sequence of Signal
        The real rows of its data.
    roots : sequence of Node
        What will be evaluated: what of it is the same at every trial is kept here.
    slots : int
        How many fits are held.

    Attributes
    ----------
    once : list of Node
        Arrays that are handed to the evaluation: inputs, and what rests on inputs alone.
    count, size : ndarray
        Number of data and their weighted sum of squares, per slot.
    """

    def __init__(
        self, problem: BatchProblem, signals: Sequence[Signal], roots: Sequence[Node], slots: int
    ) -> None:
        self._problem, self._signals, self._slots = problem, signals, slots
        self.once = _computed_once(roots)
        self._full = [n for n in self.once if n.level == FULL]
        self._own = _inputs_of(self._full)
        self._program = Tiles(self._full, self._own)
        rows = [0 if s.within else slots for s in signals]
        self._data = [np.empty((n, problem.points)) for n in rows]
        self._kept = {n.index: np.empty((slots, problem.points)) for n in self._full}
        held = problem.named()
        self._plain = {n: v for n, v in held.items() if np.ndim(v) == 0}
        self._source = {n: np.asarray(v) for n, v in held.items() if np.ndim(v)}
        self._fixed = {n: np.empty(slots) for n in self._source}
        self._weights = [_weights_of(problem, s, slots) for s in signals]
        self._masks: list[FloatArray | None] = [None] * len(signals)
        self._gaps = np.zeros((len(signals), slots), dtype=bool)
        self.count, self.size = np.zeros(slots), np.zeros(slots)
        self._shared = self._shared_arrays()

    # ---- what is held ----

    def _shared_arrays(self) -> dict[int, FloatArray]:
        nodes = [n for n in self.once if n.level == SHARED]
        known: dict[str, Any] = self._plain | {
            f"a:{n}": v for n, v in self._problem.inputs.items() if v.shape[0] == 1
        }
        return {n.index: v for n, v in zip(nodes, Values(nodes)(known), strict=True)}

    def given(self) -> Iterator[tuple[Node, FloatArray]]:
        """Yield every array that is handed over, whole."""
        for node in self.once:
            yield node, (self._kept if node.level == FULL else self._shared)[node.index]

    def numbers(self, count: int) -> Mapping[str, Any]:
        """Return what is one number per fit and held, by name, for the first slots."""
        return self._plain | {n: v[:count] for n, v in self._fixed.items()}

    def data(self, signal: int, rows: slice) -> FloatArray:
        """Return the data of some slots, zero where nothing was measured."""
        return self._data[signal][rows]

    def squares(self, signal: int, count: int) -> Any:
        """Return 1/σ² of the first slots, where σ is one number per fit (else 1)."""
        weight = self._weights[signal]
        return weight[:count, 0] ** 2 if weight is not None and weight.shape[1] == 1 else 1.0

    def weigh(
        self,
        signal: int,
        rows: slice,
        arrays: Sequence[FloatArray],
        spare: Sequence[FloatArray],
    ) -> Sequence[FloatArray]:
        """Return the arrays with 1/σ per point, and nothing where nothing was measured."""
        weight, mask = self._weights[signal], self._masks[signal]
        if weight is not None and weight.shape[1] > 1:
            own = weight if weight.shape[0] == 1 else weight[rows]
            for a, out in zip(arrays, spare, strict=True):
                np.multiply(a, own, out=out)
            arrays = spare
        gaps = np.flatnonzero(self._gaps[signal, rows])
        if gaps.size and mask is not None:
            keep = mask[rows][gaps]
            for a, out in zip(arrays, spare, strict=True):
                if a is not out:
                    out[...] = a
                out[gaps] *= keep
            arrays = spare
        return arrays

    # ---- in and out ----

    def load(self, slots: NDArray[np.intp], rows: slice) -> None:
        """Put fits into slots."""
        usable = self._load_inputs(slots, rows)
        self.count[slots] = 0.0
        self.size[slots] = 0.0
        for k, signal in enumerate(self._signals):
            self._load_signal(k, signal, slots, rows, usable)

    def _load_inputs(self, slots: NDArray[np.intp], rows: slice) -> NDArray[np.bool_] | None:
        """Keep what rests on inputs alone; return where they are finite, if not everywhere."""
        for name, kept in self._fixed.items():
            kept[slots] = self._source[name][rows]
        usable: NDArray[np.bool_] | None = None
        given: list[Any] = []
        for node in self._program.given:
            array = _rows(self._problem, node.name, rows)
            if node.name.startswith("d:"):
                array = np.where(np.isfinite(array), array, 0.0)
            elif node.level == FULL and not np.isfinite(array.sum()):
                good = np.isfinite(array)
                usable = good if usable is None else usable & good
                array = np.where(good, array, _typical(array))
            given.append(array)
        shape = (slots.size, self._problem.points)
        outputs = [np.empty(shape) for _ in self._full]
        scratch = [np.empty(shape) for _ in range(self._program.scratch)]
        with np.errstate(all="ignore"):
            found = self._program.run(given, outputs, scratch)
        for node, values in zip(self._full, found, strict=True):
            self._kept[node.index][slots] = values
        return usable

    def _load_signal(
        self,
        k: int,
        signal: Signal,
        slots: NDArray[np.intp],
        rows: slice,
        usable: NDArray[np.bool_] | None,
    ) -> None:
        observed = self._problem.observed[signal.observed]
        values = observed.data[rows]
        part = (
            values if not np.iscomplexobj(values) else (values.imag, values.real)[not signal.part]
        )
        own = self._weights[k]
        if own is not None and _sigma(observed.sigma).shape[0] > 1:
            own[slots] = 1.0 / _sigma(observed.sigma)[rows]
        gaps = ~np.isfinite(np.add.reduce(values, axis=1))
        if usable is not None:
            gaps |= ~usable.all(axis=1)
        count = np.full(slots.size, float(self._problem.points))
        self._gaps[k, slots] = gaps
        mine = np.array(part)
        if gaps.any():
            keep = self._load_gaps(k, slots[gaps], values[gaps], usable, gaps)
            mine[gaps] = np.where(keep, mine[gaps], 0.0)
            count[gaps] = keep.sum(axis=1)
        if not signal.within:
            self._data[k][slots] = mine
        self.count[slots] += count
        if own is not None and own.shape[1] > 1:
            mine = mine * (own if own.shape[0] == 1 else own[slots])
        size = inner(mine, mine)
        if own is not None and own.shape[1] == 1:
            size = size * own[slots, 0] ** 2
        self.size[slots] += size

    def _load_gaps(
        self,
        k: int,
        slots: NDArray[np.intp],
        values: NDArray[Any],
        usable: NDArray[np.bool_] | None,
        gaps: NDArray[np.bool_],
    ) -> NDArray[np.bool_]:
        """Mask what was not measured; return what was."""
        keep: NDArray[np.bool_] = np.isfinite(values)
        if usable is not None:
            keep = keep & usable[gaps]
        if self._masks[k] is None:
            self._masks[k] = np.ones((self._slots, self._problem.points))
        mask = self._masks[k]
        assert mask is not None
        mask[slots] = keep
        return keep

    def move(self, target: NDArray[np.intp], source: NDArray[np.intp]) -> None:
        """Move fits between slots."""
        arrays = [*self._data, *self._kept.values(), *self._fixed.values(), self.count, self.size]
        arrays += [m for m in self._masks if m is not None]
        arrays += [w for w in self._weights if w is not None and w.shape[0] > 1]
        for array in arrays:
            if array.size:
                array[target] = array[source]
        self._gaps[:, target] = self._gaps[:, source]


def _computed_once(roots: Sequence[Node]) -> list[Node]:
    """Return the largest parts of expressions that no coordinate moves."""
    once: dict[int, Node] = {}
    for node in in_order(roots):
        for a in node.args if node.varies and not node.cheap else ():
            if not a.varies and not a.cheap:
                once[a.index] = a
    once |= {n.index: n for n in roots if not n.varies and not n.cheap}
    return list(once.values())


def _inputs_of(nodes: Sequence[Node]) -> list[Node]:
    """Return the inputs below some nodes."""
    return [n for n in in_order(nodes) if not n.args and n.kind != "constant"]


def _rows(problem: BatchProblem, name: str, rows: slice) -> Any:
    """Return an input by its node's name, for some fits."""
    kind, own = name.split(":", 1)
    if kind == "p":
        held = problem.fixed[own]
        return held if np.ndim(held) == 0 else np.asarray(held)[rows, None]
    if kind == "d":
        k, part = own.split(":")
        data = problem.observed[int(k)].data[rows]
        return data.imag if part == "1" else data.real
    array = problem.inputs[own]
    return array if array.shape[0] == 1 else array[rows]


def _typical(array: FloatArray) -> float:
    """Return a finite value to stand where an input has none; its data do not count."""
    finite = array[np.isfinite(array)]
    return float(finite.flat[0]) if finite.size else 1.0


def _sigma(sigma: FloatArray | None) -> FloatArray:
    assert sigma is not None
    return sigma


def _weights_of(problem: BatchProblem, signal: Signal, slots: int) -> FloatArray | None:
    """Return room for 1/σ: none, one number per slot, one axis for all, or all points."""
    sigma = problem.observed[signal.observed].sigma
    if sigma is None:
        return None
    if sigma.shape[0] == 1 and sigma.shape[1] > 1:
        return np.asarray(1.0 / sigma)
    if sigma.shape[0] == 1:
        return np.full((slots, 1), 1.0 / float(sigma[0, 0]))
    return np.empty((slots, sigma.shape[1]))
