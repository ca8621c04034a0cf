"""The line between generator, device and receiver: data with an error, never a silent shift."""

from powercal.line.calibration import AttenuatorChain, LineCalibration, Tabulated
from powercal.line.file import read_line, write_line
from powercal.line.plane import (
    UNKNOWN_ATTENUATION,
    UNKNOWN_GAIN,
    line_of,
    nominal,
    phase_slope,
    relative_noise,
    to_device_plane,
)

__all__ = [
    "UNKNOWN_ATTENUATION",
    "UNKNOWN_GAIN",
    "AttenuatorChain",
    "LineCalibration",
    "Tabulated",
    "line_of",
    "nominal",
    "phase_slope",
    "read_line",
    "relative_noise",
    "to_device_plane",
    "write_line",
]
