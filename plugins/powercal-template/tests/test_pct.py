"""The loader keeps powercal's contract, and a file can be fitted with the model beside it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from powercal_template.pct import powercal_loaders
from powercal_template.two_level_bath import MODEL

import powercal as pc
from powercal.errors import LoaderError
from powercal.testing import LoaderContract, make_traces

HEAD = "powercal-template 1\nplane: device\ndetection: absorbed\n"
NAMES = "incident_power_dBm frequency_GHz temperature_mK absorbed_power_fW\n"
ROWS = "-160 4.9990 20 0.00012\n-160 5.0000 20 0.00045\n-150 5.0000 20 0.00120\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "sweep.pct"
    path.write_text(text, encoding="utf-8")
    return path


class TestPct(LoaderContract):
    loader = powercal_loaders()[0]
    facts: ClassVar = {
        "sizes": {"trace": 3},
        "attrs": {"plane": "device", "detection": "absorbed"},
        "ranges": {"frequency": (4.999e9, 5.0e9), "incident_power": (1e-19, 1e-18)},
    }

    def sample(self, tmp_path: Path) -> Path:
        return write(tmp_path, HEAD + NAMES + ROWS)


@pytest.mark.parametrize("row", ["-150 5.0 20\n", "-150 5.0 20 high\n"])
def test_a_row_that_is_no_row_is_refused(row: str, tmp_path: Path) -> None:
    with pytest.raises(LoaderError, match="every row must hold one number for each of incident"):
        pc.open_traces(write(tmp_path, HEAD + NAMES + ROWS + row))


def test_a_file_without_plane_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LoaderError, match="it says nothing and holds 3 rows"):
        pc.open_traces(write(tmp_path, "powercal-template 1\n" + NAMES + ROWS))


def test_powercal_finds_both_by_their_names(tmp_path: Path) -> None:
    assert pc.get_model("two_level_bath") is MODEL
    assert pc.get_loader("pct").name == "pct"


def test_a_file_is_loaded_and_fitted(tmp_path: Path) -> None:
    simulated = make_traces(dataclasses.replace(MODEL))
    points = simulated.stack(point=("power", "frequency", "temperature"))
    table = np.stack(
        [
            10 * np.log10(points["incident_power"].values / 1e-3),
            points["frequency"].values / 1e9,
            points["temperature"].values / 1e-3,
            points["absorbed_power"].values / 1e-15,
        ],
        axis=1,
    )
    rows = "".join(" ".join(f"{number:.12g}" for number in row) + "\n" for row in table)
    traces = pc.open_traces(write(tmp_path, HEAD + NAMES + rows))
    result = pc.fit(pc.to_device_plane(traces), "two_level_bath", intervals="covariance")
    rate = result["gamma_s"]
    # A hundredth of the height on 1600 points: the rate is known to a per cent at least.
    assert rate.value == pytest.approx(1e6, rel=0.01)
