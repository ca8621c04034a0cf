"""Energy bookkeeping: conservation, the three names, and the second law."""

import numpy as np
import pytest
from hypothesis import given

from powercal.physics import energy
from powercal.physics.constants import HBAR

from .systems import Driven, driven, random_systems, steady


def channel_powers(q: Driven) -> np.ndarray:
    column = (q.omega_q[..., None], q.detuning[..., None], q.photon_rate[..., None])
    return energy.channel_power(
        *column, q.population[..., None], q.gamma_k, q.n_k, q.gamma_2[..., None]
    )


@steady
@given(driven())
def test_total_is_relaxation_plus_dephasing(q: Driven) -> None:
    total = energy.total_power(q.omega_d, q.photon_rate)
    relaxation = energy.relaxation_power(
        q.omega_q, q.detuning, q.photon_rate, q.gamma_1_tot, q.gamma_2
    )
    dephasing = energy.dephasing_power(q.detuning, q.photon_rate, q.gamma_phi, q.gamma_2)
    assert relaxation + dephasing == pytest.approx(float(total), rel=1e-13)


@steady
@given(driven())
def test_channels_add_up_to_the_relaxation(q: Driven) -> None:
    relaxation = energy.relaxation_power(
        q.omega_q, q.detuning, q.photon_rate, q.gamma_1_tot, q.gamma_2
    )
    # Heat leaks cancel in the sum: rounding is that of the gross flow.
    gross = HBAR * q.omega_q * np.sum(q.gamma_k * (1 + 2 * q.n_k))
    assert np.sum(channel_powers(q)) == pytest.approx(
        float(relaxation), rel=1e-13, abs=1e-14 * gross
    )


@steady
@given(driven())
def test_shares_without_heat_leak_add_up_to_one(q: Driven) -> None:
    shares = energy.partition_factor_without_heat_leak(
        q.omega_q, q.detuning, q.gamma_k, q.n_k, q.gamma_1_tot, q.gamma_2
    )
    dephasing = energy.dephasing_share(q.omega_q, q.detuning, q.gamma_phi, q.gamma_2)
    assert np.sum(shares) + dephasing == pytest.approx(1.0, abs=1e-14)


@steady
@given(driven())
def test_share_without_heat_leak_is_channel_power_above_the_undriven_one(q: Driven) -> None:
    leak = energy.heat_leak(q.omega_q, q.gamma_k, q.n_k, q.p_eq)
    total = energy.total_power(q.omega_d, q.photon_rate)
    shares = energy.partition_factor_without_heat_leak(
        q.omega_q, q.detuning, q.gamma_k, q.n_k, q.gamma_1_tot, q.gamma_2
    )
    gross = HBAR * q.omega_q * np.sum(q.gamma_k * (1 + 2 * q.n_k))
    # The left side subtracts two gross flows.
    np.testing.assert_allclose(channel_powers(q) - leak, shares * total, atol=1e-14 * gross)


@steady
@given(driven())
def test_heat_leaks_cancel(q: Driven) -> None:
    leaks = energy.heat_leak(q.omega_q, q.gamma_k, q.n_k, q.p_eq)
    gross = HBAR * q.omega_q * np.sum(q.gamma_k * (1 + 2 * q.n_k))
    assert abs(np.sum(leaks)) <= 1e-14 * gross


def test_equal_baths_on_resonance_share_by_rate() -> None:
    q = random_systems(11, 50)
    same = Driven(q.omega_q, 0 * q.detuning, q.rabi, q.gamma_k, 0 * q.n_k + 0.3, q.gamma_phi)
    total = energy.total_power(same.omega_d, same.photon_rate)
    f = energy.partition_factor(channel_powers(same), total[:, None])
    # s > 1e-4 here, so the difference (1 + 2n) p - n loses at most four digits.
    np.testing.assert_allclose(f, q.gamma_k / q.gamma_1[:, None], rtol=1e-10)


def test_partition_factors_may_leave_zero_to_one_when_heat_leaks() -> None:
    q = Driven(*(np.asarray(v) for v in (100.0, 0.0, 0.1, [1.0, 1.0], [0.0, 1.0], 0.0)))
    f = energy.partition_factor(channel_powers(q), energy.total_power(q.omega_d, q.photon_rate))
    assert f[0] > 1
    assert f[1] < 0


@steady
@given(driven())
def test_the_second_law_holds_at_the_bare_frequency(q: Driven) -> None:
    # |Delta| < omega_q is built in; k T = hbar omega_q/ln(1 + 1/n), R/T in units of k.
    warm = Driven(q.omega_q, q.detuning, q.rabi, q.gamma_k, q.n_k + 1e-3, q.gamma_phi)
    inverse = np.log1p(1 / warm.n_k) / (HBAR * warm.omega_q)
    flows = channel_powers(warm) * inverse
    assert np.sum(flows) >= -1e-13 * np.sum(np.abs(flows))


def test_power_at_zero_temperature_is_what_g21_says() -> None:
    q = random_systems(12, 50)
    cold = Driven(q.omega_q, q.detuning, q.rabi, q.gamma_k, 0 * q.n_k, q.gamma_phi)
    total = energy.total_power(cold.omega_d, cold.photon_rate)
    rate = energy.channel_rate(1.0, total, cold.omega_d, cold.population)
    np.testing.assert_allclose(rate, q.gamma_1, rtol=1e-13)


def test_the_bookkeepings_differ_by_the_detuning_and_agree_on_resonance() -> None:
    shared = (1e4, np.array([0.0, 5.0]), 0.3, 1.0, 1.2, 0.8, 1 / 12)
    effective = energy.absorbed_power("effective", *shared)
    transition = energy.absorbed_power("transition", *shared)
    np.testing.assert_allclose(effective / transition, [1.0, 1.0005], rtol=1e-14)


def test_the_floquet_bookkeeping_tends_to_the_effective_one() -> None:
    arguments = (1e6, 2.0, 1.0, 1.0, 1.2, 0.8, 1 / 12)
    # The leading correction is of the order Delta/omega_q and Omega/omega_q, 2e-6.
    assert energy.absorbed_power("floquet", *arguments) == pytest.approx(
        float(energy.absorbed_power("effective", *arguments)), rel=1e-5
    )


def test_an_unknown_bookkeeping_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="energy='bare'; wanted one of effective"):
        energy.absorbed_power("bare", 1.0, 0.0, 1.0, 1.0, 1.0, 0.5, 0.0)  # type: ignore[arg-type]
