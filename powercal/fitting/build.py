"""From traces and wishes to a problem: which parameters are free, fixed, known or nuisances."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Model, Option, Parameter
from powercal.errors import FitError, unknown_name
from powercal.fitting.grid import Grid, make_grid
from powercal.fitting.pieces import Block, Coordinate, Prior, nuisance
from powercal.fitting.problem import Problem
from powercal.fitting.weights import neighbour_noise
from powercal.line import LineCalibration, Tabulated, line_of
from powercal.schema import WORDS, DeviceTraces

if TYPE_CHECKING:
    import xarray as xr

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asked of a fit, as plain data; stored in every report."""

    free: tuple[str, ...] = ()
    fixed: Mapping[str, float] = field(default_factory=dict)
    priors: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    per: Mapping[str, str] = field(default_factory=dict)
    observables: tuple[str, ...] = ()
    start: Mapping[str, float] = field(default_factory=dict)
    sigma: Mapping[str, float] = field(default_factory=dict)
    intervals: str = "profile"
    robust: str = "none"
    drop_spikes: bool = False
    dropped: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        return {
            "free": list(self.free),
            "fixed": dict(self.fixed),
            "priors": {k: list(v) for k, v in self.priors.items()},
            "per": dict(self.per),
            "observables": list(self.observables),
            "start": dict(self.start),
            "sigma": dict(self.sigma),
            "intervals": self.intervals,
            "robust": self.robust,
            "drop_spikes": self.drop_spikes,
            "dropped": {k: list(v) for k, v in self.dropped.items()},
        }

    @staticmethod
    def from_plain(data: Mapping[str, Any]) -> Request:
        """Read what :meth:`plain` wrote."""
        return Request(
            free=tuple(data["free"]),
            fixed=dict(data["fixed"]),
            priors={k: (float(v[0]), float(v[1])) for k, v in data["priors"].items()},
            per=dict(data["per"]),
            observables=tuple(data["observables"]),
            start=dict(data["start"]),
            sigma=dict(data["sigma"]),
            intervals=str(data["intervals"]),
            # Reports of earlier versions do not hold these.
            robust=str(data.get("robust", "none")),
            drop_spikes=bool(data.get("drop_spikes", False)),
            dropped={k: tuple(map(int, v)) for k, v in data.get("dropped", {}).items()},
        )


def make_blocks(
    traces: DeviceTraces, model: Model, names: tuple[str, ...], grid: Grid, request: Request
) -> tuple[Block, ...]:
    """Flatten the data; σ is the given one or, to begin with, the point-to-point noise."""
    trace = trace_index(grid)
    finite_inputs = np.all([np.isfinite(v) for v in grid.inputs.values()], axis=0)
    blocks = []
    for name in names:
        values = _flat(traces, traces[name], grid)
        keep = np.isfinite(values) & finite_inputs
        keep[list(request.dropped.get(name, ()))] = False
        given = f"{name}_std" in traces or name in request.sigma
        if f"{name}_std" in traces and name not in request.sigma:
            sigma = _flat(traces, traces[f"{name}_std"], grid).real
            keep &= np.isfinite(sigma)
            sigma = sigma[keep]
        elif given:
            sigma = np.full(int(keep.sum()), request.sigma[name])
        else:
            sigma = neighbour_noise(values[keep], trace[keep])
        if not keep.any():
            raise FitError(f"{name} holds no point with finite data, σ and inputs")
        blocks.append(
            Block(
                name=name,
                index=model.observables.index(name),
                points=np.flatnonzero(keep),
                data=values[keep],
                sigma=sigma,
                trace=trace[keep],
                given_sigma=given,
            )
        )
    return tuple(blocks)


def _flat(traces: xr.Dataset, values: xr.DataArray, grid: Grid) -> NDArray[Any]:
    absent = {d: traces.sizes[d] for d in grid.dims if d not in values.dims}
    return np.asarray(values.expand_dims(absent).transpose(*grid.dims).values).ravel()


def trace_index(grid: Grid) -> NDArray[np.intp]:
    """A trace runs along frequency (or time, or the only dimension); σ is one number per trace."""
    if len(grid.dims) < 2:
        return np.zeros(int(np.prod(grid.shape)), dtype=np.intp)
    inner = next(
        (d for d in ("frequency", "frequency_offset", "time") if d in grid.dims), grid.dims[-1]
    )
    index = np.zeros(int(np.prod(grid.shape)), dtype=np.intp)
    for dim, size in zip(grid.dims, grid.shape, strict=True):
        if dim != inner:
            index = index * size + grid.index(dim)
    return index


# ---- parameters ----


@dataclass(frozen=True)
class Table:
    """The parameters of one fit: rows, which are free, the values of the others, priors."""

    rows: tuple[Parameter, ...]
    free: tuple[str, ...]
    fixed: Mapping[str, float]
    priors: tuple[Prior, ...]
    attenuation: bool
    gain: bool


def make_table(
    traces: DeviceTraces, model: Model, names: tuple[str, ...], request: Request
) -> Table:
    """Decide which parameters exist and which are free; the line joins as nuisances.

    Raises
    ------
    UnknownNameError
        A wish for a parameter that does not exist.
    FitError
        Contradictory wishes, or a value outside the bounds.
    """
    line = line_of(traces)
    own = {p.name for p in model.parameters}
    acts = line is not None and "incident_power" in model.inputs and "attenuation_db" not in own
    powers = [n for n in names if WORDS.get(n, WORDS["time"]).kind == "power"]
    gain = line is not None and bool(powers) and "reference_gain" not in own
    gain = gain and traces.attrs.get("setup") != "referenced"
    rows = [*model.parameters]
    rows += [nuisance("attenuation_db")] if acts else []
    rows += [nuisance("gain_db")] if gain else []
    _check_wishes(rows, model, request)
    for name in request.sigma:
        if name not in names:
            raise unknown_name("fitted observable (sigma)", name, names)
    defaults = {r.name: r.example for r in rows if not r.vary}
    held = {**{k: v for k, v in defaults.items() if k not in request.free}, **request.fixed}
    held = {k: v for k, v in held.items() if k not in request.priors or k in request.fixed}
    said = {*request.free, *request.fixed, *request.priors}
    stated = _stated(traces, model, line)
    held |= {r.name: stated[r.name] for r in rows if r.name in stated and r.name not in said}
    free = tuple(r.name for r in rows if r.name not in held)
    # Where the user knows a level better, what the line says of it and of its errors is set aside.
    priors = _line_priors(line, {r.name for r in rows} - {*held, *request.priors})
    priors |= {k: Prior(k, float(m), float(s)) for k, (m, s) in request.priors.items()}
    return Table(
        rows=tuple(rows),
        free=free,
        fixed=held,
        priors=tuple(priors.values()),
        attenuation=acts,
        gain=gain,
    )


def _stated(traces: DeviceTraces, model: Model, line: LineCalibration | None) -> dict[str, float]:
    """Return what is known without being asked for: to be held, unless the user said otherwise.

    The transition, where no drive frequency could measure it, and the occupation of a line behind
    its attenuators.
    """
    known: dict[str, float] = {}
    if "transition_frequency" in traces.attrs and "frequency" not in model.inputs:
        known["qubit_frequency"] = float(traces.attrs["transition_frequency"])
    if line is not None and line.chain is not None and "frequency" in traces:
        known["n_line"] = line.chain.occupation(float(np.mean(traces["frequency"].values)))
    return known


def _line_priors(line: LineCalibration | None, names: Iterable[str]) -> dict[str, Prior]:
    priors: dict[str, Prior] = {}
    for name in ("attenuation_db", "gain_db"):
        level = getattr(line, name) if line is not None else None
        if level is None or name not in names:
            continue
        if isinstance(level, Tabulated):
            level = (float(np.mean(level.value)), float(np.sqrt(np.mean(np.square(level.std)))))
        priors[name] = Prior(name, *level)
    if line is not None and line.correlation and len(priors) == 2:
        priors["gain_db"] = replace(
            priors["gain_db"], partner=priors["attenuation_db"], correlation=line.correlation
        )
    return priors


def _check_wishes(rows: list[Parameter], model: Model, request: Request) -> None:
    table = {r.name: r for r in rows}
    quantities = {*table, *(d.name for d in model.derived)}
    for kind, names in (
        ("free", request.free),
        ("fixed", request.fixed),
        ("per", request.per),
        ("start", request.start),
    ):
        for name in names:
            if name not in table and name.split("[")[0] not in table:
                raise unknown_name(f"parameter of model {model.name!r} ({kind})", name, table)
    for name, (_, std) in request.priors.items():
        if name not in quantities:
            raise unknown_name(f"quantity of model {model.name!r} (prior)", name, quantities)
        if not std > 0:
            raise FitError(f"the prior of {name} has the standard deviation {std}; it must be > 0")
    both = sorted(set(request.free) & set(request.fixed))
    if both:
        raise FitError(f"{both[0]} is asked to be free and fixed at once; drop one of the two")
    for name, value in request.fixed.items():
        if name not in table:
            raise FitError(
                f"{name} is one member of a parameter that differs along a dimension and cannot be "
                f"held by itself; give it a prior, or hold all of {name.split('[')[0]}"
            )
        row = table[name]
        if not row.min <= value <= row.max:
            raise FitError(
                f"{name} is fixed at {value:g} {row.unit}, outside its bounds {row.min:g} … "
                f"{row.max:g}"
            )


def make_problem(
    traces: DeviceTraces,
    model: Model,
    names: tuple[str, ...],
    request: Request,
    start: Mapping[str, float],
) -> Problem:
    """Build the problem around starting values (SI); scales come from the data's own curvature."""
    grid = make_grid(traces, model, names)
    table = make_table(traces, model, names, request)
    line = line_of(traces)
    inputs = dict(grid.inputs)
    if line is not None and "incident_power" in inputs:
        inputs["incident_power"] = with_shape_of_line(line, inputs)
    members = {p: grid.index(_known_dim(grid, p, d)) for p, d in request.per.items()}
    for row in table.rows:
        if row.scope == "per_trace" and row.name in table.free and row.name not in members:
            members[row.name] = np.unique(trace_index(grid), return_inverse=True)[1]
    problem = Problem(
        model=model,
        inputs=inputs,
        blocks=make_blocks(traces, model, names, grid, request),
        coordinates=tuple(_coordinates(table, members, start)),
        fixed=table.fixed,
        members=members,
        priors=table.priors,
        attenuation=table.attenuation,
        gain=table.gain,
        referenced=traces.attrs.get("setup") == "referenced" and table.attenuation,
        power_observables=powers_of(model),
    )
    return _rescaled(problem)


def powers_of(model: Model) -> tuple[bool, ...]:
    """Return which of a model's observables are powers: the gain acts on them."""
    return tuple(n in WORDS and WORDS[n].kind == "power" for n in model.observables)


def _known_dim(grid: Grid, parameter: str, dim: str) -> str:
    if dim not in grid.dims:
        raise FitError(
            f"{parameter} is asked to differ along {dim!r}, but the data have the dimensions "
            f"{', '.join(grid.dims)}; choose one of them"
        )
    return dim


def with_shape_of_line(line: LineCalibration, inputs: Mapping[str, FloatArray]) -> FloatArray:
    """Apply the known shape of a tabulated attenuation; its level stays a nuisance."""
    level = line.attenuation_db
    if not isinstance(level, Tabulated):
        return inputs["incident_power"]
    value, _ = level.at(inputs["frequency"])
    return np.asarray(inputs["incident_power"] * 10 ** (-(value - np.mean(level.value)) / 10))


def _coordinates(
    table: Table, members: Mapping[str, NDArray[np.intp]], start: Mapping[str, float]
) -> Iterable[Coordinate]:
    for row in table.rows:
        if row.name not in table.free:
            continue
        count = int(members[row.name].max()) + 1 if row.name in members else 0
        for member in range(count) if count else (None,):
            name = row.name if member is None else f"{row.name}[{member}]"
            value = float(start.get(name, start.get(row.name, row.example)))
            value = min(max(value, row.min), row.max)
            scale = value if row.scale == "log" else abs(value) or abs(row.example) or 1.0
            yield Coordinate(
                name=name,
                parameter=row.name,
                member=member,
                low=float(row.min),
                high=float(row.max),
                log=row.scale == "log",
                origin=0.0 if row.scale == "log" else value,
                scale=scale,
            )


def _rescaled(problem: Problem) -> Problem:
    """Give linear coordinates the size of ten conditional errors: steps are then of order one."""
    x = problem.start_from({c.name: _origin(c) for c in problem.coordinates})
    norms = np.linalg.norm(problem.jacobian(x), axis=0)
    coordinates = tuple(
        c if c.log or not np.isfinite(n) or n == 0 else replace(c, scale=10 * c.scale / float(n))
        for c, n in zip(problem.coordinates, norms, strict=True)
    )
    return replace(problem, coordinates=coordinates)


def _origin(c: Coordinate) -> float:
    return c.scale if c.log else c.origin


def options_from(
    traces: DeviceTraces, model: Model, options: Mapping[str, str], names: tuple[str, ...]
) -> dict[str, str]:
    """Fill a model's options from the data and their declarations; nothing is guessed.

    What was asked for by name goes first, then what the model was configured with.

    Raises
    ------
    FitError
        An option without default that neither the user nor the data declare, or observables that
        imply different choices.
    """
    # Only a configured model holds a choice of every option; others may come with fallbacks.
    names_of = [option.name for option in model.options]
    configured = all(name in model.chosen for name in names_of)
    chosen = {name: model.chosen[name] for name in names_of if configured} | dict(options)
    for option in model.options:
        if option.name in chosen:
            continue
        value = _implied(option, names) or traces.attrs.get(option.name)
        if option.allows(value):
            chosen[option.name] = str(value)
        elif option.default is not None:
            chosen[option.name] = option.default
        else:
            populations = {"excited_population"} >= set(traces.data_vars) - {"incident_power"}
            if option.name == "detection" and populations:
                chosen[option.name] = "absorbed"  # populations are the same for every detection
                continue
            raise FitError(
                f"{option.name} is not declared by the data; say which of "
                f"{', '.join(option.choices)} ({option.meaning})"
            )
    return chosen


def _implied(option: Option, names: tuple[str, ...]) -> str | None:
    """Return the choice that the fitted observables imply."""
    implied = {n: option.follows[n] for n in names if n in option.follows}
    if len(set(implied.values())) > 1:
        raise FitError(
            f"{' and '.join(implied)} want different choices of {option.name} "
            f"({', '.join(implied.values())}); fit them one at a time: observables=(...)"
        )
    return next(iter(implied.values()), None)
