"""What tracing writes down is what the function computes, and so are its derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from powercal.physics.detection import emission_share
from powercal.tracing import Graph, Node, NotTraceableError, slopes, trace
from powercal.tracing.program import Tiles, Values

X = np.linspace(0.3, 2.0, 7)[None, :]
NAMES = ("a", "b")
POINT = {"a": np.array([[0.7], [1.3]]), "b": np.array([[1.9], [0.4]])}


def traced(function: Callable[..., Any]) -> tuple[Graph, list[Node], tuple[Any, ...]]:
    graph = Graph()
    numbers = [graph.number(n, True) for n in NAMES]
    x = graph.points("x", shared=True)
    curves = trace(
        graph, lambda x, **p: (function(x, **p),), [x], dict(zip(NAMES, numbers, strict=True))
    )
    return graph, numbers, curves


def value_of(node: Node) -> Any:
    return Values([node])({"x": X, **POINT})[0]


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "saturation": lambda x, a, b: (a / (b**2 + (x - a) ** 2)) / (1 + a / (b**2 + (x - a) ** 2)),
    "decay": lambda x, a, b: a + b * np.exp(-a * x),
    "wave": lambda x, a, b: np.sin(a * x) * np.cos(b) + np.tan(0.3 * a * x),
    "roots": lambda x, a, b: np.sqrt(a * x + b) - np.square(x - b) / np.hypot(a, x),
    "logs": lambda x, a, b: np.log(a * x) + np.log1p(b * x) - np.expm1(a) + np.log10(b + x),
    "hyperbolic": lambda x, a, b: np.tanh(a * x) + np.sinh(b) - np.cosh(a) + np.arctan(b * x),
    "powers": lambda x, a, b: (a * x) ** 3 + x**-2 * b + a**x + np.reciprocal(b + x) ** 1.5,
    "reversed": lambda x, a, b: -(2 - x) / a - (b - (1 - x)) + (+b) * 3 - (-a),
    "differences": lambda x, a, b: (a - x) - (b - x) * (x - a) + (x + a) + (b + x),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_traced_function_has_the_values_of_the_function(name: str) -> None:
    _, _, (curve,) = traced(FUNCTIONS[name])
    assert value_of(curve.part) == pytest.approx(FUNCTIONS[name](X, **POINT), rel=1e-13)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_traced_derivatives_are_those_of_complex_steps(name: str) -> None:
    graph, numbers, (curve,) = traced(FUNCTIONS[name])
    for own, node in zip(NAMES, slopes(graph, curve.part, numbers), strict=True):
        moved = {**POINT, own: POINT[own] + 1e-30j}
        if name == "roots":  # hypot takes no complex numbers
            step = 1e-6 * np.array([[1.0], [1.0]])
            high = FUNCTIONS[name](X, **{**POINT, own: POINT[own] + step})
            low = FUNCTIONS[name](X, **{**POINT, own: POINT[own] - step})
            exact, near = (high - low) / (2 * step), 1e-8
        else:
            exact, near = np.imag(FUNCTIONS[name](X, **moved)) / 1e-30, 1e-12
        found = np.broadcast_to(value_of(node), exact.shape)
        assert np.max(np.abs(found - exact)) <= near * np.max(np.abs(exact) + 1e-300)


def test_complex_curves_are_two_real_ones() -> None:
    def resonance(x: Any, a: Any, b: Any) -> Any:
        return (1 - a / (b - 1j * x)) * np.exp(1j * a * x) + np.conj(b * 1j) * (2 + 1j) ** 2

    graph, numbers, (curve,) = traced(resonance)
    exact = resonance(X, **POINT)
    assert value_of(curve.part) == pytest.approx(exact.real, rel=1e-13)
    assert value_of(curve.imaginary) == pytest.approx(exact.imag, rel=1e-13)
    for own, re, im in zip(
        NAMES,
        slopes(graph, curve.part, numbers),
        slopes(graph, curve.imaginary, numbers),
        strict=True,
    ):
        step = 1e-6
        ends = [resonance(X, **{**POINT, own: POINT[own] + s * step}) for s in (-1, 1)]
        slope = (ends[1] - ends[0]) / (2 * step)
        assert value_of(re) == pytest.approx(slope.real, rel=1e-7, abs=1e-8)
        assert value_of(im) == pytest.approx(slope.imag, rel=1e-7, abs=1e-8)


def test_a_phase_is_kept_apart_until_it_matters() -> None:
    def wave(x: Any, a: Any, b: Any) -> Any:
        return (1 - a / (b - 1j * x)) * np.exp(1j * a * x) * b / np.exp(1j * b)

    _, _, (curve,) = traced(wave)
    exact = wave(X, **POINT)
    assert curve.turn is not None
    assert value_of(curve.turn) == pytest.approx(POINT["a"] * X - POINT["b"], rel=1e-13)
    x, y = (value_of(n) for n in curve.parts())
    assert np.hypot(x, y) == pytest.approx(np.abs(exact), rel=1e-13)
    laid_out = curve.laid_out()
    assert value_of(laid_out.part) == pytest.approx(exact.real, rel=1e-12)
    assert value_of(laid_out.imaginary) == pytest.approx(exact.imag, rel=1e-12)
    _, _, (size,) = traced(lambda x, a, b: np.abs(wave(x, a, b)) + wave(x, a, b).real)
    assert value_of(size.part) == pytest.approx(np.abs(exact) + exact.real, rel=1e-12)


def test_absolute_squares_and_parts_of_complex_numbers_are_traced() -> None:
    def power(x: Any, a: Any, b: Any) -> Any:
        r = a - b / (1 - 1j * x)
        return np.abs(r) ** 2 + r.real * np.imag(r) + (r * np.conj(r)).real

    _, _, (curve,) = traced(power)
    assert value_of(curve.part) == pytest.approx(power(X, **POINT), rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_algebra_that_is_done_at_once_changes_no_value(data: st.DataObject) -> None:
    """Random trees of the four operations against numpy itself."""

    def build(depth: int) -> Callable[..., Any]:
        kind = data.draw(st.sampled_from("xab+-*/n1" if depth else "xab1"))
        if kind == "1":
            number = data.draw(st.sampled_from([0.0, 1.0, -1.0, 2.5]))
            return lambda **v: number
        if kind in "xab":
            return lambda **v: v[kind]
        one = build(depth - 1)
        if kind == "n":
            return lambda **v: -one(**v)
        two = build(depth - 1)
        operations = {
            "+": lambda **v: one(**v) + two(**v),
            "-": lambda **v: one(**v) - two(**v),
            "*": lambda **v: one(**v) * two(**v),
            # never by zero: no value of the trees lies there
            "/": lambda **v: one(**v) / (3.7 + two(**v) * two(**v)),
        }
        return operations[kind]

    tree = build(4)
    _, _, (curve,) = traced(lambda x, a, b: 0.0 * x + tree(x=x, a=a, b=b))
    exact = np.broadcast_to(0.0 * X + tree(x=X, **POINT), (2, 7))
    found = np.broadcast_to(value_of(curve.part), (2, 7))
    assert np.allclose(found, exact, rtol=1e-11, atol=1e-11)


def test_a_saturated_line_takes_one_division_and_no_reciprocal() -> None:
    graph = Graph()
    a, b = graph.number("a", True), graph.number("b", True)
    x = graph.points("x", shared=False)
    (curve,) = trace(
        graph, lambda x, a, b: (FUNCTIONS["saturation"](x, a, b),), [x], {"a": a, "b": b}
    )
    program = Tiles([curve.part], [x, *_numbers(curve.part)])
    assert program.passes == 5  # x − a, its square, + (b² + a), one over it, times a


def _numbers(root: Node) -> list[Node]:
    from powercal.tracing.graph import in_order

    return [n for n in in_order([root]) if n.cheap and n.kind != "constant"]


def test_equal_parts_are_computed_once() -> None:
    graph = Graph()
    x = graph.points("x", shared=False)
    a = graph.number("a", True)
    one, two = trace(graph, lambda x, a: (np.exp(a * x) + 1, np.exp(x * a) * 3), [x], {"a": a})
    program = Tiles([one.part, two.part], [x, a])
    assert program.passes == 4  # a·x, exp, + 1, · 3


def test_programs_leave_their_inputs_and_outputs_apart() -> None:
    graph = Graph()
    x, a = graph.points("x", shared=False), graph.number("a", True)
    one, two = trace(graph, lambda x, a: (x + a, (x + a) * x), [x], {"a": a})
    program = Tiles([one.part, two.part, x], [x, a])
    values, number = np.arange(6.0).reshape(2, 3), np.array([[1.0], [2.0]])
    before = values.copy()
    given_in = [values if n is x else number for n in program.given]
    outputs = [np.full((2, 3), np.nan) for _ in range(3)]
    found = program.run(given_in, outputs, [np.empty((2, 3)) for _ in range(program.scratch)])
    assert np.array_equal(found[0], before + number)
    assert np.array_equal(found[1], (before + number) * before)
    assert np.array_equal(found[2], before)
    assert np.array_equal(values, before)


def test_formulas_of_the_house_are_traced_through_their_own_conversions() -> None:
    graph = Graph()
    rate = graph.number("rate", True)
    (share,) = trace(graph, lambda rate: (emission_share(rate, 0.1, 2.0),), [], {"rate": rate})
    assert Values([share.part])({"rate": 0.5})[0] == pytest.approx(
        float(emission_share(0.5, 0.1, 2.0)), rel=1e-14
    )


REFUSED: dict[str, Callable[..., Any]] = {
    "decision": lambda x, a: x if a > 0 else -x,
    "comparison": lambda x, a: np.where(x > a, x, a),
    "conversion": lambda x, a: np.asarray(x) + a,
    "reduction": lambda x, a: np.add.reduce(x) + a,
    "mean": lambda x, a: x - np.mean(x),
    "math": lambda x, a: __import__("math").sin(a) * x,
    "loop": lambda x, a: sum(v for v in x),
    "array": lambda x, a: x * np.arange(7.0) + a,
    "unknown": lambda x, a: np.floor(x) * a,
    "in place": lambda x, a: np.multiply(x, a, out=np.empty(7)),
    "method": lambda x, a: x.clip(0, 1) * a,
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_single_expression_is_refused_and_never_guessed(name: str) -> None:
    graph = Graph()
    x, a = graph.points("x", shared=True), graph.number("a", True)
    with pytest.raises(NotTraceableError):
        trace(graph, lambda x, a: (REFUSED[name](x, a),), [x], {"a": a})
