"""Whether several measurements, or several observables of one, agree on the numbers they share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan, sqrt

import numpy as np
from numpy.typing import NDArray

from powercal.errors import FitError
from powercal.fitting.again import rebuild
from powercal.fitting.identifiability import Identifiability, analyse
from powercal.fitting.joint_problem import JointProblem
from powercal.fitting.joint_result import Disagreement, JointResult, Tension
from powercal.fitting.pieces import Prior
from powercal.fitting.problem import Problem
from powercal.fitting.solve import search
from powercal.result import FitResult, Flag

FloatArray = NDArray[np.float64]
UNLIKELY = 1e-3
_NOTHING_NEW = 1e-6  # a difference whose variance is this share of its parts is rounding


def tension(result: FitResult) -> Tension:
    """Say whether the parts of a joint fit, or the observables of one fit, agree.

    Parameters
    ----------
    result : FitResult
        From :func:`powercal.fit` with two observables or more, or from a joint fit.

    Returns
    -------
    Tension
        χ² of all together less the sum over each alone, with its probability, and for every
        number that several determine how far they are apart. Errors that observables of one fit
        share (of an axis, of a reference) are granted to each alone: the probability is then
        rather too large than too small.

    Raises
    ------
    FitError
        One observable only: there is nothing to compare.
    """
    if isinstance(result, JointResult):
        return result.tension
    problem, x = rebuild(result)
    if len(problem.blocks) < 2:
        raise FitError(
            f"only {problem.blocks[0].name} was fitted, and tension is between several; fit two "
            f"observables, or two measurements with fit_jointly"
        )
    alone = {b.name: _with_blocks(problem, (b.name,)) for b in problem.blocks}
    names = {b.name for b in problem.blocks}
    rest = {b.name: _with_blocks(problem, tuple(names - {b.name})) for b in problem.blocks}
    determined = [e.name for e in result.parameters if e.status == "ok"]
    return between(problem, x, alone, rest, determined)


def joint_tension(problem: JointProblem, x: FloatArray, determined: Sequence[str]) -> Tension:
    """Say whether the parts of a joint fit agree."""
    names = [p.name for p in problem.pieces]
    alone = {n: problem.only((n,)) for n in names}
    rest = {n: problem.only([m for m in names if m != n]) for n in names}
    return between(problem, x, alone, rest, determined)


def tension_flag(found: Tension) -> tuple[Flag, ...]:
    """Return the flag of parts that disagree, naming the number that disagrees most."""
    if not found.probability < UNLIKELY:
        return ()
    most = ""
    if found.disagreements:
        d = found.disagreements[0]
        other = "the rest" if d.against == "the rest" else "the fit of all, without it"
        most = f"; {d.name} disagrees most: {d.part} against {other} by {abs(d.sigmas):.1f} σ"
    return (
        Flag(
            name="tension",
            sentence=f"the parts do not agree on what they share (Δχ² = {found.chi2:.4g} for "
            f"{found.constraints} constraint{'s' if found.constraints > 1 else ''}, probability "
            f"{found.probability:.2g}){most}",
        ),
    )


def _with_blocks(problem: Problem, names: Sequence[str]) -> Problem:
    """Return the problem of some observables only."""
    modes = problem.modes
    if modes is not None:
        owner = np.concatenate([[b.name] * b.size for b in problem.blocks])
        modes = modes[np.isin(owner, list(names))]
        modes = modes[:, modes.any(axis=0)]
    blocks = tuple(b for b in problem.blocks if b.name in names)
    return replace(problem, blocks=blocks, modes=modes)


def between(
    problem: Problem,
    x: FloatArray,
    alone: Mapping[str, Problem],
    rest: Mapping[str, Problem],
    determined: Sequence[str],
) -> Tension:
    """Compare sub-problems over the same coordinates.

    Parameters
    ----------
    problem, x : Problem, ndarray
        All together, and the minimum.
    alone, rest : mapping of Problem
        For every part the problem of its data alone, and of all other data; with all priors.
    determined : sequence of str
        Numbers to compare.

    Returns
    -------
    Tension
        With the weights that ``problem`` has.

    Notes
    -----
    The statistic is that of Maltoni and Schwetz (Phys. Rev. D 68, 033020, 2003). A prior that
    acts on one part only goes with that part; all others are one more measurement.
    """
    owners = _owners(problem, x, alone)
    sides = {name: _Side.of(one, x) for name, one in alone.items()}
    ranks, chi2 = 0, {}
    for name, one in alone.items():
        mine = tuple(p for p in problem.priors if owners.get(p.name) == name)
        of_part = replace(one, priors=mine)
        chi2[name] = search(of_part, sides[name].x).chi2
        # The rank at the joint minimum: where a part alone runs to is an accident of its valley.
        ranks += analyse(of_part.jacobian(x)).rank
    free = tuple(p for p in problem.priors if p.name not in owners)
    of_priors, rank = _priors_alone(problem, x, free)
    whole = problem.residual(x)
    constraints = ranks + rank - analyse(problem.jacobian(x)).rank
    gained = max(float(whole @ whole) - sum(chi2.values()) - of_priors, 0.0)
    shared = _shared(problem, x, alone)
    compared = [n for n in determined if n in shared]
    whole_side = _Side(problem, x, analyse(problem.jacobian(x)), problem.jacobian(x))
    rows = _disagreements(whole_side, sides, rest, compared) if constraints > 0 else ()
    return Tension(
        chi2=gained,
        constraints=constraints,
        probability=_probability(problem, gained, constraints, whole.size),
        of_parts=chi2,
        disagreements=tuple(sorted(rows, key=lambda d: -abs(d.sigmas))),
    )


def _probability(problem: Problem, gained: float, constraints: int, rows: int) -> float:
    """χ², or F where σ is an estimate from the residuals."""
    from scipy.stats import chi2 as chi_squared
    from scipy.stats import f as fisher

    if constraints <= 0:
        return nan
    if all(b.given_sigma for b in problem.blocks):
        return float(chi_squared.sf(gained, constraints))
    freedom = max(rows - len(problem.coordinates), 1)
    return float(fisher.sf(gained / constraints, constraints, freedom))


def _acts(x: FloatArray, alone: Mapping[str, Problem]) -> dict[str, NDArray[np.bool_]]:
    """For each part the coordinates that its data depend on."""
    bare = {n: replace(p, priors=()) for n, p in alone.items()}
    return {n: np.linalg.norm(p.jacobian(x), axis=0) > 0 for n, p in bare.items()}


def _shared(problem: Problem, x: FloatArray, alone: Mapping[str, Problem]) -> set[str]:
    """Return the coordinates that the data of two parts or more depend on."""
    counts = np.sum(list(_acts(x, alone).values()), axis=0)
    return {c.name for c, n in zip(problem.coordinates, counts, strict=True) if n > 1}


def _owners(problem: Problem, x: FloatArray, alone: Mapping[str, Problem]) -> dict[str, str]:
    """For each prior the part that alone depends on what the prior acts on."""
    acts, out = _acts(x, alone), {}
    for prior in problem.priors:
        touched = problem.gradient(prior.name, x) != 0
        if prior.partner is not None:
            touched = touched | (problem.gradient(prior.partner.name, x) != 0)
        holders = [n for n, a in acts.items() if (a & touched).any()]
        if len(holders) == 1:
            out[prior.name] = holders[0]
    return out


def _priors_alone(problem: Problem, x: FloatArray, priors: tuple[Prior, ...]) -> tuple[float, int]:
    if not priors:
        return 0.0, 0
    few = _PriorsOnly(replace(problem, priors=priors))
    jacobian = few.jacobian(x)
    # Priors on different numbers can all be met; the rest of χ² is what they say twice.
    rank = analyse(jacobian).rank
    if rank == len(priors):
        return 0.0, rank
    step = np.linalg.lstsq(jacobian, few.residual(x), rcond=None)[0]
    left = few.residual(x) - jacobian @ step
    return float(left @ left), rank


@dataclass(frozen=True)
class _PriorsOnly:
    """The rows of the priors without any data."""

    problem: Problem

    def residual(self, x: FloatArray) -> FloatArray:
        """One row per prior."""
        return self.problem._prior_rows(x)

    def jacobian(self, x: FloatArray) -> FloatArray:
        """Their derivatives."""
        return self.problem._prior_slopes(x)


# ---- number by number ----


@dataclass(frozen=True)
class _Side:
    """One of the two fits that are compared."""

    problem: Problem
    x: FloatArray
    found: Identifiability
    jacobian: FloatArray

    @staticmethod
    def of(problem: Problem, x: FloatArray) -> _Side:
        at = search(problem, x).x
        jacobian = problem.jacobian(at)
        return _Side(problem, at, analyse(jacobian), jacobian)

    def influence(self, name: str) -> FloatArray:
        """How the estimate answers to every row: variance is its square."""
        gradient = self.problem.gradient(name, self.x)
        return np.asarray(self.jacobian @ (self.found.covariance @ gradient))

    def determines(self, name: str) -> bool:
        return self.found.determines(self.problem.gradient(name, self.x))


def _disagreements(
    whole: _Side,
    sides: Mapping[str, _Side],
    rest: Mapping[str, Problem],
    determined: Sequence[str],
) -> Iterator[Disagreement]:
    first, *others = sides
    # With two parts, the second against the first says the same again.
    for part in (first,) if len(others) == 1 else sides:
        other = sides[others[0]] if len(others) == 1 else _Side.of(rest[part], whole.x)
        for name in determined:
            found = _compare(name, part, sides[part], other, whole)
            if found is not None:
                yield found


def _compare(name: str, part: str, one: _Side, other: _Side, whole: _Side) -> Disagreement | None:
    if not other.determines(name):
        return None
    theirs = other.influence(name)
    if one.determines(name):
        mine, count = one.influence(name), len(one.problem.priors)
        sizes = float(mine @ mine), float(theirs @ theirs)
        # Both have the same priors as their last rows: what these say is no difference.
        common = float(mine[-count:] @ theirs[-count:]) if count else 0.0
        variance = sizes[0] + sizes[1] - 2 * common
        difference = one.problem.quantity(name, one.x) - other.problem.quantity(name, other.x)
        against = "the rest"
    else:
        together = whole.influence(name)
        sizes = float(theirs @ theirs), float(together @ together)
        variance = sizes[0] - sizes[1]
        difference = other.problem.quantity(name, other.x) - whole.problem.quantity(name, whole.x)
        against = "all"
    if variance <= _NOTHING_NEW * sum(sizes):
        return None
    return Disagreement(
        name=name,
        part=part,
        against="the rest" if against == "the rest" else "all",
        difference=float(difference),
        stderr=sqrt(variance),
        sigmas=float(difference / sqrt(variance)),
    )
