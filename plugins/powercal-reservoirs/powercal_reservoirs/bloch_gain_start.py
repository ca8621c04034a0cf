"""Starting values of the gain spectrum: for a given line it is linear in the two densities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.errors import FitError
from powercal_reservoirs.bloch_gain import gain_factor, line_shape
from powercal_reservoirs.constants import BOLTZMANN, PLANCK, TWO_PI

Array = NDArray[Any]
_ASSUMED = {"temperature": 20.0, "dipole": 1e-8, "period": 5e-8, "refractive_index": 3.6}
_CENTRES, _WIDTHS = 41, 12


def guess(traces: Any, fixed: Mapping[str, float]) -> dict[str, Array]:
    """Try lines on a raster; dilute carriers above an energy are n e^{−x/kT}.

    Raises
    ------
    FitError
        Traces without frequency or gain, or with fewer than four points.
    """
    missing = [n for n in ("frequency", "gain_per_length") if n not in traces]
    if missing:
        raise FitError(f"the traces lack {', '.join(missing)}; bloch_gain needs both")
    import xarray

    together = xarray.broadcast(traces["frequency"], traces["gain_per_length"])
    frequency, gain = (field.values.ravel() for field in together)
    keep = np.isfinite(frequency) & np.isfinite(gain)
    if keep.sum() < 4:
        raise FitError("bloch_gain needs at least four points with frequency and gain")
    known = {**_ASSUMED, **fixed}
    start = {**_ASSUMED, **_best_line(frequency[keep], gain[keep], known), **fixed}
    return {name: np.asarray(float(value)) for name, value in start.items()}


def _best_line(frequency: Array, gain: Array, known: Mapping[str, float]) -> dict[str, float]:
    """Return the line and the densities, neither negative, that fit best on a raster of lines."""
    span = float(np.ptp(frequency)) or 0.1 * float(frequency[0])
    centres = np.linspace(frequency.min(), frequency.max(), _CENTRES)
    widths = TWO_PI * span * np.geomspace(0.02, 2.0, _WIDTHS)
    if "transition_frequency" in known:
        centres = np.array([known["transition_frequency"]])
    if "gamma_total" in known:
        widths = np.array([known["gamma_total"]])
    offset = frequency - centres[:, None, None]
    medium = (known["dipole"], known["refractive_index"], known["period"])
    factor = gain_factor(TWO_PI * frequency, *medium)
    factor = factor * line_shape(TWO_PI * offset, widths[:, None])
    y = PLANCK * offset / (BOLTZMANN * known["temperature"])
    upper, lower, misfit = _densities(
        gain, factor * np.exp(-np.maximum(y, 0.0)), -factor * np.exp(-np.maximum(-y, 0.0))
    )
    best = np.unravel_index(int(np.argmin(misfit)), misfit.shape)
    return {
        "transition_frequency": min(max(float(centres[best[0]]), 1e9), 1e15),
        "gamma_total": min(max(float(widths[best[1]]), 1e4), 1e15),
        "density_u": min(float(upper[best]), 1e19),
        "density_l": min(float(lower[best]), 1e19),
    }


def _densities(gain: Array, first: Array, second: Array) -> tuple[Array, Array, Array]:
    """Least squares of two columns with factors that are not negative; and what is left over."""
    a, b, c = (np.sum(m, axis=-1) for m in (first**2, first * second, second**2))
    u, v = (first @ gain), (second @ gain)
    with np.errstate(divide="ignore", invalid="ignore"):
        both = np.stack([c * u - b * v, a * v - b * u]) / (a * c - b**2)
        alone = np.maximum(np.stack([u / a, v / c]), 0.0)
    candidates = np.stack([both, alone * [[[1.0]], [[0.0]]], alone * [[[0.0]], [[1.0]]]])
    legal = np.all((candidates >= 0) & np.isfinite(candidates), axis=1)
    one, other = candidates[:, 0], candidates[:, 1]
    left = one**2 * a + 2 * one * other * b + other**2 * c - 2 * (one * u + other * v)
    left = np.where(legal, left, np.inf)
    choice = np.argmin(left, axis=0)[None]
    upper, lower, misfit = (np.take_along_axis(x, choice, 0)[0] for x in (one, other, left))
    return upper, lower, misfit
