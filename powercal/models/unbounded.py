"""Least squares without the bounds of physics, and Γ₁/2Γ₂ by them: what no qubit can give."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from powercal.models.driven import TWO_PI
from powercal.physics.constants import HBAR
from powercal.result import FitResult

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[Any]
Finding = tuple[float, float]
UNKNOWN: Finding = (float("nan"), float("nan"))


class Fitted(NamedTuple):
    """Where the coordinates end, their errors, and χ² there."""

    moved: Array
    error: Array
    chi2: float


def least(
    gap: Callable[[Array], Array],
    slopes: Callable[[Array], Array] | None,
    start: Array,
    free: NDArray[np.bool_],
) -> Fitted:
    """Return the least Σ|gap|² over the free coordinates, from a given start.

    ``slopes`` gives the derivatives by what is free; without it they are differences.
    """
    from scipy.optimize import least_squares

    def full(part: Array) -> Array:
        u = start.copy()
        u[free] = part
        return u

    def stacked(rows: Array) -> Array:
        return np.concatenate([rows.real, rows.imag]) if np.iscomplexobj(rows) else rows

    def residual(part: Array) -> Array:
        return stacked(gap(full(part)))

    def jacobian(part: Array) -> Array:
        assert slopes is not None
        return stacked(slopes(full(part)))

    if 2 * gap(start).size < free.sum():
        return Fitted(full(np.full(int(free.sum()), np.nan)), np.full(free.size, inf), inf)
    with np.errstate(all="ignore"):
        found = least_squares(
            residual,
            start[free],
            jac="2-point" if slopes is None else jacobian,
            x_scale="jac",
            max_nfev=60,
        )
    normal = np.asarray(found.jac).T @ np.asarray(found.jac)
    inverse = np.linalg.pinv(normal, rcond=1e-13, hermitian=True)
    error = np.zeros(free.size)
    error[free] = np.sqrt(np.diag(inverse))
    return Fitted(full(found.x), error, 2 * float(found.cost))


def field_on(result: FitResult, name: str, shape: xr.DataArray) -> Array:
    """Return a field of the traces at every point of a fitted curve."""
    field = result.traces[name] + 0 * shape.real
    return np.asarray(field.transpose(*shape.dims).values, dtype=float)


def over_coherence(result: FitResult) -> Finding:
    """Return Γ₁/2Γ₂ and its error from absorbed power alone, free of the bound 1.

    R = ħω(Γ₁/2) q/(1+δ²+q) (supplement D). Unknown where something else than the absorbed power
    at the device was fitted: a free gain would take the contradiction upon itself.
    """
    name = next((n for n in ("absorbed_power", "reflected_power") if n in result.observables), "")
    plain = result.options["detection"] == "absorbed" and result.options["energy"] != "floquet"
    plain = plain and result.options.get("broadening", "white") == "white"
    if not name or not plain or "gain_db" in result.values:
        return UNKNOWN
    shape, v = result.curve[name], result.values
    gamma_1_tot = v["gamma_1"] * (1 + 2 * v.get("n_th", 0.0))
    gamma_2 = gamma_1_tot / 2 + v["gamma_phi"]
    frequency = field_on(result, "frequency", shape)
    loss = 10 ** (-v.get("attenuation_db", 0.0) / 10)
    power = field_on(result, "incident_power", shape) * loss
    delta = TWO_PI * (frequency - v["qubit_frequency"]) / gamma_2
    q = v["drive_scale"] * power / (gamma_1_tot * gamma_2)
    photon = frequency if result.options["energy"] == "effective" else v["qubit_frequency"]
    height = HBAR * TWO_PI * photon * v["gamma_1"] / 2

    def curve(u: Array) -> Array:
        """Power for (centre, ln Γ₂, ln(Γ₁/Γ₂), ln P_s) moved by u."""
        d = (delta - u[0]) * np.exp(-u[1])
        absorbed = height * np.exp(u[1] + u[2]) * q / (q + (1 + d**2) * np.exp(u[3]))
        return np.asarray(absorbed if name == "absorbed_power" else power - absorbed)

    data, sigma = result.traces[name].transpose(*shape.dims), result.curve[f"{name}_sigma"]
    used = np.isfinite(sigma.values) & np.isfinite(data.values)
    found = least(
        lambda u: ((curve(u) - data.values) / sigma.values)[used],
        None,
        np.zeros(4),
        np.ones(4, dtype=bool),
    )
    ratio = v["gamma_1"] / (2 * gamma_2) * float(np.exp(found.moved[2]))
    return ratio, ratio * found.error[2]
