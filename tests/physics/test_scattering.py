"""Amplitudes: unitarity without loss, two-port identities, geometries as special cases."""

import numpy as np
import pytest
from hypothesis import given

from powercal.physics import scattering
from powercal.physics.constants import HBAR

from .systems import Driven, driven, steady


def random_two_ports(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw C = V V^T and d = V x with V unitary and x real, so that C d* = d."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=(count, 2, 2)) + 1j * rng.normal(size=(count, 2, 2))
    v = np.linalg.qr(raw)[0]
    x = rng.normal(size=(count, 2))
    return v @ np.swapaxes(v, -1, -2), np.einsum("kij,kj->ki", v, x)


def test_a_cold_lossless_qubit_under_weak_drive_reflects_everything() -> None:
    detuning = np.linspace(-20, 20, 201)
    r = scattering.reflection_end_of_line(detuning, 0.0, 1.3, 1.3, 0.65, 0.0)
    np.testing.assert_allclose(np.abs(r), 1.0, rtol=1e-14)


def test_the_undriven_line_is_the_depth_over_one_minus_i_delta() -> None:
    detuning = np.linspace(-20, 20, 201)
    r = scattering.reflection_end_of_line(detuning, 2.0, 0.9, 1.3, 0.8, 0.1, 0.7)
    delta, rho, q = detuning / 0.8, 0.7 * 0.9 * 0.8 / 0.8, 4.0 / (1.3 * 0.8)
    np.testing.assert_allclose(r, 1 - rho * (1 + 1j * delta) / (1 + delta**2 + q), rtol=1e-13)


def test_weak_cold_lossless_two_ports_are_unitary_and_reciprocal() -> None:
    c, d = random_two_ports(1, 100)
    gamma = np.sum(np.abs(d) ** 2, axis=-1)
    detuning = np.random.default_rng(2).normal(0, 2, 100)
    s = scattering.general_two_port(c, d, detuning, 0.0, gamma, gamma / 2, 0.0)
    np.testing.assert_allclose(
        s @ np.conj(np.swapaxes(s, -1, -2)), np.broadcast_to(np.eye(2), s.shape), atol=1e-13
    )
    np.testing.assert_allclose(s, np.swapaxes(s, -1, -2), atol=1e-14)


def test_two_port_sweeps_broadcast() -> None:
    c, d = random_two_ports(3, 1)
    s = scattering.general_two_port(c[0], d[0], np.zeros((4, 1)), np.ones(3), 9.0, 5.0, 0.0)
    assert s.shape == (4, 3, 2, 2)


def test_notch_coupling_gives_the_radiative_rate_and_the_drive_share() -> None:
    c, d = random_two_ports(4, 200)
    kappa = d[:, 0] * d[:, 1] / c[:, 1, 0]
    rate = np.sum(np.abs(d) ** 2, axis=-1)
    # A small C_21 amplifies rounding twice: in kappa and in the cancellation of its real part.
    error = scattering.radiative_rate_from_kappa(kappa) / rate - 1
    assert np.max(np.abs(error) * np.abs(c[:, 1, 0]) ** 2) < 1e-14
    low, high = scattering.drive_fractions(c[:, 1, 0], np.angle(kappa))
    share = np.abs(d[:, 0]) ** 2 / rate
    miss = np.minimum(np.abs(low - share), np.abs(high - share))
    # The square root halves the digits where both roots meet.
    assert np.max(miss) < 1e-7
    np.testing.assert_allclose(low + high, 1.0, rtol=1e-14)


def test_notch_transmission_is_that_of_the_two_port() -> None:
    c, d = random_two_ports(5, 50)
    gamma = np.sum(np.abs(d) ** 2, axis=-1) + 0.3
    kappa = d[:, 0] * d[:, 1] / c[:, 1, 0]
    arguments = (1.2, 0.7, gamma, gamma, 0.1, 0.9)
    s = scattering.general_two_port(c, d, *arguments)
    np.testing.assert_allclose(
        scattering.notch_transmission(1.2, 0.7, kappa, *arguments[2:]),
        s[:, 1, 0] / c[:, 1, 0],
        rtol=1e-10,
    )


def test_the_matched_symmetric_notch_is_the_through_line() -> None:
    arguments = (np.linspace(-3, 3, 11), 0.7, 1.5, 1.1, 0.05, 0.9)
    half = np.sqrt(0.8 / 2)
    s = scattering.general_two_port([[0, 1], [1, 0]], [half, half], arguments[0], *arguments[1:2],
                                    *arguments[2:])  # fmt: skip
    t, r = scattering.through_line(*arguments[:2], 0.8, *arguments[2:])
    np.testing.assert_allclose(s[:, 1, 0], t, rtol=1e-14)
    np.testing.assert_allclose(s[:, 0, 0], r, rtol=1e-14)


def test_a_qubit_between_two_ports_is_the_two_port_without_direct_path() -> None:
    arguments = (np.linspace(-3, 3, 11), 0.7, 1.5, 1.1, 0.05, 0.9)
    d = np.sqrt([0.5, 0.3])
    s = scattering.general_two_port(np.eye(2), d, *arguments)
    t, r = scattering.in_line(*arguments[:2], 0.5, 0.3, *arguments[2:])
    np.testing.assert_allclose(s[:, 1, 0], t, rtol=1e-14)
    np.testing.assert_allclose(s[:, 0, 0], r, rtol=1e-14)


def test_the_drive_scale_of_a_two_port_counts_the_driven_port() -> None:
    d = np.array([0.6 + 0.8j, 2.0])
    assert scattering.two_port_drive_scale(d, 4 / HBAR) == pytest.approx(1.0, rel=1e-15)
    assert scattering.two_port_drive_scale(d, 4 / HBAR, port=1) == pytest.approx(4.0, rel=1e-15)


def test_both_drive_shares_meet_on_the_symmetric_line() -> None:
    phi = np.linspace(-1.2, 1.2, 31)
    low, high = scattering.drive_fractions(np.cos(phi) * np.exp(0.3j), phi)
    np.testing.assert_allclose(low, 0.5, atol=1e-7)
    np.testing.assert_allclose(high, 0.5, atol=1e-7)


def test_no_drive_share_is_invented_for_an_impossible_line() -> None:
    assert np.all(np.isnan(scattering.drive_fractions(0.9, 1.0)))


@steady
@given(driven())
def test_the_other_convention_is_the_conjugate_and_its_own_inverse(q: Driven) -> None:
    r = scattering.reflection_end_of_line(
        q.detuning, q.rabi, 0.5 * q.gamma_k[0], q.gamma_1_tot, q.gamma_2, q.p_eq
    )
    vna = scattering.with_convention(r, "+i")
    assert vna == np.conj(r)
    assert scattering.with_convention(vna, "+i") == r
    assert scattering.with_convention(r, "-i") == r


def test_an_unknown_convention_is_refused() -> None:
    with pytest.raises(ValueError, match="convention='j'"):
        scattering.with_convention(1.0, "j")  # type: ignore[arg-type]
