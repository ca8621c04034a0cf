"""``powercal sample``: the posterior of a stored fit."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import xarray as xr

import powercal as pc

from .conftest import Run

pytestmark = pytest.mark.skipif(find_spec("emcee") is None, reason="needs the extra mcmc")
QUICK = ("--walkers", "16", "--steps", "500", "--seed", "3")


@pytest.fixture(scope="module")
def report(line_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "r.h5"
    traces = pc.to_device_plane(pc.open_traces(line_file))
    pc.write_report(path, pc.fit(traces, "power_balance"))
    return path


def test_a_stored_fit_is_sampled_and_the_chain_written(
    run: Run, report: Path, tmp_path: Path
) -> None:
    chain = tmp_path / "chain.h5"
    left = run("sample", report, *QUICK, "-o", chain)
    assert left.code == 0, left.out + left.err
    assert "prior measure: flat in the logarithm of gamma_1" in left.out
    assert left.out.endswith(f"chain: {chain}\n")
    with xr.open_dataset(chain, engine="h5netcdf") as stored:
        assert stored["value"].sizes["walker"] == 16
        assert "n_th" in stored["quantity"].values
        assert stored.attrs["seed"] == 3


def test_the_json_is_the_same_for_the_same_seed(run: Run, report: Path) -> None:
    short = ("--walkers", "8", "--steps", "100", "--measure", "value", "--json")
    one, two = (run("sample", report, *short).out for _ in "ab")
    assert one == two
    assert '"measure": "value"' in one


def test_a_chain_that_has_not_converged_leaves_with_one(run: Run, report: Path) -> None:
    left = run("sample", report, "--walkers", "8", "--steps", "100")
    assert left.code == 1
    assert "not converged" in left.err


def test_the_chain_never_replaces_the_report(run: Run, report: Path) -> None:
    left = run("sample", report, "-o", report)
    assert left.code == 2
    assert "would replace the data" in left.err
