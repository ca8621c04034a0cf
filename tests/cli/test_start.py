"""The command line starts quickly because it imports nothing that it does not need."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("xarray", "lmfit", "scipy", "h5py", "pandas", "matplotlib")


def python(code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def loaded_after(*arguments: str) -> set[str]:
    code = (
        "import sys\nfrom powercal.cli import main\n"
        f"try: main({list(arguments)!r})\n"
        "except SystemExit as left: assert not left.code\n"
        "print('MODULES', *sys.modules)"
    )
    return set(python(code).rsplit("MODULES", 1)[1].split())


def seconds(code: str) -> float:
    """Return the median of three runs: one run may meet a busy moment of the machine."""
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        python(code)
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def test_import_of_powercal_imports_no_numerics() -> None:
    loaded = set(python("import sys, powercal\nprint(*sys.modules)").split())
    assert not loaded & {"numpy", *HEAVY}


@pytest.mark.parametrize("command", ["", "fit", "simulate", "inspect", "models"])
def test_help_imports_no_numerics(command: str) -> None:
    loaded = loaded_after(*command.split(), "--help")
    assert not loaded & {"numpy", "powercal.registry", *HEAVY}


@pytest.mark.parametrize("command", ["plugins", "models", "loaders", "models reflection"])
def test_lists_import_no_heavy_library(command: str) -> None:
    assert not loaded_after(*command.split()) & set(HEAVY)


def test_help_takes_no_longer_than_a_few_imports_of_numpy() -> None:
    # 0.3 s on a quiet machine, on which numpy takes 0.1 s or more; a ratio survives a busy one.
    begun = seconds("from powercal.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass")
    assert begun < max(0.3, 2.5 * seconds("import numpy"))


def test_import_of_powercal_takes_no_longer_than_an_import_of_numpy() -> None:
    extra = seconds("import powercal") - seconds("pass")
    assert extra < max(0.15, seconds("import numpy"))


def test_a_terminal_that_does_not_know_chi_stops_nothing() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(
        [sys.executable, "-c", "from powercal.cli import main\nmain(['fit', '--help'])"],
        env=environment,
        capture_output=True,
        encoding="latin-1",
        check=True,
    )
    assert "Intervals from the profile of ?²" in done.stdout
