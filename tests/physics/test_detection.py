"""Power differences: the identities of the supplement's section C5."""

import numpy as np
import pytest
from hypothesis import given

from powercal.physics import bloch, detection, energy
from powercal.physics.constants import HBAR

from .systems import Driven, driven, random_systems, steady


def radiative(q: Driven) -> float:
    """Return the first channel as the detected line."""
    return float(q.gamma_k[..., 0])


@steady
@given(driven())
def test_coherent_difference_is_incident_power_times_one_minus_r_squared(q: Driven) -> None:
    gamma_r, weight = radiative(q), 0.8
    incident = q.rabi**2 / detection.drive_scale(gamma_r, q.omega_d, "end_of_line")
    r = detection.reflection_end_of_line(
        q.detuning, q.rabi, gamma_r, q.gamma_1_tot, q.gamma_2, q.p_eq, weight
    )
    difference = detection.coherent_power_difference(
        q.omega_d, q.photon_rate, gamma_r, q.coherence, weight
    )
    # 1 - |r|^2 cancels: its error is an ulp of the incident power.
    assert difference == pytest.approx(
        float(incident * (1 - np.abs(r) ** 2)), rel=1e-12, abs=4e-15 * incident
    )


@steady
@given(driven())
def test_coherent_difference_has_its_closed_form(q: Driven) -> None:
    gamma_r = radiative(q)
    s = bloch.saturation_parameter(q.detuning, q.rabi, q.gamma_1_tot, q.gamma_2)
    rho = detection.reflection_depth(gamma_r, q.p_eq, q.gamma_2)
    closed = HBAR * q.omega_d * q.photon_rate * (1 - rho / (2 * (1 + s)))
    difference = detection.coherent_power_difference(q.omega_d, q.photon_rate, gamma_r, q.coherence)
    # A cold lossless qubit under weak drive has 1 - rho/2 = 0.
    scale = HBAR * q.omega_d * q.photon_rate
    assert difference == pytest.approx(float(closed), rel=1e-12, abs=1e-13 * scale)


@steady
@given(driven())
def test_the_depth_never_exceeds_two(q: Driven) -> None:
    assert 0 < detection.reflection_depth(radiative(q), q.p_eq, q.gamma_2) <= 2 * (1 + 1e-15)


@steady
@given(driven())
def test_no_detector_sees_a_gain(q: Driven) -> None:
    gamma_r, n_r = radiative(q), q.n_k[0]
    seen = detection.total_power_difference(q.omega_d, q.photon_rate, gamma_r, n_r, q.gamma_1_tot)
    scale = HBAR * q.omega_d * q.photon_rate
    assert -1e-14 * scale <= seen <= scale


@steady
@given(driven())
def test_total_energy_is_absorbed_minus_what_the_line_gets_above_its_undriven_flow(
    q: Driven,
) -> None:
    gamma_r, n_r = q.gamma_k[0], q.n_k[0]
    total = energy.total_power(q.omega_d, q.photon_rate)
    line = energy.channel_power(
        q.omega_q, q.detuning, q.photon_rate, q.population, gamma_r, n_r, q.gamma_2
    )
    leak = energy.heat_leak(q.omega_q, gamma_r, n_r, q.p_eq)
    seen = detection.total_energy_difference(
        q.omega_q, q.detuning, q.photon_rate, gamma_r, n_r, q.gamma_1_tot, q.gamma_2
    )
    gross = HBAR * q.omega_q * gamma_r * (1 + 2 * n_r)
    assert seen == pytest.approx(
        float(total - (line - leak)), rel=1e-12, abs=1e-14 * float(gross + total)
    )


def test_energy_and_photon_number_agree_on_resonance() -> None:
    q = random_systems(41, 50)
    shared = (q.gamma_k[:, 0], q.n_k[:, 0], q.gamma_1_tot)
    seen = detection.total_energy_difference(q.omega_q, 0.0, q.photon_rate, *shared, q.gamma_2)
    counted = detection.total_power_difference(q.omega_q, q.photon_rate, *shared)
    np.testing.assert_allclose(seen, counted, rtol=1e-13)


def test_cold_total_detection_is_the_internal_loss() -> None:
    q = random_systems(42, 50, channels=2)
    cold = Driven(q.omega_q, q.detuning, q.rabi, q.gamma_k, 0 * q.n_k, 0 * q.gamma_phi)
    seen = detection.total_power_difference(
        cold.omega_d, cold.photon_rate, q.gamma_k[:, 0], 0.0, cold.gamma_1_tot
    )
    lost = HBAR * cold.omega_d * q.gamma_k[:, 1] * cold.population
    np.testing.assert_allclose(seen, lost, rtol=1e-12)


def test_cold_total_energy_has_its_closed_form_with_dephasing() -> None:
    q = random_systems(43, 50, channels=2)
    cold = Driven(q.omega_q, q.detuning, q.rabi, q.gamma_k, 0 * q.n_k, q.gamma_phi)
    gamma_r, gamma_i = q.gamma_k[:, 0], q.gamma_k[:, 1]
    seen = detection.total_energy_difference(
        q.omega_q, q.detuning, cold.photon_rate, gamma_r, 0.0, cold.gamma_1_tot, cold.gamma_2
    )
    share = (gamma_i + 2 * q.gamma_phi) / (2 * cold.gamma_2)
    closed = HBAR * (
        q.omega_q * gamma_i * cold.population + q.detuning * share * cold.gamma_1 * cold.population
    )
    np.testing.assert_allclose(seen, closed, rtol=1e-11)


def test_saturated_coherent_difference_is_half_a_photon_per_lifetime() -> None:
    q = random_systems(44, 50)
    rabi = 1e8
    arguments = (q.detuning, rabi, q.gamma_1_tot, q.gamma_2)
    rate = bloch.photon_rate(q.detuning, rabi, q.gamma_1, q.gamma_1_tot, q.gamma_2)
    seen = detection.coherent_power_difference(
        q.omega_d, rate, q.gamma_k[:, 0], bloch.coherence(*arguments, q.p_eq)
    )
    np.testing.assert_allclose(seen, HBAR * q.omega_d * q.gamma_1 / 2, rtol=1e-10)


@steady
@given(driven())
def test_elastic_and_incoherent_emission_are_all_of_it(q: Driven) -> None:
    gamma_r = radiative(q)
    s = bloch.saturation_parameter(q.detuning, q.rabi, q.gamma_1_tot, q.gamma_2)
    rho = detection.reflection_depth(gamma_r, q.p_eq, q.gamma_2)
    elastic = detection.elastic_emission(gamma_r, q.coherence)
    rest = detection.fluorescence_emission(gamma_r, q.population, q.coherence)
    assert elastic == pytest.approx(float(q.photon_rate * rho / (2 * (1 + s))), rel=1e-12)
    assert elastic + rest == pytest.approx(float(gamma_r * q.population), rel=1e-12)
    assert rest >= -1e-14 * gamma_r


@steady
@given(driven())
def test_through_line_powers_follow_from_the_amplitudes(q: Driven) -> None:
    gamma_r, weight = radiative(q), 0.7
    incident = q.rabi**2 / detection.drive_scale(gamma_r, q.omega_d, "through_line")
    t, r = detection.through_line(
        q.detuning, q.rabi, gamma_r, q.gamma_1_tot, q.gamma_2, q.p_eq, weight
    )
    powers = detection.through_line_powers(q.omega_d, q.photon_rate, gamma_r, q.coherence, weight)
    rounding = {"rel": 1e-12, "abs": 4e-15 * float(incident)}
    back, on = np.abs(r) ** 2 * incident, np.abs(t) ** 2 * incident
    assert powers.reflected == pytest.approx(float(back), **rounding)
    assert powers.incident_minus_transmitted == pytest.approx(float(incident - on), **rounding)
    assert powers.incident_minus_both == pytest.approx(float(incident - on - back), **rounding)


def test_through_line_powers_have_the_closed_forms_of_the_sheet() -> None:
    q = random_systems(45, 50)
    gamma_r = q.gamma_k[:, 0]
    s = bloch.saturation_parameter(q.detuning, q.rabi, q.gamma_1_tot, q.gamma_2)
    quarter = detection.reflection_depth(gamma_r, q.p_eq, q.gamma_2) / (4 * (1 + s))
    absorbed = HBAR * q.omega_d * q.photon_rate
    powers = detection.through_line_powers(q.omega_d, q.photon_rate, gamma_r, q.coherence)
    closed = absorbed * np.array([quarter, 1 - quarter, 1 - 2 * quarter])
    np.testing.assert_allclose(np.array(powers), closed, rtol=1e-12)


@pytest.mark.parametrize("geometry", ["end_of_line", "through_line", "in_line"])
def test_the_saturation_power_drives_the_qubit_to_s_equal_one(
    geometry: detection.Geometry,
) -> None:
    power = detection.saturation_power(2e6, 3e10, 5e6, 4e6, geometry)
    rabi = np.sqrt(detection.drive_scale(2e6, 3e10, geometry) * power)
    assert bloch.saturation_parameter(0.0, rabi, 5e6, 4e6) == pytest.approx(1.0, rel=1e-14)


def test_the_drive_scales_are_those_of_the_sheet() -> None:
    unit = 1 / HBAR
    scales = [detection.drive_scale(1.0, unit, g) for g in ("end_of_line", "through_line")]
    np.testing.assert_allclose(scales, [4.0, 2.0], rtol=1e-15)
    saturation = detection.saturation_power(2.0, unit, 3.0, 5.0)
    assert saturation == pytest.approx(15 / 8, rel=1e-15)


def test_an_unknown_geometry_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="geometry='hanger'; wanted one of end_of_line"):
        detection.drive_scale(1.0, 1.0, "hanger")  # type: ignore[arg-type]


def test_a_saturated_reference_errs_as_the_supplement_says() -> None:
    # rho = 1.6, P = 100 P_s: 1.6 % of the amplitude.
    r = detection.reflection_end_of_line(0.0, 10.0, 1.6, 1.0 * 2, 1.0, 0.0)
    assert 1 - r.real == pytest.approx(1.6 / 51, rel=1e-12)
