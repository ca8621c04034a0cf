"""The constants against scipy's CODATA tables."""

import pytest
from scipy import constants as codata

from powercal.physics import constants


@pytest.mark.parametrize(
    ("literal", "table"),
    [
        (constants.HBAR, codata.hbar),
        (constants.PLANCK, codata.h),
        (constants.BOLTZMANN, codata.k),
    ],
)
def test_the_constants_are_those_of_codata(literal: float, table: float) -> None:
    assert literal == pytest.approx(table, rel=1e-15)
