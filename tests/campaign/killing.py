"""Start campaigns, kill them at random moments, and find out whether anything was lost."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from .folders import identities


def fork(work: Callable[[], object]) -> int:
    """Do something in a child that leads a process group of its own; return its id."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # threads of BLAS, of which there is one
        child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.setsid()
        work()
        code = 0
    finally:
        os._exit(code)


def wait(child: int, seconds: float = 60.0) -> int | None:
    """Return how a child ended (negative: by a signal); None if it did not."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    return None


def kill_group(leader: int, number: int = signal.SIGKILL) -> None:
    os.killpg(leader, number)


def records(output: Path) -> int:
    return sum(1 for name in os.listdir(output / "records") if name.endswith(".json"))


def lost(output: Path) -> list[str]:
    """Name every record that cannot be read or whose reports are not what it says."""
    wrong = []
    for path in sorted((output / "records").glob("*.json")):
        try:
            listed = json.loads(path.read_text(encoding="utf-8"))["reports"]
            contents = [((output / "reports" / n).read_bytes(), digest) for n, digest in listed]
            whole = all(hashlib.sha256(data).hexdigest() == digest for data, digest in contents)
        except (OSError, ValueError):
            whole = False
        if not whole:
            wrong.append(path.name)
    return wrong


def kill_until_done(
    start: Callable[[], int], output: Path, *, kills: int, files: int, seed: int, jitter: float
) -> tuple[int, dict[str, tuple[int, int]]]:
    """Kill after random numbers of records and random delays; return kills and what was kept.

    Asserts after every kill that nothing acknowledged is damaged, gone or written once more.
    """
    chance = random.Random(seed)
    (output / "records").mkdir(parents=True, exist_ok=True)
    kept: dict[str, tuple[int, int]] = {}
    done = 0
    for goal in sorted(chance.sample(range(files - 2), kills)):
        child = start()
        end = time.monotonic() + 120
        while records(output) < max(goal, len(kept)) and time.monotonic() < end:
            time.sleep(0.001)
        time.sleep(chance.uniform(0, jitter))
        kill_group(child)
        done += wait(child) == -signal.SIGKILL
        now = identities(output)
        assert lost(output) == []
        assert {name: now.get(name) for name in kept} == kept
        kept = now
    return done, kept
