"""A curve of 401 points of every kind of model: python -m benchmarks.curves."""

from __future__ import annotations

import sys
from importlib import import_module

from benchmarks.table import print_rows

PARTS = ("closed_forms", "reservoirs", "transmon", "floquet", "cavity")

if __name__ == "__main__":
    wanted = sys.argv[1:] or PARTS
    rows = [row for part in wanted for row in import_module(f"benchmarks.{part}").rows()]
    # 2, unlike the 1 of a crash: too slow, which a loaded machine may be.
    sys.exit(0 if print_rows(rows) else 2)
