"""The examples in the docstrings of the physics run and give what they say."""

from __future__ import annotations

import doctest

import pytest
from powercal_reservoirs import (
    bloch_gain,
    cavity,
    cavity_closed_forms,
    double_dot,
    laser,
    laws,
    occupations,
    periodic_two_level,
)

MODULES = (
    bloch_gain,
    cavity,
    cavity_closed_forms,
    double_dot,
    laser,
    laws,
    occupations,
    periodic_two_level,
)


@pytest.mark.parametrize("module", MODULES)
def test_examples_give_what_they_say(module) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0
