"""The line on the terminal."""

from __future__ import annotations

import io

from powercal.campaign.progress import Progress


class Terminal(io.StringIO):
    """Somebody looks."""

    def isatty(self) -> bool:
        return True


def test_it_says_how_many_are_done_and_how_long_the_rest_takes() -> None:
    now = 0.0
    progress = Progress(Terminal(), clock=lambda: now)
    progress.begin(100)
    for _ in range(40):
        progress.keep()
    now = 10.0
    for i in range(20):
        progress.add(failed=i == 3)
    assert progress.line() == "60/100 files, 1 failed, 2/s, ETA 0:20"


def test_long_campaigns_are_told_in_hours() -> None:
    now = 0.0
    progress = Progress(Terminal(), clock=lambda: now)
    progress.begin(5000)
    now = 1.0
    progress.add()
    assert progress.line() == "1/5000 files, 1/s, ETA 1:23:19"


def test_no_time_is_told_before_anything_is_known() -> None:
    progress = Progress(Terminal())
    progress.begin(3)
    progress.keep()
    assert progress.line() == "1/3 files"


def test_the_line_replaces_itself_and_goes_away() -> None:
    screen = Terminal()
    progress = Progress(screen, clock=iter(range(99)).__next__)
    progress.begin(2)
    progress.keep()
    progress.keep()
    progress.end()
    assert screen.getvalue() == "\r1/2 files\r2/2 files\r         \r"


def test_it_does_not_write_faster_than_one_can_read() -> None:
    screen = Terminal()
    progress = Progress(screen, clock=lambda: 5.0)
    progress.begin(1000)
    for _ in range(999):
        progress.keep()
    assert screen.getvalue() == "\r1/1000 files"


def test_it_is_silent_where_nobody_looks() -> None:
    file = io.StringIO()
    progress = Progress(file)
    progress.begin(1)
    progress.add(failed=True)
    progress.end()
    assert file.getvalue() == ""
