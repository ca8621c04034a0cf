"""The log-linear coordinates: exact intervals against random systems and a linear programme."""

from itertools import combinations

import numpy as np
import pytest

from powercal.physics import detection, parametrisation
from powercal.physics.constants import HBAR

OMEGA = 2 * np.pi * 6e9
SUBSETS = [held for size in range(5) for held in combinations("abcd", size)]


def random_parameters(seed: int, count: int) -> dict[str, np.ndarray]:
    """Draw systems in which each imperfection is absent, small or large."""
    rng = np.random.default_rng(seed)

    def some() -> np.ndarray:
        return 10.0 ** rng.uniform(-3, 0.5, count) * rng.integers(0, 2, count)

    gamma_r = 10.0 ** rng.uniform(5, 7.5, count)
    weight = np.exp(-some())
    return {
        "gamma_r": gamma_r, "gamma_i": gamma_r * some(), "n_th": some(),
        "gamma_phi": gamma_r * some(), "weight": weight,
        "attenuation_db": rng.uniform(0, 150, count),
    }  # fmt: skip


def complete(q: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Add what follows from the parameters, through the physics functions."""
    gamma_1 = q["gamma_r"] + q["gamma_i"]
    total = gamma_1 * (1 + 2 * q["n_th"])
    p_eq = q["n_th"] / (1 + 2 * q["n_th"])
    gamma_2 = total / 2 + q["gamma_phi"]
    device = detection.saturation_power(q["gamma_r"], OMEGA, total, gamma_2)
    return q | {
        "gamma_1": gamma_1, "gamma_1_tot": total, "p_eq": p_eq, "gamma_2": gamma_2,
        "rho": detection.reflection_depth(q["gamma_r"], p_eq, gamma_2, q["weight"]),
        "saturation": device * 10 ** (q["attenuation_db"] / 10),
    }  # fmt: skip


def from_coordinates(a: float, b: float, c: float, d: float) -> dict[str, np.ndarray]:
    """Build the system with Gamma_2 = 1 at given coordinates."""
    gamma_1_tot = 2 * np.exp(-c)
    gamma_1 = gamma_1_tot * np.exp(-b)
    gamma_r = gamma_1 * np.exp(-a)
    values = (gamma_r, gamma_1 - gamma_r, np.expm1(b) / 2, 1 - gamma_1_tot / 2, np.exp(-d), 0.0)
    names = ("gamma_r", "gamma_i", "n_th", "gamma_phi", "weight", "attenuation_db")
    return complete({k: np.asarray(v) for k, v in zip(names, values, strict=True)})


SCALES = {"attenuation_db": 1.0, "p_eq": 1.0, "weight": 1.0}


def slack(name: str, q: dict[str, np.ndarray]) -> np.ndarray:
    """Return what rounding allows: an ulp or two of the natural scale of the parameter."""
    if name == "n_th":
        return 1e-13 * (1 + q["n_th"])
    return 1e-12 * SCALES[name] if name in SCALES else 1e-13 * q["gamma_2"]


def test_every_random_system_lies_inside_the_intervals_of_its_reflection() -> None:
    q = complete(random_parameters(51, 10_000))
    allowed = parametrisation.reflection_intervals(q["gamma_2"], q["rho"], q["saturation"], OMEGA)
    assert set(allowed) == {
        "gamma_r", "gamma_i", "gamma_1", "gamma_1_tot", "gamma_phi", "p_eq", "n_th", "weight",
        "attenuation_db",
    }  # fmt: skip
    for name, (low, high) in allowed.items():
        room = slack(name, q)
        assert np.all(low - room <= q[name]), name
        assert np.all(q[name] <= high + room), name


@pytest.mark.parametrize("held", SUBSETS, ids="".join)
def test_with_some_imperfections_absent_the_system_still_lies_inside(held: tuple[str, ...]) -> None:
    q = random_parameters(52, 2000)
    absent = {"a": "gamma_i", "b": "n_th", "c": "gamma_phi"}
    q |= {absent[name]: 0 * q["n_th"] for name in held if name in absent}
    if "d" in held:
        q["weight"] = 1 + 0 * q["n_th"]
    q = complete(q)
    allowed = parametrisation.reflection_intervals(
        q["gamma_2"], q["rho"], q["saturation"], OMEGA, held
    )
    for name, (low, high) in allowed.items():
        room = slack(name, q)
        assert np.all(low - room <= q[name]), name
        assert np.all(q[name] <= high + room), name


@pytest.mark.parametrize("held", SUBSETS[:-1], ids="".join)
def test_the_ends_of_every_interval_are_reached_by_a_system(held: tuple[str, ...]) -> None:
    depth = 0.9
    free = [name for name in "abcd" if name not in held]
    corners = [
        from_coordinates(**{k: depth / (2 if k == "b" else 1) * (k == top) for k in "abcd"})
        for top in free
    ]
    first = corners[0]
    for other in corners:
        assert other["gamma_2"] == pytest.approx(1.0, rel=1e-15)
        assert other["rho"] == pytest.approx(2 * np.exp(-depth), rel=1e-14)
    allowed = parametrisation.reflection_intervals(
        1.0, first["rho"], first["saturation"], OMEGA, held
    )
    for name, (low, high) in allowed.items():
        # The line loss of a corner makes up for its different saturation power at the device.
        values = [
            10 * np.log10(first["saturation"] / q["saturation"])
            if name == "attenuation_db"
            else q[name]
            for q in corners
        ]
        np.testing.assert_allclose([low, high], [min(values), max(values)], rtol=0, atol=1e-13)


@pytest.mark.parametrize("held", SUBSETS[:-1], ids="".join)
def test_linear_ends_are_those_of_the_linear_programme(held: tuple[str, ...]) -> None:
    depth, saturation = 0.9, 40.0
    rows = [parametrisation.ROWS["reflection_depth"], parametrisation.ROWS["reflection_saturation"]]
    rows += [{name: 1} for name in held]
    values = [depth, saturation] + [0.0] * len(held)
    power = np.exp(saturation) * HBAR * OMEGA / 4
    allowed = parametrisation.reflection_intervals(1.0, 2 * np.exp(-depth), power, OMEGA, held)

    def programme(**objective: int) -> np.ndarray:
        return np.array(parametrisation.coordinate_interval(rows, values, objective))

    # HiGHS meets its constraints to 1e-9 or better.
    expected = {
        "gamma_r": 2 * np.exp(programme(a=-1, b=-1, c=-1)),
        "gamma_1": 2 * np.exp(programme(b=-1, c=-1)),
        "gamma_1_tot": 2 * np.exp(programme(c=-1)),
        "n_th": np.expm1(programme(b=1)) / 2,
        "weight": np.exp(programme(d=-1)),
        "attenuation_db": programme(loss=1) * 10 / np.log(10),
    }
    for name, ends in expected.items():
        np.testing.assert_allclose(allowed[name], ends, atol=1e-7, err_msg=name)


def test_internal_loss_interval_is_that_of_a_dense_search() -> None:
    rng = np.random.default_rng(53)
    depth = 0.9
    share = rng.dirichlet([0.4] * 4, 200_000) * depth
    a, b, c, _ = (share / [1, 2, 1, 1]).T
    values = 2 * np.exp(-b - c) * -np.expm1(-a)
    low, high = parametrisation.reflection_intervals(1.0, 2 * np.exp(-depth), 1.0, OMEGA)["gamma_i"]
    assert low == 0
    assert np.max(values) <= high
    assert np.max(values) > 0.999 * high


def test_the_closed_forms_of_the_supplement_hold() -> None:
    gamma_2, rho = 3.0, 1.3
    allowed = parametrisation.reflection_intervals(gamma_2, rho, 1e-12, OMEGA)
    expected = {
        "gamma_r": (rho * gamma_2, 2 * gamma_2),
        "gamma_i": (0, gamma_2 * (2 - rho)),
        "gamma_1": (rho * gamma_2, 2 * gamma_2),
        "gamma_1_tot": (rho * gamma_2, 2 * gamma_2),
        "gamma_phi": (0, gamma_2 * (1 - rho / 2)),
        "p_eq": (0, (1 - np.sqrt(rho / 2)) / 2),
        "n_th": (0, (np.sqrt(2 / rho) - 1) / 2),
        "weight": (rho / 2, 1),
    }
    for name, ends in expected.items():
        np.testing.assert_allclose(allowed[name], ends, atol=1e-14, err_msg=name)
    low, high = allowed["attenuation_db"]
    assert high - low == pytest.approx(10 * np.log10(2 / rho), rel=1e-12)


def test_the_real_sweep_of_the_supplement_gives_its_intervals() -> None:
    mega = 2 * np.pi * 1e6
    allowed = parametrisation.reflection_intervals(0.9253 * mega, 1.596, 2.51e-3, OMEGA)
    # Written to the last digit of the supplement.
    np.testing.assert_allclose(np.array(allowed["gamma_r"]) / mega, [1.477, 1.851], atol=6e-4)
    assert allowed["n_th"].high == pytest.approx(0.060, abs=6e-4)
    assert allowed["gamma_phi"].high / mega == pytest.approx(0.187, abs=6e-4)
    assert allowed["weight"].low == pytest.approx(0.798, abs=6e-4)
    assert np.diff(allowed["attenuation_db"]) == pytest.approx(0.98, abs=6e-3)


def test_a_known_t1_narrows_the_intervals_and_keeps_every_system_inside() -> None:
    q = complete(random_parameters(54, 2000))
    c = np.log(2 * q["gamma_2"] / q["gamma_1_tot"])
    arguments = (q["gamma_2"], q["rho"], q["saturation"], OMEGA)
    wide = parametrisation.reflection_intervals(*arguments)
    narrow = parametrisation.reflection_intervals(*arguments, held={"c": c})
    for name, (low, high) in narrow.items():
        room = slack(name, q)
        assert np.all((low - room <= q[name]) & (q[name] <= high + room)), name
        assert np.all((low >= wide[name].low - room) & (high <= wide[name].high + room)), name
    np.testing.assert_allclose(narrow["gamma_1_tot"].low, q["gamma_1_tot"], rtol=1e-13)


def test_a_depth_above_two_has_no_system() -> None:
    allowed = parametrisation.reflection_intervals(1.0, [1.0, 2.1], 1.0, OMEGA)
    for low, high in allowed.values():
        np.testing.assert_array_equal(np.isnan([low, high]), [[False, True]] * 2)


def test_nothing_left_free_needs_the_full_depth() -> None:
    allowed = parametrisation.reflection_intervals(1.0, [1.0, 2.0], 1.0, OMEGA, held="abcd")
    np.testing.assert_array_equal(allowed["gamma_r"].low, [np.nan, 2.0])
    np.testing.assert_array_equal(allowed["gamma_r"].high, [np.nan, 2.0])


def test_an_unknown_coordinate_cannot_be_held() -> None:
    with pytest.raises(ValueError, match="wanted a subset of a, b, c, d"):
        parametrisation.reflection_intervals(1.0, 1.0, 1.0, OMEGA, held=("loss",))


def test_every_random_system_lies_inside_the_intervals_of_its_absorbed_power() -> None:
    q = complete(random_parameters(55, 10_000))
    drive = detection.drive_scale(q["gamma_r"], OMEGA, "end_of_line")
    q["drive_scale"] = drive
    allowed = parametrisation.absorbed_intervals(
        q["gamma_1"], q["gamma_2"], drive / (1 + 2 * q["n_th"])
    )
    for name, (low, high) in allowed.items():
        room = 1e-12 * drive if name == "drive_scale" else slack(name, q)
        assert np.all((low - room <= q[name]) & (q[name] <= high + room)), name


def test_the_ends_of_the_absorbed_intervals_are_a_cold_and_an_undephased_system() -> None:
    allowed = parametrisation.absorbed_intervals(2.0, 5.0, 7.0)
    ends = {name: [float(end) for end in interval] for name, interval in allowed.items()}
    # Cold: n = 0, Gamma_phi = 5 - 1. Without dephasing: 1 + 2n = 10/2.
    assert ends == {
        "n_th": [0.0, 2.0],
        "p_eq": [0.0, 0.4],
        "gamma_1_tot": [2.0, 10.0],
        "gamma_phi": [0.0, 4.0],
        "drive_scale": [7.0, 35.0],
    }


def test_a_line_narrower_than_its_rate_has_no_system() -> None:
    assert np.all(np.isnan(parametrisation.absorbed_intervals(2.0, 0.9, 1.0)["n_th"]))


def test_population_alone_bounds_the_rate_by_the_width() -> None:
    q = complete(random_parameters(56, 10_000))
    drive = detection.drive_scale(q["gamma_r"], OMEGA, "end_of_line")
    q["drive_scale"] = drive
    allowed = parametrisation.population_intervals(
        q["gamma_2"], q["p_eq"], drive / q["gamma_1_tot"]
    )
    for name, (low, high) in allowed.items():
        room = 1e-12 * drive if name == "drive_scale" else slack(name, q)
        assert np.all((low <= q[name]) & (q[name] <= high + room)), name
    assert parametrisation.population_intervals(3.0, 0.0, 1.0)["gamma_1_tot"] == (0.0, 6.0)


def test_the_rows_say_what_the_coordinates_make_of_the_data() -> None:
    q = complete(random_parameters(57, 1000))
    a, b, c, d = parametrisation.log_coordinates(
        q["gamma_r"], q["gamma_i"], q["n_th"], q["gamma_phi"], q["weight"]
    )
    loss = q["attenuation_db"] * np.log(10) / 10
    k = np.log(detection.drive_scale(q["gamma_r"], OMEGA, "end_of_line")) - loss
    at = {"a": a, "b": b, "c": c, "d": d, "loss": loss, "k": k, "g": 0 * a}
    assert all(np.all(at[name] >= 0) for name in "abcd")
    gamma_2 = q["gamma_2"]
    data = {
        "reflection_depth": np.log(2 / q["rho"]),
        "reflection_saturation": np.log(4 * q["saturation"] / (HBAR * OMEGA * gamma_2)),
        "t1": np.log(q["gamma_1_tot"] / (2 * gamma_2)),
        "population": np.log(1 - 2 * q["p_eq"]),
        "absorbed_height": np.log(q["weight"] * q["gamma_1"] / (2 * gamma_2)),
        "absorbed_saturation": np.log(q["saturation"] / (2 * gamma_2**2)),
        "total_detection": np.log(
            detection.emission_share(q["gamma_r"], q["n_th"], q["gamma_1_tot"])
        ),
    }
    assert set(data) == set(parametrisation.ROWS)
    for name, value in data.items():
        made = sum(count * at[key] for key, count in parametrisation.ROWS[name].items())
        # Logarithms of watts are of the order 50.
        np.testing.assert_allclose(made, value, rtol=0, atol=1e-12, err_msg=name)


def test_total_detection_fraction_is_two_rho_times_one_minus_eta() -> None:
    q = complete(random_parameters(58, 200) | {"weight": np.ones(200)})
    power = q["saturation"] * 0.7 / 10 ** (q["attenuation_db"] / 10)
    rabi_squared = detection.drive_scale(q["gamma_r"], OMEGA, "end_of_line") * power
    s = rabi_squared / (q["gamma_1_tot"] * q["gamma_2"])
    rate = q["gamma_1"] / 2 * s / (1 + s)
    eta = detection.emission_share(q["gamma_r"], q["n_th"], q["gamma_1_tot"])
    seen = detection.total_power_difference(OMEGA, rate, q["gamma_r"], q["n_th"], q["gamma_1_tot"])
    np.testing.assert_allclose(seen / power, 2 * q["rho"] * (1 - eta) / 1.7, rtol=1e-11)


def test_an_unbounded_direction_is_reported_as_unbounded() -> None:
    rows = [parametrisation.ROWS["reflection_saturation"]]
    assert parametrisation.coordinate_interval(rows, [3.0], {"a": 1}) == (0.0, np.inf)


def test_contradictory_data_have_no_interval() -> None:
    rows = [parametrisation.ROWS["t1"]]
    assert np.all(np.isnan(parametrisation.coordinate_interval(rows, [0.5], {"c": 1})))
