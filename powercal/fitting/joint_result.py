"""What a joint fit says: one result for all parts, with a result for each and their agreement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from powercal.errors import unknown_name
from powercal.result import FitResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """How far one part and the rest are apart in one number.

    Attributes
    ----------
    name, part : str
        The number, and the part that is compared.
    against : {"the rest", "all"}
        ``the rest``: the part alone less all others; ``all``: where the part alone does not
        determine the number, the fit without the part less the fit of all.
    difference, stderr : float
        In the unit of the number; errors that both sides share count once.
    sigmas : float
        Their ratio.
    """

    name: str
    part: str
    against: Literal["the rest", "all"]
    difference: float
    stderr: float
    sigmas: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tension:
    """Whether several measurements agree on what they share.

    Attributes
    ----------
    chi2 : float
        χ² of all together less the sum over each by itself.
    constraints : int
        Its degrees of freedom: how many combinations of numbers are determined more than once,
        from the ranks of the Jacobians.
    probability : float
        Of a larger value if all agree; NaN without constraints.
    of_parts : mapping
        χ² of each part (or observable) by itself, with the weights of the joint fit.
    disagreements : tuple of Disagreement
        The largest first.
    """

    chi2: float
    constraints: int
    probability: float
    of_parts: Mapping[str, float]
    disagreements: tuple[Disagreement, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JointResult(FitResult):
    """A joint fit, complete.

    All that a :class:`FitResult` has speaks of the joint fit; ``traces`` and ``curve`` are empty
    and stand with each part.

    Attributes
    ----------
    parts : mapping
        A result for each part, by its own names, with the numbers of the joint fit.
    ties : tuple of str
        What follows from what, in words; functions are never stored.
    tension : Tension
        Whether the parts agree.
    """

    parts: Mapping[str, FitResult] = field(default_factory=dict)
    ties: tuple[str, ...] = ()
    tension: Tension

    def part(self, name: str) -> FitResult:
        """Return the result of a part."""
        if name not in self.parts:
            raise unknown_name("part of the joint fit", name, self.parts)
        return self.parts[name]

    def equals(self, other: object) -> bool:
        """Whether another result is the same bit for bit, NaN equal to NaN."""
        if not isinstance(other, JointResult) or list(self.parts) != list(other.parts):
            return False
        from powercal.result import _same

        for name in self.__dataclass_fields__:
            mine, theirs = getattr(self, name), getattr(other, name)
            if name == "parts":
                same = all(part.equals(theirs[key]) for key, part in mine.items())
            elif name in ("traces", "curve"):
                same = mine.identical(theirs)
            else:
                same = _same(mine, theirs)
            if not same:
                return False
        return True

    def __str__(self) -> str:
        """Return the result as a page of text."""
        from powercal.text.joint import describe_joint

        return describe_joint(self)
