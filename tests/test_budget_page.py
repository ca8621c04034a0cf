"""The uncertainty budget as people and programs see it: page, JSON, command line."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest

from powercal.loaders.hdf5 import save_traces
from powercal.result import BudgetRow, Estimate, FitResult
from powercal.text import describe, to_json
from tests.cli.conftest import balance
from tests.make_result import make_result

ROWS = (
    BudgetRow(source="noise", kind="statistical", contributions={"gamma_1": 3e4, "T1": 1e-10}),
    BudgetRow(
        source="power meter",
        kind="systematic",
        contributions={"gamma_1": 4e4, "T1": 1e-14},
        switched_off={"gamma_1": 4.5e4, "T1": np.nan},
    ),
    BudgetRow(source="choice of weights", kind="systematic", contributions={"gamma_1": 1.2e5}),
)


def page(result: FitResult) -> str:
    """Return the budget's section of the page."""
    found = re.search(r"\nUncertainty budget\n(.*?)\n\n", describe(result), flags=re.DOTALL)
    assert found is not None
    return found[1]


def cells(text: str) -> dict[str, str]:
    """Return the cell of the first quantity by the source of its row."""
    rows = [re.split(r" {2,}", line.strip()) for line in text.splitlines()]
    return {row[0]: row[-1] for row in rows if len(row) > 1}


def test_the_page_lists_sources_and_totals_and_keeps_choices_apart() -> None:
    found = cells(page(make_result(budget=ROWS)))
    # Γ₁ is 1.127e7: 3e4 and 4e4 make 5e4, and with 1.2e5 they make 1.3e5.
    assert found["noise"] == "30 × 10³ s⁻¹ (0.27 %)"
    assert found["power meter"] == found["all systematic"] == "40 × 10³ s⁻¹ (0.35 %)"
    assert found["standard error"] == "50 × 10³ s⁻¹ (0.44 %)"
    assert found["with choices"] == "130 × 10³ s⁻¹ (1.2 %)"
    assert list(found).index("standard error") < list(found).index("choice of weights")


def test_the_page_says_how_choices_are_counted() -> None:
    assert "half the spread between its alternatives" in page(make_result(budget=ROWS))
    assert "half the spread" not in page(make_result(budget=ROWS[:2]))


def test_what_is_not_determined_has_no_column_but_a_word() -> None:
    text = page(make_result(budget=ROWS))
    assert "n_th has no budget: undetermined." in text
    assert "n_th" not in text.splitlines()[0]


def test_an_assumption_without_an_error_is_named_under_the_table() -> None:
    held = Estimate(name="n_th", unit="1", meaning="", status="fixed", value=0.06)
    first = make_result().parameters[0]
    text = page(make_result(budget=ROWS, parameters=(first, held)))
    assert "n_th is held at 0.06 without an error: all rows are given this value." in text


def test_shares_of_a_limit_come_without_percent() -> None:
    limit = Estimate(
        name="n_th", unit="1", meaning="", status="upper_limit", value=1e-4, interval95=(0, 0.002)
    )
    rows = (BudgetRow(source="noise", kind="statistical", contributions={"n_th": 0.001}),)
    text = page(make_result(budget=rows, parameters=(limit,)))
    assert "n_th (limit)" in text
    assert cells(text)["noise"] == "0.001"


def test_a_source_of_no_weight_is_called_negligible() -> None:
    small = dataclasses.replace(ROWS[1], contributions={"gamma_1": 20.0})
    # 20 against 3e4 is 7e-4 of the error, half a millionth of its square.
    assert cells(page(make_result(budget=(ROWS[0], small))))["power meter"] == "negligible"


def test_a_result_without_a_budget_has_no_such_section() -> None:
    assert "Uncertainty budget" not in describe(make_result())


def test_json_holds_the_rows_and_null_for_what_is_no_number() -> None:
    found = json.loads(json.dumps(to_json(make_result(budget=ROWS)), allow_nan=False))["budget"]
    assert [row["source"] for row in found] == ["noise", "power meter", "choice of weights"]
    assert found[1] == {
        "source": "power meter",
        "kind": "systematic",
        "contributions": {"gamma_1": 4e4, "T1": 1e-14},
        "switched_off": {"gamma_1": 4.5e4, "T1": None},
    }


# ---- the command line ----


def fit(*arguments: str) -> tuple[int, str]:
    from powercal.cli import main

    printed = io.StringIO()
    with (
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
        pytest.raises(SystemExit) as left,
    ):
        main(["fit", *arguments])
    return int(left.value.code or 0), printed.getvalue()


def test_errors_of_the_command_line_arrive_in_the_budget(tmp_path: Path) -> None:
    save_traces(tmp_path / "line.h5", balance(0))
    wishes = ("--model", "power_balance", "--intervals", "covariance")
    errors = (
        "--error",
        "power meter: absorbed_power 2%",
        "--error",
        "tomography: excited_population 0.01",
    )
    code, page = fit(str(tmp_path / "line.h5"), *wishes, *errors, "--json")
    assert code == 0
    budget = {row["source"]: row for row in json.loads(page[: page.rindex("}") + 1])["budget"]}
    assert list(budget) == ["noise", "tomography", "power meter"]
    # Two per cent of 10⁶ s⁻¹, which the fit finds to a few per cent.
    share = budget["power meter"]["contributions"]["gamma_1"]
    assert share == pytest.approx(0.02 * 1e6, rel=0.1)


def test_an_error_that_cannot_be_read_is_a_usage_error(tmp_path: Path) -> None:
    save_traces(tmp_path / "line.h5", balance(0))
    code, said = fit(str(tmp_path / "line.h5"), "--model", "power_balance", "--error", "2%")
    assert code == 2
    assert "is not a named error; write for example 'power meter: incident_power 2%'" in said
