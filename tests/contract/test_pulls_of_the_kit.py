"""Contract: the kit lets honest errors pass and refuses errors that are too small or too large."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from contract.toys import MODEL, curve, jacobian
from powercal.contracts import Model
from powercal.errors import ContractError
from powercal.testing import make_traces
from powercal.testing.pulls import check_pulls, resampled


def stretched(factor: float) -> Model:
    """Return the toy with derivatives too large by a factor: errors too small by it."""

    def steeper(time: Any, **p: Any) -> Any:
        return ({name: factor * slope for name, slope in jacobian(time, **p)[0].items()},)

    return dataclasses.replace(MODEL, jacobian=steeper)


def test_honest_errors_pass() -> None:
    check_pulls(MODEL, make_traces(MODEL))


@pytest.mark.parametrize(("factor", "word"), [(1.5, "small"), (0.3, "large")])
def test_wrong_errors_are_refused(factor: float, word: str) -> None:
    with pytest.raises(ContractError, match=f"errors are too {word}"):
        check_pulls(stretched(factor), make_traces(MODEL))


def test_a_bias_is_refused() -> None:
    calls: list[int] = []

    def other(time: Any, **p: Any) -> Any:
        """Give the data of the one fit another level than the curve that is fitted to them."""
        calls.append(1)
        return (curve(time, **p)[0] + (0.05 if len(calls) == 1 else 0.0),)

    biased = dataclasses.replace(MODEL, curve=other)
    with pytest.raises(ContractError, match="is off by"):
        check_pulls(biased, make_traces(MODEL), fits=1)


def test_every_seed_gives_fresh_noise_of_the_stated_size() -> None:
    traces = make_traces(MODEL)
    one, two = (resampled(MODEL, traces, seed)["excited_population"] for seed in (1, 2))
    assert not one.equals(two)
    sigma = traces["excited_population_std"]
    assert float(((one - two) ** 2 / (2 * sigma**2)).mean()) == pytest.approx(1, abs=0.6)
