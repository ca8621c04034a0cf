"""Run the command line in this process, on small simulated files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import powercal as pc
from powercal.cli import main
from powercal.loaders.hdf5 import save_traces


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str | Path) -> Outcome:
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        assert isinstance(left.value.code, int)
        return Outcome(left.value.code, said.out, said.err)

    return call


def balance(seed: int) -> xr.Dataset:
    """Return a straight line, the model that is fitted quickest: Γ₁ = 10⁶ s⁻¹, n_th = 0.05."""
    return pc.simulate(
        "power_balance",
        {"gamma_1": 1e6, "n_th": 0.05},
        inputs={"excited_population": np.linspace(0.1, 0.4, 12), "frequency": 5e9},
        noise={"absorbed_power": 1e-20},
        seed=seed,
    )


@pytest.fixture(scope="session")
def line_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One straight line."""
    path = tmp_path_factory.mktemp("cli") / "line.h5"
    save_traces(path, balance(1))
    return path


@pytest.fixture(scope="session")
def repeats_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three repeats of it, of which the middle one holds nothing."""
    traces = xr.concat(
        [balance(seed) for seed in (1, 2, 3)],
        dim="repeat",
        data_vars="all",
        coords="minimal",
        compat="equals",
        join="exact",
    )
    traces["absorbed_power"][1] = np.nan
    path = tmp_path_factory.mktemp("cli") / "repeats.h5"
    save_traces(path, traces)
    return path


@pytest.fixture(scope="session")
def spectrum_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trace against frequency, for selections: nothing in it needs to be fitted well."""
    path = tmp_path_factory.mktemp("cli") / "spectrum.h5"
    traces = pc.simulate(
        "single_channel",
        {"qubit_frequency": 5e9, "gamma_1": 1e6, "gamma_phi": 1e5, "drive_scale": 1e30},
        inputs={
            "incident_power": np.geomspace(1e-18, 1e-15, 4),
            "frequency": np.linspace(4.999e9, 5.001e9, 21),
        },
        noise={"absorbed_power": 1e-20},
        observables=("absorbed_power",),
        detection="absorbed",
        seed=1,
    )
    save_traces(path, traces)
    return path
