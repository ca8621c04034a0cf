"""From files and arrays to checked instrument-plane traces; selections of them."""

from powercal.loading.arrays import traces
from powercal.loading.averaging import average
from powercal.loading.calibration import with_calibration_points
from powercal.loading.files import open_traces
from powercal.loading.inspection import inspect_source
from powercal.loading.selection import parse_selection, select

__all__ = [
    "average",
    "inspect_source",
    "open_traces",
    "parse_selection",
    "select",
    "traces",
    "with_calibration_points",
]
