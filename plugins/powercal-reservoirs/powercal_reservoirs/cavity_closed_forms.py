"""What is known of a quantised cavity in closed form: alpha_Q, and the Hartree-Fock rate."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["hartree_fock_rate", "optical_rate"]

Array = NDArray[Any]


def optical_rate(
    coupling: ArrayLike,
    cavity_detuning: ArrayLike,
    gamma_u: ArrayLike,
    gamma_l: ArrayLike,
    gamma_b: ArrayLike,
) -> Array:
    """Rate per unit of F, alpha_Q = |g|^2 G/(D_cav^2 + G^2/4), G = gamma_u + gamma_l + gamma_b.

    Parameters
    ----------
    coupling, cavity_detuning : array_like
        g (any phase) and D_cav, rad/s.
    gamma_u, gamma_l, gamma_b : array_like
        Rates, 1/s.

    Returns
    -------
    ndarray
        1/s; R = alpha_Q F exactly [W B6, B9], F of [W B5] (``CavityState.source``).

    Notes
    -----
    [W] after B11 prints another denominator (physics sheet section 9).

    Examples
    --------
    >>> float(optical_rate(1.0, 0.0, 1.0, 1.0, 2.0))
    1.0
    """
    width = np.asarray(gamma_u) + np.asarray(gamma_l) + np.asarray(gamma_b)
    return np.asarray(
        np.abs(coupling) ** 2 * width / (np.asarray(cavity_detuning) ** 2 + width**2 / 4)
    )


def hartree_fock_rate(
    gamma_u: ArrayLike,
    gamma_l: ArrayLike,
    gamma_b: ArrayLike,
    f_u: ArrayLike,
    f_l: ArrayLike,
    n_b: ArrayLike,
    coupling: ArrayLike,
    cavity_detuning: ArrayLike,
) -> Array:
    """Rate R in the Hartree-Fock-like approximation of [W B12], in closed form.

    Parameters
    ----------
    gamma_u, gamma_l, gamma_b, f_u, f_l, n_b, coupling, cavity_detuning : array_like
        As in :func:`powercal_reservoirs.cavity.cavity_steady_state`.

    Returns
    -------
    ndarray
        R, 1/s: the sign is exact, the size need not be.

    Notes
    -----
    F = <n_u>(1 - <n_l>) + (<n_u> - <n_l>) <a^+ a> with [B11] makes R = alpha_Q F a quadratic
    equation; its physical root is the one that starts at R = 0.

    Examples
    --------
    >>> round(float(hartree_fock_rate(1.0, 1.0, 1e9, 1.0, 0.0, 0.0, 1e4, 0.0)), 6)
    0.234436
    """
    upper, lower, bath, photons = (np.asarray(a) for a in (gamma_u, gamma_l, gamma_b, n_b))
    at_u, at_l = np.asarray(f_u), np.asarray(f_l)
    alpha = optical_rate(coupling, cavity_detuning, upper, lower, bath)
    series = 1 / upper + 1 / lower
    square = alpha * (1 / (upper * lower) - series / bath)
    falling = (at_u - at_l) / bath - series * photons - at_u / lower - (1 - at_l) / upper
    slope = alpha * falling - 1
    start = alpha * (at_u * (1 - at_l) + (at_u - at_l) * photons)
    # Never negative but by rounding, where both roots meet.
    apart = np.sqrt(np.maximum(slope**2 - 4 * square * start, 0.0))
    return np.asarray(2 * start / (apart - slope))
