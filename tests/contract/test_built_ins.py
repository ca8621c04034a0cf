"""Contract: the kit passes every model and every loader of the house."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from loaders.column_files import IDENTIFIER, write_pycqed, write_quantify
from loaders.labber_files import LabberFile, Step, line

import powercal as pc
from powercal import registry
from powercal.loaders.hdf5 import save_traces
from powercal.testing import LoaderContract, ModelContract
from powercal.testing.curves import representatives

MODELS = sorted(n for n in registry.models() if registry.origin("model", n)[0] == registry.HOUSE)
FREQUENCY = np.linspace(5.0e9, 5.1e9, 11)
POWER_DBM = np.array([-20.0, -10.0, 0.0])
DELAYS = np.linspace(0.0, 40e-6, 9)
DECAY = np.exp(-DELAYS / 10e-6)
POLAR = [("magn", "V", 1e-3 * (1 + DECAY)), ("phase", "deg", 30 + 20 * DECAY)]
# PycQED appends its calibration points at the last delay plus the first four.
CALIBRATED = np.append(DELAYS, DELAYS[-1] + DELAYS[:4])
STATE = np.append(DECAY, [0.0, 0.0, 1.0, 1.0])
PAIR = [("raw w0", "V", 1e-3 + 5e-4 * STATE), ("raw w3", "V", 6e-4 - 8e-4 * STATE)]
SIGNAL = np.arange(33.0).reshape(3, 11) * (1 + 2j) + 1


def with_every_choice(model: pc.Model) -> list[pc.Model]:
    """The first configurations that together hold every choice of every option."""
    seen: set[tuple[str, str]] = set()
    kept = []
    for configured in representatives(model):
        choices = set(configured.chosen.items())
        if not kept or choices - seen:
            kept.append(configured)
        seen |= choices
    return kept


class TestBuiltInModels(ModelContract):
    """Every choice once; every pair of choices, and more fits, are among the statistics."""

    fits = 10  # of two parameters or more: errors to 16 % or better

    @pytest.fixture(autouse=True, params=MODELS)
    def choose(self, request: pytest.FixtureRequest) -> None:
        self.model = registry.get_model(request.param)  # type: ignore[misc]

    def _every(self, clause: Any) -> None:
        for configured in with_every_choice(self.model):
            clause(configured, self.make_traces(configured))


@pytest.mark.statistics
class TestPairsOfOptionsOfBuiltInModels(ModelContract):
    @pytest.fixture(autouse=True, params=MODELS)
    def choose(self, request: pytest.FixtureRequest) -> None:
        self.model = registry.get_model(request.param)  # type: ignore[misc]


@pytest.mark.parametrize("name", MODELS)
def test_the_configurations_of_every_run_hold_every_choice(name: str) -> None:
    model = registry.get_model(name)
    tried, all_of_them = (
        {choice for m in models for choice in m.chosen.items()}
        for models in (with_every_choice(model), representatives(model))
    )
    assert tried == all_of_them


class TestOwnHdf5(LoaderContract):
    loader = registry.get_loader("hdf5")
    facts: ClassVar = {
        "sizes": {"power": 3, "frequency": 11},
        "attrs": {"plane": "instrument", "detection": "coherent"},
        "ranges": {"incident_power": (1e-5, 1e-3), "frequency": (5.0e9, 5.1e9)},
    }

    def sample(self, tmp_path: Path) -> Path:
        traces = pc.traces(
            incident_power=POWER_DBM,
            frequency=FREQUENCY,
            received=SIGNAL,
            units={"incident_power": "dBm", "frequency": "Hz", "received": "V"},
            plane="instrument",
            detection="coherent",
        )
        save_traces(tmp_path / "sweep.h5", traces)
        return tmp_path / "sweep.h5"


class TestCsv(LoaderContract):
    loader = registry.get_loader("csv")
    facts: ClassVar = {
        "sizes": {"frequency": 11},
        "attrs": {"plane": "device"},
        "ranges": {"incident_power": (1e-16, 1e-16), "excited_population": (0.1, 0.2)},
    }

    def sample(self, tmp_path: Path) -> Path:
        rows = "".join(f"{f / 1e9:.6f},{0.1 + 0.01 * i:.4f}\n" for i, f in enumerate(FREQUENCY))
        head = "# plane: device\n# incident_power: -130 dBm\nfrequency_GHz,excited_population\n"
        path = tmp_path / "sweep.csv"
        path.write_text(head + rows)
        return path


class TestTouchstone(LoaderContract):
    loader = registry.get_loader("touchstone")
    options: ClassVar = {"incident_power_dbm": -30.0}
    facts: ClassVar = {
        "sizes": {"frequency": 11},
        "attrs": {"detection": "coherent"},
        "ranges": {"incident_power": (1e-6, 1e-6), "frequency": (5.0e9, 5.1e9)},
    }

    def sample(self, tmp_path: Path) -> Path:
        pytest.importorskip("skrf")
        rows = "".join(f"{f:.0f} 0.9 {0.01 * i:.3f}\n" for i, f in enumerate(FREQUENCY))
        path = tmp_path / "sweep.s1p"
        path.write_text("! a sweep\n# Hz S RI R 50\n" + rows)
        return path


class TestLabber(LoaderContract):
    loader = registry.get_loader("labber")
    facts: ClassVar = {
        "sizes": {"power": 3, "frequency": 11},
        "attrs": {"plane": "instrument", "detection": "coherent"},
        "ranges": {"incident_power": (1e-5, 1e-3), "frequency": (5.0e9, 5.1e9)},
    }

    def sample(self, tmp_path: Path) -> Path:
        generator = "Generator at localhost"
        channels = {
            "Drive - Frequency": (generator, "Frequency", "Hz"),
            "Drive - Power": (generator, "Power", "dBm"),
            "Digitizer": ("Card at localhost", "Demodulated", "V"),
        }
        steps = [
            Step("Drive - Frequency", FREQUENCY, [line(5.0e9, 5.1e9, 11)]),
            Step("Drive - Power", POWER_DBM, [line(-20.0, 0.0, 3)]),
        ]
        return LabberFile(channels, steps, {"Digitizer": SIGNAL}).write(tmp_path / "log.hdf5")


class TestQuantify(LoaderContract):
    loader = registry.get_loader("quantify")
    facts: ClassVar = {
        "sizes": {"time": 9},
        "attrs": {"plane": "instrument", "detection": "coherent", "tuid": IDENTIFIER},
        "ranges": {"time": (0.0, 40e-6), "received": (1e-3 * (1 + np.exp(-4)), 2e-3)},
    }

    def sample(self, tmp_path: Path) -> Path:
        return write_quantify(tmp_path / "dataset.hdf5", [("delay", "s", DELAYS)], POLAR)


class TestPycqed(LoaderContract):
    loader = registry.get_loader("pycqed")
    facts: ClassVar = {
        "sizes": {"time": 9, "calibration_point": 4},
        "attrs": {"plane": "instrument", "detection": "coherent"},
        "ranges": {"time": (0.0, float(np.float32(40e-6)))},
    }

    def sample(self, tmp_path: Path) -> Path:
        return write_pycqed(tmp_path / "T1.hdf5", [("Time", "s", CALIBRATED)], PAIR)


def test_every_loader_of_the_house_stands_in_this_file() -> None:
    tried = {c.loader.name for c in LoaderContract.__subclasses__()}
    ours = {n for n in registry.loaders() if registry.origin("loader", n)[0] == registry.HOUSE}
    assert ours <= tried
