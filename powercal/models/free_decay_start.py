"""Whether there is a decay in the data at all, and where a fit of it should start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.errors import FitError
from powercal.models.batch_start import Stack, batch_dims, weighted_line
from powercal.models.driven import TWO_PI
from powercal.models.free_decay_named import (
    CHANCE,
    CLEAR,
    CLEAR_WITHOUT_FIRST,
    About,
    Decay,
    named_starts,
)
from powercal.schema import DeviceTraces

Array = NDArray[Any]
FloatArray = NDArray[np.float64]

_PER_DECADE = 16
_FEWEST = 4


def find_decay(
    time: FloatArray, values: Array, std: FloatArray | None = None, rate: float | None = None
) -> Decay:
    """Compare the best exponential over a range of rates with a constant.

    Parameters
    ----------
    time, values : ndarray
        Delays in s, finite, of shape (n,), and the signals at them, real or complex, of shape
        (n,) or (rows, n); gaps are NaN.
    std : ndarray, optional
        Standard deviations (of each quadrature), of the shape of the values; the larger of these
        and of the scatter about the best exponential counts as noise. Without them it is the
        scatter.
    rate : float, optional
        The only rate to try, 1/s, where it is known.

    Returns
    -------
    Decay
        The best exponential of every row; `clear` tells whether it is one.
    """
    if values.ndim == 1:
        many = find_decay(time, values[None], None if std is None else std[None], rate)
        return Decay(many.rate[0], *(field[0] for field in many[1:-1]))
    return _find(time, values, std, _rates(time) if rate is None else np.array([rate]))


def _find(time: FloatArray, values: Array, std: FloatArray | None, rates: FloatArray) -> Decay:
    weight = _weights(values, std)
    enough, count = _enough(time, weight), (weight > 0).sum(axis=1)
    signals, path = np.where(weight > 0, values, 0.0), np.zeros(1)
    if std is None and weight.all():  # the same exponentials for every row
        directions = _directions(time, weight[0], rates)
        (gain, total), path[0] = gains(directions, weight[0], signals), length(directions)
    else:
        gain, total, path = _gains_of_each(time, weight, signals, rates)
    best = np.argmax(gain, axis=1)
    most, rate = gain[np.arange(len(gain)), best], rates[best]
    freedom = (2 if np.iscomplexobj(values) else 1) * (count - 2)
    noise = np.maximum((total - most) / freedom, 1e-26 * total / freedom)
    noise = noise if std is None else np.maximum(noise, 1.0)
    first = time.min()
    shape = np.exp(-rate[:, None] * (time - first))
    height, rest = weighted_line(shape, signals, weight**2)
    found = chance(most, total, values, std is not None, path, count)
    # Back from the first delay to time zero, at most by e⁵⁰.
    contrast = height * np.exp(np.minimum(rate * first, 50.0))
    clarity = np.sqrt(most / noise)
    size = np.sum(weight**2 * np.abs(signals) ** 2, axis=1)
    flat = total <= 1e-26 * size  # a constant to the last digit
    level = np.sum(weight**2 * signals, axis=1) / np.sum(weight**2, axis=1)
    line = rate, np.where(flat, level, rest), np.where(flat, 0.0, contrast)
    speaks = np.where(flat, 0.0, clarity), np.where(flat, 1.0, found)
    return Decay(*(np.where(enough, field, np.nan) for field in (*line, *speaks)))


def _weights(values: Array, std: FloatArray | None) -> FloatArray:
    """Return 1/σ (or 1), and 0 for gaps."""
    held = np.isfinite(values)
    if std is None:
        return held.astype(float)
    held &= np.isfinite(std) & (std > 0)
    return np.where(held, 1 / np.where(held, std, 1.0), 0.0)


def _enough(time: FloatArray, weight: FloatArray) -> Array:
    """Whether every row has enough points, at three delays or more."""
    held, (delays, place) = weight > 0, np.unique(time, return_inverse=True)
    number = held.sum(axis=1)
    if delays.size == time.size:
        return np.asarray(number >= _FEWEST)
    seen = held.astype(float) @ np.eye(delays.size)[place.ravel()]
    return np.asarray((number >= _FEWEST) & ((seen > 0).sum(axis=1) >= 3))


def _gains_of_each(
    time: FloatArray, weight: FloatArray, values: Array, rates: FloatArray
) -> tuple[Array, Array, Array]:
    """Return what `gains` and `length` do, for rows that weigh their points differently."""
    shapes = np.exp(-np.outer(rates, time - time.min())).T
    square = weight**2
    share = square / square.sum(axis=1, keepdims=True)
    centred = square * (values - np.sum(share * values, axis=1)[:, None])
    total = np.sum(np.abs(centred) ** 2 / np.where(square > 0, square, 1.0), axis=1)
    mean = share @ shapes
    norm = share @ shapes**2 - mean**2
    told = norm > 1e-12
    norm = np.sqrt(np.where(told, norm, np.inf))
    overlap = (centred @ shapes) / norm
    turn = (share @ (shapes[:, 1:] * shapes[:, :-1]) - mean[:, 1:] * mean[:, :-1]) / (
        norm[:, 1:] * norm[:, :-1]
    )
    path = np.sqrt(np.maximum(2 - 2 * turn, 0.0)) @ np.ones(max(rates.size - 1, 0))
    return np.abs(overlap) ** 2 / square.sum(axis=1)[:, None], total, path


def _rates(time: FloatArray) -> FloatArray:
    """Rates from a third of the window's inverse to twice the inverse of the shortest step."""
    steps = np.diff(np.unique(time))
    slowest, fastest = 1 / (3 * np.ptp(time)), 2 / steps.min()
    return np.geomspace(slowest, fastest, int(_PER_DECADE * np.log10(fastest / slowest)) + 2)


def _directions(time: FloatArray, weight: FloatArray, rates: FloatArray) -> FloatArray:
    """Return for each rate the weighted exponential, less its mean, as a unit vector (r, n)."""
    shape = np.exp(-np.outer(rates, time - time.min()))
    share = weight**2 / np.sum(weight**2)
    columns = weight * (shape - (shape @ share)[:, None])
    norms = np.linalg.norm(columns, axis=1, keepdims=True)
    return np.asarray(columns / np.where(norms > 0, norms, 1.0))


def gains(directions: FloatArray, weight: FloatArray, values: Array) -> tuple[Array, Array]:
    """Return what each exponential takes off the weighted squares, and the squares about the mean.

    Parameters
    ----------
    directions : ndarray
        Unit vectors (rates, n).
    weight, values : ndarray
        1/σ of shape (n,) and signals of shape (..., n).

    Returns
    -------
    tuple of ndarray
        Of shape (..., rates) and (...).
    """
    share = weight**2 / np.sum(weight**2)
    centred = weight * (values - (values @ share)[..., None])
    return np.abs(centred @ directions.T) ** 2, np.sum(np.abs(centred) ** 2, axis=-1)


def length(directions: FloatArray) -> float:
    """Return how far the unit vectors wander over the sphere from the first rate to the last."""
    return float(np.sum(np.linalg.norm(np.diff(directions, axis=0), axis=1)))


def chance(
    gain: Any, total: Any, values: Array, known: bool, path: Any, count: Any = None
) -> Array:
    """Return the probability that white noise gives a gain as large at any rate.

    Parameters
    ----------
    gain, total : float or ndarray
        From :func:`gains`, the largest of all rates.
    values : ndarray
        The signals (..., n): their number and whether they are complex.
    known : bool
        Whether the weights are 1/σ of the noise, rather than relative.
    path : float or ndarray
        From :func:`length`.
    count : int or ndarray, optional
        Of points; by default no signal has gaps.

    Returns
    -------
    ndarray
        Of noise of unknown size (its direction is uniform on a sphere: Hotelling, Am. J. Math. 61,
        440, 1939), and of known noise (Davies, Biometrika 74, 33, 1987) if that is larger.
    """
    is_complex, gain = np.iscomplexobj(values), np.asarray(gain, dtype=float)
    dims = np.asarray(np.shape(values)[-1] if count is None else count) - 1
    unknown = _chance_on_sphere(gain / total, dims, is_complex, path)
    if not known:
        return np.minimum(unknown, 1.0)
    return np.minimum(np.maximum(unknown, _chance_of_known(gain, is_complex, path)), 1.0)


def _chance_on_sphere(share: Array, dims: Array, is_complex: bool, path: Any) -> Array:
    """A single rate's tail of the share of the squares, and the crossings along the path."""
    from scipy.special import betainc, gammaln

    left = np.clip(1 - share, 0.0, 1.0)
    if is_complex:
        factor = np.exp(gammaln(dims) - gammaln(dims - 0.5)) / np.sqrt(np.pi)
        crossings = factor * np.sqrt(share) * left ** (dims - 1.5)
        return np.asarray(left ** (dims - 1) + path * crossings)
    single = betainc((dims - 1) / 2, 0.5, left)
    return np.asarray(single + path / np.pi * left ** ((dims - 2) / 2))


def _chance_of_known(gain: Array, is_complex: bool, path: Any) -> Array:
    from scipy.special import erfc

    tail = np.exp(-gain / 2)
    if is_complex:
        return np.asarray(tail * (1 + path * np.sqrt(gain / TWO_PI)))
    return np.asarray(erfc(np.sqrt(gain / 2)) + path / np.pi * tail)


# ---- starting values ----


def guess(
    traces: DeviceTraces, fixed: Mapping[str, Any], *, readout: str, observables: tuple[str, ...]
) -> dict[str, Array]:
    """Start from the best exponential; refuse where there is none.

    Parameters
    ----------
    traces, fixed
        One trace, or a stack of them (``attrs["batch_dims"]``) with values over its dimensions.
    readout : str
        The chosen readout.
    observables : tuple of str
        Its observables.

    Raises
    ------
    FitError
        No delays, too few points, or no decay beyond the noise; in a stack that is NaN.
    """
    held = tuple(name for name in observables if name in traces)
    if not held or "time" not in traces.variables:
        raise FitError(
            f"the traces hold {', '.join(map(str, traces.variables))}; with readout={readout!r} "
            f"free_decay needs time and {' or '.join(observables)}: choose another readout, or "
            f"leave the option out"
        )
    _expect_consumed(traces, held)
    stds = tuple(f"{name}_std" for name in held if f"{name}_std" in traces)
    stack = Stack(traces, ("time", *held, *stds), fixed)
    frequency = traces.attrs.get("transition_frequency")
    given = {} if frequency is None else {"qubit_frequency": frequency}
    about = About(readout, "excited_population" in traces, given)

    def start(rows: slice) -> dict[str, Array]:
        decays = {name: _decays(stack, name, f"{name}_std" in stds, rows) for name in held}
        if stack.single:
            _expect_decay(stack, decays)
        return named_starts(decays, stack, rows, about)

    return stack.gather(start)


def _expect_consumed(traces: DeviceTraces, names: tuple[str, ...]) -> None:
    known = {*traces["time"].dims, *batch_dims(traces)}
    for name in names:
        extra = [str(d) for d in traces[name].dims if d not in known]
        if extra:
            raise FitError(
                f"{name} has the dimension {extra[0]!r}, which free_decay does not consume; select "
                f"one index, average over it, or fit each with fit_each"
            )


def _decays(stack: Stack, name: str, with_std: bool, rows: slice) -> Decay:
    """Return the best exponential of every row; rows with equal delays are looked at together."""
    time, values = stack.flat("time", rows), stack.flat(name, rows)
    values = np.broadcast_to(values, (rows.stop - rows.start, values.shape[1]))
    std = np.broadcast_to(stack.flat(f"{name}_std", rows), values.shape) if with_std else None
    rate = stack.held("gamma_1_tot", rows)
    if len(time) == 1 and (rate is None or np.ptp(rate) == 0):
        return _decays_at(time[0], values, std, None if rate is None else rate[:1])
    keys = np.broadcast_to(time, values.shape)
    keys = keys if rate is None else np.column_stack([keys, rate])
    _, place = np.unique(keys, axis=0, return_inverse=True)
    place = place.ravel()
    found = Decay(*(np.full(len(values), np.nan, values.dtype) for _ in Decay._fields))
    for group in range(place.max() + 1):
        some = np.flatnonzero(place == group)
        at = time[0 if len(time) == 1 else some[0]]
        known = None if rate is None else rate[some[:1]]
        decay = _decays_at(at, values[some], None if std is None else std[some], known)
        for whole, part in zip(found, decay, strict=True):
            whole[some] = part
    return found if values.dtype.kind != "c" else _real(found)


def _real(found: Decay) -> Decay:
    """Return the decay with its real fields as such."""
    return Decay(found.rate.real, found.rest, found.contrast, *(f.real for f in found[3:]))


def _decays_at(time: Array, values: Array, std: Array | None, rates: Array | None) -> Decay:
    """Return the best exponentials in rows with the same delays, and how clear they are later."""
    usable = np.isfinite(time)
    time, values = time[usable], values[:, usable]
    std = None if std is None else std[:, usable]
    weight = _weights(values, std)
    held = weight > 0
    if not _enough(time, weight).any():
        return Decay(*(np.full(len(values), np.nan) for _ in Decay._fields))
    rates = _rates(time) if rates is None else rates
    decay = _find(time, values, std, rates)
    first = np.where(held, time, np.inf).min(axis=1)
    if std is None and held.all():
        rest = _find(*_after(time, values), None, rates)
    else:
        rest = _find(time, np.where(time > first[:, None], values, np.nan), std, rates)
    return decay._replace(kept=np.where(np.isfinite(rest.rate), rest.clarity, np.inf))


def _after(time: Array, values: Array) -> tuple[Array, Array]:
    later = time > time.min()
    return time[later], values[:, later]


def _expect_decay(stack: Stack, decays: Mapping[str, Decay]) -> None:
    """Refuse a single trace without a decay."""
    for name, decay in decays.items():
        if np.isnan(decay.rate[0]):
            raise FitError(_too_few(stack, name))
    clearest = max(decays, key=lambda name: float(decays[name].clarity[0]))
    if not any(decay.clear(len(decays))[0] for decay in decays.values()):
        raise FitError(_nothing(clearest, decays[clearest]))


def _too_few(stack: Stack, name: str) -> str:
    whole = slice(0, 1)
    time, values = stack.flat("time", whole)[0], stack.flat(name, whole)[0]
    keep = np.isfinite(time) & np.isfinite(values)
    if f"{name}_std" in stack.names:
        std = stack.flat(f"{name}_std", whole)[0]
        keep &= np.isfinite(std) & (std > 0)
    return (
        f"{name} has {int(keep.sum())} finite points at {np.unique(time[keep]).size} delays; "
        f"a decay takes at least {_FEWEST} points at three delays"
    )


def _nothing(name: str, decay: Decay) -> str:
    rate, clarity, chance_, kept = (
        float(x[0]) for x in (decay.rate, decay.clarity, decay.chance, decay.kept)
    )
    return (
        f"no decay beyond the noise: the best exponential (T1 = {1 / rate:.2g} s) changes "
        f"{name} by {clarity:.1f} standard errors, without the first delay by "
        f"{min(kept, clarity):.1f} (asked for: {CLEAR:g} and {CLEAR_WITHOUT_FIRST:g}), "
        f"and noise alone does as much with a probability of {chance_:.2g} (asked for: less "
        f"than {CHANCE:g}); choose another channel, or average longer"
    )
