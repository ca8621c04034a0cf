"""What runs on every change: too slow, wrong, or more memory for more traces, in seconds."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from benchmarks import memory
from benchmarks.batch import HEAD, SCENARIOS, Row, measure, text
from benchmarks.reference import tight_lmfit

# At about 40 % of what is measured; a busy machine costs ratios some tens of percent.
GATES = {"A": 60.0, "B": 35.0, "C": 15.0, "D": 25.0}
TRACES = {"A": 4000, "B": 4000, "C": 1000, "D": 3000}
COMPARED = 40
MOST_STDERR, MOST_RELATIVE, MOST_COVARIANCE = 1e-5, 1e-6, 1e-6
RIGHT, WRONG, SLOW = 0, 1, 2


def wrong(row: Row) -> list[str]:
    """Return in words what is wrong with a batch solver's row; NaN is wrong too."""
    limits = (
        ("parameters in standard errors", row.max_dtheta_stderr, MOST_STDERR),
        ("parameters, relative", row.max_dtheta_relative, MOST_RELATIVE),
        ("covariance", row.max_dcov, MOST_COVARIANCE),
    )
    found = [
        f"{what} off by {value:.1e}, more than {most:.0e}"
        for what, value, most in limits
        if not value <= most
    ]
    if row.failures:
        found.append(f"{row.failures} of {row.fits} fits failed")
    return found


def slow(row: Row) -> list[str]:
    """Return in words that a batch solver is below its gate."""
    gate = GATES[row.scenario]
    if row.ratio_to_lmfit >= gate:
        return []
    return [f"{row.ratio_to_lmfit:.0f} times lmfit, less than {gate:.0f}"]


def verdict(rows: Sequence[Row], grown: float) -> tuple[int, list[str]]:
    """Return the exit code and all complaints."""
    complaints = [f"{r.scenario}: {c}" for r in rows for c in wrong(r)]
    if not grown <= memory.LIMIT:
        complaints.append(
            f"{grown / 1e6:.0f} MB more for ten times as many traces, more than "
            f"{memory.LIMIT / 1e6:.0f} MB"
        )
    late = [f"{r.scenario}: {c}" for r in rows for c in slow(r)]
    code = WRONG if complaints else SLOW if late else RIGHT
    return code, complaints + late


def smoke() -> int:
    """Measure, print, and return the exit code: 1 for wrong, 2 for slow."""
    rows = []
    print(HEAD)
    for name in GATES:
        names = (SCENARIOS[name].base, "powercal numpy")
        found = measure(name, 3, TRACES[name], names, COMPARED, truth=tight_lmfit)
        print(*(text(r) for r in found), sep="\n", flush=True)
        rows += [r for r in found if r.engine.startswith("powercal")]
    told = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory"], capture_output=True, text=True, check=True
    )
    grown = float(told.stdout)
    print(f"{grown / 1e6:.1f} MB more for {memory.LARGE} traces than for {memory.SMALL}")
    code, complaints = verdict(rows, grown)
    print(*(complaints or ["all is well"]), sep="\n")
    return code
