"""What all commands share: errors as one sentence with an exit code, and quiet warnings."""

from __future__ import annotations

import errno
import io
import sys
import warnings
from typing import IO, Any

import click

from powercal.errors import PluginError, PowercalError, ReportError

SOME_FAILED = 1


class BadInput(click.ClickException):
    """Data, names or wishes that do not fit; base of all that leaves with a sentence."""

    exit_code = 3

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the sentence to stderr."""
        tell(self.message)


class BadPlugin(BadInput):
    """A plugin is broken."""

    exit_code = 4


class BadFile(BadInput):
    """A file cannot be read or written."""

    exit_code = 5


class House(click.Group):
    """A group of commands that turns errors of the house into sentences and exit codes.

    What is no :class:`PowercalError` and no :class:`OSError` is a bug and passes through.
    """

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line; see :meth:`click.Command.main`."""
        kwargs.setdefault("prog_name", "powercal")
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # A terminal that cannot write Γ shall show "?" rather than stop the fit.
                stream.reconfigure(errors="replace")
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except PowercalError as error:
            raise way_out(error)(str(error)) from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader went away, as head does; click knows
                raise
            raise BadFile(_file_sentence(error)) from error


def way_out(error: PowercalError) -> type[BadInput]:
    """Return the exit, with its code, that belongs to a class of errors."""
    if isinstance(error, PluginError):
        return BadPlugin
    return BadFile if isinstance(error, ReportError) else BadInput


def tell(sentence: str) -> None:
    """Say something on stderr, away from the results."""
    click.echo(f"powercal: {sentence}", err=True)


def _file_sentence(error: OSError) -> str:
    if error.strerror is None:
        return str(error)
    name = f" {str(error.filename)!r}" if error.filename is not None else ""
    return f"{error.strerror}:{name}; check the path, its permissions and the free space"


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: str | None = None,
) -> None:
    tell(f"warning: {message}")
