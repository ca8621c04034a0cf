"""How well curve and data agree: χ² as a probability, runs of signs, points that stand apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.fitting.pieces import Block
from powercal.fitting.problem import Problem
from powercal.result import FitResult, Flag

FloatArray = NDArray[np.float64]
Indices = NDArray[np.intp]
UNLIKELY = 1e-3  # a fit without fault is flagged once in a thousand
_SHORTEST = 8  # points of a trace, below which neither runs nor spikes can be told
MOST_SPIKES = 0.1  # of a trace; more of them are not spikes, but another curve
_ALONE = 0.6  # of its own residual by which a spike must leave its neighbours' behind
_IN_A_ROW = 2  # spikes side by side; more of them are structure
_NO_NOISE = 1e-3  # residuals below this part of σ come from data without noise
_NAMED = 6

Residuals = list[tuple[Block, FloatArray]]


@dataclass(frozen=True, slots=True)
class Spikes:
    """Isolated points far from the curve: per observable their indices in the grid of the data."""

    points: Mapping[str, tuple[int, ...]]

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(map(len, self.points.values()))


# ---- residuals by point ----


def residuals(problem: Problem, x: FloatArray) -> Residuals:
    """Return every block with its studentised residuals, shape (quadratures, points).

    What errors common to many points explain is taken out, and each is divided by σ and by the
    root of what the parameters leave of its variance.
    """
    rows, used = problem.data.size, problem.jacobian(x)
    size = np.linalg.norm(used, axis=0)
    u, s, _ = np.linalg.svd(used / np.where(size > 0, size, 1.0), full_matrices=False)
    basis = u[:, s > 3e-7 * max(float(s.max(initial=0.0)), 1e-300)]
    leverage = np.sum(basis[:rows] ** 2, axis=1)
    if problem.common_basis is not None:
        leverage = leverage + np.sum(problem.common_basis[:rows] ** 2, axis=1)
    whitened = problem.residual(x)[:rows] / np.sqrt(np.maximum(1 - leverage, 0.1))
    out, offset = [], 0
    for block in problem.blocks:
        part = whitened[offset : offset + block.size]
        out.append((block, part.reshape(2 if block.complex else 1, -1)))
        offset += block.size
    return out


def _traces(block: Block) -> Iterator[tuple[int, Indices]]:
    for member in np.unique(block.trace):
        yield int(member), np.flatnonzero(block.trace == member)


# ---- runs ----


def runs_probability(signs: NDArray[np.bool_]) -> float:
    """Return the probability of so few runs of equal signs in a row of random order.

    Parameters
    ----------
    signs : ndarray of bool
        Whether each residual of a trace is positive, in the order of measurement.

    Returns
    -------
    float
        P(R ≤ runs), exact given how many are positive and negative (A. Wald and J. Wolfowitz,
        Ann. Math. Stat. 11, 147, 1940); 1 where all have one sign, which leaves nothing to order.
    """
    from scipy.special import gammaln

    plus, minus = int(signs.sum()), int((~signs).sum())
    if not plus or not minus:
        return 1.0
    runs = 1 + int(np.count_nonzero(signs[1:] != signs[:-1]))

    def ways(n: int, k: NDArray[Any]) -> FloatArray:
        """Return ln of the number of ways to cut n into k parts."""
        with np.errstate(all="ignore"):
            found = gammaln(n) - gammaln(k) - gammaln(n - k + 1)
        return np.where((k >= 1) & (k <= n), found, -np.inf)

    numbers = np.arange(2, runs + 1)
    half, odd = numbers // 2, numbers % 2 == 1
    even = np.log(2) + ways(plus, half) + ways(minus, half)
    uneven = np.logaddexp(
        ways(plus, half + 1) + ways(minus, half), ways(plus, half) + ways(minus, half + 1)
    )
    every = gammaln(plus + minus + 1) - gammaln(plus + 1) - gammaln(minus + 1)
    return float(min(np.exp(np.where(odd, uneven, even) - every).sum(), 1.0))


def _runs(every: Residuals) -> tuple[float, str, int, int]:
    """Return the least probability of all traces, where it is, and how many were looked at."""
    least, where, member, count = 1.0, "", 0, 0
    for block, r in every:
        for trace, mine in _traces(block):
            for quadrature in r[:, mine]:
                told = quadrature[quadrature != 0]
                if told.size < _SHORTEST or np.max(np.abs(told)) < _NO_NOISE:
                    continue
                count += 1
                least, where, member = min(
                    (least, where, member), (runs_probability(told > 0), block.name, trace)
                )
    return least, where, member, count


# ---- spikes ----


def find_spikes(every: Residuals) -> Spikes:
    """Find isolated points that stand apart from the curve and from their neighbours.

    Within each trace the farthest point is judged by the scatter of all others (F of both
    quadratures of complex data), set aside, and so on (B. Rosner, Technometrics 25, 165, 1983):
    no scale but that of the trace itself is needed, and one spike does not hide another. The
    levels are such that of a thousand fits of clean data one shows any.
    """
    found = {}
    total = max(sum(block.data.size for block, _ in every), 1)
    for block, r in every:
        spikes: list[int] = []
        for mine in _groups(block):
            if np.max(np.abs(r[:, mine]), initial=0.0) >= _NO_NOISE:
                apart = _outlying(r[:, mine], UNLIKELY / total)
                spikes += [int(i) for i in mine[_isolated(r[:, mine], apart)]]
        if spikes:
            found[block.name] = tuple(sorted(int(block.points[i]) for i in spikes))
    return Spikes(found)


def _groups(block: Block) -> Iterator[Indices]:
    """Give traces; where they are short and σ was given, all points of the observable together."""
    traces = [mine for _, mine in _traces(block)]
    if block.given_sigma and min(map(len, traces)) < _SHORTEST:
        traces = [np.arange(block.data.size)]
    yield from (mine for mine in traces if mine.size >= _SHORTEST)


def _outlying(r: FloatArray, level: float) -> Indices:
    """Return the points that are too far out, each at this level, farthest first."""
    from scipy.special import fdtrc

    quadratures, count = r.shape
    square = np.sum(r**2, axis=0)
    order = np.argsort(-square, kind="stable")[: max(int(MOST_SPIKES * count), 1)]
    rest, last = float(square.sum()), 0
    for k, i in enumerate(order, start=1):
        rest -= float(square[i])
        freedom = quadratures * (count - k)
        ratio = square[i] / quadratures / max(rest / freedom, 1e-300)
        if fdtrc(quadratures, freedom, ratio) < level:
            last = k
    return order[:last]


def _isolated(r: FloatArray, spikes: Indices) -> Indices:
    """Keep those whose neighbours lie at the curve: what moves together is structure."""
    out = np.zeros(r.shape[1], dtype=bool)
    out[spikes] = True
    kept = []
    for i in spikes:
        start = stop = int(i)
        while start > 0 and out[start - 1]:
            start -= 1
        while stop < out.size - 1 and out[stop + 1]:
            stop += 1
        near = [k for k in (start - 2, start - 1, stop + 1, stop + 2) if 0 <= k < out.size]
        level = np.mean(r[:, [k for k in near if not out[k]] or near], axis=1)
        step = np.linalg.norm(r[:, i] - level)
        if stop - start < _IN_A_ROW and step >= _ALONE * np.linalg.norm(r[:, i]):
            kept.append(int(i))
    return np.array(kept, dtype=np.intp)


# ---- what a result says of it ----


def goodness_of(
    result: FitResult, problem: Problem, every: Residuals, spikes: Spikes
) -> tuple[dict[str, float], tuple[Flag, ...]]:
    """Return the numbers of ``FitResult.goodness``, and flags where they are bad."""
    from scipy.special import chdtrc

    numbers: dict[str, float] = {}
    if result.nfree > 0 and all(b.given_sigma for b in problem.blocks):
        numbers["chi2_probability"] = float(chdtrc(result.nfree, result.chi2))
    least, name, member, count = _runs(every)
    flags: list[Flag] = []
    if count:
        numbers["runs_probability"] = min(least * count, 1.0)
        if numbers["runs_probability"] < UNLIKELY:
            flags.append(_runs_flag(name, member, least, count))
    numbers["spikes"] = float(spikes.count)
    return numbers, tuple(flags)


def _runs_flag(name: str, member: int, least: float, count: int) -> Flag:
    return Flag(
        name="runs",
        sentence=f"{name}: the residuals of trace {member} keep their sign for longer than chance "
        f"allows (probability {least:.1g}, the least of {count}); the model leaves structure "
        f"behind, which errors and probabilities take for noise",
    )


def spikes_flag(spikes: Spikes, problem: Problem) -> tuple[Flag, ...]:
    """Say how many points stand apart, and where; nothing was dropped."""
    return tuple(
        Flag(
            name="spikes",
            sentence=f"{_count(points)} of {name} {_stand(points)} apart from the curve and from "
            f"{_their(points)} neighbours ({_places(problem, points)}); nothing was dropped "
            f"(drop_spikes=True, --drop-spikes: fit without)",
        )
        for name, points in spikes.points.items()
    )


def dropped_flag(dropped: Mapping[str, tuple[int, ...]], problem: Problem) -> tuple[Flag, ...]:
    """Say which points were left out as spikes, as was asked for."""
    return tuple(
        Flag(
            name="dropped_spikes",
            sentence=f"{_count(points)} of {name} {_stand(points)} apart from the curve and from "
            f"{_their(points)} neighbours and {'was' if len(points) == 1 else 'were'} left out, "
            f"as asked ({_places(problem, points)})",
        )
        for name, points in dropped.items()
        if points
    )


def _count(points: tuple[int, ...]) -> str:
    return f"{len(points)} point{'' if len(points) == 1 else 's'}"


def _stand(points: tuple[int, ...]) -> str:
    return "stands" if len(points) == 1 else "stand"


def _their(points: tuple[int, ...]) -> str:
    return "its" if len(points) == 1 else "their"


def _places(problem: Problem, points: tuple[int, ...]) -> str:
    """Name points by the inputs that change over the data."""
    varied = [n for n in problem.model.inputs if np.ptp(problem.inputs[n]) > 0]

    def place(i: int) -> str:
        told = (f"{n} {problem.inputs[n][i]:.8g}" for n in varied)
        return ", ".join(told) or f"point {i}"

    named = "; ".join(place(i) for i in points[:_NAMED])
    more = len(points) - _NAMED
    return f"{named}; {more} more" if more > 0 else named
