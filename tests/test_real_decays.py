"""T1 of real files agrees with what their own laboratories found, and dead channels stay dead."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from loaders.real_files import real_file

import powercal as pc
from powercal.errors import FitError
from powercal.fitting import fit_each
from powercal.loaders import pycqed, quantify
from powercal.loading.averaging import average
from powercal.loading.calibration import with_calibration_points
from powercal.models.free_decay import powercal_models
from powercal.schema import check_traces, flags

MODEL = powercal_models()[0]
QUANTIFY = next(iter(quantify.powercal_loaders()))
PYCQED = next(iter(pycqed.powercal_loaders()))


def deviation(result: pc.FitResult, theirs: float) -> float:
    """Of T1 from their value, in our standard errors, which must be small enough to tell."""
    estimate = result["T1"]
    assert estimate.status == "ok"
    assert estimate.value is not None
    assert estimate.stderr is not None
    assert estimate.stderr < 0.06 * theirs
    return abs(estimate.value - theirs) / estimate.stderr


def device(loaded: Any) -> Any:
    """Checked traces with a line of which nothing is known."""
    return pc.to_device_plane(check_traces(loaded))


QUANTIFY_T1 = "quantify/20210322-205253-758-6689ca-T1_at_4.715GHz__dataset.hdf5"
QUANTIFY_GRID = "quantify/20210227-172939-723-53d82c-Resonator_power_id6_4.612GHz__dataset.hdf5"
PYCQED_T1 = "pycqed/152324_T1_QL.hdf5"
LABBER_T1 = "labber_dysart/T1_scan__20181026_T1andFluxLines__BFC3-16-Qu5_T1_repeat_2.hdf5"


def test_quantify_gives_their_t1_from_the_magnitude_that_they_used() -> None:
    traces = QUANTIFY.load(real_file(QUANTIFY_T1), mapping={"quadrature": "magn"})
    result = pc.fit(device(traces), MODEL)
    assert deviation(result, 10.7e-6) < 3
    assert all(result.verdicts.values())


def test_the_complex_signal_explains_the_t1_of_the_magnitude() -> None:
    # |V| is no straight function of the population: it bends, and its T1 is too short. The curve
    # that fits the complex signal, taken by its magnitude, gives their value as well.
    traces = device(QUANTIFY.load(real_file(QUANTIFY_T1)))
    result = pc.fit(traces, MODEL)
    assert result["T1"].value == pytest.approx(12.9e-6, abs=0.5e-6)
    bent: Any = traces.drop_vars("received").assign(
        quadrature=("time", np.abs(result.curve["received"].values), {"units": "V"})
    )
    sigma = float(result.curve["received_sigma"][0])
    again = pc.fit(bent, MODEL, sigma={"quadrature": sigma}, intervals="covariance")
    assert deviation(again, 10.7e-6) < 3
    assert (again["T1"].value or 1) < (result["T1"].value or 0) - 1e-6


def test_quantify_sweeps_of_two_parameters_are_gridded() -> None:
    traces = check_traces(QUANTIFY.load(real_file(QUANTIFY_GRID)))
    assert traces["received"].dims == ("amplitude", "frequency")
    assert traces["received"].shape == (10, 200)
    assert traces["frequency"].values[[0, -1]] == pytest.approx([4.610e9, 4.61398e9])
    assert traces["amplitude"].values[[0, -1]] == pytest.approx([0.1, 0.5])
    assert np.isfinite(traces["received"].values).all()


def test_pycqed_gives_their_t1_without_the_calibration_points() -> None:
    traces = check_traces(PYCQED.load(real_file(PYCQED_T1)))
    assert traces.sizes == {"time": 61, "calibration_point": 4}
    result = pc.fit(device(traces), MODEL)
    assert deviation(result, 35.08e-6) < 3


def test_pycqed_calibrated_as_they_did_gives_their_very_number() -> None:
    traces = PYCQED.load(real_file(PYCQED_T1))
    populations = with_calibration_points(check_traces(traces), ground=(0, 1), excited=(2, 3))
    told = {n for n in populations.attrs if str(n).startswith("calibration_")}
    # They took the calibration points for exact; we count their noise unless it is taken away.
    exact = populations.assign_attrs()
    for name in told:
        del exact.attrs[name]
    result = pc.fit(device(exact), MODEL, fixed={"p_eq": 0.0})
    # Their report: 35.0788 ± 0.7081 µs, amplitude 0.97624.
    assert result["T1"].value == pytest.approx(35.0788e-6, rel=1e-4)
    assert result["T1"].stderr == pytest.approx(0.7081e-6, rel=1e-3)
    assert result["p_0"].value == pytest.approx(0.97624, rel=1e-4)


def test_labber_gives_t1_of_one_channel_and_no_number_for_four() -> None:
    traces = average(pc.open_traces(real_file(LABBER_T1)), "repetition")
    assert any("43 entries along 'repetition'" in f for f in flags(traces))
    found = fit_each(pc.to_device_plane(traces), MODEL)
    dead, alive = found[:4], found[4]
    for label, reason in dead:
        assert isinstance(reason, FitError), label
        assert "no decay beyond the noise" in str(reason)
    assert alive[0].endswith("QB5")
    assert isinstance(alive[1], pc.FitResult)
    assert deviation(alive[1], 27.6e-6) < 3
    assert abs((alive[1]["T1"].value or 0) - 27.6e-6) < 0.6e-6


def test_labber_channels_stay_dead_when_nobody_tells_the_noise() -> None:
    traces = average(pc.open_traces(real_file(LABBER_T1)), "repetition").drop_vars("received_std")
    found = fit_each(pc.to_device_plane(traces), MODEL, intervals="covariance")
    assert [isinstance(result, FitError) for _, result in found] == [True] * 4 + [False]


def test_the_command_line_averages_and_calibrates(capsys: pytest.CaptureFixture[str]) -> None:
    from powercal.cli import main

    quick = ["--model", "free_decay", "--intervals", "covariance"]
    with pytest.raises(SystemExit) as left:
        main(["fit", str(real_file(LABBER_T1)), *quick, "--average", "repetition"])
    said = capsys.readouterr()
    assert left.value.code == 1  # four of five channels are dead
    assert said.err.count("no decay beyond the noise") == 4
    assert said.out.count("=====") == 2
    with pytest.raises(SystemExit) as left:
        main(["fit", str(real_file(PYCQED_T1)), *quick, "--calibration-points", "0,1:2,3"])
    said = capsys.readouterr()
    assert left.value.code in (0, None)
    assert "p_eq" in said.out
    with pytest.raises(SystemExit) as left:
        main(["fit", str(real_file(PYCQED_T1)), *quick, "--calibration-points", "0,1"])
    assert left.value.code == 2
    assert "is not of the form of 0,1:2,3" in capsys.readouterr().err
