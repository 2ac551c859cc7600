#!/bin/bash
# Puts two readers of registry hives (PyPI: regipy, python-registry) into the cache of large test things, once. They are
# oracles of the tests and never ship.
set -euo pipefail
cache=${WIMFORGE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/wimforge-oracles}
python=$cache/registry/bin/python
if "$python" -c 'import regipy, Registry' > /dev/null 2>&1; then
    exit 0
fi
rm -rf "$cache/registry"
mkdir -p "$cache"
python3 -m venv "$cache/registry"
"$python" -m pip install --quiet --disable-pip-version-check 'regipy==6.5.0' 'python-registry==1.3.1'
"$python" -c 'import regipy, Registry; print("regipy and python-registry are there")'
