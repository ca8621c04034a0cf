"""``powercal fit``: what is typed arrives in the fit, and what is printed is the result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import powercal as pc
from powercal import fitting as rooms
from powercal.loaders.hdf5 import save_traces
from powercal.text import to_json

from .conftest import Run, balance

BALANCE = ("--model", "power_balance")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Catch what the command asks of the verb, and stop there."""
    caught: dict[str, Any] = {}

    def fit(traces: Any, model: str, **wishes: Any) -> Any:
        caught.update(wishes, traces=traces, model=model)
        raise pc.PowercalError("stopped")

    monkeypatch.setattr(rooms, "fit", fit)
    return caught


def test_the_command_gives_the_numbers_of_the_library(run: Run, line_file: Path) -> None:
    left = run("fit", line_file, *BALANCE, "--json")
    traces = pc.to_device_plane(pc.open_traces(line_file))
    assert left.code == 0
    assert left.json == to_json(pc.fit(traces, "power_balance"))


def test_json_is_alone_on_stdout_and_flags_are_on_stderr(
    run: Run, spectrum_file: Path, tmp_path: Path
) -> None:
    report = tmp_path / "r.h5"
    drop = ("--drop", "frequency=..4.9991GHz")
    wishes = ("--model", "single_channel", "--intervals", "covariance", *drop)
    left = run("fit", spectrum_file, *wishes, "--json", "-o", report)
    sentences = [flag["sentence"] for flag in json.loads(left.out)["flags"]]
    assert left.out.startswith("{")
    assert any("2 of 21 points dropped" in sentence for sentence in sentences)
    assert all(sentence in left.err for sentence in sentences)
    assert f"report: {report}" in left.err


def test_the_page_and_where_the_report_is_are_on_stdout(
    run: Run, line_file: Path, tmp_path: Path
) -> None:
    report = tmp_path / "r.h5"
    left = run("fit", line_file, *BALANCE, "-o", report)
    assert left.out == f"{pc.read_report(report)}\nreport: {report}\n"
    assert left.err == ""


def test_show_prints_what_fit_printed(run: Run, line_file: Path, tmp_path: Path) -> None:
    report = tmp_path / "r.h5"
    fitted = run("fit", line_file, *BALANCE, "--json", "-o", report)
    assert run("show", report, "--json").json == fitted.json
    assert run("show", report).out == f"{pc.read_report(report)}\n"


def test_a_selection_is_recorded_in_the_result(
    run: Run, spectrum_file: Path, tmp_path: Path
) -> None:
    report = tmp_path / "r.h5"
    cuts = ("--select", "frequency=4.9995GHz..5.0005GHz", "--drop", "incident_power=-131dBm..")
    wishes = ("--model", "single_channel", "--intervals", "covariance", *cuts)
    assert run("fit", spectrum_file, *wishes, "-o", report).code == 0
    result = pc.read_report(report)
    recorded = [(r["verb"], r["dropped"]) for r in json.loads(result.traces.attrs["selection"])]
    assert recorded == [("select", 10), ("drop", 2)]
    assert any("drop incident_power" in flag.sentence for flag in result.flags)


def test_one_coordinate_may_be_cut_twice(
    run: Run, spectrum_file: Path, asked: dict[str, Any]
) -> None:
    cuts = ("--drop", "frequency=..4.9991GHz", "--drop", "frequency=5.0009GHz..")
    run("fit", spectrum_file, "--model", "single_channel", *cuts)
    assert asked["traces"].sizes["frequency"] == 17


@pytest.mark.parametrize(
    ("typed", "name", "value"),
    [
        (["--fix", "n_th=0.05"], "fixed", {"n_th": 0.05}),
        (["--fix", "gamma_1=1e6"], "fixed", {"gamma_1": 1e6}),
        (["--fix", "attenuation_db=3dB"], "fixed", {"attenuation_db": 3.0}),
        (["--start", "n_th=.1"], "start", {"n_th": 0.1}),
        (["--free", "n_th", "--free", "gamma_1"], "free", ("n_th", "gamma_1")),
        (["--prior", "T1=10±1us"], "priors", {"T1": (1e-5, 1e-6)}),
        (["--prior", "T1=10us+/-1us"], "priors", {"T1": (1e-5, 1e-6)}),
        (["--prior", "T1=1e-5+-1e-6"], "priors", {"T1": (1e-5, 1e-6)}),
        (["--prior", "n_th=0.05±0.01"], "priors", {"n_th": (0.05, 0.01)}),
        (["--sigma", "absorbed_power=1aW"], "sigma", {"absorbed_power": 1e-18}),
        (["--sigma", "reflection=0.01"], "sigma", {"reflection": 0.01}),
        (["--per", "n_th=power"], "per", {"n_th": "power"}),
        (["--observable", "power"], "observables", ("reflected_power",)),
        (["--observable", "complex"], "observables", ("reflection",)),
        (
            ["--observable", "absorbed_power", "--observable", "excited_population"],
            "observables",
            ("absorbed_power", "excited_population"),
        ),
        (["--intervals", "covariance"], "intervals", "covariance"),
        ([], "intervals", "profile"),
    ],
)
def test_wishes_arrive_in_si(
    run: Run, line_file: Path, asked: dict[str, Any], typed: list[str], name: str, value: Any
) -> None:
    run("fit", line_file, *BALANCE, *typed)
    found = asked[name]
    if isinstance(value, dict):
        assert list(found) == list(value)
        for key, number in value.items():
            assert found[key] == (number if isinstance(number, str) else pytest.approx(number))
    else:
        assert found == value


def test_choices_of_the_model_arrive_by_name(
    run: Run, spectrum_file: Path, asked: dict[str, Any]
) -> None:
    wishes = ("--qubit-frequency", "5GHz", "--fix", "qubit_frequency=5GHz")
    choices = ("--detection", "coherent", "--option", "energy=transition")
    run("fit", spectrum_file, "--model", "single_channel", *wishes, *choices)
    named = {name: asked[name] for name in ("detection", "energy", "start", "fixed")}
    assert named == {
        "detection": "coherent",
        "energy": "transition",
        "start": {"qubit_frequency": 5e9},
        "fixed": {"qubit_frequency": 5e9},
    }


def test_a_parameter_of_another_choice_has_its_unit(
    run: Run, spectrum_file: Path, asked: dict[str, Any]
) -> None:
    # gamma_r exists under detection=coherent only.
    run("fit", spectrum_file, "--model", "single_channel", "--fix", "gamma_r=1e5s-1")
    assert asked["fixed"] == {"gamma_r": 1e5}


def test_declared_facts_arrive_in_the_attributes(
    run: Run, line_file: Path, asked: dict[str, Any]
) -> None:
    facts = ("--bath-temperature", "20mK", "--anharmonicity", "-200MHz", "--dwell-time", "10us")
    run("fit", line_file, *BALANCE, *facts)
    attrs = asked["traces"].attrs
    found = [attrs[name] for name in ("bath_temperature", "anharmonicity", "dwell_time")]
    assert found == pytest.approx([0.02, -2e8, 1e-5])


def test_the_line_arrives_with_its_uncertainty(
    run: Run, tmp_path: Path, asked: dict[str, Any]
) -> None:
    path = tmp_path / "raw.h5"
    save_traces(path, balance(1).assign_attrs(plane="instrument"))
    run("fit", path, *BALANCE, "--attenuation-db", "61.4+-0.5", "--gain-db", "39.8±0.3dB")
    line = pc.LineCalibration.from_json(asked["traces"].attrs["line"])
    assert (line.attenuation_db, line.gain_db) == ((61.4, 0.5), (39.8, 0.3))


def test_a_plane_that_the_file_does_not_say_can_be_declared(
    run: Run, tmp_path: Path, asked: dict[str, Any]
) -> None:
    path = tmp_path / "bare.h5"
    traces = balance(1)
    del traces.attrs["plane"]
    save_traces(path, traces)
    assert "plane is None" in run("fit", path, *BALANCE).err
    run("fit", path, *BALANCE, "--plane", "device")
    attrs = asked["traces"].attrs
    assert (attrs["plane"], attrs["source"], attrs["loader"]) == ("device", "bare.h5", "hdf5")


def test_a_declared_plane_against_that_of_the_file_is_flagged(
    run: Run, line_file: Path, asked: dict[str, Any]
) -> None:
    run("fit", line_file, *BALANCE, "--plane", "instrument")
    assert "plane was declared to be 'instrument'; the loader said 'device'" in str(
        json.loads(asked["traces"].attrs["flags"])
    )


def test_one_of_several_channels_can_be_chosen(
    run: Run, tmp_path: Path, asked: dict[str, Any]
) -> None:
    path = tmp_path / "channels.h5"
    names = xr.DataArray(["QB1", "QB2"], dims="channel", name="channel")
    save_traces(
        path,
        xr.concat(
            [balance(1), balance(2)],
            dim=names,
            data_vars="all",
            coords="minimal",
            compat="equals",
            join="exact",
        ),
    )
    run("fit", path, *BALANCE, "--channel", "QB2")
    chosen = asked["traces"]
    np.testing.assert_array_equal(chosen["absorbed_power"], balance(2)["absorbed_power"])
    assert "channel 'QB2' of QB1, QB2 was chosen" in chosen.attrs["flags"]
    assert "did you mean" in run("fit", path, *BALANCE, "--channel", "QB3").err


def test_a_file_without_channels_has_none_to_choose(run: Run, line_file: Path) -> None:
    left = run("fit", line_file, *BALANCE, "--channel", "QB1")
    assert left.code == 3
    assert "line.h5 has no channels to choose from; leave out --channel 'QB1'" in left.err


def test_points_measured_twice_are_refused_or_merged(
    run: Run, tmp_path: Path, asked: dict[str, Any]
) -> None:
    path = tmp_path / "twice.csv"
    path.write_text("frequency_GHz,absorbed_power_W\n5,1e-18\n5.1,1e-18\n5.1,3e-18\n")
    wishes = ("--model", "single_channel", "--detection", "absorbed", "--plane", "device")
    refused = run("fit", path, *wishes)
    assert (refused.code, asked) == (3, {})
    assert "(command line: --merge)" in refused.err
    run("fit", path, *wishes, "--merge")
    assert asked["traces"]["absorbed_power"].values.tolist() == pytest.approx([1e-18, 2e-18])


def test_options_of_a_loader_arrive(run: Run, line_file: Path) -> None:
    left = run("fit", line_file, *BALANCE, "--map", "power=Readout - Power")
    assert left.code == 3
    assert "there is no option of loader 'hdf5' 'mapping'" in left.err
    left = run("fit", line_file, *BALANCE, "--loader-option", "incident_power_dbm=-30")
    assert "there is no option of loader 'hdf5' 'incident_power_dbm'" in left.err


def test_every_repeat_is_fitted_and_the_failed_one_is_told_at_the_end(
    run: Run, repeats_file: Path, tmp_path: Path
) -> None:
    left = run("fit", repeats_file, *BALANCE, "-o", tmp_path / "r.h5")
    assert left.code == 1
    assert sorted(path.name for path in tmp_path.glob("*.h5")) == [
        "r.repeat=0.h5",
        "r.repeat=2.h5",
    ]
    assert "===== repeat=2 =====" in left.out
    failed, count = left.err.splitlines()[-2:]
    assert failed.startswith("powercal: repeat=1 failed: power_balance needs at least two points")
    assert count == "powercal: 1 of 3 failed"


def test_json_of_several_holds_items_with_label_and_error(run: Run, repeats_file: Path) -> None:
    left = run("fit", repeats_file, *BALANCE, "--json")
    items = left.json["items"]
    assert left.code == 1
    assert [item["label"] for item in items] == ["repeat=0", "repeat=1", "repeat=2"]
    assert [item["result"] is None for item in items] == [False, True, False]
    assert items[1]["error"].startswith("power_balance needs at least two points")
    assert items[2]["result"]["model"] == "power_balance"


def test_a_wish_that_fails_everywhere_is_one_error(run: Run, repeats_file: Path) -> None:
    left = run("fit", repeats_file, *BALANCE, "--free", "gamma_r")
    assert left.code == 3
    assert left.err.count("there is no parameter of model 'power_balance' (free) 'gamma_r'") == 1
