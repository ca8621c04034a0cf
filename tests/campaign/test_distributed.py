"""Two dask worker processes give what this machine gives alone, also when one of them is killed."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from powercal.campaign import distributed
from powercal.campaign.distributed import carry_out, dismiss, run_tasks_on
from powercal.errors import ConfigError, PowercalError
from powercal.processes import workers
from powercal.processes.workers import Outcome, run_tasks
from tests.processes.hazards import THIS

ACT = f"{THIS}:act"
HARMS = {3: "segfault", 9: "hang", 14: "raise", 17: "system_exit", 23: "hog", 30: "exit"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two worker processes of one thread each; a task under which one dies becomes a suspect."""
    dask = pytest.importorskip("dask")
    # First: what distributed puts into the configuration when it is imported would leave with ours.
    pytest.importorskip("distributed")
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        local_cluster(n_workers=2, processes=True) as cluster,
    ):
        with distributed_client(cluster) as client:
            client.run(import_little)
        yield cluster


def import_little() -> None:
    """Let the fork server of a worker import no more than these tasks need: that takes time."""
    workers._PRELOADED[:] = ["powercal.processes.serving", THIS]


def distributed_client(cluster: Any) -> Any:
    dask_distributed = pytest.importorskip("distributed")
    return dask_distributed.Client(cluster.scheduler_address, set_as_default=False)


def local_cluster(**options: Any) -> Any:
    dask_distributed = pytest.importorskip("distributed")
    # Any free port for its pages: the usual one may be in use, and dask warns of that.
    fixed = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "silence_logs": 50}
    return dask_distributed.LocalCluster(**fixed, **options)


def by_index(outcomes: Iterator[Outcome]) -> dict[int, Outcome]:
    found = list(outcomes)
    assert len({outcome.index for outcome in found}) == len(found)
    return {outcome.index: outcome for outcome in found}


def test_records_and_failures_are_those_of_the_local_run(cluster: Any) -> None:
    tasks = [{"number": i, "harm": HARMS.get(i)} for i in range(40)]
    limits: dict[str, Any] = {"timeout": 1.0, "memory_limit": 500 * 10**6}
    there = by_index(run_tasks_on(cluster.scheduler_address, tasks, ACT, **limits))
    here = by_index(run_tasks(tasks, ACT, workers=2, **limits))
    assert there == here
    assert {i for i, outcome in there.items() if outcome.failure} == set(HARMS)


def test_a_run_closed_early_leaves_no_helper_on_the_workers(cluster: Any) -> None:
    tasks = ({"number": i, "harm": "hang" if i > 1 else None} for i in range(6))
    outcomes = run_tasks_on(cluster.scheduler_address, tasks, ACT, timeout=None)
    next(outcomes)
    outcomes.close()
    with distributed_client(cluster) as client:
        end = time.monotonic() + 20
        while any(client.run(lambda: len(multiprocessing.active_children())).values()):
            assert time.monotonic() < end


def test_tasks_are_drawn_only_when_the_workers_have_room(cluster: Any) -> None:
    drawn = 0

    def tasks() -> Iterator[Mapping[str, Any]]:
        nonlocal drawn
        for i in range(60):
            drawn += 1
            yield {"number": i}

    for given, _ in enumerate(
        run_tasks_on(cluster.scheduler_address, tasks(), ACT, timeout=None), start=1
    ):
        assert drawn < given + 8


def test_a_function_that_the_workers_do_not_have_is_told(cluster: Any) -> None:
    with pytest.raises(PowercalError, match=r"a worker cannot do .*:nothing: AttributeError"):
        list(run_tasks_on(cluster.scheduler_address, [{}], f"{THIS}:nothing", timeout=None))


def test_a_worker_killed_during_the_run_loses_nothing(cluster: Any) -> None:
    tasks = [{"number": i, "harm": "nap"} for i in range(80)]
    victim = next(iter(cluster.workers.values())).pid
    there = {}
    for outcome in run_tasks_on(cluster.scheduler_address, tasks, ACT, timeout=30.0):
        there[outcome.index] = outcome
        if len(there) == 10:
            os.kill(victim, signal.SIGKILL)
    assert there == by_index(run_tasks(tasks, ACT, workers=0, timeout=None, memory_limit=None))


@pytest.mark.statistics  # ten seconds: workers die, start again, and die
def test_a_task_that_kills_its_workers_again_and_again_is_a_failure(cluster: Any) -> None:
    tasks = [{"number": i, "harm": "kill_the_parent" if i == 1 else None} for i in range(4)]
    there = by_index(run_tasks_on(cluster.scheduler_address, tasks, ACT, timeout=30.0))
    assert there[1].failure == "the workers died under it, one after another"
    assert [there[i].failure for i in (0, 2, 3)] == [None] * 3


@pytest.mark.statistics  # two minutes
def test_two_workers_are_at_least_1_6_times_as_fast_as_one_with_the_same_records() -> None:
    tasks = [{"seed": seed} for seed in range(40)]
    function = f"{THIS}:calibrate"
    here = by_index(run_tasks(tasks, function, workers=2, timeout=None, memory_limit=None))
    assert {outcome.failure for outcome in here.values()} == {None}
    quickest = {}
    for number in (1, 2):
        with local_cluster(n_workers=number, processes=True) as cluster:
            address = cluster.scheduler_address
            list(run_tasks_on(address, tasks[: 4 * number], function, timeout=None))  # imports
            times = []
            for _ in range(5):
                begun = time.perf_counter()
                there = by_index(run_tasks_on(address, tasks, function, timeout=None))
                times.append(time.perf_counter() - begun)
                assert there == here
            quickest[number] = min(times)
    ratio = quickest[1] / quickest[2]
    print(f"two dask workers: {ratio:.2f} times as fast as one ({quickest[1]:.2f} s)")
    assert ratio >= 1.6


def test_a_scheduler_that_goes_away_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "_PATIENCE", 3.0)
    small = local_cluster(n_workers=1, processes=False, protocol="tcp")
    tasks = [{"number": i, "harm": "sleep" if i else None} for i in range(40)]
    outcomes = run_tasks_on(small.scheduler_address, tasks, ACT, timeout=None)
    next(outcomes)
    small.close()
    with pytest.raises(PowercalError, match=r"the scheduler tcp://.* went away; start it"):
        list(outcomes)
    for helper in list(distributed._HELPERS.values()):  # its worker was a thread of this process
        dismiss(helper.campaign)


def test_a_helper_serves_one_campaign_after_another() -> None:
    before = set(multiprocessing.active_children())

    def helpers() -> int:
        return len(set(multiprocessing.active_children()) - before)

    for campaign in ("first", "second"):
        for _ in range(2):
            answer = json.loads(carry_out('{"number": 2}', campaign, ACT, None, None))
            assert answer == {"record": {"square": 4, "root": 2**0.5}, "failure": None}
        assert helpers() == 1
    dismiss("first")
    assert helpers() == 1
    dismiss("second")
    assert helpers() == 0


@pytest.mark.parametrize(
    ("scheduler", "found"),
    [
        ("tcp://127.0.0.1:1", "Connection refused"),
        ("127.0.0.1", "the address has no host or no port"),
        ("nowhere.json", "No such file"),
    ],
)
def test_an_address_where_nobody_answers_is_a_config_error(scheduler: str, found: str) -> None:
    pytest.importorskip("distributed")
    with pytest.raises(ConfigError, match=f"no dask scheduler answers at {scheduler}.*{found}"):
        list(run_tasks_on(scheduler, [{}], ACT, timeout=None))


def test_a_scheduler_file_stands_for_its_address(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    file = tmp_path / "scheduler.json"
    file.write_text('{"address": "tcp://127.0.0.1:1"}', encoding="utf-8")
    with pytest.raises(ConfigError, match="Connection refused"):
        list(run_tasks_on(str(file), [{}], ACT, timeout=None))


def test_dask_that_is_not_installed_is_a_config_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigError, match=r'not installed; mend with: pip install "powercal\[dask'):
        list(run_tasks_on("tcp://127.0.0.1:1", [{}], ACT, timeout=None))
