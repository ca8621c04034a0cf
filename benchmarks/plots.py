"""Two pictures: fits per second against traces, and time per fit against points."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import engines
from benchmarks.peers import PEERS
from benchmarks.scenarios import RECIPES, Scenario, make
from benchmarks.timing import least_cpu_time
from powercal.errors import FitError
from powercal.fitting.batch.solver import Plan

SOLVERS = ("numpy", "numba")
PEER_NAMES = ("lmfit Model.fit", "scipy leastsq")
POINTS = (51, 101, 201, 401, 801, 1601, 3201)
PEER_TRACES = 60
LEAST = 0.2  # seconds per point of a picture
MOST = 100_000
Curves = dict[str, tuple[list[int], list[float]]]


def solvers(scenario: Scenario) -> dict[str, Plan]:
    """Return the batch solvers that are installed."""
    found = {}
    for name in SOLVERS:
        try:
            plan = Plan(scenario.problem, name)
            engines.run(scenario.head(1), plan)
        except FitError:
            continue
        found[f"powercal {name}"] = plan
    return found


def against_traces(most: int) -> Curves:
    """Return fits per second for 1, 10, 100 ... traces of scenario A; for peers what they do."""
    scenario = make(RECIPES["A"], most)
    counts = [10**k for k in range(int(np.log10(most)) + 1)]
    curves: Curves = {}
    for name, plan in solvers(scenario).items():
        rates = []
        for count in counts:
            part = scenario if count == most else scenario.head(count)
            rates.append(
                count / least_cpu_time(lambda s=part, p=plan: engines.run(s, p), seconds=LEAST)
            )
        curves[name] = (counts, rates)
    for name in PEER_NAMES:
        fit = PEERS[name](scenario)
        rate = PEER_TRACES / least_cpu_time(lambda f=fit: f(PEER_TRACES), seconds=LEAST)
        curves[name] = ([counts[0], counts[-1]], [rate, rate])
    return curves


def against_points() -> Curves:
    """Return µs per fit of scenario A with more and more points."""
    curves: Curves = {}
    for points in POINTS:
        many = max(500, 800_000 // points)
        scenario = make(dataclasses.replace(RECIPES["A"], points=points), many)
        calls: dict[str, tuple[Callable[[], Any], int]] = {
            n: (lambda s=scenario, p=p: engines.run(s, p), many)
            for n, p in solvers(scenario).items()
        }
        for name in PEER_NAMES:
            peer = PEERS[name](scenario)
            calls[name] = (lambda f=peer: f(PEER_TRACES), PEER_TRACES)
        for name, (call, fits) in calls.items():
            at, cost = curves.setdefault(name, ([], []))
            at.append(points)
            cost.append(least_cpu_time(call, seconds=LEAST) / fits * 1e6)
    return curves


def draw(path: Path, most: int = MOST) -> dict[str, Curves]:
    """Measure, draw both pictures into one file, and return what they show."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = {"fits_per_s": against_traces(most), "us_per_fit": against_points()}
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    labels = (
        ("traces in one call", "fits per second and core", "scenario A, 201 points"),
        ("points of a trace", "µs per fit", "scenario A, many traces in one call"),
    )
    for axis, curves, (x, y, title) in zip(axes, shown.values(), labels, strict=True):
        for name, (at, value) in curves.items():
            marker = "o" if name.startswith("powercal") or len(at) > 2 else ""
            axis.loglog(at, value, marker=marker, label=name)
        axis.set(xlabel=x, ylabel=y, title=title)
        axis.grid(True, which="major", alpha=0.3)
        axis.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return shown
