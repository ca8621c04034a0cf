"""One campaign at a time in an output folder: a lock file that outlives no process.

HDF5 has locks of its own, but they do not protect a good file from a second writer; this one does.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from powercal.campaign.names import printable
from powercal.errors import ReportError

NAME = ".lock"


@contextmanager
def holding(folder: Path, *, force: bool = False) -> Iterator[None]:
    """Hold the lock of a folder.

    A lock whose process is dead, or ran before the machine was started anew, is taken over.

    Parameters
    ----------
    folder : Path
        The output folder, which must exist.
    force : bool
        Take the lock whoever holds it.

    Raises
    ------
    ReportError
        Somebody else holds it.
    """
    path, mine = folder / NAME, _myself()
    try:
        _take(folder, path, mine, force)
    except OSError as error:
        raise ReportError(
            f"the output folder {folder} cannot be locked: {error}; check permissions and free "
            f"space, or choose another output"
        ) from error
    try:
        yield
    finally:
        if _holder(path) == mine:  # not one that took it by force
            path.unlink()


def _take(folder: Path, path: Path, mine: dict[str, Any], force: bool) -> None:
    with _guard(folder):
        holder = _holder(path)
        if holder is not None and not force and not _is_dead(holder):
            raise ReportError(_refusal(folder, holder))
        with suppress(FileNotFoundError):
            path.unlink()
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        try:
            os.write(handle, json.dumps(mine).encode())
        finally:
            os.close(handle)


@contextmanager
def _guard(folder: Path) -> Iterator[None]:
    """Let one process at a time look at the lock; the system ends this when a process dies.

    Without it two that find the same dead lock could each remove the other's new one.
    """
    if os.name == "nt":
        yield  # O_EXCL alone decides
        return
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network disks know no such locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _holder(path: Path) -> dict[str, Any] | None:
    """Return who holds the lock; an unreadable lock is nobody's whom one could name."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _myself() -> dict[str, Any]:
    pid = os.getpid()
    return {"pid": pid, "host": socket.gethostname(), "boot": _boot(), "start": _start(pid)}


def _is_dead(holder: dict[str, Any]) -> bool:
    if not holder:  # killed between making the lock and writing into it
        return True
    if holder.get("host") != socket.gethostname():
        return False
    if holder.get("boot") != _boot():
        return True
    pid = holder.get("pid")
    if not isinstance(pid, int) or pid <= 0:
        return True
    if holder.get("start") is not None:
        return bool(_start(pid) != holder["start"])
    return not _runs(pid)


def _runs(pid: int) -> bool:
    if os.name == "nt":  # there a signal would end the process; better to ask the user
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _start(pid: int) -> str | None:
    """Return when a process was started, by the clock of Linux; None where it is gone or unknown.

    A process number is used again some day; together with this it is not.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def _boot() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def _refusal(folder: Path, holder: dict[str, Any]) -> str:
    who = f"process {holder.get('pid')} on {holder.get('host')}"
    return (
        f"another campaign ({printable(who)}) is writing into {folder}; wait for it or choose "
        f"another output, or use --force-unlock if that process is gone"
    )
