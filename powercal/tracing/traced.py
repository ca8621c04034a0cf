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
    """Stands for an array while a function is traced; ``imaginary`` is None for real ones."""

    __array_priority__ = 1000
    records_operations = True  # what turns its arguments into arrays must let this pass

    def __init__(self, graph: Graph, part: Node, imaginary: Node | None = None) -> None:
        self.graph, self.part, self.imaginary = graph, part, imaginary

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs:
            raise NotTraceableError(f"numpy.{ufunc.__name__}.{method} with {sorted(kwargs)}")
        values = [self._lift(v) for v in inputs]
        if all(v.imaginary is None for v in values):
            return Traced(self.graph, _real(self.graph, ufunc.__name__, [v.part for v in values]))
        return _complex(self.graph, ufunc.__name__, values)

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
        return Traced(self.graph, self.part)

    @property
    def imag(self) -> Traced:
        """The imaginary part."""
        return Traced(self.graph, self.imaginary or self.graph.constant(0))

    def conj(self) -> Traced:
        """The complex conjugate."""
        if self.imaginary is None:
            return self
        return Traced(self.graph, self.part, self.graph.negative(self.imaginary))

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
    g = graph
    a, ai = values[0].part, values[0].imaginary or g.constant(0)
    if len(values) == 2:
        b, bi = values[1].part, values[1].imaginary or g.constant(0)
        return _complex_pair(g, name, (a, ai), (b, bi))
    match name:
        case "negative":
            return Traced(g, g.negative(a), g.negative(ai))
        case "positive":
            return values[0]
        case "conjugate":
            return values[0].conj()
        case "exp":
            size = g.apply("exp", a)
            return Traced(
                g, g.multiply(size, g.apply("cos", ai)), g.multiply(size, g.apply("sin", ai))
            )
        case "absolute":
            return Traced(g, g.apply("sqrt", _square_of(g, a, ai)))
        case "square":
            return _complex_pair(g, "multiply", (a, ai), (a, ai))
        case "reciprocal":
            return _complex_pair(g, "divide", (g.constant(1), g.constant(0)), (a, ai))
    raise NotTraceableError(f"numpy.{name} of complex numbers")


def _square_of(g: Graph, a: Node, ai: Node) -> Node:
    return g.add(g.multiply(a, a), g.multiply(ai, ai))


def _complex_pair(g: Graph, name: str, one: tuple[Node, Node], two: tuple[Node, Node]) -> Traced:
    (a, ai), (b, bi) = one, two
    match name:
        case "add":
            return Traced(g, g.add(a, b), g.add(ai, bi))
        case "subtract":
            return Traced(g, g.subtract(a, b), g.subtract(ai, bi))
        case "multiply":
            return Traced(
                g,
                g.subtract(g.multiply(a, b), g.multiply(ai, bi)),
                g.add(g.multiply(a, bi), g.multiply(ai, b)),
            )
        case "divide" | "true_divide":
            if bi.equals(0):
                return Traced(g, g.divide(a, b), g.divide(ai, b))
            size = _square_of(g, b, bi)
            top = _complex_pair(g, "multiply", (a, ai), (b, g.negative(bi)))
            assert top.imaginary is not None
            return Traced(g, g.divide(top.part, size), g.divide(top.imaginary, size))
        case "power" if bi.equals(0) and b.kind == "constant" and b.value in (1.0, 2.0, -1.0):
            if b.value == 1.0:
                return Traced(g, a, ai)
            if b.value == 2.0:
                return _complex_pair(g, "multiply", one, one)
            return _complex_pair(g, "divide", (g.constant(1), g.constant(0)), one)
    raise NotTraceableError(f"numpy.{name} of complex numbers")


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
