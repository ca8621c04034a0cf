"""What the machine could do: one fused loop of curve, derivatives and sums, and numpy's streaming.

The loop is the model of scenario B with everything derived by hand, four free parameters, compiled
by numba: nothing can be left out of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.scenario_models import CARRIER
from benchmarks.timing import least_cpu_time

FloatArray = NDArray[np.float64]
POINTS, TRACES = 201, 2000


def normal_equations(
    x: FloatArray,
    y: FloatArray,
    w: FloatArray,
    parameters: FloatArray,
    n_th: float,
    out: FloatArray,
) -> None:
    """Fill χ², four slopes and ten products for every trace."""
    for t in range(x.shape[0]):
        gamma_1, gamma_2, drive, centre = parameters[t]
        broad = drive * gamma_2 / (gamma_1 * (1 + 2 * n_th))
        narrow, peak = gamma_2 * gamma_2, 0.5 * gamma_1 * broad
        one, two, three = 1 / gamma_1, 1 / gamma_2, 1 / drive
        chi2 = g0 = g1 = g2 = g3 = 0.0
        a00 = a01 = a02 = a03 = a11 = a12 = a13 = a22 = a23 = a33 = 0.0
        for m in range(x.shape[1]):
            offset = x[t, m] - centre
            width = offset * offset + narrow
            part = 1 / (width + broad)
            value = (1 + x[t, m] / CARRIER) * peak * part * w[t, m]
            bend = value * width * part
            tilt = 2 * value * part
            j0, j1, j2 = (value - bend) * one, bend * two - tilt * gamma_2, bend * three
            j3, r = tilt * offset, value - y[t, m] * w[t, m]
            chi2 += r * r
            g0, g1, g2, g3 = g0 + j0 * r, g1 + j1 * r, g2 + j2 * r, g3 + j3 * r
            a00, a01, a02, a03 = a00 + j0 * j0, a01 + j0 * j1, a02 + j0 * j2, a03 + j0 * j3
            a11, a12, a13 = a11 + j1 * j1, a12 + j1 * j2, a13 + j1 * j3
            a22, a23, a33 = a22 + j2 * j2, a23 + j2 * j3, a33 + j3 * j3
        out[t, 0], out[t, 1], out[t, 2], out[t, 3], out[t, 4] = chi2, g0, g1, g2, g3
        out[t, 5], out[t, 6], out[t, 7], out[t, 8], out[t, 9] = a00, a01, a02, a03, a11
        out[t, 10], out[t, 11], out[t, 12], out[t, 13], out[t, 14] = a12, a13, a22, a23, a33


def fused_loop() -> float | None:
    """Return ns per point of one evaluation, None without numba."""
    try:
        import numba
    except ImportError:
        return None
    quick = numba.njit(error_model="numpy", fastmath=True)(normal_equations)
    rng = np.random.default_rng(1)
    x = np.linspace(-5, 5, POINTS) * np.ones((TRACES, 1))
    y, w = rng.standard_normal(x.shape), np.ones_like(x)
    parameters = np.exp(0.1 * rng.standard_normal((TRACES, 4)))
    out = np.empty((TRACES, 15))
    quick(x[:2], y[:2], w[:2], parameters[:2], 0.02, out[:2])
    calls = 5
    seconds = least_cpu_time(
        lambda: [quick(x, y, w, parameters, 0.02, out) for _ in range(calls)], repeats=7
    )
    return seconds / calls / x.size * 1e9


def streaming() -> tuple[float, float]:
    """Return GB/s of a sum over more than the cache, and ns per element of a product inside it."""
    wide = np.ones(20_000_000)
    rate = wide.nbytes / least_cpu_time(lambda: np.add.reduce(wide), repeats=5) / 1e9
    a, b, c = np.ones(20_000), np.ones(20_000), np.empty(20_000)
    seconds = least_cpu_time(lambda: [np.multiply(a, b, out=c) for _ in range(5000)], repeats=7)
    return rate, seconds / 5000 / a.size * 1e9


def machine() -> dict[str, float | None]:
    """Return the limits of this machine."""
    rate, element = streaming()
    return {
        "fused_ns_per_point": fused_loop(),
        "streaming_gb_per_s": rate,
        "numpy_ns_per_element": element,
    }


def limit_per_s(ns_per_point: float, points: int, evaluations: float) -> float:
    """Return fits per second if nothing but the fused loop took time."""
    return 1e9 / (ns_per_point * points * evaluations)
