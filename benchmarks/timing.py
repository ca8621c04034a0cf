"""How benchmarks take time: on the processor for batches, on the clock for single calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np


def cpu_time(function: Callable[[], Any]) -> float:
    """Return the processor time of one call, in seconds."""
    start = time.process_time()
    function()
    return time.process_time() - start


def least_cpu_time(function: Callable[[], Any], repeats: int = 1, seconds: float = 0.0) -> float:
    """Return the least of so many calls or more, for so many seconds, after one that warms up."""
    function()
    taken: list[float] = []
    while len(taken) < repeats or sum(taken) < seconds:
        taken.append(max(cpu_time(function), 1e-6))  # a clock that stands still would never end
    return min(taken)


def median_time(function: Callable[[], Any], repeats: int = 21) -> float:
    """Return the median time of a call in seconds, after one call that warms up."""
    function()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


def scaled_time(
    function: Callable[[Any], Any], points: Iterable[Any], count: int
) -> tuple[list[Any], float]:
    """Return what a slow peer gives at a few points, and its time scaled to so many."""
    few = list(points)
    function(few[0])  # warms up
    start = time.perf_counter()
    found = [function(point) for point in few]
    return found, (time.perf_counter() - start) / len(few) * count
