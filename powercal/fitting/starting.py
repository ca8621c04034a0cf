"""Starting values: the model's guess on data at the device, tried at many unknown lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import NamedTuple

import numpy as np

from powercal.contracts import Model
from powercal.errors import FitError
from powercal.fitting.build import Request, Table, make_problem, make_table
from powercal.fitting.common_errors import CommonErrors, find_common_errors
from powercal.fitting.grid import make_grid
from powercal.fitting.problem import Problem
from powercal.line import nominal
from powercal.schema import DeviceTraces


class Prepared(NamedTuple):
    """A problem ready to be solved.

    ``start`` are the best starting values (SI), ``others`` those of further tries, best first.
    """

    problem: Problem
    start: dict[str, float]
    common: CommonErrors
    others: tuple[dict[str, float], ...]


def prepare(
    traces: DeviceTraces, model: Model, names: tuple[str, ...], request: Request
) -> Prepared:
    """Build the problem around good starting values; where the line is unknown, try many lines."""
    _expect_predicted(model, names)
    table = make_table(traces, model, names, request)
    known = {p.name: p.mean for p in table.priors} | dict(table.fixed)
    tried = []
    for line in _lines(traces, table, known):
        start = _start_values(traces, model, table, line, known) | dict(request.start)
        problem = make_problem(traces, model, names, request, start)
        if not problem.coordinates:
            raise FitError("every parameter is fixed; free at least one")
        rows = problem.residual(problem.start_from(start))
        tried.append((float(rows @ rows), problem, start))
    # Without any idea of the line the data often fit as well with ever more loss and gain: the
    # least that fits lies inside the valley, the rest runs off to vanishing rates.
    least = min(misfit for misfit, _, _ in tried)
    _, problem, start = next(t for t in tried if t[0] <= 3 * least)
    best = sorted(tried, key=lambda t: t[0])[: 5 if len(tried) > 1 else 0]
    common = find_common_errors(traces, problem, make_grid(traces, model, names))
    return Prepared(problem, start, common, tuple(s for _, _, s in best if s is not start))


def _expect_predicted(model: Model, names: tuple[str, ...]) -> None:
    """Refuse observables that the model does not predict with the options chosen."""
    lost = [name for name in names if name not in model.observables]
    if lost:
        chosen = ", ".join(f"{k}={v!r}" for k, v in model.chosen.items())
        raise FitError(
            f"with {chosen} model {model.name!r} predicts {', '.join(model.observables)}, but not "
            f"{lost[0]}; say observables=(...) (--observable), or leave the option out"
        )


def _lines(
    traces: DeviceTraces, table: Table, known: Mapping[str, float]
) -> Iterator[dict[str, float]]:
    """Attenuation and gain to try: the known values, or a raster where they are unknown."""
    tied = "reflected_power" in traces
    unknown_loss = table.attenuation and "attenuation_db" not in known
    unknown_gain = table.gain and "gain_db" not in known and not tied
    step = 10.0 if unknown_loss and unknown_gain else 5.0
    losses = np.arange(0.0, 125.0, step) if unknown_loss else [known.get("attenuation_db", 0.0)]
    gains = np.arange(-60.0, 125.0, step) if unknown_gain else [known.get("gain_db", 0.0)]
    for loss, gain in product(losses, gains):
        line = {"attenuation_db": float(loss)} if table.attenuation else {}
        if table.gain:
            level = _level_db(traces) + float(loss) if tied else float(gain)
            line["gain_db"] = known.get("gain_db", level)
        yield line


def _start_values(
    traces: DeviceTraces,
    model: Model,
    table: Table,
    line: Mapping[str, float],
    known: Mapping[str, float],
) -> dict[str, float]:
    seen = DeviceTraces(nominal(traces, line.get("attenuation_db"), line.get("gain_db")))
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
