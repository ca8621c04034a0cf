"""Write small files in Labber's layout, for tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

TEXT = h5py.string_dtype()
CHANNEL = np.dtype(
    [(k, TEXT) for k in ("name", "instrument", "quantity", "unitPhys", "unitInstr")]
    + [(k, "f8") for k in ("gain", "offset", "amp")]
)
STEP = np.dtype(
    [("channel_name", TEXT), ("step_unit", "i2"), ("use_relations", "?"), ("equation", TEXT)]
)
ITEM = np.dtype(
    [("range_type", "i2"), ("step_type", "i2")]
    + [(k, "f8") for k in ("single", "start", "stop", "center", "span", "step")]
    + [("n_pts", "i4"), ("interp", "i2"), ("sweep_rate", "f8")]
)
Item = dict[str, float]


def line(start: float, stop: float, points: int, interp: int = 0) -> Item:
    """Return a segment from start to stop."""
    return {"range_type": 1, "start": start, "stop": stop, "n_pts": points, "interp": interp}


def span(center: float, width: float, points: int) -> Item:
    """Return a segment around a centre."""
    return {"range_type": 2, "center": center, "span": width, "n_pts": points}


def single(value: float) -> Item:
    """Return one value."""
    return {"range_type": 0, "single": value, "n_pts": 1}


@dataclass
class Step:
    """A row of the step list with its axis (``values``) as Labber would have set it."""

    name: str
    values: Any
    items: list[Item]
    equation: str = "x"


@dataclass
class LabberFile:
    """What to write; ``channels`` maps a name to instrument, quantity, unit (and scaling)."""

    channels: dict[str, tuple[Any, ...]]
    steps: list[Step]
    logged: dict[str, Any] = field(default_factory=dict)
    entries: int | None = None
    last: int | None = None
    vectors: dict[str, dict[str, Any]] = field(default_factory=dict)
    config: dict[str, dict[str, float]] = field(default_factory=dict)
    dtype: str = "f4"

    def write(self, path: Path, group: str = "") -> Path:
        """Write the file, or append a further log under ``group``."""
        with h5py.File(path, "a") as file:
            home = file.require_group(group) if group else file
            _write_lists(home, self)
            sizes = [np.size(step.values) for step in self.steps]
            data = home.create_group("Data")
            data.attrs["Step dimensions"] = np.array(sizes, "i4")
            fixed = [i for i, size in enumerate(sizes) if size == 1]
            data.attrs["Fixed step index"] = np.array(fixed, "i4")
            values = [float(np.ravel(self.steps[i].values)[0]) for i in fixed]
            data.attrs["Fixed step values"] = np.array(values)
            data.attrs["Completed"] = self.entries is None
            if self.last is not None:
                data.attrs["Entries, last trace"] = self.last
            _write_data(data, self, sizes)
            _write_vectors(home, self)
        return path


def _write_lists(home: Any, log: LabberFile) -> None:
    rows = []
    for name, (instrument, quantity, unit, *scaling) in log.channels.items():
        rows.append((name, instrument, quantity, unit, unit, *(scaling or (1.0, 0.0, 1.0))))
    home["Channels"] = np.array(rows, CHANNEL)
    steps = [(s.name, 0, s.equation != "x", s.equation) for s in log.steps]
    home["Step list"] = np.array(steps, STEP)
    for step in log.steps:
        items = np.zeros(len(step.items), ITEM)
        for row, item in zip(items, step.items, strict=True):
            for key, value in item.items():
                row[key] = value
        home[f"Step config/{step.name}/Step items"] = items
    for instrument, settings in log.config.items():
        home.create_group(f"Instrument config/{instrument}").attrs.update(settings)


def _write_data(data: Any, log: LabberFile, sizes: list[int]) -> None:
    swept = [s for s in log.steps if np.size(s.values) > 1]
    names: list[tuple[str, str]] = [(step.name, "") for step in swept]
    shape = tuple(reversed(sizes))
    columns = []
    for step in swept:
        axis = len(sizes) - 1 - log.steps.index(step)
        along = np.reshape(step.values, [-1 if i == axis else 1 for i in range(len(sizes))])
        columns.append(np.broadcast_to(along, shape))
    for name, values in log.logged.items():
        values = np.broadcast_to(values, tuple(s for s in shape if s > 1)).reshape(shape)
        parts = [("Real", values.real), ("Imaginary", values.imag)]
        for info, part in parts if np.iscomplexobj(values) else [("", values)]:
            names.append((name, info))
            columns.append(part)
    fast = sizes[0] if sizes else 1
    table = np.array([np.reshape(c, (-1, fast)) for c in columns]).reshape(len(names), -1, fast)
    table = table[:, : log.entries]
    data["Data"] = table.transpose(2, 0, 1).astype(log.dtype)
    data["Channel names"] = np.array(names, [("name", TEXT), ("info", TEXT)])


def _write_vectors(home: Any, log: LabberFile) -> None:
    for name, vector in log.vectors.items():
        values = np.asarray(vector["values"])  # (entries, points)
        parts = [values.real, values.imag] if np.iscomplexobj(values) else [values]
        array = home.create_dataset(f"Traces/{name}", data=np.array(parts).transpose(2, 0, 1))
        array.attrs["complex"] = np.iscomplexobj(values)
        array.attrs["x, unit"] = vector.get("x_unit", "Hz")
        home[f"Traces/{name}_t0dt"] = np.atleast_2d(vector["t0dt"])
        lengths = vector.get("lengths", [values.shape[1]] * values.shape[0])
        home[f"Traces/{name}_N"] = np.array(lengths, "i4")
