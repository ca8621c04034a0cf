"""Whether there is a decay in the data at all, and where a fit of it should start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from powercal.errors import FitError
from powercal.models.driven import TWO_PI
from powercal.physics.constants import HBAR
from powercal.schema import DeviceTraces

Array = NDArray[Any]
FloatArray = NDArray[np.float64]

# Noise alone must look like a decay in fewer than one trace in a thousand …
CHANCE = 1e-3
# … and a decay must stand out by this many standard errors: crosstalk between channels, drift and
# a first point spoilt by the pulse reach six of them in real files, and none is a relaxation.
CLEAR = 6.5
# One spoilt point at the start is no decay: without its delay most must be left.
CLEAR_WITHOUT_FIRST = 4.0
_PER_DECADE = 16
_FEWEST = 4


class Decay(NamedTuple):
    """The best exponential in a trace, and what speaks for it.

    ``contrast`` is the signal at time zero less ``rest``, the signal long after the decay;
    ``clarity`` the contrast in standard errors, ``kept`` the clarity without the first delay;
    ``chance`` how often white noise does as well at any of the rates tried.
    """

    rate: float
    rest: complex
    contrast: complex
    clarity: float
    chance: float
    kept: float = np.inf

    def clear(self, tried: int = 1) -> bool:
        """Whether it is a decay rather than noise, if so many observables were tried."""
        strong = self.clarity >= CLEAR and self.kept >= CLEAR_WITHOUT_FIRST
        return strong and self.chance * tried < CHANCE


def find_decay(
    time: FloatArray, values: Array, std: FloatArray | None = None, rate: float | None = None
) -> Decay:
    """Compare the best exponential over a range of rates with a constant.

    Parameters
    ----------
    time, values : ndarray
        Delays in s and the signal at them, real or complex, both of shape (n,), finite.
    std : ndarray, optional
        Standard deviations (of each quadrature); the larger of these and of the scatter about the
        best exponential counts as noise. Without them it is the scatter.
    rate : float, optional
        The only rate to try, 1/s, where it is known.

    Returns
    -------
    Decay
        The best exponential; `clear` tells whether it is one.
    """
    rates = _rates(time) if rate is None else np.array([rate])
    weight = np.ones(time.size) if std is None else 1 / std
    directions = _directions(time, weight, rates)
    gain, total = gains(directions, weight, values)
    best = int(np.argmax(gain))
    freedom = (2 if np.iscomplexobj(values) else 1) * (time.size - 2)
    noise = max((total - gain[best]) / freedom, 1e-26 * total / freedom)
    if std is not None:
        noise = max(noise, 1.0)
    size = float(np.sum(weight**2 * np.abs(values) ** 2))
    if total <= 1e-26 * size:  # a constant to the last digit
        return Decay(float(rates[best]), complex(values[0]), 0j, 0.0, 1.0)
    found = chance(gain[best], total, values, std is not None, length(directions))
    rest, contrast = _line(time, values, weight, float(rates[best]))
    clarity = float(np.sqrt(gain[best] / noise))
    return Decay(float(rates[best]), rest, contrast, clarity, float(found))


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


def chance(gain: Any, total: Any, values: Array, known: bool, path: float) -> Array:
    """Return the probability that white noise gives a gain as large at any rate.

    Parameters
    ----------
    gain, total : float or ndarray
        From :func:`gains`, the largest of all rates.
    values : ndarray
        The signals (..., n): their number and whether they are complex.
    known : bool
        Whether the weights are 1/σ of the noise, rather than relative.
    path : float
        From :func:`length`.

    Returns
    -------
    ndarray
        Of noise of unknown size (its direction is uniform on a sphere: Hotelling, Am. J. Math. 61,
        440, 1939), and of known noise (Davies, Biometrika 74, 33, 1987) if that is larger.
    """
    is_complex, gain = np.iscomplexobj(values), np.asarray(gain, dtype=float)
    unknown = _chance_on_sphere(gain / total, np.shape(values)[-1] - 1, is_complex, path)
    if not known:
        return np.minimum(unknown, 1.0)
    return np.minimum(np.maximum(unknown, _chance_of_known(gain, is_complex, path)), 1.0)


def _chance_on_sphere(share: Array, dims: int, is_complex: bool, path: float) -> Array:
    """A single rate's tail of the share of the squares, and the crossings along the path."""
    from scipy.special import betainc, gammaln

    left = np.clip(1 - share, 0.0, 1.0)
    if is_complex:
        factor = np.exp(gammaln(dims) - gammaln(dims - 0.5)) / np.sqrt(np.pi)
        crossings = factor * np.sqrt(share) * left ** (dims - 1.5)
        return np.asarray(left ** (dims - 1) + path * crossings)
    single = betainc((dims - 1) / 2, 0.5, left)
    return np.asarray(single + path / np.pi * left ** ((dims - 2) / 2))


def _chance_of_known(gain: Array, is_complex: bool, path: float) -> Array:
    from scipy.special import erfc

    tail = np.exp(-gain / 2)
    if is_complex:
        return np.asarray(tail * (1 + path * np.sqrt(gain / TWO_PI)))
    return np.asarray(erfc(np.sqrt(gain / 2)) + path / np.pi * tail)


def _line(
    time: FloatArray, values: Array, weight: FloatArray, rate: float
) -> tuple[complex, complex]:
    first = float(time.min())
    columns = np.stack([np.ones_like(time), np.exp(-rate * (time - first))], axis=1)
    (rest, height), *_ = np.linalg.lstsq(columns * weight[:, None], values * weight, rcond=None)
    # Back from the first delay to time zero, at most by e⁵⁰.
    return complex(rest), complex(height * np.exp(min(rate * first, 50.0)))


# ---- starting values ----


def guess(
    traces: DeviceTraces, fixed: Mapping[str, float], *, readout: str, observables: tuple[str, ...]
) -> dict[str, Array]:
    """Start from the best exponential; refuse where there is none.

    Raises
    ------
    FitError
        No delays, too few points, or no decay beyond the noise.
    """
    held = [name for name in observables if name in traces]
    if not held or "time" not in traces.variables:
        raise FitError(
            f"the traces hold {', '.join(map(str, traces.variables))}; with readout={readout!r} "
            f"free_decay needs time and {' or '.join(observables)}: choose another readout, or "
            f"leave the option out"
        )
    decays = {name: _decay_of(traces, name, fixed.get("gamma_1_tot")) for name in held}
    clearest = max(decays, key=lambda name: decays[name].clarity)
    if not any(decay.clear(len(held)) for decay in decays.values()):
        raise FitError(_nothing(clearest, decays[clearest]))
    rate = decays[clearest].rate
    start = {"gamma_1_tot": rate}
    if readout == "received":
        found = decays["received"]
        start |= {"offset_i": found.rest.real, "offset_q": found.rest.imag}
        start |= {"contrast_i": found.contrast.real, "contrast_q": found.contrast.imag}
    elif readout == "quadrature":
        found = decays["quadrature"]
        start |= {"offset": found.rest.real, "contrast": found.contrast.real}
    else:
        start |= _populations(decays.get("excited_population"))
        if readout == "power":
            start |= _power(traces, decays.get("emitted_power"), start, fixed)
    return {name: np.asarray(value, dtype=float) for name, value in start.items()}


def _decay_of(traces: DeviceTraces, name: str, rate: float | None) -> Decay:
    dims = traces["time"].dims
    extra = [str(d) for d in traces[name].dims if d not in dims]
    if extra:
        raise FitError(
            f"{name} has the dimension {extra[0]!r}, which free_decay does not consume; select one "
            f"index, average over it, or fit each with fit_each"
        )
    time, values = _flat(traces, "time", dims), _flat(traces, name, dims)
    std = _flat(traces, f"{name}_std", dims) if f"{name}_std" in traces else None
    keep = np.isfinite(time) & np.isfinite(values)
    if std is not None:
        keep &= np.isfinite(std) & (std > 0)
    if not _enough(time[keep]):
        raise FitError(
            f"{name} has {int(keep.sum())} finite points at {np.unique(time[keep]).size} delays; "
            f"a decay takes at least {_FEWEST} points at three delays"
        )
    decay = find_decay(time[keep], values[keep], None if std is None else std[keep], rate)
    later = keep & (time > time[keep].min())
    if not _enough(time[later]):
        return decay
    rest = find_decay(time[later], values[later], None if std is None else std[later], rate)
    return decay._replace(kept=rest.clarity)


def _enough(time: FloatArray) -> bool:
    return time.size >= _FEWEST and np.unique(time).size >= 3


def _flat(traces: DeviceTraces, name: str, dims: tuple[Any, ...]) -> Array:
    variable = traces[name]
    if variable.dims != dims:
        variable = variable.broadcast_like(traces["time"]).transpose(*dims)
    return np.asarray(variable.values).ravel()


def _nothing(name: str, decay: Decay) -> str:
    return (
        f"no decay beyond the noise: the best exponential (T1 = {1 / decay.rate:.2g} s) changes "
        f"{name} by {decay.clarity:.1f} standard errors, without the first delay by "
        f"{min(decay.kept, decay.clarity):.1f} (asked for: {CLEAR:g} and {CLEAR_WITHOUT_FIRST:g}), "
        f"and noise alone does as much with a probability of {decay.chance:.2g} (asked for: less "
        f"than {CHANCE:g}); choose another channel, or average longer"
    )


def _populations(decay: Decay | None) -> dict[str, float]:
    if decay is None:  # power alone tells their difference at best
        return {"p_0": 0.9, "p_eq": 0.05}
    return {
        "p_0": float(np.clip((decay.rest + decay.contrast).real, 1e-3, 0.999)),
        "p_eq": float(np.clip(decay.rest.real, 1e-3, 0.49)),
    }


def _power(
    traces: DeviceTraces, decay: Decay | None, start: dict[str, float], fixed: Mapping[str, float]
) -> dict[str, float]:
    """Choose what the height of the power tells: the energy of a photon, or the population."""
    given = fixed.get("qubit_frequency", traces.attrs.get("transition_frequency"))
    known = None if given is None else float(given)
    if decay is None:
        return {"qubit_frequency": known or 5e9, "rest_power": 0.0}
    share = fixed.get("detected_share", 1.0) or 1.0
    height = decay.contrast.real / (HBAR * TWO_PI * share * start["gamma_1_tot"])
    found = {"rest_power": decay.rest.real}
    if known is not None:
        found["qubit_frequency"] = known
        if "excited_population" not in traces:
            found["p_0"] = float(np.clip(start["p_eq"] + height / known, 1e-3, 0.999))
        return found
    drop = start["p_0"] - start["p_eq"]
    told = height / drop if drop else 0.0
    return found | {"qubit_frequency": told if 1e7 < told < 1e12 else 5e9}
