"""``powercal plan``: what a measurement would tell, with units as people write them."""

from __future__ import annotations

import pytest

from .conftest import Run

MODEL = ("plan", "finite_temperature", "--detection", "absorbed")
TRUTH = {"gamma_1": "6e6", "gamma_phi": "1e6", "n_th": "0.06", "drive_scale": "3e29"}
VALUES = tuple(
    word
    for name, text in ({"qubit_frequency": "5GHz"} | TRUTH).items()
    for word in ("--value", f"{name}={text}")
)
GRID = ("--power", "-140dBm..-118dBm:6", "--frequency", "4.997GHz..5.003GHz:13")
POWER = ("--noise", "absorbed_power=0.2aW")
BOTH = (*POWER, "--noise", "excited_population=0.02")
ASKED = (*MODEL, *VALUES, *GRID)


def test_a_plan_says_what_is_needed_for_a_target(run: Run) -> None:
    left = run(*ASKED, *BOTH, "--target", "gamma_1=1%", "--target", "n_th=0.001")
    assert left.code == 0
    assert "gamma_1 to 1 %: one reading of every point of the given grid, 78 in all" in left.out
    assert "n_th to 1.7 %: " in left.out
    assert "readings of every point of the given grid" in left.out


def test_what_cannot_be_reached_leaves_with_one_and_says_why(run: Run) -> None:
    line = ("--gain-db", "40±0.5", "--target", "gamma_1=2%", "--target", "n_th=0.005")
    left = run(*ASKED, "--noise", "absorbed_power=2fW", *line)
    assert left.code == 1
    assert "no number of averages reaches it: line (gain_db) alone gives 12 %" in left.out
    assert "impossible with measurements of this kind" in left.out


def test_the_json_holds_numbers_and_nothing_else_on_stdout(run: Run) -> None:
    error = ("--error", "power meter: incident_power 5%")
    left = run(*ASKED, *BOTH, *error, "--averages", "4", "--json")
    row = left.json["quantities"]["drive_scale"]
    assert left.json["averages"] == 4
    assert row["status"] == "determined"
    assert row["floor"] > 0.04 * row["value"]
    assert set(row["sources"]) == {"noise", "power meter"}


def test_candidates_priors_and_held_parameters_are_read(run: Run) -> None:
    more = ("--candidates", "incident_power=-118dBm..-110dBm:5", "--prior", "T1=150±5ns")
    left = run(*ASKED, *POWER, *more, "--fix", "qubit_frequency=5GHz", "--json")
    rows = left.json["quantities"]
    assert rows["qubit_frequency"]["status"] == "fixed"
    assert rows["n_th"]["status"] == "determined"
    assert rows["T1"]["sources"]["prior (T1)"] > 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((*ASKED,), 3, "the noise of absorbed_power is not given"),
        ((*ASKED, *POWER, "--target", "gama_1=2%"), 3, "did you mean 'gamma_1'"),
        ((*MODEL, *GRID, *POWER, "--value", "gamma_1=1MHz"), 2, "a rate in s-1 is wanted"),
        ((*ASKED, *POWER, "--target", "T1=5nW"), 3, "the target of T1: unit 'nW' measures power"),
    ],
)
def test_what_cannot_be_planned_costs_a_sentence(
    run: Run, arguments: tuple[str, ...], code: int, message: str
) -> None:
    left = run(*arguments)
    assert left.code == code
    assert message in left.err
