"""From a file of many traces to a file of results: time and memory of 10⁴, 10⁵, 10⁶ fits.

Every row is fitted in a process of its own, so that what it holds is its own. The traces lie in the
file as powercal writes them, but not compressed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import powercal as pc
from benchmarks.memory import peak, resident
from benchmarks.scenarios import log_uniform, make_gaps

LEAST, MOST, POINTS = 10_000, 1_000_000, 201
BLOCK = 10_000
SEED = 1
MODEL, FREE = "single_channel", 3
CARRIER, SPAN = 5e9, 16e6  # Hz
POWER, DRIVE_SCALE = 1e-16, 3e29  # W, rad² s⁻² W⁻¹
NOISE, GAPS = 0.01, (0.1, 0.03)
HEAD = (
    f"{'traces':>8s} {'solver':7s} {'wall s':>7s} {'CPU s':>7s} {'µs each':>8s} {'marginal':>8s} "
    f"{'memory MB':>9s}  outcomes"
)


@dataclass(frozen=True)
class Row:
    """One file fitted: seconds, bytes above the process before the fits, fits by outcome."""

    traces: int
    solver: str
    wall: float
    cpu: float
    memory: float
    outcomes: dict[str, int]


# ---- the files ----


def write(path: Path, traces: int) -> None:
    """Write so many traces, block by block; the first ones are the same in every file."""
    import h5py
    import xarray as xr

    from powercal.loaders.hdf5 import MARK, dataset_to_group

    frequency = CARRIER + SPAN * np.linspace(-0.5, 0.5, POINTS)
    frame = xr.Dataset(
        {"absorbed_power_std": ("trace", np.zeros(traces), {"units": "W"})},
        {
            "frequency": ("frequency", frequency, {"units": "Hz"}),
            "incident_power": ((), POWER, {"units": "W"}),
        },
        {"plane": "device", "detection": "absorbed"},
    )
    with h5py.File(path, "w", libver=("v108", "v108"), track_order=True) as file:
        file.attrs[MARK] = 1
        dataset_to_group(file, frame)
        power = file.create_dataset("absorbed_power", (traces, POINTS), "f8")
        power.attrs["units"] = "W"
        for axis, name in enumerate(("trace", "frequency")):
            power.dims[axis].attach_scale(file[name])
        for first in range(0, traces, BLOCK):
            rows = slice(first, min(first + BLOCK, traces))
            y, sigma = block(frequency, first // BLOCK)
            power[rows] = y[: rows.stop - first]
            file["absorbed_power_std"][rows] = sigma[: rows.stop - first]


def block(frequency: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a block of lines with noise and gaps, and the noise of each line."""
    rng = np.random.default_rng([SEED, number])
    gamma_1 = 2 * np.pi * log_uniform(rng, (2e5, 2e6), BLOCK)
    truth = {
        "gamma_1": gamma_1,
        "gamma_phi": gamma_1 * rng.uniform(0.05, 1.0, BLOCK),
        "qubit_frequency": CARRIER + rng.uniform(-2e6, 2e6, BLOCK),
    }
    named: dict[str, Any] = {n: v[:, None] for n, v in truth.items()}
    model = pc.get_model(MODEL).configure(detection="absorbed")
    curves = model.curve(POWER, frequency[None], **named, drive_scale=DRIVE_SCALE)
    y = curves[model.observables.index("absorbed_power")]
    sigma = NOISE * y.max(axis=1)
    y = y + sigma[:, None] * rng.standard_normal(y.shape)
    make_gaps(rng, y, GAPS)
    return y, sigma


# ---- in a process of its own ----


def fit(source: str, solver: str, output: str) -> dict[str, Any]:
    """Fit a file from here to a file of results; return its row."""
    from powercal.fitting.batch.descent import OUTCOMES

    wall, cpu = time.perf_counter(), time.process_time()
    traces = pc.to_device_plane(pc.open_large(source))
    before = resident()  # with xarray and h5py, and nothing read
    found = pc.fit_many(
        traces,
        MODEL,
        over=("trace",),
        fixed={"drive_scale": DRIVE_SCALE},
        solver=solver,
        output=output,
    )
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    memory = peak() - before  # before the outcomes of all are read for the table
    codes, counts = np.unique(found["outcome"].values, return_counts=True)
    outcomes = {OUTCOMES[int(c)]: int(n) for c, n in zip(codes, counts, strict=True)}
    return asdict(Row(found.sizes["trace"], solver, wall, cpu, memory, outcomes))


def memory_of_numba() -> float:
    """Return how many bytes ``import numba`` adds to a process that is ready to fit without it."""
    import scipy.linalg  # noqa: F401
    import xarray  # noqa: F401

    import powercal.fitting.many  # noqa: F401

    before = resident()
    import numba  # noqa: F401

    return resident() - before


# ---- all of them ----


def apart(*arguments: str) -> Any:
    """Run this file's own commands in a fresh process; return what it tells."""
    command = [sys.executable, "-m", "benchmarks.million", *arguments]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def sizes(most: int) -> list[int]:
    """Return 10⁴, 10⁵ ... and the largest number asked for."""
    found, size = [], LEAST
    while size < most:
        found.append(size)
        size *= 10
    return [*found, most]


def text(row: Row, before: Row | None) -> str:
    """Return one line of the table."""
    marginal = ""
    if before is not None:
        marginal = f"{(row.wall - before.wall) / (row.traces - before.traces) * 1e6:.2f}"
    outcomes = ", ".join(f"{n} {word}" for word, n in row.outcomes.items())
    return (
        f"{row.traces:8d} {row.solver:7s} {row.wall:7.2f} {row.cpu:7.2f} "
        f"{row.wall / row.traces * 1e6:8.2f} {marginal:>8s} {row.memory / 1e6:9.0f}  {outcomes}"
    )


def rows(folder: Path, solver: str, counts: list[int]) -> Iterator[Row]:
    for traces in counts:
        source, output = folder / f"traces_{traces}.h5", folder / "fits.h5"
        yield Row(**apart("fit", str(source), solver, str(output)))


def measure(folder: Path, most: int) -> None:
    """Write the files, fit them with every solver that is installed, and print."""
    counts, solvers = sizes(most), ["numpy"]
    for traces in counts:
        write(folder / f"traces_{traces}.h5", traces)
    print(f"{MODEL}, {POINTS} points, {FREE} free parameters with all that derives from them")
    print("memory: the peak above the opened, unread file, what the fits import included")
    if find_spec("numba"):
        solvers.append("numba")
        first = next(rows(folder, "numba", counts[:1]))
        print(
            f"numba: its cache was warmed by a run before that is no row ({first.wall:.1f} s for "
            f"{first.traces} traces); import numba alone adds {apart('numba') / 1e6:.0f} MB"
        )
    print(HEAD)
    for solver in solvers:
        before = None
        for row in rows(folder, solver, counts):
            print(text(row, before), flush=True)
            before = row


def report(most: int = MOST, folder: Path | None = None) -> int:
    """Measure in a folder that is kept, or in one that is removed."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        measure(folder, most)
        return 0
    with tempfile.TemporaryDirectory() as name:
        measure(Path(name), most)
    return 0


if __name__ == "__main__":
    COMMANDS: dict[str, Any] = {"fit": fit, "numba": memory_of_numba}
    print(json.dumps(COMMANDS[sys.argv[1]](*sys.argv[2:])))
