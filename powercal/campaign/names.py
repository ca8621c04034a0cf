"""Names of result files: made from the names of sources, safe everywhere, never the same twice."""

from __future__ import annotations

import hashlib
import re
import unicodedata

_LONGEST = 48
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_ENDING = re.compile(r"\.[^./]*$")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def stem_of(source: str) -> str:
    """Return the name, without ending, of the results of a source.

    Parameters
    ----------
    source : str
        Its path relative to the run file.

    Returns
    -------
    str
        Letters that every file system knows, and twelve digits of the SHA-256 of the path, so that
        sources whose names differ only in case or accents have results of their own.

    Examples
    --------
    >>> stem_of("raw/q3 sweep.hdf5")
    'raw-q3-sweep-d17249d00666'
    """
    return _safe(_ENDING.sub("", source), source)


def report_name(stem: str, item: str) -> str:
    """Return the file name of the report of a source, or of one of the items in it.

    Examples
    --------
    >>> report_name("q3-0011aabbccdd", "")
    'q3-0011aabbccdd.h5'
    >>> report_name("q3-0011aabbccdd", "repeat=0")
    'q3-0011aabbccdd.repeat-0-f9cf3e5781a7.h5'
    """
    return f"{stem}.{_safe(item, item)}.h5" if item else f"{stem}.h5"


def printable(text: str) -> str:
    """Replace what would steer a terminal: control and direction characters."""
    return _CONTROL.sub("?", text)


def _safe(name: str, whole: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    slug = _UNSAFE.sub("-", plain)[-_LONGEST:].strip("-.") or "file"
    digest = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{slug}-{digest[:12]}"
