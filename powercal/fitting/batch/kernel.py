"""A model's expressions as the text of one function: a loop over the points of one fit."""

from __future__ import annotations

from dataclasses import dataclass

from powercal.fitting.batch.expression import Expression
from powercal.fitting.batch.problem import BatchProblem
from powercal.tracing.graph import Node, in_order

_SIGNS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "power": "**"}
_NAMES = {"arctan": "atan"}


@dataclass(frozen=True)
class Kernel:
    """The text of ``evaluate`` and the order in which it wants its arrays.

    ``numbers`` are names as in :meth:`BatchProblem.named`, ``shared`` and ``own`` inputs of the
    curve, ``signals`` pairs (observable, quadrature).
    """

    source: str
    numbers: tuple[str, ...]
    shared: tuple[str, ...]
    own: tuple[str, ...]
    signals: tuple[tuple[int, int], ...]


def kernel_of(problem: BatchProblem, expression: Expression) -> Kernel:
    """Write down the evaluation of χ², its gradient and the normal matrix."""
    signals = expression.signals
    roots = [n for s in signals for n in (s.value, *s.slopes)]
    rows = [n for r, own in expression.priors for n in (r, *own)]
    order = in_order([*roots, *rows])
    free = {n.name: k for k, n in enumerate(expression.coordinates)}
    leaves = [n for n in order if not n.args and n.kind != "constant" and n.name not in free]
    numbers = tuple(n.name for n in leaves if n.kind == "number")
    axes = [n.name.removeprefix("a:") for n in leaves if n.name.startswith("a:")]
    axes = [n for n in axes if f"a:{n}" not in numbers]
    shared = tuple(n for n in axes if problem.inputs[n].shape[0] == 1)
    own = tuple(n for n in axes if n not in shared)
    lines = [f"p_{k} = x[{k}]" for k in free.values()]
    lines += [f"q_{k} = number[{k}]" for k in range(len(numbers))]
    name = _Names(free, numbers, shared, own, [(s.observed, s.part) for s in signals])
    lines += [f"{name(n)} = {_spell(n, name)}" for n in order if n.cheap and n.args]
    lines += _loop(expression, order, name, shared, own)
    lines += _prior_lines(expression, name)
    lines.append("return chi2")
    arguments = "x, number, shared, own, data, weight, matrix, slope"
    source = f"def evaluate({arguments}):\n" + "\n".join(f"    {line}" for line in lines)
    return Kernel(source, numbers, shared, own, tuple((s.observed, s.part) for s in signals))


class _Names:
    """What a node is called in the text."""

    def __init__(
        self,
        free: dict[str, int],
        numbers: tuple[str, ...],
        shared: tuple[str, ...],
        own: tuple[str, ...],
        data: list[tuple[int, int]],
    ) -> None:
        self._of = {n: f"p_{k}" for n, k in free.items()}
        self._of |= {n: f"q_{k}" for k, n in enumerate(numbers)}
        self._of |= {f"a:{n}": f"s_{k}" for k, n in enumerate(shared)}
        self._of |= {f"a:{n}": f"o_{k}" for k, n in enumerate(own)}
        self._of |= {f"d:{o}:{part}": f"d_{k}" for k, (o, part) in enumerate(data)}

    def __call__(self, node: Node) -> str:
        if node.kind == "constant":
            return f"({node.value!r})"
        return f"v{node.index}" if node.args else self._of[node.name]


def _spell(node: Node, name: _Names) -> str:
    args = [name(a) for a in node.args]
    if node.kind in _SIGNS:
        return f" {_SIGNS[node.kind]} ".join(args)
    if node.kind == "negative":
        return f"-{args[0]}"
    return f"math.{_NAMES.get(node.kind, node.kind)}({args[0]})"


def _loop(
    expression: Expression,
    order: list[Node],
    name: _Names,
    shared: tuple[str, ...],
    own: tuple[str, ...],
) -> list[str]:
    """Sum over the points of all signals."""
    p = len(expression.coordinates)
    pairs = [(i, j) for i in range(p) for j in range(i + 1)]
    sums = ["chi2 = 0.0", *(f"g{i} = 0.0" for i in range(p))]
    sums += [f"a{i}_{j} = 0.0" for i, j in pairs]
    rows = [f"shared_{k} = shared[{k}]" for k in range(len(shared))]
    rows += [f"own_{k} = own[{k}]" for k in range(len(own))]
    count = range(len(expression.signals))
    rows += [f"{kind}_{k} = {kind}[{k}]" for k in count for kind in ("data", "weight")]
    body = [f"s_{k} = shared_{k}[m]" for k in range(len(shared))]
    body += [f"o_{k} = own_{k}[m]" for k in range(len(own))]
    body += [f"d_{k} = data_{k}[m]" for k in count]
    body += [f"{name(n)} = {_spell(n, name)}" for n in order if not n.cheap and n.args]
    for k, signal in enumerate(expression.signals):
        rest = name(signal.value) if signal.within else f"({name(signal.value)} - d_{k})"
        body += [f"w = weight_{k}[m]", f"r = {rest} * w"]
        used = [i for i, s in enumerate(signal.slopes) if not s.equals(0)]
        body += [f"j{i} = {name(signal.slopes[i])} * w" for i in used]
        body += ["chi2 += r * r", *(f"g{i} += j{i} * r" for i in used)]
        body += [f"a{i}_{j} += j{i} * j{j}" for i, j in pairs if i in used and j in used]
    out = [f"matrix[{n}] = a{i}_{j}" for n, (i, j) in enumerate(pairs)]
    out += [f"slope[{i}] = g{i}" for i in range(p)]
    return [*sums, *rows, "for m in range(data_0.size):", *(f"    {b}" for b in body), *out]


def _prior_lines(expression: Expression, name: _Names) -> list[str]:
    """Add one datum per prior."""
    lines = []
    for off, own in expression.priors:
        used = [i for i, s in enumerate(own) if not s.equals(0)]
        lines += [f"chi2 += {name(off)} * {name(off)}"]
        for i in used:
            lines.append(f"slope[{i}] += {name(own[i])} * {name(off)}")
            for j in used:
                if j <= i:
                    lines.append(
                        f"matrix[{i * (i + 1) // 2 + j}] += {name(own[i])} * {name(own[j])}"
                    )
    return lines
