"""What is known of the line between generator, device and receiver, with its uncertainty."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.errors import TraceSchemaError

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tabulated:
    """An attenuation or gain tabulated against frequency.

    Attributes
    ----------
    frequency : tuple of float
        Hz, increasing.
    value, std : tuple of float
        dB at those frequencies, and the standard uncertainty, common to the whole table.
    """

    frequency: tuple[float, ...]
    value: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.frequency) == len(self.value) == len(self.std) >= 2:
            raise TraceSchemaError(
                "a tabulated attenuation or gain needs frequency, value and std of the same "
                f"length ≥ 2; found {len(self.frequency)}, {len(self.value)}, {len(self.std)}"
            )
        if not (np.diff(self.frequency) > 0).all():
            raise TraceSchemaError("the frequencies of a tabulated line must increase; sort them")

    def at(self, frequency: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Interpolate value and uncertainty (dB) at frequencies in Hz.

        Raises
        ------
        TraceSchemaError
            Outside the table.
        """
        check_inside("the line table", np.asarray(self.frequency), frequency)
        return (
            np.interp(frequency, self.frequency, self.value),
            np.interp(frequency, self.frequency, self.std),
        )


@dataclass(frozen=True, slots=True)
class AttenuatorChain:
    """Attenuators between a source of noise and the device, in the order the signal meets them.

    Attributes
    ----------
    source_temperature : float
        Of what feeds the line, K (300 for a cable to room temperature).
    stages : tuple of (loss in dB, temperature in K)
        The attenuators.

    Examples
    --------
    >>> chain = AttenuatorChain(300.0, ((20.0, 4.0), (20.0, 0.1), (20.0, 0.01)))
    >>> round(chain.occupation(5e9), 5)
    0.00384
    """

    source_temperature: float
    stages: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        losses = [loss for loss, _ in self.stages]
        temperatures = [self.source_temperature, *(t for _, t in self.stages)]
        if not self.stages or min(losses) < 0 or min(temperatures) <= 0:
            raise TraceSchemaError(
                f"a chain of attenuators needs losses ≥ 0 dB and temperatures > 0 K; found "
                f"{self.stages!r} behind {self.source_temperature!r} K"
            )

    def occupation(self, frequency: float) -> float:
        """Return the thermal occupation of the line behind the chain (supplement C5).

        Parameters
        ----------
        frequency : float
            Hz.
        """
        from powercal.physics.thermal import attenuator_chain_occupation, bose_occupation

        omega = 2 * np.pi * frequency
        ratios = [10 ** (loss / 10) for loss, _ in self.stages]
        start = bose_occupation(omega, self.source_temperature)
        behind = attenuator_chain_occupation(omega, ratios, [t for _, t in self.stages], start)
        return float(behind)


Level = tuple[float, float] | Tabulated | None


@dataclass(frozen=True, slots=True)
class LineCalibration:
    """What is known of the line.

    Attributes
    ----------
    attenuation_db : (value, standard uncertainty) or Tabulated or None
        Loss from the generator to the device in dB; None means unknown.
    gain_db : (value, standard uncertainty) or Tabulated or None
        Gain from the device to the receiver in dB; None means unknown.
    correlation : float
        Between the errors of the two, where one measurement gave both.
    chain : AttenuatorChain or None
        The attenuators, which say how hot the line is (``n_line``); their sum is not taken for
        the attenuation.

    Examples
    --------
    >>> LineCalibration(attenuation_db=(61.4, 0.5)).gain_db is None
    True
    """

    attenuation_db: Level = None
    gain_db: Level = None
    correlation: float = 0.0
    chain: AttenuatorChain | None = None

    def __post_init__(self) -> None:
        pairs = isinstance(self.attenuation_db, tuple) and isinstance(self.gain_db, tuple)
        if not -1 < self.correlation < 1 or (self.correlation and not pairs):
            raise TraceSchemaError(
                f"the correlation of attenuation and gain is {self.correlation!r}; it must lie "
                f"between −1 and 1, and both must be (value, standard uncertainty)"
            )
        for name in ("attenuation_db", "gain_db"):
            level = getattr(self, name)
            if isinstance(level, tuple) and not (len(level) == 2 and level[1] > 0):
                raise TraceSchemaError(
                    f"{name} is {level!r}; give (value, standard uncertainty > 0) in dB, or None "
                    f"if it is not known"
                )

    def plain(self) -> dict[str, Any]:
        """Return it as JSON-able data; what was not said is left out, but for the two levels."""
        found: dict[str, Any] = {n: _plain(getattr(self, n)) for n in ("attenuation_db", "gain_db")}
        if self.correlation:
            found["correlation"] = self.correlation
        if self.chain is not None:
            stages = [list(stage) for stage in self.chain.stages]
            found["chain"] = {
                "source_temperature": self.chain.source_temperature,
                "stages": stages,
            }
        return found

    @staticmethod
    def from_plain(data: dict[str, Any]) -> LineCalibration:
        """Read what :meth:`plain` wrote."""
        chain = data.get("chain")
        return LineCalibration(
            attenuation_db=_level(data["attenuation_db"]),
            gain_db=_level(data["gain_db"]),
            correlation=float(data.get("correlation", 0.0)),
            chain=None
            if chain is None
            else AttenuatorChain(
                float(chain["source_temperature"]),
                tuple((float(loss), float(kelvin)) for loss, kelvin in chain["stages"]),
            ),
        )

    def to_json(self) -> str:
        """Write the line as one JSON string for the attributes of traces."""
        return json.dumps(self.plain())

    @staticmethod
    def from_json(text: str) -> LineCalibration:
        """Read what :meth:`to_json` wrote."""
        return LineCalibration.from_plain(json.loads(text))


def _plain(level: Level) -> Any:
    if isinstance(level, Tabulated):
        return {"frequency": level.frequency, "value": level.value, "std": level.std}
    return level


def _level(value: Any) -> Level:
    if isinstance(value, dict):
        return Tabulated(*(tuple(map(float, value[n])) for n in ("frequency", "value", "std")))
    return None if value is None else (float(value[0]), float(value[1]))


def check_inside(what: str, axis: FloatArray, wanted: FloatArray) -> None:
    """Refuse frequencies outside a table."""
    # Instruments round frequencies; a thousandth of a step is not extrapolation.
    slack = 1e-3 * float(np.min(np.diff(axis)))
    if wanted.min() < axis[0] - slack or wanted.max() > axis[-1] + slack:
        raise TraceSchemaError(
            f"{what} spans {axis[0] / 1e9:.9g} to {axis[-1] / 1e9:.9g} GHz, the traces "
            f"{wanted.min() / 1e9:.9g} to {wanted.max() / 1e9:.9g} GHz; it must span the traces: "
            f"select fewer frequencies or give a wider one"
        )
