"""Plugins in, names out; the policy for broken and doubled plugins."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, Generic, Literal, TypeVar

import pluggy

import powercal
from powercal import hookspecs
from powercal.built_ins import BUILT_INS
from powercal.contracts import Loader, Model, Parameter
from powercal.errors import (
    ContractError,
    DuplicateNameError,
    PluginError,
    UnitError,
    UnknownNameError,
    unknown_name,
)
from powercal.schema import DIMENSIONS, WORDS
from powercal.units import compound

GROUP = "powercal"
HOUSE = "powercal"
STRICT = "POWERCAL_STRICT"
DISABLE = "POWERCAL_DISABLE"

Kind = Literal["loader", "model"]
T = TypeVar("T", Loader, Model)


class PluginWarning(UserWarning):
    """A plugin is broken, doubled or not there; the rest was loaded."""


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """What became of one plugin.

    Attributes
    ----------
    name, distribution, version, module : str
        The entry point and where it comes from; built-ins come from distribution ``powercal``.
    status : {"ok", "broken", "disabled"}
    cause : str
        Why it is not ``ok``.
    models, loaders : tuple of str
        The names that it offers.
    """

    name: str
    distribution: str
    version: str
    module: str
    status: Literal["ok", "broken", "disabled"] = "ok"
    cause: str = ""
    models: tuple[str, ...] = ()
    loaders: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Distribution and name, which nobody shares."""
        return f"{self.distribution}:{self.name}"


@dataclass(slots=True)
class _Shelf(Generic[T]):
    """All objects of one kind, by name, each with the plugin that offers it."""

    kind: Kind
    offers: dict[str, list[tuple[PluginInfo, T]]] = field(default_factory=dict)

    def names(self) -> dict[str, T]:
        found: dict[str, T] = {}
        for name, offers in sorted(self.offers.items()):
            preferred = _preferred(offers)
            if preferred is not None:
                found[name] = preferred[1]
            if len(offers) > 1:
                found |= {f"{info.distribution}:{name}": item for info, item in offers}
        return found

    def find(self, name: str) -> tuple[PluginInfo, T]:
        distribution, _, bare = name.rpartition(":")
        offers = self.offers.get(bare, [])
        if distribution:
            offers = [offer for offer in offers if offer[0].distribution == distribution]
        if not offers:
            raise unknown_name(self.kind, name, self.names())
        preferred = _preferred(offers)
        if preferred is None:
            qualified = " or ".join(f"{info.distribution}:{bare}" for info, _ in offers)
            raise DuplicateNameError(
                f"{self.kind} {name!r} is offered by several plugins; ask for {qualified}",
                offers[-1][0].name,
            )
        return preferred


def _preferred(offers: list[tuple[PluginInfo, T]]) -> tuple[PluginInfo, T] | None:
    if len(offers) == 1:
        return offers[0]
    ours = [offer for offer in offers if offer[0].distribution == HOUSE]
    return ours[0] if ours else None


class _Registry:
    def __init__(self) -> None:
        self.shelves: dict[Kind, _Shelf[Any]] = {
            "loader": _Shelf("loader"),
            "model": _Shelf("model"),
        }
        self.manager = pluggy.PluginManager(hookspecs.PROJECT)
        self.manager.add_hookspecs(hookspecs)
        self.infos: dict[str, PluginInfo] = {}
        self.gathered: set[str] = set()

    def shelf(self, kind: Kind) -> _Shelf[Any]:
        """Gather what offers this kind, once; built-ins of the other kind stay asleep."""
        self._gather_built_ins(kind)
        self._gather_strangers()
        return self.shelves[kind]

    def _gather_built_ins(self, kind: Kind) -> None:
        for module in BUILT_INS:
            if module in self.gathered or not module.startswith(f"powercal.{kind}s."):
                continue
            name = module.removeprefix("powercal.")
            info = PluginInfo(name, HOUSE, powercal.__version__, module)
            if name in _disabled():
                self._disable(info)
            else:
                self._admit(info, import_module(module))
            self.gathered.add(module)

    def _gather_strangers(self) -> None:
        if GROUP in self.gathered:
            return
        self.gathered.add(GROUP)
        found = sorted(entry_points(group=GROUP), key=lambda e: (_distribution(e)[0], e.name))
        for entry in found:
            self._meet(entry)
        known = {name for entry in found for name in (entry.name, _distribution(entry)[0])}
        ours = {module.removeprefix("powercal.") for module in BUILT_INS}
        for name in sorted(_disabled() - known - ours):
            _warn(f"{DISABLE} names {name!r}, but no such plugin is installed; check its spelling")

    def _meet(self, entry: EntryPoint) -> None:
        distribution, version = _distribution(entry)
        info = PluginInfo(entry.name, distribution, version, entry.value)
        if {entry.name, distribution} & _disabled():
            self._disable(info)
            return
        try:
            self._admit(info, entry.load())
        except (Exception, SystemExit) as error:  # a stranger's code: one warning, the rest load
            self._break(info, error)

    def _disable(self, info: PluginInfo) -> None:
        cause = f"named in {DISABLE}"
        self.infos[info.key] = replace(info, status="disabled", cause=cause)

    def _break(self, info: PluginInfo, error: BaseException) -> None:
        own = isinstance(error, PluginError)
        cause = str(error) if own else f"{type(error).__name__}: {error}"
        self.infos[info.key] = replace(info, status="broken", cause=cause)
        message = (
            f"plugin {info.name!r} (module {info.module}, distribution {info.distribution} "
            f"{info.version}) is broken and was left out: {cause}; mend it, or set "
            f"{DISABLE}={info.name}"
        )
        if os.environ.get(STRICT, "") not in ("", "0"):
            raise PluginError(message, info.name) from error
        _warn(message)

    def _admit(self, info: PluginInfo, plugin: object) -> None:
        """Check everything first, so that a broken plugin leaves nothing behind."""
        _check_hook_names(plugin, info.name)
        self.manager.register(plugin, info.key)
        try:
            offered = {kind: self._offered(plugin, kind, info) for kind in self.shelves}
        except (Exception, SystemExit):
            self.manager.unregister(name=info.key)
            raise
        info = replace(info, loaders=tuple(offered["loader"]), models=tuple(offered["model"]))
        self.infos[info.key] = info
        for kind, items in offered.items():
            for name, item in items.items():
                self._place(self.shelves[kind], name, info, item)

    def _offered(self, plugin: object, kind: Kind, info: PluginInfo) -> dict[str, Any]:
        wanted: type[Any] = Loader if kind == "loader" else Model
        check: Callable[[Any], None] = check_loader if kind == "loader" else check_model
        hook, offered = f"powercal_{kind}s", dict[str, Any]()
        for item in self._answers(plugin, hook):
            if not isinstance(item, wanted):
                raise ContractError(
                    f"{hook} gave {type(item).__name__} instead of {wanted.__name__}", info.name
                )
            check(item)
            name = item.name
            others = self.shelves[kind].offers.get(name, [])
            if name in offered or any(o.distribution == info.distribution for o, _ in others):
                raise ContractError(
                    f"distribution {info.distribution} offers {kind} {name!r} twice", info.name
                )
            offered[name] = item
        return offered

    def _answers(self, plugin: object, hook: str) -> Iterator[Any]:
        # One plugin at a time rather than a call to all, so that one that raises costs only itself.
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            if implementation.plugin is plugin:
                yield from implementation.function()

    def _place(self, shelf: _Shelf[Any], name: str, info: PluginInfo, item: Any) -> None:
        offers = shelf.offers.setdefault(name, [])
        offers.append((info, item))
        if len(offers) == 1:
            return
        choices = " and ".join(
            f"{i.distribution}:{name} (plugin {i.name!r}, {i.module})" for i, _ in offers
        )
        ours = any(i.distribution == HOUSE for i, _ in offers)
        bare = "the built-in one" if ours else "an error"
        _warn(f"{shelf.kind} {name!r} is offered as {choices}; plain {name!r} is {bare}")


def _warn(message: str) -> None:
    warnings.warn(message, PluginWarning, stacklevel=2)


def _distribution(entry: EntryPoint) -> tuple[str, str]:
    if entry.dist is None:
        return "unknown", "unknown"
    return entry.dist.name, entry.dist.version


def _disabled() -> set[str]:
    return {name.strip() for name in os.environ.get(DISABLE, "").split(",") if name.strip()}


def _check_hook_names(plugin: object, name: str) -> None:
    hooks = [key for key in vars(hookspecs) if key.startswith("powercal_")]
    for key in dir(plugin):
        if not key.startswith("powercal_"):
            continue
        value = getattr(plugin, key)
        marked = hasattr(value, f"{hookspecs.PROJECT}_impl")
        if marked and key not in hooks:
            raise PluginError(f"{key} is not a hook; the hooks are {' and '.join(hooks)}", name)
        if not marked and key in hooks and callable(value):
            raise PluginError(f"{key} is not marked; put @powercal.hookimpl above it", name)
    if isinstance(plugin, ModuleType) and not any(key in hooks for key in dir(plugin)):
        raise PluginError(f"it has no hook; give it {' or '.join(hooks)}", name)


def check_loader(loader: Loader) -> None:
    """Refuse a loader that breaks the contract, with a ContractError."""
    problems = list(_name_problems(loader.name))
    problems += [f"{p} cannot be called" for p in ("claims", "load") if not _calls(loader, p)]
    if problems:
        raise ContractError(f"loader {loader.name!r}: {problems[0]}", str(loader.name))


def check_model(model: Model) -> None:
    """Refuse a model whose tables contradict themselves or use strange words (ContractError)."""
    for problem in (
        *_name_problems(model.name),
        *(f"{p} cannot be called" for p in ("curve", "guess") if not _calls(model, p)),
        *_word_problems("inputs", model.inputs, {*WORDS, *DIMENSIONS}),
        *_word_problems("observables", model.observables, set(WORDS)),
        *_table_problems(model),
    ):
        raise ContractError(f"model {model.name!r}: {problem}", str(model.name))


def _calls(item: object, part: str) -> bool:
    return callable(getattr(item, part))


def _name_problems(name: object) -> Iterator[str]:
    if not isinstance(name, str) or not name or ":" in name or name != name.strip():
        yield "the name must be text without ':' and without outer blanks"


def _word_problems(part: str, words: tuple[str, ...], allowed: set[str]) -> Iterator[str]:
    if not words:
        yield f"it has no {part}"
    yield from (
        f"{unknown_name(f'schema word for {part}', w, allowed)}" for w in words if w not in allowed
    )


def _table_problems(model: Model) -> Iterator[str]:
    names = [p.name for p in model.parameters] + [d.name for d in model.derived]
    yield from (f"{name!r} is named twice" for name in names if names.count(name) > 1)
    for row in model.parameters:
        yield from (f"parameter {row.name!r} {problem}" for problem in _row_problems(row))
    units = [(p.name, p.unit) for p in model.parameters]
    for name, unit in units + [(d.name, d.unit) for d in model.derived]:
        try:
            compound(unit)
        except UnitError as error:
            yield f"{name!r}: {error}"
    for option in model.options:
        if option.default is not None and option.default not in option.choices:
            choices = ", ".join(option.choices)
            yield f"default {option.default!r} of option {option.name!r} is not among {choices}"


def _row_problems(row: Parameter) -> Iterator[str]:
    if not row.name.isidentifier():
        yield "must have a name that can be a keyword argument"
    if not row.min < row.max:
        yield f"has bounds {row.min} and {row.max}; min must be less than max"
    if not row.min <= row.example <= row.max:
        yield f"has example {row.example} outside its bounds {row.min} and {row.max}"
    if row.scale not in ("linear", "log") or row.scope not in ("one", "per_trace"):
        yield f"has scale {row.scale!r} and scope {row.scope!r}; see powercal.Parameter"
    if row.scale == "log" and not row.min > 0:
        yield f"has scale 'log' but min {row.min}; give a positive min or scale 'linear'"


_registry = _Registry()


def reset() -> None:
    """Forget all plugins, so that they are looked for again (for tests)."""
    global _registry
    _registry = _Registry()


def models() -> dict[str, Model]:
    """Return all models by name; a doubled name appears as ``distribution:name`` too."""
    return dict(_registry.shelf("model").names())


def loaders() -> dict[str, Loader]:
    """Return all loaders by name; a doubled name appears as ``distribution:name`` too."""
    return dict(_registry.shelf("loader").names())


def get_model(name: str) -> Model:
    """Return a model by its name, or by ``distribution:name`` where several offer it.

    Raises
    ------
    UnknownNameError
        Nobody offers it.
    DuplicateNameError
        Several strangers offer it.
    """
    found: Model = _registry.shelf("model").find(name)[1]
    return found


def get_loader(name: str) -> Loader:
    """Return a loader by its name; see :func:`get_model`."""
    found: Loader = _registry.shelf("loader").find(name)[1]
    return found


def plugins() -> tuple[PluginInfo, ...]:
    """Say what became of every plugin, the house's own first."""
    _registry.shelf("loader")
    _registry.shelf("model")
    infos = _registry.infos.values()
    return tuple(sorted(infos, key=lambda i: (i.distribution != HOUSE, i.distribution, i.name)))


def distribution_of(model: Model) -> str:
    """Return the distribution that offers a model; "" for one that was handed over as an object."""
    try:
        return origin("model", model.name)[0]
    except UnknownNameError:
        return ""


def origin(kind: str, name: str) -> tuple[str, str]:
    """Return distribution and version of the ``"model"`` or ``"loader"`` with that name.

    Raises
    ------
    UnknownNameError
        For another kind, or a name that nobody offers.
    """
    if kind not in _registry.shelves:
        raise unknown_name("kind of plugin", kind, _registry.shelves)
    info = _registry.shelf("model" if kind == "model" else "loader").find(name)[0]
    return info.distribution, info.version
