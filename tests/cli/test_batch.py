"""The commands batch and watch."""

from __future__ import annotations

import json
import os
import shutil
import signal
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from powercal.campaign import Interrupted, Progress
from powercal.loaders.hdf5 import save_traces

from .conftest import Run, balance

RUN = """
sources = ["raw/*.h5"]
output = "results"
[model]
name = "power_balance"
intervals = "covariance"
"""


@pytest.fixture
def run_file(tmp_path: Path, line_file: Path) -> Path:
    (tmp_path / "raw").mkdir()
    shutil.copy(line_file, tmp_path / "raw" / "a.h5")
    save_traces(tmp_path / "raw" / "b.h5", balance(2))
    path = tmp_path / "run.toml"
    path.write_text(RUN)
    return path


def test_batch_says_what_it_came_to(run: Run, run_file: Path) -> None:
    left = run("batch", run_file, "--workers", 0)
    results = run_file.parent / "results"
    assert left.code == 0
    assert left.out == (
        f"2 samples of 2 files: 2 ok, 0 failed   (files done now: 2, kept: 0)\n"
        f"summary: {results / 'summary.h5'}\n"
        f"table: {results / 'summary.csv'}\n"
    )
    assert left.err == ""


def test_batch_goes_on_where_it_was_unless_told_otherwise(run: Run, run_file: Path) -> None:
    run("batch", run_file, "--workers", 0)
    assert "(files done now: 0, kept: 2)" in run("batch", run_file, "--workers", 0).out
    assert "(files done now: 0, kept: 2)" in run("batch", run_file, "--workers", 0, "--resume").out
    assert "(files done now: 2, kept: 0)" in run("batch", run_file, "--workers", 0, "--fresh").out


def test_failures_are_listed_at_the_end_and_leave_with_one(run: Run, run_file: Path) -> None:
    (run_file.parent / "raw" / "c\x1b.h5").write_text("x")
    left = run("batch", run_file, "--workers", 0)
    assert left.code == 1
    assert "3 samples of 3 files: 2 ok, 1 failed" in left.out
    lines = left.err.splitlines()
    assert lines[0].startswith("powercal: raw/c?.h5 failed: c?.h5 is claimed by no loader")
    assert lines[1] == "powercal: 1 of 3 samples failed"


def test_json_is_all_there_is_on_stdout(run: Run, run_file: Path) -> None:
    (run_file.parent / "raw" / "c.h5").write_text("x")
    left = run("batch", run_file, "--workers", 0, "--json")
    assert left.code == 1
    assert {n: left.json[n] for n in ("files", "done", "kept", "samples")} == {
        "files": 3,
        "done": 3,
        "kept": 0,
        "samples": 3,
    }
    assert left.json["failures"][0]["sample"] == "raw/c.h5"


def test_a_wrong_run_file_is_bad_input_in_one_sentence(run: Run, run_file: Path) -> None:
    run_file.write_text(RUN.replace("name", "nam"))
    left = run("batch", run_file)
    assert (left.code, left.out) == (3, "")
    assert left.err.startswith(
        "powercal: there is no key in [model] of run.toml 'nam'; did you mean 'name'? (on offer: "
    )


def test_a_folder_that_another_campaign_holds_is_a_file_error(run: Run, run_file: Path) -> None:
    (run_file.parent / "results").mkdir()
    held = {"pid": 1, "host": "elsewhere"}
    (run_file.parent / "results" / ".lock").write_text(json.dumps(held))
    left = run("batch", run_file, "--workers", 0)
    assert left.code == 5
    assert "another campaign (process 1 on elsewhere) is writing into" in left.err
    assert run("batch", run_file, "--workers", 0, "--force-unlock").code == 0


def test_a_full_disk_is_a_file_error_that_says_how_to_go_on(
    run: Run, run_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        left = run("batch", run_file, "--workers", 0)
    assert left.code == 5
    assert "No space left on device" in left.err
    assert "run the same command again: what was done is kept" in left.err
    assert run("batch", run_file, "--workers", 0).code == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_has_its_own_exit_code(
    run: Run, run_file: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    def strike(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), number)

    monkeypatch.setattr("powercal.campaign.run.write_summary", strike)
    left = run("batch", run_file, "--workers", 0)
    assert left.code == code
    assert left.err == (
        f"powercal: stopped by {number.name}; what was done is kept: the same command goes on "
        f"from there\n"
    )


def test_the_workers_of_the_command_line_take_the_place_of_those_in_the_run_file(
    run: Run, run_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def run_campaign(path: str, **given: Any) -> None:
        asked.append(given)
        raise Interrupted(signal.SIGINT)

    monkeypatch.setattr("powercal.campaign.run_campaign", run_campaign)
    run("batch", run_file, "--workers", 3, "--scheduler", "tcp://host:8786")
    assert isinstance(asked[0].pop("progress"), Progress)
    assert asked == [
        {"workers": 3, "scheduler": "tcp://host:8786", "fresh": False, "force_unlock": False}
    ]


def test_negative_workers_are_wrong_usage(run: Run, run_file: Path) -> None:
    assert run("batch", run_file, "--workers", -1).code == 2


def test_watch_fits_what_is_there_and_ends_with_a_signal(
    run: Run, run_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def strike(_: float) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("powercal.campaign.watching.time.sleep", strike)
    given = ("--workers", 0, "--settle", 0, "--poll", 1)
    left = run("watch", run_file.parent / "raw", "--run", run_file, *given)
    assert left.code == 0
    assert left.out.startswith("2 samples of 2 files: 2 ok, 0 failed")


def test_watch_in_the_midst_of_a_fit_leaves_with_the_code_of_the_signal(
    run: Run, run_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def strike(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("powercal.campaign.run.write_summary", strike)
    given = ("--workers", 0, "--settle", 0, "--poll", 1)
    left = run("watch", run_file.parent / "raw", "--run", run_file, *given)
    assert left.code == 143
    assert "stopped by SIGTERM in the midst of a fit" in left.err


def test_watch_leaves_with_one_where_something_failed(
    run: Run, run_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def strike(_: float) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("powercal.campaign.watching.time.sleep", strike)
    (run_file.parent / "raw" / "c.h5").write_text("x")
    given = ("--workers", 0, "--settle", 0, "--poll", 1)
    left = run("watch", run_file.parent / "raw", "--run", run_file, *given)
    assert left.code == 1


def test_only_so_many_failures_are_told_at_the_terminal(
    run: Run, run_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("powercal.cli.batch"), "_MOST_TOLD", 1)
    for name in "cd":
        (run_file.parent / "raw" / f"{name}.h5").write_text("x")
    left = run("batch", run_file, "--workers", 0)
    assert left.err.splitlines()[1:] == [
        "powercal: and 1 more; the summary has them all",
        "powercal: 2 of 4 samples failed",
    ]


def test_the_same_numbers_come_from_fit_and_from_batch(run: Run, run_file: Path) -> None:
    wishes = ("--model", "power_balance", "--intervals", "covariance", "--json")
    alone = run("fit", run_file.parent / "raw" / "a.h5", *wishes).json["parameters"]
    run("batch", run_file, "--workers", 0)
    record = next((run_file.parent / "results" / "records").glob("raw-a-*.json"))
    (row,) = json.loads(record.read_text())["rows"]
    together = {e["name"]: {n: e[n] for n in alone["n_th"]} for e in row["estimates"]}
    assert {name: together[name] for name in alone} == alone
