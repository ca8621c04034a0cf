"""README and docs pages are true: their commands, examples and output, the tables and links."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import powercal as pc
from powercal import hookspecs

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, flags=re.DOTALL)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(ROOT / "data" / "demo", tmp_path / "data" / "demo")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_python_examples_run_and_print_what_the_readme_says(workplace: Path) -> None:
    main, degenerate, memory = blocks("python")[:3]
    assert len(main.strip().splitlines()) <= 12
    printed = io.StringIO()
    names: dict[str, object] = {}
    with contextlib.redirect_stdout(printed):
        exec(compile(main, "README", "exec"), names)
    assert printed.getvalue().strip() == blocks("text")[0].strip()
    assert (workplace / "demo_report.h5").exists()
    with contextlib.redirect_stdout(printed):
        exec(compile(degenerate, "README", "exec"), names)
        exec(compile(memory, "README", "exec"), names)
    assert "None undetermined (0.0, " in printed.getvalue()
    assert "--observable excited_population too" in printed.getvalue()


def test_the_first_command_prints_gamma_1_and_n_th_with_errors(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from powercal.cli import main

    line = next(row.strip() for row in README.splitlines() if "powercal fit data/demo" in row)
    arguments = line.split("bin/powercal ")[1].split()
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code in (0, None)
    page = capsys.readouterr().out
    for name in ("gamma_1", "n_th"):
        assert re.search(rf"^  {name} +[\d.]+\(\d+\)", page, flags=re.MULTILINE)
    assert pc.read_report(workplace / "demo_report.h5")["n_th"].status == "ok"


def test_the_demo_gives_back_its_truth(workplace: Path) -> None:
    sys.path.insert(0, str(ROOT / "data"))
    try:
        spec = importlib.util.spec_from_file_location("make_demo", ROOT / "data" / "make_demo.py")
        assert spec is not None
        assert spec.loader is not None
        made = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(made)
    finally:
        sys.path.pop(0)
    (workplace / "data" / "demo" / "power_sweep.h5").unlink()
    made.main()
    line = pc.LineCalibration(attenuation_db=(61.4, 0.5), gain_db=(39.8, 0.3))
    traces = pc.to_device_plane(pc.open_traces("data/demo/power_sweep.h5"), line)
    result = pc.fit(traces, "finite_temperature", intervals="covariance")
    for name, truth in (made.TRUTH | made.LINE).items():
        estimate = result[name]
        assert estimate.value is not None
        assert estimate.stderr is not None
        # One seed, seven numbers: four standard errors leave a chance of 5e-4 for a false alarm.
        assert abs(estimate.value - truth) < 4 * estimate.stderr, name


def test_the_checksum_of_the_demo_is_that_of_the_data_readme() -> None:
    told = re.search(r"`([0-9a-f]{64})`", (ROOT / "data" / "README.md").read_text(encoding="utf-8"))
    assert told is not None
    stored = hashlib.sha256((ROOT / "data" / "demo" / "power_sweep.h5").read_bytes()).hexdigest()
    assert stored == told[1]


def test_the_one_file_plugin_works(workplace: Path) -> None:
    names: dict[str, object] = {"__name__": "readme_plugin"}
    exec(compile(blocks("python")[3], "README", "exec"), names)
    model = names["DECAY"]
    assert isinstance(model, pc.Model)
    truth = {"p_0": 0.9, "p_eq": 0.1, "rate": 1e5}
    times = [i * 1e-6 for i in range(60)]
    traces = pc.simulate(
        model, truth, inputs={"time": times}, seed=3, noise={"excited_population": 0.01}
    )
    result = pc.fit(pc.to_device_plane(traces), model)
    for name, value in truth.items():
        estimate = result[name]
        assert estimate.value is not None
        assert estimate.stderr is not None
        assert abs(estimate.value - value) < 4 * estimate.stderr


def test_the_table_of_hooks_names_every_hook_and_no_other() -> None:
    told = set(re.findall(r"^\| `(powercal_\w+)\(\)`", README, flags=re.MULTILINE))
    hooks = {
        name
        for name, value in vars(hookspecs).items()
        if name.startswith("powercal_") and callable(value)
    }
    assert told == hooks


def test_the_table_of_models_names_every_built_in_model() -> None:
    from powercal.registry import models

    told = set(re.findall(r"^\| `(\w+)` \|", README, flags=re.MULTILINE))
    assert told == {name for name in models() if ":" not in name}


# ---- the pages in docs/ ----

PAGES = sorted((ROOT / "docs").glob("*.md"))


def joint_fits(names: dict[str, Any], printed: str) -> None:
    assert "decay: gamma_1_tot = gamma_1_tot of sweep" in printed
    excess = names["result"]["excess_temperature"]
    assert abs(excess.value - 0.03) < 4 * excess.stderr


def doubt(names: dict[str, Any], printed: str) -> None:
    assert printed.endswith("\n1.0 -1\n")  # one spike found, one point fewer without it


def sampling(names: dict[str, Any], printed: str) -> None:
    assert names["samples"].converged
    assert names["found"].contains(0.95, 6e6, 0.01)
    assert "bound" in names["curve"].status


def planning(names: dict[str, Any], printed: str) -> None:
    assert names["found"].reachable
    assert not names["limited"].reachable
    assert "no number of averages reaches it: line (gain_db) alone" in printed


def many_fits(names: dict[str, Any], printed: str) -> None:
    times = names["results"].sel(quantity="T1")
    assert (times["status"] == 0).all()
    # The line that is declared is the true one: what is left is the noise of three traces.
    assert float(1 / times["value"].median()) == pytest.approx(6e6, rel=0.05)


# What holds when a page's blocks have run, beyond the output that it shows.
AFTERWARDS: dict[str, Callable[[dict[str, Any], str], None]] = {
    f.__name__: f for f in (joint_fits, doubt, sampling, planning, many_fits)
}
NEEDS = {"sampling": "emcee"}
# Written for a cluster's own queue, which nobody has here: read, not run.
ELSEWHERE = {"beyond_one_machine"}


@pytest.mark.parametrize(
    "page", [p for p in PAGES if "```python" in p.read_text(encoding="utf-8")], ids=lambda p: p.stem
)
def test_the_code_of_a_page_runs_and_prints_what_stands_below_it(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = page.read_text(encoding="utf-8")
    codes = [compile(block, page.name, "exec") for block in blocks("python", text)]
    if page.stem in ELSEWHERE:
        return
    if page.stem in NEEDS:
        pytest.importorskip(NEEDS[page.stem])
    monkeypatch.chdir(tmp_path)
    if page.stem == "many_fits":
        wafer(tmp_path / "wafer.h5")
    names: dict[str, Any] = {}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for code in codes:
            exec(code, names)
    # Output stands right below its block; a block of commands stands by itself.
    for shown in re.findall(r"```\n\n?```text\n(.*?)```", text, flags=re.DOTALL):
        assert shown.startswith("powercal ") or shown in printed.getvalue()
    AFTERWARDS.get(page.stem, lambda *_: None)(names, printed.getvalue())


def wafer(path: Path) -> None:
    """Three qubits behind a line, as the page on many fits opens them."""
    power = 8e-17 * np.geomspace(0.05, 20.0, 6)
    values = {"qubit_frequency": 5e9, "gamma_1": 6e6, "gamma_phi": 1e6, "drive_scale": 3e29}
    traces = [
        pc.simulate(
            "single_channel",
            values,
            inputs={"incident_power": power, "frequency": 5e9 + 2.7e6 * np.linspace(-1, 1, 15)},
            seed=seed,
            noise={"absorbed_power": 1e-19 * 10**3.98},
            detection="absorbed",
            attenuation_db=61.4,
            gain_db=39.8,
            observables=("absorbed_power",),
        )
        for seed in range(3)
    ]
    import xarray

    from powercal.loaders.hdf5 import save_traces

    save_traces(path, xarray.concat(traces, "trace", combine_attrs="override"))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_the_readme_links_every_page(page: Path) -> None:
    assert f"(docs/{page.name})" in README
