"""Every kind of mistake leaves with its own exit code and one sentence on stderr."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from powercal import registry
from powercal.cli import fitting, house
from powercal.errors import (
    ConfigError,
    ContractError,
    DataError,
    DuplicateNameError,
    FitError,
    LoaderChoiceError,
    LoaderError,
    PlaneError,
    PluginError,
    PowercalError,
    ReportError,
    TraceSchemaError,
    UnitError,
    UnknownNameError,
)

from .conftest import Run

BALANCE = ("--model", "power_balance")


@pytest.fixture
def fresh_registry() -> Iterator[None]:
    registry.reset()
    yield
    registry.reset()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DataError, 3),
        (LoaderError, 3),
        (LoaderChoiceError, 3),
        (TraceSchemaError, 3),
        (PlaneError, 3),
        (UnitError, 3),
        (UnknownNameError, 3),
        (FitError, 3),
        (ConfigError, 3),
        (PluginError, 4),
        (DuplicateNameError, 4),
        (ContractError, 4),
        (ReportError, 5),
    ],
)
def test_every_class_of_errors_has_its_exit_code(error: type[PowercalError], code: int) -> None:
    assert house.way_out(error("")).exit_code == code


def test_a_file_that_is_not_there_is_bad_input_in_one_sentence(run: Run) -> None:
    left = run("fit", "nowhere.h5", *BALANCE)
    assert (left.code, left.out) == (3, "")
    assert left.err == (
        "powercal: 'nowhere.h5' does not exist or is no file; check the spelling and the folder\n"
    )


def test_an_unknown_model_is_bad_input_that_lists_the_models(run: Run, line_file: Path) -> None:
    left = run("fit", line_file, "--model", "power_balanse")
    assert left.code == 3
    assert "there is no model 'power_balanse'; did you mean 'power_balance'?" in left.err


def test_an_unknown_parameter_is_bad_input_that_lists_the_parameters(
    run: Run, line_file: Path
) -> None:
    left = run("fit", line_file, *BALANCE, "--fix", "nth=0")
    assert left.code == 3
    assert "there is no quantity of model 'power_balance' (--fix) 'nth'; did you mean" in left.err


def test_a_fit_that_cannot_start_is_bad_input(run: Run, line_file: Path) -> None:
    left = run("fit", line_file, *BALANCE, "--fix", "n_th=0", "--free", "n_th")
    assert left.code == 3
    assert "n_th is asked to be free and fixed at once" in left.err


def test_a_line_for_traces_at_the_device_is_bad_input(run: Run, line_file: Path) -> None:
    left = run("fit", line_file, *BALANCE, "--attenuation-db", "61.4±0.5")
    assert left.code == 3
    assert "the traces are already at the device plane" in left.err


def test_a_broken_plugin_in_strict_mode_is_a_plugin_error(
    run: Run, monkeypatch: pytest.MonkeyPatch, fresh_registry: None
) -> None:
    entry = registry.EntryPoint("odd", "no_such_module", "powercal")
    monkeypatch.setattr(registry, "entry_points", lambda group: [entry])
    monkeypatch.setenv(registry.STRICT, "1")
    left = run("plugins")
    assert left.code == 4
    assert left.err.startswith("powercal: plugin 'odd' (module no_such_module, ")


@pytest.mark.filterwarnings("default::powercal.registry.PluginWarning")
def test_a_broken_plugin_is_one_warning_and_one_row(
    run: Run, monkeypatch: pytest.MonkeyPatch, fresh_registry: None
) -> None:
    entry = registry.EntryPoint("odd", "no_such_module", "powercal")
    monkeypatch.setattr(registry, "entry_points", lambda group: [entry])
    left = run("plugins")
    assert left.code == 0
    row = next(line for line in left.out.splitlines() if line.startswith("odd"))
    assert row.split()[3:5] == ["broken", "ModuleNotFoundError:"]
    assert left.err.startswith("powercal: warning: plugin 'odd' (module no_such_module, ")
    assert left.err.count("\n") == 1


def test_what_is_no_report_is_a_file_error(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no report")
    left = run("show", path)
    assert left.code == 5
    assert "is not an HDF5 file" in left.err


def test_a_folder_that_is_not_there_is_a_file_error_before_the_fit(
    run: Run, line_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "device_traces", None)  # would raise if it came to a fit
    left = run("fit", line_file, *BALANCE, "-o", tmp_path / "absent" / "r.h5")
    assert left.code == 5
    assert "there is no folder" in left.err


def test_an_error_of_the_system_is_a_file_error(
    run: Run, line_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied", "line.h5")

    monkeypatch.setattr(fitting, "device_traces", refuse)
    left = run("fit", line_file, *BALANCE)
    assert left.code == 5
    assert left.err == (
        "powercal: Permission denied: 'line.h5'; check the path, its permissions and the free "
        "space\n"
    )


def test_a_bug_passes_through(run: Run, line_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: Any) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(fitting, "device_traces", stumble)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        run("fit", line_file, *BALANCE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fix", "n_th"], "'n_th' is not of the form of qubit_frequency=6.5449GHz; write it so"),
        (["--fix", "n_th=a"], "n_th: 'a' is not a number with a unit; write for example"),
        (["--fix", "n_th=1mK"], "'1mK' has a unit, but a plain number is wanted; leave the unit"),
        (["--fix", "gamma_1=1MHz"], "if it is the rate over 2π, write 6283185.307"),
        (["--start", "T1=1min"], "T1: unit 'min' is not known; use one of dBm"),
        (["--fix", "n_th=0", "--fix", "n_th=1"], "n_th is given twice; keep one"),
        (["--prior", "T1=10us"], "T1: '10us' is not a value with its standard uncertainty; write"),
        (["--prior", "T1=10±0us"], "the uncertainty in '10±0us' must be positive"),
        (["--sigma", "absorbed_power=1dBm"], "in dBm, which depends on the level; give it in"),
        (["--sigma", "absorbed_power=0"], "the standard deviation '0' must be positive"),
        (["--attenuation-db", "61.4"], "'61.4' is not a value with its standard uncertainty"),
        (["--attenuation-db", "61.4±0.5V"], "unit 'V' measures voltage, but ratio is wanted"),
        (["--qubit-frequency", "5s"], "unit 's' measures time, but frequency is wanted"),
        (["--bath-temperature", "cold"], "'cold' is not a number with a unit; write for example"),
        (["--select", "frequency"], "selection 'frequency' is not name=low..high; write for"),
        (["--drop", "frequency=6..7"], "'6' has no unit; append one of Hz, kHz, MHz, GHz"),
        (["--detection", "loud"], "'loud' is not one of 'absorbed', 'coherent', 'total'"),
        (["--map", "power"], "'power' is not of the form of 'power=Readout - Power'; write it so"),
    ],
)
def test_a_bad_value_is_wrong_usage_that_says_how_to_mend_it(
    run: Run, line_file: Path, arguments: list[str], message: str
) -> None:
    left = run("fit", line_file, *BALANCE, *arguments)
    assert (left.code, left.out) == (2, "")
    assert message in left.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--option", "energy=much"], "Option 'energy' of model 'single_channel' is 'much'; write"),
        (["--option", "energy=floquet", "--energy", "floquet"], "energy is given twice, also with"),
        (
            ["--start", "qubit_frequency=5e9", "--qubit-frequency", "5GHz"],
            "qubit_frequency is also given with --start; keep one",
        ),
    ],
)
def test_wishes_that_contradict_are_wrong_usage(
    run: Run, line_file: Path, arguments: list[str], message: str
) -> None:
    left = run("fit", line_file, "--model", "single_channel", *arguments)
    assert left.code == 2
    assert message in left.err


def test_a_report_never_replaces_the_data(run: Run, line_file: Path) -> None:
    before = line_file.read_bytes()
    left = run("fit", line_file, *BALANCE, "-o", line_file)
    assert left.code == 2
    assert "would replace the data; choose another name" in left.err
    assert line_file.read_bytes() == before


def test_help_and_version_leave_with_zero(run: Run) -> None:
    assert run("--help").code == run("--version").code == 0
