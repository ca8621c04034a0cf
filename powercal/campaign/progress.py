"""How far a campaign is: one line on a terminal, nothing elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

_INTERVAL = 0.1  # seconds between two updates, which a person cannot read faster


class Terminal(Protocol):
    """What is written to."""

    def isatty(self) -> bool:
        """Whether a person is looking."""
        ...

    def write(self, text: str, /) -> object:
        """Write."""
        ...

    def flush(self) -> object:
        """Show what was written."""
        ...


class Progress:
    """A line that says how many sources are done and how long the rest will take.

    Parameters
    ----------
    stream : Terminal or None
        Where to write; nothing is written unless it is a terminal.
    clock : callable
        Seconds, for tests.
    """

    def __init__(
        self, stream: Terminal | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.stream = stream if stream is not None and stream.isatty() else None
        self.clock = clock
        self.total = self.kept = self.done = self.failed = self.width = 0
        self.begun = self.shown = float("-inf")

    def begin(self, total: int) -> None:
        """Start to count."""
        self.total, self.kept, self.done, self.failed = total, 0, 0, 0
        self.begun, self.shown = self.clock(), float("-inf")

    def keep(self) -> None:
        """Count a source that was done before."""
        self.kept += 1
        self._show()

    def add(self, failed: bool = False) -> None:
        """Count a source that has been done now."""
        self.done += 1
        self.failed += failed
        self._show()

    def end(self) -> None:
        """Take the line away."""
        if self.stream is not None and self.width:
            self.stream.write(f"\r{' ' * self.width}\r")
            self.stream.flush()
            self.width = 0

    def line(self) -> str:
        """Return the line as it stands."""
        ready = self.kept + self.done
        parts = [f"{ready}/{self.total} files"]
        if self.failed:
            parts.append(f"{self.failed} failed")
        elapsed = self.clock() - self.begun
        if self.done and elapsed > 0:
            rate = self.done / elapsed
            parts.append(f"{rate:.3g}/s")
            parts.append(f"ETA {_clock_time((self.total - ready) / rate)}")
        return ", ".join(parts)

    def _show(self) -> None:
        now = self.clock()
        last = self.kept + self.done >= self.total
        if self.stream is None or (now - self.shown < _INTERVAL and not last):
            return
        text = self.line()
        self.stream.write(f"\r{text.ljust(self.width)}")
        self.stream.flush()
        self.shown, self.width = now, len(text)


def _clock_time(seconds: float) -> str:
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
