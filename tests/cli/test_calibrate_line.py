"""``powercal calibrate-line``: what it prints, what it writes, and how a later fit takes it up."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import powercal as pc
from powercal.loaders.hdf5 import save_traces

from .conftest import Run

TRUTH = {"qubit_frequency": 5e9, "gamma_1": 1e6, "n_th": 0.06, "gamma_phi": 2e5}
WISHES = ("--model", "finite_temperature", "--intervals", "covariance")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reflected power and population through a line of 61.4 dB loss and 42.8 dB gain."""
    path = tmp_path_factory.mktemp("line") / "recorded.h5"
    traces = pc.simulate(
        "finite_temperature",
        TRUTH | {"drive_scale": 1e30},
        inputs={
            "incident_power": np.geomspace(1e-20, 2e-17, 6),
            "frequency": 5e9 + 2e6 * np.linspace(-1, 1, 21),
        },
        seed=4,
        noise={"reflected_power": 3e-18, "excited_population": 3e-3},
        observables=("reflected_power", "excited_population"),
        attenuation_db=61.4,
        gain_db=42.8,
        detection="absorbed",
    )
    save_traces(path, traces)
    return path


def test_a_wrong_gain_is_named_and_the_line_is_written_for_later_fits(
    run: Run, recorded: Path, tmp_path: Path
) -> None:
    line, report = tmp_path / "line.json", tmp_path / "line.h5"
    t1 = ("--t1", "893±4ns", "--expected-gain-db", "39.8dB")
    left = run("calibrate-line", recorded, *WISHES, *t1, "-o", line, "--report", report)
    assert left.code == 0
    assert "attenuation_db  61.4" in left.out
    assert "expected 39.8 dB: 3.0" in left.out
    assert "dB more" in left.out
    assert "correlation" in left.out
    assert pc.read_report(report)["gain_db"].status == "ok"
    assert json.loads(line.read_text(encoding="utf-8"))["origin"]["priors"]["T1"][1] == 4e-9
    later = run("fit", recorded, *WISHES, "--line", line, "--json")
    gamma_1 = later.json["parameters"]["gamma_1"]
    assert gamma_1["status"] == "ok"
    assert abs(gamma_1["value"] - 1e6) < 4 * gamma_1["stderr"]


def test_what_nothing_pins_is_said_in_words_and_in_json(run: Run, recorded: Path) -> None:
    asked = ("calibrate-line", recorded, *WISHES, "--expected-gain-db", "39.8")
    assert "the data neither confirm nor deny it" in run(*asked).out
    plain = run(*asked, "--json").json
    assert plain["line"] == {"attenuation_db": None, "gain_db": None}
    assert plain["against_expected"] == {"attenuation_db": None, "gain_db": None}
    assert "not determined" in plain["not_determined"]["gain_db"]


def test_t1_can_come_from_a_report(run: Run, recorded: Path, tmp_path: Path) -> None:
    # Any fit that gives T1 will do; this one knows the line.
    known = ("--attenuation-db", "61.4±0.05", "--gain-db", "42.8±0.05")
    run("fit", recorded, *WISHES, *known, "-o", tmp_path / "t1.h5")
    left = run("calibrate-line", recorded, *WISHES, "--decay", tmp_path / "t1.h5", "--json")
    value, error = left.json["line"]["gain_db"]
    assert abs(value - 42.8) < 4 * error


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--t1", "1us"), "is not a value with its standard uncertainty"),
        (("--t1", "1±0.1us", "--decay", "x.h5"), "keep one"),
        (("--decay", "nowhere.h5"), "there is no file"),
        (("--line", "nowhere.json"), "No such file"),
        (("--chain", "300K,20dB"), "''"),
        (("--chain", "300K"), "losses ≥ 0 dB"),
    ],
)
def test_wrong_wishes_cost_a_sentence(
    run: Run, recorded: Path, arguments: tuple[str, ...], said: str
) -> None:
    left = run("calibrate-line", recorded, *WISHES, *arguments)
    assert left.code in (2, 3, 5)
    assert said in left.err


@pytest.mark.parametrize("option", ["-o", "--report"])
def test_nothing_is_written_over_the_data(run: Run, recorded: Path, option: str) -> None:
    before = recorded.read_bytes()
    left = run("calibrate-line", recorded, *WISHES, option, recorded)
    assert left.code == 2
    assert "would replace the data" in left.err
    assert recorded.read_bytes() == before


def test_a_folder_that_is_not_there_is_said_before_the_fit(
    run: Run, recorded: Path, tmp_path: Path
) -> None:
    left = run("calibrate-line", recorded, *WISHES, "-o", tmp_path / "nowhere" / "line.json")
    assert left.code == 5
    assert left.out == ""
    assert "there is no folder" in left.err


def test_a_level_is_given_once(run: Run, recorded: Path, tmp_path: Path) -> None:
    pc.write_line(tmp_path / "line.json", pc.LineCalibration(gain_db=(40.0, 1.0)))
    twice = ("--line", tmp_path / "line.json", "--gain-db", "41±1")
    left = run("fit", recorded, *WISHES, *twice)
    assert left.code == 2
    assert "gain_db is given twice" in left.err


def test_the_chain_of_attenuators_is_told_as_the_lines_occupation(run: Run, recorded: Path) -> None:
    left = run("fit", recorded, *WISHES, "--chain", "300K,20dB@4K,20dB@100mK,20dB@10mK", "--json")
    assert "behind its attenuators is 0.00384" in left.err


def test_named_channels_are_parameters_on_the_command_line(run: Run, recorded: Path) -> None:
    channels = ("--option", "channels=line,tls")
    wishes = ("--model", "channels", "--intervals", "covariance", *channels)
    known = ("--attenuation-db", "61.4±0.1", "--gain-db", "42.8±0.1")
    left = run("fit", recorded, *wishes, *known, "--fix", "gamma_tls=3e5", "--fix", "n_tls=0.1")
    assert left.code == 0
    assert "gamma_line" in left.out
    refused = run("fit", recorded, *wishes, *known, "--fix", "gamma_tsl=3e5")
    assert refused.code == 3
    assert "gamma_tls" in refused.err
