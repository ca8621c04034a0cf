"""What every benchmark prints: our time, the peer's, how far the two agree, and the limit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Row:
    """One timing: seconds of ours and of a peer for the same numbers, and their disagreement."""

    what: str
    seconds: float
    limit: float
    peer: str
    peer_seconds: float
    deviation: float


def largest_deviation(ours: Any, theirs: Any) -> float:
    """Return the largest difference over the largest value."""
    first, second = np.asarray(ours), np.asarray(theirs)
    return float(np.max(np.abs(first - second)) / np.max(np.abs(second)))


def print_rows(rows: Iterable[Row]) -> bool:
    """Print a table; return whether every row keeps its limit."""
    kept = True
    print(f"{'what':46s} {'ours':>10s} {'limit':>10s} {'peer':>12s}  {'deviation':>9s}  peer is")
    for row in rows:
        late = row.seconds > row.limit
        kept &= not late
        print(
            f"{row.what:46s} {row.seconds * 1e6:8.1f} µs {row.limit * 1e6:7.0f} µs "
            f"{row.peer_seconds * 1e6:9.0f} µs  {row.deviation:9.1e}  {row.peer}"
            f"{'   TOO SLOW' if late else ''}"
        )
    return kept
