"""One way for every physics function to take its arguments: as arrays, never converted in place."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complexfloating[Any, Any]]


def real(value: ArrayLike) -> FloatArray:
    """Return `value` as a double-precision array.

    Complex numbers pass unchanged, so that derivatives by complex steps work through every formula;
    so does what only records the operations done with it (``records_operations``).

    Parameters
    ----------
    value : array_like
        Any shape and unit.

    Returns
    -------
    ndarray
        The same numbers, float64 (or complex128 if they were complex).
    """
    if getattr(value, "records_operations", False):
        return cast(FloatArray, value)
    array = np.asarray(value)
    return array if array.dtype == np.complex128 else array.astype(np.float64, copy=False)
