"""Errors: one tree, and names with a suggestion."""

from __future__ import annotations

import inspect

import pytest

from powercal import errors

OWN = {
    name: item
    for name, item in inspect.getmembers(errors, inspect.isclass)
    if item.__module__ == errors.__name__
}


def test_every_error_descends_from_the_one_a_user_can_mend() -> None:
    assert all(issubclass(item, errors.PowercalError) for item in OWN.values())


def test_the_docstring_draws_every_error() -> None:
    assert [name for name in OWN if name not in (errors.__doc__ or "")] == []


def test_a_plugin_error_carries_its_plugin() -> None:
    assert errors.DuplicateNameError("twice", "mine").plugin == "mine"


def test_a_near_miss_is_suggested() -> None:
    error = errors.unknown_name("model", "finite_temprature", ["finite_temperature", "absorbed"])
    assert str(error) == (
        "there is no model 'finite_temprature'; did you mean 'finite_temperature'? "
        "(on offer: absorbed, finite_temperature)"
    )


@pytest.mark.parametrize(("offered", "tail"), [([], "none"), (["b", "a"], "a, b")])
def test_a_far_miss_lists_what_is_on_offer(offered: list[str], tail: str) -> None:
    found = str(errors.unknown_name("loader", "zzz", offered))
    assert found == f"there is no loader 'zzz' (on offer: {tail})"
