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
BAD_INPUT = 3
BAD_PLUGIN = 4
BAD_FILE = 5


class Failure(click.ClickException):
    """An error that a person can mend, on its way out with its exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.exit_code = code

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the sentence to stderr."""
        tell(self.message)


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
            raise Failure(str(error), exit_code(error)) from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader went away, as head does; click knows
                raise
            raise Failure(_file_sentence(error), BAD_FILE) from error


def exit_code(error: PowercalError) -> int:
    """Return the exit code that belongs to a class of errors."""
    if isinstance(error, PluginError):
        return BAD_PLUGIN
    return BAD_FILE if isinstance(error, ReportError) else BAD_INPUT


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
