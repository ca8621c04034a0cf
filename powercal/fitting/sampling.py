"""The verb sample: the posterior of a finished fit by an ensemble of walkers, with diagnostics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, isfinite
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from powercal.errors import FitError, unknown_name
from powercal.fitting.again import rebuild
from powercal.fitting.diagnostics import (
    autocorrelation_time,
    densest_interval,
    quantile_interval,
    split_r_hat,
)
from powercal.fitting.posterior import (
    Measure,
    Posterior,
    other_weights,
    quantity_of,
    said_measure,
    starting_points,
)
from powercal.fitting.problem import Problem
from powercal.result import Estimate, FitResult, Interval, Status

if TYPE_CHECKING:
    import xarray as xr

FloatArray = NDArray[np.float64]
LEVELS = (0.6826894921370859, 0.95)
LONG_ENOUGH = 50.0  # autocorrelation times; fewer, and the time itself is not known
R_HAT = 1.02
ACCEPTED = (0.1, 0.9)
_FEWEST = 100
_NO_EMCEE = "sampling needs emcee, which is not installed; pip install 'powercal[mcmc]'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """What the chain says of one parameter or derived quantity, in SI.

    Of what the fit calls undetermined there are no numbers, only ``allowed``: bounds and measure
    shape such a distribution. Where the status is ``upper_limit`` or ``at_bound``, ``limit95`` is
    the one-sided quantile. ``measure_shift`` says by how many of its standard deviations the mean
    moves with the other measure.
    """

    name: str
    unit: str
    meaning: str
    status: Status
    mean: float | None = None
    median: float | None = None
    std: float | None = None
    interval68: Interval | None = None
    interval95: Interval | None = None
    densest68: Interval | None = None
    densest95: Interval | None = None
    limit95: float | None = None
    allowed: Interval | None = None
    measure_shift: float | None = None
    autocorrelation_time: float
    effective_size: float
    r_hat: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """The posterior of one fit as a chain, with what is needed to doubt it.

    Attributes
    ----------
    names : tuple of str
        Free parameters, then derived quantities: the last axis of ``chain``.
    parameters : tuple of str
        The free parameters that are determined: the axes of ``covariance``.
    chain : ndarray, shape (steps, walkers, quantities)
        In SI, without the ``burn_in`` steps that were thrown away.
    log_probability : ndarray, shape (steps, walkers)
        Up to a constant, per solver coordinate.
    covariance : ndarray
        Of ``parameters``, SI.
    quantities : tuple of Sampled
        One per name.
    measure, prior, noise : str
        ``coordinate`` or ``value``; the same in words; what became of σ.
    acceptance : float
        Share of proposals that were taken.
    converged, verdict : bool, str
        Whether the chain may be believed, and the sentence that says why (not).
    """

    model: str
    names: tuple[str, ...]
    parameters: tuple[str, ...]
    chain: FloatArray
    log_probability: FloatArray
    covariance: FloatArray
    quantities: tuple[Sampled, ...]
    measure: Measure
    prior: str
    noise: str
    priors: Mapping[str, tuple[float, float]]
    acceptance: float
    burn_in: int
    seed: int
    converged: bool
    verdict: str
    source: Mapping[str, str]

    def __getitem__(self, name: str) -> Sampled:
        """Return what the chain says of a parameter or derived quantity."""
        for row in self.quantities:
            if row.name == name:
                return row
        raise unknown_name("sampled quantity", name, self.names)

    def flat(self, *names: str) -> FloatArray:
        """Return all samples of some quantities, shape (samples, names), as corner takes them."""
        columns = [self.names.index(self[n].name) for n in names or self.names]
        return self.chain[:, :, columns].reshape(-1, len(columns))

    def to_xarray(self) -> xr.Dataset:
        """Return the chain as a dataset with the dimensions step, walker and quantity."""
        import xarray

        rows = self.quantities
        fields = {
            "value": (("step", "walker", "quantity"), self.chain),
            "log_probability": (("step", "walker"), self.log_probability),
            "autocorrelation_time": ("quantity", [r.autocorrelation_time for r in rows]),
            "effective_size": ("quantity", [r.effective_size for r in rows]),
            "r_hat": ("quantity", [r.r_hat for r in rows]),
        }
        coords = {
            "quantity": ("quantity", list(self.names)),
            "unit": ("quantity", [r.unit for r in rows]),
            "status": ("quantity", [str(r.status) for r in rows]),
        }
        said = ("model", "measure", "prior", "noise", "acceptance", "burn_in", "seed", "verdict")
        attrs = {name: getattr(self, name) for name in said}
        return xarray.Dataset(fields, coords, attrs | {"converged": int(self.converged)})

    def __str__(self) -> str:
        """Return the samples as a page of text."""
        from powercal.text.samples import describe_samples

        return describe_samples(self)


def sample(
    result: FitResult,
    *,
    walkers: int | None = None,
    steps: int = 3000,
    seed: int = 0,
    measure: Measure = "coordinate",
    undetermined: bool = False,
) -> Samples:
    """Sample the posterior of a fit: same curve, σ, common errors, line and priors as the fit.

    Parameters
    ----------
    result : FitResult
        From :func:`powercal.fit` or :func:`powercal.read_report`.
    walkers : int, optional
        An even number, at least twice that of the free parameters; left out, 32 or four times it.
    steps : int
        Steps of every walker; what the walkers need to forget their start is taken off.
    seed : int
        Of start and steps: the same seed gives the same chain.
    measure : {"coordinate", "value"}
        In what the prior is flat inside the bounds: in the solver's coordinate, which is the
        logarithm for rates, or in the SI value. The page says which, and what the other would do.
    undetermined : bool
        Sample all the same where parameters are undetermined, inside their bounds.

    Returns
    -------
    Samples
        Chain, intervals and diagnostics; ``print`` it.

    Raises
    ------
    FitError
        Undetermined parameters, no degree of freedom, too few walkers or steps, emcee missing.
    """
    _check(result, steps, measure, undetermined)
    problem, x = rebuild(result)
    posterior = Posterior(problem, measure)
    _check_proper(problem, result, undetermined)
    count = _walkers(walkers, x.size)
    points, log_probability, acceptance = _run(posterior, x, count, steps, seed)
    burn_in = _burn_in(points)
    return _conclude(
        result, posterior, points[burn_in:], log_probability[burn_in:], acceptance, burn_in, seed
    )


def _check(result: FitResult, steps: int, measure: str, undetermined: bool) -> None:
    if not isinstance(result, FitResult):
        raise FitError(
            f"sample takes the result of one fit, not {type(result).__name__}; fit the one trace "
            f"with powercal.fit"
        )
    if measure not in get_args(Measure):
        raise FitError(f"measure is {measure!r}; it must be 'coordinate' or 'value'")
    if steps < _FEWEST:
        raise FitError(f"steps is {steps}; a chain needs {_FEWEST} or more")
    if result.nfree <= 0:
        raise FitError(
            "the fit has no degree of freedom, so nothing tells the noise; add data or hold "
            "parameters"
        )
    flat = result.undetermined
    if flat and not undetermined:
        raise FitError(
            f"{', '.join(flat)} {_are(flat)} not determined by these data, and a flat direction "
            f"has no posterior but what bounds and measure give it; add a prior, or say "
            f"undetermined=True to sample inside the bounds"
        )


def _are(names: tuple[str, ...]) -> str:
    return "is" if len(names) == 1 else "are"


def _check_proper(problem: Problem, result: FitResult, undetermined: bool) -> None:
    """A flat direction without an end has no distribution at all."""
    known = {p.name for p in problem.priors}
    for c in problem.coordinates if undetermined else ():
        bounded = isfinite(c.low) and isfinite(c.high)
        if c.name in result.undetermined and not bounded and c.name not in known:
            raise FitError(
                f"{c.name} is undetermined and has no bound at {c.low:g} … {c.high:g}; give it a "
                f"prior, or hold it"
            )


def _walkers(wanted: int | None, free: int) -> int:
    if wanted is None:
        return max(32, 4 * free)
    if wanted < 2 * free or wanted % 2 or wanted < 4:
        raise FitError(
            f"walkers is {wanted}; {free} free parameters need an even number of "
            f"{max(2 * free, 4)} or more"
        )
    return wanted


def _run(
    posterior: Posterior, x: FloatArray, walkers: int, steps: int, seed: int
) -> tuple[FloatArray, FloatArray, float]:
    """Let the walkers walk: steps are differences of walkers, and now and then a stretch.

    emcee's snooker move is left out: measured on a Gaussian it makes errors 16 % too small.
    """
    try:
        import emcee
    except ImportError as reason:
        raise FitError(_NO_EMCEE) from reason
    start = starting_points(posterior.problem, x, walkers, np.random.default_rng(seed))
    sampler = emcee.EnsembleSampler(
        walkers,
        x.size,
        posterior,
        vectorize=True,
        moves=[(emcee.moves.DEMove(), 0.8), (emcee.moves.StretchMove(), 0.2)],
    )
    state = emcee.State(start, random_state=np.random.RandomState(seed).get_state())
    sampler.run_mcmc(state, steps, skip_initial_state_check=True)
    acceptance = float(np.mean(sampler.acceptance_fraction))
    return sampler.get_chain(), sampler.get_log_prob(), acceptance


def _burn_in(points: FloatArray) -> int:
    """Throw away five autocorrelation times of the slowest coordinate, a tenth to a half."""
    half = points.shape[0] // 2
    slowest = max(autocorrelation_time(points[half:, :, i]) for i in range(points.shape[2]))
    wanted = ceil(5 * slowest) if isfinite(slowest) else half
    return int(min(max(wanted, points.shape[0] // 10), half))


def _conclude(
    result: FitResult,
    posterior: Posterior,
    points: FloatArray,
    log_probability: FloatArray,
    acceptance: float,
    burn_in: int,
    seed: int,
) -> Samples:
    problem, flat = posterior.problem, points.reshape(-1, points.shape[2])
    shown = [e for e in result.derived if e.status != "fixed"]
    names = (*(c.name for c in problem.coordinates), *(e.name for e in shown))
    columns = [quantity_of(problem, flat, n) for n in names]
    weights = other_weights(problem, flat, posterior.measure)
    shape = points.shape[:2]
    rows = tuple(
        _row(result[n], column.reshape(shape), weights)
        for n, column in zip(names, columns, strict=True)
    )
    free = [i for i in range(len(problem.coordinates)) if rows[i].mean is not None]
    chosen = np.array([columns[i] for i in free]).reshape(len(free), -1)
    converged, verdict = _verdict(rows[: len(problem.coordinates)], shape[0], acceptance)
    return Samples(
        model=result.model,
        names=names,
        parameters=tuple(names[i] for i in free),
        chain=np.stack(columns, axis=1).reshape(*shape, len(names)),
        log_probability=log_probability,
        covariance=np.atleast_2d(np.cov(chosen)) if free else np.zeros((0, 0)),
        quantities=rows,
        measure=posterior.measure,
        prior=said_measure(problem, posterior.measure),
        noise=posterior.noise_in_words(),
        priors={p.name: (p.mean, p.std) for p in problem.priors},
        acceptance=acceptance,
        burn_in=burn_in,
        seed=seed,
        converged=converged,
        verdict=verdict,
        source=dict(result.source),
    )


def _row(estimate: Estimate, chain: FloatArray, weights: FloatArray) -> Sampled:
    values, time = chain.ravel(), autocorrelation_time(chain)
    common: dict[str, Any] = {
        "name": estimate.name,
        "unit": estimate.unit,
        "meaning": estimate.meaning,
        "status": estimate.status,
        "autocorrelation_time": time,
        "effective_size": values.size / time,
        "r_hat": split_r_hat(chain),
    }
    if estimate.status == "undetermined" or not np.isfinite(values).all():
        return Sampled(**common, allowed=estimate.allowed)
    std, mean = float(values.std(ddof=1)), float(values.mean())
    limits = {"upper_limit": 0.95, "at_bound": 0.05}
    level = limits.get(estimate.status)
    enough = 1 / np.sum(weights**2) > 0.1 * weights.size
    return Sampled(
        **common,
        mean=mean,
        median=float(np.median(values)),
        std=std,
        interval68=quantile_interval(values, LEVELS[0]),
        interval95=quantile_interval(values, LEVELS[1]),
        densest68=densest_interval(values, LEVELS[0]),
        densest95=densest_interval(values, LEVELS[1]),
        limit95=None if level is None else float(np.quantile(values, level)),
        measure_shift=float((weights @ values - mean) / std) if enough and std > 0 else None,
    )


def _verdict(rows: tuple[Sampled, ...], steps: int, acceptance: float) -> tuple[bool, str]:
    """Say whether the chain may be believed, by the worst of all free parameters."""
    slowest = max(rows, key=lambda r: r.autocorrelation_time)
    worst = max(rows, key=lambda r: r.r_hat)
    time = slowest.autocorrelation_time
    if not isfinite(time) or steps < LONG_ENOUGH * time:
        length = "unknown" if not isfinite(time) else f"{steps / time:.0f}"
        return False, (
            f"not converged: the chain is {length} autocorrelation times of {slowest.name} long, "
            f"wanted {LONG_ENOUGH:.0f}; take more steps"
        )
    if worst.r_hat > R_HAT:
        return False, (
            f"not converged: groups of walkers disagree on {worst.name} (split R-hat "
            f"{worst.r_hat:.3f}, wanted below {R_HAT}); take more steps, or look for a second "
            f"minimum"
        )
    if not ACCEPTED[0] <= acceptance <= ACCEPTED[1]:
        return False, (
            f"not converged: {acceptance:.0%} of the steps were accepted, wanted "
            f"{ACCEPTED[0]:.0%} to {ACCEPTED[1]:.0%}; take more steps or more walkers"
        )
    return True, (
        f"converged: {steps / time:.0f} autocorrelation times of {slowest.name}, split R-hat at "
        f"most {worst.r_hat:.3f}"
    )
