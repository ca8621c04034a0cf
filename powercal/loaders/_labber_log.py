"""The parts of a Labber log as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Channel:
    """One quantity of one instrument; ``scaled`` where Labber recalculates its values."""

    name: str
    instrument: str = ""
    quantity: str = ""
    unit: str = ""
    scaling: tuple[float, float, float] = (1.0, 0.0, 1.0)

    @property
    def scaled(self) -> bool:
        """Whether physical and instrument values differ."""
        return self.scaling != (1.0, 0.0, 1.0)

    def physical(self, values: Array) -> Array:
        """Turn instrument values into physical ones."""
        gain, offset, amplification = self.scaling
        return np.asarray((values / amplification - offset) / gain)


@dataclass(frozen=True, slots=True)
class Step:
    """One row of the step list: an axis where ``size`` exceeds one, else a fixed value."""

    channel: Channel
    size: int
    values: Array | None
    dependent: bool
    segments: int = 1

    @property
    def name(self) -> str:
        """The channel's name."""
        return self.channel.name

    @property
    def swept(self) -> bool:
        """Whether it is an axis of the data."""
        return self.size > 1


@dataclass(frozen=True, slots=True)
class Vector:
    """A channel that gives a whole trace for each point of the steps."""

    channel: Channel
    values: Array
    x: Array
    x_unit: str


@dataclass(slots=True)
class Log:
    """One measurement: columns have the dimensions of ``axes``, slowest first."""

    file: str
    channels: dict[str, Channel]
    steps: tuple[Step, ...]
    columns: dict[str, Array] = field(default_factory=dict)
    vectors: dict[str, Vector] = field(default_factory=dict)
    config: dict[tuple[str, str], float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def axes(self) -> tuple[Step, ...]:
        """The swept steps, slowest first."""
        return tuple(step for step in reversed(self.steps) if step.swept)
