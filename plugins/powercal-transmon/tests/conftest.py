"""The plugin as pip would lay it out, for runs from a folder in which it is not installed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make sure that powercal finds both models by name."""
    from powercal import registry

    names = {entry.name for entry in entry_points(group="powercal")}
    if "transmon" not in names:
        import tomllib

        table = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))
        rows = table["project"]["entry-points"]["powercal"]
        info = tmp_path / "powercal_transmon-0.1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: powercal-transmon\nVersion: 0.1.0\n"
        )
        lines = "".join(f"{key} = {value}\n" for key, value in rows.items())
        (info / "entry_points.txt").write_text(f"[powercal]\n{lines}")
        monkeypatch.syspath_prepend(tmp_path)
    registry.reset()
    yield
    registry.reset()
