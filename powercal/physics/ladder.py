"""What a third level does to a weakly anharmonic qubit: closed forms for the checks."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from powercal.physics._arrays import FloatArray, real

__all__ = ["leakage", "stark_shift"]


def leakage(rabi: ArrayLike, anharmonicity: ArrayLike, dephasing_ratio: ArrayLike) -> FloatArray:
    """Population of the third level over that of the second, resonant drive, T = 0.

    Parameters
    ----------
    rabi : array_like
        Rabi rate Omega of the lowest transition, rad/s, small against the anharmonicity.
    anharmonicity : array_like
        alpha, rad/s, of either sign.
    dephasing_ratio : array_like
        Gamma_phi12/Gamma_21: white dephasing of the upper transition over its relaxation rate.

    Returns
    -------
    ndarray
        p_2/p_1 = (Omega^2/(2 alpha^2))(1 + 2 Gamma_phi12/Gamma_21), dimensionless.

    Notes
    -----
    Supplement C7, C11. For Gamma_21 = 2 Gamma_10, Gamma_1 from R/(hbar omega_d p_1) is high by
    twice this, from R/(hbar omega_d (p_1 + p_2)) by this.

    Examples
    --------
    >>> round(float(leakage(2.0, -100.0, 0.5)), 9)
    0.0004
    """
    return real(rabi) ** 2 / (2.0 * real(anharmonicity) ** 2) * (1.0 + 2.0 * real(dephasing_ratio))


def stark_shift(rabi: ArrayLike, anharmonicity: ArrayLike) -> FloatArray:
    """Bound on the shift of the driven line by the third level, Omega^2/(2 |alpha|).

    Parameters
    ----------
    rabi, anharmonicity : array_like
        Rabi rate and alpha, rad/s.

    Returns
    -------
    ndarray
        rad/s. With secular dissipators the line moves by this (upwards for alpha < 0); with a
        collective one it stays at T = 0.

    Notes
    -----
    Supplement C7, C11.

    Examples
    --------
    >>> float(stark_shift(2.0, -100.0))
    0.02
    """
    return real(rabi) ** 2 / (2.0 * np.abs(real(anharmonicity)))
