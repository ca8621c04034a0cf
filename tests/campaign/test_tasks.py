"""One task: a source opened, fitted, reported; what fails is told and costs nobody else."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

import powercal as pc
from powercal.campaign import ledger, tasks
from powercal.campaign.ledger import Ledger
from powercal.campaign.run_file import read_run_file
from powercal.campaign.tasks import perform
from powercal.errors import ConfigError, FitError
from powercal.fitting.batch import compiled
from powercal.loaders.hdf5 import save_traces

from .folders import RUN, digests, make_folder, repeats, trace, write_run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "raw").mkdir()
    return tmp_path


def task_of(root: Path, text: str = RUN) -> dict[str, Any]:
    """The task of the one source, having been sent somewhere as JSON."""
    run = read_run_file(write_run(root, text))
    book = Ledger(run.output)
    book.prepare()
    ((source, overrides),) = run.find().items()
    sent: dict[str, Any] = json.loads(json.dumps(book.task(run, source, overrides)))
    return sent


def record_of(root: Path) -> dict[str, Any]:
    (path,) = (root / "results" / "records").iterdir()
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_a_report_of_a_campaign_is_what_the_verbs_give(root: Path) -> None:
    save_traces(root / "raw" / "a.h5", trace(1))
    answer = perform(task_of(root))
    (name,) = (report for report, _ in record_of(root)["reports"])
    device = pc.to_device_plane(pc.open_traces(root / "raw" / "a.h5"))
    told = pc.fit(device.assign_attrs(source="raw/a.h5"), "power_balance", intervals="covariance")
    assert pc.read_report(root / "results" / "reports" / name).equals(told)
    assert (answer["items"], answer["failed"], answer["acknowledged"]) == (1, 0, True)


def test_every_item_of_a_file_has_a_report_and_those_that_fail_a_row(root: Path) -> None:
    save_traces(root / "raw" / "a.h5", repeats((1, 2, 3), empty=1))
    answer = perform(task_of(root))
    rows = record_of(root)["rows"]
    assert [(r["item"], r["status"]) for r in rows] == [
        ("repeat=0", "ok"),
        ("repeat=1", "failed"),
        ("repeat=2", "ok"),
    ]
    assert rows[1]["kind"] == "FitError"
    assert len(list((root / "results" / "reports").iterdir())) == 2
    assert (answer["items"], answer["failed"]) == (3, 1)


def test_the_wishes_of_the_run_file_reach_the_fit(root: Path) -> None:
    save_traces(root / "raw" / "a.h5", trace(1))
    wishes = 'fixed = { n_th = 0 }\npriors = { T1 = "1±0.1us" }\nstart = { gamma_1 = 2e6 }\n'
    perform(task_of(root, RUN + wishes))
    (report,) = (root / "results" / "reports").iterdir()
    request = pc.read_report(report).request
    assert request["fixed"] == {"n_th": 0.0}
    assert request["priors"] == {"T1": [1e-6, pytest.approx(1e-7, rel=1e-12)]}
    assert request["start"] == {"gamma_1": 2e6}


def test_what_is_no_measurement_is_a_row_that_the_ledger_keeps(root: Path) -> None:
    (root / "raw" / "a.h5").write_text("shopping list")
    answer = perform(task_of(root))
    (row,) = record_of(root)["rows"]
    assert (row["status"], row["kind"]) == ("failed", "LoaderChoiceError")
    assert row["failure"].startswith("a.h5 is claimed by no loader")
    assert answer["acknowledged"]
    assert answer["failed"] == 1


def test_a_bug_is_a_row_that_names_its_place_and_is_tried_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_traces(root / "raw" / "a.h5", trace(1))
    given = task_of(root)

    def stumble(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(tasks, "fit", stumble)
    answer = perform(given)
    assert not answer["acknowledged"]
    assert answer["rows"] == [
        {
            "item": "",
            "status": "failed",
            "failure": "a bug",
            "kind": "ZeroDivisionError",
            "cause": f"raised in {__name__}, line {stumble.__code__.co_firstlineno + 1}",
        }
    ]
    assert list((root / "results" / "records").iterdir()) == []


def test_a_failure_that_the_disk_may_have_caused_is_tried_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_traces(root / "raw" / "a.h5", trace(1))
    given = task_of(root)

    def refuse(*_: Any, **__: Any) -> None:
        raise FitError("no") from OSError(5, "Input/output error")

    monkeypatch.setattr(tasks, "fit", refuse)
    answer = perform(given)
    assert not answer["acknowledged"]
    assert answer["rows"][0]["cause"] == "OSError: [Errno 5] Input/output error"


def test_too_little_memory_is_told_to_the_worker_who_knows_the_limit(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_traces(root / "raw" / "a.h5", trace(1))
    given = task_of(root)

    def hog(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(tasks, "fit", hog)
    with pytest.raises(MemoryError):
        perform(given)


def test_an_input_that_changed_since_it_was_hashed_is_not_entered(root: Path) -> None:
    save_traces(root / "raw" / "a.h5", trace(1))
    given = task_of(root)
    save_traces(root / "raw" / "a.h5", trace(2))
    answer = perform(given)
    assert not answer["acknowledged"]
    assert answer["rows"][0]["failure"].startswith("an input changed while the campaign ran")


def test_a_worker_with_other_versions_does_not_mix_its_numbers_in(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_traces(root / "raw" / "a.h5", trace(1))
    given = task_of(root)
    monkeypatch.setattr(ledger, "__version__", "99.0")
    answer = perform(given)
    assert not answer["acknowledged"]
    assert answer["rows"][0]["failure"].startswith("this worker has {'powercal': '99.0', ")


def test_warnings_are_counted_and_not_sprayed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_traces(root / "raw" / "a.h5", repeats((1, 2)))
    given = task_of(root)

    def grumble(*_: Any, **__: Any) -> list[Any]:
        for _ in range(3):
            warnings.warn("hm", stacklevel=2)
        return []

    monkeypatch.setattr(tasks, "fit_each", grumble)
    assert perform(given)["warnings"] == {"UserWarning: hm": 3}


def test_no_result_says_where_on_this_machine_the_files_lie(tmp_path: Path) -> None:
    place = tmp_path / "secretfolder"
    make_folder(place, 1)
    (place / "raw" / "bad.h5").write_text("x")
    pc.run_campaign(place / "run.toml", workers=0)
    for path in (place / "results").rglob("*.*"):
        assert b"secretfolder" not in path.read_bytes()
    assert len(digests(place / "results")) == 5  # a report, two records, the summary twice


def test_fits_made_together_are_one_file_and_one_row(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if this machine had compiled the model before: that must not show in the bytes.
    monkeypatch.setattr(compiled, "worth_it", lambda *_: True)
    save_traces(root / "raw" / "a.h5", repeats((1, 2, 3), empty=1))
    answer = perform(task_of(root, RUN + 'over = ["repeat"]\n'))
    (row,) = record_of(root)["rows"]
    assert (answer["items"], answer["failed"], answer["acknowledged"]) == (1, 0, True)
    assert row["flags"] == ["2 of 3 fits made together converged"]
    assert row["verdicts"] == {"converged": False, "identifiable": True}
    device = pc.to_device_plane(pc.open_traces(root / "raw" / "a.h5"))
    told = pc.fit_many(device, "power_balance", over=("repeat",), solver="numpy")
    with pc.read_fits(root / "results" / "reports" / row["report"]) as stored:
        xr.testing.assert_equal(stored.load(), told)
        assert stored.attrs["solver"] == "numpy"


def test_fits_made_together_have_no_per(root: Path) -> None:
    save_traces(root / "raw" / "a.h5", repeats((1, 2)))
    with pytest.raises(ConfigError, match="made together have no per"):
        task_of(root, RUN + 'over = ["repeat"]\nper = { n_th = "repeat" }\n')
