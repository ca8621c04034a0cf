"""numpy, numba and lmfit find the same minima from the same problem; poor curves are no excuse."""

from __future__ import annotations

import importlib.util
import types
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from powercal.contracts import Derived, Model, Parameter
from powercal.errors import FitError
from powercal.fitting.batch import compiled, scalar_descent
from powercal.fitting.batch.descent import CONVERGED, NOT_FINITE, Found, Settings, descend
from powercal.fitting.batch.direct import DirectEvaluator
from powercal.fitting.batch.evaluate import GramEvaluator
from powercal.fitting.batch.expression import express
from powercal.fitting.batch.kernel import kernel_of
from powercal.fitting.batch.problem import Axis, BatchProblem, Observed
from powercal.fitting.batch.solver import DIFFERENCES, OWN, TRACED, Plan, full_matrix, solve
from powercal.fitting.batch.verdicts import covariances
from powercal.fitting.pieces import Prior

Array = NDArray[np.float64]
NAMES = ("height", "width", "centre", "floor")
needs_numba = pytest.mark.skipif(
    importlib.util.find_spec("numba") is None, reason="numba (extra fast) is not installed"
)


def line(x: Any, *, height: Any, width: Any, centre: Any, floor: Any) -> tuple[Any, Any]:
    """A line with a floor, and a second observable of the same parameters."""
    s = height * width / (width**2 + (x - centre) ** 2)
    return s / (1 + s) + floor, floor + 0.3 * s / (1 + s) * height


def model_of(curve: Callable[..., Any], jacobian: Any = None) -> Model:
    return Model(
        name="line",
        summary="a line",
        inputs=("x",),
        observables=("first", "second"),
        parameters=tuple(
            Parameter(name=n, unit="1", meaning=n, example=1.0, min=0.0) for n in NAMES
        ),
        curve=curve,
        guess=lambda traces, fixed: {},
        jacobian=jacobian,
        derived=(
            Derived(
                name="area",
                unit="1",
                meaning="height times width",
                function=lambda **p: p["height"] * p["width"],
                arguments=("height", "width"),
            ),
        ),
    )


def batch(
    fits: int = 300,
    seed: int = 0,
    *,
    noise: float = 0.01,
    scatter: float = 0.2,
    floor: float = 0.05,
    **changes: Any,
) -> BatchProblem:
    rng = np.random.default_rng(seed)
    truth = np.stack(
        [
            np.exp(rng.normal(0, 0.7, fits)),
            np.exp(rng.normal(0, 0.2, fits)),
            rng.normal(0, 0.3, fits),
            np.full(fits, floor),
        ],
        axis=1,
    )
    x = np.linspace(-4, 4, 61)[None, :]
    columns = {n: truth[:, k : k + 1] for k, n in enumerate(NAMES)}
    curves = line(x, **columns)
    observed = []
    for k, curve in enumerate(curves):
        data = curve + noise * rng.standard_normal(curve.shape)
        data[rng.random(data.shape) < 0.02] = np.nan
        observed.append(Observed(("first", "second")[k], k, data, np.full((fits, 1), noise), True))
    start = truth * np.exp(scatter * rng.standard_normal(truth.shape))
    start[:, 2] = truth[:, 2] + scatter * rng.standard_normal(fits)
    problem = BatchProblem(
        model=model_of(line),
        inputs={"x": x},
        observed=tuple(observed),
        axes=(
            Axis("height", True, 1e-6, 1e6),
            Axis("width", False, 0.0, np.inf),
            Axis("centre", False, -np.inf, np.inf),
            Axis("floor", False, 0.0, np.inf),
        ),
        start=start,
        power_observables=(False, False),
    )
    return replace(problem, **changes)


def errors(problem: BatchProblem, found: Found) -> Array:
    return np.sqrt(np.einsum("nii->ni", covariances(problem, found).covariance))


def same(problem: BatchProblem, one: Found, two: Found, steps: float = 1e-5) -> None:
    """Points within so many standard errors, and the same χ²."""
    error = errors(problem, one)
    off = np.abs(one.x - two.x)
    assert np.max(off / np.where(error > 0, error, 1.0)) <= steps
    assert two.chi2 == pytest.approx(one.chi2, rel=1e-9)


def test_numpy_and_tight_lmfit_agree_and_so_do_their_covariances() -> None:
    problem = batch(60)
    ours, theirs = (solve(problem, Plan(problem, s)).found for s in ("numpy", "lmfit"))
    assert (ours.outcome == CONVERGED).all()
    assert (theirs.outcome == CONVERGED).all()
    same(problem, ours, theirs)
    one, two = (covariances(problem, f).covariance for f in (ours, theirs))
    size = np.sqrt(np.einsum("nii->ni", one))
    assert np.max(np.abs(one - two) / (size[:, :, None] * size[:, None, :])) <= 1e-6


def test_minima_on_a_bound_are_found_exactly() -> None:
    problem = batch(200, floor=0.0)
    ours = solve(problem, Plan(problem, "numpy")).found
    theirs = solve(problem.take(np.arange(20)), Plan(problem, "lmfit")).found
    held = ours.x[:, 3] == 0.0
    assert 60 < held.sum() < 140  # the floor's estimate is negative half the time
    assert np.array_equal(held, ours.on_bound[:, 3])
    assert (ours.chi2[:20] <= theirs.chi2 * (1 + 1e-9)).all()
    assert theirs.chi2 == pytest.approx(ours.chi2[:20], rel=1e-6)


@needs_numba
def test_numba_takes_the_same_decisions() -> None:
    problem = own_axes(batch(200, floor=0.0, scatter=0.8))
    one = solve(problem, Plan(problem, "numpy"))
    two = solve(problem, Plan(problem, "numba"))
    assert two.solver == "numba"
    assert np.array_equal(one.found.outcome, two.found.outcome)
    # Where a gain lies within rounding of its limit either way is right.
    assert np.mean(one.found.evaluations == two.found.evaluations) >= 0.97
    assert np.array_equal(one.found.on_bound, two.found.on_bound)
    same(problem, one.found, two.found, steps=2e-6)


def own_axes(problem: BatchProblem) -> BatchProblem:
    """Every fit has its own axis: with or without gaps in it one compiled kernel serves all."""
    return replace(problem, inputs={"x": np.repeat(problem.inputs["x"], problem.size, axis=0)})


def test_a_lone_fit_is_compiled_like_all_the_others() -> None:
    for problem in (own_axes(batch(20)), batch(20)):
        lone = problem.take(np.array([7]))
        texts = {kernel_of(p, express(p)).source for p in (problem, lone)}
        assert len(texts) == 1
        one, all_of_them = (solve(p, Plan(p, "numpy")).found.x for p in (lone, problem))
        assert one[0] == pytest.approx(all_of_them[7], rel=1e-12)


def turning(x: Any, *, height: Any, width: Any, centre: Any, floor: Any) -> tuple[Any, Any]:
    """An amplitude with a phase that turns along the axis."""
    z = (1 - height * width / (width - 1j * (x - centre))) * np.exp(1j * floor * x)
    return z, np.abs(z) ** 2


def amplitudes(fits: int) -> BatchProblem:
    problem = batch(fits, scatter=0.1)
    rng = np.random.default_rng(3)
    columns = {n: problem.start[:, k : k + 1] for k, n in enumerate(NAMES)}
    z = turning(problem.inputs["x"], **columns)[0]
    z = z + 0.01 * (rng.standard_normal(z.shape) + 1j * rng.standard_normal(z.shape))
    z[rng.random(z.shape) < 0.05] = np.nan  # NaN + 0i: one part alone is missing
    observed = (Observed("first", 0, z, np.full((fits, 1), 0.01), True),)
    return replace(problem, model=model_of(turning), observed=observed)


def test_amplitudes_are_fitted_without_their_phase_and_come_out_the_same() -> None:
    problem = amplitudes(40)
    plan = Plan(problem, "numpy")
    assert all(s.within for s in plan.expression.signals)  # type: ignore[union-attr]
    ours = solve(problem, plan).found
    same(problem, ours, solve(problem, Plan(problem, "lmfit")).found)
    direct = Plan(problem, "numpy")
    direct.expression = None
    same(problem, ours, solve(problem, direct).found)
    if compiled.available():
        quick = solve(problem, Plan(problem, "numba")).found
        assert np.array_equal(quick.count, ours.count)
        same(problem, ours, quick, steps=1e-6)


def test_the_text_that_is_compiled_gives_the_same_as_plain_python() -> None:
    priors = (Prior("area", 1.0, 0.2), Prior("width", 1.0, 0.1))
    problem = batch(6, floor=0.0, priors=priors)
    expression = express(problem)
    kernel = kernel_of(problem, expression)
    module = types.ModuleType("plain")
    text = compiled._module_text(kernel)
    exec(text[: text.index("import numba")], module.__dict__)  # our own text, as Python
    plain = compiled.run(module, kernel, problem, Settings(absolute=True))
    found = solve(problem, Plan(problem, "numpy"), Settings(absolute=True)).found
    assert np.array_equal(plain.evaluations, found.evaluations)
    assert np.array_equal(plain.on_bound, found.on_bound)
    same(problem, found, plain, steps=1e-7)
    with pytest.raises(NotImplementedError):
        scalar_descent.evaluate(*([None] * 8))


def test_a_curve_that_cannot_be_traced_is_fitted_by_its_own_jacobian_or_by_differences() -> None:
    def untraceable(x: Any, **p: Any) -> Any:
        return line(np.asarray(x), **{k: np.asarray(v) for k, v in p.items()})

    def jacobian(x: Any, **p: Any) -> Any:
        tables: tuple[dict[str, Any], ...] = ({}, {})
        for name in NAMES:
            moved = line(x, **{**p, name: p[name] + 1e-30j})
            for table, curve in zip(tables, moved, strict=True):
                table[name] = np.imag(curve) / 1e-30
        return tables

    traced = batch(50)
    exact = solve(traced, Plan(traced, "numpy"))
    assert exact.derivatives == TRACED
    for own, words in ((jacobian, OWN), (None, DIFFERENCES)):
        problem = replace(traced, model=model_of(untraceable, own))
        solved = solve(problem, Plan(problem, "numpy"))
        assert solved.derivatives.startswith(words)
        assert "no single expression: a conversion to an array" in solved.derivatives
        same(traced, exact.found, solved.found)
    with pytest.raises(FitError, match=r"cannot .*conversion to an array"):
        Plan(problem, "numba")


@pytest.mark.parametrize("kind", ["per fit", "per point", "one axis", "one number", "gaps"])
def test_weights_of_every_shape_count_the_same(kind: str) -> None:
    rng = np.random.default_rng(5)
    problem = batch(30)
    shape = problem.observed[0].data.shape
    sigma = {
        "per fit": 0.01 * np.exp(rng.normal(0, 0.5, (30, 1))),
        "per point": 0.01 * np.exp(rng.normal(0, 0.5, shape)),
        "one axis": 0.01 * np.exp(rng.normal(0, 0.5, (1, shape[1]))),
        "one number": np.full((1, 1), 0.02),
        "gaps": np.full((1, 1), 0.02),
    }[kind]
    observed = tuple(replace(o, sigma=sigma) for o in problem.observed)
    if kind == "gaps":
        for o in observed:
            o.data[:, ::3] = np.nan
    problem = replace(problem, observed=observed)
    ours = solve(problem, Plan(problem, "numpy")).found
    for i in (0, 7):
        one = problem.one(i)
        point = one.start_from(
            dict(zip((a.name for a in problem.axes), problem.to_values(ours.x[i]), strict=True))
        )
        rows = one.residual(point)
        assert float(rows @ rows) == pytest.approx(ours.chi2[i], rel=1e-9)
        # no way down is left
        assert np.linalg.norm(one.jacobian(point).T @ rows) <= 1e-4 * np.sqrt(ours.chi2[i])


def test_gaps_in_inputs_take_their_points_along() -> None:
    problem = own_axes(batch(20))
    x = problem.inputs["x"].copy()
    x[:, 11] = np.nan
    with_gaps = replace(problem, inputs={"x": x})
    blanked = [o.data.copy() for o in problem.observed]
    for data in blanked:
        data[:, 11] = np.nan
    plain = replace(
        problem,
        observed=tuple(replace(o, data=d) for o, d in zip(problem.observed, blanked, strict=True)),
    )
    for solver in ("numpy", *(("numba",) if compiled.available() else ())):
        one, two = (solve(p, Plan(p, solver)).found for p in (with_gaps, plain))
        assert np.array_equal(one.count, two.count)
        same(plain, two, one, steps=1e-7)


def test_priors_per_fit_and_of_derived_quantities_are_data() -> None:
    mean = np.linspace(0.5, 2.0, 25)
    problem = batch(25, priors=(Prior("area", mean, np.full(25, 0.05)),))  # type: ignore[arg-type]
    ours = solve(problem, Plan(problem, "numpy")).found
    theirs = solve(problem, Plan(problem, "lmfit")).found
    same(problem, ours, theirs)
    assert (ours.count == theirs.count).all()
    without = solve(replace(problem, priors=()), Plan(replace(problem, priors=()), "numpy")).found
    assert np.max(np.abs(ours.x - without.x)) > 0.01


def test_poor_starts_end_no_worse_than_lmfit() -> None:
    problem = batch(40, scatter=0.8, seed=8)
    ours = solve(problem, Plan(problem, "numpy"))
    theirs = solve(problem, Plan(problem, "lmfit"))
    lost = (ours.found.chi2 > theirs.found.chi2 * (1 + 1e-6)).sum()
    beaten = (theirs.found.chi2 > ours.found.chi2 * (1 + 1e-6)).sum()
    assert lost <= beaten


def test_data_without_noise_end_at_the_truth() -> None:
    problem = batch(40, noise=1e-300, scatter=0.1)
    problem = replace(
        problem, observed=tuple(replace(o, sigma=None, given=False) for o in problem.observed)
    )
    found = solve(problem, Plan(problem, "numpy"), Settings()).found
    assert (found.outcome == CONVERGED).all()
    truth = batch(40, noise=1e-300, scatter=0.0).start
    assert np.max(np.abs(problem.to_values(found.x) / truth - 1)) < 1e-9


def test_a_start_that_is_no_number_fails_by_itself() -> None:
    problem = batch(5)
    problem.start[2] = np.nan
    for solver in ("numpy", "lmfit", *(("numba",) if compiled.available() else ())):
        found = solve(problem, Plan(problem, solver)).found
        assert found.outcome.tolist() == [CONVERGED, CONVERGED, NOT_FINITE, CONVERGED, CONVERGED]


def test_fits_that_do_not_converge_go_to_lmfit_and_are_counted() -> None:
    problem = batch(12, scatter=0.5)
    plan = Plan(problem, "numpy")
    hasty = solve(problem, plan, Settings(evaluations=3, absolute=True))
    assert 0 < hasty.rescued.size <= 12
    assert (hasty.found.outcome == CONVERGED).all()
    same(problem, solve(problem, plan).found, hasty.found)


def test_slots_hold_fewer_fits_than_there_are() -> None:
    problem = batch(2500)
    one_for_all = replace(problem.observed[1], sigma=np.full((1, 1), 0.01))
    problem = replace(problem, observed=(problem.observed[0], one_for_all))
    found = descend(
        lambda slots: GramEvaluator(problem, slots),
        problem.to_coordinates(problem.start),
        problem.bounds(),
        problem.log,
        problem.points,
        0,
        Settings(absolute=True),
    )
    part = problem.take(np.array([3, 1200, 2499]))
    alone = solve(part, Plan(part, "numpy")).found
    assert (found.outcome == CONVERGED).all()
    assert found.x[[3, 1200, 2499]] == pytest.approx(alone.x, rel=1e-9)


def test_expressions_and_arrays_give_the_same_normal_equations() -> None:
    problem = batch(9, priors=(Prior("area", 1.0, 0.3), Prior("width", 1.1, 0.2)))
    x = problem.to_coordinates(problem.start).T.copy()
    found = []
    for evaluator in (GramEvaluator(problem, 9), DirectEvaluator(problem, 9)):
        evaluator.load(np.arange(9), slice(0, 9))
        matrix, slope = np.empty((10, 9)), np.empty((4, 9))
        chi2 = evaluator.normal(x, matrix, slope)
        found.append((chi2, slope, full_matrix(matrix, 4), *evaluator.counts()))
    for one, two in zip(*found, strict=True):
        assert one == pytest.approx(two, rel=1e-7, abs=1e-7 * float(np.max(np.abs(two))))
