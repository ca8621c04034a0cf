"""The ledger of a campaign: one record file per source, which says what is done and from what.

There is no other state. A source counts as done when its record exists, has the key that follows
from the bytes of its inputs, its settings and the versions, and lists reports that are there with
the checksums it says. A record appears by renaming after everything it speaks of is on the disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from powercal import __version__, registry
from powercal.campaign.names import stem_of
from powercal.campaign.run_file import RunFile
from powercal.campaign.settings import Settings
from powercal.writing import replacing

SCHEMA = 1
_TEMPORARY = re.compile(r"^\.[0-9a-f]{32}\.part$")
_AFTER_STEM = re.compile(r"(\.[A-Za-z0-9._-]+-[0-9a-f]{12})?\.h5")  # an item's name, if any

Record = dict[str, Any]
Task = dict[str, Any]


class Ledger:
    """The records in an output folder.

    Parameters
    ----------
    folder : Path
        The output folder; ``reports`` and ``records`` are made in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reports, self.records = folder / "reports", folder / "records"
        self._hashes: dict[Path, tuple[tuple[int, int, int], str]] = {}

    def prepare(self) -> None:
        """Make the folders and remove what killed processes left half written."""
        for folder in (self.folder, self.reports, self.records):
            folder.mkdir(parents=True, exist_ok=True)
        self.sweep()

    def sweep(self) -> None:
        """Remove temporary files; nobody else may be writing."""
        for folder in (self.folder, self.reports, self.records):
            for path in folder.iterdir() if folder.is_dir() else ():
                if _TEMPORARY.match(path.name):
                    with suppress(FileNotFoundError):
                        path.unlink()

    def task(self, run: RunFile, source: str, overrides: tuple[int, ...]) -> Task:
        """Return all that a worker needs for one source, as plain data with its key.

        Raises
        ------
        OSError
            An input that cannot be read.
        """
        settings = run.settings(overrides)
        inputs = {"source": self.digest(run.root / source)}
        for table in ("reference", "line"):
            file = (settings[table] or {}).get("file")
            if file is not None:
                inputs[table] = self.digest(run.root / file)
        versions = versions_of(settings)
        stated = {
            "schema": SCHEMA,
            "source": source,
            "inputs": inputs,
            "settings": settings,
            "versions": versions,
        }
        return {
            **stated,
            "key": hashlib.sha256(canonical(stated).encode()).hexdigest(),
            "stem": stem_of(source),
            "root": os.fspath(run.root),
            "output": os.fspath(self.folder),
        }

    def digest(self, path: Path) -> str:
        """Return the SHA-256 of a file; one that did not change meanwhile is read only once."""
        state = path.stat()
        mark = (state.st_size, state.st_mtime_ns, state.st_ino)
        known = self._hashes.get(path)
        if known is None or known[0] != mark:
            known = (mark, digest_of(path))
            self._hashes[path] = known
        return known[1]

    def acknowledged(self, task: Mapping[str, Any]) -> Record | None:
        """Return the record of a task that is done, whole and as it would be done today."""
        record = self.record(task["source"])
        if record is None or record.get("key") != task["key"]:
            return None
        if record["loader"] != loader_of(record["loader"].get("name")):
            return None
        whole = all(self._is_whole(*report) for report in record["reports"])
        return record if whole else None

    def _is_whole(self, name: str, digest: str) -> bool:
        try:
            return self.digest(self.reports / name) == digest
        except OSError:
            return False

    def record(self, source: str) -> Record | None:
        """Return the record of a source; None where there is none or it is damaged."""
        path = self.records / f"{stem_of(source)}.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) and found.get("schema") == SCHEMA else None

    def forget(self, source: str) -> None:
        """Remove the record of a source, so that it is done again."""
        with suppress(FileNotFoundError):
            (self.records / f"{stem_of(source)}.json").unlink()

    def strays(self, listed: Mapping[str, Collection[str]]) -> Iterator[Path]:
        """Yield reports of sources that their records do not list: of an earlier run file.

        Parameters
        ----------
        listed : mapping
            The names of the reports that are right, by source; others are not looked at.
        """
        names_of = {stem_of(source): names for source, names in listed.items()}
        for path in list(self.reports.iterdir()):
            dots = [at for at, letter in enumerate(path.name) if letter == "."]
            for stem, rest in ((path.name[:at], path.name[at:]) for at in dots):
                if stem in names_of and _AFTER_STEM.fullmatch(rest):
                    if path.name not in names_of[stem]:
                        yield path
                    break


def acknowledge(task: Mapping[str, Any], record: Record) -> None:
    """Write the record of a task whose reports are written; from then on it is done."""
    folder = Path(task["output"])
    sync_folder(folder / "reports")
    with replacing(folder / "records" / f"{task['stem']}.json") as part:
        part.write_text(canonical(record, indent=1) + "\n", encoding="utf-8")
    sync_folder(folder / "records")


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the system can."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def canonical(data: Any, indent: int | None = None) -> str:
    """Write plain data as JSON: the same data give the same text, in ASCII."""
    return json.dumps(data, sort_keys=True, allow_nan=False, indent=indent)


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions_of(settings: Settings) -> dict[str, str]:
    """Return the versions on which the numbers depend, as far as known before a file is opened."""
    name = settings["model"]["name"]
    distribution, version = registry.origin("model", name)
    loader = settings["loader"]["name"]
    found = {
        "powercal": __version__,
        "model": registry.get_model(name).version,
        "distribution": f"{distribution} {version}",
    }
    if loader is not None:
        found["loader"] = " ".join(registry.origin("loader", loader))
    return found


def loader_of(name: str | None) -> dict[str, Any]:
    """Say which loader it was; where none was found, which ones there were to choose from."""
    if name is None:
        return {"offered": {n: " ".join(registry.origin("loader", n)) for n in registry.loaders()}}
    if name not in registry.loaders():
        return {}
    distribution, version = registry.origin("loader", name)
    return {"name": name, "distribution": distribution, "version": version}
