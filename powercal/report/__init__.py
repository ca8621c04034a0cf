"""Report files: one fit, complete, in one HDF5 file that any HDF5 reader opens."""

from powercal.report.hdf5 import read_report, write_report

__all__ = ["read_report", "write_report"]
