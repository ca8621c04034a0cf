"""Two levels in the full field hbar Omega cos(omega t), without the rotating-wave approximation.

The general harmonic balance collapses to a scalar continued fraction: only even harmonics of
z = <n_u> - <n_l> and odd ones of the coherence occur (supplement C6, with two unequal reservoirs).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["TwoLevelResponse", "two_level_response"]

Array = NDArray[Any]

ARGUMENTS = ("omega_ul", "omega", "rabi_squared", "gamma_u", "gamma_l")


class TwoLevelResponse(NamedTuple):
    """What the field does to two levels, whatever their reservoirs' occupations.

    ``passage`` = R/(f_u - f_l) (1/s), R the rate u -> l averaged over a period; ``pull`` c: the
    effective energies are E_u - hbar gamma_u c and E_l + hbar gamma_l c (dimensionless);
    ``passage_slopes`` and ``pull_slopes``, their derivatives by omega_ul, omega, Omega^2, gamma_u,
    gamma_l along the first axis; ``harmonics`` of z kept.
    """

    passage: Array
    pull: Array
    passage_slopes: Array
    pull_slopes: Array
    harmonics: int


class _Dual(NamedTuple):
    """A number with its derivatives along the first axis of ``slopes``; it calculates as such."""

    value: Array
    slopes: Array

    def __add__(self, other: Any) -> _Dual:
        if isinstance(other, _Dual):
            return _Dual(self.value + other.value, self.slopes + other.slopes)
        return _Dual(self.value + other, self.slopes)

    def __mul__(self, other: Any) -> _Dual:
        if isinstance(other, _Dual):
            slopes = self.slopes * other.value + other.slopes * self.value
            return _Dual(self.value * other.value, slopes)
        return _Dual(self.value * other, self.slopes * other)

    def __truediv__(self, other: Any) -> _Dual:
        ratio = self.value / other.value
        return _Dual(ratio, (self.slopes - ratio * other.slopes) / other.value)

    @property
    def real(self) -> _Dual:
        """Real part."""
        return _Dual(self.value.real, self.slopes.real)


def two_level_response(
    omega_ul: ArrayLike,
    omega: ArrayLike,
    rabi_squared: ArrayLike,
    gamma_u: ArrayLike,
    gamma_l: ArrayLike,
    tolerance: float = 1e-12,
    most: int = 2**13,
    slopes: bool = False,
) -> TwoLevelResponse:
    """Rate and effective energies under hbar Omega cos(omega t) (c_u^+ c_l + c_l^+ c_u).

    Parameters
    ----------
    omega_ul, omega : array_like
        (E_u - E_l)/hbar and the frequency of the field, rad/s.
    rabi_squared : array_like
        Omega^2 = 4 |eps|^2, (rad/s)^2; zero gives the limit of a weak field.
    gamma_u, gamma_l : array_like
        Rates of the two reservoirs, > 0, 1/s.
    tolerance : float
        Harmonics are doubled until passage and pull change by less than this, relatively.
    most : int
        Harmonics at which to give up.
    slopes : bool
        Whether to follow the derivatives; without, they have no rows.

    Returns
    -------
    TwoLevelResponse
        Of the broadcast shape.

    Raises
    ------
    ArithmeticError
        If `most` harmonics do not suffice.

    Notes
    -----
    With S = Omega^2 Re[chi_1 (1 + q_2)] of supplement C6 and 1/rho = gamma_u gamma_l/(gamma_u +
    gamma_l): R = (f_u - f_l) S/(1 + rho S), and c = omega_ul Re[D_1 (1 + q_2)]/(2 Re[chi_1
    (1 + q_2)]) with D_1 = 1/((i omega + G/2)^2 + omega_ul^2), chi_1 = (i omega + G/2) D_1,
    G = gamma_u + gamma_l. Close to resonance c = -(omega - omega_ul)/G, which is [W14].

    Examples
    --------
    >>> found = two_level_response(2.0, 2.5, 0.04, 0.2, 0.1)
    >>> round(float(found.passage), 8), round(1.0 - 0.2 * float(found.pull), 8)
    (0.00970065, 1.28624025)
    """
    fields = np.broadcast_arrays(
        *(np.asarray(a, dtype=float) for a in (omega_ul, omega, rabi_squared, gamma_u, gamma_l))
    )
    arguments: tuple[Any, ...] = tuple(fields)
    if slopes:
        rows = np.eye(5)[:, :, *(None,) * fields[0].ndim] * np.ones(fields[0].shape)
        arguments = tuple(_Dual(field, rows[:, i]) for i, field in enumerate(fields))
    harmonics, previous = 4, (np.asarray(np.inf), np.asarray(np.inf))
    while harmonics <= most:
        with np.errstate(invalid="ignore"):  # complex division warns where an input is NaN
            found = [_split(number) for number in _response(arguments, harmonics)]
        (passage, passage_slopes), (pull, pull_slopes) = found
        changes = np.abs(passage - previous[0]), np.abs(pull - previous[1])
        sizes = tolerance * np.abs(passage), tolerance * (1.0 + np.abs(pull))
        # Written so that a NaN among the inputs stays a NaN and does not stop the rest.
        if not any(np.any(c > s) for c, s in zip(changes, sizes, strict=True)):
            return TwoLevelResponse(passage, pull, passage_slopes, pull_slopes, harmonics)
        harmonics, previous = 2 * harmonics, (passage, pull)
    raise ArithmeticError(
        f"harmonic balance: up to {most} harmonics change the rate by more than {tolerance:.2g}; "
        f"the drive is far beyond its own frequency"
    )


def _split(number: Any) -> tuple[Array, Array]:
    if isinstance(number, _Dual):
        return number.value, number.slopes
    return np.asarray(number), np.empty((0, *np.shape(number)))


def _response(arguments: tuple[Any, ...], harmonics: int) -> tuple[Any, Any]:
    """Return passage and pull with harmonics 2, 4, ... 2 `harmonics` of z: arrays, or duals."""
    omega_ul, omega, square, gamma_u, gamma_l = arguments
    gain = _second_ratio(arguments, harmonics) + 1.0
    rate = omega * 1j + (gamma_u + gamma_l) * 0.5
    bent = gain / (rate * rate + omega_ul * omega_ul)  # D_1 (1 + q_2)
    absorbing = (rate * bent).real
    passed = square * absorbing
    blocking = gamma_u * gamma_l / (gamma_u + gamma_l)  # 1/rho
    return passed * blocking / (blocking + passed), omega_ul * bent.real / (absorbing * 2.0)


def _second_ratio(arguments: tuple[Any, ...], harmonics: int) -> Any:
    """Return q_2 = z_2/z_0 by the continued fraction, from the highest harmonic down."""
    omega_ul, omega, square, gamma_u, gamma_l = arguments
    width, levels, driven = (gamma_u + gamma_l) * 0.5, omega_ul * omega_ul, square * -1.0

    def response(order: int) -> Any:  # chi_n
        rate = omega * (1j * order) + width
        return rate / (rate * rate + levels)

    above = response(2 * harmonics + 1)
    ratio = above * 0.0
    for m in range(2 * harmonics, 0, -2):
        below = response(m - 1)
        turn = omega * (1j * m)
        upper, lower = turn + gamma_u, turn + gamma_l
        relaxing = upper * lower / (turn + width)
        resistance = relaxing + square * (below + above * (ratio + 1.0))
        ratio = driven * below / resistance
        above = below
    return ratio
