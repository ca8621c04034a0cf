"""Whether the errors of a result are those of its covariance, derived quantities included."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Derived, Model
from powercal.errors import ContractError
from powercal.result import Estimate, FitResult
from powercal.testing.differences import difference_weights, stencil

# Both sides differentiate to ten digits; a reader sees two. Quadrature is off by the correlations.
TOLERANCE = 1e-4


def check_result(result: FitResult, model: Model) -> tuple[str, ...]:
    """Refuse a result whose standard errors do not come from its covariance.

    Derived quantities must be propagated through the covariance with all correlations
    (gradient · covariance · gradient), never added in quadrature.

    Parameters
    ----------
    result : FitResult
        From :func:`powercal.fit`.
    model : Model
        The model that was fitted, configured as it was.

    Returns
    -------
    tuple of str
        The derived quantities that were verified. One that rests on a free parameter without
        standard error, or has none itself, cannot be.

    Raises
    ------
    ContractError
        The quantity, its error, and what it should be.
    """
    _check_covariance(result, model)
    verified = []
    held = {e.name for e in result.parameters if e.status == "fixed"}
    quantities = {d.name: d for d in model.derived}
    for estimate in result.derived:
        quantity = quantities.get(estimate.name)
        if quantity is None:
            raise _fault(model, f"the result has {estimate.name!r}, which the model does not offer")
        known = all(a in result.names or a in held for a in quantity.arguments)
        if estimate.stderr is None or estimate.value is None or not known:
            continue
        _check_value(quantity, estimate, result, model)
        _check_error(quantity, estimate, result, model)
        verified.append(estimate.name)
    return tuple(verified)


def _fault(model: Model, sentence: str) -> ContractError:
    return ContractError(f"model {model.name!r}: {sentence}", model.name)


def _check_covariance(result: FitResult, model: Model) -> None:
    count = len(result.names)
    if result.covariance.shape != (count, count) or not np.isfinite(result.covariance).all():
        raise _fault(model, f"the covariance is not a finite {count} × {count} matrix")
    for name, variance in zip(result.names, np.diag(result.covariance), strict=True):
        stderr = result[name].stderr
        if stderr is None or not np.isclose(stderr, sqrt(variance), rtol=TOLERANCE, atol=0):
            raise _fault(
                model,
                f"the standard error of {name} is {stderr}, but its variance gives "
                f"{sqrt(variance):.6g}",
            )


def _check_value(d: Derived, estimate: Estimate, result: FitResult, model: Model) -> None:
    expected = float(d.function(**_arguments(d, result.values)))
    if not np.isclose(estimate.value or 0.0, expected, rtol=TOLERANCE, atol=0):
        raise _fault(model, f"{d.name} is {estimate.value}, but the parameters give {expected:.6g}")


def _check_error(d: Derived, estimate: Estimate, result: FitResult, model: Model) -> None:
    gradient = _gradient(d, result, model)
    found, expected = (
        float(estimate.stderr or 0.0),
        sqrt(max(float(gradient @ result.covariance @ gradient), 0.0)),
    )
    if np.isclose(found, expected, rtol=TOLERANCE, atol=1e-9 * abs(estimate.value or 0.0)):
        return
    quadrature = sqrt(float(np.sum(gradient**2 * np.diag(result.covariance))))
    guilty = (
        " (it was added in quadrature)" if np.isclose(found, quadrature, rtol=1e-3, atol=0) else ""
    )
    raise _fault(
        model,
        f"the standard error of {d.name} is {found:.6g}{guilty}, but the covariance gives "
        f"{expected:.6g}; propagate it as gradient · covariance · gradient",
    )


def _arguments(d: Derived, values: Mapping[str, float]) -> dict[str, float]:
    return {name: values[name] for name in d.arguments}


def _gradient(d: Derived, result: FitResult, model: Model) -> NDArray[np.float64]:
    """Differentiate along the determined free parameters, with steps of a part of their error."""
    arguments = _arguments(d, result.values)
    slopes = np.zeros(len(result.names))
    for i, name in enumerate(result.names):
        if name not in arguments:
            continue
        row, value = model.parameter(name), arguments[name]
        step = 1e-3 * min(sqrt(result.covariance[i, i]) * 100, abs(value) or 1.0)
        slopes[i] = _slope(d, arguments, name, step, row.min, row.max)
    return slopes


def _slope(
    d: Derived, arguments: dict[str, float], name: str, step: float, low: float, high: float
) -> float:
    offsets = stencil(arguments[name], step, low, high)
    if offsets is None:
        return float("nan")

    def at(offset: float) -> Any:
        return d.function(**{**arguments, name: arguments[name] + offset * step})

    weights = difference_weights(offsets)
    return float(sum(w * float(at(o)) for w, o in zip(weights, offsets, strict=True)) / step)
