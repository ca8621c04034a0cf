"""Who pays and who receives: the absorbed power in its three bookkeepings, and its channels."""

from __future__ import annotations

from typing import Literal, get_args

from numpy.typing import ArrayLike

from powercal.physics import bloch, floquet
from powercal.physics._arrays import FloatArray, real
from powercal.physics.constants import HBAR

__all__ = [
    "Energy",
    "absorbed_power",
    "channel_power",
    "channel_rate",
    "dephasing_power",
    "dephasing_share",
    "heat_leak",
    "partition_factor",
    "partition_factor_without_heat_leak",
    "relaxation_power",
    "total_power",
]

Energy = Literal["effective", "transition", "floquet"]


def absorbed_power(
    energy: Energy,
    omega_q: ArrayLike,
    detuning: ArrayLike,
    rabi: ArrayLike,
    gamma_1: ArrayLike,
    gamma_1_tot: ArrayLike,
    gamma_2: ArrayLike,
    p_eq: ArrayLike,
) -> FloatArray:
    """Power the drive puts into the qubit, in a named bookkeeping of the photon's energy.

    Parameters
    ----------
    energy : {"effective", "transition", "floquet"}
        "effective": hbar omega_d N, exact in the rotating-wave approximation; "transition":
        hbar omega_q N, [G] as written; "floquet": beyond the approximation, by harmonic balance.
    omega_q, detuning, rabi : array_like
        Transition, Delta = omega_d - omega_q and Rabi rate, rad/s.
    gamma_1, gamma_1_tot, gamma_2 : array_like
        Bare relaxation rate (sum over channels), total relaxation and decoherence rate, 1/s.
    p_eq : array_like
        Population without drive, dimensionless; only "floquet" reads it beside the rates.

    Returns
    -------
    ndarray
        R_total, W, of the broadcast shape.

    Raises
    ------
    ValueError
        If `energy` is none of the three names.

    Notes
    -----
    Physics sheet sections 2, 3 and 6; [W11], [G1, G2, G21, G23]; supplement C2, C6.
    """
    omega_d = real(omega_q) + real(detuning)
    if energy == "floquet":
        return floquet.harmonic_balance(
            omega_q, omega_d, rabi, gamma_1_tot, gamma_2, p_eq
        ).total_power
    if energy not in get_args(Energy):
        raise ValueError(f"energy={energy!r}; wanted one of {', '.join(get_args(Energy))}")
    rate = bloch.photon_rate(detuning, rabi, gamma_1, gamma_1_tot, gamma_2)
    return total_power(omega_d if energy == "effective" else omega_q, rate)


def total_power(omega_d: ArrayLike, photon_rate: ArrayLike) -> FloatArray:
    """Absorbed power R_total = hbar omega_d N: each absorbed photon carries hbar omega_d.

    Parameters
    ----------
    omega_d : array_like
        Drive frequency, rad/s.
    photon_rate : array_like
        Photons absorbed per second N, 1/s.

    Returns
    -------
    ndarray
        R_total, W.

    Notes
    -----
    Physics sheet section 3; [W11].
    """
    return HBAR * real(omega_d) * real(photon_rate)


def relaxation_power(
    omega_q: ArrayLike,
    detuning: ArrayLike,
    photon_rate: ArrayLike,
    gamma_1_tot: ArrayLike,
    gamma_2: ArrayLike,
) -> FloatArray:
    """Part of the absorbed power that leaves by relaxation, over all channels.

    Parameters
    ----------
    omega_q, detuning : array_like
        Transition and Delta = omega_d - omega_q, rad/s.
    photon_rate : array_like
        Photons absorbed per second N, 1/s.
    gamma_1_tot, gamma_2 : array_like
        Total relaxation and decoherence rate, 1/s.

    Returns
    -------
    ndarray
        R_relaxation = hbar (omega_q + Delta Gamma_1tot/(2 Gamma_2)) N, W.

    Notes
    -----
    Physics sheet section 3; [W14] for a qubit. [G20] drops the second term (section 9).
    """
    shared = real(detuning) * real(gamma_1_tot) / (2.0 * real(gamma_2))
    return HBAR * (real(omega_q) + shared) * real(photon_rate)


def dephasing_power(
    detuning: ArrayLike, photon_rate: ArrayLike, gamma_phi: ArrayLike, gamma_2: ArrayLike
) -> FloatArray:
    """Part of the absorbed power that pure dephasing takes (Delta > 0) or gives (Delta < 0).

    Parameters
    ----------
    detuning : array_like
        Delta = omega_d - omega_q, rad/s.
    photon_rate : array_like
        Photons absorbed per second N, 1/s.
    gamma_phi, gamma_2 : array_like
        Pure dephasing and decoherence rate, 1/s.

    Returns
    -------
    ndarray
        R_dephasing = hbar Delta (Gamma_phi/Gamma_2) N, W. It carries no entropy.

    Notes
    -----
    Physics sheet section 3; supplement C3.
    """
    return HBAR * real(detuning) * (real(gamma_phi) / real(gamma_2)) * real(photon_rate)


def channel_power(
    omega_q: ArrayLike,
    detuning: ArrayLike,
    photon_rate: ArrayLike,
    excited_population: ArrayLike,
    gamma_k: ArrayLike,
    n_k: ArrayLike,
    gamma_2: ArrayLike,
) -> FloatArray:
    """Net power into one relaxation channel, heat leak between unequal baths included.

    Parameters
    ----------
    omega_q, detuning : array_like
        Transition and Delta = omega_d - omega_q, rad/s.
    photon_rate, excited_population : array_like
        Photons absorbed per second N, 1/s, and population p, of the whole qubit.
    gamma_k, n_k : array_like
        Rate, 1/s, and occupation of the channel. For several channels on a trailing axis give the
        other arguments a trailing axis of length one.
    gamma_2 : array_like
        Decoherence rate of the whole qubit, 1/s.

    Returns
    -------
    ndarray
        R_k = hbar omega_q Gamma_k [(1 + 2 n_k) p - n_k]
        + hbar Delta (Gamma_k (1 + 2 n_k)/(2 Gamma_2)) N, W, of the broadcast shape.

    Notes
    -----
    Physics sheet section 3; [G21, G23] on resonance, [W14].
    """
    occupation = real(n_k)
    thermal_rate = real(gamma_k) * (1.0 + 2.0 * occupation)
    net_jumps = thermal_rate * real(excited_population) - real(gamma_k) * occupation
    shared = real(detuning) * thermal_rate / (2.0 * real(gamma_2))
    return HBAR * (real(omega_q) * net_jumps + shared * real(photon_rate))


def heat_leak(
    omega_q: ArrayLike, gamma_k: ArrayLike, n_k: ArrayLike, p_eq: ArrayLike
) -> FloatArray:
    """Net power into one channel without drive; not zero only if the baths differ.

    Parameters
    ----------
    omega_q : array_like
        Transition, rad/s.
    gamma_k, n_k : array_like
        Rate, 1/s, and occupation of the channel.
    p_eq : array_like
        Population without drive, dimensionless.

    Returns
    -------
    ndarray
        R_k(drive off) = hbar omega_q Gamma_k [(1 + 2 n_k) p_eq - n_k], W.

    Notes
    -----
    Supplement C3.
    """
    occupation = real(n_k)
    net_jumps = (1.0 + 2.0 * occupation) * real(p_eq) - occupation
    return HBAR * real(omega_q) * real(gamma_k) * net_jumps


def partition_factor(channel_power: ArrayLike, total_power: ArrayLike) -> FloatArray:
    """Share f_k = R_k/R_total of one channel; negative or above 1 when heat leaks, never clipped.

    Parameters
    ----------
    channel_power, total_power : array_like
        R_k and R_total, W.

    Returns
    -------
    ndarray
        f_k, dimensionless. Diverges for weak drive if the channels' occupations differ.

    Notes
    -----
    Physics sheet section 3; [G §3.6]; supplement C3.
    """
    return real(channel_power) / real(total_power)


def partition_factor_without_heat_leak(
    omega_q: ArrayLike,
    detuning: ArrayLike,
    gamma_k: ArrayLike,
    n_k: ArrayLike,
    gamma_1_tot: ArrayLike,
    gamma_2: ArrayLike,
) -> FloatArray:
    """Share f_k' = (R_k - R_k(drive off))/R_total, the same at every drive power.

    Parameters
    ----------
    omega_q, detuning : array_like
        Transition and Delta = omega_d - omega_q, rad/s.
    gamma_k, n_k : array_like
        Rate, 1/s, and occupation of the channel.
    gamma_1_tot, gamma_2 : array_like
        Total relaxation and decoherence rate of the whole qubit, 1/s.

    Returns
    -------
    ndarray
        [Gamma_k (1 + 2 n_k)/Gamma_1tot] (omega_q + Delta Gamma_1tot/(2 Gamma_2))/omega_d.

    Notes
    -----
    Supplement C3: sum_k f_k' + f_phi' = 1.

    Examples
    --------
    >>> float(partition_factor_without_heat_leak(100.0, 0.0, 1.0, 0.5, 4.0, 2.0))
    0.5
    """
    share = real(gamma_k) * (1.0 + 2.0 * real(n_k)) / real(gamma_1_tot)
    shared = real(detuning) * real(gamma_1_tot) / (2.0 * real(gamma_2))
    return share * (real(omega_q) + shared) / (real(omega_q) + real(detuning))


def dephasing_share(
    omega_q: ArrayLike, detuning: ArrayLike, gamma_phi: ArrayLike, gamma_2: ArrayLike
) -> FloatArray:
    """Share of pure dephasing, f_phi' = Delta Gamma_phi/(Gamma_2 omega_d).

    Parameters
    ----------
    omega_q, detuning : array_like
        Transition and Delta = omega_d - omega_q, rad/s.
    gamma_phi, gamma_2 : array_like
        Pure dephasing and decoherence rate, 1/s.

    Returns
    -------
    ndarray
        f_phi', dimensionless; negative for Delta < 0.

    Notes
    -----
    Supplement C3.
    """
    omega_d = real(omega_q) + real(detuning)
    return real(detuning) * real(gamma_phi) / (real(gamma_2) * omega_d)


def channel_rate(
    partition_factor: ArrayLike,
    total_power: ArrayLike,
    omega: ArrayLike,
    excited_population: ArrayLike,
) -> FloatArray:
    """Rate of a channel of a cold qubit from power and population, f_k R_total/(hbar omega p).

    Parameters
    ----------
    partition_factor : array_like
        f_k, dimensionless; 1 gives Gamma_1.
    total_power : array_like
        R_total, W.
    omega : array_like
        The frequency of the bookkeeping, rad/s: omega_d makes f = 1 exact at T = 0.
    excited_population : array_like
        p, dimensionless.

    Returns
    -------
    ndarray
        Gamma_k, 1/s.

    Notes
    -----
    Physics sheet section 3; [G21], with omega_d for omega_q (supplement C9).
    """
    energy = HBAR * real(omega) * real(excited_population)
    return real(partition_factor) * real(total_power) / energy
