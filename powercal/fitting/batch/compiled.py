"""The descent compiled by numba (extra ``fast``) from the same expressions of the same model."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import tempfile
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal import __version__
from powercal.errors import FitError
from powercal.fitting.batch import scalar_descent
from powercal.fitting.batch.descent import Found, Settings, empty_result
from powercal.fitting.batch.expression import Expression
from powercal.fitting.batch.kernel import Kernel, kernel_of
from powercal.fitting.batch.problem import BatchProblem

# Compiling takes about two seconds, in which numpy evaluates so many points.
WORTH_POINTS = 5e7


def available() -> bool:
    """Whether numba is installed; it is not imported for that."""
    return importlib.util.find_spec("numba") is not None


def worth_it(problem: BatchProblem, expression: Expression, fits: int) -> bool:
    """Whether compiled fits are sooner done: compiled before, or enough points to be worth it."""
    if not available():
        return False
    if fits * problem.points > WORTH_POINTS:
        return True
    source = _module_text(kernel_of(problem, expression))
    folder = _cache_folder()
    return folder is not None and any(
        (folder / "__pycache__").glob(f"{_name(source)}.fit_all-*.nbi")
    )


def descend_compiled(problem: BatchProblem, expression: Expression, settings: Settings) -> Found:
    """Fit all with the compiled descent; as :func:`descend` otherwise.

    Raises
    ------
    FitError
        numba is not installed.
    """
    if not available():
        raise FitError(
            "solver='numba' needs numba, which is not installed; pip install 'powercal[fast]', or "
            "choose solver='numpy'"
        )
    kernel = kernel_of(problem, expression)
    module = _module(_module_text(kernel))
    return run(module, kernel, problem, settings)


def run(module: Any, kernel: Kernel, problem: BatchProblem, settings: Settings) -> Found:
    """Call ``fit_all`` of a module on a problem's arrays."""
    start = problem.to_coordinates(problem.start)
    found = empty_result(problem.size, len(problem.axes))
    found.x[...] = start
    low, high = problem.bounds()
    named = problem.named()
    numbers = np.empty((problem.size, max(len(kernel.numbers), 1)))
    for k, name in enumerate(kernel.numbers):
        numbers[:, k] = named[name]
    shared = np.empty((len(kernel.shared), problem.points))
    for k, name in enumerate(kernel.shared):
        shared[k] = problem.inputs[name][0]
    shape = (problem.size, problem.points)
    own = tuple(
        np.ascontiguousarray(np.broadcast_to(problem.inputs[n], shape), dtype=float)
        for n in kernel.own
    )
    data = []
    for observed, part in kernel.signals:
        values = _gaps_in_both(problem.observed[observed].data)
        real = (values.real, values.imag)[part] if np.iscomplexobj(values) else values
        data.append(np.ascontiguousarray(real, dtype=float))
    sigma = tuple(
        np.ones((1, 1)) if o.sigma is None else np.ascontiguousarray(o.sigma, dtype=float)
        for o in problem.observed
    )
    module.fit_all(
        found.x, numbers, shared, own or (np.zeros((0, 0)),), tuple(data), sigma, low, high,
        problem.log, len(problem.priors), settings.tolerance, settings.evaluations,
        settings.damping, settings.absolute, np.array([o for o, _ in kernel.signals]),
        found.matrix, found.chi2, found.count, found.outcome, found.evaluations, found.on_bound,
    )  # fmt: skip
    return found


def _gaps_in_both(values: NDArray[Any]) -> NDArray[Any]:
    """Let a complex datum that lacks one part lack both, as everywhere else."""
    if not np.iscomplexobj(values):
        return values
    bad = ~np.isfinite(values)
    return np.where(bad, complex(np.nan, np.nan), values) if bad.any() else values


# ---- the module ----


def _module_text(kernel: Kernel) -> str:
    """Return the descent's own text with the kernel behind it, and what compiles both."""
    return f"{_descent_text()}\n\n{kernel.source}\n\n{_COMPILE}"


@cache
def _descent_text() -> str:
    return Path(scalar_descent.__file__).read_text(encoding="utf-8")


_COMPILE = """
import numba

_exact = numba.njit(cache=True, error_model="numpy", nogil=True)
_quick = numba.njit(
    cache=True, error_model="numpy", nogil=True, fastmath={"reassoc", "contract", "nsz", "arcp"}
)
evaluate = _quick(evaluate)
evaluate_even = _quick(evaluate_even)
squares = _quick(squares)
total = _quick(total)
power = _quick(power)
blank = _exact(blank)
gap = _exact(gap)
solve = _exact(solve)
stay_inside = _exact(stay_inside)
fit_one = _exact(fit_one)
fit_all = _exact(fit_all)
"""


def _name(source: str) -> str:
    """Return the module's name: another source, version or machine makes another one."""
    return f"powercal_{hashlib.sha256(f'{source}|{_versions()}'.encode()).hexdigest()[:24]}"


@cache
def _versions() -> str:
    import platform
    from importlib.metadata import version

    return f"{__version__}|{version('numba')}|{version('numpy')}|{platform.machine()}"


def _module(source: str) -> ModuleType:
    name = _name(source)
    if name in sys.modules:
        return sys.modules[name]
    folder = _cache_folder()
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="powercal_"))
    path = folder / f"{name}.py"
    if not path.exists() or path.read_text(encoding="utf-8") != source:
        part = folder / f".{name}.{os.getpid()}.part"
        part.write_text(source, encoding="utf-8")
        os.replace(part, path)
    spec = importlib.util.spec_from_file_location(name, path)
    assert isinstance(spec, ModuleSpec)
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _cache_folder() -> Path | None:
    """Return where compiled fits are kept: the user's own folder, or None if it is not safe."""
    said = os.environ.get("POWERCAL_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(said) if said else Path(base) / "powercal"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = folder.stat()
    except OSError:
        return None
    # What is imported from there is run: nobody else may write to it.
    if hasattr(os, "getuid") and (state.st_uid != os.getuid() or state.st_mode & 0o022):
        return None
    return folder if os.access(folder, os.W_OK) else None
