"""Print the two commands of the README that are to be copied on a fresh machine, one a line."""

from __future__ import annotations

import sys
from pathlib import Path


def commands(readme: str) -> list[str]:
    """Return the one-line commands of the README that are to be copied on a fresh machine."""
    starts = ("python3 -m venv", ".venv/bin/pip install")
    lines = (line.strip() for line in readme.splitlines())
    return [line for line in lines if line.startswith(starts)]


if __name__ == "__main__":
    print("\n".join(commands(Path(sys.argv[1]).read_text(encoding="utf-8"))[:2]))
