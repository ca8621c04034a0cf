"""One σ for all rungs of a ladder: χ² of different models can then be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log
from typing import Any

import numpy as np

from powercal.errors import PowercalError
from powercal.fitting.grid import choose_observables
from powercal.fitting.ladder_rungs import Rung, merged, model_of, name_of
from powercal.fitting.one_fit import fit
from powercal.result import FitResult
from powercal.schema import DeviceTraces


def common_weights(
    traces: DeviceTraces, rungs: Sequence[Rung], wishes: dict[str, Any]
) -> tuple[DeviceTraces, dict[str, Any], str]:
    """Give the data one σ, and one set of points where spikes are to be dropped.

    Returns
    -------
    tuple of DeviceTraces, dict, str
        The data with σ, the wishes that are left for every rung, and whose σ it is in words.
    """
    drop = bool(wishes.pop("drop_spikes", False))
    names, missing = _observables(traces, rungs, wishes)
    as_given = f"σ of {', '.join(names)} as given, for all rungs"
    if names and not missing and not drop:
        return traces, wishes, as_given
    found = _likeliest(traces, rungs, wishes, drop)
    if found is None:
        return traces, wishes, "each rung by its own σ: none converged that could give one for all"
    label, result = found
    words = f"σ of {', '.join(missing)} from the residuals of {label!r}, for all rungs"
    words = words if missing else as_given
    gone = sum(map(len, result.request.get("dropped", {}).values()))
    if gone:
        words += f"; {gone} point{'' if gone == 1 else 's'} left out as spikes of {label!r}"
    wishes = _settled(wishes, result)
    return _with_sigma(traces, result, missing), wishes, words


def _observables(
    traces: DeviceTraces, rungs: Sequence[Rung], wishes: Mapping[str, Any]
) -> tuple[tuple[str, ...], list[str]]:
    """Return what is fitted, and which of it has no σ."""
    given = dict(wishes.get("sigma") or {})
    for rung in rungs:
        try:
            model = model_of(rung)
            seen, names = choose_observables(traces, model, tuple(wishes.get("observables", ())))
        except PowercalError:
            continue
        return names, [n for n in names if f"{n}_std" not in seen and n not in given]
    return (), []


def _likeliest(
    traces: DeviceTraces, rungs: Sequence[Rung], wishes: Mapping[str, Any], drop: bool
) -> tuple[str, FitResult] | None:
    """Return the likeliest of the richest rungs, one of each model, that converged.

    The richest of all may be the wrong kind of model: its residuals are not the noise.
    """
    contained = {label for rung in rungs for label in rung.contains}
    best: tuple[float, str, FitResult] | None = None
    for name in dict.fromkeys(name_of(r) for r in reversed(rungs)):
        rung = next(r for r in reversed(rungs) if name_of(r) == name)
        if rung.label in contained:
            continue
        quick = {"intervals": "covariance", "robust": "none", "drop_spikes": drop}
        try:
            result = fit(traces, rung.model, **(merged(rung, wishes)[0] | quick))
        except PowercalError:
            continue
        unlikely = _unlikeliness(result)
        if result.verdicts["converged"] and (best is None or unlikely < best[0]):
            best = (unlikely, rung.label, result)
    return None if best is None else best[1:]


def _unlikeliness(result: FitResult) -> float:
    """−2 ln of the likelihood with the fit's own σ, and the BIC's price of its parameters."""
    total = result.chi2 + (result.ndata - result.nfree) * log(max(result.ndata, 2))
    for name in result.observables:
        sigma = result.curve[f"{name}_sigma"].values
        quadratures = 2 if np.iscomplexobj(result.curve[name].values) else 1
        total += 2 * quadratures * float(np.sum(np.log(sigma[np.isfinite(sigma)])))
    return total


def _settled(wishes: dict[str, Any], found: FitResult) -> dict[str, Any]:
    """Do not find the sign of the time factor again on every rung."""
    if wishes.get("convention", "find") == "find" and "convention" in found.options:
        return {**wishes, "convention": found.options["convention"]}
    return wishes


def _with_sigma(traces: DeviceTraces, found: FitResult, missing: Sequence[str]) -> DeviceTraces:
    """Return the data with σ as fitted; points that were dropped lose their datum."""
    fields = {}
    for name in found.observables:
        sigma = found.curve[f"{name}_sigma"]
        if name in missing:
            fields[f"{name}_std"] = (sigma.dims, sigma.values, dict(traces[name].attrs))
        if found.request.get("dropped", {}).get(name):
            kept = np.isfinite(sigma.transpose(*traces[name].dims).values)
            values = np.where(kept, traces[name].values, np.nan)
            fields[name] = (traces[name].dims, values, dict(traces[name].attrs))
    return DeviceTraces(traces.assign(fields))
