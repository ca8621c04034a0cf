"""What each kind of data determines, row by row of the supplement's section B.

Rows of that table that the built-in models cannot meet, and why:

- uncalibrated population (scale, or offset and scale): no model has a readout scale;
- two channels with occupations of their own, two temperatures, cold line with a warm inside: the
  models have one bath; of "two channels" the split by ``f`` at one temperature is tested;
- p(t) and R(t), temperature series, T1(T): no model of a transient or of temperature;
- total detection with reflection: the reflection model predicts coherent signals only; coherent r
  and |r|² together are refused as one measurement fitted twice.

T1, T2 and population that come from elsewhere enter as priors, so that they are rows of the
Jacobian like any data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import powercal as pc
from powercal.fitting.identifiability import analyse
from powercal.physics.parametrisation import ROWS, integer_rank
from powercal.result import FitResult
from powercal.schema import DeviceTraces
from tests.fitting.systems import (
    DRIVEN,
    F0,
    REFLECTED,
    driven,
    gamma_2,
    problem_of,
    reflected,
    saturation_power,
    sweep,
)

GAIN_DB = 33.0
T1 = 1 / (DRIVEN["gamma_1"] * (1 + 2 * DRIVEN["n_th"]))
P_EQ = DRIVEN["n_th"] / (1 + 2 * DRIVEN["n_th"])
T1_R = 1 / ((REFLECTED["gamma_r"] + REFLECTED["gamma_i"]) * (1 + 2 * REFLECTED["n_th"]))
P_EQ_R = REFLECTED["n_th"] / (1 + 2 * REFLECTED["n_th"])


def about(**means: float) -> dict[str, tuple[float, float]]:
    """Priors at the truth, good to one per cent."""
    return {name: (mean, 0.01 * abs(mean)) for name, mean in means.items()}


@dataclass(frozen=True)
class Row:
    """One row of the table: data, wishes, and what must come out."""

    name: str
    data: Callable[[], DeviceTraces]
    rank: int
    count: int
    ok: tuple[str, ...] = ()
    flat: tuple[str, ...] = ()
    wishes: Mapping[str, Any] = field(default_factory=dict)
    model: str = "finite_temperature"
    truth: Mapping[str, float] = field(default_factory=lambda: DRIVEN)


def absorbed() -> DeviceTraces:
    return driven(DRIVEN, "absorbed_power", seed=11)


def population() -> DeviceTraces:
    return driven(DRIVEN, "excited_population", seed=12)


def both() -> DeviceTraces:
    return driven(DRIVEN, "absorbed_power", "excited_population", seed=13)


def without_gain(*observables: str, **more: Any) -> Callable[[], DeviceTraces]:
    def data() -> DeviceTraces:
        traces = driven(DRIVEN, *observables, seed=14, gain_db=GAIN_DB, **more)
        return pc.to_device_plane(traces, pc.LineCalibration())

    return data


def balance(gain_db: float | None) -> Callable[[], DeviceTraces]:
    def data() -> DeviceTraces:
        traces = pc.simulate(
            "power_balance",
            {"gamma_1": DRIVEN["gamma_1"], "n_th": DRIVEN["n_th"]},
            inputs={"excited_population": np.linspace(0.1, 0.45, 30), "frequency": F0},
            seed=15,
            noise={"absorbed_power": 1e-19 * 10 ** ((gain_db or 0.0) / 10)},
            gain_db=gain_db,
        )
        return pc.to_device_plane(traces, None if gain_db is None else pc.LineCalibration())

    return data


THERMAL = ("gamma_phi", "n_th", "drive_scale")
ALL = ("qubit_frequency", "gamma_1", *THERMAL)
NO_LINE = {"fixed": {"attenuation_db": 0.0}}


def gainless(**more: Any) -> dict[str, Any]:
    return {**NO_LINE, **more}


DRIVEN_ROWS = (
    Row("R", absorbed, 4, 5, ("qubit_frequency", "gamma_1"), THERMAL),
    Row(
        "R + k",
        absorbed,
        5,
        5,
        ALL,
        wishes={"priors": about(drive_scale=DRIVEN["drive_scale"])},
    ),
    Row("R, k fixed", absorbed, 4, 4, ALL[:4], wishes={"fixed": {"drive_scale": 3e29}}),
    Row("R + Γφ", absorbed, 5, 5, ALL, wishes={"priors": about(gamma_phi=1e6)}),
    Row("R + p_eq", absorbed, 5, 5, ALL, wishes={"priors": about(p_eq=P_EQ)}),
    Row("R + p", both, 5, 5, ALL),
    Row("R + T1", absorbed, 5, 5, ALL, wishes={"priors": about(T1=T1)}),
    Row(
        "R + T2",
        absorbed,
        4,
        5,
        ("qubit_frequency", "gamma_1"),
        THERMAL,
        wishes={"priors": about(gamma_2=gamma_2(DRIVEN))},
    ),
    Row(
        "R, g free",
        without_gain("absorbed_power"),
        4,
        6,
        ("qubit_frequency",),
        ("gamma_1", *THERMAL, "gain_db"),
        wishes=gainless(),
    ),
    Row(
        "R + T1, g free",
        without_gain("absorbed_power"),
        5,
        6,
        ("qubit_frequency", "gamma_phi", "drive_scale"),
        ("gamma_1", "n_th", "gain_db"),
        wishes=gainless(priors=about(T1=T1)),
    ),
    Row(
        "R + k, g free",
        without_gain("absorbed_power"),
        5,
        6,
        ("qubit_frequency", "gamma_phi", "drive_scale"),
        ("gamma_1", "n_th", "gain_db"),
        wishes=gainless(priors=about(drive_scale=DRIVEN["drive_scale"])),
    ),
    Row(
        "R + p, g free",
        without_gain("absorbed_power", "excited_population"),
        5,
        6,
        ("qubit_frequency", "n_th"),
        ("gamma_1", "gamma_phi", "drive_scale", "gain_db"),
        wishes=gainless(),
    ),
    Row(
        "R + p + T1, g free",
        without_gain("absorbed_power", "excited_population"),
        6,
        6,
        (*ALL, "gain_db"),
        wishes=gainless(priors=about(T1=T1)),
    ),
    Row(
        "R, line unknown as a whole",
        without_gain("absorbed_power", attenuation_db=50.0),
        4,
        7,
        ("qubit_frequency",),
        ("gamma_1", *THERMAL, "attenuation_db", "gain_db"),
    ),
    Row(
        "R, channels of one temperature",
        lambda: driven(DRIVEN | {"f": 0.3}, model="multi_channel", seed=16),
        4,
        6,
        ("qubit_frequency", "gamma_1"),
        (*THERMAL, "f", "gamma_k", "gamma_rest"),
        model="multi_channel",
        truth=DRIVEN | {"f": 0.3},
    ),
    Row(
        "R + p, channels of one temperature",
        lambda: driven(
            DRIVEN | {"f": 0.3},
            "absorbed_power",
            "excited_population",
            model="multi_channel",
            seed=17,
        ),
        5,
        6,
        ALL,
        ("f", "gamma_k", "gamma_rest"),
        model="multi_channel",
        truth=DRIVEN | {"f": 0.3},
    ),
    Row(
        "p",
        population,
        4,
        5,
        ("qubit_frequency", "n_th", "p_eq", "gamma_2"),
        ("gamma_1", "gamma_phi", "drive_scale", "gamma_1_tot"),
    ),
    Row("p + k", population, 5, 5, ALL, wishes={"priors": about(drive_scale=3e29)}),
    Row("p + Γφ", population, 5, 5, ALL, wishes={"priors": about(gamma_phi=1e6)}),
    Row("p + T1", population, 5, 5, ALL, wishes={"priors": about(T1=T1)}),
    Row("power balance", balance(None), 2, 2, ("gamma_1", "n_th"), model="power_balance"),
    Row(
        "power balance, g free",
        balance(GAIN_DB),
        2,
        3,
        ("n_th", "p_eq"),
        ("gamma_1", "gain_db"),
        model="power_balance",
    ),
)


def one_power(model: Mapping[str, float], at: float = 1.0) -> dict[str, Any]:
    """One power near saturation, a line of 61 frequencies."""
    return {
        "incident_power": np.array([at * saturation_power(model)]),
        "frequency": sweep(model, points=61)["frequency"],
    }


def one_frequency(model: Mapping[str, float]) -> dict[str, Any]:
    """Thirty powers at one frequency, half a line width off resonance."""
    width = gamma_2(model) / (2 * np.pi)
    return {
        "incident_power": sweep(model, powers=30)["incident_power"],
        "frequency": F0 + 0.5 * width,
    }


COLD = REFLECTED | {"n_th": 0.0}
NO_LOSS = REFLECTED | {"gamma_i": 0.0}
WEAK = DRIVEN | {"drive_scale": 1e24}  # s = 1e-9 at powers that the schema takes for possible
LESS = REFLECTED | {"manifold_weight": 0.8}
WIDE = ("gamma_i", "gamma_phi", "n_th", "attenuation_db")
SETUP = {"setup": "device", "convention": "+i"}


def reflection_row(
    name: str, rank: int, count: int, ok: tuple[str, ...], flat: tuple[str, ...], **more: Any
) -> Row:
    truth = more.pop("truth", REFLECTED)
    observable = more.pop("observable", "reflection")
    inputs = more.pop("inputs", None)
    noise = more.pop("noise", 2e-3)
    free = more.pop("free", WIDE)
    return Row(
        name,
        lambda: reflected(truth, observable, seed=21, noise=noise, inputs=inputs),
        rank,
        count,
        ok,
        flat,
        wishes={"free": free, **SETUP, **more},
        model="reflection",
        truth=truth,
    )


CURVE = ("qubit_frequency", "gamma_2", "reflection_depth", "saturation_power")
INNER = ("gamma_r", *WIDE)
REFLECTION_ROWS = (
    reflection_row("r", 4, 6, CURVE, INNER),
    reflection_row("|r|²", 4, 6, CURVE, INNER, observable="reflected_power"),
    reflection_row(
        "r + T1",
        5,
        6,
        (*CURVE, "gamma_phi", "gamma_1_tot"),
        ("gamma_r", "gamma_i", "n_th", "attenuation_db"),
        priors=about(T1=T1_R),
    ),
    reflection_row(
        "|r|² + T1",
        5,
        6,
        (*CURVE, "gamma_phi", "gamma_1_tot"),
        ("gamma_r", "gamma_i", "n_th", "attenuation_db"),
        observable="reflected_power",
        priors=about(T1=T1_R),
    ),
    reflection_row(
        "r + p",
        5,
        6,
        (*CURVE, "n_th", "gamma_r"),
        ("gamma_i", "gamma_phi", "attenuation_db"),
        priors=about(p_eq=P_EQ_R),
    ),
    reflection_row(
        "r + T1 + p",
        6,
        6,
        (*CURVE, *INNER),
        (),
        priors={"T1": (T1_R, 1e-3 * T1_R), **about(p_eq=P_EQ_R)},
    ),
    reflection_row(
        "r + T1 + attenuation",
        6,
        6,
        (*CURVE, *INNER),
        (),
        priors={"T1": (T1_R, 1e-3 * T1_R), "attenuation_db": (70.0, 0.02)},
    ),
    reflection_row(
        "r + attenuation",
        5,
        6,
        CURVE,
        ("gamma_r", "gamma_i", "gamma_phi", "n_th"),
        priors={"attenuation_db": (70.0, 0.02)},
    ),
    reflection_row(
        "r at T = 0",
        4,
        5,
        (*CURVE, "gamma_r"),
        ("gamma_i", "gamma_phi", "attenuation_db"),
        truth=COLD,
        free=("gamma_i", "gamma_phi", "attenuation_db"),
    ),
    reflection_row(
        "r at T = 0 + T1",
        5,
        5,
        (*CURVE, "gamma_r", "gamma_i", "gamma_phi", "attenuation_db"),
        (),
        truth=COLD,
        free=("gamma_i", "gamma_phi", "attenuation_db"),
        priors=about(T1=1 / 7e6),
    ),
    reflection_row(
        "r at T = 0 + attenuation",
        5,
        5,
        (*CURVE, "gamma_r", "gamma_i", "gamma_phi", "attenuation_db"),
        (),
        truth=COLD,
        free=("gamma_i", "gamma_phi", "attenuation_db"),
        priors={"attenuation_db": (70.0, 0.02)},
    ),
    reflection_row(
        "r, w free",
        4,
        7,
        CURVE,
        (*INNER, "manifold_weight"),
        truth=LESS,
        free=(*WIDE, "manifold_weight"),
    ),
    reflection_row(
        "r, w free, + T1",
        5,
        7,
        (*CURVE, "gamma_phi"),
        ("gamma_r", "gamma_i", "n_th", "attenuation_db", "manifold_weight"),
        truth=LESS,
        free=(*WIDE, "manifold_weight"),
        priors=about(T1=T1_R),
    ),
    reflection_row(
        "r, w free, + p",
        5,
        7,
        (*CURVE, "n_th"),
        ("gamma_r", "gamma_i", "gamma_phi", "attenuation_db", "manifold_weight"),
        truth=LESS,
        free=(*WIDE, "manifold_weight"),
        priors=about(p_eq=P_EQ_R),
    ),
    reflection_row(
        "r, w free, + T1 + p",
        6,
        7,
        (*CURVE, "n_th", "gamma_1", "gamma_phi"),
        ("gamma_r", "gamma_i", "attenuation_db", "manifold_weight"),
        truth=LESS,
        free=(*WIDE, "manifold_weight"),
        priors=about(T1=T1_R, p_eq=P_EQ_R),
    ),
    reflection_row(
        "r, w free, + T1 + p + attenuation",
        7,
        7,
        (*CURVE, *INNER, "manifold_weight"),
        (),
        truth=LESS,
        free=(*WIDE, "manifold_weight"),
        priors={
            "T1": (T1_R, 1e-3 * T1_R),
            "p_eq": (P_EQ_R, 1e-3 * P_EQ_R),
            "attenuation_db": (70.0, 0.02),
        },
    ),
)

FEWER_ROWS = (
    Row(
        "one power: R",
        lambda: driven(DRIVEN, inputs=one_power(DRIVEN), seed=31),
        3,
        5,
        ("qubit_frequency",),
        ("gamma_1", *THERMAL),
    ),
    Row(
        "one power: p",
        lambda: driven(DRIVEN, "excited_population", inputs=one_power(DRIVEN), seed=32),
        4,
        5,
        ("qubit_frequency", "n_th"),
        ("gamma_1", "gamma_phi", "drive_scale"),
    ),
    reflection_row(
        "one power: r", 4, 6, ("qubit_frequency",), INNER, inputs=one_power(REFLECTED), noise=1e-3
    ),
    reflection_row(
        "one power: |r|² (ill)",
        4,
        6,
        ("qubit_frequency",),
        INNER,
        inputs=one_power(REFLECTED),
        observable="reflected_power",
        noise=1e-4,
        # At one power |r|² has an exact twin (other Γ₂, ρ, P_s, the same curve): stay on this one.
        start=REFLECTED,
    ),
    Row(
        "one frequency: R",
        lambda: driven(DRIVEN, inputs=one_frequency(DRIVEN), seed=33),
        2,
        5,
        ("gamma_1",),
        ("qubit_frequency", *THERMAL),
    ),
    Row(
        "one frequency: p",
        lambda: driven(DRIVEN, "excited_population", inputs=one_frequency(DRIVEN), seed=34),
        2,
        5,
        ("n_th", "p_eq"),
        ("qubit_frequency", "gamma_1", "gamma_phi", "drive_scale"),
    ),
    Row(
        "linear regime: R",
        lambda: driven(
            WEAK,
            inputs={
                "incident_power": saturation_power(WEAK) * np.array([1e-9, 2e-9]),
                "frequency": sweep(WEAK, points=41)["frequency"],
            },
            noise=1e-11,
            seed=35,
        ),
        3,
        5,
        ("qubit_frequency", "gamma_2"),
        ("gamma_1", *THERMAL),
        truth=WEAK,
    ),
)


def run(row: Row, **more: Any) -> FitResult:
    wishes = dict(row.wishes)
    return pc.fit(row.data(), row.model, **{**wishes, **more})


def truth_of(row: Row, name: str) -> float:
    return quantity({"gain_db": GAIN_DB, "attenuation_db": 50.0, **row.truth}, name)


def quantity(values: Mapping[str, float], name: str) -> float:
    """A parameter of a truth, or what follows from it."""
    if name in values:
        return float(values[name])
    gamma_1 = values.get("gamma_1", 0.0) or values["gamma_r"] + values["gamma_i"]
    thermal = 1 + 2 * values["n_th"]
    weight = values.get("manifold_weight", 1.0)
    found = {
        "gamma_1": lambda: gamma_1,
        "gamma_2": lambda: gamma_2(values),
        "gamma_1_tot": lambda: gamma_1 * thermal,
        "T1": lambda: 1 / (gamma_1 * thermal),
        "p_eq": lambda: values["n_th"] / thermal,
        "reflection_depth": lambda: weight * values["gamma_r"] / (thermal * gamma_2(values)),
        "saturation_power": lambda: saturation_power(values),
        "gamma_k": lambda: values["f"] * gamma_1,
        "gamma_rest": lambda: (1 - values["f"]) * gamma_1,
    }
    return float(found[name]())


ROWS_OF_B = (*DRIVEN_ROWS, *REFLECTION_ROWS, *FEWER_ROWS)


@pytest.mark.parametrize("row", ROWS_OF_B, ids=lambda row: row.name)
def test_the_rank_is_that_of_the_table(row: Row) -> None:
    """At the truth: a fit may end anywhere in its valley, the truth is inside the bounds."""
    truth = {"gain_db": GAIN_DB, "attenuation_db": 50.0, **row.truth}
    problem, x = problem_of(row.data(), row.model, truth, **row.wishes)
    found = analyse(problem.jacobian(x))
    assert (found.rank, len(problem.coordinates)) == (row.rank, row.count)
    assert found.null.shape[1] == row.count - row.rank


# Only 1e-11 of noise shows the linear regime its rank; lmfit then takes twenty seconds.
@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, id=row.name, marks=[pytest.mark.statistics] * ("linear" in row.name))
        for row in ROWS_OF_B
    ],
)
def test_a_quick_fit_says_what_is_determined(row: Row) -> None:
    result = run(row, intervals="covariance")
    assert result.chi2 < result.nfree + 5 * result.chi2_spread, "the fit ended in a wrong valley"
    for name in row.ok:
        check_determined(row, result, name)
    for name in row.flat:
        found = result[name]
        assert (found.status, found.value, found.stderr) == ("undetermined", None, None), found


# Profiles take seconds; the quick fits above judge every row, and these are of every sort.
IN_EVERY_RUN = {
    "R",
    "R + p",
    "R, g free",
    "R + T1",
    "p",
    "r",
    "power balance, g free",
}


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(
            row,
            id=row.name,
            marks=[] if row.name in IN_EVERY_RUN else [pytest.mark.statistics],
        )
        for row in ROWS_OF_B
    ],
)
def test_a_fit_confines_what_is_not_determined(row: Row) -> None:
    result = run(row)
    for name in row.ok:
        check_determined(row, result, name)
    for name in row.flat:
        found, truth = result[name], truth_of(row, name)
        assert (found.status, found.value, found.stderr) == ("undetermined", None, None), found
        assert found.allowed is not None
        assert found.allowed[0] <= truth <= found.allowed[1], f"{truth} not in {found}"
    assert result.verdicts["identifiable"] == (not row.flat)


def check_determined(row: Row, result: FitResult, name: str) -> None:
    found = result[name]
    assert found.status == "ok", found
    assert found.value is not None
    assert found.stderr is not None
    assert abs(found.value - truth_of(row, name)) < 4.5 * found.stderr, found


# ---- integer rank against the SVD ----

R = (ROWS["absorbed_height"], ROWS["absorbed_saturation"])
P = (ROWS["population"], ROWS["absorbed_saturation"])
REFLECTION = (ROWS["reflection_depth"], ROWS["reflection_saturation"])
WITH_T1, WITH_P = (ROWS["t1"],), (ROWS["population"],)
KNOWN = {"k": {"k": 1}, "c": {"c": 1}, "loss": {"loss": 1}}

# name: (integer rows, coordinates held, free parameters beyond the default, priors)
DRIVEN_SETS: dict[str, tuple[Any, tuple[str, ...], str, tuple[str, ...]]] = {
    "R": (R, ("d", "g"), "R", ()),
    "R + k": ((*R, KNOWN["k"]), ("d", "g"), "R", ("drive_scale",)),
    "R + T1": ((*R, *WITH_T1), ("d", "g"), "R", ("T1",)),
    "R + T2": (R, ("d", "g"), "R", ("gamma_2",)),
    "R + p": ((*R, *WITH_P), ("d", "g"), "Rp", ()),
    "p": (P, (), "p", ()),
    "p + T1": ((*P, *WITH_T1), (), "p", ("T1",)),
    "R, gain": (R, ("d",), "Rg", ()),
    "R + T1, gain": ((*R, *WITH_T1), ("d",), "Rg", ("T1",)),
    "R + p, gain": ((*R, *WITH_P), ("d",), "Rpg", ()),
    "R + p + T1, gain": ((*R, *WITH_P, *WITH_T1), ("d",), "Rpg", ("T1",)),
}
REFLECTION_SETS: dict[str, tuple[Any, tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "r": (REFLECTION, ("d",), WIDE, ()),
    "r + T1": ((*REFLECTION, *WITH_T1), ("d",), WIDE, ("T1",)),
    "r + p": ((*REFLECTION, *WITH_P), ("d",), WIDE, ("p_eq",)),
    "r + T1 + p": ((*REFLECTION, *WITH_T1, *WITH_P), ("d",), WIDE, ("T1", "p_eq")),
    "r + loss": ((*REFLECTION, KNOWN["loss"]), ("d",), WIDE, ("attenuation_db",)),
    "r, cold": (REFLECTION, ("b", "d"), ("gamma_i", "gamma_phi", "attenuation_db"), ()),
    "r, w": (REFLECTION, (), (*WIDE, "manifold_weight"), ()),
    "r, w + T1 + p": (
        (*REFLECTION, *WITH_T1, *WITH_P),
        (),
        (*WIDE, "manifold_weight"),
        ("T1", "p_eq"),
    ),
}
SYSTEMS = [10, pytest.param(30, marks=pytest.mark.statistics)]


def random_driven(rng: np.random.Generator) -> dict[str, float]:
    gamma_1 = 10 ** rng.uniform(5.5, 7.5)
    return {
        "qubit_frequency": F0,
        "gamma_1": gamma_1,
        "gamma_phi": gamma_1 * 10 ** rng.uniform(-1, 0.5),
        "n_th": 10 ** rng.uniform(-2, 0),
        "drive_scale": 10 ** rng.uniform(28, 31),
    }


def random_reflected(rng: np.random.Generator) -> dict[str, float]:
    gamma_r = 10 ** rng.uniform(5.5, 7.5)
    return {
        "qubit_frequency": F0,
        "gamma_r": gamma_r,
        "gamma_i": gamma_r * 10 ** rng.uniform(-1, 0.3),
        "gamma_phi": gamma_r * 10 ** rng.uniform(-1, 0.3),
        "n_th": 10 ** rng.uniform(-2, -0.3),
        "manifold_weight": rng.uniform(0.5, 0.95),
        "attenuation_db": rng.uniform(40, 80),
    }


@pytest.mark.parametrize("systems", SYSTEMS)
@pytest.mark.parametrize("name", DRIVEN_SETS)
def test_the_integer_rank_is_the_svd_rank_of_driven_sweeps(name: str, systems: int) -> None:
    rows, held, data, priors = DRIVEN_SETS[name]
    wanted = integer_rank(rows, held) + 2  # Γ₂ and the centre on top
    rng = np.random.default_rng([41, len(name)])
    for _ in range(systems):
        truth = random_driven(rng)
        names = [
            n for key, n in (("R", "absorbed_power"), ("p", "excited_population")) if key in data
        ]
        gain = {"gain_db": GAIN_DB} if "g" in data else {}
        traces = driven(truth, *names, inputs=sweep(truth, 6, 11), **gain)
        if gain:
            traces = pc.to_device_plane(traces, pc.LineCalibration())
        means = {n: quantity(truth, n) for n in priors}
        wishes: dict[str, Any] = {"priors": {n: (m, 0.01 * m) for n, m in means.items()}}
        wishes |= NO_LINE if gain else {}
        problem, x = problem_of(traces, "finite_temperature", {**truth, **gain}, **wishes)
        assert analyse(problem.jacobian(x)).rank == wanted, (name, truth)


@pytest.mark.parametrize("systems", SYSTEMS)
@pytest.mark.parametrize("name", REFLECTION_SETS)
def test_the_integer_rank_is_the_svd_rank_of_reflection_sweeps(name: str, systems: int) -> None:
    rows, held, free, priors = REFLECTION_SETS[name]
    wanted = integer_rank(rows, held) + 2
    rng = np.random.default_rng([42, len(name)])
    for _ in range(systems):
        truth = random_reflected(rng)
        truth["n_th"] *= "n_th" in free
        truth["manifold_weight"] = truth["manifold_weight"] if "manifold_weight" in free else 1.0
        traces = reflected(truth, inputs=sweep(truth, 6, 11))
        means = {n: quantity(truth, n) for n in priors}
        problem, x = problem_of(
            traces,
            "reflection",
            truth,
            free=free,
            priors={n: (m, 0.01 * m) for n, m in means.items()},
            **SETUP,
        )
        assert analyse(problem.jacobian(x)).rank == wanted, (name, truth)
