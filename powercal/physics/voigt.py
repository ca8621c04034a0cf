"""The complex Voigt line: a Lorentzian pole averaged over slow Gaussian noise of its frequency."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from powercal.physics._arrays import ComplexArray, FloatArray, real

__all__ = ["complex_voigt", "complex_voigt_slopes"]

# Below this sigma/|y| the differences in the slopes lose digits, and 12 terms of the series in
# (sigma/y)^2 are exact to 1e-15.
_NARROW = 0.05
_TERMS = 12


def complex_voigt(detuning: ArrayLike, width: ArrayLike, sigma: ArrayLike) -> ComplexArray:
    """Average of 1/(W - i(Delta + xi)) over Gaussian xi, L = sqrt(pi/2)/sigma w(z).

    Parameters
    ----------
    detuning : array_like
        Delta, rad/s.
    width : array_like
        W > 0, the half width of the line without slow noise, rad/s.
    sigma : array_like
        Standard deviation of xi, rad/s; 0 gives 1/(W - i Delta).

    Returns
    -------
    ndarray
        Complex L, s, with z = (Delta + iW)/(sqrt2 sigma) and the Faddeeva function w.

    Notes
    -----
    Supplement C2.

    Examples
    --------
    >>> complex(complex_voigt(0.0, 2.0, 0.0))
    (0.5+0j)
    """
    from scipy.special import wofz

    pole = real(width) - 1j * real(detuning)
    # A billionth of the width is as good as none, to all digits, and divides.
    spread = np.maximum(real(sigma), 1e-9 * real(width))
    return np.asarray(np.sqrt(np.pi / 2.0) / spread * wofz(1j / (np.sqrt(2.0) * spread) * pole))


def complex_voigt_slopes(
    detuning: ArrayLike, width: ArrayLike, sigma: ArrayLike
) -> tuple[ComplexArray, ComplexArray, ComplexArray]:
    """Complex Voigt line with its derivatives by the pole y = W - i Delta and by sigma.

    Parameters
    ----------
    detuning, width, sigma : array_like
        As of `complex_voigt`.

    Returns
    -------
    tuple of ndarray
        L (s), dL/dy and dL/dsigma (s^2) of the broadcast shape; dL/dW = dL/dy and
        dL/dDelta = -i dL/dy.

    Notes
    -----
    Supplement C2 with w' = -2zw + 2i/sqrt(pi): sigma^2 L' = yL - 1, dL/dsigma = -(L + yL')/sigma.
    """
    arrays = np.broadcast_arrays(real(detuning), real(width), real(sigma))
    line = complex_voigt(*arrays)
    pole = np.asarray(arrays[1] - 1j * arrays[0])
    spread = np.asarray(arrays[2])
    narrow = spread < _NARROW * np.abs(pole)
    wide = np.where(narrow, 1.0, spread)
    by_pole = np.asarray((pole * line - 1.0) / wide**2)
    by_sigma = np.asarray(-(line + pole * by_pole) / wide)
    by_pole[narrow], by_sigma[narrow] = _narrow_slopes(pole[narrow], spread[narrow])
    return line, by_pole, by_sigma


def _narrow_slopes(pole: ComplexArray, sigma: FloatArray) -> tuple[ComplexArray, ComplexArray]:
    """Derive L = (1/y) sum_k (-1)^k (2k-1)!! u^k, u = (sigma/y)^2, term by term."""
    u = (sigma / pole) ** 2
    first, second = np.ones_like(u), np.ones_like(u)
    for k in range(_TERMS, 0, -1):
        first = 1.0 - (2 * k + 1) * u * first
        second = 1.0 - (2 * k + 1) * (k + 1) / k * u * second
    return -first / pole**2, -2.0 * sigma * second / pole**3
