"""Batches against peers: python -m benchmarks [--scenario A B C D E F] [--json FILE] [--smoke].

Intervals of one fit beside lmfit's: --intervals. Without peers: --million (from file to file)
and --cold-start (one fit from the command line).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import batch, cold_start, failures, intervals, limit, million, plots, smoke
from benchmarks.machine import machine, versions


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--scenario", nargs="+", default=list("ABCDEF"), choices=batch.SCENARIOS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write rows, versions, machine")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--traces", type=int, help="for the batch solvers; peers get fewer")
    parser.add_argument("--smoke", action="store_true", help="gates; exit code 1 wrong, 2 slow")
    parser.add_argument("--failures", action="store_true", help="36,000 hard fits, and why")
    parser.add_argument("--solver", default="numpy", choices=("numpy", "numba"), help="of those")
    parser.add_argument("--fits", type=int, default=36_000, help="how many of those")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw speed and cost")
    parser.add_argument("--intervals", action="store_true", help="profiles beside conf_interval")
    parser.add_argument("--million", action="store_true", help="from file to file, with memory")
    parser.add_argument("--most", type=int, help="traces in the plot (10⁵), in the files (10⁶)")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="keep those files here")
    parser.add_argument("--cold-start", action="store_true", help="a fit beside bare imports")
    parser.add_argument("--repeat", type=int, default=7, help="how often")
    return parser.parse_args()


def table(chosen: argparse.Namespace) -> int:
    """Measure and print scenario by scenario."""
    limits, rows = limit.machine(), []
    told: dict[str, Any] = {"machine": machine(), "versions": versions(), "limit": limits}
    print(*(f"{k}: {v}" for part in told.values() for k, v in part.items()), sep="\n")
    print(batch.HEAD)
    for name in chosen.scenario:
        found = batch.measure(name, chosen.rounds, chosen.traces)
        found.append(batch.limit_row(name, found, limits["fused_ns_per_point"]))
        rows += found
        print(f"{name}: {batch.SCENARIOS[name].what}")
        print(*(batch.text(r) for r in found), sep="\n", flush=True)
    if chosen.json:
        told["rows"] = [batch.as_json(r) for r in rows]
        chosen.json.write_text(json.dumps(told, indent=1), encoding="utf-8")
    return 0


def main() -> int:
    chosen = arguments()
    if chosen.smoke:
        return smoke.smoke()
    if chosen.intervals:
        return intervals.report()
    if chosen.failures:
        return failures.report(chosen.fits, chosen.solver)
    if chosen.million:
        return million.report(chosen.most or million.MOST, chosen.folder)
    if chosen.cold_start:
        return cold_start.report(chosen.repeat)
    if chosen.plot:
        shown = plots.draw(chosen.plot, chosen.most or plots.MOST)
        print(json.dumps(shown, indent=1))
        return 0
    return table(chosen)


if __name__ == "__main__":
    sys.exit(main())
