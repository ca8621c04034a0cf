"""What an instrument measures of a driven qubit: drive scales, amplitudes and power differences."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike

from powercal.physics._arrays import FloatArray, real
from powercal.physics.constants import HBAR
from powercal.physics.scattering import (
    Convention,
    TwoPort,
    drive_fractions,
    general_two_port,
    in_line,
    notch_transmission,
    radiative_rate_from_kappa,
    reflection_end_of_line,
    through_line,
    two_port_drive_scale,
    with_convention,
)

__all__ = [
    "Convention",
    "Geometry",
    "ThroughLinePowers",
    "TwoPort",
    "coherent_power_difference",
    "drive_fractions",
    "drive_scale",
    "elastic_emission",
    "emission_share",
    "fluorescence_emission",
    "general_two_port",
    "in_line",
    "notch_transmission",
    "radiative_rate_from_kappa",
    "reflection_depth",
    "reflection_end_of_line",
    "saturation_power",
    "through_line",
    "through_line_powers",
    "total_energy_difference",
    "total_power_difference",
    "two_port_drive_scale",
    "with_convention",
]

Geometry = Literal["end_of_line", "through_line", "in_line"]


class ThroughLinePowers(NamedTuple):
    """Coherent powers around a symmetric through-line, W."""

    reflected: FloatArray
    incident_minus_transmitted: FloatArray
    incident_minus_both: FloatArray


def drive_scale(gamma_r: ArrayLike, omega_d: ArrayLike, geometry: Geometry) -> FloatArray:
    """Drive scale Omega^2/P: how strongly one watt at the device drives the qubit.

    Parameters
    ----------
    gamma_r : array_like
        Radiative rate, 1/s: into the line ("end_of_line"), into both directions together
        ("through_line"), into the driven port alone ("in_line", also a weak drive port).
    omega_d : array_like
        Drive frequency, rad/s.
    geometry : {"end_of_line", "through_line", "in_line"}
        Where the qubit sits.

    Returns
    -------
    ndarray
        4 Gamma_r/(hbar omega_d), or 2 Gamma_r/(hbar omega_d) for a through-line, (rad/s)^2/W.

    Raises
    ------
    ValueError
        If `geometry` is none of the three names.

    Notes
    -----
    Physics sheet section 5; supplement C5, table of geometries.
    """
    if geometry not in get_args(Geometry):
        raise ValueError(f"geometry={geometry!r}; wanted one of {', '.join(get_args(Geometry))}")
    factor = 2.0 if geometry == "through_line" else 4.0
    return factor * real(gamma_r) / (HBAR * real(omega_d))


def saturation_power(
    gamma_r: ArrayLike,
    omega_d: ArrayLike,
    gamma_1_tot: ArrayLike,
    gamma_2: ArrayLike,
    geometry: Geometry = "end_of_line",
) -> FloatArray:
    """Power P_s at the device at which s = 1 on resonance.

    Parameters
    ----------
    gamma_r : array_like
        Radiative rate as `drive_scale` wants it, 1/s.
    omega_d : array_like
        Drive frequency, rad/s.
    gamma_1_tot, gamma_2 : array_like
        Total relaxation and decoherence rate, 1/s.
    geometry : {"end_of_line", "through_line", "in_line"}
        Where the qubit sits.

    Returns
    -------
    ndarray
        P_s, W; hbar omega_d Gamma_1tot Gamma_2/(4 Gamma_r) at the end of a line.

    Notes
    -----
    Supplement C5.
    """
    return real(gamma_1_tot) * real(gamma_2) / drive_scale(gamma_r, omega_d, geometry)


def reflection_depth(
    gamma_r: ArrayLike, p_eq: ArrayLike, gamma_2: ArrayLike, weight: ArrayLike = 1.0
) -> FloatArray:
    """Depth rho = w Gamma_r (1 - 2 p_eq)/Gamma_2 of the undriven line in r = 1 - rho/(1 - i delta).

    Parameters
    ----------
    gamma_r, gamma_2 : array_like
        Radiative and decoherence rate, 1/s.
    p_eq, weight : array_like
        Population without drive, manifold weight, dimensionless.

    Returns
    -------
    ndarray
        rho, dimensionless, 0 < rho <= 2.

    Notes
    -----
    Supplement C5.

    Examples
    --------
    >>> float(reflection_depth(1.0, 0.0, 0.5))
    2.0
    """
    return real(weight) * real(gamma_r) * (1.0 - 2.0 * real(p_eq)) / real(gamma_2)


def emission_share(gamma_r: ArrayLike, n_r: ArrayLike, gamma_1_tot: ArrayLike) -> FloatArray:
    """Share eta = Gamma_r (1 + 2 n_r)/Gamma_1tot of the detected line in the relaxation.

    Parameters
    ----------
    gamma_r, n_r : array_like
        Rate, 1/s, and occupation of the detected line.
    gamma_1_tot : array_like
        Total relaxation rate, 1/s.

    Returns
    -------
    ndarray
        eta, dimensionless, between 0 and 1.

    Notes
    -----
    Supplement C5.
    """
    return real(gamma_r) * (1.0 + 2.0 * real(n_r)) / real(gamma_1_tot)


def elastic_emission(gamma_r: ArrayLike, coherence: ArrayLike) -> FloatArray:
    """Photons per second emitted into a channel in phase with the drive, Gamma_r |<sigma_->|^2.

    Parameters
    ----------
    gamma_r : array_like
        Rate of the channel, 1/s.
    coherence : array_like
        Complex <sigma_->, dimensionless.

    Returns
    -------
    ndarray
        1/s; times hbar omega_d a power. Equal to N rho/(2 (1 + s)).

    Notes
    -----
    Supplement C5.
    """
    return real(gamma_r) * real(np.abs(np.asarray(coherence))) ** 2


def fluorescence_emission(
    gamma_r: ArrayLike, excited_population: ArrayLike, coherence: ArrayLike
) -> FloatArray:
    """Photons per second emitted incoherently into a cold channel, Gamma_r (p - |<sigma_->|^2).

    Parameters
    ----------
    gamma_r : array_like
        Rate of the channel, 1/s.
    excited_population, coherence : array_like
        p and complex <sigma_->, dimensionless.

    Returns
    -------
    ndarray
        1/s. A detector needs a bandwidth far above Omega, Gamma_2 and |Delta| to see it all.

    Notes
    -----
    Supplement C5, T = 0.
    """
    return real(gamma_r) * real(excited_population) - elastic_emission(gamma_r, coherence)


def coherent_power_difference(
    omega_d: ArrayLike,
    photon_rate: ArrayLike,
    gamma_r: ArrayLike,
    coherence: ArrayLike,
    weight: ArrayLike = 1.0,
) -> FloatArray:
    """Incident minus reflected power as a network analyser has it, P_in (1 - |r|^2).

    Parameters
    ----------
    omega_d : array_like
        Drive frequency, rad/s.
    photon_rate : array_like
        Photons absorbed per second N by the qubit in its manifold, 1/s.
    gamma_r : array_like
        Radiative rate, 1/s.
    coherence : array_like
        Complex <sigma_->, dimensionless.
    weight : array_like
        Manifold weight w, dimensionless.

    Returns
    -------
    ndarray
        hbar omega_d (w N - w^2 Gamma_r |<sigma_->|^2), W; any temperatures.

    Notes
    -----
    Physics sheet section 5; supplement C5. [G §3.6] leaves out the second term.
    """
    share = real(weight)
    absorbed = share * real(photon_rate) - share**2 * elastic_emission(gamma_r, coherence)
    return HBAR * real(omega_d) * absorbed


def total_power_difference(
    omega_d: ArrayLike,
    photon_rate: ArrayLike,
    gamma_r: ArrayLike,
    n_r: ArrayLike,
    gamma_1_tot: ArrayLike,
) -> FloatArray:
    """Incident minus all outgoing photons, drive-off level subtracted, hbar omega_d N (1 - eta).

    Parameters
    ----------
    omega_d : array_like
        Drive frequency, rad/s.
    photon_rate : array_like
        Photons absorbed per second N, 1/s.
    gamma_r, n_r : array_like
        Rate, 1/s, and occupation of the detected line (both directions of a through-line).
    gamma_1_tot : array_like
        Total relaxation rate, 1/s.

    Returns
    -------
    ndarray
        W, every photon counted as hbar omega_d; `total_energy_difference` weighs the energy.

    Notes
    -----
    Supplement C5, total detection in photon number.
    """
    lost = 1.0 - emission_share(gamma_r, n_r, gamma_1_tot)
    return HBAR * real(omega_d) * real(photon_rate) * lost


def total_energy_difference(
    omega_q: ArrayLike,
    detuning: ArrayLike,
    photon_rate: ArrayLike,
    gamma_r: ArrayLike,
    n_r: ArrayLike,
    gamma_1_tot: ArrayLike,
    gamma_2: ArrayLike,
) -> FloatArray:
    """Incident minus all outgoing energy, drive-off level subtracted, as a bolometer sees it.

    Parameters
    ----------
    omega_q, detuning : array_like
        Transition and Delta = omega_d - omega_q, rad/s.
    photon_rate : array_like
        Photons absorbed per second N, 1/s.
    gamma_r, n_r : array_like
        Rate, 1/s, and occupation of the detected line.
    gamma_1_tot, gamma_2 : array_like
        Total relaxation and decoherence rate, 1/s.

    Returns
    -------
    ndarray
        R_total - [R_r - R_r(drive off)]
        = hbar N [omega_d - eta (omega_q + Delta Gamma_1tot/(2 Gamma_2))], W.

    Notes
    -----
    Supplement C3, C5, total detection in energy.
    """
    shared = real(detuning) * real(gamma_1_tot) / (2.0 * real(gamma_2))
    returned = emission_share(gamma_r, n_r, gamma_1_tot) * (real(omega_q) + shared)
    return HBAR * real(photon_rate) * (real(omega_q) + real(detuning) - returned)


def through_line_powers(
    omega_d: ArrayLike,
    photon_rate: ArrayLike,
    gamma_r: ArrayLike,
    coherence: ArrayLike,
    weight: ArrayLike = 1.0,
) -> ThroughLinePowers:
    """Coherent powers around a qubit beside a symmetric, matched line.

    Parameters
    ----------
    omega_d : array_like
        Drive frequency, rad/s.
    photon_rate : array_like
        Photons absorbed per second N, 1/s.
    gamma_r : array_like
        Radiative rate into both directions together, 1/s.
    coherence : array_like
        Complex <sigma_->, dimensionless.
    weight : array_like
        Manifold weight w, dimensionless.

    Returns
    -------
    ThroughLinePowers
        Reflected, incident - transmitted, incident - transmitted - reflected, W. None of them is
        the absorbed power unless Gamma_r << Gamma_1.

    Notes
    -----
    Supplement C5: hbar omega_d N times rho/(4(1+s)), 1 - rho/(4(1+s)), 1 - rho/(2(1+s)) at w = 1.
    """
    energy, share = HBAR * real(omega_d), real(weight)
    reflected = 0.5 * energy * share**2 * elastic_emission(gamma_r, coherence)
    absorbed = energy * share * real(photon_rate)
    return ThroughLinePowers(reflected, absorbed - reflected, absorbed - 2.0 * reflected)
