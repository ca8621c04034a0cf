"""Folders with small files to fit, their run files, and what a campaign left in them."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import xarray as xr

import powercal as pc
from powercal.loaders.hdf5 import save_traces

# Covariances instead of profiles: these tests are about files, not about fits.
RUN = """
sources = ["raw/*.h5"]
output = "results"

[model]
name = "power_balance"
intervals = "covariance"
"""


def trace(seed: int, points: int = 12) -> xr.Dataset:
    """A straight line, the model that is fitted quickest: Γ₁ = 10⁶ s⁻¹, n_th = 0.05."""
    return pc.simulate(
        "power_balance",
        {"gamma_1": 1e6, "n_th": 0.05},
        inputs={"excited_population": np.linspace(0.1, 0.4, points), "frequency": 5e9},
        noise={"absorbed_power": 1e-20},
        seed=seed,
    )


def repeats(seeds: tuple[int, ...], empty: int | None = None) -> xr.Dataset:
    """Several lines in one file; one of them may hold nothing."""
    traces = xr.concat(
        [trace(seed) for seed in seeds],
        dim="repeat",
        data_vars="all",
        coords="minimal",
        compat="equals",
        join="exact",
    )
    if empty is not None:
        traces["absorbed_power"][empty] = np.nan
    return traces


def make_folder(root: Path, files: int, run: str = RUN) -> Path:
    """Write so many files under ``raw`` and a run file beside it; return the run file."""
    (root / "raw").mkdir(parents=True)
    for seed in range(files):
        save_traces(root / "raw" / f"q{seed:04d}.h5", trace(seed))
    return write_run(root, run)


def write_run(root: Path, text: str = RUN) -> Path:
    path = root / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file in a folder, by its path in it."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def identities(folder: Path) -> dict[str, tuple[int, int]]:
    """What tells a record that was kept from one that was written again with the same bytes."""
    return {
        path.name: (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in (folder / "records").glob("*.json")
    }


def half_written(folder: Path) -> list[str]:
    """Names of temporary files."""
    return [p.name for p in folder.rglob("*") if re.search(r"\.(part|tmp)$|^\.lock", p.name)]
