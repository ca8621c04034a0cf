"""Measurements over which the errors of fits between reservoirs are put to the test."""

from __future__ import annotations

import numpy as np

import powercal as pc

DOT = {"transition_frequency": 6.7e9, "gamma_total": 2e9, "drive_scale": 1e33}
_POWERS = {"low": (3e-17, 3e-16), "middle": (3e-17, 3e-14)}


def _dot(saturation: str, points: int) -> pc.Regime:
    return pc.Regime(
        name=f"{saturation} saturation",
        values={**DOT, "asymmetry": 0.4},
        inputs={
            "incident_power": np.geomspace(*_POWERS[saturation], 3),
            "frequency": np.linspace(5.7e9, 7.7e9, points),
            "bias_voltage": np.array([-60e-6, -10e-6, 20e-6]),
        },
        noise={"photocurrent": 1e-13, "absorbed_power": 1e-18},
        options={"wider": "upper"},
    )


def double_dot() -> tuple[pc.Regime, ...]:
    """Photocurrent and absorbed power, weakly driven and into saturation."""
    return _dot("low", 11), _dot("middle", 11)


def periodic_dot() -> tuple[pc.Regime, ...]:
    """The same in the full field, on fewer frequencies."""
    return (_dot("middle", 9),)


def laser() -> tuple[pc.Regime, ...]:
    """A sweep of the bias through the threshold, with and without a known temperature."""
    values = {"cavity_frequency": 6.7e9, "gamma_total": 2e9, "coupling": 6e16}
    sweep = pc.Regime(
        name="temperature known",
        values={**values, "temperature_u": 0.1},
        inputs={"bias_voltage": np.linspace(0.0, 150e-6, 46)},
        noise={"emitted_power": 1e-17, "emission_frequency": 1e4},
    )
    open_ = pc.Regime(
        name="temperature free",
        values=sweep.values,
        inputs=sweep.inputs,
        noise=sweep.noise,
        free=("temperature_u",),
    )
    return sweep, open_


def cavity() -> tuple[pc.Regime, ...]:
    """Emission and photocurrent of few photons against the bias."""
    return (
        pc.Regime(
            name="few photons",
            values={"gamma_total": 2e9, "coupling": 2e17, "gamma_b": 1e8},
            inputs={"bias_voltage": np.linspace(-60e-6, 160e-6, 17)},
            noise={"emitted_power": 5e-18, "photocurrent": 1e-12},
        ),
    )


def bloch_gain() -> tuple[pc.Regime, ...]:
    """Gain spectra with and without inversion of the densities."""
    frequency = np.linspace(3.5e11, 1.05e12, 35)
    values = {"transition_frequency": 7e11, "gamma_total": 6e11}
    return tuple(
        pc.Regime(
            name=name,
            values={**values, "density_u": upper, "density_l": lower},
            inputs={"frequency": frequency},
            noise={"gain_per_length": 500.0},
        )
        for name, upper, lower in (("inverted", 3e14, 2e14), ("dispersive", 2e14, 2e14))
    )
