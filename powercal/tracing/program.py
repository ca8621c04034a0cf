"""Expressions as lists of numpy calls that write into buffers they use again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.tracing.graph import UFUNCS, Node, in_order

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Call:
    """One numpy call: operands are cells; ``target`` is the cell, ``buffer`` what it fills."""

    ufunc: Callable[..., Any]
    operands: tuple[int, ...]
    target: int
    buffer: int  # ≥ 0: a scratch buffer; −1 − k: output k


class Values:
    """A program whose results are small (one number per trace, or one per shared point)."""

    def __init__(self, roots: Sequence[Node]) -> None:
        self._order = in_order(roots)
        self._roots = [n.index for n in roots]

    def __call__(self, known: Mapping[str, Any]) -> list[Any]:
        """Return the value of every root; ``known`` holds the inputs by name."""
        found: dict[int, Any] = {}
        with np.errstate(all="ignore"):  # a trial far off may overflow; it is rejected
            for node in self._order:
                found[node.index] = _value(node, found, known)
        return [found[i] for i in self._roots]


def _value(node: Node, found: Mapping[int, Any], known: Mapping[str, Any]) -> Any:
    if node.kind == "constant":
        return node.value
    if not node.args:
        return known[node.name]
    return UFUNCS[node.kind](*(found[a.index] for a in node.args))


class Tiles:
    """A program for all points of many traces, run on tiles that fit into the cache.

    Parameters
    ----------
    roots : sequence of Node
        What to compute, in the order of the outputs.
    given : iterable of Node
        Nodes whose values are handed over (inputs, one number per trace, what was computed once).
    """

    def __init__(self, roots: Sequence[Node], given: Iterable[Node]) -> None:
        self.given = list({n.index: n for n in given}.values())
        self._cells: dict[int, int] = {n.index: i for i, n in enumerate(self.given)}
        self._constants: list[tuple[int, float]] = []
        self._calls: list[_Call] = []
        self.scratch = 0
        self._roots: list[int] = []
        self._plan(roots)

    @property
    def passes(self) -> int:
        """Number of passes over all points."""
        return len(self._calls)

    def _plan(self, roots: Sequence[Node]) -> None:
        order = [n for n in self._needed(roots) if n.index not in self._cells]
        last = {a.index: t for t, n in enumerate(order) for a in n.args}
        output: dict[int, int] = {}
        for k, root in enumerate(roots):
            if root.index in output or root.index in self._cells or root.kind == "constant":
                continue
            output[root.index] = k
        free: list[int] = []
        owner: dict[int, int] = {}
        for t, node in enumerate(order):
            cell = self._cells[node.index] = len(self._cells)
            if node.kind == "constant":
                self._constants.append((cell, node.value))
                continue
            for a in {a.index for a in node.args}:
                if a in owner and last[a] == t:  # element by element: may be written over
                    free.append(owner.pop(a))
            if node.index in output:
                buffer = -1 - output[node.index]
            else:
                buffer = free.pop() if free else self.scratch
                self.scratch = max(self.scratch, buffer + 1)
                owner[node.index] = buffer
            operands = tuple(self._cells[a.index] for a in node.args)
            self._calls.append(_Call(UFUNCS[node.kind], operands, cell, buffer))
        self._roots = [self._cells[root.index] for root in roots]

    def _needed(self, roots: Sequence[Node]) -> list[Node]:
        """Return what must be computed: nothing below what is given."""
        wanted: set[int] = set()
        stack = list(roots)
        while stack:
            node = stack.pop()
            if node.index in wanted:
                continue
            wanted.add(node.index)
            if node.index not in self._cells:
                stack.extend(node.args)
        return [n for n in in_order(roots) if n.index in wanted]

    def run(
        self, given: Sequence[Any], outputs: Sequence[Array], scratch: Sequence[Array]
    ) -> list[Array]:
        """Compute one tile; arrays have the tile's shape or broadcast to it.

        Returns
        -------
        list of ndarray
            One per root: its output buffer, or what was handed over for it.
        """
        cells: list[Any] = [*given, *[None] * (len(self._cells) - len(given))]
        for cell, number in self._constants:
            cells[cell] = number
        for call in self._calls:
            out = scratch[call.buffer] if call.buffer >= 0 else outputs[-1 - call.buffer]
            call.ufunc(*(cells[i] for i in call.operands), out=out)
            cells[call.target] = out
        found = []
        for k, cell in enumerate(self._roots):
            value = cells[cell]
            if np.ndim(value) == 0 or value.shape[-1] != outputs[k].shape[-1]:
                outputs[k][...] = value
                value = outputs[k]
            found.append(value)
        return found
