"""Whether a chain may be believed: autocorrelation, effective size, R-hat; its intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
_WINDOW = 5.0  # Sokal's: sum autocorrelations up to five times the time they give
GROUPS = 4


def autocorrelation_time(chain: FloatArray) -> float:
    """Return the integrated autocorrelation time of one quantity, in steps.

    Parameters
    ----------
    chain : ndarray, shape (steps, walkers)

    Returns
    -------
    float
        τ = 1 + 2Σρ, summed up to Sokal's window of 5τ, ρ averaged over walkers; inf where the
        quantity did not move, or where the chain is shorter than the window.
    """
    steps = chain.shape[0]
    centred = chain - chain.mean()
    spectrum = np.fft.rfft(centred, n=2 * steps, axis=0)
    products = np.fft.irfft(np.abs(spectrum) ** 2, axis=0)[:steps].mean(axis=1)
    products = products / np.arange(steps, 0, -1)  # without bias towards short times
    if not products[0] > 0:
        return float("inf")
    times = 2 * np.cumsum(products / products[0]) - 1
    inside = np.arange(steps) < _WINDOW * times
    if inside.all():
        return float("inf")
    return float(max(times[int(np.argmin(inside))], 1.0))


def split_r_hat(chain: FloatArray) -> float:
    """Return R-hat of groups of walkers, each split into its first and second half.

    Walkers of an ensemble learn from each other; groups of them, in halves, show both a drift and
    walkers that are left behind. 1 where all agree.
    """
    groups = min(GROUPS, chain.shape[1])
    half = chain.shape[0] // 2
    parts = [
        part.ravel()
        for group in np.array_split(chain, groups, axis=1)
        for part in (group[:half], group[-half:])
    ]
    within = float(np.mean([p.var(ddof=1) for p in parts]))
    between = float(np.var([p.mean() for p in parts], ddof=1))
    return float(np.sqrt(1 + between / within)) if within > 0 else float("inf")


def quantile_interval(samples: FloatArray, level: float) -> tuple[float, float]:
    """Return the central interval: equal probabilities outside on both sides."""
    low, high = np.quantile(samples, [0.5 - level / 2, 0.5 + level / 2])
    return float(low), float(high)


def densest_interval(samples: FloatArray, level: float) -> tuple[float, float]:
    """Return the shortest interval that holds a share ``level`` of the samples."""
    ordered = np.sort(samples)
    count = min(max(int(np.ceil(level * ordered.size)), 1), ordered.size)
    widths = ordered[count - 1 :] - ordered[: ordered.size - count + 1]
    first = int(np.argmin(widths))
    return float(ordered[first]), float(ordered[first + count - 1])
