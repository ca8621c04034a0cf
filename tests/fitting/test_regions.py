"""Regions beside a bound cover whatever they turn out to be, and agree with the published table."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from powercal.fitting.regions import CONTENT, critical, ends, region

# Feldman & Cousins 1998, Table X: measured value (in σ, bound at 0), 68.27 % and 95 % region.
PUBLISHED = {
    -3.0: ((0.00, 0.04), (0.00, 0.42)),
    -1.0: ((0.00, 0.27), (0.00, 1.10)),
    0.0: ((0.00, 1.00), (0.00, 1.96)),
    0.5: ((0.02, 1.50), (0.00, 2.46)),
    1.0: ((0.24, 2.00), (0.00, 2.96)),
    2.0: ((1.00, 3.00), (0.35, 3.96)),
    3.0: ((2.00, 4.00), (1.14, 4.96)),
}


def region_above(measured: float, level: int) -> tuple[float, float]:
    """Both ends of the region for a value measured so many σ above a bound at 0."""
    reach = ends(measured, np.inf, level)
    best = max(measured, 0.0)
    low = 0.0 if np.isnan(reach.low) else best - float(reach.low)
    return low, best + float(reach.high)


@pytest.mark.parametrize("measured", PUBLISHED)
def test_the_regions_are_those_of_the_published_table(measured: float) -> None:
    for level, wanted in zip((68, 95), PUBLISHED[measured], strict=True):
        # The table has two digits; its 0.35 is 0.3549.
        assert np.allclose(region_above(measured, level), wanted, atol=0.0051)


def covered(truth: float, width: float, level: int, sets: int) -> float:
    """The share of regions that hold the truth, allowed values being 0 … width."""
    measured = truth + np.random.default_rng(7).standard_normal(sets)
    found = region(measured, width - measured, level)
    best = np.clip(measured, 0.0, width)
    rise = (measured - truth) ** 2 - (measured - best) ** 2
    limit: NDArray[np.float64] = np.where(truth < best, found.low, found.high)
    return float(np.mean(np.isnan(limit) | (rise <= limit)))


@pytest.mark.parametrize(
    ("width", "share"),
    [(1.0, 0.0), (1.0, 0.5), (3.0, 0.2), *((np.inf, s) for s in (0.0, 0.25, 0.5, 1.0))],
)
@pytest.mark.parametrize("level", [68, 95])
def test_a_region_covers_wherever_the_truth_lies(width: float, share: float, level: int) -> None:
    truth = share * (width if np.isfinite(width) else 4.0)
    sets = 1_500 if np.isfinite(width) else 40_000  # two near bounds take a table for each set
    spread = np.sqrt(CONTENT[level] * (1 - CONTENT[level]) / sets)
    assert abs(covered(truth, width, level, sets) - CONTENT[level]) < 4 * spread


def test_choosing_limit_or_interval_from_the_data_would_cover_too_little() -> None:
    """The flip-flop that these regions avoid: a one-sided limit below 3 σ, else an interval."""
    measured = 2.0 + np.random.default_rng(8).standard_normal(40_000)
    above = measured + np.where(measured < 3, 1.645, 1.96)
    below = np.where(measured < 3, 0.0, measured - 1.96)
    assert np.mean((below <= 2.0) & (above >= 2.0)) < 0.93


def test_far_from_any_bound_nothing_changes() -> None:
    assert region(5.0, np.inf, 68) == (1.0, 1.0)
    assert np.allclose(region(5.0, 6.0, 95), 3.841458820694124, rtol=1e-15, atol=0)


def test_the_level_at_the_bound_is_the_one_sided_quantile() -> None:
    # Φ(1.6449) = 0.95 and Φ(0.4752) = 0.6827.
    assert np.allclose([critical(0.0, np.inf, n) for n in (68, 95)], [0.2258, 2.7055], atol=2e-4)


def test_the_upper_bound_is_the_mirror_of_the_lower() -> None:
    room = np.array([-2.0, -0.3, 0.2, 1.0, 2.5])
    low, high = region(room, np.inf, 95)
    mirrored = region(np.inf, room, 95)
    assert np.array_equal(mirrored.high, low, equal_nan=True)
    assert np.array_equal(mirrored.low, high)
