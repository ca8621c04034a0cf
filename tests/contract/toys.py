"""A sound little model and a sound little loader, to be spoilt by the tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import powercal as pc
from powercal.contracts import Derived, Loader, Model, Parameter
from powercal.errors import LoaderError

MAGIC = b"toy 1\n"


def curve(time: Any, *, gamma_1: Any, p_0: Any, p_eq: Any) -> tuple[Any]:
    """Decay of an excited population."""
    return (p_eq + (p_0 - p_eq) * np.exp(-gamma_1 * time),)


def jacobian(time: Any, *, gamma_1: Any, p_0: Any, p_eq: Any) -> tuple[dict[str, Any]]:
    """Its exact derivatives."""
    left = np.exp(-gamma_1 * time)
    return (
        {
            "gamma_1": -time * (p_0 - p_eq) * left,
            "p_0": left,
            "p_eq": 1 - left,
            "time": -gamma_1 * (p_0 - p_eq) * left,
        },
    )


def guess(traces: Any, fixed: Mapping[str, float]) -> dict[str, Any]:
    """Start from the ends and the middle."""
    values = traces["excited_population"].values
    return {
        "gamma_1": np.asarray(3 / float(traces["time"].max())),
        "p_0": np.asarray(np.clip(np.nanmax(values[:5]), 0, 1)),
        "p_eq": np.asarray(np.clip(np.nanmean(values[-5:]), 0, 1)),
    }


def population(name: str, example: float) -> Parameter:
    """Return a row of the table."""
    return Parameter(name=name, unit="1", meaning="population", example=example, min=0.0, max=1.0)


MODEL = Model(
    name="toy_decay",
    summary="exponential decay of a population, for tests",
    inputs=("time",),
    observables=("excited_population",),
    parameters=(
        Parameter(
            name="gamma_1", unit="s-1", meaning="rate", example=1e5, min=1.0, max=1e9, scale="log"
        ),
        population("p_0", 0.9),
        population("p_eq", 0.1),
    ),
    curve=curve,
    jacobian=jacobian,
    guess=guess,
    derived=(
        Derived(
            name="first_slope",
            unit="s-1",
            meaning="slope at the beginning",
            function=lambda **p: p["gamma_1"] * (p["p_0"] - p["p_eq"]),
            arguments=("gamma_1", "p_0", "p_eq"),
        ),
    ),
)


def claims(path: Path) -> bool:
    """Look at the first line."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def load(path: Path) -> Any:
    """Read one population a line."""
    try:
        values = [float(line) for line in path.read_text().splitlines()[1:]]
    except ValueError as error:
        raise LoaderError(f"{path.name} holds what is no number ({error}); mend it") from error
    if not values:
        raise LoaderError(f"{path.name} holds no numbers; choose a file with data")
    return pc.traces(
        time=np.arange(len(values)) * 1e-6,
        excited_population=values,
        units={"time": "s", "excited_population": "1"},
        plane="device",
    )


LOADER = Loader(name="toy", summary="one population a line, for tests", claims=claims, load=load)


def sample(folder: Path) -> Path:
    """Write a file of the toy's format."""
    path = folder / "sample.toy"
    path.write_bytes(MAGIC + b"0.90\n0.72\n0.58\n0.46\n")
    return path
