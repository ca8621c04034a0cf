"""The curve of a batch as expressions: traced once, exact derivatives by solver coordinates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from powercal.fitting.batch.problem import BatchProblem, Observed
from powercal.fitting.pieces import Prior
from powercal.fitting.problem import DECIBEL
from powercal.tracing.graph import Graph, Node
from powercal.tracing.slopes import slopes
from powercal.tracing.traced import NotTraceableError, Traced, trace


@dataclass(frozen=True)
class Signal:
    """One real row of the data: an observable, or one quadrature of it.

    ``observed`` is its place among the problem's observables, ``part`` is 0 (real) or 1. Where
    the curve carries a phase, ``within`` is true and the value is curve less data, both turned back
    by that phase: their squares do not see it, and no derivative has to carry it.
    """

    observed: int
    part: int
    value: Node
    slopes: tuple[Node, ...]
    within: bool = False


@dataclass(frozen=True)
class Expression:
    """Everything of a batch that depends on its coordinates, written down once.

    Attributes
    ----------
    graph : Graph
        Where all nodes live.
    coordinates : tuple of Node
        The free numbers of a fit.
    signals : tuple of Signal
        The curve with its derivatives.
    priors : tuple of (Node, tuple of Node)
        Deviations from priors in standard units, with their derivatives.
    """

    graph: Graph
    coordinates: tuple[Node, ...]
    signals: tuple[Signal, ...]
    priors: tuple[tuple[Node, tuple[Node, ...]], ...]


def express(problem: BatchProblem) -> Expression:
    """Trace the curve, the line's nuisances and the priors of a problem.

    Raises
    ------
    NotTraceableError
        The curve (or a derived quantity with a prior) is not plain numpy, element by element.
    """
    graph = Graph()
    coordinates = tuple(graph.number(f"x:{a.name}", True) for a in problem.axes)
    values: dict[str, Any] = {
        a.name: graph.apply("exp", c) if a.log else c
        for a, c in zip(problem.axes, coordinates, strict=True)
    }
    for name, held in problem.fixed.items():
        # 0 and 1 simplify what follows; any other number may differ in the next batch.
        plain = np.ndim(held) == 0 and float(held) in (0.0, 1.0)
        values[name] = float(held) if plain else graph.number(f"p:{name}", False)
    curves = _curves(graph, problem, values)
    signals = [
        signal
        for k, o in enumerate(problem.observed)
        for signal in _signals(graph, k, o, curves[o.index], coordinates)
    ]
    rows = tuple(_prior(graph, problem, p, values) for p in problem.priors)
    return Expression(
        graph,
        coordinates,
        tuple(signals),
        tuple((r, tuple(slopes(graph, r, coordinates))) for r in rows),
    )


def _signals(
    graph: Graph, k: int, observed: Observed, curve: Traced, coordinates: tuple[Node, ...]
) -> list[Signal]:
    """Return the real rows of one observable."""
    if not np.iscomplexobj(observed.data):
        if curve.imaginary is not None:
            raise NotTraceableError(f"{observed.name} is real, its curve is complex")
        return [Signal(k, 0, curve.part, tuple(slopes(graph, curve.part, coordinates)))]
    if curve.turn is not None:
        return _turned_back(graph, k, curve, coordinates)
    parts = enumerate(curve.parts())
    return [Signal(k, j, n, tuple(slopes(graph, n, coordinates))) for j, n in parts]


def _turned_back(
    graph: Graph, k: int, curve: Traced, coordinates: tuple[Node, ...]
) -> list[Signal]:
    """Turn residuals and derivatives of z·exp(iα) by −α: z − d·exp(−iα) and ∂z + iz ∂α."""
    g, turn = graph, curve.turn
    assert turn is not None
    (x, y), c, s = curve.parts(), g.apply("cos", turn), g.apply("sin", turn)
    real, imaginary = (g.points(f"d:{k}:{j}", shared=False) for j in (0, 1))
    rest = (
        g.subtract(x, g.add(g.multiply(c, real), g.multiply(s, imaginary))),
        g.subtract(y, g.subtract(g.multiply(c, imaginary), g.multiply(s, real))),
    )
    by_turn = slopes(g, turn, coordinates)
    along = [
        g.subtract(own, g.multiply(y, a))
        for own, a in zip(slopes(g, x, coordinates), by_turn, strict=True)
    ]
    across = [
        g.add(own, g.multiply(x, a))
        for own, a in zip(slopes(g, y, coordinates), by_turn, strict=True)
    ]
    return [
        Signal(k, 0, rest[0], tuple(along), within=True),
        Signal(k, 1, rest[1], tuple(across), within=True),
    ]


def _curves(graph: Graph, problem: BatchProblem, values: Mapping[str, Any]) -> list[Traced]:
    """Trace the model's curve with the line around it, as in a single problem."""
    inputs = []
    loss: Any = 1.0
    if problem.attenuation:
        loss = _power_of(graph, values["attenuation_db"], -DECIBEL)
    for name in problem.model.inputs:
        array = problem.inputs[name]
        # One number per fit is no axis: it costs nothing.
        flat = array.shape[1] == 1 and problem.points > 1
        if flat:
            node = graph.number(f"a:{name}", False)
        else:
            node = graph.points(f"a:{name}", problem.is_shared(name))
        if name == "incident_power" and problem.attenuation:
            node = graph.multiply(node, loss)
        inputs.append(node)
    named = {row.name: values[row.name] for row in problem.model.parameters}
    curves = list(trace(graph, problem.model.curve, inputs, named))
    gain: Any = None
    if problem.referenced:
        gain = graph.divide(graph.constant(1), loss)
    elif problem.gain:
        gain = _power_of(graph, values["gain_db"], DECIBEL)
    if gain is None:
        return curves
    around = Traced(graph, gain)
    return [
        c * around if power else c
        for c, power in zip(curves, problem.power_observables, strict=True)
    ]


def _power_of(graph: Graph, level: Any, factor: float) -> Node:
    """Return exp(factor · level)."""
    node = level if isinstance(level, Node) else graph.constant(level)
    return graph.apply("exp", graph.multiply(graph.constant(factor), node))


def _prior(graph: Graph, problem: BatchProblem, prior: Prior, values: Mapping[str, Any]) -> Node:
    def off(p: Prior) -> Any:
        derived = next((d for d in problem.model.derived if d.name == p.name), None)
        if derived is None:
            found = values[p.name]
            quantity = Traced(graph, found if isinstance(found, Node) else graph.constant(found))
        else:
            named = {a: values[a] for a in derived.arguments}
            (quantity,) = trace(graph, lambda **v: (derived.function(**v),), (), named)
        mean, std = (
            v if np.ndim(v) == 0 else Traced(graph, graph.number(f"{kind}:{p.name}", False))
            for kind, v in (("mean", p.mean), ("std", p.std))
        )
        return (quantity - mean) / std

    node: Node = prior.whitened(off).part
    return node
