"""Whether a batch ten times as long takes more memory: run as a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scenarios import RECIPES, make
from powercal.fitting.batch.solver import Plan, solve

SMALL, LARGE = 10_000, 100_000
LIMIT = 32e6  # bytes, whatever the number of traces


def peak() -> float:
    """Return the most memory that this process has held, in bytes."""
    return _told("VmHWM")


def resident() -> float:
    """Return the memory that this process holds, in bytes; its peak where only that is told."""
    return _told("VmRSS")


def _told(word: str) -> float:
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage says may be the parent's
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith(word):
                return float(line.split()[1]) * 1024
    import resource  # not on every system

    size = float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return size if sys.platform == "darwin" else size * 1024


def growth(solver: str = "numpy", small: int = SMALL, large: int = LARGE) -> float:
    """Return how much more the long batch takes than the short one, results apart."""
    few = make(RECIPES["A"], small).problem
    problem = few.take(np.arange(large) % small)
    taken = []
    for part in (few, problem):
        found = solve(part, Plan(part, solver)).found
        arrays: dict[str, Any] = vars(found)
        taken.append(peak() - sum(v.nbytes for v in arrays.values()))
        del found, arrays
    return max(taken[1] - taken[0], 0.0)


if __name__ == "__main__":
    print(growth(*sys.argv[1:2]))
