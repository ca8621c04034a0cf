"""A line calibration as a small JSON file, to be given to later fits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from powercal.errors import LoaderError, PowercalError, ReportError
from powercal.line.calibration import LineCalibration
from powercal.writing import replacing

SCHEMA = 1


def write_line(
    path: str | Path, line: LineCalibration, origin: Mapping[str, Any] | None = None
) -> None:
    """Write what is known of a line, and where it comes from.

    Parameters
    ----------
    path : str or Path
        A JSON file; an old one is replaced at once or not at all.
    line : LineCalibration
        The line.
    origin : mapping, optional
        Plain data: source, model, what was taken as known.

    Raises
    ------
    ReportError
        The file cannot be written.
    """
    path = Path(path)
    content = {"powercal_line": SCHEMA, **line.plain(), "origin": dict(origin or {})}
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        with replacing(path) as part:
            part.write_text(text, encoding="utf-8")
    except OSError as reason:
        raise ReportError(
            f"line {path} cannot be written: {reason.strerror}; choose another name"
        ) from reason


def read_line(path: str | Path) -> LineCalibration:
    """Read a line that :func:`write_line` wrote.

    Parameters
    ----------
    path : str or Path
        The JSON file.

    Returns
    -------
    LineCalibration
        Values in dB with their standard uncertainties and correlation.

    Raises
    ------
    LoaderError
        No such file, no line in it, or an unknown schema number.
    """
    wanted = "a line comes from powercal calibrate-line"
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as reason:
        raise LoaderError(f"line {path} cannot be read: {reason.strerror}; {wanted}") from reason
    except ValueError as reason:
        raise LoaderError(f"line {path} is not JSON; {wanted}") from reason
    number = content.get("powercal_line") if isinstance(content, dict) else None
    if number != SCHEMA:
        raise LoaderError(f"line {path} has the schema {number!r}, this powercal reads {SCHEMA}")
    try:
        return LineCalibration.from_plain(content)
    except (KeyError, TypeError, ValueError, PowercalError) as reason:
        raise LoaderError(
            f"line {path} is damaged ({reason}); write it again: {wanted}"
        ) from reason
