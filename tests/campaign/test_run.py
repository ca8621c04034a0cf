"""A campaign from beginning to end: resume, failures, order, broken disks."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import powercal as pc
from powercal.campaign import distributed, run_campaign
from powercal.errors import ConfigError, FitError, ReportError
from powercal.loaders.hdf5 import save_traces
from powercal.processes import workers
from powercal.processes.workers import Outcome
from powercal.report import read_summary

from .folders import RUN, digests, half_written, identities, make_folder, repeats, trace, write_run
from .killing import fork, lost, wait


def output(run: Path) -> Path:
    return run.parent / "results"


def test_only_what_changed_is_done_again(run: Path) -> None:
    before = identities(output(run))
    save_traces(run.parent / "raw" / "q0001.h5", trace(9))
    result = run_campaign(run, workers=0)
    after = identities(output(run))
    assert (result.kept, result.done) == (2, 1)
    assert [n.split("-")[1] for n in before if after[n] != before[n]] == ["q0001"]


def test_only_what_an_override_touches_is_done_again(run: Path) -> None:
    over = '\n[[override]]\nfiles = "raw/q0002.h5"\nmodel = { fixed = { n_th = 0 } }'
    write_run(run.parent, RUN + over)
    result = run_campaign(run, workers=0)
    assert result.done == 1
    status = read_summary(result.summary)["status"].sel(quantity="n_th")
    assert list(status.values) == ["ok", "ok", "fixed"]


def test_fresh_does_everything_again_with_the_same_bytes(run: Path) -> None:
    before = digests(output(run))
    assert run_campaign(run, workers=0, fresh=True).done == 3
    assert digests(output(run)) == before


def test_a_report_that_was_removed_comes_back(run: Path) -> None:
    before = digests(output(run))
    next((output(run) / "reports").iterdir()).unlink()
    assert run_campaign(run, workers=0).done == 1
    assert digests(output(run)) == before


def test_items_that_are_gone_take_their_reports_with_them(tmp_path: Path) -> None:
    run = make_folder(tmp_path, 0)
    save_traces(tmp_path / "raw" / "a.h5", repeats((1, 2, 3)))
    assert run_campaign(run, workers=0).samples == 3
    (output(run) / "reports" / "mine.h5").touch()
    save_traces(tmp_path / "raw" / "a.h5", repeats((1, 2)))
    assert run_campaign(run, workers=0).samples == 2
    kept = sorted(p.name.split(".")[1][:8] for p in (output(run) / "reports").iterdir())
    assert kept == ["h5", "repeat-0", "repeat-1"]


def test_sources_that_are_gone_leave_the_summary(run: Path) -> None:
    (run.parent / "raw" / "q0000.h5").unlink()
    result = run_campaign(run, workers=0)
    assert list(read_summary(result.summary)["source"].values) == ["raw/q0001.h5", "raw/q0002.h5"]


def test_failures_are_rows_with_reason_data_and_cause(tmp_path: Path) -> None:
    run = make_folder(tmp_path, 1)
    (tmp_path / "raw" / "a.h5").write_text("no measurement")
    save_traces(tmp_path / "raw" / "b.h5", repeats((1, 2), empty=0))
    result = run_campaign(run, workers=0)
    table = read_summary(result.summary)
    assert list(table["outcome"].values) == ["failed", "failed", "ok", "ok"]
    assert [name for name, _ in result.failures] == ["raw/a.h5", "raw/b.h5 [repeat=0]"]
    assert list(table["failure_kind"].values[:2]) == ["LoaderChoiceError", "FitError"]
    assert str(table["failure"].values[0]).startswith("a.h5 is claimed by no loader")
    assert all(len(digest) == 64 for digest in table["source_sha256"].values)


def harm(monkeypatch: pytest.MonkeyPatch, hurt: str, failure: str) -> None:
    """Let one source end like a task whose worker crashed."""
    true = workers.run_tasks

    def run_tasks(tasks: Any, function: str, **given: Any) -> Iterator[Outcome]:
        seen: list[Mapping[str, Any]] = []

        def noted() -> Iterator[Mapping[str, Any]]:
            for task in tasks:
                seen.append(task)
                yield task

        for outcome in true(noted(), function, **given):
            if seen[outcome.index]["source"] == hurt:
                yield Outcome(outcome.index, None, failure)
            else:
                yield outcome

    monkeypatch.setattr(workers, "run_tasks", run_tasks)


def test_a_task_that_kills_its_worker_is_a_row_and_is_tried_again(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = digests(output(run))
    with monkeypatch.context() as patch:
        harm(patch, "raw/q0001.h5", "crashed with signal 11")
        result = run_campaign(run, workers=0, fresh=True)
    assert result.failures == (("raw/q0001.h5", "crashed with signal 11"),)
    assert run_campaign(run, workers=0).done == 1
    assert digests(output(run)) == whole


def test_a_strict_campaign_stops_at_the_first_failure_and_keeps_what_is_done(
    tmp_path: Path,
) -> None:
    run = make_folder(tmp_path, 3, "strict = true\n" + RUN)
    (tmp_path / "raw" / "q0001.h5").write_text("no measurement")
    with pytest.raises(FitError, match=r"^raw/q0001\.h5 failed: .* says strict = true, so the"):
        run_campaign(run, workers=0)
    assert [n.split("-")[1] for n in identities(output(run))] == ["q0000", "q0001"]


def test_a_wrong_run_file_leaves_no_folder_behind(tmp_path: Path) -> None:
    run = make_folder(tmp_path, 1, RUN.replace("raw/", "row/"))
    with pytest.raises(ConfigError):
        run_campaign(run, workers=0)
    assert not output(run).exists()


def test_a_source_that_cannot_be_read_is_a_row(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from powercal.campaign import ledger

    true: Callable[[Path], str] = ledger.digest_of

    def digest_of(path: Path) -> str:
        if path.name == "q0001.h5":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return true(path)

    monkeypatch.setattr(ledger, "digest_of", digest_of)
    result = run_campaign(run, workers=0)
    assert result.failures == (("raw/q0001.h5", "it cannot be read: Permission denied"),)


@pytest.mark.parametrize("place", ["file", "argument"])
def test_a_scheduler_takes_the_place_of_processes(
    run: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    asked: list[Any] = []

    def run_tasks_on(scheduler: str, tasks: Any, function: str, **given: Any) -> Iterator[Outcome]:
        asked.append((scheduler, given))
        return workers.run_tasks(tasks, function, workers=0, timeout=None, memory_limit=None)

    monkeypatch.setattr(distributed, "run_tasks_on", run_tasks_on)
    limits = "timeout = '60s'\nmemory_limit = 1_000_000"
    address = "scheduler = 'tcp://host:8786'" if place == "file" else ""
    write_run(run.parent, f"{RUN}[workers]\n{address}\n{limits}")
    run_campaign(run, scheduler=None if place == "file" else "tcp://host:8786")
    assert asked == [("tcp://host:8786", {"timeout": 60.0, "memory_limit": 1_000_000})]


def test_processes_asked_for_take_the_place_of_a_scheduler(run: Path) -> None:
    write_run(run.parent, RUN + "[workers]\nscheduler = 'tcp://nowhere:1'")
    assert run_campaign(run, workers=0).kept == 3


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="Linux lists open files")
def test_no_file_stays_open(run: Path) -> None:
    run_campaign(run, workers=0, fresh=True)
    before = len(os.listdir("/proc/self/fd"))
    run_campaign(run, workers=0, fresh=True)
    assert len(os.listdir("/proc/self/fd")) == before


def test_limits_that_nobody_keeps_are_told(run: Path) -> None:
    write_run(run.parent, RUN + "[workers]\nnumber = 0\ntimeout = '1s'")
    with pytest.warns(UserWarning, match="neither timeout nor memory_limit can be kept"):
        run_campaign(run)


def test_the_order_of_completion_does_not_change_a_byte(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digests(output(run))
    true = workers.run_tasks

    def backwards(tasks: Any, function: str, **given: Any) -> Iterator[Outcome]:
        listed = list(tasks)
        for outcome in true(listed[::-1], function, **given):
            yield Outcome(len(listed) - 1 - outcome.index, outcome.record, outcome.failure)

    monkeypatch.setattr(workers, "run_tasks", backwards)
    run_campaign(run, workers=0, fresh=True)
    assert digests(output(run)) == before


def test_workers_hash_seed_locale_folder_and_clock_do_not_change_a_byte(
    run: Path, tmp_path: Path
) -> None:
    again = tmp_path / "ägain"
    shutil.copytree(run.parent / "raw", again / "raw")
    shutil.copy(run, again)
    other = {"PYTHONHASHSEED": "77", "LC_ALL": "de_DE.UTF-8", "TZ": "Asia/Tokyo", "HOME": "/"}
    command = "import sys; from powercal.cli import main; main(sys.argv[1:])"
    path = os.pathsep.join(str(Path(p).absolute()) for p in sys.path if p)
    subprocess.run(
        [sys.executable, "-c", command, "batch", "../ägain/run.toml", "--workers", "2"],
        cwd=tmp_path / "raw",
        env={**os.environ, **other, "PYTHONPATH": path},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    assert digests(again / "results") == digests(output(run))


class BrokenDisk:
    """Let the n-th write to the disk fail: a sync, a rename, or the text of a file."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fails: int, number: int) -> None:
        self.calls, self.fails, self.number = 0, fails, number
        for owner, name in ((os, "fsync"), (os, "replace"), (Path, "write_text")):
            monkeypatch.setattr(owner, name, self.guarded(getattr(owner, name)))

    def guarded(self, true: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.calls += 1
            if self.calls == self.fails:
                raise OSError(self.number, os.strerror(self.number))
            return true(*arguments, **named)

        return call


STEPS = 12  # of one file: report 2, folder 1, record 4; of the summary 2 and 3


def test_the_disk_is_touched_in_so_many_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_folder(tmp_path, 1)
    disk = BrokenDisk(monkeypatch, 0, 0)
    run_campaign(run, workers=0)
    assert disk.calls == STEPS


@pytest.mark.parametrize(
    ("step", "number"),
    [(step, errno.ENOSPC) for step in range(1, STEPS + 1)]
    + [(step, number) for step in (2, 6, 12) for number in (errno.EIO, errno.EACCES)],
)
def test_a_disk_that_fails_at_any_step_damages_nothing_and_resume_works(
    step: int, number: int, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = digests(output(run))
    save_traces(run.parent / "raw" / "q0001.h5", trace(8))
    with monkeypatch.context() as patch:
        BrokenDisk(patch, step, number)
        with pytest.raises(ReportError, match=os.strerror(number)):
            run_campaign(run, workers=0)
    assert half_written(output(run)) == []
    after = digests(output(run))
    assert {n: d for n, d in after.items() if "q0001" not in n and "summary" not in n} == {
        n: d for n, d in whole.items() if "q0001" not in n and "summary" not in n
    }
    assert read_summary(output(run)).sizes["sample"] == 3
    result = run_campaign(run, workers=0)
    assert result.failed == 0
    assert lost(output(run)) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits of POSIX")
def test_a_disk_that_is_really_full_stops_the_campaign_and_keeps_what_is_done(run: Path) -> None:
    """Files may not grow beyond 20 kB: HDF5 itself fails in the midst of a report."""
    whole = digests(output(run))
    save_traces(run.parent / "raw" / "q0001.h5", trace(8))

    def work() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            run_campaign(run, workers=0)
        except ReportError as error:
            os._exit(55 if "cannot be written" in str(error) else 1)

    assert wait(fork(work)) == 55
    assert half_written(output(run)) == []
    assert digests(output(run)) == whole
    assert run_campaign(run, workers=0).done == 1


def test_a_library_user_gets_the_same_by_one_name(run: Path) -> None:
    assert pc.run_campaign(run, workers=0).kept == 3
    assert pc.read_summary(output(run)).sizes["sample"] == 3
    assert json.loads(next((output(run) / "records").iterdir()).read_text())["schema"] == 1
