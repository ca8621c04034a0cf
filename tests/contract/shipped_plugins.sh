#!/usr/bin/env bash
# Beside an installed powercal (its bin folder is the argument): every plugin that ships with the
# house installs from a copy, passes its own tests, and all live together without a warning.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
bin=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} PIP_DISABLE_PIP_VERSION_CHECK=1
unset PYTHONPATH POWERCAL_DISABLE

# Copies, so that building leaves nothing in the tree and tests see installed packages only.
cp -R "$root"/plugins "$scratch/plugins"
"$bin/pip" install --quiet --no-deps "$scratch"/plugins/*/
for plugin in "$scratch"/plugins/*/; do
    # The template's own tests run in fresh_environment.sh.
    [ "$(basename "$plugin")" = powercal-template ] && continue
    echo "-- $(basename "$plugin")"
    (cd "$plugin" && "$bin/python" -m pytest --quiet -n 2 -p no:cacheprovider | tail -n 2)
done

cd "$scratch"
POWERCAL_STRICT=1 "$bin/powercal" plugins
POWERCAL_STRICT=1 "$bin/powercal" models > "$scratch/models"
for model in two_level_bath transmon transmon_reflection floquet floquet_channels double_dot cavity laser \
    bloch_gain periodic_dot; do
    grep --quiet --word-regexp "$model" "$scratch/models" || {
        cat "$scratch/models" >&2
        echo "shipped plugins: no model $model" >&2
        exit 1
    }
done
echo "shipped plugins: ok"
