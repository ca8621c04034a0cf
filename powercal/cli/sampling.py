"""The command ``sample``: the posterior of the fit in a report, by an ensemble of walkers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from powercal.cli.fitting import check_output, dump
from powercal.cli.house import SOME_FAILED, tell


@click.command()
@click.argument("report", metavar="REPORT.h5")
@click.option("--walkers", type=int, help="Even; 32 or four times the free parameters if left out.")
@click.option("--steps", type=int, default=3000, show_default=True, help="Steps of every walker.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of start and steps.")
@click.option(
    "--measure",
    type=click.Choice(["coordinate", "value"]),
    default="coordinate",
    show_default=True,
    help="In what the prior is flat: the solver's coordinate (log for rates) or the SI value.",
)
@click.option(
    "--undetermined", is_flag=True, help="Sample flat directions inside their bounds too."
)
@click.option("-o", "--output", metavar="CHAIN.h5", help="Write the chain.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on stdout.")
@click.pass_context
def sample(ctx: click.Context, /, report: str, output: str | None, **given: Any) -> None:
    """Sample the posterior of the fit that REPORT.h5 holds.

    Needs the extra mcmc (emcee). Leaves with 1 where the chain has not converged.
    """
    target = None if output is None else Path(output)
    check_output(target, report)
    from powercal.fitting.sampling import sample as sample_result
    from powercal.report import read_report
    from powercal.text.samples import samples_json

    as_json = given.pop("as_json")
    samples = sample_result(read_report(report), **given)
    click.echo(dump(samples_json(samples)) if as_json else str(samples))
    if target is not None:
        from powercal.writing import replacing

        with replacing(target) as part:
            samples.to_xarray().to_netcdf(part, engine="h5netcdf")
        click.echo(f"chain: {target}", err=as_json)
    if not samples.converged:
        tell(samples.verdict)
        ctx.exit(SOME_FAILED)
