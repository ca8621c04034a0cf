"""What all are judged by: MINPACK at 1e-15 with derivatives by hand, bounds by an active set.

Neither search nor covariance is powercal's, though it has both: they would be judged by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import leastsq

from benchmarks.peers import minimizer
from benchmarks.scenarios import Scenario
from benchmarks.single import Single

FloatArray = NDArray[np.float64]
TIGHT = 1e-15


@dataclass(frozen=True)
class Reference:
    """(traces, p) values and (traces, p, p) covariances from given σ."""

    values: FloatArray
    covariance: FloatArray

    @property
    def errors(self) -> FloatArray:
        return np.sqrt(np.einsum("tii->ti", self.covariance))


def reference(scenario: Scenario, traces: int) -> Reference:
    """Fit the first traces one by one from the truth, which ends in the minimum that matters."""
    truth = (scenario.truth - scenario.origin) / scenario.scale
    found = [_solve(Single(scenario, i), truth[i]) for i in range(traces)]
    return _in_units(scenario, *zip(*found, strict=True))


def _solve(s: Single, start: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the minimum inside the bounds, and its covariance with all free."""
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
    return x, _covariance(s.jacobian(x))


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
    fit = minimizer(slopes=True, tight=TIGHT)
    fits = [fit(Single(scenario, i)) for i in range(traces)]
    found = [([f.params[n].value for n in scenario.recipe.free], f.covar) for f in fits]
    return _in_units(scenario, *zip(*found, strict=True))


def _in_units(scenario: Scenario, values: Any, covariances: Any) -> Reference:
    """Return what was found in comfortable numbers, one trace after the other, in their units."""
    scale = scenario.scale[: len(values)]
    return Reference(
        np.array(values) * scale + scenario.origin[: len(values)],
        np.array(covariances) * scale[:, :, None] * scale[:, None, :],
    )
