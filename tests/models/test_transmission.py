"""Two ports: curves are those of the physics, circles have their diameters, powers add up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import powercal as pc
from powercal.errors import ContractError, FitError
from powercal.physics import bloch, detection
from powercal.schema import DeviceTraces

from .line_systems import F0, RATES, TWO_PI, full, model_of, simulated, sweep, widths

RNG = np.random.default_rng(1)
COUNT = 200
SHARED = {
    "qubit_frequency": F0 + 1e9 * RNG.uniform(-1, 1, COUNT),
    "gamma_i": 10 ** RNG.uniform(5, 7, COUNT),
    "gamma_phi": 10 ** RNG.uniform(5, 7, COUNT),
    "n_line": RNG.exponential(0.3, COUNT),
    "n_internal": RNG.exponential(0.3, COUNT),
    "manifold_weight": RNG.uniform(0.3, 1.0, COUNT),
    "attenuation_db": 0.0,
}
AROUND = {
    **{f"{prefix}gain": 1.0 for prefix in ("reference_", "reflection_")},
    **{f"{prefix}phase": 0.0 for prefix in ("reference_", "reflection_")},
    "delay": 0.0,
    "reflection_delay": 0.0,
    "mismatch": 0.0,
}
DRIVEN: dict[str, dict[str, Any]] = {
    "through_line": {"gamma_r": 10 ** RNG.uniform(5, 7, COUNT)},
    "notch": {
        "kappa": 10 ** RNG.uniform(5, 7, COUNT),
        "phi": RNG.uniform(-1, 1, COUNT),
        "drive_fraction": RNG.uniform(0.1, 0.9, COUNT),
    },
    "in_line": {
        "gamma_left": 10 ** RNG.uniform(5, 7, COUNT),
        "gamma_right": 10 ** RNG.uniform(5, 7, COUNT),
    },
}
LINE = {
    "through_line": DRIVEN["through_line"]["gamma_r"],
    "notch": 2 * DRIVEN["notch"]["kappa"] * np.cos(DRIVEN["notch"]["phi"]),
    "in_line": sum(DRIVEN["in_line"].values()),
}
GEOMETRIES = tuple(DRIVEN)
DETUNING, STRENGTH = RNG.normal(0, 2, COUNT), 10 ** RNG.uniform(-2, 2, COUNT)


def case(geometry: str) -> dict[str, Any]:
    """Rates, inputs and what the physics' functions want, for 200 systems."""
    rates = np.stack([LINE[geometry], SHARED["gamma_i"]], axis=-1)
    occupations = np.stack([SHARED["n_line"], SHARED["n_internal"]], axis=-1)
    total = bloch.total_relaxation_rate(rates, occupations)
    gamma_2 = bloch.dephased_rate(total, SHARED["gamma_phi"])
    frequency = SHARED["qubit_frequency"] + gamma_2 / TWO_PI * DETUNING
    omega = TWO_PI * frequency
    match geometry:
        case "through_line":
            scale = detection.drive_scale(LINE[geometry], omega, "through_line")
        case "in_line":
            scale = detection.drive_scale(DRIVEN[geometry]["gamma_left"], omega, "in_line")
        case _:
            share = DRIVEN[geometry]["drive_fraction"] * LINE[geometry]
            scale = detection.two_port_drive_scale(np.sqrt(share)[:, None], omega)
    power = total * gamma_2 / scale * STRENGTH
    seen = {
        "detuning": omega - TWO_PI * SHARED["qubit_frequency"],
        "rabi": np.sqrt(scale * power),
        "gamma_1_tot": total,
        "gamma_2": gamma_2,
        "p_eq": bloch.equilibrium_population(rates, occupations),
    }
    known = {row.name for row in model_of(geometry, temperatures="two").parameters}
    values = {k: v for k, v in {**SHARED, **AROUND, **DRIVEN[geometry]}.items() if k in known}
    return {
        "power": power,
        "frequency": frequency,
        "values": values,
        "seen": seen,
        "gamma_1": rates.sum(axis=-1),
    }


def curves(geometry: str, found: dict[str, Any], **options: str) -> dict[str, Any]:
    model = model_of(geometry, temperatures="two", **options)
    arrays = model.curve(found["power"], found["frequency"], **found["values"])
    return dict(zip(model.observables, arrays, strict=True))


# ---- the formulas ----


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_amplitudes_and_their_powers_are_those_of_the_physics(geometry: str) -> None:
    now = case(geometry)
    found, weight = curves(geometry, now), SHARED["manifold_weight"]
    seen, own = now["seen"], DRIVEN[geometry]
    match geometry:
        case "through_line":
            wanted = detection.through_line(gamma_r=own["gamma_r"], weight=weight, **seen)
        case "in_line":
            wanted = detection.in_line(
                gamma_in=own["gamma_left"], gamma_out=own["gamma_right"], weight=weight, **seen
            )
        case _:
            kappa = own["kappa"] * np.exp(1j * own["phi"])
            wanted = (detection.notch_transmission(kappa=kappa, weight=weight, **seen),)
    amplitudes = [found[n] for n in ("transmission", "reflection") if n in found]
    powers = [found[n] for n in ("transmitted_power", "reflected_power") if n in found]
    for amplitude, power, exact in zip(amplitudes, powers, wanted, strict=True):
        np.testing.assert_allclose(amplitude, exact, atol=1e-12)
        np.testing.assert_allclose(power / now["power"], np.abs(exact) ** 2, atol=1e-12)


def test_powers_around_a_through_line_are_those_of_the_coherent_wave() -> None:
    now = case("through_line")
    found, seen = curves("through_line", now), now["seen"]
    rate = bloch.photon_rate(
        seen["detuning"], seen["rabi"], now["gamma_1"], seen["gamma_1_tot"], seen["gamma_2"]
    )
    wanted = detection.through_line_powers(
        TWO_PI * now["frequency"],
        rate,
        DRIVEN["through_line"]["gamma_r"],
        bloch.coherence(**seen),
        SHARED["manifold_weight"],
    )
    power = now["power"]
    lost = power - found["transmitted_power"]
    np.testing.assert_allclose(found["reflected_power"] / power, wanted.reflected / power, 1e-9)
    np.testing.assert_allclose(lost / power, wanted.incident_minus_transmitted / power, atol=1e-12)
    both = (lost - found["reflected_power"]) / power
    np.testing.assert_allclose(both, wanted.incident_minus_both / power, atol=1e-12)


def test_beside_a_matched_line_what_is_missing_ahead_comes_back() -> None:
    found = curves("through_line", case("through_line"))
    np.testing.assert_allclose(found["reflection"], found["transmission"] - 1, atol=1e-14)


def test_a_symmetric_notch_without_phase_is_a_through_line() -> None:
    now = case("through_line")
    line = curves("through_line", now)
    own = {"kappa": LINE["through_line"] / 2, "phi": 0.0, "drive_fraction": 0.5}
    same = {k: v for k, v in {**SHARED, **AROUND, **own}.items() if "reflection" not in k}
    same.pop("mismatch")
    notch = curves("notch", {**now, "values": same})
    np.testing.assert_allclose(notch["transmission"], line["transmission"], atol=1e-13)


def test_slow_noise_averages_the_amplitude_of_every_geometry() -> None:
    """(1 − r)/Γ_r of bloch.gaussian_reflection is the response of all of them."""
    for geometry in GEOMETRIES:
        now = case(geometry)
        sigma = now["seen"]["gamma_2"] / TWO_PI * 0.7
        slow = {**now, "values": {**now["values"], "sigma_slow": sigma}}
        found = curves(geometry, slow, broadening="gaussian")["transmission"]
        response = 1 - bloch.gaussian_reflection(
            gamma_r=1.0, sigma=TWO_PI * sigma, weight=SHARED["manifold_weight"], **now["seen"]
        )
        own, background = DRIVEN[geometry], 1.0
        if geometry == "through_line":
            coupling = own["gamma_r"] / 2
        elif geometry == "notch":
            coupling = own["kappa"] * np.exp(1j * own["phi"])
        else:
            coupling, background = np.sqrt(own["gamma_left"] * own["gamma_right"]), 0.0
        np.testing.assert_allclose(found, background - coupling * response, atol=1e-12)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_the_other_time_factor_gives_the_conjugate(geometry: str) -> None:
    now = case(geometry)
    minus, plus = (curves(geometry, now, convention=c) for c in ("-i", "+i"))
    np.testing.assert_array_equal(plus["transmission"], minus["transmission"].conj())


# ---- lossless two-ports, built from their background and their emission ----


def test_a_notch_is_the_lossless_two_port_with_its_background() -> None:
    """C unitary and symmetric, C d* = d: κ = d₁d₂/C₂₁ and x = |d₁|²/Γ_r go into the model."""
    mixing, phases = 0.7, np.exp(1j * np.array([0.4, -1.1]))
    # C = O diag(λ) Oᵀ with real O; d = Σ_k c_k √λ_k o_k, c real, obeys C d* = d.
    c, s = np.cos(mixing), np.sin(mixing)
    axes = np.array([[c, -s], [s, c]])
    background = axes @ np.diag(phases) @ axes.T
    d = axes @ (np.sqrt(phases) * np.array([1500.0, 1100.0]))
    np.testing.assert_allclose(background @ d.conj(), d, rtol=1e-12)
    gamma_r = float(np.sum(np.abs(d) ** 2))
    kappa = d[0] * d[1] / background[1, 0]
    values = full(
        {
            "kappa": float(np.abs(kappa)),
            "phi": float(np.angle(kappa)),
            "drive_fraction": float(np.abs(d[0]) ** 2 / gamma_r),
        },
        "notch",
    )
    assert detection.radiative_rate_from_kappa(kappa) == pytest.approx(gamma_r, rel=1e-12)
    inputs = sweep(values, "notch")
    power, frequency = np.meshgrid(*inputs.values(), indexing="ij")
    omega = TWO_PI * frequency
    rabi = np.sqrt(detection.two_port_drive_scale(d, omega) * power)
    exact = detection.general_two_port(
        background, d, omega - TWO_PI * F0, rabi, gamma_r, gamma_r / 2, 0.0
    )
    around = {"reference_gain": 1.0, "reference_phase": 0.0, "delay": 0.0}
    seen, _ = model_of("notch").curve(power, frequency, **values, **around)
    np.testing.assert_allclose(seen, exact[..., 1, 0] / background[1, 0], atol=1e-12)
    # The weakest drive is a twentieth of P_s: unitary only without any.
    weak = detection.general_two_port(
        background, d, omega - TWO_PI * F0, 0.0, gamma_r, gamma_r / 2, 0.0
    )
    np.testing.assert_allclose(
        weak @ np.swapaxes(weak.conj(), -1, -2), np.broadcast_to(np.eye(2), weak.shape), atol=1e-12
    )


@pytest.mark.parametrize("geometry", ["through_line", "in_line"])
def test_a_cold_qubit_without_loss_loses_no_weak_wave(geometry: str) -> None:
    values = full({}, geometry)
    frequency = sweep(values, geometry)["frequency"]
    # s = 1e-9: the incoherent part is of that order.
    t, _, r, _ = model_of(geometry).curve(
        1e-9 * widths(values, geometry)[2], frequency, **values, **AROUND
    )
    np.testing.assert_allclose(np.abs(t) ** 2 + np.abs(r) ** 2, 1.0, atol=3e-9)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_a_weak_wave_draws_a_circle_of_the_stated_diameter(geometry: str) -> None:
    values = full({"gamma_i": 1e6, "gamma_phi": 5e5, "n_th": 0.05}, geometry)
    model = model_of(geometry)
    depth = {d.name: d for d in model.derived}
    _, half, knee = widths(values, geometry)
    frequency = F0 + half * np.linspace(-30, 30, 2001)
    known = {row.name for row in model.parameters}
    given = {k: v for k, v in {**values, **AROUND}.items() if k in known}
    found = dict(zip(model.observables, model.curve(1e-9 * knee, frequency, **given), strict=True))
    for name in ("transmission", "reflection"):
        if name not in found:
            continue
        wanted = depth.get(f"{name}_depth", depth["transmission_depth"])
        size = wanted.function(**{a: values[a] for a in wanted.arguments})
        z = found[name]
        # Through three points of a circle.
        a, b, c = z[500], z[1000], z[1700]
        w = (c - a) / (b - a)
        centre = (b - a) * (w - abs(w) ** 2) / (2j * w.imag) + a
        assert 2 * abs(centre - a) == pytest.approx(size, rel=1e-6)
        np.testing.assert_allclose(np.abs(z - centre), size / 2, rtol=1e-6)


# ---- what the model asks for ----


def test_the_geometry_must_be_declared() -> None:
    with pytest.raises(ContractError, match="option 'geometry' of model 'transmission' is None"):
        pc.get_model("transmission").configure(setup="device")


@pytest.mark.parametrize("observable", ["reflection", "reflected_power", "both"])
def test_a_notch_has_no_reflection(observable: str) -> None:
    with pytest.raises(ContractError, match="of a notch only the transmission is known"):
        model_of("notch", observable=observable)


def test_powers_of_all_photons_are_refused() -> None:
    values = full({}, "through_line")
    traces = simulated(values, "through_line", "transmitted_power", observable="transmitted_power")
    for declared in ("total", None):
        odd = traces.assign_attrs(detection=declared)
        if declared is None:
            del odd.attrs["detection"]
        with pytest.raises(FitError, match="say which of coherent"):
            pc.fit(DeviceTraces(odd), "transmission", geometry="through_line")


def test_transmission_and_reflection_are_fitted_together_only_by_name() -> None:
    values = full({"gamma_phi": 5e5}, "through_line")
    traces = simulated(values, "through_line", "transmission", "reflection", observable="both")
    with pytest.raises(FitError, match="want different choices of observable"):
        pc.fit(traces, "transmission", geometry="through_line", convention="-i")
    result = pc.fit(
        traces,
        "transmission",
        geometry="through_line",
        observable="both",
        convention="-i",
        intervals="covariance",
    )
    assert result.observables == ("transmission", "reflection")


def free(geometry: str, setup: str, observable: str) -> set[str]:
    rows = model_of(geometry, setup=setup, observable=observable).parameters
    return {row.name for row in rows if row.vary} - {*RATES[geometry], "qubit_frequency"}


def test_each_signal_has_a_set_up_of_its_own() -> None:
    ahead = {"reference_gain", "reference_phase", "delay"}
    back = {"reflection_gain", "reflection_phase", "reflection_delay"}
    inside = {"gamma_phi", "attenuation_db"}
    assert free("through_line", "device", "both") == {"gamma_phi"}
    assert free("through_line", "raw", "transmission") == {*inside, *ahead, "mismatch"}
    assert free("through_line", "raw", "reflection") == {"attenuation_db", *back}
    assert free("through_line", "raw", "both") == {*inside, *ahead, *back, "mismatch"}
    assert free("through_line", "referenced", "transmitted_power") == {*inside, "reference_gain"}


def test_a_wave_that_vanishes_far_from_resonance_is_measured_against_a_thru_or_a_short() -> None:
    """An off-resonant trace would be no reference, and a free gain would hide the depth."""
    assert free("in_line", "referenced", "transmission") == {"attenuation_db", "reference_phase"}
    assert "gamma_phi" in free("in_line", "referenced", "both")
    back = {"gamma_phi", "attenuation_db", "reflection_phase"}
    assert free("through_line", "referenced", "reflection") == back


def test_the_other_half_of_the_drive_is_an_assumption_of_a_notch() -> None:
    row = model_of("notch").parameter("drive_fraction")
    assert (row.vary, row.example) == (False, 0.5)
    values = full({}, "notch")
    traces = simulated(values, "notch", "transmission")
    result = pc.fit(
        traces, "transmission", geometry="notch", convention="-i", intervals="covariance"
    )
    assert (result["drive_fraction"].status, result["drive_fraction"].reason) == (
        "fixed",
        "assumed",
    )
