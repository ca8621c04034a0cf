"""One measurement at several temperatures: n_th follows the bath, all else stays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from powercal.contracts import Model, Parameter
from powercal.errors import FitError
from powercal.fitting.joint import fit_jointly
from powercal.fitting.joint_names import Opened, Part, open_part
from powercal.fitting.joint_result import JointResult
from powercal.fitting.joint_ties import Tie
from powercal.physics.constants import BOLTZMANN, HBAR
from powercal.result import Flag
from powercal.schema import DeviceTraces

EXCESS_TEMPERATURE = Parameter(
    name="excess_temperature",
    unit="K",
    meaning="how much hotter the bath is than the thermometer, T₀ in n_th = Bose(ω_q, T + T₀)",
    example=0.01,
    min=0.0,
)
EXCESS_OCCUPATION = Parameter(
    name="excess_occupation",
    unit="1",
    meaning="occupation beyond that of the thermometer, n₀ in n_th = n_B(T) + n₀",
    example=0.01,
    min=0.0,
)
GAMMA_1 = Parameter(
    name="gamma_1",
    unit="s-1",
    meaning="bare relaxation rate, the same at all temperatures",
    example=1e6,
    min=1.0,
    max=1e13,
    scale="log",
)
_EXCESS = {"temperature": EXCESS_TEMPERATURE, "occupation": EXCESS_OCCUPATION}
# What a readout adds to a decay is its own business at each temperature.
_OF_READOUT = (
    "p_0",
    "offset",
    "contrast",
    "offset_i",
    "offset_q",
    "contrast_i",
    "contrast_q",
    "rest_power",
)


def occupation(transition_frequency: Any, temperature: Any) -> Any:
    """Bose occupation at a frequency (Hz) and a temperature (K), of complex numbers too."""
    ratio = HBAR * 2 * np.pi * transition_frequency / (BOLTZMANN * temperature)
    return np.exp(-ratio) / -np.expm1(-ratio)


def fit_temperature_series(
    traces: Mapping[float, DeviceTraces],
    model: str | Model,
    *,
    excess: str,
    qubit_frequency: float | None = None,
    free: Iterable[str] = (),
    fixed: Mapping[str, float] | None = None,
    per: Mapping[str, str] | None = None,
    observables: Iterable[str] = (),
    sigma: Mapping[str, float] | None = None,
    own: Iterable[str] = (),
    priors: Mapping[str, tuple[float, float]] | None = None,
    start: Mapping[str, float] | None = None,
    intervals: str = "profile",
    **options: str,
) -> JointResult:
    """Fit the same measurement at several temperatures of one bosonic bath.

    Parameters
    ----------
    traces : mapping of DeviceTraces
        Temperature of the thermometer (K, > 0) → what was measured there.
    model : str or Model
        One with ``n_th`` (a driven qubit, a line) or with ``gamma_1_tot`` (a decay).
    excess : {"temperature", "occupation"}
        How the bath differs from the thermometer: n_th = Bose(ω_q, T + T₀) with the free number
        ``excess_temperature``, or n_th = n_B(T) + n₀ with ``excess_occupation``.
    qubit_frequency : float, optional
        Hz, where neither the model nor the traces (``transition_frequency``) say it.
    free, fixed, per, observables, sigma
        As for :func:`powercal.fit`, for every temperature.
    own : iterable of str
        Numbers that differ from temperature to temperature (``"qubit_frequency"``).
    priors, start, intervals
        As for :func:`fit_jointly`.
    **options : str
        Options of the model.

    Returns
    -------
    JointResult
        Parts are named ``30mK``; their ``n_th`` is ``30mK.n_th``. What is taken for constant is
        told in a flag.

    Raises
    ------
    FitError
        Fewer than two temperatures, one that is not positive, or a model whose n_th cannot follow.

    Notes
    -----
    Supplement B: a series of absorbed powers determines all, even the gain; a series of
    relaxation rates Γ₁ and n₀. Both rest on Γ₁, Γφ and the drive scale being constant, and on a
    bath of bosons: with two-level defects T1 would not depend on temperature (supplement C2).
    """
    _check(traces, excess)
    parts = {
        label(t): Part(
            data,
            model,
            free=tuple(free),
            fixed=dict(fixed or {}),
            per=dict(per or {}),
            observables=tuple(observables),
            sigma=dict(sigma or {}),
            options=options,
        )
        for t, data in traces.items()
    }
    first = open_part(*next(iter(parts.items())))
    law = _law({label(t): float(t) for t in traces}, excess, first, parts, qubit_frequency)
    ties, new = _ties(first, law)
    readout = tuple(n for n in _OF_READOUT if n in first.rows and "gamma_1_tot" in first.rows)
    result = fit_jointly(
        parts,
        priors=priors,
        own=tuple(dict.fromkeys((*own, *readout))),
        parameters=(*new, _EXCESS[excess]),
        ties=ties,
        start=start,
        intervals=intervals,
    )
    return _with_assumptions(result, excess)


def label(temperature: float) -> str:
    """Name a temperature (K), for example ``30mK``."""
    return f"{1e3 * temperature:g}mK"


def _check(traces: Mapping[float, DeviceTraces], excess: str) -> None:
    if excess not in _EXCESS:
        raise FitError(
            f"excess is {excess!r}; say how the bath differs from the thermometer: 'temperature' "
            f"(n_th = Bose(ω_q, T + T₀)) or 'occupation' (n_th = n_B(T) + n₀)"
        )
    if len(traces) < 2:
        raise FitError(
            f"{len(traces)} temperature is no series; give two or more, or use fit for one"
        )
    for t in traces:
        if not (np.isfinite(t) and t > 0):
            raise FitError(f"the temperature {t!r} is not positive; give it in kelvin")
    if len({label(t) for t in traces}) < len(traces):
        raise FitError("two temperatures agree in six digits; give each temperature once")


def _law(
    kelvin: Mapping[str, float],
    excess: str,
    first: Opened,
    parts: Mapping[str, Part],
    qubit_frequency: float | None,
) -> Tie:
    """Return n_th of a part as a tie."""
    has = "qubit_frequency" in first.rows
    told = {
        n: p.traces.attrs.get("transition_frequency", qubit_frequency) for n, p in parts.items()
    }
    stated = {n: float(f) for n, f in told.items() if f is not None}
    lost = [n for n in parts if n not in stated]
    if not has and lost:
        raise FitError(
            f"nothing says the transition frequency at {lost[0]}; give qubit_frequency=... in Hz"
        )

    def law(values: Mapping[str, Any], part: str) -> Any:
        hertz = values["qubit_frequency"] if has else stated[part]
        if excess == "temperature":
            return occupation(hertz, kelvin[part] + values["excess_temperature"])
        return occupation(hertz, kelvin[part]) + values["excess_occupation"]

    return law


def _ties(first: Opened, law: Tie) -> tuple[dict[str, Tie], tuple[Parameter, ...]]:
    if "n_th" in first.rows:
        return {"n_th": law}, ()
    if "gamma_1_tot" not in first.rows:
        raise FitError(
            f"model {first.model.name!r} has neither n_th nor gamma_1_tot; tie what depends on "
            f"temperature yourself with fit_jointly(..., ties=...)"
        )

    def total(values: Mapping[str, Any], part: str) -> Any:
        return values["gamma_1"] * (1 + 2 * law(values, part))

    def equilibrium(values: Mapping[str, Any], part: str) -> Any:
        n = law(values, part)
        return n / (1 + 2 * n)

    ties: dict[str, Tie] = {"gamma_1_tot": total}
    if "p_eq" in first.rows:
        ties["p_eq"] = equilibrium
    return ties, (GAMMA_1,)


def _with_assumptions(result: JointResult, excess: str) -> JointResult:
    constant = [
        e.name
        for e in result.parameters
        if "." not in e.name and not e.name.endswith("_db") and not e.name.startswith("excess_")
    ]
    how = "n_th = Bose(ω_q, T + T₀)" if excess == "temperature" else "n_th = n_B(T) + n₀"
    flag = Flag(
        name="temperature_series",
        sentence=f"assumed: {how} as for a bath of bosons (with two-level defects T1 would not "
        f"depend on temperature), and the same at all temperatures: {', '.join(constant)}",
    )
    return replace(result, flags=(flag, *result.flags))
