"""Where figures come from: the processor, its load, and the versions of all that took part."""

from __future__ import annotations

import datetime
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from powercal import __version__

PACKAGES = (
    "numpy",
    "scipy",
    "lmfit",
    "numba",
    "xarray",
    "xarray-lmfit",
    "iminuit",
)


def processor() -> str:
    """Return the processor's name, as well as the system tells it."""
    told = Path("/proc/cpuinfo")
    if told.exists():
        for line in told.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def machine() -> dict[str, str | int]:
    """Return what the figures depend on and the code does not say."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "processor": processor(),
        "cores": os.cpu_count() or 0,
        "load": f"{load:.1f}",
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """Return versions by package; "not installed" for what is missing."""
    found = {"powercal": __version__}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
