"""What models of two levels between biased reservoirs share: parameters, inversion, pulling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import powercal as pc
from powercal_reservoirs.constants import BOLTZMANN, ELEMENTARY_CHARGE, PLANCK

Array = NDArray[Any]
_KELVIN_PER_HERTZ = PLANCK / BOLTZMANN
_HERTZ_PER_VOLT = ELEMENTARY_CHARGE / PLANCK

LARGEST_ASYMMETRY = 0.999
TEMPERATURE_U = pc.Parameter(
    name="temperature_u",
    unit="K",
    meaning="temperature of the upper level's reservoir",
    example=0.1,
    min=1e-4,
    max=1e4,
    scale="log",
    vary=False,
)
TEMPERATURE_RATIO = pc.Parameter(
    name="temperature_ratio",
    unit="1",
    meaning="T_l/T_u; 1 keeps both reservoirs at one temperature",
    example=1.0,
    min=1e-3,
    max=1e3,
    scale="log",
    vary=False,
)
LEVEL_OFFSET = pc.Parameter(
    name="level_offset",
    unit="Hz",
    meaning="middle of the levels above the middle of the two potentials, over h",
    example=0.0,
    vary=False,
)
GAMMA_TOTAL = pc.Parameter(
    name="gamma_total",
    unit="s-1",
    meaning="γ_u + γ_l, the full width of the line in rad/s",
    example=2e9,
    min=1.0,
    max=1e15,
    scale="log",
)


class Inversion(NamedTuple):
    """f_u − f_l of two biased reservoirs, and its derivatives.

    By the photon's frequency and the levels' middle (per Hz), the bias (per V), T_u (per K) and
    T_l/T_u.
    """

    value: Array
    by_photon: Array
    by_middle: Array
    by_bias: Array
    by_temperature: Array
    by_ratio: Array


def arguments_of(
    photon: Any, middle: Any, bias: Any, p: Mapping[str, Any]
) -> tuple[Array, Array, Any]:
    """Return x = (Ẽ − µ)/kT of both levels, and 1/T_l.

    The effective energies differ by the photon's, hf [W14, W21], and the potentials by the bias:
    Ẽ_u,l = h(middle ± photon/2), µ_u,l = ±eV/2.
    """
    half = 0.5 * _KELVIN_PER_HERTZ * (photon - _HERTZ_PER_VOLT * bias)
    centre = _KELVIN_PER_HERTZ * middle
    colder = 1.0 / (p["temperature_u"] * p["temperature_ratio"])
    return (centre + half) / p["temperature_u"], (centre - half) * colder, colder


def inversion_between(upper: Any, lower: Any, bias: Any, p: Mapping[str, Any]) -> Array:
    """Return f_u − f_l of two biased reservoirs [W16] as curves want it: quickly.

    Parameters
    ----------
    upper, lower : array_like
        Effective energies over h, Hz, counted from the middle of the two potentials.
    bias : array_like
        (µ_u − µ_l)/e, V.
    p : mapping
        ``temperature_u`` in K and ``temperature_ratio``.

    Returns
    -------
    ndarray
        Dimensionless, good to the last place of one (not of itself).
    """
    shift, warmth = (0.5 * _HERTZ_PER_VOLT) * bias, 0.5 * _KELVIN_PER_HERTZ / p["temperature_u"]
    filled_u = np.tanh((shift - upper) * warmth)
    filled_l = np.tanh((shift + lower) * (warmth / p["temperature_ratio"]))
    return np.asarray(0.5 * (filled_u + filled_l))


def biased_inversion(photon: Any, middle: Any, bias: Any, p: Mapping[str, Any]) -> Inversion:
    """Return f_u − f_l of two biased reservoirs with all its derivatives.

    Parameters
    ----------
    photon, middle : array_like
        Frequency of the photon, and middle of the effective energies over h, Hz.
    bias, p
        As in :func:`inversion_between`; complex numbers pass.

    Returns
    -------
    Inversion
        Dimensionless, and derivatives.
    """
    x_u, x_l, per_t_l = arguments_of(photon, middle, bias, p)
    per_t_u = 1.0 / p["temperature_u"]
    tanh_u, tanh_l = np.tanh(0.5 * x_u), np.tanh(0.5 * x_l)
    slope_u, slope_l = 0.25 * (tanh_u**2 - 1.0), 0.25 * (1.0 - tanh_l**2)  # df_u/dx, −df_l/dx
    by_half = slope_u * per_t_u - slope_l * per_t_l
    return Inversion(
        0.5 * (tanh_l - tanh_u),
        0.5 * _KELVIN_PER_HERTZ * by_half,
        _KELVIN_PER_HERTZ * (slope_u * per_t_u + slope_l * per_t_l),
        -0.5 * _KELVIN_PER_HERTZ * _HERTZ_PER_VOLT * by_half,
        -(slope_u * x_u + slope_l * x_l) * per_t_u,
        -slope_l * x_l / p["temperature_ratio"],
    )


def bias_for_inversion(wanted: Any, photon: Any, middle: Any, p: Mapping[str, Any]) -> Any:
    """Return the bias at which two reservoirs are inverted by so much.

    Parameters
    ----------
    wanted : array_like
        f_u − f_l > −1, dimensionless.
    photon, middle, p
        As in :func:`biased_inversion`; complex numbers pass, for derivatives by complex steps.

    Returns
    -------
    ndarray
        V; infinite where 1 or more is wanted.
    """
    wanted, photon, middle, t_u, ratio = np.broadcast_arrays(
        wanted, photon, middle, p["temperature_u"], p["temperature_ratio"]
    )
    real = {"temperature_u": t_u.real, "temperature_ratio": ratio.real}
    hottest = 80.0 * t_u.real * (1.0 + ratio.real) / _KELVIN_PER_HERTZ
    high = 2.0 * (np.abs(photon) + np.abs(middle) + hottest) / _HERTZ_PER_VOLT
    low = -high
    upper, lower = middle.real + 0.5 * photon.real, middle.real - 0.5 * photon.real
    for _ in range(70):
        bias = 0.5 * (low + high)
        below = inversion_between(upper, lower, bias, real) < wanted.real
        low, high = np.where(below, bias, low), np.where(below, high, bias)
    # One step of Newton's: the last digits, and whatever complex numbers carry.
    found = biased_inversion(
        photon, middle, bias, {"temperature_u": t_u, "temperature_ratio": ratio}
    )
    reachable = np.abs(wanted.real) < 1
    step = (wanted - found.value) / np.where(reachable, found.by_bias, 1.0)
    return np.where(reachable, bias + step, np.inf)


def level_rates(total: Any, asymmetry: Any) -> tuple[Any, Any]:
    """Return γ_u and γ_l from their sum and (γ_u − γ_l)/(γ_u + γ_l)."""
    return 0.5 * total * (1 + asymmetry), 0.5 * total * (1 - asymmetry)


def series_rate(gamma_total: Any, asymmetry: Any) -> Any:
    """Return γ_uγ_l/(γ_u + γ_l), the rate at which two levels pass electrons on at best."""
    return 0.25 * gamma_total * (1 - asymmetry**2)


def pulled(p: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return photon and middle of the effective energies of levels and a mode [W21], over h.

    Parameters
    ----------
    p : mapping
        ``cavity_frequency``, ``cavity_detuning`` and ``level_offset`` in Hz, ``gamma_total`` and
        ``gamma_b`` in 1/s, ``asymmetry``; complex numbers pass.

    Returns
    -------
    photon, middle : ndarray
        Ẽ_ph/h, at which a laser emits [W30], and (Ẽ_u + Ẽ_l)/2h, Hz.
    """
    per_rate = p["cavity_detuning"] / (p["gamma_total"] + p["gamma_b"])
    middle = p["level_offset"] + 0.5 * p["asymmetry"] * p["gamma_total"] * per_rate
    return p["cavity_frequency"] - p["gamma_b"] * per_rate, middle


def pulled_slopes(p: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the derivatives of both numbers of :func:`pulled` by the parameters."""
    width, loss, detuning = p["gamma_total"], p["gamma_b"], p["cavity_detuning"]
    total, lean = width + loss, 0.5 * p["asymmetry"]
    photon = {
        "cavity_frequency": np.asarray(1.0),
        "cavity_detuning": -loss / total,
        "gamma_total": loss * detuning / total**2,
        "gamma_b": -width * detuning / total**2,
    }
    middle = {
        "level_offset": np.asarray(1.0),
        "asymmetry": 0.5 * width / total * detuning,
        "cavity_detuning": lean * width / total,
        "gamma_total": lean * detuning * loss / total**2,
        "gamma_b": -lean * detuning * width / total**2,
    }
    return photon, middle
