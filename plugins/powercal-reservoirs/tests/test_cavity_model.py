"""The cavity's model keeps powercal's contract and agrees with the physics it is made of."""

from __future__ import annotations

import numpy as np
import pytest
from powercal_reservoirs import laser_model
from powercal_reservoirs.cavity_balance import cavity_flows
from powercal_reservoirs.cavity_model import MODEL
from powercal_reservoirs.constants import ELEMENTARY_CHARGE, PLANCK, TWO_PI
from powercal_reservoirs.double_dot import Reservoir

import powercal as pc
from powercal.errors import FitError
from powercal.schema import DeviceTraces
from powercal.testing import ModelContract

EXAMPLES = {row.name: float(row.example) for row in MODEL.parameters}
BIAS = np.linspace(-60e-6, 160e-6, 17)


def simulated(values: dict[str, float] | None = None, seed: int = 1) -> DeviceTraces:
    curves = MODEL.curve(BIAS, **(values or EXAMPLES))
    noise = {
        name: 0.003 * float(np.max(np.abs(curve)))
        for name, curve in zip(MODEL.observables, curves, strict=True)
    }
    traces = pc.simulate(
        MODEL, values or EXAMPLES, inputs={"bias_voltage": BIAS}, seed=seed, noise=noise
    )
    return DeviceTraces(traces)


class TestCavity(ModelContract):
    model = MODEL
    fits = 5

    def make_traces(self, model: pc.Model) -> DeviceTraces:
        return simulated()
