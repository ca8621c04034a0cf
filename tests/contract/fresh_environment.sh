#!/usr/bin/env bash
# In a fresh environment: the template installs and passes its tests, broken plugins harm nobody.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} PIP_DISABLE_PIP_VERSION_CHECK=1
unset PYTHONPATH POWERCAL_STRICT POWERCAL_DISABLE
bin=$scratch/venv/bin

fail() {
    echo "fresh environment: $1" >&2
    exit 1
}

"${PYTHON:-python3}" -m venv "$scratch/venv"
"$bin/pip" wheel --quiet --no-deps --wheel-dir "$scratch/dist" "$root"
"$bin/pip" install --quiet "$scratch"/dist/powercal-*.whl "pytest>=8"

# A copy, so that building leaves nothing in the tree and the tests see the installed package only.
cp -R "$root/plugins/powercal-template" "$scratch/template"
"$bin/pip" install --quiet "$scratch/template"
cd "$scratch/template"
"$bin/pytest" --quiet -p no:cacheprovider

cd "$scratch"
"$bin/python" "$root/tests/contract/broken_plugins.py" "$scratch/broken"
"$bin/pip" install --quiet --no-deps "$scratch"/broken/*

# The command's exit code is its own affair; here only what it says counts.
"$bin/powercal" plugins >"$scratch/said" 2>&1 || true
for sentence in \
    "ModuleNotFoundError: No module named 'a_module_that_is_not_there'" \
    "powercal_modles is not a hook" \
    "model 'finite_temperature' is offered as"; do
    # Tables may wrap lines: compare without line breaks and runs of blanks.
    tr -s '[:space:]' ' ' <"$scratch/said" | grep --fixed-strings --quiet "$sentence" ||
        { cat "$scratch/said" >&2; fail "'powercal plugins' does not say: $sentence"; }
done
for name in broken-import broken-hook doubled-name two_level_bath pct; do
    grep --fixed-strings --quiet "$name" "$scratch/said" ||
        { cat "$scratch/said" >&2; fail "'powercal plugins' does not name $name"; }
done

"$bin/python" -W ignore - <<'PYTHON'
import numpy as np

import powercal as pc

truth = {"qubit_frequency": 5e9, "gamma_1": 1e6, "gamma_phi": 2e5, "n_th": 0.05, "drive_scale": 1e30}
grid = {"incident_power": np.geomspace(3e-20, 3e-17, 8), "frequency": 5e9 + np.linspace(-1e6, 1e6, 25)}
noise = {"absorbed_power": 3e-21, "excited_population": 3e-3}
made = pc.simulate(
    "finite_temperature", truth, inputs=grid, seed=0, noise=noise, observables=tuple(noise),
    detection="absorbed",
)
traces = pc.traces(
    **grid,
    **{name: made[name].values for name in noise},
    units={"incident_power": "W", "frequency": "Hz", "absorbed_power": "W", "excited_population": "1"},
    plane="device",
    detection="absorbed",
)
rate = pc.fit(pc.to_device_plane(traces), "finite_temperature", sigma=noise)["gamma_1"]
assert rate.status == "ok", rate
assert abs(rate.value - 1e6) < 6 * rate.stderr, rate
PYTHON

echo "fresh environment: ok"
