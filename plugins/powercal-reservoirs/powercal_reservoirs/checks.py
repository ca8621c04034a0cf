"""Assumptions of a theory against a result: value, limit, verdict, effect."""

from __future__ import annotations

from typing import Literal

import numpy as np

import powercal as pc

__all__ = ["check"]


def check(name: str, value: float, limit: float, effect: str) -> pc.Check:
    """Return a check that holds up to its limit; unknown where the value is not finite.

    Parameters
    ----------
    name : str
        Of the assumption.
    value, limit : float
        What is compared.
    effect : str
        What a failure does to the estimates.

    Returns
    -------
    Check
        With its verdict.
    """
    verdict: Literal["holds", "fails", "unknown"] = "holds" if value <= limit else "fails"
    return pc.Check(
        name=name,
        value=float(value),
        limit=float(limit),
        verdict=verdict if np.isfinite(value) else "unknown",
        effect=effect,
    )
