"""Thermal occupations: of a bath at a temperature, and at the end of a chain of attenuators."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from powercal.physics._arrays import FloatArray, real
from powercal.physics.constants import BOLTZMANN, HBAR

__all__ = ["attenuator_chain_occupation", "bose_occupation", "temperature_from_occupation"]


def bose_occupation(angular_frequency: ArrayLike, temperature: ArrayLike) -> FloatArray:
    """Occupation of a mode in a bosonic bath, n = 1/(exp(hbar w/kT) - 1).

    Parameters
    ----------
    angular_frequency : array_like
        Mode frequency w > 0, rad/s, any shape.
    temperature : array_like
        Bath temperature T >= 0, K, broadcast against `angular_frequency`.

    Returns
    -------
    ndarray
        Occupation, dimensionless; 0 at T = 0. It is not the population of a qubit.

    Notes
    -----
    Physics sheet section 1.

    Examples
    --------
    >>> round(float(bose_occupation(2 * np.pi * 5e9, 0.05)), 6)
    0.008304
    >>> float(bose_occupation(2 * np.pi * 5e9, 0.0))
    0.0
    """
    energy = HBAR * real(angular_frequency)
    heat = BOLTZMANN * real(temperature)
    cold = heat == 0
    ratio = energy / np.where(cold, 1.0, heat)
    # exp(-x)/(1 - exp(-x)) neither overflows when cold nor cancels when hot.
    occupation = np.exp(-ratio) / -np.expm1(-ratio)
    return np.where(cold, 0.0, occupation)[()]


def temperature_from_occupation(angular_frequency: ArrayLike, n_th: ArrayLike) -> FloatArray:
    """Temperature at which a bosonic mode has the occupation `n_th`, T = hbar w/(k ln(1 + 1/n)).

    Parameters
    ----------
    angular_frequency : array_like
        Mode frequency w > 0, rad/s, any shape.
    n_th : array_like
        Occupation >= 0, dimensionless, broadcast against `angular_frequency`.

    Returns
    -------
    ndarray
        Temperature, K; 0 where the occupation is 0.

    Notes
    -----
    Physics sheet section 1 (inverse of `bose_occupation`).

    Examples
    --------
    >>> round(float(temperature_from_occupation(2 * np.pi * 5e9, 0.5)), 4)
    0.2184
    """
    occupation = real(n_th)
    empty = occupation == 0
    logarithm = np.log1p(1.0 / np.where(empty, 1.0, occupation))
    temperature = HBAR * real(angular_frequency) / (BOLTZMANN * logarithm)
    return np.where(empty, 0.0, temperature)[()]


def attenuator_chain_occupation(
    angular_frequency: ArrayLike,
    attenuations: ArrayLike,
    temperatures: ArrayLike,
    n_start: ArrayLike,
) -> FloatArray:
    """Occupation behind a chain of attenuators, n_{j+1} = n_j/A_j + (1 - 1/A_j) n_B(T_j).

    Parameters
    ----------
    angular_frequency : array_like
        Frequency w > 0, rad/s, any shape S.
    attenuations : array_like
        Linear power ratios A_j >= 1 in the order the signal meets them, shape (..., J).
    temperatures : array_like
        Temperatures T_j of the attenuators, K, shape (..., J).
    n_start : array_like
        Occupation in front of the chain, dimensionless, broadcast against S.

    Returns
    -------
    ndarray
        Occupation behind the last attenuator, dimensionless.

    Notes
    -----
    Supplement C5, the recursion summed: n_J = n_0/prod(A) + sum_j (1 - 1/A_j) n_B(T_j)/prod(A_>j).

    Examples
    --------
    >>> n = attenuator_chain_occupation(2 * np.pi * 5e9, [100.0, 100.0], [4.0, 0.01], 1250.0)
    >>> round(float(n), 4)
    0.2851
    """
    ratio, temperature = np.broadcast_arrays(real(attenuations), real(temperatures))
    own = (1.0 - 1.0 / ratio) * bose_occupation(real(angular_frequency)[..., None], temperature)
    onward = np.cumprod(ratio[..., ::-1], axis=-1)[..., ::-1]
    behind = onward / ratio
    added: FloatArray = np.sum(own / behind, axis=-1)
    return real(n_start) / onward[..., 0] + added
