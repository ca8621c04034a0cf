"""Starting values: the model's guess on data at the device, tried at many unknown lines."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from powercal.contracts import Model
from powercal.errors import FitError
from powercal.fitting.build import Request, Table, make_problem, make_table
from powercal.fitting.common_errors import CommonErrors, find_common_errors
from powercal.fitting.grid import make_grid
from powercal.fitting.problem import Problem
from powercal.line import nominal
from powercal.schema import DeviceTraces


def prepare(
    traces: DeviceTraces, model: Model, names: tuple[str, ...], request: Request
) -> tuple[Problem, dict[str, float], CommonErrors]:
    """Return the problem built around good starting values, those values, and shared errors."""
    table = make_table(traces, model, names, request)
    known = {p.name: p.mean for p in table.priors} | dict(table.fixed)
    unknown_loss = table.attenuation and "attenuation_db" not in known
    losses = np.arange(0.0, 125.0, 5.0) if unknown_loss else [known.get("attenuation_db", 0.0)]
    tried = []
    for loss in losses:
        start = _start_values(traces, model, table, float(loss), known) | dict(request.start)
        problem = make_problem(traces, model, names, request, start)
        if not problem.coordinates:
            raise FitError("every parameter is fixed; free at least one")
        rows = problem.residual(problem.start_from(start))
        tried.append((float(rows @ rows), problem, start))
    # Without any idea of the attenuation the data often fit as well with ever more of it: the
    # least that fits lies inside the valley, the rest runs off to vanishing rates.
    least = min(misfit for misfit, _, _ in tried)
    _, problem, start = next(t for t in tried if t[0] <= 3 * least)
    return problem, start, find_common_errors(traces, problem, make_grid(traces, model, names))


def _start_values(
    traces: DeviceTraces, model: Model, table: Table, loss: float, known: Mapping[str, float]
) -> dict[str, float]:
    line = {"attenuation_db": loss} if table.attenuation else {}
    if table.gain:
        line["gain_db"] = known.get("gain_db", _level_db(traces) + loss)
    seen = DeviceTraces(nominal(traces, loss if table.attenuation else None, line.get("gain_db")))
    guessed = {
        k: float(np.asarray(v).ravel()[0]) for k, v in model.guess(seen, table.fixed).items()
    }
    own = {k: v for k, v in known.items() if k in guessed}
    return {**line, **guessed, **own}


def _level_db(traces: DeviceTraces) -> float:
    """Far from resonance all power comes back: reflected over incident is gain over loss."""
    if "reflected_power" not in traces:
        return 0.0
    ratio = (traces["reflected_power"] / traces["incident_power"]).values
    return float(10 * np.log10(max(float(np.nanpercentile(ratio, 90)), 1e-30)))
