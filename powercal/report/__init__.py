"""Report files: a fit, complete, in an HDF5 file that any reader opens; the summary of many."""

from powercal.report.hdf5 import read_report, write_report
from powercal.report.many import read_fits, write_fits
from powercal.report.summary import read_summary, summary_table, write_summary

__all__ = [
    "read_fits",
    "read_report",
    "read_summary",
    "summary_table",
    "write_fits",
    "write_report",
    "write_summary",
]
