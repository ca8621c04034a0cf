"""Make data/demo: a power sweep with population, of a qubit whose truth is known.

Run from the project's root: python data/make_demo.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import powercal as pc
from powercal.loaders.hdf5 import save_traces

TRUTH = {
    "qubit_frequency": 5.0213e9,
    "gamma_1": 1.25e6,
    "gamma_phi": 2.5e5,
    "n_th": 0.062,
    "drive_scale": 1.5e29,
}
LINE = {"attenuation_db": 61.4, "gain_db": 39.8}
NOISE = 0.003  # of the power that comes back, point by point


def main() -> None:
    """Write the demo file."""
    power = 1e-3 * 10 ** (np.linspace(-153.0, -128.0, 6) / 10)
    recorded = power * 10 ** (LINE["gain_db"] / 10)
    traces = pc.simulate(
        "finite_temperature",
        TRUTH,
        inputs={
            "incident_power": power,
            "frequency": np.linspace(5.0193e9, 5.0233e9, 81),
        },
        seed=20261122,
        noise={"reflected_power": NOISE * recorded[:, None], "excited_population": 0.008},
        observables=("reflected_power", "excited_population"),
        detection="absorbed",
        state_noise=False,
        attributes={"anharmonicity": -2.1e8, "dwell_time": 1e-4},
        **LINE,
    )
    save_traces(Path("data/demo/power_sweep.h5"), traces)


if __name__ == "__main__":
    main()
