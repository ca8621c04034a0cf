"""Where tests look for measured files of other laboratories, which may not be shipped."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2].parent / "shared" / "data"


def real_file(name: str) -> Path:
    """Return a measured file, or skip where it is absent."""
    path = FOLDER / name
    if not path.is_file():
        pytest.skip(
            f"../shared/data/{name} (from the project's root) is not here: the measured files may "
            f"not be shipped (../shared/data/README.md)"
        )
    return path
