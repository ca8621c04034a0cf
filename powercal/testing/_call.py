"""Call a stranger's function: whatever escapes becomes one sentence that names the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from powercal.contracts import Model
from powercal.errors import ContractError, PowercalError

Array = NDArray[Any]


def fault(model: Model, sentence: str) -> ContractError:
    """Return the error for a model's fault, to be raised by the caller."""
    chosen = ", ".join(f"{key}={value}" for key, value in model.chosen.items())
    which = f"model {model.name!r} ({chosen})" if chosen else f"model {model.name!r}"
    return ContractError(f"{which}: {sentence}", model.name)


def call(model: Model, part: str, function: Callable[..., Any], *args: Any, **named: Any) -> Any:
    """Call a part of a model.

    Raises
    ------
    PowercalError
        What the part raises for its user, for example a FitError of a guess.
    ContractError
        Whatever else escapes, with its name.
    """
    try:
        return function(*args, **named)
    except PowercalError:
        raise
    except Exception as error:  # a stranger's code may raise anything
        raise fault(model, f"{part} raised {type(error).__name__}: {error}") from error


def frozen(values: Any) -> Array:
    """Return a read-only copy, so that a write into it raises where it happens."""
    copy = np.array(values)
    copy.flags.writeable = False
    return copy


def _own(values: Any) -> Any:
    return values.copy() if isinstance(values, np.ndarray) else values


def curve_of(model: Model, inputs: Mapping[str, Any], values: Mapping[str, Any]) -> list[Array]:
    """Return the curve as arrays, if it is a tuple with one array for each observable.

    Arrays are copied, so that a curve that writes into them spoils one call only.
    """
    handed = [_own(inputs[n]) for n in model.inputs]
    found = call(model, "curve", model.curve, *handed, **values)
    if not isinstance(found, tuple) or len(found) != len(model.observables):
        what = f"a tuple of {len(found)}" if isinstance(found, tuple) else type(found).__name__
        raise fault(
            model,
            f"the curve returns {what}; it must be a tuple with one array for each of "
            f"{', '.join(model.observables)}",
        )
    return [np.asarray(array) for array in found]


def jacobian_of(
    model: Model, inputs: Mapping[str, Any], values: Mapping[str, Any]
) -> list[dict[str, Array]]:
    """Return the exact derivatives, if they are one mapping for each observable."""
    assert model.jacobian is not None
    handed = [_own(inputs[n]) for n in model.inputs]
    found = call(model, "jacobian", model.jacobian, *handed, **values)
    mappings = isinstance(found, tuple) and all(isinstance(table, Mapping) for table in found)
    if not mappings or len(found) != len(model.observables):
        raise fault(
            model,
            f"the jacobian must be a tuple with one mapping (name: derivative) for each of "
            f"{', '.join(model.observables)}",
        )
    known = {*model.inputs, *(row.name for row in model.parameters)}
    for name in (name for table in found for name in table if name not in known):
        raise fault(
            model, f"the jacobian has the key {name!r}, which is neither parameter nor input"
        )
    return [{name: np.asarray(value) for name, value in table.items()} for table in found]


def expect_finite(model: Model, curve: Mapping[str, Array], at: Mapping[str, float]) -> None:
    """Refuse a curve (by observable) that is not finite at these parameters."""
    for name, found in curve.items():
        if not np.isfinite(found).all():
            raise fault(model, f"{name} is not finite everywhere at {shown(at)}")


def shown(point: Mapping[str, float]) -> str:
    """Write parameters out for a message."""
    return ", ".join(f"{name}={value:.6g}" for name, value in point.items())


def expect_shapes(model: Model, curve: Mapping[str, Array], wanted: tuple[int, ...]) -> None:
    """Refuse a curve (by observable) of another shape than its inputs broadcast to."""
    for name, found in curve.items():
        if found.shape != wanted:
            raise fault(
                model,
                f"the curve gives {name} in shape {found.shape}; it must be {wanted}, the shape to "
                f"which inputs and parameters broadcast",
            )
