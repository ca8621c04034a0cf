"""Contract: beside three broken plugins everything else works, and each is named with its cause."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import powercal as pc
from contract.broken_plugins import BROKEN, code_of, module_of
from powercal import registry
from powercal.testing import make_traces


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Lay all three out the way pip would, gather, and yield what was warned of."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv(registry.STRICT, raising=False)
    monkeypatch.delenv(registry.DISABLE, raising=False)
    for name in BROKEN:
        module = module_of(name)
        (tmp_path / f"{module}.py").write_text(code_of(name))
        info = tmp_path / f"{module}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[powercal]\n{module} = {module}\n")
    registry.reset()
    with pytest.warns(registry.PluginWarning) as caught:
        registry.plugins()
    yield "\n".join(str(warning.message) for warning in caught)
    registry.reset()
    for name in BROKEN:
        sys.modules.pop(module_of(name), None)


@pytest.mark.parametrize("name", BROKEN)
def test_each_is_named_with_its_cause(name: str, broken: str) -> None:
    line = next(line for line in broken.splitlines() if name in line)
    assert BROKEN[name][1] in line


def test_the_status_of_each_is_listed(broken: str) -> None:
    found = {info.distribution: info.status for info in registry.plugins()}
    expected = {"broken-import": "broken", "broken-hook": "broken", "doubled-name": "ok"}
    assert {name: found[name] for name in BROKEN} == expected


def test_a_fit_with_a_model_of_the_house_still_works(broken: str) -> None:
    model = pc.get_model("finite_temperature").configure(detection="absorbed")
    traces = make_traces(model)
    result = pc.fit(traces, "finite_temperature", intervals="covariance")
    # Six standard errors: the noise is Gaussian and its seed fixed.
    rate = result["gamma_1"]
    assert rate.value is not None
    assert rate.stderr is not None
    assert abs(rate.value - 1e6) < 6 * rate.stderr
