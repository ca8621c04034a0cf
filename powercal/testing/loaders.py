"""The clauses of the contract about a loader: what it claims and gives, and leaves alone."""

from __future__ import annotations

import hashlib
import inspect
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from powercal import registry
from powercal.contracts import Loader
from powercal.errors import ContractError, DataError, PowercalError
from powercal.schema import InstrumentTraces, check_traces

if TYPE_CHECKING:
    import xarray as xr

# How many files begin that are not this loader's.
_MAGIC = {
    "HDF5": b"\x89HDF\r\n\x1a\n",
    "netCDF-3": b"CDF\x01",
    "ZIP": b"PK\x03\x04",
    "gzip": b"\x1f\x8b\x08\x00",
    "PNG": b"\x89PNG\r\n\x1a\n",
    "SQLite": b"SQLite format 3\x00",
    "NumPy": b"\x93NUMPY\x01\x00",
    "MATLAB": b"MATLAB 5.0 MAT-file, Platform: PCWIN64",
}
_TEXTS = {
    "a text file": b"Dear colleague,\n\nthe refrigerator is cold again.\n",
    "JSON": b'{"comment": "no traces in here", "values": [1, 2, 3]}\n',
    "XML": b'<?xml version="1.0"?>\n<note>no traces in here</note>\n',
    "a table of strange words": b"apples,pears\n1,2\n3,4\n",
}
_TRUNCATIONS = (0.0, 0.03, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)


def _fault(loader: Loader, sentence: str) -> ContractError:
    return ContractError(f"loader {loader.name!r}: {sentence}", str(loader.name))


def check_names(loader: Loader) -> None:
    """Name and summary are sane, and ``load`` understands the options that are offered."""
    registry.check_loader(loader)
    if not loader.summary.strip() or "\n" in loader.summary:
        raise _fault(loader, "the summary must be one line that says which files it reads")
    try:
        inspect.signature(loader.load).bind(Path("x"), **dict.fromkeys(loader.options))
    except TypeError as error:
        raise _fault(
            loader, f"load(path, **options) does not take its own options: {error}"
        ) from error


def check_claims(loader: Loader, sample: Path, scratch: Path) -> None:
    """It claims its own file, whatever the name, and nobody else's; asking never raises."""
    renamed = scratch / "file_of_another_name"
    shutil.copyfile(sample, renamed)
    for path in (sample, renamed):
        if not _claimed(loader, path, "its own file"):
            raise _fault(
                loader, f"it does not claim {path.name}; claims must read content, not names"
            )
    for what, path in _strangers(sample, scratch):
        if _claimed(loader, path, what):
            raise _fault(loader, f"it claims {what} (named {path.name}); look at the content")


def _claimed(loader: Loader, path: Path, what: str) -> bool:
    try:
        answer = loader.claims(path)
    except Exception as error:  # a stranger's code may raise anything
        raise _fault(
            loader,
            f"claims raised {type(error).__name__} for {what}: {error}; it must never raise",
        ) from error
    if not isinstance(answer, bool):
        raise _fault(loader, f"claims gave {answer!r} for {what}; it must be True or False")
    return answer


def _strangers(sample: Path, scratch: Path) -> Iterator[tuple[str, Path]]:
    """Files that are not the loader's although they carry the sample's suffix."""
    head = sample.read_bytes()[:64]
    contents = {"an empty file": b"", "random bytes": np.random.default_rng(0).bytes(4096)}
    contents |= _TEXTS
    contents |= {
        f"a {name} header with nothing behind": magic + bytes(512)
        for name, magic in _MAGIC.items()
        if not head.startswith(magic)
    }
    folder = scratch / f"folder{sample.suffix}"
    folder.mkdir()
    yield "a folder", folder
    yield "a path where nothing is", scratch / f"missing{sample.suffix}"
    for number, (what, content) in enumerate(contents.items()):
        path = scratch / f"stranger_{number}{sample.suffix}"
        path.write_bytes(content)
        yield what, path
    path = scratch / f"another_hdf5{sample.suffix}"
    _write_other_hdf5(path)
    yield "an HDF5 file of another kind", path


def _write_other_hdf5(path: Path) -> None:
    import xarray as xr

    other = xr.Dataset({"barometer": ("hour", [1013.0, 1012.5])})
    other.to_netcdf(path, engine="h5netcdf")


def check_traces_of(
    loader: Loader, sample: Path, facts: Mapping[str, Any], **options: Any
) -> InstrumentTraces:
    """What it loads passes the schema, with units and plane, and holds the expected facts."""
    loaded = _load(loader, sample, options)
    try:
        traces = check_traces(loaded)
    except PowercalError as error:
        raise _fault(
            loader, f"what it loads from {sample.name} breaks the schema: {error}"
        ) from error
    for name, variable in loaded.variables.items():
        if (
            variable.dtype.kind in "fciu"
            and name not in loaded.dims
            and not variable.attrs.get("units")
        ):
            raise _fault(loader, f"variable {name!r} from {sample.name} has no units")
    _check_facts(loader, traces, facts)
    return traces


def _load(loader: Loader, path: Path, options: Mapping[str, Any]) -> xr.Dataset:
    import xarray as xr

    try:
        loaded = loader.load(path, **options)
    except Exception as error:  # a stranger's code may raise anything
        raise _fault(
            loader, f"load raised {type(error).__name__} for {path.name}: {error}"
        ) from error
    if not isinstance(loaded, xr.Dataset):
        raise _fault(loader, f"load gave {type(loaded).__name__}; it must be an xarray.Dataset")
    return loaded


def _check_facts(loader: Loader, traces: xr.Dataset, facts: Mapping[str, Any]) -> None:
    """Compare ``sizes`` by dimension, ``attrs``, and ``ranges`` (least, largest) by variable."""
    strange = sorted(set(facts) - {"sizes", "attrs", "ranges"})
    if strange:
        raise _fault(loader, f"{strange[0]!r} is no fact to expect; use sizes, attrs or ranges")
    found: dict[str, Any] = {}
    for kind, expected in facts.items():
        for name, value in expected.items():
            if kind == "ranges":
                absolute = np.abs(traces[name].values) if name in traces else np.zeros(1)
                found = {name: (float(np.nanmin(absolute)), float(np.nanmax(absolute)))}
                same = name in traces and np.allclose(found[name], value, rtol=1e-9, atol=0)
            else:
                found = {str(k): v for k, v in getattr(traces, kind).items()}
                same = found.get(name) == value
            if not same:
                raise _fault(
                    loader, f"{kind} of {name}: {value!r} is expected, {found.get(name)!r} is there"
                )


def check_memory(loader: Loader, sample: Path, **options: Any) -> None:
    """Loading twice gives the same."""
    first, second = (_load(loader, sample, options) for _ in range(2))
    if not first.identical(second):
        raise _fault(loader, f"loading {sample.name} twice gives two different datasets")


def check_untouched(loader: Loader, sample: Path, scratch: Path, **options: Any) -> None:
    """Asking and loading change neither the file nor what lies beside it."""
    folder = scratch / "untouched"
    folder.mkdir()
    copy = folder / sample.name
    shutil.copyfile(sample, copy)
    before = hashlib.sha256(copy.read_bytes()).hexdigest()
    _claimed(loader, copy, "its own file")
    _load(loader, copy, options)
    if loader.describe is not None:
        _described(loader, copy, options)
    if hashlib.sha256(copy.read_bytes()).hexdigest() != before:
        raise _fault(loader, f"reading {sample.name} changes it; open it for reading only")
    if [path.name for path in folder.iterdir()] != [sample.name]:
        raise _fault(loader, f"reading {sample.name} leaves other files beside it")


def _described(loader: Loader, path: Path, options: Mapping[str, Any]) -> None:
    assert loader.describe is not None
    try:
        lines = loader.describe(path, **options)
    except Exception as error:  # a stranger's code may raise anything
        raise _fault(loader, f"describe raised {type(error).__name__}: {error}") from error
    if not isinstance(lines, tuple) or not all(isinstance(line, str) for line in lines):
        raise _fault(loader, "describe must give a tuple of lines")


def check_truncated(loader: Loader, sample: Path, scratch: Path, **options: Any) -> None:
    """A file cut short either loads or is refused with a LoaderError or another DataError."""
    whole = sample.read_bytes()
    folder = scratch / "truncated"
    folder.mkdir()
    short = folder / sample.name
    for length in sorted({int(part * len(whole)) for part in _TRUNCATIONS} | {len(whole) - 1}):
        short.write_bytes(whole[:length])
        _claimed(loader, short, f"its own file cut to {length} bytes")
        try:
            loader.load(short, **options)
        except DataError:
            continue
        except Exception as error:  # a stranger's code may raise anything
            raise _fault(
                loader,
                f"cut to {length} of {len(whole)} bytes, {sample.name} raises "
                f"{type(error).__name__}: {error}; raise LoaderError with a sentence",
            ) from error
