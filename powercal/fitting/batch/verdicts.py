"""What many fits determine: covariances, flat directions, and a status for every number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Derived
from powercal.fitting.batch.descent import CONVERGED, Found
from powercal.fitting.batch.problem import BatchProblem
from powercal.fitting.batch.rooms import straight_rooms
from powercal.fitting.batch.solver import Solved, full_matrix
from powercal.fitting.batch.steps import inverse_of, pseudo_inverse
from powercal.fitting.differences import stencil
from powercal.fitting.estimates import CONSTANT, FACTOR, HARDLY, NOT_AT_ALL
from powercal.fitting.identifiability import FLAT, analyse
from powercal.fitting.regions import LEVELS, ends

FloatArray = NDArray[np.float64]

STATUSES = ("ok", "upper_limit", "at_bound", "undetermined", "fixed", "no_error", "failed")
CODE = {name: code for code, name in enumerate(STATUSES)}
_DOUBTFUL = 1e-6  # smallest pivot below which flat directions are looked for
_IMPRECISE = 1e-9  # and below which the covariance is taken from the rows themselves
_TWO_SIDED = 1.96


@dataclass(frozen=True)
class Covariances:
    """Covariances in solver coordinates with what they rest on.

    Attributes
    ----------
    covariance : ndarray
        (fits, p, p), of determined directions.
    pivot : ndarray
        Smallest squared pivot of the scaled normal matrix.
    null : ndarray
        (fits, p, p): columns are flat directions, scaled; zero where there is none.
    size : ndarray
        Scale of every coordinate, (fits, p).
    rank : ndarray of int
        Number of determined directions.
    """

    covariance: FloatArray
    pivot: FloatArray
    null: FloatArray
    size: FloatArray
    rank: NDArray[np.intp]

    def determines(self, gradient: FloatArray) -> NDArray[np.bool_]:
        """Whether quantities with these gradients (fits, p) are constant along the valleys."""
        scaled = gradient / self.size
        length = np.linalg.norm(scaled, axis=1)
        along = np.linalg.norm(np.einsum("ni,nij->nj", scaled, self.null), axis=1)
        return np.asarray(along <= 1e-5 * length)


def covariances(problem: BatchProblem, found: Found) -> Covariances:
    """Invert the normal matrices; where that is imprecise, take the rows themselves."""
    p = len(problem.axes)
    matrix = full_matrix(found.matrix, p)
    good = np.asarray(np.isfinite(matrix).all(axis=(1, 2)) & np.isfinite(found.x).all(axis=1))
    matrix = np.where(good[:, None, None], matrix, np.eye(p))
    size = np.sqrt(np.einsum("nii->ni", matrix))
    size = np.where(size > 0, size, 1.0)
    scaled = matrix / (size[:, :, None] * size[:, None, :])
    pivot, inverse = _inverse(scaled)
    null = np.zeros_like(scaled)
    rank = np.full(problem.size, p)
    doubtful = np.flatnonzero(good & ~(pivot >= _DOUBTFUL))
    if doubtful.size:
        inverse[doubtful], null[doubtful], rank[doubtful] = pseudo_inverse(
            scaled[doubtful], FLAT**2
        )
    covariance = inverse / (size[:, :, None] * size[:, None, :])
    for i in np.flatnonzero(good & (pivot < _IMPRECISE) & (rank == p)):
        one = problem.one(int(i))
        start = one.start_from(
            dict(zip((a.name for a in problem.axes), problem.to_values(found.x[i]), strict=True))
        )
        exact = analyse(one.jacobian(start))
        # A single problem has other scales for the same coordinates: d(batch)/d(single).
        factor = one.slopes(start) / problem.slopes(found.x[i])
        covariance[i] = exact.covariance * np.outer(factor, factor)
    covariance[~good] = np.nan
    pivot = np.where(good, pivot, np.nan)
    return Covariances(covariance, pivot, null, size, np.where(good, rank, 0))


def _inverse(scaled: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return smallest pivots and inverses of matrices with unit diagonal."""
    p = scaled.shape[1]
    rows, pivot = inverse_of([[scaled[:, i, j] for j in range(i + 1)] for i in range(p)])
    inverse = np.empty_like(scaled)
    for i in range(p):
        for j in range(p):
            inverse[:, i, j] = rows[i][j]
    return pivot, inverse


@dataclass(frozen=True)
class Fitted:
    """One block after its fits.

    ``covariance`` has the scale of the noise in it, ``scale`` is what χ² counts in, ``freedom``
    the degrees of freedom, ``pull`` how far beyond bounds coordinates want to go.
    """

    problem: BatchProblem
    solved: Solved
    spread: Covariances
    covariance: FloatArray
    scale: FloatArray
    freedom: FloatArray
    pull: FloatArray

    @cached_property
    def bent(self) -> NDArray[np.bool_]:
        """Fits in which a rate is hardly known: there the valley of χ² bends."""
        variance = np.einsum("nii->ni", self.covariance)[:, self.problem.log]
        return np.asarray((variance > HARDLY**2).any(axis=1))

    def stretch(self, k: int) -> FloatArray:
        """How much larger a variance is because σ was estimated; Δχ² is measured in it."""
        plain = self.spread.covariance[:, k, k] * self.scale
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.maximum(np.nan_to_num(self.covariance[:, k, k] / plain, nan=1.0), 1.0)

    def rooms(self, k: int) -> tuple[FloatArray, FloatArray]:
        """Room of a coordinate below and above by the covariance, in standard deviations."""
        error = np.sqrt(np.maximum(self.covariance[:, k, k], 0.0))
        pull = self.pull / np.sqrt(self.stretch(k))[:, None]
        return straight_rooms(self.problem, self.solved.found.x[:, k], error, pull, k)


@dataclass(frozen=True)
class Quantity:
    """One parameter or derived quantity of all fits.

    ``value`` is NaN where nothing may be quoted, ``stderr`` wherever there is no trustworthy one;
    intervals are (fits, 2).
    """

    name: str
    unit: str
    meaning: str
    value: FloatArray
    stderr: FloatArray
    status: NDArray[np.int8]
    interval68: FloatArray
    interval95: FloatArray


def judge_parameters(fitted: Fitted, words: Mapping[str, tuple[str, str]]) -> list[Quantity]:
    """Give every free parameter a status, as a single fit with ``intervals="covariance"`` does.

    ``words`` are unit and meaning by name.
    """
    problem, found = fitted.problem, fitted.solved.found
    out = []
    for k, axis in enumerate(problem.axes):
        error = np.sqrt(np.maximum(fitted.covariance[:, k, k], 0.0))
        x = found.x[:, k]
        unit = np.zeros((problem.size, len(problem.axes)))
        unit[:, k] = 1.0
        status = np.zeros(problem.size, dtype=np.int8)
        regions, at_low, at_high = _regions(fitted, k)
        status[at_high] = CODE["at_bound"]
        status[at_low] = CODE["upper_limit"]
        status[at_low & at_high] = CODE["undetermined"]
        status = doubted(fitted, k, status, regions[95])
        status[~fitted.spread.determines(unit)] = CODE["undetermined"]
        status[fitted.freedom <= 0] = CODE["no_error"]
        status[_lost(found)] = CODE["failed"]
        value = _to_value(problem, k, x)
        stderr = error * (np.abs(value) if axis.log else 1.0)
        out.append(_quantity(axis.name, words, value, stderr, status, regions))
    return out


def _regions(
    fitted: Fitted, k: int
) -> tuple[dict[int, FloatArray], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return 68 % and 95 % regions by the covariance, and where the latter end on a bound."""
    problem, x = fitted.problem, fitted.solved.found.x[:, k]
    error = np.sqrt(np.maximum(fitted.covariance[:, k, k], 0.0))
    below, above = fitted.rooms(k)
    low, high = (bound[k] for bound in problem.bounds())
    found = {}
    for level in LEVELS:
        reach = ends(below, above, level)
        left = np.where(np.isnan(reach.low), low, np.maximum(x - reach.low * error, low))
        right = np.where(np.isnan(reach.high), high, np.minimum(x + reach.high * error, high))
        found[level] = _to_value(problem, k, np.stack([left, right], axis=1))
    return found, np.isnan(reach.low), np.isnan(reach.high)


def doubted(
    fitted: Fitted,
    k: int,
    status: NDArray[np.int8],
    interval95: FloatArray,
    who: slice | NDArray[np.intp] = slice(None),
) -> NDArray[np.int8]:
    """Take back error bars of rates hardly told from none, and numbers of rates of unknown size.

    What shares a bent valley with such a rate, a single fit explores from many starts; a batch does
    not, and says nothing. ``status`` and ``interval95`` are those of the fits ``who``.
    """
    axis, status = fitted.problem.axes[k], status.copy()
    lost = fitted.bent[who] & (axis.low == 0.0)
    if axis.log:
        error = np.sqrt(np.maximum(fitted.covariance[who, k, k], 0.0))
        hardly = error > HARDLY
        status[(status == CODE["ok"]) & hardly] = CODE["no_error"]
        wide = (error > NOT_AT_ALL) | (interval95[:, 1] > FACTOR * interval95[:, 0])
        lost = hardly & wide
    quoted = np.isin(status, [CODE[n] for n in ("ok", "no_error", "upper_limit", "at_bound")])
    status[quoted & lost] = CODE["undetermined"]
    return status


def _lost(found: Found) -> NDArray[np.bool_]:
    return np.asarray((found.outcome != CONVERGED) | ~np.isfinite(found.x).all(axis=1))


def _to_value(problem: BatchProblem, k: int, x: FloatArray) -> FloatArray:
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.exp(x)) if problem.axes[k].log else x.copy()


def _quantity(
    name: str,
    words: Mapping[str, tuple[str, str]],
    value: FloatArray,
    stderr: FloatArray,
    status: NDArray[np.int8],
    ends: Mapping[int, FloatArray],
) -> Quantity:
    """Blank what may not be quoted."""
    nothing = (status == CODE["undetermined"]) | (status == CODE["failed"])
    no_interval = nothing | (status == CODE["no_error"])
    return Quantity(
        name,
        *words[name],
        np.where(nothing, np.nan, value),
        np.where(status == CODE["ok"], stderr, np.nan),
        status,
        np.where(no_interval[:, None], np.nan, ends[68]),
        np.where(no_interval[:, None], np.nan, ends[95]),
    )


def judge_derived(fitted: Fitted, parameters: Sequence[Quantity]) -> list[Quantity]:
    """Carry the covariance, and the statuses of free parameters, to the derived quantities."""
    return [_derived(d, fitted, parameters) for d in fitted.problem.model.derived]


def _derived(d: Derived, fitted: Fitted, parameters: Sequence[Quantity]) -> Quantity:
    problem, found, spread = fitted.problem, fitted.solved.found, fitted.spread
    values: dict[str, Any] = dict(problem.fixed)
    points = problem.to_values(found.x)
    values |= {a.name: points[:, k] for k, a in enumerate(problem.axes)}
    with np.errstate(all="ignore"):
        value = np.array(
            np.broadcast_to(d.function(**{a: values[a] for a in d.arguments}), problem.size)
        )
        gradient = np.zeros((problem.size, len(problem.axes)))
        for k, axis in enumerate(problem.axes):
            if axis.name in d.arguments:
                gradient[:, k] = _slope(d, values, axis.name) * (points[:, k] if axis.log else 1.0)
        usable = np.isfinite(gradient).all(axis=1) & np.isfinite(value)
        safe = np.where(usable[:, None], gradient, 0.0)
        stderr = np.sqrt(np.maximum(np.einsum("ni,nij,nj->n", safe, fitted.covariance, safe), 0.0))
    status = np.zeros(problem.size, dtype=np.int8)
    status[~spread.determines(safe)] = CODE["undetermined"]
    status[~usable | (fitted.freedom <= 0)] = CODE["no_error"]
    _carry(status, safe, spread, parameters)
    if d.scale == "log":
        with np.errstate(divide="ignore", invalid="ignore"):
            share = stderr / np.abs(value)
        # Elsewhere it is linear numbers that make it uncertain, and no valley bends.
        status[(status == CODE["ok"]) & fitted.bent & (share > HARDLY)] = CODE["no_error"]
        status[(status == CODE["no_error"]) & (share > NOT_AT_ALL)] = CODE["undetermined"]
    status[stderr <= CONSTANT * np.abs(value)] = CODE["fixed"]
    status[_lost(found)] = CODE["failed"]
    ends = {
        level: _around(d, value, width * stderr) for level, width in ((68, 1.0), (95, _TWO_SIDED))
    }
    _carry_regions(ends, d, values, safe, fitted, parameters)
    value = np.where(np.isfinite(value), value, np.nan)
    return _quantity(d.name, {d.name: (d.unit, d.meaning)}, value, stderr, status, ends)


def _carry(
    status: NDArray[np.int8],
    gradient: FloatArray,
    spread: Covariances,
    parameters: Sequence[Quantity],
) -> None:
    """A quantity that rides on one parameter has its status (T_eff on n_th at its bound)."""
    for k, parameter in enumerate(parameters[: gradient.shape[1]]):
        rides, own = _rides(gradient, spread, k), parameter.status
        np.copyto(status, own, where=rides & (own != CODE["ok"]) & (status == CODE["ok"]))


def _rides(gradient: FloatArray, spread: Covariances, k: int) -> NDArray[np.bool_]:
    """Whether quantities depend on one coordinate alone, as far as the data can tell."""
    weight = np.abs(gradient) / spread.size
    return np.asarray(weight[:, k] > (1 - 1e-3) * weight.sum(axis=1))


def _carry_regions(
    regions: dict[int, FloatArray],
    d: Derived,
    values: Mapping[str, Any],
    gradient: FloatArray,
    fitted: Fitted,
    parameters: Sequence[Quantity],
) -> None:
    """Map the regions of the one parameter that a quantity rides on: they mind no new scale."""
    for k, axis in enumerate(fitted.problem.axes):
        rides = _rides(gradient, fitted.spread, k)
        if axis.name not in d.arguments or not rides.any():
            continue
        own = {68: parameters[k].interval68, 95: parameters[k].interval95}
        for level, region in own.items():
            arguments = {a: values[a] for a in d.arguments}
            with np.errstate(all="ignore"):
                mapped = [d.function(**arguments | {axis.name: region[:, i]}) for i in (0, 1)]
            pair = np.sort(np.stack([np.broadcast_to(m, rides.size) for m in mapped], 1), axis=1)
            regions[level] = np.where(rides[:, None], pair, regions[level])


def _around(d: Derived, value: FloatArray, width: FloatArray) -> FloatArray:
    with np.errstate(all="ignore"):
        if d.scale == "log":
            factor = np.exp(width / np.abs(value))
            return np.stack([value / factor, value * factor], axis=1)
        return np.stack([value - width, value + width], axis=1)


def _slope(d: Derived, values: Mapping[str, Any], name: str) -> FloatArray:
    """d(quantity)/d(parameter): by a complex step, or by differences where f will not take one."""
    arguments = {a: values[a] for a in d.arguments}
    at = np.asarray(arguments[name], dtype=float)
    h = 1e-25 * np.where(at != 0, np.abs(at), 1e-10)
    try:
        found = d.function(**{**arguments, name: at + 1j * h})
        if np.iscomplexobj(found):
            return np.asarray(np.imag(found) / h)
    except (TypeError, ZeroDivisionError):
        pass
    step = 1e-4 * np.where(at != 0, np.abs(at), 1e-6)
    return np.asarray(
        stencil(lambda k: (d.function(**{**arguments, name: at + k * step}),), step)[0]
    )
