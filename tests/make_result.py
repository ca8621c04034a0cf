"""A fit result made by hand or at random, for tests of what happens to it after the fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from hypothesis import strategies as st

from powercal.result import BudgetRow, Check, Estimate, FitResult, Flag, OtherMinimum, Shift

words = st.text(max_size=12)  # all of Unicode, with NUL and half surrogates
numbers = st.floats()
intervals = st.none() | st.tuples(numbers, numbers)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | numbers | words,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(words, inner, max_size=3)
    ),
    max_leaves=8,
)
estimates = st.lists(
    st.builds(
        Estimate,
        name=words,
        unit=words,
        meaning=words,
        status=st.sampled_from(["ok", "upper_limit", "undetermined"]),
        value=st.none() | numbers,
        stderr=st.none() | numbers,
        interval68=intervals,
        interval95=intervals,
        allowed=intervals,
        reason=words,
        prior=intervals,
    ),
    max_size=3,
).map(tuple)
# What make_result takes: a random result, with everything that floats and Unicode offer.
changes = st.fixed_dictionaries(
    {
        "model": words,
        "covariance": st.lists(numbers, min_size=4, max_size=4).map(
            lambda items: np.array(items).reshape(2, 2)
        ),
        "options": st.dictionaries(words, words, max_size=3),
        "parameters": estimates,
        "derived": estimates,
        "chi2": numbers,
        "weights": words,
        "flags": st.lists(st.builds(Flag, name=words, sentence=words), max_size=3).map(tuple),
        "checks": st.lists(
            st.builds(
                Check,
                name=words,
                value=numbers,
                limit=numbers,
                verdict=st.just("holds"),
                effect=words,
            ),
            max_size=3,
        ).map(tuple),
        "systematics": st.lists(
            st.builds(
                Shift,
                name=words,
                chosen=words,
                alternative=words,
                shifts=st.dictionaries(words, numbers, max_size=3),
            ),
            max_size=3,
        ).map(tuple),
        "budget": st.lists(
            st.builds(
                BudgetRow,
                source=words,
                kind=st.just("systematic"),
                contributions=st.dictionaries(words, numbers, max_size=3),
                switched_off=st.dictionaries(words, numbers, max_size=3),
            ),
            max_size=3,
        ).map(tuple),
        "minima": st.lists(
            st.builds(
                OtherMinimum,
                chi2=numbers,
                values=st.dictionaries(words, numbers, max_size=3),
                starts=st.integers(0, 100),
            ),
            max_size=2,
        ).map(tuple),
        "nearly_degenerate": st.lists(words, max_size=2).map(tuple),
        "goodness": st.dictionaries(words, numbers, max_size=3),
        "values": st.dictionaries(words, numbers, max_size=4),
        "request": st.dictionaries(words, plain, max_size=4),
    }
)


def make_traces() -> xr.Dataset:
    """Twelve points of absorbed power, one of them missing."""
    power = np.geomspace(1e-17, 1e-15, 4)
    absorbed = np.linspace(1e-18, 5e-17, 12).reshape(4, 3)
    absorbed[1, 2] = np.nan
    return xr.Dataset(
        {
            "absorbed_power": (("power", "frequency"), absorbed, {"units": "W"}),
            "absorbed_power_std": (("power", "frequency"), np.full((4, 3), 1e-18), {"units": "W"}),
        },
        {
            "incident_power": ("power", power, {"units": "W"}),
            "frequency": ("frequency", [6.54e9, 6.545e9, 6.55e9], {"units": "Hz"}),
        },
        {
            "plane": "device",
            "detection": "absorbed",
            "transition_frequency": 6.545e9,
            "flags": "[]",
        },
    )


def make_curve(traces: xr.Dataset) -> xr.Dataset:
    """The best-fit curve beside the traces."""
    dims = traces["absorbed_power"].dims
    return xr.Dataset(
        {
            "absorbed_power": (dims, np.linspace(1.1e-18, 5.1e-17, 12).reshape(4, 3)),
            "absorbed_power_sigma": (dims, np.full((4, 3), 1.5e-18)),
        },
        traces.coords,
    ).assign_attrs(title="best fit")


def make_complex_traces() -> xr.Dataset:
    """Five points of a complex reflection over an axis without values."""
    reflection = np.exp(1j * np.linspace(0, 3, 5))
    reflection[3] = complex(np.nan, np.inf)
    return xr.Dataset({"reflection": ("trace", reflection, {"units": "1"})})


def make_estimates() -> tuple[Estimate, ...]:
    """One parameter of every status."""
    return (
        Estimate(
            name="gamma_1",
            unit="s-1",
            meaning="energy relaxation rate",
            status="ok",
            value=1.127e7,
            stderr=5e4,
            interval68=(1.122e7, 1.132e7),
            interval95=(1.117e7, 1.137e7),
            prior=(1e7, 2e6),
        ),
        Estimate(
            name="transition_frequency",
            unit="Hz",
            meaning="transition frequency",
            status="ok",
            value=6.5448851e9,
            stderr=120.0,
        ),
        Estimate(
            name="n_th",
            unit="1",
            meaning="bath occupation",
            status="undetermined",
            allowed=(0.0, 0.06),
            reason="only k/(1 + 2 n_th) acts on these data",
        ),
        Estimate(
            name="drive_scale",
            unit="rad2 s-2 W-1",
            meaning="Ω² over power",
            status="undetermined",
            allowed=(-np.inf, np.inf),
        ),
        Estimate(
            name="gamma_i",
            unit="s-1",
            meaning="internal loss",
            status="upper_limit",
            interval95=(0.0, 12345.0),
            reason="the 95 % interval reaches zero",
        ),
        Estimate(name="gamma_phi", unit="s-1", meaning="pure dephasing", status="fixed", value=0.0),
        Estimate(name="gain_db", unit="dB", meaning="gain", status="at_bound", value=40.0),
        Estimate(name="offset", unit="W", meaning="offset", status="no_error", value=2.5e-18),
    )


def make_result(**changes: Any) -> FitResult:
    """A result that has something in every field."""
    traces = make_traces()
    fields: dict[str, Any] = {
        "model": "finite_temperature",
        "model_version": "1",
        "distribution": "powercal 0.1.0",
        "options": {"detection": "absorbed", "convention": "plain"},
        "observables": ("absorbed_power",),
        "parameters": make_estimates(),
        "derived": (
            Estimate(
                name="T1", unit="s", meaning="1/Γ₁", status="ok", value=8.873e-8, stderr=3.9e-10
            ),
        ),
        "names": ("gamma_1", "transition_frequency"),
        "covariance": np.array([[2.5e9, 0.1], [0.1, 1.44e4]]),
        "chi2": 9.7,
        "chi2_spread": 4.2,
        "ndata": 11,
        "nfree": 9,
        "verdicts": {"converged": True, "adequate": True, "identifiable": False},
        "weights": "σ from the data (absorbed_power_std)",
        "flags": (Flag(name="degenerate", sentence="n_th and drive_scale are degenerate."),),
        "checks": (
            Check(name="steady_state", value=0.01, limit=0.1, verdict="holds", effect="Γ₁ ± 0.1 %"),
            Check(
                name="bath", value=float("nan"), limit=float("inf"), verdict="unknown", effect=""
            ),
        ),
        "systematics": (
            Shift(name="energy", chosen="drive", alternative="qubit", shifts={"gamma_1": -1.2e4}),
            Shift(name="line", chosen="a", alternative="b", shifts={"T1": 1e-10, "elsewhere": 2.0}),
        ),
        "combinations": ("drive_scale/(1 + 2 n_th) = 3.1(2) × 10³²",),
        "remedies": ("fixed={'n_th': 0.01}", "priors={'gamma_phi': (2e4, 5e3)}"),
        "values": {"n_th": 0.03, "gamma_1": 1.127e7, "drive_scale": 3.3e32},
        "request": {"seed": 1, "fixed": {"gamma_phi": 0.0}, "per": ("power", ["a", None, True])},
        "source": {"path": "q3.h5", "sha256": "ab" * 32, "loader": "hdf5"},
        "version": "0.1.0",
        "traces": traces,
        "curve": make_curve(traces),
    }
    return FitResult(**(fields | changes))
