"""Tasks that behave, and tasks that do what tasks must not do; called by name in the workers."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import re
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.processes import shared

Array = NDArray[Any]
THIS = "tests.processes.hazards"
HELD: list[Any] = []
TRAPS: list[int] = []


def act(task: Mapping[str, Any]) -> dict[str, Any]:
    """Square a number, or do the harm that the task names."""
    if TRAPS:
        ctypes.string_at(1)
    harm = task.get("harm")
    if harm is not None:
        globals()[f"_{harm}"](task)
    return {"square": task["number"] ** 2, "root": task["number"] ** 0.5}


def where(task: Mapping[str, Any]) -> dict[str, Any]:
    """Tell the process that does this task, after what ``act`` does."""
    act(task)
    return {"pid": os.getpid(), "threads": os.environ["OMP_NUM_THREADS"]}


def unspeakable(task: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is no plain data."""
    return {"result": object()}


def work(task: Mapping[str, Any]) -> dict[str, Any]:
    """Compute for some tens of milliseconds, in small matrices as fits do."""
    matrix = np.eye(30) + 1e-3
    for _ in range(int(task["rounds"])):
        matrix = matrix @ matrix
        matrix /= np.abs(matrix).max()
    return {"corner": float(matrix[0, 0])}


def calibrate(task: Mapping[str, Any]) -> dict[str, Any]:
    """Simulate the absorbed power of one sweep and fit it, profiles included."""
    import powercal as pc

    traces = pc.simulate(
        "single_channel",
        {"gamma_1": 3e6, "gamma_phi": 1e6, "drive_scale": 3e29, "qubit_frequency": 5e9},
        inputs={"incident_power": 1e-16, "frequency": 5e9 + np.linspace(-8e6, 8e6, 201)},
        noise={"absorbed_power": 2e-20},
        observables=("absorbed_power",),
        seed=task["seed"],
        detection="absorbed",
    )
    result = pc.fit(pc.to_device_plane(traces), "single_channel", fixed={"drive_scale": 3e29})
    return {"gamma_1": result["gamma_1"].value, "stderr": result["gamma_1"].stderr}


def _raise(task: Mapping[str, Any]) -> None:
    raise ValueError("two lines\nof text")


def _segfault(task: Mapping[str, Any]) -> None:
    ctypes.string_at(1)


def _exit(task: Mapping[str, Any]) -> None:
    os._exit(7)


def _system_exit(task: Mapping[str, Any]) -> None:
    sys.exit(3)


def _nap(task: Mapping[str, Any]) -> None:
    time.sleep(0.02)


def _sleep(task: Mapping[str, Any]) -> None:
    time.sleep(0.5)


def _hang(task: Mapping[str, Any]) -> None:
    time.sleep(3600)


def _hang_with_the_lock(task: Mapping[str, Any]) -> None:
    print("a plugin that talks", flush=True)
    Path(task["begun"]).touch()
    re.match(r"(a+)+$", "a" * 60 + "b")  # the interpreter's lock stays taken for years


def _hog(task: Mapping[str, Any]) -> None:
    HELD.extend(np.empty(10**7) for _ in range(100))


def _keep(task: Mapping[str, Any]) -> None:
    HELD.append(np.empty(15 * 10**6))  # 120 MB


def _trap(task: Mapping[str, Any]) -> None:
    TRAPS.append(1)


def _kill_the_parent(task: Mapping[str, Any]) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    assert parent.pid is not None
    os.kill(parent.pid, signal.SIGKILL)
    time.sleep(60)


def rows(arrays: Mapping[str, Array], plan: Mapping[str, Any]) -> dict[str, Array]:
    """Give back the rows of a block, and a curve of rows and common axis."""
    harmed = plan.get("harm_at") in arrays["value"]
    if harmed:
        globals()[f"_{plan['harm']}"](plan)
    curve = plan["scale"] * arrays["value"][:, None] * arrays["axis"]
    return {**arrays, "curve": curve, "count": np.array(len(arrays["value"]))}


def scribble(arrays: Mapping[str, Array], plan: Mapping[str, Any]) -> dict[str, Array]:
    """Write into an input where the plan says so."""
    if plan["at"] in arrays["value"]:
        arrays["value"][0] = 0.0
    return {"value": arrays["value"]}


def segments(arrays: Mapping[str, Array], plan: Mapping[str, Any]) -> dict[str, Array]:
    """Tell which shared memory the worker looks at."""
    return {"name": np.array(list(shared._OPEN))}


def objects(arrays: Mapping[str, Array], plan: Mapping[str, Any]) -> dict[str, Array]:
    """Return what cannot travel."""
    return {"thing": np.array([object()])}
