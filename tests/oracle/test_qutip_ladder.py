"""The closed forms for a third level against QuTiP ladders, secular and collective."""

from __future__ import annotations

import numpy as np
import pytest
import qutip
from scipy.optimize import minimize_scalar

from powercal.physics import ladder

from .liouvillian import Lindblad, Matrix, lowering

ALPHA = -200.0


def transmon(detuning: float, rabi: float, choice: str, upper_dephasing: float = 0.0) -> Matrix:
    """Solve three levels with Gamma_j,j-1 = j at T = 0."""
    one, two = lowering(3, 1), lowering(3, 2)
    b = one + np.sqrt(2) * two
    number = b.dag() * b
    bare = 1000.0 * number + ALPHA * qutip.basis(3, 2).proj()
    separate = {"10": [one], "21": [np.sqrt(2) * two]}
    baths = separate if choice == "secular" else {"bath": [b]}
    # L = d |2><2| dephases the upper transition at d^2/2 and leaves the lower one alone.
    baths["dephasing"] = [np.sqrt(2 * upper_dephasing) * qutip.basis(3, 2).proj()]
    drive = rabi / 2 * (b + b.dag())
    return Lindblad(bare, drive, number, 1000.0 + detuning, baths).steady_state()


@pytest.mark.parametrize("choice", ["secular", "collective"])
@pytest.mark.parametrize("dephasing", [0.0, 1.5])
def test_leakage_is_that_of_three_levels(choice: str, dephasing: float) -> None:
    rabi = 4.0  # |alpha|/50
    rho = transmon(0.0, rabi, choice, dephasing)
    seen = (rho[2, 2] / rho[1, 1]).real
    # The next order is (Omega/alpha)^2 = 4e-4, times a number.
    assert ladder.leakage(rabi, ALPHA, dephasing / 2) == pytest.approx(seen, rel=3e-3)


def line_centre(choice: str, rabi: float) -> float:
    scale = float(ladder.stark_shift(rabi, ALPHA))
    found = minimize_scalar(
        lambda detuning: transmon(detuning, rabi, choice)[0, 0].real,
        bounds=(-2 * scale, 3 * scale),
        method="bounded",
        options={"xatol": 1e-7},
    )
    return float(found.x) / scale


def test_separate_baths_let_the_line_shift_by_the_full_stark_shift() -> None:
    # Next order in Omega/alpha: a few percent at |alpha|/50.
    assert line_centre("secular", 4.0) == pytest.approx(1.0, abs=0.03)


def test_one_collective_bath_keeps_the_line_in_place() -> None:
    assert abs(line_centre("collective", 4.0)) < 0.03
