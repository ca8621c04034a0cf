"""Many fits of one model as arrays: the problem that every batch solver shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Model
from powercal.fitting.pieces import Block, Coordinate, Prior
from powercal.fitting.problem import Problem

FloatArray = NDArray[np.float64]
Array = NDArray[Any]


@dataclass(frozen=True)
class Observed:
    """One observable of all fits.

    Attributes
    ----------
    name, index : str, int
        The schema word, and its place in what the curve returns.
    data : ndarray
        (fits, points), real or complex; NaN where nothing was measured.
    sigma : ndarray or None
        Standard deviation (of each quadrature): (fits, 1) one per fit, or (fits, points) or
        (1, points). None: unknown and the same at all points of a fit.
    given : bool
        Whether σ comes with the data (else it is estimated from residuals).
    """

    name: str
    index: int
    data: Array
    sigma: FloatArray | None
    given: bool


@dataclass(frozen=True)
class Axis:
    """One free parameter: ``log`` for those whose logarithm is the solver's coordinate."""

    name: str
    log: bool
    low: float
    high: float


@dataclass(frozen=True)
class InputError:
    """Errors of one input: which measured value every point uses, and the σ of these values.

    ``element`` is (points,), ``sigma`` (fits or 1, elements) in SI.
    """

    name: str
    element: NDArray[np.intp]
    sigma: FloatArray

    def of(self, rows: NDArray[np.intp]) -> FloatArray:
        """Return σ of some fits, (fits, elements)."""
        if self.sigma.shape[0] == 1:
            return np.broadcast_to(self.sigma, (rows.size, self.sigma.shape[1]))
        return self.sigma[rows]


@dataclass(frozen=True)
class Modes:
    """What errors common to many points do to weighted rows, to be marginalised.

    ``columns`` is (fits, rows, errors): rows of all observables behind each other, complex ones
    as real, then imaginary parts; one standard deviation of each error, in units of the rows' σ.
    """

    columns: FloatArray

    @cached_property
    def root(self) -> FloatArray:
        """Inverse of the Cholesky factor of 1 + UᵀU, (fits, errors, errors)."""
        u = self.columns
        gram = np.swapaxes(u, 1, 2) @ u + np.eye(u.shape[2])
        return np.asarray(np.linalg.inv(np.linalg.cholesky(gram)))

    def explained(self, rows: FloatArray, at: NDArray[np.intp]) -> FloatArray:
        """Return L⁻¹Uᵀ·rows of some fits; its square is what the errors take off the rows'."""
        return np.asarray(self.root[at] @ (np.swapaxes(self.columns[at], 1, 2) @ rows))

    def amplitudes(self, rest: FloatArray) -> FloatArray:
        """Return the amplitudes (1 + UᵀU)⁻¹Uᵀ·rest that fit best."""
        half = self.explained(rest[:, :, None], np.arange(rest.shape[0]))
        return np.asarray((np.swapaxes(self.root, 1, 2) @ half)[:, :, 0])

    def take(self, index: NDArray[np.intp]) -> Modes:
        """Return those of some fits."""
        return Modes(self.columns[index])


@dataclass(frozen=True)
class BatchProblem:
    """Fits of one model to many data of one shape.

    Attributes
    ----------
    model : Model
        Configured.
    inputs : mapping of ndarray
        (1, points), (fits, 1) or (fits, points) per input of the curve.
    observed : tuple of Observed
        The data.
    axes : tuple of Axis
        The free parameters.
    start : ndarray
        (fits, parameters) in SI; NaN where there is none.
    fixed : mapping
        Held parameters, one number for all fits or one per fit.
    priors : tuple of Prior
        As in a single fit; mean and standard deviation are one number for all fits or one each.
    attenuation, gain, referenced : bool
        Which nuisance parameters of the line act, as in :class:`Problem`.
    power_observables : tuple of bool
        Which of the model's observables the gain acts on.
    rows : ndarray of int or None
        The row (along a frequency axis, say) of every point: σ is estimated per row.
    each : frozenset of str or None
        Inputs that every fit has for itself, also where there is one fit; None: by their shapes.
    input_errors : tuple of InputError
        Errors of inputs, to be marginalised.
    modes : Modes or None
        Their effect about the present inputs.
    """

    model: Model
    inputs: Mapping[str, FloatArray]
    observed: tuple[Observed, ...]
    axes: tuple[Axis, ...]
    start: FloatArray
    fixed: Mapping[str, float | FloatArray] = field(default_factory=dict)
    priors: tuple[Prior, ...] = ()
    attenuation: bool = False
    gain: bool = False
    referenced: bool = False
    power_observables: tuple[bool, ...] = ()
    rows: NDArray[np.intp] | None = None
    each: frozenset[str] | None = None
    input_errors: tuple[InputError, ...] = ()
    modes: Modes | None = None

    def is_shared(self, name: str) -> bool:
        """Whether an input is the same for all fits; a lone fit's own looks as if it were."""
        return name not in self.each if self.each is not None else self.inputs[name].shape[0] == 1

    @property
    def size(self) -> int:
        """Number of fits."""
        return int(self.observed[0].data.shape[0])

    @property
    def points(self) -> int:
        """Number of points of one fit."""
        return int(self.observed[0].data.shape[1])

    @property
    def log(self) -> NDArray[np.bool_]:
        """Which coordinates are logarithms."""
        return np.array([a.log for a in self.axes])

    def to_coordinates(self, values: FloatArray) -> FloatArray:
        """Return the solver's coordinates of SI values (…, parameters)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.log, np.log(np.where(self.log, values, 1.0)), values)

    def to_values(self, coordinates: FloatArray) -> FloatArray:
        """Return the SI values of coordinates (…, parameters)."""
        with np.errstate(over="ignore"):
            return np.where(self.log, np.exp(np.where(self.log, coordinates, 0.0)), coordinates)

    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """Return lower and upper bounds in coordinates."""
        low = self.to_coordinates(np.array([a.low for a in self.axes]))
        high = self.to_coordinates(np.array([a.high for a in self.axes]))
        return low, high

    def slopes(self, coordinates: FloatArray) -> FloatArray:
        """Return d(SI value)/d(coordinate)."""
        return np.where(self.log, self.to_values(coordinates), 1.0)

    def fixed_of(self, index: int) -> dict[str, float]:
        """Return the held parameters of one fit."""
        return {k: float(np.broadcast_to(v, (self.size,))[index]) for k, v in self.fixed.items()}

    def named(self) -> dict[str, float | FloatArray]:
        """Return all numbers that are held, one for all fits or one per fit, by kind and name."""
        found: dict[str, float | FloatArray] = {f"p:{n}": v for n, v in self.fixed.items()}
        for name, v in self.inputs.items():
            if v.shape[1] == 1 and self.points > 1:
                found[f"a:{name}"] = v[:, 0] if v.shape[0] > 1 else float(v[0, 0])
        for p in self.priors:
            found |= {f"mean:{p.name}": p.mean, f"std:{p.name}": p.std}
        return found

    def priors_of(self, index: int) -> tuple[Prior, ...]:
        """Return the priors of one fit."""

        def own(p: Prior) -> Prior:
            mean, std = (float(np.broadcast_to(v, (self.size,))[index]) for v in (p.mean, p.std))
            return replace(p, mean=mean, std=std, partner=p.partner and own(p.partner))

        return tuple(own(p) for p in self.priors)

    def take(self, index: NDArray[np.intp]) -> BatchProblem:
        """Return some of the fits (an index may come twice)."""
        one = {n: v if v.shape[0] == 1 else v[index] for n, v in self.inputs.items()}
        seen = tuple(
            replace(
                o,
                data=o.data[index],
                sigma=o.sigma if o.sigma is None or o.sigma.shape[0] == 1 else o.sigma[index],
            )
            for o in self.observed
        )

        def of(value: Any) -> Any:
            return value if np.ndim(value) == 0 else np.asarray(value)[index]

        def own(p: Prior) -> Prior:
            return replace(p, mean=of(p.mean), std=of(p.std), partner=p.partner and own(p.partner))

        return replace(
            self,
            inputs=one,
            each=frozenset(n for n in self.inputs if not self.is_shared(n)),
            observed=seen,
            start=self.start[index],
            fixed={k: of(v) for k, v in self.fixed.items()},
            priors=tuple(own(p) for p in self.priors),
            input_errors=tuple(
                e if e.sigma.shape[0] == 1 else replace(e, sigma=e.sigma[index])
                for e in self.input_errors
            ),
            modes=None if self.modes is None else self.modes.take(index),
        )

    def holding(self, name: str, values: FloatArray) -> BatchProblem:
        """Return the problem with one parameter held, at one value per fit."""
        kept = [k for k, a in enumerate(self.axes) if a.name != name]
        return replace(
            self,
            axes=tuple(self.axes[k] for k in kept),
            start=self.start[:, kept],
            fixed={**self.fixed, name: values},
        )

    def one(self, index: int) -> Problem:
        """Return one of the fits as the problem that :mod:`lmfit` and single fits solve."""
        shape = (self.points,)
        inputs = {
            n: np.array(np.broadcast_to(v[index if v.shape[0] > 1 else 0], shape))
            for n, v in self.inputs.items()
        }
        usable = np.all([np.isfinite(v) for v in inputs.values()], axis=0)
        row = np.zeros(shape, dtype=np.intp) if self.rows is None else self.rows
        blocks = []
        for o in self.observed:
            sigma = np.ones(shape)
            if o.sigma is not None:
                own = o.sigma[index if o.sigma.shape[0] > 1 else 0]
                sigma = np.array(np.broadcast_to(own, shape))
            keep = np.isfinite(o.data[index]) & usable & np.isfinite(sigma)
            blocks.append(
                Block(
                    name=o.name,
                    index=o.index,
                    points=np.flatnonzero(keep),
                    data=o.data[index][keep],
                    sigma=sigma[keep],
                    trace=row[keep],
                    given_sigma=o.given,
                )
            )
        return Problem(
            model=self.model,
            inputs=inputs,
            blocks=tuple(blocks),
            coordinates=tuple(self._coordinate(k, index) for k in range(len(self.axes))),
            fixed=self.fixed_of(index),
            priors=self.priors_of(index),
            attenuation=self.attenuation,
            gain=self.gain,
            referenced=self.referenced,
            power_observables=self.power_observables,
            modes=None if self.modes is None else self._own_modes(index, blocks),
        )

    def _own_modes(self, index: int, blocks: list[Block]) -> FloatArray:
        """Return the modes of one fit in units of its data, without the rows it lacks."""
        assert self.modes is not None
        parts, at = [], 0
        for b in blocks:
            for _ in range(2 if b.complex else 1):
                rows = self.modes.columns[index, at + b.points]
                parts.append(rows * b.sigma[:, None])
                at += self.points
        return np.concatenate(parts)

    def _coordinate(self, k: int, index: int) -> Coordinate:
        axis, start = self.axes[k], float(self.start[index, k])
        start = start if np.isfinite(start) else 1.0
        return Coordinate(
            name=axis.name,
            parameter=axis.name,
            member=None,
            low=axis.low,
            high=axis.high,
            log=axis.log,
            origin=0.0 if axis.log else start,
            scale=start if axis.log else abs(start) or 1.0,
        )
