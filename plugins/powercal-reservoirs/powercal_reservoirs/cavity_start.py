"""Starting values of the quantised cavity: a grid of Hartree-Fock curves against the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.errors import FitError
from powercal_reservoirs.biased import arguments_of, level_rates, pulled
from powercal_reservoirs.cavity_closed_forms import hartree_fock_rate
from powercal_reservoirs.constants import BOLTZMANN, ELEMENTARY_CHARGE, PLANCK, TWO_PI
from powercal_reservoirs.occupations import bose, fermi

Array = NDArray[Any]
_LARGEST_WIDTH = 1e14


def guess(traces: Any, fixed: Mapping[str, float], known: Mapping[str, float]) -> dict[str, Array]:
    """Start from the closed-form curve that fits best, over widths, couplings and temperatures.

    Parameters
    ----------
    traces : Dataset
        ``bias_voltage`` and one of ``emitted_power``, ``photocurrent``.
    fixed : mapping
        What the fit holds.
    known : mapping
        A legal value of every parameter, for those that neither data nor the fit tell.

    Raises
    ------
    FitError
        Traces without bias or observable, or without any response.
    """
    given = {**known, **fixed}
    bias, rate = _sweep(traces, given["cavity_frequency"])
    height = float(np.max(np.abs(rate)))
    # R saturates at a fraction of γ_uγ_l/(γ_u + γ_l), the smaller the weaker the coupling.
    widths = 4 * height / (1 - given["asymmetry"] ** 2) * np.geomspace(1.0, 100.0, 13)
    widths = _held("gamma_total", np.clip(widths, 10.0, _LARGEST_WIDTH), fixed)
    grown = _held("temperature_u", _temperatures(bias), fixed)
    grid = np.array(np.meshgrid(widths, np.geomspace(0.03, 300.0, 13), grown, indexing="ij"))
    width, strength, temperature = (axis.ravel()[:, None] for axis in grid)
    trial: dict[str, Any] = {**given, "gamma_total": width, "temperature_u": temperature}
    offset = TWO_PI * given["cavity_detuning"] / (width + given["gamma_b"])
    # In units of the coupling at which spontaneous emission alone empties the levels.
    coupling = strength * 0.25 * width * (width + given["gamma_b"]) * (0.25 + offset**2)
    coupling = _held("coupling", np.clip(coupling, 10.0, 1e31), fixed)
    misfit = np.sum((_rate(bias, trial, coupling) - rate) ** 2, axis=1)
    best = int(np.argmin(np.where(np.isfinite(misfit), misfit, np.inf)))
    found = {
        "gamma_total": width[best, 0],
        "temperature_u": temperature[best, 0],
        "coupling": np.broadcast_to(coupling, width.shape)[best, 0],
    }
    return {name: np.asarray(float(value)) for name, value in {**given, **found}.items()}


def _held(name: str, values: Array, fixed: Mapping[str, float]) -> Array:
    return np.array([fixed[name]]) if name in fixed else values


def _temperatures(bias: Array) -> Array:
    """Temperatures whose kT is some share of the sweep."""
    kelvin = ELEMENTARY_CHARGE * (float(np.ptp(bias)) or 1e-4) / BOLTZMANN
    return np.clip(kelvin * np.geomspace(0.01, 0.5, 7), 1e-3, 1e3)


def _rate(bias: Array, p: Mapping[str, Any], coupling: Array) -> Array:
    """Return the Hartree-Fock rate at every bias, for all trials at once."""
    rates = level_rates(p["gamma_total"], p["asymmetry"])
    photon, middle = pulled(p)
    x_u, x_l, _ = arguments_of(photon, middle, bias, p)
    filled = bose(PLANCK * photon / (BOLTZMANN * p["bath_temperature"]))
    strength, detuning = np.sqrt(coupling), TWO_PI * p["cavity_detuning"]
    return hartree_fock_rate(
        *rates, p["gamma_b"], fermi(x_u), fermi(x_l), filled, strength, detuning
    )


def _sweep(traces: Any, frequency: float) -> tuple[Array, Array]:
    """Return bias and photons per second, one-dimensional, without gaps."""
    import xarray

    names = [n for n in ("emitted_power", "photocurrent") if n in traces]
    if not names or "bias_voltage" not in traces:
        raise FitError(
            f"the traces hold {', '.join(map(str, traces.variables))}; the cavity needs "
            f"bias_voltage and one of emitted_power, photocurrent"
        )
    together = xarray.broadcast(traces["bias_voltage"], traces[names[0]])
    bias, data = (field.values.ravel() for field in together)
    keep = np.isfinite(bias) & np.isfinite(data)
    if not np.any(data[keep]):
        raise FitError(f"{names[0]} shows no response to the bias at any point; check its unit")
    quantum = PLANCK * frequency if names[0] == "emitted_power" else -ELEMENTARY_CHARGE
    return bias[keep], data[keep] / quantum
