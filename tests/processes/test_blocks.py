"""Blocks of rows over shared memory give what the whole gives, and harm stays in its block."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from multiprocessing.shared_memory import SharedMemory
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from powercal.errors import DataError
from powercal.processes.shared import BlockOutcome, run_blocks
from tests.processes.hazards import THIS, rows

Array = NDArray[Any]
BLOCKS = [(0, 4), (4, 8), (8, 11)]
PLAN = {"scale": 0.1}


def batch() -> dict[str, Array]:
    """Eleven rows of every type that bytes describe, a common axis, and rows that are empty."""
    n = np.arange(11)
    return {
        "value": n / 7.0,
        "axis": np.linspace(0.0, 1.0, 5)[None, :],
        "complex": np.exp(1j * n)[:, None, None] * np.ones((1, 2, 3)),
        "fortran": np.asfortranarray(np.outer(n, n + 1)).astype(">i2"),
        "mask": n % 2 == 0,
        "time": np.datetime64("2026-01-01") + n,
        "name": np.array([f"qubit {i} µ" for i in n]),
        "empty": np.zeros((11, 0)),
    }


def run(
    arrays: Mapping[str, Array], function: str = "rows", plan: Mapping[str, Any] = PLAN, **more: Any
) -> dict[int, BlockOutcome]:
    options = {"workers": 2, "timeout": 60.0, "memory_limit": None} | more
    outcomes = list(run_blocks(arrays, BLOCKS, f"{THIS}:{function}", plan, **options))
    assert len(outcomes) == len(BLOCKS)
    return {outcome.index: outcome for outcome in outcomes}


@pytest.mark.parametrize("workers", [0, 2])
def test_blocks_put_together_are_the_whole(workers: int) -> None:
    arrays = batch()
    whole = rows(arrays, PLAN)
    outcomes = run(arrays, workers=workers)
    for name in whole.keys() - {"axis", "count"}:
        parts = [found[name] for i in range(3) if (found := outcomes[i].arrays)]
        together = np.concatenate(parts)
        assert {part.dtype for part in parts} == {whole[name].dtype}
        assert np.array_equal(together, whole[name]), name
    for i, (start, stop) in enumerate(BLOCKS):
        found = outcomes[i].arrays
        assert found is not None
        assert np.array_equal(found["axis"], arrays["axis"])
        assert found["count"].shape == ()
        assert found["count"] == stop - start


@pytest.mark.parametrize("workers", [0, 2])
def test_a_function_cannot_write_its_inputs(workers: int) -> None:
    arrays = batch()
    outcomes = run(arrays, "scribble", {"at": arrays["value"][5]}, workers=workers)
    assert [outcomes[i].failure for i in range(3)] == [
        None,
        "ValueError: assignment destination is read-only",
        None,
    ]
    assert arrays["value"].flags.writeable


@pytest.mark.parametrize(
    ("harm", "failure"),
    [("segfault", "crashed (SIGSEGV)"), ("hang", "took longer than 0.5 s and was stopped")],
)
def test_a_block_that_does_harm_costs_only_itself(harm: str, failure: str) -> None:
    arrays = batch()
    outcomes = run(arrays, plan=PLAN | {"harm": harm, "harm_at": arrays["value"][5]}, timeout=0.5)
    assert [outcomes[i].failure for i in range(3)] == [None, failure, None]
    assert outcomes[1].arrays is None


@pytest.mark.parametrize("workers", [0, 2])
def test_results_that_would_have_to_be_pickled_are_failures(workers: int) -> None:
    for outcome in run(batch(), "objects", workers=workers).values():
        assert outcome.failure == (
            "DataError: thing is an array of object, which cannot go between processes; "
            "numbers, times and text can"
        )


def test_inputs_that_would_have_to_be_pickled_are_refused() -> None:
    with pytest.raises(DataError, match="thing is an array of object"):
        run({"thing": np.array([object()] * 11)})


def test_the_shared_memory_is_gone_at_the_end() -> None:
    found = run(batch(), "segments")[0].arrays
    assert found is not None
    (name,) = found["name"]
    with pytest.raises(FileNotFoundError):
        SharedMemory(name=str(name))


def test_the_shared_arrays_are_not_charged_to_a_block() -> None:
    arrays = batch() | {"large": np.zeros((11, 3 * 10**6))}  # 264 MB
    outcomes = run(arrays, "scribble", {"at": -1.0}, memory_limit=150 * 10**6)
    assert [outcomes[i].failure for i in range(3)] == [None] * 3


def test_arrays_that_do_not_fit_are_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**6))
    with pytest.raises(DataError, match="arrays take 11 MB, and shared memory has 1 MB left"):
        run({"large": np.zeros((11, 125000))})
