"""The commands of the README on a real qubit: the power sweep of arXiv:2008.02423."""

from __future__ import annotations

from math import pi
from pathlib import Path
from typing import Any

import pytest

from .conftest import Run

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "waveguide_qubit"
SOURCE = (DATA / "sweep_77.hdf5", "--reference", DATA / "background_76.hdf5")
FIT = ("fit", *SOURCE, "--model", "reflection", "--free", "manifold_weight", "--json")
ASSUMED = ("--fix", "n_th=0", "--fix", "gamma_phi=0", "--intervals", "covariance")
MHZ = 2e6 * pi  # a rate of 1 MHz over 2π

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(),
    reason="the measured files are not here: they may not be shipped (../shared/data/README.md)",
)


def check(found: dict[str, Any], weight_error: float) -> None:
    """Compare with the analysis of the same data that is published beside them."""
    parameters = found["parameters"]
    assert found["undetermined"] == []
    assert abs(parameters["manifold_weight"]["value"] - 0.80) < weight_error
    assert abs(parameters["qubit_frequency"]["value"] - 6.5449e9) < 50e3


def test_complex_reflection_gives_the_published_rate_weight_and_loss(run: Run) -> None:
    found = run(*FIT, *ASSUMED).json
    check(found, weight_error=0.03)
    assert 1.75 < found["derived"]["gamma_1"]["value"] / MHZ < 1.90
    assert 145.5 < found["parameters"]["attenuation_db"]["value"] < 147.5


def test_reflected_power_alone_gives_them_too(run: Run) -> None:
    found = run(*FIT, *ASSUMED, "--observable", "power").json
    check(found, weight_error=0.05)
    assert 1.70 < found["derived"]["gamma_1"]["value"] / MHZ < 1.90
    assert 145.0 < found["parameters"]["attenuation_db"]["value"] < 147.0


def test_without_assumptions_weight_and_bath_stay_open_within_ranges(run: Run) -> None:
    # The sign of the time factor is found in the first test of this file.
    found = run(*FIT, "--convention", "+i", "--free", "n_th", "--free", "gamma_phi").json
    everything = {**found["parameters"], **found["derived"]}
    opened = ("n_th", "gamma_phi", "gamma_1", "attenuation_db")
    assert {everything[name]["status"] for name in opened} == {"undetermined"}
    assert {everything[name]["value"] for name in opened} == {None}
    # The ranges end where the weight would pass 1 and where n_th or gamma_phi would pass 0.
    assert everything["n_th"]["allowed"][1] < 0.065
    assert everything["gamma_phi"]["allowed"][1] / MHZ < 0.21
    low, high = everything["gamma_1"]["allowed"]
    assert 1.4 < low / MHZ < high / MHZ < 1.9
    low, high = everything["attenuation_db"]["allowed"]
    assert 144.9 < low < high < 146.2
