"""Say in words what a loader understands of a file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from powercal import registry
from powercal.errors import TraceSchemaError
from powercal.loading.files import (
    ask_loader,
    check_options,
    choose_loader,
    existing_file,
    open_traces,
)
from powercal.schema import flags
from powercal.units import from_si

if TYPE_CHECKING:
    import xarray as xr


def inspect_source(path: str | os.PathLike[str], **options: Any) -> str:
    """Say what a loader understands of a file, for ``powercal inspect``.

    Parameters
    ----------
    path : path
        The file.
    **options
        As for :func:`open_traces`, ``loader`` and ``merge`` included.

    Returns
    -------
    str
        Loader, axes, variables with units and ranges, gaps, missing values, flags.
    """
    file = existing_file(path)
    wanted, merge = options.pop("loader", None), bool(options.pop("merge", False))
    chosen, name = choose_loader(file, wanted)
    check_options(chosen, options)
    described = ask_loader(chosen, name, "describe", file, options) if chosen.describe else ()
    distribution, version = registry.origin("loader", name)
    lines = [f"{file.name}: loader {name} ({distribution} {version})", *map(_indent, described)]
    try:
        found = open_traces(file, loader=name, merge=merge, **options)
    except TraceSchemaError as error:
        lines.append(f"refused as it stands: {error}")
        found = open_traces(file, loader=name, merge=True, **options)
    lines += [f"plane: {found.attrs['plane']}", f"detection: {found.attrs.get('detection', '—')}"]
    lines.append("axes")
    lines += [_indent(_axis_line(found, str(dim))) for dim in found.sizes]
    lines.append("variables")
    lines += [_indent(_variable_line(str(n), found[n])) for n in sorted(map(str, found.variables))]
    noted = flags(found)
    lines += ["flags", *map(_indent, noted)] if noted else ["flags: none"]
    return "\n".join(lines)


def _indent(line: str) -> str:
    return f"  {line}"


def _axis_line(found: xr.Dataset, dim: str) -> str:
    size = found.sizes[dim]
    if dim not in found.coords or found[dim].dtype.kind not in "fiu" or size < 2:
        return f"{dim}: {size}"
    steps = np.abs(np.diff(found[dim].values.astype(np.float64)))
    # A gap is longer than its neighbours on both sides; a change of density is none.
    padded = np.concatenate([steps[1:2], steps, steps[-2:-1]])
    gaps = int((steps > 1.5 * np.maximum(padded[:-2], padded[2:])).sum()) if size > 2 else 0
    even = np.ptp(steps) <= 1e-6 * steps.max()
    spacing = f"evenly {steps[0]:.6g}" if even else f"median step {np.median(steps):.6g}"
    order = "" if found[dim].values[0] < found[dim].values[-1] else ", descending"
    return f"{dim}: {size} points, {spacing} {found[dim].attrs['units']}, {gaps} gaps{order}"


def _variable_line(name: str, variable: xr.DataArray) -> str:
    values, dims = variable.values, " × ".join(map(str, variable.dims)) or "one value"
    if values.dtype.kind not in "fciu":
        return f"{name} ({dims}): {', '.join(map(str, np.ravel(values)[:8]))}"
    units, finite = variable.attrs["units"], values[np.isfinite(values)]
    complex_ = values.dtype.kind == "c"
    shown = np.abs(finite) if complex_ else finite
    missing = values.size - finite.size
    tail = f", {missing} of {values.size} missing" if missing else ""
    if not finite.size:
        return f"{name} ({dims}): no finite number{tail}"
    low, high = shown.min(), shown.max()
    span = f"{'abs ' if complex_ else ''}from {low:.8g} to {high:.8g} {units}"
    if name == "incident_power":
        span += f" ({float(from_si(low, 'dBm')):.6g} to {float(from_si(high, 'dBm')):.6g} dBm)"
    return f"{name} ({dims}): {span}{tail}"
