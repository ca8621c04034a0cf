"""The README's example runs and says what the README says of it."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest

from powercal import registry

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let powercal find the plugin also where it is only on the path."""
    try:
        distribution("powercal-floquet")
    except PackageNotFoundError:
        info = tmp_path / "powercal_floquet-0.1.0.dist-info"
        info.mkdir()
        name = "Metadata-Version: 2.1\nName: powercal-floquet\nVersion: 0.1.0\n"
        (info / "METADATA").write_text(name)
        (info / "entry_points.txt").write_text(
            "[powercal]\nfloquet = powercal_floquet.model\n"
            "floquet_channels = powercal_floquet.channels\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
    registry.reset()
    yield
    registry.reset()


@cache
def run() -> tuple[str, dict[str, Any]]:
    printed, names = io.StringIO(), dict[str, Any]()
    with contextlib.redirect_stdout(printed):
        exec(compile(block("python"), "README", "exec"), names)
    return printed.getvalue(), names


@pytest.mark.usefixtures("installed")
def test_the_example_prints_what_the_readme_says() -> None:
    assert run()[0] == block("text")


@pytest.mark.usefixtures("installed")
def test_the_rate_of_the_example_is_the_true_one() -> None:
    names = run()[1]
    rate = names["rate"]
    # One seed, one number: four standard errors leave a chance of 6e-5.
    assert abs(rate.value - names["truth"]["gamma_1"]) < 4 * rate.stderr
