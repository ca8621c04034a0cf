"""A qubit's line in curve coordinates without bounds: its depth, and white against slow noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from powercal.models.driven import TWO_PI
from powercal.models.line_response import GEOMETRIES, Geometry, bath_rates
from powercal.models.line_signals import SIGNALS, Signal
from powercal.models.unbounded import UNKNOWN, Finding, Fitted, field_on, least
from powercal.physics.constants import HBAR
from powercal.physics.scattering import Convention, with_convention
from powercal.physics.voigt import complex_voigt
from powercal.result import FitResult

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[Any]
# Starts of a search for slow noise: Γ₂ and σ over the width of the white line.
_SLOW = ((0.9, 0.3), (0.5, 0.6))


def reflection_depth(result: FitResult) -> Finding:
    """Return ρ and its error with ρ, Γ₂, the centre and the saturation power free of bounds.

    r = 1 − ρ(1+iδ)/(1+δ²+q) (supplement D) over the best-fit background; gain, phase and mismatch
    are free again where the fit had them free. For two ports ρ is that of the same rates at the
    end of a line. Unknown where it has no meaning: in total detection, and where a signal without
    background has a free gain, which would take the contradiction upon itself.
    """
    line = _line(result)
    if line is None or not line.free[2]:
        return UNKNOWN
    found = _refit(line, line.start)
    return line.scale * (line.rho + found.moved[2]), line.scale * found.error[2]


def line_shapes(result: FitResult) -> tuple[float, float, float] | None:
    """Return χ² of the white and of the Gaussian line and the latter's σ (Hz), free of bounds.

    None where the fit has no amplitude, or too few data for one number more.
    """
    line = _line(result)
    if line is None:
        return None
    width = float(np.hypot(1.0, 1.2 * line.start[5]))
    white = line.start.copy()
    white[[1, 5]] = white[1] + np.log(width), 0.0
    free = line.free.copy()
    free[5] = False
    plain = _refit(line, white, free)
    if not np.isfinite(plain.chi2):
        return None
    best = plain.moved
    free[5] = True
    tried = [line.start] if line.start[5] > 0 else []
    for share, sigma in _SLOW:
        start = best.copy()
        start[[1, 5]] = start[1] + np.log(share), sigma * np.exp(best[1])
        tried.append(start)
    # The white line is the one with slow noise of no size.
    found = [plain, *(_refit(line, start, free) for start in tried)]
    slow = min(found, key=lambda f: f.chi2)
    return plain.chi2, slow.chi2, abs(float(slow.moved[5])) * line.gamma_2 / TWO_PI


@dataclass(frozen=True, slots=True)
class _Line:
    """One fitted signal as a function of u: centre, ln Γ₂, ρ, ln P_s, turn, σ, set-up factors.

    All of u are moves from the fit (centre and σ in units of its Γ₂), σ is whole. ``modes`` says
    what an error of each point of the reference trace does to the data that are used, all in σ;
    ``explained`` gives the errors that fit best.
    """

    signal: Signal
    is_power: bool
    convention: Convention
    rho: float
    gamma_2: float
    scale: float
    delta: Array
    q: Array
    turn: float
    background: Array
    factors: list[Array]
    data: Array
    sigma: Array
    modes: Array
    explained: Array
    free: NDArray[np.bool_]
    start: Array

    def bare(self, u: Array) -> Array:
        """The amplitude that leaves the device, without the set-up."""
        width, sigma = np.exp(u[1]), abs(float(u[5]))
        d, below = (self.delta - u[0]) / width, 1 + self.q * np.exp(-u[3])
        if sigma > 0:
            root = np.sqrt(below)
            line = complex_voigt(d, root, sigma / width)
            shape = line.real / root + 1j * line.imag
        else:
            shape = (1 + 1j * d) / (d**2 + below)
        z = np.exp(1j * (self.turn + u[4])) * (self.rho + u[2]) * shape
        return with_convention(self.signal.background - z, self.convention)

    def curve(self, u: Array) -> Array:
        """What was fitted, up to the fit's own background."""
        setup = np.exp(sum((c * x for c, x in zip(self.factors, u[6:], strict=True)), 0j))
        seen = self.bare(u) * setup
        return np.asarray(self.background * (np.abs(seen) ** 2 if self.is_power else seen))

    def columns(self, u: Array, free: NDArray[np.bool_]) -> Array:
        """Return d(curve)/du for what is free: differences for the line, exact for the set-up."""
        here, found = self.curve(u), []
        for i in np.flatnonzero(free):
            if i >= 6:
                factor = self.factors[i - 6]
                found.append((2 * factor.real if self.is_power else factor) * here)
                continue
            moved = u.copy()
            moved[i] += 1e-6
            found.append((self.curve(moved) - here) / 1e-6)
        return np.stack(found, axis=-1)

    def whiten(self, gap: Array) -> Array:
        """Divide by σ and take out what errors of the reference explain, at their own cost."""
        used = np.isfinite(self.sigma) & np.isfinite(self.data)
        rows = (gap[used].T / self.sigma[used]).T
        if not self.modes.size:
            return np.asarray(rows)
        amplitude = self.explained @ rows
        return np.concatenate([rows - self.modes @ amplitude, -amplitude])


def _signal(result: FitResult) -> tuple[Geometry, Signal] | None:
    """Return the first fitted signal and where it comes from; None for total detection."""
    name = result.observables[0]
    geometry = GEOMETRIES[result.options.get("geometry", "end_of_line")]
    signal = next((s for s in SIGNALS[geometry.name] if name in (s.amplitude, s.power)), None)
    if signal is None or (name == signal.power and result.options.get("detection") == "total"):
        return None
    return geometry, signal


def _line(result: FitResult) -> _Line | None:
    """Return the first fitted signal in curve coordinates, at the fit's own point."""
    found = _signal(result)
    if found is None:
        return None
    (geometry, signal), name, v = found, result.observables[0], result.values
    shape, ports = result.curve[name], geometry.ports(v)
    gamma_1, gamma_1_tot = bath_rates(ports.line, v)
    gamma_2 = gamma_1_tot / 2 + v["gamma_phi"]
    coupling = float(getattr(ports, signal.coupling))
    frequency = field_on(result, "frequency", shape)
    power = field_on(result, "incident_power", shape) * 10 ** (-v["attenuation_db"] / 10)
    factors = _setup_columns(result, signal, frequency, shape)
    modes = _reference_modes(result, name, frequency)
    start = np.zeros(6 + len(factors))
    start[5] = TWO_PI * v.get("sigma_slow", 0.0) / gamma_2
    line = _Line(
        signal=signal,
        is_power=name == signal.power,
        convention="-i" if result.options["convention"] == "-i" else "+i",
        rho=v["manifold_weight"] * coupling * gamma_1 / gamma_1_tot / gamma_2,
        gamma_2=gamma_2,
        scale=_scale(geometry.name, signal, ports.line / coupling),
        delta=TWO_PI * (frequency - v["qubit_frequency"]) / gamma_2,
        q=4 * ports.drive * power / (HBAR * TWO_PI * frequency * gamma_1_tot * gamma_2),
        turn=v[signal.turn] if signal.turn else 0.0,
        background=np.ones(shape.shape),
        factors=factors,
        data=result.traces[name].transpose(*shape.dims).values,
        sigma=result.curve[f"{name}_sigma"].values,
        modes=modes,
        explained=np.linalg.solve(np.eye(modes.shape[1]) + modes.conj().T @ modes, modes.conj().T),
        free=_freedom(result, signal, len(factors)),
        start=start,
    )
    return replace(line, background=shape.values / line.curve(start))


def _freedom(result: FitResult, signal: Signal, factors: int) -> NDArray[np.bool_]:
    """Say which coordinates are free: a depth only where no free gain stands for it."""
    depth = bool(signal.background) or not _is_free(result, signal.gain)
    turn, slow = _is_free(result, signal.turn), "sigma_slow" in result.values
    return np.array([True, True, depth, True, turn, slow] + [True] * factors)


def _scale(geometry: str, signal: Signal, plain: float) -> float:
    """Return what turns a depth into that of the same rates at the end of a line."""
    if geometry == "in_line":
        return 1.0 if signal.coupling == "back" else 2.0
    return float(plain)


def _refit(line: _Line, start: Array, free: NDArray[np.bool_] | None = None) -> Fitted:
    """Least squares of one signal, without bounds."""
    chosen = line.free if free is None else free
    return least(
        lambda u: line.whiten(line.curve(u) - line.data),
        lambda u: line.whiten(line.columns(u, chosen)),
        start,
        chosen,
    )


def _reference_modes(result: FitResult, name: str, frequency: Array) -> Array:
    """An error ε of the reference turns r into r(1 − ε) at its frequency, for all powers alike."""
    sigma, data = result.curve[f"{name}_sigma"].values, result.traces[name]
    curve = result.curve[name]
    used = np.isfinite(sigma) & np.isfinite(data.transpose(*curve.dims).values)
    if "reference_noise" not in result.traces:
        return np.zeros((int(used.sum()), 0))
    noise, axis = result.traces["reference_noise"], result.traces["reference_frequency"].values
    at = frequency[used]
    right = np.clip(np.searchsorted(axis, at), 1, axis.size - 1)
    share = np.clip((at - axis[right - 1]) / (axis[right] - axis[right - 1]), 0.0, 1.0)
    weights = np.zeros((at.size, axis.size))
    rows = np.arange(at.size)
    weights[rows, right - 1] = 1 - share
    weights[rows, right] += share
    # A power turns with the square of the amplitude; the phase of the reference is not seen.
    is_power = not np.iscomplexobj(curve.values)
    act = 2.0 if is_power and int(noise.attrs.get("complex", 1)) else 1.0
    modes = (act * curve.values[used] / sigma[used])[:, None] * weights * noise.values
    return np.asarray(modes[:, weights.any(axis=0)])


def _is_free(result: FitResult, name: str) -> bool:
    return any(e.name.split("[")[0] == name and e.status != "fixed" for e in result.parameters)


def _setup_columns(
    result: FitResult, signal: Signal, frequency: Array, shape: xr.DataArray
) -> list[Array]:
    """Logarithms of gain (real), phase and delay (imaginary) as columns, one per free number."""
    swept = (frequency - frequency.mean()) / (float(np.ptp(frequency)) or 1.0)
    columns = []
    for name, unit in ((signal.gain, 1.0), (signal.phase, 1j), (signal.delay, 1j * swept)):
        if not _is_free(result, name):
            continue
        dim = result.request.get("per", {}).get(name)
        if dim is None:
            columns.append(unit * np.ones(shape.shape))
            continue
        member = np.indices(shape.shape)[shape.dims.index(dim)]
        columns += [unit * (member == i) for i in range(shape.sizes[dim])]
    return columns
