"""Rank of the integer rows against singular values of complex-step Jacobians of the curves."""

from __future__ import annotations

import numpy as np
import pytest

from powercal.physics import bloch, parametrisation, scattering

# Linear coordinate f0 and logarithms of all else; k (Omega^2/P) replaces Gamma_r and the loss in
# data that do not see the line.
POWERS = np.geomspace(0.02, 50.0, 12)[:, None]
FREQUENCIES = np.linspace(-4.0, 4.0, 21)
ROWS = parametrisation.ROWS
Values = dict[str, complex]


def rates(v: Values) -> dict[str, np.ndarray]:
    gamma_1 = v["gamma_r"] + v["gamma_i"]
    total = gamma_1 * (1 + 2 * v["n"])
    width = bloch.dephased_rate(total, v["phi"])
    return {"g1": gamma_1, "total": total, "g2": width, "p_eq": v["n"] / (1 + 2 * v["n"])}


def curves(kind: str, v: Values) -> np.ndarray:
    """Return one kind of data, an analytic function of complex parameters."""
    q = rates(v)
    detuning = FREQUENCIES - v["f0"]
    linear = kind.endswith("_linear")
    powers = POWERS * 1e-20 if linear else POWERS
    driven = np.sqrt(v["k"] * powers)
    line = np.sqrt(4 * v["gamma_r"] * powers / v["loss"])
    match kind.removesuffix("_linear"):
        case "R":
            rate = bloch.photon_rate(detuning, driven, q["g1"], q["total"], q["g2"])
            return v["g"] * v["w"] * rate / powers
        case "p":
            return bloch.excited_population(detuning, driven, q["total"], q["g2"], q["p_eq"])
        case "r" | "abs_r":
            r = scattering.reflection_end_of_line(
                detuning, line, v["gamma_r"], q["total"], q["g2"], q["p_eq"], v["w"]
            )
            return np.asarray(r)
        case "total":
            rate = bloch.photon_rate(detuning, line, q["g1"], q["total"], q["g2"])
            lost = 1 - v["gamma_r"] * (1 + 2 * v["n"]) / q["total"]
            return rate * lost * v["loss"] / powers
    return np.asarray([{"t1": q["total"], "p_eq": q["p_eq"], "loss": v["loss"], "k": v["k"]}[kind]])


def continued(kind: str, v: Values) -> np.ndarray:
    """Return data continued analytically: the square of a modulus is a product of two."""
    here = curves(kind, v).ravel()
    if not kind.startswith("abs_r"):
        return here
    return here * np.conj(curves(kind, {k: np.conj(x) for k, x in v.items()})).ravel()


def derivative(kind: str, start: Values, name: str) -> np.ndarray:
    """Differentiate by complex steps around a circle (exact to rounding, for complex data too)."""
    radius, angles = 0.1, np.exp(2j * np.pi * np.arange(16) / 16)
    # Every pole of the curves is farther than 0.8 away: (1/8)^16 = 4e-15.
    steps = radius * angles * (1 if name == "f0" else start[name])
    values = [continued(kind, start | {name: start[name] + step}) for step in steps]
    slope = np.tensordot(1 / angles, np.array(values), 1) / (len(angles) * radius)
    return np.concatenate([slope.real, slope.imag]) if kind.startswith("r") else slope.real


def svd_rank(kinds: list[str], free: list[str], seed: int) -> int:
    rng = np.random.default_rng(seed)
    names = ("gamma_r", "gamma_i", "n", "phi", "loss", "k", "w", "g")
    spread = rng.uniform(-0.5, 0.5, len(names))
    start: Values = dict(zip(names, np.array([1, 0.6, 0.3, 0.4, 1, 1, 0.8, 1.2]), strict=True))
    start = {
        name: value * np.exp(x) for (name, value), x in zip(start.items(), spread, strict=True)
    }
    start["w"] = 0.8 if "w" in free else 1.0
    for name in ("n", "gamma_i", "phi"):
        start[name] = start[name] if name in free else 0.0
    start["f0"] = rng.normal(0, 0.3)
    columns = [[derivative(kind, start, name) for kind in kinds] for name in free]
    sizes = [np.sqrt(sum(np.sum(column[i] ** 2) for column in columns)) for i in range(len(kinds))]
    scaled = [np.concatenate([b / s for b, s in zip(c, sizes, strict=True)]) for c in columns]
    singular = np.linalg.svd(np.array(scaled).T, compute_uv=False)
    kept = singular > 1e-9 * singular[0]
    # The gap is never in doubt: nothing lies between 1e-5 and 1e-11 of the largest.
    assert np.all((singular > 1e-5 * singular[0]) | (singular < 1e-11 * singular[0]))
    return int(np.sum(kept))


ABSORBED = [ROWS["absorbed_height"], ROWS["absorbed_saturation"]]
POPULATION = [ROWS["population"], ROWS["absorbed_saturation"]]
REFLECTION = [ROWS["reflection_depth"], ROWS["reflection_saturation"]]
T1, P_EQ, LOSS, K = ROWS["t1"], ROWS["population"], {"loss": 1}, {"k": 1}
TOTAL = ROWS["total_detection"]
DIFFERENCE = {"b": -1, "d": -1, "g": 1, "k": 1}

A = ["f0", "gamma_r", "n", "phi", "k"]  # absorbed power sees one bare rate
R = ["f0", "gamma_r", "gamma_i", "n", "phi", "loss"]
COLD = ["f0", "gamma_r", "gamma_i", "phi", "loss"]
DG, ABSENT = ("d", "g"), ("d",)

# data, free parameters, integer rows, held coordinates, rank as the supplement's table has it
TABLE = [
    (["R"], A, ABSORBED, DG, 4),
    (["R", "k"], A, [*ABSORBED, K], DG, 5),
    (["R", "p_eq"], A, [*ABSORBED, P_EQ], DG, 5),
    (["R", "p"], A, [*ABSORBED, *POPULATION], DG, 5),
    (["R", "t1"], A, [*ABSORBED, T1], DG, 5),
    (["R"], [*A, "g"], ABSORBED, ("d",), 4),
    (["R", "t1"], [*A, "g"], [*ABSORBED, T1], ("d",), 5),
    (["R", "k"], [*A, "g"], [*ABSORBED, K], ("d",), 5),
    (["R", "p"], [*A, "g"], [*ABSORBED, *POPULATION], ("d",), 5),
    (["R", "p", "t1"], [*A, "g"], [*ABSORBED, *POPULATION, T1], ("d",), 6),
    (["p"], A, POPULATION, DG, 4),
    (["p", "k"], A, [*POPULATION, K], DG, 5),
    (["p", "t1"], A, [*POPULATION, T1], DG, 5),
    (["R_linear"], A, [DIFFERENCE], DG, 3),
    (["r_linear"], R, REFLECTION[:1], ABSENT, 3),
    (["r"], R, REFLECTION, ABSENT, 4),
    (["abs_r"], R, REFLECTION, ABSENT, 4),
    (["r", "abs_r"], R, REFLECTION, ABSENT, 4),
    (["r", "t1"], R, [*REFLECTION, T1], ABSENT, 5),
    (["r", "p_eq"], R, [*REFLECTION, P_EQ], ABSENT, 5),
    (["r", "t1", "p_eq"], R, [*REFLECTION, T1, P_EQ], ABSENT, 6),
    (["r", "t1", "loss"], R, [*REFLECTION, T1, LOSS], ABSENT, 6),
    (["r", "loss"], R, [*REFLECTION, LOSS], ABSENT, 5),
    (["r", "total"], R, [*REFLECTION, TOTAL], ABSENT, 5),
    (["r", "total", "t1"], R, [*REFLECTION, TOTAL, T1], ABSENT, 6),
    (["r", "total", "p_eq"], R, [*REFLECTION, TOTAL, P_EQ], ABSENT, 6),
    (["r"], COLD, REFLECTION, ("b", "d"), 4),
    (["r", "t1"], COLD, [*REFLECTION, T1], ("b", "d"), 5),
    (["r", "loss"], COLD, [*REFLECTION, LOSS], ("b", "d"), 5),
    (["r"], [*R, "w"], REFLECTION, (), 4),
    (["r", "t1"], [*R, "w"], [*REFLECTION, T1], (), 5),
    (["r", "p_eq"], [*R, "w"], [*REFLECTION, P_EQ], (), 5),
    (["r", "t1", "p_eq"], [*R, "w"], [*REFLECTION, T1, P_EQ], (), 6),
    (["r", "t1", "p_eq", "loss"], [*R, "w"], [*REFLECTION, T1, P_EQ, LOSS], (), 7),
]


@pytest.mark.parametrize(("kinds", "free", "rows", "held", "rank"), TABLE)
def test_integer_rank_is_the_rank_of_the_jacobian(
    kinds: list[str], free: list[str], rows: list[dict[str, int]], held: tuple[str, ...], rank: int
) -> None:
    # The centre and Gamma_2 come on top of the rows.
    assert parametrisation.integer_rank(rows, held) + 2 == rank
    assert [svd_rank(kinds, free, seed) for seed in range(5)] == [rank] * 5


def test_absorbed_power_determines_the_bare_rate_and_neither_temperature_nor_dephasing() -> None:
    assert parametrisation.determined(ABSORBED, {"b": -1, "c": -1}, DG)
    assert parametrisation.determined(ABSORBED, {"k": 1, "b": -1}, DG)
    assert not any(parametrisation.determined(ABSORBED, name, DG) for name in "bck")


def test_reflection_with_t1_and_population_determines_all_including_the_line() -> None:
    rows = [*REFLECTION, T1, P_EQ]
    assert all(parametrisation.determined(rows, x, ("d",)) for x in ("a", "b", "c", "loss"))


def test_reflection_with_t1_determines_the_drive_scale_and_not_the_loss() -> None:
    rows = [*REFLECTION, T1]
    assert parametrisation.determined(rows, {"a": 1, "b": 1, "c": 1, "loss": 1}, ("d",))
    assert not parametrisation.determined(rows, "loss", ("d",))


def test_a_held_coordinate_counts_as_determined() -> None:
    assert parametrisation.determined([], "d", held=("d",))
    assert not parametrisation.determined([], "d")


def test_rank_is_exact_where_floating_point_is_not() -> None:
    rows = [{"x": 10**20, "y": 1}, {"x": 10**20, "y": 2}]
    assert parametrisation.integer_rank(rows) == 2
    assert parametrisation.integer_rank([{"x": 3, "y": 6}, {"x": 7, "y": 14}, {}]) == 1


def test_a_coefficient_of_zero_is_no_coefficient() -> None:
    assert parametrisation.integer_rank([{"x": 0, "y": 1}, {"x": 0}]) == 1
    assert not parametrisation.determined([{"x": 0, "y": 1}], "x")
