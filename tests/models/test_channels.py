"""Several baths: their heats add up, their shares may leave 0…1, and power alone splits nothing."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import powercal as pc
from powercal.errors import ContractError
from powercal.physics import bloch, energy, thermal
from powercal.physics import detection as physics
from powercal.physics.constants import HBAR

TWO_PI = 2 * np.pi
NAMES = ("line", "tls", "qp")
RNG = np.random.default_rng(0)
COUNT = 100
F0 = 5e9 + 1e9 * RNG.uniform(-1, 1, COUNT)
RATES = {f"gamma_{k}": 10 ** RNG.uniform(4, 6, COUNT) for k in NAMES}
OCCUPATIONS = {f"n_{k}": RNG.exponential(0.3, COUNT) for k in NAMES}
GAMMA = np.stack([RATES[f"gamma_{k}"] for k in NAMES], axis=-1)
WARM = np.stack([OCCUPATIONS[f"n_{k}"] for k in NAMES], axis=-1)
TOTAL = bloch.total_relaxation_rate(GAMMA, WARM)
P_EQ = bloch.equilibrium_population(GAMMA, WARM)
GAMMA_PHI = TOTAL * RNG.exponential(0.3, COUNT)
GAMMA_2 = bloch.dephased_rate(TOTAL, GAMMA_PHI)
SCALE = np.full(COUNT, 1e30)
DELTA = GAMMA_2 * RNG.normal(0, 2, COUNT)
FREQUENCY = F0 + DELTA / TWO_PI
DELTA = TWO_PI * (FREQUENCY - F0)  # as the curve sees it
POWER = TOTAL * GAMMA_2 / SCALE * 10 ** RNG.uniform(-1, 2, COUNT)
VALUES = {"qubit_frequency": F0, "gamma_phi": GAMMA_PHI, "drive_scale": SCALE}
VALUES |= RATES | OCCUPATIONS


def model(*names: str, **options: str) -> pc.Model:
    options = {"detection": "absorbed", **options}
    return pc.get_model("channels").configure(channels=",".join(names or NAMES), **options)


def heats(**options: str) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
    """Return R_total and the heat into every channel: the first one named is the one seen."""
    found, total = {}, np.zeros(COUNT)
    for order in itertools.islice(itertools.permutations(NAMES), 0, None, 2):
        total, _, _, heat = model(*order, **options).curve(POWER, FREQUENCY, **VALUES)
        found[order[0]] = heat
    return total, found


def test_the_heats_of_all_channels_and_of_dephasing_are_the_absorbed_power() -> None:
    total, heat = heats()
    photons = total / (HBAR * TWO_PI * FREQUENCY)
    dephasing = energy.dephasing_power(DELTA, photons, GAMMA_PHI, GAMMA_2)
    # Heat leaks cancel in the sum: compare with the gross flow.
    gross = sum(np.abs(h) for h in heat.values())
    assert np.max(np.abs(sum(heat.values()) + dephasing - total) / gross) < 1e-13


def test_the_heat_of_one_channel_is_the_formula_of_the_physics_room() -> None:
    rabi = np.sqrt(SCALE * POWER)
    photons = bloch.photon_rate(DELTA, rabi, GAMMA.sum(axis=-1), TOTAL, GAMMA_2)
    population = bloch.excited_population(DELTA, rabi, TOTAL, GAMMA_2, P_EQ)
    _, heat = heats()
    for i, k in enumerate(NAMES):
        formula = energy.channel_power(
            TWO_PI * F0, DELTA, photons, population, GAMMA[:, i], WARM[:, i], GAMMA_2
        )
        size = HBAR * TWO_PI * F0 * GAMMA[:, i] * (1 + 2 * WARM[:, i])
        # The formula subtracts p(1+2n) − n; the curve does not.
        assert np.max(np.abs(heat[k] - formula) / size) < 1e-14


def test_channels_of_one_temperature_are_one_bath() -> None:
    same = {f"n_{k}": np.full(COUNT, 0.07) for k in NAMES}
    several = model().curve(POWER, FREQUENCY, **(VALUES | same))
    one = pc.get_model("finite_temperature").configure(detection="absorbed")
    values = {n: VALUES[n] for n in ("qubit_frequency", "gamma_phi", "drive_scale")}
    alone = one.curve(POWER, FREQUENCY, **values, gamma_1=GAMMA.sum(axis=-1), n_th=0.07)
    for mine, theirs in zip(several, alone, strict=False):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)


@pytest.mark.parametrize("seen", ["coherent", "total"])
def test_the_first_channel_is_the_line_that_is_detected(seen: str) -> None:
    same = {f"n_{k}": np.full(COUNT, 0.07) for k in NAMES}
    several = model(detection=seen).curve(POWER, FREQUENCY, **(VALUES | same))
    one = pc.get_model("finite_temperature").configure(detection=seen)
    values = {n: VALUES[n] for n in ("qubit_frequency", "gamma_phi", "drive_scale")}
    values |= {"gamma_1": GAMMA.sum(axis=-1), "gamma_r": RATES["gamma_line"]}
    alone = one.curve(POWER, FREQUENCY, **values, n_th=np.full(COUNT, 0.07))
    np.testing.assert_allclose(several[0], alone[0], rtol=1e-12)


def test_detected_powers_at_unequal_temperatures_are_those_of_the_physics() -> None:
    rabi, omega = np.sqrt(SCALE * POWER), TWO_PI * FREQUENCY
    rate = bloch.photon_rate(DELTA, rabi, GAMMA.sum(axis=-1), TOTAL, GAMMA_2)
    gamma, n = RATES["gamma_line"], OCCUPATIONS["n_line"]
    coherence = bloch.coherence(DELTA, rabi, TOTAL, GAMMA_2, P_EQ)
    wanted = {
        "coherent": physics.coherent_power_difference(omega, rate, gamma, coherence),
        "total": physics.total_power_difference(omega, rate, gamma, n, TOTAL),
    }
    for seen, formula in wanted.items():
        found = model(detection=seen).curve(POWER, FREQUENCY, **VALUES)[0]
        # Each is what is absorbed, the whole, less a part of it.
        whole = HBAR * omega * rate
        np.testing.assert_allclose(found / whole, formula / whole, atol=1e-13)


def test_what_follows_from_the_channels_is_that_of_the_physics() -> None:
    quantities = {d.name: d for d in model().derived}
    omega, gamma_1 = TWO_PI * F0, GAMMA.sum(axis=-1)
    n_eff = P_EQ / (1 - 2 * P_EQ)
    wanted = {
        "gamma_1": gamma_1,
        "gamma_1_over_2pi": gamma_1 / TWO_PI,
        "gamma_1_tot": TOTAL,
        "T1": 1 / TOTAL,
        "gamma_2": GAMMA_2,
        "p_eq": P_EQ,
        "n_eff": n_eff,
        "T_eff": thermal.temperature_from_occupation(omega, n_eff),
        "drive_over_thermal": SCALE / (1 + 2 * n_eff),
        "saturation_power": TOTAL * GAMMA_2 / SCALE,
        # The share counts quanta of the drive, which a width away is that much above ω_q.
        "dephasing_share_per_width": energy.dephasing_share(omega, GAMMA_2, GAMMA_PHI, GAMMA_2)
        * (1 + GAMMA_2 / omega),
    }
    for i, k in enumerate(NAMES):
        warm = (GAMMA[:, i], WARM[:, i])
        wanted[f"f_{k}"] = GAMMA[:, i] / gamma_1
        wanted[f"heat_leak_{k}"] = energy.heat_leak(omega, *warm, P_EQ)
        wanted[f"f_{k}_driven"] = energy.partition_factor_without_heat_leak(
            omega, 0.0, *warm, TOTAL, GAMMA_2
        )
    assert set(quantities) - set(wanted) == {f"f_{k}_at_s_1" for k in NAMES}
    for name, exact in wanted.items():
        found = quantities[name].function(**{a: VALUES[a] for a in quantities[name].arguments})
        # Leaks are differences: judged by the largest of them.
        atol = 1e-12 * np.abs(exact).max() if name.startswith("heat_leak") else 0.0
        np.testing.assert_allclose(found, exact, rtol=1e-11, atol=atol, err_msg=name)


def derived(name: str, configured: pc.Model, **values: float) -> float:
    quantity = next(d for d in configured.derived if d.name == name)
    return float(quantity.function(**{a: values[a] for a in quantity.arguments}))


HOT = {"gamma_line": 1e5, "n_line": 3.0, "gamma_cold": 9e5, "n_cold": 0.0, "qubit_frequency": 5e9}


def test_a_hot_bath_gives_heat_and_its_share_is_reported_below_zero() -> None:
    two = model("line", "cold")
    assert derived("f_line_at_s_1", two, **HOT) < 0
    assert derived("f_cold_at_s_1", two, **HOT) > 1
    whole = derived("f_line_at_s_1", two, **HOT) + derived("f_cold_at_s_1", two, **HOT)
    assert whole == pytest.approx(1, abs=1e-12)
    leak = derived("heat_leak_line", two, **HOT) + derived("heat_leak_cold", two, **HOT)
    assert leak == pytest.approx(0, abs=1e-12 * abs(derived("heat_leak_line", two, **HOT)))


def test_the_share_at_s_1_is_that_of_the_curve_there() -> None:
    two = model("line", "cold")
    total, p_eq = 1e5 * 7 + 9e5, 3e5 / 1.6e6
    values = HOT | {"gamma_phi": 1e5, "drive_scale": 1e30}
    power = total * (total / 2 + 1e5) / 1e30
    absorbed, _, population, heat = two.curve(np.asarray(power), np.asarray(5e9), **values)
    assert float(population) == pytest.approx((p_eq + 0.5) / 2, rel=1e-12)
    assert float(heat / absorbed) == pytest.approx(derived("f_line_at_s_1", two, **HOT), rel=1e-12)


# ---- what data can tell ----

TRUTH = {"qubit_frequency": 5e9, "gamma_line": 6e5, "n_line": 0.02, "gamma_internal": 4e5}
TRUTH |= {"n_internal": 0.15, "gamma_phi": 2e5, "drive_scale": 1e30}
GRID = {
    "incident_power": np.geomspace(3e-20, 1e-17, 8),
    "frequency": 5e9 + np.linspace(-1, 1, 25) * 1e6,
}
NOISE = {"absorbed_power": 1e-20, "excited_population": 1e-3, "emitted_power": 1e-20}


def measured(*names: str, seed: int = 3) -> Any:
    traces = pc.simulate(
        "channels",
        TRUTH,
        inputs=GRID,
        seed=seed,
        noise={n: NOISE[n] for n in names},
        observables=names,
        channels="line,internal",
        detection="absorbed",
    )
    return pc.to_device_plane(traces)


def fitted(*names: str, **wishes: Any) -> pc.FitResult:
    return pc.fit(measured(*names), "channels", channels="line,internal", **wishes)


def test_power_and_population_leave_the_split_between_two_channels_open() -> None:
    result = fitted("absorbed_power", "excited_population", intervals="covariance")
    assert set(result.undetermined) == {"gamma_line", "gamma_internal", "n_line", "n_internal"}
    assert result["f_line"].value is None
    for name, truth in (("gamma_1", 1e6), ("n_eff", 0.072), ("T1", 1 / 1.144e6)):
        estimate = result[name]
        assert estimate.status == "ok"
        assert abs(estimate.value - truth) < 4 * estimate.stderr


def test_the_heat_into_one_channel_splits_them_with_an_error_through_the_covariance() -> None:
    result = fitted("absorbed_power", "excited_population", "emitted_power", intervals="covariance")
    for name, truth in (*TRUTH.items(), ("f_line", 0.6)):
        estimate = result[name]
        assert estimate.status == "ok", name
        assert abs(estimate.value - truth) < 4 * estimate.stderr, name
    names = list(result.names)
    by = [{"gamma_line": 0.4e-6, "gamma_internal": -0.6e-6}.get(n, 0.0) for n in names]  # ∂f/∂Γ_k
    through = np.sqrt(by @ result.covariance @ by)
    assert result["f_line"].stderr == pytest.approx(through, rel=0.05)


def test_a_prior_on_one_rate_and_a_known_occupation_split_them_too() -> None:
    result = fitted(
        "absorbed_power",
        "excited_population",
        priors={"gamma_line": (6e5, 1e4)},
        fixed={"n_line": 0.02},
        intervals="covariance",
    )
    for name in ("gamma_internal", "n_internal", "f_line"):
        estimate = result[name]
        assert estimate.status == "ok", name
    assert result["f_line"].stderr > 0.009  # the prior's percent and a half, at least


@pytest.mark.parametrize("names", ["line", "line,line", "line,1", "a b,c", "th,line"])
def test_names_that_make_no_channels_are_refused(names: str) -> None:
    with pytest.raises(ContractError, match="must name two or more baths"):
        pc.get_model("channels").configure(channels=names, detection="absorbed")


def test_without_drive_heat_flows_from_hot_to_cold() -> None:
    produced = np.zeros(COUNT)
    for k in NAMES:
        order = (k, *(other for other in NAMES if other != k))
        leak = model(*order).curve(1e-30 * POWER, FREQUENCY, **VALUES)[3]
        produced += leak / thermal.temperature_from_occupation(TWO_PI * F0, VALUES[f"n_{k}"])
    assert (produced > 0).all()
