"""The errors a person can mend, each one sentence: what was found, what was wanted, how to mend it.

::

    PowercalError                  a person can mend this; anything else that escapes is our bug
    ├── DataError                  the data cannot be used as they are
    │   ├── LoaderError            a file that its loader cannot read
    │   ├── LoaderChoiceError      no loader, or several, claim a file
    │   ├── TraceSchemaError       the traces do not hold what the schema asks for
    │   ├── PlaneError             nobody said how the traces relate to the device
    │   └── UnitError              a unit is missing, unknown or of the wrong kind
    ├── PluginError                a plugin is broken (``.plugin`` names it)
    │   ├── DuplicateNameError     two plugins offer the same name
    │   └── ContractError          a plugin gives something that the contract does not allow
    ├── UnknownNameError           nobody offers that name
    ├── FitError                   the fit could not be started (not converged is a result)
    ├── ConfigError                the run file is wrong
    └── ReportError                the report file cannot be written or read
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PowercalError(Exception):
    """Base of all errors that a user can mend."""


class DataError(PowercalError):
    """The data cannot be used as they are."""


class LoaderError(DataError):
    """A file that its loader cannot read."""


class LoaderChoiceError(DataError):
    """No loader, or several, claim a file."""


class TraceSchemaError(DataError):
    """The traces do not hold what the schema asks for."""


class PlaneError(DataError):
    """Nobody said how the traces relate to the device."""


class UnitError(DataError):
    """A unit is missing, unknown or of the wrong kind."""


class PluginError(PowercalError):
    """A plugin is broken; ``plugin`` is its name."""

    def __init__(self, message: str, plugin: str = "") -> None:
        super().__init__(message)
        self.plugin = plugin


class DuplicateNameError(PluginError):
    """Two plugins offer the same name."""


class ContractError(PluginError):
    """A plugin gives something that the contract does not allow."""


class UnknownNameError(PowercalError):
    """Nobody offers that name."""


class FitError(PowercalError):
    """The fit could not be started."""


class ConfigError(PowercalError):
    """The run file is wrong."""


class ReportError(PowercalError):
    """The report file cannot be written or read."""


def unknown_name(kind: str, name: str, offered: Iterable[str]) -> UnknownNameError:
    """Say which names are on offer, the likeliest first.

    Parameters
    ----------
    kind : str
        What the name should be, for example ``"model"``.
    name : str
        The name that nobody offers.
    offered : iterable of str
        The names on offer.

    Returns
    -------
    UnknownNameError
        The error, to be raised by the caller.
    """
    names = sorted(offered)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    listing = ", ".join(names) or "none"
    return UnknownNameError(f"there is no {kind} {name!r}{hint} (on offer: {listing})")
