"""``powercal simulate``: traces of known truth, written as they would be measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import powercal as pc
from powercal.cli.simulating import axis

from .conftest import Run, balance

TRUTH = ("--set", "gamma_1=1e6", "--set", "n_th=0.05")
INPUTS = ("--input", "excited_population=0.1..0.4:12", "--frequency", "5GHz")
BALANCE = ("--model", "power_balance", *TRUTH, *INPUTS)


def test_the_command_gives_the_traces_of_the_library(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    noise = ("--noise", "absorbed_power=0.01aW", "--seed", "1")
    left = run("simulate", *BALANCE, *noise, "-o", path)
    assert left.out == f"{path}: absorbed_power_std, absorbed_power (12 power; seed 1)\n"
    found, wanted = pc.open_traces(path), balance(1)
    for name in ("absorbed_power", "excited_population", "frequency"):
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-12)


def test_a_line_makes_instrument_traces(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "s.h5"
    run("simulate", *BALANCE, "--gain-db", "40", "-o", path)
    assert pc.open_traces(path).attrs["plane"] == "instrument"


def test_powers_are_spaced_evenly_in_db() -> None:
    powers = axis("-140dBm..-110dBm:4", "power")
    np.testing.assert_allclose(powers, [1e-17, 1e-16, 1e-15, 1e-14])


def test_frequencies_are_spaced_evenly() -> None:
    np.testing.assert_allclose(axis("4.99GHz..5.01GHz:3", "frequency"), [4.99e9, 5e9, 5.01e9])


def test_a_single_value_is_no_axis() -> None:
    assert axis("-120dBm", "power").shape == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--power", "-150..-110:9"], "incident_power: '-150' has no unit; append one of dBm"),
        (["--power", "-150dBm..-110dBm"], "is not LOW..HIGH:COUNT with two points or more"),
        (["--power", "-150dBm..-110dBm:1"], "is not LOW..HIGH:COUNT with two points or more"),
        (["--power", "0W..1fW:3"], "reaches a power that is not positive"),
        (["--input", "frequency=5GHz"], "frequency is given twice, also with --input; keep one"),
    ],
)
def test_a_bad_range_is_wrong_usage(
    run: Run, tmp_path: Path, arguments: list[str], message: str
) -> None:
    left = run("simulate", *BALANCE, *arguments, "-o", tmp_path / "s.h5")
    assert left.code == 2
    assert message in left.err


def test_an_option_that_no_data_declare_must_be_given(run: Run, tmp_path: Path) -> None:
    left = run("simulate", "--model", "single_channel", "-o", tmp_path / "s.h5")
    assert left.code == 2
    assert (
        "Option 'detection' of model 'single_channel' is not given; write --option "
        "detection=absorbed|coherent|total" in left.err
    )


def test_an_unknown_input_is_bad_input(run: Run, tmp_path: Path) -> None:
    left = run("simulate", *BALANCE, "--input", "populaton=0.1", "-o", tmp_path / "s.h5")
    assert left.code == 3
    assert "there is no schema word (--input) 'populaton'; did you mean" in left.err


def test_a_folder_that_is_not_there_is_a_file_error(run: Run, tmp_path: Path) -> None:
    left = run("simulate", *BALANCE, "-o", tmp_path / "absent" / "s.h5")
    assert left.code == 5
    assert "No such file or directory" in left.err
