"""Blocks of array batches in worker processes: the inputs lie in shared memory, once for all.

What goes in is written once and seen by every worker as read-only views; what comes out travels
as raw bytes with its type and shape. A block that crashes, hangs or hogs memory costs only itself.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import prod
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.errors import DataError
from powercal.processes.serving import Parcel, allow, resolve, sentence
from powercal.processes.workers import Crew

Array = NDArray[Any]
Arrays = Mapping[str, Array]
BlockFunction = Callable[[Arrays, Mapping[str, Any]], Arrays]

_KINDS = "biufcmMSU"  # what its bytes alone describe; objects would have to be pickled
_ALIGNED = 64  # bytes of a cache line, which is also more than any type asks for
_SHM = Path("/dev/shm")
# The segment that this worker looks at: mapped once, kept until another batch comes.
_OPEN: dict[str, SharedMemory] = {}


@dataclass(frozen=True, slots=True)
class BlockOutcome:
    """What became of one block.

    Attributes
    ----------
    index : int
        Which block, counted from 0.
    arrays : dict of ndarray or None
        What the function returned; None where it failed.
    failure : str or None
        Why it failed, in one sentence.
    """

    index: int
    arrays: dict[str, Array] | None = None
    failure: str | None = None


def run_blocks(
    arrays: Arrays,
    blocks: Sequence[tuple[int, int]],
    function: str,
    plan: Mapping[str, Any],
    *,
    workers: int,
    timeout: float | None,
    memory_limit: int | None,
) -> Iterator[BlockOutcome]:
    """Call a function with blocks of rows and give the results as they come.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        What is cut along its first axis. An array whose first axis has length 1 belongs to every
        row and goes whole to every block.
    blocks : sequence of tuple of int
        First row and row behind the last of each block.
    function : str
        ``"module:name"`` of a function ``(arrays, plan) -> dict of arrays``; the arrays that it
        gets cannot be written.
    plan : mapping
        Plain data (what JSON can hold) for every block alike.
    workers : int
        How many processes; 0 does everything in this one, without protection.
    timeout : float or None
        Seconds for one block.
    memory_limit : int or None
        Bytes that one block may ask for on top of the shared arrays (Linux).

    Yields
    ------
    BlockOutcome
        In the order of completion, with the block's index.

    Raises
    ------
    DataError
        The arrays hold objects, or shared memory is too small for them.
    PowercalError
        A worker cannot start.
    """
    if workers == 0:
        yield from _here(arrays, blocks, resolve(function), plan)
        return
    common = {"function": function, "plan": dict(plan)}
    with (
        _shared(arrays) as where,
        Crew(f"{__name__}:solve_block", workers, timeout, memory_limit).at_work() as crew,
    ):
        tasks = ({**common, **where, "start": start, "stop": stop} for start, stop in blocks)
        for outcome, buffers in crew.deliveries(tasks):
            record = outcome.record
            results = None if record is None else _unpacked(record, buffers)
            yield BlockOutcome(outcome.index, results, outcome.failure)


def solve_block(task: Mapping[str, Any]) -> Parcel:
    """Do one block in a worker: look at its rows, call the function, send what it returns."""
    segment = _attached(*task["segment"])
    whole = {
        name: np.ndarray(shape, dtype, segment.buf, offset)
        for name, (shape, dtype, offset) in task["layout"].items()
    }
    work: BlockFunction = resolve(task["function"])
    return _packed(work(_rows(whole, task["start"], task["stop"]), task["plan"]))


def _here(
    arrays: Arrays,
    blocks: Sequence[tuple[int, int]],
    work: BlockFunction,
    plan: Mapping[str, Any],
) -> Iterator[BlockOutcome]:
    for index, (start, stop) in enumerate(blocks):
        try:
            results = {
                name: _plain_array(name, array)
                for name, array in work(_rows(arrays, start, stop), plan).items()
            }
        except (Exception, SystemExit) as problem:
            yield BlockOutcome(index, failure=sentence(problem))
        else:
            yield BlockOutcome(index, results)


def _rows(arrays: Arrays, start: int, stop: int) -> dict[str, Array]:
    """Cut the rows of a block out of every array that has rows, as views nobody can write."""
    views = {}
    for name, array in arrays.items():
        common = array.ndim == 0 or array.shape[0] == 1
        views[name] = array.view() if common else array[start:stop]
        views[name].flags.writeable = False
    return views


def _plain_array(name: str, values: Any) -> Array:
    array = np.asarray(values)
    if array.dtype.kind not in _KINDS:
        raise DataError(
            f"{name} is an array of {array.dtype}, which cannot go between processes; "
            "numbers, times and text can"
        )
    return array


@contextmanager
def _shared(arrays: Arrays) -> Iterator[dict[str, Any]]:
    """Put arrays into shared memory; give its name and layout; free it at the end."""
    sound = {name: _plain_array(name, array) for name, array in arrays.items()}
    layout, size = {}, 0
    for name, array in sound.items():
        layout[name] = (array.shape, array.dtype.str, size)
        size += -(-array.nbytes // _ALIGNED) * _ALIGNED
    segment = _created(max(size, 1))
    try:
        for name, array in sound.items():
            place = np.ndarray(array.shape, array.dtype, segment.buf, layout[name][2])
            place[...] = array
            del place  # a view that lives on would keep the segment open
        yield {"segment": (segment.name, segment.size), "layout": layout}
    finally:
        segment.close()
        segment.unlink()


def _created(size: int) -> SharedMemory:
    """Create a segment, unless writing it would end the program for want of space."""
    free = shutil.disk_usage(_SHM).free if _SHM.is_dir() else size
    if size > free:
        raise DataError(
            f"the arrays take {size / 1e6:.0f} MB, and shared memory has {free / 1e6:.0f} MB left; "
            f"take fewer rows at a time, workers = 0, or a larger {_SHM}"
        )
    return SharedMemory(create=True, size=size)


def _attached(name: str, size: int) -> SharedMemory:
    """Return the segment of this name, mapped by the first block that asks for it."""
    if name not in _OPEN:
        for old in list(_OPEN):
            with suppress(BufferError):  # a function kept a view of it
                _OPEN.pop(old).close()
        allow(size)  # mapping it is not the block's own asking
        _OPEN[name] = SharedMemory(name=name)
    return _OPEN[name]


def _packed(results: Arrays) -> Parcel:
    """Describe arrays as a record, and lay their bytes beside it."""
    record, buffers = {}, []
    for name, values in results.items():
        array = _plain_array(name, values)
        record[name] = (array.dtype.str, array.shape)
        buffers.append(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return Parcel(record, buffers)


def _unpacked(record: Mapping[str, Any], buffers: Sequence[bytearray]) -> dict[str, Array]:
    """Make arrays of their bytes again, without another copy."""
    return {
        name: np.frombuffer(buffer, dtype, prod(shape)).reshape(shape)
        for (name, (dtype, shape)), buffer in zip(record.items(), buffers, strict=True)
    }
