"""From files and arrays to checked instrument-plane traces; selections of them."""

from powercal.loading.arrays import traces
from powercal.loading.files import open_traces
from powercal.loading.inspection import inspect_source
from powercal.loading.selection import parse_selection, select

__all__ = ["inspect_source", "open_traces", "parse_selection", "select", "traces"]
