"""What comes from one measurement is fitted once; what was measured apart is fitted together."""

from __future__ import annotations

import numpy as np
import pytest

import powercal as pc
from powercal.errors import FitError

QUBIT = {"qubit_frequency": 5e9, "gamma_r": 4e6, "gamma_i": 2e6, "gamma_phi": 5e5, "n_th": 0.05}
GRID = {
    "incident_power": np.geomspace(1e-18, 1e-15, 6),
    "frequency": 5e9 + np.linspace(-4e6, 4e6, 31),
}


def device(model: str, *names: str, **options: str) -> pc.FitResult | object:
    """Simulate at the device, without a set-up around it."""
    noise = {n: 5e-3 * (GRID["incident_power"][:, None] if "power" in n else 1.0) for n in names}
    rates = {"attenuation_db": 0.0, "manifold_weight": 1.0}
    traces = pc.simulate(
        model,
        QUBIT | rates,
        inputs=GRID,
        seed=1,
        noise=noise,
        observables=names,
        convention="-i",
        setup="device",
        **options,
    )
    return pc.to_device_plane(traces.assign_attrs(setup="device"))


def test_an_amplitude_and_its_own_power_are_not_fitted_together() -> None:
    for model, names, options in (
        ("reflection", ("reflection", "reflected_power"), {"detection": "coherent"}),
        (
            "transmission",
            ("transmission", "transmitted_power"),
            {"geometry": "through_line", "detection": "coherent"},
        ),
    ):
        traces = device(model, *names, **options)
        with pytest.raises(FitError, match="come from the same measurement"):
            pc.fit(traces, model, setup="device", **options)


def test_an_amplitude_and_all_photons_counted_are_two_measurements() -> None:
    traces = device("reflection", "reflection", "reflected_power", detection="total")
    free = {"free": ("gamma_i", "gamma_phi", "n_th"), "intervals": "covariance"}
    both = {"observable": "complex", "detection": "total"}
    result = pc.fit(traces, "reflection", setup="device", convention="-i", **free, **both)
    # With the line known, two measurements tell losses and temperature apart (supplement B).
    for name in ("gamma_r", "gamma_i", "gamma_phi", "n_th"):
        estimate = result[name]
        assert estimate.status == "ok", name
        assert abs(estimate.value - QUBIT[name]) < 4 * estimate.stderr, name
    alone = pc.fit(
        traces, "reflection", setup="device", convention="-i", observables=("reflection",), **free
    )
    assert "n_th" in alone.undetermined
