"""The ledger: what counts as done, and what makes it count no more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from powercal import registry
from powercal.campaign import ledger, run_campaign
from powercal.campaign.ledger import Ledger
from powercal.campaign.run_file import read_run_file
from powercal.line import LineCalibration, write_line
from powercal.loaders.hdf5 import save_traces

from .folders import RUN, identities, make_folder, trace, write_run


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run file of one file, not three."""
    run = make_folder(tmp_path_factory.mktemp("one"), 1)
    run_campaign(run, workers=0)
    return run


def is_done(run: Path) -> bool:
    plan = read_run_file(run)
    book = Ledger(plan.output)
    ((source, overrides),) = plan.find().items()
    return book.acknowledged(book.task(plan, source, overrides)) is not None


def only(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_what_was_done_is_done(run: Path) -> None:
    assert is_done(run)


def test_a_run_file_that_means_the_same_changes_nothing(run: Path) -> None:
    text = RUN.replace("[model]", "[workers]\nnumber = 3\n[model]\nfixed = {}")
    write_run(run.parent, f"# in other words\nstrict = true\n{text}")
    assert is_done(run)


@pytest.mark.parametrize(
    "line",
    [
        "fixed = { n_th = 0 }",
        'priors = { T1 = "1±1us" }',
        "[traces]\nbath_temperature = 0.02",
        '[loader]\nname = "hdf5"',
        '[[override]]\nfiles = "raw/*"\nmodel = { start = { gamma_1 = 1e6 } }',
    ],
)
def test_other_settings_make_it_undone(run: Path, line: str) -> None:
    write_run(run.parent, RUN + line)
    assert not is_done(run)


def test_another_byte_in_the_source_makes_it_undone(run: Path) -> None:
    save_traces(only(run.parent / "raw"), trace(7))
    assert not is_done(run)


@pytest.mark.parametrize("what", ["reference", "line"])
def test_another_byte_in_a_file_beside_the_source_makes_it_undone(
    tmp_path: Path, what: str
) -> None:
    def write(db: float) -> None:
        write_line(tmp_path / "beside", LineCalibration(gain_db=(db, 1.0)))

    make_folder(tmp_path, 1)
    write(1.0)
    plan = read_run_file(write_run(tmp_path, f'{RUN}[{what}]\nfile = "beside"'))
    book = Ledger(plan.output)
    before = book.task(plan, "raw/q0000.h5", ())["key"]
    assert book.task(plan, "raw/q0000.h5", ())["key"] == before
    write(2.0)
    assert book.task(plan, "raw/q0000.h5", ())["key"] != before


def test_another_version_of_the_house_makes_it_undone(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "__version__", "99.0")
    assert not is_done(run)


@pytest.mark.parametrize(("kind", "name"), [("model", "power_balance"), ("loader", "hdf5")])
def test_another_version_of_a_plugin_makes_it_undone(
    run: Path, monkeypatch: pytest.MonkeyPatch, kind: str, name: str
) -> None:
    true = registry.origin

    def origin(asked: str, of: str) -> tuple[str, str]:
        return ("powercal", "99") if (asked, of) == (kind, name) else true(asked, of)

    monkeypatch.setattr(registry, "origin", origin)
    assert not is_done(run)


def test_a_file_that_no_loader_knew_is_tried_again_with_a_new_loader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_folder(tmp_path, 0)
    (tmp_path / "raw" / "a.h5").write_text("of a new kind")
    run_campaign(run, workers=0)
    assert is_done(run)
    offered = {**registry.loaders(), "new": registry.get_loader("hdf5")}
    monkeypatch.setattr(registry, "loaders", lambda: offered)
    monkeypatch.setattr(registry, "origin", lambda kind, name: ("powercal", "0.1.0"))
    assert not is_done(run)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def remove(path: Path) -> None:
    path.unlink()


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("harm", [cut, remove, flip])
def test_a_damaged_report_makes_it_undone(run: Path, harm: Any) -> None:
    harm(only(run.parent / "results" / "reports"))
    assert not is_done(run)


@pytest.mark.parametrize("harm", [remove, lambda p: p.write_text("[]"), lambda p: p.write_text("")])
def test_a_damaged_record_makes_it_undone(run: Path, harm: Any) -> None:
    harm(only(run.parent / "results" / "records"))
    assert not is_done(run)


def test_a_record_of_another_schema_makes_it_undone(run: Path) -> None:
    path = only(run.parent / "results" / "records")
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 99}))
    assert not is_done(run)


def test_what_killed_processes_left_is_removed_and_nothing_else(run: Path) -> None:
    output = run.parent / "results"
    left = [output / d / f".{'0f' * 16}.part" for d in ("", "reports", "records")]
    mine = [output / "notes.part", output / ".profile", output / f".{'0g' * 16}.part"]
    for path in (*left, *mine):
        path.touch()
    Ledger(output).prepare()
    assert [path for path in (*left, *mine) if path.exists()] == mine


def test_a_file_that_did_not_change_is_read_only_once(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, source = Ledger(run.parent / "results"), only(run.parent / "raw")
    first = book.digest(source)
    monkeypatch.setattr(ledger, "digest_of", None)  # would raise if it came to reading
    assert book.digest(source) == first


def test_records_are_written_again_only_for_what_is_done_again(twenty: Path) -> None:
    before = identities(twenty.parent / "results")
    result = run_campaign(twenty, workers=0)
    assert (result.kept, result.done) == (20, 0)
    assert identities(twenty.parent / "results") == before
