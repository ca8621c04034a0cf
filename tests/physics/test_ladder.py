"""The closed forms for a third level (their oracle is the QuTiP ladder)."""

import numpy as np

from powercal.physics import ladder


def test_leakage_falls_with_the_square_of_the_anharmonicity_whatever_its_sign() -> None:
    assert ladder.leakage(1.0, -20.0, 0.0) == ladder.leakage(1.0, 20.0, 0.0)
    assert ladder.leakage(1.0, -20.0, 0.0) == 1 / 800


def test_dephasing_of_the_upper_transition_adds_leakage() -> None:
    np.testing.assert_allclose(
        ladder.leakage(1.0, -20.0, [0.0, 0.5, 1.0]) * 800, [1.0, 2.0, 3.0], rtol=1e-15
    )


def test_stark_shift_is_positive_for_either_sign_of_the_anharmonicity() -> None:
    np.testing.assert_array_equal(ladder.stark_shift(2.0, [-100.0, 100.0]), [0.02, 0.02])
