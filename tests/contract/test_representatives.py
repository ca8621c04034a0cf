"""Contract: the kit tries every pair of choices, and no more of them than it needs."""

from __future__ import annotations

import dataclasses
import itertools

from contract.toys import MODEL
from powercal.contracts import Model, Option
from powercal.errors import ContractError
from powercal.testing.curves import configurations, representatives

CHOICES = {"colour": "rgb", "size": "sml", "taste": "xy", "sound": "pq"}


def build(**chosen: str) -> Model:
    if chosen.get("colour") == "r" and chosen.get("size") == "l":
        raise ContractError("red is never large", "toy")
    return MODEL


MANY = dataclasses.replace(
    MODEL,
    options=tuple(
        Option(name=n, choices=tuple(c), meaning="for tests", default=c[0])
        for n, c in CHOICES.items()
    ),
    factory=build,
)


def pairs(models: tuple[Model, ...]) -> set[tuple[tuple[str, str], ...]]:
    return {p for m in models for p in itertools.combinations(sorted(m.chosen.items()), 2)}


def test_every_pair_of_choices_that_can_be_is_tried() -> None:
    every, some = configurations(MANY), representatives(MANY)
    assert pairs(some) == pairs(every)
    assert len(every) == 3 * 3 * 2 * 2 - 4
    assert len(some) <= 12


def test_the_plainest_configuration_comes_first() -> None:
    assert representatives(MANY)[0].chosen == configurations(MANY)[0].chosen


def test_a_model_without_options_is_its_only_representative() -> None:
    assert representatives(MODEL) == (MODEL,)
