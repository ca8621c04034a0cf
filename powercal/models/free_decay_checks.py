"""Assumptions of a free decay as checks: its window, its first step, the energy under its curve."""

from __future__ import annotations

from math import log, nan
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from powercal.models.checks import check, quality
from powercal.models.driven import TWO_PI
from powercal.physics.constants import HBAR
from powercal.result import Check, FitResult

if TYPE_CHECKING:
    import xarray as xr

FloatArray = NDArray[np.float64]

WINDOW = 3.0  # relaxation times: with less, the level at rest and the rate trade off
FIRST_STEP = 0.5  # relaxation times: with more, most of the decay is over at the second delay
ERRORS = 3.0


def decay_checks(result: FitResult) -> tuple[Check, ...]:
    """Check a fit of a free decay."""
    gamma = result.values["gamma_1_tot"]
    delays = np.unique(np.concatenate([_used(result, name)[0] for name in result.observables]))
    checks = [
        check(
            "decay_window",
            WINDOW / (gamma * float(np.ptp(delays))),
            1.0,
            "with delays over less than three T1 the rate trades off against the level at rest",
        ),
        check(
            "first_step",
            gamma * float(delays[1] - delays[0]),
            FIRST_STEP,
            "with a first step of more than half a T1 the rate hangs on the first point",
        ),
        quality(gamma, TWO_PI * _transition(result)),
    ]
    if {"excited_population", "emitted_power"} <= set(result.observables):
        checks.append(_energy_integral(result))
    return tuple(checks)


def _transition(result: FitResult) -> float:
    """Return the transition in Hz as the data or the user state it, else as fitted, else NaN."""
    stated = result.traces.attrs.get("transition_frequency")
    if stated is not None:
        return float(stated)
    found = [e for e in result.parameters if e.name == "qubit_frequency"]
    return float(found[0].value) if found and found[0].value is not None else nan


def _used(result: FitResult, name: str) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return delays, data and σ of the points that were fitted, in the order of the delays."""
    import xarray

    fields: tuple[xr.DataArray, ...] = xarray.broadcast(
        result.traces["time"], result.traces[name], result.curve[f"{name}_sigma"]
    )
    time, data, sigma = (f.values.ravel() for f in fields)
    keep = np.flatnonzero(np.isfinite(sigma))
    keep = keep[np.argsort(time[keep], kind="stable")]
    return time[keep], data[keep], sigma[keep]


def _energy_integral(result: FitResult) -> Check:
    """Compare the energy under the power with that of the populations, each from its own data.

    Both are sums over their own points: the trapezoids of R(t) − R(∞) on one side, and on the
    other η ħω_q Γ₁tot (p_0 − p_eq) times the trapezoids of exp(−Γ₁tot t) at the same delays, so
    that neither a short window nor coarse steps count.
    """
    share, frequency = _stated(result, "detected_share"), _stated(result, "qubit_frequency")
    level = _stated(result, "gain_db") if "gain_db" in result.values else (0.0, 0.0)
    scale = HBAR * TWO_PI * frequency[0] * share[0] * 10 ** (level[0] / 10)
    relative = (share[1] / share[0], frequency[1] / frequency[0], log(10) / 10 * level[1])
    found, found_error = _energy_of_power(result)
    drop, drop_error = _drop_of_populations(result)
    wanted = scale * drop
    error = float(np.linalg.norm([found_error, scale * drop_error, *np.multiply(wanted, relative)]))
    ratio = found / wanted if wanted else nan
    told = f"is {ratio:.3g} of" if np.isfinite(ratio) else "cannot be held against"
    return check(
        "energy_integral",
        abs(found - wanted) / error,
        ERRORS,
        f"the energy under the power trace {told} η ħω_q(p_0 − p_eq) of the populations, gain "
        f"included (value: the difference in standard errors): gain, detected share or the scale "
        f"of the population is wrong",
    )


def _stated(result: FitResult, name: str) -> tuple[float, float]:
    """Return what was stated of a parameter, with its error; NaN where the fit chose it."""
    estimate = result[name]
    if estimate.status == "fixed":
        return result.values[name], 0.0
    return estimate.prior or (nan, nan)


def _energy_of_power(result: FitResult) -> tuple[float, float]:
    time, data, sigma = _used(result, "emitted_power")
    weights = _trapezoids(time)
    rest = _levels(time, sigma, result.values["gamma_1_tot"])[0]
    taken = weights - weights.sum() * rest
    return float(taken @ data), float(np.linalg.norm(taken * sigma))


def _drop_of_populations(result: FitResult) -> tuple[float, float]:
    """Return (p_0 − p_eq) times the part of the energy that the trapezoids of the power cover."""
    gamma = result.values["gamma_1_tot"]
    time, data, sigma = _used(result, "excited_population")
    drop = _levels(time, sigma, gamma)[1]
    delays = _used(result, "emitted_power")[0]
    covered = gamma * float(_trapezoids(delays) @ np.exp(-gamma * delays))
    return covered * float(drop @ data), covered * float(np.linalg.norm(drop * sigma))


def _trapezoids(time: FloatArray) -> FloatArray:
    """Return the weights of the trapezoid rule; delays measured twice share theirs."""
    delays, which, counts = np.unique(time, return_inverse=True, return_counts=True)
    steps = np.diff(delays)
    weights = (np.append(steps, 0.0) + np.insert(steps, 0, 0.0)) / 2
    return np.asarray(weights[which] / counts[which])


def _levels(time: FloatArray, sigma: FloatArray, gamma: float) -> FloatArray:
    """Return how the level at rest and the drop at time zero follow from the data, (2, n)."""
    columns = np.stack([np.ones_like(time), np.exp(-gamma * time)], axis=1) / sigma[:, None]
    return np.asarray(np.linalg.pinv(columns) / sigma)
