"""Write small files in the layouts of quantify and of PycQED, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

Column = tuple[str, str, Any]  # name, unit, values

IDENTIFIER = "20240102-030405-678-9abcde"


def write_quantify(
    path: Path, swept: list[Column], measured: list[Column], **attributes: Any
) -> Path:
    """Write a dataset.hdf5 as quantify does: flat columns along dim_0."""
    with h5py.File(path, "w") as file:
        file.attrs.update({"tuid": IDENTIFIER, "name": "a sweep", "2D-grid": len(swept) > 1})
        file.attrs.update(attributes)
        length = len(swept[0][2])
        file.create_dataset("dim_0", shape=(length,), dtype=">f4").make_scale(
            f"This is a netCDF dimension but not a netCDF variable.{length:10d}"
        )
        for letter, columns in (("x", swept), ("y", measured)):
            for number, (name, unit, values) in enumerate(columns):
                array = file.create_dataset(f"{letter}{number}", data=np.asarray(values))
                array.attrs.update({"name": name, "long_name": name.title(), "units": unit})
                array.dims[0].attach_scale(file["dim_0"])
    return path


def write_pycqed(
    path: Path, swept: list[Column], measured: list[Column], *, analysed: bool = False
) -> Path:
    """Write a file as PycQED does: one table of 32-bit numbers, its columns named by attributes."""
    with h5py.File(path, "w") as file:
        group = file.create_group("Experimental Data")
        table = np.stack([np.asarray(c[2], float) for c in (*swept, *measured)], axis=1)
        group.create_dataset("Data", data=table.astype("f4"))
        for what, columns in (("sweep_parameter", swept), ("value", measured)):
            group.attrs[f"{what}_names"] = np.array([c[0].encode() for c in columns])
            group.attrs[f"{what}_units"] = np.array([c[1].encode() for c in columns])
        file.create_group("Instrument settings/AWG").attrs["channel_1"] = "None"
        if analysed:
            analysis = file.create_group("Analysis")
            analysis.attrs["corrected data based on"] = np.bytes_(b"calibration points")
    return path
