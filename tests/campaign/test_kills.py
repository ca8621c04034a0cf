"""Campaigns that are killed at any moment end like those that nobody disturbed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from powercal.campaign import Interrupted, run_campaign

from .folders import digests, half_written, identities, make_folder
from .killing import fork, kill_until_done, lost, records, wait

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are killed by POSIX")


def copied(run: Path, to: Path) -> Path:
    """The same files and run file elsewhere, without results."""
    shutil.copytree(run.parent / "raw", to / "raw")
    return Path(shutil.copy(run, to / "run.toml"))


def test_a_campaign_killed_four_times_ends_with_the_same_bytes(
    twenty: Path, tmp_path: Path
) -> None:
    run = copied(twenty, tmp_path)
    output = tmp_path / "results"

    def start() -> int:
        return fork(lambda: run_campaign(run, workers=0))

    # The delays reach from one record over the writing of a report to the next fit.
    kills, kept = kill_until_done(start, output, kills=4, files=20, seed=4, jitter=0.2)
    assert kills == 4
    result = run_campaign(run, workers=0)
    assert result.kept == len(kept)
    assert {name: at for name, at in identities(output).items() if name in kept} == kept
    assert digests(output) == digests(twenty.parent / "results")


def test_the_harness_finds_a_report_that_is_lost(twenty: Path, tmp_path: Path) -> None:
    output = Path(shutil.copytree(twenty.parent / "results", tmp_path / "results"))
    assert lost(output) == []
    victim = sorted((output / "reports").iterdir())[3]
    victim.write_bytes(victim.read_bytes()[:-1])
    assert len(lost(output)) == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_it_in_order_and_keeps_what_was_done(
    number: signal.Signals, code: int, twenty: Path, tmp_path: Path
) -> None:
    run = copied(twenty, tmp_path)
    output = tmp_path / "results"
    (output / "records").mkdir(parents=True)

    def work() -> None:
        try:
            run_campaign(run, workers=0)
        except Interrupted as stopped:
            os._exit(stopped.code)

    child = fork(work)
    end = time.monotonic() + 60
    while records(output) < 2 and time.monotonic() < end:
        time.sleep(0.001)
    begun = time.monotonic()
    os.kill(child, number)
    assert wait(child) == code
    assert time.monotonic() - begun < 5
    assert half_written(output) == []
    assert lost(output) == []
    assert 2 <= records(output) < 20


THE_COMMAND = "import sys; from powercal.cli import main; main(sys.argv[1:])"


def started(run: Path, workers: int) -> subprocess.Popen[bytes]:
    """The command line in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-P", "-c", THE_COMMAND, "batch", str(run), "--workers", str(workers)],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def kill_the_command(root: Path, *, files: int, kills: int) -> None:
    """Kill campaigns of two worker processes each, and compare with one that nobody disturbed."""
    run = make_folder(root / "whole", files)
    assert started(run, 2).wait() == 0
    again = copied(run, root / "killed")
    output = again.parent / "results"
    running: list[subprocess.Popen[bytes]] = []

    def start() -> int:
        running.append(started(again, 2))
        return running[-1].pid

    done, kept = kill_until_done(start, output, kills=kills, files=files, seed=1, jitter=0.5)
    for process in running:
        process.wait()
    assert done == kills
    assert started(again, 2).wait() == 0
    assert {name: at for name, at in identities(output).items() if name in kept} == kept
    assert digests(output) == digests(run.parent / "results")


@pytest.mark.statistics
def test_a_thousand_files_and_twenty_kills_end_with_the_same_bytes(tmp_path: Path) -> None:
    """Some minutes: pytest -m statistics tests/campaign/test_kills.py."""
    kill_the_command(tmp_path, files=1000, kills=20)


@pytest.mark.statistics
def test_a_signal_during_work_in_processes_leaves_nothing_half_done(tmp_path: Path) -> None:
    run = make_folder(tmp_path, 60)
    output = tmp_path / "results"
    (output / "records").mkdir(parents=True)
    for goal in (3, 11, 23, 31):
        process = started(run, 2)
        while records(output) < goal:
            time.sleep(0.001)
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 143
        assert time.monotonic() - begun < 5
        assert half_written(output) == []
        assert lost(output) == []
    assert started(run, 2).wait() == 0
