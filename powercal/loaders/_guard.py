"""Read strangers' HDF5 without following it out of the file or past the memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from powercal.errors import LoaderError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
MAX_BYTES = 2 * 2**30
# h5py reports damage inside a file with any of these, so all of them mean "cannot read".
_DAMAGE = (
    OSError,
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
)


def is_hdf5(path: Path) -> bool:
    """Say whether the file begins like HDF5; False where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(8) == SIGNATURE
    except OSError:
        return False


@contextmanager
def open_hdf5(path: Path) -> Iterator[Any]:
    """Open for reading; whatever HDF5 says about a damaged file becomes a LoaderError."""
    import h5py

    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except _DAMAGE as error:
        raise LoaderError(
            f"{path.name} cannot be read as HDF5 ({type(error).__name__}: {error}); "
            f"it may be damaged or incomplete: copy it again from where it was measured"
        ) from error


def member(group: Any, name: str) -> Any:
    """Return the member at ``name`` (``a/b`` descends), or None where there is none.

    Raises
    ------
    LoaderError
        If the way leads out of the file.
    """
    import h5py

    here = group
    for part in name.split("/"):
        if not isinstance(here, h5py.Group):
            return None
        link = here.get(part, getlink=True)
        if link is None:
            return None
        if isinstance(link, h5py.ExternalLink):
            raise LoaderError(
                f"{_file(group)}: {name!r} is a link to another file ({link.filename}), which is "
                f"not followed; store the data in the file itself"
            )
        here = here.get(part)
        if here is None:
            return None
    _refuse_outside(group, name, here)
    return here


def dataset(group: Any, name: str) -> Any:
    """Return the array at ``name``, or None where there is none."""
    import h5py

    found = member(group, name)
    return found if isinstance(found, h5py.Dataset) else None


def _refuse_outside(group: Any, name: str, found: Any) -> None:
    import h5py

    if not isinstance(found, h5py.Dataset):
        return
    if found.is_virtual or found.external:
        raise LoaderError(
            f"{_file(group)}: {name!r} keeps its values in other files, which are not opened; "
            f"store the data in the file itself"
        )
    if found.nbytes > MAX_BYTES:
        raise LoaderError(
            f"{_file(group)}: {name!r} claims {found.nbytes:.3g} bytes, more than the "
            f"{MAX_BYTES:.3g} that are read; split the file"
        )


def _file(group: Any) -> str:
    return Path(group.file.filename).name


def text(value: Any) -> str:
    """Decode what HDF5 calls a string: bytes or str."""
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return value.decode("latin-1")
    return str(value)
