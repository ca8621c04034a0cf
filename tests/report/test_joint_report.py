"""A joint fit in a file: whole, readable with h5py alone, and without any code in it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import powercal as pc
from powercal.errors import ReportError
from tests.fitting.test_joint import decay, raw_decay, small


@pytest.fixture(scope="module")
def result() -> pc.JointResult:
    """A sweep and two decays, one of them tied by a function."""
    factor = pc.Parameter(name="factor", unit="1", meaning="ratio of rates", example=1.0, min=0)
    return pc.fit_jointly(
        {
            "sweep": pc.Part(small(), "finite_temperature"),
            "decay": pc.Part(decay(), "free_decay"),
            "12.5mK": pc.Part(raw_decay(), "free_decay"),
        },
        parameters=(factor,),
        ties={"12.5mK.gamma_1_tot": lambda v, part: v["factor"] * v["decay.gamma_1_tot"]},
        priors={"p_0": (0.9, 0.1)},
        intervals="covariance",
    )


@pytest.fixture(scope="module")
def written(result: pc.JointResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its report."""
    return pc.write_report(tmp_path_factory.mktemp("reports") / "joint.h5", result)


@pytest.fixture
def copy(written: Path, tmp_path: Path) -> Path:
    """A copy of the report that may be damaged."""
    return Path(shutil.copy(written, tmp_path / "copy.h5"))


def test_a_joint_fit_comes_back_bit_for_bit(
    tmp_path: Path, written: Path, result: pc.JointResult
) -> None:
    back = pc.read_report(written)
    assert isinstance(back, pc.JointResult)
    assert back.equals(result)
    assert not back.equals(result.parts["sweep"])
    assert str(back) == str(result)
    again = pc.write_report(tmp_path / "again.h5", back)
    assert again.read_bytes() == written.read_bytes()


def test_ties_are_told_by_name_and_functions_are_not_stored(
    written: Path, result: pc.JointResult
) -> None:
    with h5py.File(written) as file:
        told = file.attrs["ties"]
        record = file["provenance/record_json"].asstr()[()]
    assert "12.5mK: gamma_1_tot: a function given as ties['12.5mK.gamma_1_tot']" in told
    assert "decay: gamma_1_tot = gamma_1_tot of sweep" in told
    assert "lambda" not in record
    back = pc.read_report(written)
    assert back["12.5mK.gamma_1_tot"] == result["12.5mK.gamma_1_tot"]
    assert pc.tension(back) == back.tension


def test_every_part_is_a_report_of_its_own_kind(written: Path, result: pc.JointResult) -> None:
    with h5py.File(written) as file:
        assert list(file["parts"]) == ["sweep", "decay", "12.5mK"]
        names = [n.decode() for n in file["parts/decay/parameters/parameter"][()]]
        values = file["parts/decay/parameters/value"][()]
        data = file["parts/sweep/traces/absorbed_power"][()]
        curve = file["parts/sweep/fit/absorbed_power"][()]
        sigmas = dict(zip(file["tension/number"].asstr()[()], file["tension/sigmas"], strict=True))
    assert names == ["gamma_1_tot", "p_0", "p_eq"]
    assert values[0] == result["decay.gamma_1_tot"].value
    assert data.shape == curve.shape
    assert sigmas == {d.name: d.sigmas for d in result.tension.disagreements}


@pytest.mark.parametrize(
    ("place", "match"),
    [
        ("tension/sigmas", "tension disagrees with the record"),
        ("parameters/value", "parameters disagrees with the record"),
        ("parts/decay/parameters/value", "parameters disagrees with the record"),
        ("parts/sweep/traces/absorbed_power", "traces does not agree with its checksum"),
    ],
)
def test_a_number_that_was_edited_is_refused(copy: Path, place: str, match: str) -> None:
    with h5py.File(copy, "a") as file:
        values = np.array(file[place])
        values[(0,) * values.ndim] *= 1.001
        file[place][...] = values
    with pytest.raises(ReportError, match=match):
        pc.read_report(copy)


@pytest.mark.parametrize(
    ("group", "match"),
    [("parts/decay", "it has no group 'parts/decay'"), ("tension", "it has no group 'tension'")],
)
def test_a_missing_part_is_named(copy: Path, group: str, match: str) -> None:
    with h5py.File(copy, "a") as file:
        del file[group]
    with pytest.raises(ReportError, match=match):
        pc.read_report(copy)


def test_the_page_names_parts_ties_and_agreement(result: pc.JointResult) -> None:
    page = str(result)
    for line in (
        "joint fit of sweep, decay, 12.5mK",
        "sweep: finite_temperature (energy = effective, detection = absorbed, broadening = white)",
        "decay: gamma_1_tot = gamma_1_tot of sweep",
        "for 1 shared constraint: probability",
    ):
        assert line in page


def test_a_part_that_does_not_exist_is_refused(result: pc.JointResult) -> None:
    wanted: Any = "swep"
    with pytest.raises(pc.PowercalError, match="did you mean 'sweep'"):
        result.part(wanted)
