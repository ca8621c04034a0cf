"""Touchstone files of one or two ports, through scikit-rf's reader (extra ``rf``)."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from powercal.contracts import Loader
from powercal.errors import LoaderError
from powercal.hookspecs import hookimpl
from powercal.schema import InstrumentTraces, with_flag

_HEAD = 2**16
_OPTION = re.compile(
    r"^[ \t]*#[ \t]*(?:(?P<unit>[kMG]?Hz|dBm)[ \t]+)?(?:[SYZGH][ \t]+)?(?:MA|DB|RI)\b",
    re.IGNORECASE | re.MULTILINE,
)
_VERSION = re.compile(r"^[ \t]*\[Version\][ \t]+2", re.IGNORECASE | re.MULTILINE)


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")  # such files hold accents in comments only


def _claims(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = _text(file.read(_HEAD))
    except OSError:
        return False
    lines = (line.strip() for line in head.splitlines())
    first = next((line for line in lines if line and not line.startswith("!")), "")
    return bool(_OPTION.match(first) or _VERSION.match(first))


def _parse(path: Path, text: str) -> tuple[Any, Any]:
    """Return the sweep axis and S as scikit-rf reads them from the text.

    The reader gets text only: a path would let it unpickle what the file holds.
    """
    try:
        from skrf.io.touchstone import Touchstone
    except ImportError as error:
        raise LoaderError(
            f"{path.name} is a Touchstone file, which needs scikit-rf; install powercal[rf]"
        ) from error
    handle = io.StringIO(text)
    handle.name = path.name
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            file = Touchstone(handle)
            axis, parameters = file.get_sparameter_arrays()
    except Exception as error:  # scikit-rf raises anything on a bad file, MemoryError included
        raise LoaderError(
            f"{path.name} cannot be read as Touchstone ({type(error).__name__}: {error}); "
            f"export it anew as version 1 with S-parameters"
        ) from error
    return np.asarray(axis, np.float64), np.asarray(parameters, np.complex128)


def _load(path: Path, incident_power_dbm: float | None = None) -> InstrumentTraces:
    import xarray as xr

    text = _text(path.read_bytes())
    option = _OPTION.search(text)
    powers = option is not None and (option["unit"] or "").lower() == "dbm"
    if option is not None and powers:
        # A power sweep differs by the unit of its axis alone; scikit-rf knows hertz only.
        start, stop = option.span("unit")
        text = f"{text[:start]}Hz{text[stop:]}"
    axis, parameters = _parse(path, text)
    ports = parameters.shape[1]
    if ports > 2:
        raise LoaderError(
            f"{path.name} has {ports} ports; export the one or two that see the qubit as .s1p or "
            f".s2p"
        )
    dim = "power" if powers else "frequency"
    name, unit = ("incident_power", "dBm") if powers else ("frequency", "Hz")
    variables = {"reflection": (dim, parameters[:, 0, 0], {"units": "1"})}
    if ports == 2:
        variables["transmission"] = (dim, parameters[:, 1, 0], {"units": "1"})
    traces = xr.Dataset(
        variables,
        {name: (dim, axis, {"units": unit})},
        # An analyser compares phases: it sees the coherent wave and nothing else.
        {"plane": "instrument", "detection": "coherent"},
    )
    return InstrumentTraces(_with_power(path, traces, powers, incident_power_dbm))


def _with_power(path: Path, traces: Any, powers: bool, level: float | None) -> Any:
    if powers and level is not None:
        raise LoaderError(
            f"{path.name} sweeps the power itself; leave out the option incident_power_dbm"
        )
    if powers:
        return with_flag(traces, "the file does not say at which frequency the power was swept")
    if level is None:
        return with_flag(
            traces,
            "the file does not say the incident power; give it with the option incident_power_dbm",
        )
    return traces.assign_coords(incident_power=((), float(level), {"units": "dBm"}))


@hookimpl
def powercal_loaders() -> Iterable[Loader]:
    """Offer the loader for Touchstone files."""
    yield Loader(
        name="touchstone",
        summary="Touchstone .s1p and .s2p: S11 as reflection, S21 as transmission",
        claims=_claims,
        load=_load,
        options=("incident_power_dbm",),
    )
