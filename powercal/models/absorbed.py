"""Absorbed power and population of a driven qubit: single channel, finite temperature, channels."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Arrays, Derivatives, Derived, Model, Option, Parameter
from powercal.errors import ContractError, FitError
from powercal.hookspecs import hookimpl
from powercal.models.checks import driven_checks
from powercal.models.driven import (
    GAMMA_PHI,
    N_TH,
    QUBIT_FREQUENCY,
    TWO_PI,
    common_derived,
    line_shape,
    rate,
    rate_slopes,
    saturation,
)
from powercal.physics.bloch import dephased_rate
from powercal.physics.constants import HBAR
from powercal.physics.floquet import harmonic_balance
from powercal.schema import DeviceTraces

Array = NDArray[Any]

OBSERVABLES = ("absorbed_power", "reflected_power", "excited_population")
ENERGY = Option(
    name="energy",
    choices=("effective", "transition", "floquet"),
    default="effective",
    meaning="energy per absorbed photon: ħω_d (exact in the RWA), ħω_q ([G] as written), lab frame",
)
DETECTION = Option(
    name="detection",
    choices=("absorbed", "coherent", "total"),
    meaning="what the power difference is: absorbed power, coherent (VNA) or total (power meter)",
)
DRIVE_SCALE = Parameter(
    name="drive_scale",
    unit="rad2 s-2 W-1",
    meaning="Ω² per watt at the device",
    example=1e30,
    min=1e10,
    max=1e50,
    scale="log",
)
GAMMA_R = rate("gamma_r", "radiative rate into the detected line", 5e5)


def _state(
    incident_power: Array, frequency: Array, p: Mapping[str, Any]
) -> tuple[Array, dict[str, Array]]:
    """Saturation and ∂ln s for the model's own parameters."""
    gamma_1_tot = p["gamma_1"] * (1 + 2 * p["n_th"])
    gamma_2 = gamma_1_tot / 2 + p["gamma_phi"]
    detuning = TWO_PI * (frequency - p["qubit_frequency"])
    s, totals = saturation(detuning, p["drive_scale"] * incident_power, gamma_1_tot, gamma_2)
    slopes = rate_slopes(p["gamma_1"], p["n_th"], totals)
    slopes["qubit_frequency"] = totals["qubit_frequency"]
    slopes["drive_scale"] = np.asarray(1 / p["drive_scale"])
    slopes["incident_power"] = 1 / incident_power
    return s, slopes


def _emission(detection: str, s: Array, p: Mapping[str, Any]) -> tuple[Array, dict[str, Array]]:
    """Return the share of the absorbed photons that is detected as missing, and its derivatives.

    absorbed: 1; coherent: 1 − ρ/(2(1+s)), ρ = Γ_r/((1+2n)Γ₂); total: 1 − Γ_r/Γ₁ (supplement C5).
    The derivatives are explicit ones; the way through s is under ``s``.
    """
    one = np.ones_like(s)
    if detection == "absorbed":
        return one, {}
    if detection == "total":
        return one * (1 - p["gamma_r"] / p["gamma_1"]), {
            "gamma_r": -one / p["gamma_1"],
            "gamma_1": one * p["gamma_r"] / p["gamma_1"] ** 2,
        }
    thermal = 1 + 2 * p["n_th"]
    gamma_2 = p["gamma_1"] * thermal / 2 + p["gamma_phi"]
    half = p["gamma_r"] / (thermal * gamma_2) / (2 * (1 + s))  # ρ/(2(1+s))
    return 1 - half, {
        "gamma_r": -half / p["gamma_r"],
        "gamma_1": half * thermal / 2 / gamma_2,
        "n_th": half * (2 / thermal + p["gamma_1"] / gamma_2),
        "gamma_phi": half / gamma_2,
        "s": half / (1 + s),
    }


def _quantum(energy: str, rate: Any, frequency: Array, qubit_frequency: Any) -> Any:
    """Power of so many quanta a second."""
    return (HBAR * TWO_PI * rate) * (frequency if energy == "effective" else qubit_frequency)


def _rwa_curve(
    incident_power: Array, frequency: Array, *, energy: str, detection: str, **p: Any
) -> Arrays:
    thermal = 1 + 2 * p["n_th"]
    gamma_1_tot = p["gamma_1"] * thermal
    gamma_2 = gamma_1_tot / 2 + p["gamma_phi"]
    knee = gamma_1_tot * gamma_2 / p["drive_scale"]
    drive, width, below = line_shape(incident_power, frequency, p["qubit_frequency"], knee, gamma_2)
    share = drive / below  # s/(1+s)
    height = _quantum(energy, p["gamma_1"] / 2, frequency, p["qubit_frequency"])
    detected = height * share
    if detection == "coherent":
        rho = p["gamma_r"] / (thermal * gamma_2)
        detected = detected * (1 - (rho / 2) * width / below)
    elif detection == "total":
        detected = detected * (1 - p["gamma_r"] / p["gamma_1"])
    p_eq = p["n_th"] / thermal
    return detected, incident_power - detected, p_eq + (0.5 - p_eq) * share


def _rwa_jacobian(
    incident_power: Array, frequency: Array, *, energy: str, detection: str, **p: Any
) -> Derivatives:
    s, slopes = _state(incident_power, frequency, p)
    share = s / (1 + s)
    quantum = _quantum(energy, 1.0, frequency, p["qubit_frequency"])
    emission, explicit = _emission(detection, s, p)
    power = quantum * p["gamma_1"] / 2 * share
    per_log_s = power * (emission / (1 + s) + explicit.pop("s", 0.0) * s)
    detected = {name: per_log_s * slope for name, slope in slopes.items()}
    detected["gamma_1"] = detected["gamma_1"] + power * emission / p["gamma_1"]
    if energy != "effective":
        detected["qubit_frequency"] = (
            detected["qubit_frequency"] + power * emission / p["qubit_frequency"]
        )
    else:
        detected["frequency"] = (
            per_log_s * -slopes["qubit_frequency"] + power * emission / frequency
        )
    for name, value in explicit.items():
        detected[name] = detected.get(name, 0.0) + power * value
    reflected = {name: -value for name, value in detected.items()}
    reflected["incident_power"] = reflected["incident_power"] + 1.0
    thermal = 1 + 2 * p["n_th"]
    population = {n: share / (1 + s) / (2 * thermal) * slope for n, slope in slopes.items()}
    population["n_th"] = population["n_th"] + (1 - share) / thermal**2
    return detected, reflected, population


def _floquet_curve(incident_power: Array, frequency: Array, **p: Any) -> Arrays:
    gamma_1_tot = p["gamma_1"] * (1 + 2 * p["n_th"])
    omega_q, omega_d = TWO_PI * p["qubit_frequency"], TWO_PI * frequency
    state = harmonic_balance(
        omega_q,
        omega_d,
        np.sqrt(p["drive_scale"] * incident_power),
        gamma_1_tot,
        dephased_rate(gamma_1_tot, p["gamma_phi"]),
        p["n_th"] / (1 + 2 * p["n_th"]),
    )
    power = state.total_power
    return power, incident_power - power, state.mean_population


def drive_guess(
    traces: DeviceTraces, fixed: Mapping[str, float], *, names: tuple[str, ...]
) -> dict[str, Array]:
    """Start from straight lines: 1/R is linear in 1/P and quadratic in frequency."""
    power, frequency, absorbed = _absorbed(traces)
    start = _lorentzian_start(power, frequency, absorbed)
    start["n_th"] = _thermal_start(traces, start)
    n_th = fixed.get("n_th", start["n_th"])
    start["drive_scale"] = start["drive_scale"] * (1 + 2 * n_th)
    start["gamma_phi"] = np.maximum(
        start.pop("gamma_2") - start["gamma_1"] * (1 + 2 * n_th) / 2, 0.05 * start["gamma_1"]
    )
    start["gamma_r"] = 0.3 * start["gamma_1"]
    return {name: value for name, value in start.items() if name in names}


def _absorbed(traces: DeviceTraces) -> tuple[Array, Array, Array]:
    import xarray

    names = [n for n in ("absorbed_power", "reflected_power", "excited_population") if n in traces]
    if not names or "incident_power" not in traces or "frequency" not in traces:
        raise FitError(
            f"the traces hold {', '.join(map(str, traces.variables))}; this model needs "
            f"incident_power, frequency and one of {', '.join(OBSERVABLES)}"
        )
    data = traces[names[0]]
    power, frequency, data = xarray.broadcast(traces["incident_power"], traces["frequency"], data)
    values = data.values
    if names[0] == "reflected_power":
        ratio = values / power.values
        values = power.values * (1 - ratio / np.nanpercentile(ratio, 95))
    elif names[0] == "excited_population":
        # Only the line shape is used; the scale of Γ₁ cannot come from populations.
        values = (values - np.nanmin(values)) * HBAR * TWO_PI * frequency.values * 1e6
    if not np.nanmax(values, initial=-np.inf) > 0:
        raise FitError(
            f"{names[0]} shows no response to the drive at any point; check its sign, its unit and "
            f"the reference"
        )
    return power.values.ravel(), frequency.values.ravel(), values.ravel()


def _lorentzian_start(power: Array, frequency: Array, absorbed: Array) -> dict[str, Array]:
    keep = np.isfinite(absorbed) & (absorbed > 0.02 * np.nanmax(absorbed))
    power, frequency, absorbed = power[keep], frequency[keep], absorbed[keep]
    centre, span = np.average(frequency, weights=absorbed), max(float(np.ptp(frequency)), 1.0)
    x, scale = (frequency - centre) / span, float(np.exp(np.mean(np.log(power))))
    height = float(np.max(absorbed))
    # R·(a P + b + c x + d x²) = P, weighted so that the residual is that of R itself.
    weight = (absorbed / height) ** 2 / (power / scale)
    columns = np.stack([power / scale, np.ones_like(x), x, x**2])
    a, b, c, d = np.linalg.lstsq(
        (columns * weight).T, weight * (power / scale) * height / absorbed, rcond=1e-6
    )[0]
    middle = -c / (2 * d) if d > 0 else 0.0
    width2 = b / d - middle**2 if d > 0 else 0.0
    half = TWO_PI * span * np.sqrt(width2 if width2 > 1e-6 else 0.01)
    quantum = HBAR * TWO_PI * centre
    gamma_1 = 2 * height / quantum / (a if a > 0.05 else 0.5)
    depth = max(a, 0.05) / max(b if b > 0 else 0.5, 1e-6) / scale  # 1/s = 1/(depth·P) on resonance
    return {
        "qubit_frequency": np.asarray(centre + span * np.clip(middle, -1, 1)),
        "gamma_1": np.asarray(gamma_1),
        "gamma_2": np.asarray(max(half, 0.5 * gamma_1)),
        "drive_scale": np.asarray(depth * gamma_1 * max(half, 0.5 * gamma_1)),
    }


def _thermal_start(traces: DeviceTraces, start: Mapping[str, Array]) -> Array:
    if "excited_population" not in traces:
        return np.asarray(0.05)
    lowest = float(np.nanpercentile(traces["excited_population"].values, 5))
    p_eq = min(max(lowest, 1e-3), 0.4)
    return np.asarray(p_eq / (1 - 2 * p_eq))


def _derived(detection: str) -> tuple[Derived, ...]:
    thermal = Derived(
        name="drive_over_thermal",
        unit="rad2 s-2 W-1",
        meaning="drive_scale/(1+2 n_th), what absorbed power alone determines",
        function=lambda **p: p["drive_scale"] / (1 + 2 * p["n_th"]),
        arguments=("drive_scale", "n_th"),
        scale="log",
    )
    saturating = Derived(
        name="saturation_power",
        unit="W",
        meaning="power at the device with s = 1 on resonance, Γ₁totΓ₂/drive_scale",
        function=lambda **p: (
            p["gamma_1"]
            * (1 + 2 * p["n_th"])
            * (p["gamma_1"] * (1 + 2 * p["n_th"]) / 2 + p["gamma_phi"])
            / p["drive_scale"]
        ),
        arguments=("gamma_1", "n_th", "gamma_phi", "drive_scale"),
        scale="log",
    )
    return (*common_derived(), thermal, saturating)


def _build(name: str, summary: str, extra: Callable[[Model], Model], **chosen: str) -> Model:
    energy, detection = chosen.get("energy", "effective"), chosen.get("detection", "absorbed")
    if energy == "floquet" and detection != "absorbed":
        raise ContractError(
            f"energy='floquet' is known for detection='absorbed' only, not {detection!r}; choose "
            f"energy='effective'",
            name,
        )
    parameters = [QUBIT_FREQUENCY, rate("gamma_1", "bare relaxation rate", 1e6), GAMMA_PHI, N_TH]
    parameters.append(DRIVE_SCALE)
    if detection != "absorbed":
        parameters.append(GAMMA_R)
    rwa = energy != "floquet"
    return extra(
        Model(
            name=name,
            summary=summary,
            inputs=("incident_power", "frequency"),
            observables=OBSERVABLES,
            parameters=tuple(parameters),
            curve=partial(_rwa_curve, energy=energy, detection=detection)
            if rwa
            else _floquet_curve,
            jacobian=partial(_rwa_jacobian, energy=energy, detection=detection) if rwa else None,
            guess=partial(drive_guess, names=tuple(row.name for row in parameters)),
            derived=_derived(detection),
            checks=driven_checks,
        )
    )


def _at_zero_temperature(model: Model) -> Model:
    """Freeze n_th = 0 out of the table ([G21])."""
    gone = {"n_th", "p_eq", "T_eff", "drive_over_thermal"}

    def cold(function: Any) -> Any:
        return lambda *inputs, **p: function(*inputs, n_th=0.0, **p)

    def without(table: Mapping[str, Array]) -> dict[str, Array]:
        return {name: value for name, value in table.items() if name != "n_th"}

    def guess(traces: DeviceTraces, fixed: Mapping[str, float]) -> dict[str, Array]:
        return without(model.guess(traces, {**fixed, "n_th": 0.0}))

    def jacobian(*inputs: Array, **p: Any) -> Derivatives:
        assert model.jacobian is not None
        return tuple(without(table) for table in model.jacobian(*inputs, n_th=0.0, **p))

    return dataclasses.replace(
        model,
        parameters=tuple(p for p in model.parameters if p.name != "n_th"),
        curve=cold(model.curve),
        jacobian=None if model.jacobian is None else jacobian,
        guess=guess,
        derived=tuple(
            dataclasses.replace(
                d,
                function=cold(d.function),
                arguments=tuple(a for a in d.arguments if a != "n_th"),
            )
            for d in model.derived
            if d.name not in gone
        ),
    )


def _with_partition(model: Model) -> Model:
    """Add the partition factor of one channel, Γ_k = f Γ₁ ([G2, G3])."""
    share = Parameter(
        name="f",
        unit="1",
        meaning="share of channel k, Γ_k = f Γ₁; absorbed power alone does not determine it",
        example=0.3,
        min=0.0,
        max=1.0,
    )

    def without(function: Any) -> Any:
        return lambda *inputs, f, **p: function(*inputs, **p)

    channel = Derived(
        name="gamma_k",
        unit="s-1",
        meaning="rate of channel k, f Γ₁",
        function=lambda **p: p["f"] * p["gamma_1"],
        arguments=("f", "gamma_1"),
    )
    rest = dataclasses.replace(
        channel,
        name="gamma_rest",
        meaning="rate of all other channels, (1 − f) Γ₁",
        function=lambda **p: (1 - p["f"]) * p["gamma_1"],
    )
    return dataclasses.replace(
        model,
        parameters=(*model.parameters, share),
        curve=without(model.curve),
        jacobian=None if model.jacobian is None else without(model.jacobian),
        derived=(*model.derived, channel, rest),
    )


def _declare(name: str, summary: str, extra: Callable[[Model], Model]) -> Model:
    build = partial(_build, name, summary, extra)
    return dataclasses.replace(build(), options=(ENERGY, DETECTION), factory=build)


@hookimpl
def powercal_models() -> tuple[Model, ...]:
    """Offer the models of absorbed power."""
    return (
        _declare(
            "single_channel",
            "absorbed power of a driven qubit at T = 0 ([G21], physics sheet section 2)",
            _at_zero_temperature,
        ),
        _declare(
            "finite_temperature",
            "absorbed power and population with a bath of occupation n_th ([G23], section 2)",
            lambda model: model,
        ),
        _declare(
            "multi_channel",
            "finite temperature with partition factor f, Γ_k = f Γ₁ ([G2, G3, G23], section 3)",
            _with_partition,
        ),
    )
