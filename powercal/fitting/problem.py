"""One fit as numbers: data, model, free and fixed parameters, priors turned into residuals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import exp, inf, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Derived, Model
from powercal.fitting.differences import stencil
from powercal.fitting.pieces import Block, Coordinate, Prior

FloatArray = NDArray[np.float64]
DECIBEL = log(10) / 10


@dataclass(frozen=True)
class Problem:
    """Everything a solver needs, and no physics.

    Attributes
    ----------
    inputs : mapping of ndarray
        Flattened inputs of the curve, one number per point.
    blocks : tuple of Block
        The data.
    coordinates : tuple of Coordinate
        The free parameters.
    fixed : mapping
        Parameters that are held.
    members : mapping of ndarray
        For parameters that differ between traces, the member each point belongs to.
    priors, derived : tuples
        Priors, and the model's derived quantities they may refer to.
    attenuation, gain : bool
        Whether the line's nuisance parameters act in this problem; ``referenced`` powers are
        relative to the generator: the attenuation acts on them in reverse.
    modes : ndarray
        Errors common to many points (columns, in units of the data), marginalised exactly to
        first order; shape (rows, number of modes).
    power_observables : tuple of bool
        Which of the model's observables are powers: the gain acts on them.
    uncertain_inputs : tuple of str
        Inputs that carry errors: the curve's slope along them is wanted.
    """

    model: Model
    inputs: Mapping[str, FloatArray]
    blocks: tuple[Block, ...]
    coordinates: tuple[Coordinate, ...]
    fixed: Mapping[str, float]
    members: Mapping[str, NDArray[np.intp]] = field(default_factory=dict)
    priors: tuple[Prior, ...] = ()
    attenuation: bool = False
    gain: bool = False
    referenced: bool = False
    modes: FloatArray | None = None
    power_observables: tuple[bool, ...] = ()
    uncertain_inputs: tuple[str, ...] = ()

    # ---- parameters ----

    @property
    def lower(self) -> FloatArray:
        """Lower bounds in solver coordinates."""
        return np.array([c.from_si(c.low) if c.low > -inf else -inf for c in self.coordinates])

    @property
    def upper(self) -> FloatArray:
        """Upper bounds in solver coordinates."""
        return np.array([c.from_si(c.high) if c.high < inf else inf for c in self.coordinates])

    def start_from(self, values: Mapping[str, float]) -> FloatArray:
        """Return solver coordinates of SI values, moved inside the bounds."""
        return np.array(
            [
                c.from_si(min(max(values.get(c.name, values.get(c.parameter, 0.0)), c.low), c.high))
                for c in self.coordinates
            ]
        )

    def values(self, x: FloatArray) -> dict[str, float]:
        """Return all parameters in SI; of one that differs between traces also the mean."""
        found = dict(self.fixed)
        groups: dict[str, list[float]] = {}
        for c, xi in zip(self.coordinates, x, strict=True):
            value = c.to_si(float(xi))
            found[c.name] = value
            if c.member is not None:
                groups.setdefault(c.parameter, []).append(value)
        return found | {name: float(np.mean(group)) for name, group in groups.items()}

    def slopes(self, x: FloatArray) -> FloatArray:
        """Return d(SI value)/dx of every coordinate."""
        return np.array([c.slope(float(xi)) for c, xi in zip(self.coordinates, x, strict=True)])

    def _arguments(self, x: FloatArray) -> dict[str, Any]:
        values = self.values(x)
        arguments: dict[str, Any] = {}
        for row in self.model.parameters:
            if row.name in self.members:
                index = self.members[row.name]
                table = np.array([values[f"{row.name}[{i}]"] for i in range(int(index.max()) + 1)])
                arguments[row.name] = table[index]
            else:
                arguments[row.name] = values[row.name]
        return arguments

    # ---- curve ----

    def _line_inputs(self, x: FloatArray) -> tuple[list[FloatArray], float, float]:
        values = self.values(x)
        loss = exp(-DECIBEL * values["attenuation_db"]) if self.attenuation else 1.0
        gain = exp(DECIBEL * values["gain_db"]) if self.gain else 1.0
        if self.referenced:
            gain = 1 / loss
        inputs = [
            v * loss if n == "incident_power" else v
            for n, v in ((n, self.inputs[n]) for n in self.model.inputs)
        ]
        return inputs, loss, gain

    def _factor(self, block: Block, gain: float) -> float:
        return gain if self.power_observables[block.index] else 1.0

    def predict(self, x: FloatArray) -> list[NDArray[Any]]:
        """Return the curve at every point of each block, at the plane of the data."""
        inputs, _, gain = self._line_inputs(x)
        curves = self.model.curve(*inputs, **self._arguments(x))
        return [
            self._factor(b, gain) * np.broadcast_to(curves[b.index], inputs[0].shape)[b.points]
            for b in self.blocks
        ]

    def full_curve(self, x: FloatArray, index: int) -> NDArray[Any]:
        """Return one observable's curve at all points, also where there are no data."""
        inputs, _, gain = self._line_inputs(x)
        curve = self.model.curve(*inputs, **self._arguments(x))[index]
        return (gain if self.power_observables[index] else 1.0) * np.broadcast_to(
            curve, inputs[0].shape
        )

    def derivatives(self, x: FloatArray) -> list[NDArray[Any]]:
        """Return per block the derivatives by the SI value of every coordinate, (points, p)."""
        inputs, _, gain = self._line_inputs(x)
        tables = self.model_derivatives(x)
        curves = self.model.curve(*inputs, **self._arguments(x))
        out = []
        for b in self.blocks:
            factor, table = self._factor(b, gain), tables[b.index]
            columns = [
                self._column(c, b, table, curves[b.index], inputs, factor) for c in self.coordinates
            ]
            empty = np.zeros((b.points.size, 0), complex if b.complex else float)
            out.append(np.stack(columns, axis=1) if columns else empty)
        return out

    def _column(
        self,
        c: Coordinate,
        b: Block,
        table: Mapping[str, NDArray[Any]],
        curve: NDArray[Any],
        inputs: list[FloatArray],
        factor: float,
    ) -> NDArray[Any]:
        shape = inputs[0].shape
        column: NDArray[Any]
        if c.name == "gain_db" and self.gain and not self.referenced:
            power = self.power_observables[b.index]
            column = DECIBEL * curve * factor if power else 0.0 * curve
        elif c.name == "attenuation_db" and self.attenuation:
            slope = table.get("incident_power", 0.0)
            column = -DECIBEL * inputs[self.model.inputs.index("incident_power")] * slope * factor
            if self.referenced and self.power_observables[b.index]:
                column = column + DECIBEL * curve * factor
        else:
            column = np.asarray(table.get(c.parameter, 0.0)) * factor
            if c.member is not None:
                column = column * (self.members[c.parameter] == c.member)
        return np.broadcast_to(column, shape)[b.points]

    def model_derivatives(self, x: FloatArray) -> list[dict[str, NDArray[Any]]]:
        """Return the model's derivatives by parameters and by the inputs that carry errors."""
        inputs, _, _ = self._line_inputs(x)
        arguments = self._arguments(x)
        if self.model.jacobian is not None:
            exact = [dict(t) for t in self.model.jacobian(*inputs, **arguments)]
        else:
            exact = self._differences(inputs, arguments, [c.parameter for c in self.coordinates])
        needed = {*self.uncertain_inputs, *(("incident_power",) if self.attenuation else ())}
        wanted = [n for n in self.model.inputs if n in needed and not all(n in t for t in exact)]
        for table, extra in zip(
            exact, self._input_differences(inputs, arguments, wanted), strict=True
        ):
            for name, value in extra.items():
                table.setdefault(name, value)
        return exact

    def _differences(
        self, inputs: list[FloatArray], arguments: Mapping[str, Any], names: list[str]
    ) -> list[dict[str, NDArray[Any]]]:
        """Central differences of fourth order; their error is about 1e-11 of the slope."""
        tables: list[dict[str, NDArray[Any]]] = [{} for _ in self.model.observables]
        rows = {p.name: p for p in self.model.parameters}
        for name in dict.fromkeys(n for n in names if n in rows):
            value, row = np.asarray(arguments[name], dtype=float), rows[name]
            step = 1e-3 * np.maximum(np.abs(value), 1e-3 * (abs(row.example) or 1.0))
            if name == "qubit_frequency":  # a line, not its carrier, sets the size of a step
                step = np.full_like(value, 1e-3 * max(self._span("frequency"), 1.0))

            def shifted(k: float, name: str = name, value: Any = value, step: Any = step) -> Any:
                return self.model.curve(*inputs, **{**arguments, name: value + k * step})

            for table, slope in zip(tables, stencil(shifted, step), strict=True):
                table[name] = slope
        return tables

    def _input_differences(
        self, inputs: list[FloatArray], arguments: Mapping[str, Any], names: list[str]
    ) -> list[dict[str, NDArray[Any]]]:
        tables: list[dict[str, NDArray[Any]]] = [{} for _ in self.model.observables]
        for name in names:
            i = self.model.inputs.index(name)
            step = 1e-3 * np.abs(inputs[i]) if name != "frequency" else 1e-3 * self._span(name)
            step = np.maximum(step, 1e-12 * np.max(np.abs(inputs[i])) + 1e-300)

            def shifted(k: float, i: int = i, step: Any = step) -> Any:
                moved = [v + k * step if j == i else v for j, v in enumerate(inputs)]
                return self.model.curve(*moved, **arguments)

            for table, slope in zip(tables, stencil(shifted, step), strict=True):
                table[name] = slope
        return tables

    def _span(self, name: str) -> float:
        values = self.inputs.get(name)
        return float(np.ptp(values)) / 20 if values is not None else 0.0

    # ---- whitened rows ----

    @cached_property
    def sigma(self) -> FloatArray:
        """Standard deviations of all rows."""
        return np.concatenate(
            [np.concatenate([b.sigma, b.sigma]) if b.complex else b.sigma for b in self.blocks]
        )

    @cached_property
    def data(self) -> FloatArray:
        """Data of all rows."""
        return np.concatenate([b.stack(b.data) for b in self.blocks])

    @cached_property
    def common_basis(self) -> FloatArray | None:
        """Orthonormal basis of what common errors do to rows and to their own priors."""
        if self.modes is None or self.modes.shape[1] == 0:
            return None
        weighted = np.concatenate([self.modes / self.sigma[:, None], np.eye(self.modes.shape[1])])
        # The unit block keeps the Gram matrix above 1: Cholesky is safe, and quicker than QR.
        lower = np.linalg.cholesky(weighted.T @ weighted)
        return np.asarray(weighted @ np.linalg.inv(lower).T)

    def whiten(self, rows: FloatArray) -> FloatArray:
        """Divide rows by σ and take out what common errors explain, at the cost of their prior."""
        scaled = rows / (self.sigma if rows.ndim == 1 else self.sigma[:, None])
        if self.common_basis is None:
            return scaled
        padding = np.zeros((self.common_basis.shape[1], *scaled.shape[1:]))
        padded = np.concatenate([scaled, padding])
        return np.asarray(padded - self.common_basis @ (self.common_basis.T @ padded))

    def common_amplitudes(self, rows: FloatArray) -> FloatArray:
        """Return the amplitudes (in standard deviations) of the common errors that fit best."""
        assert self.modes is not None
        modes = self.modes / self.sigma[:, None]
        gram = modes.T @ modes + np.eye(modes.shape[1])
        return np.asarray(np.linalg.solve(gram, modes.T @ (rows / self.sigma)))

    def rows(self, x: FloatArray) -> FloatArray:
        """Return the curve as stacked real rows."""
        return np.concatenate(
            [b.stack(v) for b, v in zip(self.blocks, self.predict(x), strict=True)]
        )

    def row_derivatives(self, x: FloatArray) -> FloatArray:
        """Return d(rows)/dx."""
        stacked = [
            np.concatenate([d.real, d.imag]) if b.complex else d.real
            for b, d in zip(self.blocks, self.derivatives(x), strict=True)
        ]
        return np.concatenate(stacked) * self.slopes(x)

    def residual(self, x: FloatArray) -> FloatArray:
        """Return whitened (curve − data), then one row per prior."""
        return np.concatenate([self.whiten(self.rows(x) - self.data), self._prior_rows(x)])

    def jacobian(self, x: FloatArray) -> FloatArray:
        """Return d(residual)/dx, exact wherever the model's derivatives are."""
        return np.concatenate([self.whiten(self.row_derivatives(x)), self._prior_slopes(x)])

    def _prior_rows(self, x: FloatArray) -> FloatArray:
        def off(p: Prior) -> float:
            return (self.quantity(p.name, x) - p.mean) / p.std

        return np.array([p.whitened(off) for p in self.priors])

    def _prior_slopes(self, x: FloatArray) -> FloatArray:
        if not self.priors:
            return np.zeros((0, len(self.coordinates)))
        return np.stack(
            [p.whitened(lambda q: self.gradient(q.name, x) / q.std) for p in self.priors]
        )

    # ---- quantities ----

    def derived(self, name: str) -> Derived | None:
        """Return the model's derived quantity of that name."""
        return next((d for d in self.model.derived if d.name == name), None)

    def quantity(self, name: str, x: FloatArray) -> float:
        """Return a parameter or derived quantity in SI."""
        values, derived = self.values(x), self.derived(name)
        if derived is None:
            return values[name]
        return float(derived.function(**{a: values[a] for a in derived.arguments}))

    def gradient(self, name: str, x: FloatArray) -> FloatArray:
        """Return d(quantity)/dx; of derived quantities exactly where they take complex numbers."""
        derived = self.derived(name)
        if derived is None:
            return np.array(
                [
                    c.slope(float(xi)) * (c.name == name)
                    for c, xi in zip(self.coordinates, x, strict=True)
                ]
            )
        out = np.zeros(len(self.coordinates))
        for i, c in enumerate(self.coordinates):
            if c.parameter in derived.arguments:
                exact = self._complex_step(derived, x, i)
                out[i] = self._difference(name, x, i) if exact is None else exact
        return out

    def _complex_step(self, derived: Derived, x: FloatArray, i: int) -> float | None:
        """Derivative without any subtraction: Im f(v + ih)/h; None where f is not made for it."""
        c, values = self.coordinates[i], self.values(x)
        at = c.to_si(float(x[i]))
        h = 1e-25 * abs(at) or 1e-35
        moved: dict[str, Any] = {a: values[a] for a in derived.arguments}
        moved[c.parameter] = complex(at, h)
        try:
            with np.errstate(all="ignore"):
                found = derived.function(**moved)
        except (TypeError, ZeroDivisionError):
            return None
        slope = float(np.imag(found)) / h * c.slope(float(x[i]))
        return slope if np.iscomplexobj(found) and np.isfinite(slope) else None

    def _difference(self, name: str, x: FloatArray, i: int) -> float:
        """Central, or one-sided where a bound is in the way (both of fourth order)."""
        c, unit = self.coordinates[i], np.zeros_like(x)
        # Linear coordinates come in units of ten conditional errors: a hundred of them is far
        # enough from rounding, and near enough for four orders.
        h = 1e-3 if c.log else 1e-3 * max(abs(c.to_si(float(x[i]))) / c.scale, 10.0)
        unit[i] = h
        if c.to_si(float(x[i]) - 2 * h) <= c.low:
            f = [self.quantity(name, x + k * unit) for k in range(5)]
            return float((-25 * f[0] + 48 * f[1] - 36 * f[2] + 16 * f[3] - 3 * f[4]) / (12 * h))
        if c.to_si(float(x[i]) + 2 * h) >= c.high:
            f = [self.quantity(name, x - k * unit) for k in range(5)]
            return float(-(-25 * f[0] + 48 * f[1] - 36 * f[2] + 16 * f[3] - 3 * f[4]) / (12 * h))
        f = [self.quantity(name, x + k * unit) for k in (-2, -1, 1, 2)]
        return float((f[0] - 8 * f[1] + 8 * f[2] - f[3]) / (12 * h))

    def size_of(self, c: Coordinate) -> float:
        """Return the size of a coordinate's legal value, for steps where it is itself zero."""
        rows = {p.name: p for p in self.model.parameters}
        return abs(rows[c.parameter].example) or 1.0 if c.parameter in rows else 1.0

    # ---- changes ----

    def with_sigma(self, sigmas: tuple[FloatArray, ...], modes: FloatArray | None) -> Problem:
        """Return the problem with other standard deviations and common errors."""
        blocks = tuple(replace(b, sigma=s) for b, s in zip(self.blocks, sigmas, strict=True))
        return replace(self, blocks=blocks, modes=modes)
