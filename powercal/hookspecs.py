"""The door: the two hooks through which plugins, and the house itself, offer loaders and models."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from powercal.contracts import Loader, Model

PROJECT = "powercal"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def powercal_loaders() -> Iterable[Loader]:  # type: ignore[empty-body]
    """Return the loaders that the plugin offers."""


@hookspec
def powercal_models() -> Iterable[Model]:  # type: ignore[empty-body]
    """Return the models that the plugin offers."""
