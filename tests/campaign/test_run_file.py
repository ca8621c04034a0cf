"""Run files: the spelling of the command line, and a sentence with file, table and key if wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from powercal.campaign.run_file import RunFile, read_run_file, reading_of
from powercal.errors import ConfigError
from powercal.line import LineCalibration, write_line

from .folders import RUN, write_run

HEAD = 'sources = ["raw/*.h5"]\noutput = "results"\n'
MODEL = '[model]\nname = "single_channel"\n'


@pytest.fixture
def read(tmp_path: Path) -> Any:
    def call(text: str) -> RunFile:
        return read_run_file(write_run(tmp_path, text))

    return call


def with_model(line: str, model: str = "single_channel") -> str:
    return f'{HEAD}[model]\nname = "{model}"\n{line}\n'


@pytest.mark.parametrize(
    ("line", "key", "meant"),
    [
        ('fixed = { qubit_frequency = "5.4321 GHz" }', "fixed", {"qubit_frequency": 5.4321e9}),
        ("fixed = { qubit_frequency = 5.4321e9 }", "fixed", {"qubit_frequency": 5.4321e9}),
        ('fixed = { gamma_phi = "1e5 s-1" }', "fixed", {"gamma_phi": 1e5}),
        ('priors = { T1 = "10±1us" }', "priors", {"T1": [1e-5, 1e-6]}),
        ("priors = { T1 = [1e-5, 1e-6] }", "priors", {"T1": [1e-5, 1e-6]}),
        ('start = { gamma_1 = "1e6" }', "start", {"gamma_1": 1e6}),
        ('sigma = { absorbed_power = "2 aW" }', "sigma", {"absorbed_power": 2e-18}),
        ('observables = ["power"]', "observables", ["reflected_power"]),
        ('free = ["gamma_phi"]', "free", ["gamma_phi"]),
        ('options = { energy = "transition" }', "options", {"energy": "transition"}),
        ("", "intervals", "profile"),
        ('over = ["trace"]', "intervals", "covariance"),
        ('over = ["trace"]\nintervals = "profile"', "intervals", "profile"),
    ],
)
def test_quantities_are_spelled_as_on_the_command_line(
    read: Any, line: str, key: str, meant: Any
) -> None:
    found = read(with_model(line)).settings()["model"][key]
    if isinstance(meant, dict) and isinstance(next(iter(meant.values())), float):
        assert found == pytest.approx(meant, rel=1e-15)
    elif isinstance(meant, dict) and isinstance(next(iter(meant.values())), list):
        assert found["T1"] == pytest.approx(meant["T1"], rel=1e-15)
    else:
        assert found == meant


def test_what_means_the_same_gives_the_same_settings(read: Any) -> None:
    one = read(with_model('fixed = { qubit_frequency = "5 GHz", gamma_phi = 0 }'))
    other = read(with_model("[model.fixed]\ngamma_phi = 0.0\nqubit_frequency = 5_000_000_000"))
    assert one.settings() == other.settings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('sauces = ["a"]', "there is no table or key in run.toml 'sauces'; did you mean 'sources'"),
        (HEAD + "[modell]", "there is no table or key in run.toml 'modell'; did you mean 'model'?"),
        (
            with_model("fixd = {}"),
            "no key in [model] of run.toml 'fixd'; did you mean 'fixed'? (on",
        ),
        (HEAD + "[line]\ngain = 1", "there is no key in [line] of run.toml 'gain'"),
        (HEAD + MODEL + "[workers]\nnumbers = 1", "no key in [workers] of run.toml 'numbers'; did"),
        (
            HEAD + '[[override]]\nfile = "a"',
            "no key in [override] of run.toml 'file'; did you mean",
        ),
        ('output = "r"', "run.toml, sources: it is missing; write for example"),
        ('sources = ["a"]', "run.toml, output: it is missing; name the folder"),
        ('sources = "a"\noutput = "r"', "run.toml, sources: the text is not an array of texts"),
        (HEAD, "run.toml, [model] name: it is missing; name a model"),
        (HEAD + '[model]\nname = "x"', "run.toml, [model] name: there is no model 'x'"),
        (HEAD + "[model]\nname = 3", "run.toml, [model] name: the number 3 is not a text; write"),
        (HEAD + "strict = 1\n" + MODEL, "run.toml, strict: the number 1 is neither true nor false"),
        (HEAD + "model = 3", "run.toml: model is no table; write [model] and its keys"),
        (
            HEAD + "override = 3\n" + MODEL,
            "run.toml, override: it is not an array of tables; write",
        ),
        (HEAD + MODEL + "[[override]]", "run.toml, [override] files: it is missing; give a glob"),
        (with_model("fixed = 3"), "run.toml, [model] fixed: the number is not a table; write"),
        (with_model("fixed = { gama_1 = 1 }"), "[model] fixed: there is no quantity of model"),
        (with_model("fixed = { gamma_1 = true }"), "fixed.gamma_1: the truth value is no quantity"),
        (with_model("fixed = { gamma_1 = {expr = '1'} }"), "fixed.gamma_1: a table is no quantity"),
        (with_model("fixed = { gamma_1 = '1MHz' }"), "[model] fixed: gamma_1: '1MHz' is a freq"),
        (with_model("fixed = { gamma_1 = nan }"), "[model] fixed: gamma_1: 'nan' is not a number"),
        (
            with_model("priors = { T1 = 1e-5 }"),
            "is not a value with its standard uncertainty; write",
        ),
        (with_model("free = ['gama_phi']"), "[model] free: there is no quantity of model"),
        (with_model("per = { gama_1 = 'power' }"), "[model] per: there is no quantity of model"),
        (with_model("observables = ['powr']"), "observables: there is no observable 'powr'; did"),
        (with_model("intervals = 'bold'"), "intervals: the text 'bold' is not one of profile, cov"),
        (
            with_model("options = { enrgy = 'x' }"),
            "options: there is no option of model 'single_ch",
        ),
        (with_model("options = { energy = 'x' }"), "[model] options.energy: it is 'x'; write"),
        (with_model("[traces]\nplane = 'moon'"), "plane: the text 'moon' is not one of instrument"),
        (
            with_model("[traces]\nselect = {frequency = '6..7'}"),
            "select.frequency: '6' has no unit",
        ),
        (
            with_model("[traces]\nselect = {frequency = 6}"),
            "select.frequency: it is no text; write",
        ),
        (with_model("[traces]\ncalibration_points = '1'"), "'1' is not of the form of 0,1:2,3"),
        (with_model("[traces]\nbath_temperature = 'cold'"), "bath_temperature: 'cold' is not a"),
        (with_model("[loader]\nname = 'hdf'"), "[loader] name: there is no loader 'hdf'; did you"),
        (with_model("[loader]\nname = 'hdf5'\noptions = {a = 1}"), "there is no option of loader"),
        (with_model("[loader]\nmap = {a = 1}"), "[loader] map.a: it is no text; write the name of"),
        (with_model("[line]\ngain_db = 61.4"), "[line] gain_db: '61.4' is not a value with its"),
        (with_model("[line]\nfile = 'l.json'"), "[line] file: there is no file 'l.json' beside"),
        (with_model("[reference]\nfile = 'b.h5'"), "[reference] file: there is no file 'b.h5' bes"),
        (with_model("[reference]\nselect = {}"), "[reference] file: it is missing; name the file"),
        (with_model("[workers]\nnumber = -1"), "[workers] number: the number -1 is not a whole"),
        (with_model("[workers]\ntimeout = '1MHz'"), "timeout: unit 'MHz' measures frequency, but"),
        (with_model("[workers]\ntimeout = 0"), "[workers] timeout: it must be a time above 0"),
        ("a = [", "run file run.toml is no TOML:"),
        ("a = " + "[" * 5000, "run file run.toml is no TOML:"),
        ("#" * (2**20 + 1), "run file run.toml is larger than 1 MiB"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(read: Any, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as told:
        read(text)
    assert message in str(told.value)
    assert "run.toml" in str(told.value)


def test_a_run_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"run file none\.toml cannot be read: No such file"):
        read_run_file(tmp_path / "none.toml")


def test_what_is_not_utf_8_is_no_toml(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_bytes(b"a = '\xff'")
    with pytest.raises(ConfigError, match=r"run file run\.toml is no TOML"):
        read_run_file(tmp_path / "run.toml")


def test_the_tables_become_a_reading(read: Any, tmp_path: Path) -> None:
    (tmp_path / "background.h5").touch()
    write_line(tmp_path / "line.json", LineCalibration(attenuation_db=(60.0, 1.0)))
    run = read(
        with_model("""
[loader]
name = "labber"
map = { power = "Readout - Power" }
[traces]
plane = "instrument"
channel = "VNA - S21"
merge = true
select = { frequency = ["6.5GHz..6.6GHz", "6.55GHz.."] }
drop = { incident_power = "..-150dBm" }
average = ["repeat"]
calibration_points = "0,1:2,3"
bath_temperature = "20mK"
[reference]
file = "background.h5"
select = { frequency = "6.4GHz..6.7GHz" }
[line]
file = "line.json"
gain_db = "39.8±0.3"
chain = "300K,20dB@4K,20dB@10mK"
""")
    )
    reading = reading_of(run.settings(), run.root)
    infinity = float("inf")
    assert (reading.loader, reading.plane, reading.channel) == (
        "labber",
        "instrument",
        "VNA - S21",
    )
    assert reading.options == {"mapping": {"power": "Readout - Power"}}
    assert reading.merge
    assert reading.selected == (("frequency", 6.5e9, 6.6e9), ("frequency", 6.55e9, infinity))
    assert reading.dropped[0][:2] == ("incident_power", -infinity)
    assert reading.dropped[0][2] == pytest.approx(1e-18, rel=1e-12)
    assert reading.average == ("repeat",)
    assert reading.calibration_points == ([0, 1], [2, 3])
    assert reading.declared == {"bath_temperature": 0.02}
    assert reading.reference == tmp_path / "background.h5"
    assert reading.reference_selected == (("frequency", 6.4e9, 6.7e9),)
    assert reading.line is not None
    assert reading.line.attenuation_db == (60.0, 1.0)
    assert reading.line.gain_db == (39.8, 0.3)
    assert reading.line.chain is not None
    assert reading.line.chain.stages == ((20.0, 4.0), (20.0, 0.01))


def test_nothing_is_said_of_a_line_that_nobody_described(read: Any) -> None:
    run = read(with_model(""))
    assert reading_of(run.settings(), run.root).line is None


def test_a_level_that_the_line_file_has_already_is_refused(read: Any, tmp_path: Path) -> None:
    write_line(tmp_path / "line.json", LineCalibration(gain_db=(39.8, 0.3)))
    with pytest.raises(ConfigError, match=r"run\.toml, \[line\]: gain_db is given twice, also in"):
        read(with_model("[line]\nfile = 'line.json'\ngain_db = '40±1'"))


OVERRIDES = """
[[override]]
files = "raw/q1*.h5"
model = { fixed = { gamma_phi = 2e5 } }

[[override]]
files = "raw/q*_b.h5"
model = { fixed = { qubit_frequency = false }, intervals = "covariance" }
"""


@pytest.fixture
def overridden(read: Any, tmp_path: Path) -> RunFile:
    (tmp_path / "raw").mkdir()
    for name in ("q0_a", "q1_a", "q1_b"):
        (tmp_path / "raw" / f"{name}.h5").touch()
    fixed = "fixed = { qubit_frequency = '5GHz', gamma_phi = 1e5 }"
    found: RunFile = read(with_model(fixed) + OVERRIDES)
    return found


def test_overrides_hold_for_the_sources_that_their_globs_find(overridden: RunFile) -> None:
    assert overridden.find() == {"raw/q0_a.h5": (), "raw/q1_a.h5": (0,), "raw/q1_b.h5": (0, 1)}


def test_overrides_are_laid_over_key_by_key_and_false_takes_away(overridden: RunFile) -> None:
    fixed = [overridden.settings(n)["model"]["fixed"] for n in overridden.find().values()]
    assert fixed == [
        {"gamma_phi": 1e5, "qubit_frequency": 5e9},
        {"gamma_phi": 2e5, "qubit_frequency": 5e9},
        {"gamma_phi": 2e5},
    ]
    assert overridden.settings((0, 1))["model"]["intervals"] == "covariance"


def test_a_wrong_override_is_told_before_any_fit(read: Any) -> None:
    wrong = '[[override]]\nfiles = "a"\nmodel = { fixed = { gama_1 = 1 } }'
    with pytest.raises(ConfigError, match=r"^run\.toml, \[model\] fixed: .* \(for files 'a'\)$"):
        read(HEAD + MODEL + wrong)


def test_a_glob_that_finds_nothing_is_told(read: Any, tmp_path: Path) -> None:
    run = read(RUN)
    with pytest.raises(ConfigError, match=r"sources: 'raw/\*\.h5' finds no file beside the run"):
        run.find()
    assert run.find(all_there=False) == {}


def test_an_override_that_finds_none_of_the_sources_is_told(read: Any, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.h5").touch()
    run = read(RUN + '[[override]]\nfiles = "raw/q*.h5"')
    with pytest.raises(ConfigError, match=r"\[\[override\]\] files: 'raw/q\*\.h5' finds none of"):
        run.find()


def test_results_are_never_taken_for_sources(read: Any, tmp_path: Path) -> None:
    run = read(RUN.replace("raw/*.h5", "**/*.h5").replace('"results"', '"."'))
    for name in ("a.h5", "b/c.h5", "reports/r.h5", "summary.h5"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list(run.find()) == ["a.h5", "b/c.h5"]


def test_sources_may_lie_beside_the_folder_of_the_run_file(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.h5").touch()
    (tmp_path / "runs").mkdir()
    run = write_run(tmp_path / "runs", RUN.replace("raw/*.h5", "../raw/*.h5"))
    assert list(read_run_file(run).find()) == ["../raw/a.h5"]
