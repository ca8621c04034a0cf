"""Touchstone: S11 and S21 from text alone, whatever the reader raises."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import powercal as pc
from loaders.real_files import real_file
from powercal.errors import LoaderChoiceError, LoaderError, UnknownNameError
from powercal.schema import flags

pytest.importorskip("skrf", reason="scikit-rf (extra rf) is not installed")

ONE = "! Gerät\n# GHz S RI R 50\n5.0 0.3 0.4\n5.1 0.2 0.1\n"
TWO = "# GHz S MA R 50\n5.0 0.5 90 0.2 0 0.1 0 0.4 0\n5.1 0.5 180 0.2 0 0.1 0 0.4 0\n"


def load(text: str, folder: Path, name: str = "x.s1p", **options: Any) -> xr.Dataset:
    """Write and open a file."""
    (folder / name).write_text(text, encoding="utf-8")
    return pc.open_traces(folder / name, **options)


def test_one_port_is_a_reflection(tmp_path: Path) -> None:
    traces = load(ONE, tmp_path)
    np.testing.assert_allclose(traces["reflection"].values, [0.3 + 0.4j, 0.2 + 0.1j])
    assert traces["frequency"].values == pytest.approx([5.0e9, 5.1e9])
    assert (traces.attrs["plane"], traces.attrs["detection"]) == ("instrument", "coherent")


def test_two_ports_are_reflection_and_transmission(tmp_path: Path) -> None:
    traces = load(TWO, tmp_path, "x.s2p")
    np.testing.assert_allclose(traces["reflection"].values, [0.5j, -0.5], atol=1e-15)
    np.testing.assert_allclose(traces["transmission"].values, [0.2, 0.2])


def test_the_incident_power_stays_unknown(tmp_path: Path) -> None:
    traces = load(ONE, tmp_path)
    assert "incident_power" not in traces
    assert flags(traces) == (
        "the file does not say the incident power; give it with the option incident_power_dbm",
    )


def test_the_incident_power_is_given_by_an_option(tmp_path: Path) -> None:
    traces = load(ONE, tmp_path, incident_power_dbm=-30.0)
    assert float(traces["incident_power"]) == pytest.approx(1e-6)
    assert flags(traces) == ()


def test_a_power_sweep_runs_over_power(tmp_path: Path) -> None:
    traces = load("# dBm S RI R 50\n-10 0.3 0.4\n-5 0.2 0.1\n", tmp_path)
    assert traces["reflection"].dims == ("power",)
    assert traces["incident_power"].values == pytest.approx([1e-4, 10**-3.5])
    assert flags(traces) == ("the file does not say at which frequency the power was swept",)


def test_a_power_sweep_needs_no_other_power(tmp_path: Path) -> None:
    with pytest.raises(LoaderError, match=r"x\.s1p sweeps the power itself; leave out the option"):
        load("# dBm S RI R 50\n-10 0.3 0.4\n", tmp_path, incident_power_dbm=0.0)


def test_latin_1_comments_are_read(tmp_path: Path) -> None:
    (tmp_path / "x.s1p").write_bytes(ONE.encode("latin-1"))
    assert pc.open_traces(tmp_path / "x.s1p").sizes["frequency"] == 2


def test_more_than_two_ports_are_refused(tmp_path: Path) -> None:
    row = " ".join(["0.1 0"] * 3)
    with pytest.raises(LoaderError, match=r"x\.s3p has 3 ports; export the one or two that see"):
        load(f"# GHz S MA R 50\n5.0 {row}\n{row}\n{row}\n", tmp_path, "x.s3p")


@pytest.mark.parametrize("text", ["# GHz S RI R 50\n5.0 0.3\n", "# GHz S RI R 50\na b c\n"])
def test_a_damaged_file_is_refused_in_words(text: str, tmp_path: Path) -> None:
    with pytest.raises(LoaderError, match=r"x\.s1p cannot be read as Touchstone"):
        load(text, tmp_path)


def test_an_option_of_another_loader_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(
        UnknownNameError, match="there is no option of loader 'touchstone' 'mapping'"
    ):
        load(ONE, tmp_path, mapping={})


def test_pickles_are_not_claimed(tmp_path: Path) -> None:
    (tmp_path / "x.s1p").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(LoaderChoiceError, match=r"x\.s1p is claimed by no loader"):
        pc.open_traces(tmp_path / "x.s1p")


def test_a_missing_scikit_rf_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "skrf.io.touchstone", None)
    with pytest.raises(LoaderError, match=r"needs scikit-rf; install powercal\[rf\]"):
        load(ONE, tmp_path)


def test_a_measured_power_sweep_is_read() -> None:
    traces = pc.open_traces(real_file("piel/example_power_sweep.s2p"))
    assert traces.sizes["power"] == 6401
    mean = (20 * np.log10(np.abs(traces["transmission"].values))).mean()
    assert mean == pytest.approx(-29.53, abs=0.005)
