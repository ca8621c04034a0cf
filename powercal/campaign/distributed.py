"""Tasks on the workers of a dask scheduler: many machines, the same outcomes as on one.

Each dask worker does its tasks in a helper process of its own, just as a local campaign does, so
that a crash, a hang or a hog costs one task there too, and is told in the same words. What returns
is a small record for each task: workers write their reports themselves, into a folder that all of
them share.

dask (extra ``dask``) moves tasks away from a worker that died. Tasks and records travel as JSON.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from powercal.errors import ConfigError, PowercalError
from powercal.processes.serving import sentence
from powercal.processes.workers import Crew, Outcome

_PATIENCE = 10.0  # seconds to find the scheduler
# Two tasks for each thread keep it busy while one record travels; more would only fill memory.
_PER_THREAD = 2
_LEAST_IN_FLIGHT = 8  # a cluster that is still growing shows what it can take
_COUNT_AGAIN = 1.0  # seconds after which the workers are counted again
_HELPERS: dict[int, _Helper] = {}  # of this dask worker, by thread
_DISMISSED: set[str] = set()  # campaigns whose tasks may still be on their way to this dask worker


@dataclass(frozen=True, slots=True)
class _Helper:
    """The process that works for one thread of a dask worker; the lock is held meanwhile."""

    campaign: str
    crew: Crew
    busy: threading.Lock = field(default_factory=threading.Lock)


def run_tasks_on(
    scheduler: str,
    tasks: Iterable[Mapping[str, Any]],
    function: str,
    *,
    timeout: float | None,
    memory_limit: int | None = None,
) -> Generator[Outcome, None, None]:
    """Do tasks on the workers of a dask scheduler and give the outcomes as they come.

    Parameters
    ----------
    scheduler : str
        Address of the scheduler, for example ``"tcp://10.0.0.1:8786"``, or a scheduler file
        (``*.json``).
    tasks : iterable of mapping
        Plain data (what JSON can hold); drawn only when a worker has room.
    function : str
        What is called with each task, as ``"module:name"``; it returns a plain dict. The workers
        must be able to import it.
    timeout : float or None
        Seconds for one task; what takes longer is stopped.
    memory_limit : int or None
        Bytes of address space that one task may ask for, as in `run_tasks`.

    Yields
    ------
    Outcome
        In the order of completion, with the task's index. A task under which the workers
        themselves die, again and again and when it is alone too, is a failure.

    Raises
    ------
    ConfigError
        dask is not installed, or nobody answers at the address.
    PowercalError
        The workers cannot run tasks, or the scheduler went away.
    """
    campaign = os.urandom(8).hex()
    with _client(scheduler) as client:
        try:
            yield from _outcomes(client, tasks, campaign, function, timeout, memory_limit)
        except CancelledError as problem:
            raise PowercalError(
                f"the scheduler {scheduler} went away; start it and run the same again: "
                f"what is done stays done ({problem})"
            ) from problem
        finally:
            # Whatever still runs for this campaign ends with its helpers. What dask raises when
            # the scheduler is gone is of any kind, and has been told by then.
            with suppress(Exception):
                client.run(dismiss, campaign)


def carry_out(
    task: str, campaign: str, function: str, timeout: float | None, memory_limit: int | None
) -> str:
    """Do one task in the helper process of this thread of a dask worker.

    Parameters
    ----------
    task : str
        The task as JSON.
    campaign : str
        Whose task it is; a helper serves one campaign.
    function, timeout, memory_limit
        As in `run_tasks_on`.

    Returns
    -------
    str
        ``{"record": ..., "failure": ...}`` as JSON.
    """
    # dask's worker processes are daemons, which may have no children because these would outlive
    # them; helpers cannot, they end with the pipe to their parent.
    multiprocessing.current_process().daemon = False
    if campaign in _DISMISSED:
        raise PowercalError("the campaign is over")
    helper = _helper_of(campaign, Crew(function, 1, timeout, memory_limit))
    with helper.busy:
        try:
            ((outcome, _),) = helper.crew.deliveries([json.loads(task)])
        except BaseException:
            helper.crew.dismiss()
            raise
    return json.dumps({"record": outcome.record, "failure": outcome.failure})


def dismiss(campaign: str) -> None:
    """Stop the helpers of a campaign on this dask worker, with whatever they are doing."""
    _DISMISSED.add(campaign)
    for thread, helper in list(_HELPERS.items()):
        if helper.campaign == campaign:
            del _HELPERS[thread]
            helper.crew.stop()
            if helper.busy.acquire(blocking=False):
                helper.crew.dismiss()


def _helper_of(campaign: str, new: Crew) -> _Helper:
    """Return this thread's helper; one that worked for another campaign goes."""
    me = threading.get_ident()
    old = _HELPERS.get(me)
    if old is not None and old.campaign == campaign:
        return old
    if old is not None:
        old.crew.dismiss()
    _HELPERS[me] = _Helper(campaign, new)
    return _HELPERS[me]


@contextmanager
def _client(scheduler: str) -> Iterator[Any]:
    """Connect to a scheduler; leave it as it was found."""
    try:
        library = import_module("distributed")
    except ImportError as problem:
        raise ConfigError(
            f"the scheduler {scheduler} needs dask, which is not installed; "
            'mend with: pip install "powercal[dask]"'
        ) from problem
    try:
        address = _address(scheduler)
        client = library.Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError, KeyError) as problem:
        raise ConfigError(
            f"no dask scheduler answers at {scheduler} ({problem}); wanted: the address that "
            "the scheduler printed when it started, such as tcp://10.0.0.1:8786, or its file"
        ) from problem
    try:
        yield client
    finally:
        client.close()


def _address(scheduler: str) -> str:
    """Read a scheduler file, or take an address; knock there, for dask would knock for long."""
    if scheduler.endswith(".json"):
        scheduler = str(json.loads(Path(scheduler).read_text(encoding="utf-8"))["address"])
    parts = urlsplit(scheduler if "://" in scheduler else f"tcp://{scheduler}")
    if parts.scheme in {"tcp", "tls"}:
        if parts.hostname is None or parts.port is None:
            raise ValueError("the address has no host or no port")
        socket.create_connection((parts.hostname, parts.port), _PATIENCE).close()
    return scheduler


def _outcomes(client: Any, tasks: Iterable[Mapping[str, Any]], *plan: Any) -> Iterator[Outcome]:
    """Do all tasks; do those that lost their workers once more, one by one.

    dask suspects every task that waited on a worker when it died; alone, only the guilty one is.
    """
    suspects: dict[int, str] = {}
    waiting = enumerate(json.dumps(dict(task)) for task in tasks)
    for index, task, future in _arrivals(client, waiting, _Room(client), plan):
        if _killed_its_workers(future):
            suspects[index] = task
        else:
            yield _outcome(index, future)
    for index, _, future in _arrivals(client, iter(suspects.items()), _Room(client, 1), plan):
        if _killed_its_workers(future):
            yield Outcome(index, failure="the workers died under it, one after another")
        else:
            yield _outcome(index, future)


def _arrivals(
    client: Any, waiting: Iterator[tuple[int, str]], room: _Room, plan: tuple[Any, ...]
) -> Iterator[tuple[int, str, Any]]:
    """Keep a bounded number of tasks on their way and give the futures that are done."""
    arriving = import_module("distributed").as_completed(loop=client.loop)
    on_their_way: dict[str, tuple[int, str]] = {}
    while True:
        while len(on_their_way) < room.size() and (item := next(waiting, None)) is not None:
            key = f"powercal-{os.urandom(8).hex()}"
            with _speaking():
                future = client.submit(carry_out, item[1], *plan, key=key, pure=False)
            on_their_way[future.key] = item
            arriving.add(future)
        if not on_their_way:
            return
        future = next(arriving)
        yield *on_their_way.pop(future.key), future


class _Room:
    """How many tasks may be on their way; workers come and go."""

    def __init__(self, client: Any, most: int | None = None) -> None:
        self._client = client
        self._most = most
        self._size = 0
        self._counted = -math.inf

    def size(self) -> int:
        """Return the room for the workers that were last counted."""
        if self._most is not None:
            return self._most
        now = time.monotonic()
        if now - self._counted >= _COUNT_AGAIN:
            with _speaking():
                threads = sum(self._client.nthreads().values())
            self._size = max(_PER_THREAD * threads, _LEAST_IN_FLIGHT)
            self._counted = now
        return self._size


@contextmanager
def _speaking() -> Iterator[None]:
    """Take whatever goes wrong between client and scheduler for the loss of the scheduler."""
    try:
        yield
    except Exception as problem:  # of any kind: OSError, RuntimeError, AttributeError were seen
        raise CancelledError(sentence(problem)) from problem


def _killed_its_workers(future: Any) -> bool:
    if future.status != "error":
        return False
    return type(future.exception()).__name__ == "KilledWorker"


def _outcome(index: int, future: Any) -> Outcome:
    """Read what became of one task: its record, or what dask says of it."""
    try:
        return Outcome(index, **json.loads(future.result()))
    except (CancelledError, PowercalError):
        raise
    except Exception as problem:  # a stranger's: whatever dask or a worker's imports raise
        raise PowercalError(
            f"the workers cannot run tasks ({sentence(problem)}); "
            "wanted: the same powercal and plugins on every worker"
        ) from problem
