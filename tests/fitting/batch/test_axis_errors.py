"""Errors of inputs in many fits at once are those of single fits, and regions beside bounds too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.special import chdtrc

import powercal as pc
from powercal.errors import FitError
from powercal.fitting.batch import whole
from powercal.physics.constants import BOLTZMANN, HBAR, PLANCK
from powercal.schema import DeviceTraces

F0 = 5e9
TRUTH = {"qubit_frequency": F0, "gamma_1": 6e6, "gamma_phi": 1e6, "drive_scale": 3e29}
WATT = HBAR * 2 * np.pi * F0 * TRUTH["gamma_1"] / 2
POWER = 8e-17 * np.geomspace(0.05, 20.0, 5)
FREQUENCY = F0 + 2.7e6 * np.linspace(-1.0, 1.0, 13)


def one_set(seed: int, n_th: float, relative: float = 0.02) -> xr.Dataset:
    """Absorbed power and population against powers that were read with an error."""
    return pc.simulate(
        "finite_temperature",
        {**TRUTH, "n_th": n_th},
        inputs={"incident_power": POWER, "frequency": FREQUENCY},
        seed=seed,
        noise={"absorbed_power": 0.01 * WATT, "excited_population": 0.02},
        observables=["absorbed_power", "excited_population"],
        input_noise={"incident_power": relative},
        detection="absorbed",
    )


def many(sets: int, n_th: float) -> DeviceTraces:
    all_sets = [one_set(seed, n_th) for seed in range(sets)]
    return DeviceTraces(xr.concat(all_sets, dim="set").assign_attrs(all_sets[0].attrs))


@pytest.fixture(scope="module")
def measured() -> DeviceTraces:
    return many(5, 0.05)


def test_values_and_errors_are_those_of_single_fits(measured: DeviceTraces) -> None:
    together = pc.fit_many(measured, "finite_temperature", over=("set",), derived=False)
    for i in range(3):
        alone = pc.fit(
            DeviceTraces(measured.isel(set=i)), "finite_temperature", intervals="covariance"
        )
        mine = together.isel(set=i)
        # Both iterate until a round moves nothing by 1e-6 of a standard error.
        assert abs(float(mine["chi2"]) - alone.chi2) < 1e-6
        for e in alone.parameters:
            if e.stderr:
                found = mine.sel(quantity=e.name)
                assert abs(float(found["value"]) - e.value) < 2e-6 * e.stderr
                assert abs(float(found["stderr"]) / e.stderr - 1) < 1e-5


def test_profiles_are_those_of_single_fits(measured: DeviceTraces) -> None:
    first = DeviceTraces(measured.isel(set=[0]))
    together = pc.fit_many(
        first, "finite_temperature", over=("set",), intervals="profile", derived=False
    )
    alone = pc.fit(DeviceTraces(measured.isel(set=0)), "finite_temperature")
    for e in (alone["gamma_1"], alone["n_th"], alone["drive_scale"]):
        for level in (68, 95):
            mine = together[f"interval{level}"].sel(quantity=e.name).values[0]
            # Ends are found when Δχ² is right to a hundredth: half a percent of the interval.
            assert np.allclose(mine, getattr(e, f"interval{level}"), atol=0.02 * e.stderr)


def test_an_error_of_the_axis_that_is_not_stated_makes_errors_too_small(
    measured: DeviceTraces,
) -> None:
    with_it = pc.fit_many(measured, "finite_temperature", over=("set",), derived=False)
    silent = DeviceTraces(measured.drop_vars("incident_power_std"))
    without = pc.fit_many(silent, "finite_temperature", over=("set",), derived=False)
    for name in ("gamma_phi", "drive_scale"):
        pair = [r["stderr"].sel(quantity=name).values for r in (with_it, without)]
        assert (pair[0] > 1.05 * pair[1]).all()


def test_the_page_says_that_errors_of_inputs_are_marginalised(measured: DeviceTraces) -> None:
    told = pc.fit_many(
        DeviceTraces(measured.isel(set=[0, 1])), "finite_temperature", over=("set",), derived=False
    )
    assert "errors of inputs are marginalised" in told.attrs["derivatives"]


def test_one_of_many_goes_to_lmfit_with_the_same_chi_square(measured: DeviceTraces) -> None:
    together = pc.fit_many(measured, "finite_temperature", over=("set",), derived=False)
    genuine = pc.to_lmfit(together.isel(set=2), DeviceTraces(measured.isel(set=2)))
    assert abs(genuine.chisqr - float(together["chi2"][2])) < 1e-6


def test_estimating_noise_as_well_is_refused_in_words(measured: DeviceTraces) -> None:
    unknown = DeviceTraces(measured.drop_vars("absorbed_power_std"))
    with pytest.raises(FitError, match=r"incident_power carries errors and σ of absorbed_power is"):
        pc.fit_many(unknown, "finite_temperature", over=("set",))


def test_statuses_and_regions_beside_a_bound_are_those_of_single_fits() -> None:
    cold = many(6, 0.0)
    together = pc.fit_many(
        cold, "finite_temperature", over=("set",), intervals="profile", derived=False
    )
    words = together["status"].attrs["flag_meanings"].split()
    for i in range(2):
        alone = pc.fit(DeviceTraces(cold.isel(set=i)), "finite_temperature")["n_th"]
        mine = together.isel(set=i).sel(quantity="n_th")
        assert words[int(mine["status"])] == alone.status
        assert alone.interval95 is not None
        top = alone.interval95[1]
        assert np.allclose(mine["interval95"].values, alone.interval95, atol=0.02 * top)
        assert np.allclose(mine["interval68"].values, alone.interval68, atol=0.02 * top)


def test_what_rides_on_one_parameter_has_its_region_mapped() -> None:
    cold = many(8, 0.0)
    found = pc.fit_many(cold, "finite_temperature", over=("set",), intervals="profile")
    n_th, p_eq, t_eff = (found.sel(quantity=q) for q in ("n_th", "p_eq", "T_eff"))
    region = n_th["interval95"].values
    assert (region[:, 0] == 0).any()
    assert np.allclose(p_eq["interval95"].values, region / (1 + 2 * region), rtol=1e-12, atol=0)
    with np.errstate(divide="ignore"):
        kelvin = PLANCK * F0 / BOLTZMANN / np.log1p(1 / region)
    # The frequency was fitted too, to a few kilohertz in five gigahertz.
    assert np.allclose(t_eff["interval95"].values, kelvin, rtol=1e-5, atol=0)


def test_every_fit_has_the_probability_of_its_chi_square() -> None:
    traces = many(40, 0.05)
    found = pc.fit_many(traces, "finite_temperature", over=("set",), derived=False)
    share = chdtrc(found["ndata"].values - found["rank"].values, found["chi2"].values)
    assert np.allclose(found["chi2_probability"].values, share, rtol=1e-12, atol=0)
    # Uniform: the mean of 40 is 0.5 ± 0.046.
    assert abs(share.mean() - 0.5) < 4 * 0.046


def test_a_fit_that_starts_again_from_a_better_minimum_has_its_recorded_inputs_again(
    measured: DeviceTraces, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = DeviceTraces(measured.isel(set=[0]))
    wishes = {"over": ("set",), "intervals": "profile", "derived": False}
    plain = pc.fit_many(first, "finite_temperature", **wishes)
    genuine, calls = whole.profile_intervals, iter((True, False, False))

    def as_if_better(fitted: Any, plan: Any, parameters: Any) -> Any:
        found, _ = genuine(fitted, plan, parameters)
        return found, {0: fitted.solved.found.x[0]} if next(calls) else {}

    monkeypatch.setattr(whole, "profile_intervals", as_if_better)
    again = pc.fit_many(first, "finite_temperature", **wishes)
    assert not next(calls)
    # The solver ends within a millionth of a standard error from wherever it starts.
    shift = np.abs(again["value"] - plain["value"]) / plain["stderr"]
    assert float(shift.max()) < 1e-4
    assert abs(float(again["chi2"][0] - plain["chi2"][0])) < 1e-6
