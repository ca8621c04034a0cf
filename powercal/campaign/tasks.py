"""One task of a campaign: one source file opened, fitted, reported and entered in the ledger.

A task is plain data and so is what comes back; the result itself stays in the files that the
worker writes, so that nothing large travels.
"""

from __future__ import annotations

import json
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from powercal import registry
from powercal.campaign.ledger import acknowledge, digest_of, loader_of, versions_of
from powercal.campaign.names import report_name
from powercal.campaign.run_file import reading_of
from powercal.campaign.settings import Settings
from powercal.errors import DataError, PowercalError, ReportError
from powercal.fitting import batch_dimensions, fit, fit_each, fit_many
from powercal.fitting.batch.descent import CONVERGED
from powercal.fitting.batch.verdicts import CODE
from powercal.loading import device_traces
from powercal.report import read_fits, write_report
from powercal.result import FitResult
from powercal.schema import DeviceTraces
from powercal.text import to_json

Row = dict[str, Any]
Items = Iterable[tuple[str, FitResult | PowercalError]]
Fitted = tuple[list[Row], list[list[str]]]  # rows; name and SHA-256 of every report

FUNCTION = "powercal.campaign.tasks:perform"


class Unwritten(Exception):
    """A result cannot be written: not the source's fault, and nothing further can be either."""


def perform(task: Mapping[str, Any]) -> dict[str, Any]:
    """Do one task.

    Parameters
    ----------
    task : mapping
        From :meth:`powercal.campaign.ledger.Ledger.task`.

    Returns
    -------
    dict
        ``source``; ``items`` and ``failed``, their numbers; ``acknowledged``, whether the ledger
        holds the record; ``rows``, the failures that it does not hold; ``unwritten``, why results
        could not be written, or None; ``warnings`` with their counts.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of plugins; whoever started the campaign has seen them
        registry.plugins()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        answer = _answer(task)
    said = Counter(f"{w.category.__name__}: {w.message}" for w in told)
    return {**answer, "source": task["source"], "warnings": dict(sorted(said.items()))}


def failed_row(reason: str, kind: str, cause: str = "", item: str = "") -> Row:
    """Return the row of a summary that says what failed and why."""
    return {"item": item, "status": "failed", "failure": reason, "kind": kind, "cause": cause}


def _answer(task: Mapping[str, Any]) -> dict[str, Any]:
    try:
        record = _record(task)
        passing = [row.pop("passing", False) for row in record["rows"]]
        acknowledged = not any(passing)
        if acknowledged:
            _written(lambda: acknowledge(task, record))
        return _summed(record["rows"], acknowledged)
    except Unwritten as error:
        return {**_summed([], False), "unwritten": _without_root(str(error), task)}


def _summed(rows: list[Row], acknowledged: bool) -> dict[str, Any]:
    return {
        "items": len(rows),
        "failed": sum(row["status"] == "failed" for row in rows),
        "acknowledged": acknowledged,
        "rows": [] if acknowledged else rows,
        "unwritten": None,
    }


def _record(task: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the ledger is to hold, the reports being written."""
    loader = None
    try:
        traces = _opened(task)
        loader = str(traces.attrs["loader"])
        fitted = _together if task["settings"]["model"]["over"] else _one_by_one
        rows, reports = fitted(task, traces)
    except (Unwritten, MemoryError):  # the second is for the worker, who knows its limit
        raise
    except Exception as error:  # one file of many: told in its row, the others go on
        rows, reports = [_failure("", error, task)], []
    stated = {n: task[n] for n in ("schema", "key", "source", "inputs", "settings", "versions")}
    return {**stated, "loader": loader_of(loader), "reports": reports, "rows": rows}


def _opened(task: Mapping[str, Any]) -> DeviceTraces:
    root, settings = Path(task["root"]), task["settings"]
    here = versions_of(settings)
    if here != task["versions"]:
        raise _Passing(f"this worker has {here}, the campaign {task['versions']}; install the same")
    traces = device_traces(root / task["source"], reading_of(settings, root))
    found = {"source": traces.attrs.get("source_sha256")}
    for table in ("reference", "line"):
        if table in task["inputs"]:
            found[table] = digest_of(root / settings[table]["file"])
    if found != task["inputs"]:
        raise _Passing("an input changed while the campaign ran; run it again")
    return DeviceTraces(traces.assign_attrs(source=task["source"]))


class _Passing(DataError):
    """A failure that another attempt may mend, so that the ledger does not keep it."""


def _wishes(model: Settings) -> dict[str, Any]:
    """Return what is asked of every fit."""
    return {
        "free": model["free"],
        "fixed": model["fixed"],
        "priors": {name: (mean, std) for name, (mean, std) in model["priors"].items()},
        "observables": tuple(model["observables"]),
        "start": model["start"],
        "sigma": model["sigma"],
        "intervals": model["intervals"],
        **model["options"],
    }


def results_of(traces: DeviceTraces, model: Settings) -> Items:
    """Fit what one source holds; one (label, result) per item, in order."""
    wishes = {**_wishes(model), "per": model["per"]}
    if batch_dimensions(traces, model["name"]):
        return fit_each(traces, model["name"], **wishes)
    return [("", fit(traces, model["name"], **wishes))]


def _one_by_one(task: Mapping[str, Any], traces: DeviceTraces) -> Fitted:
    """Make the fits of a source, each with a report and a row of its own."""
    rows: list[Row] = []
    reports: list[list[str]] = []
    for item, result in results_of(traces, task["settings"]["model"]):
        rows.append(_row_of(item, result, task))
        if isinstance(result, FitResult):
            reports.append(_reported(task, item, partial(write_report, result=result)))
            rows[-1]["report"] = reports[-1][0]
    return rows, reports


def _together(task: Mapping[str, Any], traces: DeviceTraces) -> Fitted:
    """Make all fits of a source at once: one file of results, and one row about all of them."""
    model = task["settings"]["model"]
    # numpy: "auto" also asks what this machine has compiled before, which would show in the bytes.
    wishes = {**_wishes(model), "over": model["over"], "solver": "numpy"}

    def write(path: Path) -> None:
        fit_many(traces, model["name"], output=path, **wishes).close()

    report = _reported(task, "", write)
    with read_fits(Path(task["output"]) / "reports" / report[0]) as found:
        converged = found["outcome"] == CONVERGED
        undetermined = (found["status"] == CODE["undetermined"]).any("quantity")
        row: Row = {
            "item": "",
            "status": "ok",
            "report": report[0],
            "model": model["name"],
            "observables": json.loads(found.attrs["observables"])["names"],
            "chi2": float(found["chi2"].where(converged).sum()),
            "ndata": int(found["ndata"].where(converged, 0).sum()),
            "nfree": int((found["ndata"] - found["rank"]).where(converged, 0).sum()),
            "verdicts": {
                "converged": bool(converged.all()),
                "identifiable": not bool(undetermined.any()),
            },
            "flags": [f"{int(converged.sum())} of {converged.size} fits made together converged"],
            "estimates": [],
        }
    return [row], [report]


def _reported(task: Mapping[str, Any], item: str, write: Callable[[Path], object]) -> list[str]:
    """Write the report of a source or of one of its items; return its name and SHA-256."""
    name = report_name(task["stem"], item)
    path = Path(task["output"]) / "reports" / name
    _written(lambda: write(path))
    return [name, digest_of(path)]


def _written(write: Callable[[], object]) -> None:
    try:
        write()
    except ReportError as error:
        if not _behind(error, OSError):  # the result holds what no report can store
            raise
        raise Unwritten(str(error)) from error
    except OSError as error:
        raise Unwritten(f"results cannot be written: {error}") from error


def _row_of(item: str, result: FitResult | PowercalError, task: Mapping[str, Any]) -> Row:
    if isinstance(result, FitResult):
        return _row(item, result)
    return _failure(item, result, task)


def _row(item: str, result: FitResult) -> Row:
    told = to_json(result)
    estimates = {**told["parameters"], **told["derived"]}
    return {
        "item": item,
        "status": "ok",
        "model": result.model,
        **{n: told[n] for n in ("observables", "chi2", "ndata", "nfree", "verdicts")},
        "flags": [flag.name for flag in result.flags],
        "estimates": [
            {"name": name, "reason": result[name].reason, **estimate}
            for name, estimate in estimates.items()
        ],
    }


def _failure(item: str, error: Exception, task: Mapping[str, Any]) -> Row:
    """Return the row of a failure; one that the inputs alone do not explain is passing."""
    known = isinstance(error, PowercalError)
    kind = DataError if isinstance(error, _Passing) else type(error)
    row = failed_row(
        _without_root(str(error) or kind.__name__, task),
        kind.__name__,
        _without_root(_cause(error), task),
        item,
    )
    if not known or isinstance(error, _Passing) or _behind(error, OSError, MemoryError):
        row["passing"] = True
    return row


def _behind(error: BaseException | None, *kinds: type[BaseException]) -> bool:
    while error is not None:
        if isinstance(error, kinds):
            return True
        error = error.__cause__ or error.__context__
    return False


def _cause(error: BaseException) -> str:
    """Name what lies behind an error, and for a bug the place where it was raised."""
    if error.__cause__ is not None:
        return f"{type(error.__cause__).__name__}: {error.__cause__}"
    if isinstance(error, PowercalError):
        return ""
    frames = list(traceback.walk_tb(error.__traceback__))
    if not frames:
        return ""
    frame, line = frames[-1]
    return f"raised in {frame.f_globals.get('__name__', '?')}, line {line}"


def _without_root(text: str, task: Mapping[str, Any]) -> str:
    """Leave out where on this machine the files lie."""
    for folder in (task["output"], task["root"]):
        text = text.replace(f"{folder}/", "")
    return text
