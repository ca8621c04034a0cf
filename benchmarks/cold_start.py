"""One trace fitted from the command line, cold, beside importing what any such program imports."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

FIT = "from powercal.cli import main; main(prog_name='powercal')"
IMPORT = "import lmfit, xarray, h5py"
DRIVE_SCALE = 3e29  # rad² s⁻² W⁻¹


class Taken(NamedTuple):
    """Seconds of one process, on the clock and on the processor."""

    wall: float
    cpu: float


def write(path: Path) -> None:
    """Write one trace of 201 points with 1 % of noise."""
    import powercal as pc
    from powercal.loaders.hdf5 import save_traces

    truth = {"gamma_1": 3e6, "gamma_phi": 1e6, "qubit_frequency": 5e9, "drive_scale": DRIVE_SCALE}
    traces = pc.simulate(
        "single_channel",
        truth,
        inputs={"incident_power": 1e-16, "frequency": 5e9 + np.linspace(-8e6, 8e6, 201)},
        noise={"absorbed_power": 2e-20},
        observables=("absorbed_power",),
        seed=1,
        detection="absorbed",
    )
    save_traces(path, traces)


def asked(path: Path) -> list[str]:
    """Return what is asked of powercal."""
    return ["fit", str(path), "--model", "single_channel", "--fix", f"drive_scale={DRIVE_SCALE:g}"]


def run(code: str, *arguments: str) -> Taken:
    """Run code in a fresh interpreter of this environment."""
    before, start = os.times(), time.perf_counter()
    subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, check=True)
    wall, after = time.perf_counter() - start, os.times()
    cpu = after.children_user - before.children_user
    return Taken(wall, cpu + after.children_system - before.children_system)


def measure(repeat: int) -> tuple[Taken, Taken]:
    """Return medians of the fit and of the imports, run in turn so many times."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "one.h5")
        write(path)
        both = [(run(FIT, *asked(path)), run(IMPORT)) for _ in range(repeat + 1)]
    del both[0]  # it compiles to bytecode and fills the system's file cache
    return medians(fit for fit, _ in both), medians(imports for _, imports in both)


def medians(runs: Iterable[Taken]) -> Taken:
    return Taken(*(median(seconds) for seconds in zip(*runs, strict=True)))


def report(repeat: int = 7) -> int:
    """Measure and print both with their ratio."""
    fit, imports = measure(repeat)
    for what, taken in (("powercal fit, one trace of 201 points", fit), (IMPORT, imports)):
        print(f"{what:40s} {taken.wall:6.2f} s wall {taken.cpu:6.2f} s CPU")
    wall, cpu = fit.wall / imports.wall, fit.cpu / imports.cpu
    print(f"{'ratio of the medians':40s} {wall:6.2f}   wall {cpu:6.2f}   CPU")
    print(f"dask is {'' if find_spec('dask') else 'not '}installed (xarray imports it where it is)")
    return 0
