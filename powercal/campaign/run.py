"""A campaign from beginning to end: what is done is kept, the rest is done, the summary written."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from powercal.campaign import distributed
from powercal.campaign.ledger import Ledger
from powercal.campaign.lock import holding
from powercal.campaign.progress import Progress
from powercal.campaign.run_file import RunFile, Workers, read_run_file
from powercal.campaign.stopping import Stop, interruptible
from powercal.campaign.tasks import FUNCTION, Row, failed_row
from powercal.errors import FitError, ReportError
from powercal.processes import workers as processes
from powercal.report.summary import write_summary


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignResult:
    """What a campaign came to.

    Attributes
    ----------
    sources, kept, done : int
        How many files; how many of them were done before, and now.
    samples : int
        Rows of the summary: a file with several items has several.
    failures : tuple of (sample, reason)
        The rows that failed.
    summary, table : Path
        ``summary.h5`` and ``summary.csv``.
    warnings : mapping
        What was warned of on the way, and how often.
    """

    sources: int
    kept: int
    done: int
    samples: int
    failures: tuple[tuple[str, str], ...]
    summary: Path
    table: Path
    warnings: Mapping[str, int]

    @property
    def failed(self) -> int:
        """How many samples failed."""
        return len(self.failures)


def run_campaign(
    run: str | os.PathLike[str],
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    fresh: bool = False,
    force_unlock: bool = False,
    progress: Progress | None = None,
) -> CampaignResult:
    """Open, fit and report all files that a run file names; do again only what is missing.

    Parameters
    ----------
    run : path
        The run file (TOML).
    workers : int, optional
        How many processes, in place of what the run file says; 0 does all in this one.
    scheduler : str, optional
        Address of a dask scheduler, in place of what the run file says.
    fresh : bool
        Do everything again.
    force_unlock : bool
        Take the output folder even if another campaign seems to hold it.
    progress : Progress, optional
        Told of every file.

    Returns
    -------
    CampaignResult
        Files that failed are rows of the summary, not errors.

    Raises
    ------
    ConfigError
        The run file is wrong.
    ReportError
        Results cannot be written, or another campaign is writing into the same folder. What was
        done is kept.
    FitError
        A file failed and the run file says ``strict = true``.

    Notes
    -----
    SIGTERM and SIGINT stop it in order (``powercal.campaign.Interrupted``); what was done is kept.
    """
    plan = with_workers(read_run_file(run), workers, scheduler)
    sources = plan.find()
    with session(plan, force_unlock) as (ledger, stop):
        return one_pass(plan, ledger, stop, progress or Progress(), sources, fresh=fresh)


def with_workers(plan: RunFile, number: int | None, scheduler: str | None) -> RunFile:
    """Return the plan with other workers, where any are given."""
    said = plan.workers
    if number is not None:
        said = replace(said, number=number, scheduler=None)
    if scheduler is not None:
        said = replace(said, scheduler=scheduler)
    return replace(plan, workers=said)


@contextmanager
def session(plan: RunFile, force_unlock: bool = False) -> Iterator[tuple[Ledger, Stop]]:
    """Hold the output folder: its lock, no temporary files before and after, signals in order."""
    ledger = Ledger(plan.output)
    with interruptible() as stop:
        with _writing(plan.output):
            plan.output.mkdir(parents=True, exist_ok=True)
        with holding(plan.output, force=force_unlock):
            with _writing(plan.output):
                ledger.prepare()
            try:
                yield ledger, stop
            finally:
                ledger.sweep()


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ReportError(
            f"results cannot be written to {folder}: {error}; check permissions and free space, "
            f"then run the same command again: what was done is kept"
        ) from error


@dataclass
class _Pass:
    """The state of one walk over the sources."""

    plan: RunFile
    ledger: Ledger
    progress: Progress
    known: dict[str, tuple[str, str]] = field(default_factory=dict)  # source: key, SHA-256
    pending: list[str] = field(default_factory=list)
    failures: dict[str, list[Row]] = field(default_factory=dict)
    warned: Counter[str] = field(default_factory=Counter)
    kept: int = 0

    def tasks(self, sources: Mapping[str, tuple[int, ...]]) -> Iterator[dict[str, Any]]:
        """Yield what is not done; drawn by the workers, so that hashing goes on beside the work."""
        for source, overrides in sources.items():
            try:
                task = self.ledger.task(self.plan, source, overrides)
            except OSError as error:
                reason = f"it cannot be read: {error.strerror}"
                self.fail(source, failed_row(reason, type(error).__name__))
                self.progress.add(failed=True)
                continue
            self.known[source] = task["key"], task["inputs"]["source"]
            if self.ledger.acknowledged(task) is not None:
                self.kept += 1
                self.progress.keep()
                continue
            self.pending.append(source)
            yield task

    def receive(self, source: str, record: Mapping[str, Any] | None, failure: str | None) -> None:
        """Take in what became of a task."""
        if record is None:
            kind = "the worker did not finish"
            self.fail(source, failed_row(failure or kind, "WorkerFailure"))
            self.progress.add(failed=True)
            return
        if record["unwritten"] is not None:
            raise ReportError(
                f"{record['unwritten']}; then run the same command again: what was done is kept"
            )
        self.warned.update(record["warnings"])
        if not record["acknowledged"]:
            self.failures[source] = record["rows"]
        self.progress.add(failed=record["failed"] > 0)

    def fail(self, source: str, row: Row) -> None:
        self.failures[source] = [row]

    def settle(self) -> list[Row]:
        """Remove what no longer belongs to a source; return the rows of the summary in order."""
        summary: list[Row] = []
        reports: dict[str, Mapping[str, str]] = {}
        for source in sorted({*self.known, *self.failures}):
            key, digest = self.known.get(source, ("", ""))
            record = self.ledger.record(source)
            if source in self.failures or record is None or record.get("key") != key:
                rows, reports[source] = self.failures.get(source, [_lost()]), {}
                self.ledger.forget(source)
            else:
                rows, reports[source] = record["rows"], dict(record["reports"])
            summary += [_summary_row(source, digest, row) for row in rows]
        for stray in self.ledger.strays(reports):
            stray.unlink()
        return summary


def one_pass(
    plan: RunFile,
    ledger: Ledger,
    stop: Stop,
    progress: Progress,
    sources: Mapping[str, tuple[int, ...]],
    *,
    fresh: bool = False,
) -> CampaignResult:
    """Do what is not done of these sources, and write the summary of all of them."""
    state = _Pass(plan, ledger, progress)
    if fresh:
        for source in sources:
            ledger.forget(source)
    progress.begin(len(sources))
    try:
        with closing(_outcomes(plan.workers, state.tasks(sources))) as outcomes:
            for outcome in outcomes:
                stop.check()
                source = state.pending[outcome.index]
                state.receive(source, outcome.record, outcome.failure)
                if plan.strict:
                    _refuse_failure(source, state, outcome.record)
        stop.check()
    finally:
        progress.end()
    with _writing(plan.output):
        rows = state.settle()
    summary, table = write_summary(plan.output, rows)
    return CampaignResult(
        sources=len(sources),
        kept=state.kept,
        done=len(sources) - state.kept,
        samples=len(rows),
        failures=tuple(
            (f"{r['source']} [{r['item']}]" if r["item"] else r["source"], r["failure"])
            for r in rows
            if r["outcome"] == "failed"
        ),
        summary=summary,
        table=table,
        warnings=dict(sorted(state.warned.items())),
    )


def _outcomes(
    workers: Workers, tasks: Iterator[dict[str, Any]]
) -> Generator[processes.Outcome, None, None]:
    """Hand the tasks to whoever does the work."""
    limits: dict[str, Any] = {"timeout": workers.timeout, "memory_limit": workers.memory_limit}
    if workers.scheduler is not None:
        return distributed.run_tasks_on(workers.scheduler, tasks, FUNCTION, **limits)
    number = processors() if workers.number is None else workers.number
    if number == 0 and any(limit is not None for limit in limits.values()):
        warnings.warn(
            "without worker processes neither timeout nor memory_limit can be kept", stacklevel=2
        )
    return processes.run_tasks(tasks, FUNCTION, workers=number, **limits)


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _refuse_failure(source: str, state: _Pass, record: Mapping[str, Any] | None) -> None:
    if record is not None and not record["failed"]:
        return
    rows = state.failures.get(source)
    if rows is None:
        rows = (state.ledger.record(source) or {"rows": [_lost()]})["rows"]
    reason = next((row["failure"] for row in rows if row["status"] == "failed"), "")
    raise FitError(
        f"{source} failed: {reason}; the run file says strict = true, so the campaign stopped; "
        f"what was done is kept"
    )


def _lost() -> Row:
    return failed_row("its record vanished while the campaign ran; run it again", "ReportError")


def _summary_row(source: str, digest: str, row: Row) -> Row:
    plain = {n: row[n] for n in row if n not in ("status", "kind", "cause")}
    named = {"source": source, "source_sha256": digest, "outcome": row["status"], **plain}
    if row["status"] == "failed":
        named |= {"failure_kind": row["kind"], "failure_cause": row["cause"]}
    return named
