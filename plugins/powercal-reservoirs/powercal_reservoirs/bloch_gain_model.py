"""Bloch gain: the gain spectrum of one transition between two subbands.

What data cannot tell. A spectrum determines the transition, the full width γ_u + γ_l (either width
alone drops out of the gain, supplement C8) and the two densities *times* e²z²/(n L_p): matrix
element, index and period are held unless the densities are given. The temperature shapes the wings,
but a spectrum of a few widths with hD ≪ kT tells it from the densities only badly: it is held, too.
The effective mass only says how dilute the carriers are: where they are cold and the sweep stays
below their Fermi energies (nπħ²/m ≫ h|D|, kT), the odd part of the gain no longer depends on them,
and only ``density_difference`` is determined.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

import powercal as pc
from powercal_reservoirs import regimes
from powercal_reservoirs.bloch_gain import (
    GAIN_CONSTANT,
    STATE_CONSTANT,
    density_slopes,
    gain_factor,
    scaled_density,
    scaled_potential,
)
from powercal_reservoirs.bloch_gain_start import guess
from powercal_reservoirs.checks import check
from powercal_reservoirs.constants import BOLTZMANN, ELECTRON_MASS, HBAR, PLANCK, TWO_PI

Array = NDArray[Any]
_DENSE = 600.0  # carriers in units of N_T whose exponentials are still far from overflow


def _row(name: str, unit: str, meaning: str, example: float, **more: Any) -> pc.Parameter:
    return pc.Parameter(name=name, unit=unit, meaning=meaning, example=example, **more)


def _held(name: str, unit: str, meaning: str, example: float, low: float, high: float) -> Any:
    return _row(name, unit, meaning, example, min=low, max=high, scale="log", vary=False)


_PARAMETERS = (
    _row(
        "transition_frequency",
        "Hz",
        "transition between the bottoms of the subbands",
        7e11,
        min=1e9,
        max=1e15,
    ),
    _row(
        "gamma_total",
        "s-1",
        "γ_u + γ_l, the full width of the line in rad/s",
        6e11,
        min=1e3,
        max=1e16,
        scale="log",
    ),
    _row("density_u", "m-2", "carriers in the upper subband", 3e14, min=0.0, max=1e20),
    _row("density_l", "m-2", "carriers in the lower subband", 2e14, min=0.0, max=1e20),
    _held("temperature", "K", "temperature of the carriers", 20.0, 1e-2, 1e4),
    _held("dipole", "m", "matrix element z_ul along the layers' axis", 1e-8, 1e-13, 1e-5),
    _held("period", "m", "length of one period of the layers", 5e-8, 1e-11, 1e-2),
    _held("refractive_index", "1", "refractive index at the transition", 3.6, 0.1, 100.0),
    _held("effective_mass", "1", "mass of the carriers over the electron's", 0.067, 1e-4, 1e3),
)


def _medium(p: Mapping[str, Any]) -> Any:
    """Return what multiplies f/(offset² + width²) and the carriers, in m."""
    length = p["dipole"] ** 2 / (p["refractive_index"] * p["period"])
    return (GAIN_CONSTANT / TWO_PI) * length * p["gamma_total"]


def _thermal(p: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return N_T in 1/m², and kT/h in Hz."""
    states = (STATE_CONSTANT * ELECTRON_MASS) * p["effective_mass"] * p["temperature"]
    return states, (BOLTZMANN / PLANCK) * p["temperature"]


def _parts(frequency: Array, p: Mapping[str, Any]) -> tuple[Array, Array, Array]:
    """Return the gain per carrier (m), those that emit less those that absorb, the detuning (Hz).

    Above the transition only the upper subband is counted from an energy, below only the lower.
    """
    offset = frequency - p["transition_frequency"]
    factor = _medium(p) * frequency / (offset * offset + (p["gamma_total"] / (2 * TWO_PI)) ** 2)
    states, kelvin = _thermal(p)
    above, shift = offset > 0, np.abs(offset) * (-1 / kelvin)
    partners = states * _above_energy(
        above, shift, p["density_u"] / states, p["density_l"] / states
    )
    carriers = np.where(above, partners - p["density_l"], p["density_u"] - partners)
    return factor, carriers, offset


def _above_energy(above: Array, shift: Array, upper: Any, lower: Any) -> Any:
    """Return ln(1 + (e^v − 1)e^shift) with v of the upper subband or of the lower."""
    if np.any(upper + lower > _DENSE):
        return scaled_density(
            np.where(above, scaled_potential(upper), scaled_potential(lower)) + shift
        )
    return np.log1p(np.where(above, np.expm1(upper), np.expm1(lower)) * np.exp(shift))


def _curve(frequency: Array, **p: Any) -> tuple[Array, ...]:
    """Return g(ω) of supplement C8, [W31] with the band edge."""
    factor, carriers, _ = _parts(frequency, p)
    return (factor * carriers,)


def _jacobian(frequency: Array, **p: Any) -> tuple[dict[str, Array], ...]:
    factor, carriers, offset = _parts(frequency, p)
    states, kelvin = _thermal(p)
    above = np.where(offset > 0, 1.0, 0.0)
    filling = np.where(offset > 0, p["density_u"], p["density_l"]) / states
    by_filling, by_shift = density_slopes(filling, np.abs(offset) / kelvin)
    gain = factor * carriers
    by_energy = factor * states * by_shift / kelvin
    # n = N_T m(n/N_T, y) with N_T ∝ mass·T and y ∝ 1/T.
    both = above * p["density_l"] + (1 - above) * p["density_u"]
    thin = factor * (carriers + (2 * above - 1) * (both - filling * states * by_filling))
    by_kelvin = thin - offset * by_energy
    # At the transition itself the slope jumps; half of both sides is what differences see.
    by_energy = np.where(offset == 0, 0.5 * by_energy + 0.5 * _other_side(factor, p), by_energy)
    denominator = offset**2 + (p["gamma_total"] / (2 * TWO_PI)) ** 2
    by_offset = by_energy - 2 * offset / denominator * gain
    table = {
        "transition_frequency": -by_offset,
        "frequency": by_offset + gain / frequency,
        "gamma_total": gain
        * (1.0 / p["gamma_total"] - 0.5 * p["gamma_total"] / (TWO_PI**2 * denominator)),
        "density_u": factor * (1 - above + above * by_filling),
        "density_l": -factor * (above + (1 - above) * by_filling),
        "temperature": by_kelvin / p["temperature"],
        "effective_mass": thin / p["effective_mass"],
        "dipole": 2 * gain / p["dipole"],
        "period": -gain / p["period"],
        "refractive_index": -gain / p["refractive_index"],
    }
    return (table,)


def _other_side(factor: Array, p: Mapping[str, Any]) -> Any:
    """Return the slope just above the transition, where the curve takes the one below."""
    states, kelvin = _thermal(p)
    return factor * states * density_slopes(p["density_u"] / states, 0.0)[1] / kelvin


def _oscillator(**p: Any) -> Any:
    """Return e²z²ω/(2ħε₀nc L_p) at the transition, in m/s: what multiplies the densities."""
    omega = TWO_PI * p["transition_frequency"]
    return gain_factor(omega, p["dipole"], p["refractive_index"], p["period"])


_MEDIUM = ("transition_frequency", "dipole", "refractive_index", "period")


def _derived() -> tuple[pc.Derived, ...]:
    return (
        pc.Derived(
            name="linewidth",
            unit="Hz",
            meaning="full width at half maximum of the line, (γ_u + γ_l)/2π",
            function=lambda gamma_total: gamma_total / TWO_PI,
            arguments=("gamma_total",),
            scale="log",
        ),
        pc.Derived(
            name="resonant_gain",
            unit="m-1",
            meaning="gain at the transition itself, ∝ density_u − density_l",
            function=lambda **p: (
                _oscillator(**p) * 4 / p["gamma_total"] * (p["density_u"] - p["density_l"])
            ),
            arguments=(*_MEDIUM, "gamma_total", "density_u", "density_l"),
        ),
        pc.Derived(
            name="density_difference",
            unit="m-2",
            meaning="density_u − density_l",
            function=lambda density_u, density_l: density_u - density_l,
            arguments=("density_u", "density_l"),
        ),
        pc.Derived(
            name="weighted_density_u",
            unit="s-1 m-1",
            meaning="density_u·e²z²ω/(2ħε₀ncL_p): determined whatever is assumed of the medium",
            function=lambda **p: _oscillator(**p) * p["density_u"],
            arguments=(*_MEDIUM, "density_u"),
        ),
        pc.Derived(
            name="weighted_density_l",
            unit="s-1 m-1",
            meaning="density_l·e²z²ω/(2ħε₀ncL_p): determined whatever is assumed of the medium",
            function=lambda **p: _oscillator(**p) * p["density_l"],
            arguments=(*_MEDIUM, "density_l"),
        ),
    )


def _checks(result: pc.FitResult) -> tuple[pc.Check, ...]:
    """Check that the line is narrow against kT and against its frequency."""
    values = result.values
    width = values["gamma_total"]
    return (
        check(
            "broadening",
            HBAR * width / (BOLTZMANN * values["temperature"]),
            1.0,
            "[W31] is the two-pole limit: the densities are off by about (ħG/kT)²/100",
        ),
        check(
            "rotating_wave",
            width / (TWO_PI * values["transition_frequency"]),
            0.2,
            "the counter-rotating line overlaps; the odd part of the gain is distorted",
        ),
    )


MODEL = pc.Model(
    name="bloch_gain",
    summary="gain between two subbands, dispersive where they are filled alike ([W31], C8)",
    inputs=("frequency",),
    observables=("gain_per_length",),
    parameters=_PARAMETERS,
    curve=_curve,
    jacobian=_jacobian,
    guess=guess,
    derived=_derived(),
    checks=_checks,
    regimes=regimes.bloch_gain,
)


@pc.hookimpl
def powercal_models() -> tuple[pc.Model, ...]:
    """Offer the gain spectrum."""
    return (MODEL,)
