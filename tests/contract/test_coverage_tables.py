"""Contract: every model that ships carries its table of coverage in the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

import powercal as pc
from powercal.testing.coverage_regimes import regimes_of

DOCUMENT = Path(__file__).parents[2] / "docs" / "coverage.md"
BUILT_INS = (
    *("single_channel", "finite_temperature", "multi_channel", "channels"),
    *("power_balance", "free_decay", "reflection", "transmission"),
)
OF_PLUGINS = (
    *("bloch_gain", "cavity", "double_dot", "laser", "periodic_dot"),
    *("floquet", "floquet_channels", "transmon", "transmon_reflection", "two_level_bath"),
)


def section(model: str) -> str:
    return DOCUMENT.read_text(encoding="utf-8").split(f"\n## {model}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("model", [*BUILT_INS, *OF_PLUGINS])
def test_the_table_of_every_model_is_in_the_documentation_and_passed(model: str) -> None:
    assert "hold the truth; passed." in section(model)


@pytest.mark.parametrize("model", BUILT_INS)
def test_a_table_names_the_regimes_that_the_model_declares(model: str) -> None:
    rows = section(model).split("Regime by regime")[1]
    for regime in regimes_of(pc.get_model(model)):
        assert f"| {regime.name} | " in rows
