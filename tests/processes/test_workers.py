"""A task that crashes, hangs or hogs costs itself; processes never outlive their parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from powercal.errors import PowercalError
from powercal.processes.workers import Outcome, run_tasks
from tests.processes.hazards import THIS

ROOT = Path(__file__).parents[2]
MEGABYTE = 10**6
HARMS = {
    3: "segfault",
    9: "hang",
    14: "raise",
    17: "system_exit",
    23: "hog",
    30: "exit",
}
FAILURES = {
    3: "crashed (SIGSEGV)",
    9: "took longer than 1 s and was stopped",
    14: "ValueError: two lines of text",
    17: "SystemExit: 3",
    23: "asked for more than 500 MB",
    30: "left with exit code 7",
}


def run(
    tasks: Iterable[Mapping[str, Any]], function: str = "act", **options: Any
) -> Generator[Outcome, None, None]:
    options = {"workers": 2, "timeout": 60.0, "memory_limit": None} | options
    return run_tasks(tasks, f"{THIS}:{function}", **options)


def children() -> set[Any]:
    return set(multiprocessing.active_children())


@pytest.fixture(scope="module")
def harmed() -> dict[int, Outcome]:
    tasks = ({"number": i, "harm": HARMS.get(i)} for i in range(40))
    outcomes = list(run(tasks, timeout=1.0, memory_limit=500 * MEGABYTE))
    assert len(outcomes) == 40
    return {outcome.index: outcome for outcome in outcomes}


def test_of_forty_tasks_exactly_the_harmful_ones_fail(harmed: dict[int, Outcome]) -> None:
    assert {i for i, outcome in harmed.items() if outcome.failure} == set(HARMS)
    for i in set(range(40)) - set(HARMS):
        assert harmed[i].record == {"square": i**2, "root": i**0.5}


def test_each_failure_says_what_happened(harmed: dict[int, Outcome]) -> None:
    assert {i: harmed[i].failure for i in HARMS} == FAILURES


def test_this_process_alone_gives_the_same_records(harmed: dict[int, Outcome]) -> None:
    mild = {14: "raise", 17: "system_exit"}
    for outcome in run(({"number": i, "harm": mild.get(i)} for i in range(20)), workers=0):
        if outcome.index not in set(HARMS) - set(mild):
            assert outcome == harmed[outcome.index]


def test_tasks_are_drawn_only_when_a_worker_is_free() -> None:
    drawn = 0

    def tasks() -> Iterator[dict[str, Any]]:
        nonlocal drawn
        for i in range(200):
            drawn += 1
            yield {"number": i}

    # Each of the two workers has one task; outcomes of one look at the pipes wait to be given out.
    for given, _ in enumerate(run(tasks()), start=1):
        assert drawn <= given + 4


def test_outcomes_come_in_the_order_of_completion() -> None:
    tasks = [{"number": 0, "harm": "sleep"}, *({"number": i} for i in range(1, 4))]
    assert [outcome.index for outcome in run(tasks)][-1] == 0


def test_a_crash_that_an_earlier_task_prepared_is_not_blamed_on_the_next() -> None:
    outcomes = list(run([{"number": 1, "harm": "trap"}, {"number": 2}], workers=1))
    assert [outcome.failure for outcome in outcomes] == [None, None]


def test_memory_that_earlier_tasks_kept_is_not_charged_to_the_next() -> None:
    tasks = ({"number": i, "harm": "keep"} for i in range(6))
    outcomes = list(run(tasks, "where", workers=1, memory_limit=300 * MEGABYTE))
    assert [outcome.failure for outcome in outcomes] == [None] * 6
    pids = [outcome.record["pid"] for outcome in outcomes if outcome.record]
    assert len(set(pids)) == 2  # the third task passes the limit, so the worker is replaced


def test_a_worker_has_one_thread_of_blas_and_the_parent_keeps_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    (outcome,) = run([{"number": 1}], "where", workers=1)
    assert outcome.record is not None
    assert outcome.record["threads"] == "1"
    assert os.environ["OMP_NUM_THREADS"] == "5"


def test_a_result_that_is_no_plain_data_is_a_failure_of_its_task() -> None:
    (outcome,) = run([{"number": 1}], "unspeakable", workers=1)
    assert outcome.failure == "TypeError: Object of type object is not JSON serializable"


def test_a_function_that_is_not_there_is_told_before_any_task() -> None:
    before = children()
    with pytest.raises(PowercalError, match=r"a worker cannot do .*:nothing: AttributeError"):
        list(run([{"number": 1}], "nothing"))
    assert not children() - before


def test_a_generator_closed_early_leaves_no_process() -> None:
    before = children()
    outcomes = run({"number": i, "harm": "hang" if i == 1 else None} for i in range(9))
    next(outcomes)
    assert len(children() - before) == 2
    outcomes.close()
    assert not children() - before


def test_an_error_in_the_tasks_reaches_the_caller_and_leaves_no_process() -> None:
    before = children()

    def tasks() -> Iterator[dict[str, Any]]:
        yield {"number": 1, "harm": "hang"}
        raise RuntimeError("the list of files is broken")

    with pytest.raises(RuntimeError, match="the list of files is broken"):
        list(run(tasks()))
    assert not children() - before


def test_ctrl_c_stops_the_workers_with_the_program() -> None:
    before = children()

    def tasks() -> Iterator[dict[str, Any]]:
        yield {"number": 1, "harm": "hang"}
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        list(run(tasks()))
    assert not children() - before


def test_workers_do_not_mind_the_ctrl_c_that_the_terminal_sends_them_too() -> None:
    before = children()
    outcomes = run([{"number": 1}, {"number": 2, "harm": "sleep"}, {"number": 3}], workers=1)
    next(outcomes)
    (worker,) = children() - before
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGINT)
    assert [outcome.failure for outcome in outcomes] == [None, None]


# A script with no guard for its main part, as people write them.
SCRIPT = f"""
from powercal.processes import workers
import sys
workers._PRELOADED[:] = ["powercal.processes.serving", "{THIS}"]
print("the script runs", flush=True)
tasks = [{{"number": i, "harm": "hang_with_the_lock", "begun": sys.argv[1 + i]}} for i in range(2)]
list(workers.run_tasks(tasks, "{THIS}:act", workers=2, timeout=None, memory_limit=None))
"""


@dataclass
class Killed:
    processes: int
    left: list[int]
    output: str
    errors: str


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    """A script whose workers are busy is killed by kill -9."""
    if sys.platform != "linux":
        pytest.skip("looks into /proc")
    folder = tmp_path_factory.mktemp("killed")
    begun = [folder / "one", folder / "two"]
    (folder / "script.py").write_text(SCRIPT, encoding="utf-8")
    parent = subprocess.Popen(
        [sys.executable, folder / "script.py", *begun],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        wait_until(lambda: all(path.exists() for path in begun))
        processes = len(members(parent.pid))
        parent.kill()
        output, errors = parent.communicate(timeout=10)
        wait_until(lambda: not members(parent.pid), seconds=5)
        return Killed(processes, members(parent.pid), output, errors)
    finally:
        for pid in members(parent.pid):
            os.kill(pid, signal.SIGKILL)


def members(session: int) -> list[int]:
    """Processes of a session that are alive, whoever their parent is by now."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def wait_until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for what happens at once on a quiet machine."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.01)


def test_a_parent_killed_by_kill_9_leaves_no_process(killed: Killed) -> None:
    assert killed.processes >= 4  # parent, fork server, two workers that hold on to their locks
    assert killed.left == []


def test_a_script_without_a_guard_is_not_run_again_by_the_workers(killed: Killed) -> None:
    assert killed.output.count("the script runs") == 1


def test_what_a_plugin_prints_is_kept_out_of_the_output(killed: Killed) -> None:
    assert killed.output == "the script runs\n"
    assert killed.errors.count("a plugin that talks") == 2


@pytest.mark.statistics
def test_two_workers_are_at_least_1_6_times_as_fast_as_one() -> None:
    tasks = [{"rounds": 2000}] * 120

    def seconds(workers: int) -> float:
        outcomes = run(iter([{"rounds": 1}] * 2 + tasks), "work", workers=workers)
        for _ in range(2):  # the workers are there: what follows is work
            next(outcomes)
        begin = time.perf_counter()
        assert not any(outcome.failure for outcome in outcomes)
        return time.perf_counter() - begin

    ratios = [seconds(1) / seconds(2) for _ in range(5)]
    print(f"speed-up of two workers: best {max(ratios):.2f}, {statistics.median(ratios):.2f}")
    assert max(ratios) >= 1.6
