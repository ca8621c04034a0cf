"""What all are judged by: MINPACK at 1e-15 with derivatives by hand, bounds by an active set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import leastsq

from benchmarks.scenarios import Scenario
from benchmarks.single import Single

FloatArray = NDArray[np.float64]
TIGHT = 1e-15


@dataclass(frozen=True)
class Reference:
    """(traces, p) values, (traces, p, p) covariances from given σ, (traces,) χ²."""

    values: FloatArray
    covariance: FloatArray
    chi2: FloatArray

    @property
    def errors(self) -> FloatArray:
        return np.sqrt(np.einsum("tii->ti", self.covariance))


def reference(scenario: Scenario, traces: int) -> Reference:
    """Fit the first traces one by one from the truth, which ends in the minimum that matters."""
    scale = scenario.scale[:traces]
    truth = (scenario.truth[:traces] - scenario.origin[:traces]) / scale
    found = [_solve(Single(scenario, i), truth[i]) for i in range(traces)]
    return Reference(
        np.array([x for x, _, _ in found]) * scale + scenario.origin[:traces],
        np.array([c for _, c, _ in found]) * scale[:, :, None] * scale[:, None, :],
        np.array([chi2 for _, _, chi2 in found]),
    )


def _solve(s: Single, start: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Return the minimum inside the bounds, its covariance with all free, and χ² there."""
    x, held = start.copy(), np.zeros(start.size, dtype=bool)
    for _ in range(2 * x.size + 1):
        x = _minimum(s, x, ~held)
        out = ~held & ((x < s.low) | (x > s.high))
        if not out.any():
            pull = s.jacobian(x) @ s.residual(x)
            inwards = held & (((x <= s.low) & (pull < 0)) | ((x >= s.high) & (pull > 0)))
            if not inwards.any():
                break
            held &= ~inwards
        held |= out
        x = np.clip(x, s.low, s.high)
    rows = s.residual(x)
    return x, _covariance(s.jacobian(x)), float(rows @ rows)


def _minimum(s: Single, start: FloatArray, free: NDArray[np.bool_]) -> FloatArray:
    x = start.copy()

    def whole(part: FloatArray) -> FloatArray:
        x[free] = part
        return x

    found = leastsq(
        lambda part: s.residual(whole(part)),
        start[free],
        Dfun=lambda part: s.jacobian(whole(part))[free],
        col_deriv=1,
        ftol=TIGHT,
        xtol=TIGHT,
        gtol=0.0,
        maxfev=5000,
        full_output=True,
    )
    return whole(found[0]).copy()


def _covariance(jacobian: FloatArray) -> FloatArray:
    """Return (JJᵀ)⁻¹ by QR, columns scaled first."""
    size = np.linalg.norm(jacobian, axis=1)
    triangle = np.linalg.qr((jacobian / size[:, None]).T, mode="r")
    half = np.linalg.inv(triangle) / size[:, None]
    return np.asarray(half @ half.T)


def tight_lmfit(scenario: Scenario, traces: int) -> Reference:
    """Fit with lmfit itself: same bounds, derivatives by hand, tolerances of 1e-15.

    Its own defaults stop earlier and take differences: they are right to 1e-4 standard errors.
    """
    import lmfit

    def rows(parameters: Any, s: Single) -> FloatArray:
        return s.residual([parameters[n].value for n in s.names])

    def slopes(parameters: Any, s: Single) -> FloatArray:
        return s.jacobian([parameters[n].value for n in s.names])

    values, covariance, chi2 = [], [], []
    for i in range(traces):
        s, parameters = Single(scenario, i), lmfit.Parameters()
        for name, value, low, high in s.table():
            parameters.add(name, value, min=low, max=high)
        fit = lmfit.Minimizer(rows, parameters, fcn_args=(s,), scale_covar=False)
        found = fit.leastsq(Dfun=slopes, col_deriv=1, ftol=TIGHT, xtol=TIGHT, gtol=TIGHT)
        values.append([found.params[n].value for n in s.names])
        covariance.append(found.covar)
        chi2.append(found.chisqr)
    scale = scenario.scale[:traces]
    return Reference(
        np.array(values) * scale + scenario.origin[:traces],
        np.array(covariance) * scale[:, :, None] * scale[:, None, :],
        np.array(chi2),
    )
