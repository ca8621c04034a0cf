"""The command ``ladder`` on simulated data and on a real qubit; what ``fit`` says of spikes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import powercal as pc
from powercal.loaders.hdf5 import save_traces

from .conftest import Run

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "waveguide_qubit"
TRUTH = {
    "qubit_frequency": 5e9,
    "gamma_1": 3e6,
    "gamma_phi": 4e5,
    "n_th": 0.05,
    "drive_scale": 2e29,
}
RUNGS = (
    "--rung",
    "cold=finite_temperature,n_th=0,gamma_phi=4e5,qubit_frequency=5GHz",
    "--rung",
    "warm=finite_temperature,gamma_phi=4e5,qubit_frequency=5GHz",
    "--intervals",
    "covariance",
)


@pytest.fixture(scope="module")
def sweep_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Absorbed power with one point that is wrong."""
    path = tmp_path_factory.mktemp("ladder") / "sweep.h5"
    traces = pc.simulate(
        "finite_temperature",
        TRUTH,
        inputs={
            "incident_power": np.geomspace(5e-18, 2e-15, 5),
            "frequency": np.linspace(4.998e9, 5.002e9, 25),
        },
        noise={"absorbed_power": 8e-20},
        observables=("absorbed_power",),
        detection="absorbed",
        seed=4,
    )
    traces["absorbed_power"][2, 7] += 4e-18
    save_traces(path, traces)
    return path


def test_a_table_with_a_verdict_is_printed(run: Run, sweep_file: Path) -> None:
    found = run("ladder", sweep_file, *RUNGS, "--drop-spikes")
    assert found.code == 0
    assert "\nverdict: 'warm' is wanted (Δχ² = " in found.out
    assert "1 point left out as spikes of 'warm'" in found.out


def test_json_holds_every_rung_and_the_verdict(run: Run, sweep_file: Path) -> None:
    found = run("ladder", sweep_file, *RUNGS, "--json")
    data = found.json
    assert [rung["label"] for rung in data["rungs"]] == ["cold", "warm"]
    cold, warm = data["rungs"]
    assert warm["against"] == "cold"
    assert warm["gain"] == pytest.approx(cold["chi2"] - warm["chi2"])
    assert warm["mixture"] == [0.5, 0.5]
    assert warm["result"]["parameters"]["gamma_1"]["status"] == "ok"
    assert data["verdict"] in found.err


def test_what_a_rung_holds_may_be_written_with_a_unit(run: Run, sweep_file: Path) -> None:
    cold = run("ladder", sweep_file, *RUNGS, "--json").json["rungs"][0]
    held = cold["result"]["parameters"]["qubit_frequency"]
    assert (held["status"], held["value"]) == ("fixed", 5e9)


@pytest.mark.parametrize(
    ("rung", "sentence"),
    [
        ("cold", "is not of the form of 'cold=finite_temperature,n_th=0'; write it so."),
        ("cold=finite_temperature,n_th", "neither frees (+NAME) nor holds (NAME=VALUE)"),
    ],
)
def test_a_rung_that_cannot_be_read_is_refused(
    run: Run, sweep_file: Path, rung: str, sentence: str
) -> None:
    found = run("ladder", sweep_file, "--rung", rung)
    assert found.code == 2
    assert sentence in " ".join(found.err.split())


def test_one_rung_is_no_ladder(run: Run, sweep_file: Path) -> None:
    found = run("ladder", sweep_file, "--rung", "cold=single_channel")
    assert found.code == 3
    assert "a ladder has 1 rungs; give at least two models to compare" in found.err


def test_fit_tells_of_spikes_and_drops_them_when_asked(run: Run, sweep_file: Path) -> None:
    wishes = ("--model", "single_channel", "--intervals", "covariance", "--json")
    told = run("fit", sweep_file, *wishes, "--robust", "soft_l1").json
    assert told["goodness"]["spikes"] == 1
    assert "robust" in {shift["name"] for shift in told["systematics"]}
    dropped = run("fit", sweep_file, *wishes, "--drop-spikes").json
    assert dropped["ndata"] == told["ndata"] - 1
    assert "dropped_spikes" in {flag["name"] for flag in dropped["flags"]}


@pytest.mark.skipif(
    not DATA.is_dir(),
    reason="the measured files are not here: they may not be shipped (../shared/data/README.md)",
)
def test_on_a_real_qubit_the_weight_is_wanted_and_heat_and_dephasing_cannot_be_told(
    run: Run,
) -> None:
    source = (DATA / "sweep_77.hdf5", "--reference", DATA / "background_76.hdf5")
    middle = ("--select", "frequency=6.5425GHz..6.5475GHz")  # six half widths: quicker
    rungs = (
        *("--rung", "one channel=reflection"),
        *("--rung", "weight=reflection,+manifold_weight"),
        *("--rung", "warm=reflection,+manifold_weight,+n_th,+gamma_phi"),
    )
    quick = ("--convention", "+i", "--intervals", "covariance", "--json")
    data = run("ladder", *source, *middle, *rungs, *quick).json
    _, weight, warm = data["rungs"]
    assert "'weight' is wanted" in data["verdict"]
    # The weight cannot pass 1, where the poorer model holds it.
    assert weight["mixture"] == [0.5, 0.5]
    assert weight["probability"] < 1e-10
    assert (warm["more"], warm["rank"]) == (0, weight["rank"])
    assert {"n_th", "gamma_phi", "manifold_weight"} <= set(warm["result"]["undetermined"])
    assert "n_th, manifold_weight" in data["verdict"]
    assert "has no number on 'warm'" in data["verdict"]
    assert "gamma_1 has no number any more: only gamma_2" in warm["note"]
