"""Intervals of one fit beside lmfit's ``conf_interval``: the same parameter, data and minimum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lmfit
import numpy as np

import powercal as pc
from benchmarks.timing import least_cpu_time
from powercal.fitting.again import rebuild
from powercal.fitting.ends import Profile
from powercal.fitting.identifiability import analyse
from powercal.fitting.intervals import Profiler
from powercal.physics.constants import HBAR
from powercal.registry import get_model
from powercal.schema import DeviceTraces

F0 = 5e9
TRUTH = {"qubit_frequency": F0, "gamma_1": 6e6, "gamma_phi": 1e6, "drive_scale": 3e29}
POINTS = 401
WATT = HBAR * 2 * np.pi * F0 * TRUTH["gamma_1"] / 2


def trace() -> DeviceTraces:
    """Return one trace of absorbed power at about the saturation power."""
    return DeviceTraces(
        pc.simulate(
            "single_channel",
            TRUTH,
            inputs={
                "incident_power": 8e-17,
                "frequency": F0 + 4e6 * np.linspace(-1.0, 1.0, POINTS),
            },
            seed=1,
            noise={"absorbed_power": 0.003 * WATT},
            observables=["absorbed_power"],
            detection="absorbed",
        )
    )


def profiled(result: Any, name: str) -> tuple[Callable[[], Profile], float]:
    """Return what profiles one parameter of a finished fit, and its standard error."""
    problem, x = rebuild(result)
    found = analyse(problem.jacobian(x))
    rest = problem.residual(x)
    index = [c.name for c in problem.coordinates].index(name)
    error = float(np.sqrt(found.covariance[index, index]))
    along = found.covariance[:, index] / found.covariance[index, index]

    def profile() -> Profile:
        return Profiler(problem, x, float(rest @ rest)).coordinate(index, error, along)

    return profile, error


def peer(traces: DeviceTraces, held: dict[str, float]) -> Any:
    """Return lmfit's own fit of the curve, in units of order one, as its users write it."""
    model = get_model("single_channel").configure(detection="absorbed")
    frequency = traces["frequency"].values
    defaults = {p.name: p.example for p in model.parameters} | held
    y, sigma = (traces[n].values / WATT for n in ("absorbed_power", "absorbed_power_std"))

    def curve(x: Any, gamma_1: float, gamma_phi: float, offset: float) -> Any:
        values = defaults | {
            "gamma_1": gamma_1 * 1e6,
            "gamma_phi": gamma_phi * 1e6,
            "qubit_frequency": F0 + offset * 1e6,
        }
        inputs = {"incident_power": np.full(x.shape, 8e-17), "frequency": x}
        return model.curve(*(inputs[n] for n in model.inputs), **values)[0] / WATT

    start = lmfit.create_params(
        gamma_1={"value": 5.0, "min": 0}, gamma_phi={"value": 0.8, "min": 0}, offset=0.1
    )
    weights = {"weights": 1 / sigma, "scale_covar": False}
    return lmfit.Model(curve).fit(y.ravel(), start, x=frequency, **weights)


def report() -> int:
    """Print times and ends; exit code 1 if the ends differ, 2 if too slow."""
    traces, held = trace(), {"drive_scale": TRUTH["drive_scale"]}
    result = pc.fit(traces, "single_channel", fixed=held)
    profile, error = profiled(result, "gamma_1")
    ours = least_cpu_time(profile, 15) * 1e3
    fitted = peer(traces, held)

    def conf_interval() -> Any:
        return lmfit.conf_interval(fitted, fitted, p_names=["gamma_1"], sigmas=[1, 1.959964])

    theirs = least_cpu_time(conf_interval, 5) * 1e3
    ends = [profile().interval(level)[i] for level, i in ((95, 0), (68, 0), (68, 1), (95, 1))]
    found = [v * 1e6 for _, v in conf_interval()["gamma_1"]]
    best = result["gamma_1"].value
    # lmfit measures Δχ² in units of the reduced χ² even where σ is known; ours does not.
    rescaled = best + (np.array(ends) - best) * np.sqrt(fitted.redchi)
    apart = np.max(np.abs(np.delete(found, 2) - rescaled)) / (error * best)
    print(f"one parameter of a fit of {POINTS} points, 68 % and 95 % ends, processor time")
    print(f"  powercal profile      {ours:8.2f} ms")
    print(f"  lmfit conf_interval   {theirs:8.2f} ms   ({theirs / ours:.1f} times as long)")
    print(
        f"  ends differ by at most {apart:.1e} standard errors once rescaled by the root of the "
        f"reduced χ² ({fitted.redchi:.3f}), which lmfit does though σ is given"
    )
    beside = _beside_a_bound()
    print(f"  Feldman–Cousins region of n_th at its bound {beside:8.2f} ms")
    if apart > 0.02:
        return 1
    return 0 if ours <= 10 and ours <= theirs / 3 and beside <= 50 else 2


def _beside_a_bound() -> float:
    truth = {**TRUTH, "n_th": 0.0}
    traces = pc.simulate(
        "finite_temperature",
        truth,
        inputs={
            "incident_power": 8e-17 * np.geomspace(0.05, 20.0, 5),
            "frequency": F0 + 2.7e6 * np.linspace(-1.0, 1.0, 41),
        },
        seed=2,
        noise={"absorbed_power": 0.01 * WATT, "excited_population": 0.01},
        observables=["absorbed_power", "excited_population"],
        detection="absorbed",
    )
    result = pc.fit(DeviceTraces(traces), "finite_temperature", intervals="covariance")
    return least_cpu_time(profiled(result, "n_th")[0], 7) * 1e3
