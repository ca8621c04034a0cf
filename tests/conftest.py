"""What holds for every test: one thread of BLAS per worker, and no tolerance that nobody wrote."""

from __future__ import annotations

import functools
import os
from typing import Any

import pytest

# The matrices are small, and threads would only fight.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

_pytests_own = pytest.approx


@functools.wraps(_pytests_own)
def approx(expected: Any, rel: Any = None, abs: Any = None, nan_ok: bool = False) -> Any:
    """Compare without the absolute 1e-12 that pytest adds to every relative tolerance.

    A qubit absorbs femtowatts: 1e-12 W would let every power of this house pass for any other.
    """
    if abs is None:
        rel, abs = 1e-6 if rel is None else rel, 0.0
    return _pytests_own(expected, rel=rel, abs=abs, nan_ok=nan_ok)


pytest.approx = approx
