"""From files and arrays to checked instrument-plane traces; selections of them."""

from powercal.loading.arrays import traces
from powercal.loading.averaging import average
from powercal.loading.blocks import file_of, open_large, read_block
from powercal.loading.calibration import with_calibration_points
from powercal.loading.device import Reading, device_traces
from powercal.loading.files import open_traces
from powercal.loading.inspection import inspect_source
from powercal.loading.selection import parse_selection, select

__all__ = [
    "Reading",
    "average",
    "device_traces",
    "file_of",
    "inspect_source",
    "open_large",
    "open_traces",
    "parse_selection",
    "read_block",
    "select",
    "traces",
    "with_calibration_points",
]
