"""The scalar recursion of harmonic balance: a chain of impedances, and its derivatives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from powercal.physics._arrays import ComplexArray, FloatArray

_FEW = 8  # harmonics that most drives need at most
_NUMBERS = 2**18  # complex numbers in one array of a block of points: stays in the cache

IntArray = NDArray[np.int64]


class Points(NamedTuple):
    """The arguments, flattened: one number per point."""

    omega_q: FloatArray
    omega_d: FloatArray
    rabi: FloatArray
    gamma_1_tot: FloatArray
    gamma_2: FloatArray
    p_eq: FloatArray

    def take(self, index: IntArray | slice) -> Points:
        """Return some of the points."""
        return Points(*(column[index] for column in self))


class Rungs(NamedTuple):
    """What the continued fraction is made of, one row per even harmonic m = 2, 4, 6 and on.

    `impedance` is 1/chi_{m-1} (one row more), `rung` is i m omega_d + Gamma_1tot, `square` Omega^2.
    """

    impedance: ComplexArray
    rung: ComplexArray
    square: ComplexArray


class Ladder(NamedTuple):
    """The continued fraction: `response` is h_m = chi_{m-1}(1 + q_m), one row more than `inner`.

    `inner` is i m omega_d + Gamma_1tot + Omega^2 h_{m+2}, `rung` its first two terms.
    """

    rung: ComplexArray
    inner: ComplexArray
    response: ComplexArray


def complex_from(real_part: FloatArray, imaginary_part: FloatArray) -> ComplexArray:
    """Put two parts together, which is quicker than arithmetic with 1j."""
    number = np.empty(imaginary_part.shape, dtype=np.complex128)
    number.real, number.imag = real_part, imaginary_part
    return number


def rungs_of(at: Points, harmonics: int) -> Rungs:
    """Return the rungs for as many even harmonics."""
    turn = np.arange(1.0, 2 * harmonics + 2, 2.0)[:, None] * at.omega_d
    width = at.gamma_2
    # 1/chi = pole + omega_q^2/pole; the part that vanishes on resonance comes from the detuning.
    size = turn**2 + width**2
    detuned = (turn - at.omega_q) * (turn + at.omega_q) + width**2
    impedance = complex_from(width * (1.0 + at.omega_q**2 / size), turn * detuned / size)
    rung = complex_from(at.gamma_1_tot, turn[:-1] + at.omega_d)
    return Rungs(impedance, rung, (at.rabi**2).astype(np.complex128))


def ladder_of(rungs: Rungs, harmonics: int) -> Ladder:
    """Run the recursion of supplement C6 downwards, in a form in which nothing cancels.

    With h_m = chi_{m-1}(1 + q_m) it reads 1/h_m = 1/chi_{m-1} + Omega^2/(i m omega_d + Gamma_1tot
    + Omega^2 h_{m+2}): a chain of impedances, each with a positive real part, whatever the drive.
    """
    impedance, rung, square = rungs.impedance[: harmonics + 1], rungs.rung[:harmonics], rungs.square
    inner, response = np.empty_like(rung), np.empty_like(impedance)
    response[-1] = 1.0 / impedance[-1]
    for j in range(harmonics - 1, -1, -1):
        above = np.multiply(square, response[j + 1], out=inner[j])
        above += rung[j]
        across = np.multiply(above, impedance[j], out=response[j])
        across += square
        np.divide(above, across, out=across)
    return Ladder(rung, inner, response)


def blocks(size: int, harmonics: int) -> Iterator[slice]:
    """Cut points into blocks whose ladders stay small."""
    step = max(_NUMBERS // (harmonics + 1), 1)
    return (slice(i, i + step) for i in range(0, size, step))


def _second(at: Points, harmonics: int) -> ComplexArray:
    """Return h_2."""
    parts = [at.take(block) for block in blocks(at.omega_d.size, harmonics)]
    return np.concatenate(
        [ladder_of(rungs_of(part, harmonics), harmonics).response[0] for part in parts]
    )


def stimulated_rate(at: Points, response: ComplexArray) -> FloatArray:
    """Return Omega^2 Re h_2, half of the rate at which the drive equalises the populations."""
    return np.asarray(at.rabi**2 * response.real)


def converged(
    points: Points, tolerance: float, maximum: int
) -> tuple[ComplexArray, ComplexArray, IntArray]:
    """Return h_2, its pole and the harmonics for every point; NaN and 0 where they do not suffice.

    The harmonics are doubled for those points alone that the last doubling still moved.
    """
    size = points.omega_d.size
    response = np.full(size, np.nan, dtype=np.complex128)
    kept = np.zeros(size, dtype=np.int64)
    left, before, harmonics = np.arange(size), np.full(size, np.inf), 1
    few = rungs_of(points, _FEW) if size * _FEW < _NUMBERS else None  # for all of the first rounds
    while left.size and harmonics <= maximum:
        at = points if left.size == size else points.take(left)
        if few is not None and harmonics <= _FEW and left.size == size:
            found = ladder_of(few, harmonics).response[0]
        else:
            found = _second(at, harmonics)
        mean = at.gamma_1_tot / (at.gamma_1_tot + 2.0 * stimulated_rate(at, found))
        # Written so that a NaN among the inputs stays a NaN and does not stop the rest.
        moved = np.abs(mean - before) >= tolerance
        if not moved.all():
            response[left[~moved]], kept[left[~moved]] = found[~moved], harmonics
            left, mean = left[moved], mean[moved]
        before, harmonics = mean, 2 * harmonics
    return response, complex_from(points.gamma_2, points.omega_d), kept


def response_slopes(at: Points, ladder: Ladder) -> ComplexArray:
    """Return dh_2 by omega_q, omega_d, rabi, gamma_1_tot, gamma_2 as rows.

    A change of h_m arrives in h_2 multiplied by the product of dh_j/dh_{j+2} = (Omega^2 h_j/
    inner_j)^2 over the rungs between, so that one pass serves all arguments.
    """
    odd = np.arange(1.0, 2 * len(ladder.response), 2.0)[:, None]
    turn = odd * at.omega_d
    size = turn**2 + at.gamma_2**2
    inverse_pole = complex_from(at.gamma_2 / size, -turn / size)
    inverse_inner = 1.0 / ladder.inner
    weight = ladder.response**2
    between = (at.rabi**2 * inverse_inner * ladder.response[:-1]) ** 2
    weight[1:] *= np.cumprod(between, axis=0)
    by_pole = weight * ((at.omega_q * inverse_pole) ** 2 - 1.0)
    below = weight[:-1] * inverse_inner**2
    by_rung = np.sum(below, axis=0)
    turned = np.sum(odd * by_pole, axis=0) + at.rabi**2 * np.sum((odd[:-1] + 1.0) * below, axis=0)
    return np.stack(
        [
            -2.0 * at.omega_q * np.sum(weight * inverse_pole, axis=0),
            1j * turned,
            -2.0 * at.rabi * np.sum(below * ladder.rung, axis=0),
            at.rabi**2 * by_rung,
            np.sum(by_pole, axis=0),
        ]
    )
