"""What the models' checks of the same assumptions share."""

from __future__ import annotations

import pytest
from powercal_reservoirs.checks import broadening, check
from powercal_reservoirs.constants import BOLTZMANN, HBAR


@pytest.mark.parametrize(("ratio", "coldest"), [(0.5, 0.05), (1.0, 0.1), (3.0, 0.1)])
def test_widths_are_compared_with_the_colder_reservoir(ratio: float, coldest: float) -> None:
    values = {"temperature_u": 0.1, "temperature_ratio": ratio}
    found = broadening(2e9, values)
    assert found.value == pytest.approx(HBAR * 2e9 / (BOLTZMANN * coldest), rel=1e-12)


@pytest.mark.parametrize(
    ("value", "verdict"), [(1.0, "holds"), (1.0001, "fails"), (float("nan"), "unknown")]
)
def test_a_check_holds_up_to_its_limit_and_knows_what_it_does_not_know(value, verdict) -> None:
    assert check("name", value, 1.0, "effect").verdict == verdict
