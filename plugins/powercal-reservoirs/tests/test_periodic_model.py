"""The double dot beyond the rotating-wave approximation keeps powercal's contract."""

from __future__ import annotations

import numpy as np
import pytest
from powercal_reservoirs.double_dot_model import MODEL as ROTATING
from powercal_reservoirs.periodic_model import MODEL

import powercal as pc
from powercal.schema import DeviceTraces
from powercal.testing import ModelContract

EXAMPLES = {row.name: row.example for row in MODEL.parameters}
INPUTS = {
    "incident_power": np.geomspace(3e-17, 3e-14, 4),
    "frequency": np.linspace(5.7e9, 7.7e9, 15),
    "bias_voltage": np.array([-60e-6, -10e-6, 20e-6]),
}


def simulated(seed: int = 1) -> DeviceTraces:
    noise = {"photocurrent": 1e-13, "absorbed_power": 1e-18}
    return DeviceTraces(pc.simulate(MODEL, EXAMPLES, inputs=INPUTS, seed=seed, noise=noise))


class TestPeriodicDot(ModelContract):
    model = MODEL

    def make_traces(self, model: pc.Model) -> DeviceTraces:
        return simulated()
