"""Of several campaigns in one folder one runs; a dead one holds nothing."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from powercal.campaign import lock
from powercal.campaign.lock import NAME, holding
from powercal.errors import ReportError

from .killing import fork, wait

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked here")


def test_a_lock_is_gone_when_its_work_is_done(tmp_path: Path) -> None:
    with holding(tmp_path):
        assert (tmp_path / NAME).exists()
    assert list(tmp_path.iterdir()) == []


def test_a_second_campaign_is_told_who_is_at_work(tmp_path: Path) -> None:
    with holding(tmp_path):
        told = rf"\(process {os.getpid()} on .*--force-unlock"
        with pytest.raises(ReportError, match=told), holding(tmp_path):
            pass
        assert (tmp_path / NAME).exists()


def test_a_lock_can_be_taken_by_force_and_is_then_not_removed_by_its_former_holder(
    tmp_path: Path,
) -> None:
    with holding(tmp_path):
        (tmp_path / NAME).write_text('{"pid": 1, "host": "elsewhere"}')
    assert (tmp_path / NAME).exists()
    with holding(tmp_path, force=True):
        pass
    assert not (tmp_path / NAME).exists()


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    def work() -> None:
        with holding(tmp_path):
            time.sleep(60)

    child = fork(work)
    while not (tmp_path / NAME).exists():
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    assert wait(child) == -signal.SIGKILL
    assert json.loads((tmp_path / NAME).read_text())["pid"] == child
    with holding(tmp_path):
        assert json.loads((tmp_path / NAME).read_text())["pid"] == os.getpid()


@pytest.mark.parametrize(
    ("change", "dead"),
    [
        ({}, False),
        ({"host": "elsewhere"}, False),
        ({"host": "elsewhere", "pid": 0}, False),
        ({"boot": "before"}, True),
        ({"start": "1"}, True),  # another process has the number now
        ({"pid": 2**22 + 1, "start": None}, True),
        ({"pid": 2**22 + 1}, True),
        ({"pid": "x"}, True),
    ],
)
def test_a_lock_counts_as_long_as_its_process_may_live(
    tmp_path: Path, change: dict[str, Any], dead: bool
) -> None:
    if not Path("/proc/self/stat").exists():
        pytest.skip("when processes started is told by Linux")
    with holding(tmp_path):
        mine = json.loads((tmp_path / NAME).read_text())
    (tmp_path / NAME).write_text(json.dumps({**mine, **change}))
    if dead:
        with holding(tmp_path):
            pass
    else:
        with pytest.raises(ReportError, match="another campaign"), holding(tmp_path):
            pass


@pytest.mark.parametrize("content", ["", '{"pid": ', "[]"])
def test_a_lock_that_was_never_finished_is_nobodys(tmp_path: Path, content: str) -> None:
    (tmp_path / NAME).write_text(content)
    with holding(tmp_path):
        pass


def test_where_files_cannot_be_made_there_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(lock.os, "open", refuse)
    told = r"cannot be locked: .*Permission denied"
    with pytest.raises(ReportError, match=told), holding(tmp_path):
        pass


def race(folder: Path, rounds: int, gate: Any, inside: Any, most: Any, got: Any) -> None:
    for _ in range(rounds):
        gate.wait()
        try:
            with holding(folder):
                with inside.get_lock():
                    inside.value += 1
                    most.value = max(most.value, inside.value)
                    got.value += 1
                gate.wait()  # all have tried
                with inside.get_lock():
                    inside.value -= 1
        except ReportError:
            gate.wait()
        gate.wait()
        (folder / NAME).write_text('{"pid": 0, "host": "' + os.uname().nodename + '"}')


@pytest.mark.filterwarnings("ignore:.*fork")
def test_of_four_that_start_at_once_over_a_dead_lock_exactly_one_runs(tmp_path: Path) -> None:
    rounds = 200
    context = multiprocessing.get_context("fork")
    gate, inside = context.Barrier(4, timeout=60), context.Value("i", 0)
    most, got = context.Value("i", 0), context.Value("i", 0)
    crowd = [
        context.Process(target=race, args=(tmp_path, rounds, gate, inside, most, got))
        for _ in range(4)
    ]
    for process in crowd:
        process.start()
    for process in crowd:
        process.join()
        assert process.exitcode == 0
    assert most.value == 1
    assert got.value == rounds
