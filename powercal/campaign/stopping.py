"""SIGTERM and SIGINT end a campaign in order: workers stopped, no temporary files, results kept."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """Somebody asked the campaign to stop; ``code`` is the exit code, 128 + the signal's number.

    No ``Exception``: nothing that catches the failure of one file shall catch it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.code = 128 + number


class Stop:
    """Whether a signal has come."""

    def __init__(self) -> None:
        self.number: int | None = None

    def check(self) -> None:
        """Raise what the signal raised, should some callback have swallowed it."""
        if self.number is not None:
            raise Interrupted(self.number)


@contextmanager
def interruptible() -> Iterator[Stop]:
    """Turn the first signal into :class:`Interrupted`; a second one ends the process at once."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread is told of signals
        return

    def receive(number: int, frame: FrameType | None) -> None:
        for other in _SIGNALS:
            signal.signal(other, signal.SIG_DFL)
        stop.number = number
        raise Interrupted(number)

    before = {number: signal.signal(number, receive) for number in _SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
