"""Assumptions about a qubit in a line as checks on a result (physics sheet section 11, C11)."""

from __future__ import annotations

import dataclasses

import numpy as np

from powercal.models.checks import check, common_checks, strongest_drive
from powercal.models.driven import TWO_PI
from powercal.models.line_response import GEOMETRIES, bath_rates
from powercal.models.line_unbounded import line_shapes, reflection_depth
from powercal.physics.detection import drive_scale
from powercal.result import Check, FitResult

# One number more lowers χ² by 1 on average; by 16 once in 30 000 fits (and σ is no less than 0).
LIKELIER = 16.0


def line_checks(result: FitResult) -> tuple[Check, ...]:
    """Check a fit of reflection or transmission."""
    values = result.values
    ports = GEOMETRIES[result.options.get("geometry", "end_of_line")].ports(values)
    gamma_1, gamma_1_tot = bath_rates(ports.line, values)
    power = strongest_drive(result) * 10 ** (-values["attenuation_db"] / 10)
    # Geometries differ in the rate that drives; with it all have the scale of the end of a line.
    scale = drive_scale(ports.drive, TWO_PI * values["qubit_frequency"], "end_of_line")
    rabi = np.sqrt(scale * power)
    # The other checks know one bath: that of the same Γ₁ and Γ₁tot.
    n_eff = (gamma_1_tot / gamma_1 - 1) / 2
    seen = dataclasses.replace(result, values={**values, "n_th": float(n_eff)})
    depth, error = reflection_depth(result)
    return (
        *common_checks(seen, float(gamma_1), float(rabi)),
        check(
            "reflection_depth",
            depth - 3 * error,
            2.0,
            "ρ > 2 cannot come from a qubit in a line: background, gain or geometry is wrong, and "
            "Γ₁ with it (value: ρ as at the end of a line, without the bound, less three errors)",
        ),
        _shape(result),
    )


def _shape(result: FitResult) -> Check:
    """Whether the line is the declared one: χ² of the white and of the Gaussian line, both free."""
    found = line_shapes(result)
    effect = "slow noise is not Γφ: Γ₂, n_th and Γφ carry it where the line is taken as white"
    if found is None:
        return check("line_shape", np.nan, LIKELIER, effect)
    white, slow, sigma = found
    # Structure that even the better line leaves behind must not count as evidence.
    noise = max(slow / max(result.nfree, 1), 1.0)
    gain = (white - slow) / noise
    gaussian = result.options.get("broadening") == "gaussian"
    words = (
        f"{effect} (χ² of the line alone: {white:.6g} white, {slow:.6g} with slow noise of "
        f"{sigma:.3g} Hz; value: how much less it is with the one that was not declared)"
    )
    return check("line_shape", -gain if gaussian else gain, LIKELIER, words)
