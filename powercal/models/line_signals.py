"""What an instrument sees of the response: amplitudes and powers behind the set-up around them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Arrays, Derivatives
from powercal.models.driven import TWO_PI
from powercal.models.line_response import (
    Geometry,
    Parts,
    Response,
    Values,
    line_parts,
    missing_share,
    missing_slopes,
    response,
)
from powercal.physics.scattering import Convention, with_convention

Array = NDArray[Any]


class Signal(NamedTuple):
    """An amplitude with its power: background − e^{iψ}Gχ, and the names of what is around it.

    ``coupling`` names the field of the ports that is its G; ``turn`` the parameter ψ, if any.
    """

    amplitude: str
    power: str
    background: float
    coupling: str
    turn: str = ""
    gain: str = "reference_gain"
    phase: str = "reference_phase"
    delay: str = "delay"


REFLECTION = Signal("reflection", "reflected_power", 1.0, "back", "mismatch")
THROUGH = Signal("transmission", "transmitted_power", 1.0, "through", "mismatch")
_BACK = ("reflection_gain", "reflection_phase", "reflection_delay")
SIGNALS = {
    "end_of_line": (REFLECTION,),
    "through_line": (THROUGH, Signal("reflection", "reflected_power", 0.0, "back", "", *_BACK)),
    "notch": (THROUGH._replace(turn="phi"),),
    "in_line": (
        THROUGH._replace(background=0.0, turn=""),
        Signal("reflection", "reflected_power", 1.0, "back", "mismatch", *_BACK),
    ),
}
_SIGN = {"-i": 1.0, "+i": -1.0}  # of the imaginary part, against e^{−iωt}


def _is_zero(value: Any) -> bool:
    return isinstance(value, float) and value == 0.0


def _is_one(value: Any) -> bool:
    return isinstance(value, float) and value == 1.0


def _bare(parts: Parts, size: Any, signal: Signal, sign: float, p: Values) -> tuple[Array, Array]:
    """Return real part and ``sign`` times imaginary part of background − e^{iψ}·size·χ."""
    along, across = size * parts.along, size * parts.across
    turn = p[signal.turn] if signal.turn else 0.0
    if _is_zero(turn):
        return signal.background - along * parts.a, (-sign * across) * parts.b
    c, s = np.cos(turn), np.sin(turn)
    return (
        signal.background - (c * along) * parts.a + (s * across) * parts.b,
        (-sign * s * along) * parts.a - (sign * c * across) * parts.b,
    )


def _joined(x: Array, y: Array) -> Array:
    """Return x + iy; for arrays without the two passes that the formula takes."""
    if not isinstance(x, np.ndarray):
        return x + 1j * y
    outgoing = np.empty(x.shape, dtype=complex)
    outgoing.real, outgoing.imag = x, y
    return outgoing


def _received(
    outgoing: Array, frequency: Array, signal: Signal, convention: Convention, p: Values
) -> Array:
    """Put the set-up around an amplitude that is in the file's convention already."""
    factor = p[signal.gain]
    if not _is_zero(p[signal.phase]):
        factor = factor * np.exp(1j * p[signal.phase])
    if not _is_zero(p[signal.delay]):
        offset = frequency - p["qubit_frequency"]
        lag = _SIGN[convention] * TWO_PI * p[signal.delay]
        factor = factor * np.exp(1j * lag * offset)
    found: Array = outgoing if _is_one(factor) else factor * outgoing
    return found


def curve(
    incident_power: Array,
    frequency: Array,
    *,
    geometry: Geometry,
    convention: Convention,
    total: bool,
    **p: Any,
) -> Arrays:
    """Return amplitude and power of every signal that the geometry has.

    Parameters
    ----------
    incident_power, frequency : ndarray
        W at the generator and Hz, broadcastable to one shape.
    geometry : Geometry
        Where the qubit sits.
    convention : {"+i", "-i"}
        Time factor of the file.
    total : bool
        Whether powers hold all photons (drive off subtracted) or the coherent wave alone.
    **p : float or ndarray
        The parameters; ``n_line`` and ``n_internal`` or ``n_th``, ``sigma_slow`` or none.

    Returns
    -------
    tuple of ndarray
        Complex amplitude and power (W), signal by signal.
    """
    ports = geometry.ports(p)
    parts = line_parts(incident_power, frequency, ports, p)
    found: list[Array] = []
    for signal in SIGNALS[geometry.name]:
        size = getattr(ports, signal.coupling)
        x, y = _bare(parts, size, signal, _SIGN[convention], p)
        found.append(_received(_joined(x, y), frequency, signal, convention, p))
        level = 1 - missing_share(parts.along * parts.a, ports, p) if total else x * x + y * y
        gain = p[signal.gain]
        found.append((level if _is_one(gain) else gain**2 * level) * incident_power)
    return tuple(found)


def jacobian(
    incident_power: Array,
    frequency: Array,
    *,
    geometry: Geometry,
    convention: Convention,
    total: bool,
    **p: Any,
) -> Derivatives:
    """Return the exact derivatives of :func:`curve` by parameters and inputs."""
    found = response(incident_power, frequency, geometry, p)
    tables: list[dict[str, Array]] = []
    for signal in SIGNALS[geometry.name]:
        bare, inner = _bare_slopes(found, signal, p)
        tables.append(_amplitude_slopes(bare, inner, frequency, signal, convention, p))
        level = bare.real**2 + bare.imag**2
        slopes = {n: 2 * (bare.conj() * d).real for n, d in inner.items()}
        if total:
            level = 1 - missing_share(found.chi.real, found.state.ports, p)
            slopes = {n: -d for n, d in missing_slopes(found, p).items()}
        gain = p[signal.gain]
        power = {n: gain**2 * incident_power * d for n, d in slopes.items()}
        power["incident_power"] = power["incident_power"] + gain**2 * level
        power[signal.gain] = 2 * gain * incident_power * level
        tables.append(power)
    return tuple(tables)


def _bare_slopes(found: Response, signal: Signal, p: Values) -> tuple[Array, dict[str, Array]]:
    """Return background − e^{iψ}Gχ and its derivatives."""
    coupling = getattr(found.state.ports, signal.coupling)
    turn = np.exp(1j * p[signal.turn]) if signal.turn else 1.0
    z = turn * coupling * found.chi
    inner = {name: -turn * coupling * slope for name, slope in found.chi_slopes.items()}
    for name, port in found.port_slopes.items():
        inner[name] = inner[name] - getattr(port, signal.coupling) * z
    if signal.turn:
        inner[signal.turn] = inner.get(signal.turn, 0.0) - 1j * z
    return np.asarray(signal.background - z), inner


def _amplitude_slopes(
    bare: Array,
    inner: dict[str, Array],
    frequency: Array,
    signal: Signal,
    convention: Convention,
    p: Values,
) -> dict[str, Array]:
    """Put the set-up around the derivatives, and add those by the set-up itself."""
    offset, lag = frequency - p["qubit_frequency"], 1j * TWO_PI * p[signal.delay]
    slopes = dict(inner)
    slopes["qubit_frequency"] = slopes["qubit_frequency"] - lag * bare
    slopes["frequency"] = slopes["frequency"] + lag * bare
    slopes[signal.delay] = 1j * TWO_PI * offset * bare

    def seen_as(outgoing: Array) -> Array:
        return _received(with_convention(outgoing, convention), frequency, signal, convention, p)

    seen = {name: seen_as(slope) for name, slope in slopes.items()}
    whole = seen_as(bare)
    seen[signal.gain] = whole / p[signal.gain]
    seen[signal.phase] = 1j * whole
    return seen
