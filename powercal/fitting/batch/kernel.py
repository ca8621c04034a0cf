"""A model's expressions as the text of two functions: loops over the points of one fit.

Both sum the products of a signal's basis (see :mod:`.gram`) and make the normal equations of them
behind the loop. ``evaluate`` has a weight at every point, ``evaluate_even`` one per signal.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from powercal.fitting.batch.expression import Expression
from powercal.fitting.batch.gram import Basis, basis_of
from powercal.fitting.batch.problem import BatchProblem
from powercal.tracing.graph import Node, in_order

_SIGNS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "power": "**"}
_NAMES = {"arctan": "atan"}
_ARGUMENTS = "x, number, shared, own, data, weight, matrix, slope"


@dataclass(frozen=True)
class Kernel:
    """The text of the functions and the order in which they want their arrays.

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
    text = _Text(problem, expression)
    source = "\n\n\n".join(text.function(n, even) for n, even in _FUNCTIONS)
    signals = tuple((s.observed, s.part) for s in expression.signals)
    return Kernel(source, text.numbers, text.shared, text.own, signals)


_FUNCTIONS = (("evaluate", False), ("evaluate_even", True))


class _Text:
    """What both functions have in common: names, order, basis of every signal."""

    def __init__(self, problem: BatchProblem, expression: Expression) -> None:
        self.expression = expression
        signals = expression.signals
        self.bases = [basis_of(expression.graph, s.value, s.slopes) for s in signals]
        roots = [n for b, s in zip(self.bases, signals, strict=True) for n in (*b.arrays, s.value)]
        shares = [u for b in self.bases for row in b.shares for _, u in row]
        rows = [n for r, own in expression.priors for n in (r, *own)]
        self.order = in_order([*roots, *shares, *rows])
        self.free = {n.name: k for k, n in enumerate(expression.coordinates)}
        leaves = [n for n in self.order if not n.args and n.kind != "constant"]
        held = [n for n in leaves if n.name not in self.free]
        self.numbers = tuple(n.name for n in held if n.kind == "number")
        axes = [n.name.removeprefix("a:") for n in held if n.kind == "points"]
        axes = [n for n in axes if not n.startswith("d:")]
        self.shared = tuple(n for n in axes if problem.is_shared(n))
        self.own = tuple(n for n in axes if n not in self.shared)
        self._of = {n: f"p_{k}" for n, k in self.free.items()}
        self._of |= {n: f"q_{k}" for k, n in enumerate(self.numbers)}
        self._of |= {f"a:{n}": f"s_{k}" for k, n in enumerate(self.shared)}
        self._of |= {f"a:{n}": f"o_{k}" for k, n in enumerate(self.own)}
        self._of |= {f"d:{s.observed}:{s.part}": f"d_{k}" for k, s in enumerate(signals)}
        below = Counter(n.args[1].index for n in self.order if n.kind == "divide" and not n.cheap)
        self._shared_below = {i for i, count in below.items() if count > 1}

    # ---- words ----

    def name(self, node: Node) -> str:
        """What a node is called."""
        if node.kind == "constant":
            return f"({node.value!r})"
        return f"v{node.index}" if node.args else self._of[node.name]

    def lines_for(self, node: Node) -> list[str]:
        """Compute one node; who divides often by the same divides once."""
        args = [self.name(a) for a in node.args]
        lines = []
        if node.kind == "divide" and node.args[1].index in self._shared_below:
            spelled = f"{args[0]} * i{node.args[1].index}"
        elif node.kind in _SIGNS:
            spelled = f" {_SIGNS[node.kind]} ".join(args)
        elif node.kind == "negative":
            spelled = f"-{args[0]}"
        else:
            spelled = f"math.{_NAMES.get(node.kind, node.kind)}({args[0]})"
        lines.append(f"{self.name(node)} = {spelled}")
        if node.index in self._shared_below and not node.cheap:
            lines.append(f"i{node.index} = 1.0 / {self.name(node)}")
        return lines

    # ---- functions ----

    def function(self, title: str, even: bool) -> str:
        """Return one of the two."""
        lines = [f"p_{k} = x[{k}]" for k in self.free.values()]
        lines += [f"q_{k} = number[{k}]" for k in range(len(self.numbers))]
        lines += [t for n in self.order if n.cheap and n.args for t in self.lines_for(n)]
        lines += self._loop(even)
        lines += self._sandwich(even)
        lines += self._priors()
        lines.append("return chi2")
        return f"def {title}({_ARGUMENTS}):\n" + "\n".join(f"    {line}" for line in lines)

    def _loop(self, even: bool) -> list[str]:
        """Sum the products of all signals over the points."""
        count = range(len(self.bases))
        lines = [f"shared_{k} = shared[{k}]" for k in range(len(self.shared))]
        lines += [f"own_{k} = own[{k}]" for k in range(len(self.own))]
        lines += [f"data_{k} = data[{k}]" for k in count]
        lines += [] if even else [f"weight_{k} = weight[{k}]" for k in count]
        lines += [f"{c} = 0.0" for k in count for c in _cells(k, self.bases[k])]
        body = [f"s_{k} = shared_{k}[m]" for k in range(len(self.shared))]
        body += [f"o_{k} = own_{k}[m]" for k in range(len(self.own))]
        body += [f"d_{k} = data_{k}[m]" for k in count]
        body += [t for n in self.order if not n.cheap and n.args for t in self.lines_for(n)]
        for k in count:
            body += self._products(k, even)
        return [*lines, "for m in range(data_0.size):", *(f"    {b}" for b in body)]

    def _products(self, k: int, even: bool) -> list[str]:
        signal, basis = self.expression.signals[k], self.bases[k]
        value = self.name(signal.value)
        rest = value if signal.within else f"{value} - d_{k}"
        names = [self.name(n) for n in basis.arrays]
        if even:
            lines, factors = [f"r_{k} = {rest}"], [*names, f"r_{k}"]
        else:
            lines = [f"w = weight_{k}[m]", f"r_{k} = ({rest}) * w"]
            lines += [f"b{k}_{i} = {n} * w" for i, n in enumerate(names)]
            factors = [*(f"b{k}_{i}" for i in range(len(names))), f"r_{k}"]
        return lines + [
            f"g{k}_{i}_{j} += {factors[i]} * {factors[j]}"
            for i in range(len(factors))
            for j in range(i + 1)
        ]

    def _sandwich(self, even: bool) -> list[str]:
        """Make normal equations of the products: A = U G Uᵀ, signal by signal."""
        p = len(self.free)
        lines = ["chi2 = 0.0"]
        sums: dict[str, list[str]] = {}
        for k, basis in enumerate(self.bases):
            q = len(basis.arrays)
            lines.append(f"z{k} = weight[{k}] * weight[{k}]" if even else f"z{k} = 1.0")
            lines.append(f"chi2 += z{k} * g{k}_{q}_{q}")
            for i, row in enumerate(basis.shares):
                if not row:
                    continue
                for m in range(q + 1):
                    half = " + ".join(f"{self.name(u)} * {_cell(k, a, m)}" for a, u in row)
                    lines.append(f"h{k}_{i}_{m} = z{k} * ({half})")
                sums.setdefault(f"slope[{i}]", []).append(f"h{k}_{i}_{q}")
                for j in range(i + 1):
                    place = f"matrix[{i * (i + 1) // 2 + j}]"
                    sums.setdefault(place, []).extend(
                        f"{self.name(u)} * h{k}_{i}_{a}" for a, u in basis.shares[j]
                    )
        every = [f"matrix[{n}]" for n in range(p * (p + 1) // 2)]
        every += [f"slope[{i}]" for i in range(p)]
        return [*lines, *(f"{place} = {' + '.join(sums.get(place, ['0.0']))}" for place in every)]

    def _priors(self) -> list[str]:
        """Add one datum per prior."""
        lines = []
        for off, own in self.expression.priors:
            used = [i for i, s in enumerate(own) if not s.equals(0)]
            names = [self.name(n) for n in own]
            lines.append(f"chi2 += {self.name(off)} * {self.name(off)}")
            for i in used:
                lines.append(f"slope[{i}] += {names[i]} * {self.name(off)}")
                lines += [
                    f"matrix[{i * (i + 1) // 2 + j}] += {names[i]} * {names[j]}"
                    for j in used
                    if j <= i
                ]
        return lines


def _cell(k: int, i: int, j: int) -> str:
    return f"g{k}_{max(i, j)}_{min(i, j)}"


def _cells(k: int, basis: Basis) -> list[str]:
    count = range(len(basis.arrays) + 1)
    return [_cell(k, i, j) for i in count for j in range(i + 1)]
