"""lmfit beside powercal: its own result object, and plain fits that share no code with ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lmfit
import numpy as np
import pytest
from numpy.typing import NDArray

import powercal as pc
from powercal.fitting.again import rebuild
from powercal.fitting.weights import with_noise_uncertainty
from powercal.physics.constants import HBAR
from powercal.result import FitResult
from powercal.schema import DeviceTraces

TWO_PI = 2 * np.pi
F0 = 5e9
WARM = {"qubit_frequency": F0, "gamma_1": 6e6, "gamma_phi": 1e6, "n_th": 0.06, "drive_scale": 3e29}
WATT = HBAR * TWO_PI * F0 * WARM["gamma_1"] / 2
SWEEP = {
    "incident_power": 8e-17 * np.geomspace(0.05, 20.0, 5),
    "frequency": F0 + 2.7e6 * np.linspace(-1.0, 1.0, 15),
}
BOTH = ("absorbed_power", "excited_population")
QUBIT = {"qubit_frequency": F0, "gamma_r": 6e6, "gamma_i": 0.0, "gamma_phi": 4e5, "n_th": 0.0}
LINE = {
    "incident_power": HBAR * TWO_PI * F0 * 7.5e12 * np.geomspace(0.05, 20.0, 5),
    "frequency": SWEEP["frequency"],
}


def simulated(*names: str, seed: int = 0, **more: Any) -> DeviceTraces:
    gain = 10 ** (more.get("gain_db", 0.0) / 10)
    traces = pc.simulate(
        "finite_temperature",
        WARM,
        inputs=SWEEP,
        seed=seed,
        noise={
            "absorbed_power": 0.01 * WATT * gain,
            "reflected_power": 0.01 * WATT * gain,
            "excited_population": 0.01,
        },
        observables=names,
        detection="absorbed",
        **more,
    )
    return DeviceTraces(traces)


def fitted(**wishes: Any) -> FitResult:
    return pc.fit(simulated(*BOTH), "finite_temperature", intervals="covariance", **wishes)


def reflection(**wishes: Any) -> FitResult:
    traces = pc.simulate(
        "reflection",
        {**QUBIT, "attenuation_db": 70.0, "reference_gain": 0.9, "reference_phase": 0.4},
        inputs=LINE,
        seed=1,
        noise={"reflection": 0.01},
        observables=["reflection"],
        state_noise=False,
        attributes={"setup": "referenced"},
        convention="-i",
        setup="referenced",
    )
    wishes = {"free": ["gamma_phi"], "convention": "-i", **wishes}
    return pc.fit(DeviceTraces(traces), "reflection", intervals="covariance", **wishes)


def referenced(**wishes: Any) -> FitResult:
    """A noisy reference: its errors are common to all powers."""
    rng = np.random.default_rng(2)
    frequency = np.linspace(F0 - 3e6, F0 + 3e6, 31)
    noise = 0.01 * (rng.standard_normal((2, 31)) * [[1], [1j]]).sum(axis=0)
    turn = np.exp(-1j * TWO_PI * (frequency - F0) * 30e-9)
    reference = pc.traces(
        frequency=frequency,
        incident_power=1e-6,
        reflection=0.8 * turn + noise,
        units={"frequency": "Hz", "incident_power": "W", "reflection": "1"},
        plane="instrument",
    )
    traces = pc.simulate(
        "reflection",
        {**QUBIT, "attenuation_db": 70.0, "reference_gain": 0.8, "delay": -30e-9},
        inputs=LINE,
        seed=2,
        noise={"reflection": 0.01},
        observables=["reflection"],
        attributes={"plane": "instrument"},
        convention="-i",
        setup="raw",
    )
    device = pc.to_device_plane(traces, reference=reference)
    wishes = {"free": ["gamma_phi"], "convention": "-i", **wishes}
    return pc.fit(device, "reflection", intervals="covariance", **wishes)


def behind_a_line(**wishes: Any) -> FitResult:
    traces = simulated(
        "reflected_power", "excited_population", attenuation_db=60.0, gain_db=40.0, seed=3
    )
    line = pc.LineCalibration(attenuation_db=(60.1, 0.2), gain_db=(39.9, 0.3))
    device = pc.to_device_plane(traces, line)
    return pc.fit(device, "finite_temperature", intervals="covariance", **wishes)


def balance(**wishes: Any) -> FitResult:
    """Errors on both axes."""
    traces = pc.simulate(
        "power_balance",
        {"gamma_1": 6e6, "n_th": 0.06},
        inputs={"excited_population": np.linspace(0.06, 0.48, 20), "frequency": F0},
        seed=4,
        noise={"absorbed_power": 0.01 * WATT},
        input_noise={"excited_population": 0.03},
    )
    return pc.fit(DeviceTraces(traces), "power_balance", intervals="covariance", **wishes)


def floquet(**wishes: Any) -> FitResult:
    """No exact derivatives here: those of the house's differences."""
    traces = simulated(*BOTH, seed=5)
    wishes = {"energy": "floquet", **wishes}
    return pc.fit(traces, "finite_temperature", intervals="covariance", **wishes)


FITS = {
    "plain": fitted,
    "with_priors": lambda: fitted(priors={"gamma_1": (6.1e6, 5e4), "T1": (1.5e-7, 1e-9)}),
    "per_power": lambda: reflection(per={"reference_phase": "power", "reference_gain": "power"}),
    "noise_from_residuals": reflection,
    "common_reference": referenced,
    "behind_a_line": behind_a_line,
    "errors_on_both_axes": balance,
    "floquet": floquet,
}


def expect_the_same(result: FitResult) -> None:
    """χ² and covariance of lmfit's result are the house's, mapped by the slopes to SI."""
    theirs = pc.to_lmfit(result)
    assert isinstance(theirs, lmfit.model.ModelResult)
    assert theirs.chisqr == pytest.approx(result.chi2, rel=1e-6)
    problem, _ = rebuild(result)
    x = np.array([theirs.params[n].value for n in theirs.var_names])
    slopes = problem.slopes(x)
    # scipy's Jacobian at lmfit's end point against ours at our minimum: both stop within 1e-7 of
    # a standard error or so, and the covariance follows to first order.
    # lmfit takes σ for known; ours counts that it was estimated (nothing where σ was given).
    covariance = with_noise_uncertainty(problem, x, theirs.covar) * np.outer(slopes, slopes)
    spelled = [c.name for c in problem.coordinates]
    kept = [spelled.index(n) for n in result.names]
    size = np.sqrt(np.outer(np.diag(result.covariance), np.diag(result.covariance)))
    gap = np.abs(covariance[np.ix_(kept, kept)] - result.covariance) / size
    assert gap.max() < 1e-5
    for name, place in zip(result.names, kept, strict=True):
        mine = result[name]
        found = problem.coordinates[place].to_si(float(x[place]))
        assert abs(found - mine.value) < 1e-5 * mine.stderr


@pytest.mark.parametrize("name", FITS)
def test_to_lmfit_gives_its_own_result_with_the_same_chi2_and_covariance(name: str) -> None:
    expect_the_same(FITS[name]())


@pytest.mark.parametrize("name", FITS)
def test_to_lmfit_works_from_a_stored_report(name: str, tmp_path: Path) -> None:
    path = tmp_path / "fit.h5"
    pc.write_report(path, FITS[name]())
    expect_the_same(pc.read_report(path))


# ---- plain fits that share no code with the house ----


def formulas(
    power: NDArray[Any], frequency: NDArray[Any], v: dict[str, float]
) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
    """R and p stacked, and exact derivatives, straight from the physics sheet, section 2.

    N = (Γ₁/2) q/(1+δ²+q)... written with A = Ω²Γ₂ and B = Γ₁tot(Γ₂²+Δ²): s/(1+s) = A/(A+B).
    """
    f0, g1, gphi, n, k = (
        v[m] for m in ("qubit_frequency", "gamma_1", "gamma_phi", "n_th", "drive_scale")
    )
    thermal = 1 + 2 * n
    total, g2 = g1 * thermal, g1 * thermal / 2 + gphi
    delta = TWO_PI * (frequency - f0)
    a, b = k * power * g2, total * (g2**2 + delta**2)
    share, base = a / (a + b), n / thermal
    quantum = HBAR * TWO_PI * frequency * g1 / 2

    def chain(d_total: float, d_g2: float, d_delta: Any, d_k: float) -> NDArray[Any]:
        da = power * (d_k * g2 + k * d_g2)
        db = d_total * (g2**2 + delta**2) + total * (2 * g2 * d_g2 + 2 * delta * d_delta)
        return (da * b - a * db) / (a + b) ** 2

    slopes = {
        "qubit_frequency": chain(0.0, 0.0, -TWO_PI, 0.0),
        "gamma_1": chain(thermal, thermal / 2, 0.0, 0.0),
        "gamma_phi": chain(0.0, 1.0, 0.0, 0.0),
        "n_th": chain(2 * g1, g1, 0.0, 0.0),
        "drive_scale": chain(0.0, 0.0, 0.0, 1.0),
    }
    rows = {m: np.concatenate([quantum * d, (0.5 - base) * d]) for m, d in slopes.items()}
    rows["gamma_1"][: power.size] += quantum / g1 * share
    rows["n_th"][power.size :] += (1 - share) / thermal**2
    return np.concatenate([quantum * share, base + (0.5 - base) * share]), rows


def test_a_plain_fit_by_leastsq_gives_the_same_values_and_errors() -> None:
    result = fitted()
    traces = result.traces
    power, frequency = np.meshgrid(*(SWEEP[n] for n in SWEEP), indexing="ij")
    power, frequency = power.ravel(), frequency.ravel()
    data = np.concatenate([traces[n].values.ravel() for n in BOTH])
    sigma = np.concatenate([traces[f"{n}_std"].values.ravel() for n in BOTH])
    # lmfit wants numbers of order one: everything in units of the truth, f₀ in MHz from 5 GHz.
    unit = {**WARM, "qubit_frequency": 1e6}
    origin = dict.fromkeys(WARM, 0.0) | {"qubit_frequency": F0}

    def values(p: Any) -> dict[str, float]:
        return {n: origin[n] + unit[n] * p[n].value for n in WARM}

    def residual(p: Any) -> NDArray[Any]:
        return (formulas(power, frequency, values(p))[0] - data) / sigma

    def slopes(p: Any) -> NDArray[Any]:
        rows = formulas(power, frequency, values(p))[1]
        return np.array([unit[n] * rows[n] / sigma for n in WARM])

    parameters = lmfit.Parameters()
    for name in WARM:
        parameters.add(name, value=0.1 if name == "qubit_frequency" else 1.1)
    tight = {"ftol": 1e-15, "xtol": 1e-15, "gtol": 1e-15}
    plain = lmfit.Minimizer(residual, parameters, scale_covar=False).minimize(
        method="leastsq", Dfun=slopes, col_deriv=True, **tight
    )
    assert plain.chisqr == pytest.approx(result.chi2, rel=1e-9)
    for name in WARM:
        mine, theirs = result[name], values(plain.params)[name]
        # leastsq leaves a gradient of rounding size: 1e-6 of the value, f₀ of a standard error.
        scale = mine.stderr if name == "qubit_frequency" else mine.value
        assert abs(theirs - mine.value) < 1e-6 * scale
        assert plain.params[name].stderr * unit[name] == pytest.approx(mine.stderr, rel=1e-4)


def circle(v: NDArray[Any], power: NDArray[Any], frequency: NDArray[Any]) -> NDArray[Any]:
    """r of supplement C5 in −i with gain and phase; v in units of order one."""
    f0, g_r, g_phi, ln_loss, gain, phase = v
    g_r, g_phi = 6e6 * g_r, 4e5 * g_phi
    g2 = g_r / 2 + g_phi
    delta = (TWO_PI * (frequency - F0) - TWO_PI * 1e6 * f0) / g2
    rho, p_s = g_r / g2, HBAR * TWO_PI * frequency * g2 / 4
    q = power * np.exp(-ln_loss) / p_s
    r = gain * np.exp(1j * phase) * (1 - rho * (1 + 1j * delta) / (1 + delta**2 + q))
    return np.concatenate([r.real, r.imag])


def test_a_plain_fit_of_reflection_by_leastsq_gives_the_same_values_and_errors() -> None:
    result = reflection(sigma={"reflection": 0.01})
    power, frequency = np.meshgrid(*(LINE[n] for n in LINE), indexing="ij")
    power, frequency = power.ravel(), frequency.ravel()
    r = result.traces["reflection"].values.ravel()
    data = np.concatenate([r.real, r.imag])
    names = ("qubit_frequency", "gamma_r", "gamma_phi", "ln_loss", "gain", "phase")
    start = (0.01, 1.05, 0.9, 7 * np.log(10) + 0.1, 0.95, 0.3)

    def vector(p: Any) -> NDArray[Any]:
        return np.array([p[n].value for n in names])

    def residual(p: Any) -> NDArray[Any]:
        return (circle(vector(p), power, frequency) - data) / 0.01

    def slopes(p: Any) -> NDArray[Any]:
        v, rows = vector(p), []
        for i in range(v.size):  # sixth order: exact to rounding for so smooth a curve
            h, step = np.zeros(v.size), 3e-3
            h[i] = step
            f = [circle(v + k * h, power, frequency) for k in (-3, -2, -1, 1, 2, 3)]
            rows.append((45 * (f[3] - f[2]) - 9 * (f[4] - f[1]) + f[5] - f[0]) / (60 * step))
        return np.array(rows) / 0.01

    parameters = lmfit.Parameters()
    for name, value in zip(names, start, strict=True):
        parameters.add(name, value=value)
    tight = {"ftol": 1e-15, "xtol": 1e-15, "gtol": 1e-15}
    plain = lmfit.Minimizer(residual, parameters, scale_covar=False).minimize(
        method="leastsq", Dfun=slopes, col_deriv=True, **tight
    )
    db = 10 / np.log(10)
    unit = {"gamma_r": 6e6, "gamma_phi": 4e5, "ln_loss": db, "gain": 1.0, "phase": 1.0}
    ours = {"ln_loss": "attenuation_db", "gain": "reference_gain", "phase": "reference_phase"}
    assert plain.chisqr == pytest.approx(result.chi2, rel=1e-9)
    for name, size in unit.items():
        mine, theirs = result[ours.get(name, name)], plain.params[name]
        assert theirs.value * size == pytest.approx(mine.value, rel=1e-6)
        assert theirs.stderr * size == pytest.approx(mine.stderr, rel=1e-4)
    gap = F0 + 1e6 * plain.params["qubit_frequency"].value - result["qubit_frequency"].value
    assert abs(gap) < 1e-5 * result["qubit_frequency"].stderr


# ---- the curve from the report alone ----


def redrawn(result: FitResult, name: str) -> NDArray[Any]:
    """The best-fit curve from what the report holds: model, options, values, traces, line."""
    model = pc.get_model(result.model).configure(**result.options)
    values, traces = dict(result.values), result.traces
    shape = result.curve[name]
    arrays = [
        (traces[n] + 0 * shape.real).transpose(*shape.dims).values.astype(float)
        for n in model.inputs
    ]
    own = {p.name for p in model.parameters}
    if "attenuation_db" in values and "attenuation_db" not in own:
        place = model.inputs.index("incident_power")
        arrays[place] = arrays[place] * 10 ** (-values["attenuation_db"] / 10)
    curve = model.curve(*arrays, **{n: values[n] for n in own})[model.observables.index(name)]
    if "gain_db" in values and name.endswith("_power"):
        curve = curve * 10 ** (values["gain_db"] / 10)
    return np.asarray(curve)


@pytest.mark.parametrize("name", ["plain", "behind_a_line", "noise_from_residuals", "floquet"])
def test_the_best_fit_curve_follows_from_the_report_alone(name: str, tmp_path: Path) -> None:
    pc.write_report(tmp_path / "fit.h5", FITS[name]())
    stored = pc.read_report(tmp_path / "fit.h5")
    for observable in stored.observables:
        curve = stored.curve[observable].values
        gap = np.abs(redrawn(stored, observable) - curve)
        assert gap.max() <= 1e-12 * np.abs(curve).max()


def test_the_curve_of_a_referenced_reflection_follows_from_the_report_alone(
    tmp_path: Path,
) -> None:
    pc.write_report(tmp_path / "fit.h5", referenced())
    stored = pc.read_report(tmp_path / "fit.h5")
    curve = stored.curve["reflection"].values
    assert np.abs(redrawn(stored, "reflection") - curve).max() <= 1e-12 * np.abs(curve).max()


def test_lmfit_can_go_on_with_its_own_confidence_intervals() -> None:
    result = fitted()
    genuine = pc.to_lmfit(result)
    (found,) = genuine.conf_interval(p_names=["gamma_1"], sigmas=[1]).values()
    rate = result["gamma_1"]
    assert rate.value is not None
    assert rate.stderr is not None
    # lmfit measures Δχ² in units of the reduced χ² even where σ is given: taken out here. The
    # coordinate is a logarithm. Its forward differences at a value of nought cost it a tenth.
    half = (found[-1][1] - found[0][1]) / 2 / np.sqrt(genuine.redchi)
    assert half == pytest.approx(rate.stderr / rate.value, rel=0.15, abs=0)
