"""The run file of a campaign: TOML in, every key checked, settings for every source out."""

from __future__ import annotations

import glob
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from powercal.campaign.settings import LEVELS, TABLES, Settings, settings_from
from powercal.campaign.tables import Table, merged
from powercal.errors import ConfigError, PowercalError
from powercal.line import AttenuatorChain, LineCalibration, read_line
from powercal.loading.device import Reading, line_with

_TOP = ("sources", "output", "strict", "workers", "override", *TABLES)
_WORKERS = ("number", "timeout", "memory_limit", "scheduler")
# What a campaign writes into its output folder; a glob never takes it for a source.
RESULTS = ("reports", "records", "summary.h5", "summary.csv")
_LARGEST = 2**20  # bytes; a run file that people write is a thousand times smaller


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """Who does the work.

    Attributes
    ----------
    number : int or None
        Processes; 0 does all in this one, None takes as many as there are processors.
    timeout : float or None
        Seconds that one source may take.
    memory_limit : int or None
        Bytes that one source may take.
    scheduler : str or None
        Address of a dask scheduler, whose workers take the place of processes here.
    """

    number: int | None = None
    timeout: float | None = None
    memory_limit: int | None = None
    scheduler: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFile:
    """What a run file says; see :func:`read_run_file`.

    Attributes
    ----------
    path, output : Path
        The run file; the folder for all results.
    sources : tuple of str
        Globs, relative to the folder of the run file.
    strict : bool
        Whether the first source that fails stops the campaign.
    workers : Workers
        Who does the work.
    content : mapping
        The tables of settings as TOML gave them.
    overrides : tuple of (glob, tables)
        Tables for some sources, laid over the others in this order.
    """

    path: Path
    output: Path
    sources: tuple[str, ...]
    strict: bool
    workers: Workers
    content: Mapping[str, Any]
    overrides: tuple[tuple[str, Mapping[str, Any]], ...]
    _known: dict[tuple[int, ...], Settings] = field(default_factory=dict, repr=False, compare=False)

    @property
    def root(self) -> Path:
        """The folder of the run file, to which all paths in it are relative."""
        return self.path.parent

    def find(self, *, all_there: bool = True) -> dict[str, tuple[int, ...]]:
        """Return all sources in order, each with the numbers of the overrides that hold for it.

        Parameters
        ----------
        all_there : bool
            Whether a glob that finds nothing is an error (not so while a folder is watched).

        Raises
        ------
        ConfigError
            A glob that finds nothing.
        """
        found: set[str] = set()
        for pattern in self.sources:
            here = self._glob(pattern)
            if all_there and not here:
                raise ConfigError(
                    f"{self.path.name}, sources: {pattern!r} finds no file beside the run file; "
                    f"mend the pattern or take it out"
                )
            found |= here
        reach = [self._glob(pattern) for pattern, _ in self.overrides]
        for (pattern, _), files in zip(self.overrides, reach, strict=True):
            if all_there and not files & found:
                raise ConfigError(
                    f"{self.path.name}, [[override]] files: {pattern!r} finds none of the sources; "
                    f"mend the pattern or take it out"
                )
        return {s: tuple(i for i, f in enumerate(reach) if s in f) for s in sorted(found)}

    def _glob(self, pattern: str) -> set[str]:
        root = os.fspath(self.root)
        found = glob.glob(pattern, root_dir=root, recursive=True)
        paths = (os.path.relpath(os.path.join(root, name), root) for name in found)
        output = PurePath(os.path.relpath(self.output, root))
        return {
            PurePath(path).as_posix()
            for path in paths
            if not any(PurePath(path).is_relative_to(output / name) for name in RESULTS)
            and os.path.isfile(self.root / path)
        }

    def settings(self, overrides: Iterable[int] = ()) -> Settings:
        """Return the settings under some of the overrides: plain data in SI.

        Raises
        ------
        ConfigError
            Naming file, table and key.
        """
        numbers = tuple(overrides)
        if numbers not in self._known:
            content: Mapping[str, Any] = self.content
            for number in numbers:
                content = merged(content, self.overrides[number][1])
            settings = settings_from(self.path.name, content)
            self._check_files(settings)
            self._known[numbers] = settings
        return self._known[numbers]

    def _check_files(self, settings: Settings) -> None:
        for table in ("line", "reference"):
            file = (settings[table] or {}).get("file")
            if file is not None and not (self.root / file).is_file():
                raise ConfigError(
                    f"{self.path.name}, [{table}] file: there is no file {file!r} beside the run "
                    f"file; mend the path"
                )
        try:
            reading_of(settings, self.root)
        except PowercalError as error:
            raise ConfigError(f"{self.path.name}, [line]: {error}") from error


def read_run_file(path: str | os.PathLike[str]) -> RunFile:
    """Read a run file and check every key in it.

    Parameters
    ----------
    path : path
        A TOML file; all paths in it are relative to its folder.

    Returns
    -------
    RunFile
        Checked, its quantities readable.

    Raises
    ------
    ConfigError
        No such file, no TOML, or a table, key or value that is not known: with file, table, key
        and the known keys.
    """
    file = Path(path).absolute()
    top = Table(file.name, "", _parsed(file), _TOP)
    sources = top.texts("sources")
    if not sources:
        raise top.error("sources", 'it is missing; write for example sources = ["raw/*.hdf5"]')
    output = top.text("output")
    if output is None:
        raise top.error("output", "it is missing; name the folder for the results")
    run = RunFile(
        path=file,
        output=Path(os.path.abspath(file.parent / output)),
        sources=sources,
        strict=top.flag("strict"),
        workers=_workers(Table(file.name, "workers", top.content.get("workers", {}), _WORKERS)),
        content={name: top.content.get(name, {}) for name in TABLES},
        overrides=_overrides(top),
    )
    run.settings()
    for number, (files, _) in enumerate(run.overrides):
        try:
            run.settings((number,))
        except ConfigError as error:
            raise ConfigError(f"{error} (for files {files!r})") from error
    return run


def _parsed(file: Path) -> dict[str, Any]:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"run file {file.name} cannot be read: {error.strerror}; check the path"
        ) from error
    if len(data) > _LARGEST:
        raise ConfigError(f"run file {file.name} is larger than 1 MiB; it cannot be a run file")
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"run file {file.name} is no TOML: {error}; mend it there") from error


def _workers(table: Table) -> Workers:
    from powercal.spelling import quantity

    seconds = table.spelled("timeout", lambda text: quantity(text, "s"))
    if seconds is not None and not seconds > 0:
        raise table.error("timeout", "it must be a time above 0; leave it out for no limit")
    return Workers(
        number=table.count("number"),
        timeout=seconds,
        memory_limit=table.count("memory_limit"),
        scheduler=table.text("scheduler"),
    )


def _overrides(top: Table) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    given = top.content.get("override", [])
    if not isinstance(given, list):
        raise top.error("override", "it is not an array of tables; write [[override]]")
    found = []
    for content in given:
        table = Table(top.file, "override", content, ("files", *TABLES))
        files = table.text("files")
        if files is None:
            raise table.error("files", "it is missing; give a glob of the sources it is for")
        found.append((files, {n: table.mapping(n) for n in TABLES if n in table}))
    return tuple(found)


def reading_of(settings: Settings, root: Path) -> Reading:
    """Return how a source with these settings becomes traces at the device plane.

    Raises
    ------
    LoaderError
        A line file that cannot be read.
    ConfigError
        A level of the line that is given twice.
    """
    loader, traces, reference = settings["loader"], settings["traces"], settings["reference"]
    numbers = traces["calibration_points"]
    return Reading(
        loader=loader["name"],
        options=loader["options"],
        plane=traces["plane"],
        channel=traces["channel"],
        merge=traces["merge"],
        selected=_ends(traces["select"]),
        dropped=_ends(traces["drop"]),
        average=tuple(traces["average"]),
        calibration_points=None if numbers is None else (numbers[0], numbers[1]),
        reference=None if reference is None else root / reference["file"],
        reference_selected=() if reference is None else _ends(reference["select"]),
        line=_line(settings["line"], root),
        declared=traces["declared"],
    )


def _ends(ranges: list[list[Any]]) -> tuple[tuple[str, float, float], ...]:
    infinite = float("inf")
    return tuple(
        (name, -infinite if low is None else low, infinite if high is None else high)
        for name, low, high in ranges
    )


def _line(given: Settings, root: Path) -> LineCalibration | None:
    levels = {name: given[name] and (given[name][0], given[name][1]) for name in LEVELS}
    chain = given["chain"]
    attenuators = chain and AttenuatorChain(chain[0], tuple((a, t) for a, t in chain[1:]))
    line = None if given["file"] is None else read_line(root / given["file"])
    return line_with(line, levels, attenuators)
