"""A loader to copy: ``.pct``, a text file whose first line says what it is.

::

    powercal-template 1
    plane: device
    detection: absorbed
    incident_power_dBm frequency_GHz temperature_mK absorbed_power_fW
    -150.0 4.9990 20.0 0.00012
    -150.0 5.0000 20.0 0.00045
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import powercal as pc
from powercal.errors import LoaderError

MAGIC = "powercal-template 1"
KEYS = ("plane", "detection")


def claims(path: Path) -> bool:
    """Look at the first line, never at the name; whatever cannot be read is not ours."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC) + 1) == f"{MAGIC}\n".encode()
    except OSError:
        return False


def load(path: Path) -> Any:
    """Return the points one by one, along the dimension ``trace``."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()[1:]
    except UnicodeDecodeError as error:
        raise LoaderError(f"{path.name} is not UTF-8 ({error}); save it as UTF-8") from error
    head = [line.partition(":") for line in lines if ":" in line]
    declared = {key.strip(): value.strip() for key, _, value in head}
    rows = [line.split() for line in lines if line.strip() and ":" not in line]
    if len(rows) < 2 or set(declared) - set(KEYS) or "plane" not in declared:
        raise LoaderError(
            f"{path.name} must hold lines for plane (and detection), names and rows; mend it"
        )
    names = [column.rpartition("_") for column in rows[0]]
    return pc.traces(
        units={word: unit for word, _, unit in names},
        plane=declared["plane"],
        detection=declared.get("detection"),
        **{word: _numbers(path, rows, i) for i, (word, _, _) in enumerate(names)},
    )


def _numbers(path: Path, rows: list[list[str]], column: int) -> Any:
    try:
        return [float(row[column]) for row in rows[1:] if len(row) == len(rows[0]) or _short(row)]
    except (ValueError, IndexError) as error:
        raise LoaderError(
            f"{path.name}, column {rows[0][column]}: {error}; every row must hold a number for "
            f"every column"
        ) from error


@pc.hookimpl
def powercal_loaders() -> tuple[pc.Loader, ...]:
    """Offer the loader."""
    return (
        pc.Loader(
            name="pct",
            summary="powercal-template's text tables (.pct), one point a line",
            claims=claims,
            load=load,
        ),
    )
