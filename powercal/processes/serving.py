"""What one worker process does: take a task from its pipe, work, answer, until the pipe closes.

Tasks and answers are JSON bytes (arrays follow an answer as raw bytes): whatever an answer holds,
reading it runs no code in the parent.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread
from typing import Any

# One thread each: workers share the cores already, and threads of BLAS would only fight for them.
ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
    ),
    "1",
)
_STATM = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True)
class Parcel:
    """A record together with buffers that are too large for JSON."""

    record: dict[str, Any]
    buffers: Sequence[memoryview] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one task: a parcel or a sentence; ``last`` where the worker should go."""

    parcel: Parcel | None = None
    failure: str | None = None
    last: bool = False


def resolve(function: str) -> Callable[..., Any]:
    """Import what ``"module:name"`` names."""
    module, _, name = function.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found


def sentence(problem: BaseException) -> str:
    """Name an exception and its text in one line, whatever its ``__str__`` does."""
    try:
        text = " ".join(str(problem).split())
    except Exception:
        text = "(its text cannot be read)"
    name = type(problem).__name__
    return f"{name}: {text[:2000]}" if text else name


def serve(connection: Connection, function: str, memory_limit: int | None) -> None:
    """Work until the pipe closes.

    Parameters
    ----------
    connection : Connection
        The pipe to the parent.
    function : str
        What is called with each task, as ``"module:name"``.
    memory_limit : int or None
        Bytes that one task may add to the address space.
    """
    _settle_in()
    try:
        work = resolve(function)
    except BaseException as problem:
        _send(connection, Answer(failure=sentence(problem)))
        return
    _send(connection, Answer())
    origin = address_space()
    last = False
    while not last:
        try:
            task = json.loads(connection.recv_bytes())
        except (EOFError, OSError):
            return
        answer = attempt(work, task, memory_limit)
        # What earlier tasks left behind is not the next one's fault, but it must not grow for ever.
        last = answer.last or address_space() - origin > (memory_limit or sys.maxsize)
        _send(connection, Answer(answer.parcel, answer.failure, last))


def attempt(work: Callable[[Any], Any], task: Any, memory_limit: int | None) -> Answer:
    """Do one task under a limit of memory; all that it raises becomes a sentence."""
    try:
        _limit(memory_limit)
        result = work(task)
        parcel = result if isinstance(result, Parcel) else Parcel(dict(result))
        json.dumps(parcel.record)  # here, so that what is no plain data fails as this task's fault
        return Answer(parcel)
    except MemoryError as problem:
        if memory_limit is None:
            return Answer(failure=sentence(problem), last=True)
        return Answer(failure=f"asked for more than {memory_limit / 1e6:.0f} MB", last=True)
    except Exception as problem:
        return Answer(failure=sentence(problem))
    except BaseException as problem:  # SystemExit: it meant to end the process, so let it
        return Answer(failure=sentence(problem), last=True)
    finally:
        _limit(None)


def address_space() -> int:
    """Return the bytes of address space in use; 0 where the system does not tell."""
    try:
        return int(_STATM.read_bytes().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def allow(extra: int) -> None:
    """Raise the limit of the running task by bytes that are not of its own asking."""
    if sys.platform != "win32":
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        if soft != resource.RLIM_INFINITY:
            resource.setrlimit(resource.RLIMIT_AS, (soft + extra, hard))


def _limit(extra: int | None) -> None:
    """Let the address space grow by so many bytes from here; None lifts the limit.

    The limit is laid anew for each task, so that a task is never charged for its forerunners.
    Systems without ``/proc`` do not enforce this limit either: there only the timeout guards.
    """
    used = address_space()
    if sys.platform != "win32" and used:
        import resource

        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        ceiling = hard if extra is None else used + extra
        if hard != resource.RLIM_INFINITY:
            ceiling = min(ceiling, hard)
        resource.setrlimit(resource.RLIMIT_AS, (ceiling, hard))


def _send(connection: Connection, answer: Answer) -> None:
    """Write the head as JSON, then the buffers as they are."""
    buffers = answer.parcel.buffers if answer.parcel else ()
    head: Mapping[str, Any] = {
        "record": answer.parcel.record if answer.parcel else None,
        "failure": answer.failure,
        "last": answer.last,
        "buffers": [buffer.nbytes for buffer in buffers],
    }
    with suppress(OSError):  # a parent that is gone wants no answer; the next read ends the work
        connection.send_bytes(json.dumps(head).encode())
        for buffer in buffers:
            connection.send_bytes(buffer)


def _settle_in() -> None:
    """Obey the parent's pipe alone: no Ctrl-C, no life without it, no words on its output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(ONE_THREAD)  # a forkserver that another library started has its own
    if sys.platform == "linux":
        _die_by_signal()
    else:
        Thread(target=_die_by_watch, daemon=True).start()
    with suppress(OSError):
        os.dup2(2, 1)  # what a plugin prints must not mix with the program's own output


def _die_by_watch() -> None:
    """Leave when the parent has gone, however busy the main thread is."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _die_by_signal() -> None:
    """Let the system end this process when the pipe that ties it to its parent breaks.

    A thread could not: code that holds the interpreter's lock for ever would never let it run.
    """
    if sys.platform == "linux":
        import fcntl

        parent = multiprocessing.parent_process()
        if parent is None or not isinstance(tie := parent.sentinel, int):
            return
        signal.signal(signal.SIGIO, signal.SIG_DFL)
        fcntl.fcntl(tie, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(tie, fcntl.F_SETFL, fcntl.fcntl(tie, fcntl.F_GETFL) | os.O_ASYNC)
        if not parent.is_alive():  # gone before the signal was ordered
            os._exit(1)
