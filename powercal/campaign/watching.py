"""A campaign over a folder that fills while a cooldown runs: new files are fitted as they come."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from powercal.campaign.progress import Progress
from powercal.campaign.run import CampaignResult, one_pass, session, with_workers
from powercal.campaign.run_file import read_run_file
from powercal.campaign.stopping import Interrupted
from powercal.errors import ConfigError

_LOOK = 0.5  # seconds between two looks at files that still grow

Mark = tuple[int, int]


@dataclass
class Settling:
    """Which files have stopped growing.

    Parameters
    ----------
    seconds : float
        How long size and time of change must have stayed the same.
    clock, calendar : callable
        Seconds that only go forward, and those in which files are dated; for tests.
    """

    seconds: float
    clock: Callable[[], float] = time.monotonic
    calendar: Callable[[], float] = time.time
    _seen: dict[Path, tuple[Mark, float]] = field(default_factory=dict)

    def ready(self, paths: Iterable[Path]) -> dict[Path, Mark]:
        """Return the files that do not grow any more, each with its size and time of change."""
        found = {}
        now, seen = self.clock(), dict[Path, tuple[Mark, float]]()
        for path in paths:
            try:
                state = path.stat()
            except OSError:  # it went away between two looks
                continue
            mark = state.st_size, state.st_mtime_ns
            known = self._seen.get(path)
            if known is not None and known[0] == mark:
                seen[path] = known
            else:
                age = self.calendar() - state.st_mtime if known is None else 0.0
                seen[path] = mark, now - max(age, 0.0)
            if now - seen[path][1] >= self.seconds:
                found[path] = mark
        self._seen = seen
        return found

    @property
    def waiting(self) -> bool:
        """Whether some file may still grow."""
        now = self.clock()
        return any(now - since < self.seconds for _, since in self._seen.values())


def watch_campaign(
    run: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    force_unlock: bool = False,
    settle: float = 2.0,
    poll: float | None = None,
    progress: Progress | None = None,
    looks: Iterable[bool] | None = None,
) -> Iterator[CampaignResult]:
    """Fit what the run file's globs find, now and whenever something changes in a folder.

    Parameters
    ----------
    run : path
        The run file.
    folder : path
        Watched, with all folders in it.
    workers, scheduler, force_unlock, progress
        As for :func:`powercal.run_campaign`.
    settle : float
        Seconds for which a file must not have changed before it is opened.
    poll : float, optional
        Look every so many seconds instead of being told by the system (network disks do not tell).
    looks : iterable of bool, optional
        When to look, in place of both; true where something may have changed.

    Yields
    ------
    CampaignResult
        After every round in which there was something new; the summary is that of all files.

    Raises
    ------
    ConfigError
        The run file is wrong, there is no such folder, or the extra ``watch`` is not installed.
    ReportError, FitError
        As for :func:`powercal.run_campaign`.
    """
    plan = with_workers(read_run_file(run), workers, scheduler)
    if not Path(folder).is_dir():
        raise ConfigError(f"there is no folder {folder} to watch; check the path")
    settling, done = Settling(settle), dict[Path, Mark]()
    moments = _looks(Path(folder), poll) if looks is None else looks
    with session(plan, force_unlock) as (ledger, stop):
        for changed in moments:
            stop.check()
            if not (changed or settling.waiting):
                continue
            sources = plan.find(all_there=False)
            ready = settling.ready(plan.root / source for source in sources)
            if ready == done:
                continue
            chosen = {s: o for s, o in sources.items() if plan.root / s in ready}
            yield one_pass(plan, ledger, stop, progress or Progress(), chosen)
            done = ready


def _looks(folder: Path, poll: float | None) -> Iterator[bool]:
    """Say when to look, for ever: at once, and after every change or pause."""
    try:
        if poll is not None:
            while True:
                yield True
                time.sleep(poll)
        changes = _watched(folder)
        next(changes)  # from here on the system keeps count, also while files are fitted
        yield True
        for change in changes:
            yield bool(change)
    except (Interrupted, KeyboardInterrupt):
        return  # to be stopped while waiting is how watching ends


def _watched(folder: Path) -> Iterator[object]:
    """Return an iterator over changes, which yields nothing in particular after every pause."""
    try:
        from watchfiles import watch
    except ImportError as error:
        raise ConfigError(
            "to be told of new files needs watchfiles; install powercal[watch], or look every few "
            "seconds: --poll 5"
        ) from error
    pause = round(1000 * _LOOK)
    changes: Iterator[object] = watch(folder, yield_on_timeout=True, rust_timeout=pause)
    return changes
