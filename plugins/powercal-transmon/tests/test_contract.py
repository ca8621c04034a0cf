"""Both models keep powercal's contract: every choice by default, every combination on demand."""

from __future__ import annotations

import dataclasses

import pytest
from powercal_transmon import absorbed, reflection

import powercal as pc
from powercal.testing import ModelContract

TRANSMON = absorbed.powercal_models()[0]
REFLECTION = reflection.powercal_models()[0]


def only(model: pc.Model, **choices: tuple[str, ...]) -> pc.Model:
    """The model with fewer choices of some options."""
    rows = []
    for option in model.options:
        left = choices.get(option.name, option.choices)
        default = option.default if option.default in left else left[0]
        rows.append(dataclasses.replace(option, choices=left, default=default))
    return dataclasses.replace(model, options=tuple(rows))


class TestTransmonOfThreeLevels(ModelContract):
    model = only(TRANSMON, levels=("3",), population=("above",))


class TestTransmonAsItComes(ModelContract):
    model = only(
        TRANSMON,
        levels=("4",),
        dissipators=("collective",),
        baths=("common",),
        detection=("absorbed",),
        energy=("effective",),
        population=("first",),
    )


class TestReflectionOfThreeLevels(ModelContract):
    model = only(REFLECTION, levels=("3",), convention=("-i",), setup=("raw",))


@pytest.mark.statistics
class TestEveryTransmon(ModelContract):
    model = TRANSMON


@pytest.mark.statistics
class TestEveryTransmonReflection(ModelContract):
    model = REFLECTION
