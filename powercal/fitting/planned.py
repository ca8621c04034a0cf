"""What a plan says: of every quantity, of every reading of a better grid, and of the whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from powercal.errors import unknown_name

Known = Literal["determined", "undetermined", "fixed", "no_error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What the measurement will tell of one quantity, SI.

    Attributes
    ----------
    status : str
        ``determined``, ``undetermined``, ``fixed`` or ``no_error`` (not differentiable there).
    sigma, floor : float or None
        Standard uncertainty of the given grid; what remains however often it is repeated.
    sources : mapping
        ``noise`` and every systematic source; they add in quadrature to ``sigma``.
    target, averages : float or None, int or None
        What is wanted, and how often the grid must be repeated for it (None: never).
    best_sigma, best_averages : float or None, int or None
        The same with as many readings spread as ``Plan.readings`` says.
    sentence : str
        What there is to say about it.
    """

    name: str
    unit: str
    meaning: str
    value: float
    status: Known
    sigma: float | None = None
    floor: float | None = None
    sources: Mapping[str, float] = field(default_factory=dict)
    target: float | None = None
    averages: int | None = None
    best_sigma: float | None = None
    best_averages: int | None = None
    sentence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One point of a better grid: inputs in SI, and its share of all readings."""

    inputs: Mapping[str, float]
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a measurement will tell, how often it must be repeated, and where it pays to measure.

    Attributes
    ----------
    quantities : tuple of Planned
        Parameters, line nuisances, derived quantities.
    points, averages : int
        Of the given grid: how many points, how many readings of each.
    signal : mapping
        Largest signal of each observable over the noise of one reading.
    readings : tuple of Reading
        A better grid, the largest share first; empty where the given one is as good.
    combinations, remedies : tuple of str
        Where parameters are degenerate: what is determined instead, and what would help.
    """

    model: str
    options: Mapping[str, str]
    observables: tuple[str, ...]
    quantities: tuple[Planned, ...]
    points: int
    averages: int
    signal: Mapping[str, float] = field(default_factory=dict)
    readings: tuple[Reading, ...] = ()
    combinations: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Planned:
        """Return what will be known of a parameter or derived quantity."""
        for row in self.quantities:
            if row.name == name:
                return row
        raise unknown_name("planned quantity", name, [q.name for q in self.quantities])

    @property
    def reachable(self) -> bool:
        """Whether every target can be reached by some number of averages."""
        wanted = [q for q in self.quantities if q.target is not None]
        return all(q.averages is not None or q.best_averages is not None for q in wanted)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as plain data for ``json.dumps(..., allow_nan=False)``."""
        from powercal.text.plan import plan_json

        return plan_json(self)

    def __str__(self) -> str:
        """Return the plan as a page of text."""
        from powercal.text.plan import describe_plan

        return describe_plan(self)
