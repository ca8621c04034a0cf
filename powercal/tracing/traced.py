"""Values that record what a plain numpy function does with them; complex ones as two real parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from powercal.tracing.graph import Graph, Node


class NotTraceableError(Exception):
    """A function does something that cannot be written down as one expression."""


class Traced(NDArrayOperatorsMixin):
    """Stands for an array while a function is traced.

    ``imaginary`` is None for real ones. A complex one is (part + i imaginary)·exp(i turn): phases
    are kept apart as long as they are only multiplied, for nothing that is squared sees them.
    """

    __array_priority__ = 1000
    records_operations = True  # what turns its arguments into arrays must let this pass

    def __init__(
        self,
        graph: Graph,
        part: Node,
        imaginary: Node | None = None,
        turn: Node | None = None,
    ) -> None:
        self.graph, self.part, self.imaginary, self.turn = graph, part, imaginary, turn

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs:
            raise NotTraceableError(f"numpy.{ufunc.__name__}.{method} with {sorted(kwargs)}")
        values = [self._lift(v) for v in inputs]
        if all(v.imaginary is None for v in values):
            return Traced(self.graph, _real(self.graph, ufunc.__name__, [v.part for v in values]))
        return _complex(self.graph, ufunc.__name__, values)

    def laid_out(self) -> Traced:
        """Return it with its phase multiplied in: real and imaginary part as they are."""
        if self.turn is None:
            return self
        g, (x, y) = self.graph, self.parts()
        c, s = g.apply("cos", self.turn), g.apply("sin", self.turn)
        return Traced(
            g,
            g.subtract(g.multiply(x, c), g.multiply(y, s)),
            g.add(g.multiply(x, s), g.multiply(y, c)),
        )

    def parts(self) -> tuple[Node, Node]:
        """Return real and imaginary part before the turn."""
        return self.part, self.imaginary or self.graph.constant(0)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        name = function.__name__
        if name in ("ones_like", "zeros_like"):
            return Traced(self.graph, self.graph.constant(float(name == "ones_like")))
        if name in ("real", "imag"):
            return getattr(args[0], name)
        raise NotTraceableError(f"numpy.{name}")

    def _lift(self, value: Any) -> Traced:
        if isinstance(value, Traced):
            return value
        if isinstance(value, np.ndarray) and value.ndim:
            raise NotTraceableError("an array that is not an input")
        number = complex(value)
        real = self.graph.constant(number.real)
        plain = not np.iscomplexobj(value)
        return Traced(self.graph, real, None if plain else self.graph.constant(number.imag))

    @property
    def real(self) -> Traced:
        """The real part."""
        return Traced(self.graph, self.laid_out().part)

    @property
    def imag(self) -> Traced:
        """The imaginary part."""
        return Traced(self.graph, self.laid_out().parts()[1])

    def conj(self) -> Traced:
        """The complex conjugate."""
        if self.imaginary is None:
            return self
        turn = None if self.turn is None else self.graph.negative(self.turn)
        return Traced(self.graph, self.part, self.graph.negative(self.imaginary), turn)

    conjugate = conj

    def __bool__(self) -> bool:
        raise NotTraceableError("a decision that depends on the values (if, and, or)")

    def __float__(self) -> float:
        raise NotTraceableError("float() of a value")

    def __complex__(self) -> complex:
        raise NotTraceableError("complex() of a value")

    def __iter__(self) -> Any:
        raise NotTraceableError("a loop over points")

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise NotTraceableError("a conversion to an array (numpy.asarray)")


_TWO = {
    "add": "add",
    "subtract": "subtract",
    "multiply": "multiply",
    "divide": "divide",
    "true_divide": "divide",
    "power": "power",
    "float_power": "power",
}
_ONE = {"sqrt", "exp", "expm1", "log", "log1p", "sin", "cos", "tan", "sinh", "cosh", "tanh"}
_ONE |= {"arctan"}


def _real(graph: Graph, name: str, parts: list[Node]) -> Node:
    """Record one real operation."""
    a = parts[0]
    if name in _TWO:
        node: Node = getattr(graph, _TWO[name])(a, parts[1])
        return node
    if name in _ONE:
        return graph.apply(name, a)
    match name:
        case "negative":
            return graph.negative(a)
        case "positive" | "conjugate":
            return a
        case "square":
            return graph.multiply(a, a)
        case "reciprocal":
            return graph.divide(graph.constant(1), a)
        case "log2" | "log10":
            base = np.log(2.0 if name == "log2" else 10.0)
            return graph.multiply(graph.constant(1 / base), graph.apply("log", a))
        case "exp2":
            return graph.apply("exp", graph.multiply(graph.constant(np.log(2.0)), a))
        case "deg2rad" | "radians":
            return graph.multiply(graph.constant(np.pi / 180), a)
        case "hypot":
            b = parts[1]
            return graph.apply("sqrt", graph.add(graph.multiply(a, a), graph.multiply(b, b)))
    raise NotTraceableError(f"numpy.{name}")


def _complex(graph: Graph, name: str, values: list[Traced]) -> Traced:
    """Record one complex operation as real ones."""
    g, one = graph, values[0]
    if len(values) == 2:
        return _complex_pair(g, name, one, values[1])
    a, ai = one.parts()
    match name:
        case "negative":
            return Traced(g, g.negative(a), g.negative(ai), one.turn)
        case "positive":
            return one
        case "conjugate":
            return one.conj()
        case "absolute":
            return Traced(g, g.apply("sqrt", _square_of(g, a, ai)))
        case "square":
            return _product(g, one, one)
        case "reciprocal":
            return _quotient(g, Traced(g, g.constant(1), g.constant(0)), one)
        case "exp":
            x, y = one.laid_out().parts()
            return Traced(g, g.apply("exp", x), g.constant(0), y)
    raise NotTraceableError(f"numpy.{name} of complex numbers")


def _square_of(g: Graph, a: Node, ai: Node) -> Node:
    return g.add(g.multiply(a, a), g.multiply(ai, ai))


def _complex_pair(g: Graph, name: str, one: Traced, two: Traced) -> Traced:
    match name:
        case "add" | "subtract":
            if one.turn is not two.turn:
                one, two = one.laid_out(), two.laid_out()
            (a, ai), (b, bi) = one.parts(), two.parts()
            join = g.add if name == "add" else g.subtract
            return Traced(g, join(a, b), join(ai, bi), one.turn)
        case "multiply":
            return _product(g, one, two)
        case "divide" | "true_divide":
            return _quotient(g, one, two)
        case "power" if two.parts()[1].equals(0) and two.part.kind == "constant":
            if two.part.value == 1.0:
                return one
            if two.part.value == 2.0:
                return _product(g, one, one)
            if two.part.value == -1.0:
                return _quotient(g, Traced(g, g.constant(1), g.constant(0)), one)
    raise NotTraceableError(f"numpy.{name} of complex numbers")


def _product(g: Graph, one: Traced, two: Traced) -> Traced:
    (a, ai), (b, bi) = one.parts(), two.parts()
    return Traced(
        g,
        g.subtract(g.multiply(a, b), g.multiply(ai, bi)),
        g.add(g.multiply(a, bi), g.multiply(ai, b)),
        _turned(g, one.turn, two.turn),
    )


def _quotient(g: Graph, one: Traced, two: Traced) -> Traced:
    (a, ai), (b, bi) = one.parts(), two.parts()
    turn = _turned(g, one.turn, None if two.turn is None else g.negative(two.turn))
    if bi.equals(0):
        return Traced(g, g.divide(a, b), g.divide(ai, b), turn)
    size = _square_of(g, b, bi)
    top = _product(g, Traced(g, a, ai), Traced(g, b, g.negative(bi)))
    x, y = top.parts()
    return Traced(g, g.divide(x, size), g.divide(y, size), turn)


def _turned(g: Graph, one: Node | None, two: Node | None) -> Node | None:
    if one is None or two is None:
        return one or two
    return g.add(one, two)


def trace(
    graph: Graph,
    function: Callable[..., tuple[Any, ...]],
    inputs: Sequence[Node],
    named: Mapping[str, Any],
) -> tuple[Traced, ...]:
    """Call a function once on stand-ins and return what it computed.

    Parameters
    ----------
    graph : Graph
        Where the inputs live and the results will.
    function : callable
        ``function(*inputs, **named)``, plain numpy, element by element, returns a tuple.
    inputs : sequence of Node
        Positional arguments.
    named : mapping
        Keyword arguments: nodes, or plain numbers, which stay what they are.

    Returns
    -------
    tuple of Traced
        One per value returned.

    Raises
    ------
    NotTraceableError
        Where the function decides by values, loops over points, or calls what is not a numpy
        function of single elements; the caller then takes derivatives another way.
    """

    def stand_in(value: Any) -> Any:
        return Traced(graph, value) if isinstance(value, Node) else value

    try:
        found = function(
            *(stand_in(n) for n in inputs), **{k: stand_in(v) for k, v in named.items()}
        )
        template = Traced(graph, graph.constant(0))
        return tuple(template._lift(v) for v in found)
    except (TypeError, AttributeError, ValueError) as reason:
        # What a curve does to real arrays it may not be able to do to a stand-in.
        raise NotTraceableError(f"{type(reason).__name__}: {reason}") from reason
