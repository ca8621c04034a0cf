"""Labber: which step is what, axes in full precision, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import powercal as pc
from loaders.labber_files import LabberFile, Step, line, single, span
from loaders.real_files import real_file
from powercal.errors import LoaderError, UnknownNameError
from powercal.loaders.labber import powercal_loaders
from powercal.schema import flags

GENERATOR = "Generator at localhost"
LOADER = next(iter(powercal_loaders()))
POWERS = np.linspace(-10.0, 10.0, 3)
OFFSETS = np.linspace(6.5e9, 6.6e9, 5)
SIGNAL = np.arange(15.0).reshape(3, 5) * (1 + 2j)

CHANNELS: dict[str, tuple[Any, ...]] = {
    "Drive - Frequency": (GENERATOR, "Frequency", "Hz"),
    "Drive - Power": (GENERATOR, "Power", "dBm"),
    "LO - Frequency": ("LO at localhost", "Frequency", "Hz"),
    "LO - Power": ("LO at localhost", "Power", "dBm"),
    "Digitizer": ("Card at localhost", "Demodulated", "V"),
    "Digitizer 2": ("Card at localhost", "Demodulated 2", "V"),
    "Delay": ("AWG at localhost", "Delay", "s"),
    "Width": ("AWG at localhost", "Width", "s"),
    "Coil": ("Yoko at localhost", "Current", "A"),
    "Knob": ("Manual at localhost", "Value", "turns"),
    "VNA - S21": ("VNA at localhost", "S21", ""),
    "VNA - S11": ("VNA at localhost", "S11", ""),
    "VNA - S22": ("VNA at localhost", "S22", ""),
    "VNA - Output power": ("VNA at localhost", "Output power", "dBm"),
}
FREQUENCY = Step("Drive - Frequency", OFFSETS, [line(6.5e9, 6.6e9, 5)])
POWER = Step("Drive - Power", POWERS, [line(-10.0, 10.0, 3)])
LO = Step("LO - Frequency", 6.55e9, [single(6.55e9)], equation="fq + 50e6")
SWEEP = LabberFile(CHANNELS, [FREQUENCY, POWER, LO], {"Digitizer": SIGNAL})


def load(log: LabberFile, folder: Path, **options: Any) -> xr.Dataset:
    """Write and open a log."""
    return pc.open_traces(log.write(folder / "log.hdf5"), **options)


def refused(log: LabberFile, folder: Path, **options: Any) -> str:
    """Write a log and return why it is refused."""
    with pytest.raises(LoaderError) as caught:
        load(log, folder, **options)
    return str(caught.value)


# --- words ---------------------------------------------------------------------------------------


def test_frequency_and_power_of_one_generator_become_axes(tmp_path: Path) -> None:
    traces = load(SWEEP, tmp_path)
    assert traces["received"].dims == ("power", "frequency")
    assert traces["incident_power"].values == pytest.approx([1e-4, 1e-3, 1e-2], rel=1e-12)
    assert traces["incident_power"].dims == ("power",)
    np.testing.assert_array_equal(traces["received"].values, SIGNAL)


def test_a_complex_record_is_coherent_at_the_instrument(tmp_path: Path) -> None:
    traces = load(SWEEP, tmp_path)
    assert (traces.attrs["plane"], traces.attrs["detection"]) == ("instrument", "coherent")
    assert traces["received"].attrs["units"] == "V"


def test_dimensions_have_their_order_whichever_step_is_faster(tmp_path: Path) -> None:
    log = replace(SWEEP, steps=[POWER, FREQUENCY], logged={"Digitizer": SIGNAL.T})
    traces = load(log, tmp_path)
    assert traces["received"].dims == ("power", "frequency")
    np.testing.assert_array_equal(traces["received"].values, SIGNAL)


def test_a_fixed_power_becomes_one_value(tmp_path: Path) -> None:
    log = replace(
        SWEEP,
        steps=[FREQUENCY, Step("Drive - Power", -10.0, [single(-10.0)])],
        logged={"Digitizer": SIGNAL[0]},
    )
    traces = load(log, tmp_path)
    assert traces["incident_power"].dims == ()
    assert float(traces["incident_power"]) == pytest.approx(1e-4)


def test_a_fixed_power_comes_from_the_settings_of_the_instrument(tmp_path: Path) -> None:
    log = replace(
        SWEEP,
        steps=[FREQUENCY],
        logged={"Digitizer": SIGNAL[0]},
        config={GENERATOR: {"Power": -20.0}},
    )
    assert float(load(log, tmp_path)["incident_power"]) == pytest.approx(1e-5)


def test_a_power_that_is_nowhere_in_the_log_stays_unknown(tmp_path: Path) -> None:
    log = replace(SWEEP, steps=[FREQUENCY], logged={"Digitizer": SIGNAL[0]})
    traces = load(log, tmp_path)
    assert "incident_power" not in traces
    assert flags(traces) == ("the value of 'Drive - Power' is not in the log beyond doubt",)


def test_a_scaled_fixed_power_stays_unknown(tmp_path: Path) -> None:
    scaled = {**CHANNELS, "Drive - Power": (GENERATOR, "Power", "dBm", 1.0, 3.0, 1.0)}
    log = LabberFile(
        scaled,
        [FREQUENCY, Step("Drive - Power", -10.0, [single(-10.0)])],
        {"Digitizer": SIGNAL[0]},
    )
    assert "incident_power" not in load(log, tmp_path)


def test_a_drive_without_power_channel_is_flagged(tmp_path: Path) -> None:
    channels = {key: CHANNELS[key] for key in ("Drive - Frequency", "Digitizer")}
    log = LabberFile(channels, [FREQUENCY], {"Digitizer": SIGNAL[0]})
    assert flags(load(log, tmp_path)) == ("the log names no power of its drive; it stays unknown",)


def test_a_power_sweep_takes_the_frequency_of_its_generator(tmp_path: Path) -> None:
    log = replace(
        SWEEP,
        steps=[POWER, Step("Drive - Frequency", 6.5e9, [single(6.5e9)])],
        logged={"Digitizer": SIGNAL[:, 0]},
    )
    traces = load(log, tmp_path)
    assert float(traces["frequency"]) == 6.5e9
    assert traces["received"].dims == ("power",)


def test_a_detuning_becomes_a_frequency_offset(tmp_path: Path) -> None:
    values = np.linspace(-1e7, 1e7, 5)
    log = replace(
        SWEEP,
        steps=[replace(FREQUENCY, values=values, items=[span(0.0, 2e7, 5)]), POWER],
    )
    assert load(log, tmp_path)["frequency_offset"].values.tolist() == values.tolist()


def test_a_delay_becomes_time(tmp_path: Path) -> None:
    values = np.linspace(0.0, 1e-4, 5)
    log = replace(SWEEP, steps=[Step("Delay", values, [line(0.0, 1e-4, 5)]), POWER])
    assert load(log, tmp_path)["time"].values == pytest.approx(values)


def test_another_step_keeps_its_name_and_unit(tmp_path: Path) -> None:
    coil = Step("Coil", np.array([1e-3, 2e-3, 3e-3]), [line(1e-3, 3e-3, 3)])
    traces = load(replace(SWEEP, steps=[FREQUENCY, coil]), tmp_path)
    assert traces["coil"].attrs["units"] == "A"
    assert traces["received"].dims == ("coil", "frequency")


def test_an_unknown_unit_is_kept_beside_the_number(tmp_path: Path) -> None:
    knob = Step("Knob", np.array([1.0, 2.0, 3.0]), [line(1.0, 3.0, 3)])
    traces = load(replace(SWEEP, steps=[FREQUENCY, knob]), tmp_path)
    assert traces["knob"].attrs["labber_unit"] == "turns"
    assert "unit 'turns' of 'Knob' is not known; kept as a number" in flags(traces)


def test_several_records_stand_along_channel(tmp_path: Path) -> None:
    log = replace(SWEEP, logged={"Digitizer": SIGNAL, "Digitizer 2": 2 * SIGNAL})
    traces = load(log, tmp_path)
    assert traces["channel"].values.tolist() == ["Digitizer", "Digitizer 2"]
    np.testing.assert_array_equal(traces["received"].sel(channel="Digitizer 2"), 2 * SIGNAL)


def test_one_of_several_records_can_be_chosen(tmp_path: Path) -> None:
    log = replace(SWEEP, logged={"Digitizer": SIGNAL, "Digitizer 2": 2 * SIGNAL})
    traces = load(log, tmp_path, mapping={"received": "Digitizer 2"})
    np.testing.assert_array_equal(traces["received"], 2 * SIGNAL)


def test_records_in_different_units_must_be_chosen_from(tmp_path: Path) -> None:
    channels = {**CHANNELS, "Digitizer 2": ("Card at localhost", "Demodulated 2", "mV")}
    log = LabberFile(channels, [FREQUENCY, POWER], {"Digitizer": SIGNAL, "Digitizer 2": SIGNAL})
    message = refused(log, tmp_path)
    assert "the channels 'Digitizer', 'Digitizer 2' have different units; choose one" in message


def test_a_real_channel_keeps_its_name_and_says_nothing_of_detection(tmp_path: Path) -> None:
    traces = load(replace(SWEEP, logged={"Digitizer": SIGNAL.real}), tmp_path)
    np.testing.assert_array_equal(traces["digitizer"], SIGNAL.real)
    assert "detection" not in traces.attrs


def test_a_complex_s_parameter_is_a_reflection(tmp_path: Path) -> None:
    traces = load(replace(SWEEP, logged={"VNA - S11": SIGNAL / 100}), tmp_path)
    assert traces["reflection"].attrs["units"] == "1"


# --- ambiguity -----------------------------------------------------------------------------------


def two_tones() -> LabberFile:
    """Return a log that sweeps two generators."""
    probe = Step("LO - Frequency", np.array([7e9, 7.1e9, 7.2e9]), [line(7e9, 7.2e9, 3)])
    return replace(SWEEP, steps=[FREQUENCY, probe])


def test_two_swept_frequencies_are_listed_and_refused(tmp_path: Path) -> None:
    assert refused(two_tones(), tmp_path) == (
        "log.hdf5 has 2 candidates for frequency: 'Drive - Frequency', 'LO - Frequency'; say "
        "which, for example mapping={'frequency': 'Drive - Frequency'} (command line: --map "
        "'frequency=Drive - Frequency')"
    )


def test_a_mapping_settles_the_frequency(tmp_path: Path) -> None:
    traces = load(two_tones(), tmp_path, mapping={"frequency": "LO - Frequency"})
    assert traces["frequency"].values.tolist() == [7e9, 7.1e9, 7.2e9]
    assert "drive_frequency" in traces.dims


def test_two_swept_delays_are_refused(tmp_path: Path) -> None:
    steps = [
        Step("Delay", np.linspace(0, 1e-4, 5), [line(0, 1e-4, 5)]),
        Step("Width", np.linspace(0, 1e-6, 3), [line(0, 1e-6, 3)]),
    ]
    message = refused(replace(SWEEP, steps=steps), tmp_path)
    assert "2 candidates for time: 'Delay', 'Width'" in message


def test_a_mapping_overrides_the_power(tmp_path: Path) -> None:
    log = replace(
        SWEEP,
        steps=[FREQUENCY, POWER, Step("LO - Power", 10.0, [single(10.0)])],
    )
    traces = load(log, tmp_path, mapping={"power": "LO - Power"})
    assert float(traces["incident_power"]) == pytest.approx(1e-2)
    assert "drive_power" in traces.dims


def test_a_mapping_to_a_step_that_stood_still_is_refused(tmp_path: Path) -> None:
    message = refused(SWEEP, tmp_path, mapping={"frequency": "LO - Frequency"})
    assert "frequency is mapped to 'LO - Frequency', which is not swept; the swept steps are" in (
        message
    )


def test_a_mapping_of_an_unknown_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="there is no word that can be mapped 'powr'; did"):
        load(SWEEP, tmp_path, mapping={"powr": "Drive - Power"})


def test_a_mapping_to_an_unknown_channel_is_refused(tmp_path: Path) -> None:
    message = refused(SWEEP, tmp_path, mapping={"power": "Drive - Powr"})
    assert "there is no channel 'Drive - Powr'; did you mean 'Drive - Power'?" in message


def test_the_description_names_the_choice_and_the_rejected(tmp_path: Path) -> None:
    assert LOADER.describe is not None
    lines = LOADER.describe(SWEEP.write(tmp_path / "log.hdf5"))
    assert "frequency: 'Drive - Frequency' (Hz, 5 points in 1 segments)" in lines
    assert "power: 'Drive - Power' (dBm, on the instrument of the frequency)" in lines
    assert "not frequency: 'LO - Frequency' follows other channels by a relation" in lines
    assert "not power: 'LO - Power' belongs to another instrument" in lines


# --- axes ----------------------------------------------------------------------------------------


def test_the_axis_has_full_precision_though_the_column_has_not(tmp_path: Path) -> None:
    values = np.linspace(6.5e9, 6.5e9 + 3000, 5)  # float32 knows steps of 512 Hz here
    log = replace(
        SWEEP, steps=[replace(FREQUENCY, values=values, items=[line(*values[[0, -1]], 5)]), POWER]
    )
    assert load(log, tmp_path)["frequency"].values.tolist() == values.tolist()


def test_segments_share_their_end_points(tmp_path: Path) -> None:
    items = [line(6.5e9, 6.52e9, 3), span(6.525e9, 1e7, 3)]
    values = np.array([6.5e9, 6.51e9, 6.52e9, 6.525e9, 6.53e9])
    log = replace(SWEEP, steps=[replace(FREQUENCY, values=values, items=items), POWER])
    assert load(log, tmp_path)["frequency"].values == pytest.approx(values, rel=1e-15)


def test_separate_segments_and_single_values_are_joined(tmp_path: Path) -> None:
    items = [single(6.4e9), line(6.5e9, 6.53e9, 4)]
    values = np.array([6.4e9, 6.5e9, 6.51e9, 6.52e9, 6.53e9])
    log = replace(SWEEP, steps=[replace(FREQUENCY, values=values, items=items), POWER])
    assert load(log, tmp_path)["frequency"].values == pytest.approx(values, rel=1e-15)


@pytest.mark.parametrize(("interp", "points"), [(1, 5), (2, 2)])
def test_logarithmic_axes_are_rebuilt(interp: int, points: int, tmp_path: Path) -> None:
    values = np.geomspace(1e-6, 1e-4, 5)
    step = Step("Delay", values, [line(1e-6, 1e-4, points, interp)])
    assert load(replace(SWEEP, steps=[step, POWER]), tmp_path)["time"].values == pytest.approx(
        values, rel=1e-12
    )


@pytest.mark.parametrize(
    ("item", "name"),
    [(line(6.5e9, 6.6e9, 5, 3), "Lorentzian"), (line(-1.0, 1.0, 5, 1), "logarithmic")],
)
def test_spacing_that_cannot_be_rebuilt_is_refused(item: Any, name: str, tmp_path: Path) -> None:
    log = replace(SWEEP, steps=[replace(FREQUENCY, items=[item]), POWER])
    message = refused(log, tmp_path)
    assert f"step 'Drive - Frequency' has {name} spacing" in message
    assert "sweep linearly, or export the log as a table" in message


def test_an_axis_unlike_its_column_is_refused(tmp_path: Path) -> None:
    log = replace(SWEEP, steps=[replace(FREQUENCY, items=[line(6.5e9, 6.7e9, 5)]), POWER])
    assert "differs from the recorded values by up to 1e+08 Hz" in refused(log, tmp_path)


def test_segments_of_another_length_are_refused(tmp_path: Path) -> None:
    log = replace(SWEEP, steps=[replace(FREQUENCY, items=[line(6.5e9, 6.6e9, 7)]), POWER])
    assert "give 7 points, but 5 were planned" in refused(log, tmp_path)


def test_a_step_without_items_is_refused(tmp_path: Path) -> None:
    log = replace(SWEEP, steps=[replace(FREQUENCY, items=[]), POWER])
    assert "step 'Drive - Frequency' has no step items" in refused(log, tmp_path)


def test_scaled_axes_are_told_by_their_column(tmp_path: Path) -> None:
    channels = {**CHANNELS, "Coil": ("Yoko at localhost", "Current", "A", 2.0, 0.0, 1.0)}
    coil = Step("Coil", np.array([0.5e-3, 1e-3, 1.5e-3]), [line(1e-3, 3e-3, 3)])
    log = LabberFile(channels, [FREQUENCY, coil], {"Digitizer": SIGNAL})
    assert load(log, tmp_path)["coil"].values == pytest.approx([0.5e-3, 1e-3, 1.5e-3])


def test_an_equation_is_never_evaluated_but_its_column_is_read(tmp_path: Path) -> None:
    step = replace(FREQUENCY, equation="__import__('os').abort()")
    traces = load(replace(SWEEP, steps=[step, POWER]), tmp_path, mapping={"frequency": step.name})
    assert traces["frequency"].values == pytest.approx(OFFSETS, rel=1e-6)
    assert "is taken from the recorded column (a relation)" in flags(traces)[0]


# --- unfinished and appended ---------------------------------------------------------------------


def test_an_interrupted_log_is_padded_and_counted(tmp_path: Path) -> None:
    traces = load(replace(SWEEP, entries=2), tmp_path)
    assert np.isnan(traces["received"].values).all(axis=1).tolist() == [False, False, True]
    assert flags(traces) == (
        "the measurement was not completed: 2 of 3 planned entries are in the file, the rest "
        "is NaN",
    )


def test_the_unmeasured_tail_of_the_last_sweep_is_missing(tmp_path: Path) -> None:
    traces = load(replace(SWEEP, entries=2, last=3), tmp_path)
    assert np.isnan(traces["received"].values[1]).tolist() == [False] * 3 + [True] * 2


def test_an_interrupted_log_keeps_the_whole_planned_axis(tmp_path: Path) -> None:
    assert load(replace(SWEEP, entries=2), tmp_path).sizes["power"] == 3


def test_appended_logs_of_the_same_axes_stand_along_trace(tmp_path: Path) -> None:
    path = SWEEP.write(tmp_path / "log.hdf5")
    replace(SWEEP, logged={"Digitizer": 3 * SIGNAL}).write(path, "Log_2")
    traces = pc.open_traces(path)
    assert traces["received"].dims[0] == "trace"
    np.testing.assert_array_equal(traces["received"].values[1], 3 * SIGNAL)
    assert "incident_power" in traces.coords


def test_appended_logs_of_other_axes_are_left_out_aloud(tmp_path: Path) -> None:
    path = SWEEP.write(tmp_path / "log.hdf5")
    replace(SWEEP, steps=[FREQUENCY], logged={"Digitizer": SIGNAL[0]}).write(path, "Log_2")
    traces = pc.open_traces(path)
    assert "trace" not in traces.dims
    assert flags(traces) == ("appended logs Log_2 have other axes than the first; left out",)


# --- vector channels -----------------------------------------------------------------------------


def analyser(**changes: Any) -> LabberFile:
    """Return a log of network analyser traces at three powers."""
    step = Step("VNA - Output power", POWERS, [line(-10.0, 10.0, 3)])
    vector = {"values": SIGNAL, "t0dt": [6.5e9, 2.5e7]}
    return LabberFile(CHANNELS, [step], **({"vectors": {"VNA - S21": vector}} | changes))


def test_analyser_traces_become_transmission_over_frequency(tmp_path: Path) -> None:
    traces = load(analyser(), tmp_path)
    assert traces["transmission"].dims == ("power", "frequency")
    np.testing.assert_array_equal(traces["transmission"].values, SIGNAL)
    assert traces["frequency"].values == pytest.approx(OFFSETS, rel=1e-15)
    assert traces["incident_power"].values == pytest.approx([1e-4, 1e-3, 1e-2])


def test_short_analyser_traces_are_padded(tmp_path: Path) -> None:
    vector = {"values": SIGNAL, "t0dt": [6.5e9, 2.5e7], "lengths": [5, 5, 2]}
    traces = load(analyser(vectors={"VNA - S11": vector}), tmp_path)
    assert np.isnan(traces["reflection"].values[2]).tolist() == [False] * 2 + [True] * 3


def test_two_reflections_must_be_chosen_from(tmp_path: Path) -> None:
    vector = {"values": SIGNAL, "t0dt": [6.5e9, 2.5e7]}
    log = analyser(vectors={"VNA - S11": vector, "VNA - S22": vector})
    assert "2 candidates for reflection: 'VNA - S11', 'VNA - S22'" in refused(log, tmp_path)


def test_a_mapping_settles_the_reflection(tmp_path: Path) -> None:
    vector = {"values": SIGNAL, "t0dt": [6.5e9, 2.5e7]}
    other = {"values": 2 * SIGNAL, "t0dt": [6.5e9, 2.5e7]}
    log = analyser(vectors={"VNA - S11": vector, "VNA - S22": other})
    traces = load(log, tmp_path, mapping={"reflection": "VNA - S22"})
    np.testing.assert_array_equal(traces["reflection"].values, 2 * SIGNAL)


def test_traces_with_moving_axes_are_refused(tmp_path: Path) -> None:
    vector = {"values": SIGNAL, "t0dt": [[6.5e9, 1e6], [6.5e9, 1e6], [6.6e9, 1e6]]}
    message = refused(analyser(vectors={"VNA - S21": vector}), tmp_path)
    assert "vector channel 'VNA - S21' has another x axis in every entry" in message


def test_other_vectors_are_left_out_aloud(tmp_path: Path) -> None:
    vector = {"values": SIGNAL.real, "t0dt": [0.0, 1e-9], "x_unit": "s"}
    log = replace(SWEEP, vectors={"Digitizer 2": vector})
    # three entries of five points do not fit the fifteen points of the sweep, but are a beginning
    assert flags(load(log, tmp_path)) == (
        "vector channel 'Digitizer 2' is no S-parameter of frequency; left out",
    )


def test_more_traces_than_planned_are_refused(tmp_path: Path) -> None:
    vector = {"values": np.vstack([SIGNAL, SIGNAL]), "t0dt": [6.5e9, 2.5e7]}
    message = refused(analyser(vectors={"VNA - S21": vector}), tmp_path)
    assert "vector channel 'VNA - S21' has 6 entries, but 3 were planned" in message


# --- layouts and hostility -----------------------------------------------------------------------


def edit(folder: Path, change: Any) -> Path:
    """Write the sweep and change it afterwards."""
    path = SWEEP.write(folder / "log.hdf5")
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def put(file: Any, name: str, values: Any) -> None:
    """Replace a dataset."""
    del file[name]
    file[name] = values


LAYOUTS = {
    "flat": (
        lambda f: put(f, "Data/Data", np.zeros(4)),
        "has no three-dimensional Data/Data with one column for each channel name",
    ),
    "many": (
        lambda f: put(f, "Data/Data", np.zeros((9, 4, 9))),
        "holds 9 × 9 points where its steps allow 5 × 3",
    ),
    "steps": (
        lambda f: f["Data"].attrs.__setitem__("Step dimensions", [5, 3]),
        "lists 3 steps but 2 step dimensions",
    ),
    "huge": (
        lambda f: f["Data"].attrs.__setitem__("Step dimensions", [10**6, 10**6, 1]),
        "plans 1e+12 points, more than the 1.68e+07 that are read; split the log",
    ),
    "moving": (
        lambda f: f["Data/Data"].__setitem__((slice(None), 0, 1), np.arange(5) * 1e9),
        "step 'Drive - Frequency' differs from sweep to sweep",
    ),
    "link": (
        lambda f: (
            f.__delitem__("Data/Data"),
            f.__setitem__("Data/Data", h5py.ExternalLink("b", "/")),
        ),
        "'Data' is a link to another file (b), which is not followed",
    ),
    "type": (
        lambda f: put(f, "Data/Data", np.dtype("f4")),
        "has no three-dimensional Data/Data with one column for each channel name",
    ),
    "fields": (
        lambda f: put(f, "Step list", np.zeros(3, [("other", "i4")])),
        "cannot be read as HDF5 (KeyError: 'channel_name')",
    ),
    "vector": (
        lambda f: f.create_dataset("Traces/Coil", data=np.zeros((2, 7, 1))),
        "vector channel 'Coil' has shape (2, 7, 1); this layout is not supported",
    ),
    "no axis": (
        lambda f: f.create_dataset("Traces/Coil", data=np.zeros((2, 1, 1))),
        "vector channel 'Coil' has no x axis (_t0dt); this layout is not supported",
    ),
    "bad axis": (
        lambda f: (
            f.create_dataset("Traces/Coil", data=np.zeros((2, 1, 1))),
            f.create_dataset("Traces/Coil_t0dt", data=np.zeros((1, 3))),
        ),
        "vector channel 'Coil' has an x axis of shape (1, 3); wanted pairs t0, dt",
    ),
    "unrecorded": (
        lambda f: (
            f["Step list"].__setitem__(0, ("Drive - Frequency", 0, True, "x + 1")),
            put(f, "Data/Data", f["Data/Data"][()] * np.nan),
        ),
        "follows an equation, which is not evaluated, and its values are not recorded",
    ),
    "empty": (
        lambda f: put(f, "Step list", np.zeros(0, f["Step list"].dtype)),
        "has no Step list; this layout of a Labber log is not supported",
    ),
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_an_unknown_layout_is_refused_in_words(case: str, tmp_path: Path) -> None:
    change, message = LAYOUTS[case]
    with pytest.raises(LoaderError) as caught:
        pc.open_traces(edit(tmp_path, change), loader="labber")
    assert message in str(caught.value)


def test_values_kept_in_other_files_are_refused(tmp_path: Path) -> None:
    def change(file: Any) -> None:
        del file["Data/Data"]
        raw = [(str(tmp_path / "raw"), 0, 480)]
        file.create_dataset("Data/Data", (5, 4, 3), "f8", external=raw)

    with pytest.raises(LoaderError, match="'Data' keeps its values in other files"):
        pc.open_traces(edit(tmp_path, change))


def test_a_log_without_measured_channel_is_refused(tmp_path: Path) -> None:
    assert "records no channel; choose a log with measured values" in refused(
        replace(SWEEP, logged={}), tmp_path
    )


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_says_so(share: float, tmp_path: Path) -> None:
    path = SWEEP.write(tmp_path / "log.hdf5")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(LoaderError, match=r"log\.hdf5 cannot be read as HDF5 .* may be damaged"):
        pc.open_traces(path, loader="labber")


# --- real files ----------------------------------------------------------------------------------


def test_the_waveguide_sweep_has_its_three_segments_in_full_precision() -> None:
    traces = pc.open_traces(real_file("waveguide_qubit/sweep_77.hdf5"))
    expected = np.concatenate(
        [
            np.linspace(6.5378e9, 6.5438e9, 31),
            np.linspace(6.5438e9, 6.5458e9, 101)[1:-1],
            np.linspace(6.5458e9, 6.5518e9, 31),
        ]
    )
    np.testing.assert_allclose(traces["frequency"].values, expected, rtol=1e-15)


def test_the_waveguide_sweep_has_seven_powers() -> None:
    traces = pc.open_traces(real_file("waveguide_qubit/sweep_77.hdf5"))
    assert traces["received"].dims == ("power", "frequency")
    dbm = 10 * np.log10(traces["incident_power"].values / 1e-3)
    assert dbm == pytest.approx([-15, -10, -5, 0, 5, 10, 15], abs=1e-12)


def test_the_waveguide_sweep_holds_the_values_of_its_columns() -> None:
    path = real_file("waveguide_qubit/sweep_77.hdf5")
    traces = pc.open_traces(path)
    with h5py.File(path) as file:
        data = file["Data/Data"][()]
    expected = data[:, 3, :].T.astype(np.float64) + 1j * data[:, 4, :].T
    np.testing.assert_array_equal(traces["received"].values, expected)


def test_the_waveguide_background_stands_at_zero_dbm() -> None:
    traces = pc.open_traces(real_file("waveguide_qubit/background_76.hdf5"))
    assert traces["received"].dims == ("frequency",)
    assert traces.sizes["frequency"] == 81
    assert float(traces["incident_power"]) == 1e-3


def test_the_interrupted_t1_scan_has_43_of_101_repeats_of_five_channels() -> None:
    name = "T1_scan__20181026_T1andFluxLines__BFC3-16-Qu5_T1_repeat_2.hdf5"
    traces = pc.open_traces(real_file(f"labber_dysart/{name}"))
    assert dict(traces.sizes) == {"channel": 5, "repetition": 101, "time": 76}
    assert int(np.isfinite(traces["received"].values[0, :, 0]).sum()) == 43
    assert traces["time"].values[[0, -1]] == pytest.approx([0.0, 1.5e-4])
    assert "43 of 101 planned entries" in flags(traces)[0]


def test_the_resonator_scan_has_offsets_powers_and_three_channels() -> None:
    name = "resonator_scan__20181005_DME_3x3qubits_v2__TMM10_resScan_vspower.hdf5"
    traces = pc.open_traces(real_file(f"labber_dysart/{name}"))
    assert traces["received"].dims == ("channel", "power", "frequency_offset")
    assert traces["frequency_offset"].values[[0, -1]].tolist() == [-1e7, 1e7]
    assert traces["incident_power"].values[[0, -1]] == pytest.approx([1e-3, 1e-6])
