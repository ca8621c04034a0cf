"""Absorbed power against population: the straight line that gives Gamma_1 and n_th."""

from __future__ import annotations

from typing import NamedTuple

from numpy.typing import ArrayLike

from powercal.physics._arrays import FloatArray, real
from powercal.physics.constants import HBAR

__all__ = ["LineRates", "balance_line", "rates_from_line"]


class LineRates(NamedTuple):
    """What a straight line of power against population says.

    Attributes
    ----------
    gamma_1 : ndarray
        Bare relaxation rate, sum over channels, 1/s; scales with the power gain.
    p_eq, n_th : ndarray
        Population and occupation without drive, dimensionless; know no power gain.
    """

    gamma_1: FloatArray
    p_eq: FloatArray
    n_th: FloatArray


def balance_line(
    excited_population: ArrayLike, gamma_1: ArrayLike, n_th: ArrayLike, omega: ArrayLike
) -> FloatArray:
    """Absorbed power R = hbar omega [Gamma_1 (1 + 2 n_th) p - Gamma_1 n_th].

    Parameters
    ----------
    excited_population : array_like
        p, dimensionless.
    gamma_1 : array_like
        Bare relaxation rate, sum over channels, 1/s.
    n_th : array_like
        Bath occupation (several channels: mean weighted with the rates), dimensionless.
    omega : array_like
        Energy of a photon over hbar, rad/s: omega_d for the exact absorbed power.

    Returns
    -------
    ndarray
        R, W.

    Notes
    -----
    Physics sheet section 4; [G23]; supplement C4.
    """
    population, occupation = real(excited_population), real(n_th)
    excess = (1.0 + 2.0 * occupation) * population - occupation
    return HBAR * real(omega) * real(gamma_1) * excess


def rates_from_line(slope: ArrayLike, intercept: ArrayLike, omega: ArrayLike) -> LineRates:
    """Rates from slope and intercept of absorbed power against population.

    Parameters
    ----------
    slope, intercept : array_like
        Of the line R = intercept + slope p, W.
    omega : array_like
        Energy of a photon over hbar, rad/s.

    Returns
    -------
    LineRates
        Gamma_1 = (slope + 2 intercept)/(hbar omega), p_eq = -intercept/slope,
        n_th = p_eq/(1 - 2 p_eq). A negative n_th is a finding, not clipped.

    Notes
    -----
    Physics sheet section 4; supplement C4.

    Examples
    --------
    >>> rates = rates_from_line(2 * HBAR, -0.5 * HBAR, 1.0)
    >>> [round(float(value), 12) for value in rates]
    [1.0, 0.25, 0.5]
    """
    steep, offset = real(slope), real(intercept)
    absorbed = steep + 2.0 * offset
    return LineRates(absorbed / (HBAR * real(omega)), -offset / steep, -offset / absorbed)
