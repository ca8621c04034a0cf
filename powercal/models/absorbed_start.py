"""Starting values for absorbed power, reflected power and population, from straight lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from powercal.errors import FitError
from powercal.models.batch_start import Stack, in_blocks, least_squares, row_percentile
from powercal.models.driven import TWO_PI
from powercal.models.lorentzian_start import Lorentzian, lorentzians
from powercal.physics.constants import HBAR
from powercal.schema import DeviceTraces

Array = NDArray[Any]
OBSERVABLES = ("absorbed_power", "reflected_power", "excited_population")

_BLOCKS = 50  # a trace is looked at in about so many pieces
_ONE_POWER = 1.2  # powers within this factor do not tell saturation from width
_POPULATION = 1e6  # 1/s: only the shape of a population is used, it holds no rate
# Saturations that a single line may be taken to have.
_LEAST, _MOST = 0.02, 1e3
_WINGS = 5  # half widths: farther away a sweep of powers is left out


def drive_guess(
    traces: DeviceTraces, fixed: Mapping[str, Any], *, names: tuple[str, ...]
) -> dict[str, Array]:
    """Start from straight lines: 1/R is linear in 1/P and quadratic in frequency.

    Parameters
    ----------
    traces : DeviceTraces
        One trace or grid, or a stack of them (``attrs["batch_dims"]``).
    fixed : mapping
        Values that are held, numbers or arrays over the batch dimensions. Lines at one power have
        three numbers to tell: ``n_th`` and ``drive_scale`` (or ``gamma_1``) tell the rest.
    names : tuple of str
        The parameters to start.

    Raises
    ------
    FitError
        The single trace has nothing to start from; in a stack that is NaN.
    """
    observable = _observable(traces)
    of_power = traces["incident_power"].dims
    along = tuple(str(d) for d in traces["frequency"].dims if d not in of_power)
    stack = Stack(traces, ("incident_power", "frequency", observable), fixed, along)
    thermal = None
    if "excited_population" in traces:
        thermal = Stack(traces, ("excited_population",), {})

    def start(rows: slice) -> dict[str, Array]:
        lines = _lines(stack, observable, rows)
        lowest = None
        if thermal is not None:
            lowest = row_percentile(thermal.flat("excited_population", rows), 5)
        found = _named(lines, lowest, stack.held("n_th", rows))
        return {name: value for name, value in found.items() if name in names}

    found = stack.gather(start)
    if stack.single and np.isnan(found["qubit_frequency"]):
        raise FitError(
            f"{observable} shows no response to the drive at any point; check its sign, its unit "
            f"and the reference"
        )
    return found


def _observable(traces: DeviceTraces) -> str:
    names = [n for n in OBSERVABLES if n in traces]
    if not names or "incident_power" not in traces or "frequency" not in traces:
        raise FitError(
            f"the traces hold {', '.join(map(str, traces.variables))}; this model needs "
            f"incident_power, frequency and one of {', '.join(OBSERVABLES)}"
        )
    return names[0]


class _Rates(NamedTuple):
    """Transition (Hz), Γ₁ and Γ₂ (1/s), and Ω² per watt over 1 + 2n, of shape (rows,)."""

    centre: Array
    gamma_1: Array
    gamma_2: Array
    drive: Array


def _named(lines: _Rates, lowest: Array | None, held: Array | None) -> dict[str, Array]:
    """Share the rates out among the parameters."""
    if lowest is None:
        seen = np.full(lines.centre.shape, 0.05)
    else:
        p_eq = np.clip(lowest, 1e-3, 0.4)
        seen = p_eq / (1 - 2 * p_eq)
    thermal = 1 + 2 * (seen if held is None else held)
    dephasing = lines.gamma_2 - lines.gamma_1 * thermal / 2
    return {
        "qubit_frequency": lines.centre,
        "gamma_1": lines.gamma_1,
        "gamma_phi": np.maximum(dephasing, 0.05 * lines.gamma_1),
        "n_th": seen,
        "drive_scale": lines.drive * thermal,
        "gamma_r": 0.3 * lines.gamma_1,
        "sigma_slow": lines.gamma_1 / 20,  # a small part of the width, in Hz
    }


class _Points(NamedTuple):
    """Rows of points: incident power, frequency and absorbed power (NaN: gap)."""

    power: Array
    frequency: Array
    absorbed: Array


def _lines(stack: Stack, observable: str, rows: slice) -> _Rates:
    """Return what the shapes of some rows say."""
    points = _absorbed(stack, observable, rows)
    power = points.power.reshape(len(points.power), -1)
    least, most = np.fmin.reduce(power, axis=1), np.fmax.reduce(power, axis=1)
    one = np.broadcast_to(most <= _ONE_POWER * least, len(points.absorbed))
    populated = observable == "excited_population"
    if one.all():
        return _at_one_power(points, stack, rows, populated)
    found = _sweeps(points)
    if not one.any():
        return found
    alone = _at_one_power(points, stack, rows, populated)
    return _Rates(*(np.where(one, a, b) for a, b in zip(alone, found, strict=True)))


def _absorbed(stack: Stack, observable: str, rows: slice) -> _Points:
    """Return the points, every row in the order of its frequencies."""
    power, frequency = stack.field("incident_power", rows), stack.field("frequency", rows)
    values = stack.field(observable, rows).astype(float, copy=False)
    shape = (rows.stop - rows.start, *stack.points)
    values = np.broadcast_to(values, shape)
    known = np.isfinite(power) & (power > 0)
    if not known.all():
        values = np.where(known, values, np.nan)
    if observable == "reflected_power":
        ratio = values / power
        whole = row_percentile(ratio.reshape(len(values), -1), 95)
        values = power * (1 - ratio / whole.reshape(-1, *(1,) * len(stack.points)))
    elif observable == "excited_population":
        # Only the line shape is used; the scale of Γ₁ cannot come from populations.
        lowest = row_percentile(values.reshape(len(values), -1), 5)
        values = values - lowest.reshape(-1, *(1,) * len(stack.points))
        values = values * (HBAR * TWO_PI * _POPULATION) * frequency
    return _in_order(_Points(power, frequency, values))


def _in_order(points: _Points) -> _Points:
    """Sort rows whose frequencies go up and down, so that neighbours are neighbours."""
    if points.absorbed.ndim < 2:
        return _Points(*(a[..., None] for a in points))
    right, left = points.frequency[..., 1:], points.frequency[..., :-1]
    ordered = (right >= left).all(axis=-1)
    if not ordered.all():
        ordered |= (right <= left).all(axis=-1)
    ordered &= np.isfinite(points.frequency[..., 0]) & np.isfinite(points.frequency[..., -1])
    if ordered.all():
        return points
    points = points._replace(
        absorbed=np.where(np.isfinite(points.frequency), points.absorbed, np.nan)
    )
    place = np.argsort(np.where(np.isfinite(points.frequency), points.frequency, np.nan), axis=-1)
    place[ordered] = np.arange(points.frequency.shape[-1])

    def moved(values: Array) -> Array:
        if values.shape[-1] == 1:
            return values
        shape = np.broadcast_shapes(values.shape, place.shape)
        return np.take_along_axis(
            np.broadcast_to(values, shape), np.broadcast_to(place, shape), axis=-1
        )

    return _Points(*(moved(values) for values in points))


# ---- lines at one power ----


def _at_one_power(points: _Points, stack: Stack, rows: slice, populated: bool) -> _Rates:
    """Read height and width, and tell saturation from width by what is held."""
    power, values = points.power, points.absorbed
    mean = np.broadcast_to(np.nanmean(power.reshape(len(power), -1), axis=1), len(values))
    if power[0].size > 1:
        values = values * (mean.reshape(-1, *(1,) * (values.ndim - 1)) / power)
    found = lorentzians(points.frequency, values, _BLOCKS)
    quanta = found.height / (HBAR * TWO_PI * found.centre)  # photons a second on resonance
    width = TWO_PI * found.half_width
    n_th, scale = stack.held("n_th", rows), stack.held("drive_scale", rows)
    gamma_1 = stack.held("gamma_1", rows)
    if populated:  # the population on resonance is the saturation
        gamma_1 = np.full(len(values), _POPULATION)
    if gamma_1 is not None:
        share = np.clip(2 * quanta / gamma_1, _LEAST, 1 - 1 / _MOST)
        saturation = share / (1 - share)
    elif scale is not None:
        rabi2 = scale * mean
        saturation = _saturation(quanta, width, rabi2, rabi2 / (1 + 2 * _or(n_th, 0.05)))
    else:
        saturation = np.ones(len(values))
    gamma_2 = width / np.sqrt(1 + saturation)
    total = 2 * quanta * (1 + 1 / saturation)
    if populated and scale is not None:
        total = scale * mean / (1 + 2 * _or(n_th, 0.05)) / (saturation * gamma_2)
    gamma_2 = np.maximum(gamma_2, 0.5 * total)
    return _Rates(found.centre, total, gamma_2, saturation / mean * total * gamma_2)


def _or(value: Array | None, other: float) -> Any:
    return other if value is None else value


def _saturation(quanta: Array, width: Array, rabi2: Array, k: Array) -> Array:
    """Invert R/ħω = C/(W²+Δ²) with C = kΓ₂/2 and W² = Γ₂² + kΓ₂/Γ₁, k = Ω²/(1+2n)."""
    gamma_2 = 2 * quanta * width**2 / k
    # Γ₂ ≥ Γ₁tot/2 makes the saturation at least Ω²/(2Γ₂²).
    most = np.sqrt(np.maximum(width**2 - rabi2 / 2, width**2 / (1 + _MOST)))
    gamma_2 = np.minimum(gamma_2, most)
    return np.asarray(np.clip((width / gamma_2) ** 2 - 1, _LEAST, _MOST))


# ---- sweeps of power ----


def _sweeps(points: _Points) -> _Rates:
    """Fit R·(a P + b + c x + d x²) = P, weighted so that the residual is that of R itself."""
    power, frequency, absorbed = _blocks(points)
    height = np.fmax.reduce(absorbed, axis=1, initial=0.0)
    keep = absorbed > 0.02 * height[:, None]
    line = _line_of_all_powers(points)
    if line is not None:  # what noise does far away would weigh in by the square of its distance
        far = np.abs(frequency - line.centre[:, None]) > _WINGS * line.half_width[:, None]
        keep &= ~far
    absorbed = np.where(keep, absorbed, 1.0) / height[:, None]
    weight = np.where(keep, absorbed, 0.0)
    seen = np.where(keep, frequency, np.nan)
    low, high = np.fmin.reduce(seen, axis=1), np.fmax.reduce(seen, axis=1)
    centre = low + (weight * np.where(keep, seen - low[:, None], 0.0)).sum(1) / weight.sum(1)
    span = np.maximum(high - low, 1.0)
    x = np.where(keep, (frequency - centre[:, None]) / span[:, None], 0.0)
    scale = np.exp(np.where(keep, np.log(power), 0.0).sum(1) / keep.sum(1))
    power = np.where(keep, power / scale[:, None], 1.0)
    columns = np.stack([power, np.ones_like(x), x, x * x], axis=1)
    a, b, c, d = least_squares(columns, power / absorbed, (weight**2 / power) ** 2).T
    middle = np.where(d > 0, -c / (2 * d), 0.0)
    width2 = np.where(d > 0, b / d - middle**2, 0.0)
    half = TWO_PI * span * np.sqrt(np.where(width2 > 1e-6, width2, 0.01))
    quanta = height / (HBAR * TWO_PI * centre)
    gamma_1 = 2 * quanta / np.where(a > 0.05, a, 0.5)
    gamma_2 = np.maximum(half, 0.5 * gamma_1)
    # 1/s = 1/(depth·P) on resonance
    depth = np.maximum(a, 0.05) / np.maximum(np.where(b > 0, b, 0.5), 1e-6) / scale
    return _Rates(
        centre + span * np.clip(middle, -1, 1), gamma_1, gamma_2, depth * gamma_1 * gamma_2
    )


def _line_of_all_powers(points: _Points) -> Lorentzian | None:
    """Return the line in the mean over all powers, where powers have a dimension of their own."""
    between = tuple(range(1, points.absorbed.ndim - 1))
    alone = all(points.frequency.shape[axis] == 1 for axis in between)
    if not between or not alone or points.frequency.shape[-1] == 1:
        return None
    kept = np.isfinite(points.absorbed)
    mean = np.where(kept, points.absorbed, 0.0).sum(axis=between) / kept.sum(axis=between)
    return lorentzians(points.frequency.reshape(len(points.frequency), -1), mean, _BLOCKS)


def _blocks(points: _Points) -> tuple[Array, Array, Array]:
    """Average neighbours along frequency; return power, frequency and absorbed power, flat."""
    size = max(1, points.absorbed.shape[-1] // _BLOCKS)
    gaps, frequency = np.isnan(points.absorbed), points.frequency
    if size > 1 and gaps.any():
        frequency = np.where(gaps, np.nan, frequency)
    absorbed = in_blocks(points.absorbed, size)[0]

    def flat(values: Array) -> Array:
        if values.shape[-1] > 1:
            values = in_blocks(values, size)[0]
        return np.broadcast_to(values, absorbed.shape).reshape(len(absorbed), -1)

    return flat(points.power), flat(frequency), absorbed.reshape(len(absorbed), -1)
