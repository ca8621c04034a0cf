"""The commands that show: models, loaders, plugins, inspect, version."""

from __future__ import annotations

from pathlib import Path

import powercal as pc

from .conftest import Run


def test_models_are_listed_with_their_summary(run: Run) -> None:
    lines = run("models").out.splitlines()
    assert lines[0].split() == ["name", "summary"]
    assert "reflection" in [line.split()[0] for line in lines]


def test_a_model_is_explained_by_every_row_of_its_tables(run: Run) -> None:
    model = pc.get_model("multi_channel")
    lines = run("models", "multi_channel").out.splitlines()
    first = [line.split()[0] for line in lines]
    names = [row.name for row in (*model.parameters, *model.options)]
    names += [derived.name for derived in model.derived]
    assert set(names) <= set(first)
    assert "observables: absorbed_power, reflected_power, excited_population" in lines


def test_a_parameter_of_certain_choices_is_told_with_them(run: Run) -> None:
    out = run("models", "single_channel").out
    assert "detection=coherent|total also gamma_r" in out


def test_an_unknown_model_cannot_be_explained(run: Run) -> None:
    assert run("models", "reflexion").code == 3


def test_loaders_are_listed_with_their_options(run: Run) -> None:
    rows = [line.split()[:2] for line in run("loaders").out.splitlines()]
    assert ["labber", "mapping"] in rows


def test_plugins_are_listed_with_version_and_status(run: Run) -> None:
    lines = run("plugins").out.splitlines()
    assert lines[0].split() == ["name", "distribution", "version", "status", "cause"]
    assert ["models.reflection", "powercal", pc.__version__, "ok"] in [x.split() for x in lines]


def test_inspect_says_what_the_loader_understood(run: Run, spectrum_file: Path) -> None:
    left = run("inspect", spectrum_file)
    assert left.code == 0
    assert "frequency: 21 points, evenly 100000 Hz, 0 gaps" in left.out


def test_inspect_passes_loader_and_options_on(run: Run, spectrum_file: Path) -> None:
    left = run("inspect", spectrum_file, "--loader", "hdf5", "--map", "power=P")
    assert left.code == 3
    assert "there is no option of loader 'hdf5' 'mapping'" in left.err


def test_the_version_is_that_of_the_package(run: Run) -> None:
    assert run("--version").out == f"powercal {pc.__version__}\n"
