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
    Decay,
    named_starts,
)
from powercal.schema import DeviceTraces

Array = NDArray[Any]
FloatArray = NDArray[np.float64]

_PER_DECADE = 16
_FEWEST = 4


def find_decay(time: FloatArray, values: Array, std: FloatArray | None, rates: FloatArray) -> Decay:
    """Compare the best exponential over a range of rates with a constant, in every row.

    Parameters
    ----------
    time, values : ndarray
        Delays in s, finite, of shape (n,), and the signals at them, real or complex, of shape
        (rows, n); gaps are NaN.
    std : ndarray or None
        Standard deviations (of each quadrature), of the shape of the values; the larger of these
        and of the scatter about the best exponential counts as noise. Without them it is the
        scatter.
    rates : ndarray
        The rates to try, 1/s.

    Returns
    -------
    Decay
        The best exponential of every row; `clear` tells whether it is one.
    """
    weight = _weights(values, std)
    enough, count = _enough(time, weight), (weight > 0).sum(axis=1)
    signals, is_complex = np.where(weight > 0, values, 0.0), np.iscomplexobj(values)
    alike = bool((weight == weight[:1]).all())  # then all rows share their exponentials
    gain, total, path = gains(time, weight[:1] if alike else weight, signals, rates)
    best = np.argmax(gain, axis=1)
    most, rate = gain[np.arange(len(gain)), best], rates[best]
    freedom = (2 if is_complex else 1) * (count - 2)
    noise = np.maximum((total - most) / freedom, 1e-26 * total / freedom)
    noise = noise if std is None else np.maximum(noise, 1.0)
    first = time.min()
    shape = np.exp(-rate[:, None] * (time - first))
    height, rest = weighted_line(shape, signals, weight**2)
    found = chance(most, total, count, is_complex, std is not None, path)
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


def rates_to_try(time: FloatArray) -> FloatArray:
    """Rates from a third of the window's inverse to twice the inverse of the shortest step."""
    steps = np.diff(np.unique(time))
    slowest, fastest = 1 / (3 * np.ptp(time)), 2 / steps.min()
    return np.geomspace(slowest, fastest, int(_PER_DECADE * np.log10(fastest / slowest)) + 2)


def gains(
    time: FloatArray, weight: FloatArray, values: Array, rates: FloatArray
) -> tuple[Array, Array, Array]:
    """Return what exponentials take off the squares of every row.

    Parameters
    ----------
    time, rates : ndarray
        Delays in s, of shape (n,), and rates in 1/s.
    weight : ndarray
        1/σ, 0 for gaps, of shape (rows, n), or (1, n) where all rows have the same.
    values : ndarray
        Signals, finite, of shape (rows, n).

    Returns
    -------
    gain : ndarray
        What each exponential takes off the weighted squares, of shape (rows, rates).
    total : ndarray
        The weighted squares about the mean, of shape (rows,).
    path : ndarray
        How far the exponentials, each less its mean and of length one, wander over the sphere from
        the first rate to the last, of shape (rows,), or (1,) where all rows have the same.
    """
    shapes = np.exp(-np.outer(rates, time - time.min())).T
    square = weight**2
    share = square / square.sum(axis=1, keepdims=True)
    off = values - np.sum(share * values, axis=1)[:, None]
    total = np.sum(square * np.abs(off) ** 2, axis=1)
    mean = share @ shapes
    norm = share @ shapes**2 - mean**2
    told = norm > 1e-12
    norm = np.sqrt(np.where(told, norm, np.inf))
    overlap = ((square * off) @ shapes) / norm
    turn = (share @ (shapes[:, 1:] * shapes[:, :-1]) - mean[:, 1:] * mean[:, :-1]) / (
        norm[:, 1:] * norm[:, :-1]
    )
    path = np.sqrt(np.maximum(2 - 2 * turn, 0.0)).sum(axis=1)
    return np.abs(overlap) ** 2 / square.sum(axis=1)[:, None], total, path


def chance(
    gain: Array, total: Array, count: Any, is_complex: bool, known: bool, path: Array
) -> Array:
    """Return the probability that white noise gives a gain as large at any rate.

    Parameters
    ----------
    gain, total, path : ndarray
        From :func:`gains`, the largest gain of all rates.
    count : int or ndarray
        Of points.
    is_complex, known : bool
        Whether the signals are complex, and whether the weights are 1/σ of the noise rather than
        relative.

    Returns
    -------
    ndarray
        Of noise of unknown size (its direction is uniform on a sphere: Hotelling, Am. J. Math. 61,
        440, 1939), and of known noise (Davies, Biometrika 74, 33, 1987) if that is larger.
    """
    unknown = _chance_on_sphere(gain / total, np.asarray(count) - 1, is_complex, path)
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
    transition = traces.attrs.get("transition_frequency")

    def start(rows: slice) -> dict[str, Array]:
        decays = {name: _decays(stack, name, f"{name}_std" in stds, rows) for name in held}
        if stack.single:
            _expect_decay(stack, decays)
        return named_starts(decays, stack, rows, readout, transition)

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
    keys = np.zeros((len(values), 1)) if rate is None else rate[:, None]
    keys = keys if len(time) == 1 else np.column_stack([time, keys])
    _, place = np.unique(keys, axis=0, return_inverse=True)
    groups = [np.flatnonzero(place.ravel() == group) for group in range(place.max() + 1)]
    found = [
        _decays_at(
            time[0 if len(time) == 1 else some[0]],
            values[some],
            None if std is None else std[some],
            None if rate is None else rate[some[:1]],
        )
        for some in groups
    ]
    order = np.argsort(np.concatenate(groups))
    return Decay(*(np.concatenate(fields)[order] for fields in zip(*found, strict=True)))


def _decays_at(time: Array, values: Array, std: Array | None, rates: Array | None) -> Decay:
    """Return the best exponentials in rows with the same delays, and how clear they are later."""
    usable = np.isfinite(time)
    time, values = time[usable], values[:, usable]
    std = None if std is None else std[:, usable]
    weight = _weights(values, std)
    if not _enough(time, weight).any():
        return Decay(*(np.full(len(values), np.nan) for _ in Decay._fields))
    rates = rates_to_try(time) if rates is None else rates
    decay = find_decay(time, values, std, rates)
    first = np.where(weight > 0, time, np.inf).min(axis=1)
    late = time > first.min()  # at the others every row is at its first delay, or has a gap
    later = np.where(time > first[:, None], values, np.nan)[:, late]
    rest = find_decay(time[late], later, None if std is None else std[:, late], rates)
    return decay._replace(kept=np.where(np.isfinite(rest.rate), rest.clarity, np.inf))


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
