"""Periodically driven fermions in their whole Fock space: the periodic state by integration."""

from __future__ import annotations

from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

Matrix = NDArray[np.complex128]


class Averages(NamedTuple):
    """Averages over a period, hbar = 1: out of the reservoirs, and work done."""

    energies: NDArray[np.float64]
    particles: NDArray[np.float64]
    power: float


def annihilators(levels: int) -> list[Matrix]:
    """Jordan-Wigner operators."""
    lower, sign, one = np.array([[0, 1], [0, 0]]), np.diag([1, -1]), np.eye(2)
    return [
        reduce(np.kron, [sign] * j + [lower] + [one] * (levels - j - 1)).astype(complex)
        for j in range(levels)
    ]


def periodic_averages(
    harmonics: Matrix, omega: float, levels: tuple[int, ...], gamma: list[float], f: list[float]
) -> Averages:
    """Integrate the master equation over one period; H(t) = sum_m e^{i m omega t} h_m in matrices.

    The map of one period comes from all matrix units at once, its fixed point is the periodic
    state, and one more integration along it gives the averages.
    """
    order, c = harmonics.shape[0] // 2, annihilators(harmonics.shape[1])
    size = c[0].shape[0]
    one = np.eye(size)
    parts = [
        sum(h[i, j] * c[i].conj().T @ c[j] for i in range(len(c)) for j in range(len(c)))
        for h in harmonics
    ]
    jumps = [
        (np.sqrt(g * x) * c[j].conj().T, np.sqrt(g * (1 - x)) * c[j])
        for j, g, x in zip(levels, gamma, f, strict=True)
    ]
    baths = [sum(_dissipator(jump, one) for jump in pair) for pair in jumps]
    turning = [-1j * (np.kron(p, one) - np.kron(one, p.T)) for p in parts]  # rows first
    orders = np.arange(-order, order + 1)

    def generator(t: float) -> Matrix:
        phases = np.exp(1j * orders * omega * t)
        return sum(baths) + sum(p * m for p, m in zip(phases, turning, strict=True))

    period, span = 2 * np.pi / omega, size**2
    settings = {"method": "DOP853", "rtol": 1e-12, "atol": 1e-14}

    def carried(t: float, y: Matrix) -> Matrix:
        return (generator(t) @ y.reshape(span, span)).ravel()

    whole = solve_ivp(carried, (0, period), np.eye(span, dtype=complex).ravel(), **settings)
    fixed = whole.y[:, -1].reshape(span, span) - np.eye(span)
    fixed[0], right = one.ravel(), np.zeros(span, dtype=complex)
    right[0] = 1.0
    start = np.linalg.solve(fixed, right)
    number = sum(x.conj().T @ x for x in c)

    def followed(t: float, y: Matrix) -> Matrix:
        rho, phases = y[:span], np.exp(1j * orders * omega * t)
        energy = sum(p * m for p, m in zip(phases, parts, strict=True))
        changed = sum(1j * n * omega * p * m for n, p, m in zip(orders, phases, parts, strict=True))
        flows = [(b @ rho).reshape(size, size) for b in baths]
        gains = [np.trace(o @ flow) for o in (energy, number) for flow in flows]
        work = np.trace(changed @ rho.reshape(size, size))
        return np.concatenate([generator(t) @ rho, gains, [work]])

    begin = np.concatenate([start, np.zeros(2 * len(baths) + 1)])
    end = solve_ivp(followed, (0, period), begin, **settings).y[span:, -1].real / period
    return Averages(end[: len(baths)], end[len(baths) : -1], float(end[-1]))


def _dissipator(jump: Matrix, one: Matrix) -> Matrix:
    square = jump.conj().T @ jump
    lost = np.kron(square, one) + np.kron(one, square.T)
    return np.kron(jump, jump.conj()) - lost / 2
