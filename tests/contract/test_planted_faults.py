"""Contract: the kit passes sound models and loaders and names every fault that is planted."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import powercal as pc
from contract.toys import LOADER, MODEL, curve, guess, jacobian, load, sample
from powercal.contracts import Derived, Model, Option
from powercal.errors import ContractError
from powercal.result import FitResult
from powercal.testing import (
    LoaderContract,
    ModelContract,
    check_loader,
    check_model,
    check_result,
    make_traces,
)
from powercal.testing.guesses import check_fit

BALANCE = pc.get_model("power_balance")


def spoilt(**changes: Any) -> Model:
    """Return the toy with changes."""
    return dataclasses.replace(MODEL, **changes)


def fitted(model: Model) -> FitResult:
    """Return a fit whose parameters are correlated."""
    return pc.fit(make_traces(model), model, intervals="covariance")


def tenth_slope(*inputs: Any, **p: Any) -> Any:
    table = dict(jacobian(*inputs, **p)[0])
    return ({**table, "gamma_1": table["gamma_1"] * (1 + 1e-4)},)


def without_slope(*inputs: Any, **p: Any) -> Any:
    return ({k: v for k, v in jacobian(*inputs, **p)[0].items() if k != "p_0"},)


def input_slope(*inputs: Any, **p: Any) -> Any:
    table = jacobian(*inputs, **p)[0]
    return ({**table, "time": -table["time"]},)


def strange_slope(*inputs: Any, **p: Any) -> Any:
    return ({**jacobian(*inputs, **p)[0], "gamma_2": np.asarray(0.0)},)


def misshapen_slope(*inputs: Any, **p: Any) -> Any:
    table = jacobian(*inputs, **p)[0]
    return ({**table, "p_0": np.ones(7)},)


def transposed(time: Any, **p: Any) -> Any:
    return (np.asarray(curve(time, **p)[0])[..., None],)


def in_place(time: Any, **p: Any) -> Any:
    if np.ndim(time):
        time *= -p["gamma_1"]
        return (p["p_eq"] + (p["p_0"] - p["p_eq"]) * np.exp(time),)
    return curve(time, **p)


def in_place_unlocked(time: Any, **p: Any) -> Any:
    if np.ndim(time) and not time.flags.writeable:
        time.setflags(write=True)
    return in_place(time, **p)


def one_number(time: Any, **p: Any) -> Any:
    return curve(time, **{name: float(value) for name, value in p.items()})


def infinite(time: Any, **p: Any) -> Any:
    return (curve(time, **p)[0] + np.where(time == 0, np.inf, 0.0),)


CALLS = itertools.count()


def forgetful(time: Any, **p: Any) -> Any:
    return (curve(time, **p)[0] + 1e-12 * next(CALLS),)


def outside(traces: Any, fixed: Mapping[str, float]) -> Any:
    return {**guess(traces, fixed), "p_0": np.asarray(1.2)}


def nan_with_gaps(traces: Any, fixed: Mapping[str, float]) -> Any:
    return {**guess(traces, fixed), "p_0": np.mean(traces["excited_population"].values)}


def strange_guess(traces: Any, fixed: Mapping[str, float]) -> Any:
    return {**guess(traces, fixed), "p_1": np.asarray(0.5)}


def greedy_guess(traces: Any, fixed: Mapping[str, float]) -> Any:
    traces["excited_population"] = traces["excited_population"] * 0
    return {}


def derived(function: Any, *arguments: str) -> tuple[Derived, ...]:
    return (Derived(name="d", unit="1", meaning="m", function=function, arguments=arguments),)


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "a wrong derivative": ({"jacobian": tenth_slope}, "excited_population by gamma_1 disagrees"),
    "a forgotten derivative": ({"jacobian": without_slope}, "by p_0 is missing, which means zero"),
    "a wrong slope of an input": ({"jacobian": input_slope}, "by time disagrees"),
    "a derivative of nothing": ({"jacobian": strange_slope}, "key 'gamma_2', which is neither"),
    "a misshapen derivative": ({"jacobian": misshapen_slope}, "has shape (7,), which does not"),
    "a wrong shape": ({"curve": transposed}, "in shape (41, 1); it must be (41,)"),
    "no tuple": ({"curve": lambda *a, **p: curve(*a, **p)[0]}, "returns ndarray; it must be a tup"),
    "an in-place write": ({"curve": in_place}, "the curve writes into what it is handed"),
    "an in-place write by force": (
        {"curve": in_place_unlocked},
        "the curve changes 'time' in place",
    ),
    "parameters that must be numbers": ({"curve": one_number}, "curve raised TypeError"),
    "an infinity": ({"curve": infinite}, "is not finite everywhere at gamma_1=100000"),
    "a memory": ({"curve": forgetful}, "a model has no memory"),
    "a guess outside bounds": ({"guess": outside}, "p_0 is 1.2, outside its bounds 0 and 1"),
    "a guess that gaps defeat": ({"guess": nan_with_gaps}, "the guess of p_0 is nan"),
    "a guess of nothing": ({"guess": strange_guess}, "the guess gives 'p_1', which is no param"),
    "a guess that writes": ({"guess": greedy_guess}, "the guess changes the traces"),
    "a guess that raises": ({"guess": lambda t, f: 1 / 0}, "guess raised ZeroDivisionError"),
    "a derived of nothing": (
        {"derived": derived(lambda **p: 1.0, "gamma_3")},
        "'d' needs 'gamma_3', which is no parameter",
    ),
    "an infinite derived": (
        {"derived": derived(lambda p_0: np.inf * p_0, "p_0")},
        "d is inf at the examples; it must be finite",
    ),
    "a derived of one number": (
        {"derived": derived(lambda p_0: np.sum(p_0), "p_0")},
        "d does not work elementwise",
    ),
    "no summary": ({"summary": " "}, "the summary must be one line"),
    "a contradiction": ({"inputs": ()}, "it has no inputs"),
    "options that are all refused": (
        {
            "options": (Option(name="o", choices=("a",), meaning="m", default="a"),),
            "factory": lambda **chosen: (_ for _ in ()).throw(ContractError("never")),
        },
        "every combination of options is refused",
    ),
    "options that crash": (
        {
            "options": (Option(name="o", choices=("a",), meaning="m", default="a"),),
            "factory": lambda **chosen: {}["a"],
        },
        "raised KeyError: 'a'",
    ),
}


@pytest.mark.parametrize("model", [MODEL, BALANCE], ids=lambda m: m.name)
def test_a_sound_model_passes(model: Model) -> None:
    check_model(model)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_spoilt_model_is_refused_with_its_fault_named(fault: str) -> None:
    changes, sentence = FAULTS[fault]
    with pytest.raises(ContractError) as caught:
        check_model(spoilt(**changes))
    assert sentence in str(caught.value)
    assert "toy_decay" in str(caught.value)


NAMED_AFTER = {
    "a wrong derivative": "test_exact_derivatives_agree_with_differences_of_the_curve",
    "a wrong shape": "test_the_curve_has_one_array_per_observable_in_the_shape_of_its_inputs",
    "an in-place write": "test_curve_and_derivatives_write_into_nothing",
    "a guess outside bounds": "test_the_guess_is_finite_and_inside_the_bounds",
}


@pytest.mark.parametrize("fault", NAMED_AFTER)
def test_the_class_fails_in_the_test_that_is_named_after_the_fault(fault: str) -> None:
    class TestSpoilt(ModelContract):
        model = spoilt(**FAULTS[fault][0])

    with pytest.raises(ContractError):
        getattr(TestSpoilt(), NAMED_AFTER[fault])()


def test_a_fit_that_does_not_find_the_truth_is_refused() -> None:
    # The solver mends poor starts, so the fault is planted in what is true.
    slower = dataclasses.replace(MODEL.parameters[0], example=8e4)
    believed = spoilt(parameters=(slower, *MODEL.parameters[1:]))
    with pytest.raises(ContractError, match=r"a fit to its own curve gives gamma_1 = .* is true"):
        check_fit(believed, make_traces(MODEL))


# --- derived errors ---------------------------------------------------------------


def in_quadrature(result: FitResult, model: Model, name: str) -> FitResult:
    """Return the result with one derived error added in quadrature, as a careless plugin would."""
    quantity = next(d for d in model.derived if d.name == name)
    values = {a: result.values[a] for a in quantity.arguments}
    total = 0.0
    for argument in quantity.arguments:
        error = result[argument].stderr
        assert error is not None
        moved = {**values, argument: values[argument] + error}
        total += float(quantity.function(**moved) - quantity.function(**values)) ** 2
    wrong = tuple(
        dataclasses.replace(e, stderr=total**0.5) if e.name == name else e for e in result.derived
    )
    return dataclasses.replace(result, derived=wrong)


@pytest.mark.parametrize(("model", "name"), [(MODEL, "first_slope"), (BALANCE, "T1")])
def test_a_derived_error_through_the_covariance_passes(model: Model, name: str) -> None:
    assert name in check_result(fitted(model), model)


@pytest.mark.parametrize(("model", "name"), [(MODEL, "first_slope"), (BALANCE, "T1")])
def test_a_derived_error_in_quadrature_is_refused(model: Model, name: str) -> None:
    result = in_quadrature(fitted(model), model, name)
    with pytest.raises(ContractError, match=f"standard error of {name} is .* the covariance gives"):
        check_result(result, model)


def test_quadrature_is_recognised_as_such() -> None:
    result = in_quadrature(fitted(MODEL), MODEL, "first_slope")
    with pytest.raises(ContractError, match=r"\(it was added in quadrature\)"):
        check_result(result, MODEL)


def test_a_parameter_error_that_is_not_its_variance_is_refused() -> None:
    result = fitted(MODEL)
    first = dataclasses.replace(result.parameters[0], stderr=1.0)
    wrong = dataclasses.replace(result, parameters=(first, *result.parameters[1:]))
    with pytest.raises(ContractError, match=r"the standard error of gamma_1 is 1.0, but its vari"):
        check_result(wrong, MODEL)


def test_a_derived_value_that_does_not_follow_is_refused() -> None:
    result = fitted(MODEL)
    wrong = dataclasses.replace(
        result, derived=(dataclasses.replace(result.derived[0], value=1.0),)
    )
    with pytest.raises(ContractError, match=r"first_slope is 1.0, but the parameters give"):
        check_result(wrong, MODEL)


# --- loaders ----------------------------------------------------------------------


def by_suffix(path: Path) -> bool:
    return path.suffix == ".toy"


def everything(path: Path) -> bool:
    return True


def raising(path: Path) -> bool:
    return path.read_bytes().startswith(b"toy 1\n")


def yes(path: Path) -> Any:
    return 1 if LOADER.claims(path) else 0


def unguarded(path: Path) -> Any:
    values = [float(line) for line in path.read_text().splitlines()[1:]]
    return load(path) if values[0] > 0 else None


def appending(path: Path) -> Any:
    traces = load(path)
    with path.open("a") as file:
        file.write("0.5\n")
    return traces


def littering(path: Path) -> Any:
    path.with_suffix(".cache").write_text("seen")
    return load(path)


def forgetting(path: Path) -> Any:
    return load(path).assign_attrs(count=next(CALLS))


def unitless(path: Path) -> Any:
    traces = load(path)
    del traces["excited_population"].attrs["units"]
    return traces


def planeless(path: Path) -> Any:
    traces = load(path)
    del traces.attrs["plane"]
    return traces


LOADER_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "it goes by the suffix": ({"claims": by_suffix}, "claims must read content, not names"),
    "it claims everything": ({"claims": everything}, "it claims a folder"),
    "claims raises": ({"claims": raising}, "claims raised IsADirectoryError for a folder"),
    "claims gives a number": ({"claims": yes}, "claims gave 1 for its own file"),
    "a truncated file crashes": ({"load": unguarded}, "raises IndexError"),
    "it writes into the file": ({"load": appending}, "two different datasets"),
    "it leaves files": ({"load": littering}, "leaves other files beside it"),
    "it has a memory": ({"load": forgetting}, "gives two different datasets"),
    "no units": ({"load": unitless}, "'excited_population' has no unit"),
    "no plane": ({"load": planeless}, "plane is None"),
    "no dataset": ({"load": lambda path: 1}, "load gave int; it must be an xarray.Dataset"),
    "options unknown to load": ({"options": ("mapping",)}, "does not take its own options"),
    "no summary": ({"summary": ""}, "the summary must be one line"),
    "describe gives no lines": ({"describe": lambda path: "x"}, "describe must give a tuple"),
}


def test_a_sound_loader_passes(tmp_path: Path) -> None:
    facts = {"sizes": {"time": 4}, "ranges": {"excited_population": (0.46, 0.9)}}
    check_loader(LOADER, sample(tmp_path), {**facts, "attrs": {"plane": "device"}})


@pytest.mark.parametrize("fault", LOADER_FAULTS)
def test_a_spoilt_loader_is_refused_with_its_fault_named(fault: str, tmp_path: Path) -> None:
    changes, sentence = LOADER_FAULTS[fault]
    with pytest.raises(ContractError) as caught:
        check_loader(dataclasses.replace(LOADER, **changes), sample(tmp_path))
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    "facts",
    [
        {"sizes": {"time": 5}},
        {"attrs": {"detection": "coherent"}},
        {"ranges": {"excited_population": (0.4, 0.9)}},
        {"ranges": {"reflection": (0.0, 1.0)}},
        {"dims": {}},
    ],
)
def test_facts_that_do_not_hold_are_named(facts: Mapping[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"is expected, .* is there|is no fact to expect"):
        check_loader(LOADER, sample(tmp_path), facts)


def test_a_loader_contract_without_sample_says_what_is_missing(tmp_path: Path) -> None:
    class TestToy(LoaderContract):
        loader = LOADER

    with pytest.raises(ContractError, match=r"give samples = .* or override sample"):
        TestToy().test_loading_twice_gives_the_same(tmp_path)


def test_the_kit_needs_no_pytest() -> None:
    import subprocess
    import sys

    code = "import sys, powercal.testing; print('pytest' in sys.modules, 'lmfit' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
