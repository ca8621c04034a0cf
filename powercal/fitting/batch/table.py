"""Results of many fits as one dataset: numbers with a status each, dimension by dimension."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from powercal.fitting.batch.descent import OUTCOMES
from powercal.fitting.batch.layout import Layout
from powercal.fitting.batch.verdicts import STATUSES, Quantity

if TYPE_CHECKING:
    import xarray as xr

FloatArray = NDArray[np.float64]
SIDES = ("low", "high")


def coded(meanings: Mapping[int, str]) -> dict[str, Any]:
    """Return attributes that say what codes mean, as CF wants them."""
    words = " ".join(meanings[c].replace(" ", "_") for c in sorted(meanings))
    return {"flag_values": np.array(sorted(meanings), dtype=np.int8), "flag_meanings": words}


STATUS_ATTRS = coded(dict(enumerate(STATUSES)))
OUTCOME_ATTRS = coded(OUTCOMES)


def results(
    layout: Layout,
    coords: Mapping[str, Any],
    quantities: list[Quantity],
    extra: Mapping[str, tuple[tuple[str, ...], NDArray[Any], dict[str, Any]]],
    names: tuple[str, ...],
    covariance: FloatArray,
    attrs: Mapping[str, Any],
) -> xr.Dataset:
    """Lay the results of one block out.

    Parameters
    ----------
    layout : Layout
        Of the block.
    coords : mapping
        Coordinates along the repeated dimensions.
    quantities : list of Quantity
        Parameters, then derived quantities.
    extra : mapping
        Further variables per fit: dimensions behind the repeated ones, flat values, attributes.
    names, covariance : tuple of str, ndarray
        Free parameters and their covariance, SI, (fits, p, p).
    attrs : mapping
        What holds for all.
    """
    import xarray

    over, shape = layout.over, layout.over_shape

    def laid(values: NDArray[Any], *more: str) -> tuple[tuple[str, ...], NDArray[Any]]:
        return (*over, *more), values.reshape(*shape, *values.shape[1:])

    fields: dict[str, Any] = {
        "value": laid(np.stack([q.value for q in quantities], axis=1), "quantity"),
        "stderr": laid(np.stack([q.stderr for q in quantities], axis=1), "quantity"),
        "status": (
            *laid(np.stack([q.status for q in quantities], axis=1), "quantity"),
            STATUS_ATTRS,
        ),
        "interval68": laid(
            np.stack([q.interval68 for q in quantities], axis=1), "quantity", "side"
        ),
        "interval95": laid(
            np.stack([q.interval95 for q in quantities], axis=1), "quantity", "side"
        ),
        "covariance": laid(covariance, "parameter", "parameter_b"),
    }
    for name, (dims, values, own) in extra.items():
        fields[name] = (*laid(values, *dims), own)
    labels = np.array([q.name for q in quantities], dtype=object).astype(str)
    free = np.array(names, dtype=object).astype(str)
    held = {
        "quantity": labels,
        "unit": ("quantity", np.array([q.unit for q in quantities]).astype(str)),
        "meaning": ("quantity", np.array([q.meaning for q in quantities]).astype(str)),
        "side": np.array(SIDES),
        "parameter": free,
        "parameter_b": ("parameter_b", free),
    }
    return xarray.Dataset(fields, {**coords, **held}, dict(attrs))


def of_all(attrs: Sequence[Mapping[Any, Any]]) -> dict[str, Any]:
    """Return what counts over all blocks: rescued fits add up, reasons of lost blocks are kept."""
    reasons = dict.fromkeys(str(a["lost"]) for a in attrs if a["lost"])
    return {"rescued": sum(int(a["rescued"]) for a in attrs), "lost": "; ".join(reasons)}


def as_json(value: Mapping[str, Any]) -> str:
    """Return plain data as text that never changes for the same data."""
    return json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False)
