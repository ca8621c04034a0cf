"""What sweeps of a driven qubit can tell: integer rows, exact ranks and exact intervals."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from powercal.physics._arrays import FloatArray, real
from powercal.physics.constants import HBAR

__all__ = [
    "ROWS",
    "Interval",
    "LogCoordinates",
    "absorbed_intervals",
    "coordinate_interval",
    "determined",
    "integer_rank",
    "log_coordinates",
    "population_intervals",
    "reflection_intervals",
]

Row = Mapping[str, int]

ROWS: Final[Mapping[str, Row]] = MappingProxyType(
    {
        "reflection_depth": MappingProxyType({"a": 1, "b": 2, "c": 1, "d": 1}),
        "reflection_saturation": MappingProxyType({"a": 1, "b": 1, "loss": 1}),
        "t1": MappingProxyType({"c": -1}),
        "population": MappingProxyType({"b": -1}),
        "absorbed_height": MappingProxyType({"b": -1, "c": -1, "d": -1, "g": 1}),
        "absorbed_saturation": MappingProxyType({"c": -1, "k": -1}),
        "total_detection": MappingProxyType({"a": -1}),
    }
)
"""What each kind of data adds to Gamma_2 and the centre, which every sweep gives (supplement D).

Coordinates: a = ln(Gamma_1/Gamma_r), b = ln(1 + 2 n), c = ln(2 Gamma_2/Gamma_1tot), d = -ln w, all
>= 0; loss = A ln(10)/10 of the line, g = ln(gain), k = ln(Omega^2/P). "absorbed_saturation" is also
that of a population curve. "total_detection" holds only together with a complex reflection.
"""

_DEPTH: Final = ROWS["reflection_depth"]


class LogCoordinates(NamedTuple):
    """Loss, temperature, dephasing and manifold coordinates, dimensionless, all >= 0."""

    a: FloatArray
    b: FloatArray
    c: FloatArray
    d: FloatArray


class Interval(NamedTuple):
    """Ends of an allowed range; NaN where no system at all fits."""

    low: FloatArray
    high: FloatArray


def log_coordinates(
    gamma_r: ArrayLike,
    gamma_i: ArrayLike,
    n_th: ArrayLike,
    gamma_phi: ArrayLike,
    weight: ArrayLike = 1.0,
) -> LogCoordinates:
    """Coordinates in which all data of a power sweep are linear and all bounds are signs.

    Parameters
    ----------
    gamma_r, gamma_i : array_like
        Radiative and internal relaxation rate, 1/s.
    n_th : array_like
        Bath occupation, dimensionless.
    gamma_phi : array_like
        Pure dephasing rate, 1/s.
    weight : array_like
        Manifold weight w, dimensionless.

    Returns
    -------
    LogCoordinates
        a, b, c, d, dimensionless.

    Notes
    -----
    Supplement D.

    Examples
    --------
    >>> [float(value) for value in log_coordinates(1.0, 0.0, 0.0, 0.0)]
    [0.0, 0.0, 0.0, 0.0]
    """
    radiative, internal, occupation = real(gamma_r), real(gamma_i), real(n_th)
    gamma_1_tot = (radiative + internal) * (1.0 + 2.0 * occupation)
    return LogCoordinates(
        np.log1p(internal / radiative),
        np.log1p(2.0 * occupation),
        np.log1p(2.0 * real(gamma_phi) / gamma_1_tot),
        0.0 - np.log(real(weight)),
    )


def integer_rank(rows: Iterable[Row], held: Collection[str] = ()) -> int:
    """Exact rank of integer rows.

    Parameters
    ----------
    rows : iterable of mapping
        Coefficients by coordinate, such as the values of `ROWS`; sums of rows are rows too.
    held : collection of str
        Coordinates that are known, whose columns drop out.

    Returns
    -------
    int
        The rank; a power sweep determines Gamma_2 and the centre on top of it.

    Notes
    -----
    Supplement D; exact fractions, no threshold.

    Examples
    --------
    >>> integer_rank([ROWS["absorbed_height"], ROWS["absorbed_saturation"]], held=("d", "g"))
    2
    """
    remaining = [{k: Fraction(v) for k, v in row.items() if v and k not in held} for row in rows]
    rank = 0
    while remaining:
        pivot = remaining.pop()
        if not pivot:
            continue
        rank += 1
        column, lead = next(iter(pivot.items()))
        remaining = [
            _eliminate(row, pivot, row.get(column, Fraction()) / lead) for row in remaining
        ]
    return rank


def _eliminate(
    row: dict[str, Fraction], pivot: dict[str, Fraction], factor: Fraction
) -> dict[str, Fraction]:
    """Return row - factor * pivot without its zeros."""
    zero = Fraction()
    reduced = {k: row.get(k, zero) - factor * pivot.get(k, zero) for k in {**row, **pivot}}
    return {k: v for k, v in reduced.items() if v}


def determined(rows: Iterable[Row], coordinate: str | Row, held: Collection[str] = ()) -> bool:
    """Whether the rows determine a coordinate, or a combination of coordinates, exactly.

    Parameters
    ----------
    rows : iterable of mapping
        What the data give, as in `integer_rank`.
    coordinate : str or mapping
        One coordinate, or integer coefficients: ln(Gamma_1/2 Gamma_2) is {"b": -1, "c": -1}.
    held : collection of str
        Coordinates that are known.

    Returns
    -------
    bool
        True if it lies in the span of the rows.

    Notes
    -----
    Supplement D.

    Examples
    --------
    >>> absorbed = [ROWS["absorbed_height"], ROWS["absorbed_saturation"]]
    >>> determined(absorbed, "b", held=("d", "g"))
    False
    >>> determined([*absorbed, ROWS["t1"]], "b", held=("d", "g"))
    True
    """
    wanted: Row = {coordinate: 1} if isinstance(coordinate, str) else coordinate
    known = list(rows)
    return integer_rank([*known, wanted], held) == integer_rank(known, held)


def coordinate_interval(
    rows: Iterable[Row],
    values: Iterable[float],
    objective: Row,
    free_sign: Collection[str] = ("loss", "g", "k"),
) -> tuple[float, float]:
    """Allowed range of a linear combination of the log coordinates, given any set of data.

    Parameters
    ----------
    rows : iterable of mapping
        What the data give; to hold a coordinate add its unit row.
    values : iterable of float
        The measured value of each row, dimensionless.
    objective : mapping
        Coefficients of the combination.
    free_sign : collection of str
        Coordinates that may be negative; all others are >= 0.

    Returns
    -------
    tuple of float
        Low and high end, -inf and inf where unbounded, NaN where no system fits.

    Notes
    -----
    Supplement D: a linear programme, solved by HiGHS.
    """
    from scipy.optimize import linprog

    known = list(rows)
    names = sorted(set().union(objective, *known))
    matrix = [[row.get(name, 0) for name in names] for row in known]
    bounds = [(None, None) if name in free_sign else (0.0, None) for name in names]
    ends = []
    for sign in (1.0, -1.0):
        cost = [sign * objective.get(name, 0) for name in names]
        answer = linprog(cost, A_eq=matrix, b_eq=list(values), bounds=bounds, method="highs")
        found = {0: answer.fun, 3: -np.inf}.get(answer.status)
        ends.append(np.nan if found is None else sign * float(found))
    return ends[0], ends[1]


def _vertices(
    depth: FloatArray, held: Collection[str] | Mapping[str, ArrayLike]
) -> dict[str, FloatArray]:
    """Return a, b, c, d at the vertices (last axis) of a + 2b + c + d = depth, all >= 0."""
    known = held if isinstance(held, Mapping) else dict.fromkeys(held, 0.0)
    unknown = set(known) - set(_DEPTH)
    if unknown:
        raise ValueError(f"held={sorted(unknown)}; wanted a subset of a, b, c, d")
    fixed = {name: real(value)[..., None] for name, value in known.items()}
    used = sum((_DEPTH[name] * value for name, value in fixed.items()), start=np.zeros(1))
    free = [name for name in _DEPTH if name not in fixed]
    left = depth[..., None] - used
    # Rounding in the logarithm must not turn a system on the boundary into none.
    possible = (left >= -1e-12) if free else (np.abs(left) <= 1e-12)
    rest = np.where(possible, np.maximum(left, 0.0), np.nan)
    corner = np.eye(len(free))
    at = {name: rest * corner[i] / _DEPTH[name] for i, name in enumerate(free)}
    return at | {name: value + 0.0 * rest for name, value in fixed.items()}


def _ends(values: FloatArray) -> Interval:
    """Return the smallest and largest value at the vertices."""
    return Interval(np.min(values, axis=-1), np.max(values, axis=-1))


def reflection_intervals(
    gamma_2: ArrayLike,
    rho: ArrayLike,
    saturation_power_generator: ArrayLike,
    omega_d: ArrayLike,
    held: Collection[str] | Mapping[str, ArrayLike] = (),
) -> dict[str, Interval]:
    """Exact ranges of all parameters that a reflection sweep at the end of a line allows.

    Parameters
    ----------
    gamma_2 : array_like
        Decoherence rate, 1/s, any shape.
    rho : array_like
        Reflection depth, dimensionless; above 2 no system fits.
    saturation_power_generator : array_like
        Saturation power P_s at the generator, W.
    omega_d : array_like
        Drive frequency, rad/s.
    held : collection or mapping
        Which of "a" (internal loss), "b" (temperature), "c" (dephasing), "d" (manifold) are held
        at 0, or a mapping to the values they are held at: c = ln(2 Gamma_2/Gamma_1tot) from T1.

    Returns
    -------
    dict of Interval
        gamma_r, gamma_i, gamma_1, gamma_1_tot, gamma_phi (1/s), p_eq, n_th, weight, and
        attenuation_db between generator and device; NaN where no system fits.

    Raises
    ------
    ValueError
        If `held` names anything else.

    Notes
    -----
    Supplement D. All but gamma_i are monotonic in a linear form, gamma_i rises with a and falls
    with b and c: their ends lie at vertices of the simplex, so nothing is approximated.

    Examples
    --------
    >>> allowed = reflection_intervals(1.0, 1.0, 1e-12, 3e10)
    >>> [round(float(end), 12) for end in allowed["gamma_r"]]
    [1.0, 2.0]
    """
    width = real(gamma_2)[..., None]
    at = _vertices(np.log(2.0 / real(rho)), held)
    a, b, c, d = (at[name] for name in "abcd")
    scale = 4.0 * real(saturation_power_generator) / (HBAR * real(omega_d) * real(gamma_2))
    gamma_1 = 2.0 * width * np.exp(-b - c)
    values = {
        "gamma_r": gamma_1 * np.exp(-a),
        "gamma_i": gamma_1 * -np.expm1(-a),
        "gamma_1": gamma_1,
        "gamma_1_tot": 2.0 * width * np.exp(-c),
        "gamma_phi": width * -np.expm1(-c),
        "p_eq": 0.5 * -np.expm1(-b),
        "n_th": 0.5 * np.expm1(b),
        "weight": np.exp(-d),
        "attenuation_db": 10.0 / np.log(10.0) * (np.log(scale)[..., None] - a - b),
    }
    return {name: _ends(value + 0.0) for name, value in values.items()}


def absorbed_intervals(
    gamma_1: ArrayLike, gamma_2: ArrayLike, drive_over_thermal: ArrayLike
) -> dict[str, Interval]:
    """Exact ranges of what a sweep of calibrated absorbed power leaves open.

    Parameters
    ----------
    gamma_1, gamma_2 : array_like
        Bare relaxation and decoherence rate, 1/s, which the sweep determines.
    drive_over_thermal : array_like
        (Omega^2/P)/(1 + 2 n), (rad/s)^2/W, which it determines too.

    Returns
    -------
    dict of Interval
        n_th, p_eq, gamma_1_tot and gamma_phi (1/s), drive_scale ((rad/s)^2/W); NaN where
        Gamma_1 > 2 Gamma_2, which contradicts the model.

    Notes
    -----
    Supplement D: n_eff <= Gamma_2/Gamma_1 - 1/2, Gamma_phi <= Gamma_2 - Gamma_1/2, the drive scale
    within a factor 2 Gamma_2/Gamma_1.
    """
    rate, width, scale = np.broadcast_arrays(real(gamma_1), real(gamma_2), real(drive_over_thermal))
    spread = 2.0 * width / rate
    room = np.where(spread >= 1.0, spread, np.nan)
    zero = 0.0 * room
    return {
        "n_th": Interval(zero, (room - 1.0) / 2.0),
        "p_eq": Interval(zero, (1.0 - 1.0 / room) / 2.0),
        "gamma_1_tot": Interval(rate + zero, rate * room),
        "gamma_phi": Interval(zero, rate * (room - 1.0) / 2.0),
        "drive_scale": Interval(scale + zero, scale * room),
    }


def population_intervals(
    gamma_2: ArrayLike, p_eq: ArrayLike, drive_over_relaxation: ArrayLike
) -> dict[str, Interval]:
    """Exact ranges of what a sweep of the population leaves open.

    Parameters
    ----------
    gamma_2 : array_like
        Decoherence rate, 1/s, which the sweep determines.
    p_eq : array_like
        Population without drive, dimensionless, which it determines too.
    drive_over_relaxation : array_like
        (Omega^2/P)/Gamma_1tot, (rad/s)/W, likewise.

    Returns
    -------
    dict of Interval
        gamma_1_tot <= 2 Gamma_2, gamma_1, gamma_phi (1/s), drive_scale ((rad/s)^2/W). All lower
        ends are 0: only T1, a drive scale or a dephasing rate lifts them.

    Notes
    -----
    Supplement B, D.
    """
    width, thermal = real(gamma_2), 1.0 - 2.0 * real(p_eq)
    highs = {
        "gamma_1_tot": 2.0 * width,
        "gamma_1": 2.0 * width * thermal,
        "gamma_phi": width,
        "drive_scale": 2.0 * width * real(drive_over_relaxation),
    }
    return {name: Interval(0.0 * high, high) for name, high in highs.items()}
