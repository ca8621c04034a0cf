"""The gain spectrum's model keeps powercal's contract, is the physics, and is found again."""

from __future__ import annotations

import numpy as np
import pytest
from powercal_reservoirs import bloch_gain
from powercal_reservoirs.bloch_gain import Subband
from powercal_reservoirs.bloch_gain_model import MODEL
from powercal_reservoirs.constants import ELECTRON_MASS, PLANCK, TWO_PI

import powercal as pc
from powercal.errors import FitError
from powercal.testing import ModelContract

EXAMPLES = {row.name: float(row.example) for row in MODEL.parameters}
FREQUENCY = np.linspace(3.5e11, 1.05e12, 35)


def simulate(values=EXAMPLES):
    return pc.simulate(
        MODEL,
        values,
        inputs={"frequency": FREQUENCY},
        seed=5,
        noise={"gain_per_length": 500.0},
    )


class TestBlochGain(ModelContract):
    model = MODEL

    def make_traces(self, model):
        # The slope jumps at the transition if the densities differ: no point may lie so near to
        # a transition that the kit draws that its differences straddle the jump. One lies on it.
        return simulate()


def subbands(p: dict[str, float], share: float) -> tuple[Subband, Subband]:
    densities = np.array([p["density_u"], p["density_l"]])
    potentials = bloch_gain.subband_potential(
        densities, p["effective_mass"] * ELECTRON_MASS, p["temperature"]
    )
    widths = share * p["gamma_total"], (1 - share) * p["gamma_total"]
    return tuple(Subband(w, mu, p["temperature"]) for w, mu in zip(widths, potentials, strict=True))


@pytest.mark.parametrize("temperature", [20.0, 0.005])  # dilute, and a thousand N_T
@pytest.mark.parametrize("share", [0.2, 0.9])
def test_the_curve_is_the_physics_whichever_subband_is_wider(share, temperature) -> None:
    p = EXAMPLES | {"temperature": temperature}
    wanted = bloch_gain.gain_per_length(
        TWO_PI * FREQUENCY,
        TWO_PI * p["transition_frequency"],
        *subbands(p, share),
        mass=p["effective_mass"] * ELECTRON_MASS,
        dipole=p["dipole"],
        index=p["refractive_index"],
        period=p["period"],
    )
    (found,) = MODEL.curve(FREQUENCY, **p)
    assert np.allclose(found, wanted, rtol=1e-10, atol=1e-10 * np.max(found))


def test_the_mid_infrared_values_of_gallium_arsenide_are_reproduced() -> None:
    mev = 1.602176634e-22 / PLANCK
    p = EXAMPLES | {"transition_frequency": 100 * mev, "gamma_total": TWO_PI * 10 * mev}
    p |= {"density_u": 1e15, "density_l": 1e15, "temperature": 300.0}
    p |= {"dipole": 2e-9, "period": 50e-9, "refractive_index": 3.3, "effective_mass": 0.067}
    (gain,) = MODEL.curve(np.array([95.0, 105.0]) * mev, **p)
    assert gain / 100 == pytest.approx([35.09, -38.78], abs=0.005)


@pytest.mark.parametrize(("upper", "lower"), [(3e14, 2e14), (2e14, 2e14), (1e14, 2e14)])
def test_a_spectrum_determines_line_and_densities(upper: float, lower: float) -> None:
    truth = EXAMPLES | {"density_u": upper, "density_l": lower}
    result = pc.fit(simulate(truth), MODEL, intervals="covariance")
    for name in ("transition_frequency", "gamma_total", "density_u", "density_l"):
        assert abs(result[name].value - truth[name]) < 5 * result[name].stderr
    assert result["density_u"].stderr < 0.1 * upper


def test_a_sweep_deep_below_the_fermi_energies_tells_the_difference_of_densities_only() -> None:
    # 3e15/m² reach up to 2.6 THz, the sweep goes 0.35 THz to either side.
    truth = EXAMPLES | {"temperature": 3.0, "density_u": 3e15, "density_l": 2.9e15}
    result = pc.fit(simulate(truth), MODEL, fixed={"temperature": 3.0}, intervals="covariance")
    assert set(result.undetermined) == {"density_u", "density_l"}
    difference = result["density_difference"]
    assert difference.status == "ok"
    assert abs(difference.value - 1e14) < 5 * difference.stderr < 2e13


def test_an_empty_upper_subband_is_an_upper_limit() -> None:
    result = pc.fit(simulate(EXAMPLES | {"density_u": 0.0}), MODEL)
    assert result["density_u"].status == "upper_limit"
    assert result["density_u"].interval95[1] < 5e13


def test_the_densities_times_the_oscillator_outlive_a_wrong_matrix_element() -> None:
    # Dilute carriers: where they are not, N_T of the effective mass sets an absolute scale.
    truth = EXAMPLES | {"effective_mass": 10.0}
    results = [
        pc.fit(simulate(truth), MODEL, fixed={"dipole": z, "effective_mass": 10.0},
               intervals="covariance")
        for z in (1e-8, 1.5e-8)
    ]  # fmt: skip
    for name, kept in (("weighted_density_u", True), ("density_u", False)):
        one, other = (result[name] for result in results)
        assert (abs(one.value - other.value) < 0.3 * one.stderr) is kept


def test_the_gain_is_odd_about_the_line_of_equal_densities_apart_from_the_frequency() -> None:
    offset, centre = np.linspace(1e10, 3e11, 15), EXAMPLES["transition_frequency"]
    p = EXAMPLES | {"density_u": 2e14, "density_l": 2e14}
    (above,), (below,) = (MODEL.curve(centre + s * offset, **p) for s in (1, -1))
    assert np.allclose(above / (centre + offset), -below / (centre - offset), rtol=1e-9, atol=0)


def test_the_check_of_the_width_compares_with_the_temperature() -> None:
    result = pc.fit(simulate(), MODEL, fixed={"temperature": 2.0}, intervals="covariance")
    verdicts = {check.name: check.verdict for check in result.checks}
    assert verdicts == {"broadening": "fails", "rotating_wave": "holds"}


def test_three_points_are_refused_in_words() -> None:
    with pytest.raises(FitError, match="at least four points"):
        MODEL.guess(simulate().isel(frequency=slice(0, 3)), {})
