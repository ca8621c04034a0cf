"""A qubit of known T1 calibrates the line; a line of known gain then gives Γ₁ of another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import powercal as pc
from powercal.errors import FitError, LoaderError, ReportError, TraceSchemaError
from powercal.fitting.build import Request, make_table
from powercal.fitting.pieces import Prior
from powercal.schema import DeviceTraces, flags

F0 = 5e9
TRUTH = {"qubit_frequency": F0, "gamma_1": 1e6, "n_th": 0.06, "gamma_phi": 2e5, "drive_scale": 1e30}
T1 = 1 / 1.12e6
LOSS, GAIN, BELIEVED = 61.4, 42.8, 39.8
GRID = {
    "incident_power": np.geomspace(1e-20, 2e-17, 6),
    "frequency": F0 + 2e6 * np.linspace(-1, 1, 21),
}
NOISE = {"reflected_power": 3e-18, "excited_population": 3e-3}


def recorded(
    seed: int = 4,
    *names: str,
    line: pc.LineCalibration | None = None,
    values: dict[str, float] | None = None,
) -> DeviceTraces:
    """Return what the instrument saw through a line whose gain is 3 dB above what is believed."""
    traces = pc.simulate(
        "finite_temperature",
        values or TRUTH,
        inputs=GRID,
        seed=seed,
        noise=NOISE,
        observables=names or ("reflected_power", "excited_population"),
        attenuation_db=LOSS,
        gain_db=GAIN,
        detection="absorbed",
    )
    return pc.to_device_plane(traces, line)


def within(found: Any, truth: float, errors: float = 4.0) -> bool:
    return bool(abs(found[0] - truth) < errors * found[1])


KNOWN = {"T1": (T1, 0.005 * T1)}


@pytest.mark.parametrize("known", [KNOWN, {"gamma_1": (1e6, 5e3)}], ids=["T1", "gamma_1"])
def test_a_gain_that_is_wrong_by_3_db_is_found_within_its_error(known: Any) -> None:
    found = pc.calibrate_line(
        recorded(), "finite_temperature", priors=known, intervals="covariance"
    )
    assert within(found.line.gain_db, GAIN)
    assert within(found.line.attenuation_db, LOSS)
    off = found.against("gain_db", BELIEVED)
    assert off is not None
    assert within(off, 3.0)
    assert off[0] > 50 * off[1]
    assert not found.reasons


def test_without_anything_known_the_line_is_undetermined_and_n_th_is_the_same() -> None:
    found = pc.calibrate_line(recorded(), "finite_temperature", intervals="covariance")
    assert found.line == pc.LineCalibration()
    assert all("not determined" in found.reasons[n] for n in ("attenuation_db", "gain_db"))
    assert found.against("gain_db", BELIEVED) is None
    pinned = pc.calibrate_line(
        recorded(), "finite_temperature", t1=KNOWN["T1"], intervals="covariance"
    )
    free, held = found.result["n_th"], pinned.result["n_th"]
    assert free.status == held.status == "ok"
    assert abs(free.value - held.value) < 0.05 * held.stderr
    assert abs(free.value - TRUTH["n_th"]) < 4 * free.stderr


def test_a_wrong_gain_moves_gamma_1_and_leaves_n_th_alone() -> None:
    # With more dephasing: else twice Γ₁ would need more than the 2Γ₂ that the width allows.
    values = TRUTH | {"gamma_phi": 2e6}
    believed = pc.LineCalibration(gain_db=(BELIEVED, 0.05))
    here = recorded(line=believed, values=values)
    wrong = pc.fit(here, "finite_temperature", intervals="covariance")
    right = pc.calibrate_line(
        recorded(values=values), "finite_temperature", t1=KNOWN["T1"], intervals="covariance"
    ).result
    assert wrong["gamma_1"].value == pytest.approx(10**0.3 * right["gamma_1"].value, rel=0.02)
    assert abs(wrong["n_th"].value - right["n_th"].value) < 0.1 * right["n_th"].stderr


def test_power_alone_with_t1_pins_neither_gain_nor_n_th() -> None:
    found = pc.calibrate_line(
        recorded(4, "reflected_power"), "finite_temperature", t1=KNOWN["T1"], intervals="covariance"
    )
    assert found.line.gain_db is None
    assert "n_th" in found.result.undetermined


def test_a_stored_line_gives_gamma_1_of_another_qubit_with_the_lines_error_in_it(
    tmp_path: Path,
) -> None:
    found = pc.calibrate_line(
        recorded(), "finite_temperature", t1=KNOWN["T1"], intervals="covariance"
    )
    pc.write_line(tmp_path / "line.json", found.line, found.origin())
    line = pc.read_line(tmp_path / "line.json")
    assert line == found.line
    other = TRUTH | {"gamma_1": 2e6, "n_th": 0.02}
    result = pc.fit(
        recorded(7, line=line, values=other), "finite_temperature", intervals="covariance"
    )
    gamma_1 = result["gamma_1"]
    assert abs(gamma_1.value - 2e6) < 4 * gamma_1.stderr
    share = np.log(10) / 10 * line.gain_db[1]  # a decibel of gain is 23 % of Γ₁
    assert gamma_1.stderr / gamma_1.value > 0.9 * share
    assert abs(result["n_th"].value - 0.02) < 4 * result["n_th"].stderr


def test_the_correlation_of_gain_and_attenuation_is_kept() -> None:
    # Far from resonance all power comes back: gain less attenuation is known far better than each.
    found = pc.calibrate_line(
        recorded(), "finite_temperature", t1=KNOWN["T1"], intervals="covariance"
    )
    line = found.line
    assert line.correlation > 0.999
    difference = line.gain_db[0] - line.attenuation_db[0]
    assert difference == pytest.approx(GAIN - LOSS, abs=1e-3)
    assert line.gain_db[1] > 0.01


def test_correlated_priors_are_the_normal_distribution_of_two_numbers() -> None:
    first = Prior("attenuation_db", 60.0, 0.5)
    second = Prior("gain_db", 40.0, 0.2, partner=first, correlation=0.8)
    at = {"attenuation_db": 60.9, "gain_db": 39.7}

    def off(p: Prior) -> float:
        return (at[p.name] - p.mean) / p.std

    chi2 = first.whitened(off) ** 2 + second.whitened(off) ** 2
    covariance = np.array([[0.25, 0.8 * 0.1], [0.8 * 0.1, 0.04]])
    gap = np.array([0.9, -0.3])
    assert chi2 == pytest.approx(gap @ np.linalg.solve(covariance, gap), rel=1e-12)


def gain_pulls(count: int) -> list[float]:
    """Deviations of the gain in its errors, T1 told with an error of its own each time."""
    rng, pulls = np.random.default_rng(5), []
    for seed in range(count):
        told = (rng.normal(T1, 0.01 * T1), 0.01 * T1)
        found = pc.calibrate_line(
            recorded(100 + seed), "finite_temperature", t1=told, intervals="covariance"
        )
        pulls.append((found.line.gain_db[0] - GAIN) / found.line.gain_db[1])
    return pulls


def test_what_the_user_knows_of_one_level_sets_its_correlation_with_the_other_aside() -> None:
    line = pc.LineCalibration(attenuation_db=(60.0, 1.0), gain_db=(40.0, 1.0), correlation=0.999)
    table = make_table(
        recorded(line=line),
        pc.get_model("finite_temperature").configure(detection="absorbed"),
        ("reflected_power", "excited_population"),
        Request(priors={"attenuation_db": (61.4, 0.1)}),
    )
    assert set(table.priors) == {Prior("attenuation_db", 61.4, 0.1), Prior("gain_db", 40.0, 1.0)}


@pytest.mark.parametrize("count", [10, pytest.param(300, marks=pytest.mark.statistics)])
def test_the_error_of_the_gain_is_honest(count: int) -> None:
    pulls = gain_pulls(count)
    assert abs(np.mean(pulls)) < 4 / np.sqrt(count)
    assert abs(np.std(pulls) - 1) < 4 / np.sqrt(2 * count)


def test_complex_reflection_gives_the_gain_from_its_level_far_from_resonance() -> None:
    truth = {"qubit_frequency": F0, "gamma_r": 5e6, "attenuation_db": 61.0}
    truth |= {"reference_gain": 10 ** ((40.0 - 61.0) / 20), "reference_phase": 0.3, "delay": 1e-9}
    grid = {
        "incident_power": np.geomspace(1e-11, 1e-8, 6),
        "frequency": F0 + 4e6 * np.linspace(-1, 1, 31),
    }
    traces = pc.simulate(
        "reflection",
        truth,
        inputs=grid,
        seed=3,
        noise={"reflection": 1e-4},
        observables=("reflection",),
        attributes={"plane": "instrument"},
        convention="+i",
        setup="raw",
    )
    found = pc.calibrate_line(
        pc.to_device_plane(traces), "reflection", fixed={"mismatch": 0.0}, convention="+i"
    )
    assert within(found.line.attenuation_db, 61.0)
    assert within(found.line.gain_db, 40.0)
    assert found.line.gain_db[1] < 2 * found.line.attenuation_db[1]


# ---- what is refused ----


def test_data_at_the_device_have_no_line_to_calibrate() -> None:
    traces = pc.simulate(
        "finite_temperature", TRUTH, inputs=GRID, seed=0, noise=NOISE, detection="absorbed",
        observables=tuple(NOISE),
    )  # fmt: skip
    with pytest.raises(FitError, match="where no line is left to calibrate"):
        pc.calibrate_line(pc.to_device_plane(traces), "finite_temperature")


def test_a_fit_that_does_not_determine_t1_calibrates_nothing() -> None:
    unsure = pc.fit(recorded(), "finite_temperature", intervals="covariance")
    with pytest.raises(FitError, match="does not determine T1"):
        pc.calibrate_line(recorded(), "finite_temperature", t1=unsure)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no json", "is not JSON"),
        ("[1]", "has the schema None, this powercal reads 1"),
        ('{"powercal_line": 7}', "has the schema 7, this powercal reads 1"),
        ('{"powercal_line": 1}', "is damaged"),
        ('{"powercal_line": 1, "attenuation_db": [1, -1], "gain_db": null}', "is damaged"),
    ],
)
def test_a_file_that_holds_no_line_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "line.json").write_text(text, encoding="utf-8")
    with pytest.raises(LoaderError, match=said):
        pc.read_line(tmp_path / "line.json")


def test_a_missing_file_and_a_missing_folder_are_said(tmp_path: Path) -> None:
    with pytest.raises(LoaderError, match="No such file"):
        pc.read_line(tmp_path / "line.json")
    with pytest.raises(ReportError, match="cannot be written"):
        pc.write_line(tmp_path / "nowhere" / "line.json", pc.LineCalibration())


@pytest.mark.parametrize(
    "line",
    [
        {"correlation": 0.5},
        {"attenuation_db": (60, 1), "gain_db": (40, 1), "correlation": 1.0},
        {"attenuation_db": (60, 1), "correlation": 0.1},
    ],
)
def test_a_correlation_needs_two_errors(line: Any) -> None:
    with pytest.raises(TraceSchemaError, match="must lie between −1 and 1"):
        pc.LineCalibration(**line)


# ---- the chain of attenuators ----


def test_the_chain_of_attenuators_is_written_down_and_says_how_hot_the_line_is() -> None:
    chain = pc.AttenuatorChain(300.0, ((20.0, 4.0), (20.0, 0.1), (20.0, 0.01)))
    line = pc.LineCalibration(chain=chain)
    assert pc.LineCalibration.from_json(line.to_json()) == line
    # 1250 photons of room temperature less 60 dB; 0.99 of 16.2 at 4 K less 40 dB, 0.0999 less 20.
    assert chain.occupation(F0) == pytest.approx(1250e-6 + 0.99 * 16.2e-4 + 0.99 * 0.0999e-2, 0.01)
    assert any("behind its attenuators is 0.00384" in text for text in flags(recorded(line=line)))


@pytest.mark.parametrize("stages", [(), ((-1.0, 4.0),), ((20.0, 0.0),)])
def test_a_chain_that_cannot_be_is_refused(stages: Any) -> None:
    with pytest.raises(TraceSchemaError, match="losses ≥ 0 dB and temperatures > 0 K"):
        pc.AttenuatorChain(300.0, stages)
