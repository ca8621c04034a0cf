"""Coverage as a test class for pytest, to stand beside ModelContract."""

from __future__ import annotations

from typing import ClassVar

from powercal.contracts import Model
from powercal.testing.coverage import check_coverage


class CoverageContract:
    """Subclass it as ``TestMyErrors`` with ``model = MY_MODEL``; pytest runs its test.

    ``sets`` data sets of every regime whose name contains one of ``regimes`` are simulated and
    fitted; a few regimes and some dozens of sets find an error that is wrong by a third.
    """

    model: ClassVar[Model]
    sets: ClassVar[int] = 60
    regimes: ClassVar[tuple[str, ...]] = ()

    def test_intervals_hold_the_truth_as_often_as_they_say(self) -> None:
        """Within four binomial standard deviations in every regime."""
        assert check_coverage(self.model, sets=self.sets, regimes=self.regimes).passed
