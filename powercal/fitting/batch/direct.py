"""χ², gradient and normal matrix from a model's own derivatives, where its curve is no expression.

What cannot be traced (a steady state solved as a linear system, a Faddeeva function) still gives
arrays for many fits at once: by the model's exact ``jacobian``, or by central differences of fourth
order if it has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Derivatives
from powercal.fitting.batch.evaluate import place, tile_rows
from powercal.fitting.batch.problem import BatchProblem
from powercal.fitting.batch.products import inner
from powercal.fitting.differences import stencil
from powercal.fitting.pieces import Prior
from powercal.fitting.problem import DECIBEL

FloatArray = NDArray[np.float64]
Array = NDArray[Any]


class DirectEvaluator:
    """The evaluator of curves that come with arrays of derivatives, or with none.

    Parameters
    ----------
    problem : BatchProblem
        The fits.
    slots : int
        How many of them are held at a time.
    """

    def __init__(self, problem: BatchProblem, slots: int) -> None:
        self.problem, self.parameters = problem, len(problem.axes)
        self._row = np.zeros(slots, dtype=np.intp)
        self._count, self._size = np.zeros(slots), np.zeros(slots)
        self.tile = max(1, tile_rows(problem.points) // 4)

    # ---- slots: which fit is where ----

    def load(self, slots: NDArray[np.intp], rows: slice) -> None:
        """Put fits into slots."""
        self._row[slots] = np.arange(rows.start, rows.stop)
        count, size = np.zeros(slots.size), np.zeros(slots.size)
        for k in range(len(self.problem.observed)):
            values, weight = self.data(k, self._row[slots])
            count += (weight > 0).sum(axis=1) * (2 if np.iscomplexobj(values) else 1)
            size += (np.abs(values * weight) ** 2).sum(axis=1)
        self._count[slots], self._size[slots] = count, size

    def move(self, target: NDArray[np.intp], source: NDArray[np.intp]) -> None:
        """Move fits between slots."""
        for array in (self._row, self._count, self._size):
            array[target] = array[source]

    def counts(self) -> tuple[FloatArray, FloatArray]:
        """Return the number of data and their weighted square of every slot."""
        return self._count, self._size

    # ---- numbers ----

    def _inputs(self, rows: NDArray[np.intp]) -> list[FloatArray]:
        found = []
        for name in self.problem.model.inputs:
            array = self.problem.inputs[name]
            own = array if array.shape[0] == 1 else array[rows]
            found.append(np.where(np.isfinite(own), own, np.nanmean(own)))
        return found

    def data(self, k: int, rows: NDArray[np.intp]) -> tuple[Array, FloatArray]:
        """Return data and 1/σ, zero where nothing was measured."""
        observed = self.problem.observed[k]
        values, keep = observed.data[rows], np.isfinite(observed.data[rows])
        for array in self.problem.inputs.values():
            keep = keep & np.isfinite(array if array.shape[0] == 1 else array[rows])
        sigma = np.ones((1, 1)) if observed.sigma is None else observed.sigma
        own = sigma if sigma.shape[0] == 1 else sigma[rows]
        return np.where(keep, values, 0.0), np.where(keep, 1 / own, 0.0)

    def _values(self, trial: FloatArray, rows: NDArray[np.intp]) -> dict[str, Any]:
        """Return all parameters in SI, one column per fit."""
        values = self.problem.to_values(trial.T)
        named: dict[str, Any] = {
            a.name: values[:, k : k + 1] for k, a in enumerate(self.problem.axes)
        }
        for name, held in self.problem.fixed.items():
            named[name] = held if np.ndim(held) == 0 else np.asarray(held)[rows, None]
        return named

    def rows(
        self, trial: FloatArray, rows: NDArray[np.intp]
    ) -> list[tuple[Array, list[Array], Array, FloatArray]]:
        """Return per observable curve, derivatives by coordinates, data and 1/σ of some fits."""
        problem = self.problem
        inputs, named, _, gain = self._arguments(trial, rows)
        curves = problem.model.curve(*inputs, **named)
        tables = self._tables(inputs, named)
        slopes = problem.slopes(trial.T)
        out = []
        for k, o in enumerate(problem.observed):
            factor = gain if problem.power_observables[o.index] else 1.0
            data, weight = self.data(k, rows)
            curve = np.broadcast_to(curves[o.index] * factor, data.shape)
            columns = [
                self._column(a.name, tables[o.index], curve, inputs, factor) * slopes[:, j : j + 1]
                for j, a in enumerate(problem.axes)
            ]
            out.append((curve, columns, data, weight))
        return out

    def _arguments(
        self, trial: FloatArray, rows: NDArray[np.intp]
    ) -> tuple[list[FloatArray], dict[str, Any], Any, Any]:
        """Return what the curve is called with at the device, and what the line does to powers."""
        problem, values = self.problem, self._values(trial, rows)
        loss = np.exp(-DECIBEL * values["attenuation_db"]) if problem.attenuation else 1.0
        gain = np.exp(DECIBEL * values["gain_db"]) if problem.gain else 1.0
        gain = 1 / loss if problem.referenced else gain
        inputs = [
            v * loss if n == "incident_power" else v
            for n, v in zip(problem.model.inputs, self._inputs(rows), strict=True)
        ]
        return inputs, {p.name: values[p.name] for p in problem.model.parameters}, loss, gain

    def input_slopes(
        self, trial: FloatArray, rows: NDArray[np.intp], names: Sequence[str]
    ) -> dict[str, list[Array]]:
        """Return per input and observable the weighted derivative by the recorded input."""
        inputs, named, loss, gain = self._arguments(trial, rows)
        with np.errstate(all="ignore"):
            tables = self._tables(inputs, named, names)
        out: dict[str, list[Array]] = {}
        for name in names:
            chain = loss if name == "incident_power" else 1.0
            out[name] = []
            for k, o in enumerate(self.problem.observed):
                data, weight = self.data(k, rows)
                factor = gain if self.problem.power_observables[o.index] else 1.0
                slope = tables[o.index].get(name, 0.0) * chain * factor
                # A slope of zero is real, also beside complex data.
                out[name].append((np.zeros_like(data) + slope) * weight)
        return out

    def rest(self, trial: FloatArray, rows: NDArray[np.intp]) -> FloatArray:
        """Return weighted (curve − data) of some fits, complex ones as two parts."""
        with np.errstate(all="ignore"):
            found = self.rows(trial, rows)
        return np.concatenate([_stacked((curve - data) * w) for curve, _, data, w in found], axis=1)

    def _column(
        self,
        name: str,
        table: Mapping[str, Array],
        curve: Array,
        inputs: list[FloatArray],
        factor: Any,
    ) -> Any:
        """Return the derivative by one parameter, the line's nuisances included."""
        problem = self.problem
        if name == "gain_db" and problem.gain and not problem.referenced:
            return DECIBEL * curve if np.ndim(factor) else 0.0 * curve
        if name == "attenuation_db" and problem.attenuation:
            power = inputs[problem.model.inputs.index("incident_power")]
            column = -DECIBEL * power * table.get("incident_power", 0.0) * factor
            return column + DECIBEL * curve if problem.referenced and np.ndim(factor) else column
        return table.get(name, 0.0) * factor + np.zeros_like(curve)

    def _tables(
        self, inputs: list[FloatArray], named: Mapping[str, Any], by: Sequence[str] = ()
    ) -> Derivatives:
        """Return derivatives by parameters and inputs, from the model or by differences."""
        model = self.problem.model
        wanted = {*by, *(("incident_power",) if self.problem.attenuation else ())}
        tables = self._by_parameters(inputs, named)
        for name in (n for n in model.inputs if n in wanted):
            if not all(name in t for t in tables):
                self._add_input(tables, name, inputs, named)
        return tables

    def _by_parameters(self, inputs: list[FloatArray], named: Mapping[str, Any]) -> Derivatives:
        model = self.problem.model
        if model.jacobian is not None:
            return tuple(dict(t) for t in model.jacobian(*inputs, **named))
        tables: tuple[dict[str, Array], ...] = tuple({} for _ in model.observables)
        for axis in self.problem.axes:
            if axis.name not in named:
                continue
            row = model.parameter(axis.name)
            size = np.abs(named[axis.name])
            step = 1e-3 * np.where(size > 0, size, abs(row.example) or 1.0)
            self._add_slope(tables, axis.name, step, inputs, named)
        return tables

    def _add_input(
        self, tables: Derivatives, name: str, inputs: list[FloatArray], named: Mapping[str, Any]
    ) -> None:
        """Add what the model does not say of an input; what it does say is exact, and stays."""
        i = self.problem.model.inputs.index(name)
        span = np.ptp(inputs[i]) / 20 if name == "frequency" else 0.0
        step = 1e-3 * (span or np.abs(inputs[i])) + 1e-12 * np.max(np.abs(inputs[i])) + 1e-300

        def shifted(k: float) -> Any:
            moved = [v + k * step if j == i else v for j, v in enumerate(inputs)]
            return self.problem.model.curve(*moved, **named)

        for table, slope in zip(tables, stencil(shifted, step), strict=True):
            table.setdefault(name, slope)

    def _add_slope(
        self,
        tables: Derivatives,
        name: str,
        step: Any,
        inputs: list[FloatArray],
        named: Mapping[str, Any],
    ) -> None:
        def shifted(k: float) -> Any:
            return self.problem.model.curve(*inputs, **{**named, name: named[name] + k * step})

        for table, slope in zip(tables, stencil(shifted, step), strict=True):
            table[name] = slope

    # ---- sums ----

    def normal(self, trial: FloatArray, matrix: FloatArray, slope: FloatArray) -> FloatArray:
        """Fill packed JᵀJ and Jᵀr of the first slots at trial points, and return χ²."""
        matrix[...], slope[...] = 0.0, 0.0
        count = trial.shape[1]
        chi2 = np.zeros(count)
        with np.errstate(all="ignore"):  # a trial far off may overflow; it is rejected
            for first in range(0, count, self.tile):
                part = slice(first, min(first + self.tile, count))
                if self.problem.modes is not None:
                    self._add_marginalised(trial, part, chi2, matrix, slope)
                    continue
                for curve, columns, data, weight in self.rows(trial[:, part], self._row[part]):
                    rest = (curve - data) * weight
                    chi2[part] += _inner(rest, rest)
                    own = [c * weight for c in columns]
                    for i, a in enumerate(own):
                        slope[i, part] += _inner(a, rest)
                        for j in range(i + 1):
                            matrix[place(i, j), part] += _inner(a, own[j])
            self._add_priors(trial, count, chi2, matrix, slope)
        return chi2

    def _add_marginalised(
        self,
        trial: FloatArray,
        part: slice,
        chi2: FloatArray,
        matrix: FloatArray,
        slope: FloatArray,
    ) -> None:
        """As the sums of :meth:`normal`, less what errors common to many points explain."""
        modes, rows = self.problem.modes, self._row[part]
        assert modes is not None
        found = self.rows(trial[:, part], rows)
        rest = np.concatenate([_stacked((c - d) * w) for c, _, d, w in found], axis=1)
        columns = [
            np.concatenate([_stacked(own[j] * w) for _, own, _, w in found], axis=1)
            for j in range(self.parameters)
        ]
        whole = np.stack([*columns, rest], axis=2)
        gone = modes.explained(whole, rows)
        sums = np.swapaxes(whole, 1, 2) @ whole - np.swapaxes(gone, 1, 2) @ gone
        chi2[part] += sums[:, -1, -1]
        for i in range(self.parameters):
            slope[i, part] += sums[:, i, -1]
            for j in range(i + 1):
                matrix[place(i, j), part] += sums[:, i, j]

    def _add_priors(
        self,
        trial: FloatArray,
        count: int,
        chi2: FloatArray,
        matrix: FloatArray,
        slope: FloatArray,
    ) -> None:
        if not self.problem.priors:
            return
        values = self._values(trial, self._row[:count])
        flat = {n: v[:, 0] if np.ndim(v) else v for n, v in values.items()}
        slopes = self.problem.slopes(trial.T)
        for prior in self.problem.priors:
            off, own = self._prior(prior, flat, slopes, count)
            chi2 += off * off
            for i, a in enumerate(own):
                slope[i] += a * off
                for j in range(i + 1):
                    matrix[place(i, j)] += a * own[j]

    def _prior(
        self, prior: Prior, flat: Mapping[str, Any], slopes: FloatArray, count: int
    ) -> tuple[FloatArray, list[FloatArray]]:
        """Return the deviation of a prior in standard units, and its derivatives."""

        def deviation(values: Mapping[str, Any]) -> Any:
            def off(p: Prior) -> Any:
                derived = next((d for d in self.problem.model.derived if d.name == p.name), None)
                found = (
                    values[p.name]
                    if derived is None
                    else derived.function(**{a: values[a] for a in derived.arguments})
                )
                mean, std = (
                    v if np.ndim(v) == 0 else np.asarray(v)[self._row[:count]]
                    for v in (p.mean, p.std)
                )
                return (found - mean) / std

            return prior.whitened(off)

        own = []
        for k, axis in enumerate(self.problem.axes):
            here = flat[axis.name]
            size = np.abs(here)
            step = 1e-4 * np.where(size > 0, size, 1e-3)

            def shifted(n: float, name: str = axis.name, step: Any = step) -> Any:
                return (np.asarray(deviation({**flat, name: flat[name] + n * step})),)

            own.append(stencil(shifted, step)[0] * slopes[:, k])
        return np.asarray(deviation(flat) + np.zeros(count)), own


def _stacked(values: Array) -> FloatArray:
    """Lay complex rows out as real, then imaginary parts."""
    if np.iscomplexobj(values):
        return np.concatenate([values.real, values.imag], axis=1)
    return np.asarray(values)


def _inner(a: Array, b: Array) -> FloatArray:
    """Return Re Σ a* b over the points."""
    return np.asarray(inner(a, b).real)
