"""How a qubit answers a wave in a line: its response and the exact derivatives, for all geometries.

Every scattering amplitude is background − G χ with the coupling G of the geometry and one response
χ = w(1−2p)/(Γ₂−iΔ), e^{−iωt} (supplement C5). With h = Ω²Γ₂/Γ₁tot and V = Γ₂² + h it is
χ = w(Γ₁/Γ₁tot)(Γ₂a + ib), where a = 1/(V+Δ²) and b = Δa, or their averages over slow Gaussian
noise of the transition frequency (supplement C2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import log
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from powercal.models.driven import TWO_PI
from powercal.physics import detection
from powercal.physics.constants import HBAR
from powercal.physics.voigt import complex_voigt, complex_voigt_slopes

Array = NDArray[Any]
Values = Mapping[str, Any]
DECIBEL = log(10) / 10

_DRIVE = 4 / (HBAR * TWO_PI)  # Ω² = 4 R P/(ħω_d)


class Ports(NamedTuple):
    """What a geometry makes of its rates; also the derivatives of these by one parameter.

    ``line`` is the rate into all its ports, ``drive`` the R of Ω² = 4RP/(ħω_d), ``through`` and
    ``back`` the couplings G of transmission and reflection; all in 1/s. As derivatives ``line`` is
    plain and the other three are logarithmic.
    """

    line: Any
    drive: Any = 0.0
    through: Any = 0.0
    back: Any = 0.0


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where the qubit sits: the names of its rates, and what they make (supplement C5)."""

    name: str
    rates: tuple[str, ...]
    ports: Callable[[Values], Ports]
    slopes: Callable[[Values], dict[str, Ports]]


END_OF_LINE = Geometry(
    "end_of_line",
    ("gamma_r",),
    lambda p: Ports(p["gamma_r"], p["gamma_r"], 0.0, p["gamma_r"]),
    lambda p: {"gamma_r": Ports(1.0, 1 / p["gamma_r"], 0.0, 1 / p["gamma_r"])},
)
THROUGH_LINE = Geometry(
    "through_line",
    ("gamma_r",),
    lambda p: Ports(p["gamma_r"], p["gamma_r"] / 2, p["gamma_r"] / 2, p["gamma_r"] / 2),
    lambda p: {"gamma_r": Ports(1.0, *3 * (1 / p["gamma_r"],))},
)


def _notch_ports(p: Values) -> Ports:
    line = 2 * p["kappa"] * np.cos(p["phi"])
    return Ports(line, p["drive_fraction"] * line, p["kappa"])


def _notch_slopes(p: Values) -> dict[str, Ports]:
    kappa, phi, share = p["kappa"], p["phi"], p["drive_fraction"]
    return {
        "kappa": Ports(2 * np.cos(phi), 1 / kappa, 1 / kappa),
        "phi": Ports(-2 * kappa * np.sin(phi), -np.tan(phi)),
        "drive_fraction": Ports(0.0, 1 / share),
    }


NOTCH = Geometry("notch", ("kappa", "phi", "drive_fraction"), _notch_ports, _notch_slopes)


def _in_line_ports(p: Values) -> Ports:
    left, right = p["gamma_left"], p["gamma_right"]
    return Ports(left + right, left, np.sqrt(left * right), left)


def _in_line_slopes(p: Values) -> dict[str, Ports]:
    left, right = 1 / p["gamma_left"], 1 / p["gamma_right"]
    return {
        "gamma_left": Ports(1.0, left, left / 2, left),
        "gamma_right": Ports(1.0, 0.0, right / 2, 0.0),
    }


IN_LINE = Geometry("in_line", ("gamma_left", "gamma_right"), _in_line_ports, _in_line_slopes)
GEOMETRIES = {g.name: g for g in (END_OF_LINE, THROUGH_LINE, NOTCH, IN_LINE)}


def occupations(temperatures: str) -> tuple[str, ...]:
    """Return the names of the occupations: one bath, or line and inside apart."""
    return ("n_th",) if temperatures == "one" else ("n_line", "n_internal")


def bath_rates(line: Any, p: Values) -> tuple[Any, Any]:
    """Return Γ₁ = ΣΓ_k and Γ₁tot = ΣΓ_k(1+2n_k) of line and inside (physics sheet section 1)."""
    gamma_1 = line + p["gamma_i"]
    if "n_th" in p:
        return gamma_1, gamma_1 * (1 + 2 * p["n_th"])
    warm = line * (1 + 2 * p["n_line"]) + p["gamma_i"] * (1 + 2 * p["n_internal"])
    return gamma_1, warm


def _bath_slopes(line: Any, p: Values) -> dict[str, tuple[Any, Any]]:
    """Return the derivatives of Γ₁ and Γ₁tot by the line's rate, Γ_i and the occupations."""
    if "n_th" in p:
        thermal = 1 + 2 * p["n_th"]
        return {
            "line": (1.0, thermal),
            "gamma_i": (1.0, thermal),
            "n_th": (0.0, 2 * (line + p["gamma_i"])),
        }
    return {
        "line": (1.0, 1 + 2 * p["n_line"]),
        "gamma_i": (1.0, 1 + 2 * p["n_internal"]),
        "n_line": (0.0, 2 * line),
        "n_internal": (0.0, 2 * p["gamma_i"]),
    }


def emission_share(line: Any, p: Values) -> Any:
    """Return η, the line's share of the relaxation."""
    occupation = p["n_th"] if "n_th" in p else p["n_line"]
    return detection.emission_share(line, occupation, bath_rates(line, p)[1])


class State(NamedTuple):
    """The qubit under drive: rates (1/s), Δ (rad/s), h and V (1/s²)."""

    ports: Ports
    gamma_1: Any
    gamma_1_tot: Any
    gamma_2: Any
    detuning: Array
    drive: Array
    square: Array

    @property
    def cold(self) -> Any:
        """1 − 2p_eq = Γ₁/Γ₁tot, at any temperatures (supplement C2)."""
        return self.gamma_1 / self.gamma_1_tot


def line_state(power: Array, frequency: Array, ports: Ports, p: Values) -> State:
    """Return what the line shape rests on."""
    gamma_1, gamma_1_tot = bath_rates(ports.line, p)
    gamma_2 = gamma_1_tot / 2 + p["gamma_phi"]
    loss = np.exp(-DECIBEL * p["attenuation_db"])
    drive = power / frequency * (_DRIVE * ports.drive * gamma_2 * loss / gamma_1_tot)
    detuning = TWO_PI * (frequency - p["qubit_frequency"])
    return State(ports, gamma_1, gamma_1_tot, gamma_2, detuning, drive, drive + gamma_2**2)


class Parts(NamedTuple):
    """The response as χ = along·a + i·across·b, arrays and numbers apart: cheapest to make."""

    a: Array
    b: Array
    along: Any
    across: Any


def line_parts(power: Array, frequency: Array, ports: Ports, p: Values) -> Parts:
    """Return χ for a curve, the innermost loop of a fit; averaged if there is ``sigma_slow``."""
    if "sigma_slow" in p:
        state = line_state(power, frequency, ports, p)
        weight, width = p["manifold_weight"] * state.cold, np.sqrt(state.square)
        line = complex_voigt(state.detuning, width, TWO_PI * p["sigma_slow"])
        return Parts(line.real / width, line.imag, weight * state.gamma_2, weight)
    gamma_1, gamma_1_tot = bath_rates(ports.line, p)
    half = (gamma_1_tot / 2 + p["gamma_phi"]) / TWO_PI
    offset = frequency - p["qubit_frequency"]
    loss = np.exp(-DECIBEL * p["attenuation_db"])
    drive = power / frequency * (_DRIVE / TWO_PI * ports.drive * half * loss / gamma_1_tot)
    a = 1.0 / (offset * offset + (drive + half * half))
    weight = p["manifold_weight"] * gamma_1 / gamma_1_tot / TWO_PI
    return Parts(a, offset * a, weight * half, weight)


class _Shapes(NamedTuple):
    """Derivatives of a + ib (a, b as complex numbers) by V, Δ and σ."""

    value: Array
    square: Array
    detuning: Array
    sigma: Array | None


def _shapes(state: State, p: Values) -> _Shapes:
    """Return a + ib and its derivatives by V, Δ and σ, rad/s."""
    d, v = state.detuning, state.square
    if "sigma_slow" not in p:
        a = 1 / (v + d**2)
        value = a + 1j * d * a
        return _Shapes(value, -a * value, 1j * a - 2 * d * a * value, None)
    w = np.sqrt(v)
    line, by_pole, by_sigma = complex_voigt_slopes(d, w, TWO_PI * p["sigma_slow"])
    by_width = (by_pole.real - line.real / w) / w + 1j * by_pole.imag
    return _Shapes(
        line.real / w + 1j * line.imag,
        by_width / (2 * w),
        by_pole.imag / w - 1j * by_pole.real,
        by_sigma.real / w + 1j * by_sigma.imag,
    )


class Response(NamedTuple):
    """The response χ with its derivatives, and the state and ports that it rests on."""

    state: State
    port_slopes: dict[str, Ports]
    chi: Array
    chi_slopes: dict[str, Array]


def response(power: Array, frequency: Array, geometry: Geometry, p: Values) -> Response:
    """Return χ with its derivatives by all parameters and inputs."""
    ports, slopes = geometry.ports(p), geometry.slopes(p)
    state = line_state(power, frequency, ports, p)
    shape, by_shape = _shape_slopes(power, frequency, state, p, slopes)
    by_log = _prefactor_slopes(state, p, slopes)
    weight = p["manifold_weight"] * state.cold
    chi_slopes = {n: weight * (s + by_log.get(n, 0.0) * shape) for n, s in by_shape.items()}
    chi_slopes["manifold_weight"] = state.cold * shape
    return Response(state, slopes, weight * shape, chi_slopes)


def _shape_slopes(
    power: Array, frequency: Array, state: State, p: Values, slopes: Mapping[str, Ports]
) -> tuple[Array, dict[str, Array]]:
    """Return Γ₂a + ib and its derivatives by parameters and inputs."""
    s, g2, h = _shapes(state, p), state.gamma_2, state.drive

    def joined(x: Array) -> Array:
        return np.asarray(g2 * x.real + 1j * x.imag)

    by_square, by_detuning = joined(s.square), joined(s.detuning)
    by_drive = h * by_square  # per ln h
    by_gamma_2 = s.value.real + (2 * g2 + h / g2) * by_square
    by_total = by_gamma_2 / 2 - by_drive / state.gamma_1_tot
    found = {
        "qubit_frequency": -TWO_PI * by_detuning,
        "frequency": TWO_PI * by_detuning - by_drive / frequency,
        "incident_power": by_drive / power,
        "attenuation_db": -DECIBEL * by_drive,
        "gamma_phi": by_gamma_2,
    }
    if s.sigma is not None:
        found["sigma_slow"] = TWO_PI * joined(s.sigma)
    baths = _bath_slopes(state.ports.line, p)
    through_line = by_total * baths.pop("line")[1]
    found |= {name: by_total * total for name, (_, total) in baths.items()}
    for name, port in slopes.items():
        found[name] = through_line * port.line + by_drive * port.drive
    return joined(s.value), found


def _prefactor_slopes(state: State, p: Values, slopes: Mapping[str, Ports]) -> dict[str, Any]:
    """Return the derivatives of ln(Γ₁/Γ₁tot)."""
    baths = {
        name: one / state.gamma_1 - total / state.gamma_1_tot
        for name, (one, total) in _bath_slopes(state.ports.line, p).items()
    }
    line = baths.pop("line")
    return baths | {name: line * port.line for name, port in slopes.items()}


def missing_share(real_chi: Array, ports: Ports, p: Values) -> Array:
    """Return (P_in − P_out)/P_in of total detection, drive off subtracted: 2R(1−η) Re χ.

    That is 2ρ(1−η)/(1+δ²+q) of supplement D, counted in photons.
    """
    share: Array = 2 * ports.drive * (1 - emission_share(ports.line, p)) * real_chi
    return share


def missing_slopes(found: Response, p: Values) -> dict[str, Array]:
    """Return the derivatives of :func:`missing_share`."""
    ports, total = found.state.ports, found.state.gamma_1_tot
    line, eta = ports.line, emission_share(ports.line, p)
    slopes = {n: 2 * ports.drive * (1 - eta) * s.real for n, s in found.chi_slopes.items()}
    warm = "n_th" if "n_th" in p else "n_line"
    by_eta = {n: -eta * both[1] / total for n, both in _bath_slopes(line, p).items()}
    by_eta[warm] = by_eta[warm] + 2 * line / total
    by_line = by_eta.pop("line") + eta / line
    plain = 2 * ports.drive * found.chi.real
    for name, slope in by_eta.items():
        slopes[name] = slopes[name] - plain * slope
    for name, port in found.port_slopes.items():
        slopes[name] = slopes[name] + plain * ((1 - eta) * port.drive - by_line * port.line)
    return slopes
