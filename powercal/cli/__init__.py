"""The command line: parse, call a verb, print; a wrong word costs a sentence, not a traceback."""

from __future__ import annotations

import click

import powercal
from powercal.cli.batch import batch, watch
from powercal.cli.calibrating import calibrate_line
from powercal.cli.covering import coverage
from powercal.cli.fitting import fit
from powercal.cli.house import House
from powercal.cli.laddering import ladder
from powercal.cli.planning import plan
from powercal.cli.sampling import sample
from powercal.cli.showing import inspect, loaders, models, plugins, show
from powercal.cli.simulating import simulate

__all__ = ["main"]


@click.group(
    cls=House,
    commands=[
        *(fit, ladder, sample, batch, watch, calibrate_line, show, inspect),
        *(plan, simulate, coverage, models, loaders, plugins),
    ],
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(powercal.__version__, prog_name="powercal", message="%(prog)s %(version)s")
def main() -> None:
    r"""Find how fast a qubit loses energy, into what, and how hot its bath is.

    \b
    First steps:
      powercal inspect sweep.hdf5                  what the file holds
      powercal models                              what can be fitted
      powercal fit sweep.hdf5 --model reflection   fit it
      powercal batch cooldown.toml                 fit many files

    Exit codes: 0 fine, 1 some of several fits failed, 2 wrong usage, 3 data, names or wishes that
    do not fit, 4 a broken plugin, 5 a file that cannot be read or written, 130 and 143 stopped by
    Ctrl-C or SIGTERM.
    """
