"""What counts as a decay, and which parameter of a readout each of its numbers starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from powercal.models.batch_start import Stack
from powercal.models.driven import TWO_PI
from powercal.physics.constants import HBAR

Array = NDArray[Any]

# Noise alone must look like a decay in fewer than one trace in a thousand …
CHANCE = 1e-3
# … and a decay must stand out by this many standard errors: crosstalk between channels, drift and
# a first point spoilt by the pulse reach six of them in real files, and none is a relaxation.
CLEAR = 6.5
# One spoilt point at the start is no decay: without its delay most must be left.
CLEAR_WITHOUT_FIRST = 4.0


class Decay(NamedTuple):
    """The best exponential in a trace, or in every row of many, and what speaks for it.

    ``contrast`` is the signal at time zero less ``rest``, the signal long after the decay;
    ``clarity`` the contrast in standard errors, ``kept`` the clarity without the first delay;
    ``chance`` how often white noise does as well at any of the rates tried. All are NaN where
    there are too few points.
    """

    rate: Any
    rest: Any
    contrast: Any
    clarity: Any
    chance: Any
    kept: Any = np.inf

    def clear(self, tried: int = 1) -> Any:
        """Whether it is a decay rather than noise, if so many observables were tried."""
        strong = (self.clarity >= CLEAR) & (self.kept >= CLEAR_WITHOUT_FIRST)
        return strong & (self.chance * tried < CHANCE)


def named_starts(
    decays: Mapping[str, Decay], stack: Stack, rows: slice, readout: str, transition: float | None
) -> dict[str, Array]:
    """Name what was found; NaN for rows where no observable shows a decay.

    ``transition`` is the qubit's frequency in Hz where the traces tell it.
    """
    rate = np.stack([decay.rate for decay in decays.values()])
    clarity = np.stack([decay.clarity for decay in decays.values()])
    clear = np.any([decay.clear(len(decays)) for decay in decays.values()], axis=0)
    best = rate[np.argmax(clarity, axis=0), np.arange(rate.shape[1])]
    start = {"gamma_1_tot": np.where(clear & np.isfinite(rate).all(axis=0), best, np.nan)}
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
            known: Any = stack.held("qubit_frequency", rows)
            known = transition if known is None else known
            start |= _power(decays, start, known, stack.held("detected_share", rows))
    return start


def _populations(decay: Decay | None) -> dict[str, Any]:
    if decay is None:  # power alone tells their difference at best
        return {"p_0": 0.9, "p_eq": 0.05}
    return {
        "p_0": np.clip((decay.rest + decay.contrast).real, 1e-3, 0.999),
        "p_eq": np.clip(decay.rest.real, 1e-3, 0.49),
    }


def _power(
    decays: Mapping[str, Decay], start: dict[str, Any], known: Any, share: Any
) -> dict[str, Any]:
    """Choose what the height of the power tells: the energy of a photon, or the population.

    ``known`` is the qubit's frequency, ``share`` the detected share of the emission, or None.
    """
    if "emitted_power" not in decays:
        return {"qubit_frequency": 5e9 if known is None else known, "rest_power": 0.0}
    decay = decays["emitted_power"]
    share = 1.0 if share is None else np.where(share > 0, share, 1.0)
    height = decay.contrast.real / (HBAR * TWO_PI * share * start["gamma_1_tot"])
    found = {"rest_power": decay.rest.real}
    if known is not None:
        found["qubit_frequency"] = known
        if "excited_population" not in decays:
            found["p_0"] = np.clip(start["p_eq"] + height / known, 1e-3, 0.999)
        return found
    drop = start["p_0"] - start["p_eq"]
    told = height / np.where(drop == 0, np.inf, drop)
    return found | {"qubit_frequency": np.where((told > 1e7) & (told < 1e12), told, 5e9)}
