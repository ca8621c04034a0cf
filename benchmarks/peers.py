"""Other people's fits of the same traces from the same starts, each the way its manual shows it.

A peer is made for a scenario and returns a function of the number of traces, or None where it
cannot do the scenario; one that is not installed raises ImportError.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.scenario_models import absorbed_power
from benchmarks.scenarios import Scenario
from benchmarks.single import Single

FloatArray = NDArray[np.float64]


class Fits(NamedTuple):
    """(traces, p) values with standard errors (absolute: from given σ), and who reports success."""

    values: FloatArray
    errors: FloatArray
    good: NDArray[np.bool_]


Peer = Callable[[int], Fits]
One = Callable[[Single], tuple[Any, Any, bool]]


class Cannot(Exception):
    """What a peer has no way to do."""


def each(scenario: Scenario, one: One) -> Peer:
    """Fit trace by trace; taking the traces apart beforehand is not timed."""
    singles: list[Single] = []

    def run(traces: int) -> Fits:
        singles.extend(Single(scenario, i) for i in range(len(singles), traces))
        found = [one(s) for s in singles[:traces]]
        values = np.array([f[0] for f in found]) * scenario.scale[:traces]
        errors = np.array([f[1] for f in found]) * scenario.scale[:traces]
        return Fits(values + scenario.origin[:traces], errors, np.array([f[2] for f in found]))

    run(1)
    return run


# ---- lmfit ----


class _Curve:
    """A model's curve under the names of its parameters: lmfit reads them from the signature."""

    def __init__(self, names: list[str]) -> None:
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        self.__name__ = "curve"
        self.__signature__ = inspect.Signature(
            [inspect.Parameter(n, kind) for n in ("trace", *names)]
        )

    def __call__(self, trace: Single, **values: float) -> FloatArray:
        if trace.plain:  # as one writes it by hand
            return trace.pick(trace.model.curve(*trace.inputs, **values))
        return trace.predict([values[n] for n in trace.names])


def lmfit_model(scenario: Scenario) -> Peer:
    """``Model.fit`` with its defaults and bounds."""
    import lmfit

    if scenario.problem.priors:
        raise Cannot("a prior")
    curve = _Curve([p.name for p in scenario.problem.model.parameters])
    model = lmfit.Model(curve, independent_vars=["trace"])

    def one(s: Single) -> tuple[Any, Any, bool]:
        parameters = model.make_params(**s.fixed)
        for name in s.fixed:
            parameters[name].set(vary=False)
        for name, value, low, high in s.table():
            parameters[name].set(value=value, min=low, max=high)
        found = model.fit(s.y, parameters, weights=s.weight, scale_covar=False, trace=s)
        return _of_lmfit(found, s.names)

    return each(scenario, one)


def lmfit_minimizer(scenario: Scenario, slopes: bool = False, tight: float = 0.0) -> Peer:
    """``Minimizer.leastsq`` on rows of residuals, with derivatives by hand where wanted."""
    fit = minimizer(slopes, tight)
    return each(scenario, lambda s: _of_lmfit(fit(s), s.names))


def minimizer(slopes: bool, tight: float = 0.0) -> Callable[[Single], Any]:
    """Return what fits one trace with ``Minimizer.leastsq``, with its errors from given σ."""
    import lmfit

    def vector(parameters: Any, s: Single) -> list[float]:
        return [parameters[n].value for n in s.names]

    def rows(parameters: Any, s: Single) -> FloatArray:
        return s.residual(vector(parameters, s))

    def derivatives(parameters: Any, s: Single) -> FloatArray:
        return s.jacobian(vector(parameters, s))

    keywords: dict[str, Any] = {"Dfun": derivatives, "col_deriv": 1} if slopes else {}
    if tight:
        keywords |= {"ftol": tight, "xtol": tight, "gtol": tight, "max_nfev": 2000}

    def one(s: Single) -> Any:
        parameters = lmfit.Parameters()
        for name, value, low, high in s.table():
            parameters.add(name, value, min=low, max=high)
        fit = lmfit.Minimizer(rows, parameters, fcn_args=(s,), scale_covar=False)
        return fit.leastsq(**keywords)

    return one


def _of_lmfit(found: Any, free: tuple[str, ...]) -> tuple[Any, Any, bool]:
    errors = np.array([found.params[n].stderr or np.nan for n in free], dtype=float)
    values = np.array([found.params[n].value for n in free])
    return values, errors, bool(found.success)


# ---- scipy and iminuit ----


def leastsq(scenario: Scenario, slopes: bool = False) -> Peer:
    """``scipy.optimize.leastsq``: MINPACK with nothing around it, no bounds."""
    from scipy.optimize import leastsq as minpack

    def one(s: Single) -> tuple[Any, Any, bool]:
        more: dict[str, Any] = {"Dfun": s.jacobian, "col_deriv": 1} if slopes else {}
        x, covariance, _, _, code = minpack(s.residual, s.start, full_output=True, **more)
        if covariance is None:
            return x, np.full(x.size, np.nan), False
        return x, np.sqrt(np.diag(covariance)), code in (1, 2, 3, 4)

    return each(scenario, one)


def iminuit(scenario: Scenario) -> Peer:
    """``LeastSquares`` with migrad and hesse, bounds as limits."""
    from iminuit import Minuit
    from iminuit.cost import LeastSquares, NormalConstraint

    def one(s: Single) -> tuple[Any, Any, bool]:
        place = np.arange(s.y.size)
        cost = LeastSquares(
            place, s.y, 1 / s.weight, lambda _, *v: s.predict(v), name=list(s.names)
        )
        for p in s.priors:
            cost = cost + NormalConstraint(s.names[p.place], p.mean, p.std)
        fit = Minuit(cost, **{n: v for n, v, _, _ in s.table()})
        for name, _, low, high in s.table():
            fit.limits[name] = (low, high)
        fit.migrad()
        fit.hesse()
        return np.array(fit.values), np.array(fit.errors), bool(fit.valid)

    return each(scenario, one)


# ---- what fits whole arrays of xarray ----


def _only_absorbed(scenario: Scenario, levels: int) -> None:
    if scenario.recipe.observables != ("absorbed_power",) or scenario.problem.priors:
        raise Cannot("priors or several observables")
    if scenario.recipe.name in ("E", "F") or len(scenario.recipe.levels) > levels:
        raise Cannot("more than one axis per trace")


def curvefit(scenario: Scenario) -> Peer:
    """``DataArray.curvefit``; what differs from trace to trace goes in as coordinates."""
    import xarray as xr

    _only_absorbed(scenario, 1000)
    p, free = scenario.problem, scenario.recipe.free
    held = list(p.fixed)

    def curve(inputs: Any, *vector: float) -> FloatArray:
        power, detuning, *rest = inputs
        named = dict(zip([*free, *held], [*vector, *rest], strict=True))
        return np.asarray(absorbed_power(power, detuning, **named))

    names = ["power", "detuning", *held]

    def run(traces: int) -> Fits:
        part = p.take(np.arange(traces))
        shape = (traces, p.points)
        arrays = [part.inputs["incident_power"], part.inputs["frequency"]]
        arrays += [np.reshape(part.fixed[n], (-1, 1)) for n in held]
        along = [xr.DataArray(np.broadcast_to(a, shape), dims=("trace", "point")) for a in arrays]
        start = {n: xr.DataArray(part.start[:, k], dims="trace") for k, n in enumerate(free)}
        found = xr.DataArray(part.observed[0].data, dims=("trace", "point")).curvefit(
            coords=[a.rename(n) for a, n in zip(along, names, strict=True)],
            func=lambda inputs, *v: curve(inputs, *v),
            reduce_dims="point",
            param_names=list(free),
            p0=start,
            skipna=True,
        )
        values = found.curvefit_coefficients.transpose("trace", "param").values
        covariance = found.curvefit_covariance.transpose("trace", "cov_i", "cov_j").values
        errors = np.sqrt(np.einsum("tii->ti", covariance))
        return Fits(values, errors, np.isfinite(values).all(axis=1))

    return run


def xarray_lmfit(scenario: Scenario) -> Peer:
    """``.xlm.modelfit``; it wants one coordinate for all: the axis over its half, a parameter."""
    import lmfit
    import xarray as xr
    import xarray_lmfit  # noqa: F401

    _only_absorbed(scenario, 1)
    p, free = scenario.problem, scenario.recipe.free
    axis = p.inputs["frequency"]
    common = axis[0] / axis[0, -1]

    def curve(
        u: Any, half: Any, gamma_1: Any, gamma_2: Any, drive: Any, centre: Any, n_th: Any
    ) -> Any:
        named = {"gamma_1": gamma_1, "gamma_2": gamma_2, "drive": drive, "centre": centre}
        return absorbed_power(1.0, u * half, n_th=n_th, **named)

    model = lmfit.Model(curve, independent_vars=["u"])

    def run(traces: int) -> Fits:
        few = slice(0, traces)
        data = xr.DataArray(p.observed[0].data[few], dims=("trace", "u"), coords={"u": common})
        held = {"half": axis[few, -1], **_each(p.fixed, few)}
        table: dict[str, Any] = {
            n: {"value": xr.DataArray(v, dims="trace"), "vary": False} for n, v in held.items()
        }
        for k, a in enumerate(p.axes):
            table[a.name] = {"value": xr.DataArray(p.start[few, k], dims="trace")}
            if np.isfinite(a.low):
                table[a.name]["min"] = a.low
        found = data.xlm.modelfit("u", model=model, params=table, progress=False)
        values, errors = (
            found[f"modelfit_{n}"].transpose("trace", "param").sel(param=list(free)).values
            for n in ("coefficients", "stderr")
        )
        return Fits(values, errors, np.isfinite(values).all(axis=1))

    return run


def _each(fixed: Any, few: slice) -> dict[str, FloatArray]:
    """Return held numbers as one per trace."""
    one = np.ones(few.stop)
    return {n: one * (v if np.ndim(v) == 0 else v[few]) for n, v in fixed.items()}


PEERS: dict[str, Callable[[Scenario], Peer]] = {
    "lmfit Model.fit": lmfit_model,
    "lmfit Minimizer": lmfit_minimizer,
    "lmfit Minimizer, Dfun": lambda s: lmfit_minimizer(s, slopes=True),
    "scipy leastsq": leastsq,
    "scipy leastsq, Dfun": lambda s: leastsq(s, slopes=True),
    "xarray curvefit": curvefit,
    "xarray-lmfit": xarray_lmfit,
    "iminuit": iminuit,
}
