"""``powercal coverage``: tables, JSON and exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Run

ONE = ("power_balance", "--regime", "n_th 0.1, middle saturation, line ±0 dB, population ±0 %")


def test_a_table_has_a_row_for_every_parameter_and_regime(run: Run, tmp_path: Path) -> None:
    table = tmp_path / "table.md"
    done = run("coverage", *ONE, "--sets", "40", "-o", table)
    assert done.code == 0
    assert table.read_text(encoding="utf-8") == done.out
    for name in ("`gamma_1`", "`n_th`", "`T1`", "**all parameters**", ONE[2]):
        assert f"| {name} | " in done.out


def test_json_holds_coverage_bias_and_shares_of_statuses(run: Run) -> None:
    done = run("coverage", *ONE, "--sets", "40", "--json")
    found = done.json["power_balance"]
    assert found["passed"] is True
    n_th = found["parameters"]["n_th"]
    assert n_th["statuses"] == {"ok": 40}
    assert 0.5 < n_th["cov68"] <= n_th["cov95"] <= 1
    assert abs(n_th["bias"]) < 4 * n_th["bias_error"]


def test_a_coverage_outside_leaves_with_exit_code_one(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("powercal.testing.coverage.WINDOWS", {68: (0.99, 1.0), 95: (0.99, 1.0)})
    monkeypatch.setattr("powercal.testing.coverage.NOMINAL", {68: 0.999, 95: 0.999})
    done = run("coverage", *ONE, "--sets", "20")
    assert done.code == 1
    assert "power_balance: over all regimes" in done.err


@pytest.mark.parametrize("words", [(), ("power_balance", "--all")])
def test_one_model_or_all_must_be_named(run: Run, words: tuple[str, ...]) -> None:
    done = run("coverage", *words)
    assert done.code == 2
    assert "Name one model, or say --all." in done.err


def test_an_unknown_model_is_refused(run: Run) -> None:
    assert run("coverage", "no_such_model").code == 3
