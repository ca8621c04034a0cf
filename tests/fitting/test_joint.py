"""Several measurements in one fit: same name, same number; nothing more, nothing less."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import powercal as pc
from powercal.errors import FitError, UnknownNameError
from powercal.fitting.joint_build import JointRequest, assemble
from powercal.schema import DeviceTraces
from tests.fitting.systems import DRIVEN, F0, REFLECTED, driven, reflected, sweep

N_TH = DRIVEN["n_th"]
TOTAL = DRIVEN["gamma_1"] * (1 + 2 * N_TH)
P_EQ = N_TH / (1 + 2 * N_TH)
FAST: Any = {"intervals": "covariance"}


def decay(total: float = TOTAL, p_eq: float = P_EQ, seed: int = 0) -> DeviceTraces:
    """Population against time."""
    traces = pc.simulate(
        "free_decay",
        {"gamma_1_tot": total, "p_0": 0.9, "p_eq": p_eq},
        inputs={"time": np.linspace(0, 5 / total, 40)},
        seed=seed,
        noise={"excited_population": 5e-3},
    )
    return pc.to_device_plane(traces)


def raw_decay(total: float = TOTAL, seed: int = 0) -> DeviceTraces:
    """A signal without a scale against time: it knows T1 and nothing else."""
    traces = pc.simulate(
        "free_decay",
        {"gamma_1_tot": total, "offset": 1e-3, "contrast": 8e-4},
        inputs={"time": np.linspace(0, 5 / total, 40)},
        seed=seed,
        noise={"quadrature": 4e-6},
        readout="quadrature",
    )
    return pc.to_device_plane(traces)


def at_instrument(seed: int = 0, line: Any = None, **more: Any) -> DeviceTraces:
    """A sweep of absorbed power behind a line of 60 dB loss and 30 dB gain."""
    traces = driven(DRIVEN, seed=seed, attenuation_db=60.0, gain_db=30.0, **more)
    known = pc.LineCalibration(attenuation_db=(60.2, 0.5), gain_db=(30.1, 0.4))
    return pc.to_device_plane(traces, line or known)


def small(seed: int = 0, **more: Any) -> DeviceTraces:
    """Absorbed power on a small grid."""
    return driven(DRIVEN, seed=seed, noise=5e-3, inputs=sweep(DRIVEN, 5, 13), **more)


def rank_of(result: pc.FitResult) -> tuple[int, int]:
    """Rank and number of free coordinates of a fit."""
    free = [e for e in result.parameters if e.status != "fixed"]
    priors = sum(e.prior is not None for e in free)
    return result.ndata + priors - result.nfree, len(free)


# ---- one fit in two halves ----


@pytest.mark.parametrize("stated", [True, False])
def test_a_data_set_in_two_parts_gives_the_fit_of_the_whole(stated: bool) -> None:
    wish = {"input_noise": {"incident_power": 0.02}, "state_noise": stated}
    whole = at_instrument(inputs=sweep(DRIVEN, 6, 15), **wish)
    halves = {n: whole.isel(power=slice(i, None, 2)) for i, n in enumerate(("even", "odd"))}
    known: Any = {"fixed": {"n_th": N_TH}}
    single = pc.fit(whole, "finite_temperature", **known, **FAST)
    joint = pc.fit_jointly(
        {n: pc.Part(DeviceTraces(t), "finite_temperature", **known) for n, t in halves.items()},
        **FAST,
    )
    assert joint.nfree == single.nfree
    assert joint.chi2 == pytest.approx(single.chi2, rel=1e-6)
    assert joint.names == single.names
    for name in single.names:
        # One thing computed twice, by solvers that stop where nothing moves by 1e-6 of an error.
        error = single[name].stderr
        assert abs(joint[name].value - single[name].value) < 3e-6 * error, name
        assert joint[name].stderr == pytest.approx(error, rel=1e-5), name


def test_an_error_named_alike_in_two_parts_is_one_error() -> None:
    meter = pc.ErrorSource("power meter", "absorbed_power", relative=0.05)
    cable = pc.ErrorSource("cable", "incident_power", relative=0.05, correlated="power")
    whole = pc.with_errors(small(), meter, cable)
    halves = {n: whole.isel(power=slice(i, None, 2)) for i, n in enumerate(("even", "odd"))}
    known: Any = {"fixed": {"n_th": N_TH}}
    parts = {n: pc.Part(DeviceTraces(t), "finite_temperature", **known) for n, t in halves.items()}
    joint = pc.fit_jointly(parts, **FAST)
    single = pc.fit(whole, "finite_temperature", **known, **FAST)
    assert single["gamma_1"].stderr > 0.04 * single["gamma_1"].value
    for name in single.names:
        error = single[name].stderr
        # Both iterate the errors of the axis until nothing moves by 1e-6 of an error.
        assert abs(joint[name].value - single[name].value) < 1e-4 * error, name
        assert joint[name].stderr == pytest.approx(error, rel=1e-4), name
    assert any("power meter: one error of several parts" in f.sentence for f in joint.flags)
    shares = {row.source: row.contributions["gamma_1"] for row in joint.budget}
    assert set(shares) == {"noise", "power meter", "cable (even)", "cable (odd)"}
    # The squares of the shares are those of the whole, exactly within linear theory.
    assert np.hypot.reduce([*shares.values()]) == pytest.approx(joint["gamma_1"].stderr, rel=1e-6)
    assert shares["power meter"] == pytest.approx(0.05 * joint["gamma_1"].value, rel=0.05)


def test_profiles_of_two_parts_are_those_of_the_whole() -> None:
    names = ("absorbed_power", "excited_population")
    whole = driven(DRIVEN, *names, noise=5e-3, inputs=sweep(DRIVEN, 5, 13))
    parts = {n: pc.Part(whole, "finite_temperature", observables=(n,)) for n in names}
    single = pc.fit(whole, "finite_temperature")
    joint = pc.fit_jointly(parts, derived=("T1",))
    for name in (*DRIVEN, "T1"):
        mine, theirs = joint[name], single[name]
        assert mine.status == theirs.status == "ok"
        # A profile ends where Δχ² is within a hundredth of its level: half a percent of an error.
        for a, b in zip(mine.interval95, theirs.interval95, strict=True):
            assert abs(a - b) < 0.02 * theirs.stderr, name


# ---- what determines what (supplement B) ----


def test_absorbed_power_and_a_relaxation_time_determine_all() -> None:
    both = {
        "sweep": pc.Part(driven(DRIVEN), "finite_temperature"),
        "decay": pc.Part(raw_decay(), "free_decay"),
    }
    result = pc.fit_jointly(both, **FAST)
    assert rank_of(result) == (7, 7)  # with the offset and the contrast of the decay
    assert result.undetermined == ()
    for name, truth in DRIVEN.items():
        assert abs(result[name].value - truth) < 4 * result[name].stderr, name
    assert result.ties == ("decay: gamma_1_tot = gamma_1_tot of sweep",)
    assert result.parts["decay"]["gamma_1_tot"].value == result["gamma_1_tot"].value


def test_without_the_decay_no_number_is_left() -> None:
    result = pc.fit_jointly({"sweep": pc.Part(small(), "finite_temperature")}, **FAST)
    assert rank_of(result) == (4, 5)
    assert set(result.undetermined) == {"n_th", "gamma_phi", "drive_scale"}
    for name in result.undetermined:
        assert result[name].value is None
        assert result[name].stderr is None
    assert "drive_over_thermal" in result.combinations
    assert any("'n_th': (MEAN, STD)" in remedy for remedy in result.remedies)


def test_power_population_and_relaxation_calibrate_the_line() -> None:
    line = pc.LineCalibration(attenuation_db=(60.0, 1e-3))
    wish: Any = {"inputs": sweep(DRIVEN, 5, 13), "noise": 5e-3, "attenuation_db": 60.0}
    power = driven(DRIVEN, gain_db=30.0, **wish)
    population = driven(DRIVEN, "excited_population", seed=5, **wish)
    parts = {
        "power": pc.Part(pc.to_device_plane(power, line), "finite_temperature"),
        "population": pc.Part(pc.to_device_plane(population, line), "finite_temperature"),
        "decay": pc.Part(raw_decay(), "free_decay"),
    }
    result = pc.fit_jointly(parts, **FAST)
    # Six numbers of the table; beside them the attenuation (known) and the signal of the decay.
    assert rank_of(result) == (9, 9)
    assert result.undetermined == ()
    assert abs(result["gain_db"].value - 30.0) < 4 * result["gain_db"].stderr
    del parts["decay"]
    without = pc.fit_jointly(parts, **FAST)
    assert rank_of(without) == (6, 7)
    assert {"gain_db", "gamma_1", "gamma_phi"} <= set(without.undetermined)


def test_reflection_relaxation_and_population_determine_all() -> None:
    total = (REFLECTED["gamma_r"] + REFLECTED["gamma_i"]) * (1 + 2 * REFLECTED["n_th"])
    p_eq = REFLECTED["n_th"] / (1 + 2 * REFLECTED["n_th"])
    reflection = pc.Part(
        reflected(REFLECTED, inputs=sweep(REFLECTED, 5, 15)),
        "reflection",
        free=("gamma_i", "gamma_phi", "n_th", "attenuation_db"),
        options={"convention": "+i", "setup": "device"},
    )
    parts = {"vna": reflection, "decay": pc.Part(decay(total, p_eq), "free_decay")}
    result = pc.fit_jointly(parts, **FAST)
    assert rank_of(result) == (7, 7)  # with p_0 of the decay
    for name in ("gamma_r", "gamma_i", "gamma_phi", "n_th", "attenuation_db"):
        assert abs(result[name].value - REFLECTED[name]) < 4 * result[name].stderr, name
    # T1 alone leaves n_th, and with it the loss inside, open.
    parts["decay"] = pc.Part(raw_decay(total), "free_decay")
    without = pc.fit_jointly(parts, **FAST)
    assert rank_of(without) == (7, 8)
    assert {"n_th", "gamma_i"} <= set(without.undetermined)


# ---- names ----


def test_own_numbers_are_named_after_their_parts() -> None:
    parts = {n: pc.Part(decay(seed=i), "free_decay") for i, n in enumerate(("first", "second"))}
    result = pc.fit_jointly(parts, own=("p_0",), **FAST)
    assert [e.name for e in result.parameters] == ["gamma_1_tot", "first.p_0", "p_eq", "second.p_0"]
    assert result.parts["second"]["p_0"].value == result["second.p_0"].value


def test_a_group_of_parts_has_one_number() -> None:
    rates = {"cold": TOTAL, "warm_1": 1.3 * TOTAL, "warm_2": 1.3 * TOTAL}
    parts = {n: pc.Part(decay(r, seed=i), "free_decay") for i, (n, r) in enumerate(rates.items())}
    groups = {"gamma_1_tot": {"low": ("cold",), "high": ("warm_1", "warm_2")}}
    result = pc.fit_jointly(parts, groups=groups, **FAST)
    for name, truth in (("low.gamma_1_tot", TOTAL), ("high.gamma_1_tot", 1.3 * TOTAL)):
        assert abs(result[name].value - truth) < 4 * result[name].stderr
    assert result["warm_2.T1"].value == pytest.approx(1 / result["high.gamma_1_tot"].value)


def test_parts_of_one_line_share_it_and_its_prior_counts_once() -> None:
    line = pc.LineCalibration(attenuation_db=(60.2, 0.5), gain_db=(30.1, 0.4))
    parts = {
        n: pc.Part(at_instrument(i, line), "finite_temperature", fixed={"n_th": N_TH})
        for i, n in enumerate("ab")
    }
    shared = pc.fit_jointly(parts, **FAST)
    assert shared["gain_db"].prior == (30.1, 0.4)
    assert shared["gain_db"].stderr == pytest.approx(0.4, rel=0.01)
    other = pc.LineCalibration(attenuation_db=(60.1, 0.5), gain_db=(30.1, 0.4))
    parts["b"] = pc.Part(at_instrument(1, other), "finite_temperature", fixed={"n_th": N_TH})
    apart = pc.fit_jointly(parts, **FAST)
    assert {"a.gain_db", "b.gain_db"} <= {e.name for e in apart.parameters}
    assert any("each its own number" in flag.sentence for flag in apart.flags)


def test_a_number_for_every_trace_belongs_to_its_part() -> None:
    swept = {n: driven(DRIVEN, "excited_population", seed=i) for i, n in enumerate("ab")}
    per = {"per": {"qubit_frequency": "power"}, "fixed": {"gamma_phi": 1e6}}
    parts = {n: pc.Part(t, "finite_temperature", **per) for n, t in swept.items()}
    result = pc.fit_jointly(parts, **FAST)
    assert (
        abs(result["a.qubit_frequency[7]"].value - F0) < 4 * result["a.qubit_frequency[7]"].stderr
    )
    assert result.parts["b"]["qubit_frequency[0]"].value == result["b.qubit_frequency[0]"].value
    assert "gamma_1" in result.names


# ---- ties ----


def test_a_tie_is_differentiated_exactly_even_where_it_is_not_analytic() -> None:
    factor = pc.Parameter(name="factor", unit="1", meaning="ratio of two rates", example=1.4, min=0)
    for function in (
        lambda values, part: values["slow.gamma_1_tot"] * values["factor"],
        lambda values, part: abs(values["slow.gamma_1_tot"]) * abs(values["factor"]),
    ):
        ready = assemble(
            {
                "slow": pc.Part(decay(), "free_decay"),
                "fast": pc.Part(decay(1.5 * TOTAL), "free_decay"),
            },
            JointRequest(own=("p_0",), parameters=(factor,), ties={"fast.gamma_1_tot": function}),
        )
        problem = ready.problem
        truth = {"gamma_1_tot": TOTAL, "factor": 1.4, "p_eq": 0.1, "slow.p_0": 0.9, "fast.p_0": 0.8}
        x = problem.start_from(truth)
        exact = problem.jacobian(x)
        for i in range(x.size):
            h = 1e-4 * np.eye(x.size)[i]
            f = [problem.residual(x + k * h) for k in (-2, -1, 1, 2)]
            difference = (f[0] - 8 * f[1] + 8 * f[2] - f[3]) / 12e-4
            # Fourth order in 1e-4, and rounding of 1e-13 in residuals of hundreds.
            assert np.allclose(exact[:, i], difference, rtol=1e-7, atol=1e-7 * abs(exact).max())


def test_a_tie_with_a_new_number_finds_it() -> None:
    factor = pc.Parameter(name="factor", unit="1", meaning="ratio of two rates", example=1.0, min=0)
    result = pc.fit_jointly(
        {"slow": pc.Part(decay(), "free_decay"), "fast": pc.Part(decay(1.5 * TOTAL), "free_decay")},
        parameters=(factor,),
        ties={"fast.gamma_1_tot": lambda v, part: v["slow.gamma_1_tot"] * v["factor"]},
        derived=(),
    )
    assert abs(result["factor"].value - 1.5) < 4 * result["factor"].stderr
    assert result["fast.gamma_1_tot"].status == "ok"
    assert result.ties == ("fast: gamma_1_tot: a function given as ties['fast.gamma_1_tot']",)


def test_a_tie_that_leaves_the_range_of_its_number_is_told() -> None:
    shift = pc.Parameter(name="shift", unit="1", meaning="of p_eq", example=0.0)
    result = pc.fit_jointly(
        {"a": pc.Part(decay(p_eq=0.0), "free_decay")},
        parameters=(shift,),
        ties={"p_eq": lambda v, part: v["shift"]},
        **FAST,
    )
    assert any(f.name == "tie_outside" and "p_eq of a" in f.sentence for f in result.flags)
    assert not result.verdicts["adequate"]


def test_a_prior_on_a_derived_number_acts_once_on_all() -> None:
    parts = {"sweep": pc.Part(small(), "finite_temperature")}
    result = pc.fit_jointly(parts, priors={"T1": (1 / TOTAL, 0.01 / TOTAL)}, **FAST)
    assert result.undetermined == ()
    assert result["T1"].stderr == pytest.approx(0.01 / TOTAL, rel=0.05)


# ---- statistics ----


def pulls(count: int) -> np.ndarray:
    """(estimate − truth)/error of Γ₁, Γφ, n_th and the drive scale."""
    names = ("gamma_1", "gamma_phi", "n_th", "drive_scale")
    found = []
    for seed in range(count):
        result = pc.fit_jointly(
            {
                "sweep": pc.Part(small(seed), "finite_temperature"),
                "decay": pc.Part(raw_decay(seed=1000 + seed), "free_decay"),
            },
            **FAST,
        )
        assert result.undetermined == ()
        found.append([(result[n].value - DRIVEN[n]) / result[n].stderr for n in names])
    return np.array(found)


def test_errors_of_a_joint_fit_are_those_of_its_estimates() -> None:
    found = pulls(10)
    # Ten sets: means within 4/√10, Σ pull² within the 1e-4 tails of χ² with 10 degrees.
    assert np.all(np.abs(found.mean(axis=0)) < 4 / np.sqrt(10))
    squares = np.sum(found**2, axis=0)
    assert np.all((squares > 0.89) & (squares < 35.6))


@pytest.mark.statistics
def test_errors_of_a_joint_fit_over_many_sets() -> None:
    found = pulls(200)
    assert np.all(np.abs(found.mean(axis=0)) < 4 / np.sqrt(200))
    # The standard deviation of 200 pulls scatters by 1/√400.
    assert np.all(np.abs(found.std(axis=0) - 1) < 4 / np.sqrt(400))


# ---- refusals ----


def refusals() -> dict[str, tuple[dict[str, pc.Part], dict[str, Any], str]]:
    a, b = (pc.Part(decay(seed=i), "free_decay") for i in range(2))
    held = pc.Part(decay(), "free_decay", fixed={"p_eq": 0.05})
    other = pc.Part(decay(), "free_decay", fixed={"p_eq": 0.06})
    sweep = pc.Part(driven(DRIVEN), "finite_temperature")
    new = pc.Parameter(name="p_0", unit="1", meaning="x", example=1.0)
    ab = {"a": a, "b": b}
    return {
        "nothing": ({}, {}, "there are no parts"),
        "name": ({"a/b": a}, {}, "without brackets and slashes"),
        "mixed": ({"a": a, "b": held}, {}, r"p_eq is fixed in part 'b' and free in part 'a'"),
        "values": ({"a": held, "b": other}, {}, "fixed at 0.05 and at 0.06; give one value"),
        "follows": ({"s": sweep, "b": held}, {}, "p_eq is fixed in part 'b' and follows from n_th"),
        "both": (ab, {"own": ("p_0",), "groups": {"p_0": {"x": "ab"}}}, "own and grouped at once"),
        "lost": (ab, {"groups": {"p_0": {"x": "a"}}}, "leave out part 'b'; put it in one"),
        "twice": (ab, {"groups": {"p_0": {"x": "ab", "y": "a"}}}, "is in the groups 'x' and 'y'"),
        "label": (ab, {"groups": {"p_0": {"a": "ab"}}}, "has the name of a part"),
        "new": (ab, {"parameters": (new,)}, "has the name of a parameter of a part"),
        "circle": (
            ab,
            {"ties": {"p_0": lambda v, p: 0.9 + v["p_eq"], "p_eq": lambda v, p: v["p_0"] - 0.9}},
            r"ties run in a circle \(a.p_0 → a.p_eq → a.p_0\)",
        ),
        "nan": (ab, {"ties": {"p_0": lambda v, p: float("nan")}}, "gives nan at the start"),
        "held": ({"a": held}, {"ties": {"p_eq": lambda v, p: 0.1}}, "is tied, but part 'a' holds"),
        "prior": (ab, {"priors": {"p_0": (0.9, 0.0)}}, "standard deviation 0.0; it must be > 0"),
        "intervals": (ab, {"intervals": "bayes"}, "must be 'profile' or 'covariance'"),
        "alike": (
            {"a b": a, "a_b": b},
            {"own": ("p_0",)},
            "a b.p_0 and a_b.p_0 are too much alike",
        ),
    }


@pytest.mark.parametrize("case", list(refusals()))
def test_what_cannot_be_one_fit_is_refused_in_a_sentence(case: str) -> None:
    parts, wishes, message = refusals()[case]
    with pytest.raises(FitError, match=message):
        pc.fit_jointly(parts, **wishes)


@pytest.mark.parametrize(
    "wishes",
    [
        {"own": ("p_1",)},
        {"groups": {"p_1": {"x": ("a",)}}},
        {"groups": {"p_0": {"x": ("c",)}}},
        {"ties": {"p_1": lambda v, p: 1.0}},
        {"ties": {"p_0": lambda v, p: v["p_1"]}},
        {"priors": {"p_1": (0.9, 0.1)}},
        {"start": {"p_1": 0.9}},
        {"derived": ("p_1",)},
    ],
)
def test_a_name_that_nobody_has_is_refused(wishes: dict[str, Any]) -> None:
    with pytest.raises(UnknownNameError, match=r"there is no .* 'p_1'|there is no part .* 'c'"):
        pc.fit_jointly({"a": pc.Part(decay(), "free_decay")}, **wishes)


def test_a_number_that_two_parts_derive_differently_must_be_said() -> None:
    hot = {**DRIVEN, "n_th": 3 * N_TH}
    parts = {
        "cold": pc.Part(driven(DRIVEN), "finite_temperature"),
        "hot": pc.Part(driven(hot), "finite_temperature"),
        "decay": pc.Part(raw_decay(), "free_decay"),
    }
    with pytest.raises(FitError, match="could be that of several parts, which differ"):
        pc.fit_jointly(parts, own=("n_th",), start={"cold.n_th": 0.05, "hot.n_th": 0.2})


def test_parts_whose_numbers_have_other_bounds_are_refused() -> None:
    import dataclasses

    model = pc.get_model("free_decay").configure(readout="population")
    rows = tuple(
        dataclasses.replace(p, max=0.99) if p.name == "p_0" else p for p in model.parameters
    )
    narrow = dataclasses.replace(model, parameters=rows, options=(), factory=None)
    with pytest.raises(FitError, match=r"its max is 1.0 in one and 0.99 in the other; name it"):
        pc.fit_jointly({"a": pc.Part(decay(), "free_decay"), "b": pc.Part(decay(), narrow)})


def test_a_sign_of_the_time_factor_must_be_known() -> None:
    part = pc.Part(
        reflected(REFLECTED), "reflection", options={"convention": "find", "setup": "device"}
    )
    with pytest.raises(FitError, match="sign of the time factor to be found"):
        pc.fit_jointly({"vna": part})
