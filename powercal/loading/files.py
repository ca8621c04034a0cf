"""Choose the loader of a file, call it, and check what it gave."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from powercal import registry
from powercal.contracts import Loader
from powercal.errors import (
    ContractError,
    LoaderChoiceError,
    LoaderError,
    PluginError,
    PowercalError,
    unknown_name,
)
from powercal.schema import InstrumentTraces, check_traces, with_flag

if TYPE_CHECKING:
    import xarray as xr

_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.\-]+://")


def open_traces(
    source: str | os.PathLike[str] | xr.Dataset,
    *,
    loader: str | None = None,
    merge: bool = False,
    **options: Any,
) -> InstrumentTraces:
    """Read traces from a file, or check a dataset that is in memory already.

    Parameters
    ----------
    source : path or xarray.Dataset
        A file that some loader claims, or a dataset with units and ``plane``.
    loader : str, optional
        The loader's name, where none or several claim the file.
    merge : bool
        Sort unsorted axes and average points measured twice (flagged).
    **options
        What the loader offers, for example ``mapping={"power": "Readout - Power"}``.

    Returns
    -------
    InstrumentTraces
        In SI, with source, checksum and loader in the attributes.

    Raises
    ------
    LoaderError
        The file is missing, is no file, or cannot be read.
    LoaderChoiceError
        No loader or several claim it.
    TraceSchemaError, UnitError
        It does not hold what the schema asks for.
    """
    if not isinstance(source, str | os.PathLike):
        return _check_dataset(source, loader, merge, options)
    path = existing_file(source)
    chosen, name = choose_loader(path, loader)
    check_options(chosen, options)
    traces = ask_loader(chosen, name, "load", path, options)
    return check_traces(_with_source(traces, path, name), merge=merge)


def _check_dataset(
    source: Any, loader: str | None, merge: bool, options: Mapping[str, Any]
) -> InstrumentTraces:
    import xarray as xr

    if not isinstance(source, xr.Dataset):
        raise LoaderError(
            f"{type(source).__name__} is neither a path nor an xarray.Dataset; pass one of them, "
            f"or build traces from arrays with powercal.traces"
        )
    if loader is not None or options:
        raise LoaderError(
            "a dataset in memory needs no loader and no options; leave them out, or pass the path"
        )
    return check_traces(source, merge=merge)


def existing_file(source: str | os.PathLike[str]) -> Path:
    """Return the path of a file that is there; addresses and folders are refused."""
    name = os.fsdecode(source)
    if _URL.match(name):
        raise LoaderError(f"{name!r} is an address on a network; download it and pass the file")
    path = Path(name)
    if path.is_dir():
        raise LoaderError(f"{name!r} is a folder; pass one of its files")
    if not path.is_file():
        raise LoaderError(
            f"{name!r} does not exist or is no file; check the spelling and the folder"
        )
    return path


def choose_loader(path: Path, wanted: str | None) -> tuple[Loader, str]:
    """Return the wanted loader, or the one that claims the file, and its name."""
    if wanted is not None:
        return registry.get_loader(wanted), wanted
    offered = registry.loaders()
    claimants: dict[str, Loader] = {}
    for name, loader in sorted(offered.items(), key=lambda item: ":" in item[0]):
        # A doubled loader stands there twice, plain and qualified; the plain name is enough.
        if not any(loader is other for other in claimants.values()) and _claimed(
            loader, name, path
        ):
            claimants[name] = loader
    if len(claimants) == 1:
        name, loader = next(iter(claimants.items()))
        return loader, name
    if claimants:
        names = ", ".join(claimants)
        raise LoaderChoiceError(
            f"{path.name} is claimed by several loaders ({names}); say which, for example "
            f"loader={next(iter(claimants))!r}"
        )
    raise LoaderChoiceError(
        f"{path.name} is claimed by no loader (on offer: {', '.join(offered) or 'none'}); name one "
        f"with loader=…, or build traces from arrays with powercal.traces"
    )


def _claimed(loader: Loader, name: str, path: Path) -> bool:
    try:
        return bool(loader.claims(path))
    except Exception as error:
        if registry.origin("loader", name)[0] == registry.HOUSE:
            raise
        warnings.warn(
            f"loader {name!r} raised {type(error).__name__}: {error} when asked whether it reads "
            f"{path.name}; taken as no",
            registry.PluginWarning,
            stacklevel=4,
        )
        return False


def check_options(loader: Loader, options: Mapping[str, Any]) -> None:
    """Refuse options that the loader does not know."""
    for name in options:
        if name not in loader.options:
            raise unknown_name(f"option of loader {loader.name!r}", name, loader.options)


def ask_loader(loader: Loader, name: str, verb: str, path: Path, options: Mapping[str, Any]) -> Any:
    """Call a loader; what a stranger's loader raises is told with the stranger's name."""
    distribution, version = registry.origin("loader", name)
    try:
        return getattr(loader, verb)(path, **options)
    except PowercalError:
        raise
    except Exception as error:
        if distribution == registry.HOUSE:
            raise
        raise PluginError(
            f"loader {name!r} of {distribution} {version} failed on {path.name} with "
            f"{type(error).__name__}: {error}; tell its authors, or choose another loader",
            name,
        ) from error


def _with_source(traces: Any, path: Path, name: str) -> xr.Dataset:
    import xarray as xr

    if not isinstance(traces, xr.Dataset):
        raise ContractError(
            f"loader {name!r} gave {type(traces).__name__} instead of an xarray.Dataset; tell its "
            f"authors",
            name,
        )
    earlier, known = traces.attrs.get("source"), traces.attrs.get("source_sha256", "unknown")
    found: xr.Dataset = traces
    if earlier is not None:
        found = with_flag(found, f"saved earlier from {earlier} (SHA-256 {known})")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return found.assign_attrs(source=path.name, source_sha256=digest, loader=name)
