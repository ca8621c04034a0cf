"""The commands ``batch`` and ``watch``: many files by one run file."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from powercal.cli.fitting import dump
from powercal.cli.house import SOME_FAILED, tell
from powercal.cli.reading import Command, together

if TYPE_CHECKING:
    from powercal.campaign import CampaignResult

_MOST_TOLD = 100  # failures on stderr; the summary has them all


def worker_options() -> Callable[[Command], Command]:
    """Return the options that say who does the work."""
    return together(
        click.option(
            "--workers",
            type=click.IntRange(min=0),
            metavar="N",
            help="How many processes, in place of [workers] in the run file; 0: this one alone.",
        ),
        click.option(
            "--scheduler", metavar="ADDRESS", help="A dask scheduler whose workers do the work."
        ),
        click.option(
            "--force-unlock", is_flag=True, help="Take the folder from a campaign that is gone."
        ),
    )


@click.command()
@click.argument("run", metavar="RUN.toml")
@worker_options()
@click.option(
    "--resume/--fresh",
    default=True,
    show_default=True,
    help="Do only what is missing or changed, or do everything again.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on stdout.")
@click.pass_context
def batch(ctx: click.Context, /, run: str, resume: bool, as_json: bool, **given: Any) -> None:
    """Fit all files that RUN.toml names; one report each and one summary.

    A campaign that was stopped, killed or lost its disk goes on where it was when the same command
    is given again. SIGTERM and Ctrl-C stop it in order, with exit code 143 and 130.
    """
    _one_thread()
    from powercal.campaign import Interrupted, Progress, run_campaign

    try:
        result = run_campaign(run, fresh=not resume, progress=Progress(sys.stderr), **given)
    except Interrupted as stopped:
        tell(f"{stopped}; what was done is kept: the same command goes on from there")
        ctx.exit(stopped.code)
    click.echo(dump(_plain(result)) if as_json else _page(result))
    _tell_failures(result)
    if result.failures:
        ctx.exit(SOME_FAILED)


@click.command()
@click.argument("folder")
@click.option("--run", required=True, metavar="RUN.toml", help="The run file, as for batch.")
@worker_options()
@click.option(
    "--settle",
    type=click.FloatRange(min=0),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a file must not have changed before it is opened.",
)
@click.option(
    "--poll",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Look so often instead of being told; for network disks, and without extra watch.",
)
@click.pass_context
def watch(ctx: click.Context, /, folder: str, **given: Any) -> None:
    """Fit the files of RUN.toml as they appear in FOLDER, until Ctrl-C.

    Every new file counts once it has stopped growing. Results are those of: powercal batch
    RUN.toml; the exit code is that of the last summary, or 130 and 143 in the midst of a fit.
    """
    _one_thread()
    from powercal.campaign import Interrupted, Progress
    from powercal.campaign.watching import watch_campaign

    result = None
    try:
        for result in watch_campaign(folder=folder, progress=Progress(sys.stderr), **given):
            click.echo(_page(result))
            _tell_failures(result)
    except Interrupted as stopped:
        tell(f"{stopped} in the midst of a fit; what was done is kept")
        ctx.exit(stopped.code)
    if result is not None and result.failures:
        ctx.exit(SOME_FAILED)


def _one_thread() -> None:
    """Keep BLAS to one thread, before it is imported: fits are small, and bytes stay the same."""
    from powercal.processes.serving import ONE_THREAD

    for name, number in ONE_THREAD.items():
        os.environ.setdefault(name, number)


def _page(result: CampaignResult) -> str:
    good = result.samples - result.failed
    return (
        f"{_counted(result.samples, 'sample')} of {_counted(result.sources, 'file')}: {good} ok, "
        f"{result.failed} failed   (files done now: {result.done}, kept: {result.kept})\n"
        f"summary: {result.summary}\n"
        f"table: {result.table}"
    )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _plain(result: CampaignResult) -> dict[str, Any]:
    return {
        "files": result.sources,
        "done": result.done,
        "kept": result.kept,
        "samples": result.samples,
        "failures": [{"sample": s, "reason": reason} for s, reason in result.failures],
        "warnings": dict(result.warnings),
        "summary": os.fspath(result.summary),
        "table": os.fspath(result.table),
    }


def _tell_failures(result: CampaignResult) -> None:
    from powercal.campaign.names import printable

    for warning, times in result.warnings.items():
        tell(printable(f"warning ({_counted(times, 'time')}): {warning}"))
    for sample, reason in result.failures[:_MOST_TOLD]:
        tell(printable(f"{sample} failed: {reason}"))
    if result.failed > _MOST_TOLD:
        tell(f"and {result.failed - _MOST_TOLD} more; the summary has them all")
    if result.failures:
        tell(f"{result.failed} of {_counted(result.samples, 'sample')} failed")
