"""The page on doubt is true: its code runs and prints what stands below it."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "doubt.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_examples_of_the_page_on_doubt_run_and_print_what_it_shows() -> None:
    names: dict[str, object] = {}
    printed = []
    for block in blocks("python"):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(block, "doubt.md", "exec"), names)
        printed.append(out.getvalue().strip())
    ladder, spikes = printed
    assert ladder == blocks("text")[0].strip()
    assert spikes == "1.0 -1"
