"""Expressions as a graph: equal ones are one node, and simple algebra is done at once."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Final

import numpy as np

# What a node costs: nothing, one number per trace, an axis that all traces share, all points.
CONSTANT: Final = 0
NUMBER: Final = 1
SHARED: Final = 2
FULL: Final = 3

UFUNCS: Final = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "negative": np.negative,
    "power": np.power,
    "sqrt": np.sqrt,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "arctan": np.arctan,
}


class Node:
    """One operation, input or constant of a :class:`Graph`.

    Attributes
    ----------
    kind : str
        A name in ``UFUNCS``, or ``constant``, ``number`` (one per trace) or ``points``.
    level : int
        CONSTANT, NUMBER, SHARED or FULL.
    varies : bool
        Whether it depends on a coordinate of the fit; what does not is computed once.
    name, value : str, float
        Of inputs and constants.
    """

    __slots__ = ("args", "index", "kind", "level", "name", "value", "varies")

    def __init__(
        self,
        index: int,
        kind: str,
        args: tuple[Node, ...],
        level: int,
        varies: bool,
        name: str = "",
        value: float = 0.0,
    ) -> None:
        self.index, self.kind, self.args = index, kind, args
        self.level, self.varies, self.name, self.value = level, varies, name, value

    def equals(self, value: float) -> bool:
        """Whether this is the constant of that value."""
        return self.kind == "constant" and self.value == value

    @property
    def cheap(self) -> bool:
        """Whether it is at most one number per trace."""
        return self.level <= NUMBER


def _level_of(args: Iterable[Node]) -> int:
    levels = [a.level for a in args]
    highest = max(levels)
    # A shared axis with one number per trace makes one value per trace and point.
    return FULL if highest == SHARED and NUMBER in levels else highest


class Graph:
    """A table of nodes; the methods build expressions and simplify where it is free."""

    def __init__(self) -> None:
        self._table: dict[tuple[object, ...], Node] = {}
        self._count = 0

    def _node(self, kind: str, *args: Node) -> Node:
        key = (kind, *(a.index for a in args))
        found = self._table.get(key)
        if found is None:
            varies = any(a.varies for a in args)
            found = Node(self._count, kind, args, _level_of(args), varies)
            self._table[key] = found
            self._count += 1
        return found

    def _leaf(self, kind: str, name: str, value: float, level: int, varies: bool) -> Node:
        key = (kind, name, value, np.signbit(value))
        found = self._table.get(key)
        if found is None:
            found = Node(self._count, kind, (), level, varies, name, value)
            self._table[key] = found
            self._count += 1
        return found

    # ---- leaves ----

    def constant(self, value: float) -> Node:
        """Return the constant of this value."""
        return self._leaf("constant", "", float(value), CONSTANT, False)

    def number(self, name: str, varies: bool) -> Node:
        """Return an input that is one number per trace; ``varies``: a coordinate of the fit."""
        return self._leaf("number", name, 0.0, NUMBER, varies)

    def points(self, name: str, shared: bool) -> Node:
        """Return an input with one value per point, ``shared`` by all traces or not."""
        return self._leaf("points", name, 0.0, SHARED if shared else FULL, False)

    # ---- operations ----

    def add(self, a: Node, b: Node) -> Node:
        """Return a + b; terms that are one number per trace are gathered first."""
        if a.kind == b.kind == "constant":
            return self.constant(a.value + b.value)
        if a.equals(0) or b.equals(0):
            return b if a.equals(0) else a
        if a is b:
            return self.multiply(self.constant(2), a)
        if b.kind == "negative" and not (b.cheap and not a.cheap):
            return self.subtract(a, b.args[0])
        if a.kind == "negative" and not (a.cheap and not b.cheap):
            return self.subtract(b, a.args[0])
        a, b = sorted((a, b), key=lambda n: (n.level, n.index))
        if _lifted(b):
            return (
                self.add(self.add(a, b.args[0]), b.args[1])
                if a.cheap
                else self.add(b.args[0], self.add(a, b.args[1]))
            )
        if not a.cheap and _lifted(a):
            return self.add(a.args[0], self.add(a.args[1], b))
        return self._node("add", a, b)

    def subtract(self, a: Node, b: Node) -> Node:
        """Return a − b."""
        if a.kind == b.kind == "constant":
            return self.constant(a.value - b.value)
        if b.equals(0):
            return a
        if a.equals(0):
            return self.negative(b)
        if a is b:
            return self.constant(0)
        if b.kind == "negative":
            return self.add(a, b.args[0])
        if b.cheap and not a.cheap:  # x − number is number + x: then numbers can be gathered
            return self.add(self.negative(b), a)
        return self._node("subtract", a, b)

    def negative(self, a: Node) -> Node:
        """Return −a."""
        if a.kind == "constant":
            return self.constant(-a.value)
        if a.kind == "negative":
            return a.args[0]
        if a.kind == "multiply" and a.args[0].kind == "constant":
            return self.multiply(self.constant(-a.args[0].value), a.args[1])
        return self._node("negative", a)

    def multiply(self, a: Node, b: Node) -> Node:
        """Return a·b; factors that are one number per trace go to the left: they cost less."""
        if a.kind == b.kind == "constant":
            return self.constant(a.value * b.value)
        a, b = sorted((a, b), key=lambda n: (n.level, n.index))
        for one, other in ((a, b), (b, a)):
            if one.equals(0):
                return one
            if one.equals(1):
                return other
            if one.equals(-1):
                return self.negative(other)
            if one.kind == "negative":
                return self.negative(self.multiply(one.args[0], other))
        if a.cheap and not b.cheap and _scaled(b):
            return self.multiply(self.multiply(a, b.args[0]), b.args[1])
        if not a.cheap and _scaled(a):
            return self.multiply(a.args[0], self.multiply(a.args[1], b))
        if not a.cheap and _scaled(b):
            return self.multiply(b.args[0], self.multiply(a, b.args[1]))
        return self._node("multiply", a, b)

    def divide(self, a: Node, b: Node) -> Node:
        """Return a/b, likewise."""
        one = self.constant(1)
        if a.equals(0) or b.equals(1):
            return a
        if b.kind == "constant":
            with np.errstate(divide="ignore"):
                inverse = float(np.divide(1.0, b.value))
            return (
                self.multiply(self.constant(inverse), a)
                if abs(inverse) < inf
                else self._node("divide", a, b)
            )
        if a is b:
            return one
        if a.kind == "negative":
            return self.negative(self.divide(a.args[0], b))
        if b.cheap and not a.cheap:
            return self.multiply(self.divide(one, b), a)
        if not b.cheap:
            without = self._without_fractions(a, b)
            if without is not None:
                return without
        if not a.cheap and not b.cheap and _scaled(a):
            return self.multiply(a.args[0], self.divide(a.args[1], b))
        if not b.cheap and _scaled(b):
            rest = self.divide(a, b.args[1])
            return self.multiply(self.divide(one, b.args[0]), rest)
        if not b.cheap and a.cheap and not a.equals(1):
            return self.multiply(a, self.divide(one, b))
        return self._node("divide", a, b)

    def _without_fractions(self, a: Node, b: Node) -> Node | None:
        """Return (n/d)/(k + m/d) as n/(kd + m): s/(1+s) with s = c/d is one division, c/(d+c)."""
        if b.kind not in ("add", "subtract") or not b.args[0].cheap:
            return None
        above, below = _fraction(self, a), _fraction(self, b.args[1])
        if above is None or below is None or above[2] is not below[2]:
            return None
        factor, top, bottom = above
        rest = self.multiply(below[0], below[1])
        whole = self.multiply(b.args[0], bottom)
        under = self.add(whole, rest) if b.kind == "add" else self.subtract(whole, rest)
        return self.multiply(factor, self.divide(top, under))

    def power(self, a: Node, b: Node) -> Node:
        """Return a to the power b."""
        if b.kind != "constant":
            return self.apply("exp", self.multiply(b, self.apply("log", a)))
        simple = {
            0.0: lambda: self.constant(1),
            1.0: lambda: a,
            2.0: lambda: self.multiply(a, a),
            3.0: lambda: self.multiply(a, self.multiply(a, a)),
            -1.0: lambda: self.divide(self.constant(1), a),
            -2.0: lambda: self.divide(self.constant(1), self.multiply(a, a)),
            0.5: lambda: self.apply("sqrt", a),
        }.get(b.value)
        if simple is not None:
            return simple()
        if a.kind == "constant":
            return self.constant(a.value**b.value)
        return self._node("power", a, b)

    def apply(self, kind: str, a: Node) -> Node:
        """Return a function of one argument."""
        if a.kind == "constant":
            with np.errstate(all="ignore"):
                return self.constant(float(UFUNCS[kind](a.value)))
        return self._node(kind, a)


def _scaled(node: Node) -> bool:
    """Whether it is one number per trace times something larger."""
    return node.kind == "multiply" and node.args[0].cheap


def _lifted(node: Node) -> bool:
    """Whether it is one number per trace plus something larger."""
    return node.kind == "add" and node.args[0].cheap and not node.args[1].cheap


def _fraction(graph: Graph, node: Node) -> tuple[Node, Node, Node] | None:
    """Return (number, n, d) of number · n/d."""
    if node.kind == "divide" and not node.args[1].cheap:
        return graph.constant(1), node.args[0], node.args[1]
    if node.kind != "multiply":
        return None
    for other, part in (node.args, node.args[::-1]):
        inner = None if part.cheap else _fraction(graph, part)
        if inner is not None and other.cheap:
            return graph.multiply(other, inner[0]), inner[1], inner[2]
        if inner is not None:
            return inner[0], graph.multiply(other, inner[1]), inner[2]
    return None


def in_order(roots: Iterable[Node]) -> list[Node]:
    """Return all nodes that the roots rest on, each after its arguments."""
    order: list[Node] = []
    seen: set[int] = set()
    stack = [(root, False) for root in reversed(list(roots))]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif node.index not in seen:
            seen.add(node.index)
            stack.append((node, True))
            stack.extend((a, False) for a in reversed(node.args))
    return order
