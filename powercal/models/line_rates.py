"""From a line's width, depth and saturation power to rates that a solver may start from."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from powercal.models.driven import TWO_PI
from powercal.models.line_grid import Start
from powercal.models.line_response import DECIBEL, Geometry
from powercal.models.line_signals import Signal
from powercal.physics.constants import HBAR
from powercal.physics.detection import saturation_power


class _Shares(NamedTuple):
    """Rates (1/s) and the weight that share a line's width and depth."""

    line: Any
    gamma_i: Any
    gamma_phi: Any
    weight: Any


def rates_of(
    start: Start,
    signal: Signal,
    geometry: Geometry,
    fixed: Mapping[str, Any],
    temperatures: tuple[str, ...],
    total: bool,
) -> dict[str, Any]:
    """Share width, depth and saturation power out among what is free, evenly enough to start.

    Parameters
    ----------
    start, signal, geometry : Start, Signal, Geometry
        The line of every row, the signal that showed it, and where the qubit sits.
    fixed : mapping
        Parameters that are held: numbers, or arrays of shape (rows,).
    temperatures : tuple of str
        Names of the occupations.
    total : bool
        Whether the depth is that of total detection.

    Returns
    -------
    dict
        Rates, occupations, weight, loss and slow noise by name.
    """
    occupations = {n: fixed.get(n, 0.02) for n in temperatures}
    thermal = 1 + 2 * functools.reduce(np.maximum, occupations.values())
    left = _left_share(start, signal, fixed) if geometry.name == "in_line" else 0.5
    deepest = _deepest(signal, geometry.name, left, start.turn)
    if total:
        shares = _lossy(start, fixed, thermal)
    else:
        rho = np.clip(2 * start.rho / deepest, 0.02, 1.98)
        shares = _shares(start.gamma_2, rho, fixed, thermal)
    values = _named(geometry.name, shares.line, left, start.turn, fixed)
    drive = geometry.ports({**values, **fixed}).drive
    gamma_1_tot = (shares.line + shares.gamma_i) * thermal
    at_device = saturation_power(drive, TWO_PI * start.centre, gamma_1_tot, start.gamma_2)
    loss = 10 * np.log10(start.knee / at_device)
    return {
        **values,
        **occupations,
        "qubit_frequency": start.centre,
        "gamma_i": shares.gamma_i,
        "gamma_phi": shares.gamma_phi,
        "manifold_weight": shares.weight,
        "sigma_slow": start.sigma / TWO_PI,
        "attenuation_db": np.clip(loss, -49.0, 299.0),
    }


def _deepest(signal: Signal, geometry: str, left: Any, turn: Any) -> Any:
    """Return 2G/Γ_line, the depth of the signal where nothing but the line widens the qubit."""
    if geometry == "end_of_line":
        return 2.0
    if geometry == "in_line":
        return 2 * left if signal.coupling == "back" else 2 * np.sqrt(left * (1 - left))
    return 1 / np.cos(turn) if geometry == "notch" else 1.0


def _left_share(start: Start, signal: Signal, fixed: Mapping[str, Any]) -> Any:
    """Return Γ_left/Γ_line from the saturation power where the loss is known, else the depth."""
    if "attenuation_db" in fixed:
        at_device = start.knee * np.exp(-DECIBEL * fixed["attenuation_db"])
        share = HBAR * TWO_PI * start.centre * start.gamma_2 / (4 * at_device)
    elif signal.coupling == "back":
        share = start.rho / 2
    else:
        share = 0.5 * (1 - np.sqrt(np.maximum(1 - start.rho**2, 0.0)))
    return np.clip(share, 0.02, 0.98)


def _shares(gamma_2: Any, rho: Any, fixed: Mapping[str, Any], thermal: Any) -> _Shares:
    """Share the depth ρ = wΓ_line/((1+2n)Γ₂) ≤ 2 out."""
    room = rho / 2
    gamma_phi = fixed.get("gamma_phi", 0.1 * (1 - room) * gamma_2)
    gamma_1 = 2 * np.maximum(gamma_2 - gamma_phi, 0.1 * gamma_2) / thermal
    gamma_i = fixed.get("gamma_i", 0.3 * (1 - room) * gamma_1)
    line = np.maximum(gamma_1 - gamma_i, 0.1 * gamma_1)
    weight = fixed.get("manifold_weight", np.clip(rho * gamma_2 / line, 0.05, 0.95))
    if "manifold_weight" in fixed and "gamma_i" not in fixed:
        enough = np.maximum(rho * gamma_2 / np.maximum(weight, 0.05), 0.05 * gamma_1)
        line = np.minimum(line, enough)
        gamma_i = gamma_1 - line
    return _Shares(line, gamma_i, gamma_phi, weight)


def _lossy(start: Start, fixed: Mapping[str, Any], thermal: Any) -> _Shares:
    """Share 2ρ(1−η) = 4x(1−x) of total detection out, x = Γ_r/Γ₁; the larger x of the two."""
    gamma_phi = fixed.get("gamma_phi", 0.05 * start.gamma_2)
    gamma_1 = 2 * np.maximum(start.gamma_2 - gamma_phi, 0.1 * start.gamma_2) / thermal
    weight = fixed.get("manifold_weight", 0.95)
    missing = 2 * start.rho * start.gamma_2 * thermal / (gamma_1 * np.maximum(weight, 0.05))
    line = 0.5 * (1 + np.sqrt(np.maximum(1 - missing, 0.01))) * gamma_1
    gamma_i = fixed.get("gamma_i", gamma_1 - line)
    return _Shares(np.maximum(gamma_1 - gamma_i, 0.05 * gamma_1), gamma_i, gamma_phi, weight)


def _named(
    geometry: str, line: Any, left: Any, turn: Any, fixed: Mapping[str, Any]
) -> dict[str, Any]:
    if geometry == "notch":
        share = fixed.get("drive_fraction", 0.5)
        return {"kappa": line / (2 * np.cos(turn)), "phi": turn, "drive_fraction": share}
    if geometry == "in_line":
        return {"gamma_left": left * line, "gamma_right": (1 - left) * line}
    return {"gamma_r": line}
