"""The rungs of a ladder of models: what is asked of each, and the ladders that data suggest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from powercal.contracts import Model
from powercal.errors import FitError
from powercal.registry import get_model
from powercal.schema import DeviceTraces
from powercal.spelling import units_of

PLUGINS = {
    "transmon": "powercal-transmon",
    "transmon_reflection": "powercal-transmon",
    "floquet": "powercal-floquet",
}
_NAMED = ("fixed", "priors", "start", "per")  # wishes that are mappings by parameter
_OF_FIT = (*_NAMED, "free", "observables", "sigma", "intervals", "robust", "drop_spikes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One model of a ladder.

    Attributes
    ----------
    label : str
        What it is called in the table.
    model : str or Model
        As for :func:`powercal.fit`.
    wishes : mapping
        Further arguments of :func:`powercal.fit`, for this rung alone.
    contains : mapping
        Labels of rungs that are this one with something held: ``{"one channel": {"n_th": 0.0}}``.
        Rungs of one model are compared without being told.
    """

    label: str
    model: str | Model
    wishes: Mapping[str, Any] = field(default_factory=dict)
    contains: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def read_rungs(rungs: Iterable[Rung | tuple[str, str | Model, Mapping[str, Any]]]) -> list[Rung]:
    """Return rungs from rungs or from (label, model, wishes).

    Raises
    ------
    FitError
        Fewer than two, a label twice, or one that contains a rung that is not below it.
    """
    found = [
        r if isinstance(r, Rung) else Rung(label=r[0], model=r[1], wishes=dict(r[2])) for r in rungs
    ]
    labels = [r.label for r in found]
    if len(found) < 2:
        raise FitError(f"a ladder has {len(found)} rungs; give at least two models to compare")
    for i, rung in enumerate(found):
        if rung.label in labels[:i]:
            raise FitError(f"two rungs are called {rung.label!r}; give each a name of its own")
        for label in rung.contains:
            if label not in labels[:i]:
                raise FitError(
                    f"rung {rung.label!r} contains {label!r}, which is not below it; the rungs "
                    f"below are {', '.join(labels[:i]) or 'none'}"
                )
    return found


def default_rungs(traces: DeviceTraces, observables: Iterable[str] = ()) -> list[Rung]:
    """Return the ladder that the kind of data suggests.

    Raises
    ------
    FitError
        Data for which there is none.
    """
    wanted = tuple(observables)
    held = [n for n in traces.data_vars if not wanted or n in wanted]
    if "reflection" in held or (
        "reflected_power" in held and traces.attrs.get("setup") == "referenced"
    ):
        return _reflection()
    if {"absorbed_power", "reflected_power"} & set(held) and "incident_power" in traces:
        return _absorbed()
    raise FitError(
        f"there is no ladder of its own for {', '.join(map(str, held)) or 'these data'}; give the "
        f"rungs: (label, model, wishes), from the poorest to the richest"
    )


def _absorbed() -> list[Rung]:
    quiet = {"gamma_phi": 0.0}
    return [
        Rung(label="one channel", model="single_channel", wishes={"fixed": quiet}),
        Rung(
            label="several channels",
            model="multi_channel",
            wishes={"fixed": {"n_th": 0.0, **quiet}},
            contains={"one channel": {"f": 1.0}},
        ),
        Rung(
            label="finite temperature",
            model="finite_temperature",
            wishes={"fixed": quiet},
            contains={"one channel": {"n_th": 0.0}},
        ),
        Rung(
            label="dephasing",
            model="finite_temperature",
            contains={"one channel": {"n_th": 0.0, "gamma_phi": 0.0}},
        ),
        Rung(label="transmon", model="transmon"),
        Rung(label="Floquet", model="floquet"),
    ]


def _reflection() -> list[Rung]:
    def rung(label: str, *free: str) -> Rung:
        return Rung(label=label, model="reflection", wishes={"free": free})

    warm = ("manifold_weight", "n_th")
    return [
        rung("one channel"),
        rung("two channels", "gamma_i"),
        rung("driven share", "manifold_weight"),
        rung("finite temperature", *warm),
        rung("dephasing", *warm, "gamma_phi"),
        Rung(
            label="transmon",
            model="transmon_reflection",
            wishes={"free": ("n_th", "gamma_phi")},
        ),
    ]


def merged(rung: Rung, common: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Join the wishes for all rungs with those of one; say what its model has no room for.

    What a rung holds goes before what is known for all; that goes before what a rung frees.

    Returns
    -------
    tuple of dict and list of str
        Arguments of :func:`powercal.fit`; the common wishes that were set aside, in words.
    """
    own, aside = dict(rung.wishes), []
    known = _quantities(rung)
    held = dict(own.get("fixed", {}))
    options = {o.name for o in model_of(rung).options}
    out = {k: v for k, v in common.items() if k not in (*_NAMED, "free")}
    for name in [k for k in out if k not in _OF_FIT and k not in options]:
        aside.append(f"{name}={out.pop(name)} set aside: no option of this model")
    out |= {k: v for k, v in own.items() if k not in (*_NAMED, "free")}
    for kind in _NAMED:
        mine = dict(own.get(kind) or {})
        for name, value in dict(common.get(kind) or {}).items():
            if name.split("[")[0] not in known:
                aside.append(f"{kind} of {name} set aside: the model does not have it")
            elif name in held and kind in ("fixed", "start"):
                aside.append(f"{kind} of {name} set aside: held at {held[name]:g}")
            else:
                mine.setdefault(name, value)
        out[kind] = mine
    wanted = dict.fromkeys((*own.get("free", ()), *common.get("free", ())))
    out["free"] = tuple(n for n in wanted if n in known and n not in out["fixed"])
    aside += [f"{n} set aside: the model does not have it" for n in wanted if n not in known]
    return out, aside


def _quantities(rung: Rung) -> set[str]:
    """Return every name that a wish may have, under whatever options."""
    if isinstance(rung.model, str):
        return set(units_of(rung.model, {}))
    model = model_of(rung)
    own = {p.name for p in model.parameters} | {d.name for d in model.derived}
    return own | {"attenuation_db", "gain_db"}


def model_of(rung: Rung) -> Model:
    """Return the model of a rung."""
    return get_model(rung.model) if isinstance(rung.model, str) else rung.model


def name_of(rung: Rung) -> str:
    """Return the name of a rung's model."""
    return rung.model if isinstance(rung.model, str) else rung.model.name
