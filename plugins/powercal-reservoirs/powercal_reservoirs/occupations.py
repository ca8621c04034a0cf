"""Occupations of reservoirs as functions of x = (E - mu)/kT, without overflow or lost signs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["bose", "fermi", "inversion"]

Array = NDArray[Any]
_LARGEST = 700.0  # exp of more overflows; exp(-700) is zero for every purpose


def fermi(x: ArrayLike) -> Array:
    """Occupation of a level in equilibrium with a reservoir, 1/(e^x + 1) [W9, W16].

    Parameters
    ----------
    x : array_like
        (E - mu)/kT, any shape.

    Returns
    -------
    ndarray
        Occupation in [0, 1], with full relative accuracy at large x.

    Examples
    --------
    >>> float(fermi(0.0))
    0.5
    """
    return np.asarray(1.0 / (1.0 + np.exp(np.minimum(x, _LARGEST))))


def bose(x: ArrayLike) -> Array:
    """Occupation of a mode in equilibrium with a reservoir, 1/(e^x - 1) ([W] after 23).

    Parameters
    ----------
    x : array_like
        E/kT > 0, any shape.

    Returns
    -------
    ndarray
        Occupation > 0.

    Examples
    --------
    >>> round(float(bose(np.log(2.0))), 12)
    1.0
    """
    return np.asarray(1.0 / np.expm1(np.minimum(x, _LARGEST)))


def inversion(x_u: ArrayLike, x_l: ArrayLike) -> Array:
    """Difference f_u - f_l of two Fermi occupations, exact in sign and in relative size.

    Parameters
    ----------
    x_u, x_l : array_like
        (E - mu)/kT of the upper and of the lower level, broadcast together.

    Returns
    -------
    ndarray
        f_u - f_l in (-1, 1), of the sign of x_l - x_u whatever the rounding.

    Notes
    -----
    f_u - f_l = f_u (1 - f_l) (1 - e^{x_u - x_l}); written with the smaller of the two first, no
    exponential grows. Second laws ask for the sign ([W] after 16), so it must survive rounding.

    Examples
    --------
    >>> float(inversion(40.0, 40.0 + 1e-9)) > 0
    True
    """
    least, largest = np.minimum(x_u, x_l), np.maximum(x_u, x_l)
    below = 1.0 + np.exp(np.minimum(least, _LARGEST))
    above = 1.0 + np.exp(np.minimum(-largest, _LARGEST))
    # A Fermi function falls: whoever has the smaller x is the fuller one.
    return np.asarray(
        np.copysign(np.expm1(least - largest) / (below * above), np.subtract(x_l, x_u))
    )
