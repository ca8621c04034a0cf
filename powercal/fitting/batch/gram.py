"""Derivatives as few arrays times numbers per trace: products of those arrays are all a fit needs.

Where ∂f/∂x_j = Σ_k u_jk b_k with one number u_jk per trace, JᵀJ = U (BᵀB) Uᵀ: products are taken of
the few b_k, and the rest is algebra of numbers per trace.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from powercal.tracing.graph import Graph, Node, in_order
from powercal.tracing.program import Tiles

# One product of two arrays costs about so many passes of a simple operation.
_PRODUCT = 0.8


@dataclass(frozen=True)
class Basis:
    """The b_k of one signal and, per coordinate, the pairs (k, u_jk)."""

    arrays: tuple[Node, ...]
    shares: tuple[tuple[tuple[int, Node], ...], ...]

    @property
    def products(self) -> int:
        """Number of products with the residual as one more array."""
        return (len(self.arrays) + 1) * (len(self.arrays) + 2) // 2


def basis_of(graph: Graph, value: Node, slopes: Sequence[Node]) -> Basis:
    """Split derivatives into arrays and numbers, unless the derivatives as they are cost less."""
    ways = _split(graph, slopes), _plain(graph, slopes)
    return min(ways, key=lambda b: _cost(value, b))


def _cost(value: Node, basis: Basis) -> float:
    given = [n for n in in_order([value, *basis.arrays]) if n.cheap or not n.varies]
    return Tiles([*basis.arrays, value], given).passes + _PRODUCT * basis.products


def _plain(graph: Graph, slopes: Sequence[Node]) -> Basis:
    arrays: dict[int, Node] = {n.index: n for n in slopes if not n.equals(0)}
    place = {index: k for k, index in enumerate(arrays)}
    one = graph.constant(1)
    shares = tuple(() if n.equals(0) else ((place[n.index], one),) for n in slopes)
    return Basis(tuple(arrays.values()), shares)


def _split(graph: Graph, slopes: Sequence[Node]) -> Basis:
    arrays: dict[int, Node] = {}
    rows = []
    for slope in slopes:
        terms: dict[int, Node] = {}
        for array, factor in _terms(graph, slope, graph.constant(1)):
            arrays.setdefault(array.index, array)
            known = terms.get(array.index)
            terms[array.index] = factor if known is None else graph.add(known, factor)
        rows.append(terms)
    place = {index: k for k, index in enumerate(arrays)}
    shares = tuple(
        tuple((place[i], u) for i, u in terms.items() if not u.equals(0)) for terms in rows
    )
    return Basis(tuple(arrays.values()), shares)


def _terms(graph: Graph, node: Node, factor: Node) -> Iterator[tuple[Node, Node]]:
    """Yield (array, number per trace) whose products add up to factor · node."""
    if node.cheap:
        if not node.equals(0):
            yield graph.constant(1), graph.multiply(factor, node)
    elif node.kind == "multiply" and node.args[0].cheap:
        yield from _terms(graph, node.args[1], graph.multiply(factor, node.args[0]))
    elif node.kind == "negative":
        yield from _terms(graph, node.args[0], graph.negative(factor))
    elif node.kind in ("add", "subtract"):
        a, b = node.args
        yield from _terms(graph, a, factor)
        other = factor if node.kind == "add" else graph.negative(factor)
        yield from _terms(graph, b, other)
    else:
        yield node, factor
