"""Exact derivatives of an expression: adjoints from the result back to its inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from powercal.tracing.graph import Graph, Node, in_order

# d f(u)/du by the graph, the function's node and its argument.
_OUTER: dict[str, Callable[[Graph, Node, Node], Node]] = {
    "sqrt": lambda g, f, u: g.divide(g.constant(0.5), f),
    "exp": lambda g, f, u: f,
    "expm1": lambda g, f, u: g.add(f, g.constant(1)),
    "log": lambda g, f, u: g.divide(g.constant(1), u),
    "log1p": lambda g, f, u: g.divide(g.constant(1), g.add(g.constant(1), u)),
    "sin": lambda g, f, u: g.apply("cos", u),
    "cos": lambda g, f, u: g.negative(g.apply("sin", u)),
    "tan": lambda g, f, u: g.add(g.constant(1), g.multiply(f, f)),
    "sinh": lambda g, f, u: g.apply("cosh", u),
    "cosh": lambda g, f, u: g.apply("sinh", u),
    "tanh": lambda g, f, u: g.subtract(g.constant(1), g.multiply(f, f)),
    "arctan": lambda g, f, u: g.divide(g.constant(1), g.add(g.constant(1), g.multiply(u, u))),
}


def slopes(graph: Graph, result: Node, wanted: Sequence[Node]) -> list[Node]:
    """Return the derivatives of an expression by some of its inputs, as expressions.

    Parameters
    ----------
    graph : Graph
        Where the expressions live.
    result : Node
        What to differentiate.
    wanted : sequence of Node
        Inputs (``number`` nodes that vary).

    Returns
    -------
    list of Node
        In the order of ``wanted``; the constant 0 where the result does not depend on one.
    """
    order = in_order([result])
    targets = {n.index for n in wanted}
    depends: dict[int, bool] = {}
    for node in order:
        depends[node.index] = node.index in targets or any(depends[a.index] for a in node.args)
    adjoint: dict[int, Node] = {result.index: graph.constant(1)}

    def pass_on(node: Node, share: Node) -> None:
        if depends[node.index]:
            known = adjoint.get(node.index)
            adjoint[node.index] = share if known is None else graph.add(known, share)

    for node in reversed(order):
        if node.index in adjoint and depends[node.index] and node.args:
            _back(graph, node, adjoint[node.index], pass_on)
    zero = graph.constant(0)
    return [adjoint.get(n.index, zero) if depends.get(n.index) else zero for n in wanted]


def _back(graph: Graph, node: Node, a: Node, pass_on: Callable[[Node, Node], None]) -> None:
    """Hand the adjoint of a node on to its arguments."""
    u, v = node.args[0], node.args[-1]
    match node.kind:
        case "add":
            pass_on(u, a)
            pass_on(v, a)
        case "subtract":
            pass_on(u, a)
            pass_on(v, graph.negative(a))
        case "negative":
            pass_on(u, graph.negative(a))
        case "multiply" if u is v:
            pass_on(u, graph.multiply(graph.constant(2), graph.multiply(u, a)))
        case "multiply":
            pass_on(u, graph.multiply(v, a))
            pass_on(v, graph.multiply(u, a))
        case "divide":
            share = graph.divide(a, v)
            pass_on(u, share)
            # A number per trace goes through: one division in place of one and a product.
            through = graph.multiply(a, graph.divide(node, v)) if a.cheap else None
            pass_on(v, graph.negative(through or graph.multiply(node, share)))
        case "power":
            lower = graph.power(u, graph.constant(v.value - 1))
            pass_on(u, graph.multiply(a, graph.multiply(v, lower)))
        case kind:
            pass_on(u, graph.multiply(a, _OUTER[kind](graph, node, u)))
