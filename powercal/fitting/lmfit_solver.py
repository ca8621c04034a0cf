"""lmfit as the solver, in dimensionless coordinates; the only file of the house that imports it."""

from __future__ import annotations

import re
import warnings
from typing import Any

import lmfit
import numpy as np
from numpy.typing import NDArray

from powercal.fitting.problem import Problem

FloatArray = NDArray[np.float64]
TIGHT = 1e-15


def lmfit_name(name: str) -> str:
    """Spell a coordinate the way lmfit's parameter names allow (``phase[3]`` → ``phase_3``)."""
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name.replace("]", ""))
    return plain if plain.isidentifier() else f"_{plain}"


def solve(problem: Problem, start: FloatArray, evaluations: int | None = None) -> Any:
    """Fit with lmfit, run tight and with exact derivatives.

    Parameters
    ----------
    problem : Problem
        Data, model, free parameters, priors.
    start : ndarray
        Starting point in the solver's coordinates, inside the bounds.
    evaluations : int, optional
        At most so many of the curve; lmfit's own limit if left out.

    Returns
    -------
    lmfit.model.ModelResult
        In the solver's dimensionless coordinates (natural logarithms for rates, multiples of a
        scale for the rest): lmfit turns values under 1e-15 into 0. Data are whitened rows, priors
        are rows behind them, ``scale_covar`` is off because σ is explicit.
    """
    names = [c.name for c in problem.coordinates]
    spelled = [lmfit_name(n) for n in names]
    target = np.concatenate([problem.whiten(problem.data), np.zeros(len(problem.priors))])

    def curve(rows: FloatArray, **coordinates: float) -> FloatArray:
        x = np.array([coordinates[n] for n in spelled])
        return np.asarray(problem.residual(x) + target)

    def jacobian(parameters: Any, *_args: Any, **_kwargs: Any) -> FloatArray:
        # lmfit's residual is data − model.
        x = np.array([parameters[n].value for n in spelled], dtype=float)
        return np.asarray(-problem.jacobian(x)[:, acts])

    model = lmfit.Model(curve, independent_vars=["rows"], name=problem.model.name)
    parameters = lmfit.Parameters()
    # A coordinate without any effect would wander off to where nothing is defined.
    acts = np.linalg.norm(problem.jacobian(start), axis=0) > 0
    for name, value, low, high, free in zip(
        spelled, start, problem.lower, problem.upper, acts, strict=True
    ):
        parameters.add(name, value=_inside(value, low, high), min=low, max=high, vary=bool(free))
    with warnings.catch_warnings():
        # A flat direction makes lmfit's covariance and its printing complain; ours is judged apart.
        warnings.simplefilter("ignore")
        fitted = model.fit(
            target,
            parameters,
            rows=np.arange(target.size, dtype=float),
            method="least_squares",
            scale_covar=False,
            max_nfev=evaluations,
            fit_kws={
                "jac": jacobian,
                "ftol": TIGHT,
                "xtol": TIGHT,
                "gtol": TIGHT,
                "x_scale": "jac",
            },
        )
    # conf_interval goes on with leastsq, which knows none of these words.
    fitted.kws = {}
    return fitted


def point(problem: Problem, fitted: Any) -> FloatArray:
    """Return where lmfit stopped, in the solver's coordinates."""
    return np.array([fitted.params[lmfit_name(c.name)].value for c in problem.coordinates])


def _inside(value: float, low: float, high: float) -> float:
    """Move a start off its bounds: scipy's trf refuses a start on a bound."""
    room = 1e-6 * min(high - low, 1.0)
    return float(min(max(value, low + room), high - room))
