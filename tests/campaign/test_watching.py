"""Watching a folder: files are fitted once they have stopped growing."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from powercal.campaign.watching import Settling, watch_campaign
from powercal.errors import ConfigError
from powercal.loaders.hdf5 import save_traces

from .folders import RUN, make_folder, trace, write_run
from .killing import fork, wait


class Time:
    """Seconds as a test wants them."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def settling(clock: Time) -> Settling:
    return Settling(2.0, clock=clock, calendar=clock)


def dated(path: Path, content: str, at: float) -> Path:
    path.write_text(content)
    os.utime(path, (at, at))
    return path


def test_a_file_that_has_long_been_there_is_ready_at_once(
    tmp_path: Path, settling: Settling
) -> None:
    file = dated(tmp_path / "a", "x", at=990)
    assert list(settling.ready([file])) == [file]
    assert not settling.waiting


def test_a_file_that_grows_is_ready_when_it_has_stopped(
    tmp_path: Path, settling: Settling, clock: Time
) -> None:
    file = dated(tmp_path / "a", "x", at=1000)
    assert list(settling.ready([file])) == []
    clock.now = 1001.5
    dated(file, "xx", at=1001)
    assert list(settling.ready([file])) == []
    assert settling.waiting
    clock.now = 1003.0
    assert list(settling.ready([file])) == []
    clock.now = 1003.5
    assert list(settling.ready([file])) == [file]
    assert not settling.waiting


def test_a_file_dated_in_the_future_is_waited_for_and_not_for_ever(
    tmp_path: Path, settling: Settling, clock: Time
) -> None:
    file = dated(tmp_path / "a", "x", at=5000)
    assert list(settling.ready([file])) == []
    clock.now = 1002.0
    assert list(settling.ready([file])) == [file]


def test_a_file_that_goes_away_is_forgotten(tmp_path: Path, settling: Settling) -> None:
    file = dated(tmp_path / "a", "x", at=1000)
    settling.ready([file])
    file.unlink()
    assert list(settling.ready([file])) == []
    assert not settling.waiting


def test_new_files_are_fitted_as_they_come_and_old_ones_kept(tmp_path: Path) -> None:
    run = make_folder(tmp_path, 1)
    rounds = []

    def looks() -> Iterator[bool]:
        yield True
        yield True  # nothing new: no round
        save_traces(tmp_path / "raw" / "q0001.h5", trace(5))
        yield False  # nobody said that something changed
        yield True

    for result in watch_campaign(run, tmp_path / "raw", workers=0, settle=0, looks=looks()):
        rounds.append((result.kept, result.done, result.samples))
    assert rounds == [(0, 1, 1), (1, 1, 2)]


def test_a_folder_that_is_empty_at_first_can_be_watched(tmp_path: Path) -> None:
    run = make_folder(tmp_path, 0)

    def looks() -> Iterator[bool]:
        yield True
        save_traces(tmp_path / "raw" / "q0000.h5", trace(5))
        yield True

    watched = watch_campaign(run, tmp_path / "raw", workers=0, settle=0, looks=looks())
    assert [result.samples for result in watched] == [1]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    run = write_run(tmp_path, RUN)
    with pytest.raises(ConfigError, match=r"there is no folder .*none to watch"):
        list(watch_campaign(run, tmp_path / "none"))


def test_without_watchfiles_it_is_told_how_to_do_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    run = make_folder(tmp_path, 0)
    with pytest.raises(ConfigError, match=r"install powercal\[watch\], .*: --poll 5"):
        list(watch_campaign(run, tmp_path, workers=0))


def test_the_system_tells_of_changes_where_watchfiles_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_folder(tmp_path, 0)
    asked: list[Any] = []

    def watch(folder: Path, **given: Any) -> Iterator[set[Any]]:
        asked.append((folder, given["yield_on_timeout"]))
        yield set()  # watching has begun
        yield set()
        save_traces(tmp_path / "raw" / "q0000.h5", trace(5))
        yield {("added", "q0000.h5")}
        raise KeyboardInterrupt  # how watchfiles tells of Ctrl-C

    monkeypatch.setitem(sys.modules, "watchfiles", SimpleNamespace(watch=watch))
    watched = watch_campaign(run, tmp_path / "raw", workers=0, settle=0)
    assert [result.samples for result in watched] == [1]
    assert asked == [(tmp_path / "raw", True)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="signals of POSIX")
@pytest.mark.parametrize("told", [False, True])
def test_a_real_folder_is_watched_until_a_signal_comes(tmp_path: Path, told: bool) -> None:
    if told:
        pytest.importorskip("watchfiles")
    run = make_folder(tmp_path, 1)
    poll = None if told else 0.02

    def work() -> None:
        for _ in watch_campaign(run, tmp_path / "raw", workers=0, settle=0.05, poll=poll):
            pass
        os._exit(42)

    child = fork(work)
    records = tmp_path / "results" / "records"
    try:
        for number in (1, 2):
            end = time.monotonic() + 60
            while not (records.exists() and len(list(records.glob("*.json"))) == number):
                assert time.monotonic() < end
                time.sleep(0.005)
            save_traces(tmp_path / "raw" / f"q{number:04d}.h5", trace(number))
        os.kill(child, signal.SIGTERM)
        assert wait(child, 20) in (42, 1)  # idle, or in the midst of the third file
    finally:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
