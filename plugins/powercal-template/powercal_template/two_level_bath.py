"""A model to copy: power that a qubit absorbs while two-level defects are its bath."""

from __future__ import annotations

from typing import Any

import numpy as np

import powercal as pc

HBAR, BOLTZMANN = 1.054571817e-34, 1.380649e-23  # CODATA, SI
TWO_PI = 2 * np.pi


def _parts(incident_power: Any, frequency: Any, temperature: Any, p: Any) -> Any:
    """Return the quantum ħω_d Γ_S/2, the factor t = tanh(ħω_q/2kT), ln-slopes of t and of s, s."""
    gamma_2 = p["gamma_s"] / 2 + p["gamma_phi"]
    detuning = TWO_PI * (frequency - p["qubit_frequency"])
    width = gamma_2**2 + detuning**2
    s = p["drive_scale"] * incident_power * gamma_2 / (p["gamma_s"] * width)
    half = HBAR * TWO_PI * p["qubit_frequency"] / (2 * BOLTZMANN * temperature)
    # d ln tanh(x) / d ln x = 2x/sinh(2x), written so that a cold bath does not overflow.
    slope_t = 4 * half * np.exp(-2 * half) / -np.expm1(-4 * half)
    slope_gamma_2 = 1 / gamma_2 - 2 * gamma_2 / width
    slopes = {
        "gamma_s": slope_gamma_2 / 2 - 1 / p["gamma_s"],
        "gamma_phi": slope_gamma_2,
        "qubit_frequency": 2 * TWO_PI * detuning / width,
        "drive_scale": 1 / p["drive_scale"],
        "incident_power": 1 / incident_power,
    }
    return HBAR * TWO_PI * frequency * p["gamma_s"] / 2, np.tanh(half), slope_t, slopes, s


def curve(incident_power: Any, frequency: Any, temperature: Any, **p: Any) -> Any:
    """R = ħω_d (Γ_S/2) tanh(ħω_q/2kT) s/(1+s); W, of the shape to which all inputs broadcast."""
    quantum, factor, _, _, s = _parts(incident_power, frequency, temperature, p)
    return (quantum * factor * s / (1 + s),)


def jacobian(incident_power: Any, frequency: Any, temperature: Any, **p: Any) -> Any:
    """Exact derivatives; the kit compares them with differences of the curve."""
    quantum, factor, slope_t, slopes, s = _parts(incident_power, frequency, temperature, p)
    power = quantum * factor * s / (1 + s)
    table = {name: power / (1 + s) * slope for name, slope in slopes.items()}
    table["gamma_s"] = table["gamma_s"] + power / p["gamma_s"]
    table["qubit_frequency"] = table["qubit_frequency"] + power * slope_t / p["qubit_frequency"]
    return (table,)


def guess(traces: Any, fixed: Any) -> dict[str, Any]:
    """Start from the strongest absorption: its height gives Γ_S, its half width and drive."""
    import xarray

    names = ("absorbed_power", "incident_power", "frequency", "temperature")
    fields = [field.values.ravel() for field in xarray.broadcast(*(traces[n] for n in names))]
    absorbed, power, frequency, temperature = np.stack(fields)[:, np.isfinite(fields[0])]
    top = int(np.argmax(absorbed))
    centre = fixed.get("qubit_frequency", float(frequency[top]))
    half = HBAR * TWO_PI * centre / (2 * BOLTZMANN * temperature[top])
    gamma_s = 2 * absorbed[top] / (HBAR * TWO_PI * centre * np.tanh(half))
    gamma_s = fixed.get("gamma_s", min(max(float(gamma_s), 1.0), 1e13))
    gamma_2 = gamma_s / 2 + fixed.get("gamma_phi", 0.1 * gamma_s)
    # The weakest drive that absorbs half of the most has s of about one.
    knee = float(power[absorbed > 0.5 * absorbed[top]].min())
    start = {
        "qubit_frequency": min(max(centre, 1e6), 1e12),
        "gamma_s": gamma_s,
        "gamma_phi": gamma_2 - gamma_s / 2,
        "drive_scale": min(max(gamma_s * gamma_2 / knee, 1e10), 1e50),
    }
    return {name: np.asarray(value) for name, value in start.items()}


def _parameter(name: str, unit: str, meaning: str, example: float, **bounds: Any) -> pc.Parameter:
    return pc.Parameter(name=name, unit=unit, meaning=meaning, example=example, **bounds)


def regimes() -> tuple[pc.Regime, ...]:
    """Return the measurements over which ``powercal coverage two_level_bath`` tests the errors."""
    powers = {"low": np.geomspace(3e-20, 6e-19, 4), "middle": np.geomspace(6e-20, 6e-18, 4)}
    return tuple(
        pc.Regime(
            name=f"{name} saturation, line ±{error:g} dB",
            values={"qubit_frequency": 5e9, "gamma_s": 1e6, "gamma_phi": 5e5, "drive_scale": 1e30},
            inputs={
                "incident_power": power,
                "frequency": 5e9 + 1e6 * np.linspace(-1.0, 1.0, 13),
                "temperature": np.array([0.02, 0.15]),
            },
            noise={"absorbed_power": 2e-20},
            line={"attenuation_db": (60.0, error), "gain_db": (40.0, error)} if error else {},
        )
        for name, power in powers.items()
        for error in (0.0, 0.5)
    )


MODEL = pc.Model(
    name="two_level_bath",
    summary="absorbed power with a bath of two-level defects, Γ₁ = Γ_S tanh(ħω_q/2kT), T1 constant",
    inputs=("incident_power", "frequency", "temperature"),
    observables=("absorbed_power",),
    parameters=(
        _parameter("qubit_frequency", "Hz", "transition frequency", 5e9, min=1e6, max=1e12),
        _parameter("gamma_s", "s-1", "Γ↓ + Γ↑ of the defects", 1e6, min=1.0, max=1e13, scale="log"),
        _parameter("gamma_phi", "s-1", "pure dephasing rate", 2e5, min=0.0),
        _parameter(
            "drive_scale", "rad2 s-2 W-1", "Ω² per watt", 1e30, min=1e10, max=1e50, scale="log"
        ),
    ),
    curve=curve,
    jacobian=jacobian,
    guess=guess,
    regimes=regimes,
    derived=(
        pc.Derived(
            name="T1",
            unit="s",
            meaning="relaxation time 1/Γ_S, at every temperature",
            function=lambda gamma_s: 1 / gamma_s,
            arguments=("gamma_s",),
            scale="log",
        ),
        pc.Derived(
            name="saturation_power",
            unit="W",
            meaning="power with s = 1 on resonance, Γ_SΓ₂/drive_scale",
            function=lambda gamma_s, gamma_phi, drive_scale: (
                gamma_s * (gamma_s / 2 + gamma_phi) / drive_scale
            ),
            arguments=("gamma_s", "gamma_phi", "drive_scale"),
            scale="log",
        ),
    ),
)


@pc.hookimpl
def powercal_models() -> tuple[pc.Model, ...]:
    """Offer the model; this function is all that powercal looks for."""
    return (MODEL,)
