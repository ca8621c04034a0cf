"""Standard deviations of the data: given, or estimated per trace; errors common to many points."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from powercal.fitting.pieces import Block
from powercal.fitting.problem import Problem

FloatArray = NDArray[np.float64]


def weights_in_words(is_given: Mapping[str, bool]) -> str:
    """Say of every observable whether its standard deviation was given."""
    given = [name for name, said in is_given.items() if said]
    estimated = [name for name, said in is_given.items() if not said]
    parts = [f"σ of {', '.join(given)} as given"] if given else []
    if estimated:
        parts.append(
            f"σ of {', '.join(estimated)} per trace from residuals, iterated, their own "
            f"uncertainty counted"
        )
    return "; ".join(parts)


def neighbour_noise(values: NDArray[np.generic], trace: NDArray[np.intp]) -> FloatArray:
    """Estimate the noise per trace from second differences, without any model.

    Parameters
    ----------
    values : ndarray
        Data, real or complex, in the order of measurement within each trace.
    trace : ndarray of int
        The trace each point belongs to.

    Returns
    -------
    ndarray
        One standard deviation per point (of each quadrature for complex data). Second
        differences carry the noise of three points with weights 1, −2, 1, variance 6.
    """
    sigma = np.zeros(values.size)
    for member in np.unique(trace):
        mine = trace == member
        part = np.asarray(values[mine])
        quadratures = 2 if np.iscomplexobj(part) else 1
        if part.size >= 4:
            noise = np.sqrt(np.mean(np.abs(np.diff(part, n=2)) ** 2) / 6 / quadratures)
        else:
            noise = np.sqrt(np.mean(np.abs(part - part.mean()) ** 2) / quadratures)
        sigma[mine] = noise
    return _no_zeros(sigma, values)


def _no_zeros(sigma: FloatArray, values: NDArray[np.generic]) -> FloatArray:
    """Noise-free data would give infinite weights; rounding is the least noise there is."""
    floor = 1e-13 * float(np.max(np.abs(values), initial=0.0)) or 1e-300
    return np.maximum(sigma, floor)


def residual_noise(problem: Problem, x: FloatArray) -> tuple[FloatArray, ...]:
    """Estimate σ per trace from the residuals, each trace with its own degrees of freedom.

    The degrees of freedom a trace loses to parameters and common errors are its share of the hat
    matrix, so that the estimate is unbiased for short traces too.
    """
    explained, leverage = _explained(problem, x)
    raw = problem.rows(x) - problem.data - explained
    out, offset = [], 0
    for block in problem.blocks:
        rows = slice(offset, offset + block.size)
        trace = np.concatenate([block.trace] * (2 if block.complex else 1))
        out.append(_block_noise(block, raw[rows], leverage[rows], trace))
        offset += block.size
    return tuple(out)


def _block_noise(
    block: Block, raw: FloatArray, leverage: FloatArray, trace: NDArray[np.intp]
) -> FloatArray:
    if block.given_sigma:
        return block.sigma
    sigma = np.zeros(block.data.size)
    for member in np.unique(trace):
        mine = trace == member
        freedom = max(float(mine.sum() - leverage[mine].sum()), 0.25)
        sigma[block.trace == member] = np.sqrt(np.sum(raw[mine] ** 2) / freedom)
    return _no_zeros(sigma, block.data)


def _explained(problem: Problem, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """What common errors explain of the residuals (data units), and every row's leverage."""
    rows = problem.data.size
    columns = problem.whiten(problem.row_derivatives(x))
    norms = np.linalg.norm(columns, axis=0)
    values, vectors = np.linalg.eigh(
        (columns / np.where(norms > 0, norms, 1)).T @ columns / np.where(norms > 0, norms, 1)
    )
    keep = values > 1e-12 * max(float(values.max(initial=0.0)), 1e-300)
    basis = columns / np.where(norms > 0, norms, 1) @ (vectors[:, keep] / np.sqrt(values[keep]))
    leverage = np.sum(basis[:rows] ** 2, axis=1)
    explained = np.zeros(rows)
    if problem.common_basis is not None and problem.modes is not None:
        leverage = leverage + np.sum(problem.common_basis[:rows] ** 2, axis=1)
        explained = problem.modes @ problem.common_amplitudes(problem.rows(x) - problem.data)
    return explained, leverage


def equal_noise(problem: Problem, x: FloatArray) -> tuple[FloatArray, ...]:
    """Return one σ for all traces of an observable, the other common choice.

    For powers it is one σ relative to the level of the trace: an absolute one over decades of
    power would be nobody's choice.
    """
    per_trace = residual_noise(problem, x)
    out = []
    for block, sigma in zip(problem.blocks, per_trace, strict=True):
        if block.given_sigma:
            out.append(block.sigma)
            continue
        level = np.ones(sigma.size)
        if problem.power_observables[block.index]:
            for member in np.unique(block.trace):
                mine = block.trace == member
                level[mine] = np.sqrt(np.mean(np.abs(block.data[mine]) ** 2))
        out.append(level * np.sqrt(np.mean((sigma / level) ** 2)))
    return tuple(out)


def with_noise_uncertainty(problem: Problem, x: FloatArray, covariance: FloatArray) -> FloatArray:
    """Return the covariance enlarged for σ that were estimated from traces of finite length.

    An estimated σ is itself uncertain, by 1/√(2ν) from ν degrees of freedom; taken for known it
    makes errors too small by an eighth with 20 points per trace. The correction is that of
    Kenward and Roger (Biometrics 53, 983, 1997) for one variance per trace: with B_i = J_iᵀJ_i of
    the whitened rows of trace i, Φ + 2Φ[Σ (2/ν_i)(B_i − B_iΦB_i)]Φ.

    Parameters
    ----------
    problem, x : Problem, ndarray
        The minimum.
    covariance : ndarray
        Φ, solver coordinates.

    Returns
    -------
    ndarray
        The enlarged covariance; Φ itself where all σ are given.
    """
    jacobian = problem.jacobian(x)
    extra, offset = np.zeros_like(covariance), 0
    for block in problem.blocks:
        rows = jacobian[offset : offset + block.size]
        offset += block.size
        if block.given_sigma:
            continue
        trace = np.concatenate([block.trace] * (2 if block.complex else 1))
        for member in np.unique(trace):
            part = rows[trace == member]
            b = part.T @ part
            freedom = max(part.shape[0] - float(np.trace(b @ covariance)), 1.0)
            extra += 2 / freedom * (b - b @ covariance @ b)
    return np.asarray(covariance + 2 * covariance @ extra @ covariance)
