"""From instrument traces to the device: the line attached, the reference divided out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from powercal.errors import PlaneError, TraceSchemaError
from powercal.line.calibration import Level, LineCalibration, Tabulated, check_inside
from powercal.schema import WORDS, DeviceTraces, InstrumentTraces, with_flag
from powercal.sources import after_reference

if TYPE_CHECKING:
    import xarray as xr

FloatArray = NDArray[np.float64]

UNKNOWN_ATTENUATION = (
    "the attenuation of the line is not given: the power at the device, and with it the drive "
    "scale, is known only as far as the qubit itself tells"
)
UNKNOWN_GAIN = (
    "the gain of the line is not given: from powers alone Γ₁ is known only up to the gain; n_th "
    "does not depend on it"
)


def line_of(traces: DeviceTraces | InstrumentTraces) -> LineCalibration | None:
    """Return the line attached to traces; None at the device plane.

    Raises
    ------
    PlaneError
        If the traces are at the instrument and nobody said how they relate to the device.
    """
    if "line" in traces.attrs:
        return LineCalibration.from_json(traces.attrs["line"])
    if traces.attrs.get("plane") == "device":
        return None
    raise PlaneError(
        "these traces are as the instrument saw them; say how they relate to the device with "
        "to_device_plane(traces, LineCalibration(...)), unknown parts left out"
    )


def to_device_plane(
    traces: InstrumentTraces,
    line: LineCalibration | None = None,
    reference: InstrumentTraces | None = None,
) -> DeviceTraces:
    """Say how instrument traces relate to the device, without touching what is uncertain.

    The reference (an off-resonance or background trace) removes the frequency dependence of the
    set-up; attenuation and gain are attached and enter every fit as nuisance parameters.

    Parameters
    ----------
    traces : InstrumentTraces
        What the instrument recorded.
    line : LineCalibration, optional
        What is known of the line; left out, attenuation and gain are unknown, and said to be.
    reference : InstrumentTraces, optional
        One trace against frequency with its own generator power; its grid may be another one.

    Returns
    -------
    DeviceTraces
        New traces with the attributes ``line`` and ``setup`` (``raw``, ``referenced``, ``device``).

    Raises
    ------
    PlaneError
        A line or reference for traces that are already at the device.
    TraceSchemaError
        A reference that has no power, several powers, or does not span the traces.
    """
    if traces.attrs.get("plane") == "device":
        if line is not None or reference is not None:
            raise PlaneError(
                "the traces are already at the device plane; drop the line and the reference, or "
                "declare plane='instrument'"
            )
        return DeviceTraces(traces.assign_attrs(setup="device"))
    line = line or LineCalibration()
    data: xr.Dataset = traces.assign_attrs(line=line.to_json(), setup="raw")
    if reference is not None:
        data = _remove_reference(data, reference)
    if line.chain is not None and "frequency" in data:
        middle = float(np.mean(data["frequency"].values))
        n_line = line.chain.occupation(middle)
        data = with_flag(
            data,
            f"the occupation of the line behind its attenuators is {n_line:.3g} at "
            f"{middle / 1e9:.4g} GHz",
        )
    if line.attenuation_db is None and "incident_power" in data:
        data = with_flag(data, UNKNOWN_ATTENUATION)
    powers = [n for n in data.data_vars if str(n) in WORDS and WORDS[str(n)].kind == "power"]
    if line.gain_db is None and powers and not {"reflection", "transmission"} & set(data.data_vars):
        data = with_flag(data, UNKNOWN_GAIN)
    return DeviceTraces(data)


def _remove_reference(data: xr.Dataset, reference: InstrumentTraces) -> xr.Dataset:
    import xarray

    name = _common_observable(data, reference)
    target = "reflection" if name == "received" else name
    data = after_reference(data, name, target)
    trace = _one_trace(reference, name)
    frequency = np.asarray(data["frequency"].values, dtype=float)
    background = xarray.DataArray(
        _interpolated(trace, name, frequency), dims=data["frequency"].dims
    )
    measured = data[name]
    if name == "received":
        ratio = measured / background / (data["incident_power"] / _power(trace, name)) ** 0.5
    elif name in ("reflected_power", "transmitted_power"):
        ratio = measured / (background / _power(trace, name))
    else:
        ratio = measured / background
    ratio = ratio.transpose(*measured.dims, ...)
    ratio.attrs = {"units": "W" if target.endswith("power") else "1"}
    data = data.drop_vars([n for n in (name, f"{name}_std") if n in data]).assign({target: ratio})
    source = str(reference.attrs.get("source", ""))
    data = _keep_reference_noise(data, trace, name).assign_attrs(
        setup="referenced", reference=source
    )
    return with_flag(
        data, f"the frequency dependence of the set-up was removed with a reference trace {source}"
    )


def _common_observable(data: xr.Dataset, reference: xr.Dataset) -> str:
    for name in ("received", "reflection", "transmission", "reflected_power", "transmitted_power"):
        if name in data and name in reference:
            return name
    raise TraceSchemaError(
        f"traces hold {', '.join(map(str, data.data_vars))}, the reference holds "
        f"{', '.join(map(str, reference.data_vars))}; a reference needs the same observable"
    )


def _one_trace(reference: xr.Dataset, name: str) -> xr.Dataset:
    trace = reference.squeeze()
    if "frequency" not in trace or trace[name].dims != trace["frequency"].dims:
        raise TraceSchemaError(
            f"the reference has dimensions {dict(reference[name].sizes)}; a reference is one trace "
            f"against frequency at one power: select one"
        )
    kept = trace.dropna(str(trace["frequency"].dims[0]))
    return kept.sortby("frequency")


def _power(trace: xr.Dataset, name: str) -> float:
    if "incident_power" not in trace:
        raise TraceSchemaError(
            f"the reference holds {name} without incident_power; give the generator power at which "
            f"it was taken"
        )
    return float(trace["incident_power"])


def _interpolated(trace: xr.Dataset, name: str, frequency: FloatArray) -> NDArray[Any]:
    axis = np.asarray(trace["frequency"].values, dtype=float)
    values = np.asarray(trace[name].values)
    check_inside("the reference", axis, frequency)
    if not np.iscomplexobj(values):
        return np.asarray(np.interp(frequency, axis, values))
    turn = phase_slope(axis, values)
    flat = values * np.exp(-1j * turn * (axis - axis[0]))
    smooth = np.interp(frequency, axis, flat.real) + 1j * np.interp(frequency, axis, flat.imag)
    return np.asarray(smooth * np.exp(1j * turn * (frequency - axis[0])))


def phase_slope(axis: FloatArray, values: NDArray[Any]) -> float:
    """Return the mean phase slope (rad per Hz) of a complex trace.

    The mean turn between neighbours, weighted by their amplitudes, needs no unwrapping and so
    survives noise and gaps.
    """
    step = np.diff(axis)
    typical = float(np.median(step))
    regular = np.isclose(step, typical, rtol=0.01)
    turn = np.sum((values[1:] * np.conj(values[:-1]))[regular])
    return float(np.angle(turn) / typical)


def _keep_reference_noise(data: xr.Dataset, trace: xr.Dataset, name: str) -> xr.Dataset:
    """Attach the relative noise of the reference on its own grid: it is common to all powers."""
    axis = np.asarray(trace["frequency"].values, dtype=float)
    values = np.asarray(trace[name].values)
    relative = relative_noise(axis, values)
    noise = np.full(axis.size, relative)
    return data.assign(
        reference_noise=(
            "reference_frequency",
            noise,
            {"units": "1", "complex": int(np.iscomplexobj(values))},
        )
    ).assign_coords(reference_frequency=("reference_frequency", axis, {"units": "Hz"}))


def relative_noise(axis: FloatArray, values: NDArray[Any]) -> float:
    """Estimate the noise of a smooth trace, per quadrature, relative to its amplitude.

    From second differences after the phase slope is removed: they cancel a straight line and add
    the noise of three points with weights 1, −2, 1 (variance 6).
    """
    if values.size < 8:
        return 0.0
    amplitude = float(np.sqrt(np.mean(np.abs(values) ** 2)))
    if np.iscomplexobj(values):
        values = values * np.exp(-1j * phase_slope(axis, values) * (axis - axis[0]))
    bend = np.diff(values, n=2)
    quadratures = 2 if np.iscomplexobj(values) else 1
    return float(np.sqrt(np.mean(np.abs(bend) ** 2) / 6 / quadratures) / amplitude)


def nominal(
    traces: DeviceTraces, attenuation_db: float | None = None, gain_db: float | None = None
) -> xr.Dataset:
    """Return the traces as they would be at the device for these line values.

    For starting values only. Left out, the line's own values count; unknown parts are 0 dB.
    """
    line = line_of(traces)
    if line is None:
        return traces
    data: xr.Dataset = traces
    loss = _mean(line.attenuation_db) if attenuation_db is None else attenuation_db
    gain = _mean(line.gain_db) if gain_db is None else gain_db
    if traces.attrs.get("setup") == "referenced":
        gain = loss  # a power relative to the generator shrinks like the incident one
    if "incident_power" in data:
        data = data.assign(incident_power=data["incident_power"] * 10 ** (-loss / 10))
    words = ("reflected_power", "transmitted_power", "absorbed_power", "emitted_power")
    powers = [n for word in words for n in (word, f"{word}_std") if n in data]
    return data.assign({name: data[name] * 10 ** (-gain / 10) for name in powers})


def _mean(level: Level) -> float:
    if level is None:
        return 0.0
    return float(np.mean(level.value)) if isinstance(level, Tabulated) else level[0]
