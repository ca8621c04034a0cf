"""Curve coordinates fitted without the bounds of physics: to notice what no qubit can give."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from powercal.models.driven import TWO_PI
from powercal.physics.constants import HBAR
from powercal.physics.scattering import with_convention
from powercal.result import FitResult

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[Any]
Finding = tuple[float, float]
UNKNOWN: Finding = (float("nan"), float("nan"))


def reflection_depth(result: FitResult) -> Finding:
    """Return ρ and its error with ρ, Γ₂, the centre and the saturation power free of bounds.

    r = 1 − ρ(1+iδ)/(1+δ²+q) (supplement D) over the best-fit background; gain, phase and mismatch
    are free again where the fit had them free.
    """
    name = result.observables[0]
    shape, v = result.curve[name], result.values
    gamma_1_tot = (v["gamma_r"] + v["gamma_i"]) * (1 + 2 * v["n_th"])
    gamma_2 = gamma_1_tot / 2 + v["gamma_phi"]
    rho = v["manifold_weight"] * v["gamma_r"] / ((1 + 2 * v["n_th"]) * gamma_2)
    frequency = _on(result, "frequency", shape)
    power = _on(result, "incident_power", shape) * 10 ** (-v["attenuation_db"] / 10)
    delta = TWO_PI * (frequency - v["qubit_frequency"]) / gamma_2
    q = 4 * v["gamma_r"] * power / (HBAR * TWO_PI * frequency * gamma_1_tot * gamma_2)
    sign: Any = "-i" if result.options["convention"] == "-i" else "+i"
    factors = _setup_columns(result, shape)

    def bare(u: Array) -> Array:
        """Reflection for (centre, ln Γ₂, ρ − ρ₀, ln P_s, mismatch) moved by u."""
        d = (delta - u[0]) * np.exp(-u[1])
        pole = (rho + u[2]) * (1 + 1j * d) / (1 + d**2 + q * np.exp(-u[3]))
        return np.asarray(1 - np.exp(1j * (v["mismatch"] + u[4])) * pole)

    def curve(u: Array) -> Array:
        moved = with_convention(bare(u), sign)
        setup = np.exp(sum((c * x for c, x in zip(factors, u[5:], strict=True)), 0j))
        seen = moved * setup
        return np.asarray(seen if name == "reflection" else np.abs(seen) ** 2)

    nothing = np.zeros(5 + len(factors))
    background = shape.values / curve(nothing)
    free = np.array([True] * 4 + [_is_free(result, "mismatch")] + [True] * len(factors))
    moved, error = _refit(result, name, lambda u: background * curve(u), free)
    return rho + moved[2], error[2]


def over_coherence(result: FitResult) -> Finding:
    """Return Γ₁/2Γ₂ and its error from absorbed power alone, free of the bound 1.

    R = ħω(Γ₁/2) q/(1+δ²+q) (supplement D). Unknown where something else than the absorbed power
    at the device was fitted: a free gain would take the contradiction upon itself.
    """
    name = next((n for n in ("absorbed_power", "reflected_power") if n in result.observables), "")
    plain = result.options["detection"] == "absorbed" and result.options["energy"] != "floquet"
    if not name or not plain or "gain_db" in result.values:
        return UNKNOWN
    shape, v = result.curve[name], result.values
    gamma_1_tot = v["gamma_1"] * (1 + 2 * v.get("n_th", 0.0))
    gamma_2 = gamma_1_tot / 2 + v["gamma_phi"]
    frequency, recorded = _on(result, "frequency", shape), _on(result, "incident_power", shape)
    power = recorded * 10 ** (-v.get("attenuation_db", 0.0) / 10)
    delta = TWO_PI * (frequency - v["qubit_frequency"]) / gamma_2
    q = v["drive_scale"] * power / (gamma_1_tot * gamma_2)
    photon = frequency if result.options["energy"] == "effective" else v["qubit_frequency"]
    height = HBAR * TWO_PI * photon * v["gamma_1"] / 2

    def curve(u: Array) -> Array:
        """Power for (centre, ln Γ₂, ln(Γ₁/Γ₂), ln P_s) moved by u."""
        d = (delta - u[0]) * np.exp(-u[1])
        absorbed = height * np.exp(u[1] + u[2]) * q / (q + (1 + d**2) * np.exp(u[3]))
        return np.asarray(absorbed if name == "absorbed_power" else power - absorbed)

    moved, error = _refit(result, name, curve, np.ones(4, dtype=bool))
    ratio = v["gamma_1"] / (2 * gamma_2) * float(np.exp(moved[2]))
    return ratio, ratio * error[2]


def _on(result: FitResult, name: str, shape: xr.DataArray) -> Array:
    field = result.traces[name] + 0 * shape.real
    return np.asarray(field.transpose(*shape.dims).values, dtype=float)


def _is_free(result: FitResult, name: str) -> bool:
    return any(e.name.split("[")[0] == name and e.status != "fixed" for e in result.parameters)


def _setup_columns(result: FitResult, shape: xr.DataArray) -> list[Array]:
    """Logarithms of gain (real) and phase (imaginary) as columns, one for each free number."""
    columns = []
    for name, unit in (("reference_gain", 1.0), ("reference_phase", 1j)):
        if not _is_free(result, name):
            continue
        dim = result.request.get("per", {}).get(name)
        if dim is None:
            columns.append(unit * np.ones(shape.shape))
            continue
        member = np.indices(shape.shape)[shape.dims.index(dim)]
        columns += [unit * (member == i) for i in range(shape.sizes[dim])]
    return columns


def _refit(
    result: FitResult, name: str, curve: Callable[[Array], Array], free: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """Least squares from the fit's own point; return how far each coordinate moves, and errors."""
    from scipy.optimize import least_squares

    dims = result.curve[name].dims
    data = result.traces[name].transpose(*dims).values
    sigma = result.curve[f"{name}_sigma"].values
    used = np.isfinite(sigma) & np.isfinite(data)

    def full(part: Array) -> Array:
        u = np.zeros(free.size)
        u[free] = part
        return u

    def rows(part: Array) -> Array:
        gap = ((curve(full(part)) - data) / sigma)[used]
        return np.concatenate([gap.real, gap.imag]) if np.iscomplexobj(gap) else gap

    if 2 * used.sum() < free.sum():
        return full(np.full(int(free.sum()), np.nan)), np.full(free.size, inf)
    with np.errstate(all="ignore"):
        found = least_squares(rows, np.zeros(int(free.sum())), x_scale="jac", max_nfev=60)
    jacobian = np.asarray(found.jac)
    inverse = np.linalg.pinv(jacobian.T @ jacobian, rcond=1e-13, hermitian=True)
    error = np.zeros(free.size)
    error[free] = np.sqrt(np.diag(inverse))
    return full(found.x), error
