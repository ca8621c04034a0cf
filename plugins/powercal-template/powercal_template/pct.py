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
    declared = dict(line.split(": ", 1) for line in lines if ": " in line)
    rows = [line.split() for line in lines if line.strip() and ": " not in line]
    if len(rows) < 2 or "plane" not in declared or set(declared) - set(KEYS):
        raise LoaderError(
            f"{path.name} must say plane (and detection), then name columns, then hold rows; "
            f"it says {', '.join(declared) or 'nothing'} and holds {max(len(rows) - 1, 0)} rows"
        )
    columns = [column.rpartition("_") for column in rows[0]]
    words = (word for word, _, _ in columns)
    arrays: dict[str, Any] = dict(zip(words, _numbers(path, rows), strict=True))
    return pc.traces(
        units={word: unit for word, _, unit in columns},
        plane=declared["plane"],
        detection=declared.get("detection"),
        **arrays,
    )


def _numbers(path: Path, rows: list[list[str]]) -> list[list[float]]:
    try:
        table = [[float(cell) for cell in row] for row in rows[1:]]
        return [list(column) for column in zip(*table, strict=True)]
    except ValueError as error:
        raise LoaderError(
            f"{path.name}: {error}; every row must hold one number for each of {', '.join(rows[0])}"
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
