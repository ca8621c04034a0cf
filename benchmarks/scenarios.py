"""Seeded data of the scenarios A to F with the problems that all engines are given.

A, B, C and D are in units that keep all numbers near one (rad/µs); E and F are built-in models in
SI (:mod:`benchmarks.scenarios_si`). Rates spread over three decades, noise is 1 % of the peak, one
trace in ten has gaps, everything but the transition is bounded. What is made does not depend on how
many traces are made: a block of traces has its own seed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import starts
from benchmarks.scenario_models import ABSORBED, JOINT, absorbed_power, population
from powercal.contracts import Model
from powercal.fitting.batch.problem import Axis, BatchProblem, Observed
from powercal.fitting.pieces import Prior

FloatArray = NDArray[np.float64]
BLOCK = 250
Range = tuple[float, float]


@dataclass(frozen=True)
class Block:
    """Some traces: every array has them first.

    ``data`` and ``sigma`` are per observable, (rows, points) and (rows,). ``start`` and ``truth``
    are by parameter; ``prior`` holds means by parameter; ``origin`` and ``scale`` make comfortable
    numbers of a parameter for peers, value = origin + scale·number (0 and 1 if not named).
    """

    inputs: dict[str, NDArray[Any]]
    data: tuple[NDArray[Any], ...]
    sigma: tuple[FloatArray, ...]
    truth: dict[str, FloatArray]
    start: dict[str, FloatArray]
    prior: dict[str, FloatArray] = dataclasses.field(default_factory=dict)
    origin: dict[str, FloatArray] = dataclasses.field(default_factory=dict)
    scale: dict[str, FloatArray] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """How a scenario is made.

    Attributes
    ----------
    saturation, occupation, noise, half_span : (float, float)
        Ranges, logarithmic: s on resonance (at unit power), n_th, noise over peak, and half the
        axis over the power-broadened half width.
    cold : float
        Share of the traces with n_th = 0, on its bound.
    gaps : (float, float)
        Share of the traces with gaps, and the largest share of their points (uniform below it
        where ``any_gaps``).
    prior : float
        Relative standard deviation of what is known of the drive; 0 for nothing.
    per_point : bool
        Whether σ is given for every point, or once per trace.
    """

    name: str
    what: str
    model: Callable[[], Model]
    observables: tuple[str, ...]
    free: tuple[str, ...]
    block: Callable[[Recipe, np.random.Generator, int], Block]
    points: int = 201
    levels: tuple[float, ...] = (1.0,)
    saturation: Range = (0.05, 50.0)
    occupation: Range = (0.02, 0.02)
    cold: float = 0.0
    noise: Range = (0.01, 0.01)
    half_span: Range = (4.0, 10.0)
    gaps: Range = (0.1, 0.03)
    any_gaps: bool = False
    prior: float = 0.0
    per_point: bool = False
    base: str = "lmfit Model.fit"


@dataclass(frozen=True)
class Scenario:
    """A recipe made: the problem, and what the peers and the tests need besides."""

    recipe: Recipe
    problem: BatchProblem
    truth: FloatArray
    origin: FloatArray
    scale: FloatArray

    def head(self, traces: int) -> Scenario:
        """Return the first traces."""
        few = np.arange(traces)
        return Scenario(
            self.recipe,
            self.problem.take(few),
            *(v[few] for v in (self.truth, self.origin, self.scale)),
        )

    def other_weights(self) -> Scenario:
        """Return the same with σ per point where it was per trace, and the other way round."""
        p = self.problem
        shape = (p.size, p.points)

        def other(sigma: FloatArray) -> FloatArray:
            return sigma[:, :1].copy() if self.recipe.per_point else np.broadcast_to(sigma, shape)

        seen = tuple(replace(o, sigma=np.array(other(o.sigma))) for o in p.observed)
        recipe = replace(self.recipe, per_point=not self.recipe.per_point)
        return replace(self, recipe=recipe, problem=replace(p, observed=seen))


# ---- scenarios A to D ----


def log_uniform(rng: np.random.Generator, span: Range, rows: int) -> FloatArray:
    return np.exp(rng.uniform(np.log(span[0]), np.log(span[1]), rows))


def make_gaps(
    rng: np.random.Generator, data: NDArray[Any], gaps: Range, any_gaps: bool = False
) -> None:
    """Blank some points of some traces, as :class:`Recipe` says."""
    who = rng.random(len(data)) < gaps[0]
    share = np.full(len(data), gaps[1])
    if any_gaps:
        share *= rng.random(len(data))
    data[who[:, None] & (rng.random(data.shape) < share[:, None])] = np.nan


def measured(
    rng: np.random.Generator, recipe: Recipe, noise: FloatArray, curves: Iterable[FloatArray]
) -> tuple[list[FloatArray], list[FloatArray]]:
    """Return data with gaps, and σ: power's is relative to its peak, the population's is not."""
    data, sigma = [], []
    for k, y in enumerate(curves):
        sigma.append(noise * (1.0 if k else y.max(axis=1)))
        data.append(y + rng.standard_normal(y.shape) * sigma[k][:, None])
        make_gaps(rng, data[k], recipe.gaps, recipe.any_gaps)
    return data, sigma


def grid(levels: FloatArray, axis: FloatArray) -> dict[str, FloatArray]:
    """Return the inputs of every point where each trace has all levels, one after the other."""
    return {
        "incident_power": np.repeat(levels, axis.shape[1])[None],
        "frequency": np.tile(axis, (1, levels.size)),
    }


def draw(recipe: Recipe, rng: np.random.Generator, rows: int) -> dict[str, FloatArray]:
    """Return parameters of qubits (rad/µs) with half the axis they are seen on."""
    gamma_1 = 2 * np.pi * log_uniform(rng, (5e-3, 5.0), rows)
    gamma_2 = gamma_1 * log_uniform(rng, (0.5, 3.0), rows)
    s = log_uniform(rng, recipe.saturation, rows)
    n_th = log_uniform(rng, recipe.occupation, rows)
    n_th[rng.random(rows) < recipe.cold] = 0.0
    width = gamma_2 * np.sqrt(1 + s)
    return {
        "gamma_1": gamma_1,
        "gamma_2": gamma_2,
        "drive": s * gamma_1 * gamma_2 * (1 + 2 * n_th),
        "centre": width * rng.uniform(-0.5, 0.5, rows),
        "n_th": n_th,
        "half": width * log_uniform(rng, recipe.half_span, rows),
    }


def _driven(recipe: Recipe, rng: np.random.Generator, rows: int) -> Block:
    """Make absorbed power, with the population where n_th is free."""
    truth = draw(recipe, rng, rows)
    axis = truth.pop("half")[:, None] * np.linspace(-1, 1, recipe.points)
    levels = np.array(recipe.levels)
    values = {n: v[:, None, None] for n, v in truth.items()}
    noise = log_uniform(rng, recipe.noise, rows)
    curves = (absorbed_power, population)[: len(recipe.observables)]
    shown = (c(levels[None, :, None], axis[:, None], **values).reshape(rows, -1) for c in curves)
    data, sigma = measured(rng, recipe, noise, shown)
    known, prior = truth["drive"], {}
    if recipe.prior:
        known = known * (1 + recipe.prior * rng.standard_normal(rows))
        prior = {"drive": known}
    one_level = {"incident_power": levels[None], "frequency": axis}
    inputs = grid(levels, axis) if levels.size > 1 else one_level
    start = _start(recipe, axis, data, known, truth["n_th"])
    return Block(inputs, tuple(data), tuple(sigma), truth, start, prior)


def _start(
    recipe: Recipe, axis: FloatArray, data: list[FloatArray], drive: FloatArray, n_th: FloatArray
) -> dict[str, FloatArray]:
    if len(data) > 1:
        return starts.with_population(axis, data[0], data[1])
    if len(recipe.levels) > 1:
        grid = data[0].reshape(len(axis), len(recipe.levels), -1)
        return starts.many_powers(axis, grid, np.array(recipe.levels), n_th)
    return starts.one_power(axis, data[0], drive, n_th)


def make(recipe: Recipe, traces: int, seed: int = 1) -> Scenario:
    """Make so many traces of a scenario, block by block into arrays of the final size."""
    whole: Any = None
    for first in range(0, traces, BLOCK):
        block = recipe.block(recipe, np.random.default_rng([seed, first // BLOCK]), BLOCK)
        whole = whole or _map(lambda v: _room(v, traces), block)
        rows = slice(first, min(first + BLOCK, traces))
        _map(partial(_put, rows), whole, block)
    return _scenario(recipe, whole, traces)


def _room(part: NDArray[Any], traces: int) -> NDArray[Any]:
    """Return room for all traces, unless all share the one row."""
    return part if len(part) == 1 else np.empty((traces, *part.shape[1:]), part.dtype)


def _put(rows: slice, whole: NDArray[Any], part: NDArray[Any]) -> None:
    if len(part) > 1:
        whole[rows] = part[: rows.stop - rows.start]


def _map(function: Callable[..., Any], *blocks: Block) -> Block:
    """Apply a function to all arrays of blocks."""
    found: dict[str, Any] = {}
    for entry in dataclasses.fields(Block):
        parts = [getattr(b, entry.name) for b in blocks]
        if isinstance(parts[0], dict):
            found[entry.name] = {n: function(*(p[n] for p in parts)) for n in parts[0]}
        else:
            found[entry.name] = tuple(function(*v) for v in zip(*parts, strict=True))
    return Block(**found)


def _scenario(recipe: Recipe, block: Block, traces: int) -> Scenario:
    model = recipe.model()
    rows = [model.parameter(n) for n in recipe.free]
    observed = []
    for name, y, sigma in zip(recipe.observables, block.data, block.sigma, strict=True):
        s = np.repeat(sigma[:, None], y.shape[1] if recipe.per_point else 1, axis=1)
        observed.append(Observed(name, model.observables.index(name), y, s, True))
    problem = BatchProblem(
        model=model,
        inputs=block.inputs,
        observed=tuple(observed),
        axes=tuple(Axis(r.name, r.scale == "log", r.min, r.max) for r in rows),
        start=np.stack([block.start[n] for n in recipe.free], axis=-1),
        fixed={
            r.name: _one_or_all(block.truth[r.name])
            for r in model.parameters
            if r.name not in recipe.free
        },
        priors=tuple(Prior(n, m, recipe.prior * m) for n, m in block.prior.items()),
        power_observables=(False,) * len(model.observables),
    )

    def table(of: dict[str, FloatArray], otherwise: float) -> FloatArray:
        plain = np.full(traces, otherwise)
        return np.stack([of.get(n, plain) for n in recipe.free], axis=-1)

    return Scenario(
        recipe, problem, table(block.truth, np.nan), table(block.origin, 0), table(block.scale, 1)
    )


def _one_or_all(values: FloatArray) -> float | FloatArray:
    """Return the one number that all traces share, or one per trace."""
    return float(values[0]) if (values == values[0]).all() else values


_FOUR = ("gamma_1", "gamma_2", "drive", "centre")
_A = Recipe(
    "A",
    "one power, drive known",
    lambda: ABSORBED,
    ("absorbed_power",),
    ("gamma_1", "gamma_2", "centre"),
    _driven,
)
_B = replace(
    _A,
    name="B",
    what="one power, drive known to 5 %",
    free=_FOUR,
    prior=0.05,
    saturation=(0.5, 50.0),
    base="lmfit Minimizer",
)
RECIPES = {
    "A": _A,
    "B": _B,
    "Bhard": replace(_B, name="Bhard", what="as B, weak drives too", saturation=(0.05, 50.0)),
    "C": replace(_A, name="C", what="11 powers", free=_FOUR, points=101, saturation=(0.5, 2.0),
                 half_span=(4.0, 8.0), levels=tuple(np.logspace(-1.3, 1.4, 11))),
    "D": replace(_A, name="D", what="with the population", model=lambda: JOINT,
                 observables=("absorbed_power", "excited_population"),
                 free=(*_FOUR, "n_th"), saturation=(0.2, 20.0), occupation=(0.01, 0.5),
                 per_point=True),
}  # fmt: skip
