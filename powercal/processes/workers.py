"""Tasks in worker processes, so that one that crashes, hangs or hogs memory costs only itself.

A process pool of the standard library loses every waiting task with one crash, and waits for ever
for one that hangs. Here each worker has its own pipe and one task at a time; whatever happens to
it, the parent knows whose fault it was, replaces the worker and goes on.

Workers are forked by a fork server that has imported what is slow to import (two seconds once,
some milliseconds for every worker and every replacement) and has no threads, locks or open files
of the parent; where the system has none (Windows), each worker is started anew.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

from powercal.errors import PowercalError
from powercal.processes.serving import ONE_THREAD, resolve, sentence, serve

_PRELOADED = [
    "numpy",
    "scipy.optimize",
    "xarray",
    "h5netcdf",
    "lmfit",
    "powercal.fitting",
    "powercal.loading",
    "powercal.registry",
    "powercal.report",
    "powercal.processes.serving",
]
# What came through the pipe for one task; the bytes belong to the record.
Delivery = tuple["Outcome", list[bytearray]]
# Importing takes seconds, on a busy network disk a minute; what takes longer than this hangs.
_LONGEST_START = 300.0
_STARTING = threading.Lock()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one task.

    Attributes
    ----------
    index : int
        Which task, counted from 0.
    record : dict or None
        What the function returned; None where it failed.
    failure : str or None
        Why it failed, in one sentence.
    """

    index: int
    record: dict[str, Any] | None = None
    failure: str | None = None


def run_tasks(
    tasks: Iterable[Mapping[str, Any]],
    function: str,
    *,
    workers: int,
    timeout: float | None,
    memory_limit: int | None,
) -> Generator[Outcome, None, None]:
    """Do tasks, each for itself, and give the outcomes as they come.

    Parameters
    ----------
    tasks : iterable of mapping
        Plain data (what JSON can hold); drawn only when a worker is free.
    function : str
        What is called with each task, as ``"module:name"``; it returns a plain dict.
    workers : int
        How many processes; 0 does everything in this one, without protection: ``timeout`` and
        ``memory_limit`` then do nothing, and a crash ends the program.
    timeout : float or None
        Seconds for one task; what takes longer is stopped.
    memory_limit : int or None
        Bytes of address space that one task may ask for, where the system keeps such limits
        (Linux). Below some 500 MB even starting a thread may fail.

    Yields
    ------
    Outcome
        In the order of completion, with the task's index.

    Raises
    ------
    PowercalError
        A worker cannot start (a task's own failure is an outcome).
    """
    if workers == 0:
        yield from _here(tasks, function)
        return
    with Crew(function, workers, timeout, memory_limit).at_work() as crew:
        for outcome, _ in crew.deliveries(tasks):
            yield outcome


def _here(tasks: Iterable[Mapping[str, Any]], function: str) -> Iterator[Outcome]:
    """Do the tasks in this process, with the same data going in and out as through a pipe."""
    work = resolve(function)
    for index, task in enumerate(tasks):
        try:
            record = json.loads(json.dumps(dict(work(json.loads(_plain(task))))))
        except (Exception, SystemExit) as problem:
            yield Outcome(index, failure=sentence(problem))
        else:
            yield Outcome(index, record)


def _plain(task: Mapping[str, Any]) -> bytes:
    return json.dumps(dict(task)).encode()


class _Worker:
    """One process, its pipe, and the task it has."""

    def __init__(self, function: str, memory_limit: int | None) -> None:
        self.connection, theirs = multiprocessing.Pipe()
        self.task: tuple[int, bytes] | None = None
        self.deadline = math.inf
        self.ready = False  # it has said that it can work
        self.fresh = True  # no task has left anything behind in it
        with theirs, _as_a_worker_should_start() as process:
            self.process = process(target=serve, args=(theirs, function, memory_limit), daemon=True)
            self.process.start()

    def take(self, task: tuple[int, bytes], timeout: float | None) -> None:
        """Keep a task; start it as soon as the worker is ready."""
        self.task = task
        if self.ready:
            self.begin(timeout)
        else:
            self.deadline = time.monotonic() + _LONGEST_START

    def begin(self, timeout: float | None) -> None:
        """Send the task; its time runs from here."""
        assert self.task is not None
        self.ready = True
        self.deadline = math.inf if timeout is None else time.monotonic() + timeout
        try:
            self.connection.send_bytes(self.task[1])
        except OSError:
            self.deadline = math.inf  # it died while it was idle: the next look at its pipe tells

    def read(self) -> tuple[dict[str, Any], list[bytearray]] | None:
        """Return the head and the buffers of an answer; None where the process broke off."""
        try:
            head: dict[str, Any] = json.loads(self.connection.recv_bytes())
            buffers = [bytearray(size) for size in head["buffers"]]
            for buffer in buffers:
                self.connection.recv_bytes_into(buffer)
        except (EOFError, OSError, ValueError):
            return None
        return head, buffers

    def end(self, patience: float = 0.0) -> str:
        """Stop the process if it does not end by itself; say how it ended."""
        self.process.join(patience)
        if (code := self.process.exitcode) is None:
            self.process.kill()
            self.process.join(5)
        if self.process.exitcode is not None:
            self.process.close()
        self.connection.close()
        return _ending(code)


def _ending(code: int | None) -> str:
    if code is None:
        return "closed its pipe"
    if code >= 0:
        return f"left with exit code {code}"
    if code == -getattr(signal, "SIGKILL", 9):
        return "was killed (SIGKILL), as happens when the machine runs out of memory"
    try:
        return f"crashed ({signal.Signals(-code).name})"
    except ValueError:
        return f"crashed (signal {-code})"


class Crew:
    """Worker processes, hired when there is work for them and replaced when they break.

    Parameters
    ----------
    function : str
        What is called with each task, as ``"module:name"``.
    workers : int
        How many processes at most.
    timeout : float or None
        Seconds for one task.
    memory_limit : int or None
        Bytes of address space that one task may ask for.
    """

    def __init__(
        self, function: str, workers: int, timeout: float | None, memory_limit: int | None
    ) -> None:
        self.function = function
        self.size = workers
        self.timeout = timeout
        self.memory_limit = memory_limit
        self._staff: list[_Worker] = []
        self._closed = False

    @contextmanager
    def at_work(self) -> Iterator[Crew]:
        """Dismiss everybody at the end, whatever ends it."""
        try:
            yield self
        finally:
            self.dismiss()

    def stop(self) -> None:
        """Kill all processes, from whichever thread; the one that waits for them tidies up."""
        self._closed = True
        for worker in list(self._staff):
            with suppress(ValueError):  # its own thread was quicker
                worker.process.kill()

    def dismiss(self) -> None:
        """Stop all processes for good; a task that is under way is lost."""
        self.stop()
        while self._staff:
            self._staff.pop().end()

    def deliveries(self, tasks: Iterable[Mapping[str, Any]]) -> Iterator[Delivery]:
        """Do tasks and give what comes of them, as it comes; workers stay for the next call."""
        waiting = enumerate(map(_plain, tasks))
        self._hand_out(waiting)
        while busy := [worker for worker in self._staff if worker.task is not None]:
            for worker in _answered_or_overdue(busy):
                delivery = self._collect(worker)
                self._hand_out(waiting)
                if delivery is not None:
                    yield delivery

    def _hand_out(self, waiting: Iterator[tuple[int, bytes]]) -> None:
        """Give every free hand a task, as long as there are any."""
        while True:
            free = next((worker for worker in self._staff if worker.task is None), None)
            if free is None and len(self._staff) >= self.size:
                return
            if (task := next(waiting, None)) is None:
                return
            (free or self._hire()).take(task, self.timeout)

    def _hire(self) -> _Worker:
        self._staff.append(_Worker(self.function, self.memory_limit))
        if self._closed:  # while the new process started
            raise PowercalError("the workers were dismissed")
        return self._staff[-1]

    def _collect(self, worker: _Worker) -> Delivery | None:
        """See what a worker has to say; None where its task goes on (or begins)."""
        assert worker.task is not None
        if not worker.connection.poll():
            return self._overdue(worker)
        if (answer := worker.read()) is None:
            return self._broken(worker)
        head, buffers = answer
        if not worker.ready:
            if head["failure"]:
                raise PowercalError(
                    f"a worker cannot do {self.function}: {head['failure']}; "
                    "the same run with workers = 0 shows more"
                )
            worker.begin(self.timeout)
            return None
        index = worker.task[0]
        worker.task, worker.deadline, worker.fresh = None, math.inf, False
        if head["last"]:
            self._staff.remove(worker)
            worker.end()
        return Outcome(index, head["record"], head["failure"]), buffers

    def _overdue(self, worker: _Worker) -> Delivery:
        assert worker.task is not None
        self._staff.remove(worker)
        worker.end()
        if not worker.ready:
            raise PowercalError(f"a worker did not start within {_LONGEST_START:g} s")
        failure = f"took longer than {self.timeout:g} s and was stopped"
        return Outcome(worker.task[0], failure=failure), []

    def _broken(self, worker: _Worker) -> Delivery | None:
        """Blame the task only if the worker was fresh: else ask once more in a fresh one.

        Compiled code that writes where it should not often crashes a later task than its own.
        """
        assert worker.task is not None
        self._staff.remove(worker)
        how = worker.end(patience=5)
        if not worker.ready:
            raise PowercalError(f"a worker {how} before its first task")
        if worker.fresh:
            return Outcome(worker.task[0], failure=how), []
        self._hire().take(worker.task, self.timeout)
        return None


def _answered_or_overdue(busy: list[_Worker]) -> list[_Worker]:
    """Wait until a worker answers, breaks or is out of time; return all such workers."""
    soonest = min(worker.deadline for worker in busy)
    patience = None if math.isinf(soonest) else max(0.0, soonest - time.monotonic())
    ready = wait([worker.connection for worker in busy], patience)
    now = time.monotonic()
    return [w for w in busy if w.connection in ready or w.deadline <= now]


@contextmanager
def _as_a_worker_should_start() -> Iterator[type[BaseProcess]]:
    """Give the kind of process to start, with one thread of BLAS and no script run again.

    A new process would import the program's main file, and a script that starts a campaign at its
    top level would start it once more there. No task needs that file, so it is hidden meanwhile.
    """
    with _STARTING:
        main, old = sys.modules["__main__"], {name: os.environ.get(name) for name in ONE_THREAD}
        sys.modules["__main__"] = ModuleType("__main__")
        os.environ.update(ONE_THREAD)
        try:
            yield _kind_of_process()
        finally:
            sys.modules["__main__"] = main
            for name, value in old.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def _kind_of_process() -> type[BaseProcess]:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn").Process
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context.Process
